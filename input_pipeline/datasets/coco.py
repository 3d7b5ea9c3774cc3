"""Landmarks from COCO key-point JSON."""

import json
import os
from typing import Any, NamedTuple

import numpy as np

from input_pipeline.datasets import landmark_files
from input_pipeline.datasets.pictures import Pictures

_NEEDED = {  # what every entry of a part must have, and of which type
    "images": {"id": (int, str), "file_name": str},
    "annotations": {"image_id": (int, str), "category_id": (int, str)},
    "categories": {"id": (int, str)},
}


class _Entry(NamedTuple):
    where: str  # as messages name it
    annotation: dict[str, Any]
    image: dict[str, Any]


def read(dir, annotations):
    """Reads the annotations that have key points, and leaves out pictures and annotations without any.

    Convention: COCO's own key points are whole numbers that count pixels from 0 at their centres, so where all of a
    file are whole, half a pixel is added; fractional ones are continuous pixels already. A landmark is annotated where
    v is 1 or 2.

    The boxes are None, the whole pictures, where no picture has two annotations with key points. Else they are squares
    about each annotation's bbox, see `landmark_files.square_around`.

    Errors are divided by the eye distance where there are landmarks left_eye and right_eye, see
    `landmark_files.add_normalisers`; else by the box size, sqrt(w h) of the bbox, where all annotations have one; else
    by the picture width.

    Args:
      dir: folder that `file_name` starts from.
      annotations: path of the JSON file.

    Returns:
      `Pictures`, one for each annotation, in the order of the file.

    Raises:
      ValueError: naming the file and its entry that is missing or wrong, or the picture that is not there.
    """
    parts = _load(annotations)
    category = _category(parts["categories"], annotations)
    names = tuple(category["keypoints"])
    entries, points = _entries(parts, category, annotations)
    annotated = points[..., 2] > 0
    half = 0.0 if (points[annotated][:, :2] % 1).any() else 0.5
    several = len({entry.annotation["image_id"] for entry in entries}) < len(entries)
    pictures = Pictures(
        tuple(_path(dir, entry) for entry in entries),
        boxes=landmark_files.square_around(_boxes(entries)) if several else None,
        landmarks=np.where(annotated[..., np.newaxis], points[..., :2] + half, 0).astype(np.float32),
        annotated=annotated.astype(np.float32),
        landmark_names=names,
    )
    return landmark_files.add_normalisers(
        pictures, landmark_files.eyes(names), "eye distance", otherwise=lambda: _sizes(entries, annotations)
    )


def _load(file):
    try:
        content = json.loads(landmark_files.read_text(file))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is not JSON: {error}") from error
    for name, needed in _NEEDED.items():
        part = content.get(name) if isinstance(content, dict) else None
        if not isinstance(part, list):
            raise ValueError(f"{file} has no list called {name}; COCO has images, annotations and categories")
        for index, entry in enumerate(part):
            for key, kind in needed.items():
                if not isinstance(entry, dict) or not isinstance(entry.get(key), kind):
                    raise ValueError(f"{file}: {name}[{index}] has no usable {key}")
    return content


def _category(categories, file):
    """The one category that has key points."""
    with_points = [each for each in categories if isinstance(each.get("keypoints"), list) and each["keypoints"]]
    if len(with_points) != 1:
        raise ValueError(
            f"{file}: one category with keypoints is expected; {len(with_points)} of its categories have any"
        )
    return with_points[0]


def _entries(parts, category, file):
    """The annotations that have key points, and these: float64 [N, K, 3], x, y and v."""
    images = {image["id"]: image for image in parts["images"]}
    entries, points = [], []
    for index, annotation in enumerate(parts["annotations"]):
        if annotation["category_id"] != category["id"] or not annotation.get("keypoints"):
            continue
        where = f"{file}: annotations[{index}]"
        values = _numbers(annotation, "keypoints", 3 * len(category["keypoints"]), where).reshape([-1, 3])
        if annotation["image_id"] not in images:
            raise ValueError(f"{where}: there is no image whose id is {annotation['image_id']}")
        if (values[:, 2] > 0).any():
            entries.append(_Entry(where, annotation, images[annotation["image_id"]]))
            points.append(values)
    if not entries:
        raise ValueError(f"{file} has no annotation with keypoints")
    return entries, np.stack(points)


def _numbers(entry, key, count, where):
    """The numbers that an entry has under a key, float64 [count]."""
    try:
        numbers = np.asarray(entry.get(key), np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.empty(0)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        found = entry.get(key)
        number = f"; found {len(found)}" if isinstance(found, list) and len(found) != count else ""
        raise ValueError(f"{where}: {key} must be {count} numbers{number}")
    return numbers


def _path(dir, entry):
    path = os.path.join(dir, entry.image["file_name"])
    if not os.path.isfile(path):
        raise ValueError(f"{entry.where}: there is no picture {path}")
    return path


def _boxes(entries):
    """Left, top, right and bottom of each bbox, float64 [N, 4]."""
    boxes = np.stack([_numbers(entry.annotation, "bbox", 4, entry.where) for entry in entries])
    for index in np.flatnonzero((boxes[:, 2:] <= 0).any(axis=1)):
        raise ValueError(f"{entries[index].where}: bbox has no area")
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _sizes(entries, file):
    """What errors are divided by where there are no eyes, and its name."""
    if all("bbox" in entry.annotation for entry in entries):
        boxes = _boxes(entries)
        return np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)), "box size"
    widths = [entry.image.get("width") for entry in entries]
    for entry, width in zip(entries, widths):
        if not isinstance(width, (int, float)) or width <= 0:
            raise ValueError(f"{file}: the image whose id is {entry.image['id']} has no usable width")
    return widths, "picture width"
