"""Tests of the reader of tpsDig's files."""

import re

import numpy as np
import pytest

from input_pipeline.readers import annotation_files
from input_pipeline.readers.formats import tps
from tests.input_pipeline.readers.files import draw, paths

ONE = "LM=3\n10 8\n30.5 40.25\n1 47\nIMAGE=a.png\nID=0\nSCALE=0.01\n"
TWO = "LM=3\n12 9\n-1 -1\n3 20\nIMAGE=b.png\nID=1\n"


@pytest.fixture
def read_tps(tmp_path):
    """Writes a TPS file, and reads it beside two pictures of 64 x 48 and 30 x 90."""
    draw(tmp_path, "a.png")
    draw(tmp_path, "b.png", size=(30, 90))
    file = tmp_path / "points.tps"

    def read(text, **settings):
        file.write_text(text)
        assert annotation_files.kind_of(file) == "tps"
        return tps.read_file(tmp_path, file, **settings)

    return read


def test_y_counts_from_the_bottom_of_each_picture(read_tps, tmp_path):
    found = read_tps(ONE + TWO)
    assert found.paths == paths(tmp_path, "a.png", "b.png") and found.landmark_names == ()
    np.testing.assert_array_equal(found.landmarks[0], [[10, 40], [30.5, 7.75], [1, 1]])
    np.testing.assert_array_equal(found.landmarks[1], [[12, 81], [0, 0], [3, 70]])
    np.testing.assert_array_equal(found.annotated, [[1, 1, 1], [1, 0, 1]])
    assert (found.normaliser, found.normalisers.tolist(), found.boxes) == ("picture width", [64, 30], None)


def test_what_was_not_placed_may_be_written_in_two_ways(read_tps):
    np.testing.assert_array_equal(read_tps(TWO.replace("-1 -1", "NA NA") + ONE).annotated, [[1, 0, 1], [1, 1, 1]])


def test_any_kind_of_space_may_follow_the_number_of_landmarks(read_tps):
    np.testing.assert_array_equal(read_tps(ONE.replace("LM=3", "LM=3\x1f \xa0")).landmarks, read_tps(ONE).landmarks)


def test_names_of_windows_are_read(read_tps, tmp_path, capsys):
    draw(tmp_path, "M\u00fccke.png")
    text = ONE.replace("a.png", "M\u00fccke.png")
    (tmp_path / "ansi.tps").write_bytes(text.encode("cp1252"))
    assert tps.read_file(tmp_path, tmp_path / "ansi.tps").paths == paths(tmp_path, "M\u00fccke.png")
    assert "is not in UTF-8, so it is read as cp1252" in capsys.readouterr().out


def test_pictures_that_are_not_digitised_yet_are_left_out_and_counted(read_tps, tmp_path, capsys):
    """As tpsUtil writes them for each picture of a folder."""
    found = read_tps("LM=0\nIMAGE=gone.png\nID=3\n" + ONE + "LM=0\nIMAGE=b.png\nID=1\nSCALE=0.01\n")
    assert found.paths == paths(tmp_path, "a.png") and found.annotated.tolist() == [[1, 1, 1]]
    assert "points.tps: 2 of 3 pictures have LM=0: not annotated, and left out" in capsys.readouterr().out


def test_curves_are_passed_over_and_that_is_said(read_tps, capsys):
    curves = "CURVES=1\nPOINTS=2\n5 6\n7 8\n"
    found = read_tps(ONE + TWO.replace("IMAGE", curves + "IMAGE") + "COMMENT=left\n\n")
    assert len(found) == 2
    assert "points.tps: curves are passed over; only the landmarks of LM= are read" in capsys.readouterr().out


def test_two_specimens_of_a_picture_are_in_boxes(read_tps):
    """The landmarks lie in 29.5 x 39: squares of 1.5 times the longer side."""
    found = read_tps(ONE + ONE)
    np.testing.assert_allclose(found.boxes[0], [15.75 - 29.25, 20.5 - 29.25, 15.75 + 29.25, 20.5 + 29.25])
    assert (
        found.normaliser == "box size" and read_tps(ONE).boxes is None and read_tps(ONE, boxed=True).boxes is not None
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "points.tps: LM= and that many landmarks are expected"),
        ("LM=3\n1 2\n", "points.tps: LM= and that many landmarks are expected"),
        ("LM=3\n1 2\nIMAGE=a.png\n", "line 3: 2 more landmarks are expected"),
        (
            "LM=0\nIMAGE=a.png\nLM=0\nIMAGE=b.png\n",
            "points.tps: LM=0 stands at each of its 2 pictures; place landmarks",
        ),
        ("LM=two\n", "line 1: LM= must be the number of landmarks; found 'two'"),
        ("LM3=2\n1 2 3\n", "line 1: LM3= are landmarks in three dimensions"),
        (ONE.replace("10 8", "10 8 9"), "line 2: x and y of a landmark are expected; found '10 8 9'"),
        (ONE.replace("10 8", "10 nan"), "line 2: a number is expected; found 'nan'"),
        ("10 8\n" + ONE, "line 1: LM= is expected first; found '10 8'"),
        (ONE + TWO.replace("LM=3\n12 9\n", "LM=2\n"), "must have the same number of landmarks; found [2, 3]"),
        (ONE.replace("IMAGE=a.png\n", ""), "line 1: has no IMAGE=, so it is of no picture; an aligned shape"),
        (ONE.replace("a.png", "c.png"), "line 1: there is no picture"),
        (
            ONE.replace("10 8", "0 0") + TWO.replace("12 9", "0 0"),
            "line 1: has a landmark at 0 0, and so have 2 in all",
        ),
        ("LM=3\n-0.2 0.1\n0.3 0.5\n-0.1 -0.6\nIMAGE=a.png\n", "is an aligned shape or in shares of a side"),
        ("LM=4\n-20 10\n20 50\n-10 -65\n10 5\nIMAGE=a.png\n", "is an aligned shape or in shares of a side"),
        ("LM=3\n2 4\n3 3\n0.1 0.2\nIMAGE=a.png\nSCALE=0.1\n", "SCALE=0.1; these look like millimetres, and pixels"),
    ],
)
def test_tps_errors_name_the_line(read_tps, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_tps(text)
