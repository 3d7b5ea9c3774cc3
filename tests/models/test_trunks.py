"""Tests of the trunks: where their cells lie, Keras' own layers, weights from files, and what is trained."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from models import introspection, trunks

KERAS = {
    "mobilenet_v2": (tf.keras.applications.MobileNetV2, tf.keras.applications.mobilenet_v2.preprocess_input),
    "resnet50": (tf.keras.applications.ResNet50, tf.keras.applications.resnet50.preprocess_input),
    "vgg16": (tf.keras.applications.VGG16, tf.keras.applications.vgg16.preprocess_input),
}
KINDS = [("mobilenet_v2", 16), ("mobilenet_v2", 8), ("resnet50", 16), ("vgg16", 16)]


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def fresh():
    """Gives a trunk of random weights by name and stride: building one takes seconds. It is not to be trained."""
    return functools.cache(lambda name, stride: trunks.create(name, stride=stride))


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
        path = str(folder / f"{name}.h5")
        whole.save_weights(path)
        return whole, path

    return save


def inner(network):
    """The classifier inside a trunk, a model of its own."""
    return next(layer for layer in network.layers if isinstance(layer, tf.keras.Model))


def linear(network):
    """The same network of 16 channels, without rectifiers; its filters are of one number each, its pools means."""

    def plain(layer):
        config = layer.get_config()
        if isinstance(layer, tf.keras.Model):
            return tf.keras.models.clone_model(layer, clone_function=plain)
        if isinstance(layer, tf.keras.layers.MaxPooling2D):
            return tf.keras.layers.AveragePooling2D.from_config(config)
        if isinstance(layer, (tf.keras.layers.ReLU, tf.keras.layers.Activation, tf.keras.layers.BatchNormalization)):
            return tf.keras.layers.Activation("linear", name=layer.name)
        if "filters" in config:
            config["filters"] = 32
        if "activation" in config:
            config["activation"] = "linear"
        return type(layer).from_config(config)

    network = tf.keras.models.clone_model(network, clone_function=plain)
    network.set_weights([np.full(w.shape, 1 / w.size if w.ndim > 1 else 0.0) for w in network.get_weights()])
    return network


@pytest.mark.parametrize("name, stride", KINDS)
def test_cells_lie_where_they_should_to_half_a_pixel(fresh, name, stride):
    network, side = linear(fresh(name, stride)), 32 * 22
    image, row, column = tf.constant(pictures(1, side, side, 3)), 320 // stride, 384 // stride
    with tf.GradientTape() as tape:
        tape.watch(image)
        cell = tf.reduce_sum(network(image)[0, row, column])
    influence = np.abs(tape.gradient(cell, image).numpy()[0].sum(axis=-1))
    assert influence[[0, -1]].sum() + influence[:, [0, -1]].sum() == 0  # all of what it sees is in the picture
    places = np.arange(side) + 0.5
    y, x = (influence.sum(axis=axis) @ places / influence.sum() for axis in (1, 0))
    assert abs(y - (row + 0.5) * stride) <= 0.51 and abs(x - (column + 0.5) * stride) <= 0.51


@pytest.mark.parametrize("name, stride", KINDS)
@pytest.mark.parametrize("size", [(96, 64), (75, 90)])
def test_maps_have_the_cells_that_fit_into_the_picture(fresh, name, stride, size):
    features = fresh(name, stride)(pictures(1, *size, 3))
    channels = {"mobilenet_v2": 576, "resnet50": 2048, "vgg16": 512}[name]
    assert features.shape == (1, size[0] // stride, size[1] // stride, channels)


@pytest.mark.parametrize("name, stride", KINDS[::2] + KINDS[3:])
def test_trunks_have_the_weights_of_keras_up_to_their_end(fresh, saved, name, stride):
    whole, _ = saved(name)
    cut = tf.keras.Model(whole.input, whole.get_layer(trunks.ENDS[name]).output)
    assert inner(fresh(name, stride)).count_params() == cut.count_params()
    if name == "resnet50":  # as Keras publishes it, without its top
        assert cut.count_params() == 23_587_712


@pytest.mark.parametrize("name", ["mobilenet_v2", "vgg16"])
def test_features_are_those_of_keras_with_its_own_pre_processing(saved, name):
    whole, path = saved(name)
    cut = tf.keras.Model(whole.input, whole.get_layer(trunks.ENDS[name]).output)
    image = pictures(1, 112, 96, 3)
    features = trunks.create(name, weights=path)(image).numpy()
    room = 8 if name == "mobilenet_v2" else 0  # by which the picture is moved
    moved = np.pad(image, [(0, 0), (room, room), (room, room), (0, 0)], "symmetric")
    expected = cut(KERAS[name][1](moved * 255)).numpy()[:, :7, :6]
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert expected.std() > 0


def test_the_dilated_residual_blocks_are_those_of_keras_at_every_other_cell(saved):
    whole, path = saved("resnet50")
    network = inner(trunks.create("resnet50", weights=path))
    image = pictures(1, 128, 128, 3)
    expected = whole(image).numpy()
    found = network(image).numpy()[:, ::2, ::2]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_the_finer_mobile_trunk_is_the_coarser_one_at_every_other_cell(saved):
    _, path = saved("mobilenet_v2")
    coarse, fine = (inner(trunks.create("mobilenet_v2", weights=path, stride=stride)) for stride in (16, 8))
    image = pictures(1, 256, 256, 3)
    expected, found = coarse(image).numpy(), fine(image).numpy()[:, 1::2, 1::2]
    around = slice(4, -5)  # zeros beyond the border are not at the same places
    np.testing.assert_allclose(
        found[:, around, around], expected[:, around, around], rtol=1e-3, atol=1e-4 * np.abs(expected).max()
    )


def test_a_hypercolumn_joins_layers_at_the_finest_cells():
    network, stride = trunks.features("mobilenet_v2", ["block_6_expand_relu", "block_13_expand_relu"])
    image = pictures(2, 96, 128, 3)
    found = network(image).numpy()
    assert stride == 8 and found.shape == (2, 12, 16, 192 + 576)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found[..., :192], axis=-1), np.sqrt(0.5), rtol=1e-4)
    alone, stride = trunks.features("mobilenet_v2", ["block_13_expand_relu"])
    alone.set_weights(network.get_weights())
    cells = alone(image).numpy()
    coarse = found[..., 192:].reshape([2, 6, 2, 8, 2, 576]).mean(axis=(2, 4))
    coarse /= np.linalg.norm(coarse, axis=-1, keepdims=True)
    assert stride == 16 and (coarse * cells).sum(axis=-1)[:, 1:-1, 1:-1].min() > 0.97  # they lie in the same places


def step(network):
    """One training step towards other labels."""
    optimizer, image = tf.keras.optimizers.SGD(1e-2), pictures(2, 64, 64, 3)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(network(image, training=True)[..., 0])
    variables = network.trainable_variables
    gradients = tape.gradient(loss, variables)
    optimizer.apply_gradients(zip(gradients, variables))
    return float(loss), gradients


@pytest.mark.parametrize("name, stride", KINDS)
def test_every_trunk_makes_a_training_step(name, stride):
    network = introspection.introspection(
        name, 16, weights="none", stride=stride, frozen="", confidence=True, dtype="float32"
    )
    loss, gradients = step(network)
    assert np.isfinite(loss) and all(np.isfinite(each).all() for each in gradients)
    assert sum(np.abs(each).max() > 0 for each in gradients) > 0.9 * len(gradients)


def test_what_is_frozen_and_trained_norms_stay_as_they_are(saved):
    _, path = saved("mobilenet_v2")
    network = trunks.create("mobilenet_v2", weights=path, frozen="block_12_add")
    trunk = inner(network)
    before = {layer.name: [np.array(w) for w in layer.get_weights()] for layer in trunk.layers}
    step(network)
    moved = {
        layer.name for layer in trunk.layers if not all(map(np.array_equal, layer.get_weights(), before[layer.name]))
    }
    assert moved == {"block_13_expand"}


def test_norms_of_random_weights_are_trained():
    network = trunks.create("mobilenet_v2")
    before = inner(network).get_layer("bn_Conv1").get_weights()
    step(network)
    after = inner(network).get_layer("bn_Conv1").get_weights()
    assert not any(map(np.array_equal, before, after))


def test_convolutions_may_run_in_bfloat16(saved):
    _, path = saved("mobilenet_v2")
    image = pictures(1, 64, 64, 3)
    whole, half = (trunks.create("mobilenet_v2", weights=path, dtype=d)(image) for d in ("float32", "mixed_bfloat16"))
    whole, half = whole.numpy(), half.numpy()
    assert 0 < np.abs(whole - half).mean() < 0.05 * np.abs(whole).mean()


@pytest.mark.parametrize("confidence", [True, False])
def test_labels_are_descriptors_over_their_uncertainty(confidence):
    options = {"weights": "none", "stride": 16, "frozen": "", "confidence": confidence, "dtype": "float32"}
    network = introspection.introspection("mobilenet_v2", 8, **options)
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
        (lambda path: trunks.create("vgg16", weights=path + "x"), "weights=.*x: there is no such file; give a Keras"),
        (lambda path: trunks.create("vgg16", weights=path), "weights=.*: holds no weights of vgg16 without its top"),
    ],
)
def test_mistakes_are_named(call, message, tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(b"not an HDF5 file")
    with pytest.raises(ValueError, match=message):
        call(str(path))


def test_weights_of_another_trunk_are_refused(saved):
    _, path = saved("mobilenet_v2")
    with pytest.raises(ValueError, match="holds no weights of vgg16 without its top"):
        trunks.create("vgg16", weights=path)
