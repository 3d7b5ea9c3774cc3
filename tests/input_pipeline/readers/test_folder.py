import os
import re

import pytest

from input_pipeline.readers import folder


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_pictures_are_found_by_their_extension_in_all_folders(tmp_path):
    touch(tmp_path, "b.JPG", "a.png", "z/c.WebP", "z/y/d.jpeg", "notes.txt", "png", "z/e.jpg.part")
    touch(tmp_path, ".hidden.jpg", ".thumbnails/f.jpg", "z/._b.jpg")
    found = folder.find(tmp_path)
    names = ["a.png", "b.JPG", "z/c.WebP", "z/y/d.jpeg"]
    assert found.paths == tuple(os.path.join(tmp_path, name) for name in names)
    assert found.boxes is None and found.landmarks is None
    assert folder.passed_over(tmp_path) == {".txt": 1, "": 1, ".part": 1}


def test_links_are_followed_once_and_in_no_circle(tmp_path):
    touch(tmp_path, "data/a.jpg", "data/b/c.jpg", "elsewhere/d.jpg")
    (tmp_path / "data/b/up").symlink_to(tmp_path / "data")
    (tmp_path / "data/e").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/f").symlink_to(tmp_path / "elsewhere")
    found = folder.find(str(tmp_path / "data")).paths
    assert [os.path.relpath(path, tmp_path / "data") for path in found] == ["a.jpg", "b/c.jpg", "e/d.jpg"]


@pytest.mark.parametrize(
    "name, message",
    [
        ("nothing", "nothing does not exist; give a folder of pictures"),
        ("a.txt", "a.txt is a file; give a folder of pictures"),
        (
            "texts",
            "texts holds no pictures: files called .jpg, .jpeg, .png, .webp, .bmp, .gif, .tif, .tiff are looked for, "
            "in it and in the folders in it; it has 2 other files",
        ),
    ],
)
def test_a_folder_without_pictures_is_refused(tmp_path, name, message):
    touch(tmp_path, "a.txt", "texts/b.txt", "texts/c/d.heic")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / message}")):
        folder.find(tmp_path / name)
