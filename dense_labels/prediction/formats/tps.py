"""TPS files of tpsDig: landmarks of each picture, whose y counts from the BOTTOM of the picture.

A landmark whose place is not known is written as tpsDig writes one that could not be placed, with negative coordinates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dense_labels import progress
from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions


def check(predictions: Predictions) -> None:
    """Refuses names that the format cannot say.

    Raises:
      ValueError: if the name of a picture has a line break, or a space at an end.
    """
    for name in predictions.names:
        if not name.isprintable() or name != name.strip():
            raise ValueError(f"{name!r}: a TPS file cannot hold this name; rename the picture or choose another format")


@FORMATS.register("tps", "tpsDig's landmarks, y from the bottom", file="points.tps", check=check)
def write(predictions: Predictions) -> bytes:
    """Writes LM, a line for each landmark, IMAGE and ID of each picture, or of each object in it.

    Raises:
      ValueError: as `check`.
    """
    check(predictions)
    blocks, lost = [], 0
    for index, (name, (height, _)) in enumerate(zip(predictions.names, predictions.sizes.tolist())):
        points = predictions.points[index] * [1, -1] + [0, height]
        outside = (points < 0).all(axis=1)  # beyond the corner at the bottom left, which says: not placed
        lost += int(outside.sum())
        points[outside] = np.nan
        lines = "".join("-1 -1\n" if x != x else f"{x:.5f} {y:.5f}\n" for x, y in np.float64(points))
        blocks.append(f"LM={len(points)}\n{lines}IMAGE={name}\nID={index}\n")
    if lost:
        progress.warn(f"tps: {lost} landmarks lie below and left of their pictures, and are written as not placed")
    if predictions.named:
        names = ", ".join(map(progress.printable, predictions.landmark_names))
        progress.note(f"tps: the file holds no names; the order is {names}")
    return "".join(blocks).encode()
