"""Labelled images of which each holds its own number, so that a test sees which ones were used, and heads on them."""

import numpy as np
import tensorflow as tf

from dense_labels.batches import LabelledLandmarks, LabelMap

COUNT, CELLS, STRIDE = 12, 4, 2


def images():
    """Labels that hold the number of their image; landmarks that are 10 times that, and a picture twice as wide."""
    numbers = np.arange(COUNT, dtype=np.float32)
    labels = np.tile(numbers[:, np.newaxis, np.newaxis, np.newaxis], [1, CELLS, CELLS, 1])
    return LabelledLandmarks(
        labels=LabelMap(labels, STRIDE),
        landmarks=np.float32(np.stack([10 * numbers, 10 * numbers + 1], axis=1)[..., np.newaxis] * [1, 0]),
        annotated=np.ones([COUNT, 2], np.float32),
        scale=np.tile(np.float32([2, 1]), [COUNT, 1]),
        normaliser=np.full(COUNT, 50, np.float32),
        picture=np.arange(COUNT),
    )


class Offset(tf.keras.layers.Layer):
    """Knows the landmarks but for an offset along x, which it is fitted with."""

    def __init__(self, offset):
        super().__init__()
        self.offset = offset

    def call(self, labels):
        x = 10 * labels[:, 0, 0] + tf.constant([0.0, 1.0]) + self.offset  # [N, 2]
        return {"points": tf.stack([x, tf.zeros_like(x)], axis=-1), "score": tf.ones_like(x)}


def fit(offset, seen=None):
    """A fit that notes the images it is given."""

    def fitted(images):
        if seen is not None:
            seen.append(sorted(images.labels.values[:, 0, 0, 0].astype(int).tolist()))
        return Offset(offset)

    return fitted
