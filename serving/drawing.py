"""Draws what a served model answered, picture by picture: arrays in, one uint8 picture [H, W, 3] out.

An answer does not say which part of a picture the network sees, nor the stride of its cells: a map is spread over the
whole picture, which is where it lies but for a margin and what is left over at the right and at the bottom. Points are
exact, but for those in A that a model of an earlier version does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from dense_labels.method import label_sphere
from dense_labels.pictures import sheet
from dense_labels.pictures.sheet import MARGIN

Answer = Mapping[str, np.ndarray]

_WIDTH, _TALLEST = 320, 480  # of a tile, in pixels
_MATCHES = 5  # points of a match along each side


def draw_pictures(pictures: Sequence[np.ndarray], answers: Sequence[Answer]) -> np.ndarray:
    """Shows each picture with its predicted landmarks, then the colours of its labels and its confidence.

    Args:
      pictures: uint8 [H, W, 3] each.
      answers: arrays by name for each picture, as signatures give them: `points` [K, 2] in pixels of the picture,
        `labels` or `descriptors` [h, w, L], `confidence` [h, w]; what is absent is not drawn.

    Returns:
      uint8 [height, width, 3].
    """
    maps = [_maps(answer) for answer in answers]
    tiles = _tiles(pictures, ["", *maps[0]])
    basis = _basis(answers)
    for row, (picture, answer, shown) in enumerate(zip(pictures, answers, maps)):
        axes = _tile(tiles, row, 0, picture)
        for k, point in enumerate(answer.get("points", ())):
            axes.plot(*point, **sheet.point_style(k))
        for column, (caption, values) in enumerate(shown.items(), start=1):
            axes = _tile(tiles, row, column, picture, show=False)
            colours = values if caption == "confidence" else label_sphere.label_colours(values, basis)
            sheet.show(axes, colours, picture.shape[:2], cmap="cividis")
    return sheet.render(tiles.figure)


def draw_matches(pictures: Sequence[np.ndarray], found: Answer) -> np.ndarray:
    """Shows a grid of points of A where each is found in B; the less certain a match, the fainter.

    Args:
      pictures: A and B, uint8 [H, W, 3] each.
      found: `points_in_a` [h, w, 2] in pixels of A, `points_in_b` [h, w, 2] in pixels of B, and `confidence` [h, w].
        Without `points_in_a`, which models of earlier versions do not answer, the cells are spread over all of A.

    Returns:
      uint8 [height, width, 3].
    """
    height, width = found["confidence"].shape
    tiles = _tiles([pictures[0]], ["A", "B"], others=[pictures[1]])
    axes_a, axes_b = (_tile(tiles, 0, column, picture) for column, picture in enumerate(pictures))
    rows, columns = (np.linspace(0, size - 1, 2 + _MATCHES).round().astype(int)[1:-1] for size in (height, width))
    certainty = found["confidence"] / max(found["confidence"].max(), np.finfo(np.float32).tiny)
    points_in_a = found["points_in_a"] if "points_in_a" in found else _spread(height, width, pictures[0])
    for k, (row, column) in enumerate((row, column) for row in rows for column in columns):
        style = {**sheet.point_style(k), "alpha": float(np.clip(certainty[row, column], 0.15, 1))}
        axes_a.plot(*points_in_a[row, column], **style)
        axes_b.plot(*found["points_in_b"][row, column], **style)
    return sheet.render(tiles.figure)


def _spread(height: int, width: int, picture: np.ndarray) -> np.ndarray:
    """Where the cells of a map would lie if they covered the whole picture: [h, w, 2] in its pixels."""
    rows, columns = np.indices([height, width]) + 0.5
    return np.stack([columns / width * picture.shape[1], rows / height * picture.shape[0]], axis=-1)


def _labels(answer: Answer) -> np.ndarray | None:
    return answer.get("labels", answer.get("descriptors"))


def _maps(answer: Answer) -> dict[str, np.ndarray]:
    kinds = {"label": _labels(answer), "confidence": answer.get("confidence")}
    return {caption: values for caption, values in kinds.items() if values is not None}


def _basis(answers: Sequence[Answer]) -> np.ndarray | None:
    labels = [each for each in map(_labels, answers) if each is not None]
    if not labels or labels[0].shape[-1] <= 3:
        return None
    return label_sphere.colour_basis(np.concatenate([each.reshape(-1, each.shape[-1]) for each in labels]))


def _tiles(pictures: Sequence[np.ndarray], captions: list[str], others: Sequence[np.ndarray] = ()) -> sheet.Tiles:
    """An empty sheet: a row for each picture, as high as it or as the other beside it; a column for each caption."""
    heights = [max(_size(picture)[1] for picture in row) for row in zip(pictures, *[others] * bool(others))]
    size = _WIDTH, heights
    tiles = sheet.Tiles(len(heights), len(captions), size, gap=MARGIN, titles=any(captions))
    for column, caption in enumerate(captions):
        tiles.title(column, caption)
    return tiles


def _tile(tiles: sheet.Tiles, row: int, column: int, picture: np.ndarray, *, show: bool = True) -> Axes:
    """Axes over a tile, whose data coordinates are pixels of the picture, which is as large as fits."""
    corner = tiles.lefts[column], tiles.tops[row]
    axes = sheet.tile(tiles.figure, *corner, *_size(picture), picture[np.newaxis])
    if show:
        sheet.show(axes, picture)
    return axes


def _size(picture: np.ndarray) -> tuple[int, int]:
    height, width = picture.shape[:2]
    scale = min(_WIDTH / width, _TALLEST / height)
    return max(1, round(width * scale)), max(1, round(height * scale))
