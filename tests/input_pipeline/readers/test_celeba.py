"""Tests of the CelebA reader on small folders in the published format."""

import numpy as np
import pytest

from dense_labels.config import DataConfig
from input_pipeline.readers import celeba

HEADER = [f"{place}_{axis}" for place in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"]
POINTS = [69, 109, 106, 113, 77, 142, 73, 152, 108, 154]
NAMES = [f"{i:06d}.jpg" for i in range(1, 9)]
PARTITION = [0, 0, 0, 0, 1, 1, 2, 2]
MAFL_TRAINING, MAFL_TESTING = [NAMES[1], NAMES[6]], [NAMES[2], NAMES[7]]
LAYOUTS = {
    "published": ("Img/", "Anno/", "Eval/", "MAFL/"),
    "flat": ("", "", "", ""),
}


def read(folder):
    return celeba.read(DataConfig(dir=str(folder)))


def points_of(index):
    return [POINTS[0] + index, *POINTS[1:]]


def write(folder, layout="flat"):
    img, anno, partition, mafl = (folder / place for place in LAYOUTS[layout])
    for place in (img / "img_align_celeba", anno, partition, mafl):
        place.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (img / "img_align_celeba" / name).touch()
    rows = [f"{name}  " + "  ".join(map(str, points_of(i))) for i, name in enumerate(NAMES)]
    lines = [str(len(NAMES)), " ".join(HEADER) + " ", *rows, ""]
    (anno / "list_landmarks_align_celeba.txt").write_text("\n".join(lines))
    (partition / "list_eval_partition.txt").write_text("".join(f"{n} {p}\n" for n, p in zip(NAMES, PARTITION)))
    (mafl / "training.txt").write_text("".join(f"{name}\n" for name in MAFL_TRAINING))
    (mafl / "testing.txt").write_text("\r\n".join(MAFL_TESTING))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_splits_are_those_of_the_protocol(tmp_path, layout):
    write(tmp_path, layout)
    splits = read(tmp_path)
    images = tmp_path / LAYOUTS[layout][0] / "img_align_celeba"
    expected = {"train": [NAMES[0], NAMES[1], NAMES[3]], "annotated": MAFL_TRAINING, "test": MAFL_TESTING}
    assert {split: pictures.paths for split, pictures in splits.items()} == {
        split: tuple(str(images / name) for name in names) for split, names in expected.items()
    }


def test_landmarks_gain_half_a_pixel_and_boxes_are_the_square_of_the_protocol(tmp_path):
    write(tmp_path)
    test = read(tmp_path)["test"]
    np.testing.assert_array_equal(test.landmarks[0, :2], [[71.5, 109.5], [106.5, 113.5]])
    np.testing.assert_array_equal(test.landmarks[1, 4], [108.5, 154.5])
    np.testing.assert_allclose(test.normalisers, [np.hypot(35, 4), np.hypot(30, 4)])
    np.testing.assert_array_equal(test.boxes, [[0, 30, 178, 208]] * 2)
    assert test.annotated.all() and test.normaliser == "eye distance"
    assert len(test.landmark_names) == 5


def test_all_that_is_missing_is_named_at_once(tmp_path):
    with pytest.raises(ValueError) as error:
        read(tmp_path)
    for name in ("img_align_celeba", "list_landmarks_align_celeba.txt", "list_eval_partition.txt", "testing.txt"):
        assert name in str(error.value)
    write(tmp_path, "published")
    (tmp_path / "MAFL/testing.txt").unlink()
    with pytest.raises(ValueError, match=r"lacks testing.txt \(neither MAFL/testing.txt nor testing.txt\); it must"):
        read(tmp_path)


@pytest.mark.parametrize(
    "file, old, new, message",
    [
        ("testing.txt", NAMES[2], NAMES[1], "000002.jpg is in .*training.txt and in .*testing.txt"),
        ("testing.txt", NAMES[2], "000099.jpg", "lacks 1 of 7 listed pictures, 000099.jpg among them"),
        ("list_landmarks_align_celeba.txt", "8\n", "9\n", "is cut short: it holds 8 rows and says 9"),
        ("list_landmarks_align_celeba.txt", "108  154\n", "108\n", "expected lines of 11 words; found 000001.jpg"),
        (
            "list_landmarks_align_celeba.txt",
            "  109",
            "  left",
            "celeba.txt: could not convert string .* 'left'; get it",
        ),
        ("list_landmarks_align_celeba.txt", "  109", "  nan", "celeba.txt holds numbers that are not finite"),
        ("list_eval_partition.txt", " 0", "", "expected lines of 2 words; found 000001.jpg"),
    ],
)
def test_damaged_lists_are_refused(tmp_path, file, old, new, message):
    write(tmp_path)
    path = tmp_path / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("file", ["testing.txt", "list_landmarks_align_celeba.txt", "list_eval_partition.txt"])
def test_lists_that_are_no_text_are_refused(tmp_path, file):
    write(tmp_path)
    (tmp_path / file).write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=f"{file}: text in UTF-8 is expected"):
        read(tmp_path)


def test_a_partition_without_training_pictures_is_refused(tmp_path):
    write(tmp_path)
    (tmp_path / "list_eval_partition.txt").write_text(f"{NAMES[2]} 0\n{NAMES[0]} 1\n")  # the first is a test picture
    with pytest.raises(ValueError, match="list_eval_partition.txt has no picture for training: none is in part 0 and"):
        read(tmp_path)


def test_eyes_at_one_place_are_said(tmp_path, capsys):
    write(tmp_path)
    path = tmp_path / "list_landmarks_align_celeba.txt"
    path.write_text(path.read_text().replace("  ".join(map(str, points_of(2))), "  ".join(["70"] * 10)))  # NAMES[2]
    assert read(tmp_path)["test"].normalisers[0] == 0
    said = "note: celeba: both eyes of 1 of 2 pictures lie at one place; no error is measured in them\n"
    assert capsys.readouterr().out == said


def test_listed_pictures_must_be_there(tmp_path):
    write(tmp_path)
    (tmp_path / "img_align_celeba" / NAMES[3]).unlink()
    with pytest.raises(ValueError, match="img_align_celeba lacks 1 of 6 listed pictures, 000004.jpg among them"):
        read(tmp_path)
