"""Warps: a thin-plate spline plus an affine map; applied to points, composed, and used to sample images.

`random_maps.py` draws them. Maps of other kinds, and how maps are composed and inverted, are in `point_maps.py`.

Convention: a warp is a `view_to_source` map: it takes a point (x, y) of the source frame, in continuous pixels, to a
point of the same frame, and a warped image has at u what the source has at warp(u). In the normalised frame the
source's centre is (0, 0) and its longer side runs from -1 to 1. There, with n a normalised point and c_k the
10 x 10 kernel centres on [-1, 1]^2,

    warp(n) = sum_k weights[k] U(|n - c_k|^2) + weights[100] + weights[101] n_x + weights[102] n_y,
    U(D) = D log(D + 1e-5).

The centres are fixed, so a warp is linear in its `weights`, float32 [..., 103, 2]: on a grid, whatever the number of
warps, it is one product of their weights with a basis that is computed once. The spline is that of Bookstein,
"Principal warps", PAMI 1989.
"""

import functools

import tensorflow as tf

from dense_labels import compat
from dense_labels.batches import Array
from dense_labels.method import geometry
from input_pipeline.views import point_maps
from input_pipeline.views.point_maps import PointMap
from input_pipeline.views.random_maps import CENTRES, CENTRES_PER_SIDE

BORDERS = ("zero", "edge", "mirror")
_WEIGHTS = CENTRES + 3


def tps_affine(tps: Array, affine: Array) -> tf.Tensor:
    """Adds an affine map to a bend, and returns the weights of that warp.

    Args:
      tps: [..., 100, 2], kernel weights.
      affine: [..., 3, 2], the rows for 1, x and y.

    Returns:
      float32 [..., 103, 2].

    Raises:
      ValueError: if one of them has another shape.
    """
    tps, affine = tf.convert_to_tensor(tps), tf.convert_to_tensor(affine)
    if tps.shape[-2:] != [CENTRES, 2] or affine.shape[-2:] != [3, 2]:
        raise ValueError(
            f"tps must be [..., {CENTRES}, 2] and affine [..., 3, 2]; found {tps.shape} and {affine.shape}"
        )
    return tf.concat([tps, affine], axis=-2)


def at_points(weights: Array, points: Array, size: tuple[int, int]) -> tf.Tensor:
    """Takes points through warps, exactly; this costs 100 logarithms a point.

    Args:
      weights: [B, 103, 2].
      points: [B, N, 2], (x, y) in pixels of the source frame.
      size: `(height, width)` of the source frame in pixels, two ints.

    Returns:
      float32 [B, N, 2], pixels of the source frame.

    Raises:
      ValueError: if `weights` or `points` have another shape.
    """
    weights, points = _checked_weights(weights), tf.convert_to_tensor(points)
    if points.shape.rank != 3 or points.shape[-1] != 2:
        raise ValueError(f"points must be [B, N, 2]; found {points.shape}")
    return tf.matmul(_basis(points, size), _in_pixels(weights, size))


def on_grid(weights: Array, size: tuple[int, int], *, crop: int = 0, stride: int = 1) -> tf.Tensor:
    """Takes the centres of the cells of a view through warps: one matrix product for all of them.

    The view is the source frame less `crop` pixels on each side; its first cell begins there. Its basis, 103 numbers a
    cell, is kept for the next call.

    Args:
      weights: [B, 103, 2].
      size: `(height, width)` of the source frame in pixels, two ints.
      crop: int; below 0 the grid goes beyond the frame.
      stride: side of a cell in pixels, an int.

    Returns:
      float32 [B, (height - 2 crop) // stride, (width - 2 crop) // stride, 2], pixels of the source frame.

    Raises:
      ValueError: if `weights` have another shape or the crop leaves no cell.
    """
    weights = _checked_weights(weights)
    rows, columns = cells_of_view(size, crop=crop, stride=stride)
    basis = _grid_basis(rows, columns, crop, stride, tuple(size))  # [103, h w]
    across = tf.linalg.matrix_transpose(_in_pixels(weights, size))  # [B, 2, 103]
    points = tf.matmul(tf.reshape(across, [-1, _WEIGHTS]), basis)  # [2 B, h w], faster than its transpose
    return tf.transpose(tf.reshape(points, [-1, 2, rows, columns]), [0, 2, 3, 1])


def cells_of_view(size: tuple[int, int], *, crop: int, stride: int) -> tuple[int, int]:
    """Returns how many rows and columns of cells a view has; arguments as of `on_grid`.

    Raises:
      ValueError: if the crop leaves no cell.
    """
    rows, columns = ((side - 2 * crop) // stride for side in size)
    if min(rows, columns) < 1:
        raise ValueError(
            f"crop={crop} leaves no cell of {stride} pixels of an image of {size[0]} x {size[1]}; it must be smaller"
        )
    return rows, columns


def views_to_source(
    first: Array,
    second: Array,
    size: tuple[int, int],
    *,
    crop: int = 0,
    after_first: PointMap = tf.identity,
    after_second: PointMap = tf.identity,
    reach: float | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the maps that two views are sampled by from one source: B by W1, and A by W1 of W2, as B warped by W2.

    So the pixel u of A is found in B at W2(u) exactly, and A's pixels are still sampled once. W1 is computed on a grid
    of one pixel that reaches beyond B, and read there bilinearly at W2(u); warps bend so little
    within a pixel that, for frames of 60 pixels or more and warps of strength 1, this is within 0.01 px of
    `at_points(first, W2(u))`, in a tenth of the time, and within 0.02 px of it inside B where both end in a projective
    map of strength 1. Further out W1 stays what it is at the end of the grid; A shows nothing there that is in B.

    Args:
      first: [B, 103, 2], weights of W1.
      second: [B, 103, 2], weights of W2.
      size: `(height, width)` of the source frame in pixels, two ints.
      crop: int, the pixels that the views lack on each side.
      after_first: a map that W1 ends in, for instance a projective one: W1 is `after_first` of the warp of `first`.
      after_second: likewise of W2.
      reach: how far beyond B in pixels; None for a quarter of the longer side, enough for warps of strength 1.

    Returns:
      `(a_to_source, b_to_source)`: float32 [B, height - 2 crop, width - 2 crop, 2], pixels of the source frame.

    Raises:
      ValueError: as `on_grid`.
    """
    a_to_b = after_second(on_grid(second, size, crop=crop))
    margin = int(max(size) / 4 if reach is None else reach) + 1
    around_b = after_first(on_grid(first, size, crop=crop - margin))
    a_to_source = sample(around_b, a_to_b - float(crop - margin), border="edge")
    return a_to_source, around_b[:, margin:-margin, margin:-margin]


def sample(maps: Array, points: Array, *, border: str) -> tf.Tensor:
    """Samples maps, such as images, at points between their pixels, bilinearly.

    Args:
      maps: floating-point [B, h, w, C].
      points: [B, ..., 2], (x, y) in pixels of the map.
      border: what lies beyond the outermost pixel centres: "zero" fades to 0 within a pixel, "edge" goes on with the
        nearest pixel, "mirror" reflects at the outer edge.

    Returns:
      [B, ..., C], of the dtype of `maps`.

    Raises:
      ValueError: if there is no such border, `maps` is not of rank 4, or `points` do not end in (x, y).
    """
    maps = tf.convert_to_tensor(maps)
    points = tf.cast(points, maps.dtype)
    if border not in BORDERS:
        raise ValueError(f"border={border!r}: there is no such border; choose {', '.join(BORDERS)}")
    if maps.shape.rank != 4 or points.shape[-1] != 2:
        raise ValueError(f"maps must be [B, h, w, C] and points [B, ..., 2]; found {maps.shape} and {points.shape}")
    shape = tf.shape(points)
    points = tf.reshape(points, [-1, 2 * shape[-2]])  # rows: three times as fast to clip as pairs
    extent = tf.tile(tf.cast(tf.shape(maps)[2:0:-1], points.dtype), shape[-2:-1])  # width, height, width, ...
    if border == "mirror":
        points = extent - tf.abs(points % (2.0 * extent) - extent)
    points -= 0.5  # the resampler counts from the centre of the first pixel
    if border != "zero":
        points = tf.clip_by_value(points, 0.0, extent - 1.0)
    return compat.resampler()(maps, tf.reshape(points, shape))


def _checked_weights(weights):
    weights = tf.convert_to_tensor(weights)
    if weights.shape.rank != 3 or weights.shape[1:] != [_WEIGHTS, 2]:
        raise ValueError(f"weights must be [B, {_WEIGHTS}, 2]; found {weights.shape}")
    return weights


def _basis(points, size):
    """[..., N, 103]: what each weight is multiplied by at points [..., N, 2], pixels of the source frame."""
    centre, half = point_maps.frame(size)
    points = (points - centre) / half
    side = tf.linspace(-1.0, 1.0, CENTRES_PER_SIDE)
    centres = tf.reshape(tf.stack(tf.meshgrid(side, side), axis=-1), [CENTRES, 2])
    x, y = points[..., :1], points[..., 1:]
    square = tf.square(x - centres[:, 0]) + tf.square(y - centres[:, 1])  # [..., N, 100]
    return tf.concat([square * tf.math.log(square + 1e-5), tf.ones_like(x), x, y], axis=-1)


@functools.lru_cache(maxsize=6)  # 412 bytes a cell
def _grid_basis(rows, columns, crop, stride, size):
    """[103, rows * columns]: the basis at the cells of a view; a value, not a graph, in tf.function and tf.data too."""
    with tf.init_scope(), tf.device("CPU:0"):
        points = geometry.cell_centres(rows, columns, stride) + float(crop)
        return tf.transpose(_basis(tf.reshape(points, [-1, 2]), size))


def _in_pixels(weights, size):
    """The weights that give pixels of the source frame where `weights` give points of the normalised one."""
    centre, half = point_maps.frame(size)
    constant = tf.one_hot(CENTRES, _WEIGHTS)[:, tf.newaxis]
    return weights * half + constant * centre


def register_operations() -> None:
    """Loads the operations beside TensorFlow's own that warps use, where a graph is run that another process made."""
    compat.resampler()(tf.zeros([1, 1, 1, 1]), tf.zeros([1, 1, 2]))  # they are loaded when the first one is called
