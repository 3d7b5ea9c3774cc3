import glob
import os
import re

import pytest

from input_pipeline.storage import listing


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


TREE = ("a.jpg", "b/c.jpg", "b/d/e.jpg", "b/d/f.png", "b[1]/g.jpg", ".h.jpg", ".i/j.jpg")


@pytest.mark.parametrize(
    "pattern", ["*.jpg", "**/*.jpg", "**", "*/*.jpg", "b/**/e.jpg", "**/d/*", "**/b/**/*.jpg", "b/d", "b?/*", ".?.jpg"]
)
def test_a_pattern_means_what_it_means_in_a_shell(tmp_path, monkeypatch, pattern):
    touch(tmp_path, *TREE)
    monkeypatch.chdir(tmp_path)
    expected = sorted(path for path in set(glob.glob(pattern, recursive=True)) if os.path.isfile(path))
    assert listing.matching(pattern) == expected
    assert listing.matching(tmp_path / pattern) == [str(tmp_path / path) for path in expected]


def test_a_pattern_follows_links_once_and_leaves_nothing_out(tmp_path):
    touch(tmp_path, "data/a.jpg", "data/b/c.jpg", "elsewhere/d.jpg")
    for link, to in {"b/up": "data", "e": "elsewhere", "f": "elsewhere", "gone.jpg": "nothing"}.items():
        (tmp_path / "data" / link).symlink_to(tmp_path / to)
    names = ["a.jpg", "b/c.jpg", "e/d.jpg", "gone.jpg"]
    assert listing.matching(f"{tmp_path}/data/**/*.jpg") == [f"{tmp_path}/data/{name}" for name in names]
    assert listing.files_below(tmp_path / "data") == listing.matching(f"{tmp_path}/data/**")
    assert listing.matching(f"{tmp_path}/data/f/*") == [f"{tmp_path}/data/f/d.jpg"]


def test_what_is_escaped_is_itself(tmp_path):
    touch(tmp_path, "b[1]*/a?.jpg", "b1/ab.jpg")
    assert listing.matching(glob.escape(f"{tmp_path}/b[1]*/a?.jpg")) == [f"{tmp_path}/b[1]*/a?.jpg"]
    assert listing.matching(f"{tmp_path}/nothing/**") == listing.matching(f"{tmp_path}/b1/ab.jpg/**") == []


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg", "closed/b.jpg")

    def scan(path, scandir=os.scandir):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(os, "listdir", lambda path: [entry.name for entry in scan(path)])
    for pattern in ("**", "**/*.jpg", "*/*.jpg"):
        with pytest.raises(PermissionError, match="closed"):
            listing.matching(f"{tmp_path}/{pattern}")
    assert listing.matching(f"{tmp_path}/*.jpg") == [f"{tmp_path}/a.jpg"]


def test_stars_beside_other_characters_are_refused(tmp_path):
    said = "in/**.jpg: ** stands alone between slashes; write **/*.jpg for folders of any depth, or *.jpg for one"
    with pytest.raises(ValueError, match=re.escape(said)):
        listing.matching("in/**.jpg")
