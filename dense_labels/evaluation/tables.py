"""Results as tables of text, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dense_labels.evaluation import measuring

_MATCHING = "matching_"
_WIDTH = 14


def landmarks(
    each: Mapping[str, Sequence[float | None]],
    mean: Mapping[str, float],
    protocol: Mapping[str, Any],
    landmark_names: Sequence[str],
    best: str,
) -> str:
    """Lays out the errors of each landmark, a line each; then their mean, and the images off by more than 10 %.

    Args:
      each: way of predicting -> mean error of each landmark, None where it is annotated nowhere.
      mean, protocol, landmark_names, best: `metrics` and the others of a `Result`.
    """
    if not each:
        return "there are too few annotated images to measure on"
    names = list(landmark_names) or [str(k) for k in range(len(next(iter(each.values()))))]
    first = max(map(len, ["landmark", *names]))
    counts = [protocol.get(f"test_{what}") for what in ("landmarks", "images")]
    of = f", {counts[0]} in {counts[1]} images" if all(counts) else ""
    lines = [protocol["error"] + of, f"{'landmark':<{first}}" + "".join(f"{name:>{_WIDTH}}" for name in each)]
    for landmark, values in zip(names, zip(*each.values())):
        numbers = ("-" if value is None else f"{value:.3f}" for value in values)
        lines.append(f"{landmark:<{first}}" + "".join(f"{number:>{_WIDTH}}" for number in numbers))
    for row, figure in (("mean", "error_percent"), ("> 10 %", "failures_percent")):
        figures = (mean[f"{name}_{figure}"] for name in each)
        lines.append(f"{row:<{first}}" + "".join(f"{number:>{_WIDTH}.3f}" for number in figures))
    errors = {name: mean[f"{name}_error_percent"] for name in each}
    if len(errors) > 1 and min(errors, key=errors.__getitem__) == measuring.MEAN_SHAPE:
        lines.append("no head does better than the mean shape, which sees no picture: train longer or annotate more")
    if "chosen" in protocol:
        lines.append(f"{best} is exported, chosen {protocol['chosen']}")
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


def surface(metrics: Mapping[str, float], by_turn: Sequence[Mapping[str, Any]]) -> str:
    """Lays out what `surface.measure` found: its `metrics` and its `matching_by_turn`."""
    lines = ["degrees on the object     median      mean    chance (median)"]
    ending = "_mean_degrees"
    for name in (each.removesuffix(ending) for each in metrics if each.endswith(ending)):
        if not name.startswith("chance_"):
            keys = f"{name}_median", f"{name}_mean", f"chance_{name}_median"
            median, mean, chance = (metrics[f"{key}_degrees"] for key in keys)
            lines.append(f"{name:<22}{median:>10.2f}{mean:>10.2f}{chance:>10.1f}")
    for row in by_turn:
        if row["points"]:
            turn = "{}-{}".format(*row["turned_by_degrees"])
            lines.append(f"  turned by {turn:<10}{row['median_degrees']:>10.2f}{row['mean_degrees']:>10.2f}")
    if metrics.get("isometry_reflected"):
        lines.append("the labels are a mirror image of the object")
    return "\n".join(lines)


def mean_and_deviation(values: Sequence[float], digits: int) -> str:
    """Writes the mean and the standard deviation (of a sample, n - 1) of a few values: "12.34 ± 0.56"."""
    if len(values) < 2:
        return f"{values[0]:.{digits}f}" if values else "-"
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"
