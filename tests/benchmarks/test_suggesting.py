"""Tests of the benchmark of suggestions: a run from its folder to the table, and what is refused."""

import shutil
import types

import numpy as np
import pytest

from benchmarks import rows
from tests import flagless
from tests.commands import ROOT

suggesting = flagless.benchmark("suggesting")
RUN, PICTURES = ROOT / "tests" / "fixtures" / "runs" / "stills", ROOT / "tests" / "fixtures" / "pictures"


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Sets flags, of which no others are read."""
    run = shutil.copytree(RUN, tmp_path / "mine")
    flags = {"_WORKDIR": str(run), "_IMAGES": str(PICTURES), "_ANNOTATIONS": str(PICTURES / "points.json")}
    for name, value in {**flags, "_ANNOTATIONS_TEST": None}.items():
        monkeypatch.setattr(rows, name, types.SimpleNamespace(value=value))

    def set_flags(**given):
        for name, value in {"_COUNTS": ["1"], "_SEEDS": 1, "_SHOWN": 3, "_WITHIN": 1e3, **given}.items():
            monkeypatch.setattr(suggesting, name, types.SimpleNamespace(value=value))

    return set_flags


def test_labels_alone_stand_beside_what_is_refined(asked, capsys):
    asked(_COUNTS=["1", "2"], _SEEDS=2)
    suggesting.main()
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][2:]
    assert [line.split(" | ")[:3] for line in table] == [
        [f"| {count}", way, "100%"] for count in (1, 2) for way in ("labels alone", "refined")
    ]
    assert table[0].split(" | ")[3:] != table[1].split(" | ")[3:]


def test_suggestions_that_are_off_by_known_pixels(asked, monkeypatch, capsys):
    """In three pictures, by 3, 4 and 10 pixels; refined by half of that."""

    def planted(labels, frame, pictures, points, annotated, targets, *, exactly):
        assert len(targets) == 3 and annotated[:1].all() and not annotated[1:].any()
        off = np.array([[1.8, 2.4], [-4, 0], [6, -8]]) / (2 if exactly else 1)
        return points[list(targets)] + off[:, np.newaxis], None

    monkeypatch.setattr("dense_labels.annotation.suggesting.in_pictures", planted)
    for within, shares in ((5, ("67%", "67%")), (3.5, ("33%", "67%")), (6, ("67%", "100%"))):
        asked(_WITHIN=within, _SEEDS=2)
        suggesting.main()
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(" | ")[2:] for line in lines[-2:]] == [
            [shares[0], "4.0", "10.0 |"],
            [shares[1], "2.0", "5.0 |"],
        ]


def test_counts_that_cannot_be_are_one_line(asked):
    asked(_COUNTS=["x"])
    with pytest.raises(ValueError, match="--counts=x: must be whole numbers above 0"):
        suggesting.main()
    asked(_COUNTS=["500"])
    with pytest.raises(ValueError, match="--counts=500: there are .* pictures; take fewer"):
        suggesting.main()
