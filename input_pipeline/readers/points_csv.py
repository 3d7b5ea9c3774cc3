"""Landmarks from a table: one line a picture, two columns a landmark."""

import math
import os

import numpy as np

from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import coco_parts, landmark_files, normalisers
from input_pipeline.readers.pictures import Pictures

_HEADERS = "file,x0,y0,x1,y1,... or file,left_eye_x,left_eye_y,..."


@READERS.register(
    "csv",
    "pictures with landmarks in a table, one line a picture",
    keys=landmark_files.KEYS,
    check=landmark_files.check,
    annotations=".csv",
    marks_unplaced=True,
)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads the tables of a configuration; see `read_table`."""
    return landmark_files.read_splits(data, lambda annotations: read_table(data.dir, annotations))


def read_table(dir: str | os.PathLike, annotations: str | os.PathLike) -> Pictures:
    """Reads a CSV file whose header is `file,x0,y0,x1,y1,...` or, with names, `file,left_eye_x,left_eye_y,...`.

    Convention: points are in continuous pixels, (0, 0) the picture's outer top-left corner. Two empty cells are a
    landmark that is not annotated. A third column of each landmark, `left_eye_v` or `v0`, may say as COCO's v does: 1
    where something hides it, with a place or without; 2 or nothing where it is seen; 0 or nothing without a place.

    Errors are divided by the eye distance where there are landmarks left_eye and right_eye, see
    `normalisers.add`; else by the picture width.

    Args:
      dir: folder that the files of the first column start from.
      annotations: path of the CSV file.

    Returns:
      `Pictures` in the order of the file; landmarks have names where the header gives them.

    Raises:
      ValueError: naming the file and its line that is wrong, or the picture that is not there.
    """
    (where, header), *lines = _lines(annotations)
    axes, names = _names([column.strip() for column in header], where)
    rows = [_row(header, cells, where, axes) for where, cells in lines]
    if not rows:
        raise ValueError(f"{annotations} lists no pictures")
    paths = landmark_files.find_pictures(dir, [cells[0] for _, cells in lines], [where for where, _ in lines])
    points = np.array(rows, np.float32)  # [N, K, 4]
    pictures = Pictures(
        tuple(paths),
        landmarks=points[..., :2].copy(),
        annotated=points[..., 2].copy(),
        landmark_names=names,
        hidden=points[..., 3].copy() if axes == "xyv" else None,
    )
    return normalisers.add(
        pictures,
        normalisers.eyes(names),
        normalisers.EYES,
        otherwise=lambda: (normalisers.picture_widths(paths), normalisers.WIDTH),
    )


def _lines(file):
    """The lines that are not empty: where they are, as messages name it, and their cells."""
    return landmark_files.read_csv(file) or [(f"{file}, line 1", [])]


def _names(header, where):
    """The columns of each landmark, "xy" or "xyv", and the names of the landmarks; none if they are numbered."""
    columns = header[1:]
    for axes in ("xy", "xyv"):
        count = len(columns) // len(axes)
        if header[:1] == ["file"] and columns and columns == [f"{axis}{k}" for k in range(count) for axis in axes]:
            return axes, ()
        names = tuple(column.removesuffix("_x") for column in columns[:: len(axes)])
        named = columns == [f"{name}_{axis}" for name in names for axis in axes]
        if header[:1] == ["file"] and names and named and len(set(names)) == len(names):
            return axes, names
    raise ValueError(f"{where}: the header must be {_HEADERS}; found {','.join(header)}")


def _row(header, cells, where, axes):
    """Points [K, 4], x, y, 1 where annotated and 1 where hidden, of a line."""
    if len(cells) != len(header):
        raise ValueError(f"{where}: {len(header)} cells are expected, as in the header; found {len(cells)}")
    numbers = [_number(cell.strip(), column, where) for cell, column in zip(cells[1:], header[1:])]
    step, points = len(axes), []
    for first in range(0, len(numbers), step):
        (x, y, *rest), column = numbers[first : first + step], header[1 + first]
        if (x is None) != (y is None):
            raise ValueError(f"{where}: {column} and the cell after it must both be numbers, or both be empty")
        coco_parts.check_marks([mark for mark in rest if mark is not None], where, header[first + step])
        if rest and rest[0] not in ((None, 0, 1) if x is None else (None, 1, 2)):
            raise ValueError(
                f"{where}: {header[first + step]} must be 1 where something hides the landmark, 2 or empty where it is "
                f"seen, and 0 or empty where it is not annotated; found {cells[first + step].strip()}"
            )
        points.append((0, 0, 0, rest == [1]) if x is None else (x, y, 1, rest == [1]))
    return points


def _number(cell, column, where):
    try:
        number = float(cell) if cell else None
    except ValueError:
        number = math.nan
    if number is not None and not math.isfinite(number):
        raise ValueError(f"{where}: {cell!r} in column {column} is not a number")
    return number
