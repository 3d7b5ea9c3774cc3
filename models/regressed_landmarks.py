"""Landmark regression: frozen label map -> virtual points -> landmarks, section 4.3 of the NIPS 2017 paper."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dense_labels.method import geometry


class RegressedLandmarks(tf.keras.layers.Layer):
    """Reads landmarks off the expected positions of virtual points, which are places of the label space.

    Virtual point m is where its vector z_m is expected on the map, under equation (3) with z_m in the place of the
    label of A. A landmark is a linear map of the 2 M coordinates of M such points, counted from the middle of the map
    in halves of its longer side.
    """

    def __init__(self, vectors: np.ndarray, matrices: np.ndarray, offsets: np.ndarray, stride: int, **kwargs):
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

    def _constant(self, name: str, values: np.ndarray) -> tf.Variable:
        values = np.asarray(values, np.float32)
        initializer = tf.keras.initializers.Constant(values)
        return self.add_weight(name=name, shape=values.shape, initializer=initializer, trainable=False)

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> RegressedLandmarks:
        """Makes the layer again from its `state()`."""
        return cls(state["vectors"], state["matrices"], state["offsets"], int(state["stride"]))

    def state(self) -> dict[str, np.ndarray]:
        """Returns all that the layer was fitted to, as arrays by name."""
        weights = {name: getattr(self, name).numpy() for name in ("vectors", "matrices", "offsets")}
        return {**weights, "stride": np.asarray(self.stride)}

    def call(self, labels: tf.Tensor) -> dict[str, tf.Tensor]:
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
        middle, half = middle_and_half(labels, self.stride)
        return {
            "points": linear_maps(positions, self.matrices, self.offsets) * half + middle,
            "score": tf.reduce_sum(tf.reduce_max(probability, axis=-1) * shares, axis=-1),
        }


def virtual_points(labels: tf.Tensor, vectors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
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
    middle, half = middle_and_half(labels, 1)
    centres = (geometry.cell_centres(shape[1], shape[2], 1) - middle) / half
    positions = geometry.mean_point(probability, centres)
    probability = tf.reshape(probability, [shape[0], groups, count, shape[1] * shape[2]])
    return probability, tf.reshape(positions, [shape[0], groups, 2 * count])


def linear_maps(positions: tf.Tensor, matrices: tf.Tensor, offsets: tf.Tensor) -> tf.Tensor:
    """Applies linear maps [K, 2 M, 2] to positions [N, 1 or K, 2 M]: [N, K, 2]."""
    return tf.matmul(positions[:, :, tf.newaxis], matrices)[:, :, 0] + offsets


def middle_and_half(labels: tf.Tensor, stride: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the middle (x, y) of maps [N, h, w, L] and half of their longer side, in pixels."""
    size = tf.cast(tf.shape(labels)[2:0:-1], tf.float32) * stride
    return size / 2, tf.reduce_max(size) / 2
