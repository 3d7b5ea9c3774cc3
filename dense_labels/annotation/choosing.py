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
    rows = np.setdiff1d(np.arange(len(values)), fixed)
    if not len(rows):
        return rows
    between = distance.squareform(distance.pdist(values[rows]))
    to_fixed = distance.cdist(values[rows], values[fixed])  # among themselves these may be too many for the memory
    seen = np.concatenate([between[np.triu_indices(len(rows), 1)], to_fixed.ravel()])
    least = _ROUNDING * np.sqrt(np.mean(np.square(values).sum(1)))
    alike = max(_ALIKE * np.median(seen), least) if len(seen) else 0  # the median is 0 where most are the same
    known_at = to_fixed.min(axis=1, initial=np.inf)
    differ = _differing(between, known_at, alike)
    if len(differ) <= count:
        return rows[differ]
    between, known_at, rows = between[np.ix_(differ, differ)], known_at[differ], rows[differ]
    centres = _settled(between, known_at, _farthest(between, known_at, count))
    if uncertainty is not None:
        centres = _least_certain(between, known_at, centres, np.asarray(uncertainty)[rows])
    return np.sort(rows[centres])


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


def _differing(between, known_at, alike):
    """The first picture of each group that are alike; groups that are like an annotated picture are left out."""
    kept: list[int] = []
    for index in range(len(between)):
        if known_at[index] > alike and not (between[index, kept] <= alike).any():
            kept.append(index)
    return np.array(kept, np.int64)


def _farthest(between, known_at, count):
    """Returns `count` centres, each the picture farthest from the annotated ones and from the centres before it.

    Without annotated pictures (`known_at` is infinite) the first centre is the most central picture.
    """
    centres = [] if np.isfinite(known_at).all() else [int(between.sum(axis=1).argmin())]
    while len(centres) < count:
        centres.append(int(np.minimum(known_at, between[:, centres].min(axis=1, initial=np.inf)).argmax()))
    return np.array(centres)


def _clusters(between, known_at, centres):
    """Which centre is nearest to each picture; -1 where an annotated one is."""
    return np.concatenate([known_at[:, np.newaxis], between[:, centres]], axis=1).argmin(axis=1) - 1


def _settled(between, known_at, centres):
    """Moves each centre to the middle of its cluster, until none moves."""
    for _ in range(_ROUNDS):
        nearest, moved = _clusters(between, known_at, centres), centres.copy()
        for cluster in range(len(centres)):
            members = np.flatnonzero(nearest == cluster)
            moved[cluster] = members[between[np.ix_(members, members)].sum(axis=1).argmin()]
        if (moved == centres).all():
            break
        centres = moved
    return centres


def _least_certain(between, known_at, centres, uncertainty):
    """For each centre, the least certain of the nearer half of its cluster."""
    nearest, chosen = _clusters(between, known_at, centres), centres.copy()
    for cluster in range(len(centres)):
        members = np.flatnonzero(nearest == cluster)
        away = between[members, centres[cluster]]
        near = members[away <= np.median(away)]
        chosen[cluster] = near[uncertainty[near].argmax()]
    return chosen
