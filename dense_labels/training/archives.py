"""The archive that a backup is: a tar file of a work directory, which begins with what it is a copy of."""

from __future__ import annotations

import io
import json
import os
import pathlib
import shutil
import tarfile
from typing import Any

from dense_labels import files
from dense_labels.training import lock

FILE = "backup.json"  # first member of an archive, and in the work directory, with {"run"} alone there
HEAD = tarfile.RECORDSIZE  # bytes of an archive that hold its first member
DAMAGES = (tarfile.TarError, ValueError, KeyError, EOFError)  # what one that is not whole raises


def pack(archive: pathlib.Path, workdir: pathlib.Path, head: dict[str, Any]) -> dict[str, Any]:
    """Writes an archive of the files of a work directory that are whole and not of this machine; links are followed.

    Args:
      archive: its path.
      workdir: folder of a run.
      head: what it is a copy of.

    Returns:
      What its first member says: the head, and how many `files` follow.
    """
    kept = _files(workdir)
    head = {**head, "files": len(kept)}
    text = json.dumps(head).encode()
    first = tarfile.TarInfo(FILE)
    first.size = len(text)
    with tarfile.open(archive, "w", dereference=True) as opened:
        opened.addfile(first, io.BytesIO(text))
        for path in kept:
            opened.add(workdir / path, path, recursive=False)
    return head


def read_head(begin: bytes) -> dict[str, Any]:
    """Reads what an archive is a copy of from its first `HEAD` bytes; raises one of DAMAGES if they are none of one."""
    with tarfile.open(fileobj=io.BytesIO(begin)) as opened:
        return _said(opened)


def _said(archive: tarfile.TarFile) -> dict[str, Any]:
    first = archive.next()
    opened = archive.extractfile(first) if first is not None and first.name == FILE else None
    said = json.loads(opened.read()) if opened else {}
    if not isinstance(said, dict) or not {"run", "step", "writer", "files"} <= set(said):
        raise ValueError(f"its first file is not {FILE}")
    return said


def unpack(path: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes the files of an archive into a new folder, and removes it: there need not be room for both.

    Raises:
      One of DAMAGES, if it is not whole or holds what is no file of a run.
    """
    folder.mkdir()
    with tarfile.open(path) as archive:
        said = _said(archive)
        members = [member for member in archive if member.name != FILE]
        if len(members) != said["files"]:
            raise tarfile.ReadError(f"{len(members)} files of {said['files']}")
        for member in members:
            place, opened = folder / member.name, archive.extractfile(member)
            if opened is None or not place.resolve().is_relative_to(folder.resolve()):
                raise tarfile.ReadError(f"it holds {member.name!r}, which is no file of a run")
            place.parent.mkdir(parents=True, exist_ok=True)
            with opened, open(place, "xb") as written:
                shutil.copyfileobj(opened, written)
    files.write_whole(folder / FILE, json.dumps({"run": said["run"]}).encode())
    path.unlink()


def _files(workdir: pathlib.Path) -> list[str]:
    """The paths, from a work directory, of its files that are kept; one that links lead to again is passed over."""
    found, seen = [], set()
    for folder, folders, names in os.walk(workdir, followlinks=True):
        seen.add(os.path.realpath(folder))
        folders[:] = [
            name
            for name in folders
            if not files.is_temporary(name) and os.path.realpath(os.path.join(folder, name)) not in seen
        ]
        paths = (pathlib.Path(folder, name) for name in names if not files.is_temporary(name))
        found += [path.relative_to(workdir).as_posix() for path in paths if path.is_file()]
    return sorted({*found} - {FILE, lock.FILE})
