"""Annotated objects as the files of tools have them, and the `Pictures` that they become: what such readers share."""

import collections
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dense_labels import progress
from dense_labels.config import DataConfig
from input_pipeline.readers import landmark_files, normalisers
from input_pipeline.readers.pictures import Pictures, taken_for_any

KEYS = (*landmark_files.KEYS, "data.whole_pictures", "data.boxes", "data.category")  # of readers of such files


class Object(NamedTuple):
    """An object in a picture. Points and boxes are in continuous pixels of the upright picture."""

    where: str  # in the file, as messages name it
    path: str  # of the picture
    points: Mapping[str, tuple[float, float]]  # name of a landmark -> x, y; of those that are annotated
    hidden: frozenset[str] | None = None  # landmarks that something hides; None where the file cannot say it
    kind: str = ""  # of object
    box: tuple[float, float, float, float] | None = None  # left, top, right, bottom
    claimed: tuple[int, int] = (0, 0)  # (height, width) that the file says of the picture


class Found(NamedTuple):
    """What a file says."""

    objects: list[Object]
    names: Mapping[str, Sequence[str]]  # kind of object -> its landmarks
    named: bool = True  # whether landmarks have names of their own
    skeleton: Iterable[tuple[str, str]] = ()
    flip_pairs: Iterable[tuple[str, str]] = ()


def read_splits(data: DataConfig, read: Callable[..., Pictures]) -> dict[str, Pictures]:
    """Reads the splits of a configuration with a reader's `read_file(dir, annotations, boxed=, category=)`.

    Raises:
      ValueError: what `read` raises, or if boxes are asked for and whole pictures as well.
    """
    if data.boxes and data.whole_pictures:
        raise ValueError(
            f"config.data.boxes={data.boxes} shows boxes about the objects, and config.data.whole_pictures=True whole "
            "pictures; leave one of them out"
        )
    boxed = bool(data.boxes)
    return landmark_files.read_splits(data, lambda file: read(data.dir, file, boxed=boxed, category=data.category))


def number(value: Any, where: str) -> float:
    """Returns a finite number that is written as a number or as text.

    Raises:
      ValueError: if it is none.
    """
    try:
        found = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else np.nan
    except (ValueError, OverflowError):
        found = np.nan
    if not np.isfinite(found) or abs(found) > 1e9:
        raise ValueError(progress.printable(f"{where}: a number is expected; found {str(value)[:40]!r}"))
    return found


def in_order(names: Iterable[str]) -> list[str]:
    """Sorts names that a file gives in no order of its own, numbers in them by their value; each once."""
    return sorted(set(names), key=lambda name: [(not part.isdigit(), part.zfill(20)) for part in _parts(name)])


def _parts(name):
    return [part for part in re.split(r"(\d+)", name) if part]


def pictures(file: str | os.PathLike, found: Found, *, boxed: bool, category: str) -> Pictures:
    """Makes `Pictures` of what a file says; leaves out objects without landmarks.

    The boxes are None, the whole pictures, where no picture has two objects, unless they are asked for. Else they are
    squares, see `landmark_files.square_around`, about the box of each object, or about its landmarks where the file has
    no boxes. Errors are divided as those of COCO files are.

    Args:
      file: path, for messages.
      found: what it says.
      boxed: whether boxes are asked for.
      category: kind of the objects, where several have landmarks.

    Returns:
      `Pictures`, one for each object, in the order of the file.

    Raises:
      ValueError: if there is no object with landmarks, or there are several kinds and none is chosen.
    """
    objects = _of_kind([each for each in found.objects if each.points], category, file)
    names = list(found.names[objects[0].kind])
    column = {name: k for k, name in enumerate(names)}
    landmarks = np.zeros([len(objects), len(names), 2], np.float32)
    annotated, hidden = (np.zeros(landmarks.shape[:2], np.float32) for _ in range(2))
    for row, each in enumerate(objects):
        for name, point in each.points.items():
            landmarks[row, column[name]], annotated[row, column[name]] = point, 1
            hidden[row, column[name]] = name in (each.hidden or ())
    paths = tuple(each.path for each in objects)
    boxed |= len(set(map(os.path.realpath, paths))) < len(paths)
    boxes = _boxes(objects) if boxed or all(each.box for each in objects) else None
    made = Pictures(
        paths,
        boxes=_shown(boxes, objects, annotated, file) if boxed else None,
        landmarks=landmarks,
        annotated=annotated,
        landmark_names=tuple(names) if found.named else (),
        claimed=np.array([each.claimed for each in objects], np.int64),
        objects=None if boxes is None else boxes.astype(np.float32),
        hidden=hidden if any(each.hidden is not None for each in objects) else None,
        skeleton=_pairs(found.skeleton, column),
        flip_pairs=_pairs(found.flip_pairs, column),
        category=objects[0].kind,
    )
    eyes = normalisers.eyes(names)
    return normalisers.add(made, eyes, normalisers.EYES, otherwise=lambda: _sizes(made))


def _of_kind(objects, wanted, file):
    """The objects of one kind: the only one that has landmarks, or the one that is asked for."""
    if not objects:
        raise ValueError(f"{file} has no landmark in any picture; annotate some, or give another file")
    kinds = collections.Counter(each.kind for each in objects)
    some = progress.some(kind or "one without a name" for kind in kinds)
    if not wanted and len(kinds) > 1:
        raise ValueError(
            f"{file} has landmarks of {len(kinds)} kinds of object ({some}); name one: --category, or "
            "config.data.category of a training"
        )
    chosen = [each for each in objects if wanted in ("", each.kind) or taken_for_any(kinds)]
    if not chosen:
        raise ValueError(f"{file} has no landmarks of the category {wanted!r}; it has those of {some}")
    if kinds[""] and len(chosen) == len(objects) - kinds[""]:  # an object that was not given its name, perhaps
        progress.warn(f"{file}: {kinds['']} objects without a name are left out, for they are not of {wanted!r}")
    return chosen


def _boxes(objects):
    """The box of each object, or that about its landmarks, one pixel at least, float64 [N, 4]."""
    boxes = []
    for each in objects:
        points = np.array(list(each.points.values()))
        around = np.concatenate([points.min(axis=0), np.maximum(points.max(axis=0), points.min(axis=0) + 1)])
        boxes.append(each.box or tuple(around))
    return np.array(boxes, np.float64)


def _shown(boxes, objects, annotated, file):
    """Squares about the objects: of those that have no box of their own, such as show more than one landmark."""
    usual = normalisers.grown(boxes, annotated)
    own = np.array([[each.box is not None] for each in objects])
    if usual is None and not own.all():
        raise ValueError(
            f"{file}: has several objects in a picture, of one landmark each, about which no box can be drawn; "
            "annotate more landmarks of each, or their boxes"
        )
    return landmark_files.square_around(boxes if usual is None else np.where(own, boxes, usual))


def _pairs(pairs, column):
    found: dict[frozenset, tuple[int, int]] = {}
    for a, b in pairs:
        if a in column and b in column:
            found.setdefault(frozenset((a, b)), (column[a], column[b]))  # kinds of object may have it in common
    return tuple(found.values())


def _sizes(pictures):
    """What errors are divided by where there are no eyes, and its name."""
    return normalisers.box_sizes(pictures) or (normalisers.picture_widths(pictures.paths), normalisers.WIDTH)
