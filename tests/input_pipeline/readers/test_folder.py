import os
import re

import pytest

from input_pipeline.readers import folder
from input_pipeline.storage import listing


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_pictures_are_found_by_their_extension_in_all_folders(tmp_path, capsys):
    touch(tmp_path, "b.JPG", "a.png", "z/c.WebP", "z/y/d.jpeg", "notes.txt", "png", "z/e.jpg.part")
    touch(tmp_path, ".hidden.jpg", ".thumbnails/f.jpg", "z/._b.jpg")
    found = folder.find(tmp_path)
    names = ["a.png", "b.JPG", "z/c.WebP", "z/y/d.jpeg"]
    assert found.paths == tuple(os.path.join(tmp_path, name) for name in names)
    assert found.boxes is None and found.landmarks is None
    kinds = "1 without an ending, 1 .part, 1 .txt"
    endings = ".jpg, .jpeg, .png, .webp, .bmp, .gif, .tif, .tiff"
    said = capsys.readouterr().out
    assert said.startswith(f"note: files that are not called {endings} are passed over: 1 ") and said.count("\n") == 1
    assert sorted(said.rpartition("over: ")[2].strip().split(", ")) == sorted(kinds.split(", "))


def test_what_runs_have_drawn_is_passed_over(tmp_path, capsys):
    """A work directory below the pictures, as where somebody works in their folder; one given by itself is read."""
    touch(tmp_path, "a.jpg", "config.json", "runs/mine/eval/warps.png", "runs/other/config.json", "runs/other/b.png")
    touch(tmp_path, "runs/mine/config.json", "runs/mine/pictures.json", "runs/mine/c.png")
    kept = ("a.jpg", "runs/other/b.png")
    assert folder.find(tmp_path).paths == tuple(os.path.join(tmp_path, name) for name in kept)
    said = f"{tmp_path} holds runs, whose drawings are passed over: {tmp_path / 'runs/mine'}"
    assert capsys.readouterr().out.startswith(f"note: {said}\nnote: files that are not called ")
    assert tuple(listing.matching(f"{tmp_path}/**/*.png")) == (str(tmp_path / "runs/other/b.png"),)
    assert len(folder.find(tmp_path / "runs/mine").paths) == len(folder.find(tmp_path / "runs/mine/eval").paths) + 1


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
        (
            "clips/a.MP4",
            "clips/a.MP4 is a file; give a folder of pictures; to train on a video, take frames out of it first: ",
        ),
        (
            "clips",
            "clips holds no pictures: files called .jpg, .jpeg, .png, .webp, .bmp, .gif, .tif, .tiff are looked for, "
            "in it and in the folders in it; it has 1 other files; to train on a video, take frames out of it first: ",
        ),
    ],
)
def test_a_folder_without_pictures_is_refused(tmp_path, name, message):
    touch(tmp_path, "a.txt", "texts/b.txt", "texts/c/d.heic", "clips/a.MP4")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / message}")):
        folder.find(tmp_path / name)
