import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.batches import Frame
from dense_labels.evaluation import calibration
from dense_labels.exporting import checksums, model_card
from models import nearest_landmarks
from serving import convert
from tests.colours import publish

SIZE, MARGIN = (30, 24), 4
FULL = (38, 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A version whose network has weights to be quantised."""
    tf.keras.utils.set_random_seed(0)
    layers = [tf.keras.layers.Conv2D(size, 3, stride, "same") for size, stride in ((32, 2), (32, 1), (3, 1))]
    network = tf.keras.Sequential([tf.keras.Input([None, None, 3]), *layers])
    head = nearest_landmarks.NearestLandmarks(np.eye(3, dtype=np.float32), 2, upsample=2)
    line = np.float64([[0.5, 0.8, -12.0, 7.0]] * 3)
    head = calibration.CalibratedHead(head, {"expected": -line, "likely": line, "present": line})
    only = ("landmarks_float", "descriptors_float", "match_float", "serving_default")
    out = tmp_path_factory.mktemp("served")
    return publish(network, head, out, frame=Frame(SIZE, 2, MARGIN), verified=False, only=only)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).random([1, *FULL, 3], np.float32)


def answer(content, image):
    return tf.lite.Interpreter(model_content=content).get_signature_runner()(images=image)


@pytest.mark.parametrize("task", ["landmarks", "descriptors"])
def test_lite_answers_as_the_model_does(folder, image, task):
    found = answer(convert.convert(folder, "lite", task=task), image)
    model = tf.saved_model.load(str(folder))
    expected = getattr(model, task)(tf.constant(image))
    assert set(found) == set(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=5e-2 if name == "points" else 1e-4)


@pytest.mark.parametrize("kind", ["lite", "lite_int8"])
@pytest.mark.parametrize("task", ["landmarks", "descriptors"])
def test_pixels_that_are_not_from_0_to_1_are_answered_with_nan(folder, image, kind, task):
    """The exported model refuses them; what it refuses them with is lost when it is converted."""
    content = convert.convert(folder, kind, task=task)
    wrong = [255 * image, image - 0.01, np.where(image == image.max(), np.float32(np.nan), image)]
    for found in (answer(content, each) for each in wrong):
        assert found and all(np.isnan(values).all() for values in found.values())
    expected = answer(content, image)
    image = image.copy()
    image[0, 0, 0], image[0, 0, 1] = 1.0005, -0.0005  # as rounding leaves them
    found = answer(content, image)
    assert set(found) == set(expected) and all(np.isfinite(values).all() for values in found.values())


def test_int8_is_smaller_and_near(folder, image):
    """Places are not made coarse along with the weights: they are off by what the labels are."""
    contents = {kind: convert.convert(folder, kind) for kind in ("lite", "lite_int8")}
    assert len(contents["lite_int8"]) < 0.6 * len(contents["lite"])
    whole, coarse = (answer(content, image)["points"] for content in contents.values())
    assert 0 < np.abs(coarse - whole).max() < 0.5


def test_onnx_answers_as_the_model_does(folder, image):
    pytest.importorskip("tf2onnx")
    session = pytest.importorskip("onnxruntime").InferenceSession(convert.convert(folder, "onnx"))
    found = session.run(None, {"images": image})
    assert all(np.isnan(values).all() for values in session.run(None, {"images": 255 * image}))
    model = tf.saved_model.load(str(folder))
    expected = model.landmarks(tf.constant(image))
    names = sorted(expected)  # as TensorFlow orders the outputs of a function
    assert set(names) == {"points", "score", "expected_error", "likelihood", "present"} and len(found) == len(names)
    for name, values in zip(names, found):
        np.testing.assert_allclose(values, expected[name], atol=5e-2 if name == "points" else 1e-3, err_msg=name)


def test_a_resizing_that_onnx_lacks_is_not_left_out():
    """That of pictures to the size of the network is, for they have it already."""
    pytest.importorskip("tf2onnx")
    size = tf.TensorSpec([None, 16, 16, 3], tf.float32)
    halved = tf.function(lambda images: {"x": tf.image.resize(images, [8, 8], antialias=True)}, input_signature=[size])
    with pytest.raises(ValueError, match="--to=onnx: this model resizes pictures with antialias=True"):
        convert._to_onnx(halved)


def test_onnx_that_lacks_an_operation_is_refused(folder, monkeypatch):
    pytest.importorskip("tf2onnx")
    _, size = convert._load(folder, "landmarks")
    lacking = type("Lacking", (), {"landmarks": lambda self, images: {"points": tf.math.log1p(images)}})()
    monkeypatch.setattr(convert, "_load", lambda *_: (lacking, size))
    with pytest.raises(ValueError, match="--to=onnx: ONNX cannot take this model; export it again if .*Log1p"):
        convert.convert(folder, "onnx")


def test_a_model_that_joins_requests_is_refused(folder, tmp_path):
    copy_with(folder, tmp_path, lambda card: card["model"].update(batch_requests=4))
    with pytest.raises(ValueError, match="joins requests, which only servers do; export it without --batch_requests"):
        convert.convert(tmp_path, "lite")


def copy_with(folder, copy, change):
    """Copies a version, with another model card, as if it had been exported so."""
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    card = model_card.read(folder)
    change(card)
    (copy / model_card.FILE).write_text(json.dumps(card))
    checksums.write(copy)


def test_a_model_in_which_a_bit_has_turned_is_refused(folder, tmp_path):
    copy_with(folder, tmp_path, lambda card: None)
    path = tmp_path / "variables" / "variables.index"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match="variables/variables.index is damaged; export the model again"):
        convert.convert(tmp_path, "lite")


def test_what_takes_one_picture_can_be_converted_and_nothing_else(folder):
    with pytest.raises(ValueError, match=r"--signature=match: .* has descriptors, landmarks$"):
        convert.convert(folder, "lite", task="match")


def test_a_model_of_an_earlier_version_can_be_converted(folder, image, tmp_path):
    """Its card does not name the functions."""
    copy_with(folder, tmp_path, lambda card: [each.pop("function") for each in card["signatures"].values()])
    found = answer(convert.convert(tmp_path, "lite", task="descriptors"), image)
    np.testing.assert_allclose(np.linalg.norm(found["descriptors"], axis=-1), 1, atol=1e-4)


def test_a_folder_that_is_no_version_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no assets/model_card.json; give a version, such as served/mine/1"):
        convert.convert(tmp_path, "lite")


def test_a_kind_that_there_is_not_is_refused(folder):
    with pytest.raises(ValueError, match="--to=int8: there is no such kind; choose lite, lite_int8, onnx"):
        convert.convert(folder, "int8")


def test_onnx_needs_its_package(folder, monkeypatch):
    monkeypatch.setattr(convert.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'--to=onnx needs tf2onnx, .*: pip install "dense-labels\[onnx\]"$'):
        convert.convert(folder, "onnx")
