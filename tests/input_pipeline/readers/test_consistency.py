"""Tests of annotations that contradict their pictures."""

import dataclasses
import re

import numpy as np
import pytest
from PIL import Image

from input_pipeline.readers import consistency
from input_pipeline.readers.pictures import Pictures

SIZES = np.array([[48, 64], [60, 40]])  # height, width
NAMES = ("nose", "tail")


def pictures(landmarks=(((10, 20), (30, 40)), ((5, 6), (39, 59))), annotated=((1, 1), (1, 1)), **parts):
    return Pictures(
        paths=("a.png", "b.png"),
        landmarks=np.float32(landmarks),
        annotated=np.float32(annotated),
        landmark_names=NAMES,
        **parts,
    )


def checked(found, sizes=SIZES):
    return consistency.checked(found, sizes)


def test_what_fits_stays_as_it_is(capsys):
    found = pictures(claimed=np.array([[48, 64], [0, 40]]), objects=np.float32([[0, 0, 64, 48], [0, 0, 40, 60]]))
    assert checked(found) is found and checked(Pictures(("a.png", "b.png"))).landmarks is None
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "claimed, message",
    [
        ([[48, 64], [40, 60]], r"b.png is 40 x 60 pixels, its annotations are of 60 x 40 \(1 of 2 .*EXIF orientation"),
        ([[96, 128], [120, 80]], r"a.png is 64 x 48 pixels, its annotations are of 128 x 96 \(2 of 2 .*were annotated"),
    ],
)
def test_sizes_that_are_not_those_of_the_pictures_are_refused(claimed, message):
    with pytest.raises(ValueError, match=message):
        checked(pictures(claimed=np.array(claimed)))


def test_pictures_are_counted_once_however_many_objects_they_have(tmp_path, capsys):
    found = pictures(claimed=np.array([[48, 63], [48, 63]]))
    with pytest.raises(ValueError, match=r"a.png is 64 x 48 pixels, .* \(1 of 1 pictures differ\)"):
        checked(dataclasses.replace(found, paths=("a.png", "a.png")), SIZES[[0, 0]])
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg", exif=exif)
    checked(dataclasses.replace(pictures(), paths=(str(tmp_path / "a.jpg"),) * 2), SIZES[[0, 0]])
    assert "(1 of 1 annotated pictures)" in capsys.readouterr().out


def test_landmarks_far_outside_are_not_annotated_and_that_is_said(capsys):
    landmarks = np.full([2, 4, 2], 10, np.float32)
    landmarks[1, 3] = -700.5, 2300.25
    found = Pictures(("a.png", "b.png"), landmarks=landmarks, annotated=np.ones([2, 4], np.float32))
    left = checked(found)
    np.testing.assert_array_equal(left.annotated, [[1, 1, 1, 1], [1, 1, 1, 0]])
    said = capsys.readouterr().out
    assert said.startswith("warning: 1 of 8 landmarks are taken for not annotated")
    assert "b.png: landmark 3 lies at (-700.5, 2300.25), outside the 40 x 60 pixels" in said


@pytest.mark.parametrize("number", [0, -1, 0.5, -0.5])
def test_numbers_that_stand_for_no_place_are_refused(number):
    twice = pictures([[[number, number], [30, 40]], [[5, 6], [number, number]]])
    with pytest.raises(
        ValueError, match=rf"a.png: nose lies at \({number}, {number}\), and so do 2 landmarks.*two empty cells"
    ):
        checked(twice)
    once = pictures([[[number, number], [30, 40]], [[5, 6], [number, 1]]])
    assert checked(once) is once
    not_annotated = pictures(twice.landmarks, [[0, 1], [1, 1]])
    assert checked(not_annotated) is not_annotated


def test_minus_1_of_a_format_that_counts_from_1_stands_for_no_place():
    found = pictures([[[-1.5, -1.5], [30, 40]], [[5, 6], [-1.5, -1.5]]])
    with pytest.raises(ValueError, match="programs write this where there is none"):
        checked(found)


def test_what_lies_far_outside_does_not_measure_its_picture():
    """Nor does it stretch the box about its object."""
    far = [[[-700, 20], [30, 40], [3, 4]], [[5, 6], [39, 59], [3, 4]], [[5, 6], [39, 59], [3, 4]]]
    sizes, known = np.array([[48, 64], [60, 40], [60, 40]]), np.ones([3, 3], np.float32)
    for name, left in (("eye distance", [0, 3, 3]), ("picture width", [3, 3, 3])):
        parts = {"landmarks": np.float32(far), "annotated": known, "normaliser": name}
        found = Pictures(("a.png", "b.png", "c.png"), normalisers=np.float32([3] * 3), **parts)
        assert checked(found, sizes).normalisers.tolist() == left
    for box, left in (([-800, -300, 100, 100], [0, 0, 0]), ([0, 0, 50, 50], [0, 1, 1])):
        boxed = dataclasses.replace(found, boxes=np.float32([box, [0, 0, 9, 9], [0, 0, 9, 9]]))
        np.testing.assert_array_equal(checked(boxed, sizes).annotated, [left, [1, 1, 1], [1, 1, 1]])


def test_landmarks_a_little_outside_stay(capsys):
    found = pictures([[[-10, 20], [30, 40]], [[5, 6], [39, 59]]])
    assert checked(found) is found and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "landmarks, hint",
    [([[[100, 20], [30, 99]], [[5, 6], [7, 8]]], "$"), ([[[20, 60], [9, 60]], [[5, 6], [7, 8]]], "; x")],
)
def test_annotations_of_other_pictures_are_refused(landmarks, hint):
    with pytest.raises(ValueError, match=rf"a.png: nose lies at .* 2 of 4 landmarks: .* these very pictures{hint}"):
        checked(pictures(landmarks))


def test_what_is_not_annotated_may_be_anywhere():
    found = pictures([[[900, 900], [30, 40]], [[5, 6], [39, 59]]], [[0, 1], [1, 1]])
    assert checked(found) is found


def test_shares_of_the_sides_are_refused():
    with pytest.raises(ValueError, match="a.png: all landmarks lie within the first pixel, as shares"):
        checked(pictures([[[0.2, 0.4], [0.9, 1]], [[0.5, 0.5], [0.1, 0.3]]]))


def test_boxes_in_shares_of_the_sides_are_refused():
    boxes = np.float32([[0.2, 0.4, 0.6, 0.9], [0, 0, 1, 1]])
    for found in (pictures(objects=boxes), Pictures(("a.png", "b.png"), objects=boxes)):
        with pytest.raises(ValueError, match="a.png: all boxes lie within the first pixel, as shares"):
            checked(found)


def test_percent_is_warned_of(capsys):
    found = pictures([[[20, 40], [90, 100]], [[50, 50], [10, 30]]])
    checked(found, 10 * SIZES)
    assert "if they are in percent" in capsys.readouterr().out
    checked(found, np.array([[99, 101], [120, 100]]))
    assert capsys.readouterr().out == ""


def test_boxes_by_their_corners_are_refused():
    """Left, top, right, bottom taken for left, top, width, height; one of the two still ends inside its picture."""
    corners = np.float32([[10, 5, 20, 15], [10, 30, 35, 55]])
    written = np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:]], axis=1)
    with pytest.raises(
        ValueError, match=r"box goes from \(10, 30\) to \(45, 85\); 1 of 2 .* these look like left, top, r"
    ):
        checked(pictures(objects=written))
    found = pictures(objects=corners)
    assert checked(found) is found


def test_boxes_of_other_pictures_are_refused():
    with pytest.raises(
        ValueError, match="2 of 2 boxes end beyond their pictures: boxes must be in pixels of these very"
    ):
        checked(pictures(objects=np.float32([[60, 10, 80, 20], [70, 30, 90, 50]])))
    found = pictures(objects=np.float32([[60, 10, 80, 20], [10, 30, 35, 55]]))  # one may be cut off
    assert checked(found) is found


def test_one_picture_shown_whole_has_one_answer(tmp_path):
    twice = Pictures(
        ("a.png", "b.png", "./a.png"), landmarks=np.zeros([3, 1, 2], np.float32), annotated=np.ones([3, 1], np.float32)
    )
    with pytest.raises(ValueError, match=r"a.png has 2 annotated objects, and whole pictures are shown"):
        consistency.check_one_answer({"annotated": twice})
    boxes = np.float32([[0, 0, 9, 9]] * 3)
    boxed = Pictures(twice.paths, boxes=boxes, landmarks=twice.landmarks, annotated=twice.annotated)
    consistency.check_one_answer({"annotated": boxed, "train": Pictures(("a.png", "a.png"))})


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
@pytest.mark.parametrize(
    "stored, orientation, claims, is_said",
    [
        ((48, 64), 1, False, False),
        ((48, 64), 3, False, True),
        ((48, 64), 6, False, True),
        ((48, 64), 2, True, True),  # of the same size, turned or not
        ((48, 64), 3, True, True),
        ((48, 64), 4, True, True),
        ((48, 64), 6, True, False),  # the size says that the upright picture was annotated
        ((64, 64), 6, True, True),
        ((64, 64), 1, True, False),
    ],
)
def test_pictures_that_are_turned_are_said_where_no_size_tells_it(
    tmp_path, capsys, name, stored, orientation, claims, is_said
):
    """Their tool may have shown them lying, as ImageJ does."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", stored[::-1]).save(tmp_path / name, exif=exif)
    upright = np.array([stored[::-1] if orientation == 6 else stored])
    landmarks = np.float32([[[1, 2], [30, 40]]])
    parts = {"landmarks": landmarks, "annotated": np.ones([1, 2], np.float32)}
    consistency.checked(Pictures((str(tmp_path / name),), claimed=upright if claims else None, **parts), upright)
    found = re.search(
        rf"warning: .*{name} is turned by its EXIF orientation \(1 of 1 annotated pictures\)", capsys.readouterr().out
    )
    assert bool(found) == is_said


def test_boxes_in_pictures_that_are_turned_are_said_too(tmp_path, capsys):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg", exif=exif)
    consistency.checked(Pictures((str(tmp_path / "a.jpg"),), objects=np.float32([[1, 2, 30, 40]])), SIZES[:1])
    said = capsys.readouterr().out
    assert re.search(
        r"a.jpg is turned by its EXIF orientation \(1 of 1 .*, and boxes are taken to be of the upright", said
    )
