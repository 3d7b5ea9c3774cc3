"""Training: one replica equals two, a stopped run ends where an unstopped one does, bad numbers stop it."""

import glob
import io
import os
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

import models
from dense_labels.config import Config, ModelConfig, TrainConfig
from dense_labels.method import losses
from dense_labels.training import callbacks, loop
from input_pipeline import pipeline

STRIDE = models.stride(ModelConfig())
STEPS = 4


def _config(data, num_epochs):
    config = Config(data=data)
    config.train.batch_size = 4
    config.train.num_epochs = num_epochs
    config.train.steps_per_epoch, config.train.precision = STEPS, "float32"
    return config


@pytest.fixture
def config(arm_data):
    return _config(arm_data, 3)


@pytest.fixture(scope="module")
def first(arm_data, tmp_path_factory):
    """Work directory of a finished run of one epoch on one replica, and its weights."""
    workdir = tmp_path_factory.mktemp("runs") / "first"
    return workdir, _train(_config(arm_data, 1), workdir).get_weights()


def _train(config, workdir, *, strategy=None, change=lambda dataset: dataset):
    """Trains as train_main.py does; `change` may spoil the pairs."""
    source = pipeline.prepare(config)

    def dataset(start_step, context):
        pairs = pipeline.training_pairs(
            source,
            stride=STRIDE,
            batch_size=config.train.batch_size,
            seed=0,
            start_step=start_step,
            input_context=context,
        )
        return change(pairs)

    os.makedirs(workdir, exist_ok=True)
    return loop.train(
        config,
        str(workdir),
        network=lambda precision: models.create(config.model, precision),
        dataset=dataset,
        steps_per_epoch=config.train.steps_per_epoch,
        examples=pipeline.example_pairs(source, "validation", stride=STRIDE, count=3),
        stride=STRIDE,
        strategy=strategy,
    )


def _two_replicas():
    return tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])


def _gradient(config, strategy):
    """Gradient of one global batch: what one step of plain descent at rate 1 takes off the weights."""
    source = pipeline.prepare(config)
    tf.keras.utils.set_random_seed(0)
    with strategy.scope():
        network = models.create(config.model)
        model = loop.PairModel(network, losses.create("dist", STRIDE, gamma=0.5))
        model.compile(tf.keras.optimizers.SGD(1.0))
    before = network.get_weights()
    pairs = strategy.distribute_datasets_from_function(
        lambda context: pipeline.training_pairs(source, stride=STRIDE, batch_size=4, seed=0, input_context=context)
    )
    history = model.fit(pairs, steps_per_epoch=1, verbose=0).history
    return [b - a for b, a in zip(before, network.get_weights())], history


def test_gradient_of_two_replicas_is_that_of_one(config):
    one, figures_of_one = _gradient(config, tf.distribute.OneDeviceStrategy("/cpu:0"))
    two, figures_of_two = _gradient(config, _two_replicas())
    for a, b in zip(one, two):
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(a).max())
    assert np.abs(one[-2]).max() > 1e-4
    for name in ("loss", "matching_error"):
        np.testing.assert_allclose(figures_of_one[name], figures_of_two[name], rtol=1e-5)


def test_an_epoch_on_two_replicas_is_that_on_one(config, first, tmp_path):
    config.train.num_epochs = 1
    two = _train(config, tmp_path, strategy=_two_replicas())
    for a, b in zip(first[1], two.get_weights()):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("loss", ["log", "introspection"])
def test_a_stopped_run_goes_on_to_the_same_weights(config, tmp_path, loss):
    config.loss.name = loss
    if loss == "introspection":  # its points are drawn anew; what else the second paper trains with is kept too
        config.loss.points, config.loss.tau2, config.model.label_size = 40, 10.0, 8
        config.train.optimizer, config.train.patience = "adagrad_momentum", 2
    whole = _train(config, tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop_in_second_epoch(pairs):
        def check(index):
            if index == STEPS + 2:
                raise Stop
            return index

        def guard(index, batch):
            with tf.control_dependencies([tf.py_function(check, [index], tf.int64)]):
                return {name: tf.identity(value) for name, value in batch.items()}

        return pairs.enumerate().map(guard)

    with pytest.raises(tf.errors.OpError):
        _train(config, tmp_path / "stopped", change=stop_in_second_epoch)
    assert tf.train.latest_checkpoint(tmp_path / "stopped" / "checkpoints").endswith(f"ckpt-{STEPS}")
    stopped = _train(config, tmp_path / "stopped")
    for a, b in zip(whole.get_weights(), stopped.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_training_ends_when_the_loss_no_longer_falls(config, tmp_path, capsys):
    config.train.learning_rate, config.train.num_epochs, config.train.patience = 1e-30, 9, 2

    def the_same_again(pairs):
        return pairs.take(1).repeat()

    weights = _train(config, tmp_path, change=the_same_again).get_weights()
    assert tf.train.latest_checkpoint(tmp_path / "checkpoints").endswith(f"ckpt-{3 * STEPS}")
    assert "the loss has not fallen for 2 epochs: training ends" in capsys.readouterr().out
    again = _train(config, tmp_path).get_weights()
    assert "already trained until the loss no longer fell, 3 epochs" in capsys.readouterr().out
    for a, b in zip(weights, again):
        np.testing.assert_array_equal(a, b)


def test_patience_goes_on_where_a_run_was_stopped(config, tmp_path):
    config.train.learning_rate, config.train.num_epochs, config.train.patience = 1e-30, 2, 2
    first = []

    def the_same_again(pairs):
        first.append(next(iter(pairs)))
        return tf.data.Dataset.from_tensors(first[0]).repeat()

    _train(config, tmp_path, change=the_same_again)
    config.train.num_epochs = 9
    _train(config, tmp_path, change=the_same_again)
    assert tf.train.latest_checkpoint(tmp_path / "checkpoints").endswith(f"ckpt-{3 * STEPS}")


def test_the_points_of_a_pair_may_be_finer_than_its_cells():
    config = Config()
    assert loop.pairs_stride(config, 16) == 16
    config.loss.name = "introspection"
    assert [loop.pairs_stride(config, stride) for stride in (16, 8, 2)] == [4, 4, 2]


def test_a_finished_run_is_not_trained_again(config, first, capsys):
    workdir, weights = first
    config.train.num_epochs = 1
    again = _train(config, workdir).get_weights()
    assert "already trained for 1 epochs" in capsys.readouterr().out
    for a, b in zip(weights, again):
        np.testing.assert_array_equal(a, b)


def _spoil(name, at):
    """Makes one batch's entry `name` not a number."""

    def change(pairs):
        def add_nan(index, batch):
            return {**batch, name: batch[name] + tf.where(index == at, np.nan, 0.0)}

        return pairs.enumerate().map(add_nan)

    return change


@pytest.mark.parametrize("name, what", [("points_in_b", "the loss"), ("image_a", "a weight")])
def test_a_number_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(config, tmp_path, name, what):
    message = rf"{what} is not finite at step {STEPS + 2}; the last good checkpoint is .*ckpt-{STEPS};"
    with pytest.raises(FloatingPointError, match=message):
        _train(config, tmp_path, change=_spoil(name, STEPS + 1))
    reader = tf.train.load_checkpoint(str(tmp_path / "checkpoints"))
    kernels = [name for name in reader.get_variable_to_shape_map() if "kernel" in name]
    assert kernels and all(np.isfinite(reader.get_tensor(name)).all() for name in kernels)


def test_training_matches_better_and_shows_it_in_tensorboard(config, tmp_path):
    config.train.steps_per_epoch, config.train.batch_size = 25, 8
    _train(config, tmp_path)
    written = EventAccumulator(glob.glob(str(tmp_path / "tensorboard" / "train" / "*.v2"))[0]).Reload()
    figures = {
        name: [tf.make_ndarray(event.tensor_proto).item() for event in written.Tensors(f"epoch_{name}")]
        for name in ("loss", "matching_error", "learning_rate", "pairs_per_second")
    }
    assert all(len(values) == 3 for values in figures.values())
    assert figures["matching_error"][-1] < 0.6 * figures["matching_error"][0]
    assert figures["loss"][-1] < figures["loss"][0]
    assert figures["learning_rate"] == pytest.approx([1e-3] * 3)
    pictures = EventAccumulator(str(tmp_path / "tensorboard" / "pictures")).Reload()
    for name in ("labels", "sphere", "hemispheres", "transfer", "match_errors", "precision_recall", "pairs"):
        events = pictures.Tensors(name)
        assert [event.step for event in events] == ([0] if name == "pairs" else [0, 1, 2])
        width, height, png = events[-1].tensor_proto.string_val
        assert tf.io.decode_png(png).shape == [int(height), int(width), 3]
    curve = "matches/pr_curves"
    assert pictures.SummaryMetadata(curve).plugin_data.plugin_name == "pr_curves"
    assert tf.make_ndarray(pictures.Tensors(curve)[-1].tensor_proto).shape == (6, 201)
    run = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (start,) = run.PluginTagToContent("hparams").keys() - {"_hparams_/session_end_info"}
    values = plugin_data_pb2.HParamsPluginData.FromString(run.PluginTagToContent("hparams")[start])
    hparams = values.session_start_info.hparams
    assert hparams["loss.name"].string_value == config.loss.name
    assert hparams["train.batch_size"].number_value == 8 and hparams["model.mean"].string_value == "(0.0, 0.0, 0.0)"


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "mixed_bfloat16"},
        {"precision": "mixed_float16"},
        {"jit_compile": True},
        {"optimizer": "adagrad", "clip_norm": 1.0},
    ],
    ids=str,
)
def test_options_train(config, tmp_path, changes):
    config.train.num_epochs, config.train.steps_per_epoch = 1, 2
    for name, value in changes.items():
        setattr(config.train, name, value)
    before = models.create(config.model).get_weights()
    after = _train(config, tmp_path).get_weights()
    assert all(a.dtype == np.float32 and np.isfinite(a).all() for a in after)
    assert any(not np.array_equal(a, b) for a, b in zip(after, before))


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


def test_xla_with_several_replicas_is_refused(config, tmp_path):
    config.train.jit_compile = True
    with pytest.raises(ValueError, match=r"^config\.train\.jit_compile=True: is for one replica;"):
        _train(config, tmp_path, strategy=_two_replicas())


@pytest.mark.parametrize(
    "jobs, job, index, chief",
    [
        (["worker", "worker"], "worker", 0, True),
        (["worker", "worker"], "worker", 1, False),
        (["chief", "worker"], "chief", 0, True),
        (["chief", "worker"], "worker", 0, False),
        ([], None, None, True),
    ],
)
def test_one_process_is_the_chief(jobs, job, index, chief):
    cluster = {name: ["localhost:1"] * jobs.count(name) for name in set(jobs)}
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster), task_type=job, task_id=index
    )
    assert loop.is_chief(types.SimpleNamespace(cluster_resolver=resolver)) == chief


def test_a_cluster_that_is_not_json_is_refused(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{worker")
    with pytest.raises(
        ValueError, match="^TF_CONFIG is not JSON .*; write it as tf.distribute documents, or unset it$"
    ):
        loop.create_strategy()


def test_the_rate_falls_at_the_epochs_asked_for(config):
    config.train.decay_epochs = (1, 2)
    rate = loop.learning_rate(config.train, STEPS)
    rates = [float(rate(step)) for step in range(3 * STEPS)]
    np.testing.assert_allclose(rates, [1e-3] * STEPS + [1e-4] * STEPS + [1e-5] * STEPS, rtol=1e-5)


def test_the_rate_rises_before_it_falls(config):
    config.train.schedule, config.train.warmup_steps = "cosine", STEPS
    rate = loop.learning_rate(config.train, STEPS)
    rates = [float(rate(step)) for step in (0, STEPS // 2, STEPS, 2 * STEPS, 3 * STEPS)]
    np.testing.assert_allclose(rates, [0, 0.5e-3, 1e-3, 0.5e-3, 0], atol=1e-9)


def test_weight_decay_takes_off_the_filters_alone(config, tmp_path):
    config.train.num_epochs, config.train.steps_per_epoch = 1, 1
    config.train.learning_rate = 1e-7  # the step of the gradient itself is at most about this
    config.train.weight_decay = 1e5
    after = _train(config, tmp_path)
    tf.keras.utils.set_random_seed(config.train.seed)
    before = models.create(config.model)
    for a, b in zip(after.trainable_variables, before.trainable_variables):
        expected = b * 0.99 if "kernel" in b.name else b
        np.testing.assert_allclose(a, expected, atol=1e-6)


def test_the_rate_falls_as_a_cosine_over_the_run(config):
    config.train.schedule = "cosine"
    rate = loop.learning_rate(config.train, STEPS)
    rates = [float(rate(step)) for step in (0, STEPS, 3 * STEPS // 2, 2 * STEPS, 3 * STEPS)]
    np.testing.assert_allclose(rates, [1e-3, 0.75e-3, 0.5e-3, 0.25e-3, 0], atol=1e-9)


# --- beginning with another network, and words of warning ---


def test_a_run_begins_with_the_network_of_another(config, first, tmp_path, capsys):
    workdir, weights = first
    config.train.num_epochs = 1
    config.train.init_from = str(workdir)
    config.train.learning_rate = 1e-12
    config.train.optimizer = "amsgrad"
    second = _train(config, tmp_path).get_weights()
    assert f"beginning with the network of {workdir} at step {STEPS}" in capsys.readouterr().out
    for a, b in zip(weights, second):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_a_resumed_run_does_not_begin_anew(config, first, tmp_path, capsys):
    config.train.num_epochs = 1
    config.train.init_from = str(first[0])
    weights = _train(config, tmp_path).get_weights()
    capsys.readouterr()
    again = _train(config, tmp_path).get_weights()
    assert "beginning with" not in capsys.readouterr().out
    for a, b in zip(weights, again):
        np.testing.assert_array_equal(a, b)


def test_a_network_of_another_kind_is_not_begun_with(config, first, tmp_path):
    config.train.num_epochs = 1
    config.train.init_from, config.model.label_size = str(first[0]), 5
    with pytest.raises(ValueError, match="does not fit"):
        _train(config, tmp_path)


@pytest.mark.parametrize("error, warned", [(0.72, True), (0.6, False)])
def test_collapsed_labels_are_spoken_of(capsys, error, warned):
    cells = (30, 20)
    callback = callbacks.WarnOfCollapse(cells, STRIDE)
    places = STRIDE * np.stack(np.meshgrid(np.arange(20), np.arange(30)), axis=-1).reshape([-1, 2])
    by_chance = np.linalg.norm(places[:, np.newaxis] - places, axis=-1).mean()
    callback.on_epoch_end(0, {"matching_error": error * by_chance})
    said = capsys.readouterr().out
    assert said.startswith("warning: matches are") == warned
    if warned:
        assert f"by chance they would be {by_chance:.0f}" in said and "config.model.norm=batch" in said
