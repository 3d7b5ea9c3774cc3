"""What the tests of detection share."""

import pytest
import tensorflow as tf

from models import pyramids


@pytest.fixture
def small_networks(monkeypatch):
    """Gives new detectors networks of one convolution, which are made in no time."""

    def features(*_, **__):
        layer = tf.keras.layers.Conv2D(pyramids.CHANNELS, pyramids.STRIDE, strides=pyramids.STRIDE)
        return tf.keras.Sequential([tf.keras.Input([None, None, 3]), layer])

    monkeypatch.setattr(pyramids, "features", features)
