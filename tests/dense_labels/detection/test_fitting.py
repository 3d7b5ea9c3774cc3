"""How detectors are trained: the loss and its learning rate, what they are told of the images, and a loss of nan."""

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.config import ViewsConfig
from dense_labels.detection import fitting, shapes
from models.detectors import Detector
from tests.models import labelled


@pytest.fixture
def pairs():
    """Eight dark images with a bright square, whose centre and a place to the right of it are the landmarks."""
    squares = labelled.squares(8, (64, 96), [24, 16], [72, 48])
    beside = np.concatenate([squares.landmarks, squares.landmarks + np.float32([20, 4])], axis=1)
    return dataclasses.replace(squares, landmarks=beside, annotated=squares.annotated.repeat(2, axis=1))


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


def test_variables_that_are_not_finite_are_not_kept_though_the_loss_was():
    """The loss is that of the variables before the step."""
    variables = [tf.Variable([1.0, 2.0]), tf.Variable([[0.5]])]
    assert fitting._is_finite(tf.constant(1.0), variables)
    variables[1].assign([[np.inf]])
    assert not fitting._is_finite(tf.constant(1.0), variables)


@pytest.mark.usefixtures("small_networks")
def test_landmarks_count_in_the_loss_as_much_as_they_are_known():
    detector = Detector.create(2, (32, 48), weights="none", seed=0)
    step = fitting._training_step(detector, tf.keras.optimizers.SGD(0.0), detector.head.trainable_variables)
    images, places = tf.random.stateless_uniform([1, 32, 48, 3], [0, 1]), tf.constant([[[20.0, 16.0], [0.0, 0.0]]])
    weights = [[1, 0], [0, 1], [1, 0.5], [0, 0]]
    first, second, both, none = (float(step(images, places, tf.constant([each], tf.float32))) for each in weights)
    scores = detector.head.logits(detector.network(images, training=True)).numpy()[0]
    y, x = np.mgrid[: scores.shape[0], : scores.shape[1]] + 0.5  # in cells; a target falls with 1.5 of them
    targets = [np.exp(-((x - left / 4) ** 2 + (y - top / 4) ** 2) / (2 * 1.5**2)) for left, top in places[0].numpy()]
    entropies = np.logaddexp(0, scores) - np.stack(targets, axis=-1) * scores
    assert [first, second] == pytest.approx(entropies.sum(axis=(0, 1)).tolist(), rel=1e-4)
    assert both == pytest.approx((first + 0.5 * second) / 1.5, rel=1e-5) and none == 0


def test_the_learning_rate_rises_for_50_steps_and_falls_to_0_along_a_cosine():
    rate = fitting.warmed_up(1e-3, 400)
    found = [float(rate(step)) for step in (25, 50, 225, 400)]
    np.testing.assert_allclose(found, [5.1e-4, 1e-3, 5e-4, 0], atol=1e-5)


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize("upside_down", [False, True])
def test_a_detector_sees_mirror_images_as_its_training_shows_them(pairs, monkeypatch, upside_down):
    shown = []
    monkeypatch.setattr(fitting, "_train", lambda _, views_from, *rest: shown.append(views_from.keywords))
    settings = fitting.Settings(ViewsConfig(), "none", 0, flip_pairs=((0, 1),), upside_down=upside_down)
    detector = fitting.fit(pairs, settings).plain
    assert detector.head.exchanged == (1, 0) and ("upside_down" in detector.state()) == upside_down
    assert shown[0]["flip_pairs"] == ((0, 1),) and shown[0]["upside_down"] == upside_down


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize("times", [1, 2])
def test_landmarks_are_looked_for_as_far_apart_as_the_annotated_ones_lie(pairs, monkeypatch, times):
    """In pixels of the images that the network sees."""
    monkeypatch.setattr(fitting, "_train", lambda *_: None)
    detector = fitting.fit(pairs, fitting.Settings(ViewsConfig(), "none", 0, times=times)).plain
    np.testing.assert_array_equal(detector.head.reach, shapes.reach(fitting.shrunk(pairs, times)))
    assert np.isfinite(detector.head.reach).any()
