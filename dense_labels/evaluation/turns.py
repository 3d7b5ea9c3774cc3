"""Which images are of one picture: heads are measured on other pictures than they have seen, labels matched in others.

Annotated images of one picture are held out together.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.sparse import coo_array, csgraph

from dense_labels.batches import LabelledLandmarks

PARTS = 5  # of the annotated pictures, which take turns, or of which one is held out


def pictures(images: LabelledLandmarks, shown: Sequence[Hashable] | None) -> np.ndarray:
    """Numbers the pictures that annotated images are of.

    Args:
      images: N of the images of a split.
      shown: what tells the picture of each image of the split from others, such as its path; or several things, as a
        tuple: pictures that have one of them in common, such as the digest of a copied file, count as one. None: each
        image is of another picture.

    Returns:
      int [N], from 0; pictures in which a landmark is annotated come first, and otherwise in the order of the images.
    """
    order = np.argsort(~images.annotated.any(axis=1), kind="stable")
    groups = np.arange(len(images)) if shown is None else of_images(shown, images.picture)
    numbers: dict[int, int] = {}
    found = np.empty(len(images), int)
    for row in order:
        found[row] = numbers.setdefault(groups[row], len(numbers))
    return found


def of_images(shown: Sequence[Hashable], images: np.ndarray) -> np.ndarray:
    """Numbers the pictures that some images of a split are of.

    Args:
      shown: as of `pictures`.
      images: int [N], numbers of images of the split.

    Returns:
      int [N], the same for images of one picture.
    """
    names = [shown[image] for image in images]
    return _joined([each if isinstance(each, tuple) else (each,) for each in names])


def _joined(names: Sequence[tuple[Hashable, ...]]) -> np.ndarray:
    """Numbers groups of images, int [N]: those that share a name, or are joined by others that do, are in one."""
    columns: dict[Hashable, int] = {}
    pairs = [(row, columns.setdefault(name, len(columns))) for row, own in enumerate(names) for name in own]
    rows, shared = np.array(pairs, int).reshape(-1, 2).T
    count = len(names) + len(columns)
    links = coo_array((np.ones(len(rows)), (rows, len(names) + shared)), shape=(count, count))
    return csgraph.connected_components(links, directed=False)[1][: len(names)]


def annotated(images: LabelledLandmarks, numbers: np.ndarray) -> int:
    """Returns in how many of the pictures that `pictures` numbered a landmark is annotated."""
    return int(numbers[images.annotated.any(axis=1)].max(initial=-1)) + 1
