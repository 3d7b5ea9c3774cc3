"""Tables as CSV files."""

import csv
import io
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from dense_labels import files
from dense_labels.progress import printable


def table(headings: Sequence[Sequence[Any]], rows: Iterable[Sequence[Any]]) -> bytes:
    """Returns the content of a CSV file, in UTF-8."""
    return "".join(map(_line, itertools.chain(headings, rows))).encode()


def cell(number: float, digits: int) -> str:
    """Returns a number with some digits after the point; NaN as an empty cell."""
    return "" if number != number else f"{number:.{digits}f}"


def of_failed(failed: Iterable[tuple[str, str]]) -> bytes:
    """Returns a table of pictures that could not be read, under the header `file,reason`.

    Args:
      failed: (name, reason) of each; a picture with several objects may be there as often.
    """
    rows = ([name if files.is_text(name) else printable(name), reason] for name, reason in dict.fromkeys(failed))
    return table([["file", "reason"]], rows)


def _line(cells: Sequence[Any]) -> str:
    """A line that ends in a line feed; a carriage return is quoted too, which csv does where lines end in it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()[:-2] + "\n"
