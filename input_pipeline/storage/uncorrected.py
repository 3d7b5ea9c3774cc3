"""Files of landmarks as predictions have left them: told from those that a person has corrected since."""

import json
import os
import pathlib
from collections.abc import Iterable

from dense_labels import files, progress

WRITTEN = ".written.json"  # digests of what predictions have left in a folder, by its name


def remember(folder: pathlib.Path, names: Iterable[str]) -> None:
    """Keeps digests of files or folders that predictions have written into a folder just now.

    Raises:
      OSError: if they cannot be written.
    """
    left = {**_left_in(folder), **{name: files.digest(folder / name) for name in names}}
    files.write_whole(folder / WRITTEN, json.dumps(left, indent=1).encode())


def is_uncorrected(path: str | os.PathLike) -> bool:
    """Says whether a file or folder is as predictions have left it; False where that is not known."""
    path = pathlib.Path(os.path.abspath(path))
    left = _left_in(path.parent).get(path.name)
    return left is not None and files.digest(path) == left


def warn(path: str | os.PathLike) -> None:
    """Warns where predictions that nobody has corrected are taken for annotations."""
    if is_uncorrected(path):
        progress.warn(
            f"{os.fspath(path)} is as predictions have left it: nobody has corrected it, and what is predicted is "
            "taken for annotated"
        )


def _left_in(folder: pathlib.Path) -> dict[str, str]:
    """Name -> digest of what predictions have left in a folder."""
    try:
        found = json.loads((folder / WRITTEN).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
