"""Tests of drawing the arm, at places where the answer is known."""

import math

import numpy as np

from input_pipeline.simulation import arm_rendering, arm_simulation


def test_capsule_covers_its_area_in_its_colour():
    nowhere = [-100.0, -100.0, 0.0]
    poses = np.array([[45.3, 44.8, 0.4]] + [nowhere] * 6)
    distances = arm_rendering.signed_distances(poses, arm_rendering.PIXEL_CENTRES)
    image = arm_rendering.render(distances)
    area = 2 * arm_simulation.RADIUS * arm_simulation.LENGTH + math.pi * arm_simulation.RADIUS**2
    coverage = image.sum(axis=(0, 1)) / arm_rendering.COLOURS[0]
    np.testing.assert_allclose(coverage, area, rtol=0.01)
    np.testing.assert_array_equal(image[44, 45], arm_rendering.COLOURS[0])


def test_signed_distance_at_the_axis_the_side_and_the_end():
    points = np.array([[50.0, 40.0], [50.0, 40.0 + 9.0], [50.0 + 12.0, 40.0]])
    distances = arm_rendering.signed_distances(np.array([[50.0, 40.0, 0.0]]), points)
    np.testing.assert_allclose(distances, [[-4.0, 5.0, 1.0]], atol=1e-12)


def test_later_capsule_hides_the_earlier_one():
    poses = np.array([[45.0, 45.0, 0.0], [45.0, 45.0, np.pi / 2]])
    points = np.array([[45.0, 45.0], [45.0, 45.0], [52.0, 45.0], [80.0, 80.0]])
    capsules = np.array([0, 1, 0, 0])
    visible = arm_rendering.visible_at(points, capsules, poses)
    np.testing.assert_array_equal(visible, [False, True, True, False])


def test_what_leaves_the_frame_is_not_visible():
    poses = np.array([[89.0, 45.0, 0.0]])
    points = np.array([[89.9, 45.0], [90.1, 45.0]])
    visible = arm_rendering.visible_at(points, np.array([0, 0]), poses)
    np.testing.assert_array_equal(visible, [True, False])
