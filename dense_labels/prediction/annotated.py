"""Annotations as `Predictions`, so that they are written in every format that predictions are written in."""

import os

import numpy as np

from dense_labels.prediction.predictions import Predictions
from input_pipeline.readers import annotated
from input_pipeline.readers.pictures import Pictures


def of_pictures(pictures: Pictures, folder: str | os.PathLike) -> Predictions:
    """Makes predictions of annotated pictures, whose score is 1.

    Args:
      pictures: with landmarks, such as `annotation_files.read` returns; each of its rows becomes one.
      folder: that their names start from.

    Returns:
      `Predictions`; points that are not annotated are NaN.

    Raises:
      ValueError: if the pictures have no landmarks, or one of them cannot be read.
    """
    if pictures.landmarks is None:
        raise ValueError("the pictures have no landmarks; read annotations")
    sizes = annotated.sizes(pictures.paths)
    for path, size in sizes.items():
        if not all(size):
            raise ValueError(f"{path}: cannot be read, so its size is not known; leave it out")
    known = pictures.annotated > 0
    numbers = tuple(str(k) for k in range(known.shape[1]))
    return Predictions(
        os.fspath(folder),
        tuple(os.path.relpath(path, folder).replace(os.sep, "/") for path in pictures.paths),
        np.array([sizes[path] for path in pictures.paths], np.int64),
        pictures.landmark_names or numbers,
        np.where(known[..., np.newaxis], pictures.landmarks, np.nan).astype(np.float32),
        known.astype(np.float32),
        named=bool(pictures.landmark_names),
        hidden=None if pictures.hidden is None else pictures.hidden > 0,
        skeleton=pictures.skeleton,
        flip_pairs=pictures.flip_pairs,
    )
