"""The CSV file that DeepLabCut writes for what it analysed: three rows of headings, then x, y and likelihood.

DeepLabCut counts pixels from 0 at their centre: what its users click in napari at the centre of the first pixel is
(0, 0). So half a pixel is taken off. `likelihood` is the probability that a point is nearly right, where the scores of
its head are calibrated, times that of its landmark's being there, where that is known; else it is the score. What is
annotated has no likelihood, as in DeepLabCut's CollectedData.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dense_labels.prediction import tables
from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

SCORER = "DenseLabels"
_HALF = 0.5


def check(predictions: Predictions) -> None:
    """Refuses several objects in one picture with a ValueError."""
    predictions.check_alone("deeplabcut")


@FORMATS.register(
    "deeplabcut", "DeepLabCut's CSV of x, y and likelihood", file="points_deeplabcut.csv", one_row=True, check=check
)
def write(predictions: Predictions) -> bytes:
    """Writes the rows `scorer`, `bodyparts` and `coords`, then a row for each picture, or for the number of each frame.

    Raises:
      ValueError: if there are several objects in one picture.
    """
    check(predictions)
    names, axes = predictions.landmark_names, coords(predictions)
    headings = [
        ["scorer", *[SCORER] * (len(axes) * len(names))],
        ["bodyparts", *(name for name in names for _ in axes)],
        ["coords", *axes * len(names)],
    ]
    values = cells(predictions)
    rows = (
        [place, *(tables.cell(number, 4) for number in row.ravel())] for place, row in zip(index(predictions), values)
    )
    return tables.table(headings, rows)


def index(predictions: Predictions) -> list[str] | list[int]:
    """Returns what each row is of: the name of its picture, or of a video the number of its frame."""
    return list(predictions.names) if predictions.frames is None else predictions.frames.tolist()


def coords(predictions: Predictions) -> tuple[str, ...]:
    """Returns what the table has of each landmark."""
    return ("x", "y") if predictions.by_hand else ("x", "y", "likelihood")


def cells(predictions: Predictions) -> np.ndarray:
    """Returns the `coords` of each landmark, float [N, K, 2 or 3]; NaN where its place is not known."""
    p = predictions
    likelihood = np.where(p.known, p.certainty, np.nan)
    values = np.concatenate([p.points - _HALF, likelihood[..., np.newaxis]], axis=-1)
    return values[..., : len(coords(p))]
