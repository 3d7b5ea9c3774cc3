"""Tables that pandas keeps in HDF5 files, and YAML files: read without running what a file says."""

import os
from typing import Any

import numpy as np

from dense_labels import progress
from input_pipeline.readers import landmark_files
from input_pipeline.readers.formats import hdf5_files

_MOST_VALUES = 1_000_000  # of a YAML file


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
        raise progress.not_installed(f"{path}: an .h5 file", "pandas with PyTables", "h5") from error
    try:
        hdf5_files.check(path)
        with hdf5_files.without_objects(), pandas.HDFStore(path, "r") as store:
            table = pandas.read_hdf(store)
        levels = [str(name) for name in table.columns.names]
        columns = [column if isinstance(column, tuple) else (column,) for column in table.columns]
        return levels, columns, list(table.index), np.asarray(table, np.float64)
    except Exception as error:  # both raise almost anything at damaged files
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: is no table of DeepLabCut that can be read ({words})") from error


def read_yaml(path: str | os.PathLike, *, otherwise: str = "") -> dict[str, Any]:
    """Reads a YAML file of keys and values, in UTF-8 or `otherwise` as of `landmark_files.read_text`.

    Raises:
      ValueError: if it is not there, or holds something else.
    """
    import yaml

    try:
        content = yaml.safe_load(landmark_files.read_text(path, otherwise=otherwise))
        if _size(content, {}) > _MOST_VALUES:
            raise yaml.YAMLError("its aliases spell out too many values")
    except (yaml.YAMLError, RecursionError, OverflowError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: keys and values are expected, as in a configuration")
    return content


def _size(value, known):
    """How many values there are once aliases are spelt out, of which a short file can have as many as it likes."""
    if not isinstance(value, (dict, list, tuple)):
        return 1
    if id(value) not in known:
        known[id(value)] = _MOST_VALUES + 1  # of one that holds itself
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(value)]
