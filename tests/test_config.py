"""Tests of the configuration: every check's text, and the file in the work directory."""

import dataclasses
import json
import os

import pytest

from dense_labels import config as config_lib
from dense_labels.config import Config


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


# --- checks ---


def test_the_defaults_are_valid():
    assert config_lib.check(Config()) is None


@pytest.mark.parametrize(
    "key, value",
    [
        ("model.name", "dilations"),
        ("model.norm", "batch"),
        ("model.activation", "leaky_relu"),
        ("model.label_size", 2),
        ("model.mean", (0.5084, 0.4224, 0.3769)),
        ("model.std", (0.2599, 0.2371, 0.2323)),
        ("loss.name", "dist"),
        ("loss.name", "margin"),
        ("loss.gamma", 1e-3),
        ("train.optimizer", "adagrad"),
        ("train.precision", "float32"),
        ("train.precision", "mixed_bfloat16"),
        ("train.precision", "mixed_float16"),
        ("train.decay_epochs", (1, 7, 9)),
        ("train.steps_per_epoch", 5),
        ("train.clip_norm", 2.5),
        ("train.num_epochs", 1),
        ("eval.upsample", 1),
    ],
)
def test_what_is_documented_is_valid(key, value):
    assert config_lib.check(changed(key, value)) is None


@pytest.mark.parametrize(
    "key, value, valid",
    [
        (
            "data.name",
            "robot",
            r"choose 'roboarm', 'video', 'folder', 'coco', 'csv', 'pts', 'celeba', 'celeb_a', 'aflw', 'cats'",
        ),
        ("views.border", "wrap", r"choose 'zero', 'edge', 'mirror'"),
        ("model.name", "Simple", r"choose 'simple', 'dilations'"),
        ("model.norm", "None", r"choose 'none', 'batch'"),
        ("model.activation", "elu", r"choose 'relu', 'leaky_relu'"),
        ("loss.name", "l2", r"choose 'log', 'dist', 'margin'"),
        ("train.optimizer", "sgd", r"choose 'adam', 'amsgrad', 'adagrad'"),
        ("train.precision", "bfloat16", r"choose 'auto', 'float32', 'mixed_bfloat16', 'mixed_float16'"),
    ],
)
def test_an_unknown_choice_is_refused(key, value, valid):
    with pytest.raises(ValueError, match=rf"^config\.{key}={value!r}: there is no such choice; {valid}$"):
        config_lib.check(changed(key, value))


@pytest.mark.parametrize(
    "key, value, valid",
    [
        ("data.num_pairs", 0, "at least 1"),
        ("model.label_size", 1, "at least 2"),
        ("loss.gamma", 0.0, "above 0"),
        ("loss.gamma", -1.0, "above 0"),
        ("loss.gamma", float("nan"), "above 0"),
        ("train.batch_size", -1, "at least 0"),
        ("train.num_epochs", 0, "at least 1"),
        ("train.keep_checkpoints", 0, "at least 1"),
        ("train.steps_per_epoch", -1, "at least 0"),
        ("train.clip_norm", -0.1, "at least 0"),
        ("train.seed", -1, "at least 0"),
        ("train.learning_rate", 0.0, "above 0"),
        ("train.learning_rate", float("inf"), "above 0"),
        ("train.decay_factor", 0.0, "above 0"),
        ("eval.batch_size", 0, "at least 1"),
        ("eval.head_images", -1, "at least 0"),
        ("data.crop", -1, "at least 0"),
        ("views.strength", -0.5, "at least 0"),
        ("views.hue", 0.6, "at most 0.5"),
        ("views.jpeg", 1.5, "at most 1"),
        ("eval.upsample", 0, "at least 1"),
        ("data.seed", -1, "at least 0"),
    ],
)
def test_a_value_out_of_range_is_refused(key, value, valid):
    with pytest.raises(ValueError, match=rf"^config\.{key}={value}: must be {valid}$"):
        config_lib.check(changed(key, value))


@pytest.mark.parametrize(
    "key, value, ending",
    [
        ("model.mean", (0.5, 0.5), "must be three finite numbers, one a colour$"),
        ("model.mean", (0.5, 0.5, float("nan")), "must be three finite numbers, one a colour$"),
        ("model.std", (1.0, 1.0, 0.0), "must be three finite numbers, one a colour, above 0$"),
        ("model.std", (1.0, 1.0, 1.0, 1.0), "must be three finite numbers, one a colour, above 0$"),
    ],
)
def test_colours_are_three(key, value, ending):
    with pytest.raises(ValueError, match=rf"^config\.{key}=\(.*\): {ending}"):
        config_lib.check(changed(key, value))


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("data.size", (100,), r"config\.data\.size=\(100,\): must be two whole numbers, height and width"),
        ("data.size", (100, 90.5), r"config\.data\.size=\(100, 90\.5\): must be two whole numbers, height and width"),
        ("data.size", (40, 14), r"config\.data\.size=\(40, 14\) less config\.data\.crop=0 .* smaller than 16 pixels"),
        (
            "eval.heads",
            ("nearest", "near"),
            r"config\.eval\.heads='near': .* choose 'nearest', 'regress', 'regress_each'",
        ),
        ("eval.heads", "nearest", r"config\.eval\.heads='nearest': must be words"),
        ("eval.heads", (), r"config\.eval\.heads is empty; name at least one of nearest, regress, regress_each"),
        ("data.dir", "", r"config\.data\.dir is empty; .* --config\.data\.dir=PICTURES"),
        ("views.flip", 1, r"config\.views\.flip=1: must be True or False"),
    ],
)
def test_a_size_or_list_that_does_not_fit_is_refused(key, value, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        config_lib.check(changed(key, value))


def test_what_was_found_out_at_the_start_is_kept(tmp_path):
    write(tmp_path, data={"size": [100, 80]}, train={"precision": "float32", "batch_size": 7})
    config = Config()
    config.train.batch_size, config.data.size = 0, (0, 0)
    config_lib.settle(config, tmp_path)
    assert (config.data.size, config.train.batch_size, config.train.precision) == ((100, 80), 7, "float32")
    config.train.batch_size, config.data.size, config.train.precision = 5, (60, 60), "mixed_bfloat16"
    config_lib.settle(config, tmp_path)
    assert (config.data.size, config.train.batch_size, config.train.precision) == ((60, 60), 5, "mixed_bfloat16")


def test_paths_do_not_depend_on_where_the_command_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config()
    config.data.dir, config.train.init_from, config.data.cache_dir = "pictures", "", "~/cache"
    config_lib.make_paths_absolute(config)
    assert config.data.dir == str(tmp_path / "pictures") and config.train.init_from == ""
    assert config.data.cache_dir == os.path.expanduser("~/cache")


@pytest.mark.parametrize("epochs", [(7, 5), (5, 5), (0,), (10,), (3, 11), (-1,)])
def test_decay_epochs_must_rise_within_the_run(epochs):
    with pytest.raises(
        ValueError,
        match=r"^config\.train\.decay_epochs=\(.*\): must be whole numbers that rise, between 0 and num_epochs=10$",
    ):
        config_lib.check(changed("train.decay_epochs", epochs))


@pytest.mark.parametrize(
    "key, value",
    [
        ("train.batch_size", "16"),
        ("train.batch_size", 16.5),
        ("train.batch_size", None),
        ("model.norm", None),
        ("train.num_epochs", True),
        ("train.learning_rate", "fast"),
        ("train.jit_compile", "no"),
        ("train.decay_epochs", 5),
        ("model.mean", 0.5),
        ("model.std", ("a", "b", "c")),
        ("model.label_size", 3.5),
        ("eval.upsample", 2.5),
        ("data.dir", 7),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(key, value):
    with pytest.raises(ValueError, match=rf"^config\.{key}="):
        config_lib.check(changed(key, value))


def test_override_keys_are_what_a_command_line_may_set():
    keys = config_lib.override_keys(Config())
    assert len(keys) == len(set(keys)) == sum(len(values) for values in dataclasses.asdict(Config()).values())
    assert {"config.data.dir", "config.loss.gamma", "config.train.batch_size", "config.eval.upsample"} <= set(keys)
    for key in keys:
        top, part, name = key.split(".")
        assert top == "config" and hasattr(getattr(Config(), part), name)
    assert config_lib.override_keys(Config().loss, "here") == ["here.name", "here.gamma"]


# --- the file ---


def test_a_saved_configuration_is_loaded_as_it_was(tmp_path):
    config = changed("train.decay_epochs", (3, 5))
    config.model.std, config.loss.gamma, config.data.seed = (0.1, 0.2, 0.3), 0.7, 4
    config_lib.save(config, tmp_path)
    loaded = config_lib.load(str(tmp_path))
    assert loaded == config
    assert loaded.train.decay_epochs == (3, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_the_same_configuration_may_be_saved_again(tmp_path):
    config_lib.save(changed("train.decay_epochs", (3,)), tmp_path)
    config_lib.save(changed("train.decay_epochs", (3,)), tmp_path)
    assert config_lib.load(tmp_path) == changed("train.decay_epochs", (3,))


def test_a_list_in_a_configuration_file_is_as_good_as_a_tuple(tmp_path):
    """`decay_epochs=[3]` trains; the same command must then go on with the run."""
    config_lib.save(changed("train.decay_epochs", [3]), tmp_path)
    config_lib.check_same(changed("train.decay_epochs", [3]), tmp_path)
    config_lib.check_same(changed("train.decay_epochs", (3,)), tmp_path)


@pytest.mark.parametrize(
    "key, value, there", [("train.batch_size", 8, 16), ("loss.gamma", 1.0, 0.5), ("data.seed", 1, 0)]
)
def test_another_configuration_in_the_same_folder_is_refused(tmp_path, key, value, there):
    config_lib.save(Config(), tmp_path)
    message = (
        rf"holds a run with another configuration \({key}: {there} there, {value} now\); .*choose another --workdir"
    )
    with pytest.raises(ValueError, match=message):
        config_lib.check_same(changed(key, value), tmp_path)


def test_every_key_that_changed_is_named(tmp_path):
    config_lib.save(Config(), tmp_path)
    config = changed("train.seed", 3)
    config.model.label_size = 5
    with pytest.raises(ValueError, match=r"\(model.label_size: 3 there, 5 now; train.seed: 0 there, 3 now\)"):
        config_lib.check_same(config, tmp_path)


def test_data_may_move(tmp_path):
    config_lib.save(Config(), tmp_path)
    config_lib.check_same(changed("data.dir", "/elsewhere"), tmp_path)


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"--workdir=.*/nowhere does not exist; give the folder a training wrote"):
        config_lib.load(tmp_path / "nowhere")


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=rf"--workdir={tmp_path} holds no config.json; give the folder a training wrote"
    ):
        config_lib.load(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 40, -3])
def test_a_truncated_file_is_damaged(tmp_path, length):
    config_lib.save(Config(), tmp_path)
    path = tmp_path / "config.json"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=rf"{path} is damaged \(.*\); train again in another folder"):
        config_lib.load(tmp_path)


@pytest.mark.parametrize("content", [b"[]", b"null", b"7", b'{"train": 5}', b"\xff\xfe\x00\x80"])
def test_a_file_that_holds_something_else_is_damaged(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path} is damaged \(.*\); train again in another folder"):
        config_lib.load(tmp_path)


@pytest.mark.parametrize(
    "part, keys, right",
    [
        ("train", {"batchsize": 8}, "config.train.batch_size, config.train.num_epochs"),
        ("loss", {"power": 8}, "config.loss.name, config.loss.gamma$"),
        ("training", {"batch_size": 8}, "config.data.name, .*config.train.batch_size, .*config.eval.upsample$"),
    ],
)
def test_an_unknown_key_in_the_file_lists_the_right_ones(tmp_path, part, keys, right):
    write(tmp_path, **{part: keys})
    name = part if part == "training" else f"{part}.{next(iter(keys))}"
    with pytest.raises(ValueError, match=rf"config\.{name} is not a key; the keys are .*{right}"):
        config_lib.load(tmp_path)


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
    with pytest.raises(ValueError, match=message):
        config_lib.load(tmp_path)
