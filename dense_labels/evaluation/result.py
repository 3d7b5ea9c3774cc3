"""The result of an evaluation: what was measured and how, as a value, a file and a table."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

import numpy as np

from dense_labels import files, progress

VERSION = 1  # of the file; results without one are read as well


@dataclasses.dataclass(frozen=True)
class Result:
    """What an evaluation measured. JSON holds all of it.

    Attributes:
      metrics: figure -> value, such as "regress_error_percent".
      curves: `percent`, the limits, and for each way of predicting landmarks the shares `cumulative`, of images, and
        `pck`, of landmarks, whose error is at most each limit.
      landmark_error_percent: way of predicting -> mean error of each landmark, None where it is annotated nowhere.
      few_shot_error_percent: way -> number of annotated images -> mean errors, one a draw.
      matching_by_turn: of a known surface: matching by the angle between the two images.
      protocol: how it was measured, in words and numbers.
      landmark_names: of the landmarks, where they have names.
      best: name of the head that an export takes; "" where there is none.
      step: of the training, whose checkpoint was evaluated.
      version: of the schema.
    """

    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    curves: dict[str, Any] = dataclasses.field(default_factory=dict)
    landmark_error_percent: dict[str, list[float | None]] = dataclasses.field(default_factory=dict)
    few_shot_error_percent: dict[str, dict[int, list[float]]] = dataclasses.field(default_factory=dict)
    matching_by_turn: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    protocol: dict[str, Any] = dataclasses.field(default_factory=dict)
    landmark_names: tuple[str, ...] = ()
    best: str = ""
    step: int = 0
    version: int = VERSION

    def with_metrics(self, metrics: dict[str, float]) -> Result:
        """Returns the result with more figures."""
        return dataclasses.replace(self, metrics={**self.metrics, **metrics})

    def table(self) -> str:
        """Returns the figures as text, for a terminal; an empty string where nothing was measured."""
        from dense_labels.evaluation import border_reliance, cycle_consistency, descriptor_matching, tables

        parts = []
        if self.few_shot_error_percent:
            parts.append(tables.few_shot(self.few_shot_error_percent))
        if self.landmark_error_percent or "tested" in self.protocol:
            names, best = self.landmark_names, self.best
            parts.append(tables.landmarks(self.landmark_error_percent, self.metrics, self.protocol, names, best))
        if any(name in self.metrics for name in descriptor_matching.WORDS):
            parts.append(descriptor_matching.summary(self.metrics))
        if self.matching_by_turn:
            parts.append(tables.surface(self.metrics, self.matching_by_turn))
        parts += [cycle_consistency.summary(self.metrics), border_reliance.summary(self.metrics)]
        return "\n".join(part for part in parts if part)

    def to_dict(self) -> dict[str, Any]:
        """Returns the dictionary that is written; what was not measured is left out."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if value or name in ("metrics", "protocol", "step")}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Result:
        """Reads the dictionary of `to_dict`, of this version or an older one.

        Raises:
          ValueError: if it is of a newer version, or holds something else.
        """
        fields = {field.name for field in dataclasses.fields(cls)}
        version = values.get("version", 0) if isinstance(values, dict) else 0
        if isinstance(version, int) and version > VERSION:  # first, for a newer one may have more fields
            raise ValueError(f"a result of version {version}; this program reads up to {VERSION}: install a newer one")
        if not isinstance(values, dict) or not isinstance(values.get("metrics"), dict) or set(values) - fields:
            raise ValueError("not the result of an evaluation; give a result.json")
        few = {
            way: {int(count): errors for count, errors in each.items()}
            for way, each in values.get("few_shot_error_percent", {}).items()
        }
        names = tuple(values.get("landmark_names", ()))
        best = values.get("best", values.get("protocol", {}).get("exported", ""))
        read = {"few_shot_error_percent": few, "landmark_names": names, "best": best, "version": VERSION}
        return cls(**{**values, **read})

    def save(self, path: str | os.PathLike) -> None:
        """Writes the result as JSON, whole or not at all.

        Args:
          path: of the file; its folder exists.

        Raises:
          ValueError: if a metric is not a finite number.
        """
        for name, value in self.metrics.items():
            if value is None or not np.isfinite(value):
                raise ValueError(f"metric {name} is {value}: labels, or what a head makes of them, are not finite")
        text = json.dumps(files.sealed(self.to_dict()), indent=2, allow_nan=False) + "\n"
        files.write_whole(path, text.encode())

    @classmethod
    def load(cls, path: str | os.PathLike) -> Result:
        """Reads a result that `save`, or an older version of this program, wrote.

        Raises:
          ValueError: if there is no such file, or it holds something else.
        """
        try:
            with open(path, encoding="utf-8") as file:
                values = json.load(file)
            values, intact = files.unsealed(values) if isinstance(values, dict) else (values, True)
            read = cls.from_dict(values)
        except FileNotFoundError as error:
            raise ValueError(f"{path}: there is no such file; evaluate the run first") from error
        except (AttributeError, TypeError) as error:
            raise ValueError(f"{path}: not the result of an evaluation ({error}); give a result.json") from error
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: {error}") from error
        if not intact:
            progress.warn(f"{path} is not as the evaluation wrote it: it was edited, or the disk is at fault")
        return read
