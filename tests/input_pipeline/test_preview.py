"""The preview shows what training would see."""

import os

import numpy as np
import pytest
from PIL import Image

from dense_labels import config_files, run_config
from dense_labels.pictures import pairs as pairs_lib
from input_pipeline import pipeline, preview
from tests import commands


def test_a_preview_shows_some_pairs(tmp_path):
    folder, output = tmp_path / "pictures", tmp_path / "new" / "preview.png"
    folder.mkdir()
    for index in range(3):
        coarse = np.random.default_rng(index).integers(0, 256, [4, 5, 3], np.uint8)
        Image.fromarray(coarse).resize((40, 32)).save(folder / f"{index}.png")
    settings = [f"--config.data.dir={folder}", f"--config.data.cache_dir={tmp_path / 'cache'}"]
    ran = commands.run("input_pipeline/preview.py", "--config=folder", *settings, f"--output={output}", "--pairs=2")
    assert ran.returncode == 0, ran.stderr
    assert "3 pictures of 40 x 32" in ran.stdout and ran.stdout.endswith(f"2 pairs: {output}\n")
    shown = np.asarray(Image.open(output))
    assert shown.ndim == 3 and np.ptp(shown) > 200


def test_a_preview_draws_pairs_of_the_training_with_their_correspondences(tmp_path, monkeypatch):
    config, drawn = config_files.find("folder"), []
    config.data.dir, config.data.cache_dir = str(tmp_path / "pictures"), str(tmp_path / "cache")
    (tmp_path / "pictures").mkdir()
    for index in range(3):
        noise = np.random.default_rng(index).integers(0, 256, [32, 40, 3], np.uint8)
        Image.fromarray(noise).save(tmp_path / "pictures" / f"{index}.png")

    def panel(pairs, stride):
        drawn.append((pairs, stride))
        return np.zeros([4, 4, 3], np.uint8)

    monkeypatch.setattr(pairs_lib, "pairs_panel", panel)
    preview.main(config, str(tmp_path / "preview.png"), 2)
    ((found, stride),) = drawn
    source = pipeline.prepare(run_config.with_absolute_paths(config))
    for ours, theirs in zip(found, pipeline.example_pairs(source, "train", stride=stride, count=2), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(found.image_a) == 2 and stride == 2


def test_a_preview_among_the_pictures_is_refused_before_they_are_read(tmp_path, monkeypatch):
    config = config_files.find("folder")
    config.data.dir = str(tmp_path)
    (tmp_path / "below").mkdir()
    os.symlink(tmp_path, tmp_path.parent / "link")
    monkeypatch.chdir(tmp_path)
    for output in ("preview.png", str(tmp_path / "below" / "x.png"), str(tmp_path.parent / "link" / "x.png")):
        with pytest.raises(ValueError, match="lies among the pictures in .*; give another place"):
            preview.main(config, output, 1)
    assert os.listdir(tmp_path) == ["below"]


def test_a_preview_does_not_take_the_place_of_a_picture(tmp_path):
    Image.new("RGB", (40, 32)).save(tmp_path / "0.png")
    Image.new("RGB", (40, 32), "red").save(tmp_path / "1.png")
    (tmp_path / "points.csv").write_text("file,x0,y0\n0.png,3,4\n1.png,5,6\n")
    config = config_files.find("faces")
    config.data.name, config.data.dir, config.data.annotations = "csv", str(tmp_path), str(tmp_path / "points.csv")
    config.data.size, config.data.crop, config.data.cache_dir = (0, 0), 0, str(tmp_path / "cache")
    with pytest.raises(ValueError, match="1.png: is one of the pictures, which is not written over"):
        preview.main(config, str(tmp_path / "1.png"), 1)


def test_a_preview_lies_anywhere_where_annotations_name_the_pictures(tmp_path, monkeypatch):
    config = config_files.find("folder")
    config.data.dir, config.data.name = str(tmp_path), "csv"
    monkeypatch.setattr(pipeline, "prepare", lambda _: pytest.fail("prepared"))
    with pytest.raises(pytest.fail.Exception, match="prepared"):
        preview.main(config, str(tmp_path / "preview.png"), 1)
