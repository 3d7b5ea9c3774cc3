"""Tests of the trunks: where their cells lie, Keras' own layers, weights from files, and what is trained."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.config import ModelConfig
from dense_labels.registry import NETWORKS
from models import descriptors, trunks
from models.networks.introspection import TRUNKS

KERAS = {
    "mobilenet_v2": (tf.keras.applications.MobileNetV2, tf.keras.applications.mobilenet_v2.preprocess_input),
    "resnet50": (tf.keras.applications.ResNet50, tf.keras.applications.resnet50.preprocess_input),
    "vgg16": (tf.keras.applications.VGG16, tf.keras.applications.vgg16.preprocess_input),
}
KINDS = [(name, stride) for name, strides in TRUNKS.items() for stride in strides]
LOADED = {("mobilenet_v2", 16), ("vgg16", 16)}  # from the file; the others from the classifier that wrote it
SEES = {"mobilenet_v2": 352, "resnet50": 672, "vgg16": 128}  # at least the pixels that a cell sees, a multiple of 32


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Gives a classifier without its top, of random weights, and the path of a Keras file that holds them."""
    folder = tmp_path_factory.mktemp("weights")

    @functools.cache
    def save(name):
        tf.keras.utils.set_random_seed(1)
        whole = KERAS[name][0](include_top=False, weights=None, input_shape=[None, None, 3])
        rng = np.random.default_rng(0)
        for layer in whole.layers:
            if isinstance(layer, tf.keras.layers.BatchNormalization):  # statistics that are not the identity
                layer.set_weights([rng.uniform(0.5, 1.5, size=w.shape) for w in layer.get_weights()])
        path = str(folder / f"{name}.weights.h5")
        whole.save_weights(path)
        return whole, path

    return save


@pytest.fixture(scope="module")
def trained(saved):
    """Gives a trunk of those weights by name and stride: building one takes seconds. It is not to be changed."""

    @functools.cache
    def create(name, stride):
        whole, path = saved(name)
        with pytest.MonkeyPatch.context() as patch:
            if (name, stride) not in LOADED:
                patch.setattr(trunks, "_load", lambda *_: whole)
            return trunks.create(name, weights=path, stride=stride)

    return create


@pytest.fixture
def loaded_before(saved, monkeypatch):
    """Makes trunks from classifiers that are in memory, for tests that are not about loading them."""
    monkeypatch.setattr(trunks, "_load", lambda name, weights: saved(name)[0])


@pytest.fixture
def trained_before(trained, monkeypatch):
    """Puts networks on trunks that are in memory; lists what they ask for."""
    asked = []

    def create(name, **options):
        asked.append((name, options))
        return trained(name, options["stride"])

    monkeypatch.setattr(trunks, "create", create)
    return asked


def inner(network):
    """The classifier inside a trunk, a model of its own."""
    return next(layer for layer in network.layers if isinstance(layer, tf.keras.Model))


class Plain(tf.keras.layers.Layer):
    """Hands on what it is given."""

    def call(self, values, mask=None):
        return values


def linear(network):
    """The same network of one channel, without rectifiers; its filters are of one number each, its pools means."""

    def plain(layer):
        config = layer.get_config()
        if isinstance(layer, tf.keras.Model):
            return tf.keras.models.clone_model(layer, clone_function=plain)
        if isinstance(layer, tf.keras.layers.MaxPooling2D):
            return tf.keras.layers.AveragePooling2D.from_config(config)
        if isinstance(layer, (tf.keras.layers.ReLU, tf.keras.layers.Activation, tf.keras.layers.BatchNormalization)):
            return Plain(name=layer.name)
        if "filters" in config:
            config["filters"] = 1
        if "activation" in config:
            config["activation"] = "linear"
        return type(layer).from_config(config)

    network = tf.keras.models.clone_model(network, clone_function=plain)
    network.set_weights([np.full(w.shape, 1 / w.size if w.ndim > 1 else 0.0) for w in network.get_weights()])
    return network


@pytest.mark.parametrize("name, stride", KINDS)
@pytest.mark.parametrize("more", [(0, 64), (1, 64), (0, 65)])
def test_cells_lie_where_they_should_to_half_a_pixel(trained, name, stride, more):
    network, side = linear(trained(name, stride)), SEES[name]
    image = tf.constant(pictures(1, side + more[0], side + more[1], 3))
    row, column = side // 2 // stride, (side // 2 + 32) // stride
    with tf.GradientTape() as tape:
        tape.watch(image)
        cell = tf.reduce_sum(network(image)[0, row, column])
    influence = np.abs(tape.gradient(cell, image).numpy()[0].sum(axis=-1))
    assert influence[[0, -1]].sum() + influence[:, [0, -1]].sum() == 0  # all of what it sees is in the picture
    y, x = (
        influence.sum(axis=1 - axis) @ (np.arange(n) + 0.5) / influence.sum() for axis, n in enumerate(image.shape[1:3])
    )
    assert abs(y - (row + 0.5) * stride) <= 0.51 and abs(x - (column + 0.5) * stride) <= 0.51


@pytest.mark.parametrize("name, stride", KINDS)
@pytest.mark.parametrize("size", [(96, 64), (90, 118), (97, 111)])
def test_maps_have_the_cells_that_fit_into_the_picture(trained, name, stride, size):
    features = trained(name, stride)(pictures(1, *size, 3))
    channels = {"mobilenet_v2": 576, "resnet50": 2048, "vgg16": 512}[name]
    assert features.shape == (1, size[0] // stride, size[1] // stride, channels)


@pytest.mark.parametrize("name, stride", KINDS)
def test_no_filter_of_one_pixel_has_a_stride(trained, name, stride):
    """Its gradient would write beyond its memory: see `trunks.PickedConv2D`."""
    traced = tf.function(trained(name, stride)).get_concrete_function(tf.TensorSpec([1, 96, 96, 3])).graph
    operations = [each for each in traced.get_operations() if each.type == "Conv2D"]
    assert len(operations) > 8
    pointwise = [each for each in operations if each.inputs[1].shape[:2] == [1, 1]]
    assert {tuple(each.get_attr("strides")) for each in pointwise} <= {(1, 1, 1, 1)}


@pytest.mark.parametrize("stride", [2, (3, 2)])
def test_picked_convolutions_are_those_of_keras(stride):
    maps = tf.random.normal([2, 13, 19, 5])  # odd sides, for which Keras' own is right
    values, gradients = [], []
    for kind in (trunks.PickedConv2D, tf.keras.layers.Conv2D):
        layer = kind(4, 1, strides=stride)
        layer.build(maps.shape)
        layer.set_weights([pictures(1, 1, 5, 4), pictures(4)])
        with tf.GradientTape() as tape:
            tape.watch(maps)
            values.append(layer(maps))
            loss = tf.reduce_sum(values[-1] ** 2)
        gradients.append(tape.gradient(loss, [maps, layer.kernel]))
    np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(*gradients):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name, stride", KINDS[::2] + KINDS[3:])
def test_trunks_have_the_weights_of_keras_up_to_their_end(trained, saved, name, stride):
    whole, _ = saved(name)
    cut = tf.keras.Model(whole.input, whole.get_layer(trunks.ENDS[name]).output)
    assert inner(trained(name, stride)).count_params() == cut.count_params()
    if name == "resnet50":  # as Keras publishes it, without its top
        assert cut.count_params() == 23_587_712


@pytest.mark.parametrize("name", ["mobilenet_v2", "vgg16"])
def test_features_are_those_of_keras_with_its_own_pre_processing(trained, saved, name):
    whole, _ = saved(name)
    cut = tf.keras.Model(whole.input, whole.get_layer(trunks.ENDS[name]).output)
    image = pictures(1, 112, 96, 3)
    features = trained(name, 16)(image).numpy()
    room = 8 if name == "mobilenet_v2" else 0  # by which the picture is moved
    moved = np.pad(image, [(0, 0), (room, room), (room, room), (0, 0)], "symmetric")
    expected = cut(KERAS[name][1](moved * 255)).numpy()[:, :7, :6]
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert expected.std() > 0


def test_the_dilated_residual_blocks_are_those_of_keras_at_every_other_cell(trained, saved):
    whole, _ = saved("resnet50")
    image = pictures(1, 128, 128, 3)
    expected = whole(image).numpy()
    found = inner(trained("resnet50", 16))(image).numpy()[:, ::2, ::2]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_the_finer_mobile_trunk_is_the_coarser_one_at_every_other_cell(trained):
    coarse, fine = (inner(trained("mobilenet_v2", stride)) for stride in (16, 8))
    image = pictures(1, 192, 192, 3)
    expected, found = coarse(image).numpy(), fine(image).numpy()[:, 1::2, 1::2]
    around = slice(4, -5)  # zeros beyond the border are not at the same places
    assert expected[:, around, around].size
    np.testing.assert_allclose(
        found[:, around, around], expected[:, around, around], rtol=1e-3, atol=1e-4 * np.abs(expected).max()
    )


@pytest.mark.usefixtures("loaded_before")
def test_a_hypercolumn_joins_layers_at_the_finest_cells(trained):
    network, stride = trunks.features("mobilenet_v2", ["block_6_expand_relu", "block_13_expand_relu"])
    image = pictures(2, 96, 128, 3)
    found = network(image).numpy()
    assert stride == 8 and found.shape == (2, 12, 16, 192 + 576)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found[..., :192], axis=-1), np.sqrt(0.5), rtol=1e-4)
    cells = unit(trained("mobilenet_v2", 16)(image).numpy())
    coarse = unit(found[..., 192:].reshape([2, 6, 2, 8, 2, 576]).mean(axis=(2, 4)))
    assert (coarse * cells).sum(axis=-1)[:, 1:-1, 1:-1].min() > 0.97  # they lie in the same places


@pytest.mark.usefixtures("loaded_before")
def test_one_layer_alone_is_a_baseline_too(trained):
    network, stride = trunks.features("vgg16", ["block4_pool"])
    image = pictures(1, 90, 118, 3)
    assert stride == 16
    np.testing.assert_allclose(network(image), unit(trained("vgg16", 16)(image).numpy()), rtol=1e-4, atol=1e-6)


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def gradients(network):
    """The loss of one training step towards other labels, and its gradients."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(network(pictures(2, 64, 64, 3), training=True)[..., 0])
    return float(loss), tape.gradient(loss, network.trainable_variables)


def step(network):
    """One training step towards other labels; the names of the layers of the trunk whose weights it changed."""
    before = {layer.name: [np.array(w) for w in layer.get_weights()] for layer in inner(network).layers}
    _, changes = gradients(network)
    tf.keras.optimizers.SGD(1e-2).apply_gradients(zip(changes, network.trainable_variables))
    return {
        layer.name
        for layer in inner(network).layers
        if not all(map(np.array_equal, layer.get_weights(), before[layer.name]))
    }


@pytest.mark.usefixtures("trained_before")
@pytest.mark.parametrize("name, stride", KINDS)
def test_every_trunk_has_gradients(name, stride):
    options = {"weights": "its file", "stride": stride, "frozen": "", "confidence": True, "dtype": "float32"}
    loss, found = gradients(descriptors.create(name, 16, **options))
    assert np.isfinite(loss) and all(np.isfinite(each).all() for each in found)
    assert sum(np.abs(each).max() > 0 for each in found) > 0.9 * len(found)


@pytest.fixture(scope="module")
def frozen_in_bfloat16(saved):
    return trunks.create(
        "mobilenet_v2", weights=saved("mobilenet_v2")[1], frozen="block_12_add", dtype="mixed_bfloat16"
    )


def test_convolutions_may_run_in_bfloat16(trained, frozen_in_bfloat16):
    image = pictures(1, 64, 64, 3)
    whole, half = (np.float32(network(image)) for network in (trained("mobilenet_v2", 16), frozen_in_bfloat16))
    assert 0 < np.abs(whole - half).mean() < 0.05 * np.abs(whole).mean()


def test_what_is_frozen_and_trained_norms_stay_as_they_are(frozen_in_bfloat16):
    assert step(frozen_in_bfloat16) == {"block_13_expand"}


def test_all_of_a_network_of_random_weights_is_trained():
    settings = ModelConfig("introspection", weights="none", stride=8, label_size=8)
    network = NETWORKS["introspection"].value.create(settings)
    assert NETWORKS["introspection"].value.stride(settings) == 8
    assert network(pictures(1, 90, 118, 3)).shape == (1, 11, 14, 8)
    moved = step(network)
    assert {"bn_Conv1", "Conv1", "block_13_expand"} <= moved
    assert moved == {layer.name for layer in inner(network).layers if layer.weights}


def test_norms_that_are_trained_answer_as_in_training_after_a_hundred_steps():
    """With the momentum of the releases, 0.999, the cosine of both answers is 0.3."""
    network, image = trunks.create("mobilenet_v2", stride=8), pictures(4, 32, 32, 3)
    for _ in range(100):
        trained = network(image, training=True).numpy()
    found = network(image).numpy()
    assert np.vdot(found, trained) > 0.9 * np.linalg.norm(found) * np.linalg.norm(trained)


@pytest.mark.parametrize("confidence", [True, False])
def test_labels_are_descriptors_over_their_uncertainty(trained_before, confidence):
    settings = ModelConfig("introspection", label_size=8, weights="w.h5", frozen="Conv1", confidence=confidence)
    entry = NETWORKS["introspection"].value
    network = entry.create(settings, "mixed_bfloat16")
    options = {"weights": "w.h5", "stride": 16, "frozen": "Conv1", "dtype": "mixed_bfloat16"}
    assert trained_before == [("mobilenet_v2", options)] and entry.has_confidence(settings) == confidence
    image = pictures(1, 64, 64, 3)
    labels = network(image).numpy()
    raw = tf.keras.Model(network.input, network.get_layer("label").output)(image).numpy()
    phi, sigma = raw[..., :8], np.log1p(np.exp(raw[..., 8:])) + 0.01 if confidence else 1.0
    phi = phi / np.linalg.norm(phi, axis=-1, keepdims=True)
    assert labels.dtype == np.float32 and raw.shape[-1] == 8 + confidence
    np.testing.assert_allclose(labels, phi / sigma, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda path: trunks.create("alexnet"), "there is no trunk 'alexnet'; choose 'mobilenet_v2', 'resnet50'"),
        (lambda path: trunks.create("vgg16", stride=8), "stride=8: vgg16 has stride 16$"),
        (lambda path: trunks.create("mobilenet_v2", stride=4), "stride=4: mobilenet_v2 has stride 16 or 8$"),
        (lambda path: trunks.create("vgg16", frozen="pool4"), "frozen='pool4': there is no such layer; the layers are"),
        (lambda path: trunks.features("vgg16", ["pool4"]), "vgg16 has no layer 'pool4'; its layers are .*block4_pool"),
        (
            lambda path: trunks.features("mobilenet_v2", ["block_3_pad"]),
            "block_3_pad of mobilenet_v2 pads a map, so that its cells lie elsewhere; give the layer before it",
        ),
        (lambda path: trunks.create("vgg16", weights=path + "x"), "weights=.*x: there is no such file; give a Keras"),
        (lambda path: trunks.create("vgg16", weights=path), "weights=.*: holds no weights of vgg16 without its top"),
    ],
)
def test_mistakes_are_named(call, message, tmp_path, saved, monkeypatch):
    load = trunks._load  # random weights take as long to draw as all else
    monkeypatch.setattr(
        trunks, "_load", lambda name, weights: saved(name)[0] if weights == "none" else load(name, weights)
    )
    path = tmp_path / "weights.h5"
    path.write_bytes(b"not an HDF5 file")
    with pytest.raises(ValueError, match=message):
        call(str(path))


def test_weights_of_another_trunk_are_refused(saved):
    _, path = saved("mobilenet_v2")
    with pytest.raises(ValueError, match="holds no weights of vgg16 without its top"):
        trunks.create("vgg16", weights=path)
