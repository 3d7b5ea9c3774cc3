"""A drawn copy of each picture, in its own size and upright, in folders as the pictures are."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from dense_labels.prediction import drawing
from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_JPEG, _PNG = (".jpg", ".jpeg"), ".png"
_QUALITY = 90  # of a JPEG


def check(predictions: Predictions) -> None:
    """Refuses two pictures that would be drawn into one file with a ValueError."""
    taken = set()
    for name in dict.fromkeys(predictions.names):
        if _place(name) in taken:
            raise ValueError(f"two pictures would both be drawn as {_place(name).name}, {name} for one; rename one")
        taken.add(_place(name))


def _place(name: str) -> pathlib.PurePosixPath:
    path = pathlib.PurePosixPath(name)
    return path if path.suffix.lower() in (*_JPEG, _PNG) else path.with_name(f"{path.name}{_PNG}")


@FORMATS.register(
    "drawn",
    "a folder with a drawn copy of each picture, in its own size",
    file="drawn",
    reads_pictures=True,
    check=check,
)
def draw(predictions: Predictions) -> Callable[[pathlib.Path], None]:
    """Draws JPEGs for JPEGs and PNGs for all others, whose names then end in .png, such as a.tif.png; see `check`."""
    from PIL import Image

    check(predictions)

    def make(folder):
        for name, picture in drawing.drawn(predictions, "pictures"):
            path = folder / _place(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            options = {"quality": _QUALITY} if path.suffix.lower() in _JPEG else {}
            Image.fromarray(picture).save(path, **options)

    return make
