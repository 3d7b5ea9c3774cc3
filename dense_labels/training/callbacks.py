"""What happens around the steps of a training: checks, speed and pictures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from dense_labels import compat, files, progress
from dense_labels.batches import PairBatch
from dense_labels.config import ModelConfig
from dense_labels.method import geometry, introspection_loss
from dense_labels.pictures import gallery
from dense_labels.registry import NETWORKS, compares_labels, has_unit_labels
from dense_labels.reporting import tensorboard
from dense_labels.training import checkpoints

_COLLAPSED = 0.7  # of the error by chance
_DRAWN = "epochs_drawn.txt"  # in the folder of the pictures


class JoinStatistics(tf.keras.callbacks.Callback):
    """Gives all replicas the mean of the moving statistics that each has kept of its own batches, after each epoch.

    Keras 2 does so wherever they are read. Those of Keras 3 are kept by each replica, and whoever reads them gets those
    of the first alone.
    """

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Joins the statistics; all workers must do so together."""
        strategy = self.model.distribute_strategy
        norms = [norm for norm in compat.norms_apart(self.model.network) if norm.trainable]
        kept = [variable for norm in norms for variable in (norm.moving_mean, norm.moving_variance)]
        if not kept or strategy.num_replicas_in_sync == 1:
            return

        @tf.function(autograph=False)
        def means():
            own = strategy.run(lambda: [tf.convert_to_tensor(variable) for variable in kept])
            return strategy.reduce(tf.distribute.ReduceOp.MEAN, own, axis=None)

        with strategy.scope():
            for variable, mean in zip(kept, means()):
                variable.assign(mean)


class StopIfNotFinite(tf.keras.callbacks.Callback):
    """Ends the run with an error as soon as its loss or a weight is not a finite number.

    Both are looked at, for a rectifier can turn weights that are not numbers into a loss that is one.
    """

    def __init__(self, saver: checkpoints.Checkpoints):
        """Creates the callback.

        Args:
          saver: saves the checkpoints of the run.
        """
        super().__init__()
        self._saver = saver

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Prepares to look at the weights."""
        variables = self.model.network.trainable_variables
        self._norm_of_weights = tf.function(lambda: tf.linalg.global_norm([tf.convert_to_tensor(v) for v in variables]))

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at the loss and the weights.

        Raises:
          FloatingPointError: if one of them is not finite.
        """
        if not np.isfinite(logs["loss"]):
            self._stop("the loss")
        if not np.isfinite(self._norm_of_weights().numpy()):
            self._stop("a weight")

    def _stop(self, what: str) -> None:
        step, newest = int(self.model.optimizer.iterations.numpy()), self._saver.newest
        kept = f"the last good checkpoint is {newest}" if newest else "there is no checkpoint yet"
        raise FloatingPointError(
            f"{what} is not finite at step {step}; {kept}; "
            "try a lower config.train.learning_rate or a config.train.clip_norm, in another --workdir"
        )


class Throughput(tf.keras.callbacks.Callback):
    """Adds `pairs_per_second` to the logs of an epoch, leaving out its first step, where graphs are traced."""

    def __init__(self, batch_size: int):
        """Creates the callback.

        Args:
          batch_size: pairs of a step, over all replicas.
        """
        super().__init__()
        self._batch_size = batch_size

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Takes the time."""
        self._now = time.perf_counter()
        if batch == 0:
            self._start = self._now
        self._steps = batch

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the speed to the logs."""
        if self._steps:
            logs["pairs_per_second"] = self._batch_size * self._steps / (self._now - self._start)


class StopWithoutGain(tf.keras.callbacks.Callback):
    """Ends the training after some epochs in a row whose loss is not below the lowest so far.

    Attributes:
      state: what a checkpoint keeps, so that a run that goes on counts on.
    """

    def __init__(self, patience: int):
        """Creates the callback.

        Args:
          patience: how many such epochs.
        """
        super().__init__()
        self._patience = patience
        self.state = tf.Module()
        self.state.lowest = tf.Variable(np.inf, dtype=tf.float32, trainable=False)
        self.state.waited = tf.Variable(0, dtype=tf.int64, trainable=False)

    @property
    def ended(self) -> bool:
        """Whether there have been that many."""
        return int(self.state.waited.numpy()) >= self._patience

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Counts the epochs without gain."""
        if logs["loss"] < self.state.lowest.numpy():
            self.state.lowest.assign(logs["loss"])
            self.state.waited.assign(0)
        else:
            self.state.waited.assign_add(1)
        if self.ended:
            progress.say(f"the loss has not fallen for {self._patience} epochs: training ends")
            self.model.stop_training = True


class WarnOfCollapse(tf.keras.callbacks.Callback):
    """Warns, after an epoch, that the labels tell places apart hardly better than chance.

    Labels that are all alike match every cell as well as any other, so the most probable match lies as far from the
    true place as two random cells lie apart.
    """

    def __init__(self, cells: tuple[int, int], stride: int):
        """Creates the callback.

        Args:
          cells: (height, width) of the label map.
          stride: side of a cell in pixels.
        """
        super().__init__()
        places = geometry.cell_centres(*cells, stride).numpy().reshape([-1, 2])
        first, second = np.random.default_rng(0).integers(len(places), size=(2, 10_000))
        self._by_chance = float(np.linalg.norm(places[first] - places[second], axis=-1).mean())

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Compares the matching error with that of matches by chance."""
        if logs["matching_error"] > _COLLAPSED * self._by_chance:
            progress.warn(
                f"matches are {logs['matching_error']:.1f} px off, by chance they would be {self._by_chance:.1f}: the "
                "labels are all alike, or nearly so. If this does not change they have collapsed; try a lower "
                "config.train.learning_rate, config.train.warmup_steps (with config.train.schedule=cosine), or "
                "config.model.norm=batch"
            )


class Pictures(tf.keras.callbacks.Callback):
    """Writes pictures of a few fixed pairs to TensorBoard: first how they are warped, then what each epoch has learned.

    Pictures come after the checkpoint of their epoch, and one that cannot be drawn ends no run. How many epochs have
    been drawn is noted beside them, so that a run that was stopped while it drew catches up when it goes on.
    """

    def __init__(
        self,
        log_dir: str,
        examples: PairBatch,
        stride: int,
        settings: ModelConfig,
        *,
        chief: bool = True,
        epochs_done: int = 0,
    ):
        """Creates the callback.

        Args:
          log_dir: folder of the TensorBoard run.
          examples: a few pairs.
          stride: side of a cell of the network in pixels.
          settings: of the network.
          chief: whether this process is the one that draws and writes. The others only label the images: where a
            network's statistics are spread over several workers, all of them have to take part in using it.
          epochs_done: how many epochs the run has been trained for when it begins or goes on.
        """
        super().__init__()
        self._log_dir, self._examples, self._stride = log_dir, examples, stride
        self._facts = {"has_confidence": NETWORKS[settings.name].value.has_confidence(settings)}
        self._facts["compares_labels"] = compares_labels(settings.name)
        self._length = introspection_loss.shown_length(has_unit_labels(settings))
        self._chief, self._epochs_done = chief, epochs_done

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Draws the pairs themselves; of a run that goes on, its last epoch, unless that has been drawn."""
        if self._epochs_done == 0 and self._chief:
            files.remove(os.path.join(self._log_dir, _DRAWN))  # of an earlier run in this folder
            self._attempt(self._draw_pairs, "the pairs")
        self.catch_up()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Draws what the network makes of the pairs."""
        self._attempt(lambda: self._draw_epoch(epoch), f"epoch {epoch + 1}")

    def catch_up(self) -> None:
        """Draws the last epoch that the run was trained for, unless it has been drawn."""
        if self._epochs_done > self._epochs_drawn():
            self.on_epoch_end(self._epochs_done - 1)

    def _draw_pairs(self) -> None:
        pairs = PairBatch(*(np.asarray(part) for part in self._examples))
        tensorboard.write(self._log_dir, {}, gallery.draw(gallery.Material(pairs, self._stride)), 0)

    def _draw_epoch(self, epoch: int) -> None:
        def shown(images):
            return self._length * self.model.network(images)

        material = gallery.label_pairs(shown, self._examples, self._stride, **self._facts)
        if self._chief:
            pictures = gallery.draw(material, only_learned=True)
            tensorboard.write(self._log_dir, {}, pictures, epoch, matches=material.pair_matches)
            files.write_whole(os.path.join(self._log_dir, _DRAWN), f"{epoch + 1}\n".encode())

    def _attempt(self, draw: Callable[[], None], what: str) -> None:
        """Draws; whatever goes wrong is a warning, for a training is worth more than its pictures."""
        try:
            draw()
        except Exception as error:
            reason = progress.reason(error)
            progress.warn(f"the pictures of {what} cannot be drawn: {reason}; training goes on without them")

    def _epochs_drawn(self) -> int:
        try:
            with open(os.path.join(self._log_dir, _DRAWN)) as file:
                return int(file.read())
        except (OSError, ValueError):  # nothing has been drawn, or by a version that did not note it
            return 0
