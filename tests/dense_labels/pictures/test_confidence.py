"""Tests of the pictures of confidence: cells have the colour of their confidence, and curves pass where they should."""

import matplotlib
import numpy as np
import pytest

from dense_labels.pictures import confidence as pictures
from dense_labels.pictures.descriptors import CONFIDENCE
from dense_labels.pictures.sheet import MARGIN
from tests.dense_labels.pictures import planted
from tests.dense_labels.pictures.planted import grey_images, label_map

CAPTIONS = 104


def viridis(value):
    return 255 * np.array(matplotlib.colormaps[CONFIDENCE](value)[:3])


def tile_of(picture, row, column, size):
    return planted.tile_of(picture, row, column, size, left=CAPTIONS, top=MARGIN)


# --- confidence and channels ---


def test_the_channels_that_vary_most_are_chosen():
    responses = np.zeros([2, 3, 4, 5])
    responses[0, 0, 0] = [3, 0, 9, 0, 3]
    responses[..., 1] = 100  # high everywhere: it tells no place from another
    sure = np.ones([2, 3, 4])
    assert pictures.choose_channels(responses, sure, 3).tolist() == [2, 0, 4]  # of 0 and 4, which vary alike, 0 first
    assert pictures.choose_channels(responses, sure, 9).tolist() == [2, 0, 4, 1, 3]
    responses[1, 2, 3, 3] = 2  # less than the others vary, but they do where nothing is certain
    sure[0, 0, 0] = 1e-3
    assert pictures.choose_channels(responses, sure, 1).tolist() == [3]


def test_confidence_is_shown_cell_by_cell_and_channels_glow_where_they_respond():
    labels = np.zeros([2, 10, 15, 3])
    labels[..., 2] = 2.0
    labels[0, 3, 4], labels[1, 8, 11] = [0, 6, 0], [4, 0, 0]
    picture = pictures.confidence_panel(grey_images(2), label_map(labels))

    def cell(row, image, i, j):
        return tile_of(picture, row, image, (180, 120))[12 * i + 6, 12 * j + 6]

    np.testing.assert_allclose(cell(0, 1, 8, 11), 127.5, atol=1)  # the frame
    for image, (i, j), confidence in ((0, (3, 4), 6), (1, (8, 11), 4), (1, (3, 4), 2)):
        np.testing.assert_allclose(cell(1, image, i, j), viridis((confidence - 2) / 4), atol=2)
    # channel 2 is high all over, but for two cells; 0 and 1 respond at one cell each, of which that of 1 is the surer
    for row, lit, dark in ((2, (1, 3, 4), (1, 8, 11)), (3, (0, 3, 4), (1, 8, 11))):
        assert cell(row, *lit).astype(int).max() > 200
        np.testing.assert_allclose(cell(row, *dark), 0.4 * 127.5, atol=2)


@pytest.mark.parametrize("stride", planted.ODD_STRIDES)
def test_confidence_is_drawn_over_the_pixels_of_its_cell_where_sides_are_no_multiple_of_the_stride(stride):
    rows, columns = (side // stride for side in planted.ODD)
    labels = np.tile([0.0, 2.0], [1, rows, columns, 1])
    cell = rows - 1, columns - 1
    labels[0][cell] = [6.0, 0.0]
    picture = pictures.confidence_panel(grey_images(1, *planted.ODD), label_map(labels, stride))
    sure, respond = (tile_of(picture, row, 0, (236, 180)) for row in (1, 2))
    corners = planted.corners_of(cell, stride, 2)
    np.testing.assert_allclose(sure[corners], [viridis(1.0)] * 4, atol=2)
    np.testing.assert_allclose(sure[corners[0][0] - 1, corners[1][0]], viridis(0.0), atol=2)  # the cell above
    assert (sure[2 * rows * stride :] == 255).all() and (sure[:, 2 * columns * stride :] == 255).all()
    lit = respond.max(axis=-1) > 200  # of the channel that responds in this cell alone, or in all others
    assert lit.sum() in ((2 * stride) ** 2, (2 * stride) ** 2 * (rows * columns - 1))
    assert len(set(lit[corners])) == 1 and not lit[2 * rows * stride :].any()


# --- curves ---

COUNT = 1000
ERRORS = np.linspace(0, 20, COUNT)  # the first half is within 10 %
SURE = -ERRORS
PICTURE = pictures.trust_panel(ERRORS, SURE, np.cos(np.arange(COUNT)))


def curve(column, colour):
    """Points of a curve in shares of its plot, (x, y) up, [n, 2]."""
    left = pictures.CURVES_LEFT + column * pictures.CURVES_APART
    box = pictures.CURVES_TOP, pictures.CURVES_TOP + pictures.CURVE_HEIGHT, left, left + pictures.CURVE_WIDTH
    rows, columns = np.nonzero(planted.matches_colour(PICTURE[box[0] : box[1], box[2] : box[3]], colour, tolerance=40))
    return np.stack([(columns + 0.5) / pictures.CURVE_WIDTH, 1 - (rows + 0.5) / pictures.CURVE_HEIGHT], axis=-1)


def passes(points, x, y, apart=0.0):
    """Whether a curve passes (x, y), or, where it is dashed, what is as far along it as a dash is `apart`."""
    return any(np.hypot(*(points - [x + along, y * (x + along) / x]).T).min() < 0.015 for along in apart * STEPS)


STEPS = np.linspace(0, 1, 9)


def test_reliability_is_at_the_middle_of_each_tenth():
    points = curve(0, pictures.BY_CONFIDENCE)
    for tenth in range(10):
        assert passes(points, (tenth + 0.5) / 10, (tenth >= 5) / pictures.TOP)
    assert passes(points, 0.5, 0.5 / pictures.TOP)  # between the two halves
    all_of_them = curve(0, pictures.RANDOM)
    assert np.median(all_of_them[all_of_them[:, 0] < 0.5, 1]) == pytest.approx(0.5 / pictures.TOP, abs=0.01)


def test_risk_by_confidence_is_that_by_error_where_it_knows_all_and_random_is_flat():
    """The mean error of the best share c of 0..20 is 10 c, and the plot goes up to 1.6 times the mean, 10."""
    for share in (0.31, 0.62, 0.93):
        for colour in (pictures.BY_CONFIDENCE, pictures.ORACLE):
            assert passes(curve(1, colour), share, share / 1.6, apart=0.04), (share, colour)
    cosine = curve(1, pictures.BY_COSINE)  # here worth no more than a random order
    assert np.median(cosine[cosine[:, 0] < 0.5, 1]) == pytest.approx(1 / 1.6, abs=0.05)


def test_pck_of_the_surer_half_reaches_one_at_half_of_the_errors():
    for share, colour in ((1.0, pictures.RANDOM), (0.5, pictures.BY_COSINE), (0.1, pictures.BY_CONFIDENCE)):
        for end in (0.3, 0.6, 0.9):
            assert passes(curve(2, colour), share * end, end / pictures.TOP, apart=0.05), (share, end)
    assert passes(curve(2, pictures.BY_CONFIDENCE), 0.6, 1 / pictures.TOP)
