"""Tests of the picture of labels: each cell has the colour of its label, over its own pixels."""

import numpy as np
import pytest

from dense_labels.method import label_sphere
from dense_labels.pictures import labels as pictures
from dense_labels.pictures.sheet import GAP, MARGIN
from tests.dense_labels.pictures import planted
from tests.dense_labels.pictures.planted import grey_images, label_map

LEFT = 92


def tile_of(picture, row, column, size):
    return planted.tile_of(picture, row, column, size, left=LEFT, top=MARGIN)


def test_each_cell_has_the_colour_of_its_label():
    labels = planted.RNG(1).normal(size=[2, 10, 15, 3])
    picture = pictures.labels_panel(grey_images(2), label_map(labels))
    colours = np.rint(255 * label_sphere.label_colours(np.float32(labels)))
    for image, (row, column) in ((0, (0, 0)), (0, (7, 3)), (1, (9, 14))):
        tile = tile_of(picture, 1, image, (180, 120))
        np.testing.assert_allclose(tile[12 * row + 6, 12 * column + 6], colours[image, row, column], atol=1)


@pytest.mark.parametrize("stride", planted.ODD_STRIDES)
def test_a_label_is_drawn_over_the_pixels_of_its_cell_where_sides_are_no_multiple_of_the_stride(stride):
    height, width = (side // stride for side in planted.ODD)
    cells = (0, 0), (height // 2, 1), (height - 1, width - 1)
    labels = np.tile([0.0, 0.0, 1.0], [1, height, width, 1])
    for cell in cells:
        labels[0][cell] = [3.0, 0.0, 0.0]
    masks = np.zeros([1, *planted.ODD])
    i, j = cells[1]
    masks[0, i * stride : (i + 1) * stride, j * stride : (j + 1) * stride] = 1  # the object is one cell
    picture = pictures.labels_panel(grey_images(1, *planted.ODD), label_map(labels, stride), masks=masks)
    own, other = (255 * label_sphere.label_colours(label) for label in np.eye(3)[[0, 2]])
    colour, on_object, length = (tile_of(picture, row, 0, (236, 180)) for row in (1, 2, 3))
    for cell in cells:
        corners = planted.corners_of(cell, stride, 2)
        np.testing.assert_allclose(colour[corners], np.tile(own, [4, 1]), atol=1)
        np.testing.assert_allclose(
            on_object[corners], np.tile(own if cell == cells[1] else [127.5] * 3, [4, 1]), atol=1
        )
        assert (length[corners] == length[corners][0]).all() and (length[corners][0] != length[2, -40]).any()
    for drawn in (colour, on_object, length):
        assert (drawn[2 * height * stride :] == 255).all() and (drawn[:, 2 * width * stride :] == 255).all()
    np.testing.assert_allclose(colour[corners[0][0] - 1, corners[1][0]], other, atol=1)  # the cell above the last


def test_what_is_off_the_object_is_hidden():
    labels, masks = label_map(np.ones([1, 10, 15, 3])), np.zeros([1, 20, 30])
    masks[:, :, :16] = 1  # the left eight columns of cells
    plain = pictures.labels_panel(grey_images(), labels)
    picture = pictures.labels_panel(grey_images(), labels, masks=masks)
    assert picture.shape[0] == plain.shape[0] + 120 + GAP
    tile = tile_of(picture, 2, 0, (180, 120))
    np.testing.assert_allclose(tile[60, 94], 255 * label_sphere.label_colours(np.ones(3)), atol=1)
    np.testing.assert_allclose(tile[60, 98], 127.5, atol=0.6)


@pytest.mark.parametrize("length", [2, 3, 5])
def test_labels_may_be_of_any_length(length):
    labels = label_map(planted.RNG(1).normal(size=[1, 10, 15, length]))
    basis = label_sphere.colour_basis(labels.values) if length > 3 else None
    picture = pictures.labels_panel(grey_images(), labels, masks=np.ones([1, 20, 30]), basis=basis)
    assert picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8


def test_pictures_are_the_same_every_time_and_leave_their_arrays_alone():
    images, labels = grey_images(), planted.distinct_labels(length=3)
    before = images.copy(), labels.values.copy()
    first, second = (pictures.labels_panel(images, labels) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(labels.values, before[1])


def test_large_images_are_shown_smaller():
    picture = pictures.labels_panel(grey_images(1, 60, 800), label_map(np.ones([1, 3, 40, 3]), 20))
    assert picture.shape[1] < 800


LABELS = label_map(np.ones([1, 10, 15, 3]))


@pytest.mark.parametrize(
    "images, labels, masks, message",
    [
        (
            np.zeros([1, 20, 30, 3], np.uint8),
            LABELS,
            None,
            r"images must be float in \[0, 1\]; found uint8 in \[0, 0\]",
        ),
        (grey_images() * 400, LABELS, None, r"images must be float in \[0, 1\]; found float32 in \[200.0, 200.0\]"),
        (grey_images()[0], LABELS, None, r"images must be \[any, any, any, 3\]; found shape \(20, 30, 3\)"),
        (grey_images(2), LABELS, None, r"labels must be \[2, any, any, any\]; found shape \(1, 10, 15, 3\)"),
        (
            grey_images(),
            LABELS,
            np.ones([1, 10, 15]),
            r"masks must be \[1, 20, 30\]; found shape \(1, 10, 15\)",
        ),
        (
            grey_images(),
            label_map(np.ones([1, 40, 60, 3])),
            None,
            "labels: images of 20 x 30 have 10 x 15 cells of 2 pixels; found 40 x 60",
        ),
        (grey_images(), label_map(np.ones([1, 10, 15, 3]), 1), None, "20 x 30 cells of 1 pixels; found 10 x 15"),
    ],
)
def test_errors_say_what_was_given_and_what_is_needed(images, labels, masks, message):
    with pytest.raises(ValueError, match=message):
        pictures.labels_panel(images, labels, masks=masks)


def test_lengths_that_are_all_1_are_not_drawn():
    """Their differences are rounding, which a row of colours would make large."""
    labels = planted.RNG(1).normal(size=[2, 10, 15, 3])
    unit = labels / np.linalg.norm(labels, axis=-1, keepdims=True)
    heights = [pictures.labels_panel(grey_images(2), label_map(np.float32(each))).shape[0] for each in (labels, unit)]
    assert heights[1] < heights[0]
