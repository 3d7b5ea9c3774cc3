"""Tests of what the readers of landmark files share."""

import shutil

import numpy as np
import pytest

from dense_labels.config import Config, DataConfig
from input_pipeline.readers import coco, landmark_files, points_csv
from input_pipeline.readers.pictures import Pictures
from tests.input_pipeline.readers.files import draw


def find(folder, *names):
    return landmark_files.find_pictures(folder, names, [f"line {k}" for k in range(len(names))])


@pytest.mark.parametrize(
    "written, there",
    [
        ("a/b.png", "a/b.png"),
        ("a\\b.png", "a/b.png"),
        ("..\\media\\a\\b.png", "a/b.png"),
        ("C:\\Users\\me\\b.png", "b.png"),
        ("/home/me/pics/b.png", "b.png"),
        ("M\u00fcller.png", "Mu\u0308ller.png"),
        ("Mu\u0308ller.png", "M\u00fcller.png"),
        ("x\\M\u00fcller.png", "Mu\u0308ller.png"),
    ],
)
def test_pictures_are_found_by_names_of_other_systems(tmp_path, written, there):
    draw(tmp_path, there)
    assert find(tmp_path, written) == [str(tmp_path / there)]
    with pytest.raises(ValueError, match="^line 0: there is no picture .*c.png$"):
        find(tmp_path, "c.png")


def test_the_same_folders_are_left_out_of_all_names(tmp_path):
    draw(tmp_path, "a/0.png", "b/0.png", "b/1.png")
    names = ["C:\\pics\\b\\1.png", "C:\\pics\\a\\0.png", "C:\\pics\\b\\1.png", "C:\\pics\\b\\0.png"]
    assert find(tmp_path, *names) == [str(tmp_path / name) for name in ("b/1.png", "a/0.png", "b/1.png", "b/0.png")]
    assert find(tmp_path / "b", "/pics/b/0.png", "/pics/b/1.png") == [
        str(tmp_path / "b/0.png"),
        str(tmp_path / "b/1.png"),
    ]
    with pytest.raises(ValueError, match="^line 1: there is no picture .*/c/0.png$"):
        find(tmp_path, "pics/a/0.png", "pics/c/0.png")


@pytest.mark.parametrize("names", [["one/0.png", "two/1.png"], ["1.png", "one/0.png"], ["x/one/0.png", "x/two/0.png"]])
def test_folders_that_tell_pictures_apart_are_not_left_out(tmp_path, names):
    draw(tmp_path, "0.png", "1.png")
    message = "there is no picture .*one/0.png; .*/0.png is there, but not all .* without .*one/: give the folder"
    with pytest.raises(ValueError, match=message):
        find(tmp_path, *names)


def test_two_names_are_not_one_picture(tmp_path):
    draw(tmp_path, "0.png")
    paths = [str(tmp_path / "0.png")] * 3
    with pytest.raises(ValueError, match=r"one/0.png and two/0.png are both found as .*0.png; give the folder"):
        landmark_files.check_found(["one/0.png", "two/0.png"], paths)
    landmark_files.check_found(["0.png", "./0.png", "0.png"], paths)


def test_pictures_beside_the_file_go_first(tmp_path):
    draw(tmp_path, "a/0.png", "b/0.png", "b/1.png")
    found = landmark_files.find_pictures(tmp_path / "b", ["0.png", "1.png"], ["", ""], tmp_path / "a")
    assert found == [str(tmp_path / "a/0.png"), str(tmp_path / "b/1.png")]


def test_pictures_of_elsewhere_are_said(tmp_path, capsys):
    draw(tmp_path, "a/0.png", "b/0.png", "b/1.png")
    names = ["0.png", str(tmp_path / "b/1.png"), "../b/0.png"]
    found = landmark_files.find_pictures(tmp_path / "a", names, ["", "", ""])
    outside = ", ".join(found[1:])
    assert capsys.readouterr().out == f"note: 2 pictures lie outside of {tmp_path / 'a'}: {outside}\n"
    landmark_files.find_pictures(tmp_path, [names[1], "a/0.png"], ["", ""])
    landmark_files.find_pictures(tmp_path / "a", names[:2], ["", ""], tmp_path / "b")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("read", [coco.read_file, points_csv.read_table])
def test_files_of_landmarks_must_be_there(tmp_path, read):
    with pytest.raises(ValueError, match="gone: No such file or directory; give a file of landmarks"):
        read(str(tmp_path), str(tmp_path / "gone"))


def boxed(name):
    """A picture in a box."""
    return Pictures((name,), np.float32([[0, 0, 2, 2]]))


def test_training_sees_the_pictures_that_heads_are_fitted_on():
    splits = landmark_files.read_splits(DataConfig(annotations="a", annotations_test="b"), boxed)
    assert {split: pictures.paths for split, pictures in splits.items()} == {
        "train": ("a",),
        "annotated": ("a",),
        "test": ("b",),
    }
    assert splits["test"].boxes is not None
    assert set(landmark_files.read_splits(DataConfig(annotations="a"), boxed)) == {"train", "annotated"}


def test_whole_pictures_have_no_boxes():
    data = DataConfig(annotations="a", annotations_test="b", whole_pictures=True)
    assert all(pictures.boxes is None for pictures in landmark_files.read_splits(data, boxed).values())


def test_a_configuration_without_landmarks_is_refused():
    config = Config()
    config.data.name = "csv"
    with pytest.raises(ValueError, match="config.data.name='csv' needs config.data.annotations, the landmarks"):
        landmark_files.check(config)


def test_lines_that_are_not_filled_in_are_seen_but_not_annotated(tmp_path, capsys):
    draw(tmp_path, "a.png", "b.png", "c.png")
    file = tmp_path / "points.csv"
    file.write_text("file,nose_x,nose_y,nose_v\na.png,1,2,\nb.png,,,\nc.png,,,1\n")
    splits = points_csv.read(DataConfig(dir=str(tmp_path), annotations=str(file)))
    assert len(splits["train"]) == 3 and splits["annotated"].paths == tuple(
        str(tmp_path / f"{name}.png") for name in "ac"
    )
    assert "points.csv: 1 of 3 pictures have no landmarks yet, and are left out" in capsys.readouterr().out
    file.write_text("file,nose_x,nose_y\na.png,1,2\n")
    splits = points_csv.read(DataConfig(dir=str(tmp_path), annotations=str(file)))
    assert splits["annotated"] is splits["train"] and not capsys.readouterr().out


def test_a_missing_picture_does_not_carry_the_others_to_another_folder(tmp_path):
    """Of two clips, whose pictures are called alike, one lies in a folder of its own and lacks a picture."""
    draw(tmp_path, "2.png", "b/1.png")
    draw(tmp_path, "1.png", size=(30, 20))
    with pytest.raises(ValueError, match=r"^line 1: there is no picture .*b/2.png.*, and .*b/1.png is there; put it"):
        find(tmp_path, "b/1.png", "b/2.png")
    names = [str(tmp_path / "b" / name) for name in ("1.png", "2.png")]
    with pytest.raises(ValueError, match=r"^line 1: there is no picture .*b/2.png, and .*b/1.png is there; put it"):
        find(tmp_path, *names)  # with all of their folders
    shutil.copy(tmp_path / "b/1.png", tmp_path / "1.png")  # the same picture in both places
    assert find(tmp_path, "b/1.png", "b/2.png") == [str(tmp_path / name) for name in ("1.png", "2.png")]


def test_pictures_of_another_folder_near_by_are_not_taken(tmp_path, capsys):
    """Cameras call pictures alike in each session."""
    draw(tmp_path, "session1/0.png", "session1/1.png", "session2/1.png")
    draw(tmp_path, "session2/0.png", size=(30, 20))
    names = ["session1/0.png", "session1/1.png"]
    with pytest.raises(ValueError, match=r"^line 0: session1/0.png is at .*session1/0.png, and without session1/ at"):
        find(tmp_path / "session2", *names)
    assert find(tmp_path / "session1", *names) == [str(tmp_path / name) for name in names]
    assert not capsys.readouterr().out
    assert find(tmp_path / "session1", "there/0.png") == [str(tmp_path / "session1/0.png")]
    assert "note: names are found without there/: there/0.png as" in capsys.readouterr().out
    shutil.copytree(tmp_path / "session1", tmp_path / "copied")  # as onto a faster disk
    assert find(tmp_path / "copied", *names) == [str(tmp_path / "copied" / name[-5:]) for name in names]


def test_errors_in_two_files_are_divided_by_the_same(tmp_path, capsys):
    draw(tmp_path, *(f"{k}.png" for k in range(4)))
    header, both, one = "file,left_eye_x,left_eye_y,right_eye_x,right_eye_y", ",1,2,30,2", ",1,2,,"
    for name, faces in (("known", (both, both, one)), ("test", (both, one, one))):
        lines = [f"{k}.png{each}" for k, each in enumerate(faces)]
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *lines]))
    files = {"annotations": str(tmp_path / "known.csv"), "annotations_test": str(tmp_path / "test.csv")}
    splits = points_csv.read(DataConfig(dir=str(tmp_path), **files))
    assert {each.normaliser for each in splits.values()} == {"picture width"}
    assert splits["annotated"] is splits["train"] and splits["test"].normalisers.tolist() == [64] * 3
    assert "errors are divided by the picture width: the eye distance is known in one file" in capsys.readouterr().out
