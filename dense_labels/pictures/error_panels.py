"""Pictures of what goes wrong, and how often: errors of matches, curves of landmark errors.

Conventions as in `visualization`.
"""

import numpy as np
import tensorflow as tf
from matplotlib.lines import Line2D

from dense_labels.method import geometry, matching
from dense_labels.pictures import sheet
from dense_labels.pictures.sheet import LINE, MARGIN

_GAP = 8  # Pixels between tiles.
_ROWS = 2048  # Cells of A that are matched at a time.
FAR = 0.1  # Of the image's shorter side: from here on an error has the brightest colour, and a match is not correct.
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_PLOT = 300, 220  # Pixels.


def match_errors(labels_a, labels_b, points_in_b, stride):
    """Finds the most probable match of each cell (the argmax of equation 2), and how far off it is.

    Args:
      labels_a: [N, h, w, L].
      labels_b: [N, h, w, L].
      points_in_b: [N, h, w, 2], where each cell of A truly is, (x, y) in pixels of B.
      stride: side of a cell in pixels.

    Returns:
      `(places, probability, errors)`: float32 [N, h, w, 2], (x, y) in pixels of B; [N, h, w], equation (3); and
      [N, h, w], in pixels.
    """
    height, width, length = labels_b.shape[1:]
    centres = tf.reshape(geometry.cell_centres(height, width, stride), [-1, 2])
    flat = (np.reshape(labels, [len(labels), -1, length]) for labels in (labels_a, labels_b))
    places, probability = [], []
    for a, b in zip(*flat):
        for start in range(0, len(a), _ROWS):  # The scores of all cells of a large image would not fit in memory.
            log_probability = matching.match_log_probability(a[start : start + _ROWS], b)
            places.append(matching.best_match(log_probability, centres).numpy())
            probability.append(np.exp(np.max(log_probability, axis=-1)))
    places = np.concatenate(places).reshape(points_in_b.shape)
    return places, np.concatenate(probability).reshape(places.shape[:-1]), np.linalg.norm(places - points_in_b, axis=-1)


def matches_panel(images_a, images_b, places, errors, visible, *, stride):
    """Shows A, B, A drawn anew from the pixels of B that it is matched with, and how far off each match is.

    A row per pair. Cells that are not visible in B are grey.

    Args:
      images_a: [N, H, W, 3], float in [0, 1].
      images_b: [N, H, W, 3], float in [0, 1].
      places: [N, h, w, 2], where the cells of A are matched, (x, y) in pixels of B.
      errors: [N, h, w], in pixels.
      visible: [N, h, w], which cells of A are seen in B (bool or 0/1).
      stride: side of a cell in pixels.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
    """
    images_a = sheet.check_images("images_a", images_a)
    images_b = sheet.check_images("images_b", images_b)
    sheet.check("images_b", images_b, images_a.shape)
    places = sheet.check("places", places, (len(images_a), None, None, 2))
    errors = sheet.check("errors", errors, places.shape[:3])
    visible = sheet.check("visible", visible, places.shape[:3]).astype(bool)
    far = FAR * min(images_a.shape[1:3])
    colours = geometry.bilinear_sample(images_b, places.reshape([len(places), -1, 2]), 1).numpy()
    redrawn = np.where(visible[..., np.newaxis], colours.reshape([*visible.shape, 3]), np.float32(0.5))

    width, height = sheet.tile_size(images_a, 180)
    across, down, top = width + _GAP, height + LINE + _GAP, MARGIN + LINE
    figure = sheet.create(2 * MARGIN + 4 * across + 80, top + len(images_a) * down + MARGIN)
    lefts = MARGIN + across * np.arange(4)
    for x, title in zip(lefts, ("A", "B", "A from B's pixels", "off by")):
        sheet.write(figure, x, MARGIN + LINE / 2 - 3, title)
    size = stride * visible.shape[1], stride * visible.shape[2]
    for n in range(len(images_a)):
        y = top + n * down
        tiles = [sheet.tile(figure, x, y, width, height, images_a) for x in lefts]
        sheet.show(tiles[0], images_a[n])
        sheet.show(tiles[1], images_b[n])
        sheet.show(tiles[2], redrawn[n], size)
        sheet.show(tiles[3], np.full([*visible.shape[1:], 3], 0.5), size)  # What masked cells show.
        hidden = np.ma.masked_array(errors[n], ~visible[n])
        drawn = sheet.show(tiles[3], hidden, size, vmin=0, vmax=far, cmap="cividis")
        seen = errors[n][visible[n]]
        caption = f"mean {seen.mean():.1f} px, median {np.median(seen):.1f}" if seen.size else "nothing visible"
        sheet.write(figure, lefts[3], y + height + LINE / 2, caption)
    bar = sheet.add_axes(figure, lefts[3] + across + MARGIN, top, 14, height)
    figure.colorbar(drawn, cax=bar, ticks=[0, far / 2, far], format="%.3g")
    bar.set_yticks([0, far / 2, far], ["0", f"{far / 2:.3g}", f"≥ {far:.3g} px"])
    bar.tick_params(labelsize=sheet.in_points(13), length=sheet.in_points(4))
    return sheet.render(figure)


def precision_recall_panel(correct, probability):
    """Shows how many of the matches that are kept are correct, and how many of the correct ones are kept.

    Matches are kept in the order of their probability, the most probable first. The dotted line is that of all.

    Args:
      correct: bool [M], one at least.
      probability: [M].

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if there is no match, or not one probability for each of them.
    """
    correct = sheet.check("correct", correct, (None,)).astype(bool)
    probability = sheet.check("probability", probability, correct.shape)
    found = np.cumsum(correct[np.argsort(-probability, kind="stable")])
    precision, recall = found / np.arange(1, len(found) + 1), found / max(found[-1], 1)
    figure = sheet.create(60 + _PLOT[0] + 2 * MARGIN, MARGIN + _PLOT[1] + 4.5 * LINE)
    axes = _share_axes(figure, 60, limits=(0, 1), top=1.1)
    axes.plot(recall, precision, **next(_styles(1)))
    axes.plot([0, 1], [precision[-1]] * 2, color="black", linestyle=":", linewidth=sheet.in_points(2))
    middle = 60 + _PLOT[0] / 2
    sheet.write(figure, middle, MARGIN + _PLOT[1] + 1.9 * LINE, "share of the correct ones kept", ha="center")
    caption = f"of all {len(correct):,} matches {precision[-1]:.0%} are correct"
    sheet.write(figure, middle, MARGIN + _PLOT[1] + 3.2 * LINE, caption, ha="center")
    sheet.write(figure, MARGIN + 2, MARGIN + _PLOT[1] / 2, "share correct", ha="center", rotation=90)
    return sheet.render(figure)


def curves_panel(curves):
    """Shows the share of images, and of landmarks, whose error is at most a limit.

    Args:
      curves: as of `results.report`: `percent`, the limits, and for each way of finding landmarks the shares
        `cumulative`, of images by their mean error, and `pck`, of landmarks.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if there is no curve, or one is not as long as `percent`.
    """
    limits = sheet.check("percent", curves["percent"], (None,))
    ways = [way for way in curves if way != "percent"]
    if not ways:
        raise ValueError("there is no curve to draw; give at least one beside percent")
    left, across = 60, _PLOT[0] + 70
    figure = sheet.create(left + 2 * across, MARGIN + _PLOT[1] + 3 * LINE + (1 + len(ways)) * LINE)
    for n, (kind, title) in enumerate((("cumulative", "images: mean error"), ("pck", "landmarks: error (PCK)"))):
        axes = _share_axes(figure, left + n * across, limits=(limits[0], limits[-1]))
        for way, style in zip(ways, _styles(len(ways))):
            axes.plot(limits, sheet.check(way, curves[way][kind], limits.shape), **style)
        name = f"{title} at most, %"
        sheet.write(figure, left + n * across + _PLOT[0] / 2, MARGIN + _PLOT[1] + 1.9 * LINE, name, ha="center")
    sheet.write(figure, MARGIN + 2, MARGIN + _PLOT[1] / 2, "share", ha="center", rotation=90)
    for n, (way, style) in enumerate(zip(ways, _styles(len(ways)))):
        y = MARGIN + _PLOT[1] + (3.4 + n) * LINE
        _draw_key(figure, left, y, style)
        sheet.write(figure, left + 56, y, way.replace("_", " "))
    return sheet.render(figure)


def _share_axes(figure, left, *, limits, top=1.0):
    """Axes of a plot whose height is a share."""
    axes = sheet.add_axes(figure, left, MARGIN, *_PLOT)
    axes.set(xlim=limits, ylim=(0, top), yticks=np.linspace(0, 1, 6), autoscale_on=False)
    axes.grid(color="0.85", linewidth=sheet.in_points(1))
    axes.tick_params(labelsize=sheet.in_points(13), length=sheet.in_points(4))
    return axes


def _styles(count):
    """A style for each curve; colours and strokes differ."""
    colours = ("black", "#0072b2", "#d55e00", "#009e73", "#cc79a7")
    for n in range(count):
        yield {"color": colours[n % 5], "linestyle": _STYLES[n % 5], "linewidth": sheet.in_points(2.5)}


def _draw_key(figure, x, y, style):
    width, height = figure.bbox.size
    ends = [x / width, (x + 46) / width], [1 - y / height] * 2
    figure.add_artist(Line2D(*ends, transform=figure.transFigure, **style))
