"""The network of the second paper: unit descriptors and how far each can be trusted, section 3.6."""

from __future__ import annotations

import tensorflow as tf

from dense_labels.method import introspection_loss
from models import trunks

_EPSILON = 1e-2  # the least sigma: with it the loss of a pair cannot fall below log 0.01, -4.6


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class Introspect(tf.keras.layers.Layer):
    """Turns raw vectors [B, h, w, C + 1] into labels phi / sigma, float32 [B, h, w, C].

    phi is the first C channels made unit length, sigma = log(1 + exp(last channel)) + epsilon. So the direction of a
    label is its descriptor and its length the confidence 1 / sigma, and phi / sigma is what section 4.2 matches with.
    """

    def __init__(self, epsilon: float = _EPSILON, **kwargs):
        """Creates the layer.

        Args:
          epsilon: the least sigma.
          **kwargs: of `tf.keras.layers.Layer`.
        """
        super().__init__(**{"dtype": "float32", **kwargs})
        self.epsilon = epsilon

    def call(self, raw: tf.Tensor) -> tf.Tensor:
        """Returns the labels of raw vectors."""
        sigma = tf.math.softplus(raw[..., -1:]) + self.epsilon
        phi, _ = introspection_loss.split_labels(raw[..., :-1])
        return phi / sigma

    def get_config(self) -> dict:
        """Returns the arguments that make the layer again."""
        return {**super().get_config(), "epsilon": self.epsilon}


def create(
    trunk: str,
    descriptor_size: int,
    *,
    weights: str,
    stride: int,
    frozen: str,
    confidence: bool,
    dtype: str,
) -> tf.keras.Model:
    """Creates the network: a trunk, a 1 x 1 convolution to C + 1 channels, labels phi / sigma.

    Args:
      trunk: name, as in `trunks.create`.
      descriptor_size: C.
      weights, stride, frozen: of the trunk, as in `trunks.create`.
      confidence: False is the paper's "w/o conf.": sigma is 1, labels are unit descriptors.
      dtype: Keras dtype or policy name of the trunk; what follows is float32.

    Returns:
      `tf.keras.Model` from images [B, H, W, 3] in [0, 1] to labels, float32 [B, H // stride, W // stride, C].

    Raises:
      ValueError: as `trunks.create`.
    """
    body = trunks.create(trunk, weights=weights, stride=stride, frozen=frozen, dtype=dtype)
    channels = descriptor_size + bool(confidence)
    # Where the features are all zero there is still a direction, that of the biases.
    biases = tf.keras.initializers.RandomNormal(stddev=1e-2)
    raw = tf.keras.layers.Conv2D(channels, 1, bias_initializer=biases, dtype="float32", name="label")(body.output)
    labels = (
        Introspect(name="introspect")(raw)
        if confidence
        else trunks.UnitLength(name="unit_length", dtype="float32")([raw])
    )
    return tf.keras.Model(body.input, labels, name="introspection")
