"""Tests of what detectors learn from pictures without annotations."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.config import ViewsConfig
from dense_labels.detection import fitting, pile, views
from models.detectors import Detector
from models.refining_detectors import RefiningDetector
from models.second_look import SecondLook
from tests.models import labelled

SIZE = (48, 64)


@pytest.fixture(scope="module")
def squares():
    """Forty dark images with a bright square, and the square's centre, which is the only landmark."""
    return labelled.squares(40, SIZE, [16, 16], [48, 32])


def annotated(images, landmarks):
    ones = np.ones([len(images), 2], np.float32)
    return LabelledLandmarks(LabelMap(images, 1), landmarks, ones[:, :1], ones, ones[:, 0], np.arange(len(images)))


def centre_of_brightness(images):
    light = tf.nn.relu(tf.reduce_mean(images, axis=-1) - 0.3)
    x, y = (tf.range(side, dtype=tf.float32) + 0.5 for side in (SIZE[1], SIZE[0]))
    sums = [tf.reduce_sum(light * x, axis=[1, 2]), tf.reduce_sum(light * y[:, tf.newaxis], axis=[1, 2])]
    return {"points": (tf.stack(sums, axis=-1) / tf.reduce_sum(light, axis=[1, 2])[:, tf.newaxis])[:, tf.newaxis]}


def test_answers_on_turned_images_are_turned_back(squares):
    found = pile.taught(centre_of_brightness, squares.labels.values, np.array([True]))
    assert np.linalg.norm(found.landmarks - squares.landmarks, axis=-1).max() < 0.25
    assert found.labels.values is squares.labels.values


def test_the_mean_of_both_answers_is_taken_and_half_their_distance_counts(squares, monkeypatch):
    off = np.arange(len(squares)) + 1.0  # how far each answer is from the mean of both, in pixels
    monkeypatch.setattr(pile, "_AT_ONCE", len(squares))
    monkeypatch.setattr(
        pile,
        "_seen_turned",
        lambda _, images, angle: squares.landmarks + np.sign(angle) * np.stack([0 * off, off], axis=-1)[:, np.newaxis],
    )
    found = pile.taught(None, squares.labels.values, np.array([True]))
    np.testing.assert_allclose(found.landmarks, squares.landmarks, atol=1e-5)
    np.testing.assert_allclose(found.annotated[:, 0], np.exp(-np.square(off / (2 * np.median(off)))), rtol=1e-5)


def test_what_moves_when_an_image_is_turned_counts_less(squares):
    below = np.float32([SIZE[1] / 2, SIZE[0] / 2 + 20])

    def partly_wrong(images):
        """Right but for the last quarter, at the right: always at one place, whichever way the image is turned."""
        points = centre_of_brightness(images)["points"]
        return {"points": tf.where(points[..., :1] < 40, points, below)}

    found = pile.taught(partly_wrong, squares.labels.values, np.array([True]))
    left, right = squares.landmarks[:, 0, 0] < 36, squares.landmarks[:, 0, 0] > 44
    assert found.annotated[left].mean() > 0.5 > 0.1 > found.annotated[right].max()


def test_a_landmark_that_a_detector_was_not_taught_does_not_count(squares):
    def two(images):
        points = centre_of_brightness(images)["points"]
        return {"points": tf.concat([points, tf.zeros_like(points)], axis=1)}

    found = pile.taught(two, squares.labels.values, np.array([True, False]))
    alone = pile.taught(centre_of_brightness, squares.labels.values, np.array([True]))
    assert not found.annotated[:, 1].any()
    np.testing.assert_allclose(found.annotated[:, 0], alone.annotated[:, 0], rtol=1e-3)


@pytest.mark.usefixtures("small_networks")
def test_a_second_detector_is_not_taught_what_the_first_was_not(squares, monkeypatch):
    """The second landmark is annotated in none of the images: what the first detector says of it is chance."""
    twice, seen = squares.landmarks[:4].repeat(2, axis=1), []
    known = dataclasses.replace(squares.take(np.arange(4)), landmarks=twice, annotated=np.float32([[1, 0]] * 4))
    plain = Detector.create(2, SIZE, weights="none", seed=0)
    first = RefiningDetector(plain, SecondLook(np.zeros([21, 21, 2]), np.zeros([2, 2])), 1)
    monkeypatch.setattr(fitting, "_train", lambda _, views_from, *rest: seen.append(views_from.args[0]))
    fitting.fit_with_pile(known, squares.labels.values[4:], first, fitting.Settings(ViewsConfig(), "none", 0))
    assert len(seen[0]) == 40 and seen[0].annotated[:, 0].all() and not seen[0].annotated[:, 1].any()


@pytest.mark.parametrize("known, others, repeats", [(2, 30, 5), (7, 30, 1), (20, 20, 1), (10, 30, 1)])
def test_annotated_images_are_about_a_quarter(squares, known, others, repeats):
    first, second = squares.take(np.arange(known)), squares.take(np.arange(others))
    images, rows = pile.joined(first, second)
    assert len(images) == known + others
    np.testing.assert_array_equal(images.labels.values[known:], second.labels.values)
    counts = np.bincount(rows)
    assert (counts[:known] == repeats).all() and (counts[known:] == 1).all()
    np.testing.assert_array_equal(images.landmarks[known:], second.landmarks)


def test_a_pile_is_less_by_pictures_and_their_copies():
    images = np.zeros([5, 2, 2, 3], np.uint8) + np.arange(5, dtype=np.uint8)[:, np.newaxis, np.newaxis, np.newaxis]
    origins = [("a", "1"), ("b", "2"), ("b", "2"), ("copy of c", "3"), ("d", "4")]  # of b two boxes
    less = pile.Pile(images, origins).without({("b", "2"), ("c", "3")})
    assert less.images[:][:, 0, 0, 0].tolist() == [0, 4] and less.origins == [("a", "1"), ("d", "4")]
    assert len(less.without(less.origins).images) == 0


def test_a_second_detector_is_taught_by_the_first(squares, monkeypatch):
    seen = []
    monkeypatch.setattr(fitting, "_train", lambda _, views_from, *rest: seen.append((views_from(), *rest)))
    settings = fitting.Settings(ViewsConfig(), weights="none", seed=0)
    plain = Detector.create(1, SIZE, weights="none", seed=0)
    first = RefiningDetector(plain, SecondLook(np.zeros([21, 21, 1]), np.zeros([1, 2])), 1)
    known, others = squares.take(np.arange(4)), squares.labels.values[4:]
    assert fitting.fit_with_pile(known, others[:0], first, settings) is first
    second = fitting.fit_with_pile(known, others, first, settings)
    ((data, steps, what, _),) = seen
    assert second is not first and steps == fitting.steps_for(4) and what == "Training a detector with the pile"
    batch = next(iter(data))
    assert batch.images.shape == (8, *SIZE, 3) and 0 < float(tf.reduce_min(batch.known)) < 1


def test_the_pile_is_held_once_while_a_second_detector_is_fitted(squares, monkeypatch):
    taken = []

    def train(detector, views_from, *_):
        taken.append(next(iter(views_from())))

    monkeypatch.setattr(fitting, "_train", train)
    monkeypatch.setattr(pile, "taught", lambda _, images, __: pile.annotated(
        images, np.full([len(images), 1, 2], 20, np.float32), np.ones([len(images), 1], np.float32)))  # fmt: skip
    settings = fitting.Settings(ViewsConfig(), weights="none", seed=0)
    plain = Detector.create(1, SIZE, weights="none", seed=0)
    first = RefiningDetector(plain, SecondLook(np.zeros([21, 21, 1]), np.zeros([1, 2])), 1)
    heap = pile.Pile(np.zeros([10_000, *SIZE, 3], np.uint8), [(number,) for number in range(10_000)])
    tracemalloc.start()
    others = heap.without({(5,), (7,)})
    fitting.fit_with_pile(squares, others.images, first, settings)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(others.images) == 9998 and taken[0].images.shape == (8, *SIZE, 3)
    assert most < heap.images.nbytes / 3  # which is 92 MB


def test_images_of_several_arrays_give_the_views_of_one(squares):
    several, rows = pile.joined(squares.take(np.arange(3)), squares.take(np.arange(10, 30)))
    one = dataclasses.replace(several, labels=LabelMap(several.labels.values[:], 1))
    assert isinstance(one.labels.values, np.ndarray) and not isinstance(several.labels.values, np.ndarray)
    options = {"flip_pairs": (), "batch_size": 16, "seed": 2, "rows": rows}
    both = (next(iter(views.batches(images, ViewsConfig(), **options))) for images in (several, one))
    for found, expected in zip(*both):
        np.testing.assert_array_equal(found, expected)
