"""Tests of the benchmark of detectors: a finished draw is recorded and only read, and the table has both errors."""

import dataclasses
import json
import types

import numpy as np
import pytest

from benchmarks import peers, rows
from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.config import ViewsConfig
from dense_labels.detection import choosing, fitting
from tests import flagless
from tests.commands import ROOT


class Fitted:
    """Stands in for `Fitting`; errors tell the count and the draw, and the seed that the settings have by then."""

    def __init__(self):
        ones, self.normaliser = np.ones([8, 2], np.float32), "picture width"
        images = LabelMap(np.zeros([8, 32, 48, 3], np.uint8), 1)
        facts = ones[:, np.newaxis], ones[:, :1], ones, 400 * ones[:, 0], np.arange(8)  # all are 400 pixels wide
        self.known, self.pile = LabelledLandmarks(images, *facts), None
        self.test, self.flip_pairs, self.measured = None, ((0, 1),), []
        self.origins = [(f"{number}.png",) for number in range(8)]
        self.settings = fitting.Settings(ViewsConfig(), "none", seed=9)

    def ablated(self, count, seed, *, measure):
        """Points that are off by so many pixels of the image, of 4 pixels of the picture each."""
        self.measured.append((count, seed, self.settings.seed))
        images = dataclasses.replace(self.known, scale=4 * self.known.scale)
        off = (np.float32([pixels / count + seed, 0]) for pixels in (10, 20, 30, 40))
        return {name: measure(self.known.landmarks + each, images) for name, each in zip(choosing.PARTS, off)}


class Peer(Fitted):
    """Stands in for `peers.Fitting`."""

    def __init__(self):
        super().__init__()
        del self.settings  # of a detector; those of a peer depend on the count

    def settings(self, count):
        return {"trees": 10 * count}

    def measure(self, count, seed):
        self.measured.append((count, seed))
        return {"error_percent": 7.0 + seed, "error_px": 28.0, "chosen": {"depth": 2}}


@pytest.fixture
def detectors():
    return flagless.benchmark("detectors")


@pytest.fixture
def fitted(detectors, monkeypatch, tmp_path):
    given = {"_COUNTS": ["2", "4"], "_SEEDS": 2, "_WEIGHTS": "a/b.h5", "_HOLD_OUT": 0, "_PILE": 9, "_UNLABELLED": "c/"}
    given |= {"_PEERS": [], "_PICTURE": ""}
    for name, value in given.items():
        monkeypatch.setattr(detectors, name, types.SimpleNamespace(value=value))
    of_rows = {
        "_ONLY": [],
        "_ANNOTATIONS": "mine.csv",
        "_ANNOTATIONS_TEST": None,
        "_RESULTS": str(tmp_path / "results"),
    }
    for name, value in of_rows.items():
        monkeypatch.setattr(rows, name, types.SimpleNamespace(value=value))
    monkeypatch.setattr(rows, "typed_command", lambda: "python -m benchmarks.detectors")
    found = Fitted()
    monkeypatch.setattr(detectors, "_config", dict)
    monkeypatch.setattr(detectors, "_detector", lambda config: found)
    return found


@pytest.fixture
def peer(monkeypatch):
    found = Peer()
    monkeypatch.setattr(peers, "Fitting", lambda name, config: {"dlib": found}[name])
    return found


def test_each_draw_is_fitted_with_its_seed_and_recorded(detectors, fitted, capsys, tmp_path):
    detectors.main()
    assert fitted.measured == [(2, 0, 0), (2, 1, 1), (4, 0, 0), (4, 1, 1)]
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == (
        "4 annotated, draw 1: detector 3.50 %, without the pile 6.00, without the second look 8.50, "
        "without either 11.00 (0.0 minutes)"
    )
    assert lines[5:] == [
        "mean error in % of picture width and in px of pictures 400 wide, by annotated pictures:",
        "",
        "| annotated | detector, % | detector without the pile, % | detector without the second look, % "
        "| detector without either, % | detector, px | detector without the pile, px "
        "| detector without the second look, px | detector without either, px | detector, minutes |",
        "|---|---|---|---|---|---|---|---|---|---|",
        "| 2 | 5.50 ± 0.71 | 10.50 ± 0.71 | 15.50 ± 0.71 | 20.50 ± 0.71 "
        "| 22.00 ± 2.83 | 42.00 ± 2.83 | 62.00 ± 2.83 | 82.00 ± 2.83 | 0.0 ± 0.0 |",
        "| 4 | 3.00 ± 0.71 | 5.50 ± 0.71 | 8.00 ± 0.71 | 10.50 ± 0.71 "
        "| 12.00 ± 2.83 | 22.00 ± 2.83 | 32.00 ± 2.83 | 42.00 ± 2.83 | 0.0 ± 0.0 |",
    ]
    record = json.loads((tmp_path / "results" / "detector_4_1.json").read_text())
    assert record["error_percent"] == 3.5 and record["error_percent_without_pile"] == 6.0
    assert record["error_px"] == 14 and record["error_px_without_pile"] == 24
    assert record["asked"]["pile"] == [9, "c"] and record["asked"]["weights"] == "b.h5"


def test_what_is_recorded_is_only_read(detectors, fitted, capsys):
    detectors.main()
    first = capsys.readouterr().out
    fitted.measured.clear()
    detectors.main()
    assert not fitted.measured and capsys.readouterr().out.split("\n\n")[-1] == first.split("\n\n")[-1]


def test_a_record_of_another_pile_is_refused(detectors, fitted, monkeypatch):
    detectors.main()
    monkeypatch.setattr(detectors, "_PILE", types.SimpleNamespace(value=10))
    with pytest.raises(SystemExit, match="was made in another way"):
        detectors.main()


def test_a_record_says_what_those_before_it_say(detectors, fitted, tmp_path):
    """So that a draw that was recorded before peers were compared with is read, not made again."""
    detectors.main()
    asked = json.loads((tmp_path / "results" / "detector_2_0.json").read_text())["asked"]
    committed = ROOT / "benchmarks" / "results" / "detectors_faces_tuning_at_128" / "detector_20_0.json"
    assert asked.keys() == json.loads(committed.read_text())["asked"].keys()


def test_an_older_record_has_no_pixels_and_is_read(detectors, fitted, capsys, tmp_path):
    detectors.main()
    for path in (tmp_path / "results").glob("*_2_*.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({key: value for key, value in record.items() if "px" not in key}))
    detectors.main()
    assert (
        "| 2 | 5.50 ± 0.71 | 10.50 ± 0.71 | 15.50 ± 0.71 | 20.50 ± 0.71 | - | - | - | - | 0.0 ± 0.0 |"
        in capsys.readouterr().out
    )


def test_a_peer_has_records_and_columns_of_its_own(detectors, fitted, peer, monkeypatch, capsys, tmp_path):
    detectors.main()
    fitted.measured.clear()
    monkeypatch.setattr(detectors, "_PEERS", types.SimpleNamespace(value=["dlib"]))
    detectors.main()
    assert not fitted.measured and peer.measured == [(2, 0), (2, 1), (4, 0), (4, 1)]
    table = capsys.readouterr().out.splitlines()[-4:]
    assert table[0].startswith("| annotated | detector, % | detector without the pile, % | ")
    assert " | detector without either, % | dlib, % | detector, px | " in table[0]
    assert table[2].startswith("| 2 | 5.50 ± 0.71 | 10.50 ± 0.71 | 15.50 ± 0.71 | 20.50 ± 0.71 | 7.50 ± 0.71 | 22.00 ")
    record = json.loads((tmp_path / "results" / "dlib_4_1.json").read_text())
    assert record["asked"]["settings"] == {"trees": 40} and record["chosen"] == {"depth": 2}
    assert (record["error_percent"], record["error_px"], record["normaliser"]) == (8, 28, "picture width")


def test_a_peer_alone_needs_no_detector(detectors, fitted, peer, monkeypatch, capsys):
    monkeypatch.setattr(rows, "_ONLY", types.SimpleNamespace(value=["dlib"]))
    monkeypatch.setattr(detectors, "_detector", None)
    monkeypatch.setattr(peer, "normaliser", "eye distance")
    detectors.main()
    assert capsys.readouterr().out.splitlines()[-4:-1] == [
        "| annotated | dlib, % | dlib, minutes |",
        "|---|---|---|",
        "| 2 | 7.50 ± 0.71 | 0.0 ± 0.0 |",
    ]


def test_both_are_measured_on_the_same_pictures_held_out(detectors, fitted, peer, monkeypatch):
    monkeypatch.setattr(detectors, "_HOLD_OUT", types.SimpleNamespace(value=3))
    for name in ("detector", "dlib"):
        detectors._fitting(name, {})
    for part in ("known", "test"):
        assert getattr(fitted, part).picture.tolist() == getattr(peer, part).picture.tolist()
    assert len(fitted.test) == 3 and len({*fitted.test.picture, *fitted.known.picture}) == 8


def test_pictures_of_one_box_are_held_out_as_ever(detectors, fitted):
    """So that the project's records, of faces of which each is a picture, are of the same ones."""
    held_out, rest = detectors._held_out(fitted, 3)
    order = np.random.default_rng(99).permutation(8)
    assert held_out.tolist() == order[:3].tolist() and rest.tolist() == order[3:].tolist()


def test_boxes_of_a_picture_are_held_out_together(detectors, fitted, monkeypatch):
    fitted.origins = [(f"{number // 2}.png",) for number in range(8)]
    monkeypatch.setattr(detectors, "_HOLD_OUT", types.SimpleNamespace(value=3))
    detectors._fitting("detector", {})
    held_out, rest = ({fitted.origins[number] for number in part.picture} for part in (fitted.test, fitted.known))
    assert len(held_out) == 3 and len(rest) == 1 and not held_out & rest
    assert len(fitted.test) == 6 and len(fitted.known) == 2
    with pytest.raises(ValueError, match="^--hold_out=3: there are 1 pictures with annotations; hold out fewer$"):
        detectors._held_out(fitted, 3)


def test_counts_leave_a_picture_and_not_only_a_box_of_one(detectors, fitted, monkeypatch):
    fitted.origins = [(f"{number // 4}.png",) for number in range(8)]
    monkeypatch.setattr(detectors, "_COUNTS", types.SimpleNamespace(value=["5"]))
    with pytest.raises(ValueError, match="5 annotated images cannot be drawn from 8 with a picture left to measure on"):
        detectors.main()


def test_a_draw_that_leaves_nothing_to_measure_is_said_and_not_counted(detectors, fitted, monkeypatch, capsys):
    """What `evaluating.Fitting.ablated` returns where boxes of all pictures were drawn."""
    whole = fitted.ablated
    nothing = lambda count, seed, measure: {part: np.nan for part in choosing.PARTS}  # noqa: E731
    monkeypatch.setattr(
        fitted, "ablated", lambda *drawn, measure: (nothing if drawn[1] else whole)(*drawn, measure=measure)
    )
    for _ in range(2):  # measured, and read
        detectors.main()
        said = capsys.readouterr().out.splitlines()
        assert "2 annotated, draw 1: detector drew all pictures, and none is left to measure on" in said
        assert said[-2].startswith("| 2 | 5.00 | 10.00 | 15.00 | 20.00 | 20.00 |")


@pytest.mark.parametrize("of, flag", [("detectors", "_PEERS"), ("rows", "_ONLY")])
def test_an_unknown_peer_is_one_line(detectors, fitted, monkeypatch, of, flag):
    monkeypatch.setattr({"detectors": detectors, "rows": rows}[of], flag, types.SimpleNamespace(value=["slib"]))
    with pytest.raises(SystemExit, match=rf"^error: --{flag[1:].lower()}=slib: there is no such .*choose .*dlib$"):
        detectors.main()
