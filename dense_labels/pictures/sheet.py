"""The sheet a picture is drawn on: a figure laid out in pixels, its origin at the top left; tiles in rows and columns.

Everything is drawn without pyplot, so nothing global changes. Colours are the colour-blind-safe ones of Okabe and Ito.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patheffects import AbstractPathEffect, Normal, withStroke
from matplotlib.text import Text

MARGIN = 12  # pixels around a picture, and between tiles and what stands beside them
GAP = 8  # pixels between tiles
LINE = 22  # height of a line of text in pixels
TILE = 180  # width of most tiles in pixels
POINT_COLOURS = ("#e69f00", "#56b4e9", "#f0e442", "#cc79a7", "#d55e00")
POINT_MARKERS = "osD^v"
PREDICTED, TRUE, PEAK = "#009e73", "#0072b2", "#d55e00"  # where something is predicted, truly is, and is most probable
_BAR = 14  # width of a colour bar in pixels
_NUDGE = -1e-6  # pixels of an image: without it matplotlib 3.10 draws the edges of some a pixel off
_DPI = 128  # a power of two, so that sizes in pixels survive the way through inches

Style = dict[str, Any]  # of a marker or line, as matplotlib takes it


class Tiles:
    """A sheet of tiles in rows and columns, with room for what stands beside them.

    Attributes:
      figure: the sheet.
      width: of a tile in pixels.
      heights: of the tiles of each row in pixels.
      lefts: where each column begins, in pixels of the sheet.
      tops: where each row begins.
      right: where another column would begin.
      bottom: where another row would begin.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        size: tuple[int, int | Sequence[int]],
        *,
        left: int = MARGIN,
        right: int = MARGIN,
        top: int | None = None,
        below: float | None = None,
        gap: int = GAP,
        titles: bool = False,
        captions: bool = False,
        legend: bool = False,
        least_width: int = 0,
    ):
        """Creates an empty sheet.

        Args:
          rows, columns: of tiles.
          size: (width, height) of a tile in pixels; the height may be one for each row.
          left: pixels left of the first column.
          right: pixels right of the last column.
          top: pixels above the first row; by default a margin and, with titles, a line.
          below: pixels below the last row and its captions; by default a margin and, with a legend, a line.
          gap: pixels between tiles.
          titles: whether there is a line above the columns.
          captions: whether there is a line under each tile.
          legend: whether there is a line under all tiles.
          least_width: of the sheet in pixels.
        """
        self.width, self.heights = size[0], np.broadcast_to(size[1], rows).tolist()
        first = MARGIN + LINE * titles if top is None else top
        ends = first + np.cumsum([0, *(height + LINE * captions + gap for height in self.heights)])
        *self.tops, self.bottom = ends.tolist()
        *self.lefts, self.right = (left + column * (self.width + gap) for column in range(columns + 1))
        below = MARGIN + (gap + LINE) * legend if below is None else below
        self.figure = create(max(self.right - gap + right, least_width), self.bottom - gap + below)

    def tile(self, row: int, column: int, images: np.ndarray) -> Axes:
        """Returns axes over a tile whose data coordinates are the continuous pixels of images [N, H, W, 3]."""
        return tile(self.figure, self.lefts[column], self.tops[row], self.width, self.heights[row], images)

    def plot(self, row: int, column: int) -> Axes:
        """Returns axes over a tile, with their frame and ticks."""
        axes = add_axes(self.figure, self.lefts[column], self.tops[row], self.width, self.heights[row])
        tick(axes)
        return axes

    def title(self, column: int, text: str) -> None:
        """Writes above a column."""
        write(self.figure, self.lefts[column], MARGIN + LINE / 2 - 3, text)

    def caption(self, row: int, column: int, text: str) -> None:
        """Writes under a tile."""
        write(self.figure, self.lefts[column], self.tops[row] + self.heights[row] + LINE / 2, text)

    def name(self, row: int, text: str) -> None:
        """Writes to the left of a row."""
        middle = self.tops[row] + self.heights[row] / 2
        write(self.figure, self.lefts[0] - MARGIN, middle, text, ha="right")

    def legend(self, entries: Mapping[str, Style], *, down: float = LINE / 2) -> None:
        """Draws markers with their names under all tiles, `down` pixels below the last row and its gap."""
        legend(self.figure, self.bottom + down, entries)


def create(width: float, height: float) -> Figure:
    """Returns an empty figure of a size in pixels."""
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Returns axes over a rectangle of the sheet, in pixels."""
    sheet_width, sheet_height = figure.bbox.size
    bottom = 1 - (top + height) / sheet_height
    return figure.add_axes((left / sheet_width, bottom, width / sheet_width, height / sheet_height))


def tile(figure: Figure, left: float, top: float, width: float, height: float, images: np.ndarray) -> Axes:
    """Returns axes whose data coordinates are the continuous pixels of images [N, H, W, 3]."""
    axes = add_axes(figure, left, top, width, height)
    axes.set(xlim=(0, images.shape[2]), ylim=(images.shape[1], 0), autoscale_on=False)
    axes.set_axis_off()
    return axes


def tile_size(images: np.ndarray, wanted: int = TILE) -> tuple[int, int]:
    """Returns the (width, height) nearest to a wanted width that shows pixels whole, or smaller."""
    height, width = images.shape[1:3]
    scale = max(1, round(wanted / width)) if width <= 2 * wanted else wanted / width
    return round(width * scale), round(height * scale)


def show(axes: Axes, picture: np.ndarray, size: tuple[int, ...] | None = None, **style: Any) -> AxesImage:
    """Shows a picture in a tile, over the whole image or its first `size` (height, width) pixels."""
    height, width = picture.shape[:2] if size is None else size
    interpolation = "nearest" if axes.bbox.width >= picture.shape[1] else "antialiased"
    sides = (_NUDGE, width + _NUDGE, height + _NUDGE, _NUDGE)
    return axes.imshow(picture, extent=sides, aspect="auto", interpolation=interpolation, **style)


def darkened(image: np.ndarray) -> np.ndarray:
    """Returns an image [H, W, 3] in dark grey, on which a glow is seen."""
    return 0.4 * image.mean(axis=-1, keepdims=True).repeat(3, axis=-1)


def write(figure: Figure, x: float, y: float, text: str, **style: Any) -> Text:
    """Writes text whose middle line is at height y."""
    width, height = figure.bbox.size
    return figure.text(x / width, 1 - y / height, text, va="center", size=in_points(14), **style)


def add_marker(figure: Figure, x: float, y: float, style: Style) -> None:
    """Draws a marker of a `dot` or `stroke` style."""
    width, height = figure.bbox.size
    figure.add_artist(Line2D([x / width], [1 - y / height], transform=figure.transFigure, **style))


def legend(figure: Figure, y: float, entries: Mapping[str, Style]) -> None:
    """Draws a row of markers with their names, `entries` being name -> style."""
    left = MARGIN
    for name, style in entries.items():
        add_marker(figure, left + 8, y, style)
        left = write(figure, left + 22, y, name).get_window_extent().x1 + MARGIN


def bar(
    figure: Figure,
    left: float,
    top: float,
    height: float,
    drawn: ScalarMappable,
    ticks: Mapping[float, str] | None = None,
) -> None:
    """Draws the colour bar of what was shown, with its ends written beside it, or `ticks`, value -> text."""
    axes = add_axes(figure, left, top, _BAR, height)
    shown = ScalarMappable(drawn.norm, drawn.get_cmap())  # whole, whatever is transparent where it is shown
    ends = [drawn.norm.vmin, drawn.norm.vmax] if ticks is None else list(ticks)
    figure.colorbar(shown, cax=axes, ticks=ends, format="%.3g")
    if ticks is not None:
        axes.set_yticks(ends, list(ticks.values()))
    tick(axes)


def tick(axes: Axes, size: float = 13, **style: Any) -> None:
    """Sets the size of the ticks of axes and of the numbers beside them."""
    axes.tick_params(labelsize=in_points(size), length=in_points(4), **style)


def dot(marker: str, colour: Any, size: float, edge: str = "white") -> Style:
    """Returns the style of a filled marker, exact to a fraction of a pixel."""
    return {
        "linestyle": "none",
        "marker": marker,
        "markersize": in_points(size),
        "markerfacecolor": colour,
        "markeredgecolor": edge,
        "markeredgewidth": in_points(1.5),
        "snap": False,
        "path_effects": [Normal()],  # without an effect, Agg moves markers to whole pixels
    }


def stroke(marker: str, colour: Any, size: float) -> Style:
    """Returns the style of a marker of lines alone, outlined in white."""
    return {
        "linestyle": "none",
        "marker": marker,
        "markersize": in_points(size),
        "markerfacecolor": "none",
        "markeredgecolor": colour,
        "markeredgewidth": in_points(2),
        "snap": False,
        "path_effects": outline("white", 3.5),
    }


def point_style(index: int) -> Style:
    """Returns the style of the index-th point, told from the others by its colour and by its shape."""
    marker, colour = POINT_MARKERS[index % 5], POINT_COLOURS[index % 5]
    return dot(marker, colour, 11, edge="black")


def outline(colour: Any, width: float) -> list[AbstractPathEffect]:
    """Returns path effects that outline what is drawn."""
    return [withStroke(linewidth=in_points(width), foreground=colour)]


def in_points(pixels: float) -> float:
    """Returns matplotlib points for pixels."""
    return pixels * 72 / _DPI


def render(figure: Figure) -> np.ndarray:
    """Draws the figure; returns uint8 [H, W, 3]."""
    figure.canvas.draw()
    return np.array(figure.canvas.buffer_rgba())[..., :3]
