"""Tests of heads kept in a run: what damaged files say, and a best head that cannot be restored."""

import numpy as np
import pytest

from dense_labels import kept_heads
from dense_labels.config import Config
from dense_labels.evaluation.result import Result
from dense_labels.registry import HEADS, Entry


class Kept:
    """A head of one number."""

    def __init__(self, number):
        self.number = number

    def state(self):
        return {"number": np.array(self.number)}

    @staticmethod
    def restore(state):
        return Kept(int(state["number"]))


class Lost:
    """A head that cannot be restored."""


@pytest.fixture(autouse=True)
def heads(monkeypatch):
    """Registers both kinds."""
    for name, kind in (("kept", Kept), ("lost", Lost)):
        monkeypatch.setitem(HEADS._entries, name, Entry(name, name, kind))


def save(workdir, best):
    result = Result(best=best, step=3)
    examples = np.zeros([2, 4, 4, 3], np.float32)
    kept_heads.save(workdir, kept_heads.KeptHeads({"kept": Kept(7), "lost": Lost()}, result, Config(), examples))


def test_a_head_is_restored_as_it_was(tmp_path):
    save(tmp_path, "kept")
    assert kept_heads.newest(tmp_path).best.number == 7


def test_a_best_head_that_was_not_kept_is_said(tmp_path, capsys):
    save(tmp_path, "lost")
    assert "note: head lost cannot be restored, so it is not kept in the run" in capsys.readouterr().out
    with pytest.raises(ValueError, match="the best head, lost, cannot be restored; evaluate the run again with other"):
        _ = kept_heads.newest(tmp_path).best


@pytest.mark.parametrize("length", [0, 1, 40, -3])
@pytest.mark.parametrize("name", ["heads.json", "kept.npz", "examples.npz"])
def test_a_truncated_file_says_what_to_do(tmp_path, name, length):
    save(tmp_path, "kept")
    path = tmp_path / "heads" / "1" / name
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"heads/1 cannot be read \(.*\); evaluate the run again"):
        kept_heads.newest(tmp_path)
