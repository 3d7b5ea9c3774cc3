"""Tests of the AFLW reader on small folders in the published format."""

import numpy as np
import pytest

from dense_labels.config import DataConfig
from input_pipeline.readers import aflw

HEADER = "image_file,crop_file,set,pose,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry"
TRAIN = [
    "image00001.jpg,cropped/39350.jpg,1,3,50.5,60,90.5,63,70,80,55,100,85,101",
    "image00002.jpg,cropped/39351.jpg,2,3,51.5,60,90.5,60,70,80,55,100,85,101",
    "image00003.jpg,cropped/39352_b.jpg,1,3,52,60,90,60,70,80,55,100,85,101",
]
TEST = (
    "AFLW/0001-image20056.jpg 56.5 101.5 79.5 43.75 93.25 43 58 69.5 86.25 103.75 1 1 2 3\n"
    " AFLW\\0002-image04733.jpg 43.5 89.5 85.5 56 97.5 53.5 42.5 77.5 101.25 90.75 2 1 2 4\n "
)


def read(folder):
    return aflw.read(DataConfig(dir=str(folder)))


def write(folder):
    for name in ("aflw_cropped/cropped", "MTFL/AFLW"):
        (folder / name).mkdir(parents=True)
    for name in ("39350.jpg", "39351.jpg", "39352_b.jpg"):
        (folder / "aflw_cropped/cropped" / name).touch()
    for name in ("0001-image20056.jpg", "0002-image04733.jpg"):
        (folder / "MTFL/AFLW" / name).touch()
    (folder / "aflw_cropped/facedata_cropped.csv").write_text("\n".join([HEADER, *TRAIN, ""]))
    (folder / "MTFL/testing.txt").write_text(TEST)


def test_splits_landmarks_and_normalisers(tmp_path, capsys):
    write(tmp_path)
    splits = read(tmp_path)
    train, test = splits["train"], splits["test"]
    crops = tmp_path / "aflw_cropped/cropped"
    assert train.paths == splits["annotated"].paths == (str(crops / "39350.jpg"), str(crops / "39352_b.jpg"))
    np.testing.assert_array_equal(
        train.landmarks[0], [[50, 59.5], [90, 62.5], [69.5, 79.5], [54.5, 99.5], [84.5, 100.5]]
    )
    np.testing.assert_allclose(train.normalisers, [np.hypot(40, 3), 38])
    faces = tmp_path / "MTFL/AFLW"
    assert test.paths == (str(faces / "0001-image20056.jpg"), str(faces / "0002-image04733.jpg"))
    np.testing.assert_array_equal(
        test.landmarks[0], [[56, 42.5], [101, 57.5], [79, 69], [43.25, 85.75], [92.75, 103.25]]
    )
    np.testing.assert_allclose(test.normalisers, [np.hypot(45, 15), np.hypot(46, 11)])
    assert test.boxes is None and test.annotated.all() and test.normaliser == "eye distance"
    printed = capsys.readouterr().out
    assert "aflw: 2 train pictures; published results are on 10,122" in printed
    assert "aflw: 2 test pictures; published results are on 2,995" in printed


def test_counts_as_published_are_not_remarked_on(tmp_path, capsys, monkeypatch):
    write(tmp_path)
    monkeypatch.setattr(aflw, "_PUBLISHED", {"train": 2, "test": 2})
    read(tmp_path)
    assert capsys.readouterr().out == ""


def test_lists_may_lie_beside_their_pictures_in_one_folder(tmp_path):
    write(tmp_path)
    for name in ("aflw_cropped/cropped", "aflw_cropped/facedata_cropped.csv", "MTFL/AFLW", "MTFL/testing.txt"):
        (tmp_path / name).rename(tmp_path / name.split("/")[1])
    assert read(tmp_path)["test"].paths[0] == str(tmp_path / "AFLW/0001-image20056.jpg")


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="lacks aflw_cropped/facedata_cropped.csv and MTFL/testing.txt; it must hold"):
        read(tmp_path)


@pytest.mark.parametrize(
    "file, old, new, message",
    [
        ("MTFL/testing.txt", "image04733", "image00003", "1 of 2 pictures .* are not there, .*0002-image00003.jpg"),
        ("MTFL/testing.txt", " 1 1 2 3", "", "expected lines of a path, ten coordinates .* AFLW/0001-image20056.jpg"),
        ("MTFL/testing.txt", "56.5", "left", "testing.txt: could not convert string to float: 'left'; get it anew"),
        ("MTFL/testing.txt", "56.5", "nan", "testing.txt holds numbers that are not finite; get it anew"),
        ("aflw_cropped/facedata_cropped.csv", "50.5", "inf", "cropped.csv holds numbers that are not finite"),
        ("aflw_cropped/facedata_cropped.csv", "crop_file", "crop", "expected rows with .*; found .* image_file, crop,"),
        ("aflw_cropped/facedata_cropped.csv", "101\n", "\n", "could not convert string to float: ''"),
        ("aflw_cropped/facedata_cropped.csv", ",85,101\n", "\n", "in columns 5 to 14, five points"),
        (
            "aflw_cropped/facedata_cropped.csv",
            "image00001",
            '"image00001',
            "facedata_cropped.csv, line 4: unexpected end",
        ),
        ("aflw_cropped/facedata_cropped.csv", "image00001", "image20056", "image20056.jpg is in .*csv and in .*txt"),
    ],
)
def test_damaged_lists_are_refused(tmp_path, file, old, new, message):
    write(tmp_path)
    path = tmp_path / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("file", ["MTFL/testing.txt", "aflw_cropped/facedata_cropped.csv"])
def test_lists_that_are_no_text_are_refused(tmp_path, file):
    write(tmp_path)
    (tmp_path / file).write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=f"{file}: text in UTF-8 is expected"):
        read(tmp_path)


@pytest.mark.parametrize("file, kept", [("MTFL/testing.txt", ""), ("aflw_cropped/facedata_cropped.csv", HEADER)])
def test_empty_lists_are_refused(tmp_path, file, kept):
    write(tmp_path)
    (tmp_path / file).write_text(kept)
    with pytest.raises(ValueError, match="lists no pictures"):
        read(tmp_path)
