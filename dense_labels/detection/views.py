"""Views of annotated images: warped, recoloured and mirrored, with their landmarks; endless, and the same each time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dense_labels import progress
from dense_labels.batches import Array, LabelledLandmarks
from dense_labels.compat import without_autograph
from dense_labels.config import ViewsConfig
from dense_labels.evaluation import sides
from input_pipeline import order as order_lib
from input_pipeline.views import pairs, point_maps, view_maps

_ANY_STRIDE = 16  # the cells are not used
_STRENGTH = 1.5  # of the warps; two thirds of them turn the image by less than 8 degrees
_UPRIGHT = 0.7  # mean of the turned unit vectors; for normal angles, of a standard deviation of 48 degrees
_APART = 1e-3  # pixels from their middle: landmarks that are nearer to it lie no way round
_CLEARLY = 1.1  # times the fit of the landmarks as they are: that of a mirror image that is taken
_TURN, _WINDOW = 4, 5  # folded into a seed, for draws that leave others as they are; `view_maps`, `pairs` have 1 to 3
_LOOKED_AT, _SMALL = 64, 128  # views that are drawn to see what they show, and pixels of their longer side
_LEAST_SHOWN = 0.5
_ANYWHERE = 0.25  # of the windows lie anywhere in their view, the others about the object
_BESIDE = 0.4  # of a window's sides: how far its middle lies from the object's at most, along each


class AnnotatedViews(NamedTuple):
    """Views of annotated images."""

    images: Array  # float32 [B, H, W, 3] in [0, 1]
    landmarks: Array  # float32 [B, K, 2], (x, y) in pixels of the view
    known: Array  # float32 [B, K]: how much the landmark counts; 0 where it is not known or the view does not show it


@without_autograph
def batches(
    known: LabelledLandmarks,
    views: ViewsConfig,
    *,
    flip_pairs: Sequence[tuple[int, int]],
    batch_size: int,
    seed: int,
    all_round: bool = False,
    upside_down: bool = False,
    window: tuple[int, int] | None = None,
    rows: np.ndarray | None = None,
    start: int = 0,
) -> tf.data.Dataset:
    """Makes endless batches of views, two of each image that is drawn; all images are drawn in turn.

    Args:
      known: annotated images, uint8 [N, H, W, 3] in one array or `Gathered`, as label maps of stride 1.
      views: how colours are changed, and what lies beyond the border.
      flip_pairs: landmarks that a mirror exchanges. Without any no image is mirrored: which landmarks a mirror
        exchanges is not known then.
      batch_size: views, an even number.
      seed: of the order and of the views.
      all_round: whether an image is turned by any angle first.
      upside_down: whether images are mirrored top to bottom, not left to right; see `mirrored_upside_down`.
      window: (height, width) of the part that is shown of each view, mostly about the object; None: all of it.
      rows: indices of the images, of some of them several times, to draw from; None: each once.
      start: how many batches to pass over.

    Returns:
      `tf.data.Dataset` of AnnotatedViews.
    """
    images = known.labels.values
    settings = dataclasses.replace(_warped(views), flip=bool(flip_pairs))
    order = sides.exchanged(known.landmarks.shape[1], flip_pairs)
    landmarks = tf.constant(np.where(known.annotated[..., np.newaxis] > 0, known.landmarks, 0), tf.float32)
    annotated = tf.constant(known.annotated, tf.float32)

    rows = np.arange(len(images)) if rows is None else rows

    def drawn(row, seed):
        index = tf.gather(rows, row)
        pictures = tf.numpy_function(lambda rows: images[rows], [index], tf.uint8, stateful=False)
        pictures = tf.ensure_shape(pictures, [None, *known.labels.cells, 3])
        found = tf.gather(landmarks, index), tf.gather(annotated, index)
        shown = _views(pictures, *found, seed, settings, order, all_round, upside_down)
        return shown if window in (None, known.labels.cells) else _in_windows(shown, 3 * seed, window)

    indices = tf.data.Dataset.counter().flat_map(order_lib.shuffled(len(rows), seed))
    indices = indices.batch(batch_size // 2).skip(start)
    return indices.map(drawn, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _warped(views: ViewsConfig) -> ViewsConfig:
    return dataclasses.replace(views, warp="tps", strength=_STRENGTH, projective=0.0, shift=0.0)


def shown_share(known: LabelledLandmarks, *, all_round: bool = False) -> float:
    """Returns the share of the annotated landmarks that views show, over a few that are drawn as in training.

    Warps are as large as the longer side asks, so that landmarks of elongated images are moved out of many views.

    Args:
      known: annotated images, whose pixels are not read.
      all_round: as of `batches`.
    """
    rows = np.resize(np.flatnonzero(known.annotated.any(axis=1)), _LOOKED_AT)
    whole = known.labels.cells
    height, width = (max(round(side * _SMALL / max(whole)), _ANY_STRIDE) for side in whole)
    seed = tf.stack([tf.zeros(_LOOKED_AT, tf.int64), tf.range(_LOOKED_AT, dtype=tf.int64)], axis=-1)
    annotated = known.annotated[rows]
    smaller = known.landmarks[rows] * [width / whole[1], height / whole[0]]
    places = np.where(annotated[..., np.newaxis] > 0, smaller, 0)
    with tf.device("CPU:0"):  # where the resampler needs no compiler of CUDA's
        maps = _maps(seed, (height, width), _warped(ViewsConfig()), all_round, False)
        found = pairs.landmarks_in_views(places, seed, maps, (height, width))
    shown = (np.asarray(found.visible_a) + np.asarray(found.visible_b)) / 2
    return float((shown * annotated).sum() / annotated.sum())


def warn_of_lost(known: LabelledLandmarks) -> None:
    """Warns where views show less than half of the annotated landmarks: of the others nothing is learned."""
    if known.annotated.any() and (share := shown_share(known, all_round=turns_all_round(known))) < _LEAST_SHOWN:
        height, width = known.labels.cells
        progress.warn(
            f"a detector's views show {share:.0%} of the landmarks, for pictures of {width} x {height} are long and "
            "narrow, and learn nothing of the others; give pictures nearer to a square, or boxes about the objects"
        )


def turns_all_round(known: LabelledLandmarks) -> bool:
    """Says whether the landmarks of annotated images lie any way round, as those of a mouse seen from above may.

    Each image's landmarks are turned so that they fit those of one image best, in the sense of least squares; mirrored
    where that fits clearly better, for an object seen from its other side is not turned. If the unit vectors of these
    angles have a mean shorter than 0.7, they lie any way round.
    """
    sure = known.annotated > 0.5
    points = np.where(sure, known.landmarks[..., 0] + 1j * known.landmarks[..., 1], 0)
    shared = sure & sure[np.argmax(sure.sum(axis=1))]
    most = shared.sum(axis=1).max(initial=0)
    if most < 2:
        return False
    several = shared.sum(axis=1) >= min(most, 3)  # two points do not tell a turned object from one mirrored
    several &= np.abs(_centred(points, shared)).max(axis=1) > _APART
    if not several.any():
        return False
    points, shared = points[several], shared[several]
    first = points[np.argmax(shared.sum(axis=1))]
    centred, reference = (_centred(values, shared) for values in (points, np.broadcast_to(first, points.shape)))
    plain, mirrored = ((centred * each).sum(axis=1) for each in (reference.conj(), -reference))
    other_side = np.abs(mirrored) > _CLEARLY * np.abs(plain)
    fits = np.where(other_side, mirrored, plain)
    for side in (other_side, ~other_side):  # the one image is turned too, for those two the opposite way
        fits[side] *= np.conj(np.sum(_units(fits[side])))
    return bool(np.abs(np.mean(_units(fits))) < _UPRIGHT)


def mirrored_upside_down(known: LabelledLandmarks, flip_pairs: Sequence[tuple[int, int]]) -> bool:
    """Says whether images are to be mirrored top to bottom, so that objects lie in the mirror images as in the others.

    A face that is mirrored left to right is upright again; a mouse whose nose points left is not found with its nose to
    the right then. Each image's landmarks are held against those of the mirror images of all, where left and right have
    changed places: if the angles that turn these onto those are nearer to 180 degrees than to 0 on average, it is so.

    Args:
      known: annotated images.
      flip_pairs: landmarks that a mirror exchanges.
    """
    if not flip_pairs:
        return False
    sure = known.annotated > 0.5
    points = np.where(sure, known.landmarks[..., 0] + 1j * known.landmarks[..., 1], 0)
    centred = _centred(points, sure)
    mirrored = -np.conj(centred[:, sides.exchanged(points.shape[1], flip_pairs)])
    fits = (row @ np.conj(mirrored).T for row in centred)  # of each image [N]: all at once could fill the memory
    return bool(sum(np.sum(_units(each)).real for each in fits) < 0)


def _centred(points, sure):
    """Points [N, K], complex numbers, less the mean of those of an image that are sure; 0 where they are not."""
    counts = np.maximum(sure.sum(axis=1, keepdims=True), 1)
    return np.where(sure, points - (points * sure).sum(axis=1, keepdims=True) / counts, 0)


def _units(numbers):
    """Complex numbers of length 1 in the directions of others; 0 for 0."""
    return numbers / np.maximum(np.abs(numbers), 1e-9)


def _views(pictures, landmarks, annotated, seeds, views, order, all_round, upside_down) -> AnnotatedViews:
    """Two views of each picture; in a mirror image the landmarks have the order that is given."""
    size, seed, flip = tuple(pictures.shape[1:3]), 3 * seeds, views.flip
    maps = _maps(seed, size, views, all_round, upside_down)
    pair = pairs.pair_from_maps(pictures, seed, maps, border=views.border, flip=flip)
    pair = pairs.recolour(pair, seeds, views)
    found = pairs.landmarks_in_views(landmarks, seed, maps, size, flip=flip)
    images = tf.concat([pair.image_a, pair.image_b], axis=0)
    places = tf.concat([found.landmarks_a, found.landmarks_b], axis=0)
    known = tf.concat([found.visible_a * annotated, found.visible_b * annotated], axis=0)
    if flip:
        mirrored = tf.tile(pairs.mirrored(seed), [2])[:, tf.newaxis]
        places = tf.where(mirrored[..., tf.newaxis], tf.gather(places, order, axis=1), places)
        known = tf.where(mirrored, tf.gather(known, order, axis=1), known)
    return AnnotatedViews(images, places, known)


def _maps(seed, size, views, all_round, upside_down):
    """How two views of each picture are warped, and turned."""
    maps = view_maps.draw_chosen(seed, size, views, stride=_ANY_STRIDE, crop=0, strength=views.strength)
    if not (all_round or upside_down):
        return maps
    draw = lambda one: tf.random.stateless_uniform([], tf.random.fold_in(one, _TURN), 0.0, 2 * np.pi)  # noqa: E731
    angles = tf.map_fn(draw, seed, fn_output_signature=tf.float32) if all_round else tf.zeros(tf.shape(seed)[:1])
    half = tf.where(pairs.mirrored(seed), np.float32(np.pi), 0.0)  # left to right, and half a turn
    return view_maps.turned(maps, angles + half if upside_down else angles, size)


def _in_windows(views: AnnotatedViews, seed: Array, window: tuple[int, int]) -> AnnotatedViews:
    """Cuts a window out of each view, three of four about what is known of the object there.

    Args:
      views: 2 B views.
      seed: integer [B, 2], of the pictures.
      window: (height, width) in pixels, at most those of the views.
    """
    rooms = tf.constant([views.images.shape[2] - window[1], views.images.shape[1] - window[0]], tf.float32)  # x, y
    draw = lambda one: tf.random.stateless_uniform([2, 3], tf.random.fold_in(one, _WINDOW))  # noqa: E731
    drawn = tf.map_fn(draw, seed, fn_output_signature=tf.float32)  # [B, 2, 3]
    drawn = tf.concat([drawn[:, 0], drawn[:, 1]], axis=0)
    counts, known = tf.reduce_sum(views.known, axis=1, keepdims=True), views.known[..., tf.newaxis]
    seen = tf.where(known > 0, views.landmarks * known, 0.0)
    middle = tf.math.divide_no_nan(tf.reduce_sum(seen, axis=1), counts)
    extent = tf.constant([window[1], window[0]], tf.float32)
    beside = middle + ((2 * drawn[:, :2] - 1) * _BESIDE - 0.5) * extent
    anywhere = (drawn[:, 2:] < _ANYWHERE) | (counts == 0)
    corner = tf.round(tf.clip_by_value(tf.where(anywhere, drawn[:, :2] * rooms, beside), 0.0, rooms))  # [2 B, 2]
    first = tf.cast(corner, tf.int32)
    images = tf.gather(views.images, first[:, 1:] + tf.range(window[0]), axis=1, batch_dims=1)
    images = tf.gather(images, first[:, :1] + tf.range(window[1]), axis=2, batch_dims=1)
    places = views.landmarks - corner[:, tf.newaxis]
    known = tf.where(point_maps.inside(places, window), views.known, 0.0)
    return AnnotatedViews(tf.ensure_shape(images, [None, *window, 3]), places, known)
