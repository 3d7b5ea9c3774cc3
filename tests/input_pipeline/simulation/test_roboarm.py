"""Tests of the robot arm's data set: flow and visibility against slow arithmetic, colours found again."""

import itertools
import math

import numpy as np
import pytest
import tensorflow_datasets as tfds

from input_pipeline.simulation import arm_simulation, frame_pairs, roboarm


@pytest.fixture(scope="module")
def builder(arm_data):
    return roboarm.prepare(arm_data.dir, arm_data.num_pairs, arm_data.seed)


@pytest.fixture(scope="module")
def pairs(builder):
    """All pairs of all splits, in order of time: each feature stacked along a first axis."""
    everything = builder.as_dataset(split="all")
    examples = sorted(tfds.as_numpy(everything), key=lambda example: example["frame"])
    return {name: np.stack([example[name] for example in examples]) for name in examples[0]}


@pytest.fixture(scope="module")
def poses(pairs, arm_data):
    """The poses of every simulated frame, stored or not."""
    return list(itertools.islice(arm_simulation.simulate(arm_data.seed), int(pairs["frame"][-1]) + 2))


def pixel_centres(mask):
    rows, columns = np.nonzero(mask)
    return np.stack([columns, rows], axis=-1) + 0.5


def test_features_have_the_documented_types(builder):
    features = builder.info.features
    assert {name: (feature.shape, feature.np_dtype) for name, feature in features.items()} == {
        "image_a": ((90, 90, 3), np.uint8),
        "image_b": ((90, 90, 3), np.uint8),
        "flow": ((90, 90, 2), np.float32),
        "visible": ((90, 90, 1), np.uint8),
        "capsule": ((90, 90, 1), np.uint8),
        "centres_a": ((7, 2), np.float32),
        "centres_b": ((7, 2), np.float32),
        "centres_visible_a": ((7,), np.bool_),
        "centres_visible_b": ((7,), np.bool_),
        "frame": ((), np.int64),
    }


def test_flow_of_each_capsule_is_a_rigid_motion_that_carries_its_centre(pairs):
    for index in range(0, len(pairs["frame"]), 9):
        for capsule in range(arm_simulation.NUM_CAPSULES):
            mask = pairs["capsule"][index, ..., 0] == capsule + 1
            source = pixel_centres(mask)
            if len(source) < 20:  # hidden
                continue
            target = source + pairs["flow"][index][mask]
            rotation, offset = fit_rigid_motion(source, target)
            np.testing.assert_allclose(source @ rotation.T + offset, target, atol=1e-4)
            moved_centre = rotation @ pairs["centres_a"][index, capsule] + offset
            np.testing.assert_allclose(moved_centre, pairs["centres_b"][index, capsule], atol=1e-3)


def fit_rigid_motion(source, target):
    """The rotation and offset of least squares (Kabsch), fitted without knowing any pose."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    left, _, right = np.linalg.svd((target - target_mean).T @ (source - source_mean))
    rotation = left @ np.diag([1.0, np.linalg.det(left @ right)]) @ right
    return rotation, target_mean - rotation @ source_mean


def test_colour_is_found_again_where_the_flow_points(pairs):
    checked = 0
    for index in range(0, len(pairs["frame"]) - 1, 7):
        if pairs["frame"][index + 1] != pairs["frame"][index] + 1:
            continue  # the last pair of a split
        for value in range(1, arm_simulation.NUM_CAPSULES + 1):
            deep_a = erode(pairs["capsule"][index, ..., 0] == value)
            deep_b = erode(erode(pairs["capsule"][index + 1, ..., 0] == value))
            seen = deep_a & (pairs["visible"][index, ..., 0] == 1)
            target = pixel_centres(seen) + pairs["flow"][index][seen]
            away_from_edges = deep_b[tuple(np.floor(target).astype(int).T[::-1])]
            colours_a = pairs["image_a"][index][seen][away_from_edges]
            colours_b = sample(pairs["image_b"][index], target[away_from_edges])
            np.testing.assert_allclose(colours_b, colours_a, atol=1.0)
            checked += len(colours_a)
    assert checked > 2500


def erode(mask):
    """The pixels whose eight neighbours lie in the mask too."""
    padded = np.pad(mask, 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    return windows.all(axis=(2, 3))


def sample(image, points):
    """Bilinear interpolation, pixel (i, j) having its centre at (j + 0.5, i + 0.5)."""
    x, y = np.clip(points - 0.5, 0.0, 89.0).T
    left, top = np.minimum(np.floor(x), 88).astype(int), np.minimum(np.floor(y), 88).astype(int)
    u, v = (x - left)[:, None], (y - top)[:, None]
    upper = (1 - u) * image[top, left] + u * image[top, left + 1]
    lower = (1 - u) * image[top + 1, left] + u * image[top + 1, left + 1]
    return (1 - v) * upper + v * lower


def test_visibility_agrees_with_a_plain_loop(pairs, poses):
    random = np.random.default_rng(0)
    answers = []
    for index in random.integers(len(pairs["frame"]), size=60):
        before, after = poses[pairs["frame"][index]], poses[pairs["frame"][index] + 1]
        rows, columns = np.nonzero(pairs["capsule"][index, ..., 0])
        for choice in random.integers(len(rows), size=30):
            row, column = rows[choice], columns[choice]
            capsule = slow_topmost(column + 0.5, row + 0.5, before)
            assert pairs["capsule"][index, row, column, 0] == capsule + 1
            x, y = slow_motion(column + 0.5, row + 0.5, before[capsule], after[capsule])
            expected_flow = (x - column - 0.5, y - row - 0.5)
            np.testing.assert_allclose(pairs["flow"][index, row, column], expected_flow, atol=1e-5)
            seen = 0 <= x <= 90 and 0 <= y <= 90 and slow_topmost(x, y, after) == capsule
            assert pairs["visible"][index, row, column, 0] == seen
            answers.append(seen)
    assert 0.8 < np.mean(answers) < 1.0  # some are hidden


def test_centres_visible_agrees_with_a_plain_loop(pairs, poses):
    for index, frame in enumerate(pairs["frame"]):
        for name, pose in (("a", poses[frame]), ("b", poses[frame + 1])):
            seen = [slow_topmost(x, y, pose) == k for k, (x, y, _) in enumerate(pose)]
            np.testing.assert_array_equal(pairs[f"centres_visible_{name}"][index], seen)
            np.testing.assert_allclose(pairs[f"centres_{name}"][index], pose[:, :2], atol=1e-5)


def slow_topmost(x, y, poses):
    """The last capsule that has the point within its radius of the segment that is its axis."""
    found = -1
    for capsule, (centre_x, centre_y, angle) in enumerate(poses):
        half = arm_simulation.LENGTH / 2
        start = (centre_x - half * math.cos(angle), centre_y - half * math.sin(angle))
        end = (centre_x + half * math.cos(angle), centre_y + half * math.sin(angle))
        span = (end[0] - start[0], end[1] - start[1])
        share = ((x - start[0]) * span[0] + (y - start[1]) * span[1]) / arm_simulation.LENGTH**2
        share = min(max(share, 0.0), 1.0)
        nearest = (start[0] + share * span[0], start[1] + share * span[1])
        if math.dist((x, y), nearest) <= arm_simulation.RADIUS:
            found = capsule
    return found


def slow_motion(x, y, before, after):
    """The same place on the capsule, as a complex number in its own frame, seen from `after`."""
    own = (complex(x, y) - complex(*before[:2])) / complex(math.cos(before[2]), math.sin(before[2]))
    moved = own * complex(math.cos(after[2]), math.sin(after[2])) + complex(*after[:2])
    return moved.real, moved.imag


def test_background_is_black_still_and_never_visible(pairs):
    background = pairs["capsule"][..., 0] == 0
    assert not pairs["flow"][background].any()
    assert not pairs["visible"][background].any()
    far = np.stack([erode(erode(mask)) for mask in background])
    assert not pairs["image_a"][far].any()


def test_second_frame_of_a_pair_is_the_first_of_the_next(pairs):
    follows = np.flatnonzero(np.diff(pairs["frame"]) == 1)
    np.testing.assert_array_equal(pairs["image_b"][follows], pairs["image_a"][follows + 1])
    np.testing.assert_array_equal(pairs["centres_b"][follows], pairs["centres_a"][follows + 1])


def test_arm_keeps_moving_and_stays_in_view(builder, pairs):
    largest = np.linalg.norm(pairs["flow"], axis=-1).max(axis=(1, 2))
    figures = builder.info.metadata
    assert figures["still_share"] == pytest.approx(np.mean(largest < 0.5))
    assert figures["still_share"] < 0.1
    assert 3.0 < figures["largest_flow_median"] < 8.0
    assert np.mean(largest > 20.0) < 0.02
    centres = pairs["centres_a"]
    assert figures["centres_inside_share"] == np.mean(np.all((centres >= 0) & (centres <= 90), -1))
    assert figures["centres_inside_share"] >= 0.99
    assert 0.08 < figures["foreground_share"] < 0.12


def test_default_size_has_the_papers_number_of_pairs():
    blocks = frame_pairs.split_blocks(roboarm.DEFAULT_NUM_PAIRS)
    assert {name: len(block) for name, block in blocks.items()} == {
        "train": 19999,
        "validation": 2000,
        "test": 2000,
    }


def test_tfds_loads_it_by_name(builder, arm_data):
    name = f"roboarm/pairs_{arm_data.num_pairs}_seed_{arm_data.seed}"
    dataset = tfds.load(name, split="test", data_dir=arm_data.dir, download=False)
    assert len(dataset) == round(arm_data.num_pairs / 12)
    assert tfds.builder("roboarm", data_dir=arm_data.dir).builder_config.num_pairs == roboarm.DEFAULT_NUM_PAIRS
