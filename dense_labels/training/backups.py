"""A copy of a run in a store of objects, such as s3:// and gs://, from which another machine goes on.

A store renames nothing and locks nothing; what it does is to put an object whole or not at all. So the copy is one
object, a tar archive of the work directory, which is replaced after each epoch. Its first member says which run it is
of, its step, and who wrote it: a run never replaces the copy of another, nor a later one of its own.
"""

from __future__ import annotations

import io
import json
import os
import pathlib
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from fsspec import core
from fsspec.implementations import local

from dense_labels import files, progress
from dense_labels.training import checkpoints, lock

FILE = "backup.json"  # first member of the archive, and in the work directory: {"run"} alone
_EXTRAS = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gs"), "gcs": ("gcsfs", "gs")}  # package and our extra
_ENDING = ".tar"
_DAMAGES = (tarfile.TarError, ValueError, KeyError, EOFError)


class Backup:
    """The copy of one work directory at one place."""

    def __init__(self, place: str, workdir: str | os.PathLike):
        """Finds the file system of a place; reads nothing.

        Args:
          place: of the archive; a URL that fsspec knows, or a path, that ends in ".tar".
          workdir: folder of the run.

        Raises:
          ValueError: if the place is no such thing, or the package of its file system is not installed.
        """
        self._place, self._workdir = place, pathlib.Path(workdir)
        self._store, self._path = _store(place)
        self._seen: dict[str, Any] | None = None  # what the archive says, as far as this training knows
        self._writer = secrets.token_hex(8)
        self._is_behind = False

    def begin(self) -> None:
        """Gives a work directory without checkpoints what the archive holds, or checks that the two belong together.

        Where there is no archive, something is put beside its place and removed, so that one that nobody may write is
        known before an hour of training.

        Raises:
          ValueError: if the archive is damaged, of another run, or further than the work directory.
          OSError: if the store cannot be reached, or takes nothing.
        """
        self._seen = self._head()
        if self._seen is None:
            self._try_the_place()
        elif checkpoints.newest(self._workdir) is None:
            self._fetch()
            progress.say(f"going on from --backup={self._place}, at step {self._seen['step']}")
        elif self._seen["run"] != self._run():
            raise ValueError(
                f"--backup={self._place} is of another run than {self._workdir}; give another place, or an empty "
                "--workdir to go on from the backup"
            )
        elif self._seen["step"] > (step := checkpoints.newest_step(self._workdir)):
            raise ValueError(
                f"--backup={self._place} is at step {self._seen['step']}, and {self._workdir} at step {step}: the run "
                "went on elsewhere; give an empty --workdir to go on from the backup"
            )

    def try_to_write(self) -> None:
        """Replaces the archive; warns where the store does not take it.

        Raises:
          ValueError: if another training has written it meanwhile.
        """
        try:
            self._write()
        except OSError as error:
            self._is_behind = True
            progress.warn(f"the backup was not written ({error}); it is tried again")

    def finish(self) -> None:
        """Writes the archive if it is behind the work directory.

        Raises:
          ValueError: if another training has written it meanwhile.
          OSError: if the store does not take it.
        """
        step = checkpoints.newest_step(self._workdir)
        if not (self._is_behind or self._seen is None or self._seen["step"] < step):
            return
        try:
            self._write()
        except OSError as error:
            raise OSError(
                f"the backup was not written ({error}); the run is whole in {self._workdir}; start the same command "
                "again to write it"
            ) from error

    def _write(self) -> None:
        """Packs the work directory, and puts the archive in place of what this training knows to be there."""
        now = self._head()
        if now is not None and now != self._seen and now["writer"] != self._writer:
            raise ValueError(f"--backup={self._place}: another training has written it; stop one of the two")
        head = {"run": self._run(), "step": checkpoints.newest_step(self._workdir), "writer": self._writer}
        with tempfile.TemporaryDirectory() as temporary:
            archive = os.path.join(temporary, f"backup{_ENDING}")
            head["files"] = _pack(archive, self._workdir, head)
            self._ask(lambda: _put(self._store, archive, self._path))
        self._seen, self._is_behind = head, False

    def _run(self) -> str:
        """What tells this run from others; made where it is first asked for."""
        path = self._workdir / FILE
        if not path.exists():
            files.write_whole(path, json.dumps({"run": secrets.token_hex(8)}).encode())
        return str(json.loads(path.read_bytes())["run"])

    def _head(self) -> dict[str, Any] | None:
        """What the archive says of itself; None where there is none."""
        self._store.invalidate_cache()
        try:
            begin = self._ask(lambda: self._store.cat_file(self._path, start=0, end=tarfile.RECORDSIZE))
        except FileNotFoundError:
            return None
        try:
            with tarfile.open(fileobj=io.BytesIO(begin)) as archive:
                return _said(archive)
        except _DAMAGES as error:
            raise ValueError(f"--backup={self._place} is no backup of a run ({error}); give another place") from error

    def _try_the_place(self) -> None:
        trial = f"{self._path}.{self._writer}"
        try:
            if _is_disk(self._store):
                os.makedirs(os.path.dirname(trial), exist_ok=True)
            self._ask(lambda: self._store.pipe_file(trial, b""))
            self._ask(lambda: self._store.rm_file(trial))
        except OSError as error:
            raise OSError(f"--backup={self._place} cannot be written ({error})") from error

    def _fetch(self) -> None:
        """Unpacks the archive into the work directory, its checkpoints last: until they are there it is not begun."""
        temporary = files.temporary_name(self._workdir / "backup")
        temporary.mkdir(parents=True)
        try:
            archive, run = temporary / f"backup{_ENDING}", temporary / "run"
            self._ask(lambda: self._store.get_file(self._path, str(archive)))
            try:
                _unpack(archive, run)
            except _DAMAGES as error:
                where = f"--backup={self._place}"
                raise ValueError(f"{where} is damaged ({error}); remove it, or give another place") from error
            for path in sorted(run.iterdir(), key=lambda path: path.name == checkpoints.FOLDER):
                files.remove(self._workdir / path.name)
                path.rename(self._workdir / path.name)
        finally:
            files.remove(temporary)

    def _ask(self, ask: Callable[[], Any]) -> Any:
        """Asks the store; what goes wrong there is an OSError, whatever its package raises."""
        try:
            return ask()
        except OSError:
            raise
        except Exception as error:
            said = (str(error).splitlines() or [""])[0]
            raise OSError(f"--backup={self._place}: {said or type(error).__name__}") from error


class AfterEpochs(tf.keras.callbacks.Callback):
    """Writes the backup after every epoch, once the checkpoint is there."""

    def __init__(self, backup: Backup):
        """Creates the callback."""
        super().__init__()
        self._backup = backup

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes, or warns."""
        self._backup.try_to_write()


def _store(place: str) -> tuple[Any, str]:
    """The file system of a place, and what it calls the place."""
    if not place.endswith(_ENDING) or place.endswith(f"/{_ENDING}"):
        raise ValueError(f"--backup={place}: must be the URL or path of a {_ENDING} file, such as s3://bucket/mine.tar")
    try:
        store, path = core.url_to_fs(os.path.expanduser(place))
    except ImportError as error:
        needed = _EXTRAS.get(place.partition("://")[0])
        if needed:
            raise progress.not_installed(f"--backup={place}", *needed) from error
        raise ValueError(f"--backup={place}: {error}") from error
    except ValueError as error:
        raise ValueError(f"--backup={place}: {error}") from error
    return store, path


def _is_disk(store: Any) -> bool:
    return isinstance(store, local.LocalFileSystem)


def _put(store: Any, file: str, path: str) -> None:
    """Puts a file into a store, whole or not at all, which on a disk takes two steps."""
    if _is_disk(store):

        def copy(place: pathlib.Path) -> None:
            shutil.copyfile(file, place)

        files.make_whole(path, copy)
    else:
        store.put_file(file, path)


# --- the archive ---


def _pack(archive: str, workdir: pathlib.Path, head: dict[str, Any]) -> int:
    """Writes an archive of a work directory, less what is of this machine or not whole; returns how many files."""
    kept = [
        path
        for path in sorted(workdir.rglob("*"))
        if path.is_file() and not any(map(files.is_temporary, path.relative_to(workdir).parts))
    ]
    kept = [path for path in kept if path.relative_to(workdir).as_posix() not in (FILE, lock.FILE)]
    text = json.dumps({**head, "files": len(kept)}).encode()
    first = tarfile.TarInfo(FILE)
    first.size = len(text)
    with tarfile.open(archive, "w") as opened:
        opened.addfile(first, io.BytesIO(text))
        for path in kept:
            opened.add(path, path.relative_to(workdir).as_posix(), recursive=False)
    return len(kept)


def _said(archive: tarfile.TarFile) -> dict[str, Any]:
    """What the first member says; raises one of _DAMAGES where that is not understood."""
    first = archive.next()
    opened = archive.extractfile(first) if first is not None and first.name == FILE else None
    said = json.loads(opened.read()) if opened else {}
    if not isinstance(said, dict) or not {"run", "step", "writer", "files"} <= set(said):
        raise KeyError(f"its first file is not {FILE}")
    return said


def _unpack(path: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes the files of an archive into a new folder; raises one of _DAMAGES where it is not whole."""
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
