"""What is made once and kept on disk: it appears whole or not at all, and one process makes it while others wait."""

import contextlib
import fcntl
import pathlib
import shutil
from collections.abc import Callable, Iterator

_INCOMPLETE = "incomplete."


def make_once(folder: pathlib.Path, make: Callable[[pathlib.Path], None]) -> None:
    """Makes a folder unless it is there.

    It is written under another name, and renamed when all is written. A process that is killed leaves the unfinished
    folder behind; the next one that makes anything beside it removes it.

    Args:
      folder: its path; the folders above it are made.
      make: writes into the empty folder that it is given.

    Raises:
      OSError: if the folder cannot be made.
      Exception: whatever `make` raises; nothing of the folder is left then.
    """
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock(folder.parent / ".lock"):
        if folder.exists():
            return
        remove_unfinished(folder.parent, f"{_INCOMPLETE}*")
        begun = folder.with_name(f"{_INCOMPLETE}{folder.name}")
        begun.mkdir()
        try:
            make(begun)
            begun.rename(folder)
        finally:
            shutil.rmtree(begun, ignore_errors=True)


@contextlib.contextmanager
def lock(path: pathlib.Path) -> Iterator[None]:
    """Waits for a lock, then holds it; the system releases it when the process ends, however it ends."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove_unfinished(folder: pathlib.Path, pattern: str) -> None:
    """Removes what killed processes left in a folder under names of a pattern; to be called under its lock."""
    for leftover in folder.glob(pattern):
        shutil.rmtree(leftover)
