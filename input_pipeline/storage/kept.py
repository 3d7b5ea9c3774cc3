"""What is made once and kept on disk: it appears whole or not at all, and one process makes it while others wait."""

import concurrent.futures
import contextlib
import errno
import fcntl
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator

from dense_labels import files, progress

CACHE_DIR = "--config.data.cache_dir (eval_main.py: --cache_dir)"  # as messages name it, whichever command runs
_INCOMPLETE = "incomplete."
_DAMAGES = (EOFError, FileNotFoundError, ValueError)  # what reading a file that was cut off, or is gone, raises


def make_once(
    folder: pathlib.Path,
    make: Callable[[pathlib.Path], None],
    check: Callable[[pathlib.Path], object],
    setting: str = CACHE_DIR,
    size: int = 0,
) -> None:
    """Makes a folder unless it is there and whole; one that is damaged is made anew, which is said.

    It is written under another name, and renamed when the disk has all of it. A process that is killed leaves the
    unfinished folder behind; the next one that makes anything beside it removes it.

    Args:
      folder: its path; the folders above it are made.
      make: writes into the empty folder that it is given.
      check: reads a folder that is there; raises an EOFError, FileNotFoundError or ValueError if it is not whole.
      setting: what says where it lies.
      size: about how many bytes it takes; 0: not known.

    Raises:
      OSError: if the folder cannot be made, there is no room for it, or a damaged one cannot be removed.
      Exception: whatever `make` raises; nothing of the folder is left then.
    """
    if folder.exists() and not _damage(folder, check):
        return
    files.check_writable(folder.parent, setting)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock(folder.parent / ".lock"):
        if folder.exists():
            if not (damage := _damage(folder, check)):
                return
            progress.note(f"{folder} is damaged ({damage}), and is made anew")
            shutil.rmtree(folder)
        remove_unfinished(folder.parent, f"{_INCOMPLETE}*")
        _check_room(folder.parent, setting, size)
        begun = folder.with_name(f"{_INCOMPLETE}{folder.name}")
        begun.mkdir()
        try:
            make(begun)
            _to_disk(begun)
            begun.rename(folder)
        finally:
            shutil.rmtree(begun, ignore_errors=True)


def _check_room(folder, setting, size):
    usage = shutil.disk_usage(folder)
    if usage.total and usage.free < size:  # some file systems do not know
        room = (
            f"{folder} has room for {usage.free / 1e9:.1f} GB, and what is to be kept there needs {size / 1e9:.1f} GB"
        )
        raise OSError(errno.ENOSPC, f"{room}; make room, or give another {setting}")


def _damage(folder, check):
    """Why a folder is not whole; "" where it is."""
    try:
        check(folder)
    except _DAMAGES as error:
        return " ".join(str(error).split()) or "a file is cut short"
    return ""


def _to_disk(folder):
    """Waits until the files in a folder, and their names, would survive a loss of power."""
    with concurrent.futures.ThreadPoolExecutor() as pool:  # many at once share what the disk does
        list(pool.map(_sync, (path for path in folder.rglob("*") if path.is_file())))
    with contextlib.suppress(OSError):  # of a file system that cannot do that for folders
        _sync(folder)


def _sync(path):
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextlib.contextmanager
def lock(path: pathlib.Path) -> Iterator[None]:
    """Waits for a lock, then holds it; the system releases it when the process ends, however it ends.

    On a file system without locks it goes on: two that begin at once may get in each other's way there.
    """
    with open(path, "w") as file:
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # the latter of some network file systems
                progress.note(f"another process makes what lies in {path.parent}; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove_unfinished(folder: pathlib.Path, pattern: str) -> None:
    """Removes what killed processes left in a folder under names of a pattern; to be called under its lock."""
    for leftover in folder.glob(pattern):
        shutil.rmtree(leftover)
