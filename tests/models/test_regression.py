"""Tests of how landmark regression is fitted: labels that are a known function of the object."""

import tracemalloc

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.method import sparse_landmarks
from models import nearest_landmarks, regressed_landmarks, regression
from tests.models.labelled import labelled

STRIDE, HEIGHT, WIDTH = 2, 20, 24
OBJECT_LANDMARKS = np.array([[-0.5, -0.4], [0.45, -0.3], [0.05, 0.4]])  # in units of the object, 0 its middle


def synthetic_views(count, seed):
    """An object about as large as the frame, shifted, turned and resized at random; its labels move along with it.

    They are a smooth function of the place on the object that takes no value twice, and not of unit length.
    """
    rng = np.random.default_rng(seed)
    middle = np.array([WIDTH, HEIGHT]) * STRIDE / 2 + rng.uniform(-4, 4, size=[count, 1, 2])
    angle = rng.uniform(-0.2, 0.2, size=[count, 1])
    axis = 20 * rng.uniform(0.9, 1.1, size=[count, 1, 1]) * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    turn = np.concatenate([axis, np.stack([-axis[..., 1], axis[..., 0]], axis=-1)], axis=1)  # images of x and y
    grid = np.stack(np.meshgrid(STRIDE * np.arange(WIDTH) + 1.0, STRIDE * np.arange(HEIGHT) + 1.0), axis=-1)
    x, y = np.moveaxis((grid.reshape([-1, 2]) - middle) @ np.linalg.inv(turn), -1, 0)
    longitude, latitude = 0.9 * x + 0.1 * y**2, 0.8 * y
    unit = [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    labels = (10 + x)[..., np.newaxis] * np.stack(unit, axis=-1)
    landmarks = OBJECT_LANDMARKS @ turn + middle
    return labels.reshape([count, HEIGHT, WIDTH, 3]).astype(np.float32), landmarks.astype(np.float32)


def with_a_distraction(views, seed):
    """The same views with a fourth number in the labels that says nothing: a wave across the image."""
    labels, landmarks = views
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    phase, (across, down) = rng.uniform(0, 6, [len(labels), 1, 1]), rng.normal(0, 0.4, [2, len(labels), 1, 1])
    wave = 8 * np.sin(across * x + down * y + phase)
    return np.concatenate([labels, wave[..., np.newaxis]], axis=-1, dtype=np.float32), landmarks


def fit(views, form, annotated=None, **options):
    known = labelled(*views, annotated, stride=STRIDE)
    return regression.fit_regress(known, **{"form": form, "seed": 0, **options})


def errors(head, views):
    labels, landmarks = views
    return np.linalg.norm(head(labels)["points"] - landmarks, axis=-1)


forms = pytest.mark.parametrize("form", regression.FORMS)


@pytest.fixture(scope="module")
def others():
    return synthetic_views(40, seed=9)


@forms
def test_landmarks_of_other_views_are_found_exactly(form, others):
    head = fit(synthetic_views(120, seed=1), form, steps=0)
    assert head.vectors.shape == [{"shared": 1, "each": 3}[form], 50, 3]
    assert errors(head, others).max() < 0.01


@forms
def test_training_learns_what_to_look_at(form, others):
    views, others = with_a_distraction(synthetic_views(200, seed=1), seed=2), with_a_distraction(others, seed=3)
    before, after = (errors(fit(views, form, steps=steps), others).mean() for steps in (0, 200))
    assert after < 0.8 * before < 0.02


@forms
@pytest.mark.parametrize("count, bound", [(1, 1.5), (20, 0.05)])
def test_a_few_images_do(form, count, bound, others):
    views = synthetic_views(count, seed=1)
    mean_shape = np.linalg.norm(views[1].mean(axis=0) - others[1], axis=-1).mean()
    assert errors(fit(views, form), others).mean() < bound < mean_shape / 2


def test_one_image_moves_the_landmarks_own_points_by_what_they_miss_there():
    views = synthetic_views(1, seed=1)
    head = fit(views, "shared")
    assert errors(head, views).max() < 1e-3
    np.testing.assert_allclose(head.matrices, [np.eye(100)[:, 2 * k : 2 * k + 2] for k in range(3)], atol=1e-6)


@pytest.mark.parametrize("count", [2, 9])
def test_one_picture_leaves_the_prior_however_many_views_of_it_there_are(count):
    """They are left out together, and tell nothing of other pictures; before, rounding chose to interpolate them."""
    labels, landmarks = synthetic_views(count, seed=1)
    landmarks += np.random.default_rng(0).normal(size=landmarks.shape).astype(np.float32)
    known = labelled(labels, landmarks, stride=STRIDE, picture=np.zeros(count, int))
    head = regression.fit_regress(known, form="shared", seed=0)
    np.testing.assert_allclose(head.matrices, [np.eye(100)[:, 2 * k : 2 * k + 2] for k in range(3)], atol=1e-6)
    missed = landmarks - head(labels)["points"]
    np.testing.assert_allclose(np.mean(missed, axis=0), np.zeros([3, 2]), atol=1e-3)


def test_what_is_not_annotated_may_hold_anything_and_images_without_annotation_too(others):
    labels, landmarks = synthetic_views(9, seed=1)
    annotated = np.ones([9, 3], np.float32)
    annotated[2], annotated[5, 1] = 0, 0
    found = []
    for nothing in (np.nan, 1e6):
        known = np.where(annotated[..., np.newaxis] > 0, landmarks, np.float32(nothing))
        found.append(errors(fit((labels, known), "shared", annotated=annotated), others))
    np.testing.assert_allclose(*found, atol=1e-4)
    assert found[0].mean() < 0.3


def test_the_pictures_that_choose_are_not_fitted_to(monkeypatch):
    """Of twenty two choose; ridge regressions are solved before and after the descent, all on the other 18."""
    seen = []

    def noting(function):
        return lambda values, data, *rest: seen.append(data.maps.tolist()) or function(values, data, *rest)

    monkeypatch.setattr(regression, "_regress", noting(regression._regress))
    monkeypatch.setattr(regression, "_descend", noting(lambda start, *_: [start]))
    labels = np.random.default_rng(0).normal(size=[20, 4, 5, 3]).astype(np.float32)
    data = regression._data(labelled(labels, np.full([20, 1, 2], 4, np.float32), stride=STRIDE))
    regression._train(labels[:1, 0, :2], data, "shared", np.random.default_rng(1), 1)
    assert len(seen[0]) == 18 and seen == seen[:1] * 3


def test_a_seed_gives_the_same_head_and_another_seed_another():
    views = synthetic_views(115, seed=1)  # enough to be trained on
    first, again = (fit(views, "shared", steps=3) for _ in range(2))
    few = views[0][:3], views[1][:3]
    for a, b in zip(first.weights, again.weights):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    vectors = [fit(few, "shared", seed=seed).vectors for seed in (0, 1)]
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01


def test_the_size_of_the_labels_does_not_matter(others):
    labels, landmarks = synthetic_views(5, seed=1)
    points = [fit((labels * size, landmarks), "shared")(others[0] * size)["points"] for size in (1, 128)]
    np.testing.assert_allclose(*points, atol=0.02)


def test_many_landmarks_get_more_points():
    labels, landmarks = synthetic_views(2, seed=1)
    views = labels, np.tile(landmarks, [1, 9, 1])
    assert fit(views, "shared").vectors.shape == [1, 54, 3]
    assert fit(views, "each").vectors.shape == [27, 50, 3]


@forms
def test_images_are_looked_at_a_few_at_a_time_where_points_are_many(monkeypatch, form):
    views = synthetic_views(7, seed=1)
    expected = fit(views, form)
    monkeypatch.setattr(regression, "_AT_ONCE", 1)
    np.testing.assert_allclose(fit(views, form)(views[0])["points"], expected(views[0])["points"], atol=1e-4)


@pytest.mark.parametrize("with_offset", [True, False])
@pytest.mark.parametrize("rows, noise, views", [(30, 0.0, 1), (30, 0.3, 1), (6, 0.3, 1), (30, 0.3, 3), (12, 0.0, 4)])
def test_the_strength_of_the_ridge_is_the_best_by_leaving_each_picture_out(with_offset, rows, noise, views):
    picture = np.arange(rows) // views
    rng = np.random.default_rng(rows)
    x = rng.normal(size=[rows, 8]) * np.geomspace(1, 0.01, 8)
    y = x @ rng.normal(size=[8, 2]) + noise * rng.normal(size=[rows, 2])

    def solve(x, y, strength):
        mean = (x.mean(axis=0), y.mean(axis=0)) if with_offset else (0, 0)
        x, y = x - mean[0], y - mean[1]
        matrix = np.linalg.solve(x.T @ x + strength * np.eye(8), x.T @ y)
        return matrix, mean[1] - mean[0] @ matrix if with_offset else np.zeros(2)

    def left_out(strength):
        misses = []
        for each in range(rows // views):
            own = picture == each
            matrix, offset = solve(x[~own], y[~own], strength)
            misses.append(np.linalg.norm(x[own] @ matrix + offset - y[own], axis=-1))
        return np.mean(misses)

    centred = x - x.mean(axis=0) * with_offset
    strengths = 10.0 ** np.arange(2, -9, -1) * np.linalg.norm(centred, 2) ** 2
    matrix, offset = solve(x, y, min(strengths, key=left_out))
    found = regression._ridge(x, y, picture, with_offset)
    np.testing.assert_allclose(found[0], matrix, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[1], offset, rtol=1e-4, atol=1e-6)


# --- the network's own landmarks ---

OWN_LANDMARKS = np.array([[-0.7, -0.5], [0.6, -0.6], [0.1, 0.1], [-0.4, 0.7], [0.6, 0.5]])  # in units of the object


def own_views(count, seed, *, bend=0.0):
    """Heat maps that peak at five points of an object, between the cells, and landmarks that move with it.

    With `bend`, the object's first point moves by itself, and the first landmark follows it half the way.
    """
    rng = np.random.default_rng(seed)
    angle, size = rng.uniform(-0.5, 0.5, count), 11 * rng.uniform(0.8, 1.2, count)
    turn = size[:, None, None] * np.moveaxis([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], -1, 0)
    middle = np.array([WIDTH, HEIGHT]) * STRIDE / 2 + rng.uniform(-3, 3, [count, 1, 2])
    bent = bend * rng.uniform(-4, 4, [count, 2])
    points, landmarks = OWN_LANDMARKS @ turn + middle, OBJECT_LANDMARKS @ turn + middle
    points[:, 0] += bent
    landmarks[:, 0] += bent / 2
    centres = np.stack(np.meshgrid(STRIDE * np.arange(WIDTH) + 1.0, STRIDE * np.arange(HEIGHT) + 1.0), axis=-1)
    squared = np.sum((centres[:, :, np.newaxis] - points[:, np.newaxis, np.newaxis]) ** 2, axis=-1)
    return np.float32(-squared / 2 / 1.5**2), np.float32(landmarks)


def fit_own(views, annotated=None):
    return regression.fit_regress_own(labelled(*views, annotated, stride=STRIDE))


def test_a_landmark_that_moves_with_the_networks_own_is_known_from_one_image():
    head = fit_own(own_views(1, seed=1))
    np.testing.assert_array_equal(head.vectors, np.eye(5)[np.newaxis])
    np.testing.assert_array_equal(head.offsets, np.zeros([3, 2]))
    assert errors(head, own_views(20, seed=2)).max() < 0.05


def test_views_of_one_picture_are_as_one_image():
    """Left out together they leave nothing that could tell one strength of the ridge from another, but rounding."""
    heat_maps, landmarks = own_views(17, seed=1)
    landmarks += np.random.default_rng(0).normal(size=landmarks.shape).astype(np.float32)
    known = labelled(heat_maps, landmarks, stride=STRIDE, picture=np.zeros(17, int))
    head = regression.fit_regress_own(known)
    weights = head.matrices.numpy()
    np.testing.assert_array_equal(weights[:, ::2, 0], weights[:, 1::2, 1])  # the same of x and of y
    np.testing.assert_array_equal(weights[:, ::2, 1], np.zeros([3, 5]))
    np.testing.assert_allclose(weights[:, ::2, 0].sum(axis=1), np.ones(3), atol=1e-5)  # an affine combination


def test_its_points_are_the_landmarks_of_the_heat_maps():
    heat_maps, _ = own_views(3, seed=1)
    points = sparse_landmarks.landmarks(tf.constant(heat_maps), STRIDE).numpy()
    head = regressed_landmarks.RegressedLandmarks(
        np.eye(5)[np.newaxis], np.eye(10).reshape([10, 5, 2]).transpose([1, 0, 2]), np.zeros([5, 2]), STRIDE
    )
    np.testing.assert_allclose(head(heat_maps)["points"], points, atol=1e-4)


def test_annotated_images_teach_it_what_no_affine_combination_tells():
    test = own_views(20, seed=2, bend=1.0)
    few, many = (errors(fit_own(own_views(count, seed=1, bend=1.0)), test) for count in (1, 60))
    assert many.max() < 0.1 < few[:, 0].mean()


def test_points_along_a_line_say_nothing_across_it():
    x = np.array([[-0.5, 0.0, 0.0, 1e-6, 0.5, 0.0]])
    matrix = regression._affine(x, np.array([[0.25, 0.4]]))
    np.testing.assert_allclose(x @ matrix, [[0.25, 0.0]], atol=1e-5)
    assert np.abs(matrix).max() < 1


def test_own_landmarks_without_annotation_or_with_empty_maps_are_refused():
    heat_maps, landmarks = own_views(2, seed=1)
    with pytest.raises(ValueError, match="landmark 1 is annotated in none of the 2 images"):
        fit_own((heat_maps, landmarks), np.array([[1, 0, 1], [1, 0, 1]], np.float32))
    with pytest.raises(ValueError, match="the labels are all zero or not all finite"):
        fit_own((0 * heat_maps, landmarks))


def test_errors_say_what_is_wrong():
    labels, landmarks = synthetic_views(2, seed=1)
    nobody = np.array([[1, 0, 1], [1, 0, 1]], np.float32)
    with pytest.raises(ValueError, match="form='both': there is no such form; choose shared, each"):
        fit((labels, landmarks), "both")
    with pytest.raises(ValueError, match="landmark 1 is annotated in none of the 2 images"):
        fit((labels, landmarks), "shared", annotated=nobody)
    with pytest.raises(ValueError, match="the labels are all zero or not all finite"):
        fit((0 * labels, landmarks), "shared")
    with pytest.raises(ValueError, match="the label maps hold 1 different labels; 47 virtual points need as many"):
        fit((np.ones_like(labels), landmarks), "shared")


def test_the_labels_are_not_copied(monkeypatch):
    """Of thousands of annotated pictures they are gigabytes."""
    labels, landmarks = synthetic_views(300, seed=4)
    labels = np.tile(labels, 10)
    annotated = np.ones(landmarks.shape[:2])
    annotated[7] = 0  # a picture without any landmark is left out, which could cost a copy
    monkeypatch.setattr(nearest_landmarks, "_LOOKED_AT", 1000)  # copies of these few
    fit((labels[:120], landmarks[:120]), "shared", steps=1)  # what a first fit alone needs
    tracemalloc.start()
    fit((labels, landmarks), "shared", annotated, steps=20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.8 * labels.nbytes  # once the squares of all, for their mean


def test_what_does_best_on_pictures_that_were_held_out_is_kept(monkeypatch):
    """Two of twenty pictures, each with all of its views. Here a candidate errs by what it holds."""
    judged, fitted = [], []
    start, best, last = (np.full([1, 2, 3], value, np.float32) for value in (3.0, 1.0, 5.0))
    monkeypatch.setattr(regression, "_regress", lambda vectors, *_: (np.zeros(1), np.zeros(1)))
    monkeypatch.setattr(
        regression, "_descend", lambda begun, used, *_: fitted.append(used) or [[best, *begun[1:]], [last, *begun[1:]]]
    )
    monkeypatch.setattr(regression, "_positions", lambda data, vectors: judged.append(data) or vectors)
    monkeypatch.setattr(regression, "_mean_distance", lambda positions, *_: positions.mean())
    labels = np.random.default_rng(0).normal(size=[40, 4, 5, 3]).astype(np.float32)
    pictures = np.repeat(np.arange(20), 2)
    known = labelled(labels, np.full([40, 1, 2], 4, np.float32), stride=STRIDE, picture=pictures)
    kept = regression._train(start, regression._data(known), "shared", np.random.default_rng(1), 1)
    assert (kept[0] == best).all() and len(judged) == 4
    held_out = {picture for data in judged for picture in data.picture}
    assert len(held_out) == 2 and held_out.isdisjoint(fitted[0].picture) and len(fitted[0].picture) == 36
