"""Checkpoints: named exactly, whole or not there, and one that is damaged gives way to the one before."""

import os
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.training import checkpoints, lock
from tests.dense_labels.training import tiny

NAMES = ("run[123]", "run*", "run?", "run]", "{run,run1}", "run\\1", "of[a]*/run")
FOLDER = checkpoints.FOLDER


def made(value=0.0):
    """What a callback saves: a network whose weights are all `value`, and its optimiser at step `value`."""
    network, optimizer = tiny.network(), tf.keras.optimizers.Adam()
    optimizer.build(network.trainable_variables)
    fill(network, value)
    optimizer.iterations.assign(int(value))
    return types.SimpleNamespace(network=network, optimizer=optimizer)


def fill(network, value):
    network.set_weights([np.full(weight.shape, value, np.float32) for weight in network.get_weights()])


def write(workdir, *steps, keep=9):
    """Saves a checkpoint at each step; its weights are that number."""
    model = made()
    saver = checkpoints.Checkpoints(model, str(workdir), keep)
    for step in steps:
        fill(model.network, step)
        model.optimizer.iterations.assign(step)
        saver.on_epoch_end(0)


def read(workdir):
    """The step and the one value of the weights that the newest checkpoint gives to a network."""
    network = tiny.network()
    step = checkpoints.restore_network(network, str(workdir))
    assert len({float(value) for weight in network.get_weights() for value in weight.ravel()}) == 1
    return step, float(network.get_weights()[0].ravel()[0])


def steps(workdir):
    """The steps of all checkpoints, each of which has its two files, with no other file beside them."""
    names = sorted(path.name for path in (workdir / FOLDER).iterdir() if path.name != "checkpoint")
    found = sorted({int(name.split(".")[0].removeprefix("ckpt-")) for name in names})
    assert names == sorted(f"ckpt-{step}.{kind}" for step in found for kind in ("index", "data-00000-of-00001"))
    return found


# --- names are names ---


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Work directory with the checkpoints 1, 2 and 3."""
    workdir = tmp_path_factory.mktemp("runs") / "three"
    write(workdir, 1, 2, 3)
    return workdir


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_run_is_no_pattern(tmp_path, name, three):
    for other in ("run1", "run", "of a b/run"):
        shutil.copytree(three, tmp_path / other)
    write(tmp_path / name, 4, 5, 6, keep=1)
    write(tmp_path / name, 7, keep=1)
    assert steps(tmp_path / name) == [7] and read(tmp_path / name) == (7, 7.0)
    for other in ("run1", "run", "of a b/run"):
        assert steps(tmp_path / other) == [1, 2, 3] and read(tmp_path / other) == (3, 3.0)
    model = made()
    saver = checkpoints.Checkpoints(model, str(tmp_path / name), 1)
    assert saver.restore() == 7 and float(model.network.get_weights()[0].max()) == 7.0
    assert saver.newest == str(tmp_path / name / FOLDER / "ckpt-7")


def test_a_run_is_given_by_a_path_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("run[1]", 4)
    assert read("run[1]") == (4, 4.0) and checkpoints.newest("run[1]") == os.path.join("run[1]", FOLDER, "ckpt-4")


def test_an_error_names_the_folder_and_not_a_link_to_it(tmp_path, monkeypatch):
    def write_nothing(self, prefix, options=None):
        raise tf.errors.ResourceExhaustedError(None, None, f"{prefix}.data; File too large")

    monkeypatch.setattr(tf.train.Checkpoint, "write", write_nothing)
    with pytest.raises(tf.errors.ResourceExhaustedError) as raised:
        write(tmp_path / "run[1]", 1)
    assert str(tmp_path / "run[1]" / FOLDER) in raised.value.message
    assert list((tmp_path / "run[1]" / FOLDER).iterdir()) == []


def test_the_newest_are_kept_and_files_of_others_stay(tmp_path):
    others = ("ckpt-2.txt", "ckpt-07.index", "mine.ckpt-1.index", "ckpt-1.indexes")
    (tmp_path / FOLDER).mkdir()
    for name in others:
        (tmp_path / FOLDER / name).write_text("mine")
    write(tmp_path, 8, 9, 10, 11, keep=2)
    for name in others:
        (tmp_path / FOLDER / name).unlink()  # raises where it is gone
    assert steps(tmp_path) == [10, 11]


def test_other_programs_find_the_newest(tmp_path):
    write(tmp_path, 8, 9)
    assert tf.train.latest_checkpoint(tmp_path / FOLDER) == str(tmp_path / FOLDER / "ckpt-9")


# --- damage ---


def _truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path):
    path.write_bytes(b"")


def _zero(path):
    path.write_bytes(bytes(path.stat().st_size))


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


DAMAGES = (_truncate, _empty, _zero, _flip)


@pytest.mark.parametrize("kind", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, capsys, damage, kind):
    write(tmp_path, 4, 8)
    damage(tmp_path / FOLDER / f"ckpt-8.{kind}")
    assert checkpoints.newest_step(tmp_path) == 4 and read(tmp_path) == (4, 4.0)
    model = made()
    assert checkpoints.Checkpoints(model, str(tmp_path), 2).restore() == 4
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert len(said) == 1 and "ckpt-8 is damaged (" in said[0] and said[0].endswith("ckpt-4, is used")
    write(tmp_path, 8)
    assert read(tmp_path) == (8, 8.0) and steps(tmp_path) == [4, 8]


def test_a_checkpoint_whose_data_are_gone_gives_way(tmp_path):
    write(tmp_path, 4, 8)
    (tmp_path / FOLDER / "ckpt-8.data-00000-of-00001").unlink()
    assert read(tmp_path) == (4, 4.0)


def test_a_damaged_checkpoint_takes_no_place_of_a_good_one(tmp_path):
    write(tmp_path, 4, 8, 12)
    for step in (8, 12):
        _zero(tmp_path / FOLDER / f"ckpt-{step}.index")
    write(tmp_path, 8, keep=1)
    assert steps(tmp_path) == [8] and read(tmp_path) == (8, 8.0)


def test_a_checkpoint_is_read_through_once(tmp_path, monkeypatch):
    write(tmp_path, 4)
    reads = []
    of_tensorflow = tf.train.load_checkpoint
    monkeypatch.setattr(tf.train, "load_checkpoint", lambda path: reads.append(path) or of_tensorflow(path))
    assert [checkpoints.newest_step(tmp_path) for _ in range(3)] == [4, 4, 4] and len(reads) == 1
    _flip(tmp_path / FOLDER / "ckpt-4.index")
    with pytest.raises(ValueError, match="no checkpoint there can be read"):
        checkpoints.newest_step(tmp_path)


def test_without_a_checkpoint_that_can_be_read_it_is_one_line(tmp_path):
    write(tmp_path, 4, 8)
    for step, damage in ((4, _flip), (8, _empty)):
        damage(tmp_path / FOLDER / f"ckpt-{step}.index")
    said = rf"^{tmp_path}/{FOLDER}: no checkpoint there can be read: ckpt-8 is .*; ckpt-4 is .*; train again in another"
    for use in (checkpoints.newest, checkpoints.newest_step, read):
        with pytest.raises(ValueError, match=said) as raised:
            use(tmp_path)
        assert "\n" not in str(raised.value)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything may be read")
def test_what_may_not_be_read_is_not_taken_for_damaged(tmp_path):
    write(tmp_path, 4, 8)
    (tmp_path / FOLDER / "ckpt-8.index").chmod(0)
    with pytest.raises(PermissionError):
        checkpoints.newest(tmp_path)


def test_a_checkpoint_that_is_removed_while_it_is_read_is_none(tmp_path, monkeypatch):
    write(tmp_path, 4)
    of_tensorflow = tf.train.load_checkpoint

    def load(path):
        if path.endswith("ckpt-4"):  # the training goes on meanwhile
            monkeypatch.setattr(tf.train, "load_checkpoint", of_tensorflow)
            write(tmp_path, 8, keep=1)
        return of_tensorflow(path)

    monkeypatch.setattr(tf.train, "load_checkpoint", load)
    assert read(tmp_path) == (8, 8.0)


# --- killed at any instant ---


def _states(workdir, change, into):
    """Copies a folder as it was before and after each call that `change` makes of what changes names of files.

    What TensorFlow itself writes lies under a temporary name, and is cut off as well: see `_cut`.
    """
    calls = {"os": ("replace", "rename", "link", "symlink", "mkdir", "remove", "unlink"), "shutil": ("rmtree",)}
    modules = {"os": os, "shutil": shutil}
    copies = []

    def copied():
        with pytest.MonkeyPatch.context() as undone:
            for module, name in originals:
                undone.setattr(module, name, originals[module, name])
            copies.append(into / str(len(copies)))
            shutil.copytree(workdir, copies[-1])

    def watched(function):
        def call(*args, **kwargs):
            copied()
            try:
                return function(*args, **kwargs)
            finally:
                copied()

        return call

    originals = {(modules[name], call): getattr(modules[name], call) for name in calls for call in calls[name]}
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), function in originals.items():
            patch.setattr(module, name, watched(function))
        change()
    return copies


def _distinct(copies):
    """The copies that differ in the names or the sizes of their files; names drawn by chance are all alike."""
    seen = {}
    for copy in copies:
        paths = sorted(path for path in copy.rglob("*") if path.is_file())
        chance = {part for path in paths for part in path.parts if part.startswith(".")}
        names = [tuple("." if part in chance else part for part in path.relative_to(copy).parts) for path in paths]
        seen.setdefault((tuple(names), tuple(path.read_bytes() for path in paths)), copy)
    return list(seen.values())


def _cut(copies):
    """Also the copies with a file under a temporary name cut off, as a kill within its writing leaves it."""
    for copy in list(copies):
        for path in sorted(copy.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(copy).parts)
            if path.is_file() and hidden and path.stat().st_size:
                cut = copy.with_name(f"{copy.name}-cut-{path.name}")
                shutil.copytree(copy, cut)
                _truncate(cut / path.relative_to(copy))
                copies.append(cut)
    return copies


def test_every_state_on_the_way_is_the_one_before_or_the_one_after(tmp_path, capsys):
    run, into = tmp_path / "run", tmp_path / "states"
    write(run, 4, 8, keep=2)
    copies = _cut(_distinct(_states(run, lambda: write(run, 12, keep=2), into)))
    assert len(copies) >= 8
    found = set()
    for copy in copies:
        step, value = read(copy)
        assert step == value
        found.add(step)
        model = made()
        assert checkpoints.Checkpoints(model, str(copy), 2).restore() == step  # which removes what is not whole
        assert steps(copy)[-1] == step
        write(copy, 12, keep=2)
        assert steps(copy) == [8, 12] and read(copy) == (12, 12.0)
    assert found == {8, 12} and "damaged" not in capsys.readouterr().out


def test_killed_at_its_first_checkpoint_a_run_begins_anew(tmp_path):
    run, into = tmp_path / "run", tmp_path / "states"
    run.mkdir()
    copies = _cut(_distinct(_states(run, lambda: write(run, 4), into)))
    found = set()
    for copy in copies:
        step = checkpoints.Checkpoints(made(), str(copy), 2).restore()
        assert (steps(copy) if (copy / FOLDER).exists() else []) == ([step] if step else [])
        found.add(step)
    assert found == {0, 4} and len(copies) >= 6


def test_while_a_damaged_one_is_replaced_the_one_before_stays(tmp_path):
    run, into = tmp_path / "run", tmp_path / "states"
    write(run, 4, 8)
    _flip(run / FOLDER / "ckpt-8.data-00000-of-00001")
    found = [read(copy) for copy in _distinct(_states(run, lambda: write(run, 8, keep=1), into))]
    assert set(found) == {(4, 4.0), (8, 8.0)} and [step for step, _ in found] == sorted(step for step, _ in found)


def test_what_earlier_versions_left_half_written_is_removed(tmp_path):
    write(tmp_path, 4)
    folder = tmp_path / FOLDER
    for name in ("ckpt-8_temp", ".ckpt-8.0123456789abcdef"):
        (folder / name).mkdir()
        (folder / name / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"half")
    for name in ("ckpt-8.data-00000-of-00001", ".checkpoint.0123456789abcdef"):
        (folder / name).write_bytes(b"half")
    (folder / "checkpoint").write_text("?")  # was once what a run was opened by
    assert checkpoints.Checkpoints(made(), str(tmp_path), 2).restore() == 4
    assert steps(tmp_path) == [4]


def test_those_that_only_take_part_leave_the_run_alone(tmp_path):
    write(tmp_path, 4)
    (tmp_path / FOLDER / "ckpt-8.data-00000-of-00001").write_bytes(b"being written by the chief")
    other = checkpoints.Checkpoints(made(), str(tmp_path), 2, chief=False)
    assert other.restore() == 4
    before = sorted(os.listdir(tmp_path / FOLDER))
    other.on_epoch_end(0)
    other.on_train_end()
    assert sorted(os.listdir(tmp_path / FOLDER)) == before


def test_who_has_lost_its_lock_writes_no_checkpoint(tmp_path):
    with lock.hold(tmp_path):
        write(tmp_path, 4)
        (tmp_path / lock.FILE).write_text("{}")  # another training has taken over
        with pytest.raises(ValueError, match="no longer of this training"):
            write(tmp_path, 8)
    assert steps(tmp_path) == [4]


@pytest.mark.parametrize("index", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("data", [0.0, 0.5, 1.0])
def test_a_first_checkpoint_of_an_earlier_version_that_was_cut_off(tmp_path, index, data):
    """TensorFlow moved the data first, then wrote the index in place."""
    write(tmp_path, 4, 8)
    for kind, part in (("index", index), ("data-00000-of-00001", data)):
        path = tmp_path / FOLDER / f"ckpt-8.{kind}"
        path.write_bytes(path.read_bytes()[: round(path.stat().st_size * part)])
    assert read(tmp_path)[0] == (8 if index == data == 1 else 4)
