"""Maps of points, of any kind: projective maps, mirroring, composition and inversion.

A map is a function that takes points [B, ..., 2] to points [B, ..., 2], both in pixels:
`functools.partial(warps.at_points, weights, size=size)`, `functools.partial(project, homography, size=size)` or
`functools.partial(flip, size=size)`.

Convention: that of `warps.py`, in whose normalised frame the source's centre is (0, 0) and its longer side runs from -1
to 1.
"""

from collections.abc import Callable

import tensorflow as tf

from dense_labels.batches import Array

PointMap = Callable[[tf.Tensor], tf.Tensor]

_STEPS, _TOLERANCE = 10, 0.01  # of Newton's method; pixels


def project(homography: Array, points: Array, size: tuple[int, int]) -> tf.Tensor:
    """Takes points through homographies.

    Args:
      homography: [B, 3, 3], in the normalised frame; (x, y, 1) is a column and stands on the right.
      points: [B, ..., 2], (x, y) in pixels of the frame.
      size: `(height, width)` of the frame in pixels, two ints.

    Returns:
      float32 [B, ..., 2], pixels of the frame; infinite on the line that a homography takes to infinity.

    Raises:
      ValueError: if `homography` or `points` have another shape.
    """
    homography, points = tf.convert_to_tensor(homography), tf.convert_to_tensor(points)
    if homography.shape.rank != 3 or homography.shape[1:] != [3, 3] or points.shape[-1] != 2:
        raise ValueError(
            f"homography must be [B, 3, 3] and points [B, ..., 2]; found {homography.shape} and {points.shape}"
        )
    centre, half = frame(size)
    shape = tf.shape(points)
    flat = (tf.reshape(points, [shape[0], -1, 2]) - centre) / half
    flat = tf.matmul(tf.concat([flat, tf.ones_like(flat[..., :1])], axis=-1), homography, transpose_b=True)
    return tf.reshape(flat[..., :2] / flat[..., 2:] * half + centre, shape)


def flip(points: Array, size: tuple[int, int]) -> tf.Tensor:
    """Takes points to where the mirror image has them, left and right exchanged; doing it twice changes nothing.

    Args:
      points: [..., 2], (x, y) in pixels of the image.
      size: `(height, width)` of the image in pixels, two ints.

    Returns:
      float32 [..., 2], pixels of the mirror image.
    """
    return tf.convert_to_tensor(points) * [-1.0, 1.0] + [float(size[1]), 0.0]


def compose(outer: PointMap, inner: PointMap) -> PointMap:
    """Composes two maps: u goes to outer(inner(u)).

    Of `view_to_source` maps, `inner` is the one that the view is sampled by, `outer` that of what it is sampled from.

    Args:
      outer: the map that is applied last.
      inner: the map that is applied first.

    Returns:
      A map.
    """
    return lambda points: outer(inner(points))


def invert_at(view_to_source: PointMap, points: Array, size: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds points of the source in the view, by Newton's method on the map itself.

    The warps of `random_maps` are near enough to the identity for it to begin at the points themselves. At strength 1
    it misses 1 in 2000 of the points near the frame's corners that the view shows, at strength 2 it misses 1 in 100;
    where a warp folds the source over and shows a point twice, it gives one of the places.

    Args:
      view_to_source: a map, smooth and defined everywhere.
      points: float32 [B, N, 2], (x, y) in pixels of the source.
      size: `(height, width)` of the frame in pixels, two ints; no step is longer than a quarter of it.

    Returns:
      `(places, found)`: float32 [B, N, 2], pixels of the view, which may lie outside it; and boolean [B, N], whether
      the map takes the place to within 0.01 px of the point. Where it does not, the place means nothing.
    """
    longest = max(size) / 4

    def nearer(places):
        nearby = tf.concat([places, places + [0.5, 0.0], places + [0.0, 0.5]], axis=1)
        here, right, below = tf.split(view_to_source(nearby), 3, axis=1)
        step = _solve(2.0 * (right - here), 2.0 * (below - here), points - here)
        return [places + tf.clip_by_value(step, -longest, longest)]

    (places,) = tf.while_loop(lambda _: True, nearer, [points], maximum_iterations=_STEPS)
    distance = tf.norm(view_to_source(places) - points, axis=-1)
    return places, distance < _TOLERANCE


def inside(points: tf.Tensor, size: tuple[int, int], *, margin: float = 0.0) -> tf.Tensor:
    """Says which points lie inside a frame, or not further than a margin from it.

    Args:
      points: float32 [..., 2], (x, y) in pixels of the frame.
      size: `(height, width)` of the frame in pixels.
      margin: in pixels.

    Returns:
      bool [...].
    """
    extent = tf.constant([float(size[1]), float(size[0])])
    return tf.reduce_all((points >= -margin) & (points < extent + margin), axis=-1)


def frame(size: tuple[int, int]) -> tuple[tf.Tensor, float]:
    """Returns the centre (x, y) of a frame of `size` (height, width), and half its longer side, in pixels."""
    height, width = size
    return tf.constant([width / 2, height / 2], tf.float32), max(size) / 2


def _solve(first, second, values):
    """[..., 2]: how much of the vectors `first` and `second` adds up to `values`, by Cramer's rule; 0 if they align."""

    def determinant(left, right):
        return left[..., 0] * right[..., 1] - left[..., 1] * right[..., 0]

    parts = tf.stack([determinant(values, second), determinant(first, values)], axis=-1)
    return tf.math.divide_no_nan(parts, determinant(first, second)[..., tf.newaxis])
