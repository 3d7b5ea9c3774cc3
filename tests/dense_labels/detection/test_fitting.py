"""A training of a detector whose loss is not finite."""

import types

import pytest
import tensorflow as tf

from dense_labels.detection import fitting


def test_a_loss_that_is_not_finite_is_an_error_and_is_not_kept(monkeypatch):
    losses = iter([1.0, float("nan"), 1.0])
    monkeypatch.setattr(fitting, "_training_step", lambda *_: lambda batch: next(losses))
    monkeypatch.setattr(fitting, "_KEPT_EVERY", 2)
    layer = tf.keras.layers.Dense(1)
    layer.build([None, 1])
    detector = types.SimpleNamespace(network=layer, head=tf.keras.layers.ReLU(), variables=[])
    kept = types.SimpleNamespace(read=lambda *_: None, write=lambda *_: pytest.fail("it is not to be kept"))
    batches = tf.data.Dataset.range(3).map(lambda index: (index,))
    with pytest.raises(FloatingPointError, match="detector: the loss is not finite after 2 of 3 steps; fit it again"):
        fitting._train(detector, lambda start: batches, 3, "detector", kept)
