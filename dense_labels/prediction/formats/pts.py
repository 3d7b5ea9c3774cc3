"""300-W's .pts files, one for each picture: to be copied beside the pictures, or read with the folder of these.

Convention: pixels are counted from 1 at the centre of the first, so half a pixel is added; see the reader of this name
in `input_pipeline.readers`. A file holds its points in their order and nothing else.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dense_labels import progress
from dense_labels.prediction import folders
from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_HALF = 0.5


def check(predictions: Predictions) -> None:
    """Refuses what such files cannot say, wherever the points are.

    Raises:
      ValueError: if there is one landmark alone, a picture has several objects, or two have one name but for their
        endings.
    """
    predictions.check_alone("pts")
    if len(predictions.landmark_names) == 1:  # errors of such files are divided by the size of the box about the points
        raise ValueError("pts is for several landmarks, whose box has an area, and there is one; choose 'csv'")
    predictions.check_files("pts", _place)


def _place(name: str) -> str:
    return str(pathlib.PurePosixPath(name).with_suffix(".pts"))


@FORMATS.register(
    "pts",
    "300-W's .pts files, one a picture, to be copied beside the pictures",
    file="pts",
    one_row=True,
    check=check,
)
def write(predictions: Predictions) -> Callable[[pathlib.Path], None]:
    """Writes NAME.pts for each picture NAME that has landmarks, in folders as theirs; says what such files cannot hold.

    Raises:
      ValueError: as `check`, or if a picture has some of the landmarks but not all, or those of a picture lie on one
        line along x or y.
    """
    predictions = predictions.take(np.flatnonzero(predictions.known.any(axis=1)))
    check(predictions)
    contents: dict[str, str] = {}
    for row, name in enumerate(predictions.names):
        known = predictions.known[row]
        if not known.all():
            missing = predictions.landmark_names[int(np.argmin(known))]
            raise ValueError(f"pts has every landmark of a picture, and {name} has no {missing}; choose 'csv'")
        written = np.round(predictions.points[row].astype(np.float64) + _HALF, 5)
        if not np.ptp(written, axis=0).all():
            raise ValueError(
                f"pts: the landmarks of {name} lie on one line, and their box must have an area; choose 'csv'"
            )
        lines = "".join(f"{x:.5f} {y:.5f}\n" for x, y in written)
        contents[_place(name)] = f"version: 1\nn_points: {len(known)}\n{{\n{lines}}}\n"
    _say_what_is_lost(predictions)

    return lambda folder: folders.write_folder(folder, contents)


def _say_what_is_lost(predictions: Predictions) -> None:
    """Names, whose order is what is left of them, and which landmarks something hides."""
    if predictions.named:
        progress.note(f"pts: the files hold no names; the order is {', '.join(predictions.landmark_names)}")
    hidden = 0 if predictions.hidden is None else int((predictions.hidden & predictions.known).sum())
    if hidden:
        progress.warn(f"pts: the files do not say that something hides {hidden} landmarks")
