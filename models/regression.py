"""Fits landmark regression: virtual points and linear maps of them, section 4.3 of the NIPS 2017 paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.cluster.vq
import tensorflow as tf
from tqdm import tqdm

from dense_labels.batches import LabelledLandmarks
from models import nearest_landmarks, regressed_landmarks

FORMS = ("shared", "each")
OWN = "own"  # the form of `fit_regress_own`
_POINTS = 50
_SPREAD = 25  # cells that a virtual point is found at before training
_CLUSTERED = 20000  # cells
_STRENGTHS = 10.0 ** np.arange(2, -9, -1)  # of the ridge, times the largest eigenvalue; the strongest leaves the prior
_FLAT = 0.01  # RMS spread of points, in halves of the map's longer side, below which a direction does not count
_BATCH, _RATE, _CHECKS = 32, 0.005, 20
_AT_ONCE = 2**26  # probabilities of cells, of virtual points, of images: they bound the memory
_SLOW = 30  # seconds after which a training shows its progress
_BLUNT = 3e-4  # below this the loss is quadratic: a hundredth of a pixel of a map 70 pixels wide


class _Data(NamedTuple):
    """What is fitted to; places are counted from the middle of the map, in halves of its longer side."""

    labels: np.ndarray  # float32 [all, h, w, L]: shared by all parts of the data, for copies would fill the memory
    maps: np.ndarray  # [N], where in these the N images are
    targets: np.ndarray  # [N, K, 2]
    annotated: np.ndarray  # bool [N, K]
    picture: np.ndarray  # [N]

    def take(self, rows: np.ndarray) -> _Data:
        """Returns the images at integer indices or under a mask; their labels are not copied."""
        return _Data(self.labels, *(part[rows] for part in self[1:]))


def fit_regress(
    known: LabelledLandmarks, *, form: str, seed: int, steps: int = 3000
) -> regressed_landmarks.RegressedLandmarks:
    """Fits `RegressedLandmarks` on frozen label maps of annotated images.

    - A landmark's first virtual point is its own vector, as `nearest_landmarks.fit_nearest` finds it.
      The others start at the centres of clusters of labels, all multiplied by the one factor that makes them peak at a
      few cells.
    - The linear maps start as ridge regressions that shrink towards "the landmark is at its own virtual point". Their
      strength is, landmark by landmark, the one of least leave-one-out error, the strongest where several are: one
      image leaves the prior, moved (in the shared form) to fit that image.
    - With more pictures than coordinates of virtual points, which a linear map could fit whatever they are, vectors and
      maps are then trained together: the mean distance, Adam (amsgrad), the rate falling to 0 along a cosine. A tenth
      of the images is held out for this, and what does best on it is kept: the start, a moment of the training, or its
      end with the ridge regressions solved again.

    Views of one picture are left out together, by the held-out tenth and by leave-one-out.

    Args:
      known: label maps of annotated images, of any scale.
      form: "shared": 50 virtual points (or 2 K, where that is more) for all landmarks, and an offset, as section 4.3
        has it; "each": 50 for each landmark and no offset.
      seed: of everything drawn, an int.
      steps: of training, 32 images each.

    Returns:
      The fitted `RegressedLandmarks`.

    Raises:
      ValueError: if there is no such form, a landmark is annotated in no image, or the labels are all zero, not all
        finite or nearly all alike.
    """
    if form not in FORMS:
        raise ValueError(f"form={form!r}: there is no such form; choose {', '.join(FORMS)}")
    own = nearest_landmarks.fit_nearest(known)
    stride, data, rng = known.labels.stride, _data(known), np.random.default_rng(seed)
    vectors = _initial_vectors(data, own, form, rng)
    pictures = min(len(np.unique(data.picture[seen])) for seen in data.annotated.T)  # of the landmark with the fewest
    if pictures > 2 * vectors.shape[1] and steps:
        return regressed_landmarks.RegressedLandmarks(*_train(vectors, data, form, rng, steps), stride)
    return regressed_landmarks.RegressedLandmarks(vectors, *_regress(vectors, data, form), stride)


def fit_regress_own(known: LabelledLandmarks) -> regressed_landmarks.RegressedLandmarks:
    """Fits linear maps of the network's own landmarks, as "Unsupervised learning of object landmarks" (ICCV 2017) does.

    Its landmarks are virtual points too: the vector of the m-th is 1 in channel m and 0 in others, so that its
    probabilities are the softmax of that heat map. A landmark is a linear map, without offset, of the 2 M coordinates
    of all M. It is a ridge regression that shrinks towards where the landmark lies among the M on average: the affine
    combination of them of least norm, which holds however the object moves, turns and grows. Its strength is that of
    least leave-one-picture-out error, landmark by landmark; one image leaves the affine combination.

    Args:
      known: heat maps of annotated images, in the place of labels.

    Returns:
      The fitted `RegressedLandmarks`.

    Raises:
      ValueError: if a landmark is annotated in no image, or the heat maps are all zero or not all finite.
    """
    nearest_landmarks.check_labels(known.labels)
    nearest_landmarks.check_annotated(known)
    vectors = np.eye(known.labels.length, dtype=np.float32)[np.newaxis]
    return regressed_landmarks.RegressedLandmarks(vectors, *_regress(vectors, _data(known), OWN), known.labels.stride)


def _data(known: LabelledLandmarks) -> _Data:
    """What is fitted to: the images with an annotated landmark; targets that are not annotated are 0."""
    annotated = np.asarray(known.annotated) > 0
    middle, half = regressed_landmarks.middle_and_half(known.labels.values[:1], known.labels.stride)
    targets = np.where(annotated[..., np.newaxis], (known.landmarks - middle.numpy()) / half.numpy(), 0.0)
    maps = np.arange(len(known))
    return _Data(known.labels.values, maps, targets, annotated, np.asarray(known.picture)).take(annotated.any(axis=1))


def _initial_vectors(data: _Data, own: np.ndarray, form: str, rng: np.random.Generator) -> np.ndarray:
    """Joins the own vectors [K, L] of the landmarks and the centres of clusters of labels: [1 or K, M, L]."""
    count = max(_POINTS, 2 * len(own)) - len(own) if form == "shared" else _POINTS - 1
    by_cell = data.labels.reshape([len(data.labels), -1, data.labels.shape[-1]])
    every = len(data.maps) * by_cell.shape[1]
    images, cells = np.divmod(rng.choice(every, min(every, _CLUSTERED), replace=False), by_cell.shape[1])
    cells = by_cell[data.maps[images], cells]
    distinct = len(np.unique(cells, axis=0))
    if distinct < count:
        raise ValueError(f"the label maps hold {distinct} different labels; {count} virtual points need as many")
    centres, _ = scipy.cluster.vq.kmeans2(cells, count, minit="++", seed=rng)
    centres /= np.mean(np.sum(np.square(cells), axis=-1))  # the inner product of two labels is now about 1
    some = data.maps[rng.choice(len(data.maps), min(len(data.maps), 32), replace=False)]
    sharp = _sharpened(centres, data.labels[some])
    if form == "shared":
        return np.concatenate([own, sharp])[np.newaxis]
    return np.stack([np.concatenate([z[np.newaxis], sharp]) for z in own])


def _sharpened(centres: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Multiplies vectors [M, L] by the smallest power of 2 that makes them peak at a few cells of the labels."""
    sharp = np.float32(centres)
    for factor in 2.0 ** np.arange(-4, 12):
        sharp = np.float32(factor * centres)
        probability, _ = regressed_landmarks.virtual_points(labels, tf.constant(sharp[np.newaxis]))
        entropy = -tf.reduce_sum(tf.math.xlogy(probability, probability), axis=-1)
        if np.exp(np.median(entropy)) < _SPREAD:
            break
    return sharp


def _regress(vectors: np.ndarray, data: _Data, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Fits the linear maps to given vectors: matrices [K, 2 M, 2] and offsets [K, 2]."""
    positions = _positions(data, vectors).astype(float)
    matrices, offsets = [], []
    for k, rows in enumerate(data.annotated.T):
        x, y = positions[rows, k if form == "each" else 0], data.targets[rows, k]
        prior = _affine(x, y) if form == OWN else _at_point(k if form == "shared" else 0, x.shape[1])
        matrix, offset = _ridge(x, y - x @ prior, data.picture[rows], form == "shared")
        matrices.append(prior + matrix)
        offsets.append(offset)
    return np.stack(matrices), np.stack(offsets)


def _at_point(index: int, size: int) -> np.ndarray:
    """The linear map [p, 2] that says a landmark is at one of the virtual points."""
    prior = np.zeros([size, 2])
    prior[2 * index : 2 * index + 2] = np.eye(2)
    return prior


def _affine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The linear map [2 M, 2] that says a landmark [n, 2] keeps its place among points [n, 2 M].

    It is where it is among their mean places: a sum of them whose weights add up to 1, of least norm. Directions in
    which they hardly spread do not count, for the weights would be as large as they are unsure.
    """
    places = np.vstack([x.mean(axis=0).reshape([-1, 2]).T, np.ones(x.shape[1] // 2)])  # [3, M]
    weights = np.linalg.pinv(places, rcond=_FLAT) @ np.append(y.mean(axis=0), 1.0)
    return np.kron(weights[:, np.newaxis], np.eye(2))


def _ridge(x: np.ndarray, y: np.ndarray, picture: np.ndarray, with_offset: bool) -> tuple[np.ndarray, np.ndarray]:
    """Solves a ridge regression [n, p] -> [n, 2], of the strength with the least leave-one-picture-out error.

    Of one picture alone nothing is left to learn from, however many views of it there are: that leaves the prior, with
    an offset moved by what it misses in their mean.
    """
    if len(np.unique(picture)) == 1:
        return np.zeros([x.shape[1], 2]), y.mean(axis=0) if with_offset else np.zeros(2)
    x_mean, y_mean = (x.mean(axis=0), y.mean(axis=0)) if with_offset else (np.zeros(x.shape[1]), np.zeros(2))
    left, singular, right = np.linalg.svd(x - x_mean, full_matrices=False)
    along = left.T @ (y - y_mean)
    strengths = _STRENGTHS * max(singular[0] ** 2, 1e-12)  # images that are alike, less their mean, are 0
    best, least = strengths[0], np.inf
    for strength in strengths:
        kept = singular**2 / (singular**2 + strength)
        residual = y - y_mean - left @ (kept[:, np.newaxis] * along)
        error = np.mean(np.linalg.norm(_left_out(residual, left * np.sqrt(kept), picture, with_offset), axis=-1))
        if error < least * (1 - 1e-6):  # not by rounding alone
            best, least = strength, error
    matrix = right.T @ ((singular / (singular**2 + best))[:, np.newaxis] * along)
    return matrix, y_mean - x_mean @ matrix


def _left_out(residual: np.ndarray, factor: np.ndarray, picture: np.ndarray, with_offset: bool) -> np.ndarray:
    """Turns residuals [n, 2] of a fit into those with the own picture left out of it, by the fit's hat matrix.

    The hat matrix is factor factor^T, plus 1 / n with an offset; a picture's block H of it takes its residuals r to
    (I - H)^-1 r.
    """
    share = with_offset / len(residual)
    if len(np.unique(picture)) == len(picture):
        leverage = np.sum(np.square(factor), axis=1) + share
        return residual / np.maximum(1 - leverage, 1e-9)[:, np.newaxis]
    out = np.empty_like(residual)
    for each in np.unique(picture):
        rows = picture == each
        hat = factor[rows] @ factor[rows].T + share
        out[rows] = np.linalg.solve((1 + 1e-9) * np.eye(rows.sum()) - hat, residual[rows])
    return out


def _train(
    vectors: np.ndarray, data: _Data, form: str, rng: np.random.Generator, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Trains vectors, matrices and offsets together; returns those that did best on held-out pictures."""
    pictures = rng.permutation(np.unique(data.picture))
    chosen = np.isin(data.picture, pictures[: len(pictures) // 10])
    held_out, used = data.take(chosen), data.take(~chosen)

    def solved(vectors):
        return [np.float32(values) for values in (vectors, *_regress(vectors, used, form))]

    def error(candidate):
        vectors, *maps = candidate
        positions = _positions(held_out, vectors)
        return float(_mean_distance(positions, maps, held_out.targets, held_out.annotated))

    candidates = [solved(vectors)]
    candidates += _descend(candidates[0], used, form, rng, steps)
    candidates.append(solved(candidates[-1][0]))
    return tuple(min(candidates, key=error))


def _descend(
    start: list[np.ndarray], data: _Data, form: str, rng: np.random.Generator, steps: int
) -> Iterator[list[np.ndarray]]:
    """Yields vectors, matrices and offsets now and then on their way down, and at its end."""
    scale = np.sqrt(np.mean(np.square(start[0])))  # so that one rate suits labels of any scale
    values = [tf.Variable(value) for value in (start[0] / scale, *start[1:])]
    trained = values if form == "shared" else values[:2]
    optimizer = tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(_RATE, steps), amsgrad=True)

    @tf.function(autograph=False)
    def step(labels, targets, annotated):
        with tf.GradientTape() as tape:
            _, positions = regressed_landmarks.virtual_points(labels * scale, values[0])
            loss = _mean_distance(positions, values[1:], targets, annotated)
        optimizer.apply_gradients(zip(tape.gradient(loss, trained), trained))

    for done in tqdm(range(1, steps + 1), desc="Training a regression head", unit=" steps", delay=_SLOW):
        some = data.take(rng.choice(len(data.maps), _BATCH, replace=False))
        step(*(tf.constant(part, tf.float32) for part in (data.labels[some.maps], some.targets, some.annotated)))
        if done % -(-steps // _CHECKS) == 0 or done == steps:
            yield [values[0].numpy() * scale, *(value.numpy() for value in values[1:])]


def _mean_distance(
    positions: tf.Tensor, maps: Sequence[tf.Tensor], targets: tf.Tensor, annotated: tf.Tensor
) -> tf.Tensor:
    """Returns the mean distance over the annotated landmarks, in halves of the map's longer side; smooth at 0."""
    squared = tf.reduce_sum(tf.square(regressed_landmarks.linear_maps(positions, *maps) - targets), axis=-1)
    weights = tf.cast(annotated, tf.float32)
    return tf.reduce_sum(tf.sqrt(squared + _BLUNT**2) * weights) / tf.reduce_sum(weights)


def _positions(data: _Data, vectors: np.ndarray) -> np.ndarray:
    """Finds the `virtual_points` of any number of images, a few at a time: float32 [N, 1 or K, 2 M]."""
    vectors, cells = tf.constant(vectors, tf.float32), int(np.prod(data.labels.shape[1:3]))
    count = min(max(_AT_ONCE // (vectors.shape[0] * vectors.shape[1] * cells), 1), _BATCH)
    some = (data.labels[data.maps[i : i + count]] for i in range(0, len(data.maps), count))
    return np.concatenate([regressed_landmarks.virtual_points(labels, vectors)[1] for labels in some])
