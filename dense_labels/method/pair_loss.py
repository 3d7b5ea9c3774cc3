"""What all losses of pairs share: they are Keras layers that add the mean loss of a batch to the model."""

from __future__ import annotations

import tensorflow as tf

PRECISIONS = ("float32", "float64")


class PairLoss(tf.keras.layers.Layer):
    """Base of the losses of pairs, whose loss is the mean over the pairs of a batch, 0 of none.

    In a model that is trained on several replicas each has its share of the batch. The gradient is that of one replica
    where all shares are equal (`drop_remainder=True` of `tf.data.Dataset.batch`) and the losses that a model has
    collected are divided by the number of replicas, as Keras does it in `fit`.
    """

    def __init__(self, **kwargs):
        """Creates the layer; it computes in float32 unless `dtype` is "float64".

        Args:
          **kwargs: of `tf.keras.layers.Layer`.

        Raises:
          ValueError: if it would compute in less than float32, which rounds the places of points.
        """
        super().__init__(**{"dtype": "float32", **kwargs})
        if self.compute_dtype not in PRECISIONS:
            raise ValueError(f"dtype={self.compute_dtype}: a loss computes in {' or '.join(PRECISIONS)}")
        self.supports_jit = True  # as layers of Keras 3 say it, and those of Keras 2 do not

    def add_mean(self, loss: tf.Tensor) -> None:
        """Adds the mean of the losses [B] of pairs to the model; 0 where a replica's share of the batch is empty."""
        self.add_loss(tf.math.divide_no_nan(tf.reduce_sum(loss), tf.cast(tf.shape(loss)[0], loss.dtype)))


def of_pair_before(labels: tf.Tensor) -> tf.Tensor:
    """Returns the labels [B, ...] of the pair before each, of the same batch, through which others are exchanged.

    Raises:
      ValueError: if there is one pair alone.
      tf.errors.InvalidArgumentError: likewise, in a graph that is made for any number of pairs.
    """
    message = "labels are exchanged with another pair of the batch; found one pair, where 2 are needed"
    if labels.shape[0] == 1:
        raise ValueError(message)
    if labels.shape[0] is None:
        with tf.control_dependencies([tf.debugging.Assert(tf.shape(labels)[0] != 1, [message])]):
            labels = tf.identity(labels)
    return tf.roll(labels, 1, axis=0)
