"""Tests of the benchmark of detectors: a finished draw is recorded and only read, and the table has both errors."""

import importlib
import json
import sys
import types

import numpy as np
import pytest
from absl import flags

from benchmarks import rows
from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.config import ViewsConfig
from dense_labels.detection import fitting


class Fitted:
    """Stands in for `Fitting`; errors tell the count and the draw, and the seed that the settings have by then."""

    def __init__(self):
        ones = np.ones([8, 2], np.float32)
        images = LabelMap(np.zeros([8, 32, 48, 3], np.uint8), 1)
        self.known = LabelledLandmarks(images, ones[:, np.newaxis], ones[:, :1], ones, ones[:, 0], np.arange(8))
        self.test, self.flip_pairs, self.measured = None, ((0, 1),), []
        self.settings = fitting.Settings(ViewsConfig(), "none", seed=9)

    def with_and_without_pile(self, count, seed):
        self.measured.append((count, seed, self.settings.seed))
        return 10.0 / count + seed, 20.0 / count + seed


@pytest.fixture
def detectors(monkeypatch):
    """The benchmark, whose flags no other benchmark in this process has defined: they are stand-ins."""
    for kind in ("string", "list", "integer"):
        monkeypatch.setattr(flags, f"DEFINE_{kind}", lambda *_, **__: None)
    monkeypatch.delitem(sys.modules, "benchmarks.detectors", raising=False)
    yield importlib.import_module("benchmarks.detectors")
    sys.modules.pop("benchmarks.detectors", None)


@pytest.fixture
def fitted(detectors, monkeypatch, tmp_path):
    given = {"_COUNTS": ["2", "4"], "_SEEDS": 2, "_WEIGHTS": "a/b.h5", "_HOLD_OUT": 0, "_PILE": 9, "_UNLABELLED": "c/"}
    for name, value in given.items():
        monkeypatch.setattr(detectors, name, types.SimpleNamespace(value=value))
    of_rows = {"_ANNOTATIONS": "mine.csv", "_ANNOTATIONS_TEST": None, "_RESULTS": str(tmp_path / "results")}
    for name, value in of_rows.items():
        monkeypatch.setattr(rows, name, types.SimpleNamespace(value=value))
    monkeypatch.setattr(rows, "typed_command", lambda: "python -m benchmarks.detectors")
    found = Fitted()
    monkeypatch.setattr(detectors, "_fitting", lambda: (found, "picture width", {}))
    return found


def test_each_draw_is_fitted_with_its_seed_and_recorded(detectors, fitted, capsys, tmp_path):
    detectors.main()
    assert fitted.measured == [(2, 0, 0), (2, 1, 1), (4, 0, 0), (4, 1, 1)]
    table = capsys.readouterr().out
    assert "% of picture width" in table
    assert "| 2 | 5.50 ± 0.71 | 10.50 ± 0.71 |" in table or "| 2 | 5.50 ± 0.50 | 10.50 ± 0.50 |" in table
    record = json.loads((tmp_path / "results" / "detector_4_1.json").read_text())
    assert record["error_percent"] == 3.5 and record["error_percent_without_pile"] == 6.0
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
