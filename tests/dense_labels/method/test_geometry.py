"""Tests of the one frame; oracles: the definition of a cell, linear functions, tensorflow-addons."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.method import geometry

HEIGHT, WIDTH = 5, 8


def random_points(count, low, high, seed=0):
    return np.random.default_rng(seed).uniform(low, high, size=[count, 2]).astype(np.float32)


def linear(points):
    """Three linear functions of (x, y)."""
    return points @ np.array([[2.0, 0.0, -0.5], [0.0, -3.0, 1.5]]) + np.array([1.0, 0.0, -4.0])


@pytest.mark.parametrize("stride", [1, 2, 0.5])
def test_a_cells_centre_is_half_a_cell_from_its_corner(stride):
    centres = geometry.cell_centres(HEIGHT, WIDTH, stride).numpy()
    assert centres.shape == (HEIGHT, WIDTH, 2) and centres.dtype == np.float32
    for i in range(HEIGHT):
        for j in range(WIDTH):
            np.testing.assert_allclose(centres[i, j], [(j + 0.5) * stride, (i + 0.5) * stride], rtol=1e-6)


def test_cell_centres_take_sizes_known_only_when_run():
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def centres(labels):
        shape = tf.shape(labels)
        return geometry.cell_centres(shape[1], shape[2], 2)

    np.testing.assert_array_equal(centres(tf.zeros([1, 3, 4, 3])), geometry.cell_centres(3, 4, 2))


@pytest.mark.parametrize("stride", [1, 2, 0.5])
def test_weights_rebuild_a_point_between_the_centres(stride):
    points = random_points(200, [0.5 * stride] * 2, [(WIDTH - 0.5) * stride, (HEIGHT - 0.5) * stride])
    cells, weights = geometry.bilinear_weights(points, HEIGHT, WIDTH, stride)
    centres = geometry.cell_centres(HEIGHT, WIDTH, stride).numpy().reshape([-1, 2])
    rebuilt = np.sum(centres[cells.numpy()] * weights.numpy()[..., np.newaxis], axis=-2)
    np.testing.assert_allclose(rebuilt, points, atol=1e-5)
    assert weights.numpy().min() >= 0
    np.testing.assert_allclose(weights.numpy().sum(axis=-1), 1, atol=1e-6)
    distance = np.abs(centres[cells.numpy()] - points[:, np.newaxis])
    assert np.all((distance.max(axis=-1) < stride * 1.0001) | (weights.numpy() == 0)), "the cells are the neighbours"


def test_a_point_on_a_centre_weighs_that_cell_alone():
    centres = geometry.cell_centres(HEIGHT, WIDTH, 2).numpy().reshape([-1, 2])
    cells, weights = geometry.bilinear_weights(centres, HEIGHT, WIDTH, 2)
    np.testing.assert_array_equal(cells[:, 0], np.arange(HEIGHT * WIDTH))
    np.testing.assert_array_equal(weights, np.tile([1.0, 0, 0, 0], [HEIGHT * WIDTH, 1]))


@pytest.mark.parametrize(
    "point, nearest",
    [
        ([-7, 4.2], [1, 4.2]),
        ([0, 0], [1, 1]),
        ([99, 5], [2 * WIDTH - 1, 5]),
        ([3, -1], [3, 1]),
        ([6.5, 2 * HEIGHT], [6.5, 2 * HEIGHT - 1]),
        ([1e6, 1e6], [2 * WIDTH - 1, 2 * HEIGHT - 1]),
    ],
)
def test_a_point_further_out_reads_the_border(point, nearest):
    maps = linear(geometry.cell_centres(HEIGHT, WIDTH, 2).numpy())[np.newaxis]
    sampled = geometry.bilinear_sample(tf.constant(maps), tf.constant([[point]], tf.float32), 2)
    np.testing.assert_allclose(sampled[0, 0], linear(np.array(nearest)), rtol=1e-6)


@pytest.mark.parametrize("stride", [1, 2, 0.5])
def test_sampling_is_exact_on_linear_functions(stride):
    maps = linear(geometry.cell_centres(HEIGHT, WIDTH, stride).numpy())
    maps = np.stack([maps, -10 * maps]).astype(np.float32)  # two images, told apart
    points = random_points(60, [0.5 * stride] * 2, [(WIDTH - 0.5) * stride, (HEIGHT - 0.5) * stride]).reshape(
        [2, 30, 2]
    )
    expected = linear(points) * np.array([1, -10])[:, np.newaxis, np.newaxis]
    sampled = geometry.bilinear_sample(tf.constant(maps), tf.constant(points), stride)
    np.testing.assert_allclose(sampled, expected, atol=2e-4)


def test_sampling_agrees_with_tensorflow_addons():
    tfa = pytest.importorskip("tensorflow_addons")
    rng = np.random.default_rng(1)
    maps = rng.normal(size=[3, HEIGHT, WIDTH, 4]).astype(np.float32)
    points = rng.uniform(-3, 2 * WIDTH + 3, size=[3, 50, 2]).astype(np.float32)
    queries = points[..., ::-1] / 2 - 0.5  # (y, x), counted in cells from the centre of the first
    expected = tfa.image.interpolate_bilinear(tf.constant(maps), tf.constant(queries), indexing="ij")
    np.testing.assert_allclose(geometry.bilinear_sample(tf.constant(maps), tf.constant(points), 2), expected, atol=1e-5)


def test_sampling_has_the_gradient_of_its_weights():
    maps = tf.Variable(tf.random.normal([1, 3, 4, 1]))
    with tf.GradientTape() as tape:
        value = geometry.bilinear_sample(tf.convert_to_tensor(maps), tf.constant([[[3.5, 2.0]]]), 2)
    # 3.5 is a quarter of the way from centre 3 to centre 5; 2 is half way from centre 1 to centre 3.
    expected = np.zeros([3, 4])
    expected[0:2, 1], expected[0:2, 2] = 0.375, 0.125
    np.testing.assert_allclose(tf.convert_to_tensor(tape.gradient(value, maps))[0, ..., 0], expected, atol=1e-6)


def test_sampling_keeps_the_dtype():
    maps = tf.ones([1, 3, 4, 2], tf.bfloat16)
    assert geometry.bilinear_sample(maps, tf.ones([1, 5, 2]), 2).dtype == tf.bfloat16


def test_sampling_refuses_integers_whose_means_they_cannot_hold():
    with pytest.raises(ValueError, match="maps must be floating point, for cells are averaged; found uint8"):
        geometry.bilinear_sample(tf.ones([1, 3, 4, 2], tf.uint8), tf.ones([1, 5, 2]), 2)


def test_sampling_refuses_other_ranks():
    with pytest.raises(
        ValueError, match=r"maps must be \[B, h, w, C\] and points \[B, N, 2\]; found shapes \(3, 4, 2\)"
    ):
        geometry.bilinear_sample(tf.zeros([3, 4, 2]), tf.zeros([1, 5, 2]), 2)
    with pytest.raises(ValueError, match=r"found shapes \(1, 3, 4, 2\) and \(5, 2\)"):
        geometry.bilinear_sample(tf.zeros([1, 3, 4, 2]), tf.zeros([5, 2]), 2)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_upsampling_reads_the_map_at_the_finer_cells_centres(factor):
    maps = tf.constant(np.random.default_rng(2).normal(size=[2, HEIGHT, WIDTH, 3]), tf.float32)
    fine = geometry.upsample(maps, factor)
    assert fine.shape == [2, HEIGHT * factor, WIDTH * factor, 3]
    centres = geometry.cell_centres(HEIGHT * factor, WIDTH * factor, 2 / factor)
    points = tf.tile(tf.reshape(centres, [1, -1, 2]), [2, 1, 1])
    expected = tf.reshape(geometry.bilinear_sample(maps, points, 2), fine.shape)
    np.testing.assert_allclose(fine, expected, atol=1e-5)


def test_upsampling_a_linear_function_stays_in_the_frame():
    maps = linear(geometry.cell_centres(HEIGHT, WIDTH, 2).numpy())[np.newaxis].astype(np.float32)
    fine = geometry.upsample(tf.constant(maps), 4)[0, 2:-2, 2:-2]  # nothing beyond the outermost coarse centres
    np.testing.assert_allclose(
        fine, linear(geometry.cell_centres(HEIGHT * 4, WIDTH * 4, 0.5).numpy())[2:-2, 2:-2], atol=1e-4
    )


def test_the_mean_point_is_that_of_all_cells():
    weights = np.random.default_rng(0).dirichlet(np.ones(5 * 7), [2, 3]).astype(np.float32)
    centres = geometry.cell_centres(5, 7, 4)
    expected = weights @ centres.numpy().reshape(-1, 2)
    np.testing.assert_allclose(geometry.mean_point(weights, centres), expected, atol=1e-5)


@pytest.mark.parametrize("width", [7, 8])
def test_a_place_that_is_not_a_number_reads_no_number(width):
    maps = tf.ones([1, HEIGHT, width, 2])
    read = geometry.bilinear_sample(maps, tf.constant([[[np.nan, 3.0], [4.0, 3.0]]]), 2)
    assert np.isnan(read[0, 0]).all() and np.isfinite(read[0, 1]).all()
