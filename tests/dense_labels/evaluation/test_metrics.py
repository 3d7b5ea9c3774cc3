"""Tests of the metrics against figures worked out by hand."""

import re

import numpy as np
import pytest

from dense_labels.evaluation import metrics
from dense_labels.registry import METRICS

# Errors in pixels: image 0 (normaliser 50): 5 and, not annotated, 100; image 1 (normaliser 200): 10 and 0.
LANDMARKS = np.array([[[10, 20], [0, 0]], [[40, 40], [7, 9]]], np.float32)
PREDICTED = np.array([[[13, 16], [60, 80]], [[40, 50], [7, 9]]], np.float32)
ANNOTATED = np.array([[1, 0], [1, 1]], np.float32)
NORMALISER = np.array([50, 200], np.float32)
# In percent: 10, then 5 and 0; the mean over the three points is 5, that over the image means 6.25.


ALL = (PREDICTED, LANDMARKS, ANNOTATED, NORMALISER)
ERRORS = np.array([2.0, 4.0, 10.0, 30.0])  # of four images


def test_every_annotated_point_weighs_the_same():
    assert metrics.mean_error(*ALL) == pytest.approx(5.0)


def test_x_and_y_are_divided_by_the_one_normaliser_of_their_image():
    predicted = np.array([[[3, 0], [0, 4]]], np.float32)
    assert metrics.mean_error(predicted, np.zeros_like(predicted), np.ones([1, 2]), np.array([70.0])) == pytest.approx(
        5
    )


@pytest.mark.parametrize(
    "point, normaliser", [(500.0, 3.0), (0.0, 1.0), (0.0, 0.0)], ids=["garbage", "zero points", "all zero"]
)
def test_padding_that_is_masked_changes_nothing(point, normaliser):
    padding = [np.full([1, 2, 2], point, np.float32), np.zeros([1, 2, 2], np.float32), np.zeros([1, 2], np.float32)]
    padding.append(np.array([normaliser], np.float32))
    assert metrics.mean_error(*(np.concatenate(pair) for pair in zip(ALL, padding))) == pytest.approx(5.0)


def test_image_errors_are_means_over_each_images_annotated_points():
    np.testing.assert_allclose(metrics.image_errors(*ALL), [10, 2.5])


def test_an_image_without_annotated_points_has_no_error():
    garbage = np.full([1, 2, 2], np.nan), np.full([1, 2, 2], 1e9), np.zeros([1, 2]), np.zeros([1])
    for order in (slice(None), slice(None, None, -1)):
        everything = [np.concatenate([*pair][order]) for pair in zip(ALL, garbage)]
        np.testing.assert_allclose(metrics.image_errors(*everything), [10, 2.5])
        assert metrics.pck_curve(*everything, [0.05], average="images") == pytest.approx([0.5])


def test_failures_are_above_the_threshold():
    assert metrics.failure_rate(ERRORS) == 0.25  # 10 is not above 10
    assert metrics.failure_rate([1.0, np.nan]) == 0.5  # what cannot be measured is no success


def test_cumulative_errors_include_the_threshold():
    np.testing.assert_allclose(
        metrics.cumulative_error_curve(ERRORS, [0, 2, 3.9, 4, 10, 30]), [0, 0.25, 0.25, 0.5, 0.75, 1]
    )


def test_area_under_cumulative_errors():
    # (10 - 2) + (10 - 4) + 0 + 0 of 4 images times 10.
    assert metrics.area_under_cumulative_error(ERRORS) == pytest.approx(14 / 40)
    thresholds = np.linspace(0, 10, 100001)
    curve = metrics.cumulative_error_curve(ERRORS, thresholds)
    assert np.sum(np.diff(thresholds) * curve[1:]) / 10 == pytest.approx(14 / 40, abs=1e-4)


@pytest.mark.parametrize(
    "average, curve, area",
    # Of the points: 0, 5 and 10 %. Of the images: 10 % alone, then 0 and 5 % with half the weight each.
    [
        ("points", [1 / 3, 1 / 3, 2 / 3, 2 / 3, 1], (10 + 5 + 0) / 30),
        ("images", [1 / 4, 1 / 4, 1 / 2, 1 / 2, 1], 15 / 40),
    ],
)
def test_pck_of_points_and_of_images(average, curve, area):
    found = metrics.pck_curve(*ALL, [0, 0.04, 0.05, 0.09, 0.1], average=average)
    np.testing.assert_allclose(found, curve)
    assert metrics.area_under_pck(*ALL, 0.1, average=average) == pytest.approx(area)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: metrics.pck_curve(*ALL, [0.1], average="pairs"),
            "average='pairs': there is no such average; choose points, images",
        ),
        (
            lambda: metrics.image_errors(*ALL[:2], 0 * ANNOTATED, NORMALISER),
            "no point is annotated: there is nothing to measure",
        ),
        (
            lambda: metrics.image_errors(*ALL[:3], np.array([50.0, 0.0])),
            "the normaliser of image 1 is 0.0; it must be positive pixels",
        ),
        (
            lambda: metrics.mean_error(*ALL[:3], NORMALISER[:, np.newaxis]),
            "normaliser [N]; found shapes (2, 2, 2), (2, 2, 2), (2, 2) and (2, 1)",
        ),
        (
            lambda: metrics.mean_error(np.ones([2, 2, 3]), *ALL[1:]),
            "predicted and landmarks must be [N, K, 2], annotated [N, K] and normaliser [N]; found shapes (2, 2, 3)",
        ),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("name", ["cumulative_area", "pck_area"])
def test_the_areas_of_an_evaluation_reach_as_far_as_their_words_say(name):
    """One point is off by a share of what errors are divided by: the area is what is left up to 10 %."""
    metric = METRICS[name]
    for off, area in ((0.0, 1.0), (0.04, 0.6), (0.1, 0.0)):
        points = metrics.Measured(np.array([[[off, 0.0]]]), np.zeros([1, 1, 2]), np.ones([1, 1]), np.ones(1))
        assert metric.value(points) == pytest.approx(area)
    assert metric.words.startswith("area under ") and metric.words.endswith(" to 10 %")
