"""Which pictures are worth annotating most: those that stand for all others, no two alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import distance

_ALIKE = 0.02  # of the median distance of two pictures: nearer ones are taken for the same
_ROUNDING = 1e-6  # of the length of a descriptor: nearer ones differ by rounding
_ROUNDS = 50  # of moving centres, which settle after a few


def choose(
    descriptors: np.ndarray, count: int, *, known: np.ndarray | None = None, uncertainty: np.ndarray | None = None
) -> np.ndarray:
    """Chooses pictures that cover all: the centres of clusters (k-medoids), begun with those farthest apart (k-centre).

    Of pictures that are nearly the same one is a candidate. Nothing is drawn at random.

    Args:
      descriptors: float [N, D], near one another for pictures that look alike.
      count: how many to choose.
      known: indices [A] of pictures that are annotated: they are centres already, and none is chosen that is like them.
      uncertainty: [N], how little certain a head is of each picture, or None. With it, each cluster gives the picture
        that the head is least certain of, from that half of it that is nearest to its centre.

    Returns:
      int64 [M], indices in rising order; M is below `count` where there are not as many that differ.

    Raises:
      ValueError: if `count` is below 1, or descriptors are not finite numbers of N pictures.
    """
    values = np.asarray(descriptors, np.float64)
    if count < 1:
        raise ValueError(f"count={count}: must be at least 1")
    if values.ndim != 2 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"descriptors must be finite numbers [N, D]; found shape {list(values.shape)}")
    fixed = np.asarray([] if known is None else known, np.int64)
    distances = distance.squareform(distance.pdist(values))
    rows = np.concatenate([fixed, _differing(distances, fixed, _ROUNDING * np.sqrt(np.mean(np.square(values).sum(1))))])
    if len(rows) - len(fixed) <= count:
        return np.sort(rows[len(fixed) :])
    between = distances[np.ix_(rows, rows)]
    centres = _settled(between, _farthest(between, len(fixed), count), len(fixed))
    if uncertainty is not None:
        centres = _least_certain(between, centres, len(fixed), np.asarray(uncertainty)[rows])
    return np.sort(rows[centres[len(fixed) :]])


def describe(
    labels: np.ndarray, images: np.ndarray, *, pooled: int = 4, seen: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Describes pictures by where labels lie in them, and by their colours.

    Args:
      labels: [N, h, w, L], of the images.
      images: [N, H, W, 3].
      pooled: the label map is averaged over so many fields along each side.
      seen: the same of the image.

    Returns:
      float64 [N, pooled^2 L] and [N, seen^2 3].
    """
    return _averages(np.asarray(labels, np.float64), pooled), _averages(np.asarray(images, np.float64), seen)


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Joins descriptions [N, D], each scaled so that pictures differ as much in one as in another, on average."""
    centred = [part - part.mean(axis=0) for part in parts]
    return np.concatenate([part / (np.sqrt(np.mean(np.sum(np.square(part), axis=1))) or 1) for part in centred], axis=1)


def _averages(values, fields):
    """Means [N, fields^2 C] of values [N, h, w, C] over a grid of fields."""
    rows, columns = (np.linspace(0, side, fields + 1).round().astype(int) for side in values.shape[1:3])
    means = [
        values[:, top : max(bottom, top + 1), left : max(right, left + 1)].mean(axis=(1, 2))
        for top, bottom in zip(rows[:-1].clip(max=values.shape[1] - 1), rows[1:])
        for left, right in zip(columns[:-1].clip(max=values.shape[2] - 1), columns[1:])
    ]
    return np.concatenate(means, axis=1)


def _differing(distances, fixed, least):
    """The first of each group of pictures that are alike, of those that are not like the fixed ones."""
    above = distances[np.triu_indices(len(distances), 1)]
    alike = max(_ALIKE * np.median(above), least) if len(above) else 0  # the median is 0 where most are the same
    kept = list(fixed)
    for index in range(len(distances)):
        if not (distances[index, kept] <= alike).any():
            kept.append(index)
    return np.array(kept[len(fixed) :], np.int64)


def _farthest(distances, fixed, count):
    """The fixed centres and `count` others: first the most central one, then always that farthest from all centres."""
    centres = list(range(fixed)) or [int(distances.sum(axis=1).argmin())]
    while len(centres) < fixed + count:
        centres.append(int(distances[:, centres].min(axis=1).argmax()))
    return np.array(centres)


def _settled(distances, centres, fixed):
    """Moves each centre that is not fixed to the middle of its cluster, until none moves."""
    for _ in range(_ROUNDS):
        nearest = distances[:, centres].argmin(axis=1)
        moved = centres.copy()
        for cluster in range(fixed, len(centres)):
            members = np.flatnonzero(nearest == cluster)
            moved[cluster] = members[distances[np.ix_(members, members)].sum(axis=1).argmin()]
        if (moved == centres).all():
            break
        centres = moved
    return centres


def _least_certain(distances, centres, fixed, uncertainty):
    """For each centre that is not fixed, the least certain of the nearer half of its cluster."""
    nearest, chosen = distances[:, centres].argmin(axis=1), centres.copy()
    for cluster in range(fixed, len(centres)):
        members = np.flatnonzero(nearest == cluster)
        away = distances[members, centres[cluster]]
        near = members[away <= np.median(away)]
        chosen[cluster] = near[uncertainty[near].argmax()]
    return chosen
