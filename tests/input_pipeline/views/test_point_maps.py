"""Tests of maps of points: matrix products by hand, compositions in closed form, and the way back."""

import functools
import re

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline.views import point_maps, random_maps, warps
from tests.input_pipeline.views.by_hand import (
    HOMOGRAPHIES,
    SIZES,
    cell_centres,
    draw,
    frame_points,
    projected_by_hand,
    warp_by_hand,
)


@pytest.mark.parametrize("size", SIZES)
def test_homographies_take_points_where_a_matrix_product_by_hand_does(size):
    points = np.random.default_rng(0).uniform(-5, 35, [2, 12, 2]).astype(np.float32)
    expected = [[projected_by_hand(h, p, size) for p in ps] for h, ps in zip(HOMOGRAPHIES, points)]
    found = point_maps.project(HOMOGRAPHIES, points, size)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    on_a_grid = tf.function(point_maps.project, autograph=False)(HOMOGRAPHIES, points.reshape([2, 3, 4, 2]), size)
    np.testing.assert_allclose(on_a_grid, np.reshape(expected, [2, 3, 4, 2]), atol=1e-4)
    same = point_maps.project(
        np.eye(3, dtype=np.float32)[np.newaxis], cell_centres(*size)[np.newaxis].astype("f"), size
    )
    np.testing.assert_allclose(same[0] / max(size), cell_centres(*size) / max(size), atol=1e-6)


def test_the_mirror_image_exchanges_left_and_right_and_is_its_own():
    points = np.float32([[[0, 3], [30, 20], [7.5, 1]]])
    np.testing.assert_array_equal(point_maps.flip(points, (20, 30)), [[[30, 3], [0, 20], [22.5, 1]]])
    np.testing.assert_array_equal(point_maps.flip(point_maps.flip(points, (20, 30)), (20, 30)), points)
    image = np.random.default_rng(0).uniform(size=[1, 20, 30, 2]).astype(np.float32)
    found = warps.sample(image, point_maps.flip(cell_centres(20, 30)[np.newaxis].astype("f"), (20, 30)), border="zero")
    np.testing.assert_allclose(found, image[:, :, ::-1], atol=1e-5)


def test_a_composition_is_the_outer_map_of_what_the_inner_one_gives():
    """A shift by 2, then mirrored in a frame 30 wide, is not the other order."""
    shift, mirror = (lambda points: points + [2.0, 0.0]), functools.partial(point_maps.flip, size=(20, 30))
    point = tf.constant([[[5.0, 1.0]]])
    np.testing.assert_allclose(point_maps.compose(mirror, shift)(point), [[[23, 1]]])
    np.testing.assert_allclose(point_maps.compose(shift, mirror)(point), [[[27, 1]]])


def maps_and_their_doubles(size):
    """Name -> a map of a batch of one, and the same by hand for a point: a warp, a homography, a mirror."""
    weights = draw(1, seed=3)
    homography = HOMOGRAPHIES[:1]
    return {
        "warp": (
            functools.partial(warps.at_points, weights, size=size),
            functools.partial(warp_by_hand, np.float64(weights[0]), size=size),
        ),
        "tilt": (
            functools.partial(point_maps.project, homography, size=size),
            functools.partial(projected_by_hand, homography[0], size=size),
        ),
        "mirror": (
            functools.partial(point_maps.flip, size=size),
            lambda point: np.array([size[1] - point[0], point[1]]),
        ),
    }


@pytest.mark.parametrize("order", [["mirror", "tilt", "warp"], ["warp", "mirror", "tilt"], ["tilt", "warp", "mirror"]])
def test_a_drawn_dot_moves_where_its_point_moves(order):
    """The dot is drawn in the source where the maps, by hand, take its place in the view."""
    size, place = (60, 72), np.array([33.0, 26.5])
    both = maps_and_their_doubles(size)
    outer, middle, inner = (both[name][0] for name in order)
    source = place
    for name in reversed(order):
        source = both[name][1](source)
    image = np.exp(-np.sum(np.square(cell_centres(*size) - source), axis=-1) / 4).astype(np.float32)
    view_to_source = point_maps.compose(outer, point_maps.compose(middle, inner))
    points = view_to_source(tf.reshape(tf.constant(cell_centres(*size), tf.float32), [1, -1, 2]))
    view = warps.sample(image[np.newaxis, ..., np.newaxis], points, border="zero").numpy()[0, :, 0]
    np.testing.assert_allclose(view @ cell_centres(*size).reshape(-1, 2) / np.sum(view), place, atol=0.12)
    assert np.linalg.norm(source - place) > 3


def test_a_homography_is_inverted_as_its_matrix_is():
    points = np.repeat(frame_points((40, 50)), 2, axis=0)
    places, found = point_maps.invert_at(
        functools.partial(point_maps.project, HOMOGRAPHIES, size=(40, 50)), points, (40, 50)
    )
    expected = point_maps.project(np.linalg.inv(HOMOGRAPHIES), points, (40, 50))
    np.testing.assert_allclose(places, expected, atol=0.02)
    assert np.all(found)


@pytest.mark.parametrize("strength, least, same", [(1.0, 0.999, 0.99), (2.0, 0.98, 0.92)])
def test_what_a_warp_shows_is_found_up_to_the_corners_of_the_frame(strength, least, same):
    """Points of the view are taken to the source and looked for again; where warps fold, another place is as right."""
    size, count = (80, 100), 120
    weights = draw(count, tps=strength, affine=strength)
    tilts = tf.stack([random_maps.draw_projective([9, i], strength=strength) for i in range(count)])
    tilt, warp = (
        functools.partial(point_maps.project, tilts, size=size),
        functools.partial(warps.at_points, weights, size=size),
    )
    view_to_source = point_maps.compose(tilt, warp)
    view = np.repeat(frame_points(size), count, axis=0)
    source = view_to_source(view)
    inside = tf.reduce_all((source > 0) & (source < [100.0, 80.0]), axis=-1)
    places, found = tf.function(lambda points: point_maps.invert_at(view_to_source, points, size), autograph=False)(
        source
    )
    distances = np.linalg.norm(places - view, axis=-1)
    assert np.mean(found[inside]) > least
    assert np.mean(distances[inside] < 0.05) > same
    for index, point in [(0, 0), (1, 24), (2, 4), (3, 12)]:
        back = warp_by_hand(np.float64(weights[index]), np.float64(places[index, point]), size)
        back = projected_by_hand(tilts[index], back, size)
        assert found[index, point] == (np.linalg.norm(back - source[index, point]) < 0.01)
    assert np.mean(inside) > 0.5 and np.all(np.isfinite(places))


def test_what_a_map_never_shows_is_not_found():
    def fold(points):
        """Covers the left half of a frame 20 wide twice, the right half never."""
        return tf.stack([10 - tf.square(points[..., 0] - 10) / 10, points[..., 1]], axis=-1)

    for view_to_source in (fold, tf.zeros_like):
        places, found = point_maps.invert_at(view_to_source, tf.constant([[[4.0, 3.0], [16.0, 3.0]]]), (20, 20))
        np.testing.assert_array_equal(found, [[view_to_source is fold, False]])
        assert np.all(np.isfinite(places))
        if view_to_source is fold:
            np.testing.assert_allclose(fold(places)[:, 0], [[4, 3]], atol=0.01)


def test_any_smooth_map_is_composed_and_inverted():
    """A map that nobody drew: points are moved by waves."""

    def waves(points):
        return points + 1.5 * tf.sin(points[..., ::-1] / 6.0)

    view = frame_points((40, 50))
    source = waves(tf.constant(view))
    mirrored = point_maps.compose(functools.partial(point_maps.flip, size=(40, 50)), waves)
    np.testing.assert_allclose(mirrored(view), [50, 0] + source * [-1, 1], atol=1e-4)
    places, found = point_maps.invert_at(waves, source, (40, 50))
    assert np.all(found)
    np.testing.assert_allclose(places, view, atol=0.02)


def test_points_inside_a_frame_are_those_on_its_pixels():
    points = tf.constant([[0.0, 0.0], [-0.1, 3.0], [29.9, 19.9], [30.0, 3.0], [3.0, 20.0]])
    np.testing.assert_array_equal(point_maps.inside(points, (20, 30)), [True, False, True, False, False])
    np.testing.assert_array_equal(point_maps.inside(points, (20, 30), margin=0.5), [True] * 5)


def test_a_homography_of_another_shape_is_refused():
    message = "homography must be [B, 3, 3] and points [B, ..., 2]; found (3, 3) and (1, 4, 4, 2)"
    with pytest.raises(ValueError, match=re.escape(message)):
        point_maps.project(HOMOGRAPHIES[0], np.zeros([1, 4, 4, 2], np.float32), (9, 9))
