"""How far labels lean on the place in the frame: one picture, seen through two windows of which one is shifted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dense_labels.batches import LabelNetwork
from dense_labels.evaluation import label_matching
from dense_labels.method import geometry

_ERROR, _RELIANCE = "shifted_error_px", "border_reliance_percent"
_SHIFT = 0.15  # of the shorter side
_INSIDE = 1 / 8  # of the shorter side of a window: cells nearer to its border, in either window, are left out
_BATCH = 8  # images labelled at once


def measure(
    network: LabelNetwork,
    images: np.ndarray,
    masks: np.ndarray | None = None,
    *,
    stride: int,
    shift: float = _SHIFT,
    cosine: bool = False,
) -> dict[str, float]:
    """Matches each image seen through one window into the same image seen through another, and looks where cells end.

    The windows are as large as the shift leaves, and shifted along both diagonals by whole cells, so that a cell of one
    covers the pixels of a cell of the other: what differs is how far away the borders of the window are, and, in
    networks whose deeper maps have larger cells, how these lie. Padding tells a network where the borders are. A cell
    that is matched by what it shows ends at its own place in the picture; one that is matched by where it lies in the
    window, at its own place in the window.

    Args:
      network: images [B, H, W, 3] of any size -> labels [B, h, w, L].
      images: float32 [N, H, W, 3] in [0, 1].
      masks: [N, H, W], 1 at the pixels of the object, else 0: cells elsewhere are not matched. None: all cells are; of
        those that show a plain background, none can be told from another, so that they count as matched at random.
      stride: side of a cell in pixels.
      shift: along x and along y, as a share of the shorter side.
      cosine: whether labels are unit descriptors, compared by their direction; else by inner product, equation (2).

    Returns:
      A dictionary: `shifted_error_px`, the mean distance from the cell's own place, in pixels of an image made 70 wide;
      `border_reliance_percent`, how far cells end along the way from their place in the picture, 0, to their place in
      the window, 100, in the mean. Cells matched at random are half-way. Empty if there is no image, or no cell (of
      the object) lies well inside both windows.
    """
    if not len(images):
        return {}
    height, width = images.shape[1:3]
    step = max(1, round(shift * min(height, width) / stride)) * stride
    window = (height - step, width - step)
    errors, along = [], []
    for corners in (((0, 0), (step, step)), ((step, 0), (0, step))):  # the two diagonals
        if not _inside_both(window, np.float32(corners[0]) - np.float32(corners[1]), stride).size:
            return {}  # before a window is labelled that is too small for the network
        labels = [_labels(network, images, corner, window) for corner in corners]
        for a, b in ((0, 1), (1, 0)):
            moved = np.float32(corners[a]) - np.float32(corners[b])  # a point of window a, to have it in window b
            start = _inside_both(window, moved, stride)
            starts = np.broadcast_to(start, [len(images), *start.shape])
            found, *_ = label_matching.nearest_descriptor(labels[a], labels[b], starts, stride=stride, cosine=cosine)
            offset = (found - (start + moved))[_of_object(masks, start + np.float32(corners[a]), len(images))]
            errors.append(np.linalg.norm(offset, axis=-1).ravel())
            along.append(-np.ravel(offset @ moved) / (moved @ moved))
    pixels = np.concatenate(errors) * label_matching.WIDTH / width
    if not pixels.size:
        return {}
    return {_ERROR: float(np.mean(pixels)), _RELIANCE: float(100 * np.mean(np.concatenate(along)))}


def _labels(network, images, corner, window):
    """Labels of the windows whose top left corner is `corner` = (x, y), and whose (height, width) are `window`."""
    (x, y), (height, width) = corner, window
    seen = images[:, y : y + height, x : x + width]
    return np.concatenate([np.asarray(network(seen[at : at + _BATCH])) for at in range(0, len(seen), _BATCH)])


def _inside_both(window, moved, stride):
    """Cell centres [P, 2] of a window that lie away from its border and, once moved, from that of the other."""
    height, width = window
    centres = geometry.cell_centres(height // stride, width // stride, stride).numpy().reshape([-1, 2])
    both, least = np.stack([centres, centres + moved]), _INSIDE * min(window)
    return centres[np.all((both >= least) & (both <= np.array([width, height]) - least), axis=(0, 2))]


def _of_object(masks, places, count):
    """Which of the places [P, 2] of `count` images show the object: bool [count, P]."""
    if masks is None:
        return np.ones([count, len(places)], bool)
    columns, rows = places.astype(int).T
    return np.asarray(masks)[:, rows, columns] > 0.5


def summary(figures: Mapping[str, float]) -> str:
    """One clause of the figures of `measure`; an empty string where there are none.

    Args:
      figures: a dictionary that may hold them.

    Returns:
      A string.
    """
    if _RELIANCE not in figures:
        return ""
    return (
        f"in a shifted view of the same picture, points end {figures[_ERROR]:.2f} px off, "
        f"{figures[_RELIANCE]:.0f} % of the way to their old place in the frame (0: labels do not lean on its border)"
    )


def is_figure(name: str) -> bool:
    """Says whether a figure is one of `measure`."""
    return name in (_ERROR, _RELIANCE)
