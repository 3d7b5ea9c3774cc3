"""Tests of the pictures of landmarks: marks lie at the points, on the right image."""

import dataclasses

import numpy as np
import pytest

from dense_labels.pictures import gallery, sheet
from dense_labels.pictures import landmarks as pictures
from dense_labels.pictures.sheet import LINE, MARGIN
from dense_labels.registry import PICTURES
from tests.dense_labels.pictures import planted
from tests.dense_labels.pictures.planted import centre_of, grey_images


@pytest.mark.parametrize("width, scale", [(480, 3), (30, 4)])
@pytest.mark.parametrize("point", [(15.0, 10.0), (7.25, 4.5), (22.125, 14.875)])
def test_landmark_is_drawn_at_its_scaled_point(width, scale, point):
    points = np.array([[point]])
    picture = pictures.landmarks_panel(grey_images(1, 20, width), points, points, [[1]], [[1, 1]])
    tile = picture[MARGIN : MARGIN + 20 * scale, MARGIN : MARGIN + width * scale]
    np.testing.assert_allclose(centre_of(tile, sheet.PREDICTED), scale * points[0, 0], atol=0.51)


def test_landmarks_of_the_fifth_image_are_drawn_in_the_second_row():
    predicted, true = np.full([5, 1, 2], [6.0, 5.0]), np.full([5, 1, 2], [22.0, 14.0])
    picture = pictures.landmarks_panel(grey_images(5), predicted, true, np.eye(5)[4:].T, np.ones([5, 2]))
    corner = np.array([MARGIN, MARGIN + 80 + MARGIN + LINE])
    tile = picture[corner[1] : corner[1] + 80, corner[0] : corner[0] + 120]
    np.testing.assert_allclose(centre_of(tile, sheet.PREDICTED), [24, 20], atol=0.51)
    np.testing.assert_allclose(centre_of(tile, sheet.TRUE), [88, 56], atol=0.51)
    np.testing.assert_array_equal(tile[38, 56], [255, 255, 255])  # the line between the two, half way


def test_landmarks_without_annotation_are_not_drawn():
    points = np.full([1, 1, 2], 10.0)
    with_point = pictures.landmarks_panel(grey_images(), points, points, [[1]], [[1, 1]])
    without = pictures.landmarks_panel(grey_images(), points, points, [[0]], [[1, 1]])
    tile = np.s_[MARGIN : MARGIN + 80, MARGIN : MARGIN + 120]
    assert (without[tile] == 128).all() or (without[tile] == 127).all()
    assert not (with_point[tile] == without[tile]).all()


def test_errors_are_in_pixels_of_the_picture(monkeypatch):
    said = []
    monkeypatch.setattr(sheet.Tiles, "caption", lambda self, row, column, text: said.append(text))
    true = np.full([2, 1, 2], 5.0)
    pictures.landmarks_panel(grey_images(2), true + [1.0, 2.0], true, np.ones([2, 1]), [[1.0, 1.0], [3.0, 2.0]])
    assert said == ["mean error 2.24 px", "mean error 5.00 px"]


def test_pixels_of_an_image_stay_whole():
    image = planted.RNG(0).uniform(size=[1, 20, 30, 3])
    nowhere = np.zeros([1, 1, 2])
    picture = pictures.landmarks_panel(image, nowhere, nowhere, [[0]], [[1, 1]])
    tile = picture[MARGIN : MARGIN + 80, MARGIN : MARGIN + 120]
    wanted = np.repeat(np.repeat(image[0], 4, axis=0), 4, axis=1) * 255
    np.testing.assert_allclose(tile, wanted, atol=1)


def test_landmarks_that_were_not_fitted_are_left_out_of_the_worst_images(monkeypatch):
    drawn = {}

    def panel(images, predicted, true, annotated, enlarged):
        drawn.update(images=images[:, 0, 0, 0], true=true[:, 0, 0], annotated=annotated)
        return "panel"

    monkeypatch.setattr(pictures, "landmarks_panel", panel)
    points = np.reshape([3.0, 0.0, 4.0], [3, 1, 1]) * np.ones([3, 2, 2])
    points[0, 1] = np.nan
    images = np.ones([3, 4, 4, 3]) * np.reshape([0.3, 0.0, 0.4], [3, 1, 1, 1])
    worst = gallery.Worst(images, points, points + 1, np.ones([3, 2]), np.ones([3, 2]))
    material = dataclasses.replace(planted.material(), worst=worst)
    assert pictures.draw_worst_landmarks(material) == "panel"
    np.testing.assert_array_equal(drawn["images"], [0.3, 0.0, 0.4])  # in the order they are given
    np.testing.assert_array_equal(drawn["true"], [4, 1, 5])
    np.testing.assert_array_equal(drawn["annotated"], [[1, 0], [1, 1], [1, 1]])
    nothing = gallery.Worst(*(part[:0] for part in worst))
    assert pictures.draw_worst_landmarks(dataclasses.replace(material, worst=nothing)) is None


def test_the_worst_are_said_to_be_ordered_by_percent_and_told_in_pixels():
    """As `measuring.worst_images` orders them, and `landmarks_panel` tells them."""
    words = PICTURES["worst_landmarks"].words
    assert "errs most, in % of what errors are divided by" in words and "its error in pixels of the whole" in words


POINTS = np.zeros([1, 4, 2])


@pytest.mark.parametrize(
    "true, annotated, message",
    [
        (POINTS[:, 1:], np.ones([1, 4]), r"true must be \[1, 4, 2\]; found shape \(1, 3, 2\)"),
        (POINTS, np.ones([1, 3]), r"annotated must be \[1, 4\]; found shape \(1, 3\)"),
    ],
)
def test_errors_say_what_was_given_and_what_is_needed(true, annotated, message):
    with pytest.raises(ValueError, match=message):
        pictures.landmarks_panel(grey_images(), POINTS, true, annotated, np.ones([1, 2]))


@pytest.mark.parametrize("width, scale", [(100, 4), (512, 2), (1024, 1), (4000, 1)])
def test_large_images_are_not_enlarged(width, scale):
    points = np.zeros([1, 1, 2])
    picture = pictures.landmarks_panel(np.full([1, 40, width, 3], 0.5), points, points, [[0]], [[1, 1]])
    assert picture.shape[1] == width * scale + 2 * pictures.MARGIN
