"""Tests of the configuration."""

import dataclasses
import json
import pathlib
import re
import subprocess
import sys

import pytest

from dense_labels import config as config_lib
from dense_labels import config_files, config_keys, registry
from dense_labels.config import Config
from tests.commands import ROOT


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
    "key, value, some",
    [
        ("data.name", "robot", ["roboarm", "folder"]),
        ("views.warp", "spline", ["tps", "affine"]),
        ("views.border", "wrap", ["zero", "edge", "mirror"]),
        ("views.colour", "DVE", ["dve", "ssd"]),
        ("model.name", "Simple", ["simple", "dilations"]),
        ("model.norm", "None", ["none", "batch"]),
        ("model.activation", "elu", ["relu", "leaky_relu"]),
        ("model.trunk", "vgg", ["mobilenet_v2", "vgg16"]),
        ("loss.name", "l2", ["log", "dist"]),
        ("train.optimizer", "sgd", ["adam", "amsgrad"]),
        ("train.schedule", "linear", ["steps", "cosine"]),
        ("train.precision", "bfloat16", ["auto", "mixed_bfloat16"]),
    ],
)
def test_an_unknown_choice_is_refused_and_the_valid_ones_are_listed(key, value, some):
    start = rf"^config\.{key}={value!r}: there is no such choice; choose '"
    with pytest.raises(ValueError, match=start) as raised:
        config_lib.check(changed(key, value))
    assert all(repr(name) in str(raised.value) for name in some)


def test_what_is_registered_can_be_chosen():
    for key, registries in {
        "data.name": (registry.SOURCES, registry.READERS),
        "views.warp": (registry.WARPS,),
        "views.colour": (registry.COLOURS,),
        "model.name": (registry.NETWORKS,),
        "loss.name": (registry.LOSSES,),
        "eval.heads": (registry.HEADS,),
    }.items():
        known = config_keys.keys(Config())[key]
        assert config_keys.names(known.choices) == tuple(name for each in registries for name in each)


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
        ("loss.gamma", 1e30, "at most 4294967295"),
        ("train.decay_factor", 0.0, "above 0"),
        ("eval.batch_size", 0, "at least 1"),
        ("eval.head_images", -1, "at least 0"),
        ("data.crop", -1, "at least 0"),
        ("views.strength", -0.5, "at least 0"),
        ("views.hue", 0.6, "at most 0.5"),
        ("views.jpeg", 1.5, "at most 1"),
        ("eval.upsample", 0, "at least 1"),
        ("data.seed", -1, "at least 0"),
        ("data.min_score", float("nan"), "a finite number"),
        ("train.momentum", 1.0, "at most 0.999"),
    ],
)
def test_a_value_out_of_range_is_refused(key, value, valid):
    with pytest.raises(ValueError, match=rf"^config\.{key}={re.escape(str(value))}: must be {valid}$"):
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
        ("eval.heads", ("nearest", "near"), r"config\.eval\.heads='near': .* choose .*'nearest'"),
        ("eval.heads", "nearest", r"config\.eval\.heads='nearest': must be words"),
        ("eval.heads", (), r"config\.eval\.heads is empty; name at least one of .*nearest"),
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


def test_every_key_can_be_set_and_is_described():
    names = config_lib.key_names()
    assert len(names) == len(set(names)) == sum(len(values) for values in dataclasses.asdict(Config()).values())
    assert {"data.dir", "loss.gamma", "train.batch_size", "eval.upsample"} <= set(names)
    lines = config_lib.describe().splitlines()
    assert len(lines) == len(names)
    for line, (name, key) in zip(lines, config_keys.keys(Config()).items()):
        assert line.startswith(f"--config.{name}={config_keys.value(Config(), name)}: {key.words}")
        assert key.words and not key.words.endswith(".")
    assert "(in px; at least 0)" in next(line for line in lines if line.startswith("--config.data.crop="))
    assert "above 0; for train.schedule=steps" in next(line for line in lines if "decay_factor" in line)
    assert "one of" in next(line for line in lines if line.startswith("--config.loss.name="))


def test_what_a_key_belongs_to_exists():
    """An entry or an owner that misspells a key would claim nothing."""
    keys = config_keys.keys(Config())
    for known in keys.values():
        by, _, word = known.owner.partition("=")
        assert not by or word in config_keys.names(keys[by].choices)
    kinds = (registry.NETWORKS, registry.HEADS, registry.LOSSES, registry.SOURCES, registry.READERS)
    for entry in (entry for kind in (*kinds, registry.WARPS, registry.COLOURS) for entry in kind.values()):
        assert set(entry.keys) <= {*keys, *(f"{part.name}.*" for part in dataclasses.fields(Config))}, entry.name


def test_paths_are_named():
    paths = config_lib.path_keys()
    assert {("data", "dir"), ("data", "annotations"), ("train", "init_from"), ("model", "weights")} <= set(paths)
    assert all(isinstance(getattr(getattr(Config(), part), name), str) for part, name in paths)


def test_a_table_of_runs_says_how_each_was_trained():
    values = config_keys.hyperparameters(Config())
    parts = ("views.", "model.", "loss.", "train.")
    assert list(values) == [key for key in config_lib.key_names() if key.startswith(parts)]
    assert values["loss.gamma"] == 0.5 and values["model.std"] == "(1.0, 1.0, 1.0)"
    assert {type(value) for value in values.values()} == {bool, int, float, str}


def test_a_trunk_has_strides_of_its_own():
    config = changed("model.stride", 8)
    config.model.name = "introspection"
    config_lib.check(config)
    config.model.trunk = "vgg16"
    with pytest.raises(ValueError, match=r"^config\.model\.stride=8: must be 16 for the trunk 'vgg16'$"):
        config_lib.check(config)


# --- what was registered checks what it needs ---


@pytest.mark.parametrize(
    "values, message",
    [
        (
            {"loss.name": "introspection", "loss.tau1": 31.0},
            r"config\.loss\.tau1=31\.0: must not be above .*tau2=30\.0",
        ),
        (
            {"loss.name": "introspection", "train.jit_compile": True},
            r"config\.train\.jit_compile=True: XLA cannot compile config\.loss\.name='introspection'",
        ),
        ({"data.name": "boxes"}, r"config\.data\.name='boxes' needs config\.data\.boxes"),
        ({"data.name": "video", "data.crop": 8}, r"config\.data\.crop=8: is for still pictures"),
        ({"model.name": "introspection", "model.stride": 5}, r"config\.model\.stride=5: must be 16 or 8"),
    ],
)
def test_what_is_chosen_checks_the_configuration(values, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        config_lib.check(config_lib.with_overrides(Config(), values))


@pytest.mark.parametrize(
    "part, name, meant",
    [
        ("train", "num_epoch", "did you mean config.train.num_epochs"),
        ("loss", "gama", "did you mean config.loss.gamma"),
    ],
)
def test_a_mistyped_key_of_a_configuration_file_is_refused(part, name, meant):
    config = Config()
    setattr(getattr(config, part), name, 3)
    with pytest.raises(ValueError, match=rf"^config\.{part}\.{name} is not a configuration key; {meant}"):
        config_lib.check(config)


def test_a_mistyped_part_of_a_configuration_file_is_refused():
    config = Config()
    config.training = {}
    with pytest.raises(ValueError, match=r"^config\.training is not a configuration key"):
        config_lib.check(config)


def test_what_is_not_chosen_checks_nothing():
    config = config_lib.with_overrides(Config(), {"model.stride": 5, "data.crop": 8, "loss.tau1": 31.0})
    config_lib.check(config)
    config.loss.name = "introspection"
    with pytest.raises(ValueError, match="loss.tau1=31.0"):  # as soon as it is chosen
        config_lib.check(config)


def test_what_has_no_effect_checks_nothing():
    """A warp that would be refused for pictures does not concern the arm, which is not warped."""
    strong = {"views.warp": "affine", "views.strength": 5.0}
    config_lib.check(config_lib.with_overrides(Config(), strong))
    with pytest.raises(ValueError, match=r"config\.views\.strength"):
        config_lib.check(config_lib.with_overrides(Config(), {**strong, "data.name": "folder"}))


# --- keys without effect ---


@pytest.mark.parametrize(
    "values, key, whose",
    [
        ({"loss.name": "dist"}, "loss.tau2", "config.loss.name='introspection', and this run has 'dist'"),
        ({"loss.name": "log"}, "loss.gamma", "config.loss.name='dist' or 'margin', and this run has 'log'"),
        ({"model.name": "dilations"}, "model.trunk", "'introspection' or 'pyramid', and this run has 'dilations'"),
        ({"views.flip": True}, "views.flip", "'folder'.* and this run has 'roboarm'"),
        ({"views.jpeg": 0.5}, "views.jpeg", "'video'.* and this run has 'roboarm'"),
        ({"views.projective": 0.1}, "views.projective", "'folder'.* and this run has 'roboarm'"),
        ({"views.shift": 0.1}, "views.shift", "'folder'.* and this run has 'roboarm'"),
        ({"data.name": "video", "views.shift": 0.1}, "views.shift", "'folder'.* and this run has 'video'"),
        ({"data.name": "video"}, "views.warp", "'folder'.* and this run has 'video'"),
        (
            {"data.name": "folder", "views.warp": "affine", "views.projective": 0.1},
            "views.projective",
            "config.views.warp='tps', and this run has 'affine'",
        ),
        ({"data.name": "folder", "data.seed": 1}, "data.seed", "'roboarm' or 'sphere', and this run has 'folder'"),
        ({}, "train.momentum", "config.train.optimizer='adagrad_momentum', and this run has 'adam'"),
        (
            {"train.schedule": "cosine"},
            "train.decay_factor",
            "config.train.schedule='steps', and this run has 'cosine'",
        ),
        (
            {"eval.heads": ("regress", "heatmaps")},
            "eval.upsample",
            "'nearest', and this run has 'regress' and 'heatmaps'",
        ),
        ({"loss.name": "dist"}, "loss.direct", "config.loss.exchange=True, and this run has False"),
        (
            {"model.name": "introspection", "loss.name": "introspection", "loss.exchange": True},
            "loss.direct",
            "config.loss.name='dist', 'log' or 'margin', and this run has 'introspection'",
        ),
    ],
)
def test_a_key_without_effect_is_refused_in_a_line_that_says_whose_it_is(values, key, whose):
    config = config_lib.with_overrides(Config(), values)
    config_lib.check(config)  # a configuration file may carry it
    message = rf"^config\.{key} has no effect in this run: it is of .*{whose}; leave it out$"
    with pytest.raises(ValueError, match=message):
        config_lib.check_used(config, ["data.dir", key])


@pytest.mark.parametrize(
    "name, switched_on, switched_off",
    [
        ("folder", {"train.schedule": "steps"}, {"train.warmup_steps": 0}),
        ("celeba", {"train.schedule": "cosine"}, {"train.decay_epochs": ()}),
        ("faces", {"data.name": "video"}, {"data.crop": 0}),
    ],
)
def test_what_a_configuration_switches_on_can_be_switched_off(name, switched_on, switched_off):
    config = config_lib.with_overrides(config_files.find(name), {"data.dir": "x", **switched_on})
    ((key, value),) = switched_off.items()
    with pytest.raises(ValueError, match=rf"config\.{key}=.*set .*{'to 0|=0' if value == 0 else '=..'}"):
        config_lib.check(config)
    config = config_lib.with_overrides(config, switched_off)
    config_lib.check(config)
    config_lib.check_used(config, [*switched_on, *switched_off])


def test_a_factor_without_epochs_is_refused():
    config = changed("train.decay_factor", 0.5)
    with pytest.raises(ValueError, match=r"decay_factor has no effect .*: it is of config\.train\.decay_epochs"):
        config_lib.check_used(config, ["train.decay_factor"])


def test_what_the_run_counts_is_not_set():
    with pytest.raises(ValueError, match=r"^config\.data\.num_pictures is filled in by the run, .*; leave it out$"):
        config_lib.check_used(config_lib.with_overrides(Config(), {"data.name": "folder"}), ["data.num_pictures"])


@pytest.mark.parametrize(
    "values, keys",
    [
        (
            {},
            [
                "model.norm",
                "data.seed",
                "train.decay_epochs",
                "eval.upsample",
                "model.label_size",
            ],
        ),
        ({"loss.name": "margin", "train.schedule": "cosine"}, ["loss.gamma", "loss.name", "train.warmup_steps"]),
        ({"data.name": "folder"}, ["views.warp", "views.projective", "views.jpeg", "views.flip", "data.crop"]),
        ({"data.name": "video"}, ["views.colour", "views.jpeg", "data.max_gap"]),
        ({"data.name": "folder", "views.colour": "ssd"}, ["views.colour_strength"]),
        ({"eval.heads": ("regress", "nearest")}, ["eval.upsample"]),
        ({"train.decay_epochs": (3,)}, ["train.decay_factor"]),
        ({"train.optimizer": "adagrad_momentum"}, ["train.momentum"]),
        ({"model.name": "introspection", "loss.name": "log"}, ["model.confidence", "model.trunk"]),
    ],
)
def test_a_key_with_an_effect_may_be_set(values, keys):
    assert config_lib.check_used(config_lib.with_overrides(Config(), values), keys) is None


# --- other values, and the dictionary that is kept ---


def test_other_values_make_another_configuration():
    config = Config()
    changes = {"train.num_epochs": 3, "train.decay_epochs": [1, 2], "data.dir": pathlib.Path("pictures")}
    other = config_lib.with_overrides(config, changes)
    assert config == Config()
    assert (other.train.num_epochs, other.train.decay_epochs, other.data.dir) == (3, (1, 2), "pictures")
    with pytest.raises(
        ValueError, match=r"^config\.train\.epochs is not .* key; did you .*\? the keys are config\.data"
    ):
        config_lib.with_overrides(config, {"train.epochs": 3})


def test_a_configuration_comes_back_from_its_dictionary():
    config = config_lib.with_overrides(Config(), {"train.decay_epochs": (3, 5), "model.std": (0.1, 0.2, 0.3)})
    values = json.loads(json.dumps(config_lib.to_dict(config)))
    assert values["version"] == config_lib.VERSION and "registered_by" not in values
    assert config_lib.from_dict(values) == config
    del values["version"], values["train"]["keep_checkpoints"]  # as of an older program
    assert config_lib.from_dict(values) == config


@pytest.mark.parametrize("exchange, direct", [(True, 0.0), (False, 1.0)])
def test_runs_of_the_first_version_had_a_loss_of_exchanged_labels_alone(exchange, direct):
    config = config_lib.with_overrides(Config(), {"loss.exchange": exchange})
    values = json.loads(json.dumps(config_lib.to_dict(config)))
    assert config_lib.from_dict(values).loss.direct == 1.0
    del values["loss"]["direct"]
    assert config_lib.from_dict({**values, "version": 1}).loss.direct == direct
    assert config_lib.from_dict(values).loss.direct == 1.0  # as of a file of today that leaves it out


@pytest.mark.parametrize(
    "values, message",
    [
        (
            {"version": config_lib.VERSION + 1},
            r"it is a configuration of version \d; this program reads up to \d: install a newer one",
        ),
        ({"version": "new"}, r"it is a configuration of version new"),
        ([], "it does not hold the parts of a configuration"),
        ({"train": 5}, "it does not hold the parts of a configuration"),
        (
            {"train": {"batchsize": 5}},
            r"config\.train\.batchsize is not a configuration key; did you .*train\.batch_size",
        ),
        ({"training": {}}, r"config\.training is not a configuration key; the keys are .*config\.train\.batch_size"),
    ],
)
def test_a_dictionary_that_is_none_of_ours_is_refused(values, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        config_lib.from_dict(values)


def test_choices_are_known_without_tensorflow():
    code = (
        "import sys; from dense_labels import config\n"
        "config.check(config.Config()); config.describe(); print('tensorflow' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout == "False\n", ran.stderr


def test_images_that_no_memory_holds_are_refused():
    with pytest.raises(ValueError, match=r"size=\(10000000, 48\): at most 4096 pixels a side; choose a smaller size"):
        config_lib.check(config_lib.with_overrides(Config(), {"data.size": (10_000_000, 48)}))


@pytest.mark.parametrize("value", [10**400, -(10**400), float("nan"), 1e300, None, [], {}, "words", [10**400] * 2])
def test_whatever_a_file_holds_is_refused_in_one_line_or_is_a_configuration(value):
    whole = config_lib.to_dict(config_lib.Config())
    for part, name in [(part, name) for part, values in whole.items() if part != "version" for name in values]:
        changed = json.loads(json.dumps({**whole, part: {**whole[part], name: value}}))
        try:
            config_lib.check(config_lib.from_dict(changed))
        except ValueError as error:
            assert f"config.{part}.{name}" in str(error) and len(str(error)) < 1000
