"""Tests of feature pyramids: sizes, where cells lie, and the network of labels on them."""

import h5py
import numpy as np
import pytest
import tensorflow as tf

from dense_labels.config import Config, ModelConfig, check
from dense_labels.registry import NETWORKS
from models import pyramids, trunks


@pytest.fixture(scope="module")
def network():
    tf.keras.utils.set_random_seed(1)
    return NETWORKS["pyramid"].value.create(ModelConfig(name="pyramid", weights="none", label_size=8))


@pytest.mark.parametrize("height, width", [(64, 48), (70, 70), (33, 129)])
def test_there_is_a_label_for_every_whole_cell(network, height, width):
    labels = network(np.zeros([2, height, width, 3], np.float32))
    assert labels.shape == (2, height // 4, width // 4, 8) and labels.dtype == tf.float32


def test_padding_moves_no_label(network):
    """Images of 160 x 160 px are not padded, those of 149 are; far from the border their labels are the same."""
    image = np.random.default_rng(0).uniform(size=[1, 160, 160, 3]).astype(np.float32)
    whole, cut = network(image).numpy(), network(image[:, :149, :149]).numpy()
    scale = np.abs(whole).mean()
    assert np.abs(whole[:, :4, :4] - cut[:, :4, :4]).max() < 1e-3 * scale
    assert np.abs(whole[:, :4, :4] - whole[:, 4:8, :4]).max() > 1e-1 * scale  # or they would be the same anywhere


def test_a_label_is_of_what_lies_about_its_cell(network):
    """By the pixels that it depends on, each as much as the square of its slope: their mean place is the cell's."""
    images = tf.random.stateless_uniform([4, 128, 128, 3], [0, 1])
    with tf.GradientTape() as tape:
        tape.watch(images)
        norms = tf.norm(network(images)[:, 16, 15], axis=-1)
    weights = np.square(tape.gradient(norms, images)).sum(axis=(0, 3))
    y, x = (np.average(places, weights=weights) for places in np.mgrid[:128, :128] + 0.5)
    assert abs(x - 4 * 15.5) < 4 and abs(y - 4 * 16.5) < 4


def test_maps_are_doubled_bilinearly_about_the_middles_of_their_cells():
    ramp = np.arange(4, dtype=np.float32)[np.newaxis, :, np.newaxis, np.newaxis].repeat(4, axis=2)
    found = pyramids.Doubled()(ramp).numpy()[0, ..., 0]
    np.testing.assert_allclose(found, np.tile([[0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]], [8, 1]).T)


def test_with_a_trained_trunk_its_norms_are_kept():
    for frozen in (True, False):
        body = pyramids.features("mobilenet_v2", weights="none", frozen_norms=frozen, seed=0)
        norms = [layer for layer in body.layers[3].layers if isinstance(layer, tf.keras.layers.BatchNormalization)]
        assert norms and all(layer.trainable != frozen for layer in norms)


@pytest.mark.parametrize("weights, frozen", [("none", False), ("trunk.h5", True)])
def test_the_norms_of_weights_that_were_trained_are_kept(monkeypatch, weights, frozen):
    made, asked = pyramids.features("mobilenet_v2", weights="none", frozen_norms=False), []
    monkeypatch.setattr(pyramids, "features", lambda trunk, **options: asked.append(options) or made)
    pyramids.labels("mobilenet_v2", 4, weights=weights, dtype="float32")
    assert asked[0]["frozen_norms"] == frozen and asked[0]["weights"] == weights


def test_any_seed_will_do():
    made = pyramids.features("mobilenet_v2", weights="none", frozen_norms=False, seed=2**32 - 1)
    assert len(made.trainable_variables) > 100


def test_in_bfloat16_the_labels_are_float32():
    network = pyramids.labels("mobilenet_v2", 4, weights="none", dtype="mixed_bfloat16")
    assert network(np.zeros([1, 32, 32, 3], np.float32)).dtype == tf.float32


def test_a_trunk_without_a_pyramid_is_refused():
    config = Config()
    config.model.name, config.model.trunk = "pyramid", "vgg16"
    with pytest.raises(ValueError, match="config.model.trunk='vgg16': must be 'mobilenet_v2' or 'resnet50'"):
        check(config)
    with pytest.raises(ValueError, match="there is no pyramid of 'vgg16'"):
        pyramids.features("vgg16", weights="none", frozen_norms=True)


def test_every_trunk_has_the_layers():
    body = pyramids.features("resnet50", weights="none", frozen_norms=False, seed=0)
    assert body(np.zeros([1, 32, 48, 3], np.float32)).shape == (1, 8, 12, pyramids.CHANNELS)


@pytest.mark.parametrize("within", ["", "model_weights/"])  # a file of weights, or of a whole model
@pytest.mark.parametrize(
    "layers, trunk",
    [
        (["Conv1", "block_3_expand", "block_6_expand", "block_13_expand"], "mobilenet_v2"),
        (["conv1_conv", "conv2_block3_1_conv", "conv3_block4_1_conv", "conv4_block6_1_conv"], "resnet50"),
    ],
)
def test_layers_say_which_trunk_a_file_is_of(tmp_path, within, layers, trunk):
    path = str(tmp_path / "weights.h5")
    with h5py.File(path, "w") as file:
        for layer in layers:
            file.create_group(within + layer)
    assert pyramids.trunk_of(path) == trunk
    assert pyramids.trunk_of("imagenet") == pyramids.trunk_of("none") == "mobilenet_v2"


@pytest.mark.parametrize("trunk", pyramids.TRUNKS)
def test_a_file_that_does_not_name_the_layers_is_tried(tmp_path, trunk):
    whole = trunks._load(trunk, "none")
    whole.save_weights(str(tmp_path / "of_keras.weights.h5"))
    assert pyramids.trunk_of(str(tmp_path / "of_keras.weights.h5")) == trunk


def test_a_file_of_no_trunk_is_refused(tmp_path):
    with h5py.File(tmp_path / "vgg16.h5", "w") as file:
        file.create_group("block1_conv1")
    (tmp_path / "text.h5").write_text("not HDF5")
    for name, words in (
        ("vgg16.h5", "holds no weights of mobilenet_v2 or resnet50 without its top"),
        ("text.h5", "is no Keras .h5 file"),
        ("gone.h5", "there is no such file; give a Keras .h5 file, 'imagenet' or 'none'"),
    ):
        with pytest.raises(ValueError, match=f"^weights=.*{name}: {words}"):
            pyramids.trunk_of(str(tmp_path / name))
