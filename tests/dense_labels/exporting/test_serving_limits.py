"""What a served model refuses, and what it joins."""

import concurrent.futures
import types

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.batches import Frame, Limits
from dense_labels.exporting.served_model import ServedModel
from tests.colours import FRAME, SIZE


@pytest.fixture(scope="module")
def limited(colour_network):
    return ServedModel(colour_network, None, frame=FRAME, limits=Limits(max_pixels=100, max_images=2))


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


def test_requests_that_are_joined_are_answered_as_each_alone(colour_network):
    """Requests of several sizes and numbers of pictures, at the same time; the largest is more than a batch."""
    alone, joined = (
        ServedModel(colour_network, None, frame=FRAME, limits=Limits(max_images=8, batch_requests=n)) for n in (0, 4)
    )
    sizes = [(1, 30, 24), (2, 40, 50), (8, 20, 20), (3, 30, 24)] * 4
    images = [tf.random.stateless_uniform([*size, 3], seed=[n, 0]) for n, size in enumerate(sizes)]
    expected = [alone.labels(image)["labels"] for image in images]
    joined.labels(images[0])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda image: joined.labels(image)["labels"], images))
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_images_for_one_network_do_not_wait_with_those_for_another(colour_network, colour_head):
    """A detector has a network of its own, which sees pictures of another size."""
    frame = Frame((2 * SIZE[0], 2 * SIZE[1]), 2)
    detector = types.SimpleNamespace(features=colour_network, head=colour_head, frame=frame)
    alone, joined = (
        ServedModel(colour_network, None, frame=FRAME, limits=Limits(batch_requests=n), detector=detector)
        for n in (0, 5)
    )
    graph = joined.signatures()["encoded"].graph.as_graph_def()
    queues = [node for part in graph.library.function for node in part.node_def if node.op == "BatchFunction"]
    assert {node.attr["shared_name"].s for node in queues} == {b"labels/batch/", b"landmarks/batch/"}
    assert all(node.attr["allowed_batch_sizes"].list.i == [1, 2, 4, 5] for node in queues)
    images = tf.random.stateless_uniform([1, *SIZE, 3], seed=[1, 0])
    asked = ["labels", "landmarks"] * 16
    for name in asked[:2]:
        getattr(joined, name)(images)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: getattr(joined, name)(images), asked))
    for name, answer in zip(asked, found):
        for key, values in getattr(alone, name)(images).items():
            np.testing.assert_allclose(answer[key], values, atol=1e-4)


@pytest.mark.parametrize("limit, least", [("max_pixels", 1), ("max_images", 1), ("batch_requests", 0)])
def test_a_limit_out_of_range_is_refused(limit, least):
    with pytest.raises(ValueError, match=f"{limit} must be at least {least}; found {least - 1}"):
        Limits(**{limit: least - 1})
