"""How well labels carry over to other pictures, without annotations: points that return through another picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dense_labels.evaluation import label_matching
from dense_labels.method import geometry

WITHIN = 5  # pixels of an image 70 wide
_POINTS = 200  # of an image, at most
_MEDIAN, _SHARE, _COUNT = "cycle_median_px", "cycle_within_percent", "cycle_pictures"


def measure(
    labels: np.ndarray,
    masks: np.ndarray,
    *,
    stride: int,
    cosine: bool = False,
    pairs: int = 200,
    seed: int = 0,
    pictures: np.ndarray | None = None,
) -> dict[str, float]:
    """Matches cells of images into other pictures and from there back, and measures how far they end from their start.

    Labels that find the same point of the object in every picture bring a cell back to itself. The reverse need not
    hold: labels that lean on the place in the picture do so too.

    Args:
      labels: float32 [N, h, w, L], label maps of different images.
      masks: [N, H, W], 1 at the pixels of the object, else 0; cells elsewhere start nowhere.
      stride: side of a cell in pixels.
      cosine: whether labels are unit descriptors, compared by their direction; else by inner product, equation (2).
      pairs: how many ordered pairs of images to draw at most.
      seed: of that draw.
      pictures: int [N], which picture each image is of; see `label_matching.pairs_of`.

    Returns:
      A dictionary: `cycle_median_px`, the median distance in pixels of an image made 70 wide; `cycle_within_percent`,
      the share of the cells that end within 5 of them; `cycle_pictures`, how many pictures the images are of:
      figures of few vary. Empty if these are fewer than two or the masks are empty.
    """
    several = label_matching.count_pictures(len(labels), pictures)
    if several < 2:
        return {}
    width, distances = masks.shape[2], [np.empty(0)]
    for a, b in label_matching.pairs_of(pairs, len(labels), seed, pictures):
        start = _starts(masks[a], labels.shape[1:3], stride)
        there, *_ = label_matching.nearest_descriptor(labels[a], labels[b], start, stride=stride, cosine=cosine)
        back, *_ = label_matching.nearest_descriptor(labels[b], labels[a], there, stride=stride, cosine=cosine)
        distances.append(np.linalg.norm(back - start, axis=-1))
    pixels = np.concatenate(distances) * label_matching.WIDTH / width
    if not pixels.size:
        return {}
    return {
        _MEDIAN: float(np.median(pixels)),
        _SHARE: float(100 * np.mean(pixels <= WITHIN)),
        _COUNT: float(several),
    }


def _starts(mask, cells, stride):
    """Centres [P, 2] of cells of the object, evenly over it."""
    centres = geometry.cell_centres(*cells, stride).numpy().reshape([-1, 2])
    columns, rows = np.minimum(centres.astype(int), [mask.shape[1] - 1, mask.shape[0] - 1]).T
    inside = centres[mask[rows, columns] > 0.5]
    return inside[np.linspace(0, len(inside) - 1, min(_POINTS, len(inside))).round().astype(int)]


def summary(figures: Mapping[str, float]) -> str:
    """One sentence of the figures of `measure`; an empty string where there are none.

    Args:
      figures: a dictionary that may hold them.

    Returns:
      A string.
    """
    if _MEDIAN not in figures:
        return ""
    other = f"of {figures[_COUNT]:.0f} pictures" if _COUNT in figures else "picture"  # earlier versions do not say it
    return (
        f"matched into another {other} and back, {figures[_SHARE]:.0f} % of the points end within {WITHIN} px of their "
        f"start, half of them within {figures[_MEDIAN]:.2f} (of an image {label_matching.WIDTH} wide)"
    )


def is_figure(name: str) -> bool:
    """Says whether a figure is one of `measure`."""
    return name in (_MEDIAN, _SHARE, _COUNT)
