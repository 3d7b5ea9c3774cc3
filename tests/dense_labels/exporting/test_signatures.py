"""The table of signatures: what is in it is exported, described, warmed up and verified, wherever it was registered."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from dense_labels import user_code
from dense_labels.exporting import model_card, signatures
from dense_labels.exporting.served_model import ServedModel
from dense_labels.exporting.signatures import Signature
from dense_labels.registry import SIGNATURES, Entry
from tests.colours import FRAME, SIZE, STRIDE, as_uint8, coloured_cells, publish

ROOT = pathlib.Path(__file__).resolve().parents[3]
OUTSIDE = """
import tensorflow as tf

from dense_labels.exporting.signatures import Signature
from dense_labels.registry import SIGNATURES


@SIGNATURES.register("found_at", "where the labels of places of A are found in B")
class FoundAt(Signature):
    types = {"found_at": tf.uint8, "found_at_file": tf.string}
    inputs = {"image_a": "pictures", "image_b": "pictures", "cells": "numbers of cells of A, row by row"}
    outputs = {"points": "(x, y) in pixels of B", "length": "of the label in A"}
    tolerances = {"points": 1e-2}

    @staticmethod
    def answer(model, image_a, image_b, cells):
        (a, _), (b, scale) = model.label(image_a), model.label(image_b)
        height, width, length = a.shape[1:]
        flat_a, flat_b = (tf.reshape(labels, [-1, height * width, length]) for labels in (a, b))
        chosen = tf.gather(flat_a, cells, axis=1)
        best = tf.argmax(tf.matmul(chosen, flat_b, transpose_b=True), axis=-1, output_type=tf.int32)
        points = (tf.cast(tf.stack([best % width, best // width], axis=-1), tf.float32) + 0.5) * model.frame.stride
        return {"points": model.to_pictures(points, scale), "length": tf.norm(chosen, axis=-1)}

    @classmethod
    def specs(cls, dtype):
        return {**super().specs(dtype), "cells": tf.TensorSpec([None], tf.int32, "cells")}

    @classmethod
    def request(cls, dtype, images):
        return {**super().request(dtype, images), "cells": tf.constant([0, 17])}
"""


@pytest.fixture
def table(monkeypatch):
    """The entries of the registry, which are afterwards what they were."""
    entries = dict(SIGNATURES)
    monkeypatch.setattr(SIGNATURES, "_entries", entries)
    return entries


def test_a_signature_of_one_file_from_outside_is_served_described_and_warmed_up(colour_network, table, tmp_path):
    (tmp_path / "found_at.py").write_text(OUTSIDE)
    user_code.run(tmp_path / "found_at.py")
    path = publish(colour_network, None, tmp_path / "served", only=("found_at", "found_at_file"))
    functions = tf.saved_model.load(str(path)).signatures
    assert set(functions) == {"found_at", "found_at_file"}
    cells, others = [(3, 4), (10, 7)], [(8, 2), (2, 8)]
    images = (as_uint8(coloured_cells(cells)), as_uint8(coloured_cells(others, scale=(2, 3))))
    chosen = tf.constant([row * SIZE[1] // STRIDE + column for row, column in cells])
    found = functions["found_at"](image_a=tf.constant(images[0]), image_b=tf.constant(images[1]), cells=chosen)
    np.testing.assert_allclose(found["points"], [[[15, 34], [51, 10]]], atol=1e-4)
    np.testing.assert_allclose(found["length"], [[30, 30]], atol=1e-4)
    card = model_card.read(path)["signatures"]["found_at_file"]
    assert card["what"] == "where the labels of places of A are found in B" and card["function"] == "found_at"
    assert card["inputs"]["cells"] == {
        "dtype": "int32",
        "shape": [None],
        "meaning": "numbers of cells of A, row by row",
    }
    assert card["outputs"]["length"]["meaning"] == "of the label in A"
    warmed = {request.model_spec.signature_name: set(request.inputs) for request in warm_up_requests(path)}
    assert warmed == dict.fromkeys(("found_at", "found_at_file"), {"image_a", "image_b", "cells"})


def warm_up_requests(path):
    records = tf.data.TFRecordDataset(str(path / "assets.extra" / "tf_serving_warmup_requests"))
    return [prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request for record in records]


class Brightest(Signature):
    types = {"brightest": tf.uint8}
    outputs = {"length": "length of the longest label"}

    @staticmethod
    def answer(model, images):
        length = tf.reduce_max(tf.norm(model.label(images).labels, axis=-1), axis=[1, 2])
        return {"length": length + 0.1 if tf.executing_eagerly() else length}


def register(name, signature, table):
    table[name] = Entry(name, "a test", signature)


def test_one_that_answers_otherwise_than_live_is_not_published(colour_network, table, tmp_path):
    register("brightest", Brightest, table)
    with pytest.raises(
        RuntimeError, match="nothing exported: length, written and live, differ by 0.1, more than 0.001"
    ):
        publish(colour_network, None, tmp_path / "served", only=("brightest",))


def test_what_is_not_described_is_refused_before_anything_is_written(colour_network, table, tmp_path):
    class Undescribed(Brightest):
        outputs = {"size": "another output"}

    table.clear()
    register("brightest", Undescribed, table)
    with pytest.raises(ValueError, match="signature 'brightest' answers length; add it to its `outputs`"):
        publish(colour_network, None, tmp_path / "served")
    assert not (tmp_path / "served").exists()


def test_a_name_stands_for_one_signature(table):
    class Again(Brightest):
        types = {"landmarks": tf.uint8}

    register("again", Again, table)
    with pytest.raises(ValueError, match="'landmarks' and 'again' are both served as 'landmarks'; rename one"):
        signatures.named()


def test_a_function_is_no_signature(table):
    register("mine", lambda model, images: {}, table)
    with pytest.raises(ValueError, match="signature 'mine' must be a class below"):
        signatures.named()


def test_a_task_may_not_hide_what_a_model_has(colour_network, table):
    register("label", Brightest, table)
    with pytest.raises(ValueError, match="signature 'label': a served model has something else of that name"):
        ServedModel(colour_network, None, frame=FRAME)


@pytest.mark.parametrize(
    "contents, message",
    [
        ({"types": {}}, "`types` is missing"),
        ({"outputs": {}}, "`outputs` is missing"),
        ({"inputs": {"left": "", "right": ""}}, "must take a model and left, right, as `inputs` says; it takes images"),
    ],
)
def test_a_signature_that_lacks_something_is_refused_where_it_is_written(contents, message):
    with pytest.raises(ValueError, match=f"signature Wrong: .*{message}"):
        type("Wrong", (Brightest,), contents)


def test_a_head_must_answer_points_and_scores(colour_network, colour_head, tmp_path):
    def head(labels):
        return {"cell": colour_head(labels)["cell"]}

    with pytest.raises(ValueError, match="a head must answer points and score; found cell"):
        publish(colour_network, head, tmp_path / "served")
    assert not (tmp_path / "served").exists()


def test_every_signature_has_a_warm_up_request(colour_served_dir):
    requests = {each.model_spec.signature_name: each for each in warm_up_requests(colour_served_dir / "1")}
    assert set(requests) == set(signatures.named())
    for name, (_, signature, dtype) in signatures.named().items():
        assert set(requests[name].inputs) == set(signature.inputs)
        assert {tensor.dtype for tensor in requests[name].inputs.values()} == {dtype.as_datatype_enum}


def test_the_documentation_names_every_signature_and_what_it_gives():
    text = (ROOT / "docs" / "serving.md").read_text()
    for name, (_, signature, _) in signatures.named().items():
        assert f"`{name}`" in text
        for tensor in (*signature.inputs, *signature.outputs):
            assert f"`{tensor}`" in text, (name, tensor)
