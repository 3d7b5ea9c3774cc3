"""Tests of the hourglass: its size by hand, where its cells sit, what it sees, and that it trains."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from dense_labels import config as config_lib
from dense_labels import config_files
from dense_labels.config import ModelConfig
from dense_labels.registry import NETWORKS


def create(precision="float32", **settings):
    return NETWORKS["hourglass"].value.create(ModelConfig("hourglass", **settings), precision)


@functools.cache
def shared():
    return create(width=16)


def block(before, width):
    """The weights of a residual block, with the offset and scale of each norm."""
    half = width // 2
    convolutions = [(before, half, 1), (half, half, 3), (half, width, 1)]
    count = sum((size * size * of + 1) * to + 2 * of for of, to, size in convolutions)
    return count + ((before + 1) * width if before != width else 0)


@pytest.mark.parametrize("width, label_size", [(16, 3), (64, 20)])
def test_it_has_the_weights_of_its_blocks(width, label_size):
    stem = (7 * 7 * 3 + 1) * width // 2 + block(width // 2, width)
    waist = 4 * 3 * block(width, width) + block(
        width, width
    )  # a short cut and two blocks for each size, one in the middle
    end = block(width, width) + 2 * width + (width + 1) * width + 2 * width + (width + 1) * label_size
    network = create(width=width, label_size=label_size)
    assert sum(int(np.prod(each.shape)) for each in network.trainable_variables) == stem + waist + end


@pytest.mark.parametrize("height, width", [(96, 80), (97, 81), (31, 44), (2, 2)])
def test_a_label_map_has_half_the_sides_of_its_image(height, width):
    assert shared()(tf.zeros([1, height, width, 3])).shape == [1, height // 2, width // 2, 3]
    assert shared().output_shape == (None, None, None, 3)


@pytest.mark.parametrize("axis", [1, 2])
def test_cells_sit_where_they_say(axis):
    """With symmetric filters, labels of a mirrored image are mirrored; those of cells beside their places are not."""
    network = create(width=16)
    network.set_weights(
        [(w + w[::-1] + w[:, ::-1] + w[::-1, ::-1]) / 4 if w.ndim == 4 else w for w in network.get_weights()]
    )
    images = np.random.default_rng(0).uniform(size=[1, 96, 64, 3]).astype(np.float32)
    labels, mirrored = network(images).numpy(), network(np.flip(images, axis)).numpy()
    np.testing.assert_allclose(mirrored, np.flip(labels, axis), atol=1e-4 * np.abs(labels).max())
    assert np.abs(mirrored - labels).max() > 0.1 * np.abs(labels).max()


def test_a_label_sees_far_and_most_near_its_cell():
    images = tf.random.stateless_uniform([4, 96, 96, 3], [0, 1])
    with tf.GradientTape() as tape:
        tape.watch(images)
        norm = tf.reduce_sum(tf.norm(shared()(images)[:, 24, 24], axis=-1))
    slope = np.abs(tape.gradient(norm, images)).sum(axis=(0, 3))
    y, x = np.mgrid[:96, :96] + 0.5
    far = np.hypot(x - 49, y - 49) > 40
    assert (slope[far] > 0).mean() > 0.5
    assert np.abs([np.average(x, weights=slope) - 49, np.average(y, weights=slope) - 49]).max() < 4
    assert slope[46:52, 46:52].mean() > 2 * slope[far].mean()


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_all_its_weights_are_trained(precision):
    network = create(precision, width=16)
    with tf.GradientTape() as tape:
        labels = network(tf.random.stateless_uniform([2, 34, 34, 3], [0, 1]), training=True)
        loss = tf.reduce_mean(tf.square(labels))
    assert labels.dtype == tf.float32 and {tf.as_dtype(each.dtype) for each in network.variables} == {tf.float32}
    assert all(each is not None for each in tape.gradient(loss, network.trainable_variables))


def test_mean_and_deviation_are_taken_off_inside():
    mean, std = (0.5, 0.4, 0.3), (0.25, 0.2, 0.1)
    network = create(width=16, mean=mean, std=std)
    network.set_weights(shared().get_weights())
    images = tf.random.stateless_uniform([2, 31, 20, 3], [0, 1])
    np.testing.assert_allclose(network(images), shared()((images - mean) / std), atol=1e-4)


def test_it_is_chosen_by_name_and_its_width_must_be_even():
    config = config_lib.with_overrides(config_files.find("hourglass"), {"data.dir": "pictures"})
    config_lib.check(config)
    network = NETWORKS["hourglass"].value
    assert network.stride(config.model) == 2 and not network.has_confidence(config.model)
    config.model.width = 129
    with pytest.raises(ValueError, match="^config.model.width=129: must be even$"):
        config_lib.check(config)
