"""Tests of the arm's physics: it keeps moving, and its joints stay closed."""

import itertools

import numpy as np

from input_pipeline.simulation import arm_simulation


def test_arm_has_no_long_still_stretch_and_varied_poses():
    poses = np.array(list(itertools.islice(arm_simulation.simulate(0), 4000)))
    step = np.linalg.norm(np.diff(poses[..., :2], axis=0), axis=-1).max(axis=1)
    stretches = [len(list(group)) for still, group in itertools.groupby(step < 0.5) if still]
    assert max(stretches) < 30
    fork = poses[:, -2:, :2].mean(axis=1)
    assert np.all(np.ptp(fork, axis=0) > 60.0)


def test_joints_stay_closed_and_within_their_limits():
    poses = np.array(list(itertools.islice(arm_simulation.simulate(0), 1000)))
    axis = np.stack([np.cos(poses[..., 2]), np.sin(poses[..., 2])], axis=-1)
    start = poses[..., :2] - arm_simulation.LENGTH / 2 * axis
    end = poses[..., :2] + arm_simulation.LENGTH / 2 * axis
    parents, children = [0, 1, 2, 3, 4, 4], [1, 2, 3, 4, 5, 6]
    assert np.abs(start[:, 0] - arm_simulation.ANCHOR).max() < 0.5
    assert np.abs(start[:, children] - end[:, parents]).max() < 0.5
    bend = np.abs(np.diff(poses[:, : arm_simulation.NUM_LINKS, 2], axis=1))
    assert bend.max() < arm_simulation.LINK_LIMIT + np.radians(6)
