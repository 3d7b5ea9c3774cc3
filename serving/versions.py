"""The versions of a SavedModel in a folder that a server watches: the highest answers once it is loaded and warm."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import threading

import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, prediction_log_pb2

from dense_labels import files, progress
from dense_labels.exporting import checksums, warmup_requests

_STATE = get_model_status_pb2.ModelVersionStatus.State

Files = tuple[tuple[str, tuple[int, ...]], ...]  # path and state of each


class Version:
    """A loaded version: `number` and `signatures`, name -> concrete function."""

    def __init__(self, folder: str):
        """Loads a version and answers its warm-up requests.

        Args:
          folder: of the SavedModel; its name is the number.

        Raises:
          ValueError: if its files are not as they were written.
        """
        checksums.check(folder)
        tf.config.experimental.enable_tensor_float_32_execution(False)  # as in the evaluation, whose answers these are
        self.number = int(os.path.basename(folder))
        with files.plain_path(folder) as plain:
            self._loaded = tf.saved_model.load(plain)  # its signatures do not keep it
        self.signatures = dict(self._loaded.signatures)
        for request in _warmup_requests(folder):
            signature = self.signatures[request.model_spec.signature_name]
            signature(**{name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()})


class Versions:
    """Serves the highest version of a folder, and follows it.

    A request that holds the old version goes on with it while others get the new one: there is no moment without a
    version, and none at which one disappears under a request. Where the version that answers has been removed, the
    highest of the others takes over, and where its files are other ones now, it is loaded again. A version that cannot
    be loaded is reported once and passed over until its files change; the one before goes on, or begins.
    """

    def __init__(self, folder: str | os.PathLike, *, poll_seconds: float = 1.0):
        """Loads the highest version.

        Args:
          folder: of the versions, folders whose names are numbers; a folder appears there whole. ~ is the home folder.
          poll_seconds: time between two looks at it.

        Raises:
          ValueError: if it holds no version that can be loaded.
        """
        self._folder, self._states = pathlib.Path(folder).expanduser(), {}
        self._poll_seconds, self._stopped = poll_seconds, threading.Event()
        self._current: Version | None = None
        self._files: Files = ()  # of the version that answers
        self._refused: dict[int, Files] = {}  # number -> files that could not be loaded
        self._look()
        if self._current is None:
            raise ValueError(f"{folder} holds no version of a SavedModel, such as {os.path.join(folder, '1')}")
        self._thread: threading.Thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def current(self) -> Version:
        """The `Version` that answers; keep it for the whole of a request."""
        return self._current

    def states(self) -> dict[int, int]:
        """Returns a dictionary of number -> state, as `GetModelStatus` names them."""
        return dict(self._states)

    def stop(self) -> None:
        """Stops following the folder."""
        self._stopped.set()
        self._thread.join()

    def _watch(self):
        failed = False
        while not self._stopped.wait(self._poll_seconds):
            try:
                self._look()
                failed = False
            except OSError as error:  # of a file system that does not answer now
                if not failed:
                    with contextlib.suppress(OSError):
                        progress.warn(f"{self._folder} could not be read, and is looked at again: {error}")
                failed = True

    def _look(self):
        numbers = {int(entry.name) for entry in self._folder.glob("[0-9]*") if entry.name.isdecimal()}
        for number in sorted(numbers, reverse=True):
            found, answers = _files(self._folder / str(number)), self._answers(number)
            known = self._refused.get(number) == found or (answers and self._files == found)
            if (not known and self._begin(number, found)) or answers:
                return

    def _answers(self, number):
        return self._current is not None and number == self._current.number

    def _begin(self, number, found):
        """Loads a version, which answers from then on; says whether that went well."""
        if not self._answers(number):
            self._states[number] = _STATE.LOADING
        try:
            loaded = Version(str(self._folder / str(number)))
        except Exception as error:  # whatever is in that folder, what is served must go on
            self._refuse(number, found, error)
            return False
        old, self._current, self._files = self._current, loaded, found
        if old:
            self._states[old.number] = _STATE.END
        self._states[number] = _STATE.AVAILABLE
        progress.say(f"version {number} of {self._folder} answers")
        return True

    def _refuse(self, number, found, error):
        if not self._answers(number):
            self._states[number] = _STATE.END
        if _files(self._folder / str(number)) != found:
            return  # it is being written or removed; the next look will tell
        self._refused[number] = found
        reason = progress.printable(" ".join(str(error).split()))
        print(f"version {number} cannot be loaded: {reason}", file=sys.stderr, flush=True)


def _files(folder: pathlib.Path) -> Files:
    """The files of a version and what tells each from another one of its name, but for those that are hidden."""
    names = (os.path.join(place, name) for place, _, found in os.walk(folder) for name in found if name[0] != ".")
    return tuple((name, files.state(name)) for name in sorted(names))


def _warmup_requests(folder):
    path = os.path.join(folder, warmup_requests.FILE)
    for record in tf.data.TFRecordDataset(path) if os.path.exists(path) else ():
        yield prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
