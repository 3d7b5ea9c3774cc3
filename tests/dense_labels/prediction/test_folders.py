"""Tests of folders of text files."""

import pytest

from dense_labels.prediction import folders


@pytest.mark.parametrize("place", ["../out.json", "/out.json", "a/../../out.json"])
def test_no_file_is_written_outside_of_its_folder(tmp_path, place):
    with pytest.raises(ValueError, match=f"^{place}: lies outside of the folder that names start from"):
        folders.write_folder(tmp_path / "in", {"a/b.json": "1", place: "2"})
    assert not list(tmp_path.iterdir())
    folders.write_folder(tmp_path / "in", {"a/b..json": "1"})
    assert (tmp_path / "in/a/b..json").read_text() == "1"
