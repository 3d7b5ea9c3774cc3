"""Results as tables of text, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dense_labels.evaluation import border_reliance, cycle_consistency, descriptor_matching, measuring, surface

if TYPE_CHECKING:
    from dense_labels.evaluation.result import Result

_MATCHING = "matching_"
_WIDTH = 14


def everything(result: Result) -> str:
    """Lays out all that a result holds; an empty string where nothing was measured."""
    parts = []
    if result.few_shot_error_percent:
        parts.append(few_shot(result.few_shot_error_percent))
    if result.landmark_error_percent or "tested" in result.protocol:
        parts.append(landmarks(result))
    if any(name in result.metrics for name in descriptor_matching.WORDS):
        parts.append(descriptor_matching.summary(result.metrics))
    if result.matching_by_turn:
        parts.append(surface.table(result))
    parts += [cycle_consistency.summary(result.metrics), border_reliance.summary(result.metrics)]
    return "\n".join(part for part in parts if part)


def landmarks(result: Result) -> str:
    """Lays out the errors of each landmark, a line each; then their mean, and the images off by more than 10 %."""
    each, mean = result.landmark_error_percent, result.metrics
    if not each:
        return "there are too few annotated images to measure on"
    names = list(result.landmark_names) or [str(k) for k in range(len(next(iter(each.values()))))]
    first = max(map(len, ["landmark", *names]))
    counts = [result.protocol.get(f"test_{what}") for what in ("landmarks", "images")]
    of = f", {counts[0]} in {counts[1]} images" if all(counts) else ""
    lines = [result.protocol["error"] + of, f"{'landmark':<{first}}" + "".join(f"{name:>{_WIDTH}}" for name in each)]
    for landmark, values in zip(names, zip(*each.values())):
        numbers = ("-" if value is None else f"{value:.3f}" for value in values)
        lines.append(f"{landmark:<{first}}" + "".join(f"{number:>{_WIDTH}}" for number in numbers))
    for row, figure in (("mean", "error_percent"), ("> 10 %", "failures_percent")):
        figures = (mean[f"{name}_{figure}"] for name in each)
        lines.append(f"{row:<{first}}" + "".join(f"{number:>{_WIDTH}.3f}" for number in figures))
    errors = {name: mean[f"{name}_error_percent"] for name in each}
    if len(errors) > 1 and min(errors, key=errors.__getitem__) == measuring.MEAN_SHAPE:
        lines.append("no head does better than the mean shape, which sees no picture: train longer or annotate more")
    if "chosen" in result.protocol:
        lines.append(f"{result.best} is exported, chosen {result.protocol['chosen']}")
    matching = {
        name[len(_MATCHING) : -len("_px")]: mean[name]
        for name in mean
        if name.startswith(_MATCHING) and name.endswith("_px")
    }
    if matching:
        words = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in matching.items())
        lines.append(f"landmarks matched by labels alone between views, in px of an image 70 wide: {words}")
    return "\n".join(lines)


def few_shot(errors: Mapping[str, Mapping[int, Sequence[float]]]) -> str:
    """Lays out what `few_annotations.few_shot` returns: mean and standard deviation of the draws, a line a count."""
    lines = ["annotated" + "".join(f"{name:>{_WIDTH + 2}}" for name in errors)]
    for count in next(iter(errors.values())):
        figures = (mean_and_deviation(each[count], 2) for each in errors.values())
        lines.append(f"{count:<9}" + "".join(f"{figure:>{_WIDTH + 2}}" for figure in figures))
    return "\n".join(lines)


def mean_and_deviation(values: Sequence[float], digits: int) -> str:
    """Writes the mean and the standard deviation (of a sample, n - 1) of a few values: "12.34 ± 0.56"."""
    if len(values) < 2:
        return f"{values[0]:.{digits}f}" if values else "-"
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"
