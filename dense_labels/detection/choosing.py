"""Which parts a detector is better with: annotations that it was not fitted to say so."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dense_labels import progress
from dense_labels.batches import LabelledLandmarks
from dense_labels.evaluation import absent
from dense_labels.evaluation.landmarks import FittedHeads

PARTS = ("", "without_pile", "without_second_look", "without_either")  # the detector, and it without its parts
Fit = Callable[[LabelledLandmarks], Any]


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


def best(fitted: FittedHeads, name: str) -> FittedHeads:
    """Chooses among a detector and those without its parts, and says what was chosen.

    A pile teaches what the first detector finds in it: where that errs, or where many are annotated, the second errs
    more. Where thousands are annotated, a second look at averages of them finds landmarks less well than the network.

    Args:
      fitted: several of them, by names of `PARTS`.
      name: that the chosen one is given.

    Returns:
      One head: the whole detector, unless another errs less on annotations that none of them was fitted to.
    """
    errors = {part: error for part, error in fitted.errors.items() if error is not None}
    chosen = min(errors, key=errors.__getitem__) if "" in errors else ""
    if errors:
        found = ", ".join(f"{error:.2f} % {_words(part) or 'as they are'}" for part, error in errors.items())
        kept = _words(chosen) or "as it is"
        progress.say(f"on annotations held out, detectors err by {found}; this one is kept {kept}")
    fields = ("heads", "predicted", "points", "errors", "calibrations")
    parts: dict[str, Any] = {field: _renamed(getattr(fitted, field), fitted.heads, chosen, name) for field in fields}
    return dataclasses.replace(fitted, best=name, **parts)


def _words(part: str) -> str:
    """As "without the pile" of "without_pile"; nothing of the whole detector."""
    return part.replace("without_", "without the ").replace("the either", "either").replace("_", " ")


def _renamed(parts: Mapping[str, Any] | None, names: Iterable[str], chosen: str, name: str) -> dict[str, Any] | None:
    """What is of no detector, and that of the chosen one under its new name."""
    if parts is None:
        return None
    rest = {key: value for key, value in parts.items() if key not in names}
    return {**rest, **({name: parts[chosen]} if chosen in parts else {})}
