"""Formats that annotations are written in: which one is meant, and whether what was written says the same."""

from __future__ import annotations

import contextlib
import io
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dense_labels import progress
from dense_labels.prediction import annotated
from dense_labels.prediction.predictions import Predictions, is_read, reader_of
from dense_labels.registry import FORMATS, Entry
from input_pipeline.readers import consistency

_MOVED = 0.01  # pixels that a point or a box may be moved by, as formats round


def entry_for(out: pathlib.Path, name: str, kinds: Sequence[str]) -> Entry:
    """Chooses the format to write in, of those that are read again.

    Args:
      out: the file, or the folder, whose name has no ending then.
      name: of the format; "" for the one that the ending tells.
      kinds: names of readers; where several formats have that ending, the first of these is taken.

    Returns:
      The entry of the registry FORMATS.

    Raises:
      ValueError: if there is no such format, or it is not for a file of that ending.
    """
    readable = [entry for entry in FORMATS.values() if is_read(entry)]
    fitting = [entry for entry in readable if _ending(entry) == out.suffix.lower()]
    if name:
        fitting = [entry for entry in readable if entry is FORMATS[name]]
        if not fitting:
            raise ValueError(f"format {name!r} is not read again; choose {', '.join(entry.name for entry in readable)}")
        if _ending(fitting[0]) != out.suffix.lower():
            place = f"a file {_ending(fitting[0])}" if _ending(fitting[0]) else "a folder, whose name has no ending"
            raise ValueError(f"{out}: format {name!r} is written to {place}")
        return fitting[0]
    alike = [entry for kind in kinds for entry in fitting if reader_of(entry) == kind]
    if not alike and (not fitting or not out.suffix):
        endings = ", ".join(f"{_ending(entry) or 'a folder'} ({entry.name})" for entry in readable)
        raise ValueError(f"{out}: the ending of its name must tell the format: {endings}")
    return (alike or fitting)[0]


def _ending(entry):
    """Of the file that a format is written to; "" of a folder."""
    return pathlib.PurePath(entry.facts["file"]).suffix


def checked(entry: Entry, found: Predictions, out: pathlib.Path, read: Callable[[pathlib.Path], Predictions]) -> Any:
    """Writes annotations elsewhere, reads them again, and compares; says which marks, pairs and names are not kept.

    Args:
      entry: the format.
      found: the annotations.
      out: where they will be written, for messages.
      read: of a file, the annotations in it.

    Returns:
      What the format returns, see `dense_labels.prediction.formats`.

    Raises:
      ValueError: if the format cannot hold names, objects, points or boxes.
    """
    content = entry.value(found)
    with tempfile.TemporaryDirectory() as temporary:
        path = pathlib.Path(temporary, out.name)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content(path)
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # notes are of a file that nobody will see
                back = read(path)
        except ValueError as error:
            words = str(error).replace(str(path), out.name)
            raise ValueError(f"{out}: {entry.name} cannot hold these annotations: {words}") from error
    _compare(found, back, entry.name)
    return content


def _compare(found, back, name):
    """Refuses what does not come back as it was, and says what is not refused."""
    lost = [each for k, each in enumerate(found.landmark_names) if found.known[:, k].any()]
    lost = [each for each in lost if each not in back.landmark_names]
    if lost:
        raise ValueError(f"{name} does not keep the names of landmarks, such as {lost[0]}; choose another format")
    rows, others = _pairs(found, back, name)
    back = annotated.with_landmarks(back, found.landmark_names)
    known = found.known[rows]
    points, again = found.points[rows], back.points[others]
    if (known != back.known[others]).any() or (np.abs(points - again)[known] > _MOVED).any():
        raise ValueError(f"{name} does not keep all points as they are; choose another format")
    if found.around is not None and (
        back.around is None or (_moved(found.around[rows], back.around[others], found.sizes[rows]) > _MOVED).any()
    ):
        raise ValueError(f"{name} does not keep the boxes about objects; choose another format, such as 'coco'")
    _say_what_is_lost(found, back, name)


def _moved(boxes, again, sizes):
    """How far sides of boxes were moved, but for what ends a little beyond its picture, and may be cut off there."""
    sides = np.tile(sizes[:, ::-1], 2)
    beyond = np.maximum(0, np.maximum(boxes - sides, -boxes))
    return np.abs(boxes - again) - np.minimum(beyond, consistency.beyond_allowed(sides))


def _pairs(found, back, name):
    """Rows of annotations that have landmarks, and those that came back in their place."""
    theirs, rows, others = back.by_picture(), [], []
    for picture, of_picture in found.by_picture().items():
        wanted = [row for row in of_picture if found.known[row].any()]
        came = [row for row in theirs.get(picture, []) if back.known[row].any()]
        if len(wanted) != len(came):
            raise ValueError(f"{name} does not keep the {len(wanted)} objects of {picture}; choose another format")
        rows, others = rows + wanted, others + came
    return rows, others


def _say_what_is_lost(found, back, name):
    """Says which marks, pairs and names did not come back; a picture may have marks alone, and no placed landmark."""
    marked, kept = (np.zeros_like(each.known) if each.hidden is None else each.hidden for each in (found, back))
    theirs, unkept = back.by_picture(), 0
    for picture, rows in found.by_picture().items():
        came = kept[np.array(theirs.get(picture, []), int)].sum(axis=0)
        unkept += int(np.maximum(marked[rows].sum(axis=0) - came, 0).sum())
    if unkept:
        progress.warn(f"{name} does not keep {unkept} marks of landmarks that something hides")
    if found.skeleton and not back.skeleton:
        progress.note(f"{name} does not keep the lines between landmarks")
    if found.flip_pairs and not back.flip_pairs:
        progress.warn(f"{name} does not keep which landmarks change places in a mirror")
    if found.category != back.category:
        progress.note(f"{name} does not keep that the objects are called {progress.printable(found.category)}")
