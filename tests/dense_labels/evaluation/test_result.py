"""Tests of the result of an evaluation: as a file, as a table, and as older versions wrote it."""

import json

import pytest

from dense_labels.evaluation import measuring, tables
from dense_labels.evaluation.result import VERSION, Result
from dense_labels.registry import METRICS
from dense_labels.reporting import page_text

RESULT = Result(
    metrics={"regress_error_percent": 7.5},
    landmark_error_percent={"regress": [7.5, None]},
    few_shot_error_percent={"regress": {1: [9.0, 8.0], 20: []}},
    protocol={"error": "in %", "exported": "regress"},
    landmark_names=("eye", "nose"),
    best="regress",
    step=40,
)


def test_a_result_is_read_as_it_was_written(tmp_path):
    RESULT.save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json") == RESULT
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["version"] == VERSION and "matching_by_turn" not in written and written["step"] == 40


def test_a_result_without_a_version_is_read(tmp_path):
    old = {"metrics": {"cell_error_percent": 1.0}, "protocol": {"exported": "nearest"}, "step": 20}
    (tmp_path / "result.json").write_text(json.dumps({**old, "few_shot_error_percent": {"cell": {"5": [2.0]}}}))
    read = Result.load(tmp_path / "result.json")
    assert read.metrics == old["metrics"] and read.best == "nearest" and read.step == 20
    assert read.few_shot_error_percent == {"cell": {5: [2.0]}} and read.version == VERSION


@pytest.mark.parametrize(
    "text, said",
    [
        ('{"metrics": {}, "version": 99}', "a result of version 99; this program reads up to"),
        ('{"metrics": {}, "version": 99, "more": 1}', "a result of version 99; this program reads up to"),
        ('{"metrics": []}', "not the result of an evaluation"),
        ('{"metrics": {}, "more": 1}', "not the result of an evaluation"),
        ('{"metrics": {}, "few_shot_error_percent": [1]}', "not the result of an evaluation"),
        ('{"metrics": {}, "protocol": 3}', "not the result of an evaluation"),
        ("[]", "not the result of an evaluation"),
        ("{", "result.json: "),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, text, said):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ValueError, match=said):
        Result.load(tmp_path / "result.json")


def test_a_missing_result_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="there is no such file; evaluate the run first"):
        Result.load(tmp_path / "result.json")


def test_a_figure_that_is_no_number_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="metric regress_error_percent is nan"):
        Result(metrics={"regress_error_percent": float("nan")}).save(tmp_path / "result.json")
    assert not list(tmp_path.iterdir())


def test_nothing_measured_is_an_empty_table():
    assert Result().table() == ""


def test_counts_are_of_images_which_may_be_boxes_in_fewer_pictures():
    figures = {f"regress_{metric}": 1.0 for metric in METRICS}
    protocol = {"error": "in %", "test_images": 7, "test_landmarks": 12}
    few = {"regress": {2: [1.0]}}
    result = Result(figures, landmark_error_percent={"regress": [1.0]}, protocol=protocol, few_shot_error_percent=few)
    assert "in %, 12 in 7 images\n" in result.table()
    assert '<th scope="col">annotated images</th>' in page_text.numbers(result)


@pytest.mark.parametrize("chosen", [False, True])
def test_a_head_that_was_chosen_on_what_it_is_measured_on_is_said_beside_its_figures(chosen):
    figures = {f"regress_{metric}": 1.0 for metric in METRICS}
    protocol = {"error": "in %", **({"chosen": measuring.CHOSEN} if chosen else {})}
    result = Result(figures, landmark_error_percent={"regress": [1.0]}, protocol=protocol, best="regress")
    said = "regress is exported, chosen as the one that errs least on these very pictures, so its error here is a"
    assert (said in result.table()) == (said in page_text._landmark_figures(result)) == chosen


def test_few_shot_figures_are_means_and_deviations():
    lines = tables.few_shot({"mean_shape": {1: [1.0, 3.0], 20: [2.0, 2.0]}, "regress": {1: [5.0], 20: []}})
    assert [line.split() for line in lines.splitlines()] == [
        ["annotated", "mean_shape", "regress"],
        ["1", "2.00", "±", "1.41", "5.00"],
        ["20", "2.00", "±", "0.00", "-"],
    ]


def test_a_result_in_which_a_digit_has_changed_is_said(tmp_path, capsys):
    path = tmp_path / "result.json"
    RESULT.save(path)
    path.write_text(path.read_text().replace(": 7.5", ": 1.5"))
    assert Result.load(path).metrics == {"regress_error_percent": 1.5}
    assert f"warning: {path} is not as the evaluation wrote it" in capsys.readouterr().out
