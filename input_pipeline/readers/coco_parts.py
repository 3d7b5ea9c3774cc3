"""The parts of COCO files: images, annotations and categories, checked entry by entry."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from input_pipeline.readers import landmark_files

NEEDED: dict[str, dict[str, Any]] = {  # what every entry of a part must have, and of which type
    "images": {"id": (int, str), "file_name": str},
    "annotations": {"image_id": (int, str), "category_id": (int, str)},
    "categories": {"id": (int, str)},
}


class Entry(NamedTuple):
    """An annotation and the image that it is about."""

    where: str  # as messages name it
    annotation: dict[str, Any]
    image: dict[str, Any]


def parse(file: str | os.PathLike) -> Any:
    """Reads a JSON file.

    Raises:
      ValueError: if it is not there, or is not JSON.
    """
    text = landmark_files.read_text(file)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers and lists beyond what Python reads
        raise ValueError(f"{file} is not JSON: {error}") from error


def checked(content: Any, file: str | os.PathLike, names: Iterable[str]) -> dict[str, Any]:
    """Checks that the content of a COCO file has some parts, and their entries what they need; returns it.

    Raises:
      ValueError: naming the part that is missing, or the entry that lacks something.
    """
    for name in names:
        part = content.get(name) if isinstance(content, dict) else None
        if not isinstance(part, list):
            raise ValueError(f"{file} has no list called {name}; COCO has images, annotations and categories")
        check_entries(part, NEEDED[name], f"{file}: {name}[{{}}]")
    return content


def check_entries(entries: Sequence[Any], needed: Mapping[str, Any], where: str) -> None:
    """Checks that entries have what they need.

    Args:
      entries: of a part.
      needed: key -> type, or types.
      where: how messages name an entry, with a place {} for its index.

    Raises:
      ValueError: naming an entry and what it lacks.
    """
    for index, entry in enumerate(entries):
        for key, kind in needed.items():
            if not isinstance(entry, dict) or not isinstance(entry.get(key), kind):
                raise ValueError(f"{where.format(index)} has no usable {key}")


def images_by_id(images: Sequence[dict[str, Any]], file: str | os.PathLike) -> dict[str, dict[str, Any]]:
    """Returns the images of a COCO file by their ids, as strings: some programs write 1 here and "1" there.

    Args:
      images: the part, checked.
      file: its path, as messages name it.

    Raises:
      ValueError: naming an image that has the id of another file, as in files that were joined without new ids.
    """
    known: dict[str, dict[str, Any]] = {}
    for index, image in enumerate(images):
        first = known.setdefault(str(image["id"]), image)
        if image["file_name"] != first["file_name"]:
            raise ValueError(
                f"{file}: images[{index}], {image['file_name']}, has the id {image['id']}, which is that of "
                f"{first['file_name']}; give each image an id of its own"
            )
    return known


def numbers(entry: Mapping[str, Any], key: str, count: int, where: str, *, finite: bool = True) -> np.ndarray:
    """Returns the numbers that an entry has under a key, float64 [count].

    Args:
      entry: of a part.
      key: of the entry.
      count: how many numbers are expected.
      where: how messages name the entry.
      finite: whether all must be; else some may be null or NaN.

    Raises:
      ValueError: if it has not that many numbers there.
    """
    try:
        values = np.asarray(entry.get(key), np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if values.shape != (count,) or (finite and not np.isfinite(values).all()):
        found = entry.get(key)
        number = f"; found {len(found)}" if isinstance(found, list) and len(found) != count else ""
        raise ValueError(f"{where}: {key} must be {count} numbers{number}")
    return values


def check_marks(marks: Iterable[float], where: str, called: str = "v of a landmark") -> None:
    """Checks that what stands beside x and y says 0 for not annotated, 1 for hidden and 2 for visible, as COCO has it.

    What programs predict has x, y and a confidence in these places.

    Args:
      marks: of the landmarks of an object.
      where: how messages name the object.
      called: how they call a mark.

    Raises:
      ValueError: quoting the first that is something else.
    """
    for mark in marks:
        if mark not in (0, 1, 2):
            hint = (
                "; this looks like the confidence of a prediction, and annotations are expected" if 0 < mark < 1 else ""
            )
            raise ValueError(
                f"{where}: {called} must be 0 (not annotated), 1 (hidden) or 2 (visible); found {mark:g}{hint}"
            )


def pictures_of(dir: str | os.PathLike, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Returns the paths of the pictures that entries are about, in a folder; see `landmark_files.find_pictures`.

    Raises:
      ValueError: if one is not there, or two names or images are found as one file.
    """
    names = [entry.image["file_name"] for entry in entries]
    paths = landmark_files.find_pictures(dir, names, [entry.where for entry in entries])
    images = [f"{entry.where.rpartition(': ')[0]}: image {entry.image['id']}" for entry in entries]
    landmark_files.check_found(images, paths, "give all annotations of a picture one image_id, or leave one image out")
    return tuple(paths)


def claimed_sizes(entries: Sequence[Entry]) -> np.ndarray:
    """Returns the (height, width) that the file says of the image of each entry, int64 [N, 2]; 0 where it does not."""
    sides = [[entry.image.get(side) for side in ("height", "width")] for entry in entries]
    usable = [[side if isinstance(side, (int, float)) and 0 < side < 1e9 else 0 for side in pair] for pair in sides]
    return np.asarray(usable, np.int64).reshape([-1, 2])


def boxes_of(entries: Sequence[Entry]) -> np.ndarray:
    """Returns left, top, right and bottom of the bbox of each entry, float64 [N, 4].

    Raises:
      ValueError: naming an entry that has none, or one without area.
    """
    boxes = np.stack([numbers(entry.annotation, "bbox", 4, entry.where) for entry in entries])
    for index in np.flatnonzero((boxes[:, 2:] <= 0).any(axis=1)):
        raise ValueError(f"{entries[index].where}: bbox has no area")
    boxes[:, 2:] += boxes[:, :2]
    return boxes
