"""A contact sheet: the pictures that the head is least certain of, with their landmarks."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dense_labels import progress
from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_MOST, _COLUMNS, _SIDE = 24, 6, 220  # pictures; tiles in a row; pixels of the longer side of a picture
_LETTERS = 16  # of the name of a picture


@FORMATS.register(
    "sheet", "a contact sheet of the 24 pictures with the lowest scores", file="sheet.png", reads_pictures=True
)
def draw(predictions: Predictions) -> bytes:
    """Draws landmarks into small copies of pictures, which must still be there."""
    means = predictions.score.mean(axis=1)
    chosen = np.argsort(means, kind="stable")[:_MOST].tolist()
    return draw_rows(predictions, chosen, [f"{means[row]:.2f}" for row in chosen])


def draw_rows(predictions: Predictions, chosen: Sequence[int], captions: Sequence[str]) -> bytes:
    """Draws some rows of predictions, each beside the others, as the content of a PNG file.

    Args:
      predictions: of N rows.
      chosen: indices of M rows.
      captions: M, short words that stand after the name of the picture.

    Raises:
      ValueError: if a picture cannot be read any more.
    """
    from PIL import Image

    from dense_labels.pictures import sheet
    from dense_labels.prediction import drawing

    small = {}
    for row, picture in drawing.read_pictures(predictions, chosen):
        image = Image.fromarray(picture)
        small[row] = np.asarray(image.resize([max(1, round(side * _SIDE / max(image.size))) for side in image.size]))
    heights = [
        max(len(small[row]) for row in chosen[first : first + _COLUMNS]) for first in range(0, len(chosen), _COLUMNS)
    ]
    tiles = sheet.Tiles(len(heights), min(len(chosen), _COLUMNS), (_SIDE, heights), captions=True)
    for place, (index, words) in enumerate(zip(chosen, captions)):
        row, column = divmod(place, _COLUMNS)
        scale = np.array(small[index].shape[1::-1]) / predictions.sizes[index][::-1]
        _draw(tiles, row, column, small[index], predictions.points[index] * scale)
        name = os.path.basename(predictions.names[index])
        name = name if len(name) <= _LETTERS else f"...{name[-_LETTERS:]}"
        tiles.caption(row, column, f"{progress.printable(name)}: {words}")
    content = io.BytesIO()
    Image.fromarray(sheet.render(tiles.figure)).save(content, "PNG")
    return content.getvalue()


def _draw(tiles, row, column, picture, points):
    from dense_labels.pictures import sheet

    shown = np.full([tiles.heights[row], _SIDE, 3], 255, np.uint8)
    shown[: picture.shape[0], : picture.shape[1]] = picture
    axes = tiles.tile(row, column, shown[np.newaxis])
    sheet.show(axes, shown)
    for k, point in enumerate(points):
        if (point >= 0).all() and (point <= picture.shape[1::-1]).all():
            axes.plot(*point, **sheet.point_style(k))
