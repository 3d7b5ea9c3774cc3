"""Tests of landmarks matched between images, and of what confidence is worth, on planted labels."""

import types

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.evaluation import confidence, descriptor_matching
from dense_labels.method import geometry
from dense_labels.pictures import confidence_gallery, gallery
from dense_labels.training import callbacks

STRIDE, HEIGHT, WIDTH = 4, 6, 10
LANDMARKS = np.array([[6.0, 6.0], [18.0, 10.0]])  # centres of cells (1, 1) and (2, 4)


@pytest.fixture
def maps():
    """Two images whose labels are their places; the second has its second landmark two cells further right."""
    x, y = np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT))
    plane = np.stack([x, y, np.ones_like(x)], axis=-1)
    plane /= np.linalg.norm(plane, axis=-1, keepdims=True)
    return {
        "labels": np.float32([plane, plane]),
        "landmarks": np.float32([LANDMARKS, LANDMARKS + [[0, 0], [2 * STRIDE, 0]]]),
        "annotated": np.ones([2, 2], np.float32),
    }


def match(maps):
    return descriptor_matching.match_landmarks(maps, stride=STRIDE, width=40, count=6)


def test_errors_are_shares_of_the_width(maps):
    found = match(maps)
    assert found.pair.tolist() == [0, 0, 1, 1]
    right, wrong = found.errors[0::2], found.errors[1::2]
    assert right.max() < 100 * STRIDE / 4 / 40  # on a grid four times finer
    np.testing.assert_allclose(wrong, 100 * 2 * STRIDE / 40, atol=100 * STRIDE / 4 / 40)
    np.testing.assert_allclose(found.confidence, 1, rtol=1e-5)
    assert found.score.min() > 0.99 and found.correct.tolist() == [True, False] * 2
    figures = descriptor_matching.figures(found)
    assert figures["nearest_descriptor_pck"] == 0.5
    assert figures["nearest_descriptor_error_percent"] == pytest.approx(found.errors.mean())


def test_landmarks_that_one_of_the_two_lacks_are_not_matched(maps):
    maps["annotated"][1, 1], maps["landmarks"][1, 1] = 0, np.nan
    found = match(maps)
    assert len(found.errors) == 2 and found.correct.all()
    maps["annotated"][:] = np.eye(2)
    assert match(maps) is None
    assert match({name: values[:1] for name, values in maps.items()}) is None


def test_what_confidence_is_worth_is_worked_out_in_each_order(maps):
    """The surer landmark is the right one, so its order is that of the errors; the cosine knows less."""
    matches = match(maps)._replace(errors=np.array([1.0, 9.0] * 2), confidence=np.array([5.0, 2.0] * 2))
    matches = matches._replace(score=np.array([0.1, 0.2, 0.4, 0.3]))
    found = descriptor_matching.confidence_figures(matches, maps, stride=STRIDE)
    assert found["risk_by_confidence"] == found["risk_of_the_errors"] < found["risk_by_cosine"]
    assert found["risk_at_random"] == pytest.approx(5)
    sigma = 1 / matches.confidence
    density = np.exp(matches.score / sigma) / (sigma * (np.exp(1 / sigma) - 1))  # equation (5), of points that match
    by_density = confidence.area_under_risk_coverage(matches.errors, density)
    assert found["risk_by_likelihood"] == pytest.approx(by_density)
    line = descriptor_matching.summary({**descriptor_matching.figures(matches), **found})
    assert "error in % of the width 5, share within 10 % 1, risk-coverage area by confidence 2.67, by cosine" in line


def test_confidence_on_the_object_is_compared_with_that_around_it(maps):
    """Cells in the grown box, columns 0 to 5 of rows 0 to 3, are surer than others but for one in 24."""
    maps["landmarks"][1] = LANDMARKS
    boxes = descriptor_matching.grown_boxes(maps["landmarks"], maps["annotated"], (HEIGHT, WIDTH), STRIDE)
    expected = np.zeros([HEIGHT, WIDTH], bool)
    expected[0:4, 0:6] = True  # x from 6 - 6 to 18 + 6, y from 6 - 6 to 10 + 6
    np.testing.assert_array_equal(boxes, [expected, expected])
    lengths = np.where(expected, 3.0, 1.0)
    lengths[1, 0] = 0.5
    maps["labels"] = np.float32(lengths[..., np.newaxis] * maps["labels"])
    found = descriptor_matching.confidence_figures(match(maps), maps, stride=STRIDE)
    assert found["confidence_roc_area"] == pytest.approx(23 / 24)


def test_an_image_without_landmarks_is_no_background(maps):
    alone = {name: np.concatenate([values, values[:1]]) for name, values in maps.items()}
    alone["annotated"][2], alone["landmarks"][2], alone["labels"][2] = 0, np.nan, 100
    matches = match(maps)
    area = "confidence_roc_area"
    assert descriptor_matching.confidence_figures(matches, alone, stride=STRIDE)[area] == pytest.approx(
        descriptor_matching.confidence_figures(matches, maps, stride=STRIDE)[area]
    )
    assert not descriptor_matching.grown_boxes(alone["landmarks"], alone["annotated"], (HEIGHT, WIDTH), STRIDE)[2].any()
    maps["landmarks"] = np.float32([[[0, 0], [40, 24]]] * 2)  # all cells lie in the box: there is no background
    assert area not in descriptor_matching.confidence_figures(matches, maps, stride=STRIDE)


# --- pictures of a run ---


def examples(count=4, size=32):
    """Pairs of which B is A moved 4 pixels right, so that what is in its last cell is not seen."""
    image = np.random.default_rng(0).uniform(size=[count, size, size, 3]).astype(np.float32)
    places = geometry.cell_centres(size // STRIDE, size // STRIDE, STRIDE).numpy() + [4.0, 0.0]
    return {
        "image_a": image,
        "image_b": np.roll(image, 4, axis=2),
        "points_in_b": np.float32([places] * count),
        "visible": np.float32([places[..., 0] < size] * count),
    }


def colours(images):
    """A network whose descriptors are the pixels of cells, 4 times as certain at the top."""
    labels = tf.nn.space_to_depth(images, STRIDE) - 0.5
    sure = tf.linspace(4.0, 1.0, labels.shape[1])[:, tf.newaxis, tf.newaxis]
    return tf.math.l2_normalize(labels, axis=-1) * sure


def test_pairs_are_drawn_with_their_confidence_in_tensorboard_and_in_files(monkeypatch):
    written = {}
    monkeypatch.setattr(
        gallery, "write_tensorboard", lambda folder, scalars, pictures, step, matches: written.update(pictures)
    )
    for drawn_too in (False, True):
        written.clear()
        callback = callbacks.Pictures("somewhere", examples(), STRIDE, confidence=drawn_too)
        callback.model = types.SimpleNamespace(network=colours)
        callback.on_epoch_end(0)
        drawn = {"confidence", "matches", "trust"}
        assert drawn & set(written) == (drawn if drawn_too else set()) and {"labels", "transfer"} <= set(written)
    assert all(np.ptp(written[name]) > 100 for name in drawn)


def test_matches_in_pairs_are_those_that_the_warp_says(monkeypatch):
    """The views are the same but for the shift, so every point is found where it is."""
    seen = {}
    monkeypatch.setattr(confidence_gallery, "_trust_picture", lambda matches: seen.update(matches=matches))
    confidence_gallery.pair_pictures(colours, examples(), STRIDE, points=10)
    assert seen["matches"].errors.shape == (40,) and np.median(seen["matches"].errors) < 100 * STRIDE / 4 / 32
    assert 0.99 < seen["matches"].confidence.min() < 2 < seen["matches"].confidence.max() < 4.01


def test_neighbours_with_landmarks_in_common_are_drawn(maps):
    frames = {
        "image": tf.constant(examples(3)["image_a"]),
        "landmarks": tf.fill([3, 2, 2], 10.0),
        "annotated": tf.constant([[1.0, 0], [1, 0], [0, 1]]),
    }
    names = set(confidence_gallery.landmark_pictures(colours, frames, match(maps), STRIDE))
    assert names == {"trust_between", "matches_between"}
    frames["annotated"] = tf.constant([[1.0, 0], [0, 1], [1, 0]])
    assert set(confidence_gallery.landmark_pictures(colours, frames, match(maps), STRIDE)) == {"trust_between"}
