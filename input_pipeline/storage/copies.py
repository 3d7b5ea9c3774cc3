"""Two files that are one picture."""

import collections
import filecmp
import os
from collections.abc import Sequence


def is_same(first: str | os.PathLike, second: str | os.PathLike) -> bool:
    """Says whether two files are one, or have the same content.

    Raises:
      OSError: if one of them cannot be read.
    """
    return os.path.samefile(first, second) or filecmp.cmp(first, second, shallow=False)


def originals(pictures: Sequence[str], places: Sequence[str]) -> list[str]:
    """Returns what pictures are copies of: what lies at the place of each, where that is only one that is the same.

    Args:
      pictures: paths, [N].
      places: of each the path of what it may be a copy of; there may be nothing, [N].

    Returns:
      The paths, [N]; of what is no copy, or of two copies of one file, those of the pictures themselves.

    Raises:
      OSError: if a file cannot be read.
    """
    found = [place if _is_copy(picture, place) else picture for picture, place in zip(pictures, places)]
    count = collections.Counter(found)
    return [place if count[place] == 1 else picture for picture, place in zip(pictures, found)]


def _is_copy(picture, place):
    return os.path.isfile(place) and not os.path.samefile(picture, place) and is_same(picture, place)
