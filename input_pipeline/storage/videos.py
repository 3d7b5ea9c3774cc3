"""Reads videos frame by frame, upright, each with its time stamp; OpenCV decodes them."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import os
import pathlib
import shlex
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from dense_labels import files, progress
from input_pipeline.storage import decoding

# How the names of videos in a folder end; a file that is given by its own name may have any other ending.
EXTENSIONS = (
    *(".3g2", ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf"),
    *(".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
FRAMES_FOLDER = "labeled-data"  # of frames that are taken out of videos, as DeepLabCut calls it
_ALIKE = 16  # of 255: how far a frame may be off on average in a block, where it was decoded or saved otherwise
_BLOCK = 16  # pixels
_USUAL_RATE = 25.0  # frames a second, of a video that does not say its own
_TRIED = 1000  # frames after one that cannot be decoded, to tell a damaged spot from the end
_QUIET = ("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what is wrong with a file is said once, by VideoError


def advice(files: Sequence[str]) -> str:
    """Says what is to be done with videos where pictures are expected; "" where none of the files is called as one."""
    found = [path for path in files if path.lower().endswith(EXTENSIONS) and os.path.isfile(path)]
    if not found:
        return ""
    frames = f"ffmpeg -i {shlex.quote(found[0])} -vf fps=1 FRAMES/img%05d.png"
    return f"; to train on a video, take frames out of it first: {frames}; to predict one, name it"


class VideoError(ValueError):
    """A file that cannot be read as a video: one line that says why."""


@dataclasses.dataclass(frozen=True, eq=False)
class VideoFrame:
    """A frame of a video."""

    index: int  # from 0
    seconds: float  # its time stamp, from that of the first frame on
    picture: np.ndarray  # uint8 [H, W, 3], RGB, upright


def read_count(path: str | os.PathLike) -> int:
    """Reads how many frames a video says that it has; 0 where it does not say. It may have more or fewer.

    Raises:
      VideoError: as `read_frames`.
    """
    with _opened(path) as video:
        return _count(video)


def _count(video):
    return max(0, int(video.get(_opencv().CAP_PROP_FRAME_COUNT)))


def count_frames(path: str | os.PathLike) -> int:
    """Counts the frames of a video that `read_frames` reads, of which it makes no pictures, and shows how far it is.

    Raises:
      VideoError: as `read_frames`.
    """
    what = f"Counting frames of {progress.printable(os.path.basename(path))}"
    with _opened(path) as video:
        return sum(1 for _ in tqdm(_grabbed(video, path), desc=what, unit=" frames"))


def frame_name(path: str | os.PathLike, index: int, count: int) -> str:
    """Names a frame as DeepLabCut does one that it takes out of a video to annotate it, such as "VIDEO/img0042.png".

    Args:
      path: of the video.
      index: of the frame, from 0.
      count: what `read_count` says; the number has as many digits as that of the last frame.
    """
    return f"{pathlib.PurePath(path).stem}/img{index:0{len(str(max(count - 1, 0)))}}.png"


def write_frame(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Writes a frame, uint8 [H, W, 3], as a PNG, in a folder that is made where it is absent; one that is there stays.

    Raises:
      VideoError: if another picture is there, as of another video of that name, whose points would then be of this one.
      OSError: if it cannot be written.
    """
    path = pathlib.Path(path)
    if path.exists():
        if not _is_alike(path, picture):
            raise VideoError(
                f"{path} is there already and shows something else, as of another video called {path.parent.name}; "
                "rename this video, or write its frames into another folder"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    files.write_whole(path, content.getvalue())


def _is_alike(path, picture):
    """Whether a file shows a frame, however it was decoded or saved."""
    try:
        there = np.float32(decoding.read_picture(path))
    except decoding.PictureError:
        return False
    if there.shape != picture.shape:
        return False
    off, count = np.abs(there - picture).mean(axis=-1), np.ones(picture.shape[:2])
    for axis in (0, 1):  # an animal may be all that two videos of one camera differ in, and it is small
        starts = np.arange(0, off.shape[axis], _BLOCK)
        off, count = np.add.reduceat(off, starts, axis), np.add.reduceat(count, starts, axis)
    return bool((off / count).max() < _ALIKE)


def read_frames(
    path: str | os.PathLike, *, first: int = 0, only: Collection[int] | None = None
) -> Iterator[VideoFrame]:
    """Reads the frames of a video in their order, one at a time.

    Frames are turned as the video says. They are counted as they are decoded, as DeepLabCut does, so that a frame that
    is skipped is decoded too: jumping to one is not exact in many videos. Time stamps are the video's own, less that of
    its first frame; frames may follow one another at any rate. Where there are none, they follow at its mean rate.

    Args:
      path: of the video.
      first: index of the first frame that is wanted.
      only: indices of the frames that are wanted; None for all.

    Yields:
      The frames, up to the first that cannot be decoded: those after it may be garbled, and their number is not known.
      Where this is not the end of the video, or is not after as many frames as it says, a warning says so.

    Raises:
      VideoError: a ValueError of one line, if the file is not there or no video that OpenCV can open.
      ValueError: if OpenCV is not installed.
    """
    cv2 = _opencv()
    stop = None if only is None else max(only, default=-1) + 1
    with _opened(path) as video:
        turns = round(video.get(cv2.CAP_PROP_ORIENTATION_META) / 90) % 4  # clockwise
        for index, seconds in enumerate(itertools.islice(_grabbed(video, path), stop)):
            if index >= first and (only is None or index in only):
                whole, picture = video.retrieve()
                if not whole:
                    return _warn_of_end(video, path, index)
                picture = np.rot90(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), -turns)
                yield VideoFrame(index, seconds, np.ascontiguousarray(picture))


def _grabbed(video, path):
    """Grabs one frame after the other, and yields their time stamps in seconds, from that of the first on."""
    cv2 = _opencv()
    gap, begin, seconds = 1 / (video.get(cv2.CAP_PROP_FPS) or _USUAL_RATE), None, 0.0
    for index in itertools.count():
        if not video.grab():
            return _warn_of_end(video, path, index)
        stamp = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if begin is None:
            begin = stamp
        else:
            seconds = stamp - begin if stamp - begin > seconds else seconds + gap
        yield seconds


def _warn_of_end(video, path, index):
    """Says where frames follow the first that cannot be decoded, or the video says that it has more."""
    count = _count(video)
    if any(video.grab() for _ in range(_TRIED)):
        progress.warn(f"{path} is damaged: the first frame that cannot be decoded is {index}; what follows is not read")
    elif index < count:
        progress.warn(
            f"{path}: {index} frames were decoded, and the video says that it has {count}; it may be damaged or cut "
            f"off, or {count} is an estimate, as where frames do not follow evenly or the video was trimmed"
        )


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Any]:
    """OpenCV's reader of a video, which does not turn its frames: whether it would by itself differs by version."""
    if not os.path.isfile(path):
        raise VideoError(f"{path}: there is no such video")  # OpenCV would take it for an address or a pattern
    cv2 = _opencv()
    logging = cv2 if hasattr(cv2, "getLogLevel") else cv2.utils.logging  # where OpenCV 5 has it
    level = logging.getLogLevel()
    logging.setLogLevel(0)
    try:
        video = cv2.VideoCapture(os.fspath(path), cv2.CAP_FFMPEG)
    finally:
        logging.setLogLevel(level)
    try:
        if not video.isOpened():
            reason = "damaged, cut off, or in a form that OpenCV does not know" if os.path.getsize(path) else "empty"
            raise VideoError(progress.printable(f"{path} cannot be opened as a video: {reason}"))
        video.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        yield video
    finally:
        video.release()


def _opencv() -> Any:
    os.environ.setdefault(*_QUIET)
    try:
        import cv2
    except ImportError as error:
        raise progress.not_installed("reading a video", "OpenCV", "video") from error
    return cv2
