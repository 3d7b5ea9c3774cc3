"""A model whose answers are known: its labels are colours, its landmarks the reddest, greenest and bluest cell."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.exporting import saved_model
from models import nearest_landmarks

SIZE, STRIDE = (30, 24), 2
COLOURS = np.eye(3, dtype=np.float32)  # red, green, blue


def network():
    """A network whose labels are thirty times the mean colour of a cell."""
    layers = [tf.keras.layers.AveragePooling2D(STRIDE), tf.keras.layers.Rescaling(30.0)]
    return tf.keras.Sequential([tf.keras.Input([None, None, 3]), *layers])


def head():
    """What finds the three colours in its labels."""
    return nearest_landmarks.NearestLandmarks(10 * COLOURS, STRIDE, upsample=4)


def smooth_images(count, size, seed, *, waves=6):
    coarse = tf.random.stateless_uniform([count, waves, waves, 3], seed=[seed, 0])
    return tf.image.resize(coarse, size, method="bicubic").numpy().clip(0, 1)


def publish(network, head, out, margin=0, *, verified=True, **options):
    """Exports; where it is not about what is served, without the comparison with the live answers, which takes long."""
    options = {"input_size": SIZE, "stride": STRIDE, "margin": margin, **options}
    with pytest.MonkeyPatch.context() as patch:
        if not verified:
            patch.setattr(saved_model, "_verify", lambda *_: None)
        return saved_model.export_saved_model(network, head, out, example_images=smooth_images(2, SIZE, 1), **options)
