"""Tests of the benchmark of calibration: planted predictions, whose worth is known."""

import dataclasses
import types

import numpy as np
import pytest

import dense_labels
from benchmarks import rows
from dense_labels.prediction.predictions import Predictions
from tests import flagless
from tests.commands import ROOT

calibration = flagless.benchmark("calibration")
PICTURES = ROOT / "tests" / "fixtures" / "pictures"
COUNT = 20


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Flags that ask for a model that is off by half of what it expects, on 20 pictures with two landmarks."""
    lines = [f"{n:02}.png,10,10,20,10\n" for n in range(COUNT)]
    (tmp_path / "points.csv").write_text("file,a_x,a_y,b_x,b_y\n" + "".join(lines))
    off = np.arange(2.0 * COUNT).reshape(COUNT, 2) / 10
    points = np.stack([np.array([10.0, 20.0]) + off, np.full_like(off, 10)], axis=-1)

    class Model:
        def predict(self, paths):
            names = tuple(f"{n:02}.png" for n in reversed(range(COUNT)))  # in another order
            values = {
                "points": points[::-1, ::-1],
                "score": 1 / (1 + off[::-1, ::-1]),
                "expected_error": 2 * off[::-1, ::-1],
            }
            sizes = np.full([COUNT, 2], 32)
            return Predictions(str(PICTURES), names, sizes, ("b", "a"), **values)

    monkeypatch.setattr(dense_labels, "load", lambda folder: Model())
    monkeypatch.setattr(calibration, "_MODEL", types.SimpleNamespace(value=str(tmp_path)))
    monkeypatch.setattr(calibration, "_OUT", types.SimpleNamespace(value=""))
    monkeypatch.setattr(rows, "_IMAGES", types.SimpleNamespace(value=str(PICTURES)))
    monkeypatch.setattr(rows, "_ANNOTATIONS", types.SimpleNamespace(value=str(tmp_path / "points.csv")))
    monkeypatch.setattr(rows, "_ANNOTATIONS_TEST", types.SimpleNamespace(value=None))


def test_what_was_expected_stands_beside_what_was_found(asked, capsys):
    calibration.main()
    said = capsys.readouterr().out
    assert "40 landmarks, mean error 1.95 px" in said
    assert "| expected error, px | error found, px | landmarks |" in said and "| 0.70 | 0.35 | 8 |" in said
    assert "| likelihood |" not in said
    risks = dict(
        line.strip("| ").split(" | ") for line in said.splitlines() if line.count("|") == 3 and "by" not in line
    )
    assert risks["expected error"] == risks["score"] == risks["errors themselves"] == "0.97"
    assert risks["chance"] == "1.95"


def test_whether_landmarks_are_there_is_held_against_all_of_the_pictures(asked, tmp_path, monkeypatch, capsys):
    """The first landmark is left out in half of the pictures, whose model is rightly sure of both."""
    lines = [f"{n:02}.png,{'10,10' if n % 2 else ','},20,10\n" for n in range(COUNT)]
    (tmp_path / "points.csv").write_text("file,a_x,a_y,b_x,b_y\n" + "".join(lines))
    model = dense_labels.load(tmp_path)
    there = np.stack([np.ones(COUNT), np.arange(COUNT)[::-1] % 2], axis=-1)  # of b and a, of the last picture first
    found = lambda paths: dataclasses.replace(model.predict(paths), present=there)  # noqa: E731
    monkeypatch.setattr(dense_labels, "load", lambda folder: types.SimpleNamespace(predict=found))
    calibration.main()
    said = capsys.readouterr().out
    assert "30 landmarks, mean error" in said and "| probability that it is there | share annotated |" in said
    assert "| 0.00 | 0.00 | 10 |" in said and "| 1.00 | 1.00 | 30 |" in said


def test_a_landmark_that_the_model_lacks_is_named(asked, tmp_path):
    (tmp_path / "points.csv").write_text("file,nose_x,nose_y\n00.png,1,1\n")
    with pytest.raises(ValueError, match="the model has no landmark nose; it has b, a"):
        calibration.main()
