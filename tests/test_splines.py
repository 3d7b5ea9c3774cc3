"""Tests of fitted splines: SciPy's, affine motions, points that are met, and points no spline can be fitted to."""

import re

import numpy as np
import pytest
import tensorflow as tf
from scipy.interpolate import RBFInterpolator

from input_pipeline import splines

SIZE = (80, 120)  # height, width


def landmarks(count, batch=2, deviation=4.0):
    """Points of a view and where they are in the source, each [batch, count, 2]."""
    rng = np.random.default_rng(count)
    view = rng.uniform(0, [SIZE[1], SIZE[0]], [batch, count, 2]).astype(np.float32)
    return view, view + rng.normal(0, deviation, view.shape).astype(np.float32)


def elsewhere(batch=2):
    """Points inside the frame and around it."""
    return np.random.default_rng(0).uniform(-30, 150, [batch, 200, 2]).astype(np.float32)


def scipy_s(view, source, points, smoothing):
    both = zip(np.float64(view), np.float64(source), np.float64(points))
    kernel = {"kernel": "thin_plate_spline", "degree": 1}
    return [RBFInterpolator(v, s, smoothing=smoothing, **kernel)(p) for v, s, p in both]


@pytest.mark.parametrize("count", [3, 5, 68])
@pytest.mark.parametrize("smoothing", [0.0, 0.5, 300.0])
def test_it_is_scipy_s_spline_with_the_same_smoothing_in_pixels(count, smoothing):
    view, source = landmarks(count)
    expected = scipy_s(view, source, elsewhere(), smoothing)
    found = splines.fit_tps(view, source, SIZE, smoothing=smoothing)(elsewhere())
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert count == 3 or np.abs(expected - elsewhere()).mean() > 1
    larger = splines.fit_tps(3 * view, 3 * source, (3 * SIZE[0], 3 * SIZE[1]), smoothing=9 * smoothing)
    np.testing.assert_allclose(larger(3 * elsewhere()), 3 * np.array(expected), atol=6e-4)


def test_points_are_met_and_meeting_them_gives_way_to_the_affine_map_of_least_squares():
    view, source = landmarks(12)
    np.testing.assert_allclose(splines.fit_tps(view, source, SIZE)(view), source, atol=1e-4)
    smooth = splines.fit_tps(view, source, SIZE, smoothing=1e9)(view)
    ones = np.ones([12, 1])
    fitted = [
        np.hstack([v, ones]) @ np.linalg.lstsq(np.hstack([v, ones]), s, rcond=None)[0] for v, s in zip(view, source)
    ]
    np.testing.assert_allclose(smooth, fitted, atol=1e-3)


@pytest.mark.parametrize("smoothing", [0.0, 10.0])
def test_fitted_to_an_affine_motion_it_is_that_motion(smoothing):
    matrix, shift = np.float32([[0.8, -0.5], [0.7, 1.1]]), np.float32([5, -9])
    view, _ = landmarks(9)
    found = splines.fit_tps(view, view @ matrix + shift, SIZE, smoothing=smoothing)(elsewhere())
    np.testing.assert_allclose(found, elsewhere() @ matrix + shift, atol=1e-4)


def test_it_is_the_same_on_a_grid_in_a_graph_and_in_a_dataset():
    view, source = landmarks(7, batch=4)
    points = elsewhere(batch=4)

    def fitted(view, source, points):
        return splines.fit_tps(view, source, SIZE)(points)

    expected = fitted(view, source, points)
    grid = tf.function(fitted)(view, source, points.reshape([4, 20, 10, 2]))
    np.testing.assert_allclose(grid, np.reshape(expected, [4, 20, 10, 2]), atol=1e-5)
    dataset = tf.data.Dataset.from_tensor_slices((view, source, points)).batch(3).map(fitted)
    assert dataset.element_spec.shape[1:] == [200, 2]
    np.testing.assert_allclose(np.concatenate(list(dataset.as_numpy_iterator())), expected, atol=1e-5)


GOOD = np.float32([[[10, 10], [70, 15], [30, 60], [33, 20]]])
TWICE = np.concatenate([GOOD, GOOD[:, :1]], axis=1)
LINE = np.float32([[[10.1, 20.2], [20.3, 23.6], [40.7, 30.4], [81.5, 44.0]]])
NOT_A_NUMBER = np.where(np.arange(4)[:, np.newaxis] == 2, np.float32(np.nan), GOOD)


@pytest.mark.parametrize("wrap", [lambda function: function, tf.function], ids=["eager", "graph"])
@pytest.mark.parametrize(
    "view, message",
    [
        (TWICE, "view_points must not coincide; leave one of the two out, or give smoothing > 0"),
        (LINE, "view_points must be finite and not all on one line; give points that span the plane"),
        (np.zeros([1, 3, 2], np.float32), "not all on one line"),
        (NOT_A_NUMBER, "must be finite"),
    ],
)
def test_points_without_a_spline_are_an_error_and_not_a_number(wrap, view, message):
    both = np.concatenate([landmarks(view.shape[1])[0], view])  # the last of a batch
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(message)):
        wrap(lambda view: splines.fit_tps(view, view, SIZE)(view))(tf.constant(both))


def test_a_point_seen_twice_is_met_halfway_with_smoothing():
    source = TWICE + np.float32([[[3, 1]]]) * np.arange(5, dtype=np.float32)[:, np.newaxis]
    found = splines.fit_tps(TWICE, source, SIZE, smoothing=2.0)(elsewhere(1))
    np.testing.assert_allclose(found, scipy_s(TWICE, source, elsewhere(1), 2.0), atol=2e-4)


@pytest.mark.parametrize(
    "view, source, smoothing, message",
    [
        ([4, 2], [4, 2], 0.0, "view_points and source_points must be [B, K, 2]; found (4, 2) and (4, 2)"),
        ([1, 4, 3], [1, 4, 2], 0.0, "must be [B, K, 2]; found (1, 4, 3) and (1, 4, 2)"),
        ([1, 4, 2], [1, 5, 2], 0.0, "each of the view_points needs its one of the source_points; found (1, 4, 2) and"),
        ([1, 2, 2], [1, 2, 2], 0.0, "a thin-plate spline needs 3 points or more; found (1, 2, 2) and (1, 2, 2)"),
        ([1, 4, 2], [1, 4, 2], -1.0, "smoothing=-1.0 must not be negative; 0 meets the points exactly"),
    ],
)
def test_errors_say_what_is_wrong(view, source, smoothing, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        splines.fit_tps(tf.zeros(view), tf.zeros(source), SIZE, smoothing=smoothing)
