"""The most similar label: frozen label map -> landmarks, section 4.1 of the NIPS 2017 paper."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import numpy as np
import scipy.optimize
import tensorflow as tf

from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.method import geometry, matching

# How much vectors are drawn to mean labels and to 0, beside the likelihood of one picture: found on wings, and faces of
# the training split. Beyond so many pictures the first falls faster.
_TO_MEAN, _TO_ZERO, _MANY = 0.01, 0.005, 50
_AT_ONCE, _LOOKED_AT = 64, 100_000  # images; cells
_FITTED: weakref.WeakKeyDictionary[LabelledLandmarks, np.ndarray] = weakref.WeakKeyDictionary()


class NearestLandmarks(tf.keras.layers.Layer):
    """Finds each landmark where its vector z_k matches best, section 4.1 of the NIPS 2017 paper.

    The probability that landmark k is at cell u is equation (3) with z_k in the place of the label of A:
    p(u|k) = softmax_u <z_k, label_u>.
    """

    def __init__(self, vectors: np.ndarray, stride: int, *, upsample: int, **kwargs):
        """Creates the layer.

        Args:
          vectors: [K, L], one z_k a landmark.
          stride: side of a cell of the label maps in pixels.
          upsample: how much finer than the label map the sub-pixel positions are sought.
          **kwargs: of `tf.keras.layers.Layer`.
        """
        super().__init__(dtype="float32", trainable=False, **kwargs)
        vectors = np.asarray(vectors, np.float32)
        self.stride, self.upsample = stride, upsample
        self.vectors = self.add_weight(
            name="vectors",
            shape=vectors.shape,
            initializer=tf.keras.initializers.Constant(vectors),
            trainable=False,
        )

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> NearestLandmarks:
        """Makes the layer again from its `state()`."""
        return cls(state["vectors"], int(state["stride"]), upsample=int(state["upsample"]))

    def state(self) -> dict[str, np.ndarray]:
        """Returns all that the layer was fitted to, as arrays by name."""
        return {
            "vectors": self.vectors.numpy(),
            "stride": np.asarray(self.stride),
            "upsample": np.asarray(self.upsample),
        }

    def call(self, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Locates the landmarks.

        Args:
          labels: float32 [N, h, w, L].

        Returns:
          A dictionary: `cell` [N, K, 2], the centre of the most probable cell (the paper's own decoding); `subpixel`
          [N, K, 2], the expected position under p on labels made `upsample` times finer; both (x, y) in pixels of the
          network's input; `points`, which is `subpixel`; `score` [N, K], the probability of the most probable cell.
        """
        log_probability, centres = self._log_probability(labels, self.stride)
        fine = geometry.upsample(labels, self.upsample)
        fine_log_probability, fine_centres = self._log_probability(fine, self.stride / self.upsample)
        subpixel = geometry.mean_point(tf.exp(fine_log_probability), fine_centres)
        return {
            "cell": matching.best_match(log_probability, tf.reshape(centres, [-1, 2])),
            "subpixel": subpixel,
            "points": subpixel,
            "score": tf.exp(tf.reduce_max(log_probability, axis=-1)),
        }

    def _log_probability(self, labels: tf.Tensor, stride: float) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns log p(u|k) [N, K, h * w] and the centres [h, w, 2] of the cells."""
        shape = tf.shape(labels)
        centres = geometry.cell_centres(shape[1], shape[2], stride)
        flat = tf.reshape(labels, [shape[0], shape[1] * shape[2], labels.shape[-1]])
        vectors = tf.tile(self.vectors[tf.newaxis], [shape[0], 1, 1])
        return matching.match_log_probability(vectors, flat), centres


def fit_nearest(known: LabelledLandmarks) -> np.ndarray:
    """Learns the vectors z_k of `NearestLandmarks` by the negative log-likelihood of the annotated places.

    The likelihood is that of equation (4), between cells interpolated as in `losses.LogLikelihoodLoss`. Alone, as the
    paper has it, it knows a few pictures by heart: its vectors are far too long, and find little in others. So z_k is
    drawn towards s m_k, where m_k is the mean label at the landmark, which is what training compares, and s one length
    for all landmarks, learned with the vectors; and all a little towards 0. How much falls with the number of pictures.
    The whole is concave in z and s, so every maximum is as good as any other.

    Several heads begin with these vectors: those of the same `known` are fitted once.

    Args:
      known: label maps of annotated images, which do not change any more.

    Returns:
      float32 [K, L].

    Raises:
      ValueError: if a landmark is annotated in no image, or the labels are all zero or not all finite.
    """
    if known not in _FITTED:
        _FITTED[known] = _fit(known)
    return _FITTED[known].copy()


def _fit(known: LabelledLandmarks) -> np.ndarray:
    check_labels(known.labels)
    check_annotated(known)
    means = geometry.mean_labels(known.labels.values, known.landmarks, known.annotated, known.labels.stride)
    scale = 1.0 / np.sqrt(np.mean(np.sum(np.square(known.labels.values), axis=-1)))  # labels are taken to length 1
    to_mean, to_zero = _strengths(known)  # [K, 1]
    rounded, likelihood = _rounded(known.labels.values), _negative_log_likelihood(known)

    def parts(parameters):
        offsets = parameters[1:].reshape(means.shape) @ rounded
        return parameters[0] * means * scale + offsets, offsets

    def objective(parameters):
        vectors, offsets = parts(parameters)
        value, gradient = likelihood(tf.constant(vectors * scale, tf.float32))
        value += 0.5 * np.sum(to_zero * vectors**2 + to_mean * offsets**2)
        gradient = gradient.astype(float) * scale + to_zero * vectors
        of_length = np.sum(gradient * means * scale)
        return value, np.concatenate([[of_length], ((gradient + to_mean * offsets) @ rounded).ravel()])

    start = np.concatenate([[1.0], np.zeros(means.size)])
    best = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return (parts(best.x)[0] * scale).astype(np.float32)


def _rounded(labels: np.ndarray) -> np.ndarray:
    """Returns the symmetric [L, L] that takes labels [N, h, w, L] to some that vary alike in all directions, or nearly.

    What is fitted in its coordinates takes a third of the steps. Where labels vary by less than a tenth of the most,
    nothing is gained by more.
    """
    cells = labels.reshape([-1, labels.shape[-1]])
    cells = cells[:: max(1, len(cells) // _LOOKED_AT)].astype(float)
    if len(cells) < 2:
        return np.eye(labels.shape[-1])
    variances, directions = np.linalg.eigh(np.cov(cells.T).reshape([labels.shape[-1]] * 2))
    most = max(variances[-1], np.finfo(float).tiny)
    return directions / np.sqrt(variances / most + 1e-2) @ directions.T


def _strengths(known: LabelledLandmarks) -> tuple[np.ndarray, np.ndarray]:
    """How much vectors are drawn to mean labels and to 0, [K, 1] each, by the pictures that a landmark is seen in."""
    pictures = np.array([[len(np.unique(known.picture[seen]))] for seen in np.asarray(known.annotated).T > 0])
    return _TO_MEAN / pictures / (1 + pictures / _MANY), _TO_ZERO / pictures


def _negative_log_likelihood(known: LabelledLandmarks) -> Callable[[tf.Tensor], tuple[float, np.ndarray]]:
    """Returns the function from vectors [K, L] to their mean negative log-likelihood and its gradient [K, L]."""
    weights = np.asarray(known.annotated) > 0
    landmarks = np.where(weights[..., np.newaxis], known.landmarks, 0)  # others may be anywhere, and no numbers
    weights = np.float32(weights / np.sum(weights, axis=0))  # [N, K]
    rows = [slice(first, first + _AT_ONCE) for first in range(0, len(known), _AT_ONCE)]
    batches = [tuple(tf.constant(part[some]) for part in (known.labels.values, landmarks, weights)) for some in rows]

    def likelihood(vectors):
        values, gradients = zip(*(_add(vectors, *batch, known.labels.stride) for batch in batches))
        return float(tf.add_n(values)), tf.add_n(gradients).numpy()

    return likelihood


@tf.function(autograph=False)  # of the module, for it is traced once for all fits to as many images
def _add(vectors, labels, landmarks, weights, stride):
    """The part of the likelihood that some images have, and its gradient."""
    shape = [tf.shape(vectors)[0], tf.shape(labels)[0], -1]
    cells = tf.reshape(labels, [-1, labels.shape[-1]])  # of all images at once: a product for each takes longer
    scores = tf.reshape(tf.matmul(vectors, cells, transpose_b=True), shape)  # [K, n, M]
    target = geometry.bilinear_sample(labels, landmarks, stride)  # [n, K, L]
    log_sum = tf.reduce_logsumexp(scores, axis=-1)
    value = tf.reduce_sum((tf.transpose(log_sum) - tf.reduce_sum(vectors * target, axis=-1)) * weights)
    by_scores = tf.exp(scores - log_sum[..., tf.newaxis]) * tf.transpose(weights)[..., tf.newaxis]
    gradient = tf.matmul(tf.reshape(by_scores, [shape[0], -1]), cells) - tf.einsum("nk,nkl->kl", weights, target)
    return value, gradient


def check_labels(labels: LabelMap) -> None:
    """Refuses label maps that hold nothing; raises a ValueError."""
    if not np.isfinite(labels.values).all() or not labels.values.any():
        raise ValueError("the labels are all zero or not all finite: the network has learned nothing; train it again")


def check_annotated(known: LabelledLandmarks) -> None:
    """Refuses annotations that have a landmark in no image, or one that has no place; raises a ValueError."""
    annotated = np.asarray(known.annotated) > 0  # [N, K]
    if len(nowhere := np.argwhere(annotated & ~np.isfinite(known.landmarks).all(axis=-1))):
        image, landmark = nowhere[0]
        raise ValueError(f"landmark {landmark} of image {image} is annotated, and its place is not finite numbers")
    counts = np.sum(annotated, axis=0)  # [K]
    if not counts.all():
        raise ValueError(f"landmark {int(np.argmin(counts))} is annotated in none of the {len(annotated)} images")
