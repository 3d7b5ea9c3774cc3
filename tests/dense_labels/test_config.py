"""Tests of the configuration."""

import dataclasses

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
            "choose 'roboarm', 'sphere', 'video', 'folder', 'boxes', 'coco', 'csv', 'pts', 'celeba', 'celeb_a', "
            "'aflw', 'cats', 'pascal3d'",
        ),
        ("views.border", "wrap", r"choose 'zero', 'edge', 'mirror'"),
        ("model.name", "Simple", r"choose 'simple', 'dilations', 'introspection'"),
        ("model.norm", "None", r"choose 'none', 'batch'"),
        ("model.activation", "elu", r"choose 'relu', 'leaky_relu'"),
        ("loss.name", "l2", r"choose 'log', 'dist', 'margin', 'introspection'"),
        ("train.optimizer", "sgd", r"choose 'adam', 'amsgrad', 'adagrad', 'adagrad_momentum'"),
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
        (
            "data.name",
            "boxes",
            r"config\.data\.name='boxes' needs config\.data\.boxes, a COCO file or a detector's results",
        ),
        ("data.size", (100,), r"config\.data\.size=\(100,\): must be two whole numbers, height and width"),
        ("data.size", (100, 90.5), r"config\.data\.size=\(100, 90\.5\): must be two whole numbers, height and width"),
        ("data.size", (40, 14), r"config\.data\.size=\(40, 14\) less config\.data\.crop=0 .* smaller than 16 pixels"),
        (
            "eval.heads",
            ("nearest", "near"),
            r"config\.eval\.heads='near': .* choose 'nearest', 'regress', 'regress_each', 'heatmaps'",
        ),
        ("eval.heads", "nearest", r"config\.eval\.heads='nearest': must be words"),
        (
            "eval.heads",
            (),
            r"config\.eval\.heads is empty; name at least one of nearest, regress, regress_each, heatmaps",
        ),
        ("data.dir", "", r"config\.data\.dir is empty; .* --config\.data\.dir=PICTURES"),
        ("views.flip", 1, r"config\.views\.flip=1: must be True or False"),
    ],
)
def test_a_size_or_list_that_does_not_fit_is_refused(key, value, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        config_lib.check(changed(key, value))


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
    assert config_lib.override_keys(Config().loss, "here")[:2] == ["here.name", "here.gamma"]


def test_a_table_of_runs_says_how_each_was_trained():
    values = config_lib.hyperparameters(Config())
    parts = ("config.views.", "config.model.", "config.loss.", "config.train.")
    assert [f"config.{key}" for key in values] == [k for k in config_lib.override_keys(Config()) if k.startswith(parts)]
    assert values["loss.gamma"] == 0.5 and values["model.std"] == "(1.0, 1.0, 1.0)"
    assert {type(value) for value in values.values()} == {bool, int, float, str}


def test_a_trunk_has_strides_of_its_own():
    config = changed("model.stride", 8)
    config.model.name = "introspection"
    config_lib.check(config)
    config.model.trunk = "vgg16"
    with pytest.raises(ValueError, match=r"^config\.model\.stride=8: must be 16 for the trunk 'vgg16'$"):
        config_lib.check(config)


def test_points_cannot_match_and_not_match():
    with pytest.raises(ValueError, match=r"^config\.loss\.tau1=31.0: must not be above config\.loss\.tau2=30\.0$"):
        config_lib.check(changed("loss.tau1", 31.0))
