"""Tests of calibration: planted lines are found, few images tell means alone, and a calibrated head answers them."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.evaluation import calibration

SLOPE, OFFSETS = -0.5, np.array([0.5, 1.5])


def planted(count, seed=0):
    """Scores [count, 2], and distances whose logarithms are lines in their logits, but for noise."""
    random = np.random.default_rng(seed)
    odds = random.normal(size=[count, 2]) + [-1, 1]  # the second landmark has higher scores
    distances = np.exp(OFFSETS + SLOPE * odds + 0.2 * random.normal(size=[count, 2]))
    return 1 / (1 + np.exp(-odds)), distances


def answered(found, scores):
    """The expected errors and likelihoods of scores."""
    head = calibration.CalibratedHead(lambda labels: {"points": labels, "score": labels[..., 0]}, found)
    values = tf.constant(np.repeat(np.float32(scores)[..., np.newaxis], 2, axis=-1))
    return {name: value.numpy() for name, value in head(values).items()}


def test_errors_are_expected_as_they_were():
    scores, distances = planted(2000)
    found = calibration.fit(scores, distances, distances / 50)
    np.testing.assert_allclose(found["expected"][:, 1], SLOPE, atol=0.02)
    np.testing.assert_allclose(found["expected"][:, 0], OFFSETS + 0.2**2 / 2, atol=0.02)  # the mean of a lognormal
    expected = answered(found, scores)["expected_error"]
    np.testing.assert_allclose(expected.mean(axis=0), distances.mean(axis=0), rtol=0.01)
    new_scores, new = planted(2000, seed=1)
    for low, high in ((0, 0.3), (0.3, 0.6), (0.6, 1)):
        rows = (new_scores > low) & (new_scores < high)
        assert answered(found, new_scores)["expected_error"][rows].mean() == pytest.approx(new[rows].mean(), rel=0.05)


def test_the_slope_of_few_distances_is_drawn_to_0_as_by_two_a_logit_away():
    scores, distances = planted(10)
    scores, distances = scores.reshape(20, 1), distances.reshape(20, 1)
    found = calibration.fit(scores, distances, distances / 50)
    x, y = np.log(scores / (1 - scores))[:, 0], np.log(distances)[:, 0]
    x, y = x - x.mean(), y - y.mean()
    assert found["expected"][0, 1] == pytest.approx(x @ y / (x @ x + 2), rel=1e-4)


def test_likelihoods_are_shares_of_what_is_nearly_right():
    scores, distances = planted(4000)
    found = calibration.fit(scores, distances, distances / 50)
    new_scores, new = planted(4000, seed=1)
    likelihood, near = answered(found, new_scores)["likelihood"], new / 50 <= calibration.NEAR
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1)):
        rows = (likelihood > low) & (likelihood < high)
        assert rows.sum() > 100 and near[rows].mean() == pytest.approx(likelihood[rows].mean(), abs=0.05)
    order = np.argsort(new_scores[:, 0])
    assert (np.diff(likelihood[order, 0]) >= 0).all()


def test_its_likelihood_is_that_of_platt_in_plain_numpy():
    """Where the loss is least its slope is 0: by finite differences, in offset, slope and each landmark's own."""
    scores, distances = planted(60)
    odds, near = np.log(scores / (1 - scores)), distances / 50 <= calibration.NEAR
    target = np.where(near, (near.sum() + 1) / (near.sum() + 2), 1 / ((~near).sum() + 2))
    offsets, slope = (calibration.fit(scores, distances, distances / 50)["likely"][:, n] for n in range(2))

    def loss(offset, own, slope):
        likelihood = 1 / (1 + np.exp(-(offset + own + slope * odds)))
        entropy = -target * np.log(likelihood) - (1 - target) * np.log(1 - likelihood)
        return entropy.sum() + 0.5 * np.sum(own**2) + 0.5 * slope**2 / 4

    best = offsets.mean(), offsets - offsets.mean(), slope[0]  # of two numbers and their sum the prior makes least
    for step in ((1, 0, 0), (0, np.array([1, 0]), 0), (0, np.array([0, 1]), 0), (0, 0, 1)):
        up, down = ([part + sign * 1e-4 * np.asarray(move) for part, move in zip(best, step)] for sign in (1, -1))
        assert (loss(*up) - loss(*down)) / 2e-4 == pytest.approx(0, abs=2e-3)


def test_presence_is_the_share_of_what_is_annotated_at_a_score():
    """Two landmarks, of which the first is left out more often, and both the more often the lower their scores are."""
    scores, distances = planted(4000)
    random = np.random.default_rng(2)
    shown = random.uniform(size=scores.shape) < 1 / (1 + np.exp(-(np.log(scores / (1 - scores)) + [1, 3])))
    shares = np.where(shown, distances / 50, np.nan)
    found = calibration.fit(scores, np.where(shown, distances, np.nan), shares, shown)
    present = answered(found, scores)["present"]
    for landmark in range(2):
        for low, high in ((0, 0.4), (0.4, 0.7), (0.7, 0.95)):
            rows = (scores[:, landmark] > low) & (scores[:, landmark] < high)
            share = shown[rows, landmark].mean()
            assert rows.sum() > 100 and present[rows, landmark].mean() == pytest.approx(share, abs=0.04)
    without = calibration.fit(scores, np.where(shown, distances, np.nan), shares)
    assert set(without) == {"expected", "likely"}
    np.testing.assert_array_equal(without["likely"], found["likely"])


def test_of_landmarks_that_are_nearly_always_annotated_nothing_is_said():
    scores, distances = planted(30)
    shown = np.ones([30, 2], bool)
    shown[:4, 0] = False
    assert "present" not in calibration.fit(scores, distances, distances / 50, shown)
    shown[4:6] = False  # nobody has looked at these images
    assert "present" not in calibration.fit(scores, distances, distances / 50, shown)
    shown[4] = False, True
    assert "present" in calibration.fit(scores, distances, distances / 50, shown)


def test_a_landmark_without_a_score_where_it_is_annotated_is_as_present_as_all():
    """One whose annotated images are all in one part, which heads that never saw it were asked about."""
    scores, distances = (np.concatenate([each, each[:, :1]], axis=1) for each in planted(60))
    shown = np.random.default_rng(0).uniform(size=[60, 3]) < 0.7
    scores[:20, 2], shown[:, 2] = np.nan, False
    found = calibration.fit(scores, distances, distances / 50, shown)["present"]
    assert found[:2, 0].min() - 0.01 <= found[2, 0] <= found[:2, 0].max() + 0.01


def test_few_distances_tell_their_mean_alone_drawn_towards_that_of_all():
    scores, distances = np.full([4, 2], 0.5), np.float64([[1, 3]] * 4)
    scores[0] = 0.9
    found = calibration.fit(scores, distances, distances / 50)
    np.testing.assert_allclose(np.exp(found["expected"][:, :2]), [[(4 + 10) / 9, 1], [(12 + 10) / 9, 1]])
    assert (found["likely"][:, 1] == 0).all() and found["likely"][0, 0] > found["likely"][1, 0]


@pytest.mark.parametrize("scores", [np.full([40, 1], 0.7), np.linspace(0.1, 0.9, 40)[:, np.newaxis]])
def test_a_score_that_says_nothing_leaves_the_mean_distance(scores):
    """One that never changes, and one that is higher where the distance is."""
    distances = np.linspace(1, 9, 40)[:, np.newaxis]
    found = calibration.fit(scores, distances, distances / 100)
    np.testing.assert_allclose(found["expected"][:, :2], [[np.log(5), 0]], atol=1e-12)
    assert found["likely"][0, 1] == pytest.approx(0, abs=1e-6)
    share = 1 / (1 + np.exp(-found["likely"][0, 0]))
    assert share == pytest.approx(np.mean(distances <= 5), abs=0.01)


def test_what_is_not_known_is_left_out():
    scores, distances = planted(30)
    whole = calibration.fit(scores[:25], distances[:25], distances[:25] / 50)
    distances[25:], scores[27] = np.nan, np.nan
    found = calibration.fit(scores, distances, distances / 50)
    for name, lines in whole.items():
        np.testing.assert_allclose(found[name], lines, atol=1e-6)
    assert set(calibration.fit(scores, distances, np.full_like(distances, np.nan))) == {"expected"}
    assert calibration.fit(scores[25:], distances[25:], distances[25:]) == {}
    distances[:, 1] = np.nan  # a landmark that nobody has seen is as the other
    np.testing.assert_allclose(*calibration.fit(scores, distances, distances)["expected"], rtol=1e-6)


def test_a_head_answers_what_is_known_and_keeps_its_own():
    found = answered({"expected": np.array([1.0, -0.5])}, np.full([3, 4], 0.5))  # as earlier versions kept it
    np.testing.assert_allclose(found["expected_error"], np.full([3, 4], np.e), rtol=1e-6)
    assert set(found) == {"points", "score", "expected_error"} and set(answered({}, [[0.5]])) == {"points", "score"}
    own = lambda labels: {"score": labels, "expected_error": labels + 1}  # noqa: E731
    head = calibration.CalibratedHead(own, {"expected": np.array([1.0, 0.0])})
    np.testing.assert_array_equal(head(tf.constant([[0.5]]))["expected_error"], [[1.5]])
    extreme = answered({"expected": np.array([[0.0, -1.0]]), "likely": np.array([[0.0, 1.0]])}, [[0.0], [1.0]])
    np.testing.assert_allclose(extreme["expected_error"], np.exp([[12.0], [-7.0]]), rtol=1e-5)
    assert (extreme["likelihood"] > 0).all() and (extreme["likelihood"] < 1).all()


def test_it_asks_for_no_operation_that_onnx_lacks():
    line = np.array([[0.0, 1.0, -12.0, 7.0]])
    head = calibration.CalibratedHead(lambda score: {"score": score}, {key: line for key in calibration.KEYS})
    graph = tf.function(head).get_concrete_function(tf.TensorSpec([1, 1], tf.float32)).graph
    assert {operation.type for operation in graph.get_operations()} & {"Log1p", "Expm1"} == set()


def test_what_an_earlier_version_kept_of_a_detector_is_answered_as_it_was():
    """Logits to 12, not 7: a line for all landmarks was fitted to such."""
    scores = np.array([[0.99999, 0.5], [1e-5, 1.0]])
    found = answered({"expected": np.array([1.0, -0.3])}, scores)["expected_error"]
    odds = np.array([[11.5129, 0], [-11.5129, 12]])
    np.testing.assert_allclose(found, np.exp(1 - 0.3 * odds), rtol=2e-3)  # as near as float32 tells a score from 1


def test_scores_that_hardly_differ_tell_no_slope_and_none_is_followed_beyond_them():
    """20 distances that have nothing to do with their scores, and later scores far below all that were seen."""
    for seed in range(200):
        random = np.random.default_rng(seed)
        odds, distances = 0.05 * random.normal(size=[10, 2]), random.rayleigh(2.8, size=[10, 2])
        found = calibration.fit(1 / (1 + np.exp(-odds)), distances, distances / 50)
        assert found["expected"][0, 1] > -0.5 and found["likely"][0, 1] < 1
        np.testing.assert_allclose(found["expected"][:, 2:], [[odds.min(), odds.max()]] * 2, atol=1e-6)
        below = answered(found, 1 / (1 + np.exp(2 - odds)))
        assert (below["expected_error"] < 1.2 * distances.mean(axis=0).max()).all()
        least = answered(found, np.full([1, 2], 1 / (1 + np.exp(-odds.min()))))
        np.testing.assert_allclose(below["likelihood"], np.repeat(least["likelihood"], 10, axis=0), rtol=1e-4)


def test_a_score_that_is_nearly_always_1_tells_no_slope():
    odds, distances = np.full([20, 1], 9.0), np.full([20, 1], 2.0)
    odds[:3, 0], distances[:3] = [6.9, 6.95, 6.99], 6
    found = calibration.fit(1 / (1 + np.exp(-odds)), distances, distances / 50)
    assert -0.1 < found["expected"][0, 1] <= 0 and found["likely"][0, 1] < 1
    assert answered(found, [[0.5]])["expected_error"] < 3


def test_a_landmark_with_other_scores_than_the_rest_is_expected_to_be_off_as_it_was():
    """What is common to all counts as much as five distances of that landmark, wherever its scores are."""
    random = np.random.default_rng(0)
    odds = random.normal(size=[40, 2]) + [-4, 4]
    distances = np.exp(1.5 - (odds - [-4, 4]))  # the first is no farther off for its low scores
    found = calibration.fit(1 / (1 + np.exp(-odds)), distances, distances / 50)
    expected = answered(found, 1 / (1 + np.exp(-odds)))["expected_error"].mean(axis=0)
    assert found["expected"][0, 1] < -0.8 and (expected > 0.8 * distances.mean(axis=0)).all()
