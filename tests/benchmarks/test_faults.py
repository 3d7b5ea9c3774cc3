"""Tests of the command that damages annotations; a short run of it."""

import dataclasses

from benchmarks import faults
from dense_labels.config import DataConfig
from dense_labels.registry import READERS


def test_damaged_annotations_are_read_or_refused():
    counters, wrong = faults.measure(400, seed=7)
    assert wrong == []
    assert all(counted["read"] and counted["refused"] for counted in counters.values())
    of_users = {name for name, entry in READERS.items() if entry.facts.get("annotations")}
    assert of_users <= set(counters)  # a format yet to come must be damaged as well


def test_a_mistake_of_the_program_is_no_refusal(monkeypatch):
    def read(data):
        return {}[data.name]

    broken = dataclasses.replace(READERS["coco"], value=read)
    monkeypatch.setitem(READERS._entries, "coco", broken)
    assert "KeyError" in faults.outcome(DataConfig(name="coco"))
