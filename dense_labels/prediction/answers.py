"""What a network answers about pictures, as lines, and lines as `Predictions`: the same on one machine and on many.

A line is what JSON can hold of a picture, an object or a frame: its name, its size, and what was found or why not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from dense_labels.prediction.journal import DIGITS, Line
from dense_labels.prediction.predictions import Predictions
from dense_labels.prediction.reading import Seen

BATCH_SIZE = 32
_Item = TypeVar("_Item")
_OF_HEADS = "of_heads"
_FACTS = {"object": np.int64, "box": np.float32, "around": np.float32, "frame": np.int64, "seconds": np.float64}


def of_batch(
    batch: Sequence[Seen], ask: Callable[[np.ndarray], Mapping[str, Any]], size: int | None = None
) -> list[Line]:
    """Predicts a batch.

    Args:
      batch: at most `size` pictures, objects or frames; those that could not be read are not shown to `ask`.
      ask: uint8 images [size, H, W, 3] -> `points` [size, K, 2] in pixels of these, and other answers; of several
        heads `of_heads` [size, heads, K, 2] too, from which `disagreement` is computed in pixels of the picture.
      size: how many the network always sees at once; `BATCH_SIZE` where it is None.

    Returns:
      A line for each, with lists of numbers, in pixels of the picture.
    """
    size = size or BATCH_SIZE
    good = [seen for seen in batch if seen.image is not None]
    lines = [dict(seen.facts) for seen in batch if seen.image is None]
    if not good:
        return lines
    images = np.stack([seen.image for seen in good])
    images = np.concatenate([images, np.repeat(images[-1:], size - len(images), axis=0)])  # one size: one trace
    answer = ask(images)
    names = {*DIGITS, _OF_HEADS} - {"disagreement"}  # which is of images that may be stretched
    answer = {name: np.asarray(answer[name], np.float64) for name in names & answer.keys()}
    for k, seen in enumerate(good):
        left_top = seen.facts.get("box", [0, 0])[:2]
        numbers = {name: values[k] for name, values in answer.items()}
        numbers["points"] = numbers["points"] * seen.scale + left_top
        if "expected_error" in numbers:  # of no direction
            numbers["expected_error"] = numbers["expected_error"] * np.sqrt(np.mean(np.square(seen.scale)))
        if _OF_HEADS in numbers:
            numbers["disagreement"] = spread(numbers.pop(_OF_HEADS)[np.newaxis] * seen.scale)[0]
        lines.append({**seen.facts, **{name: each.round(DIGITS[name]).tolist() for name, each in numbers.items()}})
    return lines


def spread(points: np.ndarray) -> np.ndarray:
    """Returns the mean distance float32 [N, K] between two of several points [N, H, K, 2]; 0 of one alone."""
    pairs = itertools.combinations(range(points.shape[1]), 2)
    distances = [np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in pairs]
    return np.float32(np.mean(distances or [np.zeros(points[:, 0].shape[:-1])], axis=0))


def batched(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Yields items in lists of `size`, the last of which may be shorter; as `itertools.batched` of Python 3.12."""
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def failures(lines: Sequence[Line]) -> tuple[tuple[str, str], ...]:
    """Returns the name and the reason of each line whose picture could not be read."""
    return tuple((line["name"], line["failed"]) for line in lines if "failed" in line)


def to_predictions(
    lines: Sequence[Line], landmark_names: Sequence[str], *, folder: str, video: str = ""
) -> Predictions:
    """Joins the lines of pictures that could be read, one at least; the others become `failed`.

    Args:
      lines: as `of_batch` returns them, or with arrays.
      landmark_names: K, or none where landmarks are numbered.
      folder: that the names start from.
      video: path of the video; "" of pictures.
    """
    good = [line for line in lines if "failed" not in line]

    def joined(name: str, dtype: type) -> Any:
        return np.array([line[name] for line in good], dtype) if name in good[0] else None

    numbers = {name: joined(name, np.float32) for name in DIGITS}
    facts = {name: joined(name, dtype) for name, dtype in _FACTS.items()}
    return Predictions(
        folder=folder,
        names=tuple(line["name"] for line in good),
        sizes=joined("size", np.int64),
        landmark_names=tuple(landmark_names) or tuple(str(k) for k in range(numbers["points"].shape[1])),
        failed=failures(lines),
        named=bool(landmark_names),
        objects=facts["object"],
        boxes=facts["box"],
        around=facts["around"],
        video=video,
        frames=facts["frame"],
        seconds=facts["seconds"],
        **numbers,
    )
