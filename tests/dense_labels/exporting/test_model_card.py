import json

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from dense_labels import config
from dense_labels.evaluation.result import Result
from dense_labels.exporting import model_card, signatures


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
    assert "someone" not in json.dumps(card)


@pytest.mark.parametrize("content", ['{"signatures": ', "[1, 2]"])
def test_a_damaged_card_is_named(tmp_path, content):
    (tmp_path / model_card.FILE).parent.mkdir()
    (tmp_path / model_card.FILE).write_text(content)
    with pytest.raises(ValueError, match=r"assets/model_card\.json is damaged \(.*\); export the model again"):
        model_card.read(tmp_path)
