"""Tests of the reader of YOLO-pose data sets."""

import re

import numpy as np
import pytest
from PIL import Image

from input_pipeline.readers import annotation_files
from input_pipeline.readers.formats import yolo
from tests.input_pipeline.readers.files import draw, paths

SETTINGS = "path: .\ntrain: images/train\nval: images/val\nkpt_shape: [3, 3]\nflip_idx: [1, 0, 2]\nnames:\n  0: fly\n"
NAMED = SETTINGS + "kpt_names:\n  0: [left, right, nose]\n"
LINE = "0 0.5 0.5 0.25 0.5 0.25 0.5 2 0.5 0.25 1 0 0 0\n"


@pytest.fixture
def read_yolo(tmp_path):
    """Writes data.yaml and labels of two pictures, and reads them."""
    draw(tmp_path, "images/train/a.png", "images/val/b.png", "images/val/unlabelled.png")
    for name in ("train/a", "val/b"):
        (tmp_path / f"labels/{name}.txt").parent.mkdir(parents=True, exist_ok=True)

    def read(settings=NAMED, first=LINE, second=LINE, **others):
        (tmp_path / "data.yaml").write_text(settings)
        (tmp_path / "labels/train/a.txt").write_text(first)
        (tmp_path / "labels/val/b.txt").write_text(second)
        assert annotation_files.kind_of(tmp_path) == annotation_files.kind_of(tmp_path / "data.yaml") == "yolo"
        return yolo.read_file("elsewhere", tmp_path, **others)

    return read


def test_numbers_are_shares_of_the_sides(read_yolo, tmp_path):
    found = read_yolo()
    assert found.paths == paths(tmp_path, "images/train/a.png", "images/val/b.png")
    np.testing.assert_array_equal(found.landmarks[0], [[16, 24], [32, 12], [0, 0]])
    np.testing.assert_array_equal(found.annotated[0], [1, 1, 0])
    np.testing.assert_array_equal(found.hidden[0], [0, 1, 0])
    np.testing.assert_array_equal(found.objects[0], [24, 12, 40, 36])
    assert found.landmark_names == ("left", "right", "nose") and found.flip_pairs == ((0, 1),)
    assert read_yolo(SETTINGS).landmark_names == ()


def test_data_sets_of_sleap_count_from_the_centre_of_a_pixel(read_yolo):
    found = read_yolo(SETTINGS + "node_names: [left, right, nose]\nskeleton: [[0, 2], [1, 2], [1, 7]]\n")
    np.testing.assert_array_equal(found.landmarks[0], [[16.5, 24.5], [32.5, 12.5], [0, 0]])
    assert found.landmark_names == ("left", "right", "nose") and found.skeleton == ((0, 2), (1, 2))
    assert read_yolo(NAMED + "skeleton: [[1, 2]]\n").skeleton == ()  # nobody knows whether it counts from 1


def test_keys_that_ultralytics_takes_for_others_are_read(read_yolo):
    without_names = SETTINGS.replace("val:", "validation:").replace("names:\n  0: fly\n", "nc: 2\n")
    found = read_yolo(without_names, second=LINE.replace("0", "1", 1), category="class_0")
    assert len(found) == 1 and found.category == "class_0"
    assert read_yolo(without_names, first="", second=LINE).category == "class_0"


def test_a_short_file_does_not_fill_the_memory(read_yolo, tmp_path):
    """Where each line says the one before ten times."""
    lines = ["a0: &a0 [1]", *(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 30))]
    (tmp_path / "data.yaml").write_text("\n".join([*lines, "kpt_shape: *a29"]))
    with pytest.raises(ValueError, match="data.yaml is not YAML: its aliases spell out too many values"):
        yolo.read_file(tmp_path, tmp_path / "data.yaml")
    pairs = ["a0: &a0 [1]", *(f"a{k}: &a{k} !!pairs [{', '.join([f'b: *a{k - 1}'] * 10)}]" for k in range(1, 30))]
    (tmp_path / "data.yaml").write_text("\n".join([*pairs, "kpt_shape: *a29"]))
    with pytest.raises(ValueError, match="data.yaml is not YAML: its aliases spell out too many values"):
        yolo.read_file(tmp_path, tmp_path / "data.yaml")
    (tmp_path / "data.yaml").write_text("a: &a [*a]\nkpt_shape: *a")  # which holds itself
    with pytest.raises(ValueError, match="data.yaml is not YAML: its aliases spell out too many values"):
        yolo.read_file(tmp_path, tmp_path / "data.yaml")


def test_of_other_yaml_files_none_is_taken(read_yolo, tmp_path):
    (tmp_path / "args.yaml").write_text("epochs: 3\n")
    read_yolo()
    (tmp_path / "data.yaml").rename(tmp_path / "flies.yaml")
    assert annotation_files.kind_of(tmp_path) == "yolo"
    assert len(yolo.read_file("elsewhere", tmp_path)) == 2


def test_two_pictures_with_one_file_of_labels_are_told(read_yolo, tmp_path, capsys):
    draw(tmp_path, "images/train/a.jpg")
    assert len(read_yolo()) == 3
    said = "images/train/a.jpg and .*images/train/a.png have one file of labels, which is read for both"
    assert re.search(said, capsys.readouterr().out)


def test_without_a_third_number_0_0_is_not_labelled(read_yolo):
    line = "0 0.5 0.5 0.25 0.5 0.25 0.5 0 0 -1 -1\n"
    found = read_yolo(NAMED.replace("[3, 3]", "[3, 2]"), line, line)
    np.testing.assert_array_equal(found.annotated, [[1, 0, 0]] * 2)
    assert found.hidden is None  # nothing can say it


def test_two_files_of_labels_of_one_picture_are_refused(read_yolo, tmp_path):
    read_yolo()
    for name in ("train/a.png", "val/b.png", "val/unlabelled.png"):
        (tmp_path / "images" / name).unlink()
    draw(tmp_path, "flat/a.png")
    (tmp_path / "labels/val/a.txt").write_text(LINE)
    message = "labels/train/a.txt and .*labels/val/a.txt are both found as .*flat/a.png; leave one of these"
    with pytest.raises(ValueError, match=message):
        yolo.read_file(tmp_path / "flat", tmp_path)


def test_lines_are_objects_of_classes(read_yolo):
    found = read_yolo(first=LINE + LINE)
    assert len(found) == 3 and found.boxes is not None
    two = SETTINGS + "  1: bee\n"
    with pytest.raises(ValueError, match=r"2 kinds of object .*; name one: --category"):
        read_yolo(two, second="1" + LINE[1:])
    assert len(read_yolo(two, second="1" + LINE[1:], category="bee")) == 1


@pytest.mark.parametrize(
    "settings, line, message",
    [
        (NAMED.replace("[3, 3]", "[3, 4]"), LINE, "data.yaml: kpt_shape must be [landmarks, 2 or 3]; found [3, 4]"),
        (NAMED.replace(", nose]", "]"), LINE, "data.yaml: kpt_names must be 3 names, no two alike"),
        (NAMED.replace("  0: fly", "  fly: 0"), LINE, "data.yaml: names must be a list of the classes"),
        (NAMED, "0 0.5 0.5 1 1\n", "a.txt, line 1: 14 numbers are expected by kpt_shape; found 5"),
        (NAMED, LINE.replace("0.25 0.5 2", "0.25 up 2"), "a.txt, line 1: a number is expected; found 'up'"),
        (NAMED, "3" + LINE[1:], "a.txt, line 1: there is no class 3 in names of data.yaml"),
        (NAMED, LINE.replace("0.25 0.5 2", "16 24 2"), "a.txt, line 1: shares of the picture's sides, from 0 to 1"),
        (
            NAMED,
            "0 .5 .5 .5 .5 .3 .3 0.98 .4 .4 0.013 .5 .5 1\n",  # as Ultralytics' save_txt writes what it predicted
            "a.txt, line 1: the third number of a landmark must be 0 (not annotated), 1 (hidden) or 2 (visible); found "
            "0.98; this looks like the confidence of a prediction, and annotations are expected",
        ),
    ],
)
def test_yolo_errors_name_the_line(read_yolo, settings, line, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_yolo(settings, line)


def test_folders_of_roboflow_are_found_beside_the_file(tmp_path):
    """It writes ../train/images where train/images is meant; Ultralytics looks there too."""
    draw(tmp_path, "set/train/images/a.png")
    (tmp_path / "set/train/labels").mkdir()
    (tmp_path / "set/train/labels/a.txt").write_text(LINE)
    settings = "train: ../train/images\nval: ../valid/images\nkpt_shape: [3, 3]\nnames: ['fly']\n"
    (tmp_path / "set/data.yaml").write_text(settings)
    found = yolo.read_file("elsewhere", tmp_path / "set")
    assert found.paths == paths(tmp_path, "set/train/images/a.png")
    draw(tmp_path, "train/images/b.png")  # what the file says comes first
    with pytest.raises(ValueError, match="no picture of train, val or test has a label file"):
        yolo.read_file("elsewhere", tmp_path / "set")


@pytest.mark.parametrize("kept", ["a.png", "images/train/a.png"])
def test_labels_of_a_list_need_no_pictures_beside_them(tmp_path, kept):
    """As CVAT exports them without images: the list has the names, and the pictures lie where the user has them."""
    draw(tmp_path, f"pictures/{kept}")
    (tmp_path / "set/labels/train").mkdir(parents=True)
    (tmp_path / "set/labels/train/a.txt").write_text(LINE)
    (tmp_path / "set/train.txt").write_text("data/images/train/a.png\n")
    (tmp_path / "set/data.yaml").write_text("path: .\ntrain: train.txt\nkpt_shape: [3, 3]\nnames: {0: fly}\n")
    found = yolo.read_file(tmp_path / "pictures", tmp_path / "set")
    assert found.paths == paths(tmp_path, f"pictures/{kept}") and len(found) == 1


def test_copies_of_pictures_are_taken_for_these_and_those_not_copied_are_read_too(read_yolo, tmp_path, capsys):
    """As after a prediction, whose label files are there before the pictures are copied to them."""
    read_yolo()
    originals = tmp_path / "originals"
    draw(tmp_path, "originals/c.png", "originals/in/d.png", "originals/unlabelled.png")
    (originals / "a.png").write_bytes((tmp_path / "images/train/a.png").read_bytes())
    draw(tmp_path, "images/train/e.png")
    Image.new("RGB", (64, 48), "red").save(originals / "e.png")  # of that name, and another picture
    for name in ("c", "in/d", "e"):
        (tmp_path / f"labels/train/{name}.txt").parent.mkdir(exist_ok=True)
        (tmp_path / f"labels/train/{name}.txt").write_text(LINE)
    found = yolo.read_file(originals, tmp_path)
    names = ("images/train/e.png", "images/val/b.png", "originals/a.png", "originals/c.png", "originals/in/d.png")
    assert found.paths == paths(tmp_path, *names)
    assert not capsys.readouterr().out


def test_a_picture_of_one_split_has_no_labels_of_another(read_yolo, tmp_path):
    read_yolo()
    draw(tmp_path, "images/train/b.png", "images/train/c.png")
    (tmp_path / "labels/val/c.txt").write_text(LINE)  # left over of a picture that is gone
    for place in ("images/train", "images", "."):
        found = yolo.read_file(tmp_path / place, tmp_path)
        assert found.paths == paths(tmp_path, "images/train/a.png", "images/val/b.png")


def test_a_picture_in_two_splits_is_read_from_both(read_yolo, tmp_path):
    read_yolo()
    (tmp_path / "images/val/a.png").write_bytes((tmp_path / "images/train/a.png").read_bytes())
    (tmp_path / "labels/val/a.txt").write_text(LINE)
    draw(tmp_path, "originals/b.png")
    (tmp_path / "originals/a.png").write_bytes((tmp_path / "images/train/a.png").read_bytes())
    found = yolo.read_file(tmp_path / "originals", tmp_path)
    assert found.paths[:2] == paths(tmp_path, "images/train/a.png", "images/val/a.png")


def test_a_data_set_without_labels_is_refused(tmp_path):
    draw(tmp_path, "images/train/a.png")
    (tmp_path / "data.yaml").write_text(NAMED)
    with pytest.raises(ValueError, match="data.yaml: no picture of train, val or test has a label file"):
        yolo.read_file(tmp_path, tmp_path)
