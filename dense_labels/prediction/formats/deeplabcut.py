"""The CSV file that DeepLabCut writes for the pictures that it analysed: three rows of headings, then x, y, likelihood.

DeepLabCut counts pixels from 0 at their centre: what its users click in napari at the centre of the first pixel is
(0, 0). So half a pixel is taken off. `likelihood` is the score, which is not calibrated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dense_labels.prediction.formats import csv
from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

SCORER = "DenseLabels"
_HALF = 0.5


@FORMATS.register("deeplabcut", "DeepLabCut's CSV of x, y and likelihood", file="points_deeplabcut.csv")
def write(predictions: Predictions) -> bytes:
    """Writes the rows `scorer`, `bodyparts` and `coords`, then a row for each picture.

    Raises:
      ValueError: if a picture has several objects.
    """
    check_alone(predictions)
    names = predictions.landmark_names
    headings = [
        ["scorer", *[SCORER] * (3 * len(names))],
        ["bodyparts", *(name for name in names for _ in range(3))],
        ["coords", *("x", "y", "likelihood") * len(names)],
    ]
    values = cells(predictions)
    rows = ([name, *(csv.cell(number, 4) for number in row.ravel())] for name, row in zip(predictions.names, values))
    return csv.table(headings, rows)


def cells(predictions: Predictions) -> np.ndarray:
    """Returns x, y and likelihood of each landmark, float [N, K, 3]; NaN where its place is not known."""
    score = np.where(predictions.known, predictions.score, np.nan)
    return np.concatenate([predictions.points - _HALF, score[..., np.newaxis]], axis=-1)


def check_alone(predictions: Predictions) -> None:
    """Refuses several objects in one picture, of which this form of the table has one.

    Raises:
      ValueError: naming the picture.
    """
    for name, rows in predictions.by_picture().items():
        if len(rows) > 1:
            raise ValueError(f"deeplabcut has one row a picture, and {name} has {len(rows)} objects; choose 'coco'")
