"""Tests of the figures about confidence against numbers worked out by hand and against plain loops."""

import itertools

import numpy as np
import pytest

from dense_labels.evaluation import confidence

ERRORS = [4.0, 1.0, 3.0, 0.0]


# --- risk and coverage ---


def test_risk_of_each_share_by_hand():
    coverage, risk = confidence.risk_coverage(ERRORS, [0.1, 0.9, 0.8, 0.5])  # the order 1, 3, 0, 4
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    np.testing.assert_allclose(risk, [1, 2, 4 / 3, 2])
    assert confidence.area_under_risk_coverage(ERRORS, [0.1, 0.9, 0.8, 0.5]) == pytest.approx((1 + 2 + 4 / 3 + 2) / 4)


def test_only_the_order_of_confidence_counts():
    first = confidence.risk_coverage(ERRORS, [1, 2, 3, 4])[1]
    np.testing.assert_array_equal(first, confidence.risk_coverage(ERRORS, [-7.0, 0.0, 1e-9, 1e30])[1])


def test_equal_confidences_are_as_good_as_the_mean_of_their_orders():
    """The middle two are tied; by hand the curve is that of the order 1, 3.5, 3.5, 0; then all orders of a tie of 4."""
    _, risk = confidence.risk_coverage(ERRORS, [0.5, 0.9, 0.5, 0.1])
    np.testing.assert_allclose(risk, [1, 4.5 / 2, 8 / 3, 2])
    orders = [np.cumsum(order) / [1, 2, 3, 4] for order in itertools.permutations(ERRORS)]
    np.testing.assert_allclose(confidence.risk_coverage(ERRORS, [3] * 4)[1], np.mean(orders, axis=0))


def test_the_reference_areas_bound_what_a_confidence_can_do():
    random, oracle = confidence.reference_areas(ERRORS)
    assert random == pytest.approx(2)
    assert oracle == pytest.approx((0 + 1 / 2 + 4 / 3 + 2) / 4)
    areas = [confidence.area_under_risk_coverage(ERRORS, order) for order in itertools.permutations(range(4))]
    assert min(areas) == pytest.approx(oracle)
    assert np.mean(areas) == pytest.approx(random)


# --- reliability ---


def test_reliability_by_hand():
    correct = [0, 1, 1, 0, 1, 1]
    mean, share, count = confidence.reliability(correct, [10, 60, 30, 20, 50, 40], 3)
    np.testing.assert_allclose(mean, [15, 35, 55])
    np.testing.assert_allclose(share, [0, 1, 1])
    assert count.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    "correct, values, expected",
    [
        ([1, 0, 0, 1, 1], [1, 1, 1, 1, 7], ([1, 7], [0.5, 1], [4, 1])),
        ([1, 0, 0, 1, 1], [0, 7, 7, 7, 7], ([0, 7], [1, 0.5], [1, 4])),
        ([1, 0, 0, 1, 1], [2, 2, 2, 2, 2], ([2], [0.6], [5])),
    ],
)
def test_what_is_of_equal_confidence_stays_in_one_bin(correct, values, expected):
    mean, share, count = confidence.reliability(correct, values, 4)
    assert (mean.tolist(), share.tolist(), count.tolist()) == expected


def test_one_bin_is_the_mean():
    mean, share, count = confidence.reliability([1, 0, 0, 1], [1, 2, 3, 6], 1)
    assert (mean.tolist(), share.tolist(), count.tolist()) == ([3.0], [0.5], [4])


# --- ROC ---


def test_roc_area_by_hand():
    # Positives 3 and 1 against negatives 2, 1 and 0: 3 is above all three; 1 is above 0 and ties with 1.
    assert confidence.roc_area([1, 1, 0, 0, 0], [3, 1, 2, 1, 0]) == pytest.approx((3 + 1.5) / 6)


@pytest.mark.parametrize("score, area", [([1, 2, 3, 4], 1.0), ([4, 3, 2, 1], 0.0), ([5, 5, 5, 5], 0.5)])
def test_roc_area_at_its_extremes(score, area):
    assert confidence.roc_area([False, False, True, True], score) == area


def test_roc_area_is_how_often_a_positive_is_above_a_negative():
    rng = np.random.default_rng(0)
    positive, score = rng.uniform(size=60) < 0.4, rng.integers(8, size=60)
    pairs = [(a > b) + 0.5 * (a == b) for a in score[positive] for b in score[~positive]]
    assert confidence.roc_area(positive, score) == pytest.approx(np.mean(pairs))


# --- bootstrap ---


def test_the_interval_is_that_of_the_central_limit():
    values = np.random.default_rng(0).normal(3, 2, size=2000)
    low, high = confidence.bootstrap_interval(values, seed=1)
    half = 1.96 * values.std() / np.sqrt(2000)
    np.testing.assert_allclose([low, high], values.mean() + np.array([-half, half]), atol=0.1 * half)
    narrow = confidence.bootstrap_interval(values, seed=1, level=0.5)
    assert (narrow[1] - narrow[0]) / (high - low) == pytest.approx(0.674 / 1.96, rel=0.1)


def test_the_interval_of_a_seed_is_always_the_same():
    values = np.random.default_rng(0).normal(size=30)
    assert confidence.bootstrap_interval(values, seed=1) == confidence.bootstrap_interval(values, seed=1)
    assert confidence.bootstrap_interval(values, seed=1) != confidence.bootstrap_interval(values, seed=2)


def test_groups_are_drawn_whole():
    """Values copied 50 times say no more than once; drawn singly they would be believed."""
    once = np.random.default_rng(0).normal(size=40)
    images = np.arange(40)
    expected = confidence.bootstrap_interval(once, seed=3)
    found = confidence.bootstrap_interval(np.tile(once, 50), seed=3, groups=np.tile(images, 50))
    np.testing.assert_allclose(found, expected)
    believed = confidence.bootstrap_interval(np.tile(once, 50), seed=3)
    assert believed[1] - believed[0] < 0.3 * (expected[1] - expected[0])


def test_groups_weigh_as_many_values_as_they_have():
    """Two groups, 3 values of 1 and 1 of 5: the means are 1, 2 (one of each, in half of the draws) and 5."""
    drawn = confidence.bootstrap_interval([1, 1, 1, 5], groups=["a", "a", "a", "b"], seed=0, level=0.9)
    assert drawn == (1, 5)
    assert confidence.bootstrap_interval([1, 1, 1, 5], groups=["a", "a", "a", "b"], seed=0, level=0.2) == (2, 2)


def test_a_paired_difference_is_surer_than_its_parts():
    rng = np.random.default_rng(0)
    hard = rng.normal(10, 5, size=100)
    first, second = hard + rng.normal(-0.5, 0.1, size=100), hard + rng.normal(0, 0.1, size=100)
    low, high = confidence.paired_bootstrap_interval(first, second, seed=0)
    assert -0.6 < low < high < -0.4
    assert (low, high) == confidence.bootstrap_interval(first - second, seed=0)
    alone = confidence.bootstrap_interval(first, seed=0)
    assert alone[1] - alone[0] > 1


# --- errors ---


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: confidence.risk_coverage([1, 2], [1]), r"found shapes errors \(2,\), confidence \(1,\)"),
        (lambda: confidence.risk_coverage([[1, 2]], [[1, 2]]), r"one number is needed for each case.*errors \(1, 2\)"),
        (lambda: confidence.risk_coverage([], []), "errors: there is nothing to measure"),
        (lambda: confidence.risk_coverage([1, 2], [1, np.nan]), "confidence: case 1 is not a finite number"),
        (lambda: confidence.reference_areas([np.inf, 1]), "errors: case 0 is not a finite number"),
        (lambda: confidence.reliability([1, 0], [1, 2], 0), "bins=0: there must be at least 1"),
        (lambda: confidence.roc_area([1, 1], [1, 2]), "an ROC needs positives and negatives; found 2 and 0"),
        (lambda: confidence.bootstrap_interval([1, 2], seed=0, level=1.0), "level=1.0: must be between 0 and 1"),
        (lambda: confidence.bootstrap_interval([1, 2], seed=0, draws=0), "draws=0: there must be at least 1"),
        (
            lambda: confidence.bootstrap_interval([1, 2], seed=0, groups=[1]),
            r"groups must be one for each value; found shapes \(1,\) and \(2,\)",
        ),
        (
            lambda: confidence.paired_bootstrap_interval([1, 2], [1], seed=0),
            r"found shapes first \(2,\), second \(1,\)",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
