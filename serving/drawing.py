"""Draws what a served model answered, picture by picture: arrays in, one uint8 picture [H, W, 3] out."""

import numpy as np

from dense_labels.method import label_sphere
from dense_labels.pictures import sheet
from dense_labels.pictures.sheet import LINE, MARGIN

_WIDTH, _TALLEST = 320, 480  # of a tile, in pixels
_MATCHES = 5  # points of a match along each side


def draw_pictures(pictures, answers):
    """Shows each picture with the landmarks found in it, then the colours of its labels and its confidence.

    Args:
      pictures: list of uint8 [H, W, 3].
      answers: a dictionary of arrays for each, such as the signatures of `served` give: `points` [K, 2] in pixels of
        the picture, `labels` or `descriptors` [h, w, L], `confidence` [h, w]; what is absent is not drawn.

    Returns:
      uint8 [height, width, 3].
    """
    maps = [_maps(answer) for answer in answers]
    figure, lefts, tops = _layout(pictures, [""] + list(maps[0]))
    basis = _basis(answers)
    for picture, answer, shown, top in zip(pictures, answers, maps, tops):
        axes = _tile(figure, lefts[0], top, picture)
        for k, point in enumerate(answer.get("points", ())):
            axes.plot(*point, **sheet.point_style(k))
        for left, (caption, values) in zip(lefts[1:], shown.items()):
            axes = _tile(figure, left, top, picture, show=False)
            colours = values if caption == "confidence" else label_sphere.label_colours(values, basis)
            sheet.show(axes, colours, picture.shape[:2], cmap="cividis")
    return sheet.render(figure)


def draw_matches(pictures, found):
    """Shows a grid of points of A where each is found in B; the less certain a match, the fainter.

    Args:
      pictures: A and B, each uint8 [H, W, 3].
      found: dictionary of `points_in_b` [h, w, 2] in pixels of B, and `confidence` [h, w].

    Returns:
      uint8 [height, width, 3].
    """
    height, width = found["confidence"].shape
    figure, lefts, tops = _layout([pictures[0]], ["A", "B"], others=[pictures[1]])
    axes_a, axes_b = (_tile(figure, left, tops[0], picture) for left, picture in zip(lefts, pictures))
    rows, columns = (np.linspace(0, size - 1, 2 + _MATCHES).round().astype(int)[1:-1] for size in (height, width))
    certainty = found["confidence"] / max(found["confidence"].max(), np.finfo(np.float32).tiny)
    for k, (row, column) in enumerate((row, column) for row in rows for column in columns):
        style = {**sheet.point_style(k), "alpha": float(np.clip(certainty[row, column], 0.15, 1))}
        centre = (column + 0.5) / width * pictures[0].shape[1], (row + 0.5) / height * pictures[0].shape[0]
        axes_a.plot(*centre, **style)
        axes_b.plot(*found["points_in_b"][row, column], **style)
    return sheet.render(figure)


def _maps(answer):
    kinds = {"label": answer.get("labels", answer.get("descriptors")), "confidence": answer.get("confidence")}
    return {caption: values for caption, values in kinds.items() if values is not None}


def _basis(answers):
    labels = [answer.get("labels", answer.get("descriptors")) for answer in answers]
    if labels[0] is None or labels[0].shape[-1] <= 3:
        return None
    return label_sphere.colour_basis(np.concatenate([each.reshape(-1, each.shape[-1]) for each in labels]))


def _layout(pictures, captions, others=()):
    """An empty sheet: a row for each picture, a column for each caption; returns where its tiles begin, too."""
    heights = [max(_size(picture)[1] for picture in row) for row in zip(pictures, *[others] * bool(others))]
    lefts = MARGIN + (_WIDTH + MARGIN) * np.arange(len(captions))
    first = MARGIN + LINE * any(captions)
    tops = first + np.cumsum([0, *(height + MARGIN for height in heights)])
    figure = sheet.create(int(lefts[-1]) + _WIDTH + MARGIN, int(tops[-1]))
    for left, caption in zip(lefts, captions):
        sheet.write(figure, left, MARGIN + LINE / 2 - 3, caption)
    return figure, lefts, tops


def _tile(figure, left, top, picture, *, show=True):
    axes = sheet.tile(figure, left, top, *_size(picture), picture[np.newaxis])
    if show:
        sheet.show(axes, picture)
    return axes


def _size(picture):
    height, width = picture.shape[:2]
    scale = min(_WIDTH / width, _TALLEST / height)
    return max(1, round(width * scale)), max(1, round(height * scale))
