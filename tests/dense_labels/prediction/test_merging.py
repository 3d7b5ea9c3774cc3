"""Tests of merging annotations: the newer wins, whatever the order of its columns; both files stay."""

import pytest

from dense_labels.prediction import merging

OLDER = "file,eye_x,eye_y,tip_x,tip_y\na.png,1,2,3,4\nb.png,5,6,,\nin/c.png,7,8,9,10\n"
NEWER = "file,tip_x,tip_y,eye_x,eye_y\nd.png,1,1,2,2\nb.png,30.5,40,,\n"


@pytest.fixture
def tables(tmp_path):
    """Both tables in a folder."""
    for name, text in (("older.csv", OLDER), ("newer.csv", NEWER)):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_newer_wins_and_both_are_kept(tables):
    written, corrected, added = merging.merge_annotations(
        tables / "older.csv", tables / "newer.csv", tables / "all.csv"
    )
    assert (corrected, added) == (1, 1)
    assert written.read_text() == (
        "file,eye_x,eye_y,tip_x,tip_y\na.png,1,2,3,4\nb.png,,,30.5,40\nin/c.png,7,8,9,10\nd.png,2,2,1,1\n"
    )
    assert (tables / "older.csv").read_text() == OLDER and (tables / "newer.csv").read_text() == NEWER


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("newer.csv", "file,eye_x,eye_y\nb.png,1,2\n", "have other landmarks: only one has the columns tip_x, tip_y"),
        ("newer.csv", "eye_x,eye_y\n1,2\n", "newer.csv, line 1: the header must be file,NAME_x,NAME_y"),
        ("newer.csv", "", "newer.csv, line 1: the header must be"),
        ("older.csv", OLDER + "a.png,1,2,3,4\n", "older.csv, line 5: a.png is there twice"),
        ("older.csv", OLDER + "e.png,1,2,3\n", "older.csv, line 5: 5 cells are expected, as in the header; found 4"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tables, name, text, said):
    (tables / name).write_text(text)
    with pytest.raises(ValueError, match=said):
        merging.merge_annotations(tables / "older.csv", tables / "newer.csv", tables / "all.csv")
    assert not (tables / "all.csv").exists()


def test_a_table_is_not_written_over(tables):
    with pytest.raises(ValueError, match="is one of the tables to merge, which are kept"):
        merging.merge_annotations(tables / "older.csv", tables / "newer.csv", tables / "newer.csv")
