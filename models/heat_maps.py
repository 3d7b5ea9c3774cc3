"""Heat maps of landmarks: what a network is trained to answer, and where the peak of an answer is."""

from __future__ import annotations

import tensorflow as tf

from dense_labels.method import geometry

SPREAD = 1.5  # standard deviation of a target, in cells
_WINDOW = 2.0  # standard deviation of the window about a peak, in cells
_STEPS = 4  # each brings the window nearer to the peak: to less than a twentieth of the cell it begins in


def gaussians(points: tf.Tensor, height: int, width: int, stride: int, spread: float = SPREAD) -> tf.Tensor:
    """Draws the target of each landmark: a Gaussian about it, 1 at its top.

    Args:
      points: float32 [N, K, 2], (x, y) in pixels of the image.
      height, width: of the maps, in cells.
      stride: side of a cell in pixels.
      spread: standard deviation of the Gaussian, in cells.

    Returns:
      float32 [N, height, width, K].
    """
    along_x, along_y = (
        tf.exp(-tf.square((centres - points[..., axis, tf.newaxis]) / stride) / (2 * spread**2))
        for axis, centres in enumerate(_centres(height, width, stride))
    )
    return tf.einsum("nkh,nkw->nhwk", along_y, along_x)


def window_means(heatmaps: tf.Tensor, stride: int) -> tf.Tensor:
    """Finds the peak of each map between its cells: the mean position in a window that is moved until it is about it.

    The window is a Gaussian, first about the most responsive cell. In a map that is a Gaussian itself the mean lies
    between the middle of the window and the peak, so the window comes nearer by the same share with each step (mean
    shift: Comaniciu and Meer, PAMI 2002). Unlike a parabola through three cells it reads all cells about the peak. The
    border of the map cuts a part of the window off, so each step is held against that of a target about its middle: it
    goes from where the mean of that target would be, which far from the border is the middle itself.

    Args:
      heatmaps: float32 [N, K, h, w], from 0 to 1.
      stride: side of a cell in pixels.

    Returns:
      float32 [N, K, 2], (x, y) in pixels of the image; not outside of it.
    """
    shape = tf.shape(heatmaps)
    height, width = shape[2], shape[3]
    best = tf.argmax(tf.reshape(heatmaps, [shape[0], shape[1], -1]), axis=-1, output_type=tf.int32)
    points = (tf.stack([tf.cast(each, tf.float32) for each in (best % width, best // width)], axis=-1) + 0.5) * stride
    across, down = _centres(height, width, stride)

    def about(squared_spread):
        return (
            tf.exp(-tf.square((centres - points[..., axis, tf.newaxis]) / stride) / (2 * squared_spread))
            for axis, centres in enumerate((across, down))
        )

    for _ in range(_STEPS):
        in_x, in_y = about(_WINDOW**2)
        of_x = tf.einsum("nkhw,nkh->nkw", heatmaps, in_y) * in_x
        of_y = tf.einsum("nkhw,nkw->nkh", heatmaps, in_x) * in_y
        sums = tf.stack([tf.reduce_sum(of_x * across, axis=-1), tf.reduce_sum(of_y * down, axis=-1)], axis=-1)
        total = tf.reduce_sum(of_x, axis=-1)[..., tf.newaxis]
        of_target = zip(about(1 / (1 / _WINDOW**2 + 1 / SPREAD**2)), (across, down))  # seen through the window
        expected = tf.stack([tf.reduce_sum(w * c, -1) / tf.reduce_sum(w, -1) for w, c in of_target], axis=-1)
        moved = points + tf.math.divide_no_nan(sums, total) - expected
        moved = tf.clip_by_value(moved, 0.0, tf.cast(stride * tf.stack([width, height]), tf.float32))
        points = tf.where(total > 0, moved, points)  # an empty map has no peak
    return points


def _centres(height, width, stride):
    """The x of the columns and the y of the rows of cells, in pixels."""
    centres = geometry.cell_centres(height, width, stride)
    return centres[0, :, 0], centres[:, 0, 1]
