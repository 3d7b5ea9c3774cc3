"""Tests of how simulated data sets are split and built: blocks of time, the same bytes, whole or not at all."""

import contextlib
import pathlib
import resource
import signal
import subprocess
import sys
import time

import pytest
import tensorflow_datasets as tfds

from input_pipeline.simulation import building, frame_pairs, roboarm

NUM_PAIRS, SEED = frame_pairs.MIN_NUM_PAIRS, 3
SPLITS = ("train", "validation", "test")
ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def builder(data_dir):
    return roboarm.prepare(data_dir, NUM_PAIRS, SEED)


def shards(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.tfrecord*"))}


def test_splits_are_blocks_of_time_with_gaps(builder):
    frames = {}
    for split in SPLITS:
        examples = tfds.as_numpy(builder.as_dataset(split=split))
        frames[split] = sorted(int(example["frame"]) for example in examples)
        first, last = frames[split][0], frames[split][-1]
        assert frames[split] == list(range(first, last + 1))
    assert [len(frames[split]) for split in SPLITS] == [100, 10, 10]
    for before, after in zip(SPLITS, SPLITS[1:]):
        last_seen = frames[before][-1] + 1
        assert frames[after][0] - last_seen - 1 == frame_pairs.SPLIT_GAP


def test_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    folders = []
    for name, seed in (("first", 5), ("second", 5), ("other", 6)):
        built = roboarm.prepare(tmp_path / name, NUM_PAIRS, seed)
        folders.append(pathlib.Path(built.data_path))
    first, second, other = map(shards, folders)
    assert len(first) == len(SPLITS) * frame_pairs.NUM_SHARDS
    assert first == second
    assert not set(first.values()) & set(other.values())


def test_second_prepare_builds_nothing(builder, data_dir, capsys, monkeypatch):
    monkeypatch.setattr(building, "_build", lambda *_: pytest.fail("it is built again"))
    again = roboarm.prepare(data_dir, NUM_PAIRS, SEED)
    assert capsys.readouterr() == ("", "")
    assert again.info.splits["train"].num_examples == 100


def test_prepare_prints_one_line_under_one_progress_bar(tmp_path, capsys):
    roboarm.prepare(tmp_path, NUM_PAIRS, SEED)
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1
    assert printed.out.startswith("roboarm: 120 pairs in ")
    assert "largest flow below 0.5 px in" in printed.out
    lines = printed.err.replace("\r", "\n").split("\n")
    assert all(line.startswith("Simulating the robot arm") for line in lines if line)


BUILD = """
from input_pipeline.simulation import roboarm
try:
    roboarm.prepare({interrupted!r}, 12_000, {seed})
except KeyboardInterrupt:
    roboarm.prepare({killed!r}, {pairs}, {seed})
"""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The folders of two builds that were stopped midway, the first by Ctrl-C, the second by a kill."""
    interrupted, killed = (tmp_path_factory.mktemp(name) for name in ("interrupted", "killed"))
    code = BUILD.format(interrupted=str(interrupted), killed=str(killed), pairs=3 * NUM_PAIRS, seed=SEED)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job would ignore it
    )
    try:
        wait_for(lambda: unfinished(interrupted), process)
        while unfinished(interrupted):  # Python loses a Ctrl-C that falls into a callback; one presses it again
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(TimeoutError):
                wait_for(lambda: not unfinished(interrupted), process, seconds=2)
        wait_for(lambda: unfinished(killed), process)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    return interrupted, killed


def unfinished(folder):
    return list(folder.glob("roboarm/pairs_*/incomplete.*"))


def wait_for(condition, process, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.01)


def test_interrupted_build_cleans_up_by_itself(stopped):
    folder = stopped[0] / f"roboarm/pairs_12000_seed_{SEED}"
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_killed_build_leaves_no_data_set_and_the_next_one_succeeds(stopped):
    folder = stopped[1] / f"roboarm/pairs_{3 * NUM_PAIRS}_seed_{SEED}"
    assert unfinished(stopped[1]) and not (folder / "1.0.0").exists()
    built = roboarm.prepare(stopped[1], 3 * NUM_PAIRS, SEED)
    assert not unfinished(stopped[1])
    assert len(built.as_dataset(split="all")) == 3 * NUM_PAIRS


def test_full_disk_is_an_os_error_and_leaves_nothing(tmp_path, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, hard))
    try:
        with pytest.raises(OSError, match="roboarm-train.*File too large"):
            roboarm.prepare(tmp_path, NUM_PAIRS, SEED)
        assert capsys.readouterr().err.endswith("\n")  # the bar is closed: a message may follow
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    folder = tmp_path / "roboarm" / f"pairs_{NUM_PAIRS}_seed_{SEED}"
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_data_dir_that_cannot_be_written_is_an_os_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file/roboarm"):
        roboarm.prepare(tmp_path / "file", NUM_PAIRS, SEED)


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="num_pairs is 119, too few .* give 120 or more"):
        roboarm.prepare(tmp_path, 119, 0)
    with pytest.raises(ValueError, match="seed is -1, which is negative: give 0 or more"):
        roboarm.prepare(tmp_path, 120, -1)
    assert not list(tmp_path.iterdir())
