"""Reads what is to be predicted, a few ahead of the network: pictures, boxes in pictures, or frames of a video."""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from dense_labels import files, progress
from dense_labels.prediction import inputs
from dense_labels.prediction.inputs import Boxes, Inputs
from dense_labels.prediction.journal import Key, Line
from input_pipeline.storage import decoding, videos

_T = TypeVar("_T")


class Seen(NamedTuple):
    """A picture, an object or a frame, as the network sees it."""

    facts: Line  # what its line says but for what is found in it: `name`, `state` and, where it is so, others
    image: np.ndarray | None  # uint8 [H, W, 3] of the frame's full size; None where `failed` is among the facts
    scale: tuple[float, float] = (1.0, 1.0)  # pixels of the picture that one of these is, along x and y


class Pictures:
    """Pictures, each whole or once for each of its boxes.

    Attributes:
      folder: that names start from.
      names: of the rows, but for those that are no text, which fail.
      video: "", for it is none.
      count: how many rows there are.
      workers: that may read at the same time; None for as many as there are processors.
      noun: what a row is called.
      heading: of what is kept of rows, as JSON has it; lines under another are not gone on with.
    """

    video, workers = "", None

    def __init__(self, found: Inputs, boxes: dict[str, np.ndarray] | None = None):
        """Creates the source.

        Args:
          found: the pictures.
          boxes: name of a picture -> float [B, 2, 4], of each object left, top, right and bottom of what is shown of it
            and of its own box, in continuous pixels; pictures that are not there are left out. None: all are shown
            whole.
        """
        self.folder, self.noun = found.folder, "pictures" if boxes is None else "objects"
        self._rows: dict[Key, Line] = {}
        for name, path in zip(found.names, found.paths):
            state = list(files.state(path))
            if boxes is None:
                self._rows[name, 0] = {"name": name, "state": state}
            for number, sides in enumerate(boxes.get(name, ()) if boxes else (), start=1):
                of_object = dict(zip(("box", "around"), sides.tolist()))
                self._rows[name, number] = {"name": name, "state": state, "object": number, **of_object}
        self.count = len(self._rows)
        self.heading = {"version": 3, "folder": self.folder, "video": self.video}
        self.names = tuple(name for name, _ in self._rows if files.is_text(name))

    def readable_names(self) -> tuple[str, ...]:
        """Returns the names of the rows whose pictures can be read, as far as their headers show it."""

        @functools.cache
        def is_readable(name: str) -> bool:
            try:
                return bool(decoding.read_size(os.path.join(self.folder, name)))
            except decoding.PictureError:
                return False

        return tuple(name for name in self.names if is_readable(name))

    def kept(self, done: dict[Key, Line]) -> dict[Key, Line]:
        """Returns the lines of an earlier prediction that are still true: of files and boxes that have not changed.

        A picture that could not be read is read again: what was in the way may be gone.
        """
        facts, good = ("state", "box", "around"), {place: line for place, line in done.items() if "failed" not in line}
        rows = self._rows.items()
        return {k: good[k] for k, row in rows if k in good and all(good[k].get(f) == row.get(f) for f in facts)}

    def tasks(self, size: tuple[int, int], kept: dict[Key, Line]) -> Iterator[Callable[[], Seen | None]]:
        """Yields a function for each row that is not kept, which reads it at a (height, width)."""
        for place, row in self._rows.items():
            if place not in kept:
                yield functools.partial(self._read, row, size)

    def _read(self, row, size):
        if not files.is_text(row["name"]):
            return Seen({**row, "failed": files.NOT_TEXT}, None)
        return read_picture(row, os.path.join(self.folder, row["name"]), size)

    def in_order(self, lines: dict[Key, Line]) -> list[Line]:
        """Returns the lines of all rows, in the order of these."""
        return [lines[place] for place in self._rows]


class Video:
    """Frames of a video, which are read one after the other.

    Attributes:
      folder, names, video, count, workers, noun, heading: as of `Pictures`; the count is what the video says and may be
        wrong, so there are no names.
    """

    names, workers, noun = (), 1, "frames"

    def __init__(self, path: str):
        """Opens a video; raises a ValueError if OpenCV cannot, or its name is not UTF-8."""
        if not files.is_text(os.path.basename(path)):
            raise ValueError(f"{progress.printable(path)}: {files.NOT_TEXT}, as those of its frames are; rename it")
        self.video, self.folder = os.path.abspath(path), os.path.dirname(os.path.abspath(path))
        self.count, self._state = videos.read_count(path), list(files.state(path))
        # Version 3 counted seconds as the file does, whose first frame may be later.
        self.heading = {"version": 4, "folder": self.folder, "video": self.video}

    def readable_names(self) -> tuple[str, ...]:
        """Returns none, as of `names`."""
        return self.names

    def kept(self, done: dict[Key, Line]) -> dict[Key, Line]:
        """Returns those lines of an earlier prediction that are still true, of the frames from the first on."""
        known = {line["frame"]: place for place, line in done.items() if line["state"] == self._state}
        whole = itertools.takewhile(known.__contains__, itertools.count())
        return {known[index]: done[known[index]] for index in whole}

    def tasks(self, size: tuple[int, int], kept: dict[Key, Line]) -> Iterator[Callable[[], Seen | None]]:
        """Yields functions without end, each of which reads the next frame that is not kept; None after the last."""
        frames = videos.read_frames(self.video, first=len(kept))
        while True:
            yield functools.partial(self._read, frames, size)

    def _read(self, frames, size):
        frame = next(frames, None)
        if frame is None:
            return None
        name = videos.frame_name(self.video, frame.index, self.count)
        image, scale = decoding.resize_box(frame.picture, None, size, path=name)
        times = {"frame": frame.index, "seconds": round(frame.seconds, 6)}
        return Seen({"name": name, "state": self._state, **times, "size": list(frame.picture.shape[:2])}, image, scale)

    def in_order(self, lines: dict[Key, Line]) -> list[Line]:
        """Returns the lines of all frames; raises a ValueError where there is none."""
        if not lines:
            raise ValueError(f"{self.video}: not one frame can be decoded; the video is damaged")
        return sorted(lines.values(), key=lambda line: line["frame"])


Source = Pictures | Video


def find(
    pictures: str | os.PathLike | Sequence[str | os.PathLike],
    boxes: Boxes | None = None,
    out: str | os.PathLike | None = None,
) -> Source:
    """Finds what is to be predicted.

    Args:
      pictures: a video, or pictures, as of `inputs.find`.
      boxes: about objects in pictures; None for whole pictures.
      out: folder of the predictions; what an earlier one has drawn there is not predicted. None where there is none.

    Returns:
      Their source.

    Raises:
      ValueError: if there are none, a video cannot be opened, or boxes are given with one, cannot be read, or are about
        none of the pictures; or if the output is the work directory of a run.
    """
    if out is not None:
        _check_out(os.path.expanduser(os.fspath(out)))
    if video := inputs.find_video(pictures):
        if boxes is not None:
            raise ValueError(
                f"{boxes.file}: boxes are about pictures, and {video} is a video; give its frames as pictures"
            )
        return Video(video)
    found = inputs.find(pictures)
    found = found if out is None else inputs.not_drawn(found, out)
    return Pictures(found, None if boxes is None else inputs.read_boxes(found, boxes))


def _check_out(out):
    """Refuses the folder of a run, for which a training and a prediction would wait, and remove each other's files.

    A training begins with its lock, before it has a checkpoint.
    """
    if any(os.path.exists(os.path.join(out, name)) for name in ("checkpoints", "training.lock")):
        raise ValueError(
            f"{out}: is the work directory of a run; give the predictions a folder of their own, such as "
            f"{os.path.join(out, 'predicted')}"
        )


def read_picture(row: Line, path: str, size: tuple[int, int], *, content: bytes | None = None) -> Seen:
    """Reads a picture, or a box of one, as the network sees it; one that cannot be read says why.

    Args:
      row: the facts that are known of it; `box` is what is shown, all of it where there is none.
      path: where it lies.
      size: (height, width) in pixels that it is resized to.
      content: of the file, where somebody else has read it; None to read it here.
    """
    try:
        image, scale, whole = decoding.read_resized(path, row.get("box"), size, content=content)
        return Seen({**row, "size": list(whole)}, image, scale)
    except decoding.PictureError as error:
        return Seen({**row, "failed": error.reason}, None)


def ahead(source: Source, size: tuple[int, int], kept: dict[Key, Line], count: int) -> Iterator[Seen]:
    """Reads the rows of a source that are not kept, in their order.

    Args:
      source: of the rows.
      size: (height, width) in pixels that they are resized to.
      kept: the rows that are not wanted.
      count: how many are read, or are being read, before they are wanted.

    Yields:
      The rows.
    """
    for seen in done_ahead(source.tasks(size, kept), count, source.workers):
        if seen is None:  # so are all others that wait
            return
        yield seen


def done_ahead(tasks: Iterable[Callable[[], _T]], count: int, workers: int | None = None) -> Iterator[_T]:
    """Does tasks in threads, and yields what they return, in their order.

    Args:
      tasks: functions; there may be no end of them.
      count: how many are done, or are being done, before they are wanted.
      workers: that may work at the same time; None for as many as there are processors.

    Yields:
      What each returns; what one raises is raised.
    """
    left, waiting = iter(tasks), collections.deque[concurrent.futures.Future]()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting.extend(pool.submit(task) for task in itertools.islice(left, count))
        while waiting:
            found = waiting.popleft().result()
            waiting.extend(pool.submit(task) for task in itertools.islice(left, 1))
            yield found
