"""The picture of labels: their colours and their lengths, cell by cell.

Convention: points are in the frame of `method.geometry`, continuous pixels of the image shown. A tile whose top-left
corner is at picture pixel (left, top) shows point (x, y) of its image at (left + scale * x, top + scale * y). What
differs in colour differs in shape too. So it is in all pictures.

Figure numbers are those of Thewlis, Bilen and Vedaldi, "Unsupervised learning of object frames by dense equivariant
image labelling", NIPS 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from dense_labels.batches import LabelMap
from dense_labels.method import label_sphere
from dense_labels.pictures import cells, checks, sheet
from dense_labels.pictures.sheet import GAP, MARGIN
from dense_labels.registry import PICTURES

if TYPE_CHECKING:
    from dense_labels.pictures.gallery import Material

_CAPTIONS, _KEY = 92, 150  # pixels left and right of the tiles


@PICTURES.register(
    "labels",
    "The label of each pixel as a colour: a point of the object should keep its colour from picture to picture. "
    "Below, how long the labels are, unless all are alike: where they are short, a match is uncertain.",
    title="Labels",
    needs=("pairs", "labels_a"),
    place=10,
)
def draw_labels(material: Material) -> np.ndarray:
    """Draws views A with the colours and lengths of their labels; what is visible of A counts as the object."""
    return labels_panel(material.pairs.image_a, material.labels_a, masks=material.masks, basis=material.basis)


def labels_panel(
    images: np.ndarray, labels: LabelMap, *, masks: np.ndarray | None = None, basis: np.ndarray | None = None
) -> np.ndarray:
    """Shows images, the colours of their labels and the lengths of their labels (figure 3).

    Args:
      images: [N, H, W, 3], float in [0, 1].
      labels: of the N images.
      masks: [N, H, W], where the object is (bool or 0/1); adds a row of labels on the object alone.
      basis: [L, 3] from `label_sphere.colour_basis`; needed for L > 3.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
    """
    images = checks.check_images("images", images)
    labels = checks.check_labels("labels", labels, images)
    colours = label_sphere.label_colours(labels.values, basis)
    lengths = np.linalg.norm(labels.values, axis=-1)
    rows = {"frame": images, "label": colours}
    if masks is not None:
        on_object = cells.mostly(checks.check_masks(masks, images), labels)
        rows["label on\nthe object"] = np.where(on_object[..., np.newaxis], colours, np.float32(0.5))
    if np.ptp(lengths) > 1e-3 * lengths.max():  # else all are alike, but for rounding
        rows["length\nof label"] = lengths

    size = sheet.tile_size(images)
    tiles = sheet.Tiles(len(rows), len(images), size, left=_CAPTIONS, right=GAP + _KEY)
    for row, (caption, pictures) in enumerate(rows.items()):
        tiles.name(row, caption)
        for column, picture in enumerate(pictures):
            axes, extent = tiles.tile(row, column, images), None if pictures is images else labels.covered
            drawn = sheet.show(axes, picture, extent, vmin=lengths.min(), vmax=lengths.max(), cmap="cividis")
        if pictures is lengths:
            sheet.bar(tiles.figure, tiles.right + MARGIN, tiles.tops[row], size[1], drawn)
        elif pictures is colours and labels.length == 3:
            _draw_colour_key(tiles, row)
    return sheet.render(tiles.figure)


def _draw_colour_key(tiles: sheet.Tiles, row: int) -> None:
    """Draws the colours of all directions beside a row, unfolded as in `unfolding`."""
    left, middle = tiles.right + MARGIN, tiles.tops[row] + tiles.heights[row] / 2
    _draw_sphere(sheet.add_axes(tiles.figure, left, middle - 40, 120, 60))
    sheet.write(tiles.figure, left + 60, middle + 32, "label sphere", ha="center")


def _draw_sphere(axes: Axes) -> None:
    latitude, longitude = np.meshgrid(
        np.linspace(np.pi / 2, -np.pi / 2, 60), np.linspace(-np.pi, np.pi, 120), indexing="ij"
    )
    axes.imshow(label_sphere.label_colours(label_sphere.from_latitude_longitude(latitude, longitude)))
    axes.set_axis_off()
