"""Whose turn it is to write to an output: of two runs that write to one, that of the one that began last.

A run leaves a file of its own beside the output when it begins, over that of any other. Whoever is about to write looks
whether it is still there, and writes nothing more where it is not.
"""

from __future__ import annotations

import json
import secrets
from typing import NamedTuple

from dense_labels import progress
from serving.bulk import storage


class Turn(NamedTuple):
    """The turn of a run."""

    path: str  # of the file that says whose turn it is
    content: bytes  # which no other run writes

    def lasts(self) -> bool:
        """Says whether no other run has begun since."""
        return storage.exists(self.path) and storage.read(self.path) == self.content

    def end(self) -> None:
        """Takes the file away, unless it is that of another run."""
        if self.lasts():
            storage.remove(self.path)


def begin(path: str, model: str) -> Turn:
    """Begins the turn of a run, and ends that of any other; says so where there was one.

    Args:
      path: of the file that says whose turn it is.
      model: what the run predicts with, for whoever reads the file.

    Raises:
      OSError: if it cannot be written.
    """
    if storage.exists(path):
        progress.note(f"{path}: an earlier run was stopped, or still runs; it writes nothing more, and this one all")
    turn = Turn(path, json.dumps({"run": secrets.token_hex(8), "model": model}).encode() + b"\n")
    storage.write_whole(path, turn.content)
    return turn
