"""Tests of the commands that damage things on purpose; a short run of each, and that each notices what is wrong."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import faults
from benchmarks.faults import annotations, disk, files, pictures
from dense_labels import files as program_files
from dense_labels import kept_heads, run_config
from dense_labels.config import Config, DataConfig
from dense_labels.evaluation.result import Result
from dense_labels.exporting import decoding_graph
from dense_labels.registry import READERS
from models import nearest_landmarks


def test_damaged_annotations_are_read_or_refused():
    counters, wrong = annotations.measure(900, seed=7)
    assert wrong == []
    assert all(counted[faults.RIGHT] and counted[faults.REFUSED] for counted in counters.values())
    of_users = {name for name, entry in READERS.items() if entry.facts.get("annotations")}
    assert of_users <= set(counters)  # a format yet to come must be damaged as well


def test_a_mistake_of_the_program_is_no_refusal(monkeypatch):
    def read(data):
        return {}[data.name]

    broken = dataclasses.replace(READERS["coco"], value=read)
    monkeypatch.setitem(READERS._entries, "coco", broken)
    assert "KeyError" in annotations.outcome(DataConfig(name="coco")).text


# --- files ---

_QUICK = ("open", "heads", "result")  # roads


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Of what `files.make` makes what is quickly made: a configuration, heads and a result."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / "run" / "eval").mkdir(parents=True)
    run_config.save(Config(), folder / "run")
    head = nearest_landmarks.NearestLandmarks(np.eye(3, dtype=np.float32), 2, upsample=4)
    result = Result(metrics={"cell_error_percent": 7.5}, best="nearest", step=4)
    kept = kept_heads.KeptHeads({"nearest": head}, result, Config(), np.zeros([2, 32, 32, 3], np.float32))
    kept_heads.save(folder / "run", kept)
    result.save(folder / "run" / "eval" / "result.json")
    (folder / "run" / "eval" / "labels.png").write_bytes(b"drawn")
    return folder


def test_damaged_files_of_a_run_are_noticed(sound):
    """The damage of checkpoints is tested with the trainings, that of exports with the server."""
    counters, wrong = files.measure(180, seed=3, roads=_QUICK, sound=sound)
    assert wrong == [] and counters.pop(files.UNREAD) == {faults.RIGHT: 1}
    names = ("config.json", "eval/result.json", *(f"heads/1/{name}" for name in ("heads.json", "nearest.npz")))
    assert set(counters) == {f"run/{name}" for name in (*names, "heads/1/examples.npz", "heads/1/result.json")}
    assert all(counted[faults.REFUSED] for counted in counters.values())


def test_a_file_that_answers_otherwise_without_a_word_is_wrong(sound, tmp_path, monkeypatch):
    unsealed = run_config.files.unsealed
    monkeypatch.setattr(run_config.files, "unsealed", lambda values: (unsealed(values)[0], True))
    monkeypatch.setattr(files, "damage", lambda content, *_: content.replace(b"7.5", b"1.5"))
    _, wrong = files.measure(30, seed=3, roads=("result",), sound=sound)
    assert wrong and all("result answers otherwise, and says nothing" in each for each in wrong)


def test_damage_is_of_three_kinds():
    random = np.random.default_rng(0)
    truncated, zeroed, flipped = (files.damage(b"abcdef", way, random) for way in range(3))
    assert b"abcdef".startswith(truncated) and len(truncated) < 6 and zeroed == bytes(6)
    assert sum(a != b for a, b in zip(flipped, b"abcdef")) == 1


def test_a_disk_that_is_full_leaves_half_of_one_writing(tmp_path):
    """A training on such a disk takes long, and is left to the command."""

    def write(disk):
        with disk.mounted():
            (tmp_path / "first").write_text("whole")
            program_files.write_whole(tmp_path / "second", b"whole")

    counting = disk._Disk(tmp_path, 0)
    write(counting)
    assert counting.count == 3  # two files are opened, and one is renamed
    for fails, left in ((1, {"first": b"wh", "second": b"whole"}), (2, {"first": b"whole", "second": b"whole"})):
        with pytest.raises(OSError, match="No space left on device"):
            write(disk._Disk(tmp_path, fails))
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == left


# --- pictures ---


def test_damaged_pictures_mean_one_thing_or_nothing():
    counters, wrong = pictures.measure(300, seed=11)
    assert wrong == [] and len(counters) == 4
    assert counters["JPEG"][faults.RIGHT] and counters["BMP"][faults.RIGHT] and counters["PNG"][faults.REFUSED]


def test_a_road_that_sees_something_else_is_wrong(tmp_path, monkeypatch):
    file = next(file for name, file, _ in pictures.picture_files.bmps() if name == "bmp 24")
    assert pictures.outcome(file, tmp_path / "a").kind == faults.RIGHT
    monkeypatch.setattr(pictures, "_served", lambda file: decoding_graph.decode(file, max_pixels=10**6)[:, ::-1])
    assert pictures.outcome(file, tmp_path / "a").text == "a training reads other pixels than a served model"
    jpeg = next(pictures.picture_files.jpegs())[1]
    assert pictures.outcome(jpeg, tmp_path / "a").kind == faults.SALVAGED
    monkeypatch.setattr(pictures, "_served", lambda file: tf.zeros([1, 2, 3], tf.uint8))
    assert "a served model (1, 2, 3)" in pictures.outcome(jpeg, tmp_path / "a").text
    monkeypatch.setattr(pictures.decoding, "read_picture", lambda path: {}[path])
    assert "KeyError" in pictures.outcome(file, tmp_path / "a").text


def test_each_part_is_a_command_of_its_own():
    from benchmarks.faults import __main__ as command

    folder = pathlib.Path(faults.__file__).parent
    assert set(command._COUNTS) == {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
