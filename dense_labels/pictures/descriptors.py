"""Pictures of matches by the nearest descriptor: lines from A to B, brighter and wider where they are surer.

A label map holds both answers of a network that has confidence: the direction of a label is the unit descriptor phi,
its length the confidence 1 / sigma; see Novotny, Albanie, Larlus and Vedaldi, "Self-supervised learning of
geometrically stable features through probabilistic introspection", CVPR 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from dense_labels.batches import LabelMap
from dense_labels.evaluation import descriptor_matching, label_matching
from dense_labels.pictures import cells, checks, sheet
from dense_labels.pictures.sheet import GAP, LINE, MARGIN
from dense_labels.registry import PICTURES

if TYPE_CHECKING:
    from dense_labels.pictures.gallery import Material

CONFIDENCE = "viridis"  # the colour map of confidence in all pictures
_POINTS = 40  # of each A that are looked for in B
_SHOWN = 3  # pairs of different images
_TILE, _SCALE = 240, 104  # pixels: of a tile, and right of the tiles, for the colour bar


class Nearest(NamedTuple):
    """Points of N images A that were looked for in images B by the nearest descriptor."""

    points: np.ndarray  # [N, P, 2], (x, y) in pixels of A; those that are not numbers are not shown
    places: np.ndarray  # [N, P, 2], where they are found, in pixels of B
    score: np.ndarray  # [N, P], cosine
    confidence: np.ndarray  # [N, P]
    points_in_b: np.ndarray  # [N, P, 2], where they truly are, in pixels of B

    @property
    def known(self) -> np.ndarray:
        """Which of the points are numbers, bool [N, P]."""
        return np.isfinite(self.points).all(axis=-1)

    @property
    def errors(self) -> np.ndarray:
        """How far off they are in pixels, [N, P]."""
        return np.linalg.norm(self.places - self.points_in_b, axis=-1)


@PICTURES.register(
    "matches",
    "Points of A at the most similar descriptors of B; the brighter and wider a line, the surer it is.",
    title="Matches between views of a picture",
    needs=("pairs", "labels_a", "labels_b", "has_confidence"),
    place=100,
)
def draw_matches(material: Material) -> np.ndarray | None:
    """Draws the nearest descriptors of points of every third pair; nothing where in none of them any is seen."""
    shown = np.flatnonzero(material.nearest.known[::3].any(axis=1)) * 3
    if not len(shown):
        return None
    image_a, image_b = material.pairs.image_a[shown], material.pairs.image_b[shown]
    found = Nearest(*(part[shown] for part in material.nearest))
    return matches_panel(image_a, image_b, found, near=descriptor_matching.ALPHA * image_a.shape[2])


@PICTURES.register(
    "matches_between",
    "As above, from one picture to another; a cross ends what is far off.",
    title="Landmarks matched between pictures",
    needs=("frames", "frame_labels", "has_confidence"),
    place=110,
)
def draw_matches_between(material: Material) -> np.ndarray | None:
    """Draws the neighbours, of two pictures, with the most landmarks in common; nothing where no two have one."""
    images, landmarks = material.frames.image, material.frames.landmarks
    annotated = material.frames.annotated * cells.inside(landmarks, images)
    pictures = np.arange(len(images)) if material.frame_pictures is None else material.frame_pictures
    known = (annotated[:-1] * annotated[1:] > 0) & (pictures[1:] != pictures[:-1])[:, np.newaxis]
    first = [n for n in np.argsort(-known.sum(axis=1), kind="stable")[:_SHOWN] if known[n].any()]
    if not first:
        return None
    second = [n + 1 for n in first]
    points = np.where(annotated[..., np.newaxis] > 0, landmarks, 0)  # those that are not annotated may be anywhere
    found = find(material.frame_labels[first], material.frame_labels[second], points[first], points[second])
    shown = found._replace(points=np.where(known[first][..., np.newaxis], points[first], np.nan))
    return matches_panel(images[first], images[second], shown, near=descriptor_matching.ALPHA * images.shape[2])


def find(labels_a: LabelMap, labels_b: LabelMap, points: np.ndarray, points_in_b: np.ndarray) -> Nearest:
    """Looks for points of images A in images B, on label maps made 4 times finer.

    Args:
      labels_a: of N images A.
      labels_b: of N images B.
      points: [N, P, 2], (x, y) in pixels of A.
      points_in_b: [N, P, 2], where they truly are, in pixels of B.
    """
    places, score, confidence = label_matching.nearest_descriptor(
        labels_a.values, labels_b.values, points, stride=labels_a.stride, upsample=label_matching.FINER
    )
    return Nearest(points, places, score, confidence, points_in_b)


def find_in_pairs(labels_a: LabelMap, labels_b: LabelMap, points_in_b: np.ndarray, visible: np.ndarray) -> Nearest:
    """Looks for a few points of each view A in view B.

    Args:
      labels_a: of N views A.
      labels_b: of N views B.
      points_in_b: [N, h, w, 2], where each cell of A truly is, (x, y) in pixels of B.
      visible: bool [N, h, w], which of them are seen in B.

    Returns:
      The matches; the points of a pair in which nothing is seen are not numbers.
    """
    points, true = cells.ends(points_in_b, labels_a.stride, cells.spread(visible, _POINTS))
    found = find(labels_a, labels_b, points, true)
    return found._replace(points=np.where(visible.any(axis=(1, 2))[:, np.newaxis, np.newaxis], points, np.nan))


def matches_panel(images_a: np.ndarray, images_b: np.ndarray, found: Nearest, *, near: float) -> np.ndarray:
    """Shows points of A, where they are found in B, and how sure the network is of each.

    A row per pair: A and beside it B, a line for each match, brighter and wider where it is surer, the surest on top.
    What is found within `near` of its true place ends in a dot, what is not in a cross. Image A of row r starts at
    picture pixel `(MARGIN, MARGIN + LINE + r * (height + GAP))`, B a tile and a gap further right.

    Args:
      images_a: [N, H, W, 3], float in [0, 1].
      images_b: [N, H, W, 3], float in [0, 1].
      found: the matches; nothing is drawn of points that are not numbers.
      near: pixels up to which a place is correct.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
    """
    images_a, images_b = checks.check_pair(images_a, images_b)
    found = _check(found, len(images_a))
    correct = found.errors <= near
    tiles = sheet.Tiles(
        len(images_a), 2, sheet.tile_size(images_a, _TILE), right=GAP + _SCALE, titles=True, legend=True
    )
    for column, title in enumerate(("A", "B, nearest descriptors")):
        tiles.title(column, title)
    known = found.known
    colours = ScalarMappable(Normalize(found.confidence[known].min(), found.confidence[known].max()), CONFIDENCE)
    for n in range(len(images_a)):
        for column, image in enumerate((images_a[n], images_b[n])):
            sheet.show(tiles.tile(n, column, images_a), image)
        shown = np.flatnonzero(known[n])
        _draw_row(tiles, n, images_a, Nearest(*(part[n] for part in found)), shown, correct, colours)
    left = tiles.right + MARGIN - GAP
    sheet.bar(tiles.figure, left, tiles.tops[0] + GAP, tiles.heights[0] - 2 * GAP, colours)
    sheet.write(tiles.figure, left, MARGIN + LINE / 2 - 3, "1 / sigma")
    entries = {
        f"within {near:.3g} px of the true place": sheet.dot("o", "white", 9, edge="black"),
        "not": sheet.stroke("x", "black", 9),
    }
    tiles.legend(entries)
    return sheet.render(tiles.figure)


def _check(found: Nearest, count: int) -> Nearest:
    points = checks.check("points", found.points, (count, None, 2))
    places = checks.check("places", found.places, points.shape)
    confidence = checks.check("confidence", found.confidence, points.shape[:2])
    true = checks.check("points_in_b", found.points_in_b, points.shape)
    return Nearest(points, places, found.score, confidence, true)


def _draw_row(
    tiles: sheet.Tiles,
    row: int,
    images: np.ndarray,
    found: Nearest,
    shown: np.ndarray,
    correct: np.ndarray,
    colours: ScalarMappable,
) -> None:
    """Draws the matches of one pair over both of its tiles, of which `shown` are the indices, the surest on top."""
    across, height = tiles.lefts[1] - tiles.lefts[0], tiles.heights[row]
    scale = np.array([tiles.width / images.shape[2], height / images.shape[1]])
    both = sheet.add_axes(tiles.figure, tiles.lefts[0], tiles.tops[row], across + tiles.width, height)
    both.set(xlim=(0, across + tiles.width), ylim=(height, 0), autoscale_on=False)
    both.set_axis_off()
    for p in sorted(shown, key=lambda p: found.confidence[p]):
        ends = np.stack([found.points[p] * scale, found.places[p] * scale + [across, 0]])
        sure = found.confidence[p]
        _draw_match(both, ends, bool(correct[row, p]), colour=colours.to_rgba(sure), width=1 + 2.5 * colours.norm(sure))


def _draw_match(axes: Axes, ends: np.ndarray, correct: bool, *, colour: tuple[float, ...], width: float) -> None:
    axes.plot(*ends.T, color=colour, linewidth=sheet.in_points(width), path_effects=sheet.outline("black", width + 1.5))
    start, end = ends
    axes.plot(*start, **sheet.dot("o", colour, 9, edge="black"))
    if correct:
        axes.plot(*end, **sheet.dot("o", colour, 9, edge="black"))
    else:
        axes.plot(*end, **{**sheet.stroke("x", colour, 11), "path_effects": sheet.outline("black", 5)})
