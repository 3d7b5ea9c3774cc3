"""Tests of the detector: its state, and that it learns."""

import numpy as np
import pytest

from dense_labels import compat
from dense_labels.config import ViewsConfig
from dense_labels.detection import fitting
from models.detectors import Detector
from tests.models import labelled

SIZE = (32, 48)


@pytest.fixture(scope="module")
def squares():
    """Eight dark images with a bright square, whose centre is the only landmark."""
    return labelled.squares(8, SIZE, [12, 8], [36, 24])


@pytest.fixture(scope="module")
def detector(squares):
    return fitting.fit(squares, fitting.Settings(ViewsConfig(), weights="none", seed=0, steps=60))


def test_it_learns_to_find_a_square(squares, detector):
    found = detector(squares.labels.values)
    error = np.linalg.norm(found["points"] - squares.landmarks, axis=-1)
    assert error.mean() < 3.0
    assert found["heatmaps"].shape == (8, 1, 8, 12)
    assert np.all((found["score"] > 0) & (found["score"] < 1))


def test_its_state_makes_it_again(squares, detector):
    again, images = Detector.from_state(detector.state()), squares.labels.values
    assert again.frame == detector.frame
    for name, value in detector(images).items():
        np.testing.assert_array_equal(again(images)[name], value, err_msg=name)


def test_what_keeps_its_weights_is_not_trained_and_is_made_again_in_its_order():
    detector = Detector.create(1, (32, 32), weights="none", seed=0, frozen="block_3_project_BN")
    free = Detector.create(1, (32, 32), weights="none", seed=0)
    trained, all_trained = (len(each.network.trainable_variables) for each in (detector, free))
    assert 0 < trained < all_trained and len(detector.variables) == len(free.variables)
    images = np.random.default_rng(0).uniform(size=[1, 32, 32, 3]).astype(np.float32)
    again = Detector.from_state(detector.state())
    np.testing.assert_array_equal(again(images)["heatmaps"], detector(images)["heatmaps"])
    assert len(again.network.trainable_variables) == trained


def test_the_sides_of_images_must_be_multiples_of_16():
    with pytest.raises(ValueError, match=r"size=\(30, 48\): both sides must be multiples of 16"):
        Detector.create(1, (30, 48), weights="none", seed=0)


def test_with_a_mirror_image_it_answers_the_mirror_image_alike():
    """Two landmarks that a mirror exchanges: each is where the other's mirror image was."""
    images = np.random.default_rng(0).integers(0, 255, [2, *SIZE, 3], np.uint8)
    detector, alone = (
        Detector.create(2, SIZE, weights="none", seed=0, exchanged=exchanged) for exchanged in ((1, 0), ())
    )
    for each in (detector, alone):
        kernel, _ = compat.variables(each.head)
        kernel.assign(3e3 * kernel)  # or a network that is not trained answers nearly the same everywhere
    found, mirrored = detector(images)["heatmaps"], detector(images[:, :, ::-1])["heatmaps"]
    np.testing.assert_allclose(mirrored, found[:, ::-1, :, ::-1], atol=1e-5)
    assert np.abs(alone(images)["heatmaps"] - found).max() > 1e-3
    np.testing.assert_allclose(Detector.from_state(detector.state())(images)["heatmaps"], found, atol=1e-5)
