"""Whether the exported detector has learned from the pile: what annotations that it was not fitted to say of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from dense_labels import progress
from dense_labels.evaluation.landmarks import FittedHeads

ALONE = "detector_without_pile"
_BY_NAME = ("heads", "predicted", "points", "errors", "calibrations")  # fields of `FittedHeads`


def with_or_without(fitted: FittedHeads, name: str) -> FittedHeads:
    """Chooses between a detector and one of annotated pictures alone, and says what was chosen.

    A pile teaches what the first detector finds in it: where that errs, as in a small pile of few annotations, the
    second errs more.

    Args:
      fitted: both, as `name` and `ALONE`.
      name: of the detector that has learned from the pile.

    Returns:
      One head, `name`: the one with the pile, unless it errs more on annotations that both were not fitted to.
    """
    errors = [fitted.errors.get(each) for each in (name, ALONE)]
    chosen = name
    if None not in errors:
        chosen = ALONE if errors[1] < errors[0] else name
        progress.say(
            f"on annotations held out, detectors err by {errors[0]:.2f} % with the pile, by {errors[1]:.2f} % without: "
            f"the one {'without' if chosen == ALONE else 'with'} it is kept"
        )
    parts: dict[str, Any] = {field: _renamed(getattr(fitted, field), chosen, name) for field in _BY_NAME}
    return dataclasses.replace(fitted, best=name, **parts)


def _renamed(parts: Mapping[str, Any] | None, chosen: str, name: str) -> dict[str, Any] | None:
    """What is not of either detector, and that of the chosen one under the name."""
    if parts is None:
        return None
    rest = {key: value for key, value in parts.items() if key not in (name, ALONE)}
    return {**rest, **({name: parts[chosen]} if chosen in parts else {})}
