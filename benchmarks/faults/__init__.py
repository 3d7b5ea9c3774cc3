"""Faults on purpose: damaged annotations, runs, exports, pictures, full disks and hostile requests, each to be noticed.

Each module has a function `measure(count, seed)`. It returns name -> a counter of RIGHT, SALVAGED, REFUSED and WRONG,
and a text for each WRONG.
"""

import traceback
from typing import NamedTuple

from dense_labels import command_line

RIGHT, SALVAGED, REFUSED, WRONG = "right", "salvaged", "refused", "wrong"


class Outcome(NamedTuple):
    """What came of one fault: one of the four above, and for WRONG what is to be said about it."""

    kind: str
    text: str = ""


def of_error(error: Exception) -> Outcome:
    """Tells an error raised on purpose, which has a message, from a mistake of the program."""
    if command_line.is_expected(error) and str(error).strip():
        return Outcome(REFUSED)
    return Outcome(WRONG, "".join(traceback.format_exception(error)))
