"""In which size a detector sees pictures, at its first look and at its second."""

from __future__ import annotations

import numpy as np

from models.detectors import MULTIPLE

_LONGER_SIDE, LONGEST = 256, 512  # pixels of the images; more where objects are small in them
_OBJECT = 96  # pixels that an object is shown across, while sides allow it
_ENLARGED = 2  # times the pictures' own sides, at most
TIMES = 2  # sides of what a detector sees: how much detail a second look has at most; more was not measured
_MEMORY = 2**29  # bytes that the pictures may take up with it; an evaluation holds up to five copies


def input_size(shown: tuple[int, int], extent: float) -> tuple[int, int]:
    """Says in which (height, width) a detector sees pictures: 256 pixels on the longer side; at most twice their own.

    Where the landmarks are then less than 96 pixels across, as those of a mouse in a box are, it sees more: up to 512.

    Args:
      shown: the size of the pictures, or what they are shrunk to if they are larger than 512 pixels.
      extent: how far apart the outermost landmarks are, as a share of the longer side; it may be no number.
    """
    needed = _OBJECT / extent if extent > 0 else _LONGER_SIDE
    longer = min(max(needed, _LONGER_SIDE), LONGEST)
    scale = min(longer / max(shown), _ENLARGED)
    height, width = (max(round(side * scale / MULTIPLE), 2) * MULTIPLE for side in shown)
    return height, width


def detail_times(size: tuple[int, int], pictures: tuple[int, int], count: int) -> int:
    """Says how many times as long the sides of what a second look sees are: as the pictures' own, at most twice.

    Args:
      size: (height, width) of what the network sees.
      pictures: the size of the pictures; more than twice the other one need not be told.
      count: how many are annotated; they are seen at twice the sides only if they take up at most 512 MiB so.
    """
    fits = int(np.sqrt(_MEMORY / (3 * max(count, 1) * size[0] * size[1])))
    return max(1, min(round(max(pictures) / max(size)), TIMES, fits))
