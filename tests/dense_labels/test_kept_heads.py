"""Tests of heads kept in a run: what damaged files say, and a best head that cannot be restored."""

import dataclasses
import json
import re
import shutil
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from dense_labels import kept_heads, user_code
from dense_labels.config import Config, with_overrides
from dense_labels.evaluation.result import Result
from dense_labels.registry import HEADS, Entry
from dense_labels.training import archives


class Kept:
    """A head of one number."""

    def __init__(self, number):
        self.number = number

    def state(self):
        return {"number": np.array(self.number)}

    def __call__(self, labels):
        return {"points": tf.fill([len(labels), 1, 2], float(self.number)), "score": tf.fill([len(labels), 1], 0.5)}

    @staticmethod
    def restore(state):
        return Kept(**{name: int(value) for name, value in state.items()})


OUTSIDE = """
from dense_labels.registry import HEADS
from tests.dense_labels.test_kept_heads import Kept


@HEADS.register("of_mine", "a head of a user's")
class OfMine:
    @staticmethod
    def restore(state):
        return Kept.restore(state)
"""


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


def test_what_a_killed_evaluation_leaves_is_in_no_backup_and_goes_with_the_next(tmp_path, monkeypatch):
    save_result = Result.save

    def leave(result, path):
        """Keeps the state of the folder as a process leaves it that is killed now."""
        save_result(result, path)
        shutil.copytree(tmp_path / "run", tmp_path / "killed")

    (tmp_path / "run").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Result, "save", leave)
        save(tmp_path / "run", "kept")
    assert len(list((tmp_path / "killed" / "heads").glob("*/*/kept.npz"))) == 1
    archive = tmp_path / "backup.tar"
    assert archives.pack(archive, tmp_path / "killed", {"run": "", "step": 0, "writer": ""})["files"] == 0
    save(tmp_path / "killed", "kept")
    for run in ("run", "killed"):
        assert [path.name for path in (tmp_path / run / "heads").iterdir()] == ["1"]
        assert kept_heads.newest(tmp_path / run).best.number == 7


def test_other_heads_have_another_digest(tmp_path):
    digests = []
    for number in (7, 7, 8):
        heads, result = {"kept": Kept(number)}, Result(best="kept", step=3)  # nothing is measured of either
        kept_heads.save(tmp_path, kept_heads.KeptHeads(heads, result, Config(), np.zeros([1, 4, 4, 3], np.float32)))
        digests.append(kept_heads.newest(tmp_path).digest)
    assert digests[0] == digests[1] != digests[2] and len(digests[2]) == 64


def test_heads_of_another_network_or_evaluation_are_refused(tmp_path):
    """A training that began anew in the folder may have ended at the same step."""
    a, b = (types.SimpleNamespace(get_weights=lambda k=k: [np.full([2, 3], k), np.zeros(2)]) for k in (1.0, 2.0))
    assert kept_heads.of_network(tmp_path, 3, a) is None
    save(tmp_path, "kept")
    earlier = kept_heads.newest(tmp_path)
    assert kept_heads.of_network(tmp_path, 3, a).network == ""  # as heads of earlier versions
    kept_heads.save(tmp_path, dataclasses.replace(earlier, network=kept_heads.weights_digest(a)))
    assert kept_heads.of_network(tmp_path, 3, a).best.number == 7
    with pytest.raises(ValueError, match="fitted to the network of an earlier training there; evaluate the run again"):
        kept_heads.of_network(tmp_path, 3, b)
    with pytest.raises(ValueError, match="fitted at step 3 of the training, which is at step 4 now"):
        kept_heads.of_network(tmp_path, 4, a)
    with pytest.raises(ValueError, match="another evaluation has kept its heads in .* since this one; open the run"):
        kept_heads.of_network(tmp_path, 3, a, earlier.digest)


def test_landmarks_are_kept_where_they_are_known(tmp_path):
    save(tmp_path, "kept")
    earlier = kept_heads.newest(tmp_path)
    assert earlier.landmarks is None
    landmarks = np.float32([[[1, 2], [np.nan, np.nan]]])
    kept_heads.save(tmp_path, dataclasses.replace(earlier, landmarks=landmarks))
    np.testing.assert_array_equal(kept_heads.newest(tmp_path).landmarks, landmarks)


def test_what_scores_are_worth_is_kept_and_heads_of_earlier_versions_do_not_say(tmp_path):
    save(tmp_path, "kept")
    earlier = kept_heads.newest(tmp_path)
    labels = np.zeros([1, 2, 2, 1], np.float32)
    assert set(earlier.parts[0](labels)) == {"points", "score"}
    lines = {"expected": np.array([[1.0, -0.5]]), "likely": np.array([[0.2, 0.8]])}
    kept_heads.save(tmp_path, dataclasses.replace(earlier, calibrations={"kept": lines}))
    found = kept_heads.newest(tmp_path).parts[0](labels)
    np.testing.assert_allclose(found["expected_error"], np.exp([[1.0]]), rtol=1e-6)  # the logit of a half is 0
    np.testing.assert_allclose(found["likelihood"], 1 / (1 + np.exp([[-0.2]])), rtol=1e-6)
    np.testing.assert_array_equal(found["points"], [[[7, 7]]])
    old = {"kept": {"expected": np.array([1.0, -0.5])}}  # as detectors had it, for all landmarks
    kept_heads.save(tmp_path, dataclasses.replace(earlier, calibrations=old))
    assert set(kept_heads.newest(tmp_path).parts[0](labels)) == {"points", "score", "expected_error"}


def test_a_best_head_that_was_not_kept_is_said(tmp_path, capsys):
    save(tmp_path, "lost")
    assert "note: head lost cannot be restored, so it is not kept in the run" in capsys.readouterr().out
    with pytest.raises(ValueError, match="the best head, lost, cannot be restored; evaluate the run again with other"):
        _ = kept_heads.newest(tmp_path).best


class Drifting(Kept):
    """A head that restores as another."""

    @staticmethod
    def restore(state):
        return Drifting(int(state["number"]) + 8)


class Pickled(Kept):
    """A head whose state is no array of numbers."""

    def state(self):
        return {"number": {"is": 7}}


class Named(Kept):
    """A head whose state has a name that is taken."""

    def state(self):
        return {"expected": np.zeros([1, 2])}


@pytest.mark.parametrize(
    "kind, said",
    [
        (Drifting, "ValueError: it answers other points"),
        (Pickled, "ValueError: Object arrays cannot be loaded when allow_pickle=False"),
        (Named, "TypeError: .*__init__.*"),
    ],
)
def test_a_head_of_ones_own_that_answers_otherwise_once_it_is_restored_is_not_kept(
    tmp_path, monkeypatch, capsys, kind, said
):
    monkeypatch.setitem(HEADS._entries, "of_mine", Entry("of_mine", "", kind, file="/home/me/my_head.py"))
    heads, result = {"kept": Kept(7), "of_mine": kind(10)}, Result(best="kept", step=3)
    kept = kept_heads.KeptHeads(heads, result, Config(), np.zeros([1, 4, 4, 3], np.float32))
    assert kept_heads.save(tmp_path, kept, np.zeros([1, 2, 2, 1], np.float32)) == kept_heads.newest_digest(tmp_path)
    assert set(kept_heads.newest(tmp_path).heads) == {"kept"}
    warning = (
        r"warning: head of_mine \(/home/me/my_head.py\) is not kept, for restore\(state\) does not make it again from "
        rf"its state\(\): {said}; mend them, and evaluate the run again\n"
    )
    assert re.match(warning, capsys.readouterr().out)


def test_where_the_best_head_of_the_evaluation_before_was_not_fitted_again_this_is_said(tmp_path, capsys):
    save(tmp_path, "kept")
    save(tmp_path, "kept")
    assert "note: exports" not in capsys.readouterr().out
    newest = kept_heads.newest(tmp_path)
    kept_heads.save(tmp_path, dataclasses.replace(newest, heads={}, result=Result(step=3)))
    said = "/heads/3 now, which has no kept, the best head of 2; to use that again, remove 3, or fit kept too"
    assert said in capsys.readouterr().out
    shutil.rmtree(tmp_path / "heads" / "3")
    kept_heads.save(tmp_path, dataclasses.replace(newest, heads={}, result=Result(step=4)))
    assert "the best head of 2; to use that again, fit kept too" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "heads" / "3")
    assert kept_heads.newest(tmp_path).digest == newest.digest


@pytest.mark.parametrize("length", [0, 1, 40, -3])
@pytest.mark.parametrize("name", ["heads.json", "kept.npz", "examples.npz"])
def test_a_truncated_file_says_what_to_do(tmp_path, name, length):
    save(tmp_path, "kept")
    path = tmp_path / "heads" / "1" / name
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"heads/1 cannot be read \(.*\); evaluate the run again"):
        kept_heads.newest(tmp_path)


@pytest.mark.parametrize("name", ["heads.json", "kept.npz", "examples.npz", "result.json"])
def test_any_byte_that_has_turned_is_noticed(tmp_path, name):
    """A zip holds fields without a checksum, JSON no checksum at all."""
    save(tmp_path, "kept")
    path = tmp_path / "heads" / "1" / name
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 4
        unsealed = content.find(b'"digest"') <= place < content.find(b'"digest"') + 8  # its name says nothing else
        if name == "heads.json" and (unsealed or content[place : place + 1].isspace()):
            continue  # all values are as they were
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"heads/1 cannot be read \(.+\); evaluate the run again"):
            kept_heads.newest(tmp_path)


def test_heads_of_ones_own_are_read_where_their_file_has_not_been_run(tmp_path, monkeypatch, capsys):
    """As in a process of another day, which knows no more than the folder of the run."""
    monkeypatch.setattr(HEADS, "_entries", dict(HEADS))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(user_code, "_FOLDERS", set())
    file = tmp_path / "my_head.py"
    file.write_text(OUTSIDE)
    monkeypatch.setitem(sys.modules, "my_head", user_code.run(file))
    config = with_overrides(Config(), {"eval.heads": ("of_mine",)})
    result, examples = Result(best="of_mine", step=3), np.zeros([2, 4, 4, 3], np.float32)
    kept_heads.save(tmp_path, kept_heads.KeptHeads({"of_mine": Kept(7)}, result, config, examples))
    del HEADS._entries["of_mine"], sys.modules["my_head"]
    assert kept_heads.newest(tmp_path).best.number == 7
    assert f"note: running {file}, which this run or configuration names" in capsys.readouterr().out


def test_heads_of_an_earlier_version_are_read_and_of_a_newer_one_refused(tmp_path):
    save(tmp_path, "kept")
    path = tmp_path / "heads" / "1" / "heads.json"
    index = json.loads(path.read_text())
    assert index["version"] == 2  # programs that read version 1 alone do not know calibrations
    earlier = {key: index[key] for key in ("heads", "configuration")}
    for version in (1, 2):
        path.write_text(json.dumps({"version": version, **earlier}))
        assert kept_heads.newest(tmp_path).best.number == 7
    path.write_text(json.dumps({"version": 3, **earlier}))
    with pytest.raises(ValueError, match="version 3; this program reads up to 2: install a newer one"):
        kept_heads.newest(tmp_path)
