import json
import re
import shutil

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import dense_labels
from dense_labels import config
from dense_labels.evaluation.result import Result
from dense_labels.exporting import checksums, model_card, signatures
from dense_labels.prediction import predictor
from tests.colours import FRAME


def test_every_signature_is_on_the_card_with_the_meaning_of_its_inputs_and_outputs(colour_served_dir):
    card = model_card.read(colour_served_dir / "1")
    saved = saved_model_pb2.SavedModel.FromString((colour_served_dir / "1" / "saved_model.pb").read_bytes())
    definitions = saved.meta_graphs[0].signature_def
    assert set(card["signatures"]) == {name for name in definitions if not name.startswith("__")}
    for name, described in card["signatures"].items():
        task, signature, _ = signatures.named()[name]
        assert described["function"] == task and described["what"] == signatures.SIGNATURES[task].words
        for side, meanings in (("inputs", signature.inputs), ("outputs", signature.outputs)):
            tensors = getattr(definitions[name], side)
            assert set(described[side]) == set(tensors) and all(meanings.values())
            for key, tensor in described[side].items():
                sizes = [None if dim.size < 0 else dim.size for dim in tensors[key].tensor_shape.dim]
                dtype = tf.dtypes.as_dtype(tensors[key].dtype).name
                assert tensor == {"dtype": dtype, "shape": sizes, "meaning": meanings[key]}
    assert card["signatures"]["landmarks"]["outputs"]["points"]["shape"] == [None, 3, 2]
    assert card["versions"]["tensorflow"] == tf.__version__
    expected = {"input_size": [30, 24], "stride": 2, "margin": 0, "max_pixels": 25_000_000, "max_images": 64}
    assert card["model"] == {**expected, "batch_requests": 4}


def test_the_card_says_what_a_run_was_but_not_where_it_lay():
    settings = config.Config()
    settings.data.name, settings.data.dir, settings.model.weights = "coco", "/home/someone/faces", "imagenet"
    result = Result(
        metrics={"regress_error_percent": 7.4},
        protocol={"test_images": 600},
        curves={"percent": [0]},
        landmark_names=("left_eye", "nose"),
    )
    card = model_card.describe_run(settings, result)
    assert card["figures"] == {"regress_error_percent": 7.4}
    assert card["data"] == {"name": "coco", "landmarks": ["left_eye", "nose"], "test_images": 600}
    assert card["configuration"]["data"]["dir"] == "faces" and card["configuration"]["model"]["weights"] == "imagenet"
    assert card["trained_on"] == {"name": "coco", "dir": "faces"}
    mice = config.DataConfig(name="folder", dir="/home/someone/mice", num_pictures=80)
    card = model_card.describe_run(settings, result, mice)
    assert card["trained_on"] == {"name": "folder", "dir": "mice", "num_pictures": 80}
    assert "someone" not in json.dumps(card)


@pytest.mark.parametrize(
    "name, confidence, note",
    [
        ("dilations", True, "how sharply a cell matches, and no more$"),
        ("introspection", False, "they are all of length 1$"),
        ("introspection", True, None),
        ("sparse", True, "their length is no confidence$"),
    ],
)
def test_the_card_says_where_lengths_are_no_confidence(name, confidence, note):
    settings = config.Config(model=config.ModelConfig(name=name, confidence=confidence))
    found = model_card.describe_run(settings, Result()).get("note")
    assert found is None if note is None else re.search(note, found)


@pytest.fixture
def exported(colour_served_dir, tmp_path):
    """A copy of an export whose card can be changed, as of an earlier version, which had no checksums."""
    shutil.copytree(colour_served_dir / "1", tmp_path / "1")
    (tmp_path / "1" / checksums.FILE).unlink()
    return tmp_path / "1"


def rewrite(path, change):
    card = model_card.read(path)
    change(card)
    (path / model_card.FILE).write_text(json.dumps(card))


def as_of_the_first_version(card):
    del card["landmarks_frame"]
    card["configuration"] = {"data": {"name": "coco", "boxes": "", "a_key_that_is_gone": 1}}
    for signature in card["signatures"].values():
        del signature["function"], signature["what"]


def test_an_export_of_the_first_version_with_a_card_is_taken(exported, tmp_path):
    rewrite(exported, as_of_the_first_version)
    PIL.Image.fromarray(np.uint8(np.random.default_rng(0).integers(0, 255, [60, 48, 3]))).save(tmp_path / "a.png")
    described = predictor.describe(exported)
    assert described.frame == FRAME and {"points", "score"} <= described.answers.keys() and not described.saw_boxes
    tf.config.experimental.enable_tensor_float_32_execution(True)  # as TensorFlow begins
    found = dense_labels.load(exported).predict(tmp_path / "a.png")
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
    assert found.points.shape == (1, 3, 2) and np.isfinite(found.points).all()


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda card: [each.pop("outputs") for each in card["signatures"].values()], "does not say 'outputs'"),
        (lambda card: card.pop("signatures"), "does not say 'signatures'"),
        (lambda card: card["landmarks_frame"].pop("margin"), "does not say 'margin'"),
        (lambda card: card.update(signatures=3), "is missing or of another kind"),
        (None, "is missing or of another kind"),
    ],
)
def test_an_export_whose_card_lacks_what_is_needed_is_refused(exported, change, said):
    if change:
        rewrite(exported, change)
    else:
        (exported / model_card.FILE).unlink()
    with pytest.raises(ValueError, match=f"1: assets/model_card.json {said}, so that .*; export the run again$"):
        predictor.describe(exported)


@pytest.mark.parametrize("content", ['{"signatures": ', "[1, 2]"])
def test_a_damaged_card_is_named(tmp_path, content):
    (tmp_path / model_card.FILE).parent.mkdir()
    (tmp_path / model_card.FILE).write_text(content)
    with pytest.raises(ValueError, match=r"assets/model_card\.json is damaged \(.*\); export the model again"):
        model_card.read(tmp_path)
