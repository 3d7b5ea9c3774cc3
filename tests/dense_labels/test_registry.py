"""Tests of a registry itself: when it is filled, and what it says where that fails."""

import sys

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


def test_an_entry_knows_the_file_that_registered_it():
    registry = Registry("choice")
    registry.register("mine", "of this file")(len)
    assert registry["mine"].file == __file__
