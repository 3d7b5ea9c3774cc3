"""Tables: what `--annotations` reads as well, and the scores beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dense_labels.prediction import tables
from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions


@FORMATS.register(
    "csv", "a table, one line a picture, as --annotations reads it: continuous pixels", file="points.csv", one_row=True
)
def write_points(predictions: Predictions) -> bytes:
    """Writes the points under the header `file,NAME_x,NAME_y,...`, or `file,x0,y0,...`; empty cells are not known.

    Where something hides a landmark, a third column of each, `NAME_v` or `v0`, has 1 there, and 2 where one is seen.
    """
    hides = predictions.hidden is not None and bool(predictions.hidden.any())
    axes, named = "xyv" if hides else "xy", predictions.named
    columns = [f"{name}_{axis}" if named else f"{axis}{name}" for name in predictions.landmark_names for axis in axes]
    rows = (
        [name, *(text for k in range(len(predictions.landmark_names)) for text in _cells(predictions, row, k, hides))]
        for row, name in enumerate(predictions.names)
    )
    return tables.table([["file", *columns]], rows)


def _cells(predictions: Predictions, row: int, k: int, hides: bool) -> list[str]:
    """The cells of a landmark."""
    place = [tables.cell(number, 3) for number in predictions.points[row, k]]
    if not hides:
        return place
    return [*place, "1" if predictions.is_hidden(row, k) else "2" if predictions.known[row, k] else ""]


@FORMATS.register("scores", "a table of how certain each landmark is, from 0 to 1", file="scores.csv")
def write_scores(predictions: Predictions) -> bytes:
    """Writes the scores under the header `file,NAME,...`, and what else is known of each row.

    After `file` come, of objects in boxes, `object`, which counts from 1 in each picture; of a video `frame`, from 0,
    and `seconds`. What is known of them follows the scores: expected errors in pixels, as `NAME_expected_error_px`,
    likelihoods, as `NAME_likelihood`, and the probabilities that there is something to annotate, as `NAME_present`.
    """
    p = predictions
    known = {"object": p.objects, "frame": p.frames, "seconds": p.seconds}
    facts = {name: values for name, values in known.items() if values is not None}
    columns, numbers = list(p.landmark_names), p.score
    worth = {"expected_error_px": p.expected_error, "likelihood": p.likelihood, "present": p.present}
    for what, values in worth.items():
        if values is not None:
            columns += [f"{name}_{what}" for name in p.landmark_names]
            numbers = np.concatenate([numbers, values], axis=1)
    formats = {"object": "d", "frame": "d", "seconds": ".6f"}
    rows = (
        [name, *(f"{facts[fact][k]:{formats[fact]}}" for fact in facts), *(f"{number:.4f}" for number in numbers[k])]
        for k, name in enumerate(p.names)
    )
    return tables.table([["file", *facts, *columns]], rows)
