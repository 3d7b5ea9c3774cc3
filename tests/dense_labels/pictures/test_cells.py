"""Tests of which pixels lie in which cell, where sides are no multiple of the stride."""

import numpy as np
import pytest

from dense_labels.pictures import cells
from tests.dense_labels.pictures import planted

SIZE = planted.ODD


@pytest.fixture(params=planted.ODD_STRIDES)
def labels(request):
    stride = request.param
    return planted.label_map(np.zeros([2, SIZE[0] // stride, SIZE[1] // stride, 1]), stride)


def test_a_cell_is_read_at_its_centre_and_by_what_most_of_its_pixels_are(labels):
    (rows, columns), stride = labels.cells, labels.stride
    masks = np.zeros([2, *SIZE], bool)
    i, j = rows - 1, columns - 1  # the last one, where a wrong stride is furthest off
    masks[1, i * stride + stride // 2, j * stride + stride // 2] = True
    assert np.argwhere(cells.at_centres(masks, labels)).tolist() == [[1, i, j]]
    masks[:] = False
    masks[1, i * stride : (i + 1) * stride, j * stride : j * stride + stride // 2] = True  # half of it
    assert np.argwhere(cells.mostly(masks, labels)).tolist() == [[1, i, j]]
    masks[1, i * stride, j * stride] = False
    assert not cells.mostly(masks, labels).any()


def test_chosen_cells_are_spread_over_their_pixels_and_read_back(labels):
    chosen = planted.RNG(0).uniform(size=[2, *labels.cells]) < 0.5
    masks = cells.over_pixels(chosen, labels.stride, SIZE)
    assert masks.sum() == chosen.sum() * labels.stride**2
    np.testing.assert_array_equal(cells.at_centres(masks, labels), chosen)
    np.testing.assert_array_equal(cells.mostly(masks, labels), chosen)
    height, width = labels.covered
    assert not masks[:, height:].any() and not masks[:, :, width:].any()


def test_ends_are_the_centres_of_the_chosen_cells_and_where_they_are_found():
    pairs = planted.pairs(2, SIZE, 8)
    chosen = cells.spread(pairs.visible > 0, 4)
    points, places = cells.ends(pairs.points_in_b, 8, chosen)
    np.testing.assert_allclose(points, 8 * np.stack([chosen % 14 + 0.5, chosen // 14 + 0.5], axis=-1))
    np.testing.assert_allclose(places, points + [8, 0])


def test_cells_are_picked_evenly_among_the_visible_ones_or_among_all():
    visible = np.zeros([2, 3, 4], bool)
    visible[0, 1] = True
    np.testing.assert_array_equal(cells.spread(visible, 2), [[4, 7], [0, 11]])
    assert cells.spread(visible, 5)[0].tolist() == [4, 5, 6, 6, 7]
