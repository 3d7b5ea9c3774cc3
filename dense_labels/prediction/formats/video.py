"""The video with its landmarks drawn into the frames, as an MP4 file that players of desktops show (MPEG-4 part 2)."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dense_labels.prediction import drawing
from dense_labels.registry import FORMATS
from input_pipeline.storage import videos

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_CODEC = "mp4v"
_USUAL_RATE = 25.0  # frames a second, of a video of one frame
_SLOWEST = 0.002  # frames a second that OpenCV can write
_MOST_TICKS = 65535  # a second, in MPEG-4 part 2


@FORMATS.register("video", "the video with its landmarks drawn, upright", file="drawn.mp4", needs_video=True)
def draw(predictions: Predictions) -> Callable[[pathlib.Path], None]:
    """Draws at the mean rate of the frames, or the nearest that can be written; the sound is left out.

    What is returned raises an OSError if the video cannot be written, or not all of its frames can be read again.
    """

    def make(path):
        import cv2

        span = predictions.seconds[-1] - predictions.seconds[0]
        rate = (len(predictions) - 1) / span if span > 0 else _USUAL_RATE
        height, width = predictions.sizes[0].tolist()
        video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*_CODEC), _writable(rate), (width, height))
        try:
            if not video.isOpened():
                raise OSError(f"{path.name}: OpenCV cannot write a video of {width} x {height} pixels there")
            for _, picture in drawing.drawn(predictions, "frames"):
                video.write(np.ascontiguousarray(picture[..., ::-1]))
        finally:
            video.release()
        _check(path, len(predictions))

    return make


def _writable(rate):
    """The nearest rate with as many decimal places, up to three, as OpenCV finds whole ticks for."""
    rate = min(max(rate, _SLOWEST), _MOST_TICKS)
    return round(rate, max(places for places in range(4) if rate * 10**places <= _MOST_TICKS))


def _check(path, count):
    """Reads what OpenCV has written, for it does not say what it cannot write; raises an OSError."""
    try:
        found = videos.count_frames(path)
    except videos.VideoError:
        found = 0
    if found != count:
        raise OSError(
            f"{path.name}: {found} of its {count} frames can be read again, and the file is not kept; "
            "the disk may be full, or the frames of the video differ in size"
        )
