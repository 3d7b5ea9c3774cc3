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
    """Writes an image and an annotation for each picture; `keypoint_scores` is not of COCO's own keys."""
    points = np.float64(predictions.points).round(_DIGITS)
    if points.size and not (points % 1).any():
        points[0, 0, 0] += _WHOLE
    images, annotations = [], []
    for index, (name, (height, width)) in enumerate(zip(predictions.names, predictions.sizes.tolist()), start=1):
        images.append({"id": index, "file_name": name, "width": width, "height": height})
        placed, score = points[index - 1], predictions.score[index - 1]
        flat = [number for x, y in placed.tolist() for number in (x, y, _VISIBLE)]
        annotations.append(
            {
                "id": index,
                "image_id": index,
                "category_id": _CATEGORY,
                "keypoints": flat,
                "num_keypoints": len(placed),
                "bbox": [*placed.min(axis=0).tolist(), *np.ptp(placed, axis=0).round(_DIGITS).tolist()],
                "score": round(float(score.mean()), 4),
                "keypoint_scores": np.asarray(score, np.float64).round(4).tolist(),
            }
        )
    category = {"id": _CATEGORY, "name": "object", "keypoints": list(predictions.landmark_names), "skeleton": []}
    return (json.dumps({"images": images, "annotations": annotations, "categories": [category]}) + "\n").encode()
