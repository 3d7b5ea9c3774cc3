"""Shards of encoded pictures as a source: read, decoded and resized on the fly, by TensorFlow alone.

A record is read where it lies, so the order is the same as of all other sources: every picture once an epoch, in an
order that is random over all shards and a function of the seed. There is no buffer to be shuffled; a run that goes on
reads nothing of what it has passed. What this asks of a disk is to read pictures from all over, many at a time.
"""

import contextlib
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dense_labels import progress
from dense_labels.batches import ImageBatch, LandmarkBatch
from dense_labels.compat import without_autograph
from dense_labels.config import Config, ViewsConfig
from input_pipeline.readers import consistency
from input_pipeline.readers.pictures import Pictures
from input_pipeline.sources import base, sizes, warps
from input_pipeline.sources.record_features import Layout, of_record
from input_pipeline.storage import decoding, encoded, records, resized
from input_pipeline.views import pairs

_LOOKED_AT = 64  # records, for the sizes of the pictures and to see that they can be read
_AT_ONCE = 16  # pictures of a batch that are read at once: reading waits for the disk, most of all
_UNREAD = "is gone or damaged, or holds no JPEG, PNG or BMP picture, or not what the first record holds"


class Split(NamedTuple):
    """The records of a split, and how they are laid out."""

    records: records.Records
    layout: Layout


class Examples(NamedTuple):
    """Pictures that were read."""

    image: tf.Tensor  # uint8 [B, H, W, 3]
    size: tf.Tensor  # int32 [B, 2], (height, width) of the pictures before they were resized
    points: tf.Tensor  # float32 [B, K, 2], (x, y) in pixels of the picture
    annotated: tf.Tensor  # float32 [B, K]
    place: tf.Tensor  # int64 [B], numbers of the records


class Shards(base.Source):
    """Pictures of records, and their landmarks where the records have key points.

    The splits are "train", "annotated" and "test" of those that are given; "validation" is "train" unless it is given.
    """

    def __init__(self, splits: Mapping[str, Split], views: ViewsConfig, *, size: tuple[int, int], crop: int):
        """Creates the source.

        Args:
          splits: "train" at least. Of "annotated" and "test" the records have key points.
          views: how pictures are warped and recoloured.
          size: (height, width) in pixels that pictures are resized to.
          crop: pixels that views lack on each side of a resized picture.
        """
        self._splits, self._views, self.size, self.margin = splits, views, size, crop
        self.input_size = (size[0] - 2 * crop, size[1] - 2 * crop)
        annotated = splits.get("annotated")
        self.normaliser = "picture width" if annotated else ""
        self.landmark_names = annotated.layout.names if annotated else ()

    def count(self, split: str) -> int:
        found = self._splits.get(self._stored(split))
        return len(found.records) if found else 0

    def files(self, split: str) -> dict[str, str]:
        """Returns the path of each shard of a split, and a digest of the lengths and checksums in it."""
        found = self._splits[self._stored(split)].records
        return dict(zip(found.paths, found.digests))

    def pairs(
        self, split: str, indices: tf.data.Dataset, *, stride: int, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        read_these = self._reader(split, count)

        def views(index, seed):
            images = read_these(index).image
            return pairs.two_views(images, seed, self._views, stride=stride, crop=self.margin)

        return indices.batch(batch_size).map(views, num_parallel_calls=tf.data.AUTOTUNE)

    def images(
        self, split: str, indices: tf.data.Dataset, *, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        read_these = self._reader(split, count)

        def images(index, _):
            image = self._as_seen(read_these(index).image)
            return ImageBatch(image, mask=tf.ones_like(image[..., 0]))

        return indices.batch(batch_size).map(images, num_parallel_calls=tf.data.AUTOTUNE)

    def landmarks(
        self, split: str, indices: tf.data.Dataset, *, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        if split not in self._splits or not self._splits[split].layout.landmarks:
            raise ValueError(f"the pictures of the split {split!r} have no landmarks; give annotated pictures")
        read_these = self._reader(split, count)

        def landmarks(index, _):
            examples = read_these(index)
            sides = tf.cast(examples.size[:, ::-1], tf.float32)  # [B, 2]
            scale = sides / tf.constant(self.size[::-1], tf.float32)
            near = ~_is_far(examples.points, sides)  # others are slips, as of files
            return LandmarkBatch(
                image=self._as_seen(examples.image),
                landmarks=examples.points / scale[:, tf.newaxis] - self.margin,
                annotated=examples.annotated * tf.cast(near, tf.float32),
                scale=scale,
                normaliser=tf.cast(examples.size[:, 1], tf.float32),
                picture=examples.place,
            )

        return indices.batch(batch_size).map(landmarks, num_parallel_calls=tf.data.AUTOTUNE)

    def _stored(self, split: str) -> str:
        return "train" if split == "validation" and split not in self._splits else split

    def _as_seen(self, images: tf.Tensor) -> tf.Tensor:
        """The images, less their margin, of pictures uint8 [B, H, W, 3]."""
        whole = tf.image.convert_image_dtype(images, tf.float32)
        return tf.image.crop_to_bounding_box(whole, self.margin, self.margin, *self.input_size)

    def _reader(self, split: str, count: int | None) -> Callable[[tf.Tensor], Examples]:
        """Function of indices, int64 [B]."""
        if not self.count(split):
            raise ValueError(f"there is no split {split!r} of these pictures; choose {', '.join(self._splits)}")
        chosen = self._splits[self._stored(split)]

        def read_these(index):
            return read(chosen, base.spread(tf.cast(index, tf.int64), count, len(chosen.records)), self.size)

        return read_these


def read(split: Split, places: tf.Tensor, size: tuple[int, int]) -> Examples:
    """Reads pictures and resizes them, antialiased, inside a graph and without Python.

    Args:
      split: where they are.
      places: int64 [B], the numbers of their records.
      size: (height, width) in pixels.

    Returns:
      `Examples`.

    Raises:
      tf.errors.InvalidArgumentError: if one cannot be read; naming the record and the file.
    """

    def decoded(place):
        parsed = split.layout.parse(split.records.read(place))
        picture = encoded.decode(parsed.file)
        image = tf.image.resize(tf.cast(picture, tf.float32), size, antialias=True)
        image = tf.saturate_cast(tf.round(image), tf.uint8)
        return Examples(image, tf.shape(picture)[:2], parsed.points, parsed.annotated, place)

    points = [split.layout.landmarks]
    last = Examples(  # so that a batch of which nothing can be read is one too
        *(tf.zeros([*size, 3], tf.uint8), tf.zeros([2], tf.int32), tf.zeros([*points, 2]), tf.zeros(points)),
        place=tf.constant(-1, tf.int64),
    )
    # An error from a record or a decoder does not say which file is meant: what cannot be read is left out and missed.
    # One dataset for a whole batch: to begin one takes as long as to read several pictures.
    readable = tf.data.Dataset.from_tensor_slices(places).map(decoded, num_parallel_calls=_AT_ONCE).ignore_errors()
    whole = readable.concatenate(tf.data.Dataset.from_tensors(last)).batch(tf.size(places, tf.int64) + 1)
    examples = Examples(*(part[:-1] for part in whole.get_single_element()))
    with tf.control_dependencies([_none_is_missing(split, places, examples.place)]):
        return Examples(*map(tf.identity, examples))


def _none_is_missing(split: Split, places: tf.Tensor, found: tf.Tensor) -> tf.Operation:
    """Refuses the first of the records, int64 [B], that is not among those found, which are in the same order."""
    same = tf.cast(places[: tf.size(found)] == found, tf.int32)
    missing = places[tf.minimum(tf.reduce_sum(tf.math.cumprod(same)), tf.size(places) - 1)]
    said = [split.records.name(missing), " ", _UNREAD]
    return tf.debugging.Assert(tf.size(found) == tf.size(places), [tf.strings.join(said)])


def prepare(config: Config) -> Shards:
    """Finds the shards that `data.dir` names, and looks at some of their pictures.

    Args:
      config: of the run.

    Returns:
      The source.

    Raises:
      ValueError: if there are no shards, one is damaged or of another format, or they lack a feature.
    """
    data = config.data
    found = records.index(records.find(data.dir))
    looked_at = _contents(found) if data.keypoints else [found.first()]
    layout = of_record(looked_at, found.paths[0], image=data.image, keypoints=data.keypoints)
    split = Split(found, layout)
    return create(config, {"train": split, **({"annotated": split} if layout.landmarks else {})})


def create(config: Config, splits: Mapping[str, Split]) -> Shards:
    """Looks at some pictures, chooses the size that all are resized to, and creates the source; see `Shards`.

    Raises:
      ValueError: if one of these pictures cannot be read, or key points are no pixels of their pictures.
    """
    data, train = config.data, splits["train"]
    looked_at = _some(train)
    size = sizes.choose(data, resized.Found(len(train.records), _sizes(looked_at)))
    warps.warn_of_warps(config.views, size, data.crop)
    for split in [splits[name] for name in ("annotated", "test") if name in splits]:
        _check_landmarks(split, looked_at if split is train else _some(split), data.keypoints)
    return Shards(splits, config.views, size=size, crop=data.crop)


def _sizes(examples: Examples) -> np.ndarray:
    """The sizes of pictures, float32 [M, 2], smallest area first."""
    found = np.array(examples.size, np.float32)
    return found[np.argsort(np.prod(found, axis=1), kind="stable")]


def _check_landmarks(split: Split, examples: Examples, keypoints: str) -> None:
    """Refuses key points that cannot be in pixels of their pictures, and warns of those that may be of another one."""
    names = [split.records.name(place).numpy().decode() for place in examples.place]
    pictures = Pictures(tuple(names), landmarks=np.array(examples.points), annotated=np.array(examples.annotated))
    if not pictures.annotated.any():
        return
    size = np.array(examples.size)
    try:
        consistency.check_landmarks(pictures, size)
    except ValueError as error:
        raise ValueError(f"config.data.keypoints={keypoints}: {error}") from error
    sides = tf.cast(examples.size[:, ::-1], tf.float32)
    far = int(tf.reduce_sum(examples.annotated * tf.cast(_is_far(examples.points, sides), tf.float32)))
    if far:
        progress.warn(
            f"{far} of {int(pictures.annotated.sum())} key points of the {len(names)} pictures that were looked at lie "
            "far outside; such key points are taken for not annotated"
        )
    stored = [decoding.read_orientation(name, content=file) for name, file in zip(names, _files(split, examples.place))]
    if turned := [name for name, each in zip(names, stored) if each > 1]:
        progress.warn(
            f"{turned[0]} is turned by its EXIF orientation ({len(turned)} of {len(names)} pictures that were looked "
            "at), and key points are taken to be of the upright picture, as viewers show it; a program that does not "
            "turn pictures, such as tensorflow-datasets, gives other places"
        )


def _is_far(points: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
    """Which points [B, K, 2] lie further outside of their pictures than what the border cuts off; sides are (w, h)."""
    beyond = tf.reduce_max(tf.maximum(-points, points - sides[:, tf.newaxis]), axis=-1)
    return beyond > consistency.FAR * tf.reduce_max(sides, axis=1)[:, tf.newaxis]


@without_autograph
def _files(split: Split, places: tf.Tensor) -> list[bytes]:
    """The encoded pictures of records."""

    def file(place):
        return split.layout.parse(split.records.read(place)).file

    return list(tf.data.Dataset.from_tensor_slices(places).map(file).as_numpy_iterator())


def _places(found: records.Records) -> tf.Tensor:
    """Numbers of the records that are looked at, from all over them, the first of which is the first."""
    count = min(_LOOKED_AT, len(found))
    return base.spread(tf.range(count, dtype=tf.int64), count, len(found))


def _contents(found: records.Records) -> list[bytes]:
    """The content of the records that are looked at, less those that are damaged, which `_some` names."""
    contents = [found.first()]
    for place in _places(found)[1:]:
        with contextlib.suppress(tf.errors.DataLossError):
            contents.append(found.read(place).numpy())
    return contents


@without_autograph
def _some(split: Split) -> Examples:
    """Reads pictures from all over a split, resized to next to nothing."""
    places = _places(split.records)
    try:
        return next(iter(tf.data.Dataset.from_tensors(places).map(lambda these: read(split, these, (1, 1)))))
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(re.search(f"record .* {_UNREAD}", error.message)[0]) from error
