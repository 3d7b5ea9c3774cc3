"""The order in which examples are drawn: random, endless, and a function of its seed alone."""

from collections.abc import Callable

import tensorflow as tf


def shuffled(examples: int, seed: int) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """Puts examples in random order, epoch by epoch.

    Args:
      examples: how many there are.
      seed: of the order.

    Returns:
      Function of the number of an epoch: its (index, seed), of which the second number counts on through all epochs.
    """

    def indices(epoch):
        order = tf.random.experimental.stateless_shuffle(tf.range(examples, dtype=tf.int64), seed=[seed, epoch])
        places = epoch * examples + tf.range(examples, dtype=tf.int64)
        seeds = tf.stack([tf.fill([examples], tf.constant(seed, tf.int64)), places], axis=-1)
        return tf.data.Dataset.from_tensor_slices((order, seeds))

    return indices
