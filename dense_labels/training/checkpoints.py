"""Checkpoints of a run: written after every epoch, read to go on or to evaluate."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile

import tensorflow as tf

from dense_labels import compat, progress

FOLDER = "checkpoints"  # of the work directory


class Checkpoints(tf.keras.callbacks.Callback):
    """Saves the network and the optimiser after every epoch."""

    def __init__(self, model: tf.keras.Model, workdir: str, keep: int, chief: bool = True, **state: tf.Module):
        """Creates the callback, for a model that is compiled.

        Args:
          model: `loop.PairModel`.
          workdir: existing folder.
          keep: how many of the newest checkpoints stay.
          chief: whether this process is the one whose checkpoints stay; the others take part in saving, as mirrored
            variables need, and write their checkpoints into a temporary folder.
          **state: what else is kept, by name.
        """
        super().__init__()
        self._optimizer, self._workdir = model.optimizer, workdir
        checkpoint = tf.train.Checkpoint(
            network=compat.saved_network(model.network), optimizer=compat.saved_optimizer(model.optimizer), **state
        )
        self._shared = tf.train.CheckpointManager(checkpoint, os.path.join(workdir, FOLDER), keep)
        self._scratch = None if chief else tempfile.TemporaryDirectory()
        self._own = self._shared if chief else tf.train.CheckpointManager(checkpoint, self._scratch.name, 1)

    @property
    def newest(self) -> str | None:
        """The path of the newest checkpoint of the run, or None."""
        return newest(self._workdir)

    def restore(self) -> int:
        """Restores the newest checkpoint, if there is one.

        Returns:
          How many steps the run has made.

        Raises:
          ValueError: if the checkpoint is damaged or does not fit.
        """
        if self.newest:
            _restore(self._shared.checkpoint, self.newest)
            progress.say(f"going on from {self.newest}")
        return int(self._optimizer.iterations.numpy())

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves; leaves nothing half written."""
        try:
            self._own.save(checkpoint_number=int(self._optimizer.iterations.numpy()))
        except tf.errors.OpError:
            for half in glob.glob(os.path.join(glob.escape(self._own.directory), "*_temp")):
                shutil.rmtree(half)
            raise

    def on_train_end(self, logs: dict | None = None) -> None:
        """Removes what was written only to take part."""
        if self._scratch:
            self._scratch.cleanup()


def newest(workdir: str) -> str | None:
    """Finds the newest checkpoint of a run.

    Args:
      workdir: folder of the run, which need not exist.

    Returns:
      Its path without extension, or None where there is none.

    Raises:
      ValueError: if there are checkpoints, but the file that lists them is damaged.
    """
    folder = os.path.join(workdir, FOLDER)
    path = tf.train.latest_checkpoint(folder)
    if path is None and glob.glob(os.path.join(glob.escape(folder), "*.index")):
        raise ValueError(
            f"{folder} holds checkpoints, but the file 'checkpoint' there, which lists them, is damaged or names one "
            "that is gone; mend it, or choose another --workdir"
        )
    return path


def newest_step(workdir: str) -> int:
    """Returns the step of the newest checkpoint of a run; raises a ValueError as `newest`, or if there is none."""
    path = newest(workdir)
    if path is None:
        raise ValueError(f"{workdir} holds no checkpoint; train for at least one epoch first")
    return int(path.rpartition("-")[2])


def restore_network(network: tf.keras.Model, workdir: str) -> int:
    """Gives a network the weights of the newest checkpoint of a run.

    Args:
      network: `tf.keras.Model` of the run's configuration, at any precision.
      workdir: folder of the run.

    Returns:
      The step of the checkpoint.

    Raises:
      ValueError: if there is no checkpoint, or it is damaged or does not fit the network.
    """
    step = newest_step(workdir)
    _restore(tf.train.Checkpoint(network=compat.saved_network(network)), str(newest(workdir)))
    return step


def _restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
    """Restores all of `checkpoint` from a file that may hold more."""
    try:
        checkpoint.restore(path).expect_partial().assert_existing_objects_matched()
    except tf.errors.OpError as error:
        raise ValueError(f"{path} is damaged ({error.message}); train again in another --workdir") from error
    except (AssertionError, ValueError) as error:
        raise ValueError(f"{path} does not fit the network of this configuration: {error}") from error
