"""Landmark regression: frozen label map -> virtual points -> landmarks, section 4.3 of the NIPS 2017 paper."""

import numpy as np
import scipy.cluster.vq
import tensorflow as tf

from dense_labels.method import geometry
from models import nearest_landmarks

FORMS = ("shared", "each")
_POINTS = 50
_SHRINKAGE = 0.005  # of the landmarks' own vectors, which a few images alone would make far too long
_SPREAD = 25  # cells that a virtual point is found at before training
_CLUSTERED = 20000  # cells
_STRENGTHS = 10.0 ** np.arange(2, -9, -1)  # of the ridge, times the largest eigenvalue; the strongest leaves the prior
_BATCH, _RATE, _CHECKS = 32, 0.005, 20
_BLUNT = 3e-4  # below this the loss is quadratic: a hundredth of a pixel of a map 70 pixels wide


class RegressedLandmarks(tf.keras.layers.Layer):
    """Reads landmarks off the expected positions of virtual points, which are places of the label space.

    Virtual point m is where its vector z_m is expected on the map, under equation (3) with z_m in the place of the
    label of A. A landmark is a linear map of the 2 M coordinates of M such points, counted from the middle of the map
    in halves of its longer side.
    """

    def __init__(self, vectors, matrices, offsets, stride, **kwargs):
        """Creates the layer.

        Args:
          vectors: [1, M, L], the virtual points that all landmarks share, or [K, M, L], those of each landmark.
          matrices: [K, 2 M, 2], from (x_1, y_1, x_2, ...) of the virtual points to (x, y) of the landmark.
          offsets: [K, 2], added to that.
          stride: side of a cell of the label maps in pixels.
          **kwargs: of `tf.keras.layers.Layer`.
        """
        super().__init__(dtype="float32", trainable=False, **kwargs)
        self.stride = stride
        self.vectors = self._constant("vectors", vectors)
        self.matrices = self._constant("matrices", matrices)
        self.offsets = self._constant("offsets", offsets)

    def _constant(self, name, values):
        values = np.asarray(values, np.float32)
        initializer = tf.keras.initializers.Constant(values)
        return self.add_weight(name=name, shape=values.shape, initializer=initializer, trainable=False)

    def call(self, labels):
        """Locates the landmarks.

        Args:
          labels: float32 [N, h, w, L].

        Returns:
          A dictionary: `points` [N, K, 2], (x, y) in pixels of the network's input; `score` [N, K], the probability of
          a virtual point's most probable cell, averaged over the points, each weighed by the size of its part of the
          matrix.
        """
        probability, positions = virtual_points(labels, self.vectors)
        parts = tf.norm(tf.reshape(self.matrices, [-1, self.vectors.shape[1], 4]), axis=-1)  # [K, M]
        shares = tf.math.divide_no_nan(parts, tf.reduce_sum(parts, axis=-1, keepdims=True))
        middle, half = _frame(labels, self.stride)
        return {
            "points": _apply(positions, self.matrices, self.offsets) * half + middle,
            "score": tf.reduce_sum(tf.reduce_max(probability, axis=-1) * shares, axis=-1),
        }


def virtual_points(labels, vectors):
    """Finds where virtual points are expected.

    Args:
      labels: float32 [N, h, w, L].
      vectors: float32 [G, M, L], G groups of M points.

    Returns:
      `(probability, positions)`: [N, G, M, h * w], of each cell; [N, G, 2 M], (x_1, y_1, x_2, ...) from the middle of
      the map in halves of its longer side.
    """
    shape, (groups, count, length) = tf.shape(labels), vectors.shape
    flat = tf.reshape(labels, [shape[0], shape[1] * shape[2], length])
    each = tf.tile(tf.reshape(vectors, [1, groups * count, length]), [shape[0], 1, 1])
    # One softmax, where matching.py takes a logarithm and its exponential: training spends its time here.
    probability = tf.nn.softmax(tf.matmul(each, flat, transpose_b=True))  # [N, G M, h w]
    middle, half = _frame(labels, 1)
    centres = (geometry.cell_centres(shape[1], shape[2], 1) - middle) / half
    positions = geometry.mean_point(probability, centres)
    probability = tf.reshape(probability, [shape[0], groups, count, shape[1] * shape[2]])
    return probability, tf.reshape(positions, [shape[0], groups, 2 * count])


def fit_regress(labels, landmarks, annotated, *, stride, form, seed, picture=None, steps=3000):
    """Fits `RegressedLandmarks` on frozen label maps of annotated images.

    - A landmark's first virtual point is its own vector, as `nearest_landmarks.fit_nearest` finds it, shrunk a little.
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
      labels: float32 [N, h, w, L], label maps of annotated images; of any scale.
      landmarks: float32 [N, K, 2], (x, y) in pixels of the network's input.
      annotated: [N, K], 1 where the landmark is annotated and seen, else 0.
      stride: side of a cell in pixels.
      form: "shared": 50 virtual points (or 2 K, where that is more) for all landmarks, and an offset, as section 4.3
        has it; "each": 50 for each landmark and no offset.
      seed: of everything drawn, an int.
      picture: [N], the same number for all views of a picture; None where every image is a picture of its own.
      steps: of training, 32 images each.

    Returns:
      The fitted `RegressedLandmarks`.

    Raises:
      ValueError: if there is no such form, a landmark is annotated in no image, or the labels are all zero, not all
        finite or nearly all alike.
    """
    if form not in FORMS:
        raise ValueError(f"form={form!r}: there is no such form; choose {', '.join(FORMS)}")
    annotated = np.asarray(annotated) > 0
    middle, half = (value.numpy() for value in _frame(labels[:1], stride))
    targets = np.where(annotated[..., np.newaxis], (landmarks - middle) / half, 0.0)
    own = nearest_landmarks.fit_nearest(labels, targets * half + middle, annotated, stride=stride, shrinkage=_SHRINKAGE)
    rows = np.flatnonzero(annotated.any(axis=1))
    picture = np.arange(len(labels)) if picture is None else np.asarray(picture)
    data = labels[rows], targets[rows], annotated[rows], picture[rows]
    rng = np.random.default_rng(seed)
    vectors = _initial_vectors(data[0], own, form, rng)
    pictures = min(len(np.unique(data[3][seen])) for seen in data[2].T)  # of the landmark that has the fewest
    if pictures > 2 * vectors.shape[1] and steps:
        return RegressedLandmarks(*_train(vectors, data, form, rng, steps), stride)
    return RegressedLandmarks(vectors, *_regress(vectors, data, form), stride)


def _initial_vectors(labels, own, form, rng):
    """Own vectors [K, L] of the landmarks, then centres of clusters of labels: [1 or K, M, L]."""
    count = max(_POINTS, 2 * len(own)) - len(own) if form == "shared" else _POINTS - 1
    cells = labels.reshape([-1, labels.shape[-1]])
    cells = cells[rng.choice(len(cells), min(len(cells), _CLUSTERED), replace=False)]
    distinct = len(np.unique(cells, axis=0))
    if distinct < count:
        raise ValueError(f"the label maps hold {distinct} different labels; {count} virtual points need as many")
    centres, _ = scipy.cluster.vq.kmeans2(cells, count, minit="++", seed=rng)
    centres /= np.mean(np.sum(np.square(cells), axis=-1))  # the inner product of two labels is now about 1
    some = labels[rng.choice(len(labels), min(len(labels), 32), replace=False)]
    for factor in 2.0 ** np.arange(-4, 12):
        sharp = np.float32(factor * centres)
        probability, _ = virtual_points(some, tf.constant(sharp[np.newaxis]))
        entropy = -tf.reduce_sum(tf.math.xlogy(probability, probability), axis=-1)
        if np.exp(np.median(entropy)) < _SPREAD:
            break
    if form == "shared":
        return np.concatenate([own, sharp])[np.newaxis]
    return np.stack([np.concatenate([z[np.newaxis], sharp]) for z in own])


def _regress(vectors, data, form):
    """Fits the linear maps to given vectors: matrices [K, 2 M, 2] and offsets [K, 2]."""
    labels, targets, annotated, picture = data
    positions = _positions(labels, vectors).astype(float)
    matrices, offsets = [], []
    for k in range(targets.shape[1]):
        x, y = positions[annotated[:, k], k if form == "each" else 0], targets[annotated[:, k], k]
        place = np.arange(2) + (2 * k if form == "shared" else 0)  # of the landmark's own point
        matrix, offset = _ridge(x, y - x[:, place], picture[annotated[:, k]], form == "shared")
        matrix[place] += np.eye(2)
        matrices.append(matrix)
        offsets.append(offset)
    return np.stack(matrices), np.stack(offsets)


def _ridge(x, y, picture, with_offset):
    """Ridge regression [n, p] -> [n, 2], of the strength with the least leave-one-picture-out error."""
    x_mean, y_mean = (x.mean(axis=0), y.mean(axis=0)) if with_offset else (np.zeros(x.shape[1]), np.zeros(2))
    left, singular, right = np.linalg.svd(x - x_mean, full_matrices=False)
    along = left.T @ (y - y_mean)
    strengths = _STRENGTHS * max(singular[0] ** 2, 1e-12)  # one image alone, less its mean, is 0
    best, least = strengths[0], np.inf
    for strength in strengths:
        kept = singular**2 / (singular**2 + strength)
        residual = y - y_mean - left @ (kept[:, np.newaxis] * along)
        error = np.mean(np.linalg.norm(_left_out(residual, left * np.sqrt(kept), picture, with_offset), axis=-1))
        if error < least * (1 - 1e-6):  # not by rounding alone
            best, least = strength, error
    matrix = right.T @ ((singular / (singular**2 + best))[:, np.newaxis] * along)
    return matrix, y_mean - x_mean @ matrix


def _left_out(residual, factor, picture, with_offset):
    """Residuals [n, 2] with the own picture left out of the fit, from those of the fit and its hat matrix.

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


def _train(vectors, data, form, rng, steps):
    """Trains vectors, matrices and offsets together; returns those that did best on held-out pictures."""
    scale = np.sqrt(np.mean(np.square(vectors)))  # so that one rate suits labels of any scale
    data = data[0] * scale, *data[1:]
    pictures = rng.permutation(np.unique(data[3]))
    chosen = np.isin(data[3], pictures[: len(pictures) // 10])
    held_out, used = ([part[rows] for part in data] for rows in (chosen, ~chosen))

    def solved(vectors):
        return [np.float32(values) for values in (vectors, *_regress(vectors, used, form))]

    def error(candidate):
        vectors, *maps = candidate
        return float(_mean_distance(_positions(held_out[0], vectors), maps, *held_out[1:3]))

    candidates = [solved(vectors / scale)]
    candidates += _descend(candidates[0], used, form, rng, steps)
    candidates.append(solved(candidates[-1][0]))
    vectors, *maps = min(candidates, key=error)
    return vectors * scale, *maps


def _descend(start, data, form, rng, steps):
    """Yields vectors, matrices and offsets now and then on their way down, and at its end."""
    values = [tf.Variable(value) for value in start]
    trained = values if form == "shared" else values[:2]
    optimizer = tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(_RATE, steps), amsgrad=True)
    data = [tf.constant(part, tf.float32) for part in data[:3]]

    @tf.function
    def step(rows):
        labels, targets, annotated = (tf.gather(part, rows) for part in data)
        with tf.GradientTape() as tape:
            _, positions = virtual_points(labels, values[0])
            loss = _mean_distance(positions, values[1:], targets, annotated)
        optimizer.apply_gradients(zip(tape.gradient(loss, trained), trained))

    for done in range(1, steps + 1):
        step(tf.constant(rng.choice(len(data[0]), _BATCH, replace=False)))
        if done % -(-steps // _CHECKS) == 0 or done == steps:
            yield [value.numpy() for value in values]


def _mean_distance(positions, maps, targets, annotated):
    """Mean distance over the annotated landmarks, in halves of the map's longer side; smooth at 0."""
    squared = tf.reduce_sum(tf.square(_apply(positions, *maps) - targets), axis=-1)
    weights = tf.cast(annotated, tf.float32)
    return tf.reduce_sum(tf.sqrt(squared + _BLUNT**2) * weights) / tf.reduce_sum(weights)


def _positions(labels, vectors):
    """`virtual_points` of any number of maps, a few at a time: float32 [N, 1 or K, 2 M]."""
    vectors = tf.constant(vectors, tf.float32)
    return np.concatenate([virtual_points(labels[i : i + 32], vectors)[1] for i in range(0, len(labels), 32)])


def _apply(positions, matrices, offsets):
    """Linear maps [K, 2 M, 2] of positions [N, 1 or K, 2 M]: [N, K, 2]."""
    return tf.matmul(positions[:, :, tf.newaxis], matrices)[:, :, 0] + offsets


def _frame(labels, stride):
    """Middle (x, y) of maps [N, h, w, L] and half of their longer side, in pixels."""
    size = tf.cast(tf.shape(labels)[2:0:-1], tf.float32) * stride
    return size / 2, tf.reduce_max(size) / 2
