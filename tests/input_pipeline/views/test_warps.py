"""Tests of warps: a double loop in double precision, maps in closed form, borders pixel by pixel."""

import functools
import re

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline.views import point_maps, random_maps, warps
from tests.input_pipeline.views.by_hand import (
    IDENTITY,
    SIZES,
    cell_centres,
    draw,
    no_bend,
    projected_by_hand,
    warp_by_hand,
)


@pytest.mark.parametrize("size", SIZES)
def test_points_go_where_a_double_loop_in_double_precision_takes_them(size):
    weights = draw(2, tps=3.0)
    points = np.random.default_rng(0).uniform(-10, 45, [2, 30, 2])
    points[:, 0] = (np.array([-1 + 2 * 3 / 9, -1 + 2 * 6 / 9]) * max(size) + [size[1], size[0]]) / 2  # a kernel centre
    expected = [[warp_by_hand(w, p, size) for p in ps] for w, ps in zip(np.float64(weights), points)]
    found = warps.at_points(weights, tf.constant(points, tf.float32), size)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert np.abs(expected - points).mean() > 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop, stride", [(0, 1), (3, 1), (0, 2), (2, 3), (-5, 1)])
def test_a_grid_goes_where_its_points_go(size, crop, stride):
    weights = draw(3)
    rows, columns = ((side - 2 * crop) // stride for side in size)
    expected = [
        [[warp_by_hand(w, p + crop, size) for p in line] for line in cell_centres(rows, columns, stride)[::4, ::5]]
        for w in np.float64(weights)
    ]
    found = warps.on_grid(weights, size, crop=crop, stride=stride)
    assert found.shape == [3, rows, columns, 2]
    np.testing.assert_allclose(found[:, ::4, ::5], expected, atol=2e-4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("border", warps.BORDERS)
def test_the_identity_is_the_identity(size, border):
    found = warps.on_grid(no_bend(IDENTITY), size)
    np.testing.assert_allclose(found[0] / max(size), cell_centres(*size) / max(size), atol=1e-6)
    image = 0.5 + 0.5 * np.sin(cell_centres(*size).sum(axis=-1) / 5)[np.newaxis, ..., np.newaxis]
    np.testing.assert_allclose(warps.sample(np.float32(image), found, border=border), image, atol=1e-6)


def test_rows_of_an_affine_map_are_a_shift_and_the_images_of_the_axes():
    """A quarter turn takes +x to +y, which is down; half the longer side is 1."""
    point = tf.constant([[[20.0, 10.0]]])  # normalised (0.5, 0) in a frame of 40 x 20, whose centre is (20, 10)
    point += [[[10.0, 0.0]]]
    turn = no_bend([[0.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    np.testing.assert_allclose(warps.at_points(turn, point, (20, 40)), [[[20, 20]]], atol=1e-5)
    shift = no_bend([[0.1, -0.2], [1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(warps.at_points(shift, point, (20, 40)), [[[32, 6]]], atol=1e-5)


@pytest.mark.parametrize("size, crop", [((100, 100), 0), ((100, 100), 15), ((60, 90), 4)])
def test_composition_is_one_warp_after_the_other(size, crop):
    """Wherever A shows what is in B, or as far outside it as the grid of W1 goes."""
    first, second = draw(6, tps=0.5), draw(6, seed=1)
    a_to_source, b_to_source = warps.views_to_source(first, second, size, crop=crop)
    np.testing.assert_allclose(b_to_source, warps.on_grid(first, size, crop=crop), atol=2e-4)
    a_to_b = warps.on_grid(second, size, crop=crop)
    exact = warps.at_points(first, tf.reshape(a_to_b, [6, -1, 2]), size)
    margin = max(size) / 4
    place, end = a_to_b - crop, np.array([size[1], size[0]]) - 2 * crop
    known = tf.reduce_all((place > -margin) & (place < end + margin), axis=-1)
    error = np.linalg.norm(a_to_source - tf.reshape(exact, a_to_source.shape), axis=-1)[known]
    assert np.mean(known) > 0.95
    assert error.mean() < 1e-3 and error.max() < 0.01


def test_composition_of_affine_maps_is_their_product():
    turn = [[0.1, -0.05], [0.9, 0.2], [-0.2, 0.9]]
    shift = [[0.06, 0.1], [1.0, 0.0], [0.0, 1.0]]
    a_to_source, _ = warps.views_to_source(no_bend(turn), no_bend(shift), (40, 40))
    matrix = np.array(turn)
    expected = ((cell_centres(40, 40) / 20 - 1 + shift[0]) @ matrix[1:] + matrix[0] + 1) * 20
    np.testing.assert_allclose(a_to_source[0], expected, atol=1e-4)


def test_views_with_projective_parts_are_w1_of_w2():
    size, crop = (60, 90), 4
    first, second = draw(2, tps=0.5), draw(2, seed=1)
    tilts = tf.stack([random_maps.draw_projective([5, i]) for i in range(4)])
    after_first, after_second = (
        functools.partial(point_maps.project, tilt, size=size) for tilt in (tilts[:2], tilts[2:])
    )
    a_to_source, b_to_source = warps.views_to_source(
        first, second, size, crop=crop, after_first=after_first, after_second=after_second
    )

    def by_hand(weights, tilt, point):
        return projected_by_hand(tilt, warp_by_hand(np.float64(weights), point, size), size)

    for index in range(2):
        for row, column in [(20, 30), (26, 41), (35, 60)]:
            u = np.array([column + 0.5, row + 0.5]) + crop
            in_b = by_hand(first[index], tilts[index], u)
            np.testing.assert_allclose(b_to_source[index, row, column], in_b, atol=1e-3)
            in_a = by_hand(first[index], tilts[index], by_hand(second[index], tilts[2 + index], u))
            np.testing.assert_allclose(a_to_source[index, row, column], in_a, atol=0.02)
            assert np.linalg.norm(in_a - in_b) > 1


def pixel(image, row, column, border):
    """Value of a pixel that may lie outside the image."""
    height, width = image.shape
    if border == "zero":
        return image[row, column] if 0 <= row < height and 0 <= column < width else 0.0
    if border == "edge":
        return image[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
    row, column = row % (2 * height), column % (2 * width)  # ... 1 0 | 0 1 2 ... h-1 | h-1 ... 0 | 0 ...
    return image[min(row, 2 * height - 1 - row), min(column, 2 * width - 1 - column)]


@pytest.mark.parametrize("border", warps.BORDERS)
def test_sampling_is_bilinear_and_borders_are_what_they_are_called(border):
    rng = np.random.default_rng(0)
    image = rng.uniform(size=[5, 7])
    points = rng.uniform(-16, 20, [300, 2])
    points[:5] = [[0, 0], [7, 5], [0.5, 0.5], [-0.25, 2], [3, 5.25]]
    expected = []
    for x, y in points - 0.5:
        left, top = int(np.floor(x)), int(np.floor(y))
        across, down = x - left, y - top
        rows = [
            (1 - across) * pixel(image, row, left, border) + across * pixel(image, row, left + 1, border)
            for row in (top, top + 1)
        ]
        expected.append((1 - down) * rows[0] + down * rows[1])
    maps, points = np.float32(image)[np.newaxis, ..., np.newaxis], np.float32(points)
    for shape in ([1, 300, 2], [1, 20, 15, 2]):
        found = warps.sample(maps, points.reshape(shape), border=border)
        assert found.shape == [*shape[:-1], 1]
        np.testing.assert_allclose(np.ravel(found), expected, atol=1e-5)


def test_it_is_the_same_inside_a_dataset_whose_batches_differ():
    weights = draw(5)
    expected = warps.on_grid(weights, (20, 32), crop=2, stride=2)
    dataset = tf.data.Dataset.from_tensor_slices(weights).batch(2)
    dataset = dataset.map(lambda w: warps.on_grid(w, (20, 32), crop=2, stride=2)).unbatch()
    np.testing.assert_allclose(np.stack(list(dataset.as_numpy_iterator())), expected, atol=1e-5)


def test_the_basis_is_computed_once_though_a_graph_asks_for_it_first():
    weights = draw(2)
    warps._grid_basis.cache_clear()
    in_a_graph = tf.function(lambda weights: warps.on_grid(weights, (18, 14)), autograph=False)(weights)
    np.testing.assert_allclose(in_a_graph, warps.on_grid(weights, (18, 14)), atol=1e-5)
    assert warps._grid_basis.cache_info().misses == 1


WEIGHTS = tf.zeros([1, 103, 2])
MAPS, POINTS = tf.zeros([1, 4, 4, 3]), tf.zeros([1, 4, 4, 2])


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: warps.tps_affine(tf.zeros([99, 2]), tf.zeros([3, 2])),
            "tps must be [..., 100, 2] and affine [..., 3, 2]; found (99, 2) and (3, 2)",
        ),
        (lambda: warps.on_grid(WEIGHTS[0], (9, 9)), "weights must be [B, 103, 2]; found (103, 2)"),
        (lambda: warps.at_points(WEIGHTS[:, 3:], POINTS[0], (9, 9)), "weights must be [B, 103, 2]; found (1, 100, 2)"),
        (lambda: warps.at_points(WEIGHTS, POINTS, (9, 9)), "points must be [B, N, 2]; found (1, 4, 4, 2)"),
        (
            lambda: warps.on_grid(WEIGHTS, (9, 12), crop=4, stride=2),
            "crop=4 leaves no cell of 2 pixels of an image of 9 x 12; it must be smaller",
        ),
        (
            lambda: warps.sample(MAPS, POINTS, border="wrap"),
            "border='wrap': there is no such border; choose zero, edge, mirror",
        ),
        (
            lambda: warps.sample(MAPS[0], POINTS, border="zero"),
            "maps must be [B, h, w, C] and points [B, ..., 2]; found (4, 4, 3) and (1, 4, 4, 2)",
        ),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
