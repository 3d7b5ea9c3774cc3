"""The notebook: its cells run one after the other as they stand there, but for what installs and how long it trains."""

import json
import pathlib

import matplotlib
import numpy as np

from tests import test_readme

NOTEBOOK = pathlib.Path(__file__).resolve().parents[1] / "notebooks" / "landmarks.ipynb"


def test_its_cells_run_from_pictures_to_landmarks(tmp_path, monkeypatch, capsys, undrawn):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert len(cells) <= 20
    names = {}
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code" or source.startswith("%"):
            continue
        exec(source, names)
        if "parameters" in cell["metadata"].get("tags", ()):
            names["OVERRIDES"], names["HEADS"] = test_readme.TINY, ("nearest",)
    assert names["result"].landmark_names == ("left_eye", "right_eye", "mouth_left", "mouth_right")
    assert "mouth_right" in capsys.readouterr().out
    points = names["points"]
    assert points.shape == (4, 2) and np.all((points >= 0) & (points <= 120))
    assert all(axis.collections for axis in names["axes"][0]), "the landmarks are drawn"
