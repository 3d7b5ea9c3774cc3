"""Landmarks and boxes from COCO JSON."""

import json
import math
import os
from typing import Any, NamedTuple

import numpy as np

from input_pipeline.readers import landmark_files
from input_pipeline.readers.pictures import Pictures

_NEEDED = {  # what every entry of a part must have, and of which type
    "images": {"id": (int, str), "file_name": str},
    "annotations": {"image_id": (int, str), "category_id": (int, str)},
    "categories": {"id": (int, str)},
}
_NAMED = 5  # categories that a message names


class _Entry(NamedTuple):
    where: str  # as messages name it
    annotation: dict[str, Any]
    image: dict[str, Any]


def read(dir, annotations, *, boxed=False):
    """Reads the annotations that have key points, and leaves out pictures and annotations without any.

    Convention: COCO's own key points are whole numbers that count pixels from 0 at their centres, so where all of a
    file are whole, half a pixel is added; fractional ones are continuous pixels already. A landmark is annotated where
    v is 1 or 2.

    The boxes are None, the whole pictures, where no picture has two annotations with key points, unless they are asked
    for. Else they are squares about each annotation's bbox, see `landmark_files.square_around`.

    Errors are divided by the eye distance where there are landmarks left_eye and right_eye, see
    `landmark_files.add_normalisers`; else by the box size, sqrt(w h) of the bbox, where all annotations have one; else
    by the picture width.

    Args:
      dir: folder that `file_name` starts from.
      annotations: path of the JSON file.
      boxed: whether boxes are asked for.

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
    boxed |= len({entry.annotation["image_id"] for entry in entries}) < len(entries)
    pictures = Pictures(
        tuple(_path(dir, entry) for entry in entries),
        boxes=landmark_files.square_around(_boxes(entries)) if boxed else None,
        landmarks=np.where(annotated[..., np.newaxis], points[..., :2] + half, 0).astype(np.float32),
        annotated=annotated.astype(np.float32),
        landmark_names=names,
    )
    return landmark_files.add_normalisers(
        pictures, landmark_files.eyes(names), "eye distance", otherwise=lambda: _sizes(entries, annotations)
    )


def read_boxes(dir, file, *, images="", category="", min_score=0.0):
    """Reads boxes about objects, whoever drew them: each is a picture of its own.

    A file holds COCO's parts, or, as detectors write their results, a list of `{image_id, category_id, bbox, score}`.
    Crowds (`iscrowd`) are left out: their boxes are about no single object.

    Args:
      dir: folder that `file_name` starts from.
      file: path of the JSON file.
      images: path of a JSON file with COCO's images, which a list of results needs; a file that has its own is not
        given any.
      category: name or id of the objects; "" where all boxes are of one.
      min_score: boxes whose score is lower are left out; those without a score are not.

    Returns:
      `Pictures` without landmarks, in the order of the file; the boxes are squares about each bbox, see
      `landmark_files.square_around`.

    Raises:
      ValueError: naming the file and its entry that is missing or wrong, or the picture that is not there; or if there
        is no box to use, or those that there are need a category.
    """
    parts, where = _with_boxes(file, images)
    known = {image["id"]: image for image in parts["images"]}
    entries = []
    for index, box in enumerate(parts["annotations"]):
        place = where.format(index)
        if box.get("iscrowd") or "bbox" not in box or _score(box, place) < min_score:
            continue
        if box["image_id"] not in known:
            raise ValueError(f"{place}: there is no image whose id is {box['image_id']}")
        entries.append(_Entry(place, box, known[box["image_id"]]))
    if not entries:
        least = f" and a score of at least {min_score}" if min_score else ""
        raise ValueError(f"{file} has no annotation with a bbox{least}")
    entries = _of_category(entries, parts.get("categories", []), category, file)
    return Pictures(tuple(_path(dir, entry) for entry in entries), landmark_files.square_around(_boxes(entries)))


def _with_boxes(file, images):
    """Images and annotations of a COCO file or of a list of results, and how messages name one of these."""
    content = _parse(file)
    if not isinstance(content, list):
        return _checked(content, file, ("images", "annotations")), f"{file}: annotations[{{}}]"
    if not images:
        raise ValueError(f"{file} is a list of results; config.data.images must name a COCO file of their pictures")
    _check_entries(content, _NEEDED["annotations"], f"{file}: entry {{}}")
    return {**_checked(_parse(images), images, ("images",)), "annotations": content}, f"{file}: entry {{}}"


def _score(box, where):
    score = box.get("score", math.inf)
    if not isinstance(score, (int, float)) or math.isnan(score):
        raise ValueError(f"{where}: score must be a number")
    return score


def _of_category(entries, categories, wanted, file):
    """The entries of one category, by its name or id; refuses those of several where none is named."""
    names = {each.get("id"): each.get("name") for each in categories if isinstance(each, dict)}
    of = [str(names.get(entry.annotation["category_id"], entry.annotation["category_id"])) for entry in entries]
    some = ", ".join(sorted(set(of))[:_NAMED])
    if not wanted and len(set(of)) > 1:
        raise ValueError(f"{file} has boxes of {len(set(of))} categories ({some}); name one: config.data.category")
    pairs = zip(of, entries)
    chosen = [entry for name, entry in pairs if wanted in ("", name, str(entry.annotation["category_id"]))]
    if not chosen:
        raise ValueError(f"{file} has no box of config.data.category={wanted!r}; it has those of {some}")
    return chosen


def _load(file):
    return _checked(_parse(file), file, _NEEDED)


def _parse(file):
    try:
        return json.loads(landmark_files.read_text(file))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is not JSON: {error}") from error


def _checked(content, file, names):
    """The content of a COCO file, if it has these parts and their entries what they need."""
    for name in names:
        part = content.get(name) if isinstance(content, dict) else None
        if not isinstance(part, list):
            raise ValueError(f"{file} has no list called {name}; COCO has images, annotations and categories")
        _check_entries(part, _NEEDED[name], f"{file}: {name}[{{}}]")
    return content


def _check_entries(entries, needed, where):
    for index, entry in enumerate(entries):
        for key, kind in needed.items():
            if not isinstance(entry, dict) or not isinstance(entry.get(key), kind):
                raise ValueError(f"{where.format(index)} has no usable {key}")


def _category(categories, file):
    """The one category that has key points."""
    with_points = [each for each in categories if isinstance(each.get("keypoints"), list) and each["keypoints"]]
    if len(with_points) != 1:
        raise ValueError(
            f"{file}: one category with keypoints is expected; {len(with_points)} of its categories have any"
            + ("; config.data.name=boxes trains on boxes alone" if not with_points else "")
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
