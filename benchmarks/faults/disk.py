"""A disk that is full: each writing of a training in turn fails, and a file system of a few sizes fills up.

A writing of Python's leaves half of what it was to write, TensorFlow's of a checkpoint the same. The second way needs
the right to mount a small file system in memory; without it, it is left out. Either way the training must end in one
line and leave nothing half written, and go on to the weights of one that was never stopped.
"""

import builtins
import collections
import contextlib
import errno
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from benchmarks import faults
from benchmarks.faults import files
from dense_labels import files as written
from dense_labels.pictures import gallery

_SIZES = (4, 16, 40, 300, 1000, 3000, 3600, 5000, 7200, 8000)  # kB of a file system; of the run about 7,500


class _Full(io.FileIO):
    """A file on a disk that is full once half of what is written is there."""

    def write(self, data) -> int:
        if not self.tell():  # once: the writing is tried again as the file is closed
            super().write(bytes(data)[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.name)


class _Disk:
    """Counts what is written below a folder; the writing of one number fails."""

    def __init__(self, folder: pathlib.Path, fails: int):
        self._folder, self._fails, self.count = str(folder), fails, 0

    def _is_full(self, path) -> bool:
        if not (isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(self._folder)):
            return False
        self.count += 1
        return self.count == self._fails

    def open(self, usual, path, mode="r", *args, **kwargs):
        if not set(mode) & set("wxa+") or not self._is_full(path):
            return usual(path, mode, *args, **kwargs)
        raw = _Full(path, mode.replace("b", "").replace("t", ""))
        file = io.BufferedRandom(raw) if raw.readable() else io.BufferedWriter(raw)
        return file if "b" in mode else io.TextIOWrapper(file, write_through=True)

    def named(self, usual, source, target, **kwargs):
        if self._is_full(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(target))
        return usual(source, target, **kwargs)

    def made(self, usual, path, *args, **kwargs):
        if self._is_full(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))
        return usual(path, *args, **kwargs)

    def checkpoint(self, usual, checkpoint, path, *args, **kwargs):
        done = usual(checkpoint, path, *args, **kwargs)
        if self._is_full(path):
            data = pathlib.Path(f"{path}.data-00000-of-00001")
            data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
            raise tf.errors.ResourceExhaustedError(None, None, f"{path}; No space left on device")
        return done

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """Writes on this disk for a while."""
        places = [(builtins, "open", self.open), (io, "open", self.open), (os, "mkdir", self.made)]
        if sys.version_info < (3, 11):
            places += [(pathlib._normal_accessor, "open", self.open)]  # which holds the one of io
        places += [(os, name, self.named) for name in ("replace", "rename", "link")]
        usual = [(where, name, getattr(where, name)) for where, name, _ in places]
        write = tf.train.Checkpoint.write
        try:
            for (where, name, call), (_, _, before) in zip(places, usual):
                setattr(where, name, _bound(call, before))
            tf.train.Checkpoint.write = lambda itself, *args, **kwargs: self.checkpoint(write, itself, *args, **kwargs)
            yield
        finally:
            for where, name, before in usual:
                setattr(where, name, before)
            tf.train.Checkpoint.write = write


def _bound(call: Callable, usual: Callable) -> Callable:
    return lambda *args, **kwargs: call(usual, *args, **kwargs)


@contextlib.contextmanager
def _small(folder: pathlib.Path, size: int) -> Iterator[None]:
    """Mounts a file system of a size in kB over a folder; there is room on it once the block ends."""
    options = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
    subprocess.run(options, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True, capture_output=True)


def _outcome(folder: pathlib.Path, workdir: pathlib.Path, expected: files.Answer, full) -> faults.Outcome:
    """Trains while a disk is or gets full, and goes on when there is room."""
    kind, said = faults.RIGHT, io.StringIO()  # right where only a drawing could not be written, which is said
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        try:
            with full:
                files.train(folder, workdir)
        except Exception as error:
            kind, text = faults.of_error(error)
            if kind == faults.WRONG:
                return faults.Outcome(kind, text)
        left = [str(path.relative_to(workdir)) for path in workdir.rglob("*") if written.is_temporary(path)]
        if left:
            return faults.Outcome(faults.WRONG, f"half written, and left: {left}")
        files.train(folder, workdir)
    if "is damaged" in said.getvalue() or not files.same(files.weights(workdir), expected):
        return faults.Outcome(faults.WRONG, f"the training did not go on as if nothing had been:\n{said.getvalue()}")
    return faults.Outcome(kind)


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """Draws no pictures, for that takes longer than all the rest."""
    draw, gallery.draw = gallery.draw, lambda *_, **__: {}
    try:
        yield
    finally:
        gallery.draw = draw


def measure(count: int, seed: int) -> tuple[dict[str, collections.Counter[str]], list[str]]:
    """Lets each writing of a training fail, or `count` of them drawn by chance; see `benchmarks.faults`."""
    counters, wrong = collections.defaultdict(collections.Counter), []
    with tempfile.TemporaryDirectory() as temporary, undrawn():
        folder, workdir = pathlib.Path(temporary), pathlib.Path(temporary) / "run"
        files.draw(folder)
        disk = _Disk(workdir, 0)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), disk.mounted():
            files.train(folder, workdir)
        expected = files.weights(workdir)

        def note(name: str, full, where: pathlib.Path, what: str) -> None:
            kind, text = _outcome(folder, where, expected, full)
            counters[name][kind] += 1
            if kind == faults.WRONG:
                wrong.append(f"{what}: {text}")

        numbers = np.random.default_rng(seed).permutation(disk.count)[:count] + 1
        for number in sorted(map(int, numbers)):
            shutil.rmtree(workdir)
            note("a writing that fails", _Disk(workdir, number).mounted(), workdir, f"writing {number}")
        for size in _SIZES if count >= disk.count and _may_mount(folder / "probe") else ():
            place = folder / f"of {size} kB"
            place.mkdir()
            try:
                note("a file system that fills up", _small(place, size), place / "run", f"{size} kB")
            finally:
                subprocess.run(["umount", str(place)], check=False, capture_output=True)
    return dict(counters), wrong


def _may_mount(probe: pathlib.Path) -> bool:
    probe.mkdir()
    try:
        with _small(probe, 64):
            pass
        subprocess.run(["umount", str(probe)], check=True, capture_output=True)
        return True
    except (OSError, subprocess.CalledProcessError):
        return False
