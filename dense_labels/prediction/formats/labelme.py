"""labelme's JSON files, one for each picture: copied beside the pictures, they open with them.

Convention: continuous pixels; see the reader of this name in `input_pipeline.readers.formats`.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from dense_labels.prediction import folders
from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_VERSION = "5.5.0"  # of labelme, whose files look so
_DIGITS = 3  # after the point


def check(predictions: Predictions) -> None:
    """Refuses two pictures that have one name but for their endings with a ValueError."""
    predictions.check_files("labelme", _place)


def _place(name: str) -> pathlib.PurePosixPath:
    return pathlib.PurePosixPath(name).with_suffix(".json")


@FORMATS.register("labelme", "labelme's JSON files, to be copied beside the pictures", file="labelme", check=check)
def write(predictions: Predictions) -> Callable[[pathlib.Path], None]:
    """Writes NAME.json for each picture NAME, in folders as theirs; the objects of a picture are groups.

    Raises:
      ValueError: if two pictures have one name but for their endings.
    """
    check(predictions)
    contents: dict[str, str] = {}
    for name, rows in predictions.by_picture().items():
        place = _place(name)
        height, width = predictions.sizes[rows[0]].tolist()
        shapes = [shape for number, row in enumerate(rows) for shape in _shapes(predictions, row, number, len(rows))]
        content = {"version": _VERSION, "flags": {}, "shapes": shapes, "imagePath": place.with_name(_last(name)).name}
        content |= {"imageData": None, "imageHeight": height, "imageWidth": width}
        contents[str(place)] = json.dumps(content, indent=1) + "\n"

    return lambda folder: folders.write_folder(folder, contents)


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _shapes(predictions: Predictions, row: int, number: int, count: int) -> list[dict[str, Any]]:
    """The rectangle of the object, where annotations have one, and a point for each landmark that has a place."""
    points = predictions.points[row].astype(np.float64).round(_DIGITS).tolist()
    about = {"group_id": number if count > 1 else None, "description": ""}
    placed = np.flatnonzero(predictions.known[row])
    boxes = [] if predictions.around is None or not len(placed) else [np.float64(predictions.around[row])]
    drawn: dict[str, Any] = {"shape_type": "rectangle", "flags": {}}
    rectangles = [
        {**about, "label": predictions.category, "points": corners.round(_DIGITS).tolist(), **drawn}
        for corners in (box.reshape([2, 2]) for box in boxes)
    ]
    return rectangles + [
        {
            "label": predictions.landmark_names[k],
            "points": [points[k]],
            **about,
            "shape_type": "point",
            "flags": {"hidden": True} if predictions.is_hidden(row, k) else {},
        }
        for k in placed
    ]
