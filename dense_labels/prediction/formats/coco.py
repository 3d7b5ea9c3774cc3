"""COCO key points, as annotation tools import them and `--annotations` reads them: continuous pixels, fractional."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_CATEGORY, _VISIBLE = 1, 2
_DIGITS = 3  # after the point
_WHOLE = 0.001  # is added to a number, for where all are whole, readers take them to count pixels at their centres


@FORMATS.register("coco", "COCO key points in JSON, with the score of each", file="points.json")
def write(predictions: Predictions) -> bytes:
    """Writes an image for each picture, and its annotations.

    An annotation has all keys that pycocotools and others need; its area is that of its bbox, and it has no mask.
    `keypoint_scores`, and `hidden_without_place`, the names of hidden landmarks whose place is not known, are not of
    COCO's own keys.
    The bbox is that about the object, where it is known, or else the smallest about the points, of a pixel at least, as
    readers make it.
    """
    points, known = np.float64(predictions.points).round(_DIGITS), predictions.known
    if known.any() and not (points[known] % 1).any():
        points[tuple(np.argwhere(known)[0])] += _WHOLE
    images: dict[str, dict[str, Any]] = {}
    annotations = []
    for index, (name, (height, width)) in enumerate(zip(predictions.names, predictions.sizes.tolist()), start=1):
        images.setdefault(name, {"id": len(images) + 1, "file_name": name, "width": width, "height": height})
        if known[index - 1].any():
            said = _said(predictions, index - 1, points[index - 1])
            annotations.append({"id": index, "image_id": images[name]["id"], "category_id": _CATEGORY, **said})
    skeleton = [[a + 1, b + 1] for a, b in predictions.skeleton]  # COCO counts from 1
    names = list(predictions.landmark_names)
    category = {"id": _CATEGORY, "name": predictions.category, "keypoints": names, "skeleton": skeleton}
    content = {"images": list(images.values()), "annotations": annotations, "categories": [category]}
    return (json.dumps(content) + "\n").encode()


def _said(predictions: Predictions, row: int, points: np.ndarray) -> dict[str, Any]:
    """What an annotation says of an object, whose points are rounded."""
    placed, score = points[predictions.known[row]], np.asarray(predictions.score[row], np.float64)
    bbox = _bbox(predictions, row, placed)
    return {
        "keypoints": _key_points(predictions, row, points),
        "num_keypoints": len(placed),
        "bbox": bbox,
        "area": round(bbox[2] * bbox[3], _DIGITS),
        "iscrowd": 0,
        "segmentation": [],
        "score": round(float(score.mean()), 4),
        "keypoint_scores": score.round(4).tolist(),
        **_unplaced(predictions, row),
    }


def _key_points(predictions: Predictions, row: int, points: np.ndarray) -> list[float]:
    """x, y and v of each landmark: 2 where it is seen, 1 where something hides it, and zeros where it has no place."""
    flat: list[float] = []
    for k, (x, y) in enumerate(points.tolist()):
        known = predictions.known[row, k]
        flat += [x, y, _VISIBLE - predictions.is_hidden(row, k)] if known else [0, 0, 0]
    return flat


def _unplaced(predictions: Predictions, row: int) -> dict[str, list[str]]:
    """The landmarks that are hidden and have no place, if there are any."""
    names = [
        name
        for k, name in enumerate(predictions.landmark_names)
        if predictions.is_hidden(row, k) and not predictions.known[row, k]
    ]
    return {"hidden_without_place": names} if names else {}


def _bbox(predictions: Predictions, row: int, points: np.ndarray) -> list[float]:
    """Left, top, width and height."""
    low = points.min(axis=0)
    high = np.maximum(points.max(axis=0), low + 1)
    if predictions.around is not None:
        low, high = np.float64(predictions.around[row]).reshape([2, 2])
    return np.float64([*low, *(high - low)]).round(_DIGITS).tolist()
