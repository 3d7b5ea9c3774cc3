"""The picture of errors of matches: the most probable match of each cell of A, and how far off it is.

Equation numbers are those of Thewlis, Bilen and Vedaldi, "Unsupervised learning of object frames by dense equivariant
image labelling", NIPS 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from dense_labels.batches import LabelMap
from dense_labels.method import geometry, matching
from dense_labels.pictures import checks, sheet
from dense_labels.pictures.sheet import GAP, MARGIN
from dense_labels.registry import PICTURES

if TYPE_CHECKING:
    from dense_labels.pictures.gallery import Material

FAR = 0.1  # of the image's shorter side: from here on an error has the brightest colour, and a match is not correct
_ROWS = 2048  # cells of A that are matched at a time
_SHOWN = 3  # pairs
_SCALE = 80  # pixels right of the tiles, for the colour bar


class MatchErrors(NamedTuple):
    """The most probable match of each cell of images A, and how far off it is."""

    places: np.ndarray  # float32 [N, h, w, 2], (x, y) in pixels of B
    probability: np.ndarray  # float32 [N, h, w], equation (3)
    errors: np.ndarray  # float [N, h, w], in pixels
    visible: np.ndarray  # bool [N, h, w], which cells of A are seen in B


@PICTURES.register(
    "match_errors",
    "A, B, and A drawn anew from the pixels of B that its labels match; at the right how far off each match is.",
    title="Errors of matches, the worst pairs first",
    needs=("pairs", "labels_a", "labels_b"),
    place=70,
)
def draw_match_errors(material: Material) -> np.ndarray:
    """Draws the pairs whose matches are furthest off, the worst first."""
    found, pairs = material.match_errors, material.compared_pairs
    totals = np.where(found.visible, found.errors, 0).sum(axis=(1, 2))
    worst = np.argsort(-totals / np.maximum(found.visible.sum(axis=(1, 2)), 1), kind="stable")[:_SHOWN]
    shown = MatchErrors(*(part[worst] for part in found))
    return match_errors_panel(pairs.image_a[worst], pairs.image_b[worst], shown, stride=material.stride)


def measure_matches(
    labels_a: LabelMap, labels_b: LabelMap, points_in_b: np.ndarray, visible: np.ndarray
) -> MatchErrors:
    """Finds the most probable match of each cell (the argmax of equation 2), and how far off it is.

    Args:
      labels_a: of N images A.
      labels_b: of N images B.
      points_in_b: [N, h, w, 2], where each cell of A truly is, (x, y) in pixels of B.
      visible: bool [N, h, w], which of them are seen in B; those that no cell of B covers do not count.
    """
    centres = tf.reshape(geometry.cell_centres(*labels_b.cells, labels_b.stride), [-1, 2])
    flat = (np.reshape(labels.values, [len(labels), -1, labels.length]) for labels in (labels_a, labels_b))
    places, probability = [], []
    for a, b in zip(*flat):
        for start in range(0, len(a), _ROWS):  # the scores of all cells of a large image would not fit in memory
            log_probability = matching.match_log_probability(a[start : start + _ROWS], b)
            places.append(matching.best_match(log_probability, centres).numpy())
            probability.append(np.exp(np.max(log_probability, axis=-1)))
    places = np.concatenate(places).reshape(points_in_b.shape)
    errors = np.linalg.norm(places - points_in_b, axis=-1)
    visible = visible & geometry.covered(points_in_b, *labels_b.cells, labels_b.stride).numpy()
    return MatchErrors(places, np.concatenate(probability).reshape(errors.shape), errors, visible)


def match_errors_panel(images_a: np.ndarray, images_b: np.ndarray, found: MatchErrors, *, stride: int) -> np.ndarray:
    """Shows A, B, A drawn anew from the pixels of B that it is matched with, and how far off each match is.

    A row per pair. Cells that are not visible in B are grey.

    Args:
      images_a: [N, H, W, 3], float in [0, 1].
      images_b: [N, H, W, 3], float in [0, 1].
      found: the matches of the cells of A.
      stride: side of a cell in pixels.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
    """
    images_a, images_b = checks.check_pair(images_a, images_b)
    places = checks.check("places", found.places, (len(images_a), None, None, 2))
    errors = checks.check("errors", found.errors, places.shape[:3])
    visible = checks.check("visible", found.visible, places.shape[:3]).astype(bool)
    checks.check_cells("places", places.shape[1:3], stride, images_a.shape[1:3])
    far = FAR * min(images_a.shape[1:3])
    colours = geometry.bilinear_sample(images_b, places.reshape([len(places), -1, 2]), 1).numpy()
    redrawn = np.where(visible[..., np.newaxis], colours.reshape([*visible.shape, 3]), np.float32(0.5))

    size, extent = sheet.tile_size(images_a), (stride * visible.shape[1], stride * visible.shape[2])
    right = MARGIN + GAP + _SCALE
    tiles = sheet.Tiles(len(images_a), 4, size, right=right, below=MARGIN + GAP, titles=True, captions=True)
    for column, title in enumerate(("A", "B", "A from B's pixels", "off by")):
        tiles.title(column, title)
    for n in range(len(images_a)):
        axes = [tiles.tile(n, column, images_a) for column in range(4)]
        sheet.show(axes[0], images_a[n])
        sheet.show(axes[1], images_b[n])
        sheet.show(axes[2], redrawn[n], extent)
        sheet.show(axes[3], np.full([*visible.shape[1:], 3], 0.5), extent)  # what masked cells show
        hidden = np.ma.masked_array(errors[n], ~visible[n])
        drawn = sheet.show(axes[3], hidden, extent, vmin=0, vmax=far, cmap="cividis")
        seen = errors[n][visible[n]]
        caption = f"mean {seen.mean():.1f} px, median {np.median(seen):.1f}" if seen.size else "nothing visible"
        tiles.caption(n, 3, caption)
    ticks = {0: "0", far / 2: f"{far / 2:.3g}", far: f"≥ {far:.3g} px"}
    sheet.bar(tiles.figure, tiles.right + MARGIN, tiles.tops[0], size[1], drawn, ticks)
    return sheet.render(tiles.figure)
