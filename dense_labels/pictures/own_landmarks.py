"""The picture of the landmarks that a network finds by itself, in both views of pairs."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes

from dense_labels.batches import LabelMap
from dense_labels.method import sparse_landmarks
from dense_labels.pictures import checks, sheet
from dense_labels.registry import PICTURES

if TYPE_CHECKING:
    from dense_labels.pictures.gallery import Material

_CAPTIONS = 70  # pixels left of the tiles
_DOT, _DIGITS, _ASIDE = 7, 12, 5  # pixels: size of a dot, height of its number, and how far beside it that begins


@PICTURES.register(
    "own_landmarks",
    "The landmarks that the network finds by itself, in both views of pairs: a number should keep its place on the "
    "object, however that moves, and from picture to picture.",
    title="Landmarks of the network",
    needs=("pairs", "heat_maps_a", "heat_maps_b"),
    place=10,
)
def draw_own_landmarks(material: Material) -> np.ndarray:
    """Draws the landmarks of the heat maps of both views."""
    pairs = material.pairs
    points = (landmarks_of(heat_maps) for heat_maps in (material.heat_maps_a, material.heat_maps_b))
    return own_landmarks_panel(pairs.image_a, pairs.image_b, *points)


def landmarks_of(heat_maps: LabelMap) -> np.ndarray:
    """Returns the landmarks of N heat maps, float32 [N, K, 2], (x, y) in pixels."""
    return sparse_landmarks.landmarks(tf.constant(heat_maps.values, tf.float32), heat_maps.stride).numpy()


def own_landmarks_panel(
    images_a: np.ndarray, images_b: np.ndarray, points_a: np.ndarray, points_b: np.ndarray
) -> np.ndarray:
    """Shows views A above views B, each with its landmarks as numbered dots, counted from 1.

    Args:
      images_a: [N, H, W, 3], float in [0, 1].
      images_b: [N, H, W, 3], float in [0, 1].
      points_a: [N, K, 2], (x, y) in pixels of A.
      points_b: [N, K, 2], (x, y) in pixels of B.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
    """
    images_a, images_b = checks.check_pair(images_a, images_b)
    points_a = checks.check("points_a", points_a, (len(images_a), None, 2))
    points_b = checks.check("points_b", points_b, points_a.shape)
    tiles = sheet.Tiles(2, len(images_a), sheet.tile_size(images_a), left=_CAPTIONS)
    for row, (name, images, points) in enumerate((("A", images_a, points_a), ("B", images_b, points_b))):
        tiles.name(row, f"view {name}")
        for column, image in enumerate(images):
            axes = tiles.tile(row, column, images)
            sheet.show(axes, image)
            _draw_dots(axes, points[column])
    return sheet.render(tiles.figure)


def _draw_dots(axes: Axes, points: np.ndarray) -> None:
    for k, point in enumerate(points):
        colour = colorsys.hls_to_rgb(k / len(points), 0.7, 0.9)
        axes.plot(*point, **sheet.dot("o", colour, _DOT, edge="black"))
        aside = {"xytext": (sheet.in_points(_ASIDE), 0), "textcoords": "offset points", "annotation_clip": False}
        style = {"color": colour, "size": sheet.in_points(_DIGITS), "path_effects": sheet.outline("black", 3)}
        axes.annotate(str(k + 1), point, va="center", **aside, **style)
