"""Tests of the reader of labelme's files."""

import json
import re

import numpy as np
import pytest

from input_pipeline.readers import annotation_files
from input_pipeline.readers.formats import labelme
from tests.input_pipeline.readers.files import draw, paths


def shape(label, *points, kind="point", group=None, **flags):
    return {"label": label, "points": list(points), "group_id": group, "shape_type": kind, "flags": flags}


@pytest.fixture
def write(tmp_path):
    """Writes labelme's file of a picture, or of one in a folder."""
    draw(tmp_path, "a.png", "in/a.png")

    def save(*shapes, place="a", **other):
        content = {
            "version": "5.5.0",
            "shapes": list(shapes),
            "imagePath": "a.png",
            "imageHeight": 48,
            "imageWidth": 64,
        }
        (tmp_path / f"{place}.json").write_text(json.dumps({**content, **other}))
        return tmp_path / f"{place}.json"

    return save


def test_a_backslash_is_part_of_a_name_where_there_is_such_a_file(write, tmp_path):
    draw(tmp_path, "a\\b.png", "in/b.png", "out/b.png")
    for image, path in (("a\\b.png", "a\\b.png"), ("in\\b.png", "in/b.png")):
        write(shape("nose", [1, 2]), place="b", imagePath=image)
        assert labelme.read_file(tmp_path, tmp_path / "b.json").paths == paths(tmp_path, path)


def test_a_folder_of_several_formats_or_of_none_is_refused(write, tmp_path):
    with pytest.raises(ValueError, match="holds none of what is read from folders: .*labelme: pictures with points in"):
        annotation_files.kind_of(tmp_path)
    write(shape("nose", [0, 0]))
    assert annotation_files.kind_of(tmp_path) == "labelme"
    (tmp_path / "a.pts").write_text("version: 1\nn_points: 1\n{\n1 2\n}\n")
    with pytest.raises(ValueError, match="holds annotations of (pts|labelme) and of (labelme|pts); give a folder, or"):
        annotation_files.kind_of(tmp_path)


def test_points_are_in_continuous_pixels(write, tmp_path):
    write(
        shape("tail", [10.5, 20]),
        shape("nose", [0, 0], hidden=True),
        shape("x", [0, 0], [1, 1], [2, 0], kind="polygon"),
    )
    write(shape("nose", [3, 4]), place="in/a")
    assert annotation_files.kind_of(tmp_path) == "labelme"
    found = annotation_files.read("elsewhere", tmp_path)
    assert found.paths == paths(tmp_path, "a.png", "in/a.png") and found.landmark_names == ("nose", "tail")
    np.testing.assert_array_equal(found.landmarks, [[[0, 0], [10.5, 20]], [[3, 4], [0, 0]]])
    np.testing.assert_array_equal(found.annotated, [[1, 1], [1, 0]])
    np.testing.assert_array_equal(found.hidden, [[1, 0], [0, 0]])
    np.testing.assert_array_equal(found.claimed, [[48, 64], [48, 64]])


def test_groups_are_objects(write, tmp_path):
    file = write(
        shape("nose", [3, 4], group=1),
        shape("fly", [40, 30], [20, 10], kind="rectangle", group=2),
        shape("fly", [1, 1], [9, 9], kind="rectangle", group=1),
        shape("nose", [23, 14], group=2),
    )
    assert annotation_files.kind_of(file) == "labelme"
    found = labelme.read_file(tmp_path, file)
    np.testing.assert_array_equal(found.landmarks[:, 0], [[3, 4], [23, 14]])
    np.testing.assert_array_equal(found.objects, [[1, 1, 9, 9], [20, 10, 40, 30]])


POINTS = shape("nose", [6, 6]), shape("tail", [12, 9])
FLY = shape("fly", [5, 5], [13, 10], kind="rectangle")
BAR = shape("scale bar", [20, 18], [25, 19], kind="rectangle")


def grouped(shapes, group):
    return [{**each, "group_id": group} for each in shapes]


@pytest.mark.parametrize(
    "shapes, kind",
    [
        ([*POINTS, FLY, BAR], "fly"),
        ([BAR, *POINTS, FLY], "fly"),
        ([*POINTS, shape("fly", [5, 5], [7, 7], kind="rectangle")], "fly"),
        ([*grouped(POINTS, 1), FLY, BAR], "fly"),
        ([*grouped([*POINTS, FLY], 1), BAR], "fly"),
        ([*grouped(POINTS, 1), BAR], ""),
        ([*grouped(POINTS, 1), *grouped([FLY], 2)], ""),
        ([*POINTS, *grouped([BAR], 2)], ""),
    ],
)
def test_a_rectangle_about_something_else_is_no_box(write, tmp_path, shapes, kind):
    found = labelme.read_file(tmp_path, write(*shapes))
    assert found.category == kind and (found.objects is None) == (kind == "")


def test_a_rectangle_may_have_four_corners(write, tmp_path):
    """As X-AnyLabeling has them."""
    four = shape("fly", [0, 0], [40, 0], [40, 30], [0, 30], kind="rectangle")
    np.testing.assert_array_equal(labelme.read_file(tmp_path, write(*POINTS, four)).objects, [[0, 0, 40, 30]])
    with pytest.raises(ValueError, match=r"a rectangle has 2 or 4 points \[x, y\]"):
        labelme.read_file(tmp_path, write(*POINTS, shape("fly", [0, 0], [4, 0], [4, 3], kind="rectangle")))


def test_what_has_no_rectangle_is_said(write, tmp_path, capsys):
    """Where only some have one, those are of another kind of object."""
    write(*POINTS)
    draw(tmp_path, "b.png")
    other = json.loads((tmp_path / "a.json").read_text())
    other |= {"imagePath": "b.png", "shapes": [*other["shapes"], FLY]}
    (tmp_path / "b.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match=r"landmarks of 2 kinds of object \(one without a name, fly\); name one"):
        labelme.read_file(tmp_path, tmp_path)
    found = labelme.read_file(tmp_path, tmp_path, category="fly")
    assert len(found) == 1
    assert "1 objects without a name are left out, for they are not of 'fly'" in capsys.readouterr().out


@pytest.mark.parametrize(
    "shapes, labels",
    [
        ([*POINTS, BAR], "scale bar"),
        ([*POINTS, BAR, BAR], "scale bar, scale bar"),
        ([*POINTS, FLY, shape("cage", [0, 0], [60, 40], kind="rectangle")], "fly, cage"),
    ],
)
def test_rectangles_that_cannot_be_told_apart_are_refused(write, tmp_path, shapes, labels):
    message = rf"a.json: exactly one of its rectangles \({labels}\) must hold the points .* \(nose, tail\); give"
    with pytest.raises(ValueError, match=message):
        labelme.read_file(tmp_path, write(*shapes))


@pytest.mark.parametrize(
    "shapes, other, message",
    [
        ([shape("a", [1, 2]), shape("a", [3, 4])], {}, "a.json: shapes[1]: there is a point a already"),
        ([shape("a", [1, 2], group=1), shape("a", [3, 4])], {}, "some points have a group_id and some none"),
        ([shape("a", [1, 2], [3, 4])], {}, "shapes[0]: a point has 1 points [x, y]"),
        ([shape("a", [1, 2, 3])], {}, "shapes[0]: a point is [x, y]"),
        ([shape("a", [1, None])], {}, "shapes[0]: a number is expected; found 'None'"),
        ([shape(None, [1, 2])], {}, "shapes[0]: a shape with a label is expected"),
        ([shape("a", [1, 2], group=[1])], {}, "shapes[0]: group_id must be a number"),
        ([shape("a", [1, 2])], {"imagePath": "b.png"}, "a.json: there is no picture"),
        ([shape("a", [1, 2])], {"imagePath": None}, "a.json: imagePath must name the picture"),
        ([], {}, "a.json has no landmark in any picture"),
    ],
)
def test_labelme_errors_name_the_shape(write, tmp_path, shapes, other, message):
    file = write(*shapes, **other)
    with pytest.raises(ValueError, match=re.escape(message)):
        labelme.read_file(tmp_path, file)


def test_two_files_of_one_picture_are_refused(write, tmp_path):
    write(shape("a", [1, 2]))
    write(shape("a", [1, 2]), place="b")
    with pytest.raises(ValueError, match="a.json and .*b.json are both found as .*a.png; leave one of these files"):
        labelme.read_file(tmp_path, tmp_path)


def test_a_file_alone_does_not_say_which_of_several_pictures_of_a_name_it_means(write, tmp_path):
    other = tmp_path / "elsewhere" / "in"
    other.mkdir(parents=True)
    write(shape("nose", [1, 2])).rename(other / "a.json")
    with pytest.raises(ValueError, match="a.json: 2 pictures in .* are called a.png, .* give the folder of all these"):
        labelme.read_file(tmp_path, other / "a.json")
    write(shape("nose", [1, 2]), imagePath="in/a.png", place="told")
    (tmp_path / "told.json").rename(other / "told.json")
    assert labelme.read_file(tmp_path, other / "told.json").paths == paths(tmp_path, "in/a.png")
    (other / "told.json").unlink()
    found = labelme.read_file(tmp_path, other.parent)  # whose folders tell
    assert found.paths == paths(tmp_path, "in/a.png")
    (tmp_path / "in" / "a.png").unlink()
    assert labelme.read_file(tmp_path, other / "a.json").paths == paths(tmp_path, "a.png")


def test_other_files_in_the_folder_are_refused(write, tmp_path):
    write(shape("a", [1, 2]))
    for name in ("0.json", "b.json"):  # before and after its own file
        (tmp_path / name).write_text("{}")
        assert labelme.holds(tmp_path.as_posix())
        with pytest.raises(ValueError, match=f"{name}: shapes are expected, as labelme writes them"):
            labelme.read_file(tmp_path, tmp_path)
        (tmp_path / name).unlink()
