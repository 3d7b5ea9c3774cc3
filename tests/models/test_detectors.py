"""Tests of the detector: its state, and that it learns."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels import compat
from dense_labels.config import ViewsConfig
from dense_labels.detection import fitting
from models import pyramids, refining_detectors
from models.detectors import Detector, HeatMaps
from tests.models import labelled

SIZE = (32, 48)


@pytest.fixture(scope="module")
def squares():
    """Eight dark images with a bright square, whose centre is the only landmark."""
    return labelled.squares(8, SIZE, [12, 8], [36, 24])


@pytest.fixture(scope="module")
def detector(squares):
    return fitting.fit(squares, fitting.Settings(ViewsConfig(), weights="none", seed=0, steps=60)).plain


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


def test_a_file_of_resnet_makes_a_detector_of_resnet(tmp_path):
    path = str(tmp_path / "resnet.h5")
    trunk = tf.keras.applications.ResNet50(include_top=False, weights=None, input_shape=[None, None, 3])
    trunk.save_weights(path) if not compat.KERAS_3 else trunk.save(path)
    detector = Detector.create(1, (32, 32), weights=path, seed=0)
    inner = detector.network.get_layer(index=3)
    value = inner.get_layer("conv4_block6_1_conv").weights[0]
    np.testing.assert_array_equal(value, trunk.get_layer("conv4_block6_1_conv").weights[0])
    assert detector.state()["frozen"] == "conv2_block3_out"  # of a trained trunk the first blocks, and all norms
    names = [layer.name for layer in inner.layers]
    first = inner.layers[: names.index("conv2_block3_out") + 1]
    norms = [layer for layer in inner.layers if isinstance(layer, tf.keras.layers.BatchNormalization)]
    assert norms and not any(layer.trainable_weights for layer in (*first, *norms))
    assert inner.get_layer("conv4_block6_1_conv").trainable_weights
    images = np.random.default_rng(0).uniform(size=[1, 32, 32, 3]).astype(np.float32)
    again = Detector.from_state(detector.state())
    np.testing.assert_array_equal(again(images)["heatmaps"], detector(images)["heatmaps"])


def test_the_sides_of_images_must_be_multiples_of_16():
    with pytest.raises(ValueError, match=r"size=\(30, 48\): both sides must be multiples of 16"):
        Detector.create(1, (30, 48), weights="none", seed=0)


@pytest.mark.parametrize("upside_down", [False, True])
def test_with_a_mirror_image_it_answers_the_mirror_image_alike(upside_down):
    """Two landmarks that a mirror exchanges: each is where the other's mirror image was."""
    mirror = (slice(None), slice(None, None, -1)) if upside_down else (slice(None), slice(None), slice(None, None, -1))
    images = np.random.default_rng(0).integers(0, 255, [2, *SIZE, 3], np.uint8)
    detector, alone = (
        Detector.create(2, SIZE, weights="none", seed=0, exchanged=exchanged, upside_down=upside_down)
        for exchanged in ((1, 0), ())
    )
    for each in (detector, alone):
        kernel, _ = compat.variables(each.head)
        kernel.assign(3e3 * kernel)  # or a network that is not trained answers nearly the same everywhere
    found, mirrored = detector(images)["heatmaps"], detector(images[mirror])["heatmaps"]
    np.testing.assert_allclose(mirrored, found.numpy()[:, ::-1][(slice(None), *mirror)], atol=1e-5)
    assert np.abs(alone(images)["heatmaps"] - found).max() > 1e-3
    np.testing.assert_allclose(Detector.from_state(detector.state())(images)["heatmaps"], found, atol=1e-5)


def test_landmarks_are_looked_for_within_their_reach_of_those_that_agree():
    """The second landmark of the first image has a higher peak far from all others; none in the second image has."""
    features = np.full([2, 12, 20, pyramids.CHANNELS], -9.0, np.float32)
    for k, (x, y) in enumerate([(3, 3), (5, 4), (4, 6)]):
        features[:, y, x, k] = 1.0
    features[0, 9, 17, 1] = 3.0
    layer = HeatMaps(3)
    layer.logits = lambda features: tf.constant(features)[..., :3]
    free = layer(features)
    layer.reach = np.float32(np.where(np.eye(3) > 0, np.inf, 20.0))
    found = layer(features)
    np.testing.assert_allclose(free["points"][0, 1], [17.5 * 4, 9.5 * 4], atol=0.5)
    np.testing.assert_allclose(found["points"][0, 1], [5.5 * 4, 4.5 * 4], atol=0.5)
    np.testing.assert_allclose(found["score"][0], tf.sigmoid([1.0, 1.0, 1.0]), rtol=1e-5)
    np.testing.assert_array_equal(found["heatmaps"], free["heatmaps"])
    for name in ("points", "score"):
        np.testing.assert_allclose(found[name][1], free[name][1], atol=0.02)  # windows end at the reach
        np.testing.assert_allclose(found[name][0, ::2], free[name][0, ::2], atol=0.02)


def test_a_landmark_whose_distance_to_others_is_not_known_does_not_keep_them_apart():
    """It agrees with all wherever they are, and would be the one that they are looked for about."""
    features = np.full([1, 12, 20, pyramids.CHANNELS], -9.0, np.float32)
    for k, (x, y) in enumerate([(3, 3), (5, 4), (4, 6), (13, 6)]):
        features[:, y, x, k] = 1.0
    features[0, 9, 17, 1] = 3.0
    layer = HeatMaps(4)
    layer.logits = lambda features: tf.constant(features)[..., :4]
    layer.reach = np.full([4, 4], np.inf, np.float32)
    layer.reach[:3, :3] = np.where(np.eye(3) > 0, np.inf, 20.0)
    expected = [[3.5 * 4, 3.5 * 4], [5.5 * 4, 4.5 * 4], [4.5 * 4, 6.5 * 4], [13.5 * 4, 6.5 * 4]]
    np.testing.assert_allclose(layer(features)["points"][0], expected, atol=0.5)


def test_the_reach_is_kept():
    detector = Detector.create(2, SIZE, weights="none", seed=0)
    assert Detector.from_state(detector.state()).head.reach is None
    detector.head.reach = np.float32([[np.inf, 20], [20, np.inf]])
    np.testing.assert_array_equal(Detector.from_state(detector.state()).head.reach, detector.head.reach)


@pytest.fixture(scope="module")
def refining():
    """A detector that sees images at half their size, and then all of their pixels."""
    squares = labelled.squares(8, (64, 96), [24, 16], [72, 48])
    settings = fitting.Settings(ViewsConfig(), weights="none", seed=0, steps=60, times=2)
    return squares, fitting.fit(squares, settings)


def test_a_second_look_is_nearer(refining):
    squares, detector = refining
    assert detector.frame.input_size == (64, 96) and detector.plain.frame.input_size == (32, 48)
    images = squares.labels.values
    once, twice = (
        np.linalg.norm(each(images)["points"] - squares.landmarks, axis=-1).mean()
        for each in (detector.looking_once(), detector)
    )
    assert twice < 0.7 * once < 5.0
    smaller = fitting.shrunk(squares, 2)
    plain, found = detector.plain(smaller.labels.values), detector.looking_once()(images)
    np.testing.assert_allclose(2 * plain["points"], found["points"], atol=0.2)  # these pixels are rounded
    np.testing.assert_allclose(plain["heatmaps"], found["heatmaps"], atol=0.02)


def test_a_second_look_is_kept(refining):
    squares, detector = refining
    again = refining_detectors.restored(detector.state())
    assert again.frame == detector.frame
    for name, value in detector(squares.labels.values).items():
        np.testing.assert_array_equal(again(squares.labels.values)[name], value, err_msg=name)
    assert isinstance(refining_detectors.restored(detector.plain.state()), Detector)


def test_images_are_shrunk_with_their_landmarks():
    images = labelled.squares(2, (8, 12), [3, 3], [5, 5])
    seen = fitting.shrunk(images, 2)
    assert seen.labels.cells == (4, 6) and fitting.shrunk(images, 1) is images
    np.testing.assert_allclose(
        seen.landmarks * seen.scale[:, np.newaxis], images.landmarks * images.scale[:, np.newaxis]
    )
    assert seen.labels.values[0, 0, 0].tolist() == np.rint(images.labels.values[0, :2, :2].mean((0, 1))).tolist()
    with pytest.raises(ValueError, match=r"\(8, 12\) pixels cannot be made 3 times smaller"):
        fitting.shrunk(images, 3)
