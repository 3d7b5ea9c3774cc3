"""Pictures of shares: of matches that are correct, and of images and landmarks whose error is below a limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dense_labels.pictures import checks, sheet
from dense_labels.pictures.sheet import LINE, MARGIN
from dense_labels.registry import PICTURES

if TYPE_CHECKING:
    from dense_labels.pictures.gallery import Material

PLOT, LEFT, APART = (300, 220), 60, 70  # pixels: of a plot, left of the first, and between two
_COLOURS = ("black", "#0072b2", "#d55e00", "#009e73", "#cc79a7")
_STROKES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


@PICTURES.register(
    "curves",
    "The share of images, and of landmarks, whose error is below each limit.",
    title="Curves",
    needs=("curves",),
    place=60,
)
def draw_curves(material: Material) -> np.ndarray:
    """Draws how often the errors of images and of landmarks stay below each limit."""
    return curves_panel(material.curves)


@PICTURES.register(
    "precision_recall",
    "Matches between the views of pairs, the most probable first: how many of those kept are correct (within 10 % "
    "of the shorter side), and how many of the correct ones are kept.",
    title="Precision and recall of matches",
    needs=("pairs", "labels_a", "labels_b"),
    place=80,
)
def draw_precision_recall(material: Material) -> np.ndarray | None:
    """Draws what the probability of matches says of them; nothing where no cell of the pairs is visible."""
    return None if material.pair_matches is None else precision_recall_panel(*material.pair_matches)


def precision_recall_panel(correct: np.ndarray, probability: np.ndarray) -> np.ndarray:
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
    correct = checks.check("correct", correct, (None,)).astype(bool)
    probability = checks.check("probability", probability, correct.shape)
    found = np.cumsum(correct[np.argsort(-probability, kind="stable")])
    precision, recall = found / np.arange(1, len(found) + 1), found / max(found[-1], 1)
    tiles = sheet.Tiles(1, 1, PLOT, left=LEFT, right=2 * MARGIN, below=4.5 * LINE)
    axes = _share_axes(tiles, 0, limits=(0, 1), top=1.1)
    axes.plot(recall, precision, **next(_styles(1)))
    axes.plot([0, 1], [precision[-1]] * 2, color="black", linestyle=":", linewidth=sheet.in_points(2))
    _write_under(tiles, 0, 1.9, "share of the correct ones kept")
    _write_under(tiles, 0, 3.2, f"of all {len(correct):,} matches {precision[-1]:.0%} are correct")
    _write_beside(tiles, "share correct")
    return sheet.render(tiles.figure)


def curves_panel(curves: Mapping[str, Any]) -> np.ndarray:
    """Shows the share of images, and of landmarks, whose error is at most a limit.

    Args:
      curves: as of `evaluation.result.Result`: `percent`, the limits, and for each way of predicting landmarks the
        shares `cumulative`, of images by their mean error, and `pck`, of landmarks.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if there is no curve, or one is not as long as `percent`.
    """
    limits = checks.check("percent", curves["percent"], (None,))
    ways = [way for way in curves if way != "percent"]
    if not ways:
        raise ValueError("there is no curve to draw; give at least one beside percent")
    tiles = sheet.Tiles(1, 2, PLOT, left=LEFT, right=APART, gap=APART, below=(4 + len(ways)) * LINE)
    for column, (kind, title) in enumerate((("cumulative", "images: mean error"), ("pck", "landmarks: error (PCK)"))):
        axes = _share_axes(tiles, column, limits=(limits[0], limits[-1]))
        for way, style in zip(ways, _styles(len(ways))):
            axes.plot(limits, checks.check(way, curves[way][kind], limits.shape), **style)
        _write_under(tiles, column, 1.9, f"{title} at most, %")
    _write_beside(tiles, "share")
    for n, (way, style) in enumerate(zip(ways, _styles(len(ways)))):
        y = tiles.tops[0] + PLOT[1] + (3.4 + n) * LINE
        _draw_key(tiles.figure, LEFT, y, style)
        sheet.write(tiles.figure, LEFT + 56, y, way.replace("_", " "))
    return sheet.render(tiles.figure)


def _share_axes(tiles: sheet.Tiles, column: int, *, limits: tuple[float, float], top: float = 1.0) -> Axes:
    """Returns the axes of a plot whose height is a share."""
    axes = tiles.plot(0, column)
    axes.set(xlim=limits, ylim=(0, top), yticks=np.linspace(0, 1, 6), autoscale_on=False)
    axes.grid(color="0.85", linewidth=sheet.in_points(1))
    return axes


def _write_under(tiles: sheet.Tiles, column: int, lines: float, text: str) -> None:
    y = tiles.tops[0] + PLOT[1] + lines * LINE
    sheet.write(tiles.figure, tiles.lefts[column] + PLOT[0] / 2, y, text, ha="center")


def _write_beside(tiles: sheet.Tiles, text: str) -> None:
    sheet.write(tiles.figure, MARGIN + 2, tiles.tops[0] + PLOT[1] / 2, text, ha="center", rotation=90)


def _styles(count: int) -> Iterator[sheet.Style]:
    """Yields a style for each curve; colours and strokes differ."""
    for n in range(count):
        yield {"color": _COLOURS[n % 5], "linestyle": _STROKES[(n + n // 5) % 5], "linewidth": sheet.in_points(2.5)}


def _draw_key(figure: Figure, x: float, y: float, style: sheet.Style) -> None:
    width, height = figure.bbox.size
    ends = [x / width, (x + 46) / width], [1 - y / height] * 2
    figure.add_artist(Line2D(*ends, transform=figure.transFigure, **style))
