"""One training at a time in a work directory.

The training holds the file `training.lock` there, which says who it is. What a dead process left is taken over. On the
same machine the system knows whether a process lives; of another machine, and where the system does not say when a
process began, the time of the file tells, which the holder renews. Locks of the file system itself would be simpler,
but some network file systems have none, or only pretend.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from dense_labels import files

FILE = "training.lock"  # in the work directory
_HELD: dict[str, dict[str, Any]] = {}  # by folder, what the locks that this process holds say
_BEAT, _DEAD = 30.0, 300.0  # seconds between two renewals; after how many without one it may be dead


@contextlib.contextmanager
def hold(workdir: str | os.PathLike) -> Iterator[None]:
    """Holds a work directory, so that no other process trains there.

    Args:
      workdir: its path; it is created where it is absent, and taken away again if nothing was written there.

    Raises:
      ValueError: if another process is training there.
    """
    with files.new_folder(workdir) as folder:
        path, ended, mine = folder / FILE, threading.Event(), _description(folder)
        try:
            _take(path, mine)
            _HELD[os.path.realpath(folder)] = mine
            threading.Thread(target=_renew, args=(path, mine, ended), daemon=True).start()
            yield
        finally:
            ended.set()
            _HELD.pop(os.path.realpath(folder), None)
            if _read(path) == mine:
                path.unlink(missing_ok=True)


def check(workdir: str | os.PathLike) -> None:
    """Refuses to write where this process has held a work directory, and holds it no more.

    A process that stood still for minutes, as on a machine that was asleep, counted as dead meanwhile.

    Raises:
      ValueError: if its lock has been taken away.
    """
    mine = _HELD.get(os.path.realpath(workdir))
    if mine is not None and _read(path := pathlib.Path(workdir) / FILE) != mine:
        raise ValueError(
            f"{path} is no longer of this training, which stood still for minutes: another one may train there; start "
            "the same command again to go on"
        )


def _description(folder: pathlib.Path) -> dict[str, Any]:
    """Who this process is, and where it trains."""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "machine": _machine(),
        "started": _started(os.getpid()),
        "folder": os.path.realpath(folder),
        "token": secrets.token_hex(8),
    }


def _take(path: pathlib.Path, mine: dict[str, Any]) -> None:
    """Creates the lock, in place of one whose holder is dead."""
    with _alone(path.parent):
        while not _create(path, json.dumps(mine)):
            held = _read(path)
            if held is None:
                continue
            if _is_alive(path, held):
                raise ValueError(_refusal(path, held))
            _clear(path, held)


@contextlib.contextmanager
def _alone(folder: pathlib.Path) -> Iterator[None]:
    """Lets one process of those that begin take its turn, where the file system has locks; elsewhere links do."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _refusal(path: pathlib.Path, held: dict[str, Any]) -> str:
    who = f"process {held.get('pid', '?')} on {held.get('host', '?')}"
    said = f"{path.parent}: {who} has been training there since {held.get('since', '?')}"
    if held.get("machine") == _machine():
        return f"{said}; wait until it has ended, stop it, or choose another --workdir"
    return (
        f"{said}; wait until it has ended, or choose another --workdir (if it was killed, it counts for "
        f"nothing {_DEAD / 60:.0f} minutes later)"
    )


def _create(path: pathlib.Path, text: str) -> bool:
    """Creates a file whole, unless there is one."""
    temporary = files.temporary_name(path)
    try:
        temporary.write_text(text)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links; there the file is empty for a moment
            with contextlib.suppress(FileExistsError), open(path, "x") as file:
                file.write(text)
                return True
            return False
        return True
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: pathlib.Path) -> dict[str, Any] | None:
    """What a lock says; {} if it cannot be understood, None if there is none."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _clear(path: pathlib.Path, held: dict[str, Any]) -> None:
    """Removes the lock of a dead holder; one that another process has taken over by now is put back."""
    aside = files.temporary_name(path)
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if _read(aside) != held:
        _create(path, aside.read_text())
    aside.unlink(missing_ok=True)


def _is_alive(path: pathlib.Path, held: dict[str, Any]) -> bool:
    """Says whether the holder of a lock still trains in this folder."""
    if held.get("machine") != _machine():
        return _age(path) < _DEAD
    if not held.get("started") and _age(path) >= _DEAD:
        return False  # where a system does not tell processes of one number apart, that one may have ended long ago
    return _is_running(held.get("pid"), held.get("started")) and not _is_elsewhere(path, held)


def _is_elsewhere(path: pathlib.Path, held: dict[str, Any]) -> bool:
    """Says whether the holder, of this machine, trains in another folder: this one is a copy of it, or was moved."""
    folder = str(held.get("folder"))
    return not (os.path.exists(folder) and os.path.samefile(folder, path.parent))


def _age(path: pathlib.Path) -> float:
    """How long ago a file was renewed in seconds, by the clock of whoever keeps the files."""
    probe = files.temporary_name(path)
    with open(probe, "x") as file:
        now = os.fstat(file.fileno()).st_mtime
    probe.unlink(missing_ok=True)
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:  # its holder has ended
        return float("inf")


def _renew(path: pathlib.Path, mine: dict[str, Any], ended: threading.Event) -> None:
    """Renews the time of the lock again and again, as long as it is ours."""
    while not ended.wait(_BEAT):
        with contextlib.suppress(OSError):
            if _read(path) == mine:
                os.utime(path)


def _is_running(pid: Any, started: Any) -> bool:
    """Says whether a process of this machine runs, and is the one that started then."""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, TypeError, ValueError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        pass
    return _started(pid) == started


def _started(pid: int) -> str:
    """When a process started as Linux counts, which tells it from a later one of the same number; "" if it is dead."""
    try:
        state, *fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else fields[18]


def _machine() -> str:
    """Names what process numbers are unique in: this machine since its start, or a container on it."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)
