"""Files that appear whole or not at all, and paths that mean themselves."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

_PATTERNS = re.compile(r"[*?\[\]{}\\]")  # TensorFlow takes a path with one of these for a pattern, at places
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DIGEST = "digest"  # key of what JSON says of all its other values
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}")


NOT_TEXT = "its name is not UTF-8"  # why a picture has failed that no file can name


def is_text(name: str) -> bool:
    """Says whether a file can hold the name of another, which on Linux may be any bytes: whether it is UTF-8."""
    try:
        return bool(name.encode()) or not name
    except UnicodeEncodeError:
        return False


def temporary_name(path: str | os.PathLike) -> pathlib.Path:
    """Returns a new hidden name beside a file, for what is not whole yet; `remove_temporary` knows such names."""
    path = pathlib.Path(path)
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def write_whole(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file under a temporary name beside it, then renames it.

    Args:
      path: of the file; its folder exists.
      content: bytes.

    Raises:
      OSError: if it cannot be written; nothing of it is left then.
    """
    temporary = temporary_name(path)
    try:
        with open(temporary, "xb") as file:  # readable by whom the umask says; tempfile lets the owner alone read
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a machine that stops might leave it empty under its name
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_whole(path: str | os.PathLike, make: Callable[[pathlib.Path], None]) -> None:
    """Makes a file or folder in a temporary folder beside its place, then moves it there; what was there is removed.

    Args:
      path: of the file or folder; the folder that it is in exists.
      make: function of a path of the same name, at which there is nothing yet.

    Raises:
      OSError: if it cannot be written; nothing of it is left then, as with whatever else `make` raises.
    """
    path, temporary = pathlib.Path(path), temporary_name(path)
    temporary.mkdir()
    try:
        make(temporary / path.name)
        if path.is_dir():
            path.rename(temporary / "earlier")
        os.replace(temporary / path.name, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_temporary(path: str | os.PathLike) -> bool:
    """Says whether a file or folder has a temporary name, for something is not whole yet."""
    return bool(_TEMPORARY.fullmatch(os.path.basename(path)))


def remove_temporary(folder: str | os.PathLike) -> None:
    """Removes the files and folders under temporary names that killed processes left in a folder, if there is one.

    Args:
      folder: its path; no other process may be writing there.
    """
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if is_temporary(name):
            remove(os.path.join(folder, name))


def remove(path: str | os.PathLike) -> None:
    """Removes a file, or a folder with what is in it, unless it is gone."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what JSON is to hold, with a digest of it, by which `unsealed` tells whether it is still the same."""
    return {**values, _DIGEST: _digest(values)}


def unsealed(values: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Takes the digest off what `sealed` returned, once JSON has been read.

    Returns:
      The values, and whether they are those that were sealed; True as well of what earlier versions wrote, without one.
    """
    rest = {key: value for key, value in values.items() if key != _DIGEST}
    return rest, _DIGEST not in values or values[_DIGEST] == _digest(rest)


def _digest(values: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(values))  # tuples are lists there, and all keys are text
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()


def state(path: str | os.PathLike, *, of_inode: bool = True) -> tuple[int, ...]:
    """Returns what changes when a file does, or is renamed, or when it may be read; () where there is none.

    Args:
      path: of the file.
      of_inode: whether it has the time at which the inode was changed last, which tells files apart that have one size
        and were given one time; it changes with a copy or another link to the file too.
    """
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns, *([found.st_ctime_ns] if of_inode else []), found.st_mode


def check_writable(folder: str | os.PathLike, name: str = "folder") -> None:
    """Refuses, before long work, a folder (`name` says which) or the nearest above it where nothing may be written.

    Raises:
      OSError: naming it.
    """
    path = pathlib.Path(folder).expanduser().absolute()
    nearest = next(each for each in (path, *path.parents) if each.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(f"{nearest}: nothing can be written there; give another {name}, or the right to write")


@contextlib.contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Makes a folder where there is none; takes it away again where what follows fails and nothing else is in it.

    Args:
      path: of the folder; those above it are made as well.

    Yields:
      Its absolute path.

    Raises:
      ValueError: if it is a URL or a file.
      OSError: if it cannot be made, or nothing can be written to it.
    """
    check_local(path)
    out = pathlib.Path(path).expanduser().absolute()
    if out.is_file():
        raise ValueError(f"{path}: is a file; give a folder, which need not be there yet")
    check_writable(out)
    created = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield out
    except BaseException:
        with contextlib.suppress(OSError):  # something of another program is in it by now
            for folder in created:
                folder.rmdir()
        raise


@contextlib.contextmanager
def held(folder: pathlib.Path, what: str, *, waits: bool = False) -> Iterator[bool]:
    """Holds a folder by a file `.lock` in it, so that no other process that holds it too writes there.

    Args:
      folder: its path; it exists.
      what: is writing there, such as "prediction".
      waits: whether to wait until no other one does.

    Yields:
      Whether it is held: False on a file system without locks.

    Raises:
      ValueError: if another one does, and this one does not wait.
      OSError: if the file cannot be made.
    """
    path = folder / ".lock"  # a lock of the folder itself would not reach other machines on a network (NFS)
    with contextlib.ExitStack() as opened:
        is_held = False
        while not is_held:
            file = opened.enter_context(_opened(path))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
                is_held = os.path.samestat(os.fstat(file.fileno()), os.stat(path))
            except (BlockingIOError, PermissionError):  # the latter of some network file systems
                raise ValueError(
                    f"{folder}: another {what} is writing there; wait until it has ended, or give another folder"
                ) from None
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ESTALE):  # it was removed since by the one that held it
                    break
        try:
            yield is_held
        finally:
            if is_held:
                with contextlib.suppress(PermissionError):  # of another user
                    path.unlink(missing_ok=True)  # before others get the lock


def _opened(path: pathlib.Path) -> IO:
    """Opens a file, made where there is none; another user's for reading, which is enough to lock it on a disk."""
    try:
        return open(path, "a")
    except PermissionError:
        if not path.exists():
            raise
        return open(path)


def is_pattern(path: str | os.PathLike) -> bool:
    """Says whether TensorFlow may take a path for a pattern: brackets, braces, stars and the like are in it."""
    return bool(_PATTERNS.search(os.fspath(path)))


def check_local(path: str | os.PathLike, name: str = "") -> None:
    """Refuses the URL of a store of objects, which would be taken for a folder of this machine.

    Args:
      path: of a file or folder, which need not exist.
      name: of the argument, for the message, where it is known.

    Raises:
      ValueError: if it is a URL.
    """
    if _URL.match(os.fspath(path)):
        given = f"{name}={os.fspath(path)}" if name else os.fspath(path)
        raise ValueError(
            f"{given}: must be a path of this machine, not a URL; mount the bucket, and give the path that it is "
            "mounted at, or have the run copied there by train_main.py --backup (docs/scale.md says more of both)"
        )


def check_plain(path: str | os.PathLike | None, name: str) -> None:
    """Refuses a path from which TensorFlow could not load a model.

    Args:
      path: of a folder, which need not exist; None where none is given.
      name: of the argument, for the message.

    Raises:
      ValueError: if TensorFlow may take it for a pattern.
    """
    whole = os.path.abspath(os.path.expanduser(path)) if path else ""
    if is_pattern(whole):
        raise ValueError(
            f"{name}={path}: {whole} holds one of * ? [ ] {{ }} \\, which TensorFlow takes for a pattern when it loads "
            "a model; choose a path without them"
        )


@contextlib.contextmanager
def plain_path(folder: str | os.PathLike) -> Iterator[str]:
    """Gives a folder a path that TensorFlow takes for nothing but a path: its own, or that of a link to it.

    Args:
      folder: that exists.

    Yields:
      The path, which is good until the block ends.
    """
    folder = os.fspath(folder)
    if not is_pattern(folder):
        yield folder
        return
    usual = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(dir="/tmp" if is_pattern(usual) else usual) as temporary:
        link = os.path.join(temporary, "folder")
        os.symlink(os.path.abspath(folder), link)
        yield link
