"""Tests of the benchmark of choosing: planted kinds of pictures, records, and a run from its folder to the table."""

import json
import shutil
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import rows
from dense_labels.batches import LabelledLandmarks, LabelMap
from tests import flagless
from tests.commands import ROOT

choosing = flagless.benchmark("choosing")
RUN, PICTURES = ROOT / "tests" / "fixtures" / "runs" / "stills", ROOT / "tests" / "fixtures" / "pictures"
KINDS = np.array([0] * 60 + [1, 2, 3, 4] * 5)  # one is seen at random all the time, the others hardly


def fit_kinds(few):
    """A head that knows the landmark of the kinds it has seen, and is 10 pixels off in others."""
    seen = tf.constant(np.isin(np.arange(5), few.labels.values[:, 0, 0, 0]))

    def head(labels):
        kind = labels[:, 0, 0, 0]
        x = 20 * kind + tf.where(tf.gather(seen, tf.cast(kind, tf.int32)), 0.0, 10.0)
        return {"points": tf.stack([x, tf.zeros_like(x)], axis=-1)[:, tf.newaxis], "score": tf.ones_like(x)[:, None]}

    return head


@pytest.fixture
def data():
    """Pictures of five kinds, which their descriptions tell apart; their landmark is at 20 pixels times the kind."""
    count, random = len(KINDS), np.random.default_rng(0)
    landmarks = np.stack([20.0 * KINDS, np.zeros(count)], axis=-1)[:, np.newaxis].astype(np.float32)
    labels = LabelMap(np.float32(KINDS)[:, np.newaxis, np.newaxis, np.newaxis], 4)
    ones = np.ones([count, 2], np.float32)
    known = LabelledLandmarks(labels, landmarks, ones[:, :1], ones, 100 * ones[:, 0], np.arange(count))
    described = [100 * np.eye(5)[KINDS] + random.normal(size=[count, 5]) for _ in range(2)]
    views_of = lambda indices, seed: known.take(indices)  # noqa: E731
    return choosing.Data(known, described, None, {"regress": fit_kinds}, views_of, 8, {"run": "mine"}, "eye distance")


def asked(monkeypatch, **flags):
    """Sets flags, of which no others are read."""
    known = {"_BUDGETS": ["5"], "_DRAWS": 2, "_HEADS": []}
    for name, value in {**known, **{name: flag for name, flag in flags.items() if name in known}}.items():
        monkeypatch.setattr(choosing, name, types.SimpleNamespace(value=value))
    for name in ("_WORKDIR", "_IMAGES", "_ANNOTATIONS", "_ANNOTATIONS_TEST", "_RESULTS"):
        monkeypatch.setattr(rows, name, types.SimpleNamespace(value=flags.get(name)))
    monkeypatch.setattr(sys, "argv", ["/elsewhere/benchmarks/choosing.py", f"--results={flags.get('_RESULTS')}"])


def test_choosing_one_of_each_kind_pays(data, monkeypatch, capsys):
    monkeypatch.setattr(choosing, "_data", lambda: data)
    asked(monkeypatch, _BUDGETS=["5", "10"], _DRAWS=4)
    choosing.main()
    said = capsys.readouterr().out.splitlines()
    table = said[said.index("| annotated | which | mean_shape | regress |") :]
    assert said[-len(table) - 2] == "mean error, % of eye distance, by annotated pictures:"
    assert [line.split(" | ")[:2] for line in table[2:]] == [
        [f"| {budget}", which] for budget in (5, 10) for which in ("chosen", "random", "difference")
    ]
    assert table[2].endswith(" 0.00 ± 0.00 |")
    random, difference = (float(line.split("|")[4].split("±")[0]) for line in table[3:5])
    assert random > 1 and difference == -random


def test_both_are_drawn_from_one_half_and_measured_on_the_other(data, monkeypatch):
    fitted, measured = [], []
    views_of = lambda indices, seed: fitted.append((seed, set(indices))) or data.known.take(indices)  # noqa: E731
    few_errors = lambda fits, few, rest, shape, batch_size: measured.append(set(rest.picture)) or {}  # noqa: E731
    monkeypatch.setattr("dense_labels.evaluation.few_annotations.few_errors", few_errors)
    data.known.annotated[:10] = 0
    for draw in range(2):
        found = choosing._measure(data._replace(views_of=views_of), 6, draw)
        assert found["fitted_on"] == 6
    for (_, few), rest in zip(fitted, measured):
        assert len(few) == 6 and len(rest) == 35 and not few & rest and min(few | rest) >= 10
    assert [seed for seed, _ in fitted] == [0, 0, 1, 1] and measured[0] == measured[1] != measured[2]
    choosing._measure(data._replace(test=data.known.take([1, 2])), 6, 0)
    assert measured[-1] == {1, 2}


def test_a_detector_is_fitted_to_the_same_pictures_and_measured_on_the_same(data, monkeypatch):
    fitted = []
    fit = lambda images: fitted.append(images.picture.tolist()) or fit_kinds(images)  # noqa: E731
    seen = choosing.Seen(data.known, None, fit)
    found = choosing._measure(data._replace(seen=seen), 6, 0)["error_percent"]
    assert found["chosen"]["detector"] == found["chosen"]["regress"] == 0
    assert found["random"]["detector"] == found["random"]["regress"] > 1
    assert [len(pictures) for pictures in fitted] == [6, 6] and fitted[0] != fitted[1]
    measured = choosing._measure(data._replace(seen=seen._replace(test=data.known.take([0])), fits={}), 6, 0)
    assert measured["error_percent"]["random"]["detector"] == 0


def test_a_recorded_row_is_only_read(data, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(choosing, "_data", lambda: data)
    asked(monkeypatch, _RESULTS=str(tmp_path / "records"))
    choosing.main()
    record = json.loads((tmp_path / "records" / "choosing_5_1.json").read_text())
    assert record["asked"] == {"run": "mine", "budget": 5, "draw": 1, "pictures": [80, 0]}
    assert record["command"] == "python -m benchmarks.choosing --results=RESULTS" and record["fitted_on"] == 5
    first = capsys.readouterr().out
    monkeypatch.setattr(choosing, "_measure", None)
    choosing.main()
    said = [line for line in capsys.readouterr().out.splitlines(True) if ": read from " not in line]
    assert "".join(said) == first
    monkeypatch.setattr(choosing, "_data", lambda: data._replace(facts={"run": "other"}))
    with pytest.raises(SystemExit, match=r"choosing_5_0.json was made in another way .* give another --results"):
        choosing.main()


@pytest.mark.parametrize("folder", ["choosing_faces", "choosing_faces_detector", "choosing_wings"])
def test_the_projects_records_are_read_and_said_to_be_of_an_earlier_version(data, monkeypatch, capsys, folder):
    monkeypatch.setattr(choosing, "_measure", None)
    asked(monkeypatch, _RESULTS=str(ROOT / "benchmarks" / "results" / folder))
    paths = sorted((ROOT / "benchmarks" / "results" / folder).glob("*.json"))
    assert paths
    for path in paths:
        made = json.loads(path.read_text())["asked"]
        budget, draw, (known, test) = (made.pop(key) for key in ("budget", "draw", "pictures"))
        facts = {**made, "settings": {}, "copies": 8, "data": {}, **({"recipe": 7} if "weights" in made else {})}
        many = types.SimpleNamespace(facts=facts, pool=range(known), test=range(test) if test else None)
        assert choosing._row(many, budget, draw)["error_percent"]
        assert "earlier version, whose records lack settings, copies, " in capsys.readouterr().out


@pytest.mark.parametrize("heads", [["nearest"], ["nearest", "detector"]])
def test_runs_and_heads_of_other_settings_are_told_apart(monkeypatch, tmp_path, heads):
    """A record says all that may be missing in older ones, so that it is refused where one of them differs."""
    run = types.SimpleNamespace(workdir=RUN, step=20)
    monkeypatch.setattr(choosing, "_WEIGHTS", types.SimpleNamespace(value="a/b.h5"))
    facts = choosing._facts(run, {"images": "a/b"}, heads, True)
    of_detectors = {"recipe"} if "detector" in heads else set()
    assert set(choosing._LATER) - {"recipe"} | of_detectors <= facts.keys() and facts["images"] == "b"
    assert facts["settings"]["model"]["label_size"] == 3 and facts["copies"] == 8
    monkeypatch.setattr(rows, "_RESULTS", types.SimpleNamespace(value=str(tmp_path)))
    rows.recorded("row", facts, dict, choosing._LATER)
    for key in {"settings", "copies", "data"} | of_detectors:
        with pytest.raises(SystemExit, match="row.json was made in another way"):
            rows.recorded("row", {**facts, key: "other"}, None, choosing._LATER)


@pytest.mark.parametrize(
    "budget, said",
    [
        ("x", "--budgets=x: must be whole numbers above 0, such as 1,5,10"),
        ("0", "--budgets=0: must be"),
        ("41", "--budgets=41: a draw chooses from 40 pictures, half of those annotated"),
    ],
)
def test_budgets_that_cannot_be_are_one_line(data, monkeypatch, budget, said):
    monkeypatch.setattr(choosing, "_data", lambda: data)
    asked(monkeypatch, _BUDGETS=[budget])
    with pytest.raises((SystemExit, ValueError), match=said):
        choosing.main()


def test_a_run_is_read_with_its_pictures(monkeypatch, tmp_path, capsys):
    run = shutil.copytree(RUN, tmp_path / "mine")
    config = json.loads((run / "config.json").read_text())
    config["data"]["cache_dir"] = str(tmp_path / "cache")
    (run / "config.json").write_text(json.dumps(config))
    files = {"_ANNOTATIONS": "points.json", "_ANNOTATIONS_TEST": "points_test.json"}
    paths = {name: str(PICTURES / file) for name, file in files.items()}
    options = {"_BUDGETS": ["2"], "_DRAWS": 1, "_HEADS": ["nearest"]}
    results = str(tmp_path / "records")
    asked(monkeypatch, _WORKDIR=str(run), _IMAGES=str(PICTURES), _RESULTS=results, **paths, **options)
    choosing.main()
    record = json.loads((tmp_path / "records" / "choosing_2_0.json").read_text())
    assert record["asked"]["run"] == "mine" and record["asked"]["heads"] == ["nearest"]
    assert record["asked"]["annotations"] == "points.json" and record["asked"]["step"] == 20
    errors = record["error_percent"]["chosen"]
    assert set(errors) == {"mean_shape", "cell", "subpixel"} and all(0 < error < 300 for error in errors.values())
    assert f"| 2 | chosen | {errors['mean_shape']:.2f} |" in capsys.readouterr().out
