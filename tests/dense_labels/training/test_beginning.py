"""What a training is refused for before it begins."""

import pytest

from dense_labels import config as config_lib
from dense_labels import config_files, run_config
from dense_labels.training import beginning


def configured(name, **values):
    return config_lib.with_overrides(config_files.find(name), {key.replace("__", "."): values[key] for key in values})


@pytest.mark.parametrize(
    "name, values, replicas, message",
    [
        ("folder", {"train__init_from": "/nowhere"}, 1, "/nowhere holds no checkpoint"),
        ("introspection", {"model__weights": "none", "model__frozen": "block_3_expand"}, 1, "would stay random"),
        (
            "folder",
            {"model__mean": (129.6, 107.7, 96.1)},
            1,
            r"model.mean=\(129.6, .*: is of images in \[0, 1\]",
        ),
        ("folder", {"model__std": (66.0, 60.0, 59.0)}, 1, r"config.model.std=\(66.0, .*: is of images in \[0, 1\]"),
        ("celeba", {"train__decay_factor": 10.0}, 1, "config.train.decay_factor=10.0: .* at most 1"),
        ("folder", {"loss__exchange": True, "train__batch_size": 2}, 2, "must be at least 4"),
        ("folder", {"train__batch_size": 16}, 3, "batch_size=16 cannot be shared by 3 replicas: begin a run with 15"),
        ("folder", {"train__batch_size": 2}, 3, "batch_size=2 cannot be shared by 3 replicas: begin a run with 3"),
        ("folder", {"loss__name": "introspection"}, 1, "'introspection' trains the direction .*='dilations' are"),
        ("folder", {"data__cache_dir": ""}, 1, "config.data.cache_dir is empty"),
        (
            "faces",
            {"data__boxes": "b.json", "data__annotations": "a.json"},
            1,
            "boxes=b.json: .* are those of the annotations; give a.json, or config.data.name='boxes'",
        ),
        (
            "introspection",
            {"loss__name": "dist", "model__confidence": False},
            1,
            "'dist' needs labels of any length, and with config.model.confidence=False they are all 1 long",
        ),
    ],
)
def test_what_could_not_begin_is_refused(name, values, replicas, message):
    with pytest.raises(ValueError, match=message):
        beginning.check(configured(name, **values), replicas)


def test_boxes_of_the_annotations_are_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    beginning.check(configured("faces", data__boxes="a.json", data__annotations=str(tmp_path / "a.json")), 1)
    beginning.check(configured("faces", data__name="boxes", data__boxes="b.json", data__annotations="a.json"), 1)


def test_weights_that_another_network_was_trained_for_are_told(capsys):
    own = configured("folder", train__init_from="first", model__activation="relu", model__std=(1.0, 1.0, 1.0))
    beginning.warn_of_start(own, configured("folder"))
    said = capsys.readouterr().out
    assert "first was trained with config.model.activation=" in said and "config.model.std=" in said
    beginning.warn_of_start(own, own)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("weights, others, said", [("none", "a.h5", "trained, and those of"), ("a.h5", "none", "not")])
def test_norms_that_the_run_begun_with_treated_otherwise_are_said(capsys, weights, others, said):
    for name, of_this in (("introspection", weights), ("introspection", others), ("folder", weights)):
        own = configured(name, train__init_from="first", model__weights=of_this)
        beginning.warn_of_start(own, configured("introspection", model__weights=others))
        warned = name == "introspection" and of_this != others
        assert (f"the batch norms of the trunk are {said}" in capsys.readouterr().out) == warned


def test_what_has_no_effect_is_not_looked_for():
    beginning.check(configured("folder", model__weights="none", model__frozen="layer"), 1)


def test_labels_whose_lengths_are_a_confidence_suit_any_loss():
    beginning.check(configured("introspection", loss__name="dist"), 1)
    beginning.check(configured("introspection", model__confidence=False), 1)


def test_a_run_of_an_earlier_version_opens_whatever_its_loss(tmp_path):
    config = configured("folder", data__dir=str(tmp_path), loss__name="introspection")
    run_config.save(config, str(tmp_path))
    assert run_config.load(str(tmp_path)) == config


@pytest.mark.parametrize(
    "name, values, size, stride, message",
    [
        ("introspection", {}, (16, 16), 16, "1 x 1 cells of 16 pixels.* larger config.data.size"),
        ("folder", {}, (16, 1), 2, "8 x 0 cells of 2 pixels"),
        ("introspection", {"loss__tau2": 30.0}, (20, 20), 8, r"config.loss.tau2=30.0: no two points"),
        ("sparse_faces", {"loss__patch": 35}, (70, 60), 2, r"config.loss.patch=35: .* 35 x 30 cells"),
    ],
)
def test_maps_with_nothing_to_tell_apart_are_refused(name, values, size, stride, message):
    with pytest.raises(ValueError, match=message):
        beginning.check_maps(configured(name, **values), size, stride)


@pytest.mark.parametrize(
    "name, values, size, stride",
    [
        ("folder", {"loss__tau2": 30.0, "loss__patch": 35}, (20, 20), 2),
        ("introspection", {}, (32, 32), 16),
        ("introspection", {}, (16, 160), 16),
        ("sparse_faces", {"loss__patch": 34}, (70, 60), 2),
    ],
)
def test_maps_with_something_to_tell_apart_are_taken(name, values, size, stride):
    beginning.check_maps(configured(name, **values), size, stride)
