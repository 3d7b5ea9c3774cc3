"""Tests of merging annotations: the newer wins, by names, whatever the formats; both files stay, nothing is lost."""

import itertools
import json
import shutil
import sys
import types

import numpy as np
import pytest

import dense_labels
from dense_labels.config import Config
from dense_labels.prediction import annotated, merging
from dense_labels.prediction.predictions import Predictions
from dense_labels.registry import FORMATS
from input_pipeline.readers import annotation_files
from tests import evaluated
from tests.dense_labels.prediction import merged
from tests.dense_labels.prediction.merged import ALL, NAMES, NEW, NUMBERED, OLD, saved, table

FORMATS_READ = (
    "csv",
    "coco",
    "deeplabcut",
    "deeplabcut_h5",
    "tps",
    "label_studio",
    "labelme",
    "cvat",
    "yolo",
    "sleap",
    "pts",
)
NEEDS = {"deeplabcut_h5": ("pandas", "tables"), "sleap": ("sleap_io",)}


@pytest.fixture
def folder(tmp_path):
    return merged.draw_pictures(tmp_path)


def points_of(folder, path):
    """Name of a picture -> points of the landmarks, which are told apart by their names where there are any."""
    found = annotated.of_pictures(annotation_files.read(folder, path), folder)
    columns = [found.landmark_names.index(name) for name in (NAMES if found.named else ("0", "1", "2"))]
    return {name: found.points[row, columns] for row, name in enumerate(found.names)}


def content_of(path):
    return {each: each.read_bytes() for each in ([path] if path.is_file() else path.rglob("*")) if each.is_file()}


def of_three():
    """Each format as the older, the newer and the written one; those without names go together."""
    for first, second in itertools.pairwise([*FORMATS_READ, FORMATS_READ[0]]):
        alike = (first in NUMBERED) == (second in NUMBERED)
        yield (first, second, second) if alike else (first, first, first)
    yield from (("csv", "coco", "yolo"), ("tps", "pts", "tps"), ("label_studio", "csv", "labelme"))


@pytest.mark.parametrize("older, newer, kind", [*of_three()])
def test_the_newer_wins_by_names_in_every_format_and_both_are_kept(folder, tmp_path, older, newer, kind):
    for module in itertools.chain(*(NEEDS.get(name, ()) for name in (older, newer, kind))):
        pytest.importorskip(module)
    before = saved(folder, tmp_path / "old", older, OLD)
    after = saved(folder, tmp_path / "new", newer, NEW, NAMES if newer in NUMBERED else NAMES[::-1])
    was = content_of(before), content_of(after)
    out = tmp_path / "to" / f"all{FORMATS[kind].facts['file'].removeprefix(FORMATS[kind].facts['file'].split('.')[0])}"
    written, corrected, added = dense_labels.merge_annotations(before, after, out, folder, format=kind)
    assert (written, corrected, added) == (out, 1, 1)
    assert (content_of(before), content_of(after)) == was
    found = points_of(folder, out)
    assert found.keys() == ALL.keys()
    for name, points in ALL.items():
        np.testing.assert_allclose(found[name], points, atol=0.003)


def test_the_order_is_that_of_the_older_file_and_what_was_taken_away_stays_away(folder, tmp_path, capsys):
    before = table(
        tmp_path / "old.csv", "file,eye_x,eye_y,tip_x,tip_y", "a.png,1,2,3,4", "in/b.png,5,6,7,8", "c.png,9,9,,"
    )
    after = table(
        tmp_path / "new.csv", "file,tip_x,tip_y,eye_x,eye_y", "d.png,1,1,2,2", "in/b.png,30.5,39,,", "a.png,,,,"
    )
    merging.merge_annotations(before, after, tmp_path / "all.csv", folder)
    assert (tmp_path / "all.csv").read_text().splitlines() == [
        "file,eye_x,eye_y,tip_x,tip_y",
        "a.png,1.000,2.000,3.000,4.000",
        "in/b.png,,,30.500,39.000",
        "c.png,9.000,9.000,,",
        "d.png,2.000,2.000,1.000,1.000",
    ]
    said = capsys.readouterr().out
    assert "1 landmarks of" in said and "and so no longer, such as eye of in/b.png" in said
    assert "new.csv places no landmark in 1 pictures, so what" in said
    assert "all.csv: 1 pictures corrected and 1 added to those of" in said


@pytest.mark.parametrize(
    "newer, said",
    [
        (["file,eye_x,eye_y", "a.png,1,2"], r"new.csv and .*old.csv have other landmarks: only .*old.csv has tip"),
        (["file,eye_x,eye_y,TIP_x,TIP_y", "a.png,1,2,3,4"], r"only .*new.csv has TIP; only .*old.csv has tip"),
        (["file,x0,y0", "a.png,1,2"], r"only .*new.csv has 0; only .*old.csv has eye, tip"),
        (["file,eye_x,eye_y,tip_x,tip_y", "a.png,1,2,3,4", "a.png,1,2,3,5"], r"new.csv: a.png is there twice, and it"),
        (["file,eye_x,eye_y,tip_x,tip_y", "no.png,1,2,3,4"], r"new.csv, line 2: there is no picture .*no.png"),
        (["file,eye_x,eye_y,tip_x,tip_y", "a.png,100,2,300,4"], r"a.png: eye lies at \(100, 2\), outside the 64 x 40"),
    ],
)
def test_what_contradicts_is_refused_in_one_line(folder, tmp_path, newer, said):
    before = table(tmp_path / "old.csv", "file,eye_x,eye_y,tip_x,tip_y", "a.png,1,2,3,4")
    with pytest.raises(ValueError, match=said) as raised:
        merging.merge_annotations(before, table(tmp_path / "new.csv", *newer), tmp_path / "all.csv", folder)
    assert "\n" not in str(raised.value) and not (tmp_path / "all.csv").exists()


@pytest.mark.parametrize("kind", ["csv", "yolo"])
def test_predictions_that_nobody_has_corrected_are_told(folder, tmp_path, kind, capsys):
    before = saved(folder, tmp_path / "old", "csv", OLD)
    after = saved(folder, tmp_path / "new", kind, NEW, by_hand=False)
    file = after if after.is_file() else next(each for each in after.rglob("*.txt"))
    for name, corrected in (("1.csv", False), ("2.csv", True)):
        file.write_text(file.read_text() + "\n" * corrected)
        dense_labels.merge_annotations(before, after, tmp_path / name, folder)
        said = capsys.readouterr().out
        assert (f"warning: {after} is as predictions have left it: nobody" in said) != corrected
        assert f"{before} is as predictions" not in said


@pytest.mark.parametrize("kind", ["csv", "coco", "yolo", "cvat", "tps"])
def test_what_is_as_it_was_predicted_is_no_correction(folder, tmp_path, kind, capsys):
    """A person places in/b.png, predictions find it and two others elsewhere, and a person corrects c.png in those."""
    before, predicted = saved(folder, tmp_path / "old", "csv", OLD), {**NEW, "c.png": [[1, 1], [2, 2], [3, 3]]}
    after = saved(folder, tmp_path / "new", kind, predicted, by_hand=False)
    for corrected in (False, True):
        if corrected:
            moved = saved(folder, tmp_path / "moved", kind, {**predicted, "c.png": [[30, 31], [32, 33], [34, 35.5]]})
            shutil.copytree(moved, after, dirs_exist_ok=True) if after.is_dir() else shutil.copyfile(moved, after)
        out = tmp_path / f"{corrected}.csv"
        _, count, added = merging.merge_annotations(before, after, out, folder)
        found, kept = points_of(folder, out), 1 if corrected else 2
        assert (count, added) == (int(corrected), 1) and set(found) == set(ALL)
        np.testing.assert_allclose(found["in/b.png"], OLD["in/b.png"], atol=0.01)
        np.testing.assert_allclose(found["c.png"][0], [30, 31] if corrected else OLD["c.png"][0], atol=0.01)
        said, out = (
            f"has {kept} pictures as they were predicted, so what {before} has of them is kept",
            capsys.readouterr().out,
        )
        assert said in out
        assert "1 of the pictures that" in out and "as they were predicted, such as d.png: what is predicted is" in out


def corrected_elsewhere(folder, tmp_path, names=NAMES):
    """What a person had, what was predicted, and a corrected copy of that, which lies elsewhere."""
    before, predicted = saved(folder, tmp_path / "old", "csv", OLD), {**NEW, "c.png": [[1, 1], [2, 2], [3, 3]]}
    file = saved(folder, tmp_path / "new", "csv", predicted, order=names, by_hand=False)
    copy = saved(folder, tmp_path / "copy", "csv", {**predicted, "c.png": [[30, 31], [32, 33], [34, 35.5]]})
    return before, file, copy


def test_where_predictions_were_not_written_all_counts_as_corrected_unless_these_are_named(folder, tmp_path, capsys):
    before, predicted, after = corrected_elsewhere(folder, tmp_path)
    assert merging.merge_annotations(before, after, tmp_path / "all.csv", folder)[1:] == (2, 1)
    assert f"note: all that {after} has counts as corrected, for what predictions may" in capsys.readouterr().out
    assert merging.merge_annotations(before, after, tmp_path / "2.csv", folder, predicted=predicted)[1:] == (1, 1)
    assert "--predicted" not in capsys.readouterr().out
    np.testing.assert_allclose(points_of(folder, tmp_path / "2.csv")["in/b.png"], OLD["in/b.png"], atol=0.01)
    other = table(tmp_path / "other.csv", "file,nose_x,nose_y", "a.png,1,2")
    with pytest.raises(
        ValueError, match="other.csv has none of the landmarks of .*points.csv; give what it was as pred"
    ):
        merging.merge_annotations(before, after, tmp_path / "3.csv", folder, predicted=other)


def test_what_was_predicted_may_have_names_that_the_corrections_lack(folder, tmp_path):
    before, predicted, after = corrected_elsewhere(folder, tmp_path)
    points = {name: found for name, found in points_of(folder, after).items()}
    after = saved(folder, tmp_path / "tps", "tps", points)
    assert merging.merge_annotations(before, after, tmp_path / "all.csv", folder, predicted=predicted)[1:] == (1, 1)


def test_a_landmark_that_was_not_predicted_may_be_placed_in_one_picture(folder, tmp_path):
    before, predicted, after = corrected_elsewhere(folder, tmp_path, names=NAMES[:2])
    lines = after.read_text().splitlines()
    for row, line in enumerate(lines[1:], 1):
        if not line.startswith("c.png"):
            lines[row] = ",".join([*line.split(",")[:5], "", ""])
    predicted.write_text("\n".join(lines))
    assert merging.merge_annotations(before, predicted, tmp_path / "all.csv", folder)[1:] == (1, 1)
    found = points_of(folder, tmp_path / "all.csv")
    np.testing.assert_allclose(found["c.png"], [[30, 31], [32, 33], [34, 35.5]], atol=0.01)
    np.testing.assert_allclose(found["in/b.png"], OLD["in/b.png"], atol=0.01)


def test_corrections_that_a_new_prediction_has_renamed_are_told_from_what_was_predicted(folder, tmp_path):
    before, predicted, after = corrected_elsewhere(folder, tmp_path)
    shutil.copyfile(after, predicted)
    saved(folder, tmp_path / "new", "csv", {**ALL, **NEW}, by_hand=False)
    kept = tmp_path / "new" / "points_kept_1.csv"
    assert kept.read_bytes() == after.read_bytes()
    assert merging.merge_annotations(before, kept, tmp_path / "all.csv", folder)[1:] == (1, 1)


def test_corrections_are_renamed_where_those_of_an_earlier_round_were_moved_away(folder, tmp_path):
    kept, corrected = tmp_path / "new" / "labelme_kept_1", []
    for rounds in range(3):
        file = saved(folder, tmp_path / "new", "labelme", NEW, by_hand=False)
        corrected += [path.read_text() for path in kept.rglob("*.json") if path.read_text().startswith("corrected")]
        shutil.rmtree(kept, ignore_errors=True)
        next(file.rglob("*.json")).write_text(f"corrected {rounds}")
    assert corrected == ["corrected 0", "corrected 1"]


@pytest.mark.parametrize("kind", ["csv", "labelme", "pts"])
def test_predictions_of_which_nothing_was_corrected_leave_all_as_it_was(folder, tmp_path, kind):
    before = saved(folder, tmp_path / "old", "tps" if kind == "pts" else "csv", OLD)
    after = saved(folder, tmp_path / "new", kind, {"a.png": NEW["d.png"], "c.png": NEW["d.png"]}, by_hand=False)
    out = tmp_path / ("all.tps" if kind == "pts" else "all.csv")
    assert merging.merge_annotations(before, after, out, folder)[1:] == (0, 0)
    for name, points in points_of(folder, out).items():
        np.testing.assert_allclose(points, OLD[name], atol=0.01)


@pytest.mark.parametrize("older, newer", [("csv", "tps"), ("tps", "csv"), ("coco", "pts")])
def test_landmarks_without_names_are_taken_in_the_order_of_the_other_file(folder, tmp_path, older, newer, capsys):
    before, after = saved(folder, tmp_path / "old", older, OLD), saved(folder, tmp_path / "new", newer, NEW)
    dense_labels.merge_annotations(before, after, tmp_path / "all.csv", folder)
    one, other = (after, before) if older in NUMBERED else (before, after)
    said = f"{other} does not name its landmarks: they are taken in the order of {one}, {', '.join(NAMES)}"
    assert said in capsys.readouterr().out
    for name, points in points_of(folder, tmp_path / "all.csv").items():
        np.testing.assert_allclose(points, ALL[name], atol=0.003)


def test_a_picture_in_two_records_is_refused(folder, tmp_path):
    before = table(tmp_path / "old.csv", "file,eye_x,eye_y", "a.png,1,2")
    point = {"x": 9, "y": 9, "keypointlabels": ["eye"], "original_width": 64, "original_height": 40}
    (tmp_path / "new.json").write_text(json.dumps([{"image": "a.png", "label": [point]}] * 2))
    with pytest.raises(ValueError, match="new.json: task 0 and .*task 1 are both found as .*a.png; leave one of these"):
        merging.merge_annotations(before, tmp_path / "new.json", tmp_path / "all.csv", folder)


def test_a_file_that_names_placed_landmarks_alone_may_name_fewer(folder, tmp_path):
    """labelme's files have no list of landmarks, so that one that is nowhere is not there."""
    nan = float("nan")
    before = saved(folder, tmp_path / "old", "coco", OLD)
    after = saved(folder, tmp_path / "new", "labelme", {"d.png": [[1, 2], [nan, nan], [3, 4]]})
    merging.merge_annotations(before, after, tmp_path / "all.json", folder)
    np.testing.assert_allclose(
        points_of(folder, tmp_path / "all.json")["d.png"], [[1, 2], [nan, nan], [3, 4]], atol=0.002
    )
    merging.merge_annotations(after, before, tmp_path / "other", folder)
    assert points_of(folder, tmp_path / "other").keys() == ALL.keys()


@pytest.mark.parametrize("kind", ["labelme", "label_studio"])
def test_two_such_files_have_the_landmarks_of_both(folder, tmp_path, kind, capsys):
    nan = [float("nan")] * 2
    before = saved(folder, tmp_path / "old", kind, {"a.png": [[1, 2], [3, 4], nan]})
    after = saved(folder, tmp_path / "new", kind, {"d.png": [nan, [5, 6], [7, 8.5]]})
    merging.merge_annotations(before, after, tmp_path / "all.csv", folder)
    assert "has tail; only" in (said := capsys.readouterr().out) and "has left_eye; the other file may leave" in said
    np.testing.assert_allclose(points_of(folder, tmp_path / "all.csv")["d.png"], [nan, [5, 6], [7, 8.5]], atol=0.003)
    other = saved(folder, tmp_path / "other", kind, {"d.png": [nan, nan, [7, 8.5]]})
    with pytest.raises(ValueError, match=r"have other landmarks: only .* has tail; only .* has left_eye, tip$"):
        merging.merge_annotations(before, other, tmp_path / "none.csv", folder)


def test_nothing_is_written_over_or_into_what_is_merged(folder, tmp_path):
    before, after = saved(folder, tmp_path / "old", "labelme", OLD), saved(folder, tmp_path / "new", "csv", NEW)
    for out in (after, before):
        with pytest.raises(ValueError, match="is there already, and annotations are not written over"):
            merging.merge_annotations(before, after, out, folder)
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="link.csv is there already"):
        merging.merge_annotations(before, after, tmp_path / "link.csv", folder)
    assert (tmp_path / "link.csv").is_symlink()
    with pytest.raises(ValueError, match="lies in .*labelme, which is kept as it is"):
        merging.merge_annotations(before, after, before / "all.json", folder)
    with pytest.raises(ValueError, match="none: there is no such folder; give that of the pictures"):
        merging.merge_annotations(before, after, tmp_path / "all.csv", tmp_path / "none")


@pytest.mark.parametrize(
    "out, kind, said",
    [
        ("all.txt", "", r"all.txt: the ending of its name must tell the format: .*\.json \(coco\), "),
        ("all", "", r"all: the ending of its name must tell the format: .*a folder \(labelme\)"),
        ("all.csv", "coco", r"all.csv: format 'coco' is written to a file .json"),
        ("all.csv", "labelme", r"all.csv: format 'labelme' is written to a folder, whose name has no ending"),
        ("all.csv", "scores", r"format 'scores' is not read again; choose coco, csv, "),
        ("all.csv", "none", r"there is no format 'none'"),
        ("all.tps", "", r"tps does not keep the names of landmarks, such as left_eye"),
        ("all", "pts", r"pts does not keep the names of landmarks, such as left_eye"),
    ],
)
def test_a_format_that_does_not_fit_is_refused(folder, tmp_path, out, kind, said):
    before, after = (saved(folder, tmp_path / name, "csv", points) for name, points in (("old", OLD), ("new", NEW)))
    with pytest.raises(ValueError, match=said):
        merging.merge_annotations(before, after, tmp_path / out, folder, format=kind)
    assert not (tmp_path / out).exists()


def test_the_ending_tells_the_format_of_the_older_file(folder, tmp_path):
    before = saved(folder, tmp_path / "old", "label_studio", OLD)
    after = saved(folder, tmp_path / "new", "deeplabcut", NEW)
    for out, kind in (("a.json", "label_studio"), ("b.csv", "deeplabcut"), ("c.xml", "cvat")):
        merging.merge_annotations(before, after, tmp_path / out, folder)
        assert annotation_files.kind_of(tmp_path / out) == kind


BOXES = np.float32([[0, 0, 30.5, 20], [2, 3, 40, 30], [1, 1, 26, 26]])


@pytest.mark.parametrize("kind", ["coco", "yolo", "labelme", "label_studio"])
def test_boxes_about_objects_stay_theirs(folder, tmp_path, kind):
    before = saved(folder, tmp_path / "old", "coco", OLD, around=BOXES)
    after = saved(folder, tmp_path / "new", kind, NEW, around=BOXES[1:] + 1)
    out = tmp_path / ("all.json" if kind in ("coco", "label_studio") else "all")
    merging.merge_annotations(before, after, out, folder, format=kind)
    found = annotation_files.read(folder, out)
    order = [found.paths.index(str(folder / name)) for name in ALL]
    expected = [BOXES[0], BOXES[2] + 1, BOXES[2], BOXES[1] + 1]
    np.testing.assert_allclose(found.objects[order], expected, atol=2e-3)
    with pytest.raises(ValueError, match="csv does not keep the boxes about objects"):
        merging.merge_annotations(before, after, tmp_path / "all.csv", folder)


def test_a_box_that_was_corrected_is_a_correction_and_an_order_is_none(folder, tmp_path):
    """Landmarks are as they were predicted; another program may write two objects of a picture in another order."""

    def boxed(out, around, points, by_hand):
        names, sizes, score = ("c.png",) * 2, np.full([2, 2], (40, 64)), np.ones([2, 3], np.float32)
        found = Predictions(str(folder), names, sizes, NAMES, points, score, around=around)
        file = found.save(tmp_path / out, "coco")[0]
        return merged.of_a_person(file) if by_hand else file

    points, larger = np.float32([NEW["d.png"], OLD["c.png"]]), BOXES[:2] + np.float32([0, 0, 5, 0])
    before = boxed("old", BOXES[:2], points + 1, by_hand=True)
    for order, around, count in (([0, 1], BOXES[:2], 0), ([1, 0], BOXES[:2], 0), ([0, 1], larger, 1)):
        after = boxed("new", BOXES[:2], points, by_hand=False)
        changed = boxed("moved", around[order], points[order], by_hand=True)
        shutil.copyfile(changed, after)
        _, corrected, _ = merging.merge_annotations(before, after, tmp_path / "all.json", folder)
        assert corrected == count
        found = annotation_files.read(folder, tmp_path / "all.json")
        np.testing.assert_allclose(np.sort(found.objects, axis=0), np.sort(around, axis=0), atol=2e-3)
        (tmp_path / "all.json").unlink()


@pytest.mark.parametrize(
    "kind, place, count",
    [("yolo", [-2.5, 45], 0), ("yolo", [-2.5, 20], 0), ("tps", [-2.5, 45], 0), ("tps", [-2.5, 20], 0)]
    + [("tps", [66, -1], 0), ("coco", [-2.5, 45], 1)],
)
def test_what_a_format_cannot_have_outside_of_a_picture_is_no_correction(folder, tmp_path, kind, place, count):
    """What was predicted is named in a format that has it; elsewhere somebody has taken the landmark away."""
    others = {name: np.add(points, 1) for name, points in OLD.items()}
    outside = {**others, "c.png": [place, [2, 2], [3, 3]]}
    before = saved(folder, tmp_path / "old", "csv", OLD)
    predicted = saved(folder, tmp_path / "predicted", "csv", outside)
    without = {**others, "c.png": [[np.nan, np.nan], [2, 2], [3, 3]]}
    after = saved(folder, tmp_path / "new", kind, outside if kind != "coco" else without)
    out = tmp_path / "all.csv"
    assert merging.merge_annotations(before, after, out, folder, predicted=predicted)[1] == count


def test_boxes_in_one_file_alone_are_refused_but_not_those_about_the_landmarks(folder, tmp_path):
    """What the annotation page hands out has boxes about the landmarks, which a table can do without."""
    boxed = saved(folder, tmp_path / "boxed", "coco", OLD, around=BOXES)
    bare, tight = saved(folder, tmp_path / "new", "csv", NEW), saved(folder, tmp_path / "new", "coco", NEW)
    said = (
        r"boxed/points.json has boxes about its objects, and .*new/points.{4,5} has none but those about its landmarks"
    )
    for files in ((boxed, bare), (bare, boxed), (boxed, tight)):
        with pytest.raises(ValueError, match=said):
            merging.merge_annotations(*files, tmp_path / "all.json", folder)
    merging.merge_annotations(bare, tight, tmp_path / "all.json", folder)


def test_a_file_has_boxes_of_its_own_if_half_of_their_sides_lie_off_the_landmarks(folder, tmp_path):
    """A person draws boxes tight about landmarks now and then, and not to the hundredth of a pixel."""
    boxed = saved(folder, tmp_path / "boxed", "coco", OLD, around=BOXES)
    tight = np.float32([[2, 3, 6, 7.5], [20, 21.25, 24, 25]])
    some = saved(folder, tmp_path / "some", "coco", NEW, around=tight + np.float32([[0], [3]]))
    drawn = saved(folder, tmp_path / "drawn", "coco", NEW, around=tight + np.float32([-0.3, 0, 0, 0.4]))
    for number, after in enumerate((some, drawn)):
        merging.merge_annotations(boxed, after, tmp_path / f"{number}.json", folder)
    for number, off in enumerate(([-0.5] * 4, [-0.5, -0.5, 0.5, 0.5])):  # of whole numbers, which count centres
        after = saved(folder, tmp_path / f"half{number}", "coco", NEW, around=tight + np.float32(off))
        with pytest.raises(ValueError, match="has none but those about its landmarks"):
            merging.merge_annotations(boxed, after, tmp_path / "none.json", folder)


def test_boxes_about_landmarks_are_that_still_where_one_was_corrected_since(folder, tmp_path):
    """Tools leave the box of a corrected object as it was."""
    boxed, plain = saved(folder, tmp_path / "boxed", "coco", OLD, around=BOXES), saved(folder, tmp_path, "csv", OLD)
    after = saved(folder, tmp_path / "new", "coco", NEW)
    content = json.loads(after.read_text())
    content["annotations"][0]["keypoints"][0] += 1.5
    after.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="has none but those about its landmarks"):
        merging.merge_annotations(boxed, after, tmp_path / "all.json", folder)
    merging.merge_annotations(plain, after, tmp_path / "all.csv", folder)
    assert points_of(folder, tmp_path / "all.csv")["d.png"][0][0] == 3.5


def test_boxes_that_were_drawn_for_some_pictures_are_boxes_of_their_own(folder, tmp_path):
    """One of three, among boxes about the landmarks."""
    before = saved(folder, tmp_path / "old", "coco", OLD)
    content = json.loads(before.read_text())
    content["annotations"][1]["bbox"] = [1, 2, 30, 31]
    before.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="old/points.json has boxes about its objects, and .* has none but those"):
        merging.merge_annotations(before, saved(folder, tmp_path / "new", "coco", NEW), tmp_path / "all.json", folder)


def test_landmarks_without_names_keep_their_numbers_beside_those_that_are_called_so(folder, tmp_path):
    older = table(tmp_path / "old.csv", "file,x0,y0,x1,y1", "a.png,10,11,20,21")
    newer = table(tmp_path / "new.csv", "file,1_x,1_y,0_x,0_y", "c.png,22,23,12,13")
    merging.merge_annotations(older, newer, tmp_path / "all.csv", folder)
    assert (tmp_path / "all.csv").read_text().splitlines()[0] == "file,x0,y0,x1,y1"
    found = annotation_files.read(folder, tmp_path / "all.csv")
    assert found.landmarks.tolist() == [[[10, 11], [20, 21]], [[12, 13], [22, 23]]]


def test_names_that_have_no_order_are_not_given_to_landmarks_without_names(folder, tmp_path):
    tps, labelme = saved(folder, tmp_path / "old", "tps", OLD), saved(folder, tmp_path / "new", "labelme", NEW)
    with pytest.raises(ValueError, match="does not name its landmarks, and those of .* have names but no order"):
        merging.merge_annotations(tps, labelme, tmp_path / "all.csv", folder)


def test_landmarks_on_a_line_have_a_box_of_a_pixel_at_least(folder, tmp_path):
    nan = [float("nan")] * 2
    before = saved(folder, tmp_path / "old", "coco", {"a.png": [[10.5, 6], nan, nan], "c.png": [[5, 3], [5, 9], nan]})
    content = json.loads(before.read_text())
    assert [each["bbox"] for each in content["annotations"]] == [[10.5, 6, 1, 1], [5, 3, 1, 6]]
    merging.merge_annotations(before, saved(folder, tmp_path / "new", "csv", NEW), tmp_path / "all.json", folder)
    two = saved(folder, tmp_path / "two", "coco", {"a.png": [[10.5, 6], nan, nan]}, names=("d.png",))
    twice = json.loads(two.read_text())
    twice["annotations"].append({**twice["annotations"][0], "id": 2, "keypoints": [30.5, 7, 2, *[0] * 6]})
    twice["annotations"][1]["bbox"] = [30.5, 7, 1, 1]
    two.write_text(json.dumps(twice))
    merging.merge_annotations(before, two, tmp_path / "both.json", folder)
    assert len(annotation_files.read(folder, tmp_path / "both.json").paths) == 4


@pytest.mark.parametrize("right, held", [(65.5, True), (80, False)])
def test_a_box_that_ends_a_little_beyond_its_picture_is_cut_off_for_yolo(folder, tmp_path, right, held):
    boxes = BOXES.copy()
    boxes[0] = 0, 0, right, 20
    before = saved(folder, tmp_path / "old", "coco", OLD, around=boxes)
    after = saved(folder, tmp_path / "new", "coco", NEW, around=BOXES[1:] + 1)
    if not held:
        with pytest.raises(ValueError, match="yolo does not keep the boxes about objects; choose another format"):
            merging.merge_annotations(before, after, tmp_path / "all", folder, format="yolo")
        return
    merging.merge_annotations(before, after, tmp_path / "all", folder, format="yolo")
    found = annotation_files.read(folder, tmp_path / "all")
    np.testing.assert_allclose(found.objects[found.paths.index(str(folder / "a.png"))], [0, 0, 64, 20], atol=1e-4)


def with_dogs(folder, out):
    """A COCO file of two cats and a dog."""
    file = saved(folder, out, "coco", OLD)
    content = json.loads(file.read_text())
    [cat] = content["categories"]
    content["categories"] = [{**cat, "name": "cat"}, {**cat, "id": 2, "name": "dog"}]
    content["annotations"][2]["category_id"] = 2
    file.write_text(json.dumps(content))
    return file


def test_a_category_is_chosen_where_there_are_several_and_keeps_its_name(folder, tmp_path, monkeypatch, capsys):
    """What the annotation page hands out calls every object the same."""
    before, after = with_dogs(folder, tmp_path / "old"), saved(folder, tmp_path / "new", "coco", NEW)
    config = Config()
    config.data.dir = str(folder)
    monkeypatch.setattr(dense_labels, "open_run", lambda workdir: types.SimpleNamespace(config=config))
    files = {"annotations": before, "corrections": after}
    assert "(cat, dog); name one: --category" in evaluated.refusal("run", **files, merged=tmp_path / "all.json")
    evaluated.evaluate("run", **files, merged=tmp_path / "all.json", category="cat")
    found = annotation_files.read(folder, tmp_path / "all.json", category="cat")
    assert found.category == "cat" and len(found.paths) == 3
    with pytest.raises(ValueError, match="all.json has no key points of the category 'dog'; it has those of cat$"):
        merging.merge_annotations(tmp_path / "all.json", after, tmp_path / "none.json", folder, category="dog")
    config.data.category = "dog"
    evaluated.evaluate("run", **files, merged=tmp_path / "dogs.json")
    assert annotation_files.read(folder, tmp_path / "dogs.json", category="dog").category == "dog"
    assert "calls its objects" not in capsys.readouterr().out
    merging.merge_annotations(tmp_path / "all.json", tmp_path / "dogs.json", tmp_path / "all.csv", folder)
    said = capsys.readouterr().out
    assert "dogs.json dog: cat is kept" in said and "csv does not keep that the objects are called cat" in said


@pytest.mark.parametrize("kind", ["coco", "yolo", "cvat", "labelme", "label_studio"])
def test_the_name_of_objects_comes_back_where_a_format_has_it(folder, tmp_path, kind):
    around = None if kind == "cvat" else BOXES
    file = saved(folder, tmp_path, kind, OLD, category="cat", around=around)
    assert annotation_files.read(folder, file).category == "cat"


def test_several_objects_of_a_picture_are_replaced_together(folder, tmp_path, capsys):
    def two(out, names, shift):
        points = np.float32([NEW["d.png"]] * len(names)) + np.float32(shift)[:, np.newaxis, np.newaxis]
        sizes, score = np.full([len(names), 2], (40, 64)), np.ones(points.shape[:2], np.float32)
        found = Predictions(str(folder), names, sizes, NAMES, points, score)
        return merged.of_a_person(found.save(tmp_path / out, "coco")[0])

    before = two("old", ("a.png", "a.png", "c.png", "c.png"), (0.25, 10, 1, 11))
    after = two("new", ("c.png", "d.png", "d.png"), (5.5, 2, 20))
    _, corrected, added = merging.merge_annotations(before, after, tmp_path / "all.json", folder)
    found = annotation_files.read(folder, tmp_path / "all.json")
    shifts = found.landmarks[:, 0, 0] - NEW["d.png"][0][0]
    of = [path.rsplit("/", 1)[1] for path in found.paths]
    assert list(zip(of, shifts.round(2).tolist())) == [
        *(("a.png", 0.25), ("a.png", 10), ("c.png", 5.5), ("d.png", 2), ("d.png", 20))
    ]
    assert (corrected, added) == (1, 1)
    assert "has fewer objects than" in capsys.readouterr().out
    with pytest.raises(ValueError, match="all.csv: csv cannot hold these annotations: all.csv: a.png is there twice"):
        merging.merge_annotations(before, after, tmp_path / "all.csv", folder)


def test_sizes_that_are_not_those_of_the_pictures_are_refused(folder, tmp_path):
    """b.png, annotated as it lies in the file and not as viewers show it."""
    before = saved(folder, tmp_path / "old", "csv", OLD)
    after = saved(folder, tmp_path / "new", "coco", NEW, sizes=np.array([[40, 64], [64, 40]]))
    with pytest.raises(ValueError, match="b.png is 64 x 40 pixels, its annotations are of 40 x 64"):
        merging.merge_annotations(before, after, tmp_path / "all.csv", folder)


def test_half_a_pixel_between_two_files_is_said(folder, tmp_path, capsys):
    before = saved(folder, tmp_path / "old", "coco", OLD)
    after = saved(folder, tmp_path / "new", "coco", NEW)
    content = json.loads(after.read_text())
    for annotation in content["annotations"]:
        annotation["keypoints"] = [round(value) for value in annotation["keypoints"]]
        del annotation["bbox"]
    after.write_text(json.dumps(content))
    merging.merge_annotations(before, after, tmp_path / "all.json", folder)
    said = capsys.readouterr().out
    assert f"the key points of {after} are whole numbers" in said and f"those of {before} are not" in said


def test_a_picture_outside_of_the_folder_is_refused(folder, tmp_path):
    before, after = (saved(folder, tmp_path / name, "csv", points) for name, points in (("old", OLD), ("new", NEW)))
    inner = table(tmp_path / "inner.csv", "file,eye_x,eye_y", "../a.png,1,2")
    with pytest.raises(ValueError, match=r"inner.csv: the picture .*a.png lies outside of .*in; give the folder"):
        merging.merge_annotations(inner, inner, tmp_path / "all.csv", folder / "in")
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert merging.merge_annotations(before, after, tmp_path / "all.csv", link)[1:] == (1, 1)


def test_the_command_merges_for_the_pictures_of_its_run(folder, tmp_path, monkeypatch, capsys):
    before, after = (saved(folder, tmp_path / name, "csv", points) for name, points in (("old", OLD), ("new", NEW)))
    config = Config()
    config.data.dir = str(folder)
    monkeypatch.setattr(dense_labels, "open_run", lambda workdir: types.SimpleNamespace(config=config))
    files = {"annotations": before, "corrections": after, "merged": tmp_path / "all.json"}
    evaluated.evaluate("run", **files)
    assert "all.json: 1 pictures corrected and 1 added" in capsys.readouterr().out
    assert points_of(folder, tmp_path / "all.json").keys() == ALL.keys()
    for name in files:
        refused = evaluated.refusal("run", **{**files, name: None})
        assert refused.endswith(f"are merged into --merged: give --{name} too")
    config.data.dir = ""
    assert "trained on no folder of pictures; give --pictures" in evaluated.refusal("run", **files)
    for name, value in (("few_shot", ["1"]), ("annotate", 3), ("suggest", ["coco"]), ("pile", 0), ("report", True)):
        refused = evaluated.refusal("run", **files, **{name: value})
        assert refused == f"--corrections does not evaluate: leave out --{name}"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all names are text")
def test_a_picture_that_no_file_can_name_is_refused(folder, tmp_path):
    pts = saved(folder, tmp_path, "pts", OLD)
    for path in (folder / "a.png", pts / "a.pts"):
        path.rename(path.with_name(f"b\udcff{path.suffix}"))
    with pytest.raises(
        ValueError, match=r"b\\udcff\.png: its name is not UTF-8, so no annotations can name it; rename it"
    ):
        merging.merge_annotations(pts, pts, tmp_path / "all.csv", folder)
