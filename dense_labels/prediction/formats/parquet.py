"""Parquet, for tables of many rows: Spark, BigQuery, DuckDB and pandas read it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from dense_labels import progress
from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions


@FORMATS.register(
    "parquet",
    "a Parquet table of points and scores: continuous pixels",
    file="points.parquet",
    needs=("pyarrow",),
    extra="beam",
)
def write(predictions: Predictions) -> bytes:
    """Writes the columns `file`, `height`, `width`, and of each landmark `NAME_x`, `NAME_y` and `NAME_score`.

    What is known of it follows: `NAME_expected_error` in pixels, `NAME_likelihood`, `NAME_present`; of a row, `object`,
    `frame` and `seconds`. A landmark whose place is not known has NaN there.

    Raises:
      ValueError: if pyarrow is not installed, or not for this NumPy.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise progress.not_installed("parquet", "a pyarrow that fits", "beam") from error
    content = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(_columns(predictions, pyarrow)), content)
    return content.getvalue()


def _columns(predictions, pyarrow):
    p = predictions
    facts = {"height": p.sizes[:, 0], "width": p.sizes[:, 1], "object": p.objects, "frame": p.frames}
    facts["seconds"] = p.seconds
    columns = {"file": pyarrow.array(p.names, pyarrow.string())}
    columns |= {name: pyarrow.array(values) for name, values in facts.items() if values is not None}
    numbers = {"x": p.points[..., 0], "y": p.points[..., 1], "score": p.score}
    numbers |= {"expected_error": p.expected_error, "likelihood": p.likelihood, "present": p.present}
    for k, landmark in enumerate(p.landmark_names):
        of_landmark = {f"{landmark}_{name}": values[:, k] for name, values in numbers.items() if values is not None}
        columns |= {name: pyarrow.array(values) for name, values in of_landmark.items()}
    return columns
