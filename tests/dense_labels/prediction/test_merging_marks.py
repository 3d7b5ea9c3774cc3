"""Tests of merging annotations: marks of hidden landmarks stay, or it is said how many go."""

import dataclasses

import numpy as np
import pytest

from dense_labels.prediction import merging
from dense_labels.prediction.predictions import Predictions
from input_pipeline.readers import annotation_files
from tests.dense_labels.prediction import merged
from tests.dense_labels.prediction.merged import NAMES, NEW, OLD, saved, table


@pytest.fixture
def folder(tmp_path):
    return merged.draw_pictures(tmp_path)


def test_marks_and_pairs_are_kept_or_their_loss_is_said(folder, tmp_path, capsys):
    marks = {"hidden": np.array([[True, False, False], [False, False, True]]), "flip_pairs": ((0, 1),)}
    before = saved(folder, tmp_path / "old", "csv", OLD, hidden=np.array([[True, False, False]] * 3))
    after = saved(folder, tmp_path / "new", "yolo", NEW, **marks)
    merging.merge_annotations(before, after, tmp_path / "all.json", folder)
    found = annotation_files.read(folder, tmp_path / "all.json")
    assert found.hidden.tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 0]]
    assert "coco does not keep which landmarks change places in a mirror" in capsys.readouterr().out
    merging.merge_annotations(before, after, tmp_path / "all", folder)
    assert annotation_files.read(folder, tmp_path / "all").flip_pairs == ((0, 1),)
    merging.merge_annotations(before, after, tmp_path / "all.csv", folder, format="deeplabcut")
    assert "deeplabcut does not keep 4 marks of landmarks that something hides" in capsys.readouterr().out


DEEPLABCUT = ("scorer,S,S,S,S,S,S", "bodyparts,eye,eye,tip,tip,tail,tail", "coords,x,y,x,y,x,y")


def test_what_cannot_say_that_landmarks_are_hidden_takes_no_mark_away(folder, tmp_path, capsys):
    """A mark stays where the place is moved or there was none; it goes with a place that is taken away."""
    header = "file,eye_x,eye_y,eye_v,tip_x,tip_y,tip_v,tail_x,tail_y,tail_v"
    before = table(
        tmp_path / "old.csv", header, "a.png,1,2,1,3,4,1,5,6,2", "in/b.png,1,2,2,,,1,5,6,1", "c.png,1,2,1,,,,,,"
    )
    after = table(tmp_path / "new.csv", *DEEPLABCUT, "a.png,1,1,2,2,,", "in/b.png,1,1,,,,", "c.png,,,,,,")
    merging.merge_annotations(before, after, tmp_path / "all.csv", folder, format="csv")
    assert (tmp_path / "all.csv").read_text().splitlines() == [
        header,
        "a.png,1.500,1.500,1,2.500,2.500,1,,,",
        "in/b.png,1.500,1.500,2,,,1,,,",
        "c.png,1.000,2.000,1,,,,,,",
    ]
    said = capsys.readouterr().out
    assert "new.csv cannot say that something hides a landmark: 3 marks of" in said
    assert "2 landmarks of" in said and "marks of hidden landmarks" not in said


@pytest.mark.parametrize("newer, kept", [("csv", 0), ("coco", 0), ("yolo", 1), ("labelme", 1), ("cvat", 1)])
def test_marks_without_a_place_stay_where_the_newer_file_has_none_such(folder, tmp_path, capsys, newer, kept):
    points = {"a.png": [[1.25, 2], [3, 4], [np.nan] * 2]}
    before = saved(folder, tmp_path / "old", "csv", points, hidden=np.array([[False, False, True]]))
    after = saved(folder, tmp_path / "new", newer, points, hidden=np.array([[True, False, False]]))
    merging.merge_annotations(before, after, tmp_path / "all.csv", folder, format="csv")
    assert annotation_files.read(folder, tmp_path / "all.csv").hidden.tolist() == [[1, 0, kept]]
    said = capsys.readouterr().out
    assert ("cannot say that something hides a landmark without a place: 1 marks of" in said) == bool(kept)
    assert ("1 marks of hidden landmarks of" in said) == (not kept)


@pytest.mark.parametrize("newer", ["csv", "coco", "yolo", "labelme", "cvat"])
def test_marks_that_the_newer_file_takes_away_are_counted(folder, tmp_path, capsys, newer):
    marks = np.array([[False, False, False], [True, True, False], [False, False, False]])
    before = saved(folder, tmp_path / "old", "csv", OLD, hidden=marks)
    others = np.array([[False, False, True], [False, True, False]])
    after = saved(folder, tmp_path / "new", newer, NEW, hidden=others)
    merging.merge_annotations(before, after, tmp_path / "all.json", folder, format="coco")
    found = annotation_files.read(folder, tmp_path / "all.json")
    assert found.hidden.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
    said = capsys.readouterr().out
    assert "1 marks of hidden landmarks of" in said and "and so no longer, such as left_eye of in/b.png" in said


def test_marks_of_several_objects_that_cannot_be_told_apart_are_counted(folder, tmp_path, capsys):
    names, sizes, score = ("a.png", "a.png"), np.full([2, 2], (40, 64)), np.ones([2, 3], np.float32)
    points = np.float32([OLD["a.png"], OLD["c.png"]])
    both = Predictions(str(folder), names, sizes, NAMES, points, score, hidden=np.array([[True, False, False]] * 2))
    before = both.save(tmp_path / "old", "coco")[0]
    after = merged.of_a_person(dataclasses.replace(both, hidden=None).save(tmp_path / "new", "label_studio")[0])
    merging.merge_annotations(before, after, tmp_path / "all.json", folder, format="coco")
    assert "2 marks of hidden landmarks of" in capsys.readouterr().out


def test_marks_of_a_picture_where_nothing_has_a_place_are_kept_in_tables(folder, tmp_path, capsys):
    header = "file,eye_x,eye_y,eye_v,tip_x,tip_y,tip_v"
    before = table(tmp_path / "old.csv", header, "a.png,1,2,2,3,4,1", "c.png,,,1,,,0")
    after = table(tmp_path / "new.csv", header, "c.png,,,1,,,1", "a.png,,,1,,,0")
    merging.merge_annotations(before, after, tmp_path / "all.csv", folder)
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert lines == [header, "a.png,1.000,2.000,2,3.000,4.000,1", "c.png,,,1,,,1"]
    said = capsys.readouterr().out
    assert "does not keep" not in said and "new.csv places no landmark in 1 pictures, so what" in said
    merging.merge_annotations(before, after, tmp_path / "all.json", folder)
    assert "coco does not keep 2 marks of landmarks that something hides" in capsys.readouterr().out
