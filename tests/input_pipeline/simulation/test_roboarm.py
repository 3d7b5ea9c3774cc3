import contextlib
import itertools
import math
import pathlib
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from input_pipeline.simulation import arm_rendering, arm_simulation, roboarm, simulated

NUM_PAIRS, SEED = 480, 3
SPLITS = ("train", "validation", "test")
ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def builder(data_dir):
    return roboarm.prepare(data_dir, NUM_PAIRS, SEED)


@pytest.fixture(scope="module")
def pairs(builder):
    """All pairs of all splits, in order of time: each feature stacked along a first axis."""
    everything = builder.as_dataset(split="all")
    examples = sorted(tfds.as_numpy(everything), key=lambda example: example["frame"])
    return {name: np.stack([example[name] for example in examples]) for name in examples[0]}


@pytest.fixture(scope="module")
def poses(pairs):
    """The poses of every simulated frame, stored or not."""
    return list(itertools.islice(arm_simulation.simulate(SEED), int(pairs["frame"][-1]) + 2))


def pixel_centres(mask):
    rows, columns = np.nonzero(mask)
    return np.stack([columns, rows], axis=-1) + 0.5


def shards(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.tfrecord*"))}


# --- the features ---


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
    for index in range(0, NUM_PAIRS, 9):
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
    for index in range(0, NUM_PAIRS - 1, 7):
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
    assert checked > 5000


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
    for index in random.integers(NUM_PAIRS, size=60):
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


# --- drawing, at places where the answer is known ---


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


# --- the motion ---


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


# --- splits, bytes and files ---


def test_splits_are_blocks_of_time_with_gaps(builder):
    frames = {}
    for split in SPLITS:
        examples = tfds.as_numpy(builder.as_dataset(split=split))
        frames[split] = sorted(int(example["frame"]) for example in examples)
        first, last = frames[split][0], frames[split][-1]
        assert frames[split] == list(range(first, last + 1))
    assert [len(frames[split]) for split in SPLITS] == [400, 40, 40]
    for before, after in zip(SPLITS, SPLITS[1:]):
        last_seen = frames[before][-1] + 1
        assert frames[after][0] - last_seen - 1 == simulated.SPLIT_GAP


def test_default_size_has_the_papers_number_of_pairs():
    blocks = simulated.split_blocks(roboarm.DEFAULT_NUM_PAIRS)
    assert {name: len(block) for name, block in blocks.items()} == {
        "train": 19999,
        "validation": 2000,
        "test": 2000,
    }


def test_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    folders = []
    for name, seed in (("first", 5), ("second", 5), ("other", 6)):
        built = roboarm.prepare(tmp_path / name, simulated.MIN_NUM_PAIRS, seed)
        folders.append(pathlib.Path(built.data_path))
    first, second, other = map(shards, folders)
    assert len(first) == len(SPLITS) * simulated.NUM_SHARDS
    assert first == second
    assert not set(first.values()) & set(other.values())


def test_second_prepare_builds_nothing(builder, data_dir, capsys):
    start = time.monotonic()
    again = roboarm.prepare(data_dir, NUM_PAIRS, SEED)
    assert time.monotonic() - start < 1.0
    assert capsys.readouterr() == ("", "")
    assert again.info.splits["train"].num_examples == 400


def test_prepare_prints_one_line_under_one_progress_bar(tmp_path, capsys):
    roboarm.prepare(tmp_path, simulated.MIN_NUM_PAIRS, SEED)
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1
    assert printed.out.startswith("roboarm: 120 pairs in ")
    assert "largest flow below 0.5 px in" in printed.out
    lines = printed.err.replace("\r", "\n").split("\n")
    assert all(line.startswith("Simulating the robot arm") for line in lines if line)


def test_tfds_loads_it_by_name(builder, data_dir):
    name = f"roboarm/pairs_{NUM_PAIRS}_seed_{SEED}"
    dataset = tfds.load(name, split="test", data_dir=data_dir, download=False)
    assert len(dataset) == 40
    assert tfds.builder("roboarm", data_dir=data_dir).builder_config.num_pairs == 23999


def interrupt_a_build(data_dir, num_pairs, interruption):
    """Starts a build in another process, interrupts it midway; returns the data set's folder."""
    call = f"roboarm.prepare({str(data_dir)!r}, {num_pairs}, {SEED})"
    process = subprocess.Popen(
        [sys.executable, "-c", f"from input_pipeline.datasets import roboarm; {call}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job would ignore it
    )
    folder = data_dir / "roboarm" / f"pairs_{num_pairs}_seed_{SEED}"
    while not list(folder.glob("incomplete.*")):
        assert process.poll() is None
        time.sleep(0.01)
    while process.poll() is None:  # Python loses a Ctrl-C that falls into a callback of its own; one presses it again
        process.send_signal(interruption)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)
    assert process.returncode != 0
    return folder


def test_killed_build_leaves_no_data_set_and_the_next_one_succeeds(tmp_path):
    num_pairs = 1200
    folder = interrupt_a_build(tmp_path, num_pairs, signal.SIGKILL)
    assert list(folder.glob("incomplete.*"))
    assert not (folder / "1.0.0").exists()
    built = roboarm.prepare(tmp_path, num_pairs, SEED)
    assert not list(folder.glob("incomplete.*"))
    assert len(built.as_dataset(split="all")) == num_pairs


def test_interrupted_build_cleans_up_by_itself(tmp_path):
    folder = interrupt_a_build(tmp_path, 12_000, signal.SIGINT)
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_full_disk_is_an_os_error_and_leaves_nothing(tmp_path, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, hard))
    try:
        with pytest.raises(OSError, match="roboarm-train.*File too large"):
            roboarm.prepare(tmp_path, simulated.MIN_NUM_PAIRS, SEED)
        assert capsys.readouterr().err.endswith("\n")  # the bar is closed: a message may follow
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    folder = tmp_path / "roboarm" / f"pairs_{simulated.MIN_NUM_PAIRS}_seed_{SEED}"
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_data_dir_that_cannot_be_written_is_an_os_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file/roboarm"):
        roboarm.prepare(tmp_path / "file", simulated.MIN_NUM_PAIRS, SEED)


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="num_pairs is 119, too few .* give 120 or more"):
        roboarm.prepare(tmp_path, 119, 0)
    with pytest.raises(ValueError, match="seed is -1, which is negative: give 0 or more"):
        roboarm.prepare(tmp_path, 120, -1)
    assert not list(tmp_path.iterdir())
