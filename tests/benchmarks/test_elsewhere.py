"""Tests of the benchmark that asks other runtimes: what they are sent, and how their answers are read."""

import sys

import numpy as np
import tensorflow as tf

from benchmarks import elsewhere
from dense_labels.config import Config
from input_pipeline import pipeline


def test_pictures_have_the_margin_that_the_served_model_cuts_off(arm_data):
    source = pipeline.prepare(Config(data=arm_data))
    images, known = elsewhere.pictures(source, count=3, margin=4)
    (batch,) = pipeline.landmark_batches(source, "test", batch_size=3, count=3)
    np.testing.assert_array_equal(images[:, 4:-4, 4:-4], batch.image)
    assert images.shape == (3, 98, 98, 3) and not images[:, :4].any() and not images[:, :, -4:].any()
    np.testing.assert_array_equal(known.landmarks, batch.landmarks)


def test_a_detector_is_shown_pictures_in_its_own_frame():
    config, run = Config(), {"input_size": [70, 70], "margin": 15}
    config.data.size, config.data.crop = (100, 100), 15
    for card in ({"model": run}, {"model": run, "landmarks_frame": run}):
        assert elsewhere.frame_pictures(config, card) == 15
        assert (config.data.size, config.data.crop) == ((100, 100), 15)
    own = {"input_size": [96, 64], "margin": 2}
    assert elsewhere.frame_pictures(config, {"model": run, "landmarks_frame": own}) == 2
    assert (config.data.size, config.data.crop) == ((100, 68), 2)
    whole = {"input_size": [70, 70], "margin": 0}  # as large, of the whole picture
    assert elsewhere.frame_pictures(config, {"model": run, "landmarks_frame": whole}) == 0
    assert (config.data.size, config.data.crop) == ((70, 70), 0)


def test_each_picture_is_asked_about_alone():
    images = np.random.default_rng(0).uniform(size=[5, 4, 4, 3]).astype(np.float32)
    asked = []

    def answer(image):
        asked.append(image.shape)
        return image[:, 0, :, :2]

    points, milliseconds = elsewhere.answers(answer, images)
    np.testing.assert_array_equal(points, images[:, 0, :, :2])
    assert set(asked) == {(1, 4, 4, 3)} and milliseconds > 0


def test_another_python_s_tensorflow_answers_as_this_one(colour_served_dir):
    folder = str(colour_served_dir / "1")
    images = np.random.default_rng(0).uniform(size=[2, 30, 24, 3]).astype(np.float32)
    points, version = elsewhere._other_tensorflow(sys.executable, folder, images)
    expected = tf.saved_model.load(folder).signatures["landmarks_float"](images=images)["points"]
    np.testing.assert_allclose(points, expected, atol=1e-2)
    assert version == tf.__version__
