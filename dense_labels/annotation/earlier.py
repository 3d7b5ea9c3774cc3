"""Annotations that there are already, in any of the formats that are read."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dense_labels import config as config_lib
from dense_labels import files, progress, run_config
from dense_labels.evaluation import sides
from dense_labels.registry import READERS
from input_pipeline.readers import consistency, normalisers
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import copies, decoding


class Earlier(NamedTuple):
    """The annotated pictures of a file: A of them, with K landmarks."""

    paths: tuple[str, ...]
    points: np.ndarray  # float32 [A, K, 2], (x, y) in continuous pixels of the upright pictures
    annotated: np.ndarray  # float32 [A, K]: 1 where a landmark is annotated, else 0
    landmark_names: tuple[str, ...]
    hidden: np.ndarray  # float32 [A, K]: 1 where something hides a landmark, whether it is annotated or not, else 0
    category: str = ""  # what the annotations call the objects, where they do

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: Sequence[int]) -> Earlier:
        """Returns the pictures at some indices, in that order."""
        paths, rows = tuple(self.paths[index] for index in indices), np.array(indices, int)
        facts = self.landmark_names, self.hidden[rows], self.category
        return Earlier(paths, self.points[rows], self.annotated[rows], *facts)


def nothing(names: Sequence[str] = ()) -> Earlier:
    """Returns no annotated picture, of landmarks with these names."""
    none = np.zeros([0, len(names)], np.float32)
    return Earlier((), np.zeros([0, len(names), 2], np.float32), none, tuple(names), none)


def read(
    config: config_lib.Config, annotations: str | os.PathLike | None, folder: str, category: str | None = None
) -> Earlier:
    """Reads annotations.

    Args:
      config: of the run.
      annotations: a file or folder that one of the readers knows by its name; None for none.
      folder: that names of pictures start from.
      category: name or id of the objects, where annotations are of several kinds.

    Returns:
      The pictures in which a landmark is annotated, or marked as hidden.

    Raises:
      ValueError: if they cannot be read, a picture cannot, they contradict the pictures as `consistency.checked` says,
        or they have two objects in one picture, of which a page shows one.
    """
    if annotations is None:
        return nothing()
    trained_on, config = config.data.dir, run_config.with_landmarks(config, annotations, None, folder)
    config.data.boxes = ""  # points alone are taken, and a page shows whole pictures
    config.data.category = category or config.data.category
    if category:
        config_lib.check_used(config, ["data.category"])
    pictures = READERS[config.data.name].value(config.data)["annotated"]
    texts = [index for index, path in enumerate(pictures.paths) if files.is_text(path)]
    if len(texts) < len(pictures):
        progress.note(f"{len(pictures) - len(texts)} annotated pictures have names that are no text: rename them")
        pictures = pictures.take(texts)
    seen: set[str] = set()
    for path in map(os.path.realpath, pictures.paths):
        if path in seen:
            raise ValueError(f"{annotations}: {path} has two objects; a page is for pictures of one object each")
        seen.add(path)
    # A page hands points on with the true sizes of their pictures: what contradicts these could not be told afterwards.
    pictures = consistency.checked(pictures, np.array([decoding.read_size(path) for path in pictures.paths]))
    marked = pictures.annotated if pictures.hidden is None else np.maximum(pictures.annotated, pictures.hidden)
    pictures = pictures.take(np.flatnonzero(marked.any(axis=1)))  # others are to be annotated yet
    _warn_of_others(pictures.paths, folder, trained_on, annotations)
    _say_what_goes(pictures, annotations)
    landmarks = pictures.landmark_names or tuple(str(k) for k in range(pictures.landmarks.shape[1]))
    hidden = np.zeros_like(pictures.annotated) if pictures.hidden is None else pictures.hidden
    return Earlier(pictures.paths, pictures.landmarks, pictures.annotated, landmarks, hidden, pictures.category)


def _warn_of_others(paths: Sequence[str], folder: str, trained_on: str, annotations: str | os.PathLike) -> None:
    """Warns of pictures that are others in the folder of the training, where the annotations may be of those."""
    inside = [(path, name) for path, name in zip(paths, names(paths, folder)) if not name.startswith("../")]
    pairs = [(path, os.path.join(trained_on, name)) for path, name in inside]
    other = [pair for pair in pairs if trained_on and os.path.isfile(pair[1]) and not copies.is_same(*pair)]
    if other:
        progress.warn(
            f"names of {os.fspath(annotations)} are taken from {folder} on, and {len(other)} of these pictures are "
            f"others in the folder of the training, such as {other[0][0]} and {other[0][1]}; if they are those, give "
            f"--pictures={trained_on}"
        )


def _say_what_goes(pictures: Pictures, annotations: str | os.PathLike) -> None:
    """Warns of what annotations say, and what a page hands out does not."""
    lost = []
    pairs, guessed = pictures.flip_pairs, sides.flip_pairs(pictures.landmark_names)
    if pairs and set(map(frozenset, pairs)) != set(map(frozenset, guessed)):
        lost.append("which landmarks change places in a mirror")
    if len(pictures) and normalisers.own_boxes(pictures) is not None:
        lost.append("the boxes about the objects, whose sizes errors are divided by")
    if pictures.skeleton:
        lost.append("which landmarks a line joins")
    if lost:
        progress.warn(
            f"{os.fspath(annotations)} says {' and '.join(lost)}; the files that the page hands out do not: keep it, "
            "and where this matters go on in the tool that wrote it"
        )


def names(paths: Sequence[str], folder: str) -> list[str]:
    """Returns the names of pictures from a folder on, with forward slashes."""
    return [pathlib.PurePath(os.path.relpath(path, folder)).as_posix() for path in paths]
