"""Where landmarks lie exactly, near where labels find them: by the detail of pictures, and by how they lie together.

Cells of a label map are coarse beside the pixels of a picture. About each landmark, the detail of the pictures in which
it is annotated is looked for in another one, by normalised cross-correlation, near where the labels find it and near
where an affine map of all landmarks puts it.

Grey pictures of 8 pixels a cell are compared, whatever the size of the pictures. Points are (x, y) in continuous pixels
of these. `reporting/templates/refining.js` does the same in the annotation page; a test holds one against the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

DETAIL = 8  # pixels of the grey pictures for each cell
HALF = 13  # pixels on each side of the middle one, of what is compared
REACH = 20  # pixels that a landmark is looked for from where it was found, along each axis
NEAR = 7  # the same, the second time
PULL = 0.2  # what the correlation loses at the end of the reach
ENOUGH = 4  # landmarks that two pictures must share for an affine map
ROUNDS = 8  # of a robust fit
LEAST = 0.01  # a correlation counts as at least this, as a weight
SLACK = 1.5  # times the median distance: where the weight of a landmark is halved
FIRM = 1e-3  # of the spread of the landmarks: what holds an affine map where they lie on a line
SETTINGS = {
    **{"detail": DETAIL, "half": HALF, "reach": REACH, "near": NEAR, "pull": PULL, "enough": ENOUGH},
    **{"rounds": ROUNDS, "least": LEAST, "slack": SLACK, "firm": FIRM},
}  # for the page


def grey(picture: np.ndarray, cells: tuple[float, float]) -> np.ndarray:
    """Shrinks or enlarges a picture to 8 pixels a cell.

    Args:
      picture: uint8 [H, W, 3].
      cells: how many cells the picture is high and wide; they need not be whole numbers.

    Returns:
      float32 [h, w], from 0 to 255.
    """
    size = [max(round(side * DETAIL), 1) for side in cells[::-1]]
    return np.asarray(Image.fromarray(picture).convert("L").resize(size, Image.Resampling.BOX), np.float32)


def refine(
    greys: Sequence[np.ndarray],
    points: np.ndarray,
    annotated: np.ndarray,
    target: int,
    found: np.ndarray,
    probability: np.ndarray,
) -> np.ndarray:
    """Finds the landmarks of a picture more exactly than labels do.

    Args:
      greys: float32 [h, w] each, of N pictures.
      points: [N, K, 2], annotated landmarks.
      annotated: bool [N, K].
      target: index of the picture whose other landmarks are looked for; those that are annotated in it stay.
      found: [K, 2], where labels find the landmarks in it.
      probability: [K], of these.

    Returns:
      float64 [K, 2]; what is annotated in no other picture is where the labels find it.
    """
    own = annotated[target]
    others = [n for n in np.flatnonzero(annotated.any(axis=1)) if n != target]
    places = np.where(own[:, np.newaxis], points[target], found).astype(np.float64)
    weights = np.where(own, 1.0, probability)
    sought = [k for k in range(len(found)) if not own[k] and annotated[others, k].any()]
    patches = {k: _mean_patch(greys, points, [n for n in others if annotated[n, k]], k) for k in sought}
    for reach in (REACH, NEAR):
        together = _together([(points[n], annotated[n]) for n in others], places, weights)
        for k in sought:
            starts = (places[k], together[k])
            places[k], agreement = max(
                (_find(greys[target], patches[k], at, reach) for at in starts), key=lambda x: x[1]
            )
            weights[k] = max(agreement, LEAST)
    return places


def _mean_patch(greys, points, pictures, k):
    """The mean of what pictures show about a landmark, each less its mean and of length 1: [2 HALF + 1] squared."""
    return np.mean([_patch(greys[n], points[n, k]) for n in pictures], axis=0)


def _patch(picture, point):
    """Reads a patch about a point between the pixels; the border is repeated."""
    height, width = picture.shape
    steps = np.arange(-HALF, HALF + 1)
    (x0, x1, to_x), (y0, y1, to_y) = (
        _between(point[axis] - 0.5 + steps, side) for axis, side in enumerate((width, height))
    )
    rows = picture[y0] * (1 - to_y)[:, np.newaxis] + picture[y1] * to_y[:, np.newaxis]
    values = rows[:, x0] * (1 - to_x) + rows[:, x1] * to_x
    values = values - values.mean()
    return values / max(np.linalg.norm(values), 1e-6)


def _between(places, side):
    """Of places along an axis: the pixels before and after, and how far each is on the way to the second."""
    places = np.clip(places, 0, side - 1)
    first = np.floor(places).astype(int)
    return first, np.minimum(first + 1, side - 1), places - first


def _find(picture, patch, about, reach):
    """Where a picture agrees best with a patch, near a point, and how well it does there, from -1 to 1."""
    height, width = picture.shape
    middle = [min(max(int(np.floor(about[axis])), 0), side - 1) for axis, side in enumerate((width, height))]
    columns, rows = (
        np.clip(middle[axis] + np.arange(-reach - HALF, reach + HALF + 1), 0, side - 1)
        for axis, side in enumerate((width, height))
    )
    windows = np.lib.stride_tricks.sliding_window_view(picture[np.ix_(rows, columns)].astype(np.float64), patch.shape)
    sums = windows.sum(axis=(2, 3))
    spread = np.einsum("ijkl,ijkl->ij", windows, windows) - sums**2 / patch.size
    agreement = np.einsum("ijkl,kl->ij", windows, patch) / np.sqrt(np.maximum(spread, 1.0))
    steps = np.arange(-reach, reach + 1)
    pulled = agreement - PULL * (steps**2 + steps[:, np.newaxis] ** 2) / reach**2
    row, column = np.unravel_index(np.argmax(pulled), pulled.shape)
    beside = _peak(pulled[row], column), _peak(pulled[:, column], row)
    point = [middle[axis] + 0.5 + at - reach + beside[axis] for axis, at in enumerate((column, row))]
    return point, agreement[row, column]


def _peak(values, at):
    """How far beside a place the peak of a parabola through it and its neighbours lies; 0 at the ends."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = values[at - 1 : at + 2]
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def _together(known, places, weights):
    """Where affine maps of other pictures' landmarks onto these put each, on average; where it is if none does."""
    sums, counts = np.zeros_like(places), np.zeros(len(places))
    for points, has in known:
        if has.sum() >= ENOUGH:
            sums[has] += _mapped(points[has], places[has], weights[has])
            counts[has] += 1
    return np.where(counts[:, np.newaxis] > 0, sums / np.maximum(counts, 1)[:, np.newaxis], places)


def _mapped(points, places, weights):
    """Puts points [n, 2] where the affine map that takes them nearest to some places does, less led by far ones."""
    trust = np.ones(len(points))
    for _ in range(ROUNDS):
        share = weights * trust / np.sum(weights * trust)
        middle, middle_to = share @ points, share @ places
        centred, to = points - middle, places - middle_to
        scatter = (centred * share[:, np.newaxis]).T @ centred
        firm = FIRM * np.trace(scatter) * np.eye(2)
        matrix = np.linalg.solve(scatter + firm + 1e-9 * np.eye(2), (centred * share[:, np.newaxis]).T @ to + firm)
        mapped = centred @ matrix + middle_to
        away = np.linalg.norm(mapped - places, axis=-1)
        trust = 1 / (1 + (away / (SLACK * max(np.median(away), 1.0))) ** 2)
    return mapped
