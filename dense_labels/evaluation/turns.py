"""Which annotated images are held out together: all of one picture, or heads are measured on what they have seen."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from dense_labels.batches import LabelledLandmarks


def pictures(images: LabelledLandmarks, shown: Sequence[Hashable] | None) -> np.ndarray:
    """Numbers the pictures that annotated images are of.

    Args:
      images: N of the images of a split.
      shown: what tells the picture of each image of the split from others; None: each is another.

    Returns:
      int [N], from 0; pictures in which a landmark is annotated come first, and otherwise in the order of the images.
    """
    order = np.argsort(~images.annotated.any(axis=1), kind="stable")
    names = range(len(images)) if shown is None else [shown[picture] for picture in images.picture]
    numbers: dict[Hashable, int] = {}
    found = np.empty(len(images), int)
    for row in order:
        found[row] = numbers.setdefault(names[row], len(numbers))
    return found


def annotated(images: LabelledLandmarks, numbers: np.ndarray) -> int:
    """Returns in how many of the pictures that `pictures` numbered a landmark is annotated."""
    return int(numbers[images.annotated.any(axis=1)].max(initial=-1)) + 1
