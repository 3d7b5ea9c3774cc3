"""What to predict: pictures by a folder, a pattern, a list of names or one file, objects in them, or a video."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from dense_labels import progress
from dense_labels.registry import FORMATS
from input_pipeline.readers import boxes as boxes_reader
from input_pipeline.readers import consistency, folder, landmark_files
from input_pipeline.storage import decoding, listing

_LIST = ".txt"
OUTLIERS = ("outliers.csv", "outliers.png", "outliers")  # of those that stand out: a table, a sheet, and a folder


class Inputs(NamedTuple):
    """Pictures, and the folder that their names start from."""

    folder: str
    names: tuple[str, ...]  # with forward slashes, as files of annotations have them

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the pictures lie."""
        return tuple(os.path.join(self.folder, name) for name in self.names)


@dataclasses.dataclass(frozen=True)
class Boxes:
    """Boxes about objects in pictures, from a file; see `input_pipeline.readers.boxes.read_file`.

    Attributes:
      file: a COCO file, or the list of results of a detector.
      images: a COCO file with the images of such a list; "" otherwise.
      category: name or id of the objects, where there are several kinds.
      min_score: boxes whose score is lower are left out.
    """

    file: str | os.PathLike
    images: str | os.PathLike = ""
    category: str = ""
    min_score: float = 0.0


def find(pictures: str | os.PathLike | Sequence[str | os.PathLike]) -> Inputs:
    """Finds pictures, and says which files of a folder or a pattern are passed over, for they are not called pictures.

    Args:
      pictures: a folder, with folders in it; a picture; a pattern such as "in/**/*.jpg"; a text file .txt with a name
        a line, from the folder of that file; or a sequence of paths.

    Returns:
      The pictures, each once, in the order of the list or of their names.

    Raises:
      ValueError: if there are none, a name of a list is not there, two are found as one file, or ** stands beside other
        characters.
      OSError: if a folder cannot be read.
    """
    if not isinstance(pictures, (str, os.PathLike)):
        return _from_common_folder([_existing(path) for path in pictures], "the list of pictures")
    given = os.path.expanduser(os.fspath(pictures))
    if os.path.isdir(given):
        return _below(given, folder.find(given).paths)
    if os.path.isfile(given):
        if given.lower().endswith(_LIST):
            return _listed(given)
        return _below(os.path.dirname(given) or os.curdir, [given])
    return _from_common_folder(listing.pictures_among(listing.matching(given)), given)


def not_drawn(found: Inputs, out: str | os.PathLike) -> Inputs:
    """Leaves out the pictures that predictions are drawn into, as where they lie among those that are predicted.

    Args:
      found: pictures.
      out: folder of the predictions.

    Returns:
      The others.

    Raises:
      ValueError: if there are no others.
    """
    top = os.path.realpath(os.path.expanduser(os.fspath(out)))
    drawn = {pathlib.Path(top, name) for name in _drawn_files()}
    folders = {folder: pathlib.Path(os.path.realpath(folder)) for folder in set(map(os.path.dirname, found.paths))}
    inside = {folder for folder, real in folders.items() if not drawn.isdisjoint({real, *real.parents})}
    kept = [
        name
        for name, (folder, file) in zip(found.names, map(os.path.split, found.paths))
        if folder not in inside and folders[folder] / file not in drawn
    ]
    if not kept:
        raise ValueError(f"all pictures in {found.folder} lie where predictions are drawn; give another out")
    if left := len(found.names) - len(kept):
        progress.note(f"{left} pictures that lie where predictions are drawn are left out, in {top}")
    return Inputs(found.folder, tuple(kept))


def find_video(pictures: str | os.PathLike | Sequence[str | os.PathLike]) -> str | None:
    """Returns the path of a file that is neither a picture nor a list of names, so may be a video; None of others."""
    if not isinstance(pictures, (str, os.PathLike)):
        return None
    given = os.path.expanduser(os.fspath(pictures))
    if not os.path.isfile(given) or given.lower().endswith(_LIST) or listing.is_picture(given):
        return None
    try:
        decoding.read_size(given)
    except decoding.PictureError:
        return given
    return None


def warn_of_drawn(folder: str, written: Iterable[pathlib.Path]) -> None:
    """Warns where pictures were drawn below the folder of the pictures: a training on that would see them too.

    Args:
      folder: of the pictures that were predicted.
      written: the files of the prediction.
    """
    drawn = [str(path) for path in written if path.name in _drawn_files()]
    if drawn and pathlib.Path(drawn[0]).resolve().is_relative_to(pathlib.Path(folder).resolve()):
        progress.warn(
            f"{', '.join(drawn)}: a later training on {folder} would take what is drawn there for pictures; move it, "
            "or give another out"
        )


def _drawn_files():
    return {*(entry.facts["file"] for entry in FORMATS.values() if entry.facts.get("reads_pictures")), OUTLIERS[1]}


def read_boxes(found: Inputs, boxes: Boxes) -> dict[str, np.ndarray]:
    """Reads the boxes about objects in pictures, and says of how many pictures there is none.

    Args:
      found: the pictures.
      boxes: where the boxes are; those about other pictures are passed over.

    Returns:
      Name of a picture -> float32 [B, 2, 4], of each object the square that training sees and the box in the file:
      left, top, right and bottom in continuous pixels of the upright picture.

    Raises:
      ValueError: if the file cannot be read, names a picture that is not in the folder, has no box about these, or
        contradicts them, as `consistency.checked` says.
    """
    read = boxes_reader.read_file(
        found.folder, boxes.file, images=boxes.images, category=boxes.category, min_score=boxes.min_score
    )
    names = {os.path.realpath(path): name for name, path in zip(found.names, found.paths)}
    by_name: dict[str, list[np.ndarray]] = {}
    for path, *boxes_of in zip(read.paths, read.boxes, read.objects):
        if name := names.get(os.path.realpath(path)):
            by_name.setdefault(name, []).append(np.stack(boxes_of))
    if not by_name:
        raise ValueError(f"{boxes.file} has no box about the {len(names)} pictures in {found.folder}")
    _check_boxes(read)
    if without := [name for name in found.names if name not in by_name]:
        progress.note(f"{len(without)} of {len(names)} pictures have no box and are left out: {progress.some(without)}")
    return {name: np.stack(each) for name, each in by_name.items()}


def _check_boxes(read):
    """Holds all boxes of a file against their pictures: of a few, one that is cut off could be taken for a mistake."""
    sizes = {}
    for path in dict.fromkeys(read.paths):
        with contextlib.suppress(decoding.PictureError):  # which is told of later
            sizes[path] = decoding.read_size(path)
    readable = np.flatnonzero([path in sizes for path in read.paths])
    if len(readable):
        consistency.checked(read.take(readable), np.array([sizes[read.paths[row]] for row in readable]))


def _existing(path):
    path = os.path.abspath(os.path.expanduser(path))
    if not os.path.isfile(path):
        raise ValueError(f"{path}: there is no such picture")
    return path


def _listed(file):
    top = os.path.dirname(file) or os.curdir
    lines = [line for line in landmark_files.read_text(file).splitlines() if line.strip()]
    names = [line if os.path.isfile(os.path.join(top, line)) else line.strip() for line in lines]
    paths = landmark_files.find_pictures(top, names, [file] * len(names))
    return _from_common_folder([_existing(path) for path in paths], file)


def _from_common_folder(paths, given):
    if not paths:
        raise ValueError(
            f"{given}: there is no such picture or folder; give a folder, a pattern, a list, a picture or one video"
        )
    paths = [os.path.abspath(path) for path in paths]
    return _below(os.path.commonpath([os.path.dirname(path) for path in paths]), paths)


def _below(top, paths):
    names = dict.fromkeys(pathlib.PurePath(os.path.relpath(path, top)).as_posix() for path in paths)
    return Inputs(os.path.abspath(top), tuple(names))
