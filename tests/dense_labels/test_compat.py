"""Both stacks give the same: stand-ins what the packages give, checkpoints of each are read by the other.

fixtures/checkpoints/keras2 and keras3 were written by this file: `python -m tests.dense_labels.test_compat FOLDER`.
"""

import ast
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf

from dense_labels import compat
from dense_labels.config import TrainConfig
from dense_labels.method import stand_ins
from dense_labels.training import checkpoints, optimizers
from models import chain, trunks

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECKPOINTS = ROOT / "tests/fixtures/checkpoints"
OPTIMIZERS = ("adam", "amsgrad", "adagrad", "adagrad_momentum")
STEP = 3


def network():
    """A network of few weights that has a batch norm and a dilated convolution, inside of another."""
    filters = [(3, 4, 1), (3, 4, 2)]
    options = {"stride": 2, "norm": "batch", "activation": "relu", "mean": (0.5,) * 3, "std": (1.0,) * 3}
    inner = chain.create(filters, 4, padding="zero", dtype="float32", name="inner", **options)
    images = tf.keras.Input([None, None, 3])
    x = tf.keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(inner(images))
    return tf.keras.Model(images, tf.keras.layers.Conv2D(3, 1, name="label")(x))


class Block(tf.keras.layers.Layer):
    """A layer that keeps layers as attributes, in a list and in a dictionary, and a weight of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.one = tf.keras.layers.Conv2D(3, 3, padding="same")
        self.more = [tf.keras.layers.Conv2D(3, 1), tf.keras.layers.BatchNormalization()]
        self.by_name = {"last": tf.keras.layers.Dense(3)}

    def build(self, shape):
        """Creates the weight."""
        self.factor = self.add_weight(name="alpha", shape=[3])
        self._shift = self.add_weight(name="variable", shape=[3])  # as Keras 3 names one that is given none
        super().build(shape)

    def call(self, values):
        """Calls all of them."""
        for layer in (self.one, *self.more, self.by_name["last"]):
            values = layer(values)
        return values * self.factor + self._shift


def composite():
    """A network of layers that have layers."""
    images = tf.keras.Input([4, 4, 3])
    values = tf.keras.layers.Reshape([16, 3])(Block()(images))
    return tf.keras.Model(images, tf.keras.layers.MultiHeadAttention(2, 4)(values, values))


def weights_of(made):
    """Those of `composite` in an order of ours."""
    block, attention = (layer for layer in made.layers if layer.weights)
    parts = [block.one, *block.more, block.by_name["last"]]
    parts += [getattr(attention, f"_{name}_dense") for name in ("query", "key", "value", "output")]
    return [block.factor, block._shift, *(weight for part in parts for weight in part.weights)]


def model(kind, network=network):
    """A model that is compiled with an optimiser, as a training has it."""
    made = tf.keras.Sequential()
    made.network = network()
    optimizer = optimizers.create(TrainConfig(optimizer=kind, schedule="cosine"), 10)
    optimizer.build(made.network.trainable_variables)
    made.compile(optimizer)
    return made


def values(made):
    """Everything that goes on in another process: weights, steps made, and the optimiser's numbers of each weight."""
    steps = made.optimizer.iterations
    slots = [v for v in made.optimizer.variables if v is not steps and "learning_rate" not in v.name]
    slots = [v for v in slots if v.name.partition(":")[0] not in ("iteration", "iterations")]
    return [*made.network.weights, *slots, steps]


def write(folder):
    """Writes a checkpoint of each optimiser, in which each variable has numbers of its own."""
    for kind in OPTIMIZERS:
        made = model(kind)
        for index, variable in enumerate(values(made)[:-1]):
            variable.assign(np.full(variable.shape, index + 1.0, np.float32))
        made.optimizer.iterations.assign(STEP)
        checkpoints.Checkpoints(made, str(pathlib.Path(folder) / kind), 1).on_epoch_end(0)
    made = model("adam", composite)
    for index, weight in enumerate(weights_of(made.network)):
        weight.assign(np.full(weight.shape, index + 1.0, np.float32))
    made.optimizer.iterations.assign(STEP)
    checkpoints.Checkpoints(made, str(pathlib.Path(folder) / "composite"), 1).on_epoch_end(0)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("stack", ["keras2", "keras3"])
def test_a_checkpoint_of_either_stack_is_restored_whole(stack, kind):
    made = model(kind)
    assert checkpoints.Checkpoints(made, str(CHECKPOINTS / stack / kind), 1).restore() == STEP
    *numbers, steps = values(made)
    for index, variable in enumerate(numbers):
        np.testing.assert_array_equal(variable.numpy(), index + 1.0, err_msg=variable.name)
    assert int(steps.numpy()) == STEP and len(numbers) > 2 * len(made.network.trainable_weights)


@pytest.mark.parametrize("stack", ["keras2", "keras3"])
def test_the_network_alone_is_restored_from_either_stack(stack):
    restored = network()
    assert checkpoints.restore_network(restored, str(CHECKPOINTS / stack / "adam")) == STEP
    assert [float(np.ptp(w)) for w in restored.get_weights()] == [0.0] * len(restored.weights)
    assert [float(np.mean(w)) for w in restored.get_weights()] == list(range(1, len(restored.weights) + 1))


@pytest.mark.parametrize("stack", ["keras2", "keras3"])
def test_layers_of_layers_are_restored_from_either_stack(stack):
    restored = composite()
    assert checkpoints.restore_network(restored, str(CHECKPOINTS / stack / "composite")) == STEP
    weights = weights_of(restored)
    assert len(weights) == len(restored.weights) == 20
    for index, weight in enumerate(weights):
        np.testing.assert_array_equal(weight.numpy(), index + 1.0, err_msg=f"{index}: {weight.name}")


@pytest.mark.skipif(not compat.KERAS_3, reason="Keras 2 keeps no layers in sets")
def test_weights_that_a_checkpoint_could_not_tell_apart_are_refused():
    class Several(tf.keras.layers.Layer):
        def __init__(self):
            super().__init__(name="several")
            self.parts = {tf.keras.layers.Dense(3), tf.keras.layers.Dense(3)}

        def call(self, values):
            return sum(part(values) for part in self.parts)

    images = tf.keras.Input([3])
    with pytest.raises(
        ValueError,
        match="^several has two weights kernel: keep each of its weights and layers in an attribute",
    ):
        compat.saved_network(tf.keras.Model(images, Several()(images)))


@pytest.mark.skipif(not compat.HAS_ADDONS, reason="there is nothing to compare with")
@pytest.mark.parametrize("channels", [1, 3])
def test_the_resampler_is_that_of_tensorflow_addons(channels):
    random = np.random.default_rng(0)
    maps = random.normal(size=[2, 9, 14, channels]).astype(np.float32)
    points = random.uniform(-3, 17, size=[2, 40, 50, 2]).astype(np.float32)
    points[0, 0, :4] = [[0, 0], [13, 8], [-1, 3], [13.5, 8.5]]
    found = stand_ins.resampler(maps, points)
    assert found.shape == [2, 40, 50, channels]
    np.testing.assert_allclose(found, compat.resampler()(maps, points), atol=1e-5)


@pytest.mark.skipif(compat.KERAS_3, reason="Keras 3 has no fused batch norm to compare with")
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("frozen", [False, True])
def test_batch_norm_is_that_of_keras_2(dtype, frozen):
    maps = tf.random.normal([3, 5, 7, 4], 2.0, 3.0)
    weights = tf.random.normal([3, 5, 7, 4])  # of the outputs, in what is differentiated
    found = []
    for of in (stand_ins.BatchNormalization, tf.keras.layers.BatchNormalization):
        layer = of(momentum=0.9, dtype=dtype)
        layer.build(maps.shape)
        layer.set_weights([np.float32(values) for values in ([1, 2, 3, 4], [0, -1, 1, 2], [0, 1, 2, 3], [1, 4, 9, 2])])
        layer.trainable = not frozen
        outputs = []
        for training in (True, True, False):
            with tf.GradientTape() as tape:
                tape.watch(maps)
                values = layer(maps, training=training)
                loss = tf.reduce_sum(weights * tf.cast(values, tf.float32))
            outputs += [values, *tape.gradient(loss, [maps, layer.gamma, layer.beta])]
        found.append([np.float32(each) for each in [*outputs, *layer.get_weights()]])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_networks_have_fused_batch_norm():
    for made in (network(), trunks.create("mobilenet_v2")):
        images = tf.TensorSpec([1, 32, 32, 3])
        traced = tf.function(lambda x, made=made: made(x, training=True)).get_concrete_function(images).graph
        operations = [operation.type for operation in traced.get_operations()]
        assert operations.count("FusedBatchNormV3") == len([w for w in made.weights if "moving_mean" in w.name]) > 0
        assert "Rsqrt" not in operations


def test_the_resampler_is_the_definition():
    maps = tf.constant(np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1))
    points = tf.constant([[[0, 0], [2.5, 1], [3, 1.5], [-0.5, 0], [3.25, 2], [9, 0], [-1, -1]]], tf.float32)
    np.testing.assert_allclose(stand_ins.resampler(maps, points)[0, :, 0], [0, 6.5, 9, 0, 8.25, 0, 0], atol=1e-6)


RANDOM = np.random.default_rng(1)
AXES = RANDOM.normal(size=[20, 3])
AXES /= np.linalg.norm(AXES, axis=-1, keepdims=True)
QUATERNION = np.array([0.5, -0.1, 0.7, 0.5]) / np.linalg.norm([0.5, -0.1, 0.7, 0.5])
POINTS = np.concatenate([RANDOM.normal(size=[20, 3]), np.zeros([1, 3]), np.eye(3), -np.eye(3)])
CAMERA = (tf.constant([3.0, 4.0], tf.float64), tf.constant([1.0, 2.0], tf.float64))
DEGREES, ORDERS = (np.broadcast_to(each.numpy(), [20, 49]) for each in stand_ins.generate_l_m_permutations(6))
ANGLES = (RANDOM.uniform(0, np.pi, [20, 1]), RANDOM.uniform(0, 2 * np.pi, [20, 1]))


@pytest.mark.skipif(not compat.HAS_GRAPHICS, reason="there is nothing to compare with")
@pytest.mark.parametrize(
    "module, name, arguments",
    [
        ("rendering.camera.perspective", "ray", (tf.constant(POINTS[:, :2]), *CAMERA)),
        ("rendering.camera.perspective", "project", (tf.constant(POINTS[:20] + [0, 0, 9]), *CAMERA)),
        ("geometry.transformation.rotation_matrix_3d", "from_axis_angle", (AXES, RANDOM.uniform(0, 6, [20, 1]))),
        ("geometry.transformation.rotation_matrix_3d", "from_quaternion", (QUATERNION,)),
        ("math.math_helpers", "cartesian_to_spherical_coordinates", (POINTS,)),
        ("math.math_helpers", "spherical_to_cartesian_coordinates", (np.abs(POINTS),)),
        ("math.spherical_harmonics", "generate_l_m_permutations", (5,)),
        ("math.spherical_harmonics", "evaluate_spherical_harmonics", (DEGREES, ORDERS, *ANGLES)),
    ],
)
def test_stand_ins_are_what_tensorflow_graphics_has(module, name, arguments):
    expected = getattr(compat.graphics(module), name)(*arguments)
    np.testing.assert_allclose(getattr(stand_ins, name)(*arguments), expected, atol=1e-5)


def test_the_stack_is_asked_for_in_one_module():
    """And that stays short."""
    lines = (ROOT / "dense_labels/compat.py").read_text().splitlines()
    assert len(lines) <= 150
    folders = ("dense_labels", "models", "input_pipeline")
    ours = [*ROOT.glob("*.py"), *(path for folder in folders for path in (ROOT / folder).rglob("*.py"))]
    asks = {"KERAS_3", "HAS_ADDONS", "HAS_GRAPHICS", "__version__"}
    for path in ours:
        found = {getattr(n, "attr", getattr(n, "id", None)) for n in ast.walk(ast.parse(path.read_text()))} & asks
        assert not found or path.name == "compat.py", (path, found)


if __name__ == "__main__":
    write(sys.argv[1])


def test_the_state_of_a_training_in_float16_has_the_same_names_and_types_on_both_stacks(tmp_path):
    rate = tf.keras.optimizers.schedules.ExponentialDecay(0.001, 10, 0.5)  # as `optimizers.create` has one, always
    optimizer = optimizers.loss_scaled(tf.keras.optimizers.Adam(rate))
    layer = tf.keras.layers.Dense(1, use_bias=False)
    layer.build([None, 2])
    optimizer.build(layer.trainable_variables)
    path = tf.train.Checkpoint(optimizer=compat.saved_optimizer(optimizer)).write(str(tmp_path / "ckpt"))
    types = {
        name.partition("/.ATTRIBUTES")[0]: dtype
        for name, dtype in tf.train.load_checkpoint(path).get_variable_to_dtype_map().items()
    }
    types.pop("_CHECKPOINTABLE_OBJECT_GRAPH")
    types.pop("save_counter", None)
    assert types == {
        "optimizer/_current_learning_rate": tf.float32,
        "optimizer/_iterations": tf.int64,
        "optimizer/_variables/1": tf.float32,
        "optimizer/_variables/2": tf.float32,
        "optimizer/loss_scale/current_loss_scale": tf.float32,
        "optimizer/loss_scale/good_steps": tf.int64,
    }
