"""Tests of equation (3) against plain loops, and of what is read from it against planted labels."""

import math

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.method import geometry, matching

HEIGHT, WIDTH = 4, 6


def log_probability_by_loops(labels_a, labels_b):
    """Equation (3) in float64, one u and one v at a time."""
    result = np.zeros([len(labels_a), len(labels_b)])
    for u, a in enumerate(np.asarray(labels_a, np.float64)):
        scores = [sum(x * y for x, y in zip(a, b)) for b in np.asarray(labels_b, np.float64)]
        top = max(scores)
        normaliser = top + math.log(sum(math.exp(score - top) for score in scores))
        for v, score in enumerate(scores):
            result[u, v] = score - normaliser
    return result


def positions():
    return tf.reshape(geometry.cell_centres(HEIGHT, WIDTH, 2), [-1, 2])


@pytest.mark.parametrize("length", [2, 3, 20])
def test_log_probability_is_equation_3(length):
    rng = np.random.default_rng(length)
    labels_a, labels_b = 2 * rng.normal(size=[2, 7, length]), 2 * rng.normal(size=[2, 11, length])
    found = matching.match_log_probability(tf.constant(labels_a, tf.float32), tf.constant(labels_b, tf.float32))
    expected = [log_probability_by_loops(a, b) for a, b in zip(labels_a, labels_b)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_probabilities_of_the_places_in_b_sum_to_one_for_each_point_of_a():
    found = matching.match_log_probability(tf.random.normal([5, 3]), tf.random.normal([9, 3]))
    np.testing.assert_allclose(np.exp(found).sum(axis=-1), 1, atol=1e-5)


def test_a_shorter_label_of_a_is_less_certain():
    label_a, labels_b = tf.random.normal([1, 3]), tf.random.normal([9, 3])
    entropy = []
    for scale in (3.0, 1.0, 0.3, 0.0):
        log_p = matching.match_log_probability(scale * label_a, labels_b).numpy()
        entropy.append(-np.sum(np.exp(log_p) * log_p))
    assert entropy == sorted(entropy)
    assert entropy[-1] == pytest.approx(math.log(9), rel=1e-6)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_half_precision_labels_are_compared_in_float32(dtype):
    rng = np.random.default_rng(0)
    labels_a, labels_b = (tf.cast(4 * rng.normal(size=[n, 3]), dtype) for n in (6, 8))
    found = matching.match_log_probability(labels_a, labels_b)
    assert found.dtype == tf.float32
    expected = log_probability_by_loops(tf.cast(labels_a, tf.float64), tf.cast(labels_b, tf.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_large_labels_do_not_overflow():
    found = matching.match_log_probability(tf.constant([[100.0, 0]]), tf.constant([[100.0, 0], [0, 100], [-100, 0]]))
    np.testing.assert_allclose(found, [[0, -10_000, -20_000]], atol=1e-2)


def test_labels_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="labels of A and B must be of one length; found 3 and 4"):
        matching.match_log_probability(tf.zeros([5, 3]), tf.zeros([5, 4]))


@pytest.mark.parametrize("read", [matching.best_match, matching.expected_match])
def test_sharp_labels_are_found_at_exactly_their_cell(read):
    labels = 100 * tf.eye(HEIGHT * WIDTH)
    order = np.random.default_rng(0).permutation(HEIGHT * WIDTH)
    log_p = matching.match_log_probability(tf.gather(labels, order), labels)
    centres = [[2 * (cell % WIDTH) + 1, 2 * (cell // WIDTH) + 1] for cell in order]
    np.testing.assert_allclose(read(log_p, positions()), centres, atol=1e-4)


def test_a_constant_label_is_expected_in_the_middle_of_the_map():
    log_p = matching.match_log_probability(tf.random.normal([2, 5, 3]), tf.ones([2, HEIGHT * WIDTH, 3]))
    np.testing.assert_allclose(
        matching.expected_match(log_p, positions()), np.tile([WIDTH, HEIGHT], [2, 5, 1]), rtol=1e-5
    )


def test_two_equal_peaks_are_expected_half_way_and_best_at_the_higher():
    scores = np.full([1, 1, HEIGHT * WIDTH], -100.0)
    scores[..., 1 * WIDTH + 1], scores[..., 3 * WIDTH + 4] = 0.0, math.log(3)  # (3, 3) and (9, 7), one to three
    log_p = tf.nn.log_softmax(tf.constant(scores, tf.float32))
    np.testing.assert_allclose(matching.expected_match(log_p, positions()), [[[7.5, 6.0]]], rtol=1e-5)
    np.testing.assert_allclose(matching.best_match(log_p, positions()), [[[9.0, 7.0]]])


@pytest.mark.parametrize("leading", [[], [2], [2, 3]])
def test_matches_agree_with_loops(leading):
    scores = np.random.default_rng(0).normal(size=[*leading, 5, HEIGHT * WIDTH])
    log_p = tf.nn.log_softmax(tf.constant(scores, tf.float32))
    best, expected = matching.best_match(log_p, positions()), matching.expected_match(log_p, positions())
    assert best.shape == expected.shape == [*leading, 5, 2]
    for index in np.ndindex(*leading, 5):
        cell = int(np.argmax(scores[index]))
        np.testing.assert_allclose(best[index], [2 * (cell % WIDTH) + 1, 2 * (cell // WIDTH) + 1])
        mean, total = np.zeros(2), 0.0
        for v, score in enumerate(scores[index]):
            mean += math.exp(score) * np.array([2 * (v % WIDTH) + 1, 2 * (v // WIDTH) + 1])
            total += math.exp(score)
        np.testing.assert_allclose(expected[index], mean / total, rtol=1e-5)
