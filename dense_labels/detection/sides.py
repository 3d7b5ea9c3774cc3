"""Which landmarks change places in the mirror image, told by their names: left_eye and right_eye."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SIDE = re.compile(r"left|right|(?<![a-z])[lr](?![a-z])", re.IGNORECASE)
_STANDS_ALONE = re.compile(r"(?<![a-z])(left|right|l|r)(?![a-z])|^(left|right)|(left|right)$", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}


def flip_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Guesses the pairs of landmarks that a mirror exchanges.

    Every "left" in a name is taken for "right" and the other way round, and so is a letter l or r that stands by
    itself: "left_eye", "eyeLeft", "ear l", "left_eye_right_corner".

    Args:
      names: of the landmarks; none where they have no names.

    Returns:
      Pairs of indices, the lower one first; none where no name has a partner, or where one says a side and has none,
      for what a mirror makes of that landmark is not known.
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
    return tuple(found)


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
