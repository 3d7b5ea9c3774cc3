"""A copy of a run in an object store, S3 or Google's, or on another disk, from which another machine goes on.

An object store renames nothing and locks nothing, but it does put an object whole or not at all. So the copy is one
object, a tar archive of the work directory, which is replaced after each epoch. Its first member says which run it is
of, its step, and who wrote it: a run never replaces the copy of another, nor a later one of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import tensorflow as tf

from dense_labels import files, progress
from dense_labels.training import archives, checkpoints, lock, manifest

_WRITER = secrets.token_hex(8)  # this process: what it uploads may arrive after the training that uploaded it has ended
_STORES = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gs")}  # scheme -> package, and our extra
_ENDING = ".tar"
_NOT_BEGUN = {"config.json", manifest.FILE, archives.FILE, lock.FILE, "tensorboard"}  # in a folder without checkpoints
_KILLED = 3600  # seconds after which a file that is not whole is nobody's any more


class Backup:
    """The copy of one work directory at one place."""

    def __init__(self, place: str, workdir: str | os.PathLike):
        """Finds the file system of a place; reads nothing.

        Args:
          place: of the archive, which ends in ".tar": a URL of S3 or Google's object store, or a path.
          workdir: folder of the run.

        Raises:
          ValueError: if the place is neither, or lies in the work directory; or if the package of its store is not
            installed.
        """
        self._place, self._workdir = place, pathlib.Path(workdir)
        self._store, self._path = _store(place)
        if _is_disk(self._store) and pathlib.Path(self._path).resolve().is_relative_to(self._workdir.resolve()):
            raise ValueError(
                f"--backup={place}: lies in --workdir={workdir}, which it is a copy of; give another place"
            )
        self._seen: dict[str, Any] | None = None  # what the archive says, as far as this training knows
        self._is_behind = self._fetched = False

    def begin(self) -> None:
        """Gives a work directory without checkpoints what the archive holds, or checks that the two belong together.

        Something is put beside its place and removed, so that a place that cannot be written is known before an hour
        of training.

        Raises:
          ValueError: if the archive is damaged, of another run, or ahead of the work directory; or if that holds no
            checkpoints, but more than a training leaves that was killed before its first.
          OSError: if the store cannot be reached, or written.
        """
        self._try_the_place()
        self._seen = self._head()
        if self._seen is None:
            progress.say(f"there is no backup at {self._place} yet")
        elif checkpoints.newest(self._workdir) is None:
            self._fetch(self._seen["step"])
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

    @contextlib.contextmanager
    def in_step(self) -> Iterator[None]:
        """Has the archive hold what a training leaves when it ends; says whose run it was where it did not begin.

        Raises:
          OSError: if the store does not take the archive.
        """
        try:
            yield
        except ValueError:
            if self._fetched:
                progress.note(
                    f"{self._workdir} holds the run of --backup={self._place} now; if you meant another one, remove it "
                    "and give another --backup"
                )
            raise
        self._finish()

    def begun(self) -> None:
        """Takes note that the training goes on from what was there."""
        self._fetched = False

    def expect_more(self) -> None:
        """Has the archive written once more when the training has ended, for the logs that are closed then."""
        self._is_behind = True

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

    def _finish(self) -> None:
        """Writes the archive if it is behind the work directory."""
        has_step = self._seen is not None and self._seen["step"] == checkpoints.newest_step(self._workdir)
        if has_step and not self._is_behind:
            return
        try:
            self._write()
        except OSError as error:
            if has_step:
                progress.warn(f"the backup lacks the end of the logs ({error})")
                return
            raise OSError(
                f"the backup was not written ({error}); the run is whole in {self._workdir}; start the same command "
                "again to write it"
            ) from error

    def _write(self) -> None:
        """Packs the work directory, and puts the archive in place of what this training knows to be there."""
        now = self._head()
        if now is not None and now != self._seen and now["writer"] != _WRITER:
            raise ValueError(f"--backup={self._place}: another training has written it; stop one of the two")
        head = {"run": self._run(), "step": checkpoints.newest_step(self._workdir), "writer": _WRITER}
        with self._temporary() as temporary:
            archive = temporary / f"backup{_ENDING}"
            head = archives.pack(archive, self._workdir, head)
            self._ask(lambda: _put(self._store, archive, self._path))
        self._seen, self._is_behind = head, False

    def _run(self) -> str:
        """What tells this run from others; made where it is first asked for."""
        path = self._workdir / archives.FILE
        if not path.exists():
            files.write_whole(path, json.dumps({"run": secrets.token_hex(8)}).encode())
        try:
            return str(json.loads(path.read_bytes())["run"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is damaged; remove it, and give another --backup, or an empty --workdir to go on from this one"
            ) from error

    def _head(self) -> dict[str, Any] | None:
        """What the archive says of itself; None where there is none."""
        begin = self._ask(self._begin_of_archive)
        if begin is None:
            return None
        try:
            return archives.read_head(begin)
        except archives.DAMAGES as error:
            raise ValueError(f"--backup={self._place} is no backup of a run ({error}); give another place") from error

    def _begin_of_archive(self) -> bytes | None:
        self._store.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            return bytes(self._store.cat_file(self._path, start=0, end=archives.HEAD))
        return None

    def _try_the_place(self) -> None:
        """Puts an empty file beside the place, as the archive will be put, and removes it where it may."""
        trial = f"{self._path}.{_WRITER}"
        with self._temporary() as temporary:
            (temporary / "trial").touch()
            try:
                self._ask(lambda: _put(self._store, temporary / "trial", trial))
            except OSError as error:
                raise OSError(f"{error}; give another place, or the right to write there") from error
        with contextlib.suppress(OSError):  # who may put need not be one who may remove
            self._ask(lambda: self._store.rm_file(trial))
        if _is_disk(self._store):
            _remove_halves(pathlib.Path(self._path))

    def _fetch(self, step: int) -> None:
        """Unpacks the archive into the work directory, its checkpoints last: until they are there it is not begun."""
        if others := self._others():
            raise ValueError(
                f"{self._workdir} holds {', '.join(others)}, and not the checkpoints that --backup={self._place} has; "
                "give an empty --workdir to go on from the backup"
            )
        with self._temporary() as temporary:
            archive, run = temporary / f"backup{_ENDING}", temporary / "run"
            self._ask(lambda: self._store.get_file(self._path, str(archive)))
            try:
                archives.unpack(archive, run)
                if checkpoints.newest(run) is None or checkpoints.newest_step(run) != step:
                    raise ValueError(f"it lacks the checkpoint of step {step}")
            except archives.DAMAGES as error:
                where = f"--backup={self._place}"
                raise ValueError(f"{where} is damaged ({error}); remove it, or give another place") from error
            for path in sorted(run.iterdir(), key=lambda path: path.name == checkpoints.FOLDER):
                files.remove(self._workdir / path.name)
                path.rename(self._workdir / path.name)
        self._fetched = True

    def _others(self) -> list[str]:
        """What the work directory holds that no training leaves before its first checkpoint is whole."""
        left = (path for path in sorted(self._workdir.iterdir()) if not path.name.startswith("."))  # as temporary ones
        unfinished = {checkpoints.FOLDER} if not (self._workdir / checkpoints.FOLDER).is_symlink() else set()
        return [path.name for path in left if path.name not in _NOT_BEGUN | unfinished]

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[pathlib.Path]:
        """A folder in the work directory, which has room for the run, and whose next training removes what is left."""
        temporary = files.temporary_name(self._workdir / "backup")
        temporary.mkdir(parents=True)
        try:
            yield temporary
        finally:
            files.remove(temporary)

    def _ask(self, ask: Callable[[], Any]) -> Any:
        """Asks the store; what goes wrong there is an OSError that names the place, whatever its package raises."""
        try:
            return ask()
        except Exception as error:
            raise OSError(f"--backup={self._place}: {' '.join(str(error).split()) or type(error).__name__}") from error


class AfterEpochs(tf.keras.callbacks.Callback):
    """Writes the backup after every epoch, once the checkpoint is there."""

    def __init__(self, backup: Backup):
        """Creates the callback."""
        super().__init__()
        self._backup = backup

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Takes note."""
        self._backup.begun()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes, or warns."""
        self._backup.try_to_write()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Has the logs written that are closed now."""
        self._backup.expect_more()


def _store(place: str) -> tuple[Any, str]:
    """The file system of a place, and what it calls the place."""
    scheme, remote, path = place.rpartition("://")
    folder, _, name = path.rpartition("/")
    if not name.endswith(_ENDING) or name == _ENDING or (remote and (scheme not in _STORES or not folder)):
        raise ValueError(
            f"--backup={place}: must be the URL of a {_ENDING} file, such as s3://bucket/mine.tar or "
            "gs://bucket/mine.tar, or the path of one"
        )
    if not remote:
        return fsspec.filesystem("file"), os.path.abspath(os.path.expanduser(place))
    try:
        return fsspec.filesystem(scheme), path
    except ImportError as error:
        raise progress.not_installed(f"--backup={place}", *_STORES[scheme]) from error


def _is_disk(store: Any) -> bool:
    return bool(store.protocol[0] == "file")


def _put(store: Any, file: pathlib.Path, path: str) -> None:
    """Puts a file into a store, whole or not at all, which on a disk takes two steps."""
    if _is_disk(store):

        def copy(place: pathlib.Path) -> None:
            shutil.copyfile(file, place)

        files.make_whole(path, copy)
    else:
        store.put_file(str(file), path)


def _remove_halves(path: pathlib.Path) -> None:
    """Removes what trainings left that were killed while they wrote a file, long ago."""
    half = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}")
    for each in path.parent.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another training has just moved it into place
            if half.fullmatch(each.name) and time.time() - each.stat().st_mtime > _KILLED:
                files.remove(each)
