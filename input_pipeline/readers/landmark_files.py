"""What the readers of landmark files share: splits, text, boxes, and what errors are divided by."""

import csv
import dataclasses
import io
import itertools
import os
import pathlib
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dense_labels import progress
from dense_labels.config import Config, DataConfig
from input_pipeline.readers import normalisers
from input_pipeline.readers.pictures import STILL_KEYS, Pictures
from input_pipeline.storage import copies, uncorrected

_NEAR = 2  # folders above a picture's own in which it is looked for with all of its name
KEYS = (*STILL_KEYS, "data.annotations", "data.annotations_test")  # of readers whose landmarks are files


def check(config: Config) -> None:
    """Refuses a configuration without landmarks.

    Raises:
      ValueError: if `data.annotations` is empty.
    """
    if not config.data.annotations:
        raise ValueError(f"config.data.name={config.data.name!r} needs config.data.annotations, the landmarks")


def read_splits(data: DataConfig, read: Callable[[str], Pictures]) -> dict[str, Pictures]:
    """Reads the splits of a data set whose landmarks are files.

    Args:
      data: `annotations` is what heads are fitted on, and what training sees the pictures of; `annotations_test`, which
        may be empty, what they are tested on. With `whole_pictures` the boxes about the objects are left out.
      read: function of the path of a file of landmarks.

    Returns:
      Dictionary split -> `Pictures`.

    Raises:
      ValueError: what `read` raises, and as `uncorrected.check`.
    """
    known = read(data.annotations)
    uncorrected.check(data.annotations, known.paths, data.dir)
    splits = {"train": known, "annotated": _filled_in(known, data.annotations)}
    if data.annotations_test:
        test = read(data.annotations_test)
        uncorrected.check(data.annotations_test, test.paths, data.dir)
        splits["test"] = _filled_in(test, data.annotations_test)
        splits = _divided_alike(splits)
    if data.whole_pictures:
        splits = {split: dataclasses.replace(each, boxes=None) for split, each in splits.items()}
    return splits


def _divided_alike(splits):
    """Splits whose errors are divided by the same: by widths, where one alone has enough eyes to divide by."""
    names = {each.normaliser for each in splits.values()}
    if len(names) == 1 or normalisers.EYES not in names:
        return splits
    progress.note(f"errors are divided by the {normalisers.WIDTH}: the {normalisers.EYES} is known in one file alone")
    alike = {id(each): normalisers.by_width(each) for each in splits.values()}
    return {split: alike[id(each)] for split, each in splits.items()}


def _filled_in(pictures, file):
    """Those pictures of which a landmark is annotated or marked as hidden; all where there are none."""
    if pictures.landmarks is None:
        return pictures
    said = (pictures.annotated > 0) if pictures.hidden is None else (pictures.annotated > 0) | (pictures.hidden > 0)
    known = said.any(axis=1)
    if known.all() or not known.any():
        return pictures
    progress.note(f"{file}: {(~known).sum()} of {len(known)} pictures have no landmarks yet, and are left out")
    return pictures.take(np.flatnonzero(known))


def find_pictures(
    dir: str | os.PathLike, names: Sequence[str], wheres: Sequence[str], beside: str | os.PathLike | None = None
) -> list[str]:
    """Finds pictures by their names in a file of annotations, which may have been written on another system.

    Where there are no such files, backslashes are taken for slashes, letters with accents are looked for in the other
    form of Unicode, composed or not, as file systems differ, and folders that all names begin with are left out, as few
    as need be. Folders that some names alone begin with tell pictures apart, and stay.

    Args:
      dir: folder that names start from.
      names: of the files, with their folders, [N].
      wheres: the place of each name in the file of annotations, for the message, [N].
      beside: a folder to look into before `dir`.

    Returns:
      The paths, [N].

    Raises:
      ValueError: naming a picture that is not there, or two names that are found as one file, or a picture that is
        found without its folders, and with them near by.
    """
    first = dict(zip(reversed(names), reversed(wheres)))  # name -> the place where it stands first
    unique = list(dict.fromkeys(names))
    tops = (dir,) if beside is None else (beside, dir)
    common = os.path.commonprefix([_parts(name)[:-1] for name in unique])
    found: list[str] = []
    for count in range(len(common) + 1):
        paths = list(itertools.takewhile(bool, (_find(tops, name, count) for name in unique)))
        found = max(found, paths, key=len)
        if len(found) == len(unique):
            _check_nearer(tops, unique, found, common[:count], first)
            check_found(unique, found)
            _say_outside(found, tops)
            if count:
                _say_left_out(unique[0], found[0], count, first[unique[0]])
            by_name = dict(zip(unique, found))
            return [by_name[name] for name in names]
    missing = unique[len(found)]
    raise ValueError(progress.printable(f"{first[missing]}: there is no picture {_not_there(tops, missing)}"))


def _parts(name):
    return os.path.normpath(name.replace("\\", "/")).split("/")


def _find(tops, name, count):
    """Path of a picture whose name begins with so many folders that are left out; "" where there is none."""
    short = "/".join(_parts(name)[count:])
    for top, place in itertools.product(tops, (short,) if count else (name, short)):
        for form in (None, "NFC", "NFD"):
            path = os.path.join(top, unicodedata.normalize(form, place) if form else place)
            if os.path.isfile(path):
                return path
    return ""


def _check_nearer(tops, names, found, left, first):
    """Refuses pictures found with folders left out where some are there with fewer: then one of these is missing."""
    for fewer in range(len(left)):
        place = "/".join(left[fewer:])
        forms = {place, *(unicodedata.normalize(form, place) for form in ("NFC", "NFD"))}
        if not any(os.path.isdir(os.path.join(top, each)) for top in tops for each in forms):
            continue
        there = [_find(tops, name, fewer) for name in names]
        others = [path for path, short in zip(there, found) if path and not copies.is_same(path, short)]
        if others:
            missing = names[there.index("")]
            raise ValueError(
                progress.printable(
                    f"{first[missing]}: there is no picture {os.path.join(tops[-1], missing)}, and {others[0]} is "
                    f"there; put it there, or take it out of the file ({found[there.index('')]} may be another)"
                )
            )


def _say_outside(found, tops):
    """Says which pictures lie elsewhere, for whoever wrote the file may be somebody else."""
    folders = tuple(os.path.join(os.path.abspath(top), "") for top in tops)
    if outside := [path for path in found if not os.path.abspath(path).startswith(folders)]:
        progress.note(f"{len(outside)} pictures lie outside of {tops[-1]}: {progress.some(outside)}")


def _say_left_out(name, found, count, where):
    """Says which folders of a name were left out, unless they are those it is in; refuses it where they are near by."""
    parts = _parts(name)
    left = "/".join(parts[:count])
    place = pathlib.Path(found).absolute().parents[len(parts) - count - 1]
    if place.parts[-count:] == tuple(parts[:count]):
        return
    for top in place.parents[:_NEAR]:
        near = os.path.join(top, *parts)
        if os.path.isfile(near) and not copies.is_same(near, found):
            raise ValueError(
                f"{where}: {name} is at {near}, and without {left}/ at {found}, which is another; give {top} as the "
                "folder that names start from"
            )
    progress.note(progress.printable(f"names are found without {left}/: {name} as {found}"))


def _not_there(tops, name):
    """Where a picture was expected, and where it would be if folders were left out that not all names begin with."""
    expected, parts = os.path.join(tops[-1], name), _parts(name)
    for count in range(1, len(parts)):
        if path := _find(tops, name, count):
            left = "/".join(parts[:count])
            other = f"{path} is there, but not all names are found without {left}/"
            return f"{expected}; {other}: give the folder that they start from"
    return expected


def check_found(
    names: Sequence[str], paths: Sequence[str], todo: str = "give the folder that names start from"
) -> None:
    """Refuses what a file of annotations tells apart, and was found as one picture.

    Args:
      names: of pictures, or of what the file has one of for each picture: its images, tasks or frames; [N].
      paths: where they were found, [N].
      todo: what the message says is to be done.

    Raises:
      ValueError: naming two that differ, and the picture.
    """
    first: dict[str, str] = {}
    for name, path in zip(names, paths):
        other = first.setdefault(os.path.realpath(path), name)
        if other != name and os.path.normpath(other) != os.path.normpath(name):
            raise ValueError(f"{other} and {name} are both found as {path}; {todo}")


def read_text(path: str | os.PathLike, *, otherwise: str = "", newline: str | None = None) -> str:
    """Reads a text file in UTF-8.

    Args:
      path: of the file.
      otherwise: encoding of a file that is not in UTF-8, which is said; "" where there is none.
      newline: as of `open`: None takes all ends of lines for line feeds, "" leaves them as they are.

    Raises:
      ValueError: if it is not there or cannot be read, or is not text.
    """
    try:
        with open(path, encoding="utf-8-sig", newline=newline) as file:  # some programs begin it with a byte order mark
            return file.read()
    except UnicodeDecodeError as error:
        if not otherwise:
            raise ValueError(f"{path}: text in UTF-8 is expected; {error}") from error
        progress.note(f"{path}: is not in UTF-8, so it is read as {otherwise}")
        return pathlib.Path(path).read_text(encoding=otherwise, errors="replace")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; give a file of landmarks") from error


def read_csv(path: str | os.PathLike, most: int | None = None) -> list[tuple[str, list[str]]]:
    """Reads the lines of a CSV file that are not empty; cells end at commas, or as the first line says at ; or tabs.

    With `most`, no more than so many lines are read.

    Returns:
      Where each line is, as messages name it, and its cells.

    Raises:
      ValueError: as `read_text`, or naming the line that is no CSV.
    """
    text = read_text(path, newline="")  # for a quoted cell may hold a carriage return
    first = io.StringIO(text, newline="").readline()
    delimiter = next((each for each in ",;\t" if each in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        lines = ((f"{path}, line {reader.line_num}", cells) for cells in reader if any(map(str.strip, cells)))
        return list(itertools.islice(lines, most))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def read_matlab(path: str | os.PathLike, name: str, *, structs: bool = False) -> Any:
    """Reads a variable from a MATLAB file.

    Args:
      path: of the file.
      name: of a variable in it.
      structs: says that it is a struct. Then a dictionary is returned, in which an array of structs is a list, or one
        dictionary where there is one, and what is empty is an array of no size; else numbers, float64.

    Raises:
      ValueError: if the file is not there, cannot be read or has no such variable.
    """
    import scipy.io  # not above: it takes time, and a configuration is checked without it

    try:
        found = scipy.io.loadmat(path, appendmat=False, simplify_cells=structs)[name]
        return found if structs else np.asarray(found, np.float64)
    except KeyError as error:
        raise ValueError(f"{path} has no {name}; is it an annotation of this data set?") from error
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}; an annotation is expected there") from error
    except Exception as error:  # SciPy raises almost anything at damaged data
        raise ValueError(f"{path}: not a MATLAB file that can be read ({error})") from error


def square_around(boxes: np.ndarray) -> np.ndarray:
    """Grows boxes to squares around the same centres: the longer side of each, and a quarter more on each side.

    Args:
      boxes: [N, 4], left, top, right, bottom.

    Returns:
      float32 [N, 4].
    """
    boxes = np.asarray(boxes, np.float64)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = 0.75 * np.max(boxes[:, 2:] - boxes[:, :2], axis=1, keepdims=True)
    return np.concatenate([centres - halves, centres + halves], axis=1).astype(np.float32)
