"""Tests of the reader of landmarks in a table."""

import re

import numpy as np
import pytest

from input_pipeline.readers import points_csv
from tests.input_pipeline.readers.files import draw, paths


@pytest.fixture
def read_csv(tmp_path):
    """Writes a CSV file, and reads it beside two pictures."""
    draw(tmp_path, "in/0.png")
    draw(tmp_path, "1, b.png", size=(30, 20))
    file = tmp_path / "points.csv"

    def read(text):
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return points_csv.read_table(str(tmp_path), str(file))

    return read


def test_csv_with_numbered_landmarks(read_csv, tmp_path):
    found = read_csv('file,x0,y0,x1,y1\nin/0.png,1.5,2,3,4e0\n\n"1, b.png",,,-5, 6.25\n')
    assert found.paths == paths(tmp_path, "in/0.png", "1, b.png")
    np.testing.assert_array_equal(found.landmarks, [[[1.5, 2], [3, 4]], [[0, 0], [-5, 6.25]]])
    np.testing.assert_array_equal(found.annotated, [[1, 1], [0, 1]])
    assert found.landmark_names == () and found.boxes is None
    assert (found.normaliser, found.normalisers.tolist()) == ("picture width", [64, 30])


def test_csv_with_named_landmarks_as_spreadsheets_write_it(read_csv):
    header = "\ufefffile,nose_x,nose_y,right_eye_x,right_eye_y,left_eye_x,left_eye_y\r\n"
    found = read_csv(header + "in/0.png,1,1,3,4,6,8\r\nin/0.png,1,1,3,4,,\r\n")
    assert found.landmark_names == ("nose", "right_eye", "left_eye")
    assert (found.normaliser, found.normalisers.tolist()) == ("eye distance", [5, 0])


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_as_spreadsheets_write_it_where_a_comma_is_a_decimal_point(read_csv, delimiter):
    lines = "file,x0,y0,x1,y1\r\nin/0.png,1.5,2,,\r\n,,,,\r\n".replace(",", delimiter)
    found = read_csv(lines + f"1, b.png{delimiter}3{delimiter}4{delimiter}5{delimiter}6\r\n")
    np.testing.assert_array_equal(found.landmarks, [[[1.5, 2], [0, 0]], [[3, 4], [5, 6]]])
    np.testing.assert_array_equal(found.annotated, [[1, 0], [1, 1]])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_csv_lines_end_as_any_system_ends_them(read_csv, end):
    found = read_csv(end.join(["file;x0;y0", "in/0.png;1;2", '"1, b.png";3;4', ""]))
    np.testing.assert_array_equal(found.landmarks[:, 0], [[1, 2], [3, 4]])


def test_csv_says_what_is_hidden_as_coco_does(read_csv):
    header = "file,nose_x,nose_y,nose_v,tail_x,tail_y,tail_v\n"
    found = read_csv(header + 'in/0.png,1,1,1,3,4,2\n"1, b.png",1,1,,,,1\nin/0.png,1,1,2.0,,,0\n')
    assert found.landmark_names == ("nose", "tail")
    np.testing.assert_array_equal(found.annotated, [[1, 1], [1, 0], [1, 0]])
    np.testing.assert_array_equal(found.hidden, [[1, 0], [0, 1], [0, 0]])
    assert read_csv(header + "in/0.png,1,1,2,3,4,2\n").hidden.tolist() == [[0, 0]]
    assert read_csv("file,nose_x,nose_y\nin/0.png,1,1\n").hidden is None  # it cannot say it
    bare = read_csv("file,x0,y0,v0,x1,y1,v1\nin/0.png,1,1,1,3,4,2\n")
    assert bare.landmark_names == () and bare.hidden.tolist() == [[1, 0]]


def test_csv_leaves_damaged_pictures_to_the_store(read_csv, tmp_path):
    (tmp_path / "in/0.png").write_text("not a picture")
    found = read_csv('file,x0,y0\nin/0.png,1,2\n"1, b.png",3,4\n')
    assert found.normalisers.tolist() == [0, 30]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "points.csv, line 1: the header must be file,x0,y0,x1,y1,... or file,left_eye_x,left_eye_y,...; found "),
        ("file x0 y0\n", "the header must be file,x0,y0,x1,y1,... or file,left_eye_x,left_eye_y,...; found file x0 y0"),
        ("file,x0,y0,x1\n", "found file,x0,y0,x1"),
        ("file,x1,y1\n", "found file,x1,y1"),
        ("file,a_x,b_y\n", "found file,a_x,b_y"),
        ("file,a_x,a_y,a_x,a_y\n", "found file,a_x,a_y,a_x,a_y"),
        ("in/0.png,1,2\n", "found in/0.png,1,2"),
        ("file,x0,y0\n", "points.csv lists no pictures"),
        (
            "file,x0,y0\nin/0.png,1,2\nin/0.png,1\n",
            "points.csv, line 3: 3 cells are expected, as in the header; found 2",
        ),
        ("file,x0,y0\n\n\nin/0.png,1,left\n", "points.csv, line 4: 'left' in column y0 is not a number"),
        ("file,x0,y0\nin/0.png,nan,1\n", "points.csv, line 2: 'nan' in column x0 is not a number"),
        (
            "file,x0,y0\nin/0.png,1,\n",
            "points.csv, line 2: x0 and the cell after it must both be numbers, or both be empty",
        ),
        ("file,x0,y0,v0,x1,y1\n", "found file,x0,y0,v0,x1,y1"),
        ("file,x0,y0,v0\nin/0.png,1,2,0\n", "v0 must be 1 where something hides the landmark, 2 or empty where it is"),
        ("file,x0,y0,v0\nin/0.png,,,2\n", "and 0 or empty where it is not annotated; found 2"),
        (
            "file,x0,y0,v0\nin/0.png,1,2,0.98\n",
            "line 2: v0 must be 0 (not annotated), 1 (hidden) or 2 (visible); found 0.98",
        ),
        ("file,x0,y0\ngone.png,1,2\n", "points.csv, line 2: there is no picture "),
        ("file,x0,y0\nin/0.png,1,2\nout/in/0.png,1,2\n", "in/0.png is there, but not all names are found without out/"),
        ('file,x0,y0\n"in/0.png,1,2\n', "points.csv, line 2: unexpected end of data"),
        (b"file,x0,y0\n\xff\xfe,1,2\n", "points.csv: text in UTF-8 is expected"),
    ],
)
def test_csv_errors_name_the_line(read_csv, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_csv(text)
