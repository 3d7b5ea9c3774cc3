"""Tests of the pictures of confidence: what is drawn lies where the arrays say, in the colour that they say."""

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from dense_labels.pictures import confidence_panels as panels
from dense_labels.pictures.sheet import LINE, MARGIN

GAP, CAPTIONS = 8, 104


def grey_images(count=1, height=20, width=30):
    return np.full([count, height, width, 3], 0.5, np.float32)


def near_colour(picture, colour, tolerance=8):
    """Which pixels [H, W] have a colour."""
    wanted = np.rint(255 * np.array(to_rgb(colour)))
    return np.abs(picture.astype(int) - wanted).max(axis=-1) <= tolerance


def viridis(value):
    return matplotlib.colormaps[panels.CONFIDENCE](value)[:3]


# --- confidence and channels ---


def test_the_channels_that_vary_most_are_chosen():
    responses = np.zeros([2, 3, 4, 5])
    responses[0, 0, 0] = [3, 0, 9, 0, 3]
    responses[..., 1] = 100  # high everywhere: it tells no place from another
    sure = np.ones([2, 3, 4])
    assert panels.choose_channels(responses, sure, 3).tolist() == [2, 0, 4]  # of 0 and 4, which vary alike, 0 first
    assert panels.choose_channels(responses, sure, 9).tolist() == [2, 0, 4, 1, 3]
    responses[1, 2, 3, 3] = 2  # less than the others vary, but they do where nothing is certain
    sure[0, 0, 0] = 1e-3
    assert panels.choose_channels(responses, sure, 1).tolist() == [3]


def test_confidence_is_shown_cell_by_cell_and_channels_glow_where_they_respond():
    labels = np.zeros([2, 10, 15, 3])
    labels[..., 2] = 2.0
    labels[0, 3, 4], labels[1, 8, 11] = [0, 6, 0], [4, 0, 0]
    picture = panels.introspection_panel(grey_images(2), labels, channels=2)
    side, down, across = 12, 120 + GAP, 180 + GAP

    def cell(row, image, i, j):
        x, y = CAPTIONS + image * across + j * side + side // 2, MARGIN + row * down + i * side + side // 2
        return picture[y, x]

    np.testing.assert_allclose(cell(0, 1, 8, 11), 127.5, atol=1)  # the frame
    for image, (i, j), confidence in ((0, (3, 4), 6), (1, (8, 11), 4), (1, (3, 4), 2)):
        np.testing.assert_allclose(cell(1, image, i, j), 255 * np.array(viridis((confidence - 2) / 4)), atol=2)
    # channel 2 is high all over, but for two cells; 0 and 1 respond at one cell each, of which that of 1 is the surer
    for row, lit, dark in ((2, (1, 3, 4), (1, 8, 11)), (3, (0, 3, 4), (1, 8, 11))):
        assert cell(row, *lit).astype(int).max() > 200
        np.testing.assert_allclose(cell(row, *dark), 0.4 * 127.5, atol=2)


# --- matches ---


def test_a_match_is_a_line_from_a_to_b_in_the_colour_of_its_confidence():
    points = np.array([[[5.0, 4.0], [5.0, 10.0], [5.0, 16.0]]])
    places = points + [[[10.0, 0.0]]]
    sure = np.array([[1.0, 2.0, 3.0]])
    true = places + [[[0, 0], [3, 4], [0, 0]]]  # the second is off by 5
    picture = panels.matches_panel(grey_images(), grey_images(), points, places, sure, points_in_b=true, near=4.9)
    scale, across, top = 8, 240 + GAP, MARGIN + LINE
    for (x, y), (u, v), value in zip(points[0], places[0], (0.0, 0.5, 1.0)):
        row = picture[int(top + scale * y)]
        start, end = int(MARGIN + scale * x), int(MARGIN + across + scale * u)
        between = near_colour(row[np.newaxis, start + 8 : end - 8], viridis(value), tolerance=30)
        assert between.all(), value
        assert y == v
    tile = picture[top : top + 160, MARGIN + across : MARGIN + across + 240]
    for y, value in ((4, 0.0), (16, 1.0)):  # a dot, which reaches a little further right than where it is
        rows, columns = np.nonzero(near_colour(tile[:, 114:], viridis(value)))
        assert rows.mean() + 0.5 == pytest.approx(8 * y, abs=1) and 114 + columns.max() == pytest.approx(123, abs=1.5)
    cross = near_colour(tile[80 - 12 : 80 + 12, 120 + 2 : 120 + 12], viridis(0.5), tolerance=30)
    assert cross[6:9].any() and cross[15:18].any() and not cross[11:13, 6:].any()  # arms, and nothing between them


def test_points_that_are_not_numbers_are_not_drawn_nor_do_they_stretch_the_colours():
    points = np.array([[[5.0, 4.0], [np.nan, np.nan]]])
    places, sure = np.array([[[15.0, 4.0], [15.0, 16.0]]]), np.array([[2.0, 900.0]])
    picture = panels.matches_panel(grey_images(), grey_images(), points, places, sure)
    tiles = picture[MARGIN + LINE + 64 : MARGIN + LINE + 160, MARGIN : MARGIN + 240]
    assert np.ptp(tiles) <= 1


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"near": 3}, "points_in_b and near come together; found near=3"),
        ({"places": np.zeros([1, 3, 2])}, r"places must be \[1, 2, 2\]; found shape \(1, 3, 2\)"),
        ({"confidence": np.zeros([1, 1])}, r"confidence must be \[1, 2\]; found shape \(1, 1\)"),
        ({"images_b": grey_images(2)}, r"images_b must be \[1, 20, 30, 3\]; found shape \(2, 20, 30, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(changed, message):
    zeros = np.zeros([1, 2, 2])
    arguments = {"images_a": grey_images(), "images_b": grey_images(), "points": zeros, "places": zeros}
    with pytest.raises(ValueError, match=message):
        panels.matches_panel(**{**arguments, "confidence": zeros[..., 0], **changed})


# --- curves ---

COUNT = 1000
ERRORS = np.linspace(0, 20, COUNT)  # the first half is within 10 %
SURE = -ERRORS
PICTURE = panels.trust_panel(ERRORS, SURE, np.cos(np.arange(COUNT)), threshold=10.0)


def curve(column, colour):
    """Points of a curve in shares of its plot, (x, y) up, [n, 2]."""
    left = panels.CURVES_LEFT + column * panels.CURVES_APART
    box = panels.CURVES_TOP, panels.CURVES_TOP + panels.CURVE_HEIGHT, left, left + panels.CURVE_WIDTH
    rows, columns = np.nonzero(near_colour(PICTURE[box[0] : box[1], box[2] : box[3]], colour, tolerance=40))
    return np.stack([(columns + 0.5) / panels.CURVE_WIDTH, 1 - (rows + 0.5) / panels.CURVE_HEIGHT], axis=-1)


def passes(points, x, y, apart=0.0):
    """Whether a curve passes (x, y), or, where it is dashed, what is as far along it as a dash is `apart`."""
    return any(np.hypot(*(points - [x + along, y * (x + along) / x]).T).min() < 0.015 for along in apart * STEPS)


STEPS = np.linspace(0, 1, 9)


def test_reliability_is_at_the_middle_of_each_tenth():
    points = curve(0, panels.BY_CONFIDENCE)
    for tenth in range(10):
        assert passes(points, (tenth + 0.5) / 10, (tenth >= 5) / panels.TOP)
    assert passes(points, 0.5, 0.5 / panels.TOP)  # between the two halves
    all_of_them = curve(0, panels.RANDOM)
    assert np.median(all_of_them[all_of_them[:, 0] < 0.5, 1]) == pytest.approx(0.5 / panels.TOP, abs=0.01)


def test_risk_by_confidence_is_that_by_error_where_it_knows_all_and_random_is_flat():
    """The mean error of the best share c of 0..20 is 10 c, and the plot goes up to 1.6 times the mean, 10."""
    for share in (0.31, 0.62, 0.93):
        for colour in (panels.BY_CONFIDENCE, panels.ORACLE):
            assert passes(curve(1, colour), share, share / 1.6, apart=0.04), (share, colour)
    cosine = curve(1, panels.BY_COSINE)  # here worth no more than a random order
    assert np.median(cosine[cosine[:, 0] < 0.5, 1]) == pytest.approx(1 / 1.6, abs=0.05)


def test_pck_of_the_surer_half_reaches_one_at_half_of_the_errors():
    for share, colour in ((1.0, panels.RANDOM), (0.5, panels.BY_COSINE), (0.1, panels.BY_CONFIDENCE)):
        for end in (0.3, 0.6, 0.9):
            assert passes(curve(2, colour), share * end, end / panels.TOP, apart=0.05), (share, end)
    assert passes(curve(2, panels.BY_CONFIDENCE), 0.6, 1 / panels.TOP)
