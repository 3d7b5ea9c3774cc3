"""Tests of the cat reader on small folders in the published format."""

import numpy as np
import pytest

from dense_labels.config import DataConfig
from input_pipeline.readers import cats

POINTS = [175, 160, 239, 162, 199, 199, 149, 121, 137, 78, 166, 93, 281, 101, 312, 96, 296, 133]


def read(folder):
    return cats.read(DataConfig(dir=str(folder)))


def write(folder, number, *, shift=0):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number:08d}_000.jpg").touch()
    text = "9 " + "".join(f"{value + shift} " for value in POINTS)
    (folder / f"{number:08d}_000.jpg.cat").write_text(text)


def numbers(pictures):
    return [int(path.rsplit("/", 1)[1][:8]) for path in pictures.paths]


def test_landmarks_gain_half_a_pixel_and_the_box_is_a_square_about_the_head(tmp_path):
    for number in range(10):
        write(tmp_path, number, shift=number)
    test = read(tmp_path)["test"]
    np.testing.assert_array_equal(test.landmarks[0], np.reshape(POINTS, [9, 2]) + 9.5)
    np.testing.assert_allclose(test.normalisers, [np.hypot(64, 2)])
    # From (146.5, 87.5) to (321.5, 208.5): 175 wide about (234, 148), so 262.5 with a quarter more on each side.
    np.testing.assert_allclose(test.boxes, [[102.75, 16.75, 365.25, 279.25]])
    assert test.annotated.all() and test.normaliser == "eye distance"
    assert test.landmark_names[:3] == ("left_eye", "right_eye", "mouth")


def test_the_last_folder_is_the_test_set(tmp_path):
    for number in range(12):
        write(tmp_path / "[in]" / f"CAT_0{number // 3 + 3}", number)
    (tmp_path / "[in]" / "CAT_04").rename(tmp_path / "elsewhere")  # as on another disk
    (tmp_path / "[in]" / "CAT_04").symlink_to(tmp_path / "elsewhere")
    splits = read(tmp_path / "[in]")
    assert numbers(splits["train"]) == numbers(splits["annotated"]) == list(range(9))
    assert numbers(splits["test"]) == [9, 10, 11]


@pytest.mark.parametrize("folder", [".", "photographs/{}", "CAT_06"])
def test_without_that_folder_every_tenth_picture_is_in_the_test_set(tmp_path, folder):
    for number in range(21):
        write(tmp_path / folder.format(number // 11), number)
    splits = read(tmp_path)
    assert numbers(splits["test"]) == [9, 19]
    assert sorted(numbers(splits["train"]) + numbers(splits["test"])) == list(range(21))


def test_a_second_copy_of_the_folders_is_passed_over(tmp_path, capsys):
    for place in ("CAT_05", "CAT_06", "cats/CAT_05", "cats/CAT_06"):
        for number in range(10):
            write(tmp_path / place, number)
    splits = read(tmp_path)
    assert capsys.readouterr().out == "note: cats: 20 of 40 pictures are copies of others and are left out\n"
    assert [len(splits[split]) for split in ("train", "test")] == [10, 10]
    assert not any("cats" in path.removeprefix(str(tmp_path)) for path in splits["train"].paths + splits["test"].paths)


def test_other_pictures_of_the_same_name_are_kept(tmp_path):
    """Sessions whose folders and files are named alike; by their landmarks, or by their pixels alone."""
    for session, shift in (("one", 0), ("two", 3), ("three", 0)):
        for number in range(5):
            write(tmp_path / session / "head", number, shift=shift)
            (tmp_path / session / "head" / f"{number:08d}_000.jpg").write_text("three" if session == "three" else "")
    splits = read(tmp_path)
    assert len(splits["train"]) + len(splits["test"]) == 15


def test_landmarks_without_a_picture_and_pictures_without_landmarks_are_left_out(tmp_path, capsys):
    for number in range(12):
        write(tmp_path, number)
    (tmp_path / "00000003_000.jpg").unlink()
    (tmp_path / "00000004_000.jpg.cat").unlink()
    splits = read(tmp_path)
    assert sorted(numbers(splits["train"]) + numbers(splits["test"])) == [0, 1, 2, 5, 6, 7, 8, 9, 10, 11]
    assert capsys.readouterr().out == "note: cats: 1 of 11 files of landmarks have no picture and are left out\n"


@pytest.mark.parametrize(
    "text, message",
    [
        ("9 1 2 3", r"00000002_000.jpg.cat: expected the number 9 and 18 coordinates; found 9 1 2 3"),
        ("8 " + "1 " * 18, "expected the number 9"),
        ("9 " + "x " * 18, "00000002_000.jpg.cat: could not convert string to float: 'x'"),
        ("9 " + "1 " * 17 + "nan", "00000002_000.jpg.cat: coordinates must be finite; found 9 1 .* nan"),
    ],
)
def test_damaged_landmarks_are_refused(tmp_path, text, message):
    for number in range(10):
        write(tmp_path, number)
    (tmp_path / "00000002_000.jpg.cat").write_text(text)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_landmarks_that_are_no_text_are_refused(tmp_path):
    for number in range(10):
        write(tmp_path, number)
    (tmp_path / "00000002_000.jpg.cat").write_bytes(b"9 \xff\xfe")
    with pytest.raises(ValueError, match="00000002_000.jpg.cat: text in UTF-8 is expected"):
        read(tmp_path)


def test_too_few_pictures_are_refused(tmp_path):
    for number in range(9):
        write(tmp_path, number)
    with pytest.raises(ValueError, match="holds 9 pictures with landmarks, too few .* folders CAT_00 to CAT_06"):
        read(tmp_path)
