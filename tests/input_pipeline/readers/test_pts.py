"""Tests of the reader of .pts files."""

import re

import numpy as np
import pytest

from input_pipeline.readers import pts
from tests.input_pipeline.readers.files import draw, paths


def write_pts(path, points):
    lines = "".join(f"{x} {y}\n" for x, y in points)
    path.write_text(f"version: 1\nn_points:  {len(points)}\n{{\n{lines}}}\n")


def test_pts_count_pixels_from_one(tmp_path):
    """The landmarks' box is 6 x 8 about (4, 7); its longer side and a quarter more on each side are 12."""
    draw(tmp_path, "b/1.PNG", "a.jpg", "alone.jpg")
    for name in ("b/1.pts", "a.pts"):
        write_pts(tmp_path / name, [(1.5, 3.5), (7.5, 11.5), (4.25, 5.0)])
    found = pts.read_folder(tmp_path)
    assert found.paths == paths(tmp_path, "a.jpg", "b/1.PNG")
    np.testing.assert_array_equal(found.landmarks, [[[1, 3], [7, 11], [3.75, 4.5]]] * 2)
    np.testing.assert_array_equal(found.annotated, np.ones([2, 3]))
    np.testing.assert_array_equal(found.boxes, [[-2, 1, 10, 13]] * 2)
    assert found.normaliser == "box size"
    np.testing.assert_allclose(found.normalisers, np.sqrt([48, 48]))


def test_pts_find_their_pictures_in_another_folder_where_none_is_beside_them(tmp_path):
    """Beside its file a picture comes first; the place in the folders counts, not the name alone."""
    draw(tmp_path / "pictures", "b/1.png", "1.png", "a.png")
    draw(tmp_path / "points", "a.jpg")
    for name in ("b/1.pts", "a.pts"):
        (tmp_path / "points" / name).parent.mkdir(exist_ok=True)
        write_pts(tmp_path / "points" / name, [(1, 2), (3, 4)])
    found = pts.read_folder(tmp_path / "points", tmp_path / "pictures")
    assert found.paths == (str(tmp_path / "points/a.jpg"), str(tmp_path / "pictures/b/1.png"))
    draw(tmp_path / "pictures", "b/1.jpg")
    with pytest.raises(ValueError, match=r"1.pts: one picture of that name .* or at its place in .*; there are 2"):
        pts.read_folder(tmp_path / "points", tmp_path / "pictures")


def test_pts_of_68_points_are_measured_by_the_outer_eye_corners(tmp_path):
    draw(tmp_path, "a.png")
    points = np.random.default_rng(0).uniform(10, 40, [68, 2])
    points[[36, 45]] = [[12, 20], [36, 27]]
    write_pts(tmp_path / "a.pts", points)
    found = pts.read_folder(tmp_path)
    assert (found.normaliser, found.normalisers.tolist()) == ("outer eye corner distance (points 36 and 45)", [25])


GOOD = "version: 1\nn_points: 2\n{\n1 2\n3 4\n}\n"


@pytest.mark.parametrize(
    "content, pictures, message",
    [
        (GOOD, [], "a.pts: one picture of that name is expected beside it; there are 0"),
        (GOOD, ["a.png", "a.jpg"], "a.pts: one picture of that name is expected beside it; there are 2"),
        ("1 2\n3 4\n", ["a.png"], "a.pts: 'version: 1', 'n_points: K' and K lines 'x y' in braces are expected"),
        (GOOD.replace(" 2", " " + 5000 * "2"), ["a.png"], "a.pts: 'version: 1', 'n_points: K' and K lines"),
        (GOOD[:-3], ["a.png"], "a.pts: 'version: 1', 'n_points: K' and K lines 'x y' in braces are expected"),
        (GOOD.replace("4", ""), ["a.png"], "a.pts: 4 numbers are expected in the braces; found 3"),
        (GOOD.replace("4", "nan"), ["a.png"], "a.pts: all numbers must be finite; found nan"),
        (GOOD.replace("4", "four"), ["a.png"], "a.pts: could not convert string to float: 'four'"),
        (
            GOOD.replace("4", "2"),
            ["a.png"],
            "a.pts: the points lie on one line, so that their box has no area; give them as CSV",
        ),
        (None, ["a.png"], "holds no .pts files, in it or in the folders in it; it has 1 other files"),
    ],
)
def test_pts_errors_name_the_file(tmp_path, content, pictures, message):
    draw(tmp_path, *pictures)
    if content is not None:
        (tmp_path / "a.pts").write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        pts.read_folder(tmp_path)


def test_pts_of_other_numbers_of_points_do_not_mix(tmp_path):
    draw(tmp_path, "a.png", "b.png")
    write_pts(tmp_path / "a.pts", [(1, 2), (3, 4)])
    write_pts(tmp_path / "b.pts", [(1, 2), (3, 4), (5, 5)])
    with pytest.raises(ValueError, match="b.pts has 3 points, but .+a.pts has 2; all must have the same number"):
        pts.read_folder(tmp_path)
