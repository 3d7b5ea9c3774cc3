"""What stands with each key of the configuration, and whose key it is.

A key can belong to one choice of another key: `loss.tau2` to `loss.name="introspection"`, because that loss says so
where it is registered, or `train.momentum` to one optimizer, which its `owner` says. Where another is chosen, the key
has no effect in the run.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import pkgutil
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from dense_labels.registry import Entry, Registry

if TYPE_CHECKING:
    from dense_labels.config import Config

LARGEST = 2**32 - 1  # of numbers: no key means more, and TensorFlow has whole ones in 32 or 64 bits
T = TypeVar("T")
Choices = tuple[str, ...] | Registry | tuple[Registry, ...] | str


@dataclasses.dataclass(frozen=True)
class Key:
    """What is known of a key beside its type and default.

    Attributes:
      words: what its value means: a phrase without a full stop.
      least, most: the range of its value, both ends included; None where it is open.
      above: a number that its value must be above, or None.
      choices: what its value, or each word of a tuple, is one of: words, the names in a registry or in several, or
        "module:NAME" of a mapping of names, which is imported when it is asked for; () where everything is valid.
      unit: of its value, or "".
      path: whether its value is the path of a file or folder.
      owner: "part.key=value" where the key has an effect only with that value of the other key, or "".
    """

    words: str
    least: float | None = None
    most: float | None = None
    above: float | None = None
    choices: Choices = ()
    unit: str = ""
    path: bool = False
    owner: str = ""


def key(
    default: T,
    words: str,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    choices: Choices = (),
    unit: str = "",
    path: bool = False,
    owner: str = "",
) -> T:
    """Defines a key of a part of the configuration, a dataclass.

    Args:
      default: its value where nothing else is said.
      words, least, most, above, choices, unit, path, owner: see `Key`.

    Returns:
      The `dataclasses.field`, typed as its value is.
    """
    facts = Key(words, least, most, above, choices, unit, path, owner)
    return dataclasses.field(default=default, metadata={"key": facts})  # type: ignore[call-overload, no-any-return]


def keys(config: Config) -> dict[str, Key]:
    """Lists every key of a configuration in order: "train.batch_size" -> what is known of it."""
    parts = {part.name: getattr(config, part.name) for part in dataclasses.fields(config)}
    return {
        f"{name}.{field.name}": field.metadata["key"]
        for name, part in parts.items()
        for field in dataclasses.fields(part)
    }


def value(config: Config, name: str) -> Any:
    """Returns the value of a key such as "train.batch_size"."""
    part, _, field = name.partition(".")
    return getattr(getattr(config, part), field)


def names(choices: Choices) -> tuple[str, ...]:
    """Lists the names of what can be chosen; imports what registers them."""
    if isinstance(choices, str):
        return tuple(pkgutil.resolve_name(choices))
    return tuple(_entries(choices)) or tuple(choices)  # type: ignore[arg-type]


def unknown(name: str, known: Iterable[str], prefix: str) -> ValueError:
    """Returns the error for a key that does not exist, which names the one that may have been meant, and all others.

    Args:
      name: the key, such as "train.batchsize".
      known: the keys that exist.
      prefix: what messages put before a key, such as "--config.".
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1) if "." in name else []
    hint = f"did you mean {prefix}{close[0]}? " if close else ""
    listed = ", ".join(f"{prefix}{each}" for each in known)
    return ValueError(f"{prefix}{name} is not a configuration key; {hint}the keys are {listed}")


def chosen_entries(config: Config) -> Iterator[Entry]:
    """Yields the registered entries that a run is made of: those whose key has an effect in it."""
    for name, facts in keys(config).items():
        entries = _entries(facts.choices)
        if entries and not unused(config, name):
            yield from (entries[word] for word in _chosen(config, name))


def unused(config: Config, name: str) -> str:
    """Says whose a key is that has no effect in a run.

    What is chosen in the key's own part decides first: `views.projective` is a matter of `views.warp`. That choice
    counts only where it has an effect itself.

    Args:
      config: with valid choices.
      name: the key, such as "loss.tau2".

    Returns:
      Such as "config.loss.name='introspection', and this run has 'log'"; "" for a key that has an effect.
    """
    train = config.train
    if name == "train.decay_factor" and train.schedule == "steps" and not train.decay_epochs:
        return "config.train.decay_epochs, of which this run has none"
    claims = _claims(config, name)
    part = name.partition(".")[0]
    claims = {by: words for by, words in claims.items() if by.startswith(f"{part}.")} or claims
    reasons = []
    for by, words in claims.items():
        chosen = _chosen(config, by)
        if set(words).isdisjoint(chosen):
            reasons.append(f"config.{by}={_listed(words, 'or')}, and this run has {_listed(chosen, 'and')}")
        elif reason := unused(config, by):
            reasons.append(reason)
        elif name == "loss.direct" and not config.loss.exchange:
            return "config.loss.exchange=True, and this run has False"
        else:
            return ""
    return reasons[0] if reasons else ""


def hyperparameters(config: Config) -> dict[str, bool | int | float | str]:
    """Lays out how a network is made and trained, as a table of runs needs it.

    Returns:
      Such as {"loss.gamma": 0.5}; tuples are written as strings. Where the data are and how the network is evaluated
      is left out.
    """
    names = [name for name in keys(config) if name.partition(".")[0] not in ("data", "eval")]
    values = {name: value(config, name) for name in names}
    return {name: str(given) if isinstance(given, (tuple, list)) else given for name, given in values.items()}


def described(name: str, facts: Key, value: Any) -> str:
    """Writes a key, its value, its meaning and what is valid as a line of help."""
    span = f"one of {', '.join(names(facts.choices))}" if facts.choices else range_words(facts)
    notes = [note for note in (facts.unit and f"in {facts.unit}", span, facts.owner and f"for {facts.owner}") if note]
    return f"--config.{name}={value}: {facts.words}" + (f" ({'; '.join(notes)})" if notes else "")


def range_words(facts: Key, given: float | None = None) -> str:
    """What a value must be: the end of the range that it misses, or both."""
    if given is not None and LARGEST < abs(given) < math.inf:
        return f"at most {LARGEST}"
    lower = f"at least {facts.least}" if facts.least is not None else ""
    lower = f"above {facts.above}" if facts.above is not None else lower
    upper = f"at most {facts.most}" if facts.most is not None else ""
    if given is None:
        return ", ".join(filter(None, (lower, upper)))
    return upper if facts.most is not None and given > facts.most else lower or upper or "a finite number"


def _entries(choices: Choices) -> dict[str, Entry]:
    """Everything that is registered in one registry or several, by name; nothing for other choices."""
    registries = (choices,) if isinstance(choices, Registry) else choices
    found: dict[str, Entry] = {}
    for registry in registries:
        for name, entry in registry.items() if isinstance(registry, Registry) else ():
            if found.setdefault(name, entry) is not entry:
                raise ValueError(f"two data sets have one name, {found[name].place} and {entry.place}: rename yours")
    return found


def _chosen(config: Config, name: str) -> tuple[str, ...]:
    given = value(config, name)
    return tuple(given) if isinstance(given, (tuple, list)) else (given,)


def _claims(config: Config, name: str) -> dict[str, list[str]]:
    """Key by which something is chosen -> the choices that say the key `name` is theirs."""
    wanted = {name, f"{name.partition('.')[0]}.*"}
    claims: dict[str, list[str]] = {}
    for by, facts in keys(config).items():
        if by != name:
            claims[by] = [word for word, entry in _entries(facts.choices).items() if wanted.intersection(entry.keys)]
    by, _, word = keys(config)[name].owner.partition("=")
    if by:
        claims.setdefault(by, []).append(word)
    return {by: words for by, words in claims.items() if words}


def _listed(words: Iterable[str], last_word: str) -> str:
    *rest, last = map(repr, words)
    return f"{', '.join(rest)} {last_word} {last}" if rest else last
