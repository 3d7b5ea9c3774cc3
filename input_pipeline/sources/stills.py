"""Still pictures as a source of pairs: two warped and recoloured views of each."""

import dataclasses
import functools
import os

import numpy as np
import tensorflow as tf

from input_pipeline.readers import aflw, cats, celeba, coco, folder, pascal3d, points_csv, pts
from input_pipeline.sources import base
from input_pipeline.storage import decoding, resized
from input_pipeline.views import colours, pairs


class Stills(base.Source):
    """Pictures of one size, kept on disk; read, warped and recoloured a batch at a time.

    The splits are "train", what the unsupervised training sees; "annotated", training pictures whose landmarks the
    heads are fitted on; and "test". No picture is held out of training for monitoring: "validation" is "train".
    """

    warps_pictures = True

    def __init__(self, stores, views, crop):
        """Creates the source.

        Args:
          stores: split -> `resized.Store`.
          views: `dense_labels.config.ViewsConfig`.
          crop: pixels that views lack on each side of a stored picture.
        """
        self._stores, self._views, self.margin = stores, views, crop
        self._size = next(iter(stores.values())).images.shape[1:3]
        self.input_size = tuple(side - 2 * crop for side in self._size)
        annotated = stores.get("annotated") or stores.get("test")
        self.normaliser = annotated.pictures.normaliser if annotated else ""
        self.landmark_names = annotated.pictures.landmark_names if annotated else ()
        self.boxed = (annotated or next(iter(stores.values()))).pictures.boxes is not None

    def count(self, split):
        stored = self._stored(split)
        return len(stored.images) if stored else 0

    def classes(self, split):
        stored = self._stored(split)
        known = stored.pictures.classes if stored else None
        return super().classes(split) if known is None else known

    def pictures_below(self, folder, split):
        folder, stored = os.path.realpath(folder), self._stored(split)
        paths = (os.path.realpath(path) for path in (stored.pictures.paths if stored else ()))
        return sum(os.path.commonpath([folder, path]) == folder for path in paths)

    def pairs(self, split, indices, *, stride, batch_size, count=None):
        read = self._reader(split, count)

        def views(index, seed):
            batch = self._warp(read(index), 3 * seed, stride)
            batch["image_a"], batch["image_b"] = recolour(batch["image_a"], batch["image_b"], seed, self._views)
            return batch

        return indices.batch(batch_size).map(views, num_parallel_calls=tf.data.AUTOTUNE)

    def images(self, split, indices, *, batch_size, count=None):
        read = self._reader(split, count)
        height, width = self.input_size

        def images(index, _):
            whole = tf.image.convert_image_dtype(read(index), tf.float32)
            image = tf.image.crop_to_bounding_box(whole, self.margin, self.margin, height, width)
            return {"image": image, "mask": tf.ones_like(image[..., 0])}

        return indices.batch(batch_size).map(images, num_parallel_calls=tf.data.AUTOTUNE)

    def landmarks(self, split, indices, *, batch_size, count=None):
        stored = self._stored(split)
        known = {
            "landmarks": stored.landmarks - np.float32(self.margin),
            "annotated": stored.annotated,
            "scale": stored.scale,
            "normaliser": stored.normalisers,
        }

        def landmarks(index, _):
            places = base.spread(index, count, len(stored.images))
            return {"picture": tf.cast(places, tf.int64), **{name: tf.gather(of, places) for name, of in known.items()}}

        images = self.images(split, indices, batch_size=batch_size, count=count)
        known = indices.batch(batch_size).map(landmarks)
        return tf.data.Dataset.zip((images, known)).map(lambda image, known: {"image": image["image"], **known})

    def annotated_pairs(self, split, indices, *, stride, batch_size, strength, count=None):
        """Makes PairBatches in the colours of the pictures, with their landmarks in both views.

        Args:
          split, indices, stride, batch_size, count: as in `pairs`.
          strength: of the warps.

        Returns:
          `tf.data.Dataset` of PairBatches as `pairs.pair_from_image` makes them from landmarks; where one is not
          annotated, `landmarks_visible_a` and `landmarks_visible_b` are 0 too. `scale`, `normaliser` and
          `picture` are those of `landmarks`.
        """
        stored, read = self._stored(split), self._reader(split, count)

        def views(index, seed):
            places = base.spread(index, count, len(stored.images))
            known = {name: tf.gather(getattr(stored, name), places) for name in ("landmarks", "annotated", "scale")}
            batch = pairs.pair_from_image(
                read(index),
                3 * seed,
                stride=stride,
                crop=self.margin,
                strength=strength,
                border=self._views.border,
                landmarks=known["landmarks"],
            )
            for name in ("landmarks_visible_a", "landmarks_visible_b"):
                batch[name] *= known["annotated"]
            known["normaliser"] = tf.gather(stored.normalisers, places)
            return {**batch, **{name: known[name] for name in ("scale", "normaliser")}, "picture": places}

        return indices.batch(batch_size).map(views, num_parallel_calls=tf.data.AUTOTUNE)

    def visible_cells(self, *, count):
        """Returns which cells of A lie in B for a few warps as they are drawn in training: float32 [count, h, w]."""
        seeds = tf.stack([tf.zeros(count, tf.int64), tf.range(count, dtype=tf.int64)], axis=-1)
        return self._warp(tf.zeros([count, *self._size, 1]), seeds, stride=2)["visible"]

    def _warp(self, images, seeds, stride):
        views = self._views
        options = {"stride": stride, "crop": self.margin, "strength": views.strength, "flip": views.flip}
        if views.warp == "affine":
            return pairs.affine_pair_from_image(images, seeds, border=views.border, **options)
        return pairs.pair_from_image(images, seeds, border=views.border, projective=views.projective, **options)

    def _stored(self, split):
        return self._stores.get("train" if split == "validation" else split)

    def _reader(self, split, count):
        """Function of indices [B] -> uint8 [B, H, W, 3]."""
        images = self._stored(split).images
        gather = functools.partial(np.take, images, axis=0)

        def read(index):
            read = tf.numpy_function(gather, [base.spread(index, count, len(images))], tf.uint8, stateful=False)
            return tf.ensure_shape(read, [None, *self._size, 3])

        return read


def prepare(data, views):
    """Reads the lists of a data set, and resizes its pictures once.

    Args:
      data: `dense_labels.config.DataConfig`; a `size` of (0, 0) is replaced by what suits the pictures.
      views: `dense_labels.config.ViewsConfig`.

    Returns:
      A `Stills`.

    Raises:
      ValueError: if the data set is not there or not complete, or files cannot be used.
      OSError: if the resized pictures cannot be written.
    """
    splits = _READERS[data.name](data)
    _check_alike(splits)
    settle_size(data, splits["train"])
    if data.name == "folder":
        _tell_passed_over(folder.passed_over(data.dir))
    stores = {
        split: resized.prepare(pictures, tuple(data.size), data.cache_dir, skip_bad_files=data.skip_bad_files)
        for split, pictures in splits.items()
    }
    source = Stills(stores, views, data.crop)
    _warn_of_warps(source)
    return source


def _check_alike(splits):
    """Refuses landmarks to fit on and to test on that do not belong together."""
    known, test = splits.get("annotated"), splits.get("test")
    if known is None or test is None:
        return
    for what, of in (
        ("number of landmarks", lambda pictures: pictures.landmarks.shape[1]),
        ("names of the landmarks", lambda pictures: pictures.landmark_names),
        ("errors are divided by the", lambda pictures: pictures.normaliser),
        ("objects are in boxes", lambda pictures: pictures.boxes is not None),
    ):
        if of(known) != of(test):
            raise ValueError(f"annotated and test pictures do not agree ({what}: {of(known)} and {of(test)})")
    shared = {os.path.realpath(path) for path in known.paths} & {os.path.realpath(path) for path in test.paths}
    if shared:
        raise ValueError(f"{len(shared)} pictures are both annotated and test pictures, {min(shared)} for one")


def _tell_passed_over(endings):
    if endings:
        kinds = ", ".join(f"{count} {end or 'without an ending'}" for end, count in endings.most_common(_NAMED))
        kinds += ", ..." * (len(endings) > _NAMED)
        looked_for = ", ".join(decoding.EXTENSIONS)
        print(f"note: files that are not called {looked_for} are passed over: {kinds}", flush=True)


def _warn_of_warps(source):
    """Says so where the warps take most cells of A out of B, where nothing can be learned from them."""
    visible = float(tf.reduce_mean(source.visible_cells(count=64)))
    if visible < _LEAST_VISIBLE:
        print(f"warning: {1 - visible:.0%} of the cells of a view are not in the other; lower config.views.strength")


def settle_size(data, pictures):
    """Says what pictures there are, and picks the size they are resized to where none is given.

    Args:
      data: `dense_labels.config.DataConfig`, whose `size` of (0, 0) is replaced.
      pictures: `Pictures`.

    Raises:
      ValueError: if no picture can be read, or they are too small for the crop.
    """
    found = resized.look(pictures)
    if not any(data.size):
        data.size = resized.pick_size(found.sizes, longer_side=_LONGER_SIDE)
        if min(data.size) - 2 * data.crop < _LEAST_SIDE:
            raise ValueError(
                f"{data.dir}: {found}; resized to {data.size[1]} x {data.size[0]} and less "
                f"config.data.crop={data.crop} on each side, views would be smaller than {_LEAST_SIDE} pixels; "
                "set config.data.size to (height, width) of your own, or a smaller crop"
            )
    width, height = data.size[1], data.size[0]
    seen = f", of which the network sees the inner {width - 2 * data.crop} x {height - 2 * data.crop}" * (data.crop > 0)
    print(f"{data.dir}: {found}; resized to {width} x {height}{seen}", flush=True)


def recolour(images_a, images_b, seeds, views):
    """Changes the colours of both views of pairs, each in its own way.

    Args:
      images_a: float32 [B, H, W, 3] in [0, 1].
      images_b: float32 [B, H, W, 3] in [0, 1].
      seeds: int64 [B, 2], of the pairs; the warps of a pair draw from 3 times its seed, its views from 1 and 2 more.
      views: `dense_labels.config.ViewsConfig`.

    Returns:
      The two batches of images.
    """
    both, seeds = tf.concat([images_a, images_b], axis=0), tf.concat([3 * seeds + 1, 3 * seeds + 2], axis=0)
    if views.colour == "ssd":
        return tf.split(colours.change_as_ssd(both, seeds, strength=views.colour_strength), 2)
    names = ("brightness", "contrast", "saturation", "hue", "lighting", "jpeg", "rescale")
    return tf.split(colours.change(both, seeds, **{name: getattr(views, name) for name in names}), 2)


def _annotated(read):
    """The splits of a data set whose lists of landmarks are files: `read(annotations)` -> `Pictures`."""

    def splits(data):
        if not data.annotations:
            raise ValueError(f"config.data.name={data.name!r} needs config.data.annotations, the landmarks")
        known = read(data, data.annotations)
        test = {"test": read(data, data.annotations_test)} if data.annotations_test else {}
        pictures = {"train": known, "annotated": known, **test}
        if data.whole_pictures:
            pictures = {split: dataclasses.replace(each, boxes=None) for split, each in pictures.items()}
        return pictures

    return splits


def _boxes(data):
    options = {"images": data.images, "category": data.category, "min_score": data.min_score}
    return {"train": coco.read_boxes(data.dir, data.boxes, **options)}


_LONGER_SIDE = 100  # pixels, as the first author's later code has it
_LEAST_SIDE = 16
_NAMED = 5  # kinds of files that a message names
_LEAST_VISIBLE = 0.5  # of the cells; with the published warps it is four fifths
_READERS = {
    "folder": lambda data: {"train": folder.read(data.dir)},
    "boxes": _boxes,
    "coco": _annotated(lambda data, annotations: coco.read(data.dir, annotations, boxed=bool(data.boxes))),
    "csv": _annotated(lambda data, annotations: points_csv.read(data.dir, annotations)),
    "pts": _annotated(lambda data, annotations: pts.read(annotations)),
    "celeba": lambda data: celeba.read(data.dir),
    "celeb_a": lambda data: celeba.read_tfds(data.dir),
    "aflw": lambda data: aflw.read(data.dir),
    "cats": lambda data: cats.read(data.dir),
    "pascal3d": lambda data: pascal3d.read(data.dir),
}
