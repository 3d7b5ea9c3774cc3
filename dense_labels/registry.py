"""Registries: what can be chosen by name, one registry a kind; an entry registers itself where it stands.

A new network, loss, head, data set, metric, picture or signature is one new file:

    from dense_labels.registry import LOSSES

    @LOSSES.register("huber", "the expected Huber distance", keys=("loss.gamma",))
    def create(config, stride):
        ...

A file in the registry's own package is found by itself. One from outside is imported by the configuration file that
uses it. No other file lists the names: the choices of the configuration, the words of the documentation and the checks
come from here.

What the configuration can choose must be known before TensorFlow is imported, which takes seconds. So the modules of
those packages import TensorFlow, and whatever needs it, inside their functions; a test sees to it.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_LOADING = threading.RLock()  # of all registries: who looks while another thread loads waits for it


@dataclasses.dataclass(frozen=True)
class Entry(Generic[T]):
    """What is registered under a name.

    Attributes:
      name: as the configuration has it.
      words: what it is, for the documentation: a phrase without a full stop.
      value: the function or class that was registered.
      keys: keys of the configuration, such as "loss.gamma", that it reads and others of its kind may not.
      check: refuses a configuration that it cannot serve, or a format predictions, with a ValueError; None where
        nothing can be wrong.
      facts: what else its kind knows of it, by name.
      file: path of the file that registered it; "" for a program itself, or what is typed in.
    """

    name: str
    words: str
    value: T
    keys: tuple[str, ...] = ()
    check: Callable[[Any], None] | None = None
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    file: str = ""

    @property
    def place(self) -> str:
        """The name, and the file where there is one, as messages have them: "huber (/home/me/huber.py)"."""
        return f"{self.name} ({self.file})" if self.file else self.name


class Registry(Mapping[str, Entry[T]]):
    """The entries of one kind, by name, in the order they were registered.

    It is a mapping of names to entries. The modules of its packages are imported when it is first looked into.
    """

    def __init__(self, kind: str, *packages: str, needs: tuple[str, ...] = (), facts: tuple[str, ...] = ()):
        """Creates a registry without entries.

        Args:
          kind: what an entry is called in messages, such as "loss".
          packages: dotted names of packages whose modules register entries, or of such modules.
          needs: names of the functions that an entry must have.
          facts: names of the facts that it must be registered with.
        """
        self.kind, self._packages, self._needs, self._facts = kind, packages, needs, facts
        self._entries: dict[str, Entry[T]] = {}
        self._loaded = self._loads = False

    def register(
        self,
        name: str,
        words: str,
        *,
        keys: tuple[str, ...] = (),
        check: Callable[[Any], None] | None = None,
        **facts: Any,
    ) -> Callable[[T], T]:
        """Returns a decorator that registers a function or class under a name.

        Args:
          name, words, keys, check, **facts: see `Entry`.

        Raises:
          ValueError: if the name is taken by something else, or what is registered lacks a function or a fact that its
            kind needs. A file that is run again takes its own names again.
        """

        def add(value: T) -> T:
            entry = Entry(name, words, value, tuple(keys), check, facts, _file(value))
            lacks = [need for need in self._needs if not callable(getattr(value, need, None))]
            if lacks := [*lacks, *(fact for fact in self._facts if fact not in facts)]:
                raise ValueError(f"{self.kind} {entry.place} lacks {', '.join(lacks)}")
            known = self._entries.get(name)
            if known is not None and _origin(known) != _origin(entry):
                raise ValueError(f"there is a {self.kind} {name!r} already, {known.place}: rename yours, {entry.place}")
            self._entries[name] = entry
            return value

        return add

    def registered(self) -> tuple[Entry[T], ...]:
        """Returns what has been registered so far; imports nothing."""
        return tuple(self._entries.values())

    def __getitem__(self, name: str) -> Entry[T]:
        self._load()
        if name not in self._entries:
            raise ValueError(f"there is no {self.kind} {name!r}; choose {', '.join(map(repr, sorted(self._entries)))}")
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(self._entries)

    def __len__(self) -> int:
        self._load()
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries

    def _load(self) -> None:
        if self._loaded:
            return
        with _LOADING:
            if self._loaded or self._loads:
                return
            self._loads = True  # before the imports, for they may look into the registry
            try:
                for package in self._packages:
                    module = importlib.import_module(package)
                    found = sorted(each.name for each in pkgutil.iter_modules(getattr(module, "__path__", [])))
                    for name in found:
                        importlib.import_module(f"{package}.{name}")
                self._loaded = True  # otherwise who looks again is told the same, not that there is no such choice
            finally:
                self._loads = False


def _file(value: Any) -> str:
    """The file that is registering a value: that of the value's module, two of which may have one name."""
    caller = frame = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") != getattr(value, "__module__", None):
        frame = frame.f_back
    running = (frame or caller).f_globals
    file = "" if running.get("__name__") == "__main__" else running.get("__file__")
    return os.path.abspath(file) if file else ""


def _origin(entry: Entry) -> tuple[str, str]:
    return _name(entry), os.path.realpath(entry.file)


def _name(entry: Entry) -> str:
    return f"{getattr(entry.value, '__module__', '?')}.{getattr(entry.value, '__qualname__', '?')}"


# Chosen by the configuration: found without TensorFlow.
NETWORKS: Registry = Registry("network", "models.networks", needs=("create", "stride", "has_confidence"))
HEADS: Registry = Registry("landmark head", "models.heads", "dense_labels.detection.head")
LOSSES: Registry = Registry("loss", "dense_labels.training.losses")
SOURCES: Registry = Registry("source", "input_pipeline.data_sets")
READERS: Registry = Registry("reader", "input_pipeline.readers", "input_pipeline.readers.formats")
WARPS: Registry = Registry("warp", "input_pipeline.views.choices")
COLOURS: Registry = Registry("change of colour", "input_pipeline.views.choices")

# Chosen where predictions are written.
FORMATS: Registry = Registry("format", "dense_labels.prediction.formats", facts=("file",))

# Not chosen: each serves every run that has what it needs.
METRICS: Registry = Registry("metric", "dense_labels.evaluation.metrics")
PICTURES: Registry = Registry("picture", "dense_labels.pictures")
SIGNATURES: Registry = Registry("signature", "dense_labels.exporting.signatures")


def data_set(name: str) -> Entry:
    """Returns what is registered of a data set that a configuration names: a source, or a reader of pictures."""
    return (SOURCES if name in SOURCES else READERS)[name]


def is_simulated(data_set: str) -> bool:
    """Says whether frames of a data set are drawn by this project, in a size of their own, and shown whole."""
    return data_set in SOURCES and bool(SOURCES[data_set].facts.get("simulated"))


def describes(network: str) -> bool:
    """Says whether a network gives descriptors, whose length is their confidence, or else 1 (paper 2)."""
    return bool(NETWORKS[network].facts.get("descriptors"))


def has_unit_labels(settings: Any) -> bool:
    """Says whether the labels of a network are all of length 1, so that a softmax over cells tells little of them."""
    return describes(settings.name) and not NETWORKS[settings.name].value.has_confidence(settings)


def compares_labels(network: str) -> bool:
    """Says whether what a network gives a cell is a label, to be compared with others, or responses of landmarks."""
    return not NETWORKS[network].facts.get("heat_maps", False)
