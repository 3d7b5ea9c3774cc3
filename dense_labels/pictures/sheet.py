"""The sheet a picture is drawn on: a figure laid out in pixels, its origin at the top left; checks of what is shown.

Everything is drawn without pyplot, so nothing global changes. Colours are the colour-blind-safe ones of Okabe and Ito.
"""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, withStroke

MARGIN = 12  # Pixels around a picture, and between tiles and what stands beside them.
LINE = 22  # Height of a line of text in pixels.
POINT_COLOURS = ("#e69f00", "#56b4e9", "#f0e442", "#cc79a7", "#d55e00")
POINT_MARKERS = "osD^v"
_DPI = 128  # A power of two, so that sizes in pixels survive the way through inches.


def create(width, height):
    """Returns an empty figure of a size in pixels."""
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure, left, top, width, height):
    """Returns axes over a rectangle of the sheet, in pixels."""
    sheet_width, sheet_height = figure.bbox.size
    bottom = 1 - (top + height) / sheet_height
    return figure.add_axes((left / sheet_width, bottom, width / sheet_width, height / sheet_height))


def tile(figure, left, top, width, height, images):
    """Returns axes whose data coordinates are the continuous pixels of an image."""
    axes = add_axes(figure, left, top, width, height)
    axes.set(xlim=(0, images.shape[2]), ylim=(images.shape[1], 0), autoscale_on=False)
    axes.set_axis_off()
    return axes


def tile_size(images, wanted):
    """Returns the (width, height) nearest to a wanted width that shows pixels whole, or smaller."""
    height, width = images.shape[1:3]
    scale = max(1, round(wanted / width)) if width <= 2 * wanted else wanted / width
    return round(width * scale), round(height * scale)


def covered(images, cells):
    """Returns the (height, width) in image pixels that a map of cells [h, w, ...] covers."""
    stride = images.shape[1] // cells.shape[0]
    return stride * cells.shape[0], stride * cells.shape[1]


def show(axes, picture, size=None, **style):
    """Shows a picture in a tile, over the whole image or its first `size` (height, width) pixels."""
    height, width = picture.shape[:2] if size is None else size
    interpolation = "nearest" if axes.bbox.width >= picture.shape[1] else "antialiased"
    return axes.imshow(picture, extent=(0, width, height, 0), aspect="auto", interpolation=interpolation, **style)


def write(figure, x, y, text, **style):
    """Writes text whose middle line is at height y."""
    width, height = figure.bbox.size
    return figure.text(x / width, 1 - y / height, text, va="center", size=in_points(14), **style)


def add_marker(figure, x, y, style):
    """Draws a marker of a `dot` or `stroke` style."""
    width, height = figure.bbox.size
    figure.add_artist(Line2D([x / width], [1 - y / height], transform=figure.transFigure, **style))


def legend(figure, y, entries):
    """Draws a row of markers with their names, `entries` being name -> style."""
    left = MARGIN
    for name, style in entries.items():
        add_marker(figure, left + 8, y, style)
        left = write(figure, left + 22, y, name).get_window_extent().x1 + MARGIN


def dot(marker, colour, size, edge="white"):
    """Style of a filled marker, exact to a fraction of a pixel."""
    return {
        "linestyle": "none",
        "marker": marker,
        "markersize": in_points(size),
        "markerfacecolor": colour,
        "markeredgecolor": edge,
        "markeredgewidth": in_points(1.5),
        "snap": False,
        "path_effects": [Normal()],  # Without an effect, Agg moves markers to whole pixels.
    }


def stroke(marker, colour, size):
    """Style of a marker of lines alone, outlined in white."""
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


def point_style(index):
    """Style of the index-th point: its colour and its shape tell it from the others."""
    marker, colour = POINT_MARKERS[index % 5], POINT_COLOURS[index % 5]
    return dot(marker, colour, 11, edge="black")


def outline(colour, width):
    """Path effects that outline what is drawn."""
    return [withStroke(linewidth=in_points(width), foreground=colour)]


def in_points(pixels):
    """Returns matplotlib points for pixels."""
    return pixels * 72 / _DPI


def render(figure):
    """Draws the figure; returns uint8 [H, W, 3]."""
    figure.canvas.draw()
    return np.array(figure.canvas.buffer_rgba())[..., :3]


def check(name, array, shape):
    """Returns `array` as numpy if it has the shape, where None stands for any size from 1."""
    array = np.asarray(array)
    fits = array.ndim == len(shape) and all(
        found > 0 and wanted in (None, found) for found, wanted in zip(array.shape, shape)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must be [{wanted}]; found shape {array.shape}")
    return array


def check_images(name, images):
    """Returns images [N, H, W, 3] as numpy, cut to [0, 1]; they may miss it by a rounding error."""
    images = check(name, images, (None, None, None, 3))
    low, high = images.min(), images.max()
    if not np.issubdtype(images.dtype, np.floating) or not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ValueError(f"{name} must be float in [0, 1]; found {images.dtype} in [{low}, {high}]")
    return np.clip(images, 0, 1)


def check_labels(name, labels, images):
    """Returns label maps [N, h, w, L] of images as float32 numpy."""
    labels = check(name, labels, (len(images), None, None, None)).astype(np.float32)
    (height, width), cells = images.shape[1:3], labels.shape[1:3]
    if cells[0] > height or cells[1] > width:
        raise ValueError(
            f"{name} must have at most one cell per pixel of images of {height} x {width}; "
            f"found {cells[0]} x {cells[1]} cells"
        )
    return labels


def check_masks(masks, images):
    """Returns masks [N, H, W] of images as bool numpy."""
    return check("masks", masks, images.shape[:3]).astype(bool)
