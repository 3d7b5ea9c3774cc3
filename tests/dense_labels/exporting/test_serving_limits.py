import concurrent.futures
import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from dense_labels import config
from dense_labels.exporting import model_card, saved_model, signatures

SIZE = (30, 24)


@pytest.fixture(scope="module")
def network():
    layers = [tf.keras.layers.AveragePooling2D(2), tf.keras.layers.Rescaling(30.0)]
    return tf.keras.Sequential([tf.keras.Input([None, None, 3]), *layers])


@pytest.fixture(scope="module")
def limited(network):
    return signatures.ServedModel(network, None, input_size=SIZE, stride=2, max_pixels=100, max_images=2)


def png(*shape):
    return tf.io.encode_png(np.zeros(shape, np.uint8)).numpy()


@pytest.mark.parametrize("side", [10, 11])
def test_a_picture_has_at_most_so_many_pixels_in_any_form(limited, side):
    sent = [np.zeros([1, side, 10, 3], np.uint8), np.zeros([1, side, 10, 3], np.float32)]
    calls = [(limited.labels, tf.constant(images)) for images in sent] + [
        (limited.describe, tf.constant([png(side, 10, 3)]))
    ]
    for call, images in calls:
        if side == 10:
            assert call(images)["labels"].shape == (1, 15, 12, 3)
        else:
            with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 100 pixels; found the size\] \[11 10\]"):
                call(images)


@pytest.mark.parametrize("count", [0, 3])
def test_a_request_has_from_one_to_so_many_pictures(limited, count):
    message = rf"a request must have from 1 to 2 pictures; found\] \[{count}\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        limited.labels(tf.zeros([count, 5, 5, 3], tf.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        limited.describe(tf.constant([png(5, 5, 3)] * count, tf.string))


def test_requests_that_are_joined_are_answered_as_each_alone(network):
    """Requests of several sizes and numbers of pictures, at the same time; the largest is more than a batch."""
    alone, joined = (
        signatures.ServedModel(network, None, input_size=SIZE, stride=2, max_images=8, batch_requests=n) for n in (0, 4)
    )
    sizes = [(1, 30, 24), (2, 40, 50), (8, 20, 20), (3, 30, 24)] * 4
    images = [tf.random.stateless_uniform([*size, 3], seed=[n, 0]) for n, size in enumerate(sizes)]
    expected = [alone.labels(image)["labels"] for image in images]
    joined.labels(images[0])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda image: joined.labels(image)["labels"], images))
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_every_input_and_output_has_its_meaning_on_the_card(colour_served_dir):
    card = json.loads((colour_served_dir / "1" / "assets" / "model_card.json").read_text())
    saved = saved_model_pb2.SavedModel.FromString((colour_served_dir / "1" / "saved_model.pb").read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    assert set(card["signatures"]) == {name for name in signatures if not name.startswith("__")}
    for name, described in card["signatures"].items():
        for side, tensors in (("inputs", signatures[name].inputs), ("outputs", signatures[name].outputs)):
            assert set(described[side]) == set(tensors)
            for key, tensor in described[side].items():
                sizes = [None if dim.size < 0 else dim.size for dim in tensors[key].tensor_shape.dim]
                assert tensor == {
                    "dtype": tf.dtypes.as_dtype(tensors[key].dtype).name,
                    "shape": sizes,
                    "meaning": signatures.MEANINGS[key],
                }
    assert card["signatures"]["landmarks"]["outputs"]["points"]["shape"] == [None, 3, 2]
    assert card["versions"]["tensorflow"] == tf.__version__
    expected = {"input_size": [30, 24], "stride": 2, "margin": 0, "max_pixels": 25_000_000, "max_images": 64}
    assert card["model"] == {**expected, "batch_requests": 4}


def test_the_card_says_what_a_run_was_but_not_where_it_lay():
    settings = config.Config()
    settings.data.name, settings.data.dir, settings.model.weights = "coco", "/home/someone/faces", "imagenet"
    result = {"metrics": {"regress_error_percent": 7.4}, "protocol": {"test_images": 600}, "curves": {"percent": [0]}}
    card = model_card.describe_run(settings, result, landmark_names=["left_eye", "nose"])
    assert card["figures"] == {"regress_error_percent": 7.4}
    assert card["data"] == {"name": "coco", "landmarks": ["left_eye", "nose"], "test_images": 600}
    assert card["configuration"]["data"]["dir"] == "faces" and card["configuration"]["model"]["weights"] == "imagenet"
    assert "someone" not in json.dumps(card)


@pytest.mark.parametrize("limit", ["max_pixels", "max_images"])
def test_a_limit_below_one_is_refused(network, tmp_path, limit):
    images = np.zeros([1, *SIZE, 3], np.float32)
    with pytest.raises(ValueError, match=f"{limit} must be at least 1; found 0"):
        saved_model.export_saved_model(
            network, None, tmp_path / "out", input_size=SIZE, stride=2, example_images=images, **{limit: 0}
        )
    assert not (tmp_path / "out").exists()
