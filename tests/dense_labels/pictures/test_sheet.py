"""Tests of the sheet: tiles lie where their numbers say, and the sheet is as large as they need."""

import numpy as np
import pytest

from dense_labels.pictures import sheet
from dense_labels.pictures.sheet import GAP, LINE, MARGIN


def test_tiles_and_what_stands_beside_them_fill_the_sheet():
    tiles = sheet.Tiles(2, 3, (50, 40), titles=True, captions=True, legend=True)
    assert tiles.lefts == [MARGIN, MARGIN + 58, MARGIN + 116] and tiles.right == MARGIN + 174
    assert tiles.tops == [MARGIN + LINE, MARGIN + LINE + 40 + LINE + GAP]
    assert tiles.bottom == MARGIN + LINE + 2 * (40 + LINE + GAP)
    picture = sheet.render(tiles.figure)
    assert picture.shape == (tiles.bottom + LINE + MARGIN, 2 * MARGIN + 3 * 50 + 2 * GAP, 3) and (picture == 255).all()


def test_an_image_fills_its_tile_and_nothing_else():
    tiles = sheet.Tiles(2, 2, (60, [40, 20]), left=20, right=30, top=5, below=7, gap=10)
    image = np.zeros([1, 4, 6, 3])
    sheet.show(tiles.tile(1, 1, image), image[0])
    picture = sheet.render(tiles.figure)
    assert picture.shape == (5 + 40 + 10 + 20 + 7, 20 + 60 + 10 + 60 + 30, 3)
    expected = np.full(picture.shape, 255)
    expected[55:75, 90:150] = 0
    np.testing.assert_array_equal(picture, expected)


def test_a_sheet_may_be_wider_than_its_tiles():
    assert sheet.render(sheet.Tiles(1, 1, (10, 10), least_width=99).figure).shape[1] == 99


@pytest.mark.parametrize("shape, wanted, size", [((20, 30), 180, (180, 120)), ((90, 118), 180, (236, 180))])
def test_small_images_are_shown_whole_pixels_at_a_time(shape, wanted, size):
    assert sheet.tile_size(np.zeros([1, *shape, 3]), wanted) == size
