"""Predicted landmarks as a value, and as files in the formats that are registered."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import itertools
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dense_labels import files, progress
from dense_labels.prediction import tables
from dense_labels.registry import FORMATS, READERS, Entry
from input_pipeline.readers import pictures
from input_pipeline.storage import uncorrected

_RAW_POINTS, FAILED = "points_raw.csv", "failed.csv"
OBJECT = pictures.OBJECT


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """The landmarks of N pictures that could be read, or of N objects in them, or of the N frames of a video.

    Convention: points are (x, y) in continuous pixels of the upright picture: its outer top-left corner is (0, 0).

    Attributes:
      folder: that the names start from.
      names: of the pictures, with forward slashes; of frames, as DeepLabCut names those that it takes out of a video.
      sizes: int64 [N, 2], (height, width) of the pictures in pixels.
      landmark_names: K; numbers where landmarks have no names.
      points: float32 [N, K, 2]; NaN where the place of a landmark is not known, as in annotations.
      score: float32 [N, K], from 0 to 1, the higher the more certain. It is not calibrated; the likelihood is.
      failed: (name, reason) of each picture that could not be read.
      named: whether the landmarks have names of their own.
      objects: int64 [N], the number of the object among those of its picture, from 1; None where pictures are whole.
      boxes: float32 [N, 4], left, top, right, bottom of what was shown of the pictures; None for all of them.
      video: path of the video; "" of pictures.
      frames: int64 [N], the number of the frame in the video, from 0; None of pictures.
      seconds: float64 [N], the time stamps of the frames; None of pictures.
      expected_error: float32 [N, K], how far off a point is expected to be, in pixels of the picture; None: unknown.
      likelihood: float32 [N, K], the probability that a point is within 5 % of what the errors of its head were divided
        by; None: unknown.
      present: float32 [N, K], the probability that a landmark would be annotated, not left out as one that does not
        show; None: unknown.
      disagreement: float32 [N, K], how far the heads of a run are apart, in pixels of the picture; None: unknown.
      raw_points: float32 [N, K, 2], as they were found, where `points` were smoothed; None where they were not.
      hidden: bool [N, K], whether something hides a landmark, whose place may be known all the same; None: unsaid.
      skeleton: pairs of landmarks that a line joins; for formats that draw one.
      flip_pairs: pairs of landmarks that change places in a mirror; for formats that say it.
      around: float32 [N, 4], left, top, right, bottom of the objects, where annotations, or the file of boxes that is
        predicted in, have boxes of their own about them; None: about the landmarks.
      category: what the objects are called; for formats that say it.
      by_hand: whether these are annotations, not predictions; for tools that tell the two apart.
    """

    folder: str
    names: tuple[str, ...]
    sizes: np.ndarray
    landmark_names: tuple[str, ...]
    points: np.ndarray
    score: np.ndarray
    failed: tuple[tuple[str, str], ...] = ()
    named: bool = True
    objects: np.ndarray | None = None
    boxes: np.ndarray | None = None
    video: str = ""
    frames: np.ndarray | None = None
    seconds: np.ndarray | None = None
    expected_error: np.ndarray | None = None
    likelihood: np.ndarray | None = None
    present: np.ndarray | None = None
    disagreement: np.ndarray | None = None
    raw_points: np.ndarray | None = None
    hidden: np.ndarray | None = None
    skeleton: tuple[tuple[int, int], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()
    around: np.ndarray | None = None
    category: str = OBJECT
    by_hand: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def check_alone(self, format: str) -> None:
        """Refuses what has two objects in one picture, for a format that has one row a picture.

        Raises:
          ValueError: naming the format and the picture.
        """
        for name, rows in self.by_picture().items():
            if len(rows) > 1:
                raise ValueError(f"{format} has one row a picture, and {name} has {len(rows)} objects; choose 'coco'")

    def check_files(self, format: str, place: Callable[[str], Any]) -> None:
        """Refuses two pictures of which a format would write one file, at what `place` returns of a name.

        Raises:
          ValueError: naming the format and the second picture.
        """
        taken = set()
        for name in dict.fromkeys(self.names):
            if place(name) in taken:
                raise ValueError(f"{format} has one file for {name} and for a picture of that name with another ending")
            taken.add(place(name))

    @property
    def has_several(self) -> bool:
        """Whether a picture has several objects, a row each."""
        return len(set(self.names)) < len(self.names)

    @functools.cached_property
    def certainty(self) -> np.ndarray:
        """How likely each landmark is there and found, float32 [N, K]; the score of a head that was not calibrated."""
        if self.likelihood is None:
            return self.score
        return self.likelihood if self.present is None else self.likelihood * self.present

    @functools.cached_property
    def known(self) -> np.ndarray:
        """Which landmarks have a place, bool [N, K]; worked out once, for formats ask landmark by landmark."""
        return np.isfinite(self.points).all(axis=-1)

    def by_picture(self) -> dict[str, list[int]]:
        """Returns the rows of each picture: several where it has several objects."""
        rows: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            rows.setdefault(name, []).append(index)
        return rows

    def take(self, rows: Sequence[int]) -> Predictions:
        """Returns some of the rows, in an order of their own; or those of a mask, bool [N]."""
        rows = np.arange(len(self.names))[np.asarray(rows, None if len(rows) else int)]
        of_rows = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        arrays = {name: value[rows] for name, value in of_rows.items() if isinstance(value, np.ndarray)}
        return dataclasses.replace(self, names=tuple(self.names[row] for row in rows), **arrays)

    def is_hidden(self, row: int, landmark: int) -> bool:
        """Says whether something hides a landmark of a row, as far as that is known."""
        return self.hidden is not None and bool(self.hidden[row, landmark])

    def save(self, out: str | os.PathLike, formats: str | Sequence[str] = ("csv",)) -> list[pathlib.Path]:
        """Writes the predictions in some formats, each file whole or not at all.

        Args:
          out: folder of the files; created where it is absent.
          formats: names of the registry FORMATS, or one name. Where points were smoothed, `points_raw.csv` has them as
            they were found; where pictures could not be read, `failed.csv` has their names and the reasons. A file that
            is there, and is not as predictions have left it, is kept under another name.
            Which files are not read again, for pictures have several objects, is said.

        Returns:
          The files that were written.

        Raises:
          ValueError: if `out` is a URL, there is no such format, as `check_formats` of their files, or a format cannot
            say what was predicted, or returns neither bytes nor a function.
          OSError: if a file cannot be written.
        """
        files.check_local(out)
        folder = pathlib.Path(os.path.expanduser(os.fspath(out)))
        chosen = [FORMATS[name] for name in ([formats] if isinstance(formats, str) else formats)]
        _check_files(chosen)
        contents: dict[str, Any] = {entry.facts["file"]: content_of(entry, self) for entry in chosen}
        if self.raw_points is not None:
            contents[_RAW_POINTS] = FORMATS["csv"].value(dataclasses.replace(self, points=self.raw_points))
        if self.failed or (folder / FAILED).exists():  # an earlier list would be taken for that of these pictures
            contents[FAILED] = tables.of_failed(self.failed)
        folder.mkdir(parents=True, exist_ok=True)
        looked_at = ("reads_pictures", "needs_video")  # formats that nobody corrects
        drawn = {entry.facts["file"] for entry in chosen if any(map(entry.facts.get, looked_at))}
        edited = {name: content for name, content in contents.items() if name not in drawn}  # by a person, perhaps
        _keep_others(folder, edited)
        read = {entry.facts["file"] for entry in chosen if is_read(entry)}
        for name, content in {**edited, **contents}.items():  # drawings come last, for they take long and may fail
            if isinstance(content, bytes):
                files.write_whole(folder / name, content)
            else:
                files.make_whole(folder / name, content)
            if name in edited:  # at once: what is new and not remembered would count as corrected
                uncorrected.remember(folder, [name], copied=read & {name}, pictures=self.folder)
        if self.has_several and (unread := [entry.facts["file"] for entry in chosen if entry.facts.get("one_row")]):
            progress.note(
                f"{', '.join(unread)} has several lines of a picture, one for each object, and is not read as "
                "annotations; correct what format 'coco' writes"
            )
        return [folder / name for name in contents]


def read_again(formats: Sequence[str], predictions: Predictions) -> list[str]:
    """Returns those of some formats in which predictions are read as annotations."""
    entries = [FORMATS[name] for name in formats]
    several = predictions.has_several
    return [entry.name for entry in entries if is_read(entry) and not (several and entry.facts.get("one_row"))]


def reader_of(entry: Entry) -> str:
    """Returns the name of the reader of what a format writes, if there is one of that name."""
    return entry.facts.get("reader", entry.name)


def is_read(entry: Entry) -> bool:
    """Says whether what a format writes is read as annotations."""
    reader = reader_of(entry)
    return reader in READERS and bool(READERS[reader].facts.get("annotations"))


def check_formats(
    formats: str | Sequence[str], *, video: bool | None = None, expected: Predictions | None = None
) -> None:
    """Refuses, before the work, formats in which nothing can be written.

    Args:
      formats: names of the registry FORMATS, or one name.
      video: whether what is predicted is a video; None: it is not known yet.
      expected: what is known of the predictions, whose points are no numbers yet; None: nothing.

    Raises:
      ValueError: if there is none or no such format, it is of videos and there is none, a package is missing, it cannot
        say what is expected, it has no name of a file, or two write one file.
    """
    if not formats:
        raise ValueError(f"no format is named; choose of {', '.join(FORMATS)}")
    names = [formats] if isinstance(formats, str) else formats
    _check_files([FORMATS[name] for name in names])
    for name in names:
        facts = FORMATS[name].facts
        if video is False and facts.get("needs_video"):
            raise ValueError(f"format {name!r} is of videos, and these are pictures; choose 'drawn'")
        if missing := [each for each in facts.get("needs", ()) if importlib.util.find_spec(each) is None]:
            raise progress.not_installed(f"format {name!r}", " and ".join(missing), facts.get("extra", ""))
        check = FORMATS[name].check
        if expected is not None and check is not None:
            check(expected)


def _check_files(entries: Sequence[Entry]) -> None:
    """Refuses a format without the name of a file in the output, and two with the same one, with a ValueError."""
    taken: dict[str, Entry] = {}
    for entry in entries:
        file = entry.facts.get("file")
        if not isinstance(file, str) or file in ("", "..") or file != pathlib.PurePath(file).name:
            raise ValueError(
                f"format {entry.place} is registered with file={file!r}; the name of a file or folder in the output is "
                "expected, such as file='points.csv', with no folder before it"
            )
        if (other := taken.setdefault(file, entry)) is not entry:
            raise ValueError(
                f"formats {other.place} and {entry.place} both write {file}; choose one of them, or register one with "
                "another file"
            )


def content_of(entry: Entry, predictions: Predictions) -> Any:
    """What a format returns: bytes, or a function of a path; raises a ValueError where it is something else."""
    content = entry.value(predictions)
    if not isinstance(content, bytes) and not callable(content):
        raise ValueError(
            f"format {entry.place} returned {type(content).__name__}; bytes are expected, such as text.encode(), or a "
            "function of a path that makes the file there"
        )
    return content


def _keep_others(folder: pathlib.Path, contents: Mapping[str, Any]) -> None:
    """Renames what would be replaced, unless it is as predictions have left it, or is what is to be written."""
    for path, content in ((folder / name, content) for name, content in contents.items()):
        if path.is_file() and isinstance(content, bytes) and path.read_bytes() == content:
            continue
        if os.path.lexists(path) and not uncorrected.is_uncorrected(path):
            others = (path.with_name(f"{path.stem}_kept_{k}{path.suffix}") for k in itertools.count(1))
            kept = next(each for each in others if not os.path.lexists(each))
            uncorrected.rename(path, kept)
            progress.warn(f"{path} was there and is not as predictions have left it; it is kept as {kept.name}")
