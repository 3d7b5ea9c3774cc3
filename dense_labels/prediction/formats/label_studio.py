"""Predictions in Label Studio's JSON, a task for each picture, which it imports for people to correct.

Convention: percent of the width and height of the picture from its outer top-left corner; see the reader of this name
in `input_pipeline.readers.formats`. The labelling configuration must have an Image `image`, KeyPointLabels `landmarks`
and, where a picture has several objects, RectangleLabels `objects`, in whose rectangles the key points lie.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_DOT = 0.5  # width of a key point, in percent of that of the picture
_DIGITS = 6  # after the point


@FORMATS.register("label_studio", "tasks with predictions for Label Studio", file="points_label_studio.json")
def write(predictions: Predictions) -> bytes:
    """Writes a task for each picture, whose file is named as `image`; landmarks without a place are left out.

    Annotations are written as such: Label Studio and our reader take those before predictions.
    """
    tasks, pictures = [], predictions.by_picture()
    alone = len(pictures) == len(predictions)
    for name, rows in pictures.items():
        result = [part for row in rows for part in _object(predictions, row, alone=alone)]
        tasks.append({"data": {"image": name}, **_said(predictions, rows, result)})
    return (json.dumps(tasks) + "\n").encode()


def _said(predictions: Predictions, rows: list[int], result: list[dict[str, Any]]) -> dict[str, Any]:
    """What a task has beside its picture: the annotation or the prediction of which this was drawn."""
    if predictions.by_hand:
        return {"annotations": [{"result": result}]}
    score = round(float(predictions.score[rows].mean()), 4)
    return {"predictions": [{"model_version": "dense-labels", "score": score, "result": result}]}


def _object(predictions: Predictions, row: int, *, alone: bool) -> list[dict[str, Any]]:
    """What is drawn of an object: its rectangle, if it has its own or is not alone, and its key points."""
    height, width = predictions.sizes[row].tolist()
    about = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
    shares = 100 * predictions.points[row].astype(np.float64) / [width, height]
    known = np.flatnonzero(predictions.known[row])
    if not len(known):
        return []
    drawn: list[dict[str, Any]] = []
    boxed = not alone or predictions.around is not None
    if boxed:
        (x, y), (w, h) = shares[known].min(axis=0), np.maximum(np.ptp(shares[known], axis=0), _DOT)
        if predictions.around is not None:
            (x, y), (right, bottom) = 100 * np.float64(predictions.around[row]).reshape([2, 2]) / [width, height]
            w, h = right - x, bottom - y
        numbers = {"x": x, "y": y, "width": w, "height": h}
        value: dict[str, Any] = {key: round(float(number), _DIGITS) for key, number in numbers.items()}
        value |= {"rotation": 0, "rectanglelabels": [predictions.category]}
        drawn.append({**about, "id": f"{row}", "type": "rectanglelabels", "from_name": "objects", "value": value})
    for k in known:
        x, y = shares[k].round(_DIGITS).tolist()
        value = {"x": x, "y": y, "width": _DOT, "keypointlabels": [predictions.landmark_names[k]]}
        point = {**about, "id": f"{row}_{k}", "type": "keypointlabels", "from_name": "landmarks", "value": value}
        if not predictions.by_hand:
            point["score"] = round(float(predictions.score[row, k]), 4)
        drawn.append({**point, "parentID": f"{row}"} if boxed else point)
    return drawn
