"""Merges corrected annotations with earlier ones."""

from __future__ import annotations

import os
import pathlib

from dense_labels import files
from input_pipeline.readers import landmark_files


def merge_annotations(
    older: str | os.PathLike, newer: str | os.PathLike, out: str | os.PathLike
) -> tuple[pathlib.Path, int, int]:
    """Writes a table of annotations with all pictures of two; of a picture that both have, as the newer has it.

    Args:
      older: a table as `--annotations` reads it, with the header `file,NAME_x,NAME_y,...`; it is left as it is.
      newer: another with the same landmarks, in any order; it is left as it is.
      out: the file to write.

    Returns:
      The file that was written, how many pictures were corrected, and how many were added.

    Raises:
      ValueError: if a table cannot be read or names a picture twice, the landmarks differ, or `out` is one of the two.
      OSError: if the file cannot be written.
    """
    from dense_labels.prediction.formats import csv  # not above: formats are listed in the order of imports

    older, newer, out = (pathlib.Path(os.path.expanduser(os.fspath(path))) for path in (older, newer, out))
    if out.resolve() in (older.resolve(), newer.resolve()):
        raise ValueError(f"{out} is one of the tables to merge, which are kept; give another name to write to")
    columns, before = _read(older)
    others, after = _read(newer)
    if sorted(columns) != sorted(others):
        lacking = sorted(set(columns) ^ set(others)) or columns
        raise ValueError(f"{newer} and {older} have other landmarks: only one has the columns {', '.join(lacking)}")
    order = [others.index(column) for column in columns]
    after = {name: [cells[place] for place in order] for name, cells in after.items()}
    rows = ([name, *cells] for name, cells in {**before, **after}.items())
    files.write_whole(out, csv.table([["file", *columns]], rows))
    return out, len(before.keys() & after.keys()), len(after.keys() - before.keys())


def _read(file):
    """The columns of a table but the first, and the cells of each picture."""
    (where, header), *lines = landmark_files.read_csv(file) or [(f"{file}, line 1", [""])]
    header = [column.strip() for column in header]
    if header[0] != "file" or len(header) < 3:
        raise ValueError(f"{where}: the header must be file,NAME_x,NAME_y,...; found {','.join(header)}")
    rows: dict[str, list[str]] = {}
    for place, cells in lines:
        if len(cells) != len(header):
            raise ValueError(f"{place}: {len(header)} cells are expected, as in the header; found {len(cells)}")
        if cells[0] in rows:
            raise ValueError(f"{place}: {cells[0]} is there twice, and it cannot be told which row was corrected")
        rows[cells[0]] = cells[1:]
    return header[1:], rows
