"""Tests of a registry itself: when it is filled, and what it says where that fails."""

import sys
import threading

import pytest

from dense_labels.registry import Registry


def test_a_registry_that_could_not_be_filled_says_so_every_time(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_choices.py").write_text("import a_package_that_is_not_there")
    registry = Registry("choice", "broken_choices")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
            _ = registry["mine"]
    (tmp_path / "broken_choices.py").write_text("")
    sys.modules.pop("broken_choices", None)
    with pytest.raises(ValueError, match="there is no choice 'mine'"):
        _ = registry["mine"]


def test_a_thread_waits_for_another_one_that_fills_the_registry(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "slow_choices.py").write_text("import tests.dense_labels.test_registry as t; t.fill()")
    registry, found = Registry("choice", "slow_choices"), []
    begun, waits = threading.Event(), threading.Thread(target=lambda: found.append("mine" in registry))

    def fill():
        waits.start()
        begun.wait(0.2)  # the other thread looks meanwhile
        assert list(registry) == []  # and so may what is loaded, which does not wait for itself
        registry.register("mine", "of a slow file")(len)

    monkeypatch.setattr(sys.modules[__name__], "fill", fill, raising=False)
    assert "mine" in registry
    waits.join(10)
    assert found == [True]


def test_an_entry_knows_the_file_that_registered_it():
    registry = Registry("choice")
    registry.register("mine", "of this file")(len)
    assert registry["mine"].file == __file__
