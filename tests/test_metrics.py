"""Tests of the metrics against figures worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels import metrics

# Errors in pixels: image 0 (normaliser 50): 5 and, not annotated, 100; image 1 (normaliser 200): 10 and 0.
LANDMARKS = np.array([[[10, 20], [0, 0]], [[40, 40], [7, 9]]], np.float32)
PREDICTED = np.array([[[13, 16], [60, 80]], [[40, 50], [7, 9]]], np.float32)
ANNOTATED = np.array([[1, 0], [1, 1]], np.float32)
NORMALISER = np.array([50, 200], np.float32)
# In percent: 10, then 5 and 0; the mean over the three points is 5, that over the image means 6.25.


def result_of(*batches):
    metric = metrics.PointError()
    for batch in batches:
        metric.update_state(*(tf.constant(values) for values in batch))
    return float(metric.result())


def test_every_annotated_point_weighs_the_same():
    assert result_of((PREDICTED, LANDMARKS, ANNOTATED, NORMALISER)) == pytest.approx(5.0, rel=1e-6)


def test_x_and_y_are_divided_by_the_one_normaliser_of_their_image():
    predicted = np.array([[[3, 0], [0, 4]]], np.float32)
    zeros = np.zeros_like(predicted)
    assert result_of((predicted, zeros, np.ones([1, 2], np.float32), np.array([70.0], np.float32))) == pytest.approx(
        5.0
    )


def test_batches_of_any_size_give_the_same_mean():
    everything = (PREDICTED, LANDMARKS, ANNOTATED, NORMALISER)
    assert result_of([x[:1] for x in everything], [x[1:] for x in everything]) == pytest.approx(5.0, rel=1e-6)


@pytest.mark.parametrize(
    "point, normaliser", [(500.0, 3.0), (0.0, 1.0), (0.0, 0.0)], ids=["garbage", "zero points", "all zero"]
)
def test_padding_that_is_masked_changes_nothing(point, normaliser):
    padding = [np.full([1, 2, 2], point, np.float32), np.zeros([1, 2, 2], np.float32), np.zeros([1, 2], np.float32)]
    padding.append(np.array([normaliser], np.float32))
    padded = [np.concatenate(pair) for pair in zip((PREDICTED, LANDMARKS, ANNOTATED, NORMALISER), padding)]
    assert result_of(padded) == pytest.approx(5.0, rel=1e-6)


def test_reset_forgets():
    metric = metrics.PointError()
    metric.update_state(PREDICTED + 100, LANDMARKS, ANNOTATED, NORMALISER)
    metric.reset_state()
    metric.update_state(PREDICTED, LANDMARKS, ANNOTATED, NORMALISER)
    assert float(metric.result()) == pytest.approx(5.0, rel=1e-6)
    assert metric.name == "point_error"
