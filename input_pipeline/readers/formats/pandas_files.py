"""Tables that pandas keeps in HDF5 files, and YAML files: read without running what a file says.

PyTables takes attributes that look like pickled Python objects for such, and a pickled object can run a program. So
each is looked through first, and one that would make anything but lists, tuples, text and numbers is refused.
"""

import os
import pickletools
from typing import Any

import numpy as np

from input_pipeline.readers import landmark_files

_MAKE = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "BUILD", "EXT1", "EXT2", "EXT4"}
_EXTRA = 'needs pandas and PyTables: pip install "dense-labels[h5]"'


def holds(path: str | os.PathLike) -> bool:
    """Says whether an HDF5 file holds a table of pandas."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return any("pandas_type" in group.attrs for group in file.values())
    except Exception:  # h5py raises almost anything at damaged files
        return False


def read_table(path: str | os.PathLike) -> tuple[list[str], list[tuple[Any, ...]], list[Any], np.ndarray]:
    """Reads the only table of numbers of an HDF5 file.

    Returns:
      Names of the levels of its columns; the columns, one name for each level; the index of its rows; the cells,
      float64 [rows, columns], NaN where they are empty.

    Raises:
      ValueError: if pandas is not installed, or the file is not there, damaged, or of another kind.
    """
    try:
        import pandas
        import tables  # noqa: F401  which pandas reads HDF5 with
    except ImportError as error:
        raise ValueError(f"{path}: an .h5 file {_EXTRA}") from error
    try:
        if not _is_plain(path):
            raise ValueError("it holds Python objects, which could run a program")
        table = pandas.read_hdf(path)
        levels = [str(name) for name in table.columns.names]
        columns = [column if isinstance(column, tuple) else (column,) for column in table.columns]
        return levels, columns, list(table.index), np.asarray(table, np.float64)
    except Exception as error:  # both raise almost anything at damaged files
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: is no table of DeepLabCut that can be read ({words})") from error


def _is_plain(path):
    """Whether no attribute or array of an HDF5 file is a pickled object that makes more than plain values."""
    import h5py

    suspects = []

    def look(_, each):
        suspects.append(each.attrs.get("PSEUDOATOM") in (b"object", "object"))
        for value in each.attrs.values():
            content = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
            suspects.append(isinstance(content, bytes) and content.endswith(b".") and _makes_objects(content))

    with h5py.File(path, "r") as file:
        look("", file)
        file.visititems(look)
    return not any(suspects)


def _makes_objects(value):
    try:
        return any(opcode.name in _MAKE for opcode, _, _ in pickletools.genops(value))
    except Exception:  # what is no pickle, up to where it is none
        return False


def read_yaml(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a YAML file of keys and values.

    Raises:
      ValueError: if it is not there, or holds something else.
    """
    import yaml

    try:
        content = yaml.safe_load(landmark_files.read_text(path))
    except (yaml.YAMLError, RecursionError, OverflowError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: keys and values are expected, as in a configuration")
    return content
