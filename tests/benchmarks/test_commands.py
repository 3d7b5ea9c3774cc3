"""The commands behind the figures of the documentation."""

import importlib
import inspect
import itertools
import json
import pathlib
import re
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

import models
from benchmarks import (
    faces,
    lengths,
    matching,
    records,
    roboarm,
    rows,
    seeds,
    sphere,
    stacks,
    timing,
    train_step,
    trunks,
)
from dense_labels.config import ModelConfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def test_table_sets_the_figures_beside_the_paper():
    results = {
        "log": [{"metrics": {"cell_error_percent": 0.912, "subpixel_error_percent": 0.208}, "minutes": 6.4}],
        "dist_0.5_L20": [
            {"metrics": {"cell_error_percent": cell, "subpixel_error_percent": 0.3}, **minutes}
            for cell, minutes in ((1.0, {}), (1.2, {"minutes": 8.0}), (1.4, {"minutes": 9.0}))
        ],
        "dist_0.5_exchange": [{"metrics": {"cell_error_percent": 1.0, "subpixel_error_percent": 0.4}}],
        "sparse_10": [{"metrics": {"regress_own_error_percent": 2.5}}],
    }
    assert roboarm._table(results).splitlines()[2:] == [
        "| log | 0.97 % | 0.91 % | 0.21 % | - | 6 |",
        "| dist_0.5_L20 | 1.28 % | 1.20 ± 0.20 % | 0.30 ± 0.00 % | - | 8 |",
        "| dist_0.5_exchange | - | 1.00 % | 0.40 % | - | resumed |",
        "| sparse_10 | - | - | - | 2.50 % | resumed |",
    ]


def test_table_of_faces_has_heads_matching_and_an_untrained_network():
    of_labels = [name for name in faces.FIGURES if name != "regress_own_error_percent"]
    figures = dict(zip(of_labels, (18.2, 14.6, 13.0, 10.8, 10.4, 1.25, 4.65, 4.5, 2.31, 81.5, 40.0)))
    results = {"dilations_dist": [{"metrics": figures, "minutes": 41.2}], "untrained": [{"metrics": figures}]}
    sparse = {"mean_shape_error_percent": 18.2, "regress_own_error_percent": 9.25}
    results["sparse_50"] = [{"metrics": sparse}]
    errors = "18.20 % | 14.60 % | 13.00 % | 10.80 % | 10.40 % | -"
    cells = f"{errors} | 1.25 px | 4.65 px | 4.50 px | 2.31 px | 81.50 % | 40.00 %"
    assert faces._table(results).splitlines()[2:] == [
        f"| dilations_dist | 10.53 % | 5.87 % | {cells} | 41 |",
        f"| untrained | - | - | {cells} | - |",
        "| sparse_50 | - | 6.67 % | 18.20 % | - | - | - | - | 9.25 % | - | - | - | - | - | - | resumed |",
    ]
    errors = {"mean_shape": {"1": [20.0, 24.0], "5": [19.0, 19.0]}, "regress": {"1": [15.0, 15.0], "5": [12.0, 13.0]}}
    another = {"mean_shape": {"5": [19.0, 19.0]}, "regress": {"5": [11.5, 11.5]}}
    assert faces._few_table([errors, another]).splitlines() == [
        "| annotated | seeds | mean_shape | regress |",
        "|---|---|---|---|",
        "| 1 | 1 | 22.0 ± 2.8 % | 15.0 ± 0.0 % |",
        "| 5 | 2 | 19.0 ± 0.0 % | 12.0 ± 0.7 % |",
    ]


def test_table_of_lengths_has_the_figures_of_faces():
    results = {"L64_exchange": [{"metrics": {"subpixel_error_percent": each}, "minutes": 6} for each in (1.0, 2.0)]}
    header, _, row = lengths._table(results).splitlines()
    cells = dict(zip(header.split(" | "), row.split(" | ")))
    assert cells["subpixel"] == "1.50 ± 0.71 %" and cells["regress"] == "-" and row.endswith("| 6 |")


def test_folders_of_data_do_not_tell_rows_apart():
    flags = ["--annotations=a/t.tps", "--pictures=b/p", "--few_shot=20", "--config.data.annotations_test=c/v.json"]
    flags += ["--config.model.weights=/w/x.h5", "--config.train.init_from=runs/faces/"]
    assert records.without_folders([*flags, "--config.data.dir=d"]) == [
        "--annotations=t.tps",
        "--few_shot=20",
        "--config.data.annotations_test=v.json",
        "--config.model.weights=x.h5",
        "--config.train.init_from=faces",
    ]


def test_a_recorded_row_is_read_wherever_it_was_made(tmp_path, monkeypatch):
    """And is not taken for a row that was made in another way."""
    records, made = tmp_path / "records", []

    def evaluated(workdir, **options):
        made.append(workdir)
        return {"metrics": {"regress_error_percent": 7.4}, "curves": {"percent": [0, 1]}, "minutes": 3.0}

    monkeypatch.setattr(rows, "_run", evaluated)
    monkeypatch.setattr(sys, "argv", ["/elsewhere/benchmarks/faces.py", f"--images={tmp_path}", "--only=row"])
    monkeypatch.setattr(rows, "_RESULTS", types.SimpleNamespace(value=str(records)))
    changes = ["--config.model.label_size=3"]
    data = ["--config.data.dir=/{}", "--config.data.annotations=/{}/train.json"]
    first, again = (
        rows.run("configs/faces.py", tmp_path / place / "row", [*changes, *(each.format(place) for each in data)])
        for place in ("here", "there")
    )
    assert first == again == {"metrics": {"regress_error_percent": 7.4}, "minutes": 3.0} and len(made) == 1
    with pytest.raises(SystemExit, match=r"row.json was made in another way .* give another --results"):
        rows.run("configs/faces.py", tmp_path / "row", ["--config.model.label_size=64"])
    with pytest.raises(SystemExit, match=r"row.json was made in another way .*train.json"):
        rows.run(
            "configs/faces.py", tmp_path / "row", [*changes, data[0], "--config.data.annotations=/here/other.json"]
        )
    record = (records / "row.json").read_text()
    assert json.loads(record)["command"] == "python -m benchmarks.faces --images=IMAGES --only=row"
    assert "/here" not in record and str(tmp_path) not in record


def test_a_folder_of_a_finished_row_is_not_read_for_another_one(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_RESULTS", types.SimpleNamespace(value=None))
    made = []

    def command(main, *flags):
        made.append(main)
        (tmp_path / "row" / "eval").mkdir(parents=True, exist_ok=True)
        (tmp_path / "row" / "eval" / "result.json").write_text('{"metrics": {}}')

    monkeypatch.setattr(rows, "_command", command)
    for _ in range(2):
        rows.run("configs/roboarm.py", str(tmp_path / "row"), ["--config.train.seed=0"])
    assert made == ["train_main.py", "eval_main.py"]
    with pytest.raises(SystemExit, match=r"row holds a row that was begun in another way .*; give another --workdir"):
        rows.run("configs/roboarm.py", str(tmp_path / "row"), ["--config.train.seed=1"])


def test_seeds_above_0_are_rows_of_their_own(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(rows, "run", lambda *row, evaluation: asked.append((row[1], row[2], evaluation)) or len(asked))
    monkeypatch.setattr(seeds, "_SEEDS", types.SimpleNamespace(value=3))
    few, fewer, changes = ["--few_shot=1,20"], ["--few_shot=20"], ["--config.train.num_epochs=5"]
    assert seeds.run("c.py", "w/row", changes, evaluation=few, evaluation_of_others=fewer) == [1, 2, 3]
    first, second, third = asked
    assert first == ("w/row", changes, few)
    assert second == ("w/row_seed_1", [*changes, "--config.train.seed=1"], fewer) and third[0] == "w/row_seed_2"
    with pytest.raises(SystemExit, match="--seeds=3 and --config.train.seed are both given; leave one out"):
        seeds.run("c.py", "w/row", ["--config.train.seed=0"])


def test_a_row_that_is_asked_for_alone_needs_nothing_but_its_record(tmp_path):
    """The command of docs/papers.md, in a checkout without any run."""
    command = [sys.executable, "-m", "benchmarks.faces", f"--workdir={tmp_path}", "--only=dilations_dist_L64_both"]
    records = f"--results={RESULTS / 'faces_40000'}"
    files = ["--images=i", "--annotations=in/train.json", "--annotations_test=val.json", records]
    options = {"cwd": ROOT, "capture_output": True, "text": True}
    result = subprocess.run([*command, *files, "--", "--config.train.num_epochs=5"], **options)
    assert result.returncode == 0, result.stderr
    said, _, _, row, *_ = result.stdout.splitlines()
    name, *cells = row.strip("| ").split(" | ")
    assert said == f"{name}: read from {RESULTS / 'faces_40000' / name}.json"
    record = json.loads((RESULTS / "faces_40000" / f"{name}.json").read_text())
    assert cells[3] == f"{record['result']['metrics']['cell_error_percent']:.2f} %"
    assert not any(line.startswith("| untrained") for line in result.stdout.splitlines())


def test_table_of_the_sphere_has_medians_and_means_and_chance():
    names = [f"{name}_{figure}_degrees" for name in sphere.MEASURES for figure in ("median", "mean")]
    trained = {**dict(zip(names, (3.1, 4.2, 2.04, 2.5, 9.0, 10.0))), "isometry_reflected": 1}
    by_chance = {f"chance_{name}": value for name, value in zip(names, (60.0, 62.0, 90.0, 91.0, 89.0, 90.04))}
    results = {
        "dilations": [{"metrics": {**trained, **by_chance}, "minutes": 50.4}],
        "untrained": [{"metrics": {**trained, **by_chance, "isometry_reflected": 0}}] * 2,
    }
    assert sphere._table(results).splitlines() == [
        "| run | matching | consistency | isometry | mirrored | minutes |",
        "|---|---|---|---|---|---|",
        "| dilations | 3.1 / 4.2 | 2.0 / 2.5 | 9.0 / 10.0 | yes | 50 |",
        "| untrained | 3.1 ± 0.0 / 4.2 ± 0.0 | 2.0 ± 0.0 / 2.5 ± 0.0 | 9.0 ± 0.0 / 10.0 ± 0.0 | no, no |  |",
        "| chance | 60.0 / 62.0 | 90.0 / 91.0 | 89.0 / 90.0 | | |",
    ]


@pytest.mark.parametrize("table", [roboarm, faces])
def test_an_unknown_row_is_one_line(table, tmp_path):
    command = [sys.executable, "-m", table.__name__, f"--workdir={tmp_path}", "--only=lgo"]
    if table is faces:
        command += ["--images=i", "--annotations=a.json", "--annotations_test=b.json"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [f"error: --only=lgo: there is no such row; choose {', '.join(table.ROWS)}"]


def test_trunks_are_a_row_each():
    found = {"parameters": 2_340_000, "cells": [15, 15], "peak": 1_500_000_000, "seconds": 2.346}
    assert trunks.table({"mobilenet_v2": found}).splitlines()[2:] == [
        "| mobilenet_v2 | 16 | 2,340,000 | 15 x 15 | 1500 | 2.35 |"
    ]


def test_few_shot_rows_that_are_done_are_only_read(tmp_path):
    shutil.copytree(ROOT / "tests" / "fixtures" / "runs" / "stills", tmp_path / "mine")
    facts = rows.facts(tmp_path / "mine")
    data = {"dataset": "coco", "dir": "i", "annotations": "a.json", "annotations_test": "b.json"}
    settings = {"rounds": [1, 20], "epochs": 3, "steps": 500, **data}
    features_of = {
        "mine": (str(tmp_path / "mine"), [0.9, 0.94], [12.5, 10.5]),
        "published_mobilenet_v2": ("imagenet", [0.8, 0.8], [30, 20]),
    }
    for name, (features, areas, errors) in features_of.items():
        for seed in range(2):
            found = {"settings": {**settings, "features": features}, "normaliser": "eye distance"}
            found |= {"pck_area": {"1": areas[seed], "20": 0.95}, "error_percent": {"1": errors[seed], "20": 9.0}}
            if (name, seed) == ("mine", 1):  # the others are as earlier versions wrote them
                seen = [*facts["data"]["size"], facts["data"]["crop"]]
                found["settings"] |= {"features": name, "shown": seen, **facts}
            (tmp_path / f"{name}_{seed}.json").write_text(json.dumps(found))
    command = [sys.executable, "-m", "benchmarks.keypoints", f"--workdir={tmp_path}", "--rounds=1,20", "--seeds=2"]
    files = ["--images=i", "--annotations=a.json", "--annotations_test=b.json", f"--workdirs={tmp_path / 'mine'}"]
    options = {"cwd": ROOT, "capture_output": True, "text": True}
    result = subprocess.run([*command, *files], **options)
    assert result.returncode == 0, result.stderr
    read, table = result.stdout.splitlines()[:4], result.stdout.splitlines()[4:]
    earlier = "; it is of an earlier version, whose records lack"
    lacks = {"mine_0": f"{earlier} step, run, shown, data", "mine_1": ""}
    lacks |= {f"published_mobilenet_v2_{seed}": f"{earlier} trunk, stride, shown" for seed in range(2)}
    assert read == [f"{name}: read from {tmp_path / name}.json{lack}" for name, lack in lacks.items()]
    assert table == [
        "",
        "area under PCK to alpha 1, by annotated pictures:",
        "",
        "| features | 1 | 20 |",
        "|---|---|---|",
        "| mine | 0.9200 ± 0.0283 | 0.9500 ± 0.0000 |",
        "| published_mobilenet_v2 | 0.8000 ± 0.0000 | 0.9500 ± 0.0000 |",
        "",
        "mean error, % of eye distance, by annotated pictures:",
        "",
        "| features | 1 | 20 |",
        "|---|---|---|",
        "| mine | 11.5 ± 1.4 | 9.0 ± 0.0 |",
        "| published_mobilenet_v2 | 25.0 ± 7.1 | 9.0 ± 0.0 |",
    ]
    for changed, message in (
        (["--steps=7"], f"error: {tmp_path}/mine_0.json was made with .'steps': 500.*, choose another --workdir"),
        (["--rounds=1,0"], "error: --rounds=1,0: must be whole numbers above 0, such as 1,5,10"),
        (["--workdirs="], "error: --workdirs= has no value; .* leave the flag out if it may be"),
        (["--workdirs=a/mine,b/mine"], "error: --workdir=a/mine does not exist; give the folder a training wrote"),
        (["--images="], "error: --images= has no value; .* leave the flag out if it may be"),
    ):
        result = subprocess.run([*command, *files, *changed], **options)
        assert result.returncode == 1 and re.fullmatch(message, result.stderr.splitlines()[-1]), result.stderr
    record = json.loads((tmp_path / "mine_1.json").read_text())
    record["settings"]["step"] = 10  # the run has gone on since
    (tmp_path / "mine_1.json").write_text(json.dumps(record))
    result = subprocess.run([*command, *files], **options)
    assert f"error: {tmp_path}/mine_1.json was made with {{'step': 10}}, choose another" in result.stderr


# --- timing ---

WORKS = """
import os, time

def sleeps(seconds, **environment):
    for name, value in environment.items():
        assert os.environ[name] == value
    return lambda: time.sleep(seconds)

def notes(path, name):
    def work():
        with open(path, "a") as file:
            file.write(f"{name} {os.getpid()}\\n")
        time.sleep(0.02)
    return work

def holds(size):
    return lambda: b"x" * size

def broken():
    raise ValueError("no such thing")

def breaks():
    return broken

def dies(calls):
    left = [calls]
    def work():
        left[0] -= 1
        if left[0] < 0:
            os._exit(1)
    return work
"""


@pytest.fixture
def works(tmp_path, monkeypatch):
    (tmp_path / "works.py").write_text(WORKS)
    monkeypatch.syspath_prepend(tmp_path)


def test_contenders_are_timed_in_processes_of_their_own(works):
    contenders = {
        "short": timing.Contender(
            "works:sleeps", {"seconds": 0.01, "OMP_NUM_THREADS": "3", "OURS": "yes"}, 3, {"OURS": "yes"}
        ),
        "long": timing.Contender("works:sleeps", {"seconds": 0.03}),
    }
    timings = timing.compare(contenders, rounds=3, seconds=0.03)
    assert list(timings) == ["short", "long"]
    assert [len(result.seconds) for result in timings.values()] == [3, 3]
    assert min(timings["short"].seconds) >= 0.01 and min(timings["long"].seconds) >= 0.03
    median, low, high = timings["short"].ratio_to(timings["long"])
    ratios = sorted(long / short for short, long in zip(*(timings[name].seconds for name in ("short", "long"))))
    assert [low, median, high] == pytest.approx(ratios)


def test_contenders_take_turns(works, tmp_path):
    path = tmp_path / "notes"
    contenders = {name: timing.Contender("works:notes", {"path": str(path), "name": name}) for name in ("one", "two")}
    timing.compare(contenders, rounds=3, seconds=0.05)
    calls = [line.split() for line in path.read_text().splitlines()]
    assert len({process for _, process in calls}) == 2
    assert [name for name, _ in itertools.groupby(name for name, _ in calls)] == ["one", "two"] * 4, (
        "ready, then 3 rounds"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak cannot be set back")
def test_peak_is_what_the_work_holds(works):
    contenders = {size: timing.Contender("works:holds", {"size": size}) for size in (60_000_000, 0)}
    timings = timing.compare(contenders, rounds=1, seconds=0.01)
    assert 59e6 < timings[60_000_000].peak_bytes < 70e6
    assert timings[0].peak_bytes < 10e6


@pytest.mark.parametrize(
    "factory, kwargs, message",
    [
        ("works:broken", {}, "bad failed:\n(.*\n)*ValueError: no such thing"),
        ("works:breaks", {}, "bad failed:\n(.*\n)*ValueError: no such thing"),
        ("works:nothing", {}, "bad failed:\n(.*\n)*AttributeError: .*nothing"),
        ("works:dies", {"calls": 0}, "bad died, perhaps for want of memory"),
        ("works:dies", {"calls": 2}, "bad died, perhaps for want of memory"),
    ],
)
def test_a_contender_that_fails_is_named_with_its_reason(works, factory, kwargs, message):
    contenders = {"good": timing.Contender("works:sleeps", {"seconds": 0}), "bad": timing.Contender(factory, kwargs)}
    with pytest.raises(RuntimeError, match=message):
        timing.compare(contenders, rounds=1, seconds=1e-9)


def test_ratios_are_taken_round_by_round():
    ours, theirs = timing.Timing([1.0, 2.0, 4.0], 0), timing.Timing([3.0, 4.0, 20.0], 0)
    assert ours.median == 2
    assert ours.ratio_to(theirs) == (3, 2, 5)


def test_table_is_markdown():
    assert timing.table(["name", "ms"], [["a", 1], ["b", "-"]]) == "| name | ms |\n| --- | --- |\n| a | 1 |\n| b | - |"


def test_report_says_what_its_results_depend_on(tmp_path):
    path = tmp_path / "new" / "report.json"
    timing.write_report(str(path), {"a": [1, 2]}, ["numpy"], {"threads": 2})
    report = json.loads(path.read_text())
    assert report["results"] == {"a": [1, 2]}
    assert report["packages"] == {"numpy": np.__version__}
    assert report["cores"] >= 1 and {"date", "python", "processor"} < set(report)


# --- the inputs, and what is done with the times ---


def test_inputs_of_the_matching_are_what_it_says():
    labels_a, labels_b, points, visible = matching.inputs(cells=20, batch=3, label_size=5, visible=0.1)
    assert labels_a.shape == labels_b.shape == (3, 20, 20, 5)
    for labels in (labels_a, labels_b):
        np.testing.assert_allclose(np.mean(labels**2), 1, rtol=1e-5)
        assert np.abs(np.diff(labels, axis=1)).mean() < 0.5 * np.abs(labels).mean(), "smooth"
    assert points.min() >= 0 and points.max() <= 40 and points.std() > 5
    np.testing.assert_array_equal(visible.sum(axis=(1, 2)), 40)
    assert all(values.dtype == np.float32 for values in (labels_a, labels_b, points, visible))
    for first, second in zip(
        matching.inputs(cells=8, batch=1, label_size=2), matching.inputs(cells=8, batch=1, label_size=2)
    ):
        np.testing.assert_array_equal(first, second)


@pytest.fixture
def fixed_times(monkeypatch):
    """Every contender can be built as it is asked for, and takes as many seconds as it has letters, times 0.1."""

    def compare(contenders, *, rounds, seconds):
        for contender in contenders.values():
            module, function = contender.factory.split(":")
            inspect.signature(getattr(importlib.import_module(module), function)).bind(**contender.kwargs)
        return {name: timing.Timing([0.1 * len(str(name))] * rounds, 3_000_000) for name in contenders}

    monkeypatch.setattr(timing, "compare", compare)


def _run(monkeypatch, module, *arguments):
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
    module.main()


def test_matching_table_leaves_out_what_would_not_fit(fixed_times, monkeypatch, capsys):
    monkeypatch.setattr(timing, "free_memory", lambda: 10**9)
    _run(monkeypatch, matching, "--cells=35,128", "--batch=2")
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "| 35 x 35 | 2 | 200 ms, 3 MB | 400 ms, 3 MB, 2.0 (2.0 - 2.0) | 600 ms, 3 MB, 3.0 (3.0 - 3.0) | "
        "250 ms, 3 MB, 1.2 (1.2 - 1.2) | 500 ms, 3 MB, 2.5 (2.5 - 2.5) | "
        "250 ms, 3 MB, 1.2 (1.2 - 1.2) | 550 ms, 3 MB, 2.8 (2.8 - 2.8) |",
        "| 128 x 128 | 1 | 400 ms, 3 MB | - | - | - | - | - | - |",
    ]


def test_growth_has_a_table_for_each_size(fixed_times, monkeypatch, tmp_path, capsys):
    path = tmp_path / "grow.json"
    _run(monkeypatch, matching, "--grow", f"--out={path}")
    assert capsys.readouterr().out.count("| ms a pair | peak MB |") == 4
    assert list(json.loads(path.read_text())["results"]) == ["cells", "batch", "label_size", "visible"]


def test_step_table_compares_with_the_faster_memory_format(fixed_times, monkeypatch, capsys):
    _run(monkeypatch, train_step, "--cases=arm")
    lines = capsys.readouterr().out.splitlines()
    ratios = "2.50 (2.50 - 2.50) | 1.25 (1.25 - 1.25)"
    assert lines[2] == f"| arm | float32 | 20.0 | 8.0 | 6.2 | 16.0 | contiguous | {ratios} |"
    assert lines[-1] == "| arm | bfloat16 | 50.0 | 175% | -75% | 2.00 (2.00 - 2.00) |"


def test_an_unknown_step_is_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        _run(monkeypatch, train_step, "--cases=simple,leg")
    assert "there is no case 'leg'; choose simple, dilations, arm" in capsys.readouterr().err


# --- the contenders do the same ---


def _assert_same_values_and_gradients(found, expected):
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    for gradient, theirs in zip(found[1], expected[1], strict=True):
        assert np.abs(theirs).max() > 1e-4
        np.testing.assert_allclose(gradient, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("loss", ["dist", "log"])
def test_ours_is_what_the_whole_matrix_and_the_peer_give(loss):
    kwargs = {"cells": 13, "batch": 2, "label_size": 4, "loss": loss, "visible": 0.3}
    ours = matching.ours(**kwargs)()
    for sqrt in {False, loss == "dist"}:
        _assert_same_values_and_gradients(matching.plain(**kwargs, sqrt=sqrt)(), ours)
    pytest.importorskip("torch")
    for tuned in (False, True):
        _assert_same_values_and_gradients(matching.torch(**kwargs, tuned=tuned)(), ours)


def _copy(ours, theirs):
    """Gives the peer's network the weights of ours."""
    import torch

    with torch.no_grad():
        for parameter, variable in zip(theirs.parameters(), ours.trainable_variables, strict=True):
            weight = torch.tensor(variable.numpy())
            parameter.copy_(weight.permute(3, 2, 0, 1) if weight.ndim == 4 else weight)


@pytest.mark.parametrize("name, norm, activation", [("simple", "none", "relu"), ("dilations", "batch", "leaky_relu")])
def test_the_peers_networks_are_ours(name, norm, activation):
    torch = pytest.importorskip("torch")
    from benchmarks import torch_peer

    ours = models.create(ModelConfig(name=name, norm=norm, activation=activation))
    theirs = torch_peer.network(name, norm=norm, activation=activation)
    _copy(ours, theirs)
    size = sum(int(tf.size(variable)) for variable in ours.trainable_variables)
    assert size == sum(parameter.numel() for parameter in theirs.parameters())
    images = np.random.default_rng(0).uniform(size=[2, 30, 26, 3]).astype(np.float32)
    expected = ours(images, training=True)
    found = theirs(torch.tensor(images).permute(0, 3, 1, 2)).detach().permute(0, 2, 3, 1)
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_peers_step_is_ours(monkeypatch):
    pytest.importorskip("torch")
    from benchmarks import torch_peer

    made = []
    for module, function in ((models, "create"), (torch_peer, "network")):
        create = getattr(module, function)
        monkeypatch.setattr(
            module, function, lambda *args, create=create, **kwargs: made.append(create(*args, **kwargs)) or made[-1]
        )
    case = {"network": "simple", "norm": "none", "size": 20, "visible": 0.5, "precision": "float32"}
    step, their_step = train_step.ours(**case), train_step.torch(**case, memory_format="channels_last")
    _copy(*made)
    first, their_first = step()["loss"], their_step()
    np.testing.assert_allclose(their_first, first, rtol=1e-5)
    # Later ones are not quite the same: Keras' Adam has another epsilon, which matters while the gradients are tiny.
    assert step()["loss"] < first and their_step() < their_first


def test_a_step_in_bfloat16_with_the_loss_that_costs_nothing(monkeypatch):
    made, create = [], train_step._model
    monkeypatch.setattr(train_step, "_model", lambda *asked: made.append(create(*asked)) or made[-1])
    case = {"network": "simple", "norm": "none", "size": 20, "visible": 1.0}
    for precision in ("bfloat16", "float32"):
        assert np.isfinite(train_step.ours(**case, precision=precision, loss=False)()["loss"])
        layers = [each for each in made[-1].network.submodules if isinstance(each, tf.keras.layers.Conv2D)]
        dtypes = [layer.compute_dtype for layer in layers if layer.filters != train_step.LABEL_SIZE]
        assert len(dtypes) == len(layers) - 1 > 2 and set(dtypes) == {precision}  # labels are in full precision


def test_two_models_are_compared_output_by_output(colour_served_dir):
    found = stacks.answers(str(colour_served_dir / "1"), 2)
    assert {"labels_float/labels", "match/points_in_b"} <= set(found)
    assert set(stacks.differences(found, found).values()) == {0.0}
    moved = {
        **found,
        "labels_float/labels": found["labels_float/labels"] + 0.25 * np.abs(found["labels_float/labels"]).max(),
    }
    assert stacks.differences(moved, found)["labels_float"] == pytest.approx(0.25)
    labels, broken = found["labels_float/labels"], np.copy(found["labels_float/labels"])
    broken.flat[-1] = np.nan
    for other in (broken, labels[:1], labels[..., :1]):  # one picture, or one number a label, would be broadcast
        others = {**found, "labels_float/labels": other}
        assert stacks.differences(others, found)["labels_float"] == np.inf
        assert stacks.differences(found, others)["labels_float"] == np.inf
    assert stacks.differences({"labels/a": broken}, {"labels/a": broken}) == {"labels": np.inf}
    del moved["labels_float/labels"]
    with pytest.raises(ValueError, match="one model has signatures that the other lacks: .'labels_float/labels'"):
        stacks.differences(moved, found)
