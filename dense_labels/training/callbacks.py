"""What happens around the steps of a training: checks, speed and pictures."""

import time

import numpy as np
import tensorflow as tf

from dense_labels.method import geometry
from dense_labels.pictures import confidence_gallery, gallery

_COLLAPSED = 0.7  # of the error by chance


class StopIfNotFinite(tf.keras.callbacks.Callback):
    """Ends the run with an error as soon as its loss or a weight is not a finite number.

    Both are looked at, for a rectifier can turn weights that are not numbers into a loss that is one.
    """

    def __init__(self, checkpoints):
        """Creates the callback.

        Args:
          checkpoints: the `Checkpoints` of the run.
        """
        super().__init__()
        self._checkpoints = checkpoints

    def on_train_begin(self, logs=None):
        variables = self.model.network.trainable_variables
        self._norm_of_weights = tf.function(lambda: tf.linalg.global_norm([tf.convert_to_tensor(v) for v in variables]))

    def on_train_batch_end(self, batch, logs=None):
        if not np.isfinite(logs["loss"]):
            self._stop("the loss")
        if not np.isfinite(self._norm_of_weights().numpy()):
            self._stop("a weight")

    def _stop(self, what):
        step, newest = int(self.model.optimizer.iterations.numpy()), self._checkpoints.newest
        kept = f"the last good checkpoint is {newest}" if newest else "there is no checkpoint yet"
        raise FloatingPointError(
            f"{what} is not finite at step {step}; {kept}; "
            "try a lower config.train.learning_rate or a config.train.clip_norm, in another --workdir"
        )


class Throughput(tf.keras.callbacks.Callback):
    """Adds `pairs_per_second` to the logs of an epoch, its first step (where graphs are traced) left out."""

    def __init__(self, batch_size):
        """Creates the callback.

        Args:
          batch_size: pairs of a step, over all replicas.
        """
        super().__init__()
        self._batch_size = batch_size

    def on_train_batch_end(self, batch, logs=None):
        self._now = time.perf_counter()
        if batch == 0:
            self._start = self._now
        self._steps = batch

    def on_epoch_end(self, epoch, logs=None):
        if self._steps:
            logs["pairs_per_second"] = self._batch_size * self._steps / (self._now - self._start)


class StopWithoutGain(tf.keras.callbacks.Callback):
    """Ends the training after some epochs whose loss is not below the lowest so far."""

    def __init__(self, patience):
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
    def ended(self):
        """Whether there have been that many."""
        return int(self.state.waited.numpy()) >= self._patience

    def on_epoch_end(self, epoch, logs=None):
        if logs["loss"] < self.state.lowest.numpy():
            self.state.lowest.assign(logs["loss"])
            self.state.waited.assign(0)
        else:
            self.state.waited.assign_add(1)
        if self.ended:
            print(f"the loss has not fallen for {self._patience} epochs: training ends", flush=True)
            self.model.stop_training = True


class WarnOfCollapse(tf.keras.callbacks.Callback):
    """Says in words, after an epoch, that the labels tell places apart hardly better than chance.

    Labels that are all alike match every cell as well as any other, so the most probable match lies as far from the
    true place as two random cells lie apart.
    """

    def __init__(self, cells, stride):
        """Creates the callback.

        Args:
          cells: (height, width) of the label map.
          stride: side of a cell in pixels.
        """
        super().__init__()
        places = geometry.cell_centres(*cells, stride).numpy().reshape([-1, 2])
        first, second = np.random.default_rng(0).integers(len(places), size=(2, 10_000))
        self._by_chance = float(np.linalg.norm(places[first] - places[second], axis=-1).mean())

    def on_epoch_end(self, epoch, logs=None):
        if logs["matching_error"] > _COLLAPSED * self._by_chance:
            print(
                f"warning: matches are {logs['matching_error']:.1f} px off, by chance they would be "
                f"{self._by_chance:.1f}: the labels are all alike, or nearly so. If this does not change they have "
                "collapsed; try a lower config.train.learning_rate, config.train.warmup_steps (with "
                "config.train.schedule=cosine), or config.model.norm=batch",
                flush=True,
            )


class Pictures(tf.keras.callbacks.Callback):
    """Writes pictures of a few fixed pairs to TensorBoard: how they are bent at first, what is learned every epoch."""

    def __init__(self, log_dir, examples, stride, *, confidence=False):
        """Creates the callback.

        Args:
          log_dir: folder of the TensorBoard run, or None to draw and not write: where a network's statistics are
            spread over several workers, all of them have to take part in using it.
          examples: a PairBatch of a few pairs.
          stride: side of a cell of the network in pixels.
          confidence: whether its labels carry confidence, which is drawn too.
        """
        super().__init__()
        self._log_dir, self._examples, self._stride, self._confidence = log_dir, examples, stride, confidence

    def on_train_begin(self, logs=None):
        if self._log_dir:
            pairs = gallery.warp_picture(self._examples, self._stride)
            gallery.write_tensorboard(self._log_dir, {}, {"pairs": pairs}, 0)

    def on_epoch_end(self, epoch, logs=None):
        shown = self.model.network, self._examples, self._stride
        of_matches, matches = gallery.match_pictures(*shown)
        pictures = {**gallery.pair_pictures(*shown), **of_matches}
        if self._confidence:
            pictures.update(confidence_gallery.pair_pictures(*shown))
        if self._log_dir:
            gallery.write_tensorboard(self._log_dir, {}, pictures, epoch, matches=matches)
