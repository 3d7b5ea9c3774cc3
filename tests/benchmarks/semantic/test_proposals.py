"""Tests of where proposals come from: a grid, and files in each of their formats."""

import numpy as np
import pytest
import scipy.io

from benchmarks.semantic import proposals


def test_the_grid_covers_the_picture_from_edge_to_edge_in_every_size():
    boxes = proposals.sliding_grid((40, 80), count=500)
    assert 250 < len(boxes) <= 500 and boxes.dtype == np.float32
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert widths.min() == 10 and heights.min() == 5
    assert (boxes == [0, 0, 80, 40]).all(axis=1).sum() == 1
    assert len(np.unique(boxes, axis=0)) == len(boxes)
    for width, height in {(w, h) for w, h in zip(widths, heights)}:
        same = boxes[np.isclose(widths, width) & np.isclose(heights, height)]
        np.testing.assert_allclose([*same.min(axis=0)[:2], *same.max(axis=0)[2:]], [0, 0, 80, 40], atol=1e-4)
        assert 0.5 - 1e-6 <= (width / 80) / (height / 40) <= 2 + 1e-6


def test_the_grid_is_the_same_for_every_picture_and_stretches_with_it():
    first, wide = proposals.sliding_grid((40, 40)), proposals.sliding_grid((40, 120))
    np.testing.assert_array_equal(first, proposals.sliding_grid((40, 40)))
    np.testing.assert_allclose(wide, first * [3, 1, 3, 1], rtol=1e-6)
    assert 500 < len(first) <= 1000


def test_too_few_boxes_are_refused():
    with pytest.raises(ValueError, match="count=20: boxes of 29 shapes cannot cover a picture with so few"):
        proposals.sliding_grid((40, 40), count=20)


BOXES = np.array([[0, 0, 10, 20], [4, 5, 6, 7], [1.5, 2, 3, 30]])


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if name.endswith(".mat"):
        scipy.io.savemat(path, content)
    elif name.endswith(".npy"):
        np.save(path, content)
    else:
        path.write_text(content)
    return str(path)


@pytest.mark.parametrize(
    "name, content",
    [
        ("a_RP.mat", {"op": {"coords": BOXES + [1, 1, 0, 0], "scores": np.ones(3)}}),
        ("a.mat", {"boxes": BOXES + [1, 1, 0, 0]}),
        ("a.npy", BOXES),
        ("a.csv", "0,0,10,20\n4,5,6,7\n1.5,2,3,30\n"),
    ],
)
def test_every_format_gives_the_same_continuous_pixels(tmp_path, name, content):
    """MATLAB's box of pixels 1 to 10 is from 0 to 10; the other two are continuous already."""
    path = write(tmp_path, name, content)
    np.testing.assert_array_equal(proposals.read(path), BOXES.astype(np.float32))
    np.testing.assert_array_equal(proposals.read(path, count=2), BOXES[:2].astype(np.float32))
    assert proposals.find(str(tmp_path), "car(S)", "elsewhere/a.png") == path


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.mat", {"x": 1}, "no boxes .N, 4. can be read from it .it has none of op, boxes, proposals, coords"),
        ("a.npy", np.ones([3, 5]), r"a.npy: boxes \[N, 4\] are expected; found \[3, 5\]"),
        ("a.npy", np.ones([0, 4]), r"a.npy: boxes \[N, 4\] are expected; found \[0, 4\]"),
        ("a.csv", "1,2,three,4\n", r"a.csv: no boxes \[N, 4\] can be read from it"),
        ("a.csv", "1,2,3,4\n5,6,5,9\n", r"box 1 is \[5.0, 6.0, 5.0, 9.0\]; left < right and top < bottom are expected"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message):
        proposals.read(write(tmp_path, name, content))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="a.npy: No such file or directory; a file of proposals is expected there"):
        proposals.read(str(tmp_path / "a.npy"))


def test_files_may_lie_in_a_folder_of_the_group(tmp_path):
    path = write(tmp_path, "cat/b_RP.csv", "1,2,3,4\n")
    write(tmp_path, "dog/b.csv", "1,2,3,4\n")
    assert proposals.find(str(tmp_path), "cat", "b.jpg") == path
    for picture, group, number in (("c.jpg", "cat", 0), ("b.jpg", "cat", 2)):
        if number:
            write(tmp_path, "b.npy", BOXES)
        with pytest.raises(ValueError, match=f"called {picture[0]}, .mat or .npy or .csv, .* there are {number}"):
            proposals.find(str(tmp_path), group, picture)
