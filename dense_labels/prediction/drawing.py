"""Draws predicted landmarks into pictures of their own size."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from input_pipeline.storage import decoding, videos

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_COLOURS = np.float32(  # of the landmarks in turn: those of Okabe and Ito, told apart by the colour-blind too
    [[230, 159, 0], [86, 180, 233], [240, 228, 66], [204, 121, 167], [213, 94, 0], [0, 158, 115], [0, 114, 178]]
)
_RADIUS = 0.008  # of a dot, as a part of the longer side of its picture
_LEAST_RADIUS = 2.5  # pixels
_EDGE = 0.35  # of the radius, black, so that a dot is seen on any ground


def read_pictures(predictions: Predictions, rows: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Reads the pictures of some rows, which must still be there; one of several objects is read once for each.

    Args:
      predictions: of N rows.
      rows: indices of rows; those of a video come in the order of its frames.

    Yields:
      Index of a row, and uint8 [H, W, 3], upright.

    Raises:
      ValueError: if a picture or the video cannot be read any more.
    """
    if not predictions.video:
        for row in rows:
            yield row, decoding.read_picture(os.path.join(predictions.folder, predictions.names[row]))
        return
    by_frame = {int(predictions.frames[row]): row for row in rows}
    for frame in videos.read_frames(predictions.video, only=by_frame):
        yield by_frame[frame.index], frame.picture


def with_points(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Returns a copy of a picture with a dot of its colour at each landmark, exact to a fraction of a pixel.

    Args:
      picture: uint8 [H, W, 3].
      points: float [K, 2], in continuous pixels of the picture; those outside, or that are no numbers, are not seen.
    """
    drawn = picture.copy()
    radius = max(_LEAST_RADIUS, _RADIUS * max(picture.shape[:2]))
    for k, (x, y) in enumerate(np.asarray(points, np.float64)):
        if not np.isfinite([x, y]).all():
            continue
        (top, left), (bottom, right) = (
            np.clip([y + side, x + side], 0, picture.shape[:2]).astype(int) for side in (-radius - 1, radius + 2)
        )
        rows, columns = np.ogrid[top:bottom, left:right]
        distance = np.hypot(columns + 0.5 - x, rows + 0.5 - y)[..., np.newaxis]
        patch = drawn[top:bottom, left:right]
        for reach, colour in ((radius, 0), (radius * (1 - _EDGE), _COLOURS[k % len(_COLOURS)])):
            share = np.clip(reach + 0.5 - distance, 0, 1)  # of a pixel that the disc covers
            patch[:] = np.rint(patch + (colour - np.float32(patch)) * share)
    return drawn


def drawn(predictions: Predictions, what: str) -> Iterator[tuple[str, np.ndarray]]:
    """Draws all pictures one after the other, and shows how far it is.

    Args:
      predictions: of N rows, those of one picture beside one another.
      what: is drawn, for the progress bar.

    Yields:
      Name of each picture once, and uint8 [H, W, 3] with the landmarks of all its objects.
    """
    rows = predictions.by_picture()
    pictures = read_pictures(predictions, [of[0] for of in rows.values()])
    for row, picture in tqdm(pictures, total=len(rows), desc=f"Drawing {what}", unit=" pictures"):
        name = predictions.names[row]
        for each in rows[name]:
            picture = with_points(picture, predictions.points[each])
        yield name, picture
