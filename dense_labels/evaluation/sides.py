"""Mirror images of annotated ones, and which landmarks change places there, told by their names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np

from dense_labels.batches import LandmarkBatch

_SIDE = re.compile(r"left|right|(?<![a-z])[lr](?![a-z])", re.IGNORECASE)
_STANDS_ALONE = re.compile(r"(?<![a-z])(left|right|l|r)(?![a-z])|^(left|right)|(left|right)$", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}


def flip_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Guesses the pairs of landmarks that a mirror exchanges.

    Every "left" in a name is taken for "right" and the other way round, and so is a letter l or r that stands by
    itself: "left_eye", "eyeLeft", "ear l", "left_eye_right_corner". Where a pair is found, so are names that differ by
    one l and r alone: "LF_paw" and "RF_paw", "pawL" and "pawR".

    Args:
      names: of the landmarks; none where they have no names.

    Returns:
      Pairs of indices, the lower one first; none where no name has a partner, or where one says a side and has none or
      several, for what a mirror makes of that landmark is not known.
    """
    places = {name.lower(): index for index, name in enumerate(names)}
    found = []
    for index, name in enumerate(names):
        mirrored = _SIDE.sub(lambda match: _OTHER[match.group().lower()], name.lower())
        partner = places.get(mirrored)
        if partner is None and _STANDS_ALONE.search(name):
            return ()
        if partner is not None and index < partner:
            found.append((index, partner))
    return _with_others(names, found) if found else ()


def _with_others(names: Sequence[str], found: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Adds the pairs of names that differ by one l and r alone, of names that have no partner yet."""
    rest = sorted(set(range(len(names))) - {index for pair in found for index in pair})
    added = [
        (a, b) for a, b in itertools.combinations(rest, 2) if _differ_by_a_side(names[a].lower(), names[b].lower())
    ]
    members = [index for pair in added for index in pair]
    return tuple(sorted(found + added)) if len(set(members)) == len(members) else ()


def _differ_by_a_side(first: str, second: str) -> bool:
    different = [{a, b} for a, b in zip(first, second) if a != b]
    return len(first) == len(second) and different == [{"l", "r"}]


def words(pairs: Sequence[tuple[int, int]], names: Sequence[str]) -> str:
    """Says which landmarks change places, and which keep theirs; by their numbers where they have no names."""
    said = ", ".join(f"{names[a]} and {names[b]}" if names else f"{a} and {b}" for a, b in pairs)
    members = {index for pair in pairs for index in pair}
    kept = [name for index, name in enumerate(names) if index not in members]
    return f"{said}; in their places stay {', '.join(kept)}" if kept else said


def exchanged(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Lists which landmark stands where each of `count` stood, once the pairs have changed places.

    Raises:
      ValueError: if a landmark is in two pairs.
    """
    members = [landmark for pair in pairs for landmark in pair]
    if len(set(members)) < len(members):
        raise ValueError(f"flip pairs {list(map(tuple, pairs))}: a landmark is in two of them; each has one partner")
    order = list(range(count))
    for left, right in pairs:
        order[left], order[right] = right, left
    return order


def mirrored(images: LandmarkBatch, pairs: Sequence[tuple[int, int]]) -> LandmarkBatch:
    """Mirrors annotated images left to right; landmarks of a pair change places.

    Raises:
      ValueError: as `exchanged`.
    """
    order = exchanged(images.landmarks.shape[1], pairs)
    x, y = np.moveaxis(np.asarray(images.landmarks)[:, order], -1, 0)
    points = np.stack([images.image.shape[2] - x, y], axis=-1)
    annotated = np.asarray(images.annotated)[:, order]
    return images._replace(image=np.asarray(images.image)[:, :, ::-1], landmarks=points, annotated=annotated)
