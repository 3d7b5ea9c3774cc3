"""Tests of the one-pass sweep: however cut, it equals the whole matrix differentiated by TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.method import geometry
from dense_labels.method import one_pass as one_pass_lib
from tests.dense_labels.method import layers

STRIDE = 2
KINDS = [("log", None), ("dist", 0.25), ("dist", 0.5), ("dist", 0.7), ("dist", 1.0), ("margin", 0.5)]
every_loss = pytest.mark.parametrize("name, gamma", KINDS, ids=[f"{name}-{gamma}" for name, gamma in KINDS])


def plain_values(name, gamma, labels_a, labels_b, points_in_b):
    """The value of every cell of A [B, h * w] from the whole matrix of scores [B, h * w, h * w]."""
    batch, height, width, length = labels_b.shape
    centres = tf.reshape(geometry.cell_centres(height, width, STRIDE), [-1, 2])
    points = tf.reshape(points_in_b, [batch, -1, 2])
    rows = tf.reshape(labels_a, [batch, -1, length])
    scores = tf.matmul(rows, tf.reshape(labels_b, [batch, -1, length]), transpose_b=True)
    true_scores = tf.reduce_sum(rows * geometry.bilinear_sample(labels_b, points, STRIDE), axis=-1)
    if name == "log":
        return tf.reduce_logsumexp(scores, axis=-1) - true_scores
    offsets = tf.cast(points, labels_a.dtype)[:, :, tf.newaxis] - tf.cast(centres, labels_a.dtype)
    distances = tf.pow(tf.reduce_sum(tf.square(offsets), axis=-1), gamma / 2)
    if name == "dist":
        return tf.reduce_sum(tf.nn.softmax(scores) * distances, axis=-1)
    return tf.nn.relu(tf.reduce_max(scores + distances, axis=-1) - true_scores)


def plain(name, gamma, labels_a, labels_b, points_in_b, visible, *, through=tf.identity):
    """Loss per image and the gradients of its mean over the batch by both label maps; A takes part as through(A)."""
    with tf.GradientTape() as tape:
        tape.watch([labels_a, labels_b])
        weights = tf.reshape(tf.cast(visible, labels_a.dtype), [labels_a.shape[0], -1])
        values = plain_values(name, gamma, through(labels_a), labels_b, points_in_b)
        loss = tf.math.divide_no_nan(tf.reduce_sum(values * weights, axis=1), tf.reduce_sum(weights, axis=1))
        mean = tf.reduce_mean(loss)
    return loss, *tape.gradient(mean, [labels_a, labels_b])


def one_pass(name, gamma, *batch, pack=True, jit_compile=False):
    layer = layers.create(name, STRIDE, gamma=gamma, pack=pack)
    layer = type(layer).from_config({**layer.get_config(), "dtype": batch[0].dtype.name})
    return layers.loss_and_gradients(layer, *batch, jit_compile=jit_compile)


def pairs(size, *, images=3, length=3, dtype=tf.float32, visible=(1.0, 0.3, 0.0)):
    """Smooth label maps, and the share of each image's cells that is visible."""
    rng = np.random.default_rng(size)
    labels_a, labels_b = (
        tf.image.resize(tf.constant(2 * rng.normal(size=[images, 4, 4, length])), [size, size]) for _ in range(2)
    )
    points = tf.constant(rng.uniform(-1, STRIDE * size, size=[images, size, size, 2]), tf.float32)
    seen = rng.uniform(size=[images, size, size]) < np.reshape(visible[:images], [-1, 1, 1])
    return tf.cast(labels_a, dtype), tf.cast(labels_b, dtype), points, tf.constant(seen, tf.float32)


def assert_equal(found, expected, tolerance):
    """Relative to the largest entry of each of: losses, gradient by A, gradient by B."""
    for values, true in zip(found, expected):
        largest = np.abs(true).max()
        assert largest > 0
        np.testing.assert_allclose(values / largest, true / largest, atol=tolerance, rtol=0)


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("block_bytes", [600, 2**14, 2**21], ids=["one row a block", "several rows", "whole"])
@pytest.mark.parametrize("name, gamma", [("log", None), ("dist", 0.5), ("margin", 0.5)])
def test_any_blocks_give_the_plain_form(name, gamma, block_bytes, pack, monkeypatch):
    monkeypatch.setattr(one_pass_lib, "_block_bytes", lambda: block_bytes)
    batch = pairs(12)
    assert_equal(one_pass(name, gamma, *batch, pack=pack), plain(name, gamma, *batch), 1e-5)


def test_a_block_of_scores_is_small_however_many_cells_there_are():
    """As memory grows with the cells, not with their pairs."""
    for cells in (2000, 20000):
        count, (rows,) = one_pass_lib._blocks(cells, tf.zeros([cells, 3]))
        assert rows.shape[0] == count > 1 and count * rows.shape[1] >= cells
        assert rows.shape[1] * cells * 4 <= 2**26


@every_loss
def test_float64_agrees_to_its_own_precision(name, gamma, monkeypatch):
    monkeypatch.setattr(one_pass_lib, "_block_bytes", lambda: 2**14)
    batch = pairs(12, dtype=tf.float64)
    found = one_pass(name, gamma, *batch)
    assert all(values.dtype == tf.float64 for values in found)
    assert_equal(found, plain(name, gamma, *batch), 1e-12)


@every_loss
def test_float32_is_as_exact_at_full_size(name, gamma):
    batch = pairs(45, images=1, dtype=tf.float64)
    exact = plain(name, gamma, *batch)
    single = [tf.cast(values, tf.float32) for values in batch]
    assert_equal(one_pass(name, gamma, *single), exact, 1e-5)


@pytest.mark.parametrize("name, gamma", [("log", None), ("dist", 0.5), ("margin", 0.5)])
def test_xla_cuts_blocks_too(name, gamma, monkeypatch):
    monkeypatch.setattr(one_pass_lib, "_block_bytes", lambda: 2**14)
    batch = pairs(12)
    assert_equal(one_pass(name, gamma, *batch, pack=False, jit_compile=True), plain(name, gamma, *batch), 1e-5)


@pytest.mark.parametrize("length", [2, 20, 64])
def test_labels_of_any_length(length):
    batch = pairs(12, length=length)
    assert_equal(one_pass("dist", 0.5, *batch), plain("dist", 0.5, *batch), 1e-5)


def test_each_image_counts_with_its_own_upstream_gradient():
    labels_a, labels_b, points, visible = pairs(8, visible=(1.0, 0.5, 0.7))
    factors = tf.constant([1.0, -2.0, 0.0])

    def gradients(values_of):
        with tf.GradientTape() as tape:
            tape.watch([labels_a, labels_b])
            value = tf.reduce_sum(values_of() * factors)
        return tape.gradient(value, [labels_a, labels_b])

    layer = layers.create("dist", STRIDE, gamma=0.5)
    found = gradients(lambda: layer((labels_a, labels_b, points, visible))["loss"])
    weights = tf.reshape(visible, [3, -1]) / tf.reduce_sum(visible, axis=[1, 2])[:, tf.newaxis]
    expected = gradients(lambda: tf.reduce_sum(plain_values("dist", 0.5, labels_a, labels_b, points) * weights, axis=1))
    assert_equal(found, expected, 1e-5)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_second_derivatives_are_refused(graph):
    labels_a, labels_b, points, visible = pairs(6)
    layer = layers.create("dist", STRIDE, gamma=0.5)

    def second():
        with tf.GradientTape() as outer:
            outer.watch(labels_a)
            with tf.GradientTape() as inner:
                inner.watch(labels_a)
                loss = layer((labels_a, labels_b, points, visible))["loss"]
            first = inner.gradient(loss, labels_a)
        return outer.gradient(first, labels_a)

    with pytest.raises(NotImplementedError, match="the matching losses have no second derivatives"):
        tf.function(second, autograph=False)() if graph else second()


@pytest.mark.parametrize("pack", [True, False])
def test_a_visibility_that_is_not_a_number_is_not_hidden(pack):
    labels_a, labels_b, points, visible = (values.numpy() for values in pairs(6))
    visible[0, 2, 3] = np.nan
    loss, *_ = one_pass(
        "dist", 0.5, *(tf.constant(values) for values in (labels_a, labels_b, points, visible)), pack=pack
    )
    assert np.isnan(loss[0]) and np.isfinite(loss[1:]).all()


def test_blocks_are_of_nearly_one_size_and_only_the_last_is_padded(monkeypatch):
    monkeypatch.setattr(one_pass_lib, "_block_bytes", lambda: 4 * 10 * 4)  # four rows of ten scores
    rows = tf.reshape(tf.range(1.0, 10), [9, 1])
    count, (blocks, flat) = one_pass_lib._blocks(10, rows, rows[:, 0])
    assert count == 3 and blocks.shape == [3, 3, 1]
    np.testing.assert_array_equal(tf.reshape(blocks, [-1]), flat.numpy().ravel())
    count, (blocks,) = one_pass_lib._blocks(10, rows[:5])
    np.testing.assert_array_equal(blocks[..., 0], [[1, 2, 3], [4, 5, 0]])
    count, (blocks,) = one_pass_lib._blocks(10, rows[:0])
    assert count == 1 and blocks.shape == [1, 0, 1]
