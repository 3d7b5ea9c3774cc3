"""Tests of the landmark head: planted label maps, and the likelihood in plain float64 numpy."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.method import matching
from models import nearest_landmarks
from tests.models.labelled import labelled

STRIDE, HEIGHT, WIDTH = 2, 5, 8


def planted(cells, length, value=50.0):
    """A label map [1, h, w, L] that is 0 but for unit vector k, times `value`, at the k-th cell."""
    labels = np.zeros([1, HEIGHT, WIDTH, length], np.float32)
    for k, (row, column) in enumerate(cells):
        labels[0, row, column, k] = value
    return tf.constant(labels)


def bilinear(labels, points):
    """Labels [h, w, L] at points [P, 2] in pixels, in float64."""
    height, width, _ = labels.shape
    x = np.clip(points[:, 0] / STRIDE - 0.5, 0, width - 1)
    y = np.clip(points[:, 1] / STRIDE - 0.5, 0, height - 1)
    j, i = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    u, v = (x - j)[:, np.newaxis], (y - i)[:, np.newaxis]
    top = labels[i, j] * (1 - u) + labels[i, j + 1] * u
    return top * (1 - v) + (labels[i + 1, j] * (1 - u) + labels[i + 1, j + 1] * u) * v


# --- reading ---


def test_a_planted_landmark_is_found_at_its_cell():
    cells = [(1, 6), (3, 2)]
    found = nearest_landmarks.NearestLandmarks(np.eye(2), STRIDE, upsample=4)(planted(cells, 2))
    centres = [[[13, 3], [5, 7]]]
    assert {name: values.shape for name, values in found.items()} == {
        "cell": [1, 2, 2],
        "subpixel": [1, 2, 2],
        "points": [1, 2, 2],
        "score": [1, 2],
    }
    np.testing.assert_allclose(found["cell"], centres)
    np.testing.assert_allclose(found["subpixel"], centres, atol=1e-3)  # the peak is symmetric
    np.testing.assert_allclose(found["score"], [[1, 1]], atol=1e-6)


def test_score_is_the_probability_of_the_best_cell():
    label = planted([(1, 6), (3, 2)], 2, value=3.0)
    found = nearest_landmarks.NearestLandmarks(np.diag([1.0, 0.5]), STRIDE, upsample=1)(label)
    others = HEIGHT * WIDTH - 1
    expected = [[np.exp(3) / (np.exp(3) + others), np.exp(1.5) / (np.exp(1.5) + others)]]
    np.testing.assert_allclose(found["score"], expected, rtol=1e-5)


@pytest.mark.parametrize("upsample", [1, 3, 4])
def test_labels_without_content_are_expected_in_the_middle(upsample):
    found = nearest_landmarks.NearestLandmarks(np.ones([3, 2]), STRIDE, upsample=upsample)(
        tf.ones([2, HEIGHT, WIDTH, 2])
    )
    np.testing.assert_allclose(found["subpixel"], np.tile([8.0, 5.0], [2, 3, 1]), rtol=1e-5)
    np.testing.assert_allclose(found["score"], np.full([2, 3], 1 / 40), rtol=1e-5)


def test_a_landmark_between_two_cells_is_read_between_them():
    labels = planted([(2, 3)], 1).numpy()
    labels[0, 2, 4] = 50.0
    found = nearest_landmarks.NearestLandmarks(np.ones([1, 1]), STRIDE, upsample=4)(tf.constant(labels))
    np.testing.assert_allclose(found["subpixel"], [[[8.0, 5.0]]], atol=1e-3)
    assert found["cell"].numpy().tolist() == [[[7.0, 5.0]]]  # the first of the two


@pytest.mark.parametrize("upsample", [1, 2, 4])
def test_decodings_agree_with_loops(upsample):
    rng = np.random.default_rng(upsample)
    vectors, labels = rng.normal(size=[3, 4]), rng.normal(size=[2, HEIGHT, WIDTH, 4])
    found = nearest_landmarks.NearestLandmarks(vectors, STRIDE, upsample=upsample)(tf.constant(labels, tf.float32))
    for n in range(2):
        for k in range(3):
            scores = labels[n] @ vectors[k]
            row, column = np.unravel_index(np.argmax(scores), scores.shape)
            np.testing.assert_allclose(found["cell"][n, k], [2 * column + 1, 2 * row + 1])
            np.testing.assert_allclose(found["score"][n, k], np.exp(scores.max()) / np.exp(scores).sum(), rtol=1e-5)
            side, mean, total = STRIDE / upsample, np.zeros(2), 0.0
            for i in range(HEIGHT * upsample):
                for j in range(WIDTH * upsample):
                    place = np.array([(j + 0.5) * side, (i + 0.5) * side])
                    p = np.exp(bilinear(labels[n], place[np.newaxis])[0] @ vectors[k])
                    mean, total = mean + p * place, total + p
            np.testing.assert_allclose(found["subpixel"][n, k], mean / total, rtol=1e-5)


def test_the_probability_is_that_of_matching_with_z_in_the_place_of_a_label():
    rng = np.random.default_rng(0)
    vectors, labels = (
        tf.constant(rng.normal(size=[3, 4]), tf.float32),
        tf.constant(rng.normal(size=[1, 2, 3, 4]), tf.float32),
    )
    log_p = matching.match_log_probability(vectors, tf.reshape(labels, [6, 4]))
    found = nearest_landmarks.NearestLandmarks(vectors.numpy(), STRIDE, upsample=1)(labels)
    np.testing.assert_allclose(found["score"][0], np.exp(log_p).max(axis=-1), rtol=1e-5)


def test_the_vectors_are_the_layers_only_weight_and_are_frozen():
    vectors = np.random.default_rng(0).normal(size=[3, 4])
    head = nearest_landmarks.NearestLandmarks(vectors, STRIDE, upsample=4)
    assert head.trainable_weights == [] and len(head.weights) == 1
    np.testing.assert_allclose(head.vectors, vectors, rtol=1e-6)


def test_sizes_may_be_known_only_when_run():
    head = nearest_landmarks.NearestLandmarks(np.eye(2), STRIDE, upsample=4)
    run = tf.function(head, input_signature=[tf.TensorSpec([None, None, None, 2])], autograph=False)
    labels = planted([(1, 6), (3, 2)], 2)
    for name, values in head(labels).items():
        np.testing.assert_allclose(run(labels)[name], values, rtol=1e-6)


# --- fitting ---

OBJECT_LANDMARKS = np.array([[-0.5, -0.3], [0.4, -0.1], [0.05, 0.45]])  # in units of the object, 0 its middle


def synthetic_views(count, seed):
    """Views of an object 50 x 40 pixels large at random places and sizes of 64 x 72 frames.

    Its labels are ten times the unit vector at the latitude and longitude that grow across the object: a smooth label
    field that moves along with the object, as training makes them.
    """
    rng = np.random.default_rng(seed)
    middles = np.array([36, 32]) + rng.uniform(-5, 5, size=[count, 2])
    sizes = np.array([25, 20]) * rng.uniform(0.9, 1.1, size=[count, 1])
    places = np.stack(np.meshgrid(2 * np.arange(36) + 1.0, 2 * np.arange(32) + 1.0), axis=-1)
    q = (places - middles[:, np.newaxis, np.newaxis]) / sizes[:, np.newaxis, np.newaxis]
    longitude, latitude = 0.9 * q[..., 0] + 0.1 * q[..., 1] ** 2, 0.8 * q[..., 1]
    unit = [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    landmarks = middles[:, np.newaxis] + OBJECT_LANDMARKS * sizes[:, np.newaxis]
    return (10 * np.stack(unit, axis=-1)).astype(np.float32), landmarks.astype(np.float32)


def likelihood(vectors, labels, landmarks, annotated):
    """Mean negative log-likelihood of each landmark in float64, and how far the expected labels miss the true ones."""
    value, missing = np.zeros(len(vectors)), np.zeros_like(vectors, dtype=float)
    for k, z in enumerate(vectors.astype(float)):
        for view, places, known in zip(labels.astype(float), landmarks.astype(float), annotated):
            if known[k]:
                target = bilinear(view, places[k : k + 1])[0]
                scores = (view @ z).ravel()
                weights = np.exp(scores - scores.max())
                value[k] += np.log(weights.sum()) + scores.max() - target @ z
                missing[k] += weights @ view.reshape([-1, len(z)]) / weights.sum() - target
    counts = annotated.sum(axis=0)
    return value / counts, missing / counts[:, np.newaxis]


def fit(labels, landmarks, annotated):
    return nearest_landmarks.fit_nearest(labelled(labels, landmarks, annotated, stride=STRIDE))


@pytest.fixture(scope="module")
def fitted():
    labels, landmarks = synthetic_views(70, seed=1)  # more than the fit takes in at once
    annotated = (np.random.default_rng(2).uniform(size=landmarks.shape[:2]) < 0.6).astype(np.float32)
    return labels, landmarks, annotated, fit(labels, landmarks, annotated)


def test_the_fit_finds_landmarks_of_other_views_below_the_pixel(fitted):
    vectors = fitted[-1]
    assert vectors.shape == (3, 3) and vectors.dtype == np.float32
    labels, landmarks = synthetic_views(12, seed=9)
    found = nearest_landmarks.NearestLandmarks(vectors, STRIDE, upsample=4)(labels)
    errors = {name: np.linalg.norm(found[name] - landmarks, axis=-1) for name in ("cell", "subpixel")}
    assert errors["subpixel"].mean() < 0.3
    assert errors["subpixel"].max() < 0.6
    assert errors["cell"].max() < 2.0  # the best cell or its neighbour
    assert errors["cell"].mean() > errors["subpixel"].mean()


def test_but_for_its_prior_the_fit_is_the_best_there_is(fitted, monkeypatch):
    monkeypatch.setattr(nearest_landmarks, "_TO_MEAN", 1e-9)
    monkeypatch.setattr(nearest_landmarks, "_TO_ZERO", 1e-9)
    labels, landmarks, annotated, _ = fitted
    landmarks = landmarks.copy()
    landmarks[64:] += [6, -4]  # annotators disagree, and all of them count
    vectors = fit(labels, landmarks, annotated)
    data = labels, landmarks, annotated
    best, missing = likelihood(vectors, *data)
    # Where the likelihood is greatest the expected label is the true one: the mean of an exponential family.
    np.testing.assert_allclose(missing, 0, atol=0.01)
    rng = np.random.default_rng(3)
    for scale in (0.3, 0.3, 1, 1, 3):
        moved, _ = likelihood(vectors + scale * rng.normal(size=vectors.shape), *data)
        assert np.all(moved > best)


@pytest.mark.parametrize("count", [1, 3])
def test_with_its_prior_it_is_the_best_there_is(count):
    labels, landmarks = synthetic_views(count, seed=1)
    annotated = np.ones([count, 3])
    means = np.mean([bilinear(*each) for each in zip(labels, landmarks)], axis=0)  # [K, L]
    to_mean, to_zero = 100 * 0.01 / count / (1 + count / 50), 100 * 0.005 / count  # labels are of length 10

    def value(z):
        length = np.sum(z * means) / np.sum(means**2)  # the best there is
        drawn = to_mean * np.sum((z - length * means) ** 2) + to_zero * np.sum(z**2)
        return likelihood(z, labels, landmarks, annotated)[0].sum() + drawn / 2

    vectors, rng = fit(labels, landmarks, annotated).astype(float), np.random.default_rng(3)
    for size in (0.01, 0.1, 1):
        for _ in range(5):
            assert value(vectors + size * rng.normal(size=vectors.shape)) > value(vectors)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_few_views_are_enough_where_labels_have_noise(count):
    """As those of learned frames have: the likelihood alone finds vectors that know these very views by heart."""
    noise = np.random.default_rng(5)

    def noisy(labels):  # labels of 16 numbers, of which the frame is three
        rest = noise.normal(size=[*labels.shape[:3], 13])
        return np.concatenate([labels, 4 * rest], axis=-1).astype(np.float32)

    labels, landmarks = synthetic_views(count, seed=1)
    others, places = synthetic_views(40, seed=9)
    vectors = fit(noisy(labels), landmarks, np.ones([count, 3], np.float32))
    found = nearest_landmarks.NearestLandmarks(vectors, STRIDE, upsample=4)(noisy(others))
    assert np.linalg.norm(found["subpixel"] - places, axis=-1).mean() < 2.5


def test_of_one_view_the_vector_is_the_label_at_the_landmark_but_for_its_length(fitted):
    labels, landmarks = synthetic_views(1, seed=1)
    vectors = fit(labels, landmarks, np.ones([1, 3], np.float32))
    for z, place in zip(vectors, landmarks[0]):
        label = bilinear(labels[0], place[np.newaxis])[0]
        assert z @ label / np.linalg.norm(z) / np.linalg.norm(label) > 0.9


@pytest.mark.parametrize("nothing", [1.0, np.nan])
def test_points_that_are_not_annotated_say_nothing(fitted, nothing):
    labels, landmarks, annotated, vectors = fitted
    garbage = np.where(annotated[..., np.newaxis] > 0, landmarks, np.float32(nothing))
    assert np.any(garbage != landmarks)
    again = fit(labels, garbage, annotated)
    np.testing.assert_allclose(again, vectors, rtol=1e-5)


def test_the_size_of_the_labels_does_not_matter(fitted):
    labels, landmarks, annotated, vectors = fitted
    again = fit(labels * 100, landmarks, annotated)
    found, same = (
        nearest_landmarks.NearestLandmarks(z, STRIDE, upsample=1)(labels)["subpixel"] for z in (vectors, again * 100)
    )
    np.testing.assert_allclose(same, found, atol=0.1)


def test_an_annotated_landmark_without_a_place_is_refused():
    labels, landmarks = synthetic_views(4, seed=1)
    landmarks = np.array(landmarks)
    landmarks[2, 1, 0] = np.nan
    with pytest.raises(ValueError, match="landmark 1 of image 2 is annotated, and its place is not finite numbers"):
        fit(labels, landmarks, np.ones([4, 3], np.float32))


def test_a_landmark_nobody_annotated_is_refused():
    labels, landmarks = synthetic_views(4, seed=1)
    annotated = np.ones([4, 3], np.float32)
    annotated[:, 1] = 0
    with pytest.raises(ValueError, match="landmark 1 is annotated in none of the 4 images"):
        fit(labels, landmarks, annotated)


def test_labels_that_say_nothing_are_refused():
    landmarks, annotated = np.full([2, 1, 2], 5.0, np.float32), np.ones([2, 1], np.float32)
    for value in (0.0, np.nan):
        labels = np.full([2, 5, 5, 3], value, np.float32)
        with pytest.raises(ValueError, match="^the labels are all zero or not all finite: .*; train it again$"):
            fit(labels, landmarks, annotated)
