"""Tests of the pictures of label space: a pixel's colour lies at its label's place."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from dense_labels.method import label_sphere
from dense_labels.pictures import sphere, unfolding
from dense_labels.pictures.sheet import MARGIN
from tests.dense_labels.pictures import planted
from tests.dense_labels.pictures.planted import centre_of, grey_images, label_map

LEFT, MAP = 76, (440, 220)
PLACE = label_sphere.from_latitude_longitude(np.pi / 8, -np.pi / 3)
EXPECTED = 440 / 3, 220 * 3 / 8


def map_of(picture, column, image_height=120):
    left, top = LEFT + column * (MAP[0] + 2 * MARGIN), 2 * MARGIN + image_height
    return picture[top : top + MAP[1], left : left + MAP[0]]


@pytest.mark.parametrize("length, projection", [(2, "equirectangular"), (5, "equirectangular"), (3, "hemispheres")])
def test_labels_may_be_of_any_length_and_projected_either_way(length, projection):
    labels = label_map(planted.RNG(1).normal(size=[1, 10, 15, length]))
    basis = label_sphere.colour_basis(labels.values) if length > 3 else None
    masks = np.ones([1, 20, 30])
    picture = sphere.unfolded_panel(grey_images(), labels, masks, basis=basis, projection=projection)
    assert picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8


def test_the_pixels_colour_is_drawn_at_the_labels_place():
    images = np.broadcast_to(np.float32(to_rgb("#cc0044")), [1, 20, 30, 3])
    labels = label_map(np.broadcast_to(5 * PLACE, [1, 10, 15, 3]))
    picture = sphere.unfolded_panel(images, labels, np.ones([1, 20, 30]))
    np.testing.assert_allclose(centre_of(map_of(picture, 0), "#cc0044"), EXPECTED, atol=1.5)


@pytest.mark.parametrize("stride", planted.ODD_STRIDES)
def test_a_pixel_has_the_label_of_its_own_cell_where_sides_are_no_multiple_of_the_stride(stride):
    """The right half of the image is red and its cells point elsewhere; what no cell covers is blue, and left out."""
    rows, columns = (side // stride for side in planted.ODD)
    images = np.zeros([1, *planted.ODD, 3], np.float32)
    labels = np.tile([0.0, 1.0, 0.0], [1, rows, columns, 1])
    labels[:, :, columns // 2 :] = PLACE
    images[:, :, (columns // 2) * stride :, 0] = 1
    images[:, rows * stride :] = images[:, :, columns * stride :] = [0, 0, 1]
    masks = np.ones([1, *planted.ODD])
    near = (columns // 2) * stride  # around it, labels lie between those of two cells
    masks[:, :, near - stride : near + stride] = 0
    picture = map_of(sphere.unfolded_panel(images, label_map(labels, stride), masks), 0, image_height=180)
    np.testing.assert_allclose(centre_of(picture, "red"), EXPECTED, atol=1.5)
    assert not planted.matches_colour(picture, "blue", tolerance=100).any()
    np.testing.assert_allclose(centre_of(picture[4:-4, 4:-4], "black"), [330 - 4, 110 - 4], atol=1.5)


def test_each_frame_is_drawn_and_then_the_mean():
    labels, everywhere = label_map(np.broadcast_to(PLACE, [2, 10, 15, 3])), np.ones([2, 20, 30])
    images = np.ones([2, 20, 30, 3]) * np.reshape([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], [2, 1, 1, 3])
    mean = unfolding.MeanObject(size=440)
    mean.add(images, labels, everywhere)
    picture = sphere.mean_object_panel(images, labels, everywhere, mean)
    for column, colour in enumerate(("#ff0000", "#0000ff", "#800080")):
        np.testing.assert_allclose(centre_of(map_of(picture, column), colour), EXPECTED, atol=1.5)
        left = LEFT + column * (MAP[0] + 2 * MARGIN)
        above = picture[MARGIN : MARGIN + 120, left + 130 : left + 310]
        if column < 2:
            np.testing.assert_array_equal(above[60, 90], 255 * images[column, 0, 0])
        else:  # how many images there are is written here
            assert above.min() < 100 and np.mean(above == 255) > 0.9
