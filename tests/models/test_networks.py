"""Tests of the networks of paper 1: their size from its own notation, where cells sit, and what the options do."""

import functools
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.config import ModelConfig
from dense_labels.method import geometry
from dense_labels.registry import NETWORKS
from models import chain

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Section 3.2, (size, filters) of every filter bank but the last, and how many pixels one label sees.
PAPER = {
    "simple": [(5, 20), (5, 48), (3, 64), (3, 80), (3, 256)],
    "dilations": [(5, 20), (5, 48), (5, 64), (3, 80), (3, 256)],
}
RECEPTIVE_FIELD = {"simple": 26, "dilations": 54}
STRIDE = 2
both_networks = pytest.mark.parametrize("name", ["simple", "dilations"])


every_network = pytest.mark.parametrize(
    "name, settings",
    [
        *((name, {"norm": "batch"}) for name in ("simple", "dilations", "hourglass", "sparse")),
        ("introspection", {"weights": "none", "stride": 8, "confidence": True}),
        ("introspection", {"weights": "none", "stride": 8, "confidence": False}),
        ("pyramid", {"weights": "none", "trunk": "mobilenet_v2"}),
    ],
)


def create(name, precision="float32", **settings):
    return NETWORKS[name].value.create(ModelConfig(name, **settings), precision)


@functools.cache
def shared(name, **settings):
    """The network of these settings, for tests that leave its weights alone or set them first."""
    return create(name, **settings)


def parameters_by_hand(name, label_size, *, norm):
    count, channels = 0, 3
    for size, filters in PAPER[name]:
        count += (size * size * channels + 1) * filters + (2 * filters if norm == "batch" else 0)
        channels = filters
    return count + (channels + 1) * label_size


def trainable(network):
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


@functools.cache
def with_positive_weights(name):
    """The network, for labels of length 1, with every filter tap at work: nothing cancels and no ReLU is shut."""
    network = create(name, label_size=1)
    network.set_weights(
        [np.full_like(w, 1 / np.prod(w.shape[:-1]) if w.ndim == 4 else 0) for w in network.get_weights()]
    )
    return network


# --- sizes ---


def test_parameter_counts_are_the_known_ones():
    assert trainable(shared("simple")) == 284_787
    assert trainable(shared("dilations", norm="batch")) == 334_875


@pytest.mark.parametrize(
    "name, norm, label_size", [("simple", "none", 2), ("simple", "batch", 5), ("dilations", "none", 20)]
)
def test_parameter_counts_follow_the_paper(name, norm, label_size):
    network = create(name, label_size=label_size, norm=norm)
    assert trainable(network) == parameters_by_hand(name, label_size, norm=norm)
    moving = 2 * sum(filters for _, filters in PAPER[name]) if norm == "batch" else 0
    assert network.count_params() == trainable(network) + moving


@both_networks
@pytest.mark.parametrize("height, width", [(90, 90), (90, 118), (31, 44), (44, 31), (7, 5), (2, 2)])
def test_a_label_map_has_half_the_sides_of_its_image(name, height, width):
    labels = shared(name)(tf.zeros([1, height, width, 3]))
    assert labels.shape == [1, height // 2, width // 2, 3]
    assert shared(name).output_shape == (None, None, None, 3)


@both_networks
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_mirror_padding_hides_where_the_frame_ends(name, norm):
    """A plain picture has one label all over; padded with zeros it has not. Away from the border nothing changes."""
    zero, mirror = (create(name, norm=norm, padding=padding) for padding in ("zero", "mirror"))
    zero.set_weights([np.abs(np.random.default_rng(0).normal(0.1, 0.1, w.shape)) for w in zero.get_weights()])
    mirror.set_weights(zero.get_weights())
    plain = tf.fill([1, 41, 36, 3], 0.7)
    spread = [np.ptp(network(plain), axis=(1, 2)).max() for network in (zero, mirror)]
    assert spread[1] < 1e-4 * np.abs(mirror(plain)).max() and spread[0] > 1e-2 * np.abs(zero(plain)).max()
    picture = np.random.default_rng(1).uniform(size=[2, 90, 81, 3]).astype(np.float32)
    labels, expected = mirror(picture).numpy(), zero(picture).numpy()
    assert labels.shape == expected.shape and np.abs(labels - expected).max() > 1e-2 * np.abs(expected).max()
    inner = RECEPTIVE_FIELD[name] // 4 + 1  # cells
    inside = np.s_[:, inner:-inner, inner:-inner]
    np.testing.assert_allclose(labels[inside], expected[inside], rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_they_say_their_stride_and_that_their_labels_carry_no_confidence():
    for name in PAPER:
        network = NETWORKS[name].value
        assert network.stride(ModelConfig(name)) == STRIDE
        assert not network.has_confidence(ModelConfig(name, confidence=True))


def test_the_sparse_network_is_simple_with_a_channel_for_each_landmark():
    sparse, simple = shared("sparse", label_size=10, norm="batch"), shared("simple", label_size=10, norm="batch")
    assert [w.shape for w in sparse.get_weights()] == [w.shape for w in simple.get_weights()]
    sparse.set_weights(simple.get_weights())
    images = np.random.default_rng(0).uniform(size=[1, 20, 30, 3]).astype(np.float32)
    np.testing.assert_array_equal(sparse(images), simple(images))


# --- the frame ---


@both_networks
@pytest.mark.parametrize("height, width", [(96, 80), (97, 81)])
@pytest.mark.parametrize("row, column", [(48, 40), (49, 40), (48, 41), (49, 41), (3, 5), (90, 74)])
def test_an_impulse_is_seen_by_the_cells_around_it(name, height, width, row, column):
    """Cell (i, j) sees the square centred at ((j + 0.5) 2, (i + 0.5) 2), and no pixel more or less."""
    network = with_positive_weights(name)
    image = np.zeros([1, height, width, 3], np.float32)
    image[0, row, column] = 1e3
    seen = network(image).numpy()[0, ..., 0] > 0
    centres = geometry.cell_centres(height // 2, width // 2, STRIDE).numpy()
    pixel = np.array([column + 0.5, row + 0.5])
    expected = np.all(np.abs(centres - pixel) < RECEPTIVE_FIELD[name] / 2, axis=-1)
    np.testing.assert_array_equal(seen, expected)


@both_networks
def test_a_label_looks_at_the_square_around_its_cell(name):
    """The same from the label's side: its gradient's support, on noise that spreads the max-pooling's choice."""
    network = with_positive_weights(name)
    images = tf.random.uniform([24, 97, 81, 3], 0.5, 1)
    row, column, half = 23, 19, RECEPTIVE_FIELD[name] // 2
    with tf.GradientTape() as tape:
        tape.watch(images)
        norm = tf.reduce_sum(tf.norm(network(images)[:, row, column], axis=-1))
    support = np.abs(tape.gradient(norm, images)).sum(axis=(0, 3)) > 0
    expected = np.zeros_like(support)
    y, x = 2 * row + 1, 2 * column + 1  # the cell's centre in pixels, the corner that four pixels share
    expected[y - half : y + half, x - half : x + half] = True
    np.testing.assert_array_equal(support, expected)


@both_networks
@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("down, right", [(2, 0), (0, 2), (6, -4)])
def test_an_image_moved_by_the_stride_moves_its_labels_by_a_cell(name, norm, down, right):
    network = shared(name, norm=norm)
    scene = tf.random.uniform([1, 110, 110, 3])
    labels = network(scene[:, 10:100, 10:100])
    moved = network(scene[:, 10 - down : 100 - down, 10 - right : 100 - right])
    i, j, rim = down // 2, right // 2, RECEPTIVE_FIELD[name] // 4 + 4
    inner = labels[:, rim:-rim, rim:-rim]
    assert inner.shape[1] > 8 and np.std(inner) > 1e-3
    there = moved[:, rim + i : 45 - rim + i, rim + j : 45 - rim + j]
    np.testing.assert_allclose(there, inner, atol=1e-5)


# --- options ---


@both_networks
def test_mean_and_deviation_are_taken_off_inside(name):
    mean, std = (0.5, 0.4, 0.3), (0.25, 0.2, 0.1)
    plain, network = shared(name), create(name, mean=mean, std=std)
    assert [w.shape for w in network.weights] == [w.shape for w in plain.weights], "they are no weights"
    network.set_weights(plain.get_weights())
    images = tf.random.uniform([2, 31, 20, 3])
    np.testing.assert_allclose(network(images), plain((images - mean) / std), atol=1e-4)
    assert np.abs(network(images) - plain(images)).max() > 0.01


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_mixed_precision_keeps_weights_and_labels_in_float32(norm):
    network, exact = create("simple", "mixed_bfloat16", norm=norm), shared("simple", norm=norm)
    assert {tf.as_dtype(variable.dtype) for variable in network.variables} == {tf.float32}
    network.set_weights(exact.get_weights())
    images = tf.random.uniform([1, 20, 20, 3])
    labels = network(images)
    assert labels.dtype == tf.float32
    convolutions = [layer for layer in network.layers if isinstance(layer, tf.keras.layers.Conv2D)]
    assert [layer.compute_dtype for layer in convolutions] == ["bfloat16"] * 5 + ["float32"]
    norms = [layer for layer in network.layers if isinstance(layer, tf.keras.layers.BatchNormalization)]
    assert [layer.compute_dtype for layer in norms] == (["float32"] * 5 if norm == "batch" else [])
    error = np.abs(labels - exact(images)).max() / np.abs(exact(images)).max()
    assert 1e-5 < error < 0.1, "rounded to eight bits, but the same function"
    assert {layer.compute_dtype for layer in exact.layers} == {"float32"}


def leaves(model):
    """The layers of a model and of the models in it."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from leaves(layer)
        elif not isinstance(layer, tf.keras.layers.InputLayer):
            yield layer


@every_network
def test_a_global_policy_does_not_reach_the_network(name, settings):
    policy = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        network = create(name, **settings)
    finally:
        tf.keras.mixed_precision.set_global_policy(policy)
    assert {layer.compute_dtype for layer in leaves(network)} == {"float32"}


@every_network
def test_a_saved_network_is_loaded_again(name, settings, tmp_path):
    network, image = create(name, **settings), np.float32(np.random.default_rng(0).uniform(size=[1, 70, 90, 3]))
    network.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(tf.keras.models.load_model(tmp_path / "m.keras")(image), network(image))


def test_batch_norm_may_be_in_double_precision():
    """Where Keras 3 is, TensorFlow's fused operation stands in for its own, and has no float64."""
    image = np.random.default_rng(0).uniform(size=[2, 16, 16, 3])
    network = create("simple", "float64", norm="batch")
    single = create("simple", norm="batch")
    single.set_weights(network.get_weights())
    for training in (False, True):
        found = network(image, training=training)
        np.testing.assert_allclose(found, single(image, training=training), atol=1e-4)


def pass_through(network, signs):
    """Makes every filter bank hand on channel 0 of its centre, times a sign."""
    kernels = iter(signs)
    weights = []
    for weight in network.get_weights():
        weight = np.zeros_like(weight)
        if weight.ndim == 4:
            weight[weight.shape[0] // 2, weight.shape[1] // 2, 0, 0] = next(kernels)
        weights.append(weight)
    network.set_weights(weights)


@both_networks
@pytest.mark.parametrize("activation, slope", [("relu", 0.0), ("leaky_relu", 0.2)])
@pytest.mark.parametrize("bank", range(5))
def test_every_bank_but_the_last_has_its_activation(name, activation, slope, bank):
    """One of the banks turns 1 into -1, which its activation makes -slope, and the next makes it slope."""
    network = shared(name, label_size=1, activation=activation)
    signs = [1.0] * 6
    signs[bank], signs[bank + 1] = -1.0, -1.0
    pass_through(network, signs)
    np.testing.assert_allclose(network(np.ones([1, 8, 8, 3], np.float32))[0, 2, 2], [slope], atol=1e-6)


@both_networks
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_labels_have_no_activation(name, activation):
    network = shared(name, label_size=1, activation=activation)
    pass_through(network, [1.0] * 5 + [-1.0])
    np.testing.assert_allclose(network(np.ones([1, 8, 8, 3], np.float32))[0, 2, 2], [-1], atol=1e-6)


def test_max_pooling_follows_the_first_bank():
    """An image whose 2 x 2 blocks hold one -1 each: negated after pooling it would be -max, before it is 1."""
    network = shared("simple", label_size=1, activation="relu")
    pass_through(network, [-1.0] + [1.0] * 5)
    image = np.ones([1, 8, 8, 3], np.float32)
    image[0, 1::2, ::2] = -1
    np.testing.assert_allclose(network(image)[0, ..., 0], np.ones([4, 4]), atol=1e-6)


def test_batch_norm_stands_before_each_activation():
    network = create("simple", norm="batch")
    outputs = [network.get_layer(f"{kind}{n}").output for n in range(1, 6) for kind in ("norm", "activation")]
    values = tf.keras.Model(network.input, outputs)(tf.random.uniform([8, 24, 24, 3]), training=True)
    for normalised, activated in zip(values[::2], values[1::2]):
        np.testing.assert_allclose(np.mean(normalised, axis=(0, 1, 2)), 0, atol=1e-3)
        deviation = np.std(normalised, axis=(0, 1, 2))
        assert np.all(deviation < 1.001) and np.median(deviation) > 0.9  # epsilon takes a little
        np.testing.assert_allclose(activated, np.maximum(normalised, 0), atol=1e-6)


def test_batch_norm_uses_its_moving_mean_outside_training():
    network = create("simple", norm="batch")
    images = tf.random.uniform([4, 24, 24, 3])
    before = network(images, training=False)
    np.testing.assert_allclose(before[:1], network(images[:1], training=False), atol=1e-5)
    network(images, training=True)
    assert np.abs(network(images, training=False) - before).max() > 1e-4


def test_biases_start_at_zero_and_weights_do_not():
    network = create("dilations")
    for variable in network.trainable_variables:
        if len(variable.shape) == 1:
            assert not np.any(variable)
        else:  # Glorot: the deviation is sqrt(2 / (fan in + fan out))
            *window, fan_in, fan_out = variable.shape
            expected = np.sqrt(2 / (np.prod(window) * (fan_in + fan_out)))
            assert np.std(variable) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("dilation", [2, 4])
def test_a_dilated_convolution_is_keras_own(dilation, in_place, monkeypatch):
    if in_place and not chain._dilates_in_place(tf.float32):
        pytest.skip("this TensorFlow has no gradient of a convolution dilated in place")
    monkeypatch.setattr(chain, "_dilates_in_place", lambda dtype: in_place)
    images = tf.random.stateless_normal([2, 11, 7, 3], seed=[1, 2])
    results = []
    initializer = tf.keras.initializers.GlorotNormal(seed=3)
    for kind in (chain.DilatedConv2D, tf.keras.layers.Conv2D):
        convolution = kind(4, 3, padding="same", dilation_rate=dilation, kernel_initializer=initializer)
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.reduce_sum(tf.square(convolution(images)))
        results.append([loss, *tape.gradient(loss, [images, *convolution.trainable_variables])])
    for ours, keras in zip(*results):
        np.testing.assert_allclose(ours, keras, rtol=1e-4, atol=1e-4)


def count_gradients():
    """How many weights and biases of "dilations" have a gradient, in each precision."""
    counts = []
    for precision in ("float32", "mixed_bfloat16", "mixed_float16"):
        network = create("dilations", precision)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(network(tf.ones([1, 12, 12, 3])))
        counts.append(sum(g is not None for g in tape.gradient(loss, network.trainable_variables)))
    return counts


def test_dilations_trains_with_onednn():
    assert count_gradients() == [12, 12, 12]


def test_dilations_trains_without_onednn():
    script = "from tests.models import test_networks; print(test_networks.count_gradients())"
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.stdout.strip() == "[12, 12, 12]", run.stderr
