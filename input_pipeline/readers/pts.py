"""Landmarks from .pts files beside the pictures, as 300-W has them."""

import os
import re

import numpy as np

from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import landmark_files, normalisers
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import listing

_LAYOUT = re.compile(r"\s*version:\s*1(?:\.0)?\s+n_points:\s*(\d{1,9})\s*\{([^{}]*)\}\s*")
_EYE_CORNERS = (36, 45)  # the outer ones, of 68 points counted from 0


def holds(path: str) -> bool:
    """Says whether a folder, or one in it, has .pts files."""
    return any(name.lower().endswith(".pts") for name in listing.files_below(path))


@READERS.register(
    "pts",
    "pictures with landmarks in .pts files beside them, as in 300-W",
    keys=(*landmark_files.KEYS, "data.whole_pictures"),
    check=landmark_files.check,
    annotations="folder",
    holds=holds,
    boxed=True,
)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads the folders of a configuration; see `read_folder`."""
    return landmark_files.read_splits(data, lambda annotations: read_folder(annotations, data.dir))


def read_folder(dir: str | os.PathLike, pictures: str | os.PathLike = "") -> Pictures:
    """Reads all NAME.pts in a folder and the folders in it, with the picture of that name beside each.

    Where none is beside a file, the picture is the one at the same place in the other folder. Pictures without a .pts
    file are left out.

    Convention: 300-W counts pixels from 1 at the centre of the first, as MATLAB does, so half a pixel is taken off to
    give continuous pixels.

    The boxes are squares about the landmarks, see `landmark_files.square_around`. Errors of 68 landmarks are divided by
    the distance of the outer eye corners, points 36 and 45, which is not that of the pupils; of any other number by the
    box size, sqrt(w h) of the landmarks' bounding box.

    Args:
      dir: the folder.
      pictures: folder of the pictures that are not beside their files; "" where all are.

    Returns:
      `Pictures` in order of the .pts files' paths; every landmark is annotated.

    Raises:
      ValueError: if there is no such folder or no .pts file in it, a file is damaged, has another number of points than
        the first, or has not one picture.
      OSError: if a folder in it cannot be read.
    """
    files = listing.files_below(dir)
    paths = [path for path in files if path.lower().endswith(".pts")]
    if not paths:
        raise ValueError(f"{dir} holds no .pts files, in it or in the folders in it; it has {len(files)} other files")
    landmarks = _all_points(paths) - 0.5
    corners = np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1)
    sizes = corners[:, 2:] - corners[:, :2]
    found = Pictures(
        _pictures(paths, files, dir, pictures),
        boxes=landmark_files.square_around(corners),
        landmarks=landmarks.astype(np.float32),
        annotated=np.ones(landmarks.shape[:2], np.float32),
    )
    return normalisers.add(
        found,
        _EYE_CORNERS if landmarks.shape[1] == 68 else None,
        "outer eye corner distance (points 36 and 45)",
        otherwise=lambda: (np.sqrt(np.prod(sizes, axis=1)), "box size"),
    )


def _all_points(paths):
    """Points as the files have them, float64 [N, K, 2]."""
    points = [_points(path) for path in paths]
    for path, found in zip(paths, points):
        if len(found) != len(points[0]):
            first = f"{paths[0]} has {len(points[0])}"
            raise ValueError(f"{path} has {len(found)} points, but {first}; all must have the same number")
        if not np.ptp(found, axis=0).all():
            raise ValueError(f"{path}: the points lie on one line, so that their box has no area; give them as CSV")
    return np.stack(points)


def _points(path):
    found = _LAYOUT.fullmatch(landmark_files.read_text(path))
    if not found:
        raise ValueError(f"{path}: 'version: 1', 'n_points: K' and K lines 'x y' in braces are expected")
    try:
        points = np.array(found[2].split(), np.float64)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not np.isfinite(points).all():
        raise ValueError(f"{path}: all numbers must be finite; found {points[~np.isfinite(points)][0]}")
    if points.size != 2 * int(found[1]) or not points.size:
        raise ValueError(f"{path}: {2 * int(found[1])} numbers are expected in the braces; found {points.size}")
    return points.reshape([-1, 2])


def _pictures(paths, files, dir, others):
    """The picture beside each .pts file, or else at its place among others."""
    beside = _by_name(files)
    names = [os.path.splitext(path)[0] for path in paths]
    elsewhere, or_else = {}, ""
    if os.path.isdir(others) and not os.path.samefile(others, dir) and not set(names) <= set(beside):
        found = _by_name(listing.files_below(others))
        elsewhere = {os.path.relpath(name, others): pictures for name, pictures in found.items()}
        or_else = f", or at its place in {others}"
    chosen = []
    for path, name in zip(paths, names):
        pictures = beside.get(name) or elsewhere.get(os.path.relpath(name, dir), [])
        if len(pictures) != 1:
            raise ValueError(
                f"{path}: one picture of that name is expected beside it{or_else}; there are {len(pictures)}"
            )
        chosen += pictures
    return tuple(chosen)


def _by_name(files):
    """The pictures among files, by their names without the ending."""
    named = {}
    for path in filter(listing.is_picture, files):
        named.setdefault(os.path.splitext(path)[0], []).append(path)
    return named
