"""Boxes in pictures that may hold an object or a part of one: from files, or a grid where there are none.

The second paper takes 1,000 boxes of Randomized Prim's (Manen et al., ICCV 2013) a picture: let any program write them
into files. The grid looks at no pixel and is no match for it; figures on it say so. (OpenCV's selective search and edge
boxes are in opencv-contrib-python alone, which this project does not use.)

Convention: boxes are left, top, right, bottom in continuous pixels of their picture, as in `pictures.Pictures`.
"""

import os

import numpy as np
import scipy.io

GRID, FILES = "sliding grid", "files"

_SIDES = (1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1)  # of the picture's
_STEPS = np.arange(1, 41) / 40  # of the box's side
_EXTENSIONS = (".mat", ".npy", ".csv")
_NAMES = ("op", "boxes", "proposals", "coords")  # of what a MATLAB file holds


def sliding_grid(size, *, count=1000):
    """Lays boxes of several sizes and shapes evenly over a picture, from edge to edge.

    Their width and height are parts of the picture's, from an eighth to all of it, neither part more than twice the
    other. Neighbours of one size are shifted against each other by the least part of their side, a multiple of 1/40 of
    it, with which there are no more boxes than asked for.

    Args:
      size: (height, width) of the picture in pixels.
      count: the most boxes.

    Returns:
      float32 [N, 4], N <= count; the same for every picture of this size.

    Raises:
      ValueError: if so few boxes do not cover the picture in all sizes.
    """
    shapes = [(w, h) for w in _SIDES for h in _SIDES if max(w, h) <= 2 * min(w, h)]
    for step in _STEPS:
        starts = {side: np.linspace(0, 1 - side, 1 + _shifts(side, step)) for side in _SIDES}
        if sum(len(starts[w]) * len(starts[h]) for w, h in shapes) <= count:
            break
    else:
        raise ValueError(f"count={count}: boxes of {len(shapes)} shapes cannot cover a picture with so few")
    boxes = []
    for w, h in shapes:
        left, top = (each.ravel() for each in np.meshgrid(starts[w], starts[h]))
        boxes.append(np.stack([left, top, left + w, top + h], axis=-1))
    height, width = size
    return (np.concatenate(boxes) * [width, height, width, height]).astype(np.float32)


def _shifts(side, step):
    return int(np.ceil((1 - side) / (step * side) - 1e-9))


def read(path, *, count=None):
    """Reads the boxes of one picture.

    A .mat file holds `op.coords`, as the public code of Ham et al. writes it, or `boxes`, `proposals` or `coords`:
    [N, 4], left, top, right, bottom in MATLAB's pixels, the first and the last in the box, counted from 1. .npy holds
    an array [N, 4] and .csv lines of four numbers, both in continuous pixels.

    Args:
      path: of the file.
      count: the most boxes, the first of the file; None for all.

    Returns:
      float32 [N, 4] in continuous pixels.

    Raises:
      ValueError: if the file is not there, is damaged, or holds something else.
    """
    extension = os.path.splitext(path)[1].lower()
    try:
        if extension == ".mat":
            boxes = _matlab(scipy.io.loadmat(path, appendmat=False)) - [1, 1, 0, 0]
        elif extension == ".npy":
            boxes = np.load(path, allow_pickle=False).astype(np.float64)
        else:
            boxes = np.loadtxt(path, delimiter=",", ndmin=2, encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}; a file of proposals is expected there") from error
    except Exception as error:  # readers raise almost anything at damaged data
        raise ValueError(f"{path}: no boxes [N, 4] can be read from it ({error})") from error
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes):
        raise ValueError(f"{path}: boxes [N, 4] are expected; found {list(boxes.shape)}")
    wrong = ~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    if wrong.any():
        first = np.flatnonzero(wrong)[0]
        raise ValueError(f"{path}: box {first} is {boxes[first].tolist()}; left < right and top < bottom are expected")
    return boxes[:count].astype(np.float32)


def find(folder, group, picture):
    """Finds the file of a picture's proposals.

    Args:
      folder: of the files: NAME.mat, .npy or .csv, NAME being the picture's, or NAME_ANYTHING; there or in a folder
        called as the group.
      group: subset or class of the picture.
      picture: its path.

    Returns:
      The path.

    Raises:
      ValueError: if there is not exactly one such file.
    """
    name = os.path.splitext(os.path.basename(picture))[0]
    found = []
    for place in (os.path.join(folder, group), folder):
        for file in sorted(os.listdir(place)) if os.path.isdir(place) else ():
            stem, extension = os.path.splitext(file)
            if extension.lower() in _EXTENSIONS and (stem == name or stem.startswith(f"{name}_")):
                found.append(os.path.join(place, file))
    if len(found) != 1:
        raise ValueError(
            f"{folder}: one file of proposals called {name}, {' or '.join(_EXTENSIONS)}, is expected in it or in its "
            f"folder {group}; there are {len(found)}"
        )
    return found[0]


def _matlab(content):
    name = next((name for name in _NAMES if name in content), None)
    if name is None:
        raise ValueError(f"it has none of {', '.join(_NAMES)}")
    found = content[name]
    while found.dtype.names:  # a struct, [1, 1]
        found = found["coords"][0, 0]
    return np.asarray(found, np.float64)
