"""What a record of a shard holds: the bytes of a picture, and its key points where they are asked for.

A record is the encoded picture itself, or a `tf.train.Example` that has it as a feature, or what tensorflow-datasets
has written, whose features say how they are stored.

Convention: key points are (x, y) in continuous pixels of the picture; whole numbers, as their type says, count pixels
from 0 at the centre of the first. A pair of which both numbers are below 0 or not finite is not annotated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from dense_labels.exporting import decoding_graph

PICTURES = ("image/encoded", "image")  # features that are looked for where none is named


class Parsed(NamedTuple):
    """A record taken apart."""

    file: tf.Tensor  # string [], an encoded picture
    points: tf.Tensor  # float32 [K, 2], (x, y) in pixels of the picture; 0 where they are not annotated
    annotated: tf.Tensor  # float32 [K]


class Layout(NamedTuple):
    """How to take records apart."""

    parse: Callable[[tf.Tensor], Parsed]  # of a record, string []
    landmarks: int = 0  # K
    names: tuple[str, ...] = ()  # of the landmarks, where they have any


def of_record(looked_at: Sequence[bytes], path: str, *, image: str, keypoints: str) -> Layout:
    """Finds out how records are laid out that nothing else describes.

    Args:
      looked_at: some of them: the first says how all are, the others whether its key points may be x, y, v of COCO.
      path: of the file of the first, for messages.
      image, keypoints: names of features; "" for the usual name of a picture, and for no key points.

    Raises:
      ValueError: if the record is neither a picture nor a `tf.train.Example`, or lacks a feature; or a feature is of
        another kind: key points are 2 K numbers x0, y0, x1, y1, ...
    """
    record = looked_at[0]
    if record.startswith(decoding_graph.MAGIC):
        if image or keypoints:
            raise ValueError(
                f"the records of {path} are pictures alone; leave out config.data.image and data.keypoints"
            )
        return Layout(_without_points)
    features = _features(record, path)
    image = image or next((each for each in PICTURES if each in features), PICTURES[0])
    _check_feature(path, "image", image, features, ("bytes_list",))
    spec = {image: tf.io.FixedLenFeature([], tf.string)}
    if not keypoints:
        return Layout(lambda whole: _without_points(tf.io.parse_single_example(whole, spec)[image]))
    kind = _check_feature(path, "keypoints", keypoints, features, ("float_list", "int64_list"))
    numbers = len(getattr(features[keypoints], kind).value)
    if _are_marked([_values(each, keypoints, kind) for each in looked_at], numbers):
        raise ValueError(
            f"config.data.keypoints={keypoints}: must be pairs x, y; in {path} they look like x, y, v of COCO"
        )
    if numbers % 2 or not numbers:
        raise ValueError(f"config.data.keypoints={keypoints}: must be pairs x, y; {path} has {numbers} numbers")
    dtype = tf.float32 if kind == "float_list" else tf.int64
    spec[keypoints] = tf.io.FixedLenFeature([numbers // 2, 2], dtype)

    def parse(whole):
        found = tf.io.parse_single_example(whole, spec)
        return _with_points(found[image], found[keypoints])

    return Layout(parse, numbers // 2)


def of_dataset(features: tfds.features.FeaturesDict, name: str, *, image: str, keypoints: str) -> Layout:
    """Finds the picture and the key points in a data set of tensorflow-datasets.

    Args:
      features: of the data set.
      name: of the data set, for messages.
      image, keypoints: names of features; "" for the picture there is, and for no key points.

    Raises:
      ValueError: if there is no such feature or no picture, or it is of another kind. Key points are numbers [K, 2] or
        [K, 3], of which the third is 0 where the point is not annotated; or a dictionary of NAME_x and NAME_y.
    """
    image = _picture_feature(features, name, image)
    wanted = {image: True, **({keypoints: True} if keypoints else {})}
    names, shape = _shape_of_points(features, name, keypoints) if keypoints else ((), (0, 2))
    partial = tfds.decode.PartialDecoding(wanted).extract_features(features)

    def parse(whole):
        found = partial.deserialize_example(whole, decoders={image: tfds.decode.SkipDecoding()})
        if not keypoints:
            return _without_points(found[image])
        values = _stacked(found[keypoints], names) if names else found[keypoints]
        return _with_points(found[image], tf.ensure_shape(values, shape))

    return Layout(parse, shape[0], names)


def _are_marked(values, numbers):
    """Whether lists of so many numbers are x, y, v of COCO; an object that nobody annotated has no mark but 0."""
    alike = np.array([each for each in values if len(each) == numbers])
    if numbers % 3 or not alike.size:
        return False
    marks = set(alike[:, 2::3].flat)
    return marks <= {0, 1, 2} and bool(marks & {1, 2}) and alike.max() > 2


def _values(record, keypoints, kind):
    """The numbers of a record, which may lack them or be no such record."""
    try:
        return getattr(tf.train.Example.FromString(record).features.feature[keypoints], kind).value
    except Exception:  # of protobuf, whose class its implementations do not share
        return ()


def _features(record, path):
    try:
        features = tf.train.Example.FromString(record).features.feature
    except Exception as error:  # of protobuf, whose class its implementations do not share
        raise ValueError(
            f"the records of {path} are neither pictures (JPEG, PNG, BMP) nor tf.train.Examples"
        ) from error
    if not features:
        raise ValueError(f"the records of {path} are neither pictures (JPEG, PNG, BMP) nor tf.train.Examples")
    return features


def _check_feature(path, key, name, features, valid):
    """Refuses a feature that is not there or of another kind; returns its kind."""
    if name not in features:
        there = ", ".join(sorted(features))
        raise ValueError(f"config.data.{key}={name}: the records of {path} have no such feature; they have {there}")
    kind = features[name].WhichOneof("kind")
    if kind not in valid:
        raise ValueError(f"config.data.{key}={name}: must be a {' or '.join(valid)}; in {path} it is a {kind}")
    return kind


def _picture_feature(features, name, image):
    pictures = sorted(key for key, value in features.items() if isinstance(value, tfds.features.Image))
    if not pictures:
        raise ValueError(
            f"{name} has no pictures among its features {', '.join(sorted(features))}; choose another data set"
        )
    if image and image not in pictures:
        raise ValueError(f"config.data.image={image}: the pictures of {name} are {', '.join(pictures)}")
    if not image and len(pictures) > 1 and "image" not in pictures:
        raise ValueError(f"{name} has several pictures: choose config.data.image among {', '.join(pictures)}")
    chosen = image or ("image" if "image" in pictures else pictures[0])
    kind = np.dtype(features[chosen].np_dtype)
    if kind != np.uint8:
        raise ValueError(f"{name}: its feature {chosen} has pixels of type {kind}; only those of 8 bits are read")
    return chosen


def _shape_of_points(features, name, keypoints):
    """The names of key points, if they have any, and the shape of their numbers."""
    if keypoints not in features:
        there = ", ".join(sorted(features))
        raise ValueError(f"config.data.keypoints={keypoints}: {name} has no such feature; it has {there}")
    points, given = features[keypoints], f"config.data.keypoints={keypoints}"
    if isinstance(points, tfds.features.FeaturesDict):
        names = tuple(sorted({key.rpartition("_")[0] for key in points}))
        if sorted(points) != sorted(f"{each}_{axis}" for each in names for axis in "xy"):
            raise ValueError(f"{given}: a dictionary must have NAME_x and NAME_y; in {name} it has {', '.join(points)}")
        return names, (len(names), 2)
    is_numbers = isinstance(points, tfds.features.Tensor) and tf.as_dtype(points.np_dtype) != tf.string
    shape = points.shape if is_numbers else ()
    if len(shape) != 2 or shape[0] is None or shape[1] not in (2, 3):
        raise ValueError(f"{given}: must be numbers [K, 2] or [K, 3]; in {name} it is {points}")
    return (), tuple(shape)


def _stacked(found, names):
    whole = all(found[f"{name}_{axis}"].dtype.is_integer for name in names for axis in "xy")
    dtype = tf.int64 if whole else tf.float32
    return tf.stack([[tf.cast(found[f"{name}_{axis}"], dtype) for axis in "xy"] for name in names])


def _without_points(file):
    return Parsed(file, tf.zeros([0, 2]), tf.zeros([0]))


def _with_points(file, values):
    """A `Parsed` of key points [K, 2] or [K, 3]; whole numbers count pixels from 0 at their centres."""
    half = 0.5 if values.dtype.is_integer else 0.0
    values = tf.cast(values, tf.float32)
    points = values[:, :2]
    known = tf.reduce_all(tf.math.is_finite(points), axis=-1) & tf.reduce_any(points >= 0, axis=-1)
    if values.shape[1] == 3:
        known &= values[:, 2] > 0
    points = tf.where(known[:, tf.newaxis], points + half, 0.0)
    return Parsed(file, points, tf.cast(known, tf.float32))
