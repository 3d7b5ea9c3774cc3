"""A YOLO-pose data set without its pictures: data.yaml, and labels for those that lie in `images`, once copied there.

Convention: shares of the width and height of the picture; see the reader of this name in
`input_pipeline.readers.formats`. Ultralytics leaves out a picture with a number outside of 0 to 1, so a landmark that
lies outside of its picture is written as not labelled. The box of an object is its own, or that about its landmarks;
one with such a number is cut off at the sides of the picture.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from dense_labels import progress
from dense_labels.prediction import folders
from dense_labels.registry import FORMATS
from input_pipeline.readers.formats.yolo import labels_of

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_HIDDEN, _VISIBLE = 1, 2


def check(predictions: Predictions) -> None:
    """Refuses two pictures that have one name but for their endings with a ValueError."""
    predictions.check_files("yolo", _place)


def _place(name: str) -> str:
    return labels_of(pathlib.PurePosixPath("images", name)).as_posix()


@FORMATS.register(
    "yolo", "a YOLO-pose data set: data.yaml and labels, to be completed with images", file="yolo", check=check
)
def write(predictions: Predictions) -> Callable[[pathlib.Path], None]:
    """Writes data.yaml, and for each picture NAME its labels, where they are looked for once it is images/NAME.

    Raises:
      ValueError: if two pictures have one name but for their endings.
    """
    check(predictions)
    contents: dict[str, str] = {}
    shares = predictions.points.astype(np.float64) / predictions.sizes[:, np.newaxis, ::-1]
    inside = predictions.known & (shares >= 0).all(axis=-1) & (shares <= 1).all(axis=-1)
    if lost := int((predictions.known & ~inside).sum()):
        progress.warn(f"yolo: {lost} landmarks lie outside of their pictures and are written as not labelled")
    for name, rows in predictions.by_picture().items():
        contents[_place(name)] = "".join(_line(predictions, row, shares[row], inside[row]) for row in rows)

    def make(folder: pathlib.Path) -> None:
        folders.write_folder(folder, contents)
        (folder / "images").mkdir(exist_ok=True)
        (folder / "data.yaml").write_bytes(_settings(predictions))

    return make


def _settings(predictions: Predictions) -> bytes:
    """What data.yaml says: the places of the pictures, the landmarks, and which change places in a mirror.

    There is no `path`, so that the pictures are looked for beside the file: old releases of Ultralytics take a relative
    one from the folder of all their data sets.
    """
    import yaml

    count = len(predictions.landmark_names)
    settings: dict[str, Any] = {"train": "images", "val": "images", "kpt_shape": [count, 3]}
    settings["names"] = {0: predictions.category}
    if predictions.flip_pairs:
        others = dict(predictions.flip_pairs) | {b: a for a, b in predictions.flip_pairs}
        settings["flip_idx"] = [others.get(k, k) for k in range(count)]
    if predictions.named:
        settings["kpt_names"] = {0: list(predictions.landmark_names)}
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).encode()


def _centred(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Centre, width and height of a box."""
    return np.concatenate([(low + high) / 2, np.maximum(high - low, 1e-6)])


def _line(predictions: Predictions, row: int, shares: np.ndarray, inside: np.ndarray) -> str:
    """Class, box and landmarks of an object; nothing where no landmark has a place."""
    if not inside.any():
        return ""
    low, high = shares[inside].min(axis=0), shares[inside].max(axis=0)
    if predictions.around is not None:
        low, high = predictions.around[row].astype(np.float64).reshape([2, 2]) / predictions.sizes[row, ::-1]
    numbers = _centred(low, high)
    if not ((numbers >= 0) & (numbers <= 1)).all():
        numbers = _centred(low.clip(0, 1), high.clip(0, 1))
    numbers = numbers.tolist()
    for k, point in enumerate(shares):
        seen = _HIDDEN if predictions.is_hidden(row, k) else _VISIBLE
        numbers += [*point, seen] if inside[k] else [0, 0, 0]
    return " ".join(["0", *(f"{number:.8f}" if number % 1 else f"{number:.0f}" for number in numbers)]) + "\n"
