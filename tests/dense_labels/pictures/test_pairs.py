"""Tests of the picture of pairs: dots and lines lie where the cells are found."""

import numpy as np
import pytest

from dense_labels.batches import PairBatch
from dense_labels.method import geometry
from dense_labels.pictures import pairs as pictures
from tests.dense_labels.pictures import planted
from tests.dense_labels.pictures.planted import centre_of, grey_images


def shifted_pair(size=(20, 30), stride=2):
    """Every cell of A found 3 pixels further right and 2 higher in B; those in the left third hidden."""
    centres = geometry.cell_centres(size[0] // stride, size[1] // stride, stride).numpy()[np.newaxis]
    visible = np.ones(centres.shape[:3])
    visible[:, :, : centres.shape[2] // 3] = 0
    images = grey_images(1, *size)
    return centres, PairBatch(images, images, centres + [3.0, -2.0], visible)


def tile_of(picture, column, size=(180, 120)):
    return planted.tile_of(picture, 0, column, size)


def test_the_same_dot_is_drawn_on_both_views():
    centres, pairs = shifted_pair()
    picture = pictures.pairs_panel(pairs, stride=2)
    a, b = tile_of(picture, 0), tile_of(picture, 1)
    rows, columns = range(0, 10, 2), range(0, 15, 2)
    colours = set()
    for i in rows:
        for j in columns:
            point, in_b = 6 * centres[0, i, j], 6 * pairs.points_in_b[0, i, j]
            x, y = point.astype(int)
            colour = tuple(a[y, x] / 255)
            if j < 5:  # hollow: a coloured rim around a grey middle
                assert np.ptp(colour) < 0.01
                assert np.ptp(a[y - 6 : y + 7, x - 6 : x + 7].astype(int), axis=-1).max() > 60
                continue
            colours.add(colour)
            np.testing.assert_allclose(centre_of(a, colour), point, atol=2.5)  # a triangle has more below
            if in_b[0] < 174 and in_b[1] > 6:  # whole in B
                np.testing.assert_allclose(centre_of(b, colour), in_b, atol=2.5)
    assert len(colours) == len(rows) * sum(j >= 5 for j in columns)
    assert (np.ptp(b[:, :70].astype(int), axis=-1) == 0).all()  # what is hidden is left out: no colour at all


def test_the_grid_bends_as_the_cells_are_found_and_breaks_where_they_are_hidden():
    centres, pairs = shifted_pair()
    places = pairs.points_in_b
    places[..., 1] += 0.05 * (centres[..., 0] - 15) ** 2  # rows become parabolas
    grid = tile_of(pictures.pairs_panel(pairs, stride=2), 2)
    for cell in ((4, 6), (4, 9), (2, 8), (7, 10)):  # in a row of the grid, or in a column of it
        x, y = (6 * places[0][cell]).astype(int)
        assert grid[y - 1 : y + 2, x - 1 : x + 2].max() > 180, cell
    x, y = (6 * (places[0, 4, 9] + places[0, 5, 9]) / 2).astype(int)
    np.testing.assert_allclose(grid[y, x], 127.5, atol=0.6)  # between the lines
    assert np.ptp(grid[:, :74]) <= 1  # the first visible column is found at x = 14, drawn at 84


@pytest.mark.parametrize("stride", planted.ODD_STRIDES)
def test_dots_lie_at_the_centres_of_cells_where_sides_are_no_multiple_of_the_stride(stride):
    centres, pairs = shifted_pair(planted.ODD, stride)
    picture = pictures.pairs_panel(pairs, stride=stride)
    a, b = (tile_of(picture, column, (236, 180)) for column in range(2))
    i, j = pictures._sparse(pairs.visible.shape[1])[1], pictures._sparse(pairs.visible.shape[2])[-2]
    x, y = (2 * centres[0, i, j]).astype(int)
    colour = a[y, x] / 255
    np.testing.assert_allclose(centre_of(a, colour), 2 * centres[0, i, j], atol=2.5)
    np.testing.assert_allclose(centre_of(b, colour), 2 * pairs.points_in_b[0, i, j], atol=2.5)


IMAGES, CELLS = grey_images(), np.ones([1, 10, 15, 2])
PAIRS = PairBatch(IMAGES, IMAGES, CELLS, CELLS[..., 0])


@pytest.mark.parametrize(
    "pairs, options, message",
    [
        (PAIRS._replace(image_b=grey_images(2)), {}, r"image.* must be \[1, 20, 30, 3\]; found shape \(2, 20, 30, 3\)"),
        (PAIRS._replace(visible=CELLS), {}, r"visible must be \[1, 10, 15\]; found shape \(1, 10, 15, 2\)"),
        (PAIRS, {"stride": 3}, "images of 20 x 30 have 6 x 10 cells of 3 pixels; found 10 x 15"),
    ],
)
def test_errors_say_what_was_given_and_what_is_needed(pairs, options, message):
    with pytest.raises(ValueError, match=message):
        pictures.pairs_panel(pairs, **{"stride": 2, **options})
