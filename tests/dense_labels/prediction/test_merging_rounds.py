"""Tests of merging in later rounds, after pictures, folders and landmarks have changed since the prediction."""

import json
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
from tests.dense_labels.prediction.merged import NAMES, NEW, OLD, saved, table

NEEDS = {"deeplabcut_h5": ("pandas", "tables"), "sleap": ("sleap_io",)}
ENDINGS = {"label_studio": ".json", "deeplabcut": ".csv", "deeplabcut_h5": ".h5", "sleap": ".slp"}
COPIED = ("labeled-data/clip/img3.png", "labeled-data/clip/img5.png")
CLIP = {name: [[k + 1, 2], [3, 4], [5, 6.5]] for k, name in enumerate(("labeled-data/clip/img0.png", *COPIED))}


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


def of_a_new_folder(folder, tmp_path):
    """What a person had of two pictures called a.png, and predictions of one, whose names start from its folder."""
    (folder / "new").mkdir()
    Image.new("RGB", (64, 40), "red").save(folder / "new" / "a.png")
    before = saved(folder, tmp_path / "old", "csv", {**OLD, "new/a.png": [[1, 2], [3, 4], [5, 6]]})
    found = {"a.png": [[20, 21], [22, 23], [24, 25]]}
    return before, saved(folder / "new", tmp_path / "new", "csv", found, by_hand=False)


def test_a_corrected_file_elsewhere_whose_names_may_start_from_two_folders_is_refused(folder, tmp_path):
    before, after = of_a_new_folder(folder, tmp_path)
    corrected = tmp_path / "corrected.csv"
    corrected.write_text(after.read_text().replace("20", "29", 1))
    said = f"corrected.csv: names may start from {folder} or, as those of {after} do, from {folder}/new, and {folder}/a"
    with pytest.raises(ValueError, match=said):
        merging.merge_annotations(before, corrected, tmp_path / "all.csv", folder, predicted=after)
    assert not (tmp_path / "all.csv").exists()


def test_a_copy_of_predictions_is_of_the_pictures_that_these_are_of(folder, tmp_path):
    before, after = of_a_new_folder(folder, tmp_path)
    shutil.copyfile(after, tmp_path / "was.csv")
    for options in ({}, {"predicted": tmp_path / "was.csv"}):
        out = tmp_path / f"all_{len(options)}.csv"
        assert merging.merge_annotations(before, after, out, folder, **options)[1:] == (0, 0)


def test_what_is_written_in_the_place_of_predictions_is_not_of_their_pictures(folder, tmp_path):
    before, after = of_a_new_folder(folder, tmp_path)
    after.unlink()
    merging.merge_annotations(before, saved(folder, tmp_path / "more", "csv", NEW), after, folder)
    assert uncorrected.folder_of_pictures(after) == "" and uncorrected.as_it_was(after) is None


def test_predictions_whose_pictures_have_moved_are_said_to_start_from_that_folder(folder, tmp_path, capsys):
    before, after = predicted(folder, tmp_path)
    moved = folder.rename(tmp_path / "moved")
    merging.merge_annotations(before, after, tmp_path / "all.csv", moved)
    assert f"was predicted of the pictures in {folder}, which is not there any more" in capsys.readouterr().out


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
    with pytest.raises(ValueError, match=r"as it was predicted, .* cannot be read: .*d.png.*; put the picture"):
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


def test_a_picture_outside_of_the_folder_is_held_against_no_name_in_it(folder, tmp_path):
    """From pictures/in on it is called ../a.png, which from the folder of the predictions on is another."""
    file = saved(folder / "in" / "deep", tmp_path / "new", "csv", {"a.png": OLD["a.png"]}, by_hand=False)
    (folder / "in" / "deep").mkdir()
    Image.new("RGB", (64, 40), "red").save(folder / "in" / "a.png")
    uncorrected.check(file, [str(folder / "a.png")], folder / "in")


@pytest.mark.parametrize("left", ["1", "[]", '["a"]', '["a", 1]', "{}", "null"])
def test_what_nobody_knows_to_read_is_not_known(folder, tmp_path, left):
    file = saved(folder, tmp_path, "csv", OLD, by_hand=False)
    (tmp_path / uncorrected.WRITTEN).write_text(f'{{"points.csv": {left}}}')
    assert not uncorrected.is_uncorrected(file) and uncorrected.as_it_was(file) is None


def merge_all(folder, tmp_path, kind, by_hand=True):
    """Merges what is annotated, or predicted, with corrections, and returns the file that was written."""
    before = saved(folder, tmp_path / "old", "csv", OLD, by_hand=by_hand)
    after = saved(folder, tmp_path / "new", "csv", NEW)
    out = tmp_path / f"all{ENDINGS[kind]}"
    merging.merge_annotations(before, after, out, folder, format=kind)
    return out


def test_the_next_round_of_label_studio_has_all_that_was_merged(folder, tmp_path, capsys):
    """Of one task the tool then has a newer annotation, which it puts beside those that it was given."""
    file = merge_all(folder, tmp_path, "label_studio")
    tasks = json.loads(file.read_text())
    assert [task.keys() for task in tasks] == [{"data", "annotations"}] * 4
    drawn = [part for task in tasks for each in task["annotations"] for part in each["result"]]
    assert len(drawn) == 12 and not any("score" in part for part in drawn)
    tasks[0]["annotations"].append({"result": tasks[1]["annotations"][0]["result"]})
    file.write_text(json.dumps(tasks))
    capsys.readouterr()
    found = annotation_files.read(folder, file)
    assert len(found) == 4 and "predict" not in capsys.readouterr().out
    np.testing.assert_allclose(found.landmarks[0], found.landmarks[1], atol=0.01)


def test_the_next_round_of_sleap_has_all_that_was_merged(folder, tmp_path, capsys):
    """A person corrects one frame and saves the file, as SLEAP does."""
    sleap_io = pytest.importorskip("sleap_io")
    file = merge_all(folder, tmp_path, "sleap")
    labels = sleap_io.load_slp(str(file), open_videos=False)
    assert [(len(frame.user_instances), len(frame.predicted_instances)) for frame in labels] == [(1, 0)] * 4
    moved = sleap_io.Instance.from_numpy(np.full([3, 2], 9.5), skeleton=labels.skeletons[0])
    labels.labeled_frames[0].instances = [moved]
    labels.save(str(file), embed=False, verbose=False)
    capsys.readouterr()
    found = annotation_files.read(folder, file)
    assert len(found) == 4 and "predict" not in capsys.readouterr().out
    np.testing.assert_allclose(found.landmarks[0], np.full([3, 2], 10))


@pytest.mark.parametrize("kind", ["deeplabcut", "deeplabcut_h5"])
def test_a_merged_table_has_no_likelihood(folder, tmp_path, kind, capsys):
    for module in NEEDS.get(kind, ()):
        pytest.importorskip(module)
    file = merge_all(folder, tmp_path, kind)
    assert len(annotation_files.read(folder, file)) == 4 and "likelihood" not in capsys.readouterr().out
    if kind == "deeplabcut":
        lines = file.read_text().splitlines()
        assert lines[1:4] == [
            "bodyparts," + ",".join(name for name in NAMES for _ in "xy"),
            "coords,x,y,x,y,x,y",
            "a.png,0.7500,1.5000,2.5000,3.5000,4.5000,6.0000",
        ]


@pytest.mark.parametrize("kind", ["label_studio", "deeplabcut"])
def test_a_table_of_everything_stays_one_of_predictions(folder, tmp_path, kind):
    """A person's points are put into what was predicted, and nobody has looked at the rest."""
    text = merge_all(folder, tmp_path, kind, by_hand=False).read_text()
    assert ('"predictions"' in text and '"annotations"' not in text) or "coords,x,y,likelihood" in text


def of_frames(tmp_path, kind):
    """A page's frames and a person's points in them; corrected outliers beside their frames, of which the page has two.

    Returns:
      The folder of the page, the older file, and the newer one, in which a person has corrected one of the two.
    """
    page, outliers = tmp_path / "annotate", tmp_path / "points" / "outliers"
    for k, name in enumerate(CLIP):
        for folder in (page, outliers) if name in COPIED else (page,):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 40), (k, 0, 0)).save(folder / name)
    predicted = {COPIED[0]: [[20, 21], [22, 23], [24, 25]], COPIED[1]: [[30, 31], [32, 33], [34, 35]]}
    after = saved(outliers, outliers, kind, predicted, by_hand=False)
    moved = saved(outliers, tmp_path / "moved", kind, {**predicted, COPIED[1]: [[10, 11], [12, 13], [14, 15]]})
    shutil.copytree(moved, after, dirs_exist_ok=True) if after.is_dir() else shutil.copyfile(moved, after)
    if kind == "labelme":
        shutil.copytree(outliers / "labeled-data", after / "labeled-data", dirs_exist_ok=True)
    return page, saved(page, tmp_path / "old", "csv", CLIP), after


@pytest.mark.parametrize("kind", ["deeplabcut", "deeplabcut_h5", "sleap", "labelme", "csv"])
def test_frames_beside_corrections_are_those_that_were_copied_from_there(tmp_path, kind):
    for module in NEEDS.get(kind, ()):
        pytest.importorskip(module)
    page, before, after = of_frames(tmp_path, kind)
    assert merging.merge_annotations(before, after, tmp_path / "all.csv", page)[1:] == (1, 0)
    found = annotation_files.read(page, tmp_path / "all.csv")
    assert [os.path.relpath(path, page) for path in found.paths] == list(CLIP)
    first = [CLIP["labeled-data/clip/img0.png"][0], CLIP[COPIED[0]][0], [10, 11]]
    np.testing.assert_allclose(found.landmarks[:, 0], first, atol=0.01)


def test_frames_beside_corrections_that_show_something_else_are_refused(tmp_path):
    page, before, after = of_frames(tmp_path, "deeplabcut")
    Image.new("RGB", (64, 40), "blue").save(page / COPIED[1])
    with pytest.raises(
        ValueError, match=r"the picture .*outliers/labeled-data/clip/img5.png lies outside of .*annotate"
    ):
        merging.merge_annotations(before, after, tmp_path / "all.csv", page)


def test_two_pictures_that_may_be_one_of_the_folder_are_refused(folder, tmp_path):
    for name in ("one/a.png", "two/a.png"):
        (tmp_path / name).parent.mkdir()
        shutil.copyfile(folder / "a.png", tmp_path / name)
    before, header = table(tmp_path / "old.csv", "file,eye_x,eye_y", "a.png,1,2"), "file,eye_x,eye_y"
    one = table(tmp_path / "one.csv", header, "../one/a.png,3,4")
    assert merging.merge_annotations(before, one, tmp_path / "all.csv", folder)[1:] == (1, 0)
    assert (tmp_path / "all.csv").read_text().splitlines() == [header, "a.png,3.000,4.000"]
    two = table(tmp_path / "two.csv", header, "../one/a.png,3,4", "../two/a.png,5,6")
    with pytest.raises(ValueError, match="one/a.png lies outside of"):
        merging.merge_annotations(before, two, tmp_path / "2.csv", folder)
