"""Landmarks of DeepLabCut: CollectedData_SCORER.csv and .h5, and whole projects.

Convention: DeepLabCut counts pixels from 0 at their centre, as the layer of points in napari in which they are clicked,
so half a pixel is added. An empty cell is a landmark that is not annotated.

Where from: DeepLabCut's documentation ("Using data labeled in other software in DeepLabCut") and what its labelling
writes: rows of headings `scorer`, `individuals` (of several animals), `bodyparts` and `coords`; the name of a picture,
`labeled-data/VIDEO/img0001.png`, in one column or in three. What it analysed has `likelihood` too: passed over.
"""

import collections
import os
import pathlib
from typing import Any, NamedTuple

from dense_labels import progress
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import annotated, landmark_files
from input_pipeline.readers.annotated import Found, Object
from input_pipeline.readers.formats import pandas_files
from input_pipeline.readers.pictures import Pictures

_HALF = 0.5
_LEVELS = ("scorer", "individuals", "bodyparts", "coords")
_UNIQUE = "single"  # the individual that has the landmarks that belong to no animal


class _Table(NamedTuple):
    columns: list[tuple[str, str, str]]  # individual, body part and x, y or likelihood
    rows: list[tuple[str, str, list[Any]]]  # where it is, the name of the picture, and the cells


def holds(path: str) -> bool:
    """Says whether a CSV file has DeepLabCut's headings, an .h5 file a table of pandas, or a folder is a project."""
    if os.path.isdir(path):
        return os.path.isfile(os.path.join(path, "config.yaml")) and os.path.isdir(os.path.join(path, "labeled-data"))
    if path.lower().endswith(".h5"):
        return pandas_files.holds(path)
    try:
        first = [cells[0].strip() for _, cells in landmark_files.read_csv(path, most=2)]
    except ValueError:
        return False
    return first in (["scorer", "individuals"], ["scorer", "bodyparts"])


@READERS.register(
    "deeplabcut",
    "pictures with landmarks in DeepLabCut's CollectedData .csv or .h5, or in a project",
    keys=annotated.KEYS,
    check=landmark_files.check,
    annotations=(".csv", ".h5", "folder"),
    holds=holds,
)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads the files or projects of a configuration; see `read_file`."""
    return annotated.read_splits(data, read_file)


def read_file(
    dir: str | os.PathLike, annotations: str | os.PathLike, *, boxed: bool = False, category: str = ""
) -> Pictures:
    """Reads a file of landmarks, or all CollectedData files of a project, with the skeleton of its config.yaml.

    Pictures are looked for in the project that the file lies in, then in `dir`. Of a project the CSV file of a video is
    read, or its .h5 file where it has no other. Individuals of one picture are objects in boxes about their landmarks.
    Landmarks that belong to no animal, which DeepLabCut gives to an individual `single`, are an object of that kind:
    where there are animals too, those are read, and it is said; `category="single"` reads the others.

    Args:
      dir: folder that names of pictures start from.
      annotations: path of the .csv or .h5 file, or of the project's folder.
      boxed: whether boxes about the landmarks are asked for.
      category: single, of the landmarks that belong to no animal; "" of the animals.

    Returns:
      `Pictures`, one for each individual that has landmarks.

    Raises:
      ValueError: naming the file and its line that is wrong, or the picture that is not there.
    """
    path = pathlib.Path(annotations)
    is_project = path.is_dir()
    config = _config_of(path) if is_project else {}
    files = _files_of_project(path, config.get("scorer")) if is_project else [path]
    project = path if is_project else _project_of(path)
    tables = [(_read_h5 if file.suffix.lower() == ".h5" else _read_csv)(file) for file in files]
    rows = [row for table in tables for row in table.rows]
    if rows and all(name.isdecimal() for _, name, _ in rows):
        raise ValueError(
            f"{annotations}: its rows are numbers of frames, as of an analysed video, and name no pictures; give the "
            "CollectedData file of labelled frames"
        )
    paths = landmark_files.find_pictures(dir, [name for _, name, _ in rows], [where for where, _, _ in rows], project)
    if twice := [name for name, count in collections.Counter(name for _, name, _ in rows).items() if count > 1]:
        raise ValueError(f"{twice[0]} has several rows in {annotations}; leave one")
    by_name = {name: path for (_, name, _), path in zip(rows, paths)}
    objects, names = _objects_and_names(tables, by_name, annotations, category)
    found = Found(objects, names, skeleton=_skeleton(config))
    return annotated.pictures(annotations, found, boxed=boxed, category=category)


def _objects_and_names(tables, paths, file, category):
    """The objects that are asked for, and kind of object -> its landmarks; says what is not kept of the file."""
    columns = [column for table in tables for column in table.columns]
    animals = {individual for individual, *_ in columns} - {"", _UNIQUE}
    if len(animals) > 1:
        progress.note(f"{file}: which of the {len(animals)} individuals an object is, is not kept")
    has_unique = len({individual == _UNIQUE for individual, *_ in columns}) > 1
    objects = [each for table in tables for each in _objects(table, paths, has_unique)]
    both = len({each.kind for each in objects}) > 1
    if both and category != _UNIQUE:
        progress.note(f"{file}: landmarks of no animal are left out; --category={_UNIQUE} reads them alone")
    if both or category:
        objects = [each for each in objects if not has_unique or (each.kind == _UNIQUE) == (category == _UNIQUE)]
    names: dict[str, dict[str, None]] = {}
    for individual, part, _ in columns:
        names.setdefault(_kind(individual, has_unique), {})[part] = None
    return objects, {kind: list(parts) for kind, parts in names.items()}


def _kind(individual, has_unique):
    return _UNIQUE if has_unique and individual == _UNIQUE else ""


def _config_of(project):
    """What config.yaml says; nothing where it cannot be read, which is said, for landmarks do not depend on it."""
    try:
        return pandas_files.read_yaml(project / "config.yaml", otherwise="cp1252")  # DeepLabCut writes it so on Windows
    except ValueError as error:
        progress.warn(f"{error}; so there is no skeleton")
        return {}


def _files_of_project(project, scorer):
    """One file of landmarks of each video: that of the scorer, where DeepLabCut has left copies of it."""
    files = []
    for video in sorted(path for path in (project / "labeled-data").iterdir() if path.is_dir()):
        found = sorted(video.glob("CollectedData_*.csv")) or sorted(video.glob("CollectedData_*.h5"))
        if len(found) > 1:
            found = [file for file in found if file.stem == f"CollectedData_{scorer}"] or found
        if len(found) > 1:
            raise ValueError(
                f"{video} has {len(found)} files CollectedData_*, none of config.yaml's scorer ({scorer}); leave one"
            )
        files += found
    if not files:
        raise ValueError(
            f"{project} has no labeled-data/VIDEO/CollectedData_SCORER.csv or .h5; label some frames first"
        )
    return files


def _project_of(file):
    """The folder that `labeled-data` of a file lies in, else the file's own."""
    parents = file.absolute().parents
    return next((folder.parent for folder in parents if folder.name == "labeled-data"), parents[0])


def _skeleton(config):
    pairs = config.get("skeleton")
    pairs = pairs if isinstance(pairs, list) else []
    return [
        pair for pair in pairs if isinstance(pair, list) and len(pair) == 2 and all(isinstance(k, str) for k in pair)
    ]


def _read_csv(file):
    lines = landmark_files.read_csv(file)
    count = next((k for k, (_, cells) in enumerate(lines) if cells[0].strip() == "coords"), -1) + 1
    levels = [cells[0].strip() for _, cells in lines[:count]]
    if levels not in ([*_LEVELS], [level for level in _LEVELS if level != "individuals"]):
        raise ValueError(
            f"{file}: three rows of headings are expected, scorer, bodyparts and coords, as DeepLabCut has"
        )
    where, width = lines[count - 1][0], len(lines[count - 1][1])
    headings = {level: cells for level, (_, cells) in zip(levels, lines[:count])}
    if any(len(cells) != width for _, cells in lines[:count]):
        raise ValueError(f"{where}: all rows of headings must have the same number of cells")
    first = next((k for k, cell in enumerate(headings["coords"][1:], start=1) if cell.strip()), width)
    headings.setdefault("individuals", [""] * width)
    columns = list(zip(*(headings[level][first:] for level in _LEVELS[1:])))
    rows = []
    for place, cells in lines[count:]:
        if len(cells) != width:
            raise ValueError(f"{place}: {width} cells are expected, as in the headings; found {len(cells)}")
        rows.append((place, "/".join(cell for cell in cells[:first] if cell), cells[first:]))
    return _checked(_Table(columns, rows), file)


def _read_h5(file):
    levels, columns, index, cells = pandas_files.read_table(file)
    if levels not in ([*_LEVELS], [level for level in _LEVELS if level != "individuals"]):
        raise ValueError(f"{file}: columns are expected by scorer, bodyparts and coords; found {', '.join(levels)}")
    named = [dict(zip(levels, column)) for column in columns]
    keys = [tuple(each.get(level, "") for level in _LEVELS[1:]) for each in named]
    names = ["/".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in index]
    rows = [(f"{file}, row {k + 1}", name, list(row)) for k, (name, row) in enumerate(zip(names, cells))]
    return _checked(_Table(keys, rows), file)


def _checked(table, file):
    """A table whose columns are x and y of each landmark, each once; refuses those of three dimensions."""
    columns = [tuple(str(part).strip() for part in column) for column in table.columns]
    kept = [k for k, column in enumerate(columns) if column[2] != "likelihood"]
    wrong = [column for column in columns if column[2] not in ("x", "y", "likelihood") or not column[1]]
    pairs = {(*column[:2], axis) for column in columns for axis in "xy"}
    if wrong or {columns[k] for k in kept} != pairs or len(kept) != len(pairs) or not kept:
        raise ValueError(f"{file}: columns x and y of each body part, named and each once, are expected beside coords")
    if len(kept) < len(columns):
        progress.note(f"{file}: has the likelihood of what was predicted; it is passed over, and all places are read")
    rows = [(where, name, [cells[k] for k in kept]) for where, name, cells in table.rows]
    return _Table([columns[k] for k in kept], rows)


def _objects(table, paths, has_unique):
    """An object for each individual of each row, by the paths of pictures of each name."""
    objects = []
    for where, name, cells in table.rows:
        values = {column: _cell(cell, where, column) for column, cell in zip(table.columns, cells)}
        places: dict[str, dict[str, tuple[float, float]]] = {}
        for individual, part in dict.fromkeys(column[:2] for column in table.columns):
            x, y = (values[individual, part, axis] for axis in "xy")
            if (x is None) != (y is None):
                raise ValueError(f"{where}: x and y of {part} must both be numbers, or both be empty")
            if x is not None:
                places.setdefault(individual, {})[part] = x + _HALF, y + _HALF
        objects += [
            Object(where, paths[name], points, kind=_kind(individual, has_unique))
            for individual, points in places.items()
        ]
    return objects


def _cell(cell, where, column):
    """A number, or None where the cell is empty."""
    text = cell.strip() if isinstance(cell, str) else cell
    if text in ("", None) or text != text or isinstance(text, str) and text.lower() == "nan":
        return None
    return annotated.number(text, f"{where}: {column[1]} {column[2]}")
