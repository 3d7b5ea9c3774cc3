"""The most similar label: frozen label map -> landmarks, section 4.1 of the NIPS 2017 paper."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.optimize
import tensorflow as tf

from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.method import geometry, matching

# How much vectors are drawn to mean labels and to 0, beside the likelihood of one picture: found on wings, and faces of
# the training split. Beyond so many pictures the first falls faster.
_TO_MEAN, _TO_ZERO, _MANY = 0.01, 0.005, 50


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

    Args:
      known: label maps of annotated images.

    Returns:
      float32 [K, L].

    Raises:
      ValueError: if a landmark is annotated in no image, or the labels are all zero or not all finite.
    """
    check_labels(known.labels)
    check_annotated(known.annotated)
    means = geometry.mean_labels(known.labels.values, known.landmarks, known.annotated, known.labels.stride)
    scale = 1.0 / np.sqrt(np.mean(np.sum(np.square(known.labels.values), axis=-1)))  # labels are taken to length 1
    to_mean, to_zero = _strengths(known)  # [K, 1]
    likelihood = _negative_log_likelihood(known, known.annotated / np.sum(known.annotated, axis=0))

    def parts(parameters):
        offsets = parameters[1:].reshape(means.shape)
        return parameters[0] * means * scale + offsets, offsets

    def objective(parameters):
        vectors, offsets = parts(parameters)
        value, gradient = likelihood(tf.constant(vectors * scale, tf.float32))
        value += 0.5 * np.sum(to_zero * vectors**2 + to_mean * offsets**2)
        gradient = gradient.astype(float) * scale + to_zero * vectors
        of_length = np.sum(gradient * means * scale)
        return value, np.concatenate([[of_length], (gradient + to_mean * offsets).ravel()])

    start = np.concatenate([[1.0], np.zeros(means.size)])
    best = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return (parts(best.x)[0] * scale).astype(np.float32)


def _strengths(known: LabelledLandmarks) -> tuple[np.ndarray, np.ndarray]:
    """How much vectors are drawn to mean labels and to 0, [K, 1] each, by the pictures that a landmark is seen in."""
    pictures = np.array([[len(np.unique(known.picture[seen]))] for seen in np.asarray(known.annotated).T > 0])
    return _TO_MEAN / pictures / (1 + pictures / _MANY), _TO_ZERO / pictures


def _negative_log_likelihood(
    known: LabelledLandmarks, weights: np.ndarray
) -> Callable[[tf.Tensor], tuple[float, np.ndarray]]:
    """Returns the function from vectors [K, L] to their negative log-likelihood and its gradient [K, L].

    Args:
      known: label maps of annotated images.
      weights: [N, K], of the landmarks of each image.
    """
    landmarks = np.where(weights[..., np.newaxis] > 0, known.landmarks, 0)  # others may be anywhere, and no numbers
    parts = known.labels.values, landmarks, weights
    batches = list(tf.data.Dataset.from_tensor_slices(parts).batch(64))

    def likelihood(vectors):
        values, gradients = zip(*(_add(vectors, *batch, known.labels.stride) for batch in batches))
        return float(tf.add_n(values)), tf.add_n(gradients).numpy()

    return likelihood


@tf.function(autograph=False)  # of the module, for it is traced once for all fits to as many images
def _add(vectors, labels, landmarks, weights, stride):
    """The part of the likelihood that some images have, and its gradient."""
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        flat = tf.reshape(labels, [tf.shape(labels)[0], -1, labels.shape[-1]])
        scores = tf.einsum("kl,nml->nkm", vectors, flat)
        target = geometry.bilinear_sample(labels, landmarks, stride)  # [n, K, L]
        true_scores = tf.reduce_sum(vectors * target, axis=-1)
        value = tf.reduce_sum((tf.reduce_logsumexp(scores, axis=-1) - true_scores) * tf.cast(weights, tf.float32))
    return value, tape.gradient(value, vectors)


def check_labels(labels: LabelMap) -> None:
    """Refuses label maps that hold nothing; raises a ValueError."""
    if not np.isfinite(labels.values).all() or not labels.values.any():
        raise ValueError("the labels are all zero or not all finite: the network has learned nothing; train it again")


def check_annotated(annotated: np.ndarray) -> None:
    """Refuses annotations [N, K] that have a landmark in no image; raises a ValueError."""
    counts = np.sum(annotated, axis=0)  # [K]
    if not counts.all():
        raise ValueError(f"landmark {int(np.argmin(counts))} is annotated in none of the {len(annotated)} images")
