"""The versions of a SavedModel in a folder that a server watches: the newest answers once it is loaded and warm."""

from __future__ import annotations

import os
import pathlib
import sys
import threading

import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, prediction_log_pb2

from dense_labels import files, progress
from dense_labels.exporting import checksums

_WARMUP = os.path.join("assets.extra", "tf_serving_warmup_requests")
_STATE = get_model_status_pb2.ModelVersionStatus.State


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
    version, and none at which one disappears under a request. A version that cannot be loaded is reported once
    and passed over; the one before goes on, or begins.
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
        while not self._stopped.wait(self._poll_seconds):
            self._look()

    def _look(self):
        numbers = [int(entry.name) for entry in self._folder.glob("[0-9]*") if entry.name.isdecimal()]
        for number in sorted(numbers, reverse=True):
            if self._current and number <= self._current.number:
                return
            if self._states.get(number) != _STATE.END and self._begin(number):
                return

    def _begin(self, number):
        """Loads a version, which answers from then on; says whether that went well."""
        self._states[number] = _STATE.LOADING
        try:
            loaded = Version(str(self._folder / str(number)))
        except Exception as error:  # whatever is in that folder, what is served must go on
            self._states[number] = _STATE.END
            reason = progress.printable(" ".join(str(error).split()))
            print(f"version {number} cannot be loaded: {reason}", file=sys.stderr, flush=True)
            return False
        old, self._current = self._current, loaded
        self._states[number] = _STATE.AVAILABLE
        if old:
            self._states[old.number] = _STATE.END
        progress.say(f"version {number} of {self._folder} answers")
        return True


def _warmup_requests(folder):
    path = os.path.join(folder, _WARMUP)
    for record in tf.data.TFRecordDataset(path) if os.path.exists(path) else ():
        yield prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
