"""Checks of what pictures and pages are made from: shapes, ranges, and whether labels cover their images."""

from __future__ import annotations

from typing import Any

import numpy as np

from dense_labels.batches import LabelMap


def check(name: str, array: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    """Returns an array as numpy if it has a shape, in which None stands for any size from 1.

    Raises:
      ValueError: if it has another.
    """
    array = np.asarray(array)
    fits = array.ndim == len(shape) and all(
        found > 0 and wanted in (None, found) for found, wanted in zip(array.shape, shape)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must be [{wanted}]; found shape {array.shape}")
    return array


def check_images(name: str, images: Any) -> np.ndarray:
    """Returns images [N, H, W, 3] as numpy, clipped to [0, 1], which they may exceed by a rounding error.

    Raises:
      ValueError: if they have another shape or range, or are not floating point.
    """
    images = check(name, images, (None, None, None, 3))
    low, high = images.min(), images.max()
    if not np.issubdtype(images.dtype, np.floating) or not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ValueError(f"{name} must be float in [0, 1]; found {images.dtype} in [{low}, {high}]")
    return np.clip(images, 0, 1)


def check_pair(images_a: Any, images_b: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns images of pairs as `check_images` does; A and B are of one shape.

    Raises:
      ValueError: as `check_images`, or if they are not.
    """
    images_a, images_b = check_images("images_a", images_a), check_images("images_b", images_b)
    check("images_b", images_b, images_a.shape)
    return images_a, images_b


def check_labels(name: str, labels: LabelMap, images: np.ndarray) -> LabelMap:
    """Returns the labels of images [N, H, W, 3] as float32 numpy.

    Raises:
      ValueError: if they are not of as many images, or their cells do not cover these, see `check_cells`.
    """
    values = check(name, labels.values, (len(images), None, None, None)).astype(np.float32)
    check_cells(name, values.shape[1:3], labels.stride, images.shape[1:3])
    return LabelMap(values, labels.stride)


def check_cells(name: str, cells: tuple[int, ...], stride: int, size: tuple[int, ...]) -> None:
    """Checks that cells cover an image of a size; less than a cell may be left over at the right and at the bottom.

    Args:
      name: of what has the cells.
      cells: (height, width) of the map.
      stride: side of a cell in pixels.
      size: (height, width) of the image in pixels.

    Raises:
      ValueError: if they do not.
    """
    wanted = size[0] // stride, size[1] // stride
    if tuple(cells) != wanted:
        raise ValueError(
            f"{name}: images of {size[0]} x {size[1]} have {wanted[0]} x {wanted[1]} cells of {stride} pixels; "
            f"found {cells[0]} x {cells[1]}"
        )


def check_masks(masks: Any, images: np.ndarray) -> np.ndarray:
    """Returns masks [N, H, W] of images as bool numpy.

    Raises:
      ValueError: if they have another shape.
    """
    return check("masks", masks, images.shape[:3]).astype(bool)
