"""Tables: what `--annotations` reads as well, and the scores beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions


@FORMATS.register("csv", "a table, one line a picture, as --annotations reads it: continuous pixels", file="points.csv")
def write_points(predictions: Predictions) -> bytes:
    """Writes the points under the header `file,NAME_x,NAME_y,...`, or `file,x0,y0,...`; empty cells are not known."""
    names = predictions.landmark_names
    columns = [f"{name}_{axis}" if predictions.named else f"{axis}{name}" for name in names for axis in "xy"]
    points = predictions.points.reshape(len(predictions), -1)
    rows = ([name, *(cell(number, 3) for number in row)] for name, row in zip(predictions.names, points))
    return table([["file", *columns]], rows)


@FORMATS.register("scores", "a table of how certain each landmark is, from 0 to 1, not calibrated", file="scores.csv")
def write_scores(predictions: Predictions) -> bytes:
    """Writes the scores under the header `file,NAME,...`."""
    rows = ([name, *(f"{score:.4f}" for score in row)] for name, row in zip(predictions.names, predictions.score))
    return table([["file", *predictions.landmark_names]], rows)


def cell(number: float, digits: int) -> str:
    """Returns a number with some digits after the point; NaN as an empty cell."""
    return "" if number != number else f"{number:.{digits}f}"


def table(headings: Sequence[Sequence[Any]], rows: Iterable[Sequence[Any]]) -> bytes:
    """Returns the content of a CSV file, in UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([*headings, *rows])
    return text.getvalue().encode()
