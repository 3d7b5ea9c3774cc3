"""Which parts a detector is better with: annotations that it was not fitted to say so."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from dense_labels import progress
from dense_labels.batches import LabelledLandmarks
from dense_labels.evaluation import absent
from dense_labels.evaluation.landmarks import FittedHeads


class Part(NamedTuple):
    """A detector with its parts, or without some of them."""

    words: str  # what it is without; nothing of the whole detector
    pile: bool  # whether it learns from the pile
    looks_twice: bool


PARTS = {
    "": Part("", pile=True, looks_twice=True),
    "without_pile": Part("without the pile", pile=False, looks_twice=True),
    "without_second_look": Part("without the second look", pile=True, looks_twice=False),
    "without_either": Part("without either", pile=False, looks_twice=False),
}
Fit = Callable[[LabelledLandmarks], Any]
_SURE = 0.977  # probability below two standard errors
_PLENTY = 50  # pictures of the pile for each annotated one


def fits_of(taught: Fit, alone: Fit | None) -> dict[str, Fit]:
    """Returns what fits a detector, by its parts: names of `PARTS`.

    Args:
      taught: fits one that has learned from the pile.
      alone: fits one of annotated pictures alone, for `taught` too, so that none is trained twice; None without a pile.
    """
    both = {"": taught} if alone is None else {"": taught, "without_pile": alone}
    once = {"": "without_second_look", "without_pile": "without_either"}
    return {**both, **{once[name]: _looking_once(fit) for name, fit in both.items()}}


def _looking_once(fit: Fit) -> Fit:
    """A function that fits a detector likewise, and takes its second look away."""

    @absent.takes_all
    def fit_once(images):
        return fit(images).looking_once()

    return fit_once


def pays(pile: int, annotated: int) -> bool:
    """Says whether so many pictures of a pile are enough for so many annotated ones: 50 times as many.

    A pile teaches what the first detector finds in it, and its errors too. On annotations held out it helped where it
    was 330 and 80 times as large (5 and 20 faces), and made it worse where it was 4 times (20 frames of a mouse).
    """
    return pile >= _PLENTY * annotated


def best(each: Mapping[str, np.ndarray], usual: str, piled: bool) -> str:
    """Chooses among a detector and those without its parts, and says what was chosen.

    Args:
      each: name of `PARTS` -> float [n], error of each annotated picture that none was fitted to; empty where there are
        too few to hold any out.
      usual: name of the one that is kept, unless another errs less, by a mean difference of a picture that one-sided
        t-tests take for chance in 2.3 % of cases, all alternatives together: 2 to 2.5 standard errors of many pictures,
        more of few.
      piled: whether there is a pile.

    Returns:
      The name.
    """
    sure = 1 - (1 - _SURE) / max(len(each) - 1, 1)  # by Bonferroni
    gains = {part: _gain(each[usual], errors, sure) for part, errors in each.items() if part != usual}
    gains = {part: gain for part, gain in gains.items() if gain > 0}
    chosen = max(gains, key=gains.__getitem__, default=usual)
    kept = f"this one is kept {PARTS[chosen].words or 'as it is'}"
    if each:
        words = {part: PARTS[part].words or "as they are" for part in each}
        found = ", ".join(f"{np.mean(errors):.2f} % {words[part]}" for part, errors in each.items())
        held_out = f"{len(each[usual])} annotated pictures held out"
        progress.say(f"on {held_out}, detectors err by {found} on average over pictures; {kept}")
    elif piled:
        progress.say(f"{kept}: a pile helps that is at least {_PLENTY} times as large as what is annotated")
    return chosen


def alone(fitted: FittedHeads, chosen: str, name: str) -> FittedHeads:
    """Of detectors, by names of `PARTS`, the chosen one by another name, and what is of none of them."""
    fields = ("heads", "predicted", "points", "errors", "calibrations", "each")
    parts: dict[str, Any] = {field: _renamed(getattr(fitted, field), chosen, name) for field in fields}
    return dataclasses.replace(fitted, best=name, **parts)


def _gain(usual: np.ndarray, other: np.ndarray, sure: float) -> float:
    """By how much one surely errs less than the usual one in a picture on average; 0 of one picture."""
    if np.isfinite(other).all() and not np.isfinite(usual).all():
        return np.inf
    if len(usual) < 2:
        return 0.0
    gains = usual - other
    errors = scipy.stats.t.ppf(sure, len(gains) - 1)  # in standard errors
    return float(np.nan_to_num(gains.mean() - errors * gains.std(ddof=1) / np.sqrt(len(gains)), nan=0.0))


def parts_in_words(part: str, others: int) -> str:
    """Says of what a detector of `PARTS` learned, `others` being the pictures of the pile, and how it looks."""
    taught = f"annotated pictures {f'and {others} others' if others and PARTS[part].pile else 'alone'}"
    return f"of {taught}, {'a second look' if PARTS[part].looks_twice else 'one look'}"


def _renamed(parts: Mapping[str, Any] | None, chosen: str, name: str) -> dict[str, Any] | None:
    """What is of no detector, and that of the chosen one under its new name."""
    if parts is None:
        return None
    rest = {key: value for key, value in parts.items() if key not in PARTS}
    return {**rest, **({name: parts[chosen]} if chosen in parts else {})}
