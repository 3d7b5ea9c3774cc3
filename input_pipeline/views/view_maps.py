"""The geometry of two views of a picture: what each shows, and where a point of one is found in the other.

Every kind of warp draws `ViewMaps`; `pairs.py` makes views and pairs of them, whatever the kind.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from dense_labels.batches import Array
from dense_labels.config import ViewsConfig
from dense_labels.method import geometry
from dense_labels.registry import WARPS
from input_pipeline.views import point_maps, random_maps, warps
from input_pipeline.views.point_maps import PointMap

_PROJECTIVE, _SHIFT = 1, 3  # folded into a seed, for a draw that leaves the others as they are; `pairs` has 2


_REACH = 0.25  # of the longer side: how far beyond B its warp is known, where views are not shifted


class Located(NamedTuple):
    """Places of points of the pictures in both views."""

    in_a: tf.Tensor  # float32 [B, K, 2], (x, y) in pixels of A; it may lie outside
    in_b: tf.Tensor  # float32 [B, K, 2], (x, y) in pixels of B
    found_a: tf.Tensor  # bool [B, K]: where it is False, `in_a` means nothing
    found_b: tf.Tensor  # bool [B, K]


class ViewMaps(NamedTuple):
    """How views A and B of each picture of a batch are warped.

    Convention: views lack the crop on each side. Points of a view are in its own pixels, places in a picture in pixels
    of the picture.
    """

    a_to_source: tf.Tensor  # float32 [B, H, W, 2]: the place in the picture that each pixel of A shows
    b_to_source: tf.Tensor  # float32 [B, H, W, 2]: the same of B
    points_in_b: tf.Tensor  # float32 [B, h, w, 2]: where each cell of A is found, in pixels of B
    locate: Callable[[tf.Tensor], Located]  # of points of the pictures, float32 [B, K, 2]


def draw_tps(
    seed: Array,
    size: tuple[int, int],
    *,
    stride: int,
    crop: int = 0,
    strength: float = 1.0,
    projective: float = 0.0,
    shift: float = 0.0,
) -> ViewMaps:
    """Draws views of which B is the picture warped by W1, and A is view B warped by W2 (the NIPS 2017 paper).

    Each of the two is a thin-plate spline plus an affine map, the spline of W1 at half strength, and then, if asked
    for, a projective map. Last, each view is shifted by itself: A and B show their parts of the picture from elsewhere.

    Convention: `points_in_b` is W2 at the centres of A's cells, in pixels of view B; it is not interpolated.

    Args:
      seed: integer [B, 2]; the maps of a picture depend on its seed alone.
      size: (height, width) of the pictures in pixels.
      stride: side of a cell in pixels.
      crop: pixels that the views lack on each side, so that warps bring in more of the picture and less of its border.
      strength: multiplies the standard deviations of both warps, but for their projective parts.
      projective: multiplies the standard deviations of the projective parts; 0 is none, and takes no time.
      shift: how far a view is shifted along x and along y at most, as a share of the longer side.

    Returns:
      `ViewMaps`. A point that its `locate` does not find is not shown by the view, or was missed (see
      `point_maps.invert_at`).

    Raises:
      ValueError: if the crop leaves nothing, or `strength`, `projective` or `shift` is negative.
    """
    seed = tf.convert_to_tensor(seed)
    first, second = _draw_two_warps(seed, strength)
    end_1, end_2 = _draw_two_ends(seed, projective, shift, size)
    reach = (_REACH + 2 * shift) * max(size)
    a_to_source, b_to_source = warps.views_to_source(
        first, second, size, crop=crop, after_first=end_1, after_second=end_2, reach=reach
    )
    points_in_b = end_2(warps.on_grid(second, size, crop=crop, stride=stride)) - float(crop)
    w1 = point_maps.compose(end_1, functools.partial(warps.at_points, first, size=size))
    w2 = point_maps.compose(end_2, functools.partial(warps.at_points, second, size=size))
    locate = functools.partial(_locate, w1=w1, w2=w2, size=size, crop=crop, reach=reach)
    return ViewMaps(a_to_source, b_to_source, points_in_b, locate)


def draw_chosen(
    seed: Array, size: tuple[int, int], views: ViewsConfig, *, stride: int, crop: int, strength: float
) -> ViewMaps:
    """Draws the warps that a configuration chooses, at a strength of their own.

    Args:
      seed, size, stride, crop, strength: as of `draw_affine`, but integer [B, 2], a seed for each picture.
      views: the part of the configuration; `views.warp` is one of the registry WARPS.

    Raises:
      ValueError: if what is registered under the name returns something else.
    """
    entry = WARPS[views.warp]
    maps = entry.value(seed, size, stride=stride, crop=crop, strength=strength, views=views)
    if not isinstance(maps, ViewMaps):
        raise ValueError(f"warp {entry.place} must return ViewMaps; found {type(maps).__name__}")
    return maps


def draw_affine(
    seed: Array, size: tuple[int, int], *, stride: int, crop: int = 0, strength: float = 1.0, shift: float = 0.0
) -> ViewMaps:
    """Draws views that are two affine maps of the picture.

    As in "Self-supervised learning of geometrically stable features" (CVPR 2018), section 3.4, which does not give the
    ranges; see `random_maps.draw_axes`. The paper pads the picture to twice its sides and zooms into it; here a scale
    of 1 shows the picture itself, which is half of that. With g and g' the `view_to_source` maps of A and B, a point u
    of A is found at g'^-1(g(u)) in B, exactly; also beyond the picture, for what views show there depends on the place
    alone.

    Args:
      seed, size, stride, crop, shift: as in `draw_tps`.
      strength: multiplies all ranges; below 4.

    Returns:
      `ViewMaps`, whose `locate` finds every point.

    Raises:
      ValueError: if the crop leaves nothing, `strength` is out of its range, or `shift` is negative.
    """
    seed = tf.convert_to_tensor(seed)

    def draw(seed):
        return tf.stack([random_maps.draw_axes(one, strength=strength) for one in random_maps.split(seed, 2)])

    a_to_source, b_to_source = tf.unstack(tf.map_fn(draw, seed, fn_output_signature=tf.float32), axis=1)
    if shift:
        _, half = point_maps.frame(size)
        by_a, by_b = (
            tf.pad(by[..., tf.newaxis] / half, [[0, 0], [0, 1], [2, 0]]) for by in _draw_two_shifts(seed, shift, size)
        )
        a_to_source, b_to_source = a_to_source + by_a, b_to_source + by_b
    source_to_a, source_to_b = tf.linalg.inv(a_to_source), tf.linalg.inv(b_to_source)

    def at_cells(matrices, stride):
        rows, columns = warps.cells_of_view(size, crop=crop, stride=stride)
        cells = geometry.cell_centres(rows, columns, stride) + float(crop)
        cells = tf.broadcast_to(cells, [tf.shape(seed)[0], rows, columns, 2])
        return point_maps.project(matrices, cells, size)

    def locate(points):
        in_a, in_b = (point_maps.project(to_view, points, size) - float(crop) for to_view in (source_to_a, source_to_b))
        everywhere = tf.ones_like(points[..., 0], tf.bool)
        return Located(in_a, in_b, everywhere, everywhere)

    points_in_b = at_cells(source_to_b @ a_to_source, stride) - float(crop)
    return ViewMaps(at_cells(a_to_source, 1), at_cells(b_to_source, 1), points_in_b, locate)


def turned(maps: ViewMaps, angles: Array, size: tuple[int, int]) -> ViewMaps:
    """Turns pictures about their middle before they are warped; both views of a picture alike.

    Args:
      maps: of the views.
      angles: float32 [B], in radians.
      size: (height, width) of the pictures in pixels.

    Returns:
      `ViewMaps`; where a cell of A is found in B does not change.
    """
    middle, _ = point_maps.frame(size)
    cosine, sine = tf.cos(angles), tf.sin(angles)
    turn = tf.stack([tf.stack([cosine, -sine], axis=-1), tf.stack([sine, cosine], axis=-1)], axis=-2)  # [B, 2, 2]

    def by(matrices, points):
        flat = tf.reshape(points - middle, [tf.shape(points)[0], -1, 2])
        return tf.reshape(tf.matmul(flat, matrices, transpose_b=True), tf.shape(points)) + middle

    return ViewMaps(
        a_to_source=by(turn, maps.a_to_source),
        b_to_source=by(turn, maps.b_to_source),
        points_in_b=maps.points_in_b,
        locate=lambda points: maps.locate(by(tf.transpose(turn, [0, 2, 1]), points)),
    )


def _draw_two_warps(seeds, strength):
    """Weights of W1 and W2, each [B, 103, 2], the spline of W1 at half strength."""

    def draw(seed):
        tps_1, affine_1, tps_2, affine_2 = random_maps.split(seed, 4)
        bend_2 = random_maps.draw_tps(tps_2, strength=strength)
        bend_1 = random_maps.draw_tps(tps_1, strength=strength / 2)
        first = warps.tps_affine(bend_1, random_maps.draw_affine(affine_1, strength=strength))
        second = warps.tps_affine(bend_2, random_maps.draw_affine(affine_2, strength=strength))
        return tf.stack([first, second])

    return tf.unstack(tf.map_fn(draw, seeds, fn_output_signature=tf.float32), axis=1)


def _draw_two_ends(seeds, projective, shift, size) -> tuple[PointMap, PointMap]:
    """The maps that W1 and W2 end in: a projective one, then a shift; that of W2 takes back the shift of W1."""
    tilts = _draw_two_tilts(seeds, projective, size)
    if shift == 0:
        return tilts
    of_a, of_b = _draw_two_shifts(seeds, shift, size)
    return _then_shift(tilts[0], of_b), _then_shift(tilts[1], of_a - of_b)


def _then_shift(first, by):
    """A map, then a shift by [B, 2] pixels."""
    return lambda points: first(points) + tf.reshape(by, [-1, *[1] * (points.shape.rank - 2), 2])


def _draw_two_shifts(seeds, shift, size):
    """How far views A and B are shifted, each [B, 2] in pixels."""
    if not shift >= 0:
        raise ValueError(f"shift={shift} must not be negative; 0 is none, 0.1 up to a tenth of the longer side")

    def draw(seed):
        return tf.random.stateless_uniform([2, 2], tf.random.fold_in(seed, _SHIFT), -1.0, 1.0)

    return tf.unstack(shift * max(size) * tf.map_fn(draw, seeds, fn_output_signature=tf.float32), axis=1)


def _draw_two_tilts(seeds, strength, size) -> tuple[PointMap, PointMap]:
    """The projective maps that W1 and W2 have."""
    if strength == 0:
        return tf.identity, tf.identity
    if not strength >= 0:
        raise ValueError(f"projective={strength} must not be negative; 1 is full strength, 0 no projective part")

    def draw(seed):
        both = random_maps.split(tf.random.fold_in(seed, _PROJECTIVE), 2)
        return tf.stack([random_maps.draw_projective(one, strength=strength) for one in both])

    homographies = tf.map_fn(draw, seeds, fn_output_signature=tf.float32)  # [B, 2, 3, 3]
    first, second = (functools.partial(point_maps.project, one, size=size) for one in tf.unstack(homographies, axis=1))
    return first, second


def _locate(points, *, w1, w2, size, crop, reach):
    """Inverts W1 and W2, which are exact and of the frame before it is cropped, at points of the pictures."""
    in_b, found_b = point_maps.invert_at(w1, points, size)
    in_a, found_a = point_maps.invert_at(w2, in_b, size)
    in_a, in_b = in_a - float(crop), in_b - float(crop)
    view = (size[0] - 2 * crop, size[1] - 2 * crop)
    found_a &= found_b & point_maps.inside(in_b, view, margin=reach)  # further out A shows something else
    return Located(in_a, in_b, found_a, found_b)
