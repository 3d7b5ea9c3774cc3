"""Pictures resized to one size, once: a list of files -> an array on disk that is mapped into memory."""

import concurrent.futures
import dataclasses
import functools
import hashlib
import json
import math
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from dense_labels import files, progress
from input_pipeline.readers import consistency
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import decoding, kept

_VERSION = 3  # of what is kept: raised whenever pictures are decoded, cut or resized in another way
_IN_FLIGHT = 256  # pictures that are resized but not yet written: they bound the memory
_NAMED = 5  # files that a message names
_SAMPLE = 1000  # headers that `look` reads
_SKIPPING = "--config.data.skip_bad_files=true (eval_main.py: --skip_bad_files)"


@dataclasses.dataclass(frozen=True, eq=False)
class Store:
    """Resized pictures, and what is known about them in pixels of these."""

    images: np.ndarray  # uint8 [N, H, W, 3], mapped from disk
    pictures: Pictures  # N: those that could be read
    scale: np.ndarray  # float32 [N, 2]: pixels of the picture in one pixel of the image, along x and y
    landmarks: np.ndarray | None  # float32 [N, K, 2], pixels of the image
    annotated: np.ndarray | None  # float32 [N, K], as in `pictures`
    normalisers: np.ndarray | None  # float32 [N], pixels of the picture, as in `pictures`
    digests: tuple[str, ...]  # N: SHA-256 of the files


class _Made(NamedTuple):
    """What is kept of a picture that was resized."""

    scale: tuple[float, float]  # along x and y
    size: tuple[int, int]  # (height, width) of the upright picture
    digest: str


def prepare(pictures: Pictures, size: tuple[int, int], cache_dir: str, *, skip_bad_files: bool) -> Store:
    """Resizes the box of each picture, or all of it, unless that has been done before.

    The picture is stretched where the box is of another shape than `size`; where the box reaches beyond the picture,
    the picture's edge is repeated. What is kept is found by the paths, sizes and times of the files, the boxes
    and `size`; it appears whole or not at all, and processes that want the same at once wait for the one that makes it.

    Args:
      pictures: `Pictures`.
      size: (height, width) of the images.
      cache_dir: folder that holds what is kept.
      skip_bad_files: leave out files that cannot be used, and say so, instead of refusing them; not those that the
        system fails to read, which may be good.

    Returns:
      A `Store`.

    Raises:
      ValueError: if files cannot be used or read, or none can; if there is no picture, `size` is no size or a box has
        no area; or if annotations contradict the pictures, see `consistency.checked`.
      OSError: if the images cannot be written; nothing of them is left then.
    """
    _check(pictures, size)
    folder = pathlib.Path(cache_dir).expanduser() / "pictures" / _key(pictures, size)
    make = lambda begun: _write(begun, folder, pictures, size, skip_bad_files)  # noqa: E731
    kept.make_once(folder, make, lambda at: _read(at, len(pictures), size), size=math.prod((len(pictures), *size, 3)))
    return _open(folder, pictures, size, skip_bad_files)


def _check(pictures, size):
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be (height, width) in pixels, both at least 1; found {tuple(size)}")
    if not len(pictures):
        raise ValueError("there are no pictures to resize")
    if pictures.boxes is not None:
        extents = pictures.boxes[:, 2:] - pictures.boxes[:, :2]
        for index in np.flatnonzero(~(np.isfinite(extents) & (extents > 0)).all(axis=1)):
            raise ValueError(f"{pictures.paths[index]}: its box {pictures.boxes[index].tolist()} has no area")


def _key(pictures, size):
    """Name that no other list of files, boxes or size has."""
    listed = [(os.path.abspath(path), *files.state(path)) for path in pictures.paths]
    boxes = b"" if pictures.boxes is None else pictures.boxes.tobytes()
    return hashlib.sha256(repr((_VERSION, tuple(map(int, size)), listed)).encode() + boxes).hexdigest()[:32]


def _write(begun, folder, pictures, size, skip_bad_files):
    """Writes all that is kept in `folder` into the folder `begun`, which is given its name when all is written."""
    try:
        made, brightest, errors = _write_images(begun / "images", pictures, size)
        bad = [(index, error.reason) for index, error in errors]
        scale = np.array([each.scale for each in made], np.float32).reshape([-1, 2])
        (begun / "bad_files.json").write_text(json.dumps(bad))
        np.save(begun / "scale.npy", scale)
        np.save(begun / "sizes.npy", np.array([each.size for each in made], np.int64).reshape([-1, 2]))
        (begun / "digests.txt").write_text("".join(f"{each.digest}\n" for each in made))
        np.save(begun / "brightest.npy", brightest)
        if bad:
            lines = [f"{progress.printable(pictures.paths[index])}: {reason}\n" for index, reason in bad]
            _listing(folder).write_text("".join(lines), encoding="utf-8")
            if passing := [(index, error.reason) for index, error in errors if error.may_pass]:
                report = _report(folder, pictures, passing, "could not be read")
                raise ValueError(f"{report}; this may pass: start again, or remove files that can never be read")
            _refuse(_report(folder, pictures, bad), skip_bad_files, left=len(scale))
    except OSError as error:
        needed = len(pictures) * math.prod(size) * 3 / 1e9
        message = f"{error.strerror or error}: the resized pictures need {needed:.1f} GB in {folder.parent}"
        raise OSError(error.errno, f"{message}; make room, or choose another {kept.CACHE_DIR}") from error


def _write_images(path, pictures, size):
    """Writes the images one after the other, those that can be read.

    A full disk is an error of `write`; written through a memory map, it would end the process.

    Returns:
      A `_Made` of each; the largest value of any pixel; and (index, `PictureError`) of each that cannot be used.
    """
    boxes = [None] * len(pictures) if pictures.boxes is None else pictures.boxes.tolist()
    made, bad, brightest = [], [], 0
    with (
        open(path, "wb") as file,
        concurrent.futures.ThreadPoolExecutor() as pool,
        tqdm(total=len(pictures), desc="Resizing the pictures", unit=" pictures") as bar,
    ):
        for start in range(0, len(pictures), _IN_FLIGHT):
            part = slice(start, start + _IN_FLIGHT)
            results = pool.map(functools.partial(_resized, size=size), pictures.paths[part], boxes[part])
            for index, (image, result) in enumerate(results, start):
                if image is None:
                    bad.append((index, result))
                else:
                    file.write(image)
                    made.append(result)
                    brightest = max(brightest, int(image.max()))
                bar.update()
        file.flush()
        os.fsync(file.fileno())  # some file systems notice here that they are full
    return made, brightest, bad


def _resized(path, box, size):
    """Image of a picture, and a `_Made`; or None, and the error that says why there is no image."""

    def read():
        image, scale, whole = decoding.read_resized(path, box, size)
        return image, _Made(scale, whole, hashlib.sha256(decoding.read_file(path)).hexdigest())

    try:
        return decoding.read_patiently(read)
    except decoding.PictureError as error:
        return None, error


class _Kept(NamedTuple):
    """What a folder holds of N pictures that could be read, and of those that could not."""

    images: np.ndarray  # uint8 [N, H, W, 3], mapped from disk
    scale: np.ndarray  # float32 [N, 2]
    sizes: np.ndarray  # int64 [N, 2]
    digests: tuple[str, ...]  # N
    brightest: int
    bad: list[tuple[int, str]]  # index and reason


def _read(folder, count, size):
    """What is kept in a folder of so many pictures of a size; an error of those that `kept.make_once` takes."""
    bad = json.loads((folder / "bad_files.json").read_text())
    shape = (count - len(bad), *size, 3)
    scale, sizes, brightest = (np.load(folder / f"{name}.npy") for name in ("scale", "sizes", "brightest"))
    digests = tuple((folder / "digests.txt").read_text().split())
    if (folder / "images").stat().st_size != math.prod(shape):
        raise ValueError("its images are cut short")
    if {len(scale), len(sizes), len(digests)} != {shape[0]} or {*map(len, digests)} != {64}:
        raise ValueError("its parts are of several lengths")
    images = np.memmap(folder / "images", np.uint8, mode="r", shape=shape)
    return _Kept(images, scale, sizes, digests, int(brightest), bad)


def _open(folder, pictures, size, skip_bad_files):
    """Maps what is kept into memory, and takes the landmarks to the frame of the images."""
    found = _read(folder, len(pictures), size)
    if found.bad:
        report = _report(folder, pictures, found.bad)
        _refuse(report, skip_bad_files)
        progress.note(f"{report}; they are left out")
        pictures = pictures.take(np.delete(np.arange(len(pictures)), [index for index, _ in found.bad]))
    pictures = consistency.checked(pictures, found.sizes)
    decoding.warn_of_darkness(len(pictures), found.brightest)
    landmarks = pictures.landmarks
    if landmarks is not None:
        corners = np.float32(0) if pictures.boxes is None else pictures.boxes[:, np.newaxis, :2]
        landmarks = (landmarks - corners) / found.scale[:, np.newaxis]
    known = (landmarks, pictures.annotated, pictures.normalisers)
    return Store(found.images, pictures, found.scale, *known, found.digests)


def _listing(folder):
    """Path of the text file that lists the files that cannot be used."""
    return folder.with_name(f"{folder.name}.bad_files.txt")


def _report(folder, pictures, bad, what="cannot be used"):
    found = list(dict.fromkeys((pictures.paths[index], reason) for index, reason in bad))
    below = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in pictures.paths])
    named = ", ".join(
        f"{progress.printable(os.path.relpath(path, below))} ({reason})" for path, reason in found[:_NAMED]
    )
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    listed = f"all are listed in {_listing(folder)}"
    return f"{len(found)} of {len(set(pictures.paths))} files {what}: {named}{more} ({listed})"


def _refuse(report, skip_bad_files, left=1):
    if not left:
        raise ValueError(f"{report}; none is left")
    if not skip_bad_files:
        raise ValueError(f"{report}; remove them, or leave them out with {_SKIPPING}")


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """How many pictures there are, and the sizes of those that were looked at, or of their boxes."""

    count: int
    sizes: np.ndarray  # float32 [M, 2], (height, width) in pixels, smallest area first

    def __str__(self) -> str:
        of_rank = self.sizes[[0, len(self.sizes) // 2, -1]]
        smallest, median, largest = (f"{width:.0f} x {height:.0f}" for height, width in of_rank)
        if smallest == largest:
            return f"{self.count} {'picture' if self.count == 1 else 'pictures'} of {median} pixels"
        return f"{self.count} pictures of {smallest} to {largest} pixels, the median {median}"


def look(pictures: Pictures) -> Found:
    """Reads the sizes of at most 1,000 pictures from all over the list: of their boxes, or of whole files.

    Only the files' headers are read; those that are damaged are passed over.

    Args:
      pictures: `Pictures`.

    Returns:
      A `Found`. As text, it is a line such as "120 pictures of 100 x 80 to 4000 x 3000 pixels, the median 640 x 480",
      width before height.

    Raises:
      ValueError: if no header can be read.
    """
    indices = np.unique(np.linspace(0, len(pictures) - 1, min(len(pictures), _SAMPLE)).astype(int))
    if pictures.boxes is not None:
        sizes = (pictures.boxes[indices, 2:] - pictures.boxes[indices, :2])[:, ::-1]
    else:
        sizes = [size for size in (_size(pictures.paths[index]) for index in indices) if size]
        if not sizes:
            _refuse_all(pictures.paths[0], len(indices))
    sizes = np.asarray(sizes, np.float32)
    return Found(len(pictures), sizes[np.argsort(np.prod(sizes, axis=1), kind="stable")])


def _refuse_all(path, count):
    try:
        decoding.read_size(path)
    except decoding.PictureError as error:
        raise ValueError(f"none of the {count} files looked at can be used; the first is {error}") from error


def _size(path):
    try:
        return decoding.read_size(path)
    except decoding.PictureError:
        return None


def pick_size(sizes: np.ndarray | Sequence, longer_side: int) -> tuple[int, int]:
    """Chooses the size that pictures are resized to: of their median aspect ratio, and no larger than they are.

    Args:
      sizes: [M, 2], (height, width) of pictures.
      longer_side: in pixels; that of the median picture is taken instead where it is less.

    Returns:
      (height, width), both even.
    """
    sizes = np.asarray(sizes, np.float64)
    ratio = np.median(sizes[:, 1] / sizes[:, 0])
    longer = max(2, int(min(longer_side, np.median(sizes.max(axis=1)))) // 2 * 2)
    shorter = max(2, 2 * round(longer * min(ratio, 1 / ratio) / 2))
    return (shorter, longer) if ratio > 1 else (longer, shorter)
