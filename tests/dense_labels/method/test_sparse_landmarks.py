"""Tests of sparse landmarks: their loss against plain loops over u and v, its gradient, maps whose loss is known."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.method import geometry, sparse_landmarks
from tests.dense_labels.method import layers

STRIDE, HEIGHT, WIDTH, COUNT = 2, 5, 6, 3
CERTAIN = 60.0  # a response above all others: its cell has all the probability


def centre(row, column):
    return np.array([(column + 0.5) * STRIDE, (row + 0.5) * STRIDE])


def batch(seed, dtype=np.float64):
    """Heat maps of two pairs, where the cells of A are found, and which are visible."""
    rng = np.random.default_rng(seed)
    heat_maps = (rng.normal(size=[2, HEIGHT, WIDTH, COUNT]).astype(dtype) for _ in range(2))
    centres = geometry.cell_centres(HEIGHT, WIDTH, STRIDE).numpy()
    points = centres + rng.normal(scale=3, size=[2, HEIGHT, WIDTH, 2])
    points = np.minimum(points, [WIDTH * STRIDE, HEIGHT * STRIDE]).astype(dtype)
    return *heat_maps, points, (rng.uniform(size=[2, HEIGHT, WIDTH]) < 0.7).astype(dtype)


def probability(heat_map, cells):
    """p(u|x, r) of one landmark, over some cells, a cell at a time."""
    total = sum(np.exp(heat_map[cell]) for cell in cells)
    return {cell: np.exp(heat_map[cell]) / total for cell in cells}


def loss_by_loops(heat_maps_a, heat_maps_b, points_in_b, visible, weight, patch):
    """The loss and the matching error of one pair, straight from the formulas."""
    every = list(np.ndindex(HEIGHT, WIDTH))
    seen = [cell for cell in every if visible[cell] > 0]
    aligned, errors = [], []
    for r in range(COUNT):
        of_a, of_b = probability(heat_maps_a[..., r], seen), probability(heat_maps_b[..., r], every)
        aligned.append(sum(of_a[u] * of_b[v] * np.sum((centre(*v) - points_in_b[u]) ** 2) for u in seen for v in every))
        carried, found = sum(of_a[u] * points_in_b[u] for u in seen), sum(of_b[v] * centre(*v) for v in every)
        errors.append(np.linalg.norm(carried - found))
    shared = 0.0
    for heat_maps in (heat_maps_a, heat_maps_b):
        maps = [probability(heat_maps[..., r], every) for r in range(COUNT)]
        patches = {}
        for i, j in every:
            sums = patches.setdefault((i // patch, j // patch), np.zeros(COUNT))
            sums += [each[i, j] for each in maps]
        shared += COUNT - sum(sums.max() for sums in patches.values())
    return np.mean(aligned) + weight * shared, np.mean(errors)


def delta_maps(cells):
    """Heat maps [1, h, w, K] that are certain of one cell each."""
    heat_maps = np.zeros([1, HEIGHT, WIDTH, len(cells)], np.float32)
    for r, (row, column) in enumerate(cells):
        heat_maps[0, row, column, r] = CERTAIN
    return heat_maps


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_the_loss_is_that_of_loops_over_all_pairs_of_cells(patch):
    given = batch(patch)
    layer = sparse_landmarks.SparseLandmarksLoss(STRIDE, diversity=7.0, patch=patch, dtype="float64")
    found = layer(given)
    expected = np.transpose([loss_by_loops(*parts, 7.0, patch) for parts in zip(*given)])
    np.testing.assert_allclose(found["loss"], expected[0], rtol=1e-6)
    np.testing.assert_allclose(found["matching_error"], expected[1], rtol=1e-6)
    np.testing.assert_allclose(found["visible_cells"], given[3].sum(axis=(1, 2)))
    np.testing.assert_allclose(layer.losses[-1], expected[0].mean(), rtol=1e-6)


def test_places_that_no_cell_of_b_covers_do_not_count():
    heat_maps_a, heat_maps_b, points, visible = batch(5)
    beyond, without = points.copy(), visible.copy()
    beyond[:, 1, 2], beyond[:, 3, 0] = [WIDTH * STRIDE + 0.5, 3], [3, HEIGHT * STRIDE + 0.5]
    without[:, 1, 2] = without[:, 3, 0] = 0
    layer = sparse_landmarks.SparseLandmarksLoss(STRIDE, diversity=7.0, patch=2, dtype="float64")
    found = layer((heat_maps_a, heat_maps_b, beyond, visible))
    for key, expected in layer((heat_maps_a, heat_maps_b, points, without)).items():
        np.testing.assert_allclose(found[key], expected, rtol=1e-9)


def test_single_precision_loses_no_digit_that_matters():
    layer = sparse_landmarks.SparseLandmarksLoss(STRIDE, diversity=7.0, patch=2)
    given = batch(0, np.float32)
    expected = [loss_by_loops(*(np.float64(part) for part in parts), 7.0, 2)[0] for parts in zip(*given)]
    np.testing.assert_allclose(layer(given)["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_gradient_is_that_of_differences(jit_compile):
    given = batch(3)
    layer = sparse_landmarks.SparseLandmarksLoss(STRIDE, diversity=5.0, patch=2, dtype="float64")
    _, *gradients = layers.loss_and_gradients(layer, *given, jit_compile=jit_compile)
    step, random = 1e-6, np.random.default_rng(1)
    for which, gradient in enumerate(gradients):
        for index in zip(*(random.integers(side, size=12) for side in given[which].shape)):
            values = []
            for sign in (1, -1):
                moved = [part.copy() for part in given]
                moved[which][index] += sign * step
                values.append(float(tf.reduce_mean(layer(tuple(moved))["loss"])))
            difference = (values[0] - values[1]) / (2 * step)
            np.testing.assert_allclose(gradient.numpy()[index], difference, rtol=1e-5, atol=1e-7)


def test_maps_that_are_certain_and_move_with_the_warp_are_aligned():
    """Everything moves by one cell to the right and one down."""
    cells = [(0, 1), (2, 3), (3, 0)]
    points = geometry.cell_centres(HEIGHT, WIDTH, STRIDE).numpy()[np.newaxis] + STRIDE
    maps_a = sparse_landmarks.probability_maps(tf.constant(delta_maps(cells)))
    moved = sparse_landmarks.probability_maps(tf.constant(delta_maps([(row + 1, column + 1) for row, column in cells])))
    np.testing.assert_allclose(sparse_landmarks.alignment(maps_a, moved, points, STRIDE), np.zeros([1, 3]), atol=1e-4)
    stayed = sparse_landmarks.alignment(maps_a, maps_a, points, STRIDE)
    np.testing.assert_allclose(stayed, np.full([1, 3], 2 * STRIDE**2), atol=1e-4)


def test_diversity_tells_landmarks_apart_from_one_another():
    apart, alike = delta_maps([(0, 0), (1, 1), (4, 5)]), delta_maps([(2, 2)] * 3)
    for heat_maps, patch, expected in ((apart, 1, 0), (apart, 2, 1), (apart, 9, 2), (alike, 1, 2), (alike, 2, 2)):
        maps = sparse_landmarks.probability_maps(tf.constant(heat_maps))
        np.testing.assert_allclose(sparse_landmarks.diversity(maps, patch), [expected], atol=1e-5)


def test_a_landmark_lies_at_the_centre_of_its_cell_in_continuous_pixels():
    cells = [(0, 0), (2, 5), (4, 3)]
    found = sparse_landmarks.landmarks(tf.constant(delta_maps(cells)), STRIDE)
    np.testing.assert_allclose(found, [[[1, 1], [11, 5], [7, 9]]], atol=1e-5)
    both = np.zeros([1, HEIGHT, WIDTH, 1], np.float32)
    both[0, 1, 2], both[0, 1, 3] = CERTAIN, CERTAIN  # between two cells
    np.testing.assert_allclose(sparse_landmarks.landmarks(tf.constant(both), STRIDE), [[[6, 3]]], atol=1e-5)


def test_cells_that_are_not_visible_say_nothing_of_where_they_went():
    heat_maps_a, heat_maps_b, points, visible = batch(5, np.float32)
    layer = sparse_landmarks.SparseLandmarksLoss(STRIDE, diversity=1.0, patch=1)
    expected = layer((heat_maps_a, heat_maps_b, points, visible))
    lost = np.where(visible[..., np.newaxis] > 0, points, np.float32(np.nan))
    for name, values in layer((heat_maps_a, heat_maps_b, lost, visible)).items():
        np.testing.assert_array_equal(values, expected[name])


def test_a_pair_without_a_visible_cell_is_only_diverse():
    heat_maps_a, heat_maps_b, points, visible = batch(6, np.float32)
    layer = sparse_landmarks.SparseLandmarksLoss(STRIDE, diversity=2.0, patch=1)
    found = layer((heat_maps_a, heat_maps_b, np.full_like(points, np.nan), np.zeros_like(visible)))
    maps = [sparse_landmarks.probability_maps(tf.constant(each)) for each in (heat_maps_a, heat_maps_b)]
    expected = 2.0 * sum(sparse_landmarks.diversity(each, 1) for each in maps)
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-6)
    np.testing.assert_array_equal(found["matching_error"], [0, 0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_maps_of_an_image_without_a_visible_cell_are_numbers(dtype):
    maps = sparse_landmarks.probability_maps(tf.zeros([1, 2, 3, 4], dtype), tf.zeros([1, 2, 3]))
    np.testing.assert_allclose(tf.cast(maps, tf.float32), np.full([1, 2, 3, 4], 1 / 6), rtol=1e-2)


def test_the_layer_is_made_again_from_its_configuration():
    layer = sparse_landmarks.SparseLandmarksLoss(4, diversity=2.5, patch=3)
    again = sparse_landmarks.SparseLandmarksLoss.from_config(layer.get_config())
    assert (again.stride, again.diversity, again.patch) == (4, 2.5, 3)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"^diversity=-1: must be at least 0$"):
        sparse_landmarks.SparseLandmarksLoss(2, diversity=-1, patch=1)
    with pytest.raises(ValueError, match=r"^patch=0: must be at least 1 cell$"):
        sparse_landmarks.SparseLandmarksLoss(2, diversity=1, patch=0)
    with pytest.raises(ValueError, match=r"heat maps must be \[B, h, w, K\]; found \(3, 4\)"):
        sparse_landmarks.probability_maps(tf.zeros([3, 4]))
    layer = sparse_landmarks.SparseLandmarksLoss(2, diversity=1, patch=1)
    maps, points, visible = tf.zeros([1, 4, 4, 3]), tf.zeros([1, 4, 4, 2]), tf.ones([1, 4, 4])
    with pytest.raises(ValueError, match=r"heat maps of A and B must be .*; found \(1, 4, 4, 3\) and \(1, 4, 4, 2\)"):
        layer((maps, maps[..., :2], points, visible))
    with pytest.raises(ValueError, match=r"visible must be of shape \(1, 4, 4\); found \(1, 4, 3\)"):
        layer((maps, maps, points, visible[:, :, :3]))
    with pytest.raises(ValueError, match=r"points_in_b must be of shape \(1, 4, 4, 2\); found \(1, 4, 3, 2\)"):
        layer((maps, maps, points[:, :, :3], visible))
