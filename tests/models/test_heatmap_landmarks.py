"""Tests of the heat-map head: planted maps, the loss in plain numpy, and fits to labels that are their own place."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.registry import HEADS
from models import heatmap_landmarks
from tests.models.labelled import labelled

STRIDE, HEIGHT, WIDTH = 4, 6, 8
SHORT = {"seed": 3, "epochs": 1, "steps": 60}


def fit(labels, landmarks, annotated=None, **options):
    known = labelled(labels, np.float32(landmarks), annotated, stride=STRIDE)
    return heatmap_landmarks.fit_heatmaps(known, **{**SHORT, **options})


def centres():
    x, y = np.meshgrid((np.arange(WIDTH) + 0.5) * STRIDE, (np.arange(HEIGHT) + 0.5) * STRIDE)
    return np.stack([x, y], axis=-1)  # [h, w, 2]


def gaussian(points, deviation=STRIDE):
    """Values [N, K, h, w] of Gaussians about points [N, K, 2], 1 at their tops."""
    squared = np.sum((centres() - np.asarray(points)[:, :, np.newaxis, np.newaxis]) ** 2, axis=-1)
    return np.exp(-squared / (2 * deviation**2))


def places(count, landmarks, seed, margin=STRIDE):
    rng = np.random.default_rng(seed)
    return rng.uniform([margin] * 2, [WIDTH * STRIDE - margin, HEIGHT * STRIDE - margin], [count, landmarks, 2])


def spots(landmarks, seed, noise=0.05):
    """Label maps [N, h, w, K + 1] whose direction turns to channel k about landmark k, and to the last far from all."""
    values = np.moveaxis(gaussian(landmarks), 1, -1)
    labels = np.concatenate([values, 1 - values.max(axis=-1, keepdims=True)], axis=-1)
    return (labels + np.random.default_rng(seed).normal(0, noise, labels.shape)).astype(np.float32)


@pytest.mark.parametrize("deviation", [0.6 * STRIDE, STRIDE, 2 * STRIDE])
def test_the_peak_of_a_gaussian_is_found_exactly(deviation):
    points = places(20, 3, seed=0)
    found = heatmap_landmarks.peaks(tf.constant(np.log(0.3 * gaussian(points, deviation)), tf.float32), STRIDE)
    np.testing.assert_allclose(found, points, atol=1e-3)


def test_at_the_border_a_peak_moves_along_it_alone():
    points = np.array([[[1.0, 11.0], [30.5, 23.5], [15.0, 0.0]]])
    found = heatmap_landmarks.peaks(tf.constant(np.log(gaussian(points)), tf.float32), STRIDE)
    np.testing.assert_allclose(found, [[[2, 11], [30, 22], [15, 2]]], atol=1e-4)


def test_of_maps_that_are_flat_any_cell_will_do():
    found = heatmap_landmarks.peaks(tf.fill([1, 1, HEIGHT, WIDTH], -0.5), STRIDE)
    np.testing.assert_array_equal(found, [[[2, 2]]])


def test_the_loss_in_plain_numpy():
    rng = np.random.default_rng(0)
    logits, points = rng.normal(0, 2, [3, HEIGHT, WIDTH, 2]), places(3, 2, seed=1)
    annotated = np.array([[1, 0], [1, 1], [0, 0]])
    target, found = gaussian(points), 1 / (1 + np.exp(-np.moveaxis(logits, -1, 1)))
    total = 0
    for n, k in zip(*np.nonzero(annotated)):
        equal = HEIGHT * WIDTH / np.sum(target[n, k] ** 2)  # lambda
        total += np.mean((1 + equal * target[n, k] ** 2) * (found[n, k] - target[n, k]) ** 2) / 2
    arguments = [tf.constant(values, tf.float32) for values in (logits, points, annotated)]
    np.testing.assert_allclose(heatmap_landmarks.weighted_distance(*arguments, STRIDE), total / 3, rtol=1e-5)
    arguments[2] = tf.zeros([3, 2])
    assert float(heatmap_landmarks.weighted_distance(*arguments, STRIDE)) == 0


@pytest.fixture(scope="module")
def fitted():
    """A head that was never told where the last landmark is in half of its images."""
    known = places(24, 3, seed=2)
    annotated = np.ones([24, 3], np.float32)
    annotated[::2, 2] = 0
    told = np.where(annotated[..., np.newaxis] > 0, known, np.nan)
    return fit(spots(known, seed=3), told, annotated)


def test_a_head_finds_what_it_was_fitted_to_in_other_images(fitted):
    test = places(30, 3, seed=4)
    found = fitted(spots(test, seed=5))
    assert np.linalg.norm(found["points"] - test, axis=-1).mean() < STRIDE / 4
    assert found["heatmaps"].shape == [30, 3, HEIGHT, WIDTH]
    np.testing.assert_array_equal(found["score"], np.max(found["heatmaps"], axis=(2, 3)))
    assert np.mean(found["score"]) > 0.5 > np.mean(found["heatmaps"])


def test_the_length_of_a_label_says_nothing(fitted):
    labels = spots(places(4, 3, seed=6), seed=7)
    longer = labels * np.random.default_rng(0).uniform(0.1, 50, [4, HEIGHT, WIDTH, 1]).astype(np.float32)
    np.testing.assert_allclose(fitted(longer)["heatmaps"], fitted(labels)["heatmaps"], atol=1e-4)


def test_the_seed_and_the_images_alone_decide(fitted):
    del fitted
    known = places(5, 2, seed=8).astype(np.float32)
    known[0, 0] = [-50.0, 3.0]  # out of the image: it is not taught
    labels = spots(known, seed=9)
    annotated = np.ones([5, 2], np.float32)
    first, again, unseen, other = (
        fit(labels, points, known_, steps=4, seed=seed).get_weights()
        for points, known_, seed in (
            (known, annotated, 3),
            (known, annotated, 3),
            (known, annotated * (known >= 0).all(axis=-1), 3),
            (known, annotated, 4),
        )
    )
    for value, repeated, left_out, different in zip(first, again, unseen, other):
        np.testing.assert_array_equal(value, repeated)
        np.testing.assert_array_equal(value, left_out)
        assert np.abs(value - different).max() > 1e-4


def test_a_warm_start_goes_on_from_a_head_and_leaves_it_as_it_is(fitted):
    test = places(30, 3, seed=10)
    labels, before = spots(test, seed=11), fitted.get_weights()
    still, cold = (fit(labels[:1], test[:1], warm_start=head, steps=1) for head in (fitted, None))
    errors = [np.linalg.norm(head(labels)["points"] - test, axis=-1).mean() for head in (still, cold)]
    assert errors[0] < STRIDE / 2 < errors[1]
    for value, kept in zip(fitted.get_weights(), before):
        np.testing.assert_array_equal(value, kept)
    with pytest.raises(ValueError, match="is for 3 landmarks and labels of length 4; 2 and 4 are needed"):
        fit(labels, test[:, :2], warm_start=fitted)


def test_a_loss_that_is_not_finite_is_an_error(fitted, monkeypatch):
    monkeypatch.setattr(heatmap_landmarks, "_RATE", np.inf)
    with pytest.raises(FloatingPointError, match="loss of the heat maps is not finite after 2 steps; fit them again"):
        fit(spots(places(4, 3, seed=2), seed=3), places(4, 3, seed=2), steps=2)


def test_every_image_is_drawn_once_before_any_is_drawn_again():
    drawn = heatmap_landmarks._drawn(5, 4, 3, np.random.default_rng(0)).ravel()
    assert sorted(drawn[:5]) == sorted(drawn[5:10]) == list(range(5)) and drawn[:5].tolist() != drawn[5:10].tolist()


def test_the_layers_are_the_papers():
    head = heatmap_landmarks.HeatMapLandmarks(5, 64, 8)
    shapes = [variable.shape.as_list() for variable in head.trainable_variables]
    assert shapes == [[3, 3, 64, 512], [512], [512], [3, 3, 512, 5], [5]]
    assert head.logits(tf.zeros([1, 7, 9, 64])).shape == [1, 7, 9, 5]


def test_what_cannot_be_fitted_is_refused():
    known = places(2, 2, seed=12).astype(np.float32)
    labels, annotated = spots(known, seed=13), np.float32([[1, 0], [1, 0]])
    with pytest.raises(ValueError, match="no landmark is annotated, where the network sees it, in the 2 images"):
        fit(labels, known, 0 * annotated)
    with pytest.raises(ValueError, match="the labels are all zero or not all finite"):
        fit(0 * labels, known, annotated)
    with pytest.raises(ValueError, match="label maps must be of 2 x 2 cells at least; found 1 x "):
        fit(labels[:, :1], known, annotated)
    with pytest.raises(ValueError, match="landmark 1 is annotated in none of the 2 images"):
        HEADS["heatmaps"].value.fit(labelled(labels, known, annotated, stride=STRIDE), upsample=2, seed=0)
    known[:, 1] = [-1, 3]
    with pytest.raises(ValueError, match="landmark 1 lies outside of what the network sees in all images where it is"):
        heatmap_landmarks.check_inside(labelled(labels, known, annotated + 1, stride=STRIDE))


def test_a_landmark_that_lies_outside_in_all_images_is_learned_at_the_edge():
    """Such as an ear tip of the few that were drawn, cut off by the crop: else its map would be a random one."""
    known, new = places(12, 2, seed=1), places(6, 2, seed=2)
    outside = known.copy()
    outside[:, 1, 0] = -9.0
    head = fit(spots(known, seed=1), outside, epochs=4)
    found = head(spots(new, seed=2))["points"].numpy()
    assert found[:, 1, 0].max() < 2 * STRIDE
    assert np.linalg.norm(found[:, 0] - new[:, 0], axis=-1).mean() < STRIDE
