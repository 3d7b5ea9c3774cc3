"""Who matches whom: the probability of equation (3) and what is read from it.

Equation numbers are those of Thewlis, Bilen and Vedaldi, "Unsupervised learning of object frames by dense equivariant
image labelling", NIPS 2017.
"""

from __future__ import annotations

import tensorflow as tf


def match_log_probability(labels_a: tf.Tensor, labels_b: tf.Tensor) -> tf.Tensor:
    """Returns the log-probability that a cell of B shows the point labelled in A, equation (3).

    Args:
      labels_a: [..., N, L], labels of N points of A.
      labels_b: [..., M, L], labels of all M cells of B.

    Returns:
      float32 [..., N, M]: log p(v|u), normalised over M, whatever the precision of the labels.

    Raises:
      ValueError: if the labels differ in length.
    """
    check_lengths(labels_a, labels_b)
    labels_a, labels_b = tf.cast(labels_a, tf.float32), tf.cast(labels_b, tf.float32)
    return tf.nn.log_softmax(tf.matmul(labels_a, labels_b, transpose_b=True), axis=-1)


def check_lengths(labels_a: tf.Tensor, labels_b: tf.Tensor) -> None:
    """Refuses labels [..., L] of A and B that differ in length; raises a ValueError."""
    if labels_a.shape[-1] != labels_b.shape[-1]:
        raise ValueError(
            f"labels of A and B must be of one length; found {labels_a.shape[-1]} and {labels_b.shape[-1]}"
        )


def best_match(log_probability: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Returns the position of the most probable cell (the argmax of equation 2).

    Args:
      log_probability: [..., N, M].
      positions: [M, 2], (x, y) of the cells of B in pixels.

    Returns:
      float32 [..., N, 2], pixels of B.
    """
    return tf.gather(positions, tf.argmax(log_probability, axis=-1, output_type=tf.int32))


def expected_match(log_probability: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Returns the mean position under p(v|u), which lies between cells.

    Args:
      log_probability: [..., N, M].
      positions: [M, 2], (x, y) of the cells of B in pixels.

    Returns:
      float32 [..., N, 2], pixels of B.
    """
    probability = tf.exp(log_probability)
    flat = tf.reshape(probability, [-1, tf.shape(positions)[0]])
    mean = tf.matmul(flat, positions)
    return tf.reshape(mean, tf.concat([tf.shape(probability)[:-1], [2]], axis=0))
