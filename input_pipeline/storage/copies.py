"""Two files that are one picture."""

import filecmp
import os


def is_same(first: str | os.PathLike, second: str | os.PathLike) -> bool:
    """Says whether two files are one, or have the same content.

    Raises:
      OSError: if one of them cannot be read.
    """
    return os.path.samefile(first, second) or filecmp.cmp(first, second, shallow=False)
