"""Tests of the table of bulk prediction's speed, and of what it measures."""

import os
import re
import sys
import types

import pytest

from benchmarks import rows
from tests import flagless
from tests.commands import ROOT

bulk_prediction = flagless.benchmark("bulk_prediction")
RESULTS = ROOT / "benchmarks" / "results" / "bulk_prediction"


def test_the_table_takes_the_start_away():
    row = {"seconds": {"100": 30.0, "400": 90.0}}  # 5 a second, after 10 seconds
    bulk = {**row, "decoding": {"100": 1.0, "400": 3.25}, "network": {"100": 40.0, "400": 97.0}}
    lines = bulk_prediction._table({("predict_main.py", 1): row, ("serving.bulk", 2): bulk}).splitlines()
    assert lines[2:] == [
        "| predict_main.py | 1 | 5.0 | 5.0 |  |  | 10 |",
        "| serving.bulk | 2 | 5.0 | 2.5 | 7.5 | 190.0 | 10 |",
    ]


def test_rows_of_another_model_or_of_other_pictures_are_told_apart(tmp_path, monkeypatch):
    for name in "ab":
        (tmp_path / name / "1" / "assets").mkdir(parents=True)
        (tmp_path / name / "1" / "assets" / "model_card.json").write_text(f'{{"name": "{name}"}}')
    pictures = [tmp_path / "1.jpg", tmp_path / "2.jpg"]
    results = str(tmp_path / "results")
    monkeypatch.setattr(rows, "_RESULTS", types.SimpleNamespace(value=results))
    monkeypatch.setattr(bulk_prediction, "_measure", lambda *_: {"seconds": {}})

    def row(model, size):
        monkeypatch.setattr(bulk_prediction, "_MODEL", types.SimpleNamespace(value=str(tmp_path / model / "1")))
        for picture in pictures:
            picture.write_bytes(b"x" * size)
        return bulk_prediction._row("predict_main.py", [0], pictures, (1, 2))["asked"]

    assert row("a", 10) == row("a", 10) and row("a", 10)["pictures"] == [2, 20]
    for model, size in (("b", 10), ("a", 11)):
        with pytest.raises(SystemExit, match="predict_main_1.json was made in another way"):
            row(model, size)


def test_the_projects_records_are_read_and_said_to_be_of_an_earlier_version(tmp_path, monkeypatch, capsys):
    picture = tmp_path / "1.jpg"
    picture.write_bytes(b"x")
    monkeypatch.setattr(rows, "_RESULTS", types.SimpleNamespace(value=str(RESULTS)))
    monkeypatch.setattr(bulk_prediction, "_MODEL", types.SimpleNamespace(value=str(tmp_path / "1")))
    for program in ("predict_main.py", "serving.bulk"):
        for cores in ([0], [0, 1]):
            assert bulk_prediction._row(program, cores, [picture] * 400, (100, 400))["seconds"]
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 4 and all(each.endswith("whose records lack model_card, pictures") for each in said)


def test_both_programs_predict_the_same_pictures_on_the_cores_they_are_given(tmp_path, monkeypatch):
    pictures, ran = [tmp_path / name for name in "abc"], []
    for picture in pictures:
        picture.write_bytes(b"")

    def run(command, cores):
        folder = next(each.partition("=")[2] for each in command if re.match("--(pictures|input)=", each))
        ran.append((command[1:3], sorted(os.listdir(folder)), cores, sum("num_workers=2" in each for each in command)))
        return "predicted 3 pictures in 9.0 s, decoding 0.3 s, network 6.0 s: summary"

    monkeypatch.setattr(bulk_prediction, "_run", run)
    monkeypatch.setattr(bulk_prediction, "_MODEL", type("Flag", (), {"value": "served/1"}))
    for program, first in (
        ("predict_main.py", ["predict_main.py", "--model=served/1"]),
        ("serving.bulk", ["-m", "serving.bulk"]),
    ):
        row = bulk_prediction._measure(program, [4, 6], pictures, (2, 3))
        assert row["seconds"].keys() == {"2", "3"} and row["decoding"] == {"2": 0.3, "3": 0.3}
        assert [each[:3] for each in ran] == [(first, ["a", "b"], [4, 6]), (first, ["a", "b", "c"], [4, 6])]
        assert {each[3] for each in ran} == {int(program == "serving.bulk")}
        ran.clear()


def test_a_command_has_the_cores_it_is_given_and_its_failure_is_shown():
    core = max(os.sched_getaffinity(0))
    shown = bulk_prediction._run([sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"], [core])
    assert shown == f"{{{core}}}\n"
    with pytest.raises(SystemExit, match="failed:\nout of memory"):
        bulk_prediction._run([sys.executable, "-c", "import sys; sys.exit('out of memory')"], [core])
