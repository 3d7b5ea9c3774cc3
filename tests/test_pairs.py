"""Tests of pairs from flow: identity, rigid motions known in closed form, and what is left out."""

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline import pairs

HEIGHT, WIDTH = 20, 24


def pixel_centres():
    return np.stack(np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5), axis=-1)


def cell_centres(stride):
    return np.stack(
        np.meshgrid((np.arange(WIDTH // stride) + 0.5) * stride, (np.arange(HEIGHT // stride) + 0.5) * stride), axis=-1
    )


def make(flow, visible=None, segments=None, stride=2, images=None):
    blank = tf.zeros([HEIGHT, WIDTH, 3])
    image_a, image_b = images or (blank, blank)
    visible = np.ones([HEIGHT, WIDTH]) if visible is None else visible
    segments = np.ones([HEIGHT, WIDTH]) if segments is None else segments
    return pairs.pair_from_flow(
        image_a,
        image_b,
        tf.cast(flow, tf.float32),
        tf.cast(visible, tf.uint8),
        tf.cast(segments, tf.uint8),
        stride,
    )


def rotation(degrees, about, shift):
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return lambda points: (points - about) @ matrix.T + about + shift


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_no_motion_is_the_identity(stride):
    pair = make(np.zeros([HEIGHT, WIDTH, 2]), stride=stride)
    np.testing.assert_allclose(pair["points_in_b"], cell_centres(stride), atol=1e-6)
    np.testing.assert_array_equal(pair["visible"], np.ones([HEIGHT // stride, WIDTH // stride]))
    assert pair["points_in_b"].dtype == pair["visible"].dtype == tf.float32


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("degrees, shift", [(0, [3.25, -1.5]), (17, [0, 0]), (-80, [5, 2])])
def test_cells_of_a_rigid_motion_move_exactly_with_it(stride, degrees, shift):
    motion = rotation(degrees, np.array([7.0, 9.0]), np.array(shift))
    pair = make(motion(pixel_centres()) - pixel_centres(), stride=stride)
    np.testing.assert_allclose(pair["points_in_b"], motion(cell_centres(stride)), atol=1e-4)


def test_a_drawn_dot_moves_where_its_point_moves():
    """A blurred dot is drawn in both frames at places related by the motion; the cell under it points to it in B."""
    motion = rotation(30, np.array([12.0, 10.0]), np.array([1.5, -0.7]))
    row, column = 6, 4
    place = cell_centres(2)[row, column]

    def draw(centre):
        return np.exp(-np.sum(np.square(pixel_centres() - centre), axis=-1) / 2)

    def find(image):  # centre of mass
        return np.tensordot(image, pixel_centres(), axes=2) / image.sum()

    images = [tf.constant(np.repeat(draw(p)[..., np.newaxis], 3, axis=-1), tf.float32) for p in (place, motion(place))]
    pair = make(motion(pixel_centres()) - pixel_centres(), images=images)
    np.testing.assert_allclose(find(pair["image_a"].numpy()[..., 0]), place, atol=0.02)
    found = find(pair["image_b"].numpy()[..., 0])
    np.testing.assert_allclose(pair["points_in_b"][row, column], found, atol=0.02)
    assert np.linalg.norm(found - place) > 2
    np.testing.assert_array_equal(pair["image_a"], images[0])


def cells_by_hand(stride, keep):
    """1 where all pixels that the cell's centre lies between are alike according to `keep(list of (row, column))`."""
    result = np.zeros([HEIGHT // stride, WIDTH // stride])
    for i in range(HEIGHT // stride):
        for j in range(WIDTH // stride):
            y, x = (i + 0.5) * stride - 0.5, (j + 0.5) * stride - 0.5  # counted in pixels from the first one's centre
            rows, columns = {int(np.floor(y)), int(np.ceil(y))}, {int(np.floor(x)), int(np.ceil(x))}
            result[i, j] = keep([(r, c) for r in rows for c in columns])
    return result


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_cells_that_touch_an_invisible_pixel_are_invisible(stride):
    visible = np.random.default_rng(0).uniform(size=[HEIGHT, WIDTH]) < 0.8
    expected = cells_by_hand(stride, lambda pixels: all(visible[p] for p in pixels))
    assert 0.2 < expected.mean() < 0.9
    np.testing.assert_array_equal(
        make(np.zeros([HEIGHT, WIDTH, 2]), visible=visible, stride=stride)["visible"], expected
    )


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_cells_astride_two_segments_are_invisible(stride):
    """Two halves part along a slanted line, each with a motion of its own; what remains moves with one of them."""
    segments = 1 + (pixel_centres() @ [1.0, 0.35] > 14.2)
    motions = [rotation(10, np.array([5.0, 5.0]), np.zeros(2)), rotation(-25, np.array([18.0, 9.0]), np.ones(2))]
    moved = np.where((segments == 1)[..., np.newaxis], motions[0](pixel_centres()), motions[1](pixel_centres()))
    pair = make(moved - pixel_centres(), segments=segments, stride=stride)
    expected = cells_by_hand(stride, lambda pixels: len({segments[p] for p in pixels}) == 1)
    assert stride != 2 or 0 < expected.mean() < 1
    np.testing.assert_array_equal(pair["visible"], expected)
    first = cells_by_hand(stride, lambda pixels: segments[pixels[0]] == 1)[..., np.newaxis] > 0
    exact = np.where(first, motions[0](cell_centres(stride)), motions[1](cell_centres(stride)))
    seen = expected > 0
    np.testing.assert_allclose(pair["points_in_b"].numpy()[seen], exact[seen], atol=1e-4)


def test_an_odd_frame_drops_its_last_row_and_column():
    flow = tf.zeros([7, 9, 2])
    ones = tf.ones([7, 9], tf.uint8)
    pair = pairs.pair_from_flow(tf.zeros([7, 9, 3]), tf.zeros([7, 9, 3]), flow, ones, ones, 2)
    assert pair["points_in_b"].shape == [3, 4, 2]
    np.testing.assert_allclose(pair["points_in_b"][2, 3], [7, 5])


def test_it_is_the_same_inside_a_dataset():
    motion = rotation(17, np.array([7.0, 9.0]), np.array([1.0, 2.0]))
    flow = tf.constant(motion(pixel_centres()) - pixel_centres(), tf.float32)
    dataset = tf.data.Dataset.from_tensors(flow).map(make)
    pair = next(iter(dataset))
    np.testing.assert_allclose(pair["points_in_b"], motion(cell_centres(2)), atol=1e-4)
