"""Tests of what is drawn of a served model's answers: points and maps lie on their own picture."""

import numpy as np
import pytest

from dense_labels.method import label_sphere
from dense_labels.pictures import sheet
from dense_labels.pictures.sheet import LINE, MARGIN
from serving import drawing
from tests.dense_labels.pictures.planted import centre_of

GREY = np.full([20, 32, 3], 128, np.uint8), np.full([80, 64, 3], 128, np.uint8)  # drawn 320 x 200 and 320 x 400


def tile_of(picture, row, column):
    left, top = MARGIN + column * (320 + MARGIN), MARGIN + LINE + row * (200 + MARGIN)
    return picture[top : top + (200, 400)[row], left : left + 320]


@pytest.mark.parametrize("length", [3, 5])
def test_landmarks_labels_and_confidence_of_pictures_of_any_size_are_drawn(length):
    labels = np.zeros([2, 5, 8, length], np.float32)
    labels[..., 0], labels[1, 2, 3, :2] = 1, [0, 7]
    answers = [
        {"points": np.array([[8.0, 15.0]]), "labels": each, "confidence": np.linalg.norm(each, axis=-1)}
        for each in labels
    ]
    picture = drawing.draw_pictures(GREY, answers)
    for row, scale in enumerate((10, 5)):
        np.testing.assert_allclose(centre_of(tile_of(picture, row, 0), sheet.POINT_COLOURS[0]), [8 * scale, 15 * scale])
    basis = label_sphere.colour_basis(labels) if length > 3 else None
    expected = 255 * label_sphere.label_colours(labels[1, 2, 3], basis)
    np.testing.assert_allclose(tile_of(picture, 1, 1)[200, 140], expected, atol=1)  # the middle of cell (2, 3)
    sure = tile_of(picture, 1, 2)
    assert (sure[200, 140] != sure[200, 60]).any() and (sure[200, 60] == sure[40, 300]).all()


def test_what_a_model_does_not_answer_is_not_drawn():
    picture = drawing.draw_pictures(GREY[:1], [{"points": np.zeros([0, 2])}])
    assert picture.shape == (200 + 2 * MARGIN, 320 + 2 * MARGIN, 3)


def test_a_picture_that_is_matched_with_itself_is_drawn_alike_twice():
    """The network sees all but a margin of 15 of 100 pixels, in cells of 2."""
    picture = np.full([100, 100, 3], 128, np.uint8)
    centres = 15 + 2 * (np.arange(35) + 0.5)
    points = np.stack(np.meshgrid(centres, centres), axis=-1)
    found = {"points_in_a": points, "points_in_b": points, "confidence": np.ones([35, 35])}
    drawn = drawing.draw_matches([picture, picture], found)
    top, size = MARGIN + LINE, 320
    a, b = (drawn[top : top + size, left : left + size] for left in (MARGIN, 2 * MARGIN + size))
    assert np.ptp(a) > 50
    np.testing.assert_array_equal(a, b)
    spread = drawing.draw_matches([picture, picture], {name: found[name] for name in ("points_in_b", "confidence")})
    assert (spread[top : top + size, MARGIN : MARGIN + size] != a).any()  # of a model that does not say where they lie


def test_a_match_is_drawn_at_both_of_its_ends_and_fainter_where_it_is_less_certain():
    found = {"points_in_b": np.full([7, 7, 2], [40.0, 30.0]), "confidence": np.ones([7, 7])}
    sure = drawing.draw_matches(GREY, found)
    found["confidence"][1] = 0.2
    picture = drawing.draw_matches(GREY, found)
    assert picture.shape == (MARGIN + LINE + 400 + MARGIN, 3 * MARGIN + 2 * 320, 3)  # as high as the higher of the two
    (a, b), (sure_a, _) = (
        (drawn[MARGIN + LINE :, MARGIN:][:200, :320], drawn[MARGIN + LINE :, 2 * MARGIN + 320 :][:400, :320])
        for drawn in (picture, sure)
    )
    np.testing.assert_allclose(centre_of(b, sheet.POINT_COLOURS[4]), [200, 150], atol=3)  # the last, on top
    for row, strength in ((1, 0.2), (2, 1.0)):  # of the 7 rows of cells, the first and second that are shown
        x, y = int(320 * 1.5 / 7), int(200 * (row + 0.5) / 7)
        off_grey, fully = (drawn[y, x].astype(float) - 128 for drawn in (a, sure_a))
        assert np.abs(fully).max() > 50
        np.testing.assert_allclose(off_grey, strength * fully, atol=2)
