"""What is kept of detectors while an evaluation fits them, so that one that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dense_labels import files, progress

_AT_ONCE = 32  # rows of an array that are digested together


class Kept:
    """The parts that are kept of one detector, each a file of arrays.

    The files are named by a digest of all that determines the detector: who asks for another one does not find them.
    Without a folder nothing is kept, and nothing is found.
    """

    def __init__(self, folder: str | os.PathLike | None, facts: Mapping[str, Any], arrays: Sequence[Any]):
        """Names the files; none is read or written.

        Args:
          folder: that they lie in, which need not exist; None to keep nothing.
          facts: what determines the detector, for JSON.
          arrays: likewise, arrays of any shapes; or images that are `Gathered`, which have the digest of one array.
        """
        self._folder = None if folder is None else pathlib.Path(folder)
        self._key = "" if folder is None else _digest(facts, arrays)

    def read(self, part: str, restore: Callable[[dict[str, np.ndarray]], Any]) -> Any:
        """Restores a part; what is damaged, or of another detector, counts as not kept, which is said.

        Args:
          part: its name.
          restore: function of the arrays that were given to `write`; whatever it raises means that they are damaged.

        Returns:
          What `restore` returned; None where the part is not kept.
        """
        path = self._path(part)
        if path is None or not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            if str(arrays.pop("key")) != self._key:
                raise ValueError("it is of another detector")
            return restore(arrays)
        except MemoryError:
            raise  # the file may be as good as any
        except Exception as error:  # numpy, zip and Keras raise almost anything at damaged data
            reason = " ".join(str(error).split()) or type(error).__name__
            progress.note(f"{path} is not used, for it cannot be read ({reason})")
            return None

    def write(self, part: str, arrays: Mapping[str, Any]) -> None:
        """Keeps a part in place of what was kept of it; where that cannot be written, says so."""
        path = self._path(part)
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.make_whole(path, lambda place: np.savez(place, key=np.array(self._key), **arrays))
        except OSError as error:
            progress.note(f"{path} cannot be written, so that a training that is stopped loses more ({error})")

    def remove(self, part: str) -> None:
        """Removes what is kept of a part."""
        if path := self._path(part):
            files.remove(path)

    def _path(self, part: str) -> pathlib.Path | None:
        return self._folder and self._folder / f"{self._key[:16]}_{part}.npz"


def _digest(facts: Mapping[str, Any], arrays: Sequence[Any]) -> str:
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for array in arrays:
        array = array if array.shape else array[np.newaxis]
        found.update(f"{array.dtype.str} {array.shape}".encode())
        for start in range(0, len(array), _AT_ONCE):
            found.update(np.ascontiguousarray(array[start : start + _AT_ONCE]).tobytes())
    return found.hexdigest()
