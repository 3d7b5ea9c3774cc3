"""What travels together: batches, label maps and labelled pictures as one value each; and the words for them.

Glossary:
  picture   a file of the user's, upright as its owner sees it
  box       the part of a picture that shows one object
  image     pixels that a network sees, float32 RGB in [0, 1]: a picture or box, resized and less its margin
  view      an image of a picture that was warped and recoloured for training
  pair      two views A and B, and where the points of A are found in B
  frame     one image of a video
  cell      one place of a label map; the stride is the side of a cell in pixels of the image
  label     the vector a network gives a cell: its direction is a place on the object, its length a confidence
  landmark  a point of the object that has a number and perhaps a name
  annotated a landmark is, in a picture, where somebody has said where it lies
  head      what finds landmarks in label maps; a detector, in images
  source    what gives the pairs and landmarks of a data set
  split     a part of a data set: train, annotated, validation, test

Convention: points are (x, y), y down, in continuous pixels of the image they belong to; see `method.geometry`.

Batches are named tuples, which tf.data, tf.function and Keras take apart by themselves. A `LabelMap` has its stride
with it, which nobody works out from sizes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

Array = Any  # tf.Tensor | np.ndarray; TensorFlow has no types that could be checked


class PairBatch(NamedTuple):
    """Pairs of views, or of frames of a video."""

    image_a: Array  # float32 [B, H, W, 3] in [0, 1]
    image_b: Array  # float32 [B, H, W, 3] in [0, 1]
    points_in_b: Array  # float32 [B, h, w, 2]: where each cell of A is found, (x, y) in pixels of B
    visible: Array  # float32 [B, h, w]: 1 where that place is seen in B, else 0


class AnnotatedPairBatch(NamedTuple):
    """Pairs of views of annotated pictures, with their landmarks in both views."""

    pairs: PairBatch
    landmarks_a: Array  # float32 [B, K, 2], (x, y) in pixels of A
    landmarks_b: Array  # float32 [B, K, 2], (x, y) in pixels of B
    landmarks_visible_a: Array  # float32 [B, K]: 1 where the landmark is annotated and lies inside A, else 0
    landmarks_visible_b: Array  # float32 [B, K]: the same of B
    scale: Array  # as of `LandmarkBatch`
    normaliser: Array
    picture: Array


class ImageBatch(NamedTuple):
    """Images as a user has them, neither warped nor recoloured."""

    image: Array  # float32 [B, H, W, 3] in [0, 1]
    mask: Array  # float32 [B, H, W]: 1 where the object is, else 0


class LandmarkBatch(NamedTuple):
    """Annotated images."""

    image: Array  # float32 [B, H, W, 3] in [0, 1]
    landmarks: Array  # float32 [B, K, 2], (x, y) in pixels of the image
    annotated: Array  # float32 [B, K]: 1 where the landmark is annotated, else 0
    scale: Array  # float32 [B, 2]: pixels of the picture in one pixel of the image, along x and y
    normaliser: Array  # float32 [B]: what errors are divided by, in pixels of the picture; 0: not known
    picture: Array  # int64 [B]: the same number for all views of a picture


class SurfaceBatch(NamedTuple):
    """Images of an object whose surface is known."""

    image: Array  # float32 [B, H, W, 3] in [0, 1]
    places: Array  # float32 [B, h, w, 3]: unit vectors that move with the object, 0 off it
    on_object: Array  # float32 [B, h, w]: 1 where the cell shows the object, else 0
    rotation: Array  # float32 [B, 3, 3]: takes places to camera coordinates, whose third axis points away from it
    limb: Array  # float32 [B]: a place is seen where the cosine of its angle to the camera is above this


@dataclasses.dataclass(frozen=True, eq=False)
class LabelMap:
    """Labels of images, cell by cell: cell (i, j) lies at ((j + 0.5) stride, (i + 0.5) stride) pixels of its image."""

    values: Array  # float32 [N, h, w, L]
    stride: int  # side of a cell in pixels of the image

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, indices) -> LabelMap:
        """The label maps of some of the images: a slice, integer indices [M] or a mask [N]."""
        if isinstance(indices, (int, np.integer)):
            raise TypeError(f"give a slice or an array of indices; found {indices}")
        return LabelMap(self.values[indices], self.stride)

    @property
    def cells(self) -> tuple[int, int]:
        """(height, width) of a map, in cells."""
        return int(self.values.shape[1]), int(self.values.shape[2])

    @property
    def length(self) -> int:
        """L, how many numbers a label is."""
        return int(self.values.shape[-1])

    @property
    def covered(self) -> tuple[int, int]:
        """(height, width) in pixels of the part of an image that the cells cover; less than a cell may be left over."""
        height, width = self.cells
        return height * self.stride, width * self.stride


class _Rows:
    """Rows of several arrays that belong together, one row an image."""

    def __len__(self) -> int:
        return len(getattr(self, dataclasses.fields(self)[0].name))  # type: ignore[arg-type]

    def take(self, indices):
        """The rows at integer indices [M] or under a mask [N]."""
        names = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        return dataclasses.replace(self, **{name: getattr(self, name)[indices] for name in names})


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledLandmarks(_Rows):
    """Label maps of annotated images, and their landmarks; arrays over N images. The fields are of `LandmarkBatch`."""

    labels: LabelMap
    landmarks: np.ndarray
    annotated: np.ndarray
    scale: np.ndarray
    normaliser: np.ndarray
    picture: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """Which landmarks lie on the cells, bool [N, K]; others are cut off, or not known."""
        return ((self.landmarks >= 0) & (self.landmarks <= self.labels.covered[::-1])).all(axis=-1)

    def joined(self, other: LabelledLandmarks) -> LabelledLandmarks:
        """These images, then others whose label maps are of the same size."""
        labels = LabelMap(np.concatenate([self.labels.values, other.labels.values]), self.labels.stride)
        names = [field.name for field in dataclasses.fields(self)][1:]
        return LabelledLandmarks(labels, *(np.concatenate([getattr(self, n), getattr(other, n)]) for n in names))


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledSurfaces(_Rows):
    """Label maps of images of an object whose surface is known; arrays over N images, fields as of `SurfaceBatch`."""

    labels: LabelMap
    places: np.ndarray
    on_object: np.ndarray  # bool
    rotation: np.ndarray
    limb: np.ndarray


class Match(NamedTuple):
    """Where each cell of images A is found in images B."""

    points_in_b: np.ndarray  # float32 [N, h, w, 2], (x, y) in continuous pixels of B as it was given
    probability: np.ndarray  # float32 [N, h, w]: of the most probable cell of B among all its cells
    confidence: np.ndarray  # float32 [N, h, w]: the harmonic mean of the confidences of both cells
    points_in_a: np.ndarray  # float32 [N, h, w, 2], where each cell lies, (x, y) in continuous pixels of A as given


@dataclasses.dataclass(frozen=True)
class Frame:
    """The frame a network sees its images in."""

    input_size: tuple[int, int]  # (height, width) in pixels
    stride: int  # side of a cell in pixels
    margin: int = 0  # pixels cut off each side of a picture, once it has been resized to `full_size`

    @property
    def full_size(self) -> tuple[int, int]:
        """(height, width) in pixels that a picture is resized to, before its margin is cut off."""
        height, width = self.input_size
        return height + 2 * self.margin, width + 2 * self.margin


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a served model refuses, and what it joins.

    Raises:
      ValueError: if a limit is out of range.
    """

    max_pixels: int = 25_000_000  # of a picture (of 24-megapixel cameras); a larger one fails before it is decoded
    max_images: int = 64  # pictures of a request: the network sees them together
    batch_requests: int = 0  # pictures seen at once, of requests that come together; 0: each request on its own

    def __post_init__(self):
        for name, least in (("max_pixels", 1), ("max_images", 1), ("batch_requests", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}; found {getattr(self, name)}")


LabelNetwork = Callable[[Array], Array]  # images [B, H, W, 3] -> labels [B, h, w, L]


def stack(batches: Iterable[Any]) -> Any:
    """Joins batches of one type into one, of numpy arrays.

    Args:
      batches: named tuples of tensors or arrays [B, ...]; one at least.

    Returns:
      One of that type, of arrays [N, ...].
    """
    batches = list(batches)
    return type(batches[0])(*(np.concatenate([np.asarray(part) for part in parts]) for parts in zip(*batches)))
