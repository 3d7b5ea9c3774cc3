"""Tests of merging in later rounds, after pictures, folders and landmarks have changed since the prediction."""

import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import dense_labels
from dense_labels.prediction import merging
from input_pipeline.readers import annotation_files
from input_pipeline.storage import uncorrected
from tests.dense_labels.prediction import merged
from tests.dense_labels.prediction.merged import NEW, OLD, saved, table


@pytest.fixture
def folder(tmp_path):
    return merged.draw_pictures(tmp_path)


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("kind", ["csv", "coco", "tps"])
def test_names_of_predictions_start_from_their_own_folder(folder, tmp_path, kind):
    """A picture in a new folder has the name of an annotated one, which keeps its landmarks."""
    (folder / "new").mkdir()
    Image.new("RGB", (64, 40), "red").save(folder / "new" / "a.png")
    before = saved(folder, tmp_path / "old", kind, OLD)
    after = saved(folder / "new", tmp_path / "new", kind, {"a.png": [[20, 21], [22, 23], [24, 25]]}, by_hand=False)
    assert merging.merge_annotations(before, after, tmp_path / "all.csv", folder)[1:] == (0, 1)
    found = annotation_files.read(folder, tmp_path / "all.csv")
    first = {os.path.relpath(path, folder): points[0] for path, points in zip(found.paths, found.landmarks)}
    np.testing.assert_allclose([first["a.png"], first["new/a.png"]], [[1.25, 2], [20, 21]], atol=0.01)


def test_predictions_of_other_pictures_of_the_same_names_are_refused(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (64, 40), "red").save(other / "d.png")
    file = saved(other, tmp_path / "new", "csv", {"d.png": [[2, 3], [4, 5], [6, 7]]}, by_hand=False)
    said = f"points.csv is of the pictures in {other}, and {folder}/d.png is another picture than {other}/d.png; give"
    with pytest.raises(ValueError, match=said):
        merging.merge_annotations(saved(folder, tmp_path / "old", "csv", OLD), file, tmp_path / "all.csv", folder)
    shutil.copyfile(folder / "d.png", other / "d.png")
    merging.merge_annotations(saved(folder, tmp_path / "old", "csv", OLD), file, tmp_path / "all.csv", folder)


def predicted(folder, tmp_path):
    """What a person had, and a file of predictions of two of its pictures."""
    before = saved(folder, tmp_path / "old", "csv", OLD)
    return before, saved(folder, tmp_path / "new", "csv", {**NEW, "c.png": [[1, 1], [2, 2], [3, 3]]}, by_hand=False)


def test_a_landmark_that_was_taken_out_of_predictions_makes_no_corrections(folder, tmp_path):
    _, after = predicted(folder, tmp_path)
    before = table(tmp_path / "old.csv", "file,left_eye_x,left_eye_y,tail_x,tail_y", "c.png,4,5,8,9", "in/b.png,7,8,,")
    table(after, *(",".join([*line.split(",")[:3], *line.split(",")[5:]]) for line in after.read_text().splitlines()))
    assert merging.merge_annotations(before, after, tmp_path / "all.csv", folder)[1:] == (0, 1)


def test_corrections_for_a_new_name_alone_are_said(folder, tmp_path, capsys):
    before, after = predicted(folder, tmp_path)
    for file in (before, after):
        replace(file, "tip_", "nose_")
    assert merging.merge_annotations(before, after, tmp_path / "all.csv", folder)[1:] == (2, 1)
    said = f"3 pictures of {after} count as corrected for nose alone, which predictions did not have"
    assert said in capsys.readouterr().out


def test_a_picture_that_is_gone_makes_no_corrections_of_the_others(folder, tmp_path):
    before, after = predicted(folder, tmp_path)
    (folder / "d.png").rename(tmp_path / "d.png")
    table(after, *(line for line in after.read_text().splitlines() if "d.png" not in line))
    with pytest.raises(ValueError, match=r"as predicted, cannot be read: .*d.png.*; put back what it needs, or give"):
        merging.merge_annotations(before, after, tmp_path / "all.csv", folder)
    copy = uncorrected.as_it_was(after)
    table(tmp_path / "was.csv", *(line for line in copy.read_text().splitlines() if "d.png" not in line))
    options = {"predicted": tmp_path / "was.csv"}
    assert merging.merge_annotations(before, after, tmp_path / "all.csv", folder, **options)[1:] == (0, 0)


def test_a_file_inside_of_a_folder_of_predictions_is_known(folder, tmp_path, capsys):
    before = saved(folder, tmp_path / "old", "csv", OLD)
    after = saved(folder, tmp_path / "new", "yolo", {"c.png": [[1, 1], [2, 2], [3, 3]]}, by_hand=False)
    for name in ("data.yaml", ""):
        assert dense_labels.merge_annotations(before, after / name, tmp_path / f"{name}.csv", folder)[1:] == (0, 0)
        assert f"{after / name} is as predictions have left it" in capsys.readouterr().out


def test_what_earlier_versions_left_is_known(folder, tmp_path):
    file = saved(folder, tmp_path, "csv", OLD, by_hand=False)
    digest, start = uncorrected.read_digests(tmp_path / uncorrected.WRITTEN)["points.csv"]
    assert start == str(folder) == uncorrected.folder_of_pictures(file)
    (tmp_path / uncorrected.WRITTEN).write_text(f'{{"points.csv": "{digest}"}}')
    assert uncorrected.is_uncorrected(file) and uncorrected.folder_of_pictures(file) == ""
    assert uncorrected.as_it_was(file) == pathlib.Path(tmp_path, ".written", "points.csv")
