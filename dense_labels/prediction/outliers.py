"""Finds the predictions that are worth a second look: to be corrected, and the heads to be fitted again."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dense_labels import files
from dense_labels.prediction import inputs, leftovers, smoothing, tables
from dense_labels.prediction.predictions import Predictions, read_again
from input_pipeline.storage import videos

TABLE, SHEET, FOLDER = inputs.OUTLIERS
_APART = 10  # frames of a video that lie nearer to one that is listed show the same
_LEAST_SHAPES, _LEAST_LANDMARKS = 5, 3  # what shapes can be told by
_MOST_DRAWN = 48


class Outlier(NamedTuple):
    """A row of predictions that stands out."""

    row: int
    kind: str  # by what: "score", "error", "heads", "jump" or "shape"
    why: str  # in words, with the name of the landmark
    value: (
        float  # the score; the error, the disagreement or the jump in pixels of the picture; the distance of the shape
    )


def find(
    predictions: Predictions, count: int, *, shapes: np.ndarray | None = None, size: tuple[int, int] = (1, 1)
) -> list[Outlier]:
    """Lists the rows that stand out most, those of each kind in turn, the worst first.

    A row may have a landmark whose score is low beside the others of that landmark, or whose expected error is high, or
    on which several heads disagree; in a video, one that jumps: that lies far from the median of the five frames about
    it; or landmarks that make a shape unlike all that were annotated: by its Mahalanobis distance from these, once both
    are aligned by a similarity. Of a video, frames that are listed lie at least 10 apart.

    Args:
      predictions: of N rows; of smoothed tracks, the points as they were found.
      count: how many to list; fewer where there are no more.
      shapes: float [M, K, 2], annotated landmarks in pixels of a picture resized to `size`, NaN where a landmark is
        not annotated; None where they are not known.
      size: (height, width) in pixels.
    """
    kinds = [
        _by_score(predictions),
        _by_distance(predictions, predictions.expected_error, "error", "large expected error of {}, px"),
        _by_distance(predictions, predictions.disagreement, "heads", "heads disagree on {}, px"),
        _by_jump(predictions),
        _by_shape(predictions, shapes, size),
    ]
    queues = [iter(sorted(kind, key=lambda outlier: -outlier[0])) for kind in kinds if kind]
    chosen: list[Outlier] = []
    while queues and len(chosen) < count:
        queue = queues.pop(0)
        outlier = next((each for _, each in queue if _is_new(predictions, each, chosen)), None)
        if outlier is not None:
            chosen.append(outlier)
            queues.append(queue)
    return chosen


def write(
    predictions: Predictions,
    outliers: list[Outlier],
    out: str | os.PathLike,
    formats: str | Sequence[str] = (),
    of: Any = None,
) -> list[pathlib.Path]:
    """Writes a table of outliers, a contact sheet of the first 48 of them, and a folder to correct them in.

    The folder has the predictions of the pictures that are listed, no others, in those of the formats that are read as
    annotations, with several objects a picture where predictions have such; or where there is none, in one that is. Of
    a video it has these frames as pictures.

    Args:
      predictions: of N rows.
      outliers: of them, as `find` lists them.
      out: folder to write to.
      formats: names of the registry FORMATS, or one name.
      of: the model, the pictures, their boxes and how many outliers are listed, as JSON has it; files in the folder
        that are of others are named.

    Returns:
      The two files and the folder.

    Raises:
      ValueError: if a picture cannot be read any more, or frames of another video of that name are there.
      OSError: if a file cannot be written.
    """
    from dense_labels.prediction.formats import sheet  # not above: formats are listed in the order of imports

    folder, drawn = pathlib.Path(out), outliers[:_MOST_DRAWN]
    facts = {"object": predictions.objects, "frame": predictions.frames}
    known = {name: values for name, values in facts.items() if values is not None}
    rows = (
        [predictions.names[each.row], *(values[each.row] for values in known.values()), each.why, f"{each.value:.4g}"]
        for each in outliers
    )
    files.write_whole(folder / TABLE, tables.table([["file", *known, "why", "value"]], rows))
    captions = [f"{each.kind} {each.value:.3g}" for each in drawn]
    files.write_whole(folder / SHEET, sheet.draw_rows(predictions, [each.row for each in drawn], captions))
    written = _write_rows(predictions, outliers, folder / FOLDER, [formats] if isinstance(formats, str) else formats)
    leftovers.remember(folder / FOLDER, written, of)
    return [folder / TABLE, folder / SHEET, folder / FOLDER]


def _write_rows(predictions, outliers, folder, formats):
    """Writes the rows of the pictures that are listed: all of them, for a correction replaces all of a picture.

    Returns:
      The files of these rows.
    """
    names = {predictions.names[each.row] for each in outliers}
    chosen = predictions.take([row for row, name in enumerate(predictions.names) if name in names])
    chosen = dataclasses.replace(chosen, failed=())  # they are listed beside the table of all
    if predictions.video:
        named = tuple(f"{videos.FRAMES_FOLDER}/{name}" for name in chosen.names)  # as the annotation page has them
        chosen = dataclasses.replace(chosen, names=named)
        for frame in videos.read_frames(predictions.video, only=set(chosen.frames.tolist())):
            videos.write_frame(folder / chosen.names[chosen.frames.tolist().index(frame.index)], frame.picture)
        chosen = dataclasses.replace(chosen, folder=str(folder), video="", frames=None, seconds=None)
    usual = "csv" if predictions.objects is None and not predictions.has_several else "coco"
    return chosen.save(folder, read_again(formats, predictions) or usual)


def shape_distances(points: np.ndarray, shapes: np.ndarray) -> np.ndarray | None:
    """Measures how far shapes are from others, whatever their place, size and angle.

    All are aligned to the mean of the others by similarities (generalised Procrustes analysis). Their covariance is
    shrunk towards a multiple of the identity as Ledoit and Wolf (Journal of Multivariate Analysis 2004) do it, for
    there are often fewer shapes than coordinates.

    Args:
      points: float [N, K, 2].
      shapes: float [M, K, 2]; those with a landmark that is no number, or with all at one place, are left out.

    Returns:
      float64 [N], Mahalanobis distances, infinite where a point is no number; None where there are fewer than 5 shapes
      or 3 landmarks, by which nothing can be told.
    """
    shapes = shapes[np.isfinite(shapes).all(axis=(1, 2)) & (shapes != shapes[:, :1]).any(axis=(1, 2))]
    if len(shapes) < _LEAST_SHAPES or shapes.shape[1] < _LEAST_LANDMARKS:
        return None
    known = _normalised(shapes)
    mean = known[0]
    for _ in range(5):
        known = _turned(known, mean)
        mean = known.mean(axis=0) / np.linalg.norm(known.mean(axis=0))
    covariance = _shrunk_covariance(_coordinates(known - mean))
    finite = np.isfinite(points).all(axis=(1, 2))
    offsets = _coordinates(_turned(_normalised(np.where(finite[:, np.newaxis, np.newaxis], points, 0)), mean) - mean)
    squared = np.einsum("nd,nd->n", offsets, np.linalg.solve(covariance, offsets.T).T)
    return np.where(finite, np.sqrt(np.maximum(squared, 0)), np.inf)


def _normalised(points):
    """Shapes as complex numbers [N, K], about 0 and of norm 1."""
    shapes = np.float64(points) @ [1, 1j]
    shapes -= shapes.mean(axis=1, keepdims=True)
    return shapes / np.maximum(np.linalg.norm(shapes, axis=1, keepdims=True), 1e-9)


def _turned(shapes, mean):
    turns = shapes.conj() @ mean
    return shapes * (turns / np.maximum(np.abs(turns), 1e-9))[:, np.newaxis]


def _coordinates(shapes):
    return np.concatenate([shapes.real, shapes.imag], axis=1)


def _shrunk_covariance(offsets):
    """The covariance of offsets [M, D] from their mean, [D, D]; equation (14) of Ledoit and Wolf."""
    count, size = offsets.shape
    sample = offsets.T @ offsets / count
    level = np.trace(sample) / size
    away = np.sum((sample - level * np.eye(size)) ** 2)
    noise = sum(np.sum((np.outer(each, each) - sample) ** 2) for each in offsets) / count**2
    share = min(1.0, noise / away) if away > 0 else 1.0
    return share * level * np.eye(size) + (1 - share) * sample + 1e-12 * np.eye(size)


# Each kind gives pairs of how far a row stands out, in a measure of its own, and its outlier; nothing where it is
# not known.


def _by_score(predictions):
    usual = np.maximum(np.median(predictions.score, axis=0), 1e-6)
    return _worst(predictions, 1 - predictions.score / usual, predictions.score, "score", "low score of {}")


def _by_distance(predictions, values, kind, words):
    return [] if values is None else _worst(predictions, values, values, kind, words)


def _by_jump(predictions):
    if not predictions.video:
        return []
    jumps = np.linalg.norm(predictions.points - smoothing.running_median(predictions.points), axis=-1)
    return _worst(predictions, jumps, jumps, "jump", "jump of {}, px")


def _worst(predictions, measure, values, kind, words):
    """The landmark of each row that stands out most."""
    measure = np.nan_to_num(measure, nan=np.inf)
    worst = measure.argmax(axis=1)
    return [
        (measure[row, k], Outlier(row, kind, words.format(predictions.landmark_names[k]), float(values[row, k])))
        for row, k in enumerate(worst)
    ]


def _by_shape(predictions, shapes, size):
    if shapes is None:
        return []
    sides = predictions.sizes[:, ::-1]
    boxes = np.concatenate([np.zeros_like(sides), sides], axis=1) if predictions.boxes is None else predictions.boxes
    scale = np.array(size[::-1]) / (boxes[:, 2:] - boxes[:, :2])
    distances = shape_distances((predictions.points - boxes[:, np.newaxis, :2]) * scale[:, np.newaxis], shapes)
    why = "a shape unlike all that were annotated"
    return [] if distances is None else [(d, Outlier(row, "shape", why, float(d))) for row, d in enumerate(distances)]


def _is_new(predictions, outlier, chosen):
    """Whether a row shows something that those that were chosen do not."""
    if predictions.frames is None:
        return all(outlier.row != each.row for each in chosen)
    frame = predictions.frames[outlier.row]
    return all(abs(frame - predictions.frames[each.row]) >= _APART for each in chosen)
