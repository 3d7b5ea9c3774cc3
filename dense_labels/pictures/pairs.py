"""The picture of pairs: how the one view is bent into the other, to check warps by eye."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from dense_labels.batches import PairBatch
from dense_labels.method import geometry
from dense_labels.pictures import checks, sheet
from dense_labels.registry import PICTURES

if TYPE_CHECKING:
    from dense_labels.pictures.gallery import Material

_DOTS = 8  # most dots along a side of a grid
_SHOWN = 4  # pairs


@PICTURES.register(
    "pairs",
    "How the views of a pair are bent: the same dots in both, and the grid of A where it is found in B.",
    title="Pairs",
    needs=("pairs",),
    place=140,
)
def draw_pairs(material: Material) -> np.ndarray:
    """Draws how the views of the first pairs are bent, which no training changes."""
    return pairs_panel(PairBatch(*(part[:_SHOWN] for part in material.pairs)), stride=material.stride)


def pairs_panel(pairs: PairBatch, *, stride: int) -> np.ndarray:
    """Shows pairs of views and how the one is bent into the other.

    A row per pair: A with a sparse grid of its cells as dots, B with the same dots where they are visible, then B with
    the lines of A's grid as they are found there. A dot has the hue of its x and the lightness of its y in A; those
    that are not visible in B are hollow in A.

    Args:
      pairs: N pairs.
      stride: side of a cell in pixels.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, images are not in [0, 1], or the cells do not cover the images.
    """
    images_a, images_b, points_in_b, visible = _check(pairs, stride)
    tiles = sheet.Tiles(len(images_a), 3, sheet.tile_size(images_a), titles=True, legend=True)
    for column, title in enumerate(("A", "B", "A's grid in B")):
        tiles.title(column, title)
    centres = geometry.cell_centres(visible.shape[1], visible.shape[2], stride).numpy()
    for n, (places, seen) in enumerate(zip(points_in_b, visible)):
        axes = [tiles.tile(n, column, images_a) for column in range(3)]
        for each, image in zip(axes, (images_a[n], images_b[n], images_b[n])):
            sheet.show(each, image)
        _draw_dots(axes[0], axes[1], centres, places, seen)
        _draw_bent_grid(axes[2], places, seen)
    entries = {
        "visible in B": sheet.dot("o", "grey", 11, edge="black"),
        "not visible in B, or left out": sheet.stroke("o", "grey", 11),
    }
    tiles.legend(entries)
    return sheet.render(tiles.figure)


def _check(pairs: PairBatch, stride: int) -> PairBatch:
    images_a = checks.check_images("image_a", pairs.image_a)
    images_b = checks.check_images("image_b", pairs.image_b)
    checks.check("image_b", images_b, images_a.shape)
    points_in_b = checks.check("points_in_b", pairs.points_in_b, (len(images_a), None, None, 2))
    visible = checks.check("visible", pairs.visible, points_in_b.shape[:3]).astype(bool)
    checks.check_cells("visible", visible.shape[1:], stride, images_a.shape[1:3])
    return PairBatch(images_a, images_b, points_in_b, visible)


def _sparse(count: int) -> range:
    """Returns at most `_DOTS` indices below `count`, evenly spaced and centred."""
    step = -(-count // _DOTS)
    return range((count - 1) % step // 2, count, step)


def _draw_dots(axes_a: Axes, axes_b: Axes, centres: np.ndarray, points_in_b: np.ndarray, visible: np.ndarray) -> None:
    height, width = visible.shape
    for number_i, i in enumerate(_sparse(height)):
        for number_j, j in enumerate(_sparse(width)):
            marker = sheet.POINT_MARKERS[(2 * number_i + number_j) % 5]  # not that of any neighbour
            colour = colorsys.hls_to_rgb(0.85 * j / width, 0.75 - 0.45 * i / height, 0.9)
            if visible[i, j]:
                axes_a.plot(*centres[i, j], **sheet.dot(marker, colour, 11, edge="black"))
                axes_b.plot(*points_in_b[i, j], **sheet.dot(marker, colour, 11, edge="black"))
            else:
                axes_a.plot(*centres[i, j], **sheet.stroke(marker, colour, 12))


def _draw_bent_grid(axes: Axes, points_in_b: np.ndarray, visible: np.ndarray) -> None:
    """Draws rows and columns of cells where they are found, broken where they are not visible."""
    places = np.where(visible[..., np.newaxis], points_in_b, np.nan)
    rows = [places[i] for i in _sparse(len(places))]
    columns = [places[:, j] for j in _sparse(places.shape[1])]
    for line in rows + columns:
        effects = sheet.outline("black", 3.5)
        axes.plot(*line.T, color="white", linewidth=sheet.in_points(1.5), path_effects=effects)
