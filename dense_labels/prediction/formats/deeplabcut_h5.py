"""DeepLabCut's H5 file: the same table as its CSV, see `deeplabcut`, as pandas keeps it.

Key and levels are those of DeepLabCut's own files (`df_with_missing`; scorer, bodyparts, coords). The index is of whole
numbers where the pictures are frames of a video, as DeepLabCut's `analyze_videos` writes it.
"""

from __future__ import annotations

import pathlib
import tempfile
from typing import TYPE_CHECKING

from dense_labels import progress
from dense_labels.prediction.formats import deeplabcut
from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_LEVELS = ("scorer", "bodyparts", "coords")


def check(predictions: Predictions) -> None:
    """Refuses several objects in one picture with a ValueError."""
    predictions.check_alone("deeplabcut_h5")


@FORMATS.register(
    "deeplabcut_h5",
    "DeepLabCut's H5 of x, y and likelihood",
    file="points_deeplabcut.h5",
    needs=("pandas", "tables"),
    extra="h5",
    reader="deeplabcut",
    one_row=True,
    check=check,
)
def write(predictions: Predictions) -> bytes:
    """Writes the table of `deeplabcut` with pandas.

    Raises:
      ValueError: if pandas is not installed, or a picture has several objects.
    """
    try:
        import pandas
        import tables  # noqa: F401  which pandas writes HDF5 with
    except ImportError as error:
        raise progress.not_installed("deeplabcut_h5", "pandas with PyTables", "h5") from error
    check(predictions)
    axes = deeplabcut.coords(predictions)
    columns = [(deeplabcut.SCORER, name, axis) for name in predictions.landmark_names for axis in axes]
    table = pandas.DataFrame(
        deeplabcut.cells(predictions).reshape(len(predictions), -1).astype("float64"),
        columns=pandas.MultiIndex.from_tuples(columns, names=_LEVELS),
        index=pandas.Index(deeplabcut.index(predictions), dtype=object if predictions.frames is None else "int64"),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "points.h5")
        table.to_hdf(path, key="df_with_missing", mode="w")
        return path.read_bytes()
