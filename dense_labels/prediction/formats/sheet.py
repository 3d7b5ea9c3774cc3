"""A contact sheet: the pictures that the head is least certain of, with their landmarks."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import numpy as np

from dense_labels import progress
from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_MOST, _COLUMNS, _SIDE = 24, 6, 220  # pictures; tiles in a row; pixels of the longer side of a picture
_LETTERS = 16  # of the name of a picture


@FORMATS.register("sheet", "a contact sheet of the 24 pictures with the lowest scores", file="sheet.png")
def draw(predictions: Predictions) -> bytes:
    """Draws landmarks into small copies of pictures, which must still be there."""
    from PIL import Image

    from dense_labels.pictures import sheet
    from input_pipeline.storage import decoding

    chosen = np.argsort(predictions.score.mean(axis=1), kind="stable")[:_MOST]
    small, scales = [], []
    for index in chosen:
        picture = Image.fromarray(decoding.read_picture(os.path.join(predictions.folder, predictions.names[index])))
        scales.append(_SIDE / max(picture.size))
        small.append(np.asarray(picture.resize([max(1, round(side * scales[-1])) for side in picture.size])))
    heights = [max(map(len, small[first : first + _COLUMNS])) for first in range(0, len(small), _COLUMNS)]
    tiles = sheet.Tiles(len(heights), min(len(small), _COLUMNS), (_SIDE, heights), captions=True)
    for place, (index, picture, scale) in enumerate(zip(chosen, small, scales)):
        row, column = divmod(place, _COLUMNS)
        shown = np.full([heights[row], _SIDE, 3], 255, np.uint8)
        shown[: picture.shape[0], : picture.shape[1]] = picture
        axes = tiles.tile(row, column, shown[np.newaxis])
        sheet.show(axes, shown)
        for k, point in enumerate(predictions.points[index] * scale):
            if (point >= 0).all() and (point <= picture.shape[1::-1]).all():
                axes.plot(*point, **sheet.point_style(k))
        name = os.path.basename(predictions.names[index])
        name = name if len(name) <= _LETTERS else f"...{name[-_LETTERS:]}"
        tiles.caption(row, column, f"{progress.printable(name)}: {predictions.score[index].mean():.2f}")
    content = io.BytesIO()
    Image.fromarray(sheet.render(tiles.figure)).save(content, "PNG")
    return content.getvalue()
