"""Figures of merit as Keras metrics; each names what it divides by and how it averages."""

import tensorflow as tf


class PointError(tf.keras.metrics.Mean):
    """Mean distance between predicted and annotated points, in percent of a normaliser.

    Every annotated point of every image weighs the same (a mean over points, not a mean over image means). Both x and
    y are divided by the one normaliser of their image.
    """

    def __init__(self, name="point_error", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, predicted, landmarks, annotated, normaliser):
        """Adds a batch.

        Args:
          predicted: [B, K, 2], (x, y) in pixels.
          landmarks: [B, K, 2], in pixels of the same image.
          annotated: [B, K], 1 where the landmark counts, else 0.
          normaliser: [B], in pixels: the image's width, an eye distance, ...
        """
        error = 100.0 * tf.norm(predicted - landmarks, axis=-1) / normaliser[:, tf.newaxis]
        counted = tf.where(annotated > 0, error, 0.0)  # what is not annotated may hold anything
        return super().update_state(counted, sample_weight=annotated)
