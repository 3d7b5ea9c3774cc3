"""Smooths the tracks of landmarks through a video: a running median, then a Savitzky-Golay filter.

The median takes away what jumps for a frame or two, the polynomial filter (Savitzky and Golay, Analytical Chemistry
1964) takes away noise and keeps the height of peaks. Both count frames, as if these were evenly spaced.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from dense_labels.prediction.predictions import Predictions

MEDIAN = 5  # frames that the median is taken of
WINDOW, DEGREE = 7, 2  # frames that a polynomial is fitted to, and its degree
LOW_SCORE = 0.5  # of the median score of the landmark: what is lower counts as not seen
LONGEST_GAP = 15  # frames: a landmark that is not seen for longer is left as it was found


def smooth(predictions: Predictions) -> Predictions:
    """Smooths the points of a video, and keeps those that were found beside them, as `raw_points`.

    Where the score of a landmark is below half of its own median, it counts as not seen: the gap is bridged by a
    straight line. A gap of more than 15 frames is left as it was found, and the track on either side is smoothed for
    itself.

    Args:
      predictions: of the frames of a video.

    Returns:
      The same with other points.

    Raises:
      ValueError: if the predictions are of pictures.
    """
    check(predictions.video, predictions.folder)
    points = np.float64(predictions.points)
    for k in range(points.shape[1]):
        score = predictions.score[:, k]
        points[:, k] = smooth_track(points[:, k], score >= LOW_SCORE * np.median(score))
    return dataclasses.replace(predictions, points=np.float32(points), raw_points=predictions.points)


def check(video: str, folder: str) -> None:
    """Refuses pictures, whose landmarks have no tracks; raises a ValueError."""
    if not video:
        raise ValueError(f"smooth is for the tracks of a video, and {folder} holds pictures; leave it out")


def smooth_track(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Smooths the track of one landmark.

    Args:
      points: float [N, 2], one a frame.
      seen: bool [N], whether a point is to be trusted.

    Returns:
      float64 [N, 2].
    """
    points, index = np.array(points, np.float64), np.arange(len(points))
    known = np.flatnonzero(seen & np.isfinite(points).all(axis=1))
    if not len(known):
        return points
    for run in np.split(known, np.flatnonzero(np.diff(known) > LONGEST_GAP + 1) + 1):
        part = slice(run[0], run[-1] + 1)
        bridged = np.stack([np.interp(index[part], run, points[run, axis]) for axis in (0, 1)], axis=1)
        points[part] = _filter(bridged)
    return points


def running_median(points: np.ndarray) -> np.ndarray:
    """Takes the median of each coordinate over the five frames about each.

    Beyond the ends these two frames are repeated, and would be their own medians. So they take Tukey's end-point rule
    (Exploratory Data Analysis, 1977): the median of the frame itself, its neighbour's median and what the medians of
    the two next to it lead to. A jump of one frame goes there too, and what moves evenly stays as it is.

    Args:
      points: float [N, ...], one row a frame.

    Returns:
      The same shape.
    """
    from scipy import ndimage

    medians = ndimage.median_filter(points, size=(MEDIAN, *[1] * (points.ndim - 1)), mode="nearest")
    if len(points) > 2:
        ends = [(points[a], medians[b], 3 * medians[b] - 2 * medians[c]) for a, b, c in ((0, 1, 2), (-1, -2, -3))]
        medians[0], medians[-1] = (np.median(end, axis=0) for end in ends)
    return medians


def _filter(track):
    from scipy import signal

    track = running_median(track)
    if len(track) < WINDOW:
        return track
    return signal.savgol_filter(track, WINDOW, DEGREE, axis=0, mode="interp")
