"""Training: model of a pair, callbacks, resume, fit."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from dense_labels import compat, config_keys, progress
from dense_labels import config as config_lib
from dense_labels.batches import PairBatch
from dense_labels.registry import LOSSES, NETWORKS, compares_labels
from dense_labels.training import callbacks, checkpoints, optimizers, strategies

_LOGS = "tensorboard"  # folder in the work directory
_ROUNDING = 1e-3
Dataset = Callable[[int, tf.distribute.InputContext], tf.data.Dataset]


class PairModel(tf.keras.Model):
    """Labels both images of a pair with one network and adds the matching loss.

    Keras takes tuples apart, so an element of a dataset that it is trained on is `(PairBatch,)`.
    """

    train_step = compat.without_autograph(tf.keras.Model.train_step)

    def __init__(self, network: tf.keras.Model, loss: tf.keras.layers.Layer, **kwargs):
        """Creates the model.

        Args:
          network: images -> labels.
          loss: as the functions that `LOSSES` holds return it.
          **kwargs: of `tf.keras.Model`.
        """
        super().__init__(**kwargs)
        self.network = network
        self.matching_loss = loss
        self.matching_error = tf.keras.metrics.Mean("matching_error")

    def call(self, pairs: PairBatch, training: bool | None = None) -> dict[str, tf.Tensor]:
        """Compares the images of pairs; returns what the loss layer returns."""
        images = tf.concat([pairs.image_a, pairs.image_b], axis=0)
        labels_a, labels_b = tf.split(self.network(images, training=training), 2)
        return self.matching_loss((labels_a, labels_b, pairs.points_in_b, pairs.visible))

    def compute_metrics(self, x: Any, y: Any, y_pred: dict[str, tf.Tensor], sample_weight: Any = None) -> dict:
        """Adds the mean matching error in pixels, over the images that have a visible cell."""
        has_cells = tf.cast(y_pred["visible_cells"] > 0, tf.float32)
        self.matching_error.update_state(y_pred["matching_error"], sample_weight=has_cells)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Returns the mean of each metric over all replicas.

        In a step all are summed at once: Keras sums one number after another, and waits for the network each time.
        """
        replica = tf.distribute.get_replica_context()
        if replica is None or replica.num_replicas_in_sync == 1:
            return super().get_metrics_result()
        own = [[tf.convert_to_tensor(metric.total), tf.convert_to_tensor(metric.count)] for metric in self.metrics]
        totals, counts = tf.unstack(replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.stack(own)), axis=1)
        means = tf.unstack(tf.math.divide_no_nan(totals, counts))
        return {metric.name: mean for metric, mean in zip(self.metrics, means)}


def choose_precision(settings: config_lib.TrainConfig) -> str:
    """Says in which precision to train.

    Args:
      settings: the part of the configuration about training.

    Returns:
      Its `precision`; for "auto", "mixed_bfloat16" where there is no GPU and the processor (x86, under Linux) has
      bfloat16 units that TensorFlow uses through oneDNN, else "float32".
    """
    if settings.precision != "auto":
        return settings.precision
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() not in ("0", "false") and not settings.jit_compile
    units = _processor_features() & {"amx_bf16", "avx512_bf16"}
    return "mixed_bfloat16" if units and onednn and not tf.config.list_logical_devices("GPU") else "float32"


def _processor_features() -> set[str]:
    """Reads the processor's instruction sets as Linux names them; none elsewhere."""
    try:
        with open("/proc/cpuinfo") as file:
            return set(next((line for line in file if line.startswith("flags")), "").split())
    except OSError:
        return set()


def pairs_stride(config: config_lib.Config, stride: int) -> int:
    """Says how finely training pairs are sampled: at the cells of the labels, or finer where the loss draws points.

    Args:
      config: of the run.
      stride: side of a cell of the network in pixels.

    Returns:
      The stride of `points_in_b` and `visible` in pixels.
    """
    of_points = LOSSES[config.loss.name].facts.get("points_stride")
    return min(stride, of_points) if of_points else stride


@compat.without_autograph
def train(
    config: config_lib.Config,
    workdir: str,
    *,
    network: Callable[[str], tf.keras.Model],
    dataset: Dataset,
    steps_per_epoch: int,
    examples: PairBatch,
    stride: int,
    strategy: tf.distribute.Strategy | None = None,
    alike: Mapping[str, str] | None = None,
    after_epochs: Sequence[tf.keras.callbacks.Callback] = (),
) -> tf.keras.Model:
    """Trains a network on pairs, or goes on with a training that was stopped.

    A checkpoint is written after every epoch. Called again with the same arguments, the run goes on after the last of
    them and ends with the weights of a run that was never stopped.

    Args:
      config: of the run.
      workdir: existing folder for checkpoints (`checkpoints/`) and TensorBoard (`tensorboard/`).
      network: creates the network at a precision; called under the strategy's scope.
      dataset: `(start_step, input_context) -> tf.data.Dataset` of endless PairBatches.
      steps_per_epoch: how many batches are an epoch.
      examples: the pairs that the pictures in TensorBoard show.
      stride: side of a cell of the network in pixels.
      strategy: where to train; None for `strategies.create()`.
      alike: what several workers must have alike, beside step and weights; see `strategies.check_alike`.
      after_epochs: callbacks that come last, when the checkpoint of an epoch is there.

    Returns:
      The trained network.

    Raises:
      FloatingPointError: if the loss or a weight is not finite; the last good checkpoint stays.
      ValueError: if a checkpoint is damaged or does not fit the network, XLA is asked for with several replicas,
        the batch is one that `check_batch` refuses, or the workers do not begin alike.
    """
    settings, strategy = config.train, strategy or strategies.create()
    if settings.jit_compile and strategy.num_replicas_in_sync > 1:
        raise ValueError("config.train.jit_compile=True: is for one replica; leave it out where several train together")
    check_batch(config, strategy.num_replicas_in_sync)
    tf.keras.utils.set_random_seed(settings.seed)
    with strategy.scope():
        model = _compiled(config, network, steps_per_epoch, stride)
        patience = callbacks.StopWithoutGain(settings.patience) if settings.patience else None
        kept = {"patience": patience.state} if patience else {}
        saver = checkpoints.Checkpoints(
            model, workdir, settings.keep_checkpoints, strategies.is_chief(strategy), **kept
        )
        step = _restore(model.network, saver, settings.init_from)
    begun: dict[str, str | int] = {"step": step, "weights": _digest(model.network), **(alike or {})}
    strategies.check_alike(strategy, begun)
    if step == 0:
        _check_labels(config, model.network, examples, stride)
    epochs_done = step // steps_per_epoch
    pictures = _pictures(config, workdir, examples, stride, strategies.is_chief(strategy), epochs_done)
    if ended := _ended(settings, epochs_done, patience):
        progress.say(f"{workdir}: already trained {ended}")
        pictures.set_model(model)
        pictures.catch_up()
        return model.network
    around: list[tf.keras.callbacks.Callback]
    around = [callbacks.StopIfNotFinite(saver), callbacks.JoinStatistics(), callbacks.Throughput(settings.batch_size)]
    around += _for_the_chief(config, workdir, examples, stride) if strategies.is_chief(strategy) else []
    around += [patience] if patience else []
    # The numbers of an epoch are written before the run can go on from its end; pictures may wait, and may fail.
    around += [saver, pictures, *after_epochs]
    model.fit(
        strategy.distribute_datasets_from_function(lambda context: _for_keras(dataset(step, context))),
        initial_epoch=epochs_done,
        epochs=settings.num_epochs,
        steps_per_epoch=steps_per_epoch,
        callbacks=around,
        shuffle=False,  # the data set has seen to it
        verbose=1 if sys.stdout.isatty() else 2,
    )
    strategies.check_alike(strategy, {"step": 0})  # none ends before the chief has written all: it would wait for it
    return model.network


def check_batch(config: config_lib.Config, replicas: int) -> None:
    """Raises a ValueError if replicas cannot share a batch, or one has no second pair to exchange labels with."""
    batch_size = config.train.batch_size
    if uneven := batch_size % replicas:
        fitting = batch_size - uneven or replicas
        raise ValueError(
            f"config.train.batch_size={batch_size} cannot be shared by {replicas} replicas: begin a run with {fitting},"
            " or show this one fewer GPUs, such as CUDA_VISIBLE_DEVICES=0"
        )
    if config.loss.exchange and "loss.exchange" in LOSSES[config.loss.name].keys and batch_size < 2 * replicas:
        raise ValueError(
            f"config.loss.exchange=True: labels are exchanged with another pair of the batch; "
            f"config.train.batch_size={batch_size} must be at least {2 * replicas}"
        )


def _compiled(
    config: config_lib.Config, network: Callable[[str], tf.keras.Model], steps_per_epoch: int, stride: int
) -> PairModel:
    """Creates network, loss and optimiser; to be called under the strategy's scope."""
    settings, precision = config.train, choose_precision(config.train)
    model = PairModel(network(precision), LOSSES[config.loss.name].value(config, stride))
    optimizer = optimizers.create(settings, steps_per_epoch)
    if precision == "mixed_float16":
        optimizer = optimizers.loss_scaled(optimizer)
    optimizer.build(model.network.trainable_variables)
    model.compile(optimizers.summed_first(optimizer), jit_compile=settings.jit_compile)
    model.distribute_reduction_method = "first"  # of what a step returns, which is the same on all replicas
    return model


def _check_labels(config: config_lib.Config, network: tf.keras.Model, examples: PairBatch, stride: int) -> None:
    """Raises a ValueError where a network does not give what it is registered for."""
    images, image = tf.stack([examples.image_a, examples.image_b]), tf.convert_to_tensor(examples.image_a[:1])
    least, most = float(tf.reduce_min(images)), float(tf.reduce_max(images))
    if not -_ROUNDING <= least <= most <= 1 + _ROUNDING:
        raise ValueError(f"images of the data set, or recoloured, are from {least} to {most}; they must be from 0 to 1")
    labels = network(image, training=False)
    expected = [1, *(side // stride for side in image.shape[1:3]), config.model.label_size]
    if not tf.is_tensor(labels) or labels.dtype != tf.float32 or labels.shape != expected:
        found = f"{labels.dtype.name} {labels.shape}" if tf.is_tensor(labels) else type(labels).__name__
        raise ValueError(
            f"network {NETWORKS[config.model.name].place} must give float32 {expected} of an image {image.shape}, for "
            f"its stride is {stride} and config.model.label_size={config.model.label_size}; found {found}"
        )


def _restore(network: tf.keras.Model, saver: checkpoints.Checkpoints, init_from: str) -> int:
    """Goes on from the newest checkpoint, or begins with the network of another run; returns the steps made."""
    step = saver.restore()
    if step == 0 and init_from:
        of = checkpoints.restore_network(network, init_from)
        progress.say(f"beginning with the network of {init_from} at step {of}")
    return step


def _digest(network: tf.keras.Model) -> str:
    """What tells the weights of a network from others; of those that are trained, for a worker has norms of its own."""
    digest = hashlib.sha256()
    for variable in network.trainable_variables:
        digest.update(variable.numpy().tobytes())
    return digest.hexdigest()


def _ended(settings: config_lib.TrainConfig, epochs_done: int, patience: callbacks.StopWithoutGain | None) -> str:
    """Says how long a run has been trained that needs no more training; "" for one that does."""
    if epochs_done >= settings.num_epochs:
        return f"for {settings.num_epochs} epochs"
    if patience and patience.ended:
        return f"until the loss no longer fell, {epochs_done} epochs"
    return ""


def _pictures(
    config: config_lib.Config, workdir: str, examples: PairBatch, stride: int, chief: bool, epochs_done: int
) -> callbacks.Pictures:
    return callbacks.Pictures(
        os.path.join(workdir, _LOGS, "pictures"),
        examples,
        stride,
        config.model,
        chief=chief,
        epochs_done=epochs_done,
    )


def _for_the_chief(
    config: config_lib.Config, workdir: str, examples: PairBatch, stride: int
) -> list[tf.keras.callbacks.Callback]:
    """Creates the callbacks that one process of several has: they warn, and write to TensorBoard."""
    logs = os.path.join(workdir, _LOGS)
    collapse = callbacks.WarnOfCollapse(tuple(examples.visible.shape[1:]), stride)
    return [
        *([collapse] if compares_labels(config.model.name) else []),  # heat maps that are all alike match very well
        tf.keras.callbacks.TensorBoard(logs, write_graph=False),
        hparams.KerasCallback(logs, config_keys.hyperparameters(config)),  # the table of runs of a sweep
    ]


def _for_keras(pairs: tf.data.Dataset) -> tf.data.Dataset:
    """Says that pairs never end, which workers would else ask one another in each step.

    Each element is wrapped, so that Keras does not take it apart.
    """
    wrapped = pairs.map(lambda batch: (batch,))
    return wrapped.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
