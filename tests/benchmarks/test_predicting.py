"""Tests of the benchmark of predicting: what it makes and says. It kills and compares with `--kill`."""

import numpy as np
from PIL import Image

from benchmarks import predicting


def test_pictures_are_of_100_kb_and_kept(tmp_path):
    kilobytes = predicting.make_pictures(tmp_path, 3)
    assert 80 < kilobytes < 125 and Image.open(tmp_path / "000002.jpg").size == (640, 480)
    (tmp_path / "000001.jpg").write_bytes(b"kept")
    predicting.make_pictures(tmp_path, 4)
    assert (tmp_path / "000001.jpg").read_bytes() == b"kept" and len(list(tmp_path.iterdir())) == 4


def test_the_table_says_the_ratio_and_its_bound(monkeypatch):
    monkeypatch.setattr(predicting.os, "cpu_count", lambda: 2)
    rows = [{"files": 8.0, "network": 10.0, "decoding": 90.0}, {"files": 9.0, "network": 10.0, "decoding": 90.0}]
    assert predicting._speeds(rows).splitlines()[2:] == [
        "| 8 | 10 | 90 | 0.80 |",
        "| 9 | 10 | 90 | 0.90 |",
        "median 0.85 of the network alone; decoding and network sharing 2 processors allow 9 pictures/s, 0.90 of the "
        "network alone",
    ]


def test_lines_of_a_journal_that_is_not_there_are_none(tmp_path):
    assert predicting._lines(tmp_path / "none") == 0
    (tmp_path / "some").write_text("a\nb\nc")
    assert predicting._lines(tmp_path / "some") == 2
    assert np.isfinite(predicting._rate(10, lambda: None))
