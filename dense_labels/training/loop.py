"""Training: strategy, model of a pair, optimiser, callbacks, resume, fit."""

import functools
import json
import os
import sys

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from dense_labels import config as config_lib
from dense_labels.method import introspection_loss, losses
from dense_labels.training import callbacks, checkpoints, optimizers

_OPTIMIZERS = {
    "adam": tf.keras.optimizers.Adam,
    "amsgrad": functools.partial(tf.keras.optimizers.Adam, amsgrad=True),
    "adagrad": tf.keras.optimizers.Adagrad,
    "adagrad_momentum": optimizers.AdagradMomentum,
}
_POINTS_STRIDE = 4  # pixels between the points that the loss of the second paper draws from


class PairModel(tf.keras.Model):
    """Labels both images of a pair with one network and adds the matching loss."""

    def __init__(self, network, loss, **kwargs):
        """Creates the model.

        Args:
          network: `tf.keras.Model`, images -> labels.
          loss: `losses.MatchingLoss`.
          **kwargs: of `tf.keras.Model`.
        """
        super().__init__(**kwargs)
        self.network = network
        self.matching_loss = loss
        self.matching_error = tf.keras.metrics.Mean("matching_error")

    def call(self, batch, training=None):
        """Compares the images of a PairBatch; returns what the loss layer returns."""
        images = tf.concat([batch["image_a"], batch["image_b"]], axis=0)
        labels_a, labels_b = tf.split(self.network(images, training=training), 2)
        return self.matching_loss((labels_a, labels_b, batch["points_in_b"], batch["visible"]))

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Adds the mean matching error in pixels, over the images that have a visible cell."""
        has_cells = tf.cast(y_pred["visible_cells"] > 0, tf.float32)
        self.matching_error.update_state(y_pred["matching_error"], sample_weight=has_cells)
        return super().compute_metrics(x, y, y_pred, sample_weight)


def create_strategy():
    """Chooses where to train.

    Returns:
      Several workers where the environment's TF_CONFIG names them, else all visible GPUs mirrored, else the one
      device there is.

    Raises:
      ValueError: if TF_CONFIG is not JSON.
    """
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    except ValueError as error:
        raise ValueError(
            f"TF_CONFIG is not JSON ({error}); write it as tf.distribute documents, or unset it"
        ) from error
    if len(cluster.get("chief", [])) + len(cluster.get("worker", [])) > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")


def is_chief(strategy):
    """Says whether this process is the one that writes, of those that train together.

    Args:
      strategy: `tf.distribute.Strategy`.

    Returns:
      A bool; True where one process trains alone.
    """
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    if resolver.cluster_spec().as_dict().get("chief"):
        return resolver.task_type == "chief"
    return resolver.task_id == 0


def choose_precision(train):
    """Says in which precision to train.

    Args:
      train: `config.TrainConfig`.

    Returns:
      Its `precision`; for "auto", "mixed_bfloat16" where there is no GPU and the processor (x86, under Linux) has
      bfloat16 units that TensorFlow uses through oneDNN, else "float32".
    """
    if train.precision != "auto":
        return train.precision
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() not in ("0", "false") and not train.jit_compile
    units = _processor_features() & {"amx_bf16", "avx512_bf16"}
    return "mixed_bfloat16" if units and onednn and not tf.config.list_logical_devices("GPU") else "float32"


def _processor_features():
    """The processor's instruction sets as Linux names them; empty elsewhere."""
    try:
        with open("/proc/cpuinfo") as file:
            return set(next((line for line in file if line.startswith("flags")), "").split())
    except OSError:
        return set()


def learning_rate(train, steps_per_epoch):
    """Gives the rate of every step.

    Args:
      train: `config.TrainConfig`.
      steps_per_epoch: of the run, an int.

    Returns:
      `tf.keras.optimizers.schedules.LearningRateSchedule`: "cosine" rises from 0 for `warmup_steps` steps, then
      falls to 0 over the run; "steps" is multiplied by `decay_factor` at the start of each of `decay_epochs`.
    """
    if train.schedule == "cosine":
        return tf.keras.optimizers.schedules.CosineDecay(
            0.0 if train.warmup_steps else train.learning_rate,
            train.num_epochs * steps_per_epoch - train.warmup_steps,
            warmup_target=train.learning_rate if train.warmup_steps else None,
            warmup_steps=train.warmup_steps,
        )
    rates = [train.learning_rate * train.decay_factor**n for n in range(len(train.decay_epochs) + 1)]
    last_steps = [epoch * steps_per_epoch - 1 for epoch in (*train.decay_epochs, train.num_epochs)]
    return tf.keras.optimizers.schedules.PiecewiseConstantDecay(last_steps, [*rates, rates[-1]])


def pairs_stride(config, stride):
    """Says how finely training pairs are sampled: at the cells of the labels, or finer where the loss draws points.

    Args:
      config: `config.Config`.
      stride: side of a cell of the network in pixels.

    Returns:
      The stride of `points_in_b` and `visible` in pixels, an int.
    """
    return min(stride, _POINTS_STRIDE) if config.loss.name == "introspection" else stride


def _create_loss(config, stride):
    settings = config.loss
    if settings.name == "introspection":
        return introspection_loss.IntrospectionLoss(
            stride,
            pairs_stride(config, stride),
            confidence=config.model.confidence,
            tau1=settings.tau1,
            tau2=settings.tau2,
            points=settings.points,
            hard_negatives=settings.hard_negatives,
        )
    return losses.create(settings.name, stride, gamma=settings.gamma, pack=not config.train.jit_compile)


def _create_optimizer(settings, steps_per_epoch):
    kind = functools.partial(
        _OPTIMIZERS[settings.optimizer],
        learning_rate(settings, steps_per_epoch),
        weight_decay=settings.weight_decay or None,
        global_clipnorm=settings.clip_norm or None,
    )
    optimizer = kind(momentum=settings.momentum) if settings.optimizer == "adagrad_momentum" else kind()
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def train(config, workdir, *, network, dataset, steps_per_epoch, examples, stride, strategy=None):
    """Trains a network on pairs, or goes on with a training that was stopped.

    A checkpoint is written after every epoch. Called again with the same arguments, the run goes on after the last of
    them and ends with the weights of a run that was never stopped.

    Args:
      config: `config.Config`.
      workdir: existing folder for checkpoints (`checkpoints/`) and TensorBoard (`tensorboard/`).
      network: `precision -> tf.keras.Model`; called under the strategy's scope.
      dataset: `(start_step, input_context) -> tf.data.Dataset` of endless PairBatches.
      steps_per_epoch: an int.
      examples: a PairBatch that the pictures in TensorBoard show.
      stride: side of a cell of the network in pixels.
      strategy: `tf.distribute.Strategy`; None for `create_strategy()`.

    Returns:
      The trained network.

    Raises:
      FloatingPointError: if the loss or a weight is not finite; the last good checkpoint stays.
      ValueError: if a checkpoint is damaged or does not fit the network, or XLA is asked for with several replicas.
    """
    settings = config.train
    strategy = strategy or create_strategy()
    if settings.jit_compile and strategy.num_replicas_in_sync > 1:
        raise ValueError("config.train.jit_compile=True: is for one replica; leave it out where several train together")
    chief = is_chief(strategy)
    precision = choose_precision(settings)
    tf.keras.utils.set_random_seed(settings.seed)
    with strategy.scope():
        model = PairModel(network(precision), _create_loss(config, stride))
        optimizer = _create_optimizer(settings, steps_per_epoch)
        optimizer.build(model.network.trainable_variables)
        if precision == "mixed_float16":
            optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
        model.compile(optimizer, jit_compile=settings.jit_compile)
        patience = callbacks.StopWithoutGain(settings.patience) if settings.patience else None
        kept = {"patience": patience.state} if patience else {}
        saver = checkpoints.Checkpoints(model, workdir, settings.keep_checkpoints, chief, **kept)
        step = saver.restore()
        if step == 0 and settings.init_from:
            of = checkpoints.restore_network(model.network, settings.init_from)
            print(f"beginning with the network of {settings.init_from} at step {of}", flush=True)
    if step >= settings.num_epochs * steps_per_epoch:
        print(f"{workdir}: already trained for {settings.num_epochs} epochs")
        return model.network
    if patience and patience.ended:
        print(f"{workdir}: already trained until the loss no longer fell, {step // steps_per_epoch} epochs")
        return model.network
    pairs = strategy.distribute_datasets_from_function(lambda context: dataset(step, context))
    logs = os.path.join(workdir, "tensorboard")
    around = [callbacks.StopIfNotFinite(saver), callbacks.Throughput(settings.batch_size)]
    if chief:
        around.append(callbacks.WarnOfCollapse(examples["visible"].shape[1:], stride))
        around.append(tf.keras.callbacks.TensorBoard(logs, write_graph=False))
        around.append(hparams.KerasCallback(logs, config_lib.hyperparameters(config)))  # the table of runs of a sweep
    confidence = config_lib.has_confidence(config.model)
    drawn = os.path.join(logs, "pictures") if chief else None
    around.append(callbacks.Pictures(drawn, examples, stride, confidence=confidence))
    if patience:
        around.append(patience)
    around.append(saver)  # last: what an epoch shows is written before the run can go on from its end
    model.fit(
        pairs,
        initial_epoch=step // steps_per_epoch,
        epochs=settings.num_epochs,
        steps_per_epoch=steps_per_epoch,
        callbacks=around,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    return model.network
