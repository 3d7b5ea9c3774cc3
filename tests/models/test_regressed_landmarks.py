"""Tests of landmark regression: hand-made virtual points and maps, against plain loops."""

import numpy as np
import pytest
import tensorflow as tf

from models import regressed_landmarks

STRIDE = 2


def by_loops(vectors, matrices, offsets, labels):
    """Landmarks and scores in float64, one image, landmark and virtual point at a time."""
    count, height, width, length = labels.shape
    x, y = (np.ravel(v) for v in np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5))
    half = max(height, width) / 2
    points, scores = np.zeros([count, len(matrices), 2]), np.zeros([count, len(matrices)])
    for n, cells in enumerate(labels.astype(float).reshape([count, -1, length])):
        for k, (matrix, offset) in enumerate(zip(matrices, offsets)):
            coordinates, parts, peaks = [], [], []
            for m, z in enumerate(vectors[k if len(vectors) > 1 else 0]):
                p = np.exp(cells @ z)
                p /= p.sum()
                coordinates += [(p @ x - width / 2) / half, (p @ y - height / 2) / half]
                parts.append(np.sqrt(np.sum(matrix[2 * m : 2 * m + 2] ** 2)))
                peaks.append(p.max())
            middle = np.array([width, height]) / 2
            points[n, k] = ((np.array(coordinates) @ matrix + offset) * half + middle) * STRIDE
            scores[n, k] = np.average(peaks, weights=parts)
    return points, scores


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("height, width", [(5, 8), (6, 3)])
def test_landmarks_agree_with_loops(groups, height, width):
    rng = np.random.default_rng(groups)
    weights = rng.normal(size=[groups, 3, 2]), rng.normal(size=[4, 6, 2]), rng.normal(size=[4, 2])
    labels = rng.normal(size=[2, height, width, 2]).astype(np.float32)
    found = regressed_landmarks.RegressedLandmarks(*weights, STRIDE)(labels)
    points, scores = by_loops(*weights, labels)
    np.testing.assert_allclose(found["points"], points, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["score"], scores, rtol=1e-5)


def midpoint_head():
    """One landmark, in the middle between two virtual points."""
    return regressed_landmarks.RegressedLandmarks(
        np.eye(2)[np.newaxis], [np.tile(np.eye(2) / 2, [2, 1])], [[0, 0]], STRIDE
    )


def test_a_landmark_may_lie_between_cells_and_beyond_all_virtual_points():
    labels = np.zeros([1, 5, 8, 2], np.float32)
    labels[0, 1, 6, 0] = labels[0, 3, 2, 1] = 50  # found at (13, 3) and (5, 7)
    found = midpoint_head()(labels)
    np.testing.assert_allclose(found["points"], [[[9, 5]]], atol=1e-4)
    np.testing.assert_allclose(found["score"], [[1]], atol=1e-6)
    half = 8.0  # pixels; from the middle (8, 5) the two are at (5, -2) and (-3, 2)
    beyond = regressed_landmarks.RegressedLandmarks(
        np.eye(2)[np.newaxis], [[[2, 0], [0, 2], [0, 0], [0, 0]]], [[0, 1]], STRIDE
    )
    np.testing.assert_allclose(beyond(labels)["points"], [[[8 + 10, 5 - 4 + half]]], atol=1e-4)


def test_a_saved_model_holds_it_whole(tmp_path):
    head, labels = midpoint_head(), np.random.default_rng(0).normal(size=[3, 7, 6, 2]).astype(np.float32)
    module = tf.Module()
    module.variables_of_head = head.variables
    module.locate = tf.function(
        lambda x: head(x), input_signature=[tf.TensorSpec([None, None, None, 2])], autograph=False
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for name, values in loaded.locate(labels).items():
        np.testing.assert_allclose(values, head(labels)[name], rtol=1e-6)
    assert head.trainable_weights == []
