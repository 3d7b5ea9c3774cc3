"""Tests of random maps: their sizes, and what they depend on."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline.views import random_maps
from tests.input_pipeline.views.by_hand import IDENTITY


def draw_many(draw_one, count, *, seed=7):
    """What `draw_one` makes of the seeds [seed, 0], [seed, 1], ..., in one graph: float64 [count, ...]."""
    seeds = tf.stack([tf.fill([count], seed), tf.range(count)], axis=-1)
    draw_all = tf.function(lambda: tf.map_fn(draw_one, seeds, fn_output_signature=tf.float32), autograph=False)
    return np.float64(draw_all())


def test_drawn_affine_maps_have_the_sizes_they_should():
    drawn = draw_many(random_maps.draw_affine, 1500)
    shift, (cos, sin) = drawn[:, 0], drawn[:, 1].T
    np.testing.assert_allclose(drawn[:, 2], np.stack([-sin, cos], axis=-1))
    scale, angle = np.hypot(cos, sin), np.degrees(np.arctan2(sin, cos))
    np.testing.assert_allclose(shift.std(axis=0), [0.1, 0.1], rtol=0.06)
    np.testing.assert_allclose([scale.mean(), scale.std()], [1, 0.1], rtol=0.06)
    np.testing.assert_allclose(angle.std(), 5, rtol=0.06)
    numbers = np.stack([*shift.T, scale, angle])
    np.testing.assert_allclose(np.corrcoef(numbers), np.eye(4), atol=0.08)


def test_drawn_bends_are_ten_times_larger_at_a_half_of_the_centres():
    weights = draw_many(random_maps.draw_tps, 400)
    np.testing.assert_allclose(weights.mean(), 0, atol=1e-4)
    np.testing.assert_allclose(np.mean(weights**2), (0.001**2 + 0.01**2) / 2, rtol=0.03)
    sizes = np.sort(np.abs(weights).max(axis=-1), axis=1)  # of the larger component, smallest first
    np.testing.assert_allclose(np.median(sizes[:, :50]) / 0.001, np.median(sizes[:, 50:]) / 0.01, rtol=0.15)
    large = np.abs(weights).max(axis=-1) > 0.004
    np.testing.assert_allclose(large.mean(axis=0), large.mean(), atol=0.12)  # each centre as often as any other


def test_draws_are_functions_of_their_seed():
    for function in (random_maps.draw_tps, random_maps.draw_affine, random_maps.draw_projective):
        first = function([1, 2])
        np.testing.assert_array_equal(first, function(tf.constant([1, 2], tf.int64)))
        assert np.abs(first - function([1, 3])).max() > 1e-3
        assert np.abs(first - function([2, 2])).max() > 1e-3


def test_strength_multiplies_the_deviations():
    bend, weak = random_maps.draw_tps([1, 2]), random_maps.draw_tps([1, 2], strength=0.5)
    np.testing.assert_allclose(weak, 0.5 * bend, rtol=1e-6)
    np.testing.assert_array_equal(random_maps.draw_tps([1, 2], strength=0), np.zeros([100, 2]))
    np.testing.assert_array_equal(random_maps.draw_affine([1, 2], strength=0), IDENTITY)
    np.testing.assert_array_equal(random_maps.draw_projective([1, 2], strength=0), np.eye(3))
    full, half = (np.array(random_maps.draw_affine([1, 2], strength=strength)) for strength in (1, 0.5))
    np.testing.assert_allclose(half[0], full[0] / 2, rtol=1e-6)
    np.testing.assert_allclose(np.hypot(*half[1]) - 1, (np.hypot(*full[1]) - 1) / 2, atol=1e-6)
    np.testing.assert_allclose(np.arctan2(*half[1]), (np.arctan2(*full[1]) + np.pi / 2) / 2, atol=1e-6)


def test_maps_with_axes_of_their_own_have_the_ranges_they_should():
    drawn = draw_many(random_maps.draw_axes, 2000, seed=3)
    np.testing.assert_array_equal(drawn[:, 2], np.tile([0.0, 0.0, 1.0], [2000, 1]))
    shift, matrix = drawn[:, :2, 2], drawn[:, :2, :2]
    scales = np.linalg.svd(matrix, compute_uv=False)
    u, _, vt = np.linalg.svd(matrix)
    turns = np.degrees(np.arctan2(*np.moveaxis(u @ vt, 0, -1)[1::-1, 0]))
    for values, low, high in ((shift, -0.25, 0.25), (scales, 0.75, 1.25), (turns, -15, 15)):
        assert low <= values.min() < low + 0.02 * (high - low) and high - 0.02 * (high - low) < values.max() <= high
    axes = np.degrees(np.arctan2(vt[:, 0, 1], vt[:, 0, 0]))  # of the larger scale, or at right angles to it
    assert np.abs((axes + 45) % 90 - 45).max() <= 30.01
    assert np.abs((axes + 45) % 90 - 45).max() > 25
    weak = np.float64(random_maps.draw_axes([3, 1], strength=0.5))
    np.testing.assert_allclose(weak[:2, 2], shift[1] / 2, atol=1e-6)


@pytest.mark.parametrize(
    "strength, limit", [(-1, "must not be negative"), (4.0, "must be below 4: an affine map could")]
)
def test_an_affine_map_cannot_shrink_to_nothing(strength, limit):
    with pytest.raises(ValueError, match=f"strength={strength} {limit}"):
        random_maps.draw_axes([0, 0], strength=strength)


@pytest.mark.parametrize("strength, limited", [(1.0, 0.036), (2.0, 0.42)])
def test_drawn_tilts_have_the_size_they_should_and_a_horizon_beyond_the_frame(strength, limited):
    """|p_x| + |p_y| exceeds 1/3 as often as one of two independent N(0, 0.1 strength) exceeds 0.2357."""
    drawn = draw_many(functools.partial(random_maps.draw_projective, strength=strength), 3000)
    np.testing.assert_array_equal(drawn[:, :2], np.tile(np.eye(3)[:2], [3000, 1, 1]))
    np.testing.assert_array_equal(drawn[:, 2, 2], 1)
    tilts = drawn[:, 2, :2]
    steepness = np.abs(tilts).sum(axis=-1)
    assert steepness.max() < 1 / 3 + 1e-6
    np.testing.assert_allclose(np.mean(steepness > 1 / 3 - 1e-6), limited, atol=0.01 * strength)
    lower = np.percentile(np.abs(tilts), 25, axis=0)  # which the limit hardly touches
    np.testing.assert_allclose(lower, 0.0319 * strength, rtol=0.1)
    assert abs(np.corrcoef(tilts.T)[0, 1]) < 0.06


@pytest.mark.parametrize("draw", [random_maps.draw_tps, random_maps.draw_affine, random_maps.draw_projective])
def test_a_negative_strength_is_refused(draw):
    with pytest.raises(ValueError, match="strength=-0.5 must not be negative; 1 is full strength, 0 no warp"):
        draw([0, 0], strength=-0.5)
