"""Tests of the sphere's camera: exact geometry against slow arithmetic."""

import itertools
import math

import numpy as np
import pytest

from input_pipeline.simulation import sphere_camera, sphere_motion

SIZE = sphere_camera.FRAME_SIZE


@pytest.fixture(scope="module")
def rotations():
    return list(itertools.islice(sphere_motion.simulate(7), 20))


def slow_hit(x, y):
    """The point, in camera coordinates, where the ray through a point of the frame first meets the sphere; or None."""
    direction = np.array([(x - SIZE / 2) / sphere_camera.FOCAL, (y - SIZE / 2) / sphere_camera.FOCAL, 1.0])
    centre = np.array([0.0, 0.0, sphere_camera.DISTANCE])
    roots = np.roots([direction @ direction, -2 * direction @ centre, centre @ centre - 1])
    return None if np.iscomplex(roots).any() else min(roots.real) * direction


@pytest.mark.parametrize("stride", [1, 2])
def test_motion_agrees_with_a_plain_loop(rotations, stride):
    random, answers = np.random.default_rng(0), []
    centre = np.array([0.0, 0.0, sphere_camera.DISTANCE])
    for before, after in zip(rotations[:10], rotations[1:]):
        points_in_b, visible = (values.numpy() for values in sphere_camera.motion(before, after, stride))
        places, on_sphere = (values.numpy() for values in sphere_camera.surface(before, stride))
        for i, j in random.integers(SIZE // stride, size=[40, 2]):
            hit = slow_hit((j + 0.5) * stride, (i + 0.5) * stride)
            assert on_sphere[i, j] == (hit is not None)
            if hit is None:
                assert not visible[i, j] and not places[i, j].any()
                continue
            place = before.T @ (hit - centre)
            np.testing.assert_allclose(places[i, j], place, atol=1e-6)
            x, y, z = after @ place + centre
            x, y = (SIZE / 2 + sphere_camera.FOCAL * value / z for value in (x, y))
            np.testing.assert_allclose(points_in_b[i, j], [x, y], atol=1e-4)
            seen = math.isclose(slow_hit(x, y)[2], z, abs_tol=1e-6)  # else the near side hides it
            assert visible[i, j] == seen
            answers.append(seen)
    assert 0.5 < np.mean(answers) < 0.98  # some are hidden


def test_places_are_unit_vectors_and_the_same_in_both_frames_along_the_flow(rotations):
    for before, after in zip(rotations[:20:4], rotations[1::4]):
        places, on_sphere = sphere_camera.surface(before, 2)
        points_in_b, visible = sphere_camera.motion(before, after, 2)
        np.testing.assert_allclose(np.linalg.norm(places[on_sphere], axis=-1), 1, atol=1e-12)
        normals, hit = sphere_camera.normals_at(points_in_b[visible])
        assert np.all(hit)
        np.testing.assert_allclose(normals.numpy() @ after, places[visible], atol=1e-6)


def test_the_outline_is_a_circle_whose_radius_the_camera_gives():
    _, on_sphere = sphere_camera.surface(np.eye(3), 1)
    radius = sphere_camera.FOCAL / math.sqrt(sphere_camera.DISTANCE**2 - 1)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5 - SIZE / 2
    np.testing.assert_array_equal(on_sphere, np.hypot(x, y) <= radius)
    assert radius < SIZE / 2  # it never leaves the frame


def test_a_point_that_turns_to_the_far_side_is_hidden():
    half_turn = sphere_motion.turns(np.array([[0.0, np.pi, 0.0]]))[0]
    _, visible = sphere_camera.motion(np.eye(3), half_turn, 1)
    assert not np.any(visible)
    _, visible = sphere_camera.motion(np.eye(3), np.eye(3), 1)
    np.testing.assert_array_equal(visible, sphere_camera.surface(np.eye(3), 1)[1])
