"""Tests of the picture of detectors: it shows what is recorded, and nothing else."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import detectors_picture
from tests.commands import ROOT

OF = {"data.annotations": "a.json", "data.annotations_test": "", "hold_out": 6, "pictures": [20, 6]}


def record(folder, name, count, seed, **figures):
    asked = {**OF, "count": count, "seed": seed, "recipe": 3}
    (folder / f"{name}_{count}_{seed}.json").write_text(json.dumps({"asked": asked, "minutes": 1.0, **figures}))


@pytest.fixture
def folder(tmp_path):
    width = {"normaliser": "picture width"}
    for seed, off in enumerate((1.0, 2.0)):
        both = {"error_percent_without_pile": 3 * off, "error_px_without_pile": 30 * off}
        record(tmp_path, "detector", 20, seed, error_percent=off, error_px=10 * off, **both, **width)
        record(tmp_path, "dlib", 20, seed, error_percent=4 * off, error_px=40 * off, **width)
    record(tmp_path, "dlib", 5, 0, error_percent=9.0, error_px=90.0, **width)
    (tmp_path / "notes.json").write_text("[]")
    return tmp_path


def test_each_line_is_of_recorded_draws_alone(folder):
    unit, found = detectors_picture.lines(detectors_picture.read(folder))
    assert unit == "px of the picture"
    assert list(found) == ["detector", "detector_without_pile", "dlib"]
    assert found == {
        "detector": {20: [10, 20]},
        "detector_without_pile": {20: [30, 60]},
        "dlib": {5: [90], 20: [40, 80]},
    }


def test_a_detector_that_saw_no_pile_is_one_line(tmp_path):
    for seed in range(2):
        record(tmp_path, "detector", 20, seed, error_percent=3.0 + seed, error_percent_without_pile=3.0 + seed)
    assert detectors_picture.lines(detectors_picture.read(tmp_path))[1] == {"detector": {20: [3, 4]}}


def test_a_detector_without_its_parts_has_lines_that_say_which(tmp_path, monkeypatch):
    said, write = [], detectors_picture.sheet.write
    monkeypatch.setattr(
        detectors_picture.sheet, "write", lambda *args, **kw: said.append(args[3]) or write(*args, **kw)
    )
    others = {
        "error_percent_without_pile": 4.0,
        "error_percent_without_either": 5.0,
        "error_percent_without_second_look": 6,
    }
    record(tmp_path, "detector", 20, 0, error_percent=3.0, **others)
    found = detectors_picture.lines(detectors_picture.read(tmp_path))[1]
    assert list(found.values()) == [{20: [3]}, {20: [4]}, {20: [5]}]
    detectors_picture.draw(detectors_picture.read(tmp_path))
    assert said[-2:] == [
        "detector without the pile: 1 draw",
        "detector without pile and second look: 1 draw",
    ]
    record(tmp_path, "detector", 20, 0, error_percent=3.0, **{**others, "error_percent_without_pile": 3.0})
    detectors_picture.draw(detectors_picture.read(tmp_path))
    assert said[-2:] == ["detector: 1 draw", "detector without a second look: 1 draw"]


def test_percent_is_drawn_where_a_draw_lacks_pixels_or_errors_are_divided_by_something_else(folder):
    record(folder, "dlib", 5, 0, error_percent=9.0, error_px=float("nan"), normaliser="eye distance")
    unit, found = detectors_picture.lines(detectors_picture.read(folder))
    assert unit == "%" and found["dlib"] == {5: [9], 20: [4, 8]}
    for path in folder.glob("d*.json"):
        path.write_text(path.read_text().replace("picture width", "eye distance"))
    assert detectors_picture.lines(detectors_picture.read(folder))[0] == "% of eye distance"
    record(folder, "dlib", 5, 0, error_percent=float("nan"))
    assert detectors_picture.lines(detectors_picture.read(folder))[1]["dlib"] == {20: [4, 8]}


def test_the_picture_has_a_line_more_where_a_peer_is_recorded(folder, capsys):
    detectors_picture.write(str(folder / "new" / "all.png"), str(folder))
    assert capsys.readouterr().out == f"{folder / 'new' / 'all.png'}\n"
    for path in folder.glob("dlib_*"):
        path.unlink()
    detectors_picture.write(str(folder / "ours.png"), str(folder))
    drawn, ours = (np.asarray(Image.open(folder / name)).astype(int) for name in ("new/all.png", "ours.png"))
    peer, detector = (np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) for colour in ("#d55e00", "#0072b2"))
    seen = [
        [(np.abs(picture - colour).max(axis=-1) < 9).sum() > 20 for colour in (detector, peer)]
        for picture in (drawn, ours)
    ]
    assert seen == [[True, True], [True, False]]


def test_where_a_mean_is_drawn(folder, monkeypatch):
    plotted = []
    monkeypatch.setattr("matplotlib.axes.Axes.errorbar", lambda self, *xy, **style: plotted.append((self, *xy)))
    detectors_picture.draw(detectors_picture.read(folder))
    axes, counts, means, spread = plotted[2]
    assert (counts, means) == ([5, 20], [90, 60]) and spread.tolist() == [[0, 20], [0, 20]]
    assert axes.get_xscale() == "log" and axes.get_xlim()[0] < 1 and axes.get_xlim()[1] > 500
    assert axes.get_ylim() == (0, pytest.approx(1.08 * 90))


def test_more_pictures_than_the_axis_has_make_it_longer(folder, monkeypatch):
    record(folder, "detector", 3000, 0, error_percent=1.0, error_px=1.0, normaliser="picture width")
    limits = []
    monkeypatch.setattr("dense_labels.pictures.sheet.render", lambda figure: limits.append(figure.axes[0].get_xlim()))
    detectors_picture.draw(detectors_picture.read(folder))
    assert limits[0][1] > 3000


def test_committed_rows_are_read():
    found = detectors_picture.read(ROOT / "benchmarks" / "results" / "detectors_faces_tuning_at_128")
    unit, lines = detectors_picture.lines(found)
    assert unit == "%" and lines == {
        "detector": {20: [pytest.approx(5.640, abs=1e-3)]},
        "detector_without_pile": {20: [pytest.approx(5.974, abs=1e-3)]},
    }


def test_without_rows_nothing_is_drawn_and_one_line_says_so(tmp_path):
    with pytest.raises(SystemExit, match="^error: --results=.*: there is no recorded draw of a detector or a peer; no"):
        detectors_picture.write(str(tmp_path / "a.png"), str(tmp_path))
    record(tmp_path, "detector", 20, 0, error_percent=float("nan"))
    with pytest.raises(SystemExit, match="there is no recorded draw"):
        detectors_picture.write(str(tmp_path / "a.png"), str(tmp_path))
    assert not (tmp_path / "a.png").exists()


def test_draws_of_different_pictures_are_not_drawn_together(folder):
    path = folder / "dlib_20_1.json"
    path.write_text(path.read_text().replace('"hold_out": 6', '"hold_out": 7'))
    with pytest.raises(ValueError, match="dlib_20_1.json and .*detector_20_0.json are of different pictures"):
        detectors_picture.read(folder)
    path.write_text(path.read_text().replace('"hold_out": 7', '"hold_out": 6').replace('"recipe": 3', '"recipe": 4'))
    with pytest.raises(ValueError, match="dlib_20_1.json and .*dlib_20_0.json are of different detectors"):
        detectors_picture.read(folder)
    path.write_text('{"how": 1}')
    with pytest.raises(ValueError, match="dlib_20_1.json: is no record of a draw; give a folder of records"):
        detectors_picture.read(folder)
