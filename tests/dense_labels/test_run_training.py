"""Runs are safe: killed at any instant they go on, one process writes, names are names, configurations do not mix."""

import hashlib
import json
import os
import shutil
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

import dense_labels
from dense_labels import config as config_lib
from dense_labels import config_files, run_config, run_training
from dense_labels.training import beginning, checkpoints, lock, loop, manifest, strategies
from input_pipeline import pipeline
from tests import quick
from tests.quick import EPOCHS, SIDE, STEPS, assert_same, weights

KINDS = ("index", "data-00000-of-00001")  # of the files of a checkpoint
WRITTEN = ["config.json", manifest.FILE]  # into the work directory before the training begins


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    with quick.options(tmp_path_factory.mktemp("faces")) as options:
        yield options


@pytest.fixture(scope="module")
def recorded(options, tmp_path_factory):
    """A whole run, and copies of its work directory: one of each state that it was in when a file was touched."""
    folder = tmp_path_factory.mktemp("recorded")
    run, states = folder / "run", {}
    run.mkdir()
    hook = types.SimpleNamespace(on=True)
    touching = ("open", "os.", "shutil.")

    def watch(event, _):  # called before each event; it cannot be removed
        if hook.on and event.startswith(touching) and event not in ("os.listdir", "os.scandir"):
            hook.on = False
            try:
                _keep(run, states, folder)
            finally:
                hook.on = True

    sys.addaudithook(watch)
    write = tf.train.Checkpoint.write

    def write_and_watch(self, *args, **kwargs):  # TensorFlow's files are no event of Python's
        watch("open", None)
        path = write(self, *args, **kwargs)
        watch("open", None)
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.train.Checkpoint, "write", write_and_watch)
        dense_labels.train(workdir=run, **options)
    hook.on = False
    return run, list(states.values())


def _keep(run, states, folder):
    """Copies a work directory, unless it was as it is now before; names drawn by chance are all alike."""
    digest = hashlib.sha1()
    for path in sorted(run.rglob("*")):
        parts = [part.rpartition(".")[0] if part.startswith(".") else part for part in path.relative_to(run).parts]
        digest.update("/".join(parts).encode())
        digest.update(path.read_bytes() if path.is_file() and path.name != lock.FILE else b"")
    if digest.digest() not in states:
        states[digest.digest()] = folder / f"{len(states):03}"
        shutil.copytree(run, states[digest.digest()])


def test_killed_at_any_instant_a_run_can_be_opened_at_its_last_checkpoint(recorded):
    run, states = recorded
    final, found = weights(run), []
    for state in states:
        step = checkpoints.newest_step(state) if checkpoints.newest(state) else 0
        if step:
            opened = dense_labels.open_run(state)  # its configuration came first
            assert opened.step == step and opened.config.train.num_epochs == EPOCHS
        found.append(step)
    assert found == sorted(found) and set(found) == {0, *(STEPS * epoch for epoch in range(1, EPOCHS + 1))}
    assert len(states) > 20 and final[0] == EPOCHS * STEPS


def test_killed_at_any_instant_a_run_goes_on_to_the_same_weights(recorded, options, tmp_path, capsys):
    """One state of each kind is gone on from: before and after the first checkpoint, with what is not whole yet."""
    run, states = recorded
    expected, tried = weights(run), {}
    for state in states:
        names = {path.name for path in state.rglob("*")}
        unfinished = any(name.startswith(".") for name in names)
        data = {name.split(".")[0] for name in names if ".data-" in name}
        without_index = any(f"{name}.index" not in names for name in data)
        step = checkpoints.newest_step(state) if checkpoints.newest(state) else 0
        tried.setdefault((step > 0, unfinished, without_index), state)
    assert len(tried) >= 5
    for state in tried.values():
        workdir = tmp_path / state.name
        shutil.copytree(state, workdir)
        dense_labels.train(workdir=workdir, **options)
        assert_same(weights(workdir), expected)
        assert sorted(path.name for path in workdir.iterdir() if path.name != "tensorboard") == [
            checkpoints.FOLDER,
            *WRITTEN,
        ]
        assert sorted(os.listdir(workdir / checkpoints.FOLDER)) == sorted(os.listdir(run / checkpoints.FOLDER))
    assert "warning" not in capsys.readouterr().out


def test_a_damaged_newest_checkpoint_is_trained_again(recorded, options, tmp_path, capsys):
    expected, workdir = weights(recorded[0]), tmp_path / "run"
    shutil.copytree(recorded[0], workdir)
    path = workdir / checkpoints.FOLDER / f"ckpt-{EPOCHS * STEPS}.{KINDS[1]}"
    path.write_bytes(path.read_bytes()[:-20])
    opened = dense_labels.open_run(workdir)
    assert opened.step == (EPOCHS - 1) * STEPS
    opened.labels(np.zeros([1, SIDE, SIDE, 3], np.uint8))
    run = dense_labels.train(workdir=workdir, **options)
    assert_same(weights(workdir), expected)
    assert run.step == EPOCHS * STEPS and opened.step == (EPOCHS - 1) * STEPS  # that of the network it labels with
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert len(said) == 1 and "is damaged" in said[0] and said[0].endswith(f"ckpt-{(EPOCHS - 1) * STEPS}, is used")


def test_a_run_whose_name_is_a_pattern_goes_on_and_leaves_others_alone(recorded, options, tmp_path):
    expected = weights(recorded[0])
    for name in ("runs1/run1", "runs[12]/run[123]"):
        shutil.copytree(recorded[0], tmp_path / name)
    workdir, last = tmp_path / "runs[12]" / "run[123]", f"ckpt-{EPOCHS * STEPS}.index"
    (workdir / checkpoints.FOLDER / last).unlink()
    run = dense_labels.train(workdir=workdir, **options)
    assert_same(weights(workdir), expected)
    assert_same(weights(tmp_path / "runs1" / "run1"), expected)
    assert run.labels(np.zeros([1, SIDE, SIDE, 3], np.uint8)).length == 64


def test_a_pattern_is_refused_as_a_folder_of_exports_before_anything_is_done(recorded, tmp_path):
    run = dense_labels.open_run(recorded[0])
    with pytest.raises(ValueError, match=r"^export_dir=.*served\[1\]: .* holds one of .*; choose a path without them$"):
        run.export(tmp_path / "served[1]")
    assert "restored" not in vars(run) and not list(tmp_path.iterdir())


# --- configurations ---


def test_a_run_killed_before_its_first_checkpoint_may_be_begun_otherwise(recorded, options, tmp_path):
    begun = [state for state in recorded[1] if (state / "config.json").exists() and not checkpoints.newest(state)]
    other = {**options, "loss.name": "log", "train.num_epochs": 1}
    dense_labels.train(workdir=tmp_path / "alone", **other)
    shutil.copytree(begun[-1], tmp_path / "run")  # all of the first checkpoint is in its place but the index
    assert list((tmp_path / "run" / checkpoints.FOLDER).glob("ckpt-*.data-*"))
    run = dense_labels.train(workdir=tmp_path / "run", **other)
    assert run.config.loss.name == "log"
    assert_same(weights(tmp_path / "run"), weights(tmp_path / "alone"))
    names = [path.name for path in (tmp_path / "run" / checkpoints.FOLDER).iterdir()]
    assert sorted(names) == ["checkpoint", *(f"ckpt-{STEPS}.{kind}" for kind in sorted(KINDS))]


def test_once_there_is_a_checkpoint_another_configuration_changes_nothing(recorded, options, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(recorded[0], workdir)
    before = {path: path.read_bytes() for path in sorted(workdir.rglob("*")) if path.is_file()}
    for damage in (False, True):
        with pytest.raises(ValueError, match="another configuration|no checkpoint there can be read"):
            dense_labels.train(workdir=workdir, **options, **{"loss.name": "log"})
        assert {path: path.read_bytes() for path in sorted(workdir.rglob("*")) if path.is_file()} == before
        for path in [] if damage else list(before):
            if path.suffix == ".index":
                path.write_bytes(b"?")
                before[path] = b"?"


def test_another_configuration_is_refused_before_the_pictures_are_read(recorded, options, tmp_path, monkeypatch):
    shutil.copytree(recorded[0], tmp_path / "run")
    monkeypatch.setattr(pipeline, "prepare", lambda _: pytest.fail("the pictures were read"))
    for change in ({"data.size": (SIDE + 2, SIDE)}, {"train.num_epochs": EPOCHS + 1}):
        with pytest.raises(ValueError, match="another configuration"):
            dense_labels.train(workdir=tmp_path / "run", **{**options, **change})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model.weights": "/nowhere.h5"}, "weights=/nowhere.h5: there is no such file"),
        ({"model.weights": "none", "model.frozen": "layer"}, "would stay random"),
        ({"train.init_from": "/nowhere"}, "/nowhere holds no checkpoint"),
    ],
)
def test_what_cannot_begin_is_refused_before_the_pictures_are_read(options, tmp_path, monkeypatch, changes, message):
    monkeypatch.setattr(pipeline, "prepare", lambda _: pytest.fail("the pictures were read"))
    given = {"workdir": tmp_path / "run", "data.name": "folder", "data.dir": options["pictures_or_config"], **changes}
    with pytest.raises(ValueError, match=message):
        dense_labels.train("introspection", **given)
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize("has_config", [True, False])
def test_of_the_run_to_begin_with_the_checkpoint_is_enough(monkeypatch, tmp_path, capsys, has_config):
    """Where its configuration is there too, batch norms that it treated otherwise are said."""
    monkeypatch.setattr(checkpoints, "newest_step", lambda workdir: 1)
    given = {"data.dir": "PICTURES", "data.annotations": "TRAIN.json", "data.annotations_test": "TEST.json"}
    if has_config:
        first = {**given, "model.weights": "imagenet"}
        run_config.save(config_lib.with_overrides(config_files.find("introspection"), first), tmp_path)
    changes = {**given, "model.weights": "none", "train.init_from": str(tmp_path)}
    config = config_lib.with_overrides(config_files.find("introspection"), changes)
    assert run_training._checked(config, None, "", 1) is config
    assert ("the batch norms of the trunk are trained, and" in capsys.readouterr().out) == has_config


def test_a_layer_that_a_trunk_does_not_have_is_refused():
    config = config_lib.with_overrides(config_files.find("introspection"), {"model.frozen": "layer"})
    with pytest.raises(ValueError, match="frozen='layer': there is no such layer"):
        run_training._check_trunk(config)


@pytest.mark.parametrize(
    "count, replicas, exchange, expected",
    [
        (100, 1, False, 16),
        (100, 3, False, 15),
        (100, 20, False, 20),
        (15, 2, False, 14),
        (100, 20, True, 40),
        (1, 1, False, 1),
        (3, 1, True, 3),
    ],
)
def test_a_batch_that_is_left_open_is_shared_by_all_replicas(count, replicas, exchange, expected):
    source = types.SimpleNamespace(count=lambda _: count, size=(32, 32), boxed=False)
    config = config_lib.with_overrides(config_files.find("folder"), {"loss.exchange": exchange})
    assert run_training._resolved(config, source, "float32", replicas).train.batch_size == expected


def test_labels_of_one_picture_are_not_exchanged():
    config = config_files.find("folder")
    with pytest.raises(
        ValueError, match="takes 2 pictures, and there are 1; give more, or set config.loss.exchange=False"
    ):
        beginning.batch_size(config, 1, 1)
    config.model.name, config.loss.name = "sparse", "sparse"  # which exchanges none, whatever is set
    assert beginning.batch_size(config, 1, 1) == 1


def test_weights_that_a_run_began_with_are_read_where_it_goes_on(tmp_path, capsys):
    config = config_lib.with_overrides(config_files.find("introspection"), {"data.dir": "x"})
    begun, other = (str(tmp_path / name) for name in ("begun.h5", "gone.h5"))
    (tmp_path / "begun.h5").write_text("")
    kept = config_lib.with_overrides(config, {"model.weights": begun})
    checked = run_training._checked(config_lib.with_overrides(config, {"model.weights": other}), kept, "run", 1)
    assert checked.model.weights == begun and f"{other} is not read" in capsys.readouterr().out
    (tmp_path / "begun.h5").unlink()
    with pytest.raises(ValueError, match="gone.h5: there is no such file"):
        run_training._checked(config_lib.with_overrides(config, {"model.weights": other}), kept, "run", 1)


# --- the same pictures ---


def test_a_run_goes_on_with_other_pictures_only_where_that_is_allowed(recorded, options, tmp_path, capsys):
    shutil.copytree(recorded[0], tmp_path / "run")
    shutil.copytree(options["pictures_or_config"], tmp_path / "pictures")
    moved = {**options, "pictures_or_config": str(tmp_path / "pictures"), "train.num_epochs": EPOCHS}
    dense_labels.train(workdir=tmp_path / "run", **moved)  # the folder may have moved
    first, second, *_ = sorted(path for path in (tmp_path / "pictures").iterdir())
    shutil.copy(second, first)
    with pytest.raises(
        ValueError, match=rf"began with: 1 edited \({first.name}\); bring these back, .*allow_changed_data"
    ):
        dense_labels.train(workdir=tmp_path / "run", **moved)
    first.unlink()
    with pytest.raises(ValueError, match=rf"began with: 1 gone \({first.name}\)"):
        dense_labels.train(workdir=tmp_path / "run", **moved)
    capsys.readouterr()
    run = dense_labels.train(workdir=tmp_path / "run", allow_changed_data=True, **moved)
    assert (
        f"warning: the pictures are not those that the run began with: 1 gone ({first.name})" in capsys.readouterr().out
    )
    assert run.step == EPOCHS * STEPS
    dense_labels.train(workdir=tmp_path / "run", **moved)


def test_an_epoch_stays_as_long_as_it_was_where_pictures_are_gone(options, tmp_path, monkeypatch):
    """Or the steps that are made would count as more epochs than they were."""
    shutil.copytree(options["pictures_or_config"], tmp_path / "pictures")
    all_of_them = {**options, "pictures_or_config": str(tmp_path / "pictures"), "train.steps_per_epoch": 0}
    asked = {"workdir": tmp_path / "run", **all_of_them, "train.num_epochs": 1}
    step = dense_labels.train(**asked).step
    for path in sorted((tmp_path / "pictures").iterdir())[:4]:
        path.unlink()
    lengths = []
    monkeypatch.setattr(loop, "train", lambda *_, steps_per_epoch, **__: lengths.append(steps_per_epoch))
    dense_labels.train(**asked, allow_changed_data=True)
    dense_labels.train(**asked)
    assert lengths == [step, step] and step == 6
    assert dense_labels.open_run(tmp_path / "run").config.data.num_pictures == 12


def test_a_run_does_not_go_on_with_other_boxes(options, tmp_path):
    names = sorted(os.listdir(options["pictures_or_config"]))[:8]
    images = [{"id": k, "file_name": name, "width": SIDE, "height": SIDE} for k, name in enumerate(names)]

    def write(left):
        boxes = [{"id": k, "image_id": k, "category_id": 1, "bbox": [left, 4, 20, 20]} for k in range(len(names))]
        content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "face"}]}
        (tmp_path / "boxes.json").write_text(json.dumps(content))

    write(4)
    config = config_files.find("folder")
    config.data.name, config.data.dir = "boxes", options["pictures_or_config"]
    config.data.boxes = str(tmp_path / "boxes.json")
    asked = {**options, "pictures_or_config": config, "workdir": tmp_path / "run", "train.num_epochs": 1}
    run = dense_labels.train(**asked)
    dense_labels.train(**asked)
    write(8)
    with pytest.raises(ValueError, match=rf"began with: 8 with other boxes \({names[0]}, .*\); bring these back"):
        dense_labels.train(**asked)
    assert dense_labels.train(**asked, allow_changed_data=True).step == run.step


# --- one writer ---


def test_a_second_training_is_refused_and_changes_nothing(options, tmp_path, monkeypatch):
    workdir, refused = tmp_path / "run", []

    def fit(*_):
        before = (workdir / "config.json").read_bytes()
        for more in ({}, {"loss.name": "log"}):  # there is no checkpoint, so the second would write its configuration
            with pytest.raises(ValueError, match=rf"^{workdir}: process {os.getpid()} on .* has been training there"):
                dense_labels.train(workdir=workdir, **options, **more)
            refused.append((workdir / "config.json").read_bytes() == before)

    monkeypatch.setattr(run_training, "_fit", fit)
    dense_labels.train(workdir=workdir, **options)
    assert refused == [True, True] and sorted(path.name for path in workdir.iterdir()) == WRITTEN


@pytest.mark.parametrize("error", [KeyboardInterrupt, FloatingPointError])
def test_an_error_or_an_interrupt_leaves_no_lock(options, tmp_path, monkeypatch, error):
    def stop(*_):
        assert (tmp_path / "run" / lock.FILE).exists()
        raise error

    monkeypatch.setattr(run_training, "_fit", stop)
    with pytest.raises(error):
        dense_labels.train(workdir=tmp_path / "run", **options)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == WRITTEN


@pytest.mark.parametrize("aborted", ["Graph execution error:\n\nCollective ops is aborted by: ", ""])
def test_a_lost_worker_is_told_from_other_errors_of_tensorflow(options, tmp_path, monkeypatch, aborted):
    def stop(*_):
        raise tf.errors.UnavailableError(None, None, f"{aborted}Connection reset. It is gone.\n\t [[{{{{node x}}}}]]")

    monkeypatch.setattr(run_training, "_fit", stop)
    expected = ConnectionError if aborted else tf.errors.UnavailableError
    with pytest.raises(expected, match=r"lost \(Connection reset\); start all of them" if aborted else "It is gone"):
        dense_labels.train(workdir=tmp_path / "run", **options)
    assert not (tmp_path / "run" / lock.FILE).exists()


@pytest.mark.parametrize("said", ["Failed to get tasks: Unknown iteration client id 3007. The dispatcher", "no file"])
def test_a_service_of_pairs_that_began_anew_is_told_from_other_things_that_are_not_found(
    options, tmp_path, monkeypatch, said
):
    def stop(*_):
        raise tf.errors.NotFoundError(None, None, said)

    monkeypatch.setattr(run_training, "_fit", stop)
    of_service = said != "no file"
    expected = ConnectionError if of_service else tf.errors.NotFoundError
    with pytest.raises(expected, match="was started anew, and has lost the order; start" if of_service else "no file"):
        dense_labels.train(workdir=tmp_path / "run", **options)


@pytest.mark.parametrize("given", [{"workdir": "gs://bucket/run"}, {"data.cache_dir": "s3://bucket/kept"}])
def test_a_bucket_is_not_taken_for_a_folder_of_this_machine(options, tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"(--workdir=gs|config\.data\.cache_dir=s3)://bucket/.*, not a URL; mount"):
        dense_labels.train(**{"workdir": "run", **options, **given})
    assert not list(tmp_path.iterdir())


def test_workers_may_have_a_file_of_their_own_in_different_folders(monkeypatch):
    def said(*files):
        monkeypatch.setattr(config_lib.user_code, "registered_by", lambda entries: list(files))
        return run_training._without_paths(config_files.find("folder"))

    assert said("/home/a/my_loss.py") == said("/scratch/my_loss.py") != said("/home/a/other.py")
    assert said() != said("/home/a/my_loss.py")


def test_a_run_is_not_put_where_a_file_or_the_pictures_are(options, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"^--workdir=.*/notes\.txt: is a file; give the folder of a run"):
        dense_labels.train(**options, workdir=tmp_path / "notes.txt")
    pictures = options["pictures_or_config"]
    (tmp_path / "link").symlink_to(pictures)
    before = sorted(os.listdir(pictures))
    with pytest.raises(ValueError, match=r"^--workdir=.*/link: is the folder of the pictures, among which the run"):
        dense_labels.train(**options, workdir=tmp_path / "link")
    assert sorted(os.listdir(pictures)) == before


def test_a_folder_that_is_not_there_is_no_configuration(tmp_path):
    with pytest.raises(ValueError, match=r"^.*/pictrues: there is no such folder; give a folder of pictures, or"):
        dense_labels.train(tmp_path / "pictrues", workdir=tmp_path / "run")


def test_those_that_only_take_part_do_not_lock_and_write_nothing(options, tmp_path, monkeypatch):
    monkeypatch.setattr(strategies, "is_chief", lambda strategy: False)
    monkeypatch.setattr(run_training, "_fit", lambda *_: None)
    with pytest.raises(ValueError, match=r"holds no config\.json"):  # which the chief writes
        dense_labels.train(workdir=tmp_path / "run", **options)
    assert not list((tmp_path / "run").iterdir())


def test_what_a_killed_writing_left_is_removed(options, tmp_path, monkeypatch):
    (tmp_path / ".config.json.0123456789abcdef").write_text("{")
    (tmp_path / ".mine.txt").write_text("")
    monkeypatch.setattr(run_training, "_fit", lambda *_: None)
    dense_labels.train(workdir=tmp_path, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.txt", *WRITTEN]
