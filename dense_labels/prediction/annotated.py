"""Annotations as `Predictions`, so that they are written in every format that predictions are written in."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from dense_labels import files, progress
from dense_labels.prediction.predictions import OBJECT, Predictions
from input_pipeline.readers import normalisers
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import decoding


def of_pictures(pictures: Pictures, folder: str | os.PathLike) -> Predictions:
    """Makes predictions of annotated pictures, whose score is 1.

    Args:
      pictures: with landmarks, such as `annotation_files.read` returns; each of its rows becomes one.
      folder: that their names start from.

    Returns:
      `Predictions`; points that are not annotated are NaN.

    Raises:
      ValueError: if the pictures have no landmarks, or one of them cannot be read or has a name that is not UTF-8.
    """
    if pictures.landmarks is None:
        raise ValueError("the pictures have no landmarks; read annotations")
    sizes = decoding.read_sizes(pictures.paths)
    for path, size in sizes.items():
        if not all(size):
            raise ValueError(f"{path}: cannot be read, so its size is not known; leave it out")
        if not files.is_text(os.path.relpath(path, folder)):
            raise ValueError(progress.printable(f"{path}: {files.NOT_TEXT}, so no annotations can name it; rename it"))
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
        around=normalisers.own_boxes(pictures),
        category=pictures.category or OBJECT,
        by_hand=True,
    )


def with_landmarks(found: Predictions, names: Sequence[str]) -> Predictions:
    """Returns the same with landmarks in another order, told apart by their names.

    Args:
      found: N rows.
      names: K, of all its landmarks that matter and of others, which have no place.
    """
    column = {name: k for k, name in enumerate(found.landmark_names)}
    place = {name: k for k, name in enumerate(names)}
    order = [column.get(name, -1) for name in names]  # the last is one that is nowhere

    def ordered(values, missing):
        return np.concatenate([values, np.full_like(values[:, :1], missing)], axis=1)[:, order]

    def moved(pairs):
        named = ((found.landmark_names[a], found.landmark_names[b]) for a, b in pairs)
        return tuple((place[a], place[b]) for a, b in named if a in place and b in place)

    return dataclasses.replace(
        found,
        landmark_names=tuple(names),
        points=ordered(found.points, np.nan),
        score=ordered(found.score, 0),
        hidden=None if found.hidden is None else ordered(found.hidden, False),
        skeleton=moved(found.skeleton),
        flip_pairs=moved(found.flip_pairs),
    )


def joined(first: Predictions, second: Predictions, rows: Sequence[int]) -> Predictions:
    """Returns rows of annotations of two files; lines and pairs of landmarks are those of the second, if it has any.

    The objects are called as in the first, or where they have no name there, as in the second. They are annotations if
    no row is of predictions.

    Args:
      first: N rows, from the same folder and with the same landmarks as the second.
      second: M rows, with boxes of their own where the first has such.
      rows: indices of rows, those of the second counted from N on.
    """
    both, chosen = (first, second), np.asarray(rows, np.int64)
    hidden = [np.zeros_like(each.known) if each.hidden is None else each.hidden for each in both]
    marks = np.concatenate(hidden)[chosen]
    by_hand = np.repeat([each.by_hand for each in both], [len(each) for each in both])[chosen]
    return Predictions(
        first.folder,
        tuple(np.array([*first.names, *second.names], object)[chosen]),
        np.concatenate([each.sizes for each in both])[chosen],
        first.landmark_names,
        np.concatenate([each.points for each in both])[chosen],
        np.concatenate([each.score for each in both])[chosen],
        named=first.named,
        hidden=marks if marks.any() else None,
        around=None if first.around is None else np.concatenate([each.around for each in both])[chosen],
        skeleton=second.skeleton or first.skeleton,
        flip_pairs=second.flip_pairs or first.flip_pairs,
        category=next((each.category for each in both if each.category != OBJECT), OBJECT),
        by_hand=bool(by_hand.all()),
    )
