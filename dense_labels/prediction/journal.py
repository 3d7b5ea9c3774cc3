"""What has been predicted so far, a line a picture, object or frame, so that what was stopped goes on where it was."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
from collections.abc import Collection
from typing import Any

import numpy as np

from dense_labels import progress

Line = dict[str, Any]
Key = tuple[str, int]  # name of a picture or frame, and number of the object in it; 0 where it is shown whole
FILE = "unfinished.jsonl"  # in the folder of the output, until that is whole
_KEPT = "unfinished_kept_{}.jsonl"  # of another prediction that was stopped
DIGITS = {  # of the numbers of a line, after the point; pixels to a ten-thousandth
    "points": 4,
    "score": 6,
    "expected_error": 4,
    "likelihood": 6,
    "present": 6,
    "disagreement": 4,
}


class Journal:
    """The lines of one prediction: a heading that says by what is predicted, then a line for each row.

    Attributes:
      done: key -> line of each row that is there, `packed`.
    """

    def __init__(self, out: str | os.PathLike, heading: dict[str, Any]):
        """Opens the journal of a folder, which exists and is held; one with another heading is kept, which is said."""
        self._path, self.done = pathlib.Path(out) / FILE, {}
        found, self.done = self._read()
        if found != heading:
            if self.done:
                why = "they are of other pictures or another model, or one of the two looks for outliers"
                kept = _free(self._path)
                self._path.rename(kept)
                progress.note(f"starting over: {len(self.done)} predictions are not used, but kept in {kept}; {why}")
            self.done = self._kept_before(heading)
        self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115, it is open as long as this lives

    def _kept_before(self, heading):
        """The rows of a prediction with this heading that was kept aside, which goes on; or of a new one."""
        for kept in self._path.parent.glob(_KEPT.format("*")):
            with open(kept, "rb") as file:
                first = file.readline()
            if first == f"{json.dumps(heading)}\n".encode():
                kept.rename(self._path)
                return self._read()[1]
        self._path.write_text(json.dumps(heading) + "\n", encoding="utf-8")
        return {}

    def _read(self):
        """Reads the heading, None where there is none, and the rows; cuts off a line that a kill left half written."""
        heading, done, whole = None, {}, 0
        if not self._path.exists():
            return heading, done
        with open(self._path, "rb") as file:
            for number, line in enumerate(file):
                try:
                    found = json.loads(line)
                except ValueError:
                    break
                if not line.endswith(b"\n"):
                    break
                if number:
                    done |= packed([found])
                else:
                    heading = found
                whole += len(line)
        if whole < os.path.getsize(self._path):
            os.truncate(self._path, whole)
        return heading, done

    def add(self, lines: list[Line]) -> None:
        """Writes some lines; each has the `name` of its picture, and the number of its `object` where it is of one."""
        self._file.write("".join(json.dumps(line) + "\n" for line in lines))
        self._file.flush()

    def close(self, *, finished: Collection[Key] | None) -> None:
        """Closes the journal.

        Args:
          finished: keys of the rows of the output, where that is whole: the journal is removed then, or kept aside if
            it was begun with other rows. None: the output is not whole, and the journal stays.
        """
        self._file.close()
        if finished is None:
            return
        if others := len(self.done.keys() - set(finished)):
            kept = _free(self._path)
            self._path.rename(kept)
            progress.note(f"{others} predictions of other pictures that had been begun here are kept in {kept}")
        else:
            self._path.unlink()


def _free(path):
    """The name under which a journal is kept aside."""
    names = (path.with_name(_KEPT.format(number)) for number in itertools.count(1))
    return next(name for name in names if not name.exists())


def packed(lines: list[Line]) -> dict[Key, Line]:
    """Returns lines by their keys, with arrays, float32, in place of lists of numbers: a tenth of the memory."""
    arrays = [{name: np.float32(line[name]) for name in DIGITS if name in line} for line in lines]
    return {key_of(line): {**line, **numbers} for line, numbers in zip(lines, arrays)}


def key_of(line: Line) -> Key:
    """Returns the key of a line."""
    return line["name"], line.get("object", 0)
