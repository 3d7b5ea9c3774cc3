"""Files of annotations that are merged: what each says, held against its pictures, and what of it is no correction."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import NamedTuple

import numpy as np

from dense_labels import progress
from dense_labels.prediction import annotated
from dense_labels.prediction.predictions import Predictions
from dense_labels.registry import READERS
from input_pipeline.readers import annotation_files, consistency
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import copies, uncorrected

_SAME = 0.01  # pixels: how far points may be off that only another program has written
_SAME_BOX = 0.05  # and sides of boxes


class Known(NamedTuple):
    """What a file says."""

    path: pathlib.Path
    kind: str  # the reader
    pictures: Pictures
    found: Predictions

    @property
    def lists_landmarks(self) -> bool:
        """Whether a file of this kind has the names of all landmarks, whether they are placed or not."""
        return READERS[self.kind].facts.get("lists_landmarks", True)


def read(path: pathlib.Path, folder: pathlib.Path, category: str, of: pathlib.Path | None = None) -> Known:
    """Reads a file, and holds it against its pictures.

    Args:
      path: of the file.
      folder: of the pictures. The names that are returned start from it, and those in the file too, unless predictions
        wrote it, and it is known that they were of a folder in there.
      category: of the objects.
      of: the file whose copy this is; None for itself.
    """
    kind, start = annotation_files.kind_of(path), _start(of or path, folder)
    pictures = _brought_in(annotation_files.read(start, path, category=category), folder)
    found = annotated.of_pictures(pictures, folder)
    pictures = consistency.checked(pictures, found.sizes)
    names = tuple(_name(each, folder, path) for each in pictures.paths)
    known = pictures.annotated[..., np.newaxis] > 0
    found = dataclasses.replace(found, names=names, points=np.where(known, found.points, np.float32(np.nan)))
    files_seen = [os.path.realpath(each) for each in pictures.paths]
    if pictures.boxes is None and len(set(files_seen)) < len(files_seen):
        twice = next(name for name, each in zip(names, files_seen) if files_seen.count(each) > 1)
        raise ValueError(f"{path}: {twice} is there twice, and it cannot be told which of the two is meant")
    return Known(path, kind, pictures, found)


def _start(path, folder):
    """The folder that names of pictures start from in a file."""
    start = uncorrected.folder_of_pictures(path)
    if start and not os.path.isdir(start):
        progress.warn(
            f"{path} was predicted of the pictures in {start}, which is not there any more: its names are taken to "
            f"start from {folder}"
        )
    inside = os.path.isdir(start) and pathlib.Path(os.path.realpath(start)).is_relative_to(os.path.realpath(folder))
    return start if inside else folder


def _brought_in(pictures, folder):
    """The same of the pictures in the folder, where those that a file was found to be of are copies elsewhere."""
    outside = [path for path in dict.fromkeys(pictures.paths) if not _inside(path, folder)]
    found = dict(zip(outside, copies.originals(outside, [_called_so(path, folder) for path in outside])))
    own = {path: copy for path, copy in found.items() if copy not in pictures.paths}  # else there are two of one
    return dataclasses.replace(pictures, paths=tuple(own.get(path, path) for path in pictures.paths))


def _called_so(path, folder):
    """What is called in the folder as the picture is, with as many of the folders that it lies in as can be."""
    parts = pathlib.Path(os.path.abspath(path)).parts
    places = (os.path.join(folder, *parts[first:]) for first in range(1, len(parts)))
    return next(filter(os.path.isfile, places), "")


def _inside(path, folder):
    """The name of a picture from the folder on; "" of one that lies elsewhere."""
    for place, top in ((path, folder), (os.path.realpath(path), os.path.realpath(folder))):
        name = pathlib.PurePath(os.path.relpath(place, top))
        if name.parts[0] != os.pardir:
            return name.as_posix()
    return ""


def _name(path, folder, file):
    if name := _inside(path, folder):
        return name
    raise ValueError(f"{file}: the picture {path} lies outside of {folder}; give the folder that all pictures lie in")


def by_file(known: Known) -> dict[str, list[int]]:
    """File of a picture -> the rows that are of it."""
    rows: dict[str, list[int]] = {}
    for row, path in enumerate(known.pictures.paths):
        rows.setdefault(os.path.realpath(path), []).append(row)
    return rows


def as_predicted(after: Known, folder: pathlib.Path, category: str, given: pathlib.Path | None) -> Known | None:
    """What a file was before somebody corrected it.

    Args:
      after: the file, as it is now.
      folder: of the pictures.
      category: of the objects.
      given: where that lies; None to look for the copy that predictions keep of what they write there.

    Returns:
      None where predictions have left nothing there that has one of its landmarks.

    Raises:
      ValueError: if it cannot be read, or what is given has other landmarks.
    """
    copy = given or uncorrected.as_it_was(after.path)
    if copy is None:
        return None
    if given:
        uncorrected.check_start(after.path, after.pictures.paths, folder, given)
    named_as = given if given and uncorrected.folder_of_pictures(given) else after.path
    try:
        known = _called_as(after, read(copy, folder, category, of=named_as))
    except ValueError as error:
        if given:
            raise
        raise ValueError(
            f"{after.path} as it was predicted, {copy}, cannot be read: {error}; put the picture back, or copy that "
            "file without it and give the copy as --predicted"
        ) from error
    if set(known.found.landmark_names) & set(after.found.landmark_names):
        return known
    if given:
        raise ValueError(f"{given} has none of the landmarks of {after.path}; give what it was as predicted")
    return None


def _called_as(after: Known, known: Known) -> Known:
    """Gives landmarks the names of those of another file, by their order, where one of the two has no names."""
    orders = all(READERS[each.kind].facts.get("orders_landmarks", True) for each in (after, known))
    names, others = after.found.landmark_names, known.found.landmark_names
    if after.found.named == known.found.named or len(names) != len(others) or not orders:
        return known
    return known._replace(found=dataclasses.replace(known.found, landmark_names=names))


def without_predicted(before: Known, after: Known, predicted: Known | None) -> Known:
    """The newer file without the pictures of the older one that are still as they were predicted: no corrections."""
    if predicted is None:
        return after
    new_rows, old_rows, same = by_file(after), by_file(before), _same_files(after, predicted)
    untouched = {file for file in same if file in old_rows}
    if added := [after.found.names[new_rows[file][0]] for file in same if file not in old_rows]:
        progress.warn(
            f"{len(added)} of the pictures that {before.path} lacks are in {after.path} as they were predicted, such "
            f"as {progress.printable(added[0])}: what is predicted is taken for annotated there"
        )
    if not untouched:
        return after
    progress.note(
        f"{after.path} has {len(untouched)} pictures as they were predicted, so what {before.path} has of them is kept"
    )
    rows = [row for file, of_it in new_rows.items() if file not in untouched for row in of_it]
    return after._replace(pictures=after.pictures.take(sorted(rows)), found=after.found.take(sorted(rows)))


def _same_files(after: Known, predicted: Known) -> list[str]:
    """The pictures of which a file says what was predicted; warns of those that differ in new landmarks alone."""
    ours, theirs = after.found.landmark_names, predicted.found.landmark_names
    all_names = list(ours) if after.lists_landmarks else list(dict.fromkeys([*ours, *theirs]))
    rows, was_rows = by_file(after), by_file(predicted)

    def same(names):
        new, was = (annotated.with_landmarks(known.found, names) for known in (after, predicted))
        was = _as_written(was, after.kind)
        return [file for file in rows if file in was_rows and _alike(new, rows[file], was, was_rows[file])]

    found, added = same(all_names), [name for name in ours if name not in theirs]
    if added and (but := len(same([name for name in all_names if name not in added])) - len(found)):
        progress.warn(
            f"{but} pictures of {after.path} count as corrected for {progress.some(added)} alone, which predictions "
            "did not have; if a landmark was renamed since, give it its old name for this"
        )
    return found


def _as_written(found: Predictions, kind: str) -> Predictions:
    """The same without the landmarks that a kind of file cannot have, for they lie outside of their pictures."""
    beyond = (found.points < 0) | (found.points > found.sizes[:, np.newaxis, ::-1])
    if kind == "yolo":
        lost = beyond.any(axis=-1)
    elif kind == "tps":  # which counts y from below, and has both negative for no place
        lost = beyond.all(axis=-1) & (found.points[..., 0] < 0) & (found.points[..., 1] > 0)
    else:
        return found
    return dataclasses.replace(found, points=np.where(lost[..., np.newaxis], np.float32(np.nan), found.points))


def _alike(found: Predictions, rows: list[int], other: Predictions, others: list[int]) -> bool:
    """Whether rows have the points, marks and boxes of others, in whatever order."""
    left = list(others)
    for row in rows:
        same = next((each for each in left if _is_same(found, row, other, each)), None)
        if same is None:
            return False
        left.remove(same)
    return not left


def _is_same(found: Predictions, row: int, other: Predictions, of: int) -> bool:
    points = np.allclose(found.points[row], other.points[of], atol=_SAME, equal_nan=True)
    marks = [each.hidden[n] if each.hidden is not None else 0 for each, n in ((found, row), (other, of))]
    boxes = True
    if found.around is not None and other.around is not None:
        boxes = np.allclose(found.around[row], other.around[of], atol=_SAME_BOX, equal_nan=True)
    return bool(points and np.all(marks[0] == marks[1]) and boxes)
