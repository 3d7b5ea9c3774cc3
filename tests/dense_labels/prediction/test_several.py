"""Tests of asking all heads of a run: by heads and a detector whose distances from one another are known."""

import types

import numpy as np
import pytest
import tensorflow as tf

from dense_labels import compat
from dense_labels.batches import Frame
from dense_labels.config import Config
from dense_labels.evaluation.result import Result
from dense_labels.kept_heads import KeptHeads
from dense_labels.prediction.answers import spread
from dense_labels.prediction.several import SeveralHeads
from models.detectors import Detector, HeatMaps
from tests.colours import FRAME, SIZE, as_uint8, centres, coloured_cells

CELLS, SCALE = [(2, 3), (7, 9), (12, 1)], (3, 2)  # the pictures are three times as high and twice as wide


@pytest.fixture(scope="module")
def heads(colour_network, colour_head):
    """Three that find colours: one is right, one 3 and 4 pixels of its image off, a detector 5 of its own along x."""

    def moved(labels):
        found = colour_head(labels)
        return {"points": found["points"] + [3.0, 4.0], "score": found["score"]}

    def half(labels):
        found = colour_head(labels)
        return {"points": found["points"] + [5.0, 0.0], "score": found["score"]}

    frame = Frame((2 * SIZE[0], 2 * SIZE[1]), 2)
    twice = types.SimpleNamespace(features=colour_network, head=half, frame=frame)
    return {"nearest": colour_head, "regress": moved, "detector": twice}


def several(network, heads, best="nearest", **calibrations):
    kept = KeptHeads(heads, Result(best=best), Config(), np.zeros([1, *SIZE, 3]), calibrations=calibrations)
    return SeveralHeads(network, FRAME, kept)


def pictures():
    return as_uint8(coloured_cells(CELLS, scale=SCALE))


def test_the_best_head_predicts_and_the_others_say_how_far_they_are_off(colour_network, heads):
    lines = {"expected": np.array([[1.0, 0.0]] * 3)}
    labelled = {name: heads[name] for name in ("nearest", "regress")}
    asked = several(colour_network, labelled, nearest=lines)
    found = asked.together(pictures())
    assert asked.disagree and asked.frame == FRAME and asked.full_size == SIZE
    np.testing.assert_allclose(found["points"][0], centres(CELLS, scale=SCALE), atol=0.1)
    np.testing.assert_allclose(found["disagreement"], [[np.hypot(3 * 2, 4 * 3)] * 3], rtol=1e-5)
    alone = asked.landmarks(pictures())
    assert set(found) == {*alone, "disagreement", "of_heads"} and set(alone) == {"points", "score", "expected_error"}
    np.testing.assert_array_equal(found["of_heads"][:, 0], found["points"])
    for name, values in alone.items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("best", ["nearest", "detector"])
def test_a_detector_is_asked_in_its_own_frame(colour_network, heads, best):
    asked = several(colour_network, {name: heads[name] for name in ("nearest", "detector")}, best)
    assert asked.full_size == heads["detector"].frame.full_size
    assert asked.frame == (heads["detector"].frame if best == "detector" else FRAME)
    found = asked.together(pictures())
    np.testing.assert_allclose(found["disagreement"], [[5.0] * 3], atol=0.6)  # the picture is as wide as what it sees


@pytest.mark.parametrize("best", ["nearest", "detector"])
@pytest.mark.parametrize("exchanged", [(), (1, 0, 2)])
def test_a_detector_that_sees_mirror_images_is_asked_with_them(colour_network, heads, best, exchanged):
    size = (2 * SIZE[0] // 16 * 16, 2 * SIZE[1] // 16 * 16)
    network = tf.keras.Sequential([tf.keras.layers.AveragePooling2D(4), tf.keras.layers.Conv2D(64, 3, padding="same")])
    network.build([None, *size, 3])
    detector = Detector(network, HeatMaps(3, seed=0), size, frozen_norms=False, exchanged=exchanged)
    kernel, _ = compat.variables(detector.head)
    kernel.assign(100 * kernel)
    images = tf.cast(tf.random.stateless_uniform([2, *size, 3], [0, 1], 0, 255, tf.int32), tf.uint8)
    asked = several(colour_network, {"nearest": heads["nearest"], "detector": detector}, best)
    points = {"detector": np.asarray(detector(images)["points"])}
    points["nearest"] = np.asarray(several(colour_network, {"nearest": heads["nearest"]}).together(images)["points"])
    found = asked.together(images)
    np.testing.assert_allclose(found["points"], points[best], atol=1e-3)
    np.testing.assert_allclose(found["disagreement"], spread(np.stack(list(points.values()), axis=1)), atol=1e-3)


def test_one_head_alone_does_not_disagree(colour_network, heads):
    asked = several(colour_network, {"nearest": heads["nearest"]})
    assert not asked.disagree and not asked.together(pictures())["disagreement"].any()


def test_the_spread_is_the_mean_distance_of_two():
    points = [np.zeros([2, 1, 2]), np.tile([3.0, 4.0], [2, 1, 1]), np.tile([0.0, 4.0], [2, 1, 1])]
    np.testing.assert_allclose(spread(np.stack(points, axis=1)), [[(5 + 4 + 3) / 3]] * 2)
    assert spread(np.zeros([2, 1, 3, 2])).shape == (2, 3)
