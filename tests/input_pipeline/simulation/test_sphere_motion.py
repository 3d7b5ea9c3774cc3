"""Tests of how the sphere turns."""

import itertools

import numpy as np

from input_pipeline.simulation import sphere_motion


def test_rotations_are_rotations_that_change_smoothly_through_all_orientations():
    rotations = np.array(list(itertools.islice(sphere_motion.simulate(0), 4000)))
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), [4000, 1, 1]), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-9)
    turns = rotations[1:] @ rotations[:-1].transpose(0, 2, 1)
    angles = np.degrees(np.arccos((np.trace(turns, axis1=1, axis2=2) - 1) / 2))
    assert 40 < angles.mean() < 50 and np.percentile(angles, 99) < 110
    axes = np.stack([turns[:, 2, 1] - turns[:, 1, 2], turns[:, 0, 2] - turns[:, 2, 0], turns[:, 1, 0] - turns[:, 0, 1]])
    axes /= np.linalg.norm(axes, axis=0)
    assert np.median(np.sum(axes[:, 1:] * axes[:, :-1], axis=0)) > 0.9
    towards = -rotations[:, 2]  # the place that faces the camera
    octants = np.bincount((towards > 0) @ [1, 2, 4], minlength=8) / 4000
    assert octants.min() > 0.06 and octants.max() < 0.2
    up = np.einsum("nij,nj->ni", rotations, np.tile([0.0, 0.0, 1.0], [4000, 1]))
    assert np.abs(up.mean(axis=0)).max() < 0.15


def test_turns_are_about_their_axes_by_their_length():
    quarter = sphere_motion.turns(np.array([[0.0, 0.0, np.pi / 2]]))[0]
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-12)
