"""Training: one replica equals two, a stopped run ends where an unstopped one does, a begun one begins anew."""

import io
import re
import types

import numpy as np
import pytest
import tensorflow as tf

from dense_labels import compat
from dense_labels.batches import PairBatch
from dense_labels.config import Config, TrainConfig
from dense_labels.method import geometry, losses, sparse_landmarks
from dense_labels.training import callbacks, loop
from tests.dense_labels.training import tiny
from tests.dense_labels.training.tiny import STEPS, STRIDE

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def config():
    return tiny.config(num_epochs=2)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Work directory of a finished run of two epochs on one replica, and its weights."""
    workdir = tmp_path_factory.mktemp("runs") / "first"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.callbacks.Pictures, "_attempt", lambda *_: None)
        return workdir, tiny.train(tiny.config(num_epochs=2), workdir).get_weights()


# --- replicas ---


def _gradient(strategy):
    """Gradient of one global batch: what one step of plain descent at rate 1 takes off the weights."""
    tf.keras.utils.set_random_seed(0)
    with strategy.scope():
        model = loop.PairModel(tiny.network(), losses.DistanceLoss(STRIDE, gamma=0.5))
        model.compile(tf.keras.optimizers.SGD(1.0))
    before = model.network.get_weights()
    pairs = strategy.distribute_datasets_from_function(
        lambda context: tiny.dataset()(0, context).map(lambda batch: (batch,))
    )
    history = model.fit(pairs, steps_per_epoch=1, verbose=0).history
    return [b - a for b, a in zip(before, model.network.get_weights())], history


def _squares(count=16, size=24):
    """Pairs of a bright square on grey, and of the same moved by whole cells; all of A is visible."""
    random = np.random.default_rng(0)
    corners, moves = random.integers(4, 12, size=[count, 2]), 2 * random.integers(-2, 3, size=[count, 2])
    images = np.full([2, count, size, size, 3], 0.4, np.float32)
    for n, (corner, move) in enumerate(zip(corners, moves)):
        for view, (x, y) in enumerate((corner, corner + move)):
            images[view, n, y : y + 6, x : x + 6] = (1.0, 0.8, 0.2)
    centres = geometry.cell_centres(size // STRIDE, size // STRIDE, STRIDE).numpy()
    points = np.float32(centres + moves[:, np.newaxis, np.newaxis])
    return PairBatch(*images, points, np.ones(points.shape[:3], np.float32))


def test_sparse_landmarks_learn_to_follow_drawn_squares():
    tf.keras.utils.set_random_seed(0)
    loss = sparse_landmarks.SparseLandmarksLoss(STRIDE, diversity=20.0, patch=1)
    model = loop.PairModel(tiny.network(label_size=3), loss)
    model.compile(tf.keras.optimizers.Adam(0.02))
    pairs = tf.data.Dataset.from_tensors((_squares(),)).repeat()
    history = model.fit(pairs, steps_per_epoch=20, epochs=6, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["matching_error"][-1] < 1.0 < history["matching_error"][0]  # pixels


def test_pairs_without_a_visible_cell_do_not_count_in_the_matching_error():
    model = loop.PairModel(tiny.network(), losses.DistanceLoss(STRIDE, gamma=0.5))
    model.compile()
    some = tiny.examples()
    hidden = some._replace(visible=some.visible * tf.constant([0.0, 1.0, 1.0])[:, tf.newaxis, tf.newaxis])
    shown = PairBatch(*(part[1:] for part in some))
    of_both = [tf.data.Dataset.from_tensors((pairs,)) for pairs in (hidden, shown)]
    errors = [model.evaluate(pairs, verbose=0, return_dict=True)["matching_error"] for pairs in of_both]
    assert errors[0] == pytest.approx(errors[1], rel=1e-5) and errors[1] > 0


class Block(tf.keras.layers.Layer):
    """A layer of one's own, with a layer in it."""

    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def call(self, images, training=None):
        return self.norm(images, training=training)


@pytest.mark.parametrize("kind", [compat.BatchNormalization, tf.keras.layers.BatchNormalization])
@pytest.mark.parametrize("block", [False, True])
def test_moving_statistics_of_two_replicas_are_their_mean(kind, block):
    """As of Keras 2, which has none of ours; the batches of the replicas are 10 apart, so their own could be told."""
    strategy = tiny.two_replicas()
    with strategy.scope():
        norm = kind(momentum=0.0)
        inner = Block(norm) if block else tf.keras.Sequential([tf.keras.Input([2, 2, 1]), norm])
        network = tf.keras.Sequential([tf.keras.Input([2, 2, 1]), inner])

    def step():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        network(tf.fill([3, 2, 2, 1], 10.0 * tf.cast(replica, tf.float32)), training=True)

    tf.function(lambda: strategy.run(step))()
    joining = callbacks.JoinStatistics()
    joining.set_model(types.SimpleNamespace(network=network, distribute_strategy=strategy))
    joining.on_epoch_end(0)
    np.testing.assert_allclose(network.get_weights()[2:], [[5.0], [0.0]])


def test_gradient_of_two_replicas_is_that_of_one():
    one, figures_of_one = _gradient(tf.distribute.OneDeviceStrategy("/cpu:0"))
    two, figures_of_two = _gradient(tiny.two_replicas())
    for a, b in zip(one, two):
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(a).max())
    assert np.abs(one[-2]).max() > 1e-4
    for name in ("loss", "matching_error"):
        np.testing.assert_allclose(figures_of_one[name], figures_of_two[name], rtol=1e-5)


def test_two_epochs_on_two_replicas_are_those_on_one(config, first, tmp_path):
    two = tiny.train(config, tmp_path, strategy=tiny.two_replicas())
    for a, b in zip(first[1], two.get_weights()):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_gradients_are_clipped_and_checked_once_those_of_all_replicas_are_summed(config, tmp_path, precision):
    """The clipping is of every step; in float16, the pictures of the second replica are so bright that it overflows."""
    config.train.clip_norm, config.train.precision, config.train.num_epochs = 1e-3, precision, 2
    bright = np.float32([1, 1, 9e3, 9e3] if precision == "mixed_float16" else [1, 1, 3, 3])[:, None, None, None]

    def change(dataset):
        return dataset.rebatch(4).map(lambda pairs: pairs._replace(image_a=pairs.image_a * bright)).rebatch(size)

    weights = []
    for size, strategy in ((4, None), (2, tiny.two_replicas())):
        out = tmp_path / str(size)
        weights.append(tiny.train(config, out, strategy=strategy, change=change).get_weights())
    for a, b in zip(*weights):
        assert np.isfinite(b).all()
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_xla_with_several_replicas_is_refused(config, tmp_path):
    config.train.jit_compile = True
    with pytest.raises(ValueError, match=r"^config\.train\.jit_compile=True: is for one replica;"):
        tiny.train(config, tmp_path, strategy=tiny.two_replicas())


@pytest.mark.parametrize(
    "stride, label_size, precision, found",
    [
        (2, 4, "float32", "float32 (1, 12, 16, 4)"),
        (4, 3, "float32", "float32 (1, 6, 8, 3)"),
        (2, 3, "bfloat16", "bfloat16"),
    ],
)
def test_a_network_that_does_not_give_what_it_promises_is_refused(config, stride, label_size, precision, found):
    network = tiny.network(stride=stride, label_size=label_size)
    if precision != "float32":
        network = tf.keras.Sequential([network, tf.keras.layers.Lambda(lambda x: tf.cast(x, precision))])
    said = r"must give float32 \[1, 12, 16, 3\] of an image \(1, 24, 32, 3\), for its stride is 2 and .*; found "
    with pytest.raises(ValueError, match=said + re.escape(found)):
        loop._check_labels(config, network, tiny.examples(), STRIDE)


def test_images_that_a_change_of_colour_took_out_of_their_range_are_refused(config):
    examples = tiny.examples()._replace(image_a=200 * tiny.examples().image_a)
    with pytest.raises(
        ValueError, match="images of the data set, or recoloured, are from .* to 200.0; they must be from 0"
    ):
        loop._check_labels(config, tiny.network(), examples, STRIDE)


def test_a_replica_without_a_second_pair_cannot_exchange(config, tmp_path):
    config.loss.exchange, config.train.batch_size = True, 2
    with pytest.raises(ValueError, match=r"exchange=True: .* config\.train\.batch_size=2 must be at least 4"):
        tiny.train(config, tmp_path, strategy=tiny.two_replicas())


# --- stopping and going on ---


class Stopped(Exception):
    """A run is killed."""


@pytest.mark.parametrize("loss", ["log", "introspection"])
def test_a_stopped_run_goes_on_to_the_same_weights(config, first, tmp_path, loss):
    whole = first[1]
    if loss == "introspection":  # its points are drawn anew; what else the second paper trains with is kept too
        config.loss.name, config.loss.points, config.loss.tau2, config.model.label_size = loss, 40, 10.0, 8
        config.train.optimizer, config.train.patience = "adagrad_momentum", 2
        whole = tiny.train(config, tmp_path / "whole").get_weights()

    def stop_in_second_epoch(pairs):
        def check(index):
            if index == STEPS + 2:
                raise Stopped
            return index

        def guard(index, batch):
            with tf.control_dependencies([tf.py_function(check, [index], tf.int64)]):
                return PairBatch(*(tf.identity(part) for part in batch))

        return pairs.enumerate().map(guard)

    with pytest.raises(tf.errors.OpError):
        tiny.train(config, tmp_path / "stopped", change=stop_in_second_epoch)
    assert tf.train.latest_checkpoint(tmp_path / "stopped" / "checkpoints").endswith(f"ckpt-{STEPS}")
    stopped = tiny.train(config, tmp_path / "stopped")
    for a, b in zip(whole, stopped.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_training_ends_when_the_loss_no_longer_falls(config, tmp_path, capsys):
    config.train.learning_rate, config.train.num_epochs, config.train.patience = 1e-30, 9, 2

    def the_same_again(pairs):
        return pairs.take(1).repeat()

    weights = tiny.train(config, tmp_path, change=the_same_again).get_weights()
    assert tf.train.latest_checkpoint(tmp_path / "checkpoints").endswith(f"ckpt-{3 * STEPS}")
    assert "the loss has not fallen for 2 epochs: training ends" in capsys.readouterr().out
    again = tiny.train(config, tmp_path).get_weights()
    assert "already trained until the loss no longer fell, 3 epochs" in capsys.readouterr().out
    for a, b in zip(weights, again):
        np.testing.assert_array_equal(a, b)


def test_patience_goes_on_where_a_run_was_stopped(config, tmp_path):
    config.train.learning_rate, config.train.num_epochs, config.train.patience = 1e-30, 2, 2
    first = []

    def the_same_again(pairs):
        first.append(next(iter(pairs)))
        return tf.data.Dataset.from_tensors(first[0]).repeat()

    tiny.train(config, tmp_path, change=the_same_again)
    config.train.num_epochs = 9
    tiny.train(config, tmp_path, change=the_same_again)
    assert tf.train.latest_checkpoint(tmp_path / "checkpoints").endswith(f"ckpt-{3 * STEPS}")


def test_a_finished_run_is_not_trained_again(config, first, capsys):
    workdir, weights = first
    again = tiny.train(config, workdir).get_weights()
    assert "already trained for 2 epochs" in capsys.readouterr().out
    for a, b in zip(weights, again):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name, what", [("points_in_b", "the loss"), ("image_a", "(the loss|a weight)")])
def test_a_number_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(config, tmp_path, name, what):
    def spoil(index, batch):
        return batch._replace(**{name: getattr(batch, name) + tf.where(index == STEPS + 1, np.nan, 0.0)})

    message = rf"^{what} is not finite at step {STEPS + 2}; the last good checkpoint is .*ckpt-{STEPS};"
    with pytest.raises(FloatingPointError, match=message):
        tiny.train(config, tmp_path, change=lambda pairs: pairs.enumerate().map(spoil))
    reader = tf.train.load_checkpoint(str(tmp_path / "checkpoints"))
    kernels = [name for name in reader.get_variable_to_shape_map() if "kernel" in name]
    assert kernels and all(np.isfinite(reader.get_tensor(name)).all() for name in kernels)


# --- beginning with another network ---


def test_a_run_begins_with_the_network_of_another_and_goes_on_with_its_own(config, first, tmp_path, capsys):
    workdir, weights = first
    config.train.num_epochs = 1
    config.train.init_from = str(workdir)
    config.train.learning_rate = 1e-12
    config.train.optimizer = "amsgrad"
    second = tiny.train(config, tmp_path).get_weights()
    assert f"beginning with the network of {workdir} at step {2 * STEPS}" in capsys.readouterr().out
    for a, b in zip(weights, second):
        np.testing.assert_allclose(a, b, atol=1e-9)
    again = tiny.train(config, tmp_path).get_weights()
    assert "beginning with" not in capsys.readouterr().out
    for a, b in zip(second, again):
        np.testing.assert_array_equal(a, b)


def test_a_network_of_another_kind_is_not_begun_with(config, first, tmp_path):
    config.train.num_epochs = 1
    config.train.init_from, config.model.label_size = str(first[0]), 5
    with pytest.raises(ValueError, match="does not fit"):
        tiny.train(config, tmp_path)


# --- options ---


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "mixed_bfloat16", "optimizer": "adagrad", "clip_norm": 1.0},
        {"precision": "mixed_float16"},
        {"jit_compile": True},
    ],
    ids=str,
)
def test_options_train(config, tmp_path, changes):
    config.train.num_epochs, config.train.steps_per_epoch = 1, 2
    for name, value in changes.items():
        setattr(config.train, name, value)
    tf.keras.utils.set_random_seed(config.train.seed)
    before = tiny.network().get_weights()
    after = tiny.train(config, tmp_path).get_weights()
    assert all(a.dtype == np.float32 and np.isfinite(a).all() for a in after)
    assert any(not np.array_equal(a, b) for a, b in zip(after, before))


def test_weight_decay_takes_off_the_filters_alone(config, tmp_path):
    config.train.num_epochs, config.train.steps_per_epoch = 1, 1
    config.train.learning_rate = 1e-7  # the step of the gradient itself is at most about this
    config.train.weight_decay = 1e5
    after = tiny.train(config, tmp_path)
    tf.keras.utils.set_random_seed(config.train.seed)
    before = tiny.network()
    for a, b in zip(after.trainable_variables, before.trainable_variables):
        expected = b * 0.99 if "kernel" in b.name else b
        np.testing.assert_allclose(a, expected, atol=1e-6)


def test_the_points_of_a_pair_may_be_finer_than_its_cells():
    config = Config()
    assert loop.pairs_stride(config, 16) == 16
    config.loss.name = "introspection"
    assert [loop.pairs_stride(config, stride) for stride in (16, 8, 2)] == [4, 4, 2]


@pytest.mark.parametrize(
    "settings, features, onednn, gpus, chosen",
    [
        ({"precision": "auto"}, {"avx2", "avx512_bf16"}, None, [], "mixed_bfloat16"),
        ({"precision": "auto"}, {"amx_bf16"}, "1", [], "mixed_bfloat16"),
        ({"precision": "auto"}, {"amx_bf16"}, "0", [], "float32"),
        ({"precision": "auto"}, {"amx_bf16"}, "False", [], "float32"),
        ({"precision": "auto"}, {"amx_bf16"}, None, ["/gpu:0"], "float32"),
        ({"precision": "auto", "jit_compile": True}, {"amx_bf16"}, None, [], "float32"),
        ({"precision": "auto"}, {"avx512f"}, None, [], "float32"),
        ({"precision": "float32"}, {"amx_bf16"}, None, [], "float32"),
        ({"precision": "mixed_bfloat16"}, set(), None, [], "mixed_bfloat16"),
    ],
)
def test_bfloat16_is_chosen_where_it_is_fast(settings, features, onednn, gpus, chosen, monkeypatch):
    monkeypatch.setattr(loop, "_processor_features", lambda: features)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: gpus)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if onednn:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)
    assert loop.choose_precision(TrainConfig(**settings)) == chosen


def test_processor_features_are_those_linux_names(monkeypatch):
    text = "processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\nbugs\t\t: spectre\n"
    monkeypatch.setattr("builtins.open", lambda path: io.StringIO(text) if path == "/proc/cpuinfo" else None)
    assert {"fpu", "avx2", "amx_bf16"} <= loop._processor_features()
    monkeypatch.setattr("builtins.open", _no_such_file)
    assert loop._processor_features() == set()


def _no_such_file(path):
    raise FileNotFoundError(path)
