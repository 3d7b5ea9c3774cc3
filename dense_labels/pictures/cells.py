"""Which pixels lie in which cell. Pixels that no cell covers, at the right and bottom of an image, lie in none."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dense_labels.batches import LabelMap
from dense_labels.method import geometry


def at_centres(masks: np.ndarray, labels: LabelMap) -> np.ndarray:
    """Reads masks at the centres of cells.

    Args:
      masks: [N, H, W], of pixels (bool or 0/1).
      labels: of the same images.

    Returns:
      bool [N, h, w].
    """
    (height, width), stride = labels.cells, labels.stride
    return masks[:, stride // 2 :: stride, stride // 2 :: stride][:, :height, :width] > 0


def mostly(masks: np.ndarray, labels: LabelMap) -> np.ndarray:
    """Says of which cells at least half of the pixels are set.

    Args:
      masks, labels: as in `at_centres`.

    Returns:
      bool [N, h, w].
    """
    (height, width), stride, covered = labels.cells, labels.stride, labels.covered
    blocks = masks[:, : covered[0], : covered[1]].reshape(len(masks), height, stride, width, stride)
    return blocks.mean(axis=(2, 4)) >= 0.5


def over_pixels(chosen: np.ndarray, stride: int, size: tuple[int, ...]) -> np.ndarray:
    """Spreads a choice of cells over their pixels.

    Args:
      chosen: bool [N, h, w].
      stride: side of a cell in pixels.
      size: (height, width) of the images in pixels.

    Returns:
      bool [N, height, width]; False where there is no cell.
    """
    pixels = np.zeros([len(chosen), *size], bool)
    height, width = chosen.shape[1] * stride, chosen.shape[2] * stride
    pixels[:, :height, :width] = chosen.repeat(stride, axis=1).repeat(stride, axis=2)
    return pixels


def inside(points: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Says which points [N, P, 2], (x, y) in pixels, lie in their images [N, H, W, 3]: bool [N, P]."""
    return ((points >= 0) & (points <= np.array(images.shape[2:0:-1]))).all(axis=-1)


def spread(visible: np.ndarray, count: int) -> np.ndarray:
    """Picks visible cells of each map, evenly in row-major order.

    Args:
      visible: bool [B, h, w]; of a map in which none is, any cells are picked, of which nothing can be said.
      count: how many of each map.

    Returns:
      int [B, count], indices into h * w.
    """
    chosen = []
    for mask in visible.reshape([len(visible), -1]):
        cells = np.flatnonzero(mask) if mask.any() else np.arange(mask.size)
        chosen.append(cells[np.linspace(0, cells.size - 1, count).round().astype(int)])
    return np.stack(chosen)


def ends(points_in_b: np.ndarray, stride: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the centres of some cells of images A, and where they are found in B.

    Args:
      points_in_b: [N, h, w, 2], as of a PairBatch.
      stride: side of a cell in pixels.
      chosen: int [N, P], indices into h * w.

    Returns:
      `(points, places)`: [N, P, 2] each, (x, y) in pixels of A and of B.
    """
    centres = np.asarray(geometry.cell_centres(points_in_b.shape[1], points_in_b.shape[2], stride))
    points = centres.reshape([-1, 2])[chosen]
    places = points_in_b.reshape([len(chosen), -1, 2])
    return points, np.take_along_axis(places, chosen[..., np.newaxis], axis=1)


def labels_of_pixels(values: np.ndarray, stride: int, size: tuple[int, ...]) -> np.ndarray:
    """Reads a label map at the centre of each pixel, between its cells.

    Args:
      values: float32 [h, w, L], of one image.
      stride: side of a cell in pixels.
      size: (height, width) of the image in pixels.

    Returns:
      float32 [height, width, L].
    """
    pixels = tf.reshape(geometry.cell_centres(size[0], size[1], 1), [1, -1, 2])
    return geometry.bilinear_sample(values[np.newaxis], pixels, stride).numpy().reshape(*size, -1)
