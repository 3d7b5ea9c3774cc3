"""Tests of the configuration of a run: the file in the work directory, and what may differ from it."""

import dataclasses
import json
import os
import re

import pytest

from dense_labels import config as config_lib
from dense_labels import run_config
from dense_labels.config import VERSION, Config, DataConfig
from input_pipeline.readers import pictures


def changed(key, value):
    """The default configuration with one key, such as "train.seed", set."""
    config = Config()
    part, name = key.split(".")
    assert hasattr(getattr(config, part), name)
    setattr(getattr(config, part), name, value)
    return config


def write(workdir, **parts):
    """Puts a config.json there that holds the defaults, with some keys of some parts set."""
    values = dataclasses.asdict(Config())
    for part, keys in parts.items():
        values.setdefault(part, {}).update(keys)
    (workdir / "config.json").write_text(json.dumps(values))


def test_what_was_left_open_is_filled_in_as_the_run_started(tmp_path):
    write(tmp_path, data={"size": [100, 80]}, train={"precision": "float32", "batch_size": 7})
    config, kept = Config(), run_config.load(tmp_path)
    config.train.batch_size, config.data.size = 0, (0, 0)
    settled = run_config.settled(config, kept)
    assert (settled.data.size, settled.train.batch_size, settled.train.precision) == ((100, 80), 7, "float32")
    assert (config.data.size, config.train.batch_size, config.train.precision) == ((0, 0), 0, "auto")
    config.train.batch_size, config.data.size, config.train.precision = 5, (60, 60), "mixed_bfloat16"
    assert run_config.settled(config, kept) == config


def test_paths_do_not_depend_on_where_the_command_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config()
    config.data.dir, config.train.init_from, config.data.cache_dir = "pictures", "", "~/cache"
    absolute = run_config.with_absolute_paths(config)
    assert absolute.data.dir == str(tmp_path / "pictures") and absolute.train.init_from == ""
    assert absolute.data.cache_dir == os.path.expanduser("~/cache") and config.data.dir == "pictures"
    config.data.dir = "imagenet"  # a word of weights alone
    assert run_config.with_absolute_paths(config).data.dir == str(tmp_path / "imagenet")
    for weights, kept in (("imagenet", "imagenet"), ("none", "none"), ("trunk.h5", str(tmp_path / "trunk.h5"))):
        config.model.weights = weights
        assert run_config.with_absolute_paths(config).model.weights == kept


@pytest.mark.parametrize("name, kind", [("points.json", "coco"), ("points.csv", "csv"), ("points", "pts")])
def test_a_run_is_evaluated_on_landmarks_of_any_kind(tmp_path, name, kind):
    file = tmp_path / name / "a.pts" if kind == "pts" else tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.touch()
    config = changed("data.name", "folder")
    other = run_config.with_landmarks(config, tmp_path / name, None, tmp_path)
    assert (other.data.name, other.data.annotations, other.data.dir) == (kind, str(tmp_path / name), str(tmp_path))
    assert other.data.whole_pictures  # as the run saw them
    assert config == changed("data.name", "folder")


@pytest.mark.parametrize(
    "name, boxes, whole, seen",
    [
        ("boxes", "/gone.json", False, ("points.json", False)),
        ("boxes", "/gone.json", True, ("points.json", False)),  # the key has no effect in that run
        ("coco", "/gone.json", False, ("points.json", False)),
        ("coco", "/gone.json", True, ("", True)),
        ("folder", "/gone.json", False, ("", True)),
        ("coco", "", False, ("", False)),
    ],
)
def test_a_run_sees_boxes_of_other_landmarks_if_it_saw_boxes(tmp_path, name, boxes, whole, seen):
    (tmp_path / "points.json").touch()
    config = changed("data.name", name)
    config.data.boxes, config.data.whole_pictures = boxes, whole
    data = run_config.with_landmarks(config, tmp_path / "points.json", None, None).data
    assert (data.boxes and os.path.basename(data.boxes), data.whole_pictures) == seen
    own = run_config.with_landmarks(config, None, None, None).data
    assert own.boxes == ("" if name == "coco" and whole else boxes)


def test_a_run_that_saw_several_objects_in_boxes_sees_single_ones_in_boxes(tmp_path, monkeypatch):
    (tmp_path / "points.json").touch()
    (tmp_path / "points.csv").touch()
    monkeypatch.setattr(pictures, "saw_boxes", lambda data: data == config.data)
    config = changed("data.name", "coco")
    seen = {
        kind: run_config.with_landmarks(config, tmp_path / f"points.{kind}", None, None) for kind in ("json", "csv")
    }
    assert seen["json"].data.boxes == str(tmp_path / "points.json")
    assert seen["csv"].data.boxes == ""  # it has none


@pytest.mark.parametrize(
    "boxed, saw, said",
    [
        (True, False, "these annotations are shown in boxes about objects, .* and the training saw whole pictures"),
        (False, True, "the training saw boxes about objects, and these annotations are of whole pictures"),
        (True, True, None),
        (False, False, None),
    ],
)
def test_boxes_where_the_training_saw_none_are_told_and_the_other_way_round(monkeypatch, capsys, boxed, saw, said):
    monkeypatch.setattr(pictures, "saw_boxes", lambda data: saw)
    config = Config(data=DataConfig(name="coco", annotations="points.json"))
    run_config.settle_boxes(config, Config(), boxed)
    assert config.data.boxes == ("points.json" if boxed else "")
    warned = capsys.readouterr().out
    assert (re.search(said, warned) is not None) if said else not warned


def test_a_run_of_simulated_pictures_sees_others_in_its_own_frame(tmp_path):
    (tmp_path / "points.csv").touch()
    simulated = changed("data.name", "roboarm")
    found = run_config.with_landmarks(simulated, tmp_path / "points.csv", None, tmp_path)
    assert (found.data.name, found.data.size, found.data.crop) == ("csv", (90, 90), 0)
    assert run_config.with_landmarks(simulated, None, None, tmp_path).data.dir == str(tmp_path)  # where it was moved to
    (tmp_path / "a.PNG").touch()
    with pytest.raises(ValueError, match="the run is of simulated pictures; give annotations of this folder too"):
        run_config.with_landmarks(simulated, None, None, tmp_path)


@pytest.mark.parametrize(
    "given, said",
    [
        ((None, "test.json"), "annotations_test goes with annotations"),
        (("points.json", "test.csv"), "must be of one kind"),
        (
            ("points.txt", None),
            "points.txt: a file .csv, .* or a folder of annotations is expected",
        ),
        (("gone.json", None), "gone.json: there is no such file"),
    ],
)
def test_landmarks_that_cannot_be_told_are_refused(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    for name in ("points.json", "test.json", "test.csv", "points.txt"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=said):
        run_config.with_landmarks(Config(), *given, None)


def test_a_saved_configuration_is_loaded_as_it_was(tmp_path):
    config = changed("train.decay_epochs", (3, 5))
    config.model.std, config.loss.gamma, config.data.seed = (0.1, 0.2, 0.3), 0.7, 4
    run_config.save(config, tmp_path)
    loaded = run_config.load(str(tmp_path))
    assert loaded == config
    assert loaded.train.decay_epochs == (3, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert json.loads((tmp_path / "config.json").read_text())["version"] == VERSION


def test_the_same_configuration_may_be_saved_again(tmp_path):
    run_config.save(changed("train.decay_epochs", (3,)), tmp_path)
    run_config.save(changed("train.decay_epochs", (3,)), tmp_path)
    assert run_config.load(tmp_path) == changed("train.decay_epochs", (3,))


def test_a_list_in_a_configuration_file_is_as_good_as_a_tuple(tmp_path):
    """`decay_epochs=[3]` trains; the same command must then go on with the run."""
    run_config.save(changed("train.decay_epochs", [3]), tmp_path)
    kept = run_config.load(tmp_path)
    run_config.check_same(changed("train.decay_epochs", [3]), kept, tmp_path)
    run_config.check_same(changed("train.decay_epochs", (3,)), kept, tmp_path)


@pytest.mark.parametrize(
    "key, value, there", [("train.batch_size", 8, 16), ("train.learning_rate", 0.5, 0.001), ("data.seed", 1, 0)]
)
def test_another_configuration_in_the_same_folder_is_refused(tmp_path, key, value, there):
    run_config.save(Config(), tmp_path)
    message = (
        rf"holds a run with another configuration \({key}: {there} there, {value} now\); .*choose another --workdir, "
        r"which begins with the weights of this one where --config\.train\.init_from="
    )
    with pytest.raises(ValueError, match=message):
        run_config.check_same(changed(key, value), run_config.load(tmp_path), tmp_path)


def test_every_key_that_changed_is_named(tmp_path):
    run_config.save(Config(), tmp_path)
    config = changed("train.seed", 3)
    config.model.label_size = 5
    with pytest.raises(ValueError, match=r"\(model.label_size: 3 there, 5 now; train.seed: 0 there, 3 now\)"):
        run_config.check_same(config, run_config.load(tmp_path), tmp_path)


def test_data_may_move(tmp_path):
    run_config.save(Config(), tmp_path)
    run_config.check_same(changed("data.dir", "/elsewhere"), run_config.load(tmp_path), tmp_path)


@pytest.mark.parametrize(
    "key, there, now, same",
    [
        ("train.init_from", "/runs/first", "/moved/first", True),
        ("train.init_from", "", "/runs/first", False),
        ("train.init_from", "/runs/first", "", False),
        ("model.weights", "/trunk.h5", "/moved/trunk.h5", True),
        ("model.weights", "/trunk.h5", "none", False),  # more of it would be trained
        ("model.weights", "none", "imagenet", False),
    ],
)
def test_the_run_that_a_training_began_with_may_move(tmp_path, key, there, now, same):
    config, kept = changed(key, now), changed(key, there)
    config.model.name = kept.model.name = "introspection"  # which has weights
    if same:
        run_config.check_same(config, kept, tmp_path)
    else:
        with pytest.raises(ValueError, match=rf"\({key}: {there} there, {now} now\)"):
            run_config.check_same(config, kept, tmp_path)


@pytest.mark.parametrize(
    "there, now, saved",
    [
        ("imagenet", "none", "imagenet"),
        ("/trunk.h5", "none", "/trunk.h5"),
        ("none", "/trunk.h5", "none"),
        ("/trunk.h5", "/moved/trunk.h5", "/moved/trunk.h5"),
    ],
)
def test_a_run_that_goes_on_keeps_the_weights_that_it_began_with(there, now, saved):
    config = changed("model.weights", now)
    config.data.dir = "/elsewhere"
    begun = run_config.as_begun(config, changed("model.weights", there))
    assert begun.model.weights == saved and begun.data.dir == "/elsewhere" and config.model.weights == now


@pytest.mark.parametrize("key, begun", [("train.init_from", "first"), ("model.weights", "first.h5")])
def test_a_run_that_goes_on_keeps_what_it_began_with_and_says_what_is_not_read(tmp_path, capsys, key, begun):
    path, other = tmp_path / begun, tmp_path / f"other_{begun}"
    path.write_text("")
    other.write_text("")
    kept = run_config.as_begun(changed(key, str(other)), changed(key, str(path)))
    assert kept == changed(key, str(path))
    assert f"config.{key}={other} is not read, for the run goes on; it began with {path}" in capsys.readouterr().out
    assert run_config.as_begun(kept, kept) == kept and not capsys.readouterr().out
    path.unlink()  # so it has moved
    assert run_config.as_begun(changed(key, str(other)), changed(key, str(path))) == changed(key, str(other))


@pytest.mark.parametrize(
    "key, there, now", [("train.decay_factor", 0.5, 0.1), ("views.shift", 0.1, 0.0), ("loss.tau2", 20.0, 30.0)]
)
def test_what_has_no_effect_may_differ(tmp_path, key, there, now):
    run_config.check_same(changed(key, now), changed(key, there), tmp_path)
    with_effect = {"train.decay_epochs": (3,), "data.name": "folder", "data.dir": "x", "loss.name": "introspection"}
    kept, config = (config_lib.with_overrides(changed(key, value), with_effect) for value in (there, now))
    with pytest.raises(ValueError, match=f"{key}: {there} there, {now} now"):
        run_config.check_same(config, kept, tmp_path)


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"--workdir=.*/nowhere does not exist; give the folder a training wrote"):
        run_config.load(tmp_path / "nowhere")


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=rf"--workdir={tmp_path} holds no config.json; give the folder a training wrote"
    ):
        run_config.load(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 40, -3])
def test_a_truncated_file_is_damaged(tmp_path, length):
    run_config.save(Config(), tmp_path)
    path = tmp_path / "config.json"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=rf"{path} is damaged \(.*\); train again in another folder"):
        run_config.load(tmp_path)


@pytest.mark.parametrize("content", [b"[]", b"null", b"7", b'{"train": 5}', b"\xff\xfe\x00\x80"])
def test_a_file_that_holds_something_else_is_damaged(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path} is damaged \(.*\); train again in another folder"):
        run_config.load(tmp_path)


@pytest.mark.parametrize(
    "part, keys, right",
    [
        ("train", {"batchsize": 8}, "config.train.batch_size, config.train.num_epochs"),
        ("loss", {"power": 8}, "config.loss.name, config.loss.gamma, .*config.loss.hard_negatives"),
        ("training", {"batch_size": 8}, "config.data.name, .*config.train.batch_size, .*config.eval.upsample$"),
    ],
)
def test_an_unknown_key_in_the_file_lists_the_right_ones(tmp_path, part, keys, right):
    write(tmp_path, **{part: keys})
    name = part if part == "training" else f"{part}.{next(iter(keys))}"
    said = rf"config\.{name} is not a configuration key; (did you mean .*)?the keys are .*{right}"
    with pytest.raises(ValueError, match=said):
        run_config.load(tmp_path)


@pytest.mark.parametrize(
    "part, keys, message",
    [
        ("model", {"label_size": 1}, r"config\.model\.label_size=1: must be at least 2"),
        ("model", {"name": "resnet"}, r"config\.model\.name='resnet': there is no such choice"),
        ("train", {"batch_size": "16"}, "batch_size"),
        ("model", {"mean": ["a", "b", "c"]}, "mean"),
        ("model", {"mean": 1}, "mean"),
    ],
)
def test_a_loaded_configuration_is_checked(tmp_path, part, keys, message):
    write(tmp_path, **{part: keys})
    with pytest.raises(ValueError, match=rf"^{tmp_path}/config.json: .*{message}"):
        run_config.load(tmp_path)


def test_a_configuration_of_a_newer_version_is_refused(tmp_path):
    values = {**dataclasses.asdict(Config()), "version": VERSION + 1}
    (tmp_path / "config.json").write_text(json.dumps(values))
    said = f"^{tmp_path}/config.json: .*version {VERSION + 1}; this program reads up to {VERSION}: install a newer one"
    with pytest.raises(ValueError, match=said):
        run_config.load(tmp_path)


def test_a_configuration_that_was_changed_is_said_and_used(tmp_path, capsys):
    run_config.save(Config(), tmp_path)
    assert run_config.load(tmp_path) == Config() and capsys.readouterr().out == ""
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    values["train"]["seed"] += 1
    path.write_text(json.dumps(values))
    assert run_config.load(tmp_path).train.seed == Config().train.seed + 1
    assert f"warning: {path} is not as the training wrote it" in capsys.readouterr().out
