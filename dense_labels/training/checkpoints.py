"""Checkpoints of a run: written after every epoch, read to go on or to evaluate.

A checkpoint is the files `ckpt-STEP.data-*` and `ckpt-STEP.index`. They are written under a temporary name and moved,
the index last; they are removed index first. So a checkpoint is there from the moment its index is, whenever a process
was killed. All files are named exactly, for TensorFlow's own keeping takes the name of a folder for a pattern.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import re
import tempfile
from collections.abc import Iterator

import tensorflow as tf

from dense_labels import compat, files, progress
from dense_labels.training import lock

FOLDER = "checkpoints"  # of the work directory
_FILE = re.compile(r"ckpt-(0|[1-9][0-9]*)\.(?:index|data-[0-9]{5}-of-[0-9]{5})")
_HALF = re.compile(r"ckpt-[0-9]+_temp")  # TensorFlow's own name for what is not whole; of earlier versions
_STATE = "checkpoint"  # names the newest to other programs; nothing here reads it


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
        self._optimizer, self._workdir, self._keep = model.optimizer, workdir, keep
        self._checkpoint = tf.train.Checkpoint(
            network=compat.saved_network(model.network), optimizer=compat.saved_optimizer(model.optimizer), **state
        )
        self._scratch = None if chief else tempfile.TemporaryDirectory()

    @property
    def newest(self) -> str | None:
        """The path of the newest checkpoint of the run that can be read, or None."""
        return newest(self._workdir)

    def restore(self) -> int:
        """Restores the newest checkpoint that can be read, if there is one; removes what is not whole.

        Returns:
          How many steps the run has made.

        Raises:
          ValueError: if there are checkpoints and none can be read, or it does not fit.
        """
        if self._scratch is None:
            _remove_unfinished(os.path.join(self._workdir, FOLDER))
        if path := self.newest:
            _restore(self._checkpoint, path)
            progress.say(f"going on from {path}")
        return int(self._optimizer.iterations.numpy())

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves; leaves nothing half written."""
        if not self._scratch:
            lock.check(self._workdir)
        folder = self._scratch.name if self._scratch else os.path.join(self._workdir, FOLDER)
        _save(self._checkpoint, folder, int(self._optimizer.iterations.numpy()), self._keep)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Removes what was written only to take part."""
        if self._scratch:
            self._scratch.cleanup()


def newest(workdir: str | os.PathLike) -> str | None:
    """Finds the newest checkpoint of a run that can be read; warns where a newer one is damaged.

    Args:
      workdir: folder of the run, which need not exist.

    Returns:
      Its path without extension, or None where there is none.

    Raises:
      ValueError: if there are checkpoints, and none of them can be read.
    """
    folder = os.path.join(workdir, FOLDER)
    while listed := _listed(folder):
        try:
            return os.path.join(folder, f"ckpt-{_newest_of(folder, listed)}")
        except FileNotFoundError:  # a training that goes on has removed it meanwhile
            if _listed(folder) == listed:
                raise
    return None


def newest_step(workdir: str | os.PathLike) -> int:
    """Returns the step of the newest checkpoint of a run; raises a ValueError as `newest`, or if there is none."""
    path = newest(workdir)
    if path is None:
        raise ValueError(f"{workdir} holds no checkpoint; train for at least one epoch first")
    return _step(path)


def restore_network(network: tf.keras.Model, workdir: str) -> int:
    """Gives a network the weights of the newest checkpoint of a run that can be read.

    Args:
      network: `tf.keras.Model` of the run's configuration, at any precision.
      workdir: folder of the run.

    Returns:
      The step of the checkpoint.

    Raises:
      ValueError: if there is no checkpoint, none can be read or it does not fit the network.
    """
    step = newest_step(workdir)
    path = os.path.join(workdir, FOLDER, f"ckpt-{step}")
    try:
        _restore(tf.train.Checkpoint(network=compat.saved_network(network)), path)
    except ValueError:
        if os.path.exists(f"{path}.index"):
            raise
        return restore_network(network, workdir)  # a training that goes on has removed it meanwhile
    return step


def _step(path: str) -> int:
    return int(path.rpartition("-")[2])


# --- reading ---


def _files(folder: str) -> dict[int, list[str]]:
    """The names of the files of checkpoints in a folder by their step, whole or not."""
    found = collections.defaultdict(list)
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if match := _FILE.fullmatch(name):
            found[int(match[1])].append(name)
    return found


def _listed(folder: str) -> tuple[tuple[int, tuple], ...]:
    """The checkpoints in a folder, the newest first: their steps, and what tells whether their files are the same."""
    found, steps = _files(folder), []
    for step in sorted(found, reverse=True):
        if f"ckpt-{step}.index" in found[step]:
            with contextlib.suppress(FileNotFoundError):
                of_files = (os.stat(os.path.join(folder, name)) for name in found[step])
                steps.append((step, tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in of_files)))
    return tuple(steps)


@functools.lru_cache(maxsize=64)
def _newest_of(folder: str, listed: tuple[tuple[int, tuple], ...]) -> int:
    """Finds the newest step that can be read, once for the same files."""
    damaged = []
    for step, _ in listed:
        fault = _fault(folder, f"ckpt-{step}")
        if not fault:
            if damaged:
                progress.warn(f"{folder}: {'; '.join(damaged)}; the one before, ckpt-{step}, is used")
            return step
        damaged.append(f"ckpt-{step} is damaged ({fault})")
    raise ValueError(
        f"{folder}: no checkpoint there can be read: {'; '.join(damaged)}; "
        "train again in another --workdir, or remove that folder to begin anew"
    )


def _fault(folder: str, name: str) -> str:
    """Reads all of a checkpoint, whose parts carry checksums; says what is wrong with it, "" if nothing is."""
    with open(os.path.join(folder, f"{name}.index"), "rb"):  # who may not read it, or finds it gone, is told so
        pass
    try:
        with _plain(folder) as plain:
            reader = tf.train.load_checkpoint(os.path.join(plain, name))
            for variable in reader.get_variable_to_shape_map():
                reader.get_tensor(variable)
    except Exception as error:  # TensorFlow raises errors of many kinds for what is not as it wrote it
        if not os.path.exists(os.path.join(folder, f"{name}.index")):
            raise FileNotFoundError(f"{folder}/{name} is gone") from error
        return (str(error).splitlines() or [type(error).__name__])[0]
    return ""


def _restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
    """Restores all of `checkpoint` from a file that may hold more."""
    folder, name = os.path.split(path)
    try:
        with _plain(folder) as plain:
            checkpoint.read(os.path.join(plain, name)).expect_partial().assert_existing_objects_matched()
    except tf.errors.OpError as error:
        raise ValueError(f"{path} cannot be read ({error.message}); train again in another --workdir") from error
    except (AssertionError, ValueError) as error:
        raise ValueError(f"{path} does not fit the network of this configuration: {error}") from error


@contextlib.contextmanager
def _plain(folder: str) -> Iterator[str]:
    """Gives a folder a path that TensorFlow takes for no pattern; its errors name the folder all the same."""
    with files.plain_path(folder) as plain:
        try:
            yield plain
        except tf.errors.OpError as error:
            if plain == folder:
                raise
            raise type(error)(None, None, error.message.replace(plain, folder)) from error


# --- writing ---


def _save(checkpoint: tf.train.Checkpoint, folder: str, step: int, keep: int) -> None:
    """Writes a checkpoint whole, then removes those that are no longer kept."""
    os.makedirs(folder, exist_ok=True)
    unfinished = files.temporary_name(os.path.join(folder, f"ckpt-{step}"))
    os.mkdir(unfinished)
    try:
        with _plain(str(unfinished)) as plain:
            checkpoint.write(os.path.join(plain, f"ckpt-{step}"))
        _publish(str(unfinished), folder, step)
    finally:
        files.remove(unfinished)
    _name_newest(folder, step)
    steps = [each for each in sorted(_files(folder)) if each <= step]
    for other in set(_files(folder)) - set(steps[-keep:]):  # above the step lie damaged ones alone
        _remove(folder, other)


def _publish(unfinished: str, folder: str, step: int) -> None:
    """Moves a checkpoint to where it counts, its index last; one of the same step is damaged, and goes."""
    _remove(folder, step)
    for name in sorted(os.listdir(unfinished)):
        _to_disk(os.path.join(unfinished, name))
    for name in sorted(os.listdir(unfinished)):  # "data" comes before "index"
        os.replace(os.path.join(unfinished, name), os.path.join(folder, name))
    _to_disk(folder)


def _to_disk(path: str) -> None:
    """Waits until a file or folder would survive a loss of power, where the file system can tell."""
    opened = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(opened)
    finally:
        os.close(opened)


def _name_newest(folder: str, step: int) -> None:
    """Writes the file in which TensorFlow's own functions, and programs that use them, look for the newest."""
    lines = (f'{key}: "ckpt-{step}"\n' for key in ("model_checkpoint_path", "all_model_checkpoint_paths"))
    files.write_whole(os.path.join(folder, _STATE), "".join(lines).encode())


def _remove(folder: str, step: int) -> None:
    """Removes the files of a checkpoint, its index first."""
    for name in sorted(_files(folder).get(step, []), reverse=True):
        files.remove(os.path.join(folder, name))


def _remove_unfinished(folder: str) -> None:
    """Removes what killed trainings left: what is not whole has no index yet, or no longer."""
    files.remove_temporary(folder)
    for step, names in _files(folder).items():
        if f"ckpt-{step}.index" not in names:
            _remove(folder, step)
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if _HALF.fullmatch(name):
            files.remove(os.path.join(folder, name))
