"""Which landmarks change places in the mirror image, told by their names: left_eye and right_eye."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LEFT = re.compile(r"(?<![a-z])(left|l)(?![a-z])|^(left)|(left)$", re.IGNORECASE)


def flip_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Guesses the pairs of landmarks that a mirror exchanges.

    "left" in a name is taken for "right", or a letter l that stands by itself for r: "left_eye", "eyeLeft", "ear l".

    Args:
      names: of the landmarks; none where they have no names.

    Returns:
      Pairs of indices (of the left one, of the right one); none where no name has a partner.
    """
    places = {name.lower(): index for index, name in enumerate(names)}
    found = []
    for index, name in enumerate(names):
        match = _LEFT.search(name)
        if match:
            other = "right" if "left" in match.group().lower() else "r"
            partner = places.get((name[: match.start()] + other + name[match.end() :]).lower())
            if partner is not None:
                found.append((index, partner))
    return tuple(found)


def exchanged(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Lists which landmark stands where each of `count` stood, once the pairs have changed places."""
    order = list(range(count))
    for left, right in pairs:
        order[left], order[right] = right, left
    return order
