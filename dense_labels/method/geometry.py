"""The frame that all points lie in: where cells and points are, and how a map is read at a point.

Convention: a point is (x, y), y down, in continuous pixels of its image: the outer top-left corner is (0, 0),
the centre of pixel (row i, column j) is (j + 0.5, i + 0.5). Cell (i, j) of a map of stride s has its centre at
((j + 0.5) s, (i + 0.5) s).
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def cell_centres(height: int | tf.Tensor, width: int | tf.Tensor, stride: float) -> tf.Tensor:
    """Returns the centre of every cell of a label map.

    Args:
      height: number of rows of cells.
      width: number of columns of cells.
      stride: side of a cell in pixels.

    Returns:
      float32 [height, width, 2], (x, y) in pixels of the image.
    """
    stride = tf.cast(stride, tf.float32)
    x = (tf.range(width, dtype=tf.float32) + 0.5) * stride
    y = (tf.range(height, dtype=tf.float32) + 0.5) * stride
    return tf.stack(tf.meshgrid(x, y), axis=-1)


def covered(points: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor, stride: float) -> tf.Tensor:
    """Says which points lie in cells, not in the strip that none covers where a side is no multiple of the stride.

    Args:
      points: [..., 2], (x, y) in pixels; at the right and the bottom only these are looked at.
      height: number of rows of cells.
      width: number of columns of cells.
      stride: side of a cell in pixels.

    Returns:
      bool [...]; True of what is no number, so that it is not passed over.
    """
    ends = tf.cast(stride, tf.float32) * tf.cast(tf.stack([width, height]), tf.float32)
    return ~tf.reduce_any(tf.cast(points, tf.float32) > ends, axis=-1)


def mean_point(weights: tf.Tensor, centres: tf.Tensor) -> tf.Tensor:
    """Returns the mean of the centres of a grid's cells, under weights that add up to 1.

    It is taken by columns and by rows. One product with the centres as a long matrix would do as well, but a converter
    that stores matrices in 8 bits would do so with the centres too.

    Args:
      weights: float [..., h * w].
      centres: float [h, w, 2], (x, y), x the same for a whole column and y for a whole row.

    Returns:
      float [..., 2].
    """
    height, width = tf.shape(centres)[0], tf.shape(centres)[1]
    leading = tf.shape(weights)[:-1]
    grid = tf.reshape(weights, [-1, height, width])
    x = tf.linalg.matvec(tf.reduce_sum(grid, axis=1), centres[0, :, 0])
    y = tf.linalg.matvec(tf.reduce_sum(grid, axis=2), centres[:, 0, 1])
    return tf.reshape(tf.stack([x, y], axis=-1), tf.concat([leading, [2]], axis=0))


def bilinear_weights(
    points: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor, stride: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the four cells around each point and their bilinear weights.

    The weighted mean of the four cell centres is the point itself, as long as the point lies between the centres of
    the border cells; points further out are moved to the nearest such place.

    Args:
      points: [..., 2], (x, y) in pixels.
      height: number of rows of cells.
      width: number of columns of cells.
      stride: side of a cell in pixels.

    Returns:
      `(cells, weights)`: int32 [..., 4], indices into the row-major [height * width] cells, and float32 [..., 4],
      non-negative with sum 1.
    """
    last = tf.stack([width, height]) - 1
    grid = tf.cast(points, tf.float32) / tf.cast(stride, tf.float32) - 0.5
    grid = tf.clip_by_value(grid, 0.0, tf.cast(last, tf.float32))
    low = tf.floor(grid)
    x1, y1 = tf.unstack(grid - low, axis=-1)
    low = tf.clip_by_value(tf.cast(low, tf.int32), 0, last)  # of a place that is not a number the cell is still one
    left, top = tf.unstack(low, axis=-1)
    right, bottom = tf.unstack(tf.minimum(low + 1, last), axis=-1)
    cells = tf.stack([top * width + left, top * width + right, bottom * width + left, bottom * width + right], axis=-1)
    x0, y0 = 1.0 - x1, 1.0 - y1
    return cells, tf.stack([y0 * x0, y0 * x1, y1 * x0, y1 * x1], axis=-1)


def bilinear_sample(maps: tf.Tensor, points: tf.Tensor, stride: float) -> tf.Tensor:
    """Reads maps at points between their cells.

    Args:
      maps: [B, h, w, C], values at cell centres.
      points: [B, N, 2], (x, y) in pixels of the image; points beyond the outermost cell centres read the border.
      stride: side of a cell in pixels.

    Returns:
      [B, N, C], of the dtype of `maps`.

    Raises:
      ValueError: if `maps` is not of rank 4 and floating point, or `points` not of rank 3.
    """
    maps, points = tf.convert_to_tensor(maps), tf.convert_to_tensor(points)
    if maps.shape.rank != 4 or points.shape.rank != 3:
        raise ValueError(
            f"maps must be [B, h, w, C] and points [B, N, 2]; found shapes {maps.shape} and {points.shape}"
        )
    if not maps.dtype.is_floating:
        raise ValueError(f"maps must be floating point, for cells are averaged; found {maps.dtype.name}")
    shape = tf.shape(maps)
    cells, weights = bilinear_weights(points, shape[1], shape[2], stride)
    flat = tf.reshape(maps, [shape[0], shape[1] * shape[2], shape[3]])
    values = tf.gather(flat, cells, batch_dims=1)  # [B, N, 4, C]
    return tf.reduce_sum(values * tf.cast(weights, maps.dtype)[..., tf.newaxis], axis=2)


def upsample(maps: tf.Tensor, factor: int) -> tf.Tensor:
    """Makes maps finer by bilinear interpolation between cell centres; a stride s becomes s / factor.

    Args:
      maps: [B, h, w, C].
      factor: how many cells the side of a cell becomes.

    Returns:
      float32 [B, h * factor, w * factor, C].
    """
    size = tf.shape(maps)[1:3] * factor
    return tf.image.resize(maps, size, method="bilinear")


def mean_labels(labels: np.ndarray, points: np.ndarray, annotated: np.ndarray, stride: int) -> np.ndarray:
    """Averages the labels at annotated points, as they are matched in other images.

    Args:
      labels: [N, h, w, L], of N images.
      points: [N, K, 2], (x, y) in pixels of the network's input.
      annotated: [N, K], above 0 where a point is annotated; others may be anywhere, and no numbers.
      stride: side of a cell in pixels.

    Returns:
      float32 [K, L]; 0 of a point that is annotated nowhere.

    Raises:
      ValueError: if the labels are not floating point.
    """
    known = np.asarray(annotated)[..., np.newaxis] > 0
    found = bilinear_sample(labels, np.where(known, points, 0).astype(np.float32), stride).numpy()
    return (found * known).sum(axis=0) / np.maximum(known.sum(axis=0), 1).astype(np.float32)
