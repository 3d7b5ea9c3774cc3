"""COCO key points, as annotation tools import them and `--annotations` reads them: continuous pixels, fractional."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_CATEGORY, _VISIBLE = 1, 2
_DIGITS = 3  # after the point
_WHOLE = 0.001  # is added to a number, for where all are whole, readers take them to count pixels at their centres


@FORMATS.register("coco", "COCO key points in JSON, with the score of each", file="points.json")
def write(predictions: Predictions) -> bytes:
    """Writes an image for each picture, and its annotations; `keypoint_scores` is not of COCO's own keys.

    The bbox is the smallest about the points; of an object that was shown in a box, the one that is shown so again.
    """
    points = np.float64(predictions.points).round(_DIGITS)
    if points.size and not (points % 1).any():
        points[0, 0, 0] += _WHOLE
    images, annotations = {}, []
    for index, (name, (height, width)) in enumerate(zip(predictions.names, predictions.sizes.tolist()), start=1):
        images.setdefault(name, {"id": len(images) + 1, "file_name": name, "width": width, "height": height})
        placed, score = points[index - 1], predictions.score[index - 1]
        flat = [number for x, y in placed.tolist() for number in (x, y, _VISIBLE)]
        annotations.append(
            {
                "id": index,
                "image_id": images[name]["id"],
                "category_id": _CATEGORY,
                "keypoints": flat,
                "num_keypoints": len(placed),
                "bbox": _bbox(placed, None if predictions.boxes is None else predictions.boxes[index - 1]),
                "score": round(float(score.mean()), 4),
                "keypoint_scores": np.float64(score).round(4).tolist(),
            }
        )
    category = {"id": _CATEGORY, "name": "object", "keypoints": list(predictions.landmark_names), "skeleton": []}
    return (
        json.dumps({"images": list(images.values()), "annotations": annotations, "categories": [category]}) + "\n"
    ).encode()


def _bbox(points, shown):
    """Left, top, width and height; of a square that was shown, what `landmark_files.square_around` grows to it."""
    low, high = points.min(axis=0), points.max(axis=0)
    if shown is not None:
        quarter = (shown[2:] - shown[:2]) / 6  # of the longer side, which is added on each side
        low, high = shown[:2] + quarter, shown[2:] - quarter
    return np.float64([*low, *(high - low)]).round(_DIGITS).tolist()
