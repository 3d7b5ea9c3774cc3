"""Tests of heat maps: where the peak of a drawn dot is found."""

import numpy as np
import pytest
import tensorflow as tf

from models import heat_maps

STRIDE = 4


@pytest.fixture(scope="module")
def places():
    """Places of dots all over a map of 24 x 32 cells, 4 cells and more from its border, which would cut the dot."""
    random = np.random.default_rng(0)
    return np.float32(random.uniform([16, 16], [32 * STRIDE - 16, 24 * STRIDE - 16], size=[40, 5, 2]))


def test_a_target_is_one_at_the_landmark_and_falls_as_a_gaussian():
    (target,) = heat_maps.gaussians(tf.constant([[[10.0, 6.0]]]), 4, 6, STRIDE).numpy()[..., 0]
    assert target[1, 2] == pytest.approx(1.0)
    assert target[1, 3] == pytest.approx(np.exp(-1 / (2 * heat_maps.SPREAD**2)))
    assert target[3, 2] == pytest.approx(np.exp(-4 / (2 * heat_maps.SPREAD**2)))


def test_the_peak_of_a_drawn_dot_is_found_within_a_twentieth_of_a_cell(places):
    maps = tf.transpose(heat_maps.gaussians(places, 24, 32, STRIDE), [0, 3, 1, 2])
    error = np.linalg.norm(heat_maps.window_means(maps, STRIDE) - places, axis=-1)
    assert error.max() < 0.05 * STRIDE


def test_a_map_of_zeros_has_its_peak_in_its_first_cell():
    np.testing.assert_array_equal(heat_maps.window_means(tf.zeros([1, 1, 4, 6]), STRIDE), [[[2, 2]]])


@pytest.mark.parametrize("turned", [False, True])
def test_a_dot_at_the_border_is_found_too(turned):
    """Within a fifth of a cell, though the border cuts it: a plain mean would lie a cell further inside."""
    beside = np.float32([0, 1, 2, 4, 6, 8, 12])
    places = np.stack(np.meshgrid(beside, [1.0, 5.0, 50.0]), axis=-1).reshape([-1, 1, 2]).astype(np.float32)
    if turned:
        places = np.float32([32 * STRIDE, 24 * STRIDE]) - places
    maps = tf.transpose(heat_maps.gaussians(tf.constant(places), 24, 32, STRIDE), [0, 3, 1, 2])
    error = np.linalg.norm(heat_maps.window_means(maps, STRIDE) - places, axis=-1)
    assert error.max() < 0.2 * STRIDE


def test_a_peak_is_never_outside_of_the_map():
    maps = np.zeros([2, 1, 12, 16], np.float32)
    maps[0, 0, 0, 0] = maps[1, 0, -1, -1] = 1  # narrower than any target, which would lie further out
    found = heat_maps.window_means(tf.constant(maps), STRIDE)[:, 0]
    np.testing.assert_array_equal(found, [[0, 0], [16 * STRIDE, 12 * STRIDE]])


def test_a_far_second_dot_does_not_pull():
    places = tf.constant([[[20.0, 30.0]], [[100.0, 70.0]]])
    first, second = heat_maps.gaussians(places, 24, 32, STRIDE)
    maps = tf.transpose((first + 0.7 * second)[tf.newaxis], [0, 3, 1, 2])
    np.testing.assert_allclose(heat_maps.window_means(maps, STRIDE)[0, 0], [20.0, 30.0], atol=0.05 * STRIDE)


def test_a_map_and_its_mirror_image_have_mirrored_peaks(places):
    random = np.random.default_rng(1)
    maps = np.float32(random.uniform(size=[3, 2, 12, 16]))
    found = heat_maps.window_means(tf.constant(maps), STRIDE).numpy()
    mirrored = heat_maps.window_means(tf.constant(maps[..., ::-1].copy()), STRIDE).numpy()
    np.testing.assert_allclose(mirrored, [16 * STRIDE, 0] + found * [-1, 1], atol=1e-3)
