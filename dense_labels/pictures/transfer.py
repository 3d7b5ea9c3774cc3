"""Pictures of points carried over: where points and landmarks of A are found in B by their labels.

Equation numbers are those of Thewlis, Bilen and Vedaldi, "Unsupervised learning of object frames by dense equivariant
image labelling", NIPS 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes

from dense_labels.batches import LabelMap
from dense_labels.method import geometry, matching
from dense_labels.pictures import cells, checks, sheet
from dense_labels.pictures.sheet import LINE, MARGIN
from dense_labels.registry import PICTURES

if TYPE_CHECKING:
    from dense_labels.pictures.gallery import Material

_POINTS = 5  # that are followed from one image to another
_SHOWN = 3  # pairs of different images


@PICTURES.register(
    "transfer",
    "Five points of A and where their labels are found in B. The brighter a cell, the likelier it is the match.",
    title="Points carried over",
    needs=("pairs", "labels_a", "labels_b"),
    place=20,
)
def draw_transfer(material: Material) -> np.ndarray | None:
    """Draws where points of every third view A are found in view B; nothing where in none of them any is seen."""
    pairs, visible = material.pairs, material.visible
    shown = np.arange(len(visible))[material.thirds]
    shown = shown[visible[shown].any(axis=(1, 2))]
    if not len(shown):
        return None
    chosen = cells.spread(visible[shown], _POINTS)
    points, true = cells.ends(pairs.points_in_b[shown], material.stride, chosen)
    return transfer_panel(
        pairs.image_a[shown],
        pairs.image_b[shown],
        material.labels_a[shown],
        material.labels_b[shown],
        points,
        points_in_b=true,
    )


@PICTURES.register(
    "transfer_between",
    "As above, for annotated points of two different pictures.",
    title="Landmarks carried from one picture to the next",
    needs=("frames", "frame_labels"),
    place=30,
)
def draw_transfer_between(material: Material) -> np.ndarray | None:
    """Draws where landmarks of an image are found in the next, of another picture, if two neighbours have them all."""
    images, landmarks = material.frames.image, material.frames.landmarks
    annotated = material.frames.annotated * cells.inside(landmarks, images)
    count = landmarks.shape[1]
    chosen = np.linspace(0, count - 1, min(count, _POINTS)).round().astype(int)
    pictures = np.arange(len(images)) if material.frame_pictures is None else material.frame_pictures
    apart = np.flatnonzero(pictures[1:] != pictures[:-1])
    first = [n for n in apart if annotated[n : n + 2][:, chosen].all()][:_SHOWN]
    if not first:
        return None
    second = [n + 1 for n in first]
    return transfer_panel(
        images[first],
        images[second],
        material.frame_labels[first],
        material.frame_labels[second],
        landmarks[first][:, chosen],
        points_in_b=landmarks[second][:, chosen],
    )


def transfer_panel(
    images_a: np.ndarray,
    images_b: np.ndarray,
    labels_a: LabelMap,
    labels_b: LabelMap,
    points: np.ndarray,
    *,
    points_in_b: np.ndarray,
) -> np.ndarray:
    """Shows where points of A are found in B, with the probability p(v|u) of equation (3).

    A row per pair: A with its points, B with their expected matches, then for each point p over B. The glow is the
    square root of p over its largest value, so that a weak second peak is seen.

    Args:
      images_a: [N, H, W, 3], float in [0, 1].
      images_b: [N, H, W, 3], float in [0, 1].
      labels_a: of images A.
      labels_b: of images B.
      points: [N, P, 2], (x, y) in pixels of A.
      points_in_b: [N, P, 2], where the points truly are, in pixels of B; not drawn outside B.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
    """
    images_a, images_b = checks.check_pair(images_a, images_b)
    labels_a = checks.check_labels("labels_a", labels_a, images_a)
    checks.check("labels_b", labels_b.values, labels_a.values.shape)
    labels_b = checks.check_labels("labels_b", labels_b, images_b)
    points = checks.check("points", points, (len(images_a), None, 2))
    points_in_b = checks.check("points_in_b", points_in_b, points.shape)
    probability, expected, peak = find_points(labels_a, labels_b, points)

    size, (count, columns) = sheet.tile_size(images_b), points.shape[:2]
    tiles = sheet.Tiles(count, 2 + columns, size, titles=True, captions=True, legend=True)
    for n in range(count):
        axes_a, axes_b, *axes_p = (tiles.tile(n, column, images_b) for column in range(2 + columns))
        sheet.show(axes_a, images_a[n])
        sheet.show(axes_b, images_b[n])
        for p, axes in enumerate(axes_p):
            axes_a.plot(*points[n, p], **sheet.point_style(p))
            axes_b.plot(*expected[n, p], **sheet.point_style(p))
            _show_probability(axes, images_b[n], probability[n, p], labels_b.covered)
            axes.plot(*points_in_b[n, p], **sheet.stroke("x", sheet.TRUE, 9))
            axes.plot(*peak[n, p], **sheet.stroke("s", sheet.PEAK, 13))
            axes.plot(*expected[n, p], **sheet.stroke("o", sheet.PREDICTED, 28))
            tiles.caption(n, 2 + p, f"largest p {probability[n, p].max():.2g}")
    _explain(tiles)
    return sheet.render(tiles.figure)


def find_points(
    labels_a: LabelMap, labels_b: LabelMap, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds points of images A in images B by their labels.

    Args:
      labels_a: of N images A.
      labels_b: of N images B.
      points: [N, P, 2], (x, y) in pixels of A; labels are read there between cells.

    Returns:
      `(probability, expected, best)`: p(v|u) [N, P, h, w]; the expected places and the most probable cells [N, P, 2],
      (x, y) in pixels of B.
    """
    points = tf.constant(points, tf.float32)
    queries = geometry.bilinear_sample(tf.constant(labels_a.values), points, labels_a.stride)  # [N, P, L]
    flat = np.reshape(labels_b.values, [len(labels_b), -1, labels_b.length])
    log_p = matching.match_log_probability(queries, flat)  # [N, P, h * w]
    positions = tf.reshape(geometry.cell_centres(*labels_b.cells, labels_b.stride), [-1, 2])
    probability = tf.reshape(tf.exp(log_p), [*points.shape[:2], *labels_b.cells])
    expected = matching.expected_match(log_p, positions)
    return probability.numpy(), expected.numpy(), matching.best_match(log_p, positions).numpy()


def _show_probability(axes: Axes, image: np.ndarray, probability: np.ndarray, extent: tuple[int, int]) -> None:
    sheet.show(axes, sheet.darkened(image))
    relative = np.sqrt(probability / probability.max())
    sheet.show(axes, relative, extent, alpha=relative, vmin=-0.5, vmax=1, cmap="inferno")


def _explain(tiles: sheet.Tiles) -> None:
    """Writes the titles of the columns, and the legend."""
    tiles.title(0, "A")
    tiles.title(1, "B, expected matches")
    middle = MARGIN + LINE / 2 - 3
    for p, x in enumerate(tiles.lefts[2:]):
        sheet.add_marker(tiles.figure, x + 7, middle, sheet.point_style(p))
        sheet.write(tiles.figure, x + 20, middle, "in B")
    entries = {
        "expected match": sheet.stroke("o", sheet.PREDICTED, 16),
        "most probable cell": sheet.stroke("s", sheet.PEAK, 13),
        "true place": sheet.stroke("x", sheet.TRUE, 9),
    }
    tiles.legend(entries)
