"""Tests of video as a source, and of the preview: true motion between frames on disk."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dense_labels import geometry
from dense_labels.config import Config
from input_pipeline import pipeline

pytest.importorskip("cv2")

STRIDE, SIZE, FRAMES, STEP = 2, (64, 96), 24, 2


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A textured square that moves to the right over a still textured background, two pixels a frame."""
    folder = tmp_path_factory.mktemp("clip")
    rng = np.random.default_rng(0)

    def texture(height, width):
        coarse = Image.fromarray(rng.integers(0, 255, (height // 4, width // 4, 3), np.uint8))
        return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))

    background, square = texture(*SIZE), texture(36, 36)
    for n in range(FRAMES):
        frame = background.copy()
        frame[14:50, 4 + STEP * n : 40 + STEP * n] = square
        Image.fromarray(frame).save(folder / f"frame{n}.png")
    config = Config()
    config.data.name, config.data.dir, config.data.size = "video", str(folder), SIZE
    config.data.cache_dir = str(folder.parent / "cache")
    return config


def test_cells_on_what_moves_are_found_where_it_moved_to(config):
    source = pipeline.prepare(config)
    assert source.input_size == SIZE and source.count("annotated") == source.count("test") == 0
    batch = next(iter(pipeline.training_pairs(source, stride=STRIDE, batch_size=8, seed=0)))
    assert batch["points_in_b"].shape == [8, SIZE[0] // STRIDE, SIZE[1] // STRIDE, 2]
    motion = batch["points_in_b"] - geometry.cell_centres(SIZE[0] // STRIDE, SIZE[1] // STRIDE, STRIDE)
    seen = batch["visible"].numpy() > 0
    assert 0.05 < seen.mean() < 0.4  # the square alone: what stands still is left out
    np.testing.assert_allclose(np.median(motion.numpy()[seen], axis=0), [STEP, 0], atol=0.2)


def test_validation_frames_are_no_training_frames(config):
    source = pipeline.prepare(config)
    train, validation = source.count("train"), source.count("validation")
    assert (train, validation) == (FRAMES - 3, 1)  # of 24 frames the last two are held out, and no pair holds both
    (images,) = pipeline.image_batches(source, "train", batch_size=100)
    assert images["image"].shape == [train, *SIZE, 3] and images["mask"].numpy().all()


def test_frames_have_no_landmarks(config):
    with pytest.raises(ValueError, match="frames of a video have no landmarks; give annotated pictures"):
        pipeline.prepare(config).landmarks("train", tf.data.Dataset.range(1), batch_size=1)


def test_a_preview_shows_the_pairs(config, tmp_path):
    output = tmp_path / "preview.png"
    flags = [f"--config.data.{name}={getattr(config.data, name)}" for name in ("dir", "cache_dir", "size")]
    command = [sys.executable, "-m", "input_pipeline.preview", "--config=configs/video.py", *flags]
    result = subprocess.run([*command, f"--output={output}", "--pairs=2"], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert f"2 pairs: {output}" in result.stdout and f"24 pictures of {SIZE[1]} x {SIZE[0]}" in result.stdout
    assert np.ptp(np.asarray(Image.open(output))) > 200
