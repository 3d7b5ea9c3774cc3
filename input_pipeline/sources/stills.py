"""Still pictures as a source of pairs: two warped and recoloured views of each."""

import dataclasses
import functools
import os
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import tensorflow as tf

from dense_labels.batches import AnnotatedPairBatch, ImageBatch, LandmarkBatch
from dense_labels.config import Config, ViewsConfig
from dense_labels.registry import READERS
from input_pipeline.readers import consistency
from input_pipeline.readers.pictures import Pictures
from input_pipeline.sources import agreement, base, sizes, warps
from input_pipeline.storage import listing, resized
from input_pipeline.views import pairs, view_maps
from input_pipeline.views.view_maps import ViewMaps


class Stills(base.Source):
    """Pictures of one size, kept on disk; read, warped and recoloured a batch at a time.

    The splits are "train", what the unsupervised training sees; "annotated", training pictures whose landmarks the
    heads are fitted on; and "test". No picture is held out of training for monitoring: "validation" is "train".
    """

    warps_pictures = True

    def __init__(self, stores: Mapping[str, resized.Store], views: ViewsConfig, crop: int):
        """Creates the source.

        Args:
          stores: the resized pictures of each split.
          views: how pictures are warped and recoloured.
          crop: pixels that views lack on each side of a stored picture.
        """
        self._stores, self._views, self.margin = stores, views, crop
        height, width = next(iter(stores.values())).images.shape[1:3]
        self.size, self.input_size = (height, width), (height - 2 * crop, width - 2 * crop)
        annotated = stores.get("annotated") or stores.get("test")
        self.normaliser = annotated.pictures.normaliser if annotated else ""
        self.landmark_names = annotated.pictures.landmark_names if annotated else ()
        self.flip_pairs = annotated.pictures.flip_pairs if annotated else ()
        self.boxed = (annotated or next(iter(stores.values()))).pictures.boxes is not None

    def count(self, split: str) -> int:
        return len(self._store(split).images) if self._has(split) else 0

    def classes(self, split: str) -> np.ndarray:
        known = self._store(split).pictures.classes if self._has(split) else None
        return super().classes(split) if known is None else known

    def pictures_below(self, folder: str, split: str) -> int:
        held = listing.real_paths(folder)
        paths = self._store(split).pictures.paths if self._has(split) else ()
        return sum(os.path.realpath(path) in held for path in paths)

    def files(self, split: str) -> dict[str, str]:
        store = self._store(split)
        return {os.path.abspath(path): digest for path, digest in zip(store.pictures.paths, store.digests)}

    def boxes(self, split: str) -> dict[str, str]:
        digests = self._store(split).pictures.box_digests()
        return {os.path.abspath(path): digest for path, digest in digests.items()}

    def origins(self, split: str) -> list[tuple[str, str]]:
        store = self._store(split)
        return [(os.path.realpath(path), digest) for path, digest in zip(store.pictures.paths, store.digests)]

    def stored(self, split: str) -> np.ndarray:
        """Returns the images of a split with their margin, uint8 [N, H, W, 3], mapped from disk: no copy is made."""
        return self._store(split).images

    def pairs(
        self, split: str, indices: tf.data.Dataset, *, stride: int, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        read = self._reader(split, count)

        def recoloured_views(index, seed):
            return pairs.two_views(read(index), seed, self._views, stride=stride, crop=self.margin)

        return indices.batch(batch_size).map(recoloured_views, num_parallel_calls=tf.data.AUTOTUNE)

    def images(
        self, split: str, indices: tf.data.Dataset, *, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        read = self._reader(split, count)

        def images(index, _):
            image = self._as_seen(read(index))
            return ImageBatch(image, mask=tf.ones_like(image[..., 0]))

        return indices.batch(batch_size).map(images, num_parallel_calls=tf.data.AUTOTUNE)

    def landmarks(
        self, split: str, indices: tf.data.Dataset, *, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        store, read = self._annotated_store(split), self._reader(split, count)
        points = store.landmarks - np.float32(self.margin)

        def landmarks(index, _):
            picture = base.spread(index, count, len(points))
            return LandmarkBatch(
                image=self._as_seen(read(index)),
                landmarks=tf.gather(points, picture),
                annotated=tf.gather(store.annotated, picture),
                scale=tf.gather(store.scale, picture),
                normaliser=tf.gather(store.normalisers, picture),
                picture=tf.cast(picture, tf.int64),
            )

        return indices.batch(batch_size).map(landmarks, num_parallel_calls=tf.data.AUTOTUNE)

    def annotated_pairs(
        self,
        split: str,
        indices: tf.data.Dataset,
        *,
        stride: int,
        batch_size: int,
        strength: float,
        count: int | None = None,
    ) -> tf.data.Dataset:
        store, read = self._annotated_store(split), self._reader(split, count)
        views = dataclasses.replace(self._views, projective=0.0, shift=0.0)  # mild; no `flip` goes with them

        def annotated_views(index, seed):
            picture = base.spread(index, count, len(store.images))
            maps = self._draw_maps(3 * seed, stride, views, strength)
            found = pairs.landmarks_in_views(tf.gather(store.landmarks, picture), 3 * seed, maps, self.size)
            annotated = tf.gather(store.annotated, picture)
            return AnnotatedPairBatch(
                pairs=pairs.pair_from_maps(read(index), 3 * seed, maps, border=views.border),
                landmarks_a=found.landmarks_a,
                landmarks_b=found.landmarks_b,
                landmarks_visible_a=found.visible_a * annotated,
                landmarks_visible_b=found.visible_b * annotated,
                scale=tf.gather(store.scale, picture),
                normaliser=tf.gather(store.normalisers, picture),
                picture=tf.cast(picture, tf.int64),
            )

        return indices.batch(batch_size).map(annotated_views, num_parallel_calls=tf.data.AUTOTUNE)

    def picture_size(self, longer_side: int) -> tuple[int, int]:
        """Returns the size that pictures suggest, annotated ones where there are any; see `resized.pick_size`."""
        pictures = (self._stores.get("annotated") or next(iter(self._stores.values()))).pictures
        return resized.pick_size(resized.look(pictures).sizes, longer_side)

    def extent(self, split: str) -> float:
        """Returns how much of a picture or box the landmarks take up.

        That is the diagonal of the smallest rectangle about the annotated ones, as a share of the longer side, both in
        pixels of the picture; the median over the pictures with two or more. Not a number where there are none.
        """
        store = self._annotated_store(split)
        known = (store.annotated > 0)[..., np.newaxis]
        several = known.sum(axis=1)[:, 0] > 1
        high, low = (np.max(np.where(known, sign * store.landmarks, -np.inf), axis=1)[several] for sign in (1, -1))
        scale = store.scale[several]
        longer = np.max(scale * np.float32(self.size[::-1]), axis=-1)
        return float(np.median(np.linalg.norm((high + low) * scale, axis=-1) / longer)) if several.any() else np.nan

    def _draw_maps(self, seeds: tf.Tensor, stride: int, views: ViewsConfig, strength: float) -> ViewMaps:
        return view_maps.draw_chosen(seeds, self.size, views, stride=stride, crop=self.margin, strength=strength)

    def _as_seen(self, pictures: tf.Tensor) -> tf.Tensor:
        """The images, less their margin, of pictures uint8 [B, H, W, 3]."""
        whole = tf.image.convert_image_dtype(pictures, tf.float32)
        return tf.image.crop_to_bounding_box(whole, self.margin, self.margin, *self.input_size)

    def _has(self, split: str) -> bool:
        return _stored(split) in self._stores

    def _store(self, split: str) -> resized.Store:
        if not self._has(split):
            raise ValueError(f"there is no split {split!r} of these pictures; choose {', '.join(self._stores)}")
        return self._stores[_stored(split)]

    def _annotated_store(self, split: str) -> resized.Store:
        store = self._store(split)
        if store.landmarks is None:
            raise ValueError(f"the pictures of the split {split!r} have no landmarks; give annotated pictures")
        return store

    def _reader(self, split: str, count: int | None) -> Callable[[tf.Tensor], tf.Tensor]:
        """Function of indices [B] -> uint8 [B, H, W, 3]."""
        images = self._store(split).images
        gather = functools.partial(np.take, images, axis=0)

        def read(index):
            read = tf.numpy_function(gather, [base.spread(index, count, len(images))], tf.uint8, stateful=False)
            return tf.ensure_shape(read, [None, *self.size, 3])

        return read


def _stored(split: str) -> str:
    return "train" if split == "validation" else split


def prepare(config: Config, *, only: Sequence[str] = (), most: int = 0, last: Collection[str] = ()) -> Stills:
    """Reads the lists of a data set, and resizes its pictures once.

    Args:
      config: of the run; `data.name` is one of the registry READERS.
      only: the splits that are wanted, if not all are; their pictures are then of `data.size`.
      most: how many pictures of a split are wanted, from all over it; 0 for all.
      last: real paths of pictures that are taken only where there are too few others.

    Returns:
      The source.

    Raises:
      ValueError: if the data set is not there or not complete, or files cannot be used.
      OSError: if the resized pictures cannot be written.
    """
    data = config.data
    splits = READERS[data.name].value(data)
    agreement.check_alike(splits)
    consistency.check_one_answer(splits)
    if only:
        splits = {split: _spread(pictures, most, last) for split, pictures in splits.items() if split in only}
    size = (data.size[0], data.size[1]) if only else sizes.choose(data, resized.look(splits["train"]))
    several = {id(pictures): pictures for pictures in splits.values()}  # training may see what is annotated
    stores = {
        each: resized.prepare(pictures, size, data.cache_dir, skip_bad_files=data.skip_bad_files)
        for each, pictures in several.items()
    }
    source = Stills({split: stores[id(pictures)] for split, pictures in splits.items()}, config.views, data.crop)
    agreement.warn_of_copies(*(stores.get(id(splits.get(each))) for each in ("annotated", "test")))
    if not only:
        warps.warn_of_warps(config.views, size, data.crop)
    return source


def _spread(pictures: Pictures, most: int, last: Collection[str]) -> Pictures:
    """At most so many of the pictures, from all over them, those whose paths are `last` after the others; 0 for all."""
    if not most or len(pictures) <= most:
        return pictures
    late = np.array([os.path.realpath(path) in last for path in pictures.paths])
    first = np.flatnonzero(~late)[_evenly((~late).sum(), most)]
    rest = np.flatnonzero(late)[_evenly(late.sum(), most - len(first))]
    return pictures.take(np.sort(np.concatenate([first, rest])))


def _evenly(count: int, most: int) -> np.ndarray:
    """The places of at most so many of `count` things, from all over them."""
    return np.arange(min(most, count)) * count // max(min(most, count), 1)
