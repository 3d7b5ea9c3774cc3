"""The checks of the values of a configuration: each names the key, its value and what is valid in a ValueError."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dense_labels.config_keys import LARGEST, Key, names, range_words, unknown

if TYPE_CHECKING:
    from dense_labels.config import Config, DataConfig, ModelConfig, TrainConfig

LEAST_SIDE = 16  # pixels of a view: eight cells of 2 pixels
_LARGEST_SIDE = 4096  # pixels: of larger images one alone does not fit into memory while it is trained on
_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a string"}


def check_types(part: str, values: Any, defaults: Any) -> None:
    """Checks each key of a part against the type of its default; an int is as good as a float, a list as a tuple.

    Args:
      part: name of the part, such as "train".
      values: the part to check.
      defaults: a part of the right type.

    Raises:
      ValueError: naming the key, its value and what is valid.
    """
    if type(values) is not type(defaults):
        raise ValueError(f"config.{part}={values!r}: must be a {type(defaults).__name__}")
    for field in dataclasses.fields(defaults):
        given, default = getattr(values, field.name), getattr(defaults, field.name)
        if isinstance(default, tuple):
            of_words = bool(default) and isinstance(default[0], str)
            kind, word = (str, "words") if of_words else (float, "numbers")
            valid = isinstance(given, (tuple, list)) and all(_is(kind, item) for item in given)
        else:
            kind, word = type(default), _WORDS[type(default)]
            valid = _is(kind, given)
        if not valid:
            raise ValueError(f"config.{part}.{field.name}={given!r}: must be {word}")
        numbers = given if isinstance(given, (tuple, list)) else [given]
        if any(isinstance(number, int) and abs(number) > LARGEST for number in numbers):
            raise ValueError(f"config.{part}.{field.name} must be at most {LARGEST}; found one of more digits")


def check_names(config: Config, known: Iterable[str]) -> None:
    """Refuses what is no key, such as a name that is mistyped in a configuration file.

    Args:
      config: of the right types.
      known: every key there is, such as "train.batch_size".

    Raises:
      ValueError: naming the first that is none, and the key that may have been meant.
    """
    known, parts = list(known), [part.name for part in dataclasses.fields(config)]
    given = [name for name in vars(config) if name not in parts]
    given += [f"{part}.{name}" for part in parts for name in vars(getattr(config, part))]
    for name in given:
        if name not in known:
            raise unknown(name, known, "config.")


def check_value(name: str, facts: Key, given: Any) -> None:
    """Checks a value of the right type against the range and the choices of its key.

    Args:
      name: the key, such as "train.batch_size".
      facts: what is known of it.
      given: its value.

    Raises:
      ValueError: naming the key, the value and what is valid.
    """
    if facts.choices:
        valid = names(facts.choices)
        if isinstance(given, (tuple, list)) and not given:
            raise ValueError(f"config.{name} is empty; name at least one of {', '.join(valid)}")
        for word in given if isinstance(given, (tuple, list)) else [given]:
            if word not in valid:
                listed = ", ".join(map(repr, valid))
                raise ValueError(f"config.{name}={word!r}: there is no such choice; choose {listed}")
    elif isinstance(given, (int, float)) and not _within(facts, given):
        raise ValueError(f"config.{name}={given}: must be {range_words(facts, given)}")


def check_data(data: DataConfig) -> None:
    """Refuses an empty folder, and sizes that leave too little of a view."""
    if not data.dir:
        raise ValueError("config.data.dir is empty; say where the pictures are: --config.data.dir=PICTURES")
    size, crop = tuple(data.size), data.crop
    if len(size) != 2 or not all(isinstance(side, int) for side in size):
        raise ValueError(f"config.data.size={size}: must be two whole numbers, height and width")
    if max(size) > _LARGEST_SIDE:
        raise ValueError(f"config.data.size={size}: at most {_LARGEST_SIDE} pixels a side; choose a smaller size")
    if any(size) and min(size) - 2 * crop < LEAST_SIDE:
        raise ValueError(
            f"config.data.size={size} less config.data.crop={crop} on each side leaves views smaller than "
            f"{LEAST_SIDE} pixels; choose a larger size or a smaller crop"
        )


def check_colours(model: ModelConfig) -> None:
    """Refuses means and deviations that are not three finite numbers."""
    for name, colour in (("mean", model.mean), ("std", model.std)):
        if len(colour) != 3 or not all(map(math.isfinite, colour)) or (name == "std" and min(colour) <= 0):
            above = ", above 0" if name == "std" else ""
            raise ValueError(f"config.model.{name}={colour}: must be three finite numbers, one a colour{above}")


def check_schedule(train: TrainConfig) -> None:
    """Refuses keys of another schedule, and epochs that do not rise within the run."""
    if train.warmup_steps and train.schedule != "cosine":
        raise ValueError(
            f"config.train.warmup_steps={train.warmup_steps}: is for config.train.schedule='cosine' alone; with "
            "another, set config.train.warmup_steps=0"
        )
    epochs = list(train.decay_epochs)
    if epochs and train.schedule != "steps":
        raise ValueError(
            f"config.train.decay_epochs={tuple(epochs)}: is for config.train.schedule='steps' alone; with another, set "
            "config.train.decay_epochs=()"
        )
    whole = all(isinstance(epoch, int) and 0 < epoch < train.num_epochs for epoch in epochs)
    if not whole or epochs != sorted(set(epochs)):
        raise ValueError(
            f"config.train.decay_epochs={tuple(epochs)}: must be whole numbers that rise, "
            f"between 0 and num_epochs={train.num_epochs}"
        )


def _is(kind: type, item: Any) -> bool:
    if isinstance(item, bool):
        return kind is bool
    return isinstance(item, (int, float) if kind is float else kind)


def _within(facts: Key, given: float) -> bool:
    return (
        abs(given) <= LARGEST  # so it is finite
        and (facts.least is None or given >= facts.least)
        and (facts.most is None or given <= facts.most)
        and (facts.above is None or given > facts.above)
    )
