"""Benchmarks in the process of a test: their flags are stand-ins, for two of them may define one of the same name."""

import importlib
import sys

import pytest
from absl import flags


def benchmark(name):
    """Imports a benchmark anew, whose flags are None; tests set those that they need."""
    importlib.import_module("benchmarks.rows")  # has flags of its own, which all share
    module = f"benchmarks.{name}"
    with pytest.MonkeyPatch.context() as patch:
        for kind in (each for each in dir(flags) if each.startswith("DEFINE_")):
            patch.setattr(flags, kind, lambda *_, **__: None)
        patch.delitem(sys.modules, module, raising=False)
        found = importlib.import_module(module)
        del sys.modules[module]
    return found
