"""Tests of video as a source: true motion between frames on disk."""

import dataclasses
import hashlib
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dense_labels.config import Config
from dense_labels.method import geometry
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
    assert batch.points_in_b.shape == [8, SIZE[0] // STRIDE, SIZE[1] // STRIDE, 2]
    motion = batch.points_in_b - geometry.cell_centres(SIZE[0] // STRIDE, SIZE[1] // STRIDE, STRIDE)
    seen = batch.visible.numpy() > 0
    assert 0.05 < seen.mean() < 0.4  # the square alone: what stands still is left out
    np.testing.assert_allclose(np.median(motion.numpy()[seen], axis=0), [STEP, 0], atol=0.2)


def test_frames_are_known_by_what_they_hold(config):
    found = pipeline.prepare(config).files("train")
    frames = [pathlib.Path(config.data.dir) / f"frame{n}.png" for n in range(FRAMES - 2)]
    assert found == {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in frames}


def test_validation_frames_are_no_training_frames(config):
    source = pipeline.prepare(config)
    train, validation = source.count("train"), source.count("validation")
    assert (train, validation) == (FRAMES - 3, 1)  # of 24 frames the last two are held out, and no pair holds both
    (images,) = pipeline.image_batches(source, "train", batch_size=100)
    assert images.image.shape == [FRAMES - 2, *SIZE, 3] and images.mask.numpy().all()


def test_each_frame_is_an_image_once_however_many_pairs_it_is_in(config):
    far = dataclasses.replace(config, data=dataclasses.replace(config.data, max_gap=3))
    source = pipeline.prepare(far)
    assert source.count("train") > FRAMES
    for split, expected in (("train", range(FRAMES - 2)), ("validation", range(FRAMES - 2, FRAMES))):
        (images,) = pipeline.image_batches(source, split, batch_size=100)
        assert source.count_images(split) == len(expected)
        for n, image in zip(expected, images.image.numpy()):
            frame = np.asarray(Image.open(pathlib.Path(config.data.dir) / f"frame{n}.png"))
            np.testing.assert_allclose(255 * image, frame, atol=1e-3)
    images, _ = pipeline.example_images(source, "train", count=5)
    assert images.image.shape == [5, *SIZE, 3]


@pytest.fixture
def clip_that_stops(config, tmp_path):
    """Twelve frames, of which the first four alone move."""
    folder, frames = tmp_path / "clip", sorted(pathlib.Path(config.data.dir).iterdir(), key=lambda path: len(path.name))
    folder.mkdir()
    for n in range(12):
        shutil.copy(frames[min(n, 3)], folder / f"{n}.png")
    return dataclasses.replace(config, data=dataclasses.replace(config.data, dir=str(folder)))


def test_pairs_in_which_nothing_moves_are_left_out_and_it_is_said_so(clip_that_stops, capsys):
    source = pipeline.prepare(clip_that_stops)
    said = capsys.readouterr().out
    assert "3 pairs of frames, where 2" in said and "% of the pixels move and are seen again; 8 others" in said
    assert "note: only these pixels teach; frames that lie further apart move more: raise config.data.max_gap" in said
    assert source.count("train") == 3
    batch = pipeline.example_pairs(source, "train", stride=STRIDE, count=3)
    assert batch.visible.numpy().mean(axis=(1, 2)).min() > 0.05
    clip_that_stops.data.ignore_still = False
    assert pipeline.prepare(clip_that_stops).count("train") == 10  # and one for neither split
    said = capsys.readouterr().out
    assert "11 pairs of frames, where 9" in said and "% of the pixels are seen again\n" in said and "note" not in said


def test_frames_in_which_nothing_moves_are_refused(config, tmp_path):
    frame = sorted(pathlib.Path(config.data.dir).iterdir())[0]
    for n in range(3):
        shutil.copy(frame, tmp_path / f"{n}.png")
    still = dataclasses.replace(config, data=dataclasses.replace(config.data, dir=str(tmp_path)))
    message = "in none of the 2 pairs of frames 1% of the pixels move and are seen again, so there is nothing to learn"
    with pytest.raises(ValueError, match=f"{message} from; .+, or set config.data.ignore_still=false"):
        pipeline.prepare(still)


def test_frames_have_no_landmarks(config):
    with pytest.raises(ValueError, match="frames of a video have no landmarks; give annotated pictures"):
        pipeline.prepare(config).landmarks("train", tf.data.Dataset.range(1), batch_size=1)


def test_the_configuration_stays_as_it_is_where_the_size_is_picked(config):
    free = dataclasses.replace(config, data=dataclasses.replace(config.data, size=(0, 0)))
    source = pipeline.prepare(free)
    assert source.size == source.input_size == SIZE and free.data.size == (0, 0)


def test_a_crop_is_refused(config):
    cropped = dataclasses.replace(config, data=dataclasses.replace(config.data, crop=4))
    with pytest.raises(ValueError, match="config.data.crop=4: is for still pictures; frames are shown whole"):
        pipeline.prepare(cropped)
