"""Tests of unfolded label space: known colours at known places; the mean against a mean by hand."""

import numpy as np
import pytest

from dense_labels.method import geometry, label_sphere
from dense_labels.pictures import cells, unfolding
from tests.dense_labels.pictures import planted
from tests.dense_labels.pictures.planted import label_map

RNG = np.random.default_rng


def place_of(picture):
    rows, columns = np.nonzero((picture != unfolding.BACKGROUND).any(axis=-1))
    return rows.mean(), columns.mean(), rows, columns


def test_unfold_puts_the_poles_at_the_top_and_the_bottom():
    red = [[1.0, 0.0, 0.0]]
    top = unfolding.unfold([[0.0, 0.0, 7.0]], red, [True], size=90)
    bottom = unfolding.unfold([[0.0, 0.0, -7.0]], red, [True], size=90)
    assert top.shape == (90, 180, 3) and top.dtype == np.uint8
    assert place_of(top)[2].min() == 0 and place_of(top)[2].max() <= 1
    assert place_of(bottom)[2].max() == 89 and place_of(bottom)[2].min() >= 88
    np.testing.assert_array_equal(top[0, 90], [255, 0, 0])


def test_unfold_puts_a_label_at_its_latitude_and_longitude():
    label = label_sphere.from_latitude_longitude([np.deg2rad(30)], [np.deg2rad(-45)])
    row, column, _, _ = place_of(unfolding.unfold(label, [[0.0, 0.0, 1.0]], [True], size=180))
    np.testing.assert_allclose([row + 0.5, column + 0.5], [60, 135], atol=0.51)


def test_unfold_wraps_a_dot_on_the_seam():
    columns = place_of(unfolding.unfold([[-1.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]], [True], size=90))[3]
    assert 0 in columns and 179 in columns


def test_unfold_averages_pixels_on_one_place_and_leaves_out_hidden_ones():
    labels = np.tile([1.0, 0.0, 0.0], [3, 1])
    colours = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.2], [0.0, 1.0, 0.0]])
    picture = unfolding.unfold(labels, colours, [True, True, False], size=90)
    np.testing.assert_array_equal(picture[45, 90], [128, 0, 26])
    nothing = unfolding.unfold(labels, colours, np.zeros(3), size=90)
    assert (nothing == unfolding.BACKGROUND).all()


def test_unfold_of_two_dimensions_is_the_plane_with_its_second_axis_up():
    labels = [[0.0, 4.0], [2.0, 0.0]]
    black = np.zeros([1, 3])
    up = unfolding.unfold(labels[:1], black, [True], size=220)
    assert up.shape == (220, 220, 3)
    np.testing.assert_allclose(place_of(up)[:2], [10, 110], atol=1)
    both = unfolding.unfold(labels, np.zeros([2, 3]), [True, True], size=220)
    assert (both[110, 160] == 0).all()  # Half as long as the longest.


def test_unfold_through_a_basis():
    rotation = np.linalg.qr(RNG(0).normal(size=[5, 5]))[0][:3]
    labels, colours = RNG(0).normal(size=[30, 3]), RNG(0).uniform(size=[30, 3])
    np.testing.assert_array_equal(
        unfolding.unfold(labels @ rotation, colours, np.ones(30), size=90, basis=rotation.T),
        unfolding.unfold(labels, colours, np.ones(30), size=90),
    )


@pytest.mark.parametrize(
    "latitude, longitude, row, column",
    [
        (0, 0, 90, 90),
        (0, 180, 90, 270),
        (85, 0, 90 - 90 * np.sqrt(2) * np.sin(np.deg2rad(42.5)), 90),
        (0, 90, 90, 180),  # where the discs touch
        (0, 60, 90, 90 + 90 * np.sqrt(2) * np.sin(np.deg2rad(30))),  # Lambert: the chord to the middle
        (-30, 0, 90 + 90 * np.sqrt(2) * np.sin(np.deg2rad(15)), 90),
        (0, -120, 90, 270 + 90 * np.sqrt(2) * np.sin(np.deg2rad(30))),  # behind, seen from outside: on to the right
    ],
)
def test_hemispheres_are_two_discs_of_lamberts_projection(latitude, longitude, row, column):
    label = label_sphere.from_latitude_longitude(*np.deg2rad([[latitude], [longitude]]))
    found = place_of(unfolding.unfold(label, [[0.0, 0.0, 1.0]], [True], size=180, projection="hemispheres"))
    np.testing.assert_allclose([found[0] + 0.5, found[1] + 0.5], [row, column], atol=1.1)


def test_hemispheres_are_of_equal_area_everywhere():
    """Of directions spread evenly over the sphere, equal parts of a disc's area hold equal numbers."""
    directions = RNG(0).normal(size=[40_000, 3])
    latitude, longitude = label_sphere.latitude_longitude(directions)
    across, down = unfolding.on_hemispheres(latitude, longitude)
    radius = np.hypot(np.where(across < 0.5, across - 0.25, across - 0.75) * 4, (down - 0.5) * 2)
    assert radius.max() <= 1 + 1e-6
    np.testing.assert_allclose(np.histogram(radius**2, 10, (0, 1))[0], 4_000, rtol=0.06)


def one_label(latitude, longitude, length=1.0):
    """A label map of 2 x 2 cells, all of one label."""
    return label_map(np.broadcast_to(length * label_sphere.from_latitude_longitude(latitude, longitude), [1, 2, 2, 3]))


def plain(colour):
    return np.broadcast_to(np.float32(colour), [1, 4, 4, 3])


EVERYWHERE = np.ones([1, 4, 4])
RED, BLUE = [1.0, 0.0, 0.0], [0.0, 0.0, 0.6]


def test_mean_object_is_the_mean_of_the_pixels_on_a_place():
    mean = unfolding.MeanObject(size=90)
    mean.add(plain(RED), one_label(0, np.pi / 2), EVERYWHERE)
    half = np.arange(16).reshape(1, 4, 4) < 8  # Half as many pixels; that their labels are longer does not count.
    mean.add(plain(BLUE), one_label(0, np.pi / 2, 6), half)
    mean.add(plain(BLUE), one_label(0, -np.pi / 2), EVERYWHERE)
    picture = mean.picture()
    assert picture.shape == (90, 180, 3) and picture.dtype == np.uint8 and mean.count == 3
    np.testing.assert_array_equal(picture[45, 135], [170, 0, 51])
    np.testing.assert_array_equal(picture[45, 45], [0, 0, 153])
    assert ((picture != unfolding.BACKGROUND).any(axis=-1)).sum() == 2 * 9  # Two dots of 3 x 3 pixels.


def test_mean_object_of_batches_is_that_of_all_images_at_once():
    images, labels = RNG(0).uniform(size=[5, 8, 8, 3]), RNG(1).normal(size=[5, 4, 4, 3])
    masks = RNG(2).uniform(size=[5, 8, 8]) > 0.3
    whole, parts = unfolding.MeanObject(size=90), unfolding.MeanObject(size=90)
    whole.add(images, label_map(labels), masks)
    for part in (slice(0, 2), slice(2, 5)):
        parts.add(images[part], label_map(labels[part]), masks[part])
    np.testing.assert_array_equal(whole.picture(), parts.picture())


def test_mean_object_of_one_image_is_that_image_unfolded():
    image, labels = RNG(0).uniform(size=[1, 4, 4, 3]), label_map(RNG(1).normal(size=[1, 4, 4, 3]), 1)
    mean = unfolding.MeanObject(size=90)
    mean.add(image, labels, EVERYWHERE)
    np.testing.assert_array_equal(mean.picture(), unfolding.unfold(labels.values, image, EVERYWHERE, size=90))


def test_labels_of_pixels_are_bilinear_between_the_cells():
    """Two cells at longitudes 0 and 90 degrees: the pixel a quarter of the way lies at atan(1/3)."""
    labels = label_map([[[[1, 0, 0], [0, 1, 0]]]])
    mask = np.zeros([1, 2, 4])
    mask[:, :, 1] = 1
    mean = unfolding.MeanObject(size=360)
    mean.add(np.zeros([1, 2, 4, 3]), labels, mask)
    row, column, _, _ = place_of(mean.picture())
    expected = [180, 360 + 2 * np.rad2deg(np.arctan(1 / 3))]
    np.testing.assert_allclose([row + 0.5, column + 0.5], expected, atol=0.51)


@pytest.mark.parametrize("stride", planted.ODD_STRIDES)
def test_pixels_have_the_label_of_their_place_and_those_without_a_cell_are_left_out(stride):
    rows, columns = (side // stride for side in planted.ODD)
    centres = geometry.cell_centres(rows, columns, stride).numpy()
    pixels = cells.labels_of_pixels(centres, stride, planted.ODD)  # a label says where its cell is
    places = geometry.cell_centres(*planted.ODD, 1).numpy()
    half = np.float32(stride / 2)
    np.testing.assert_allclose(pixels, places.clip(half, [columns * stride - half, rows * stride - half]), atol=1e-3)
    labels = planted.distinct_labels(1, rows, columns, length=3, stride=stride)
    image = np.zeros([1, *planted.ODD, 3])
    image[:, rows * stride :] = image[:, :, columns * stride :] = 1.0
    mean = unfolding.MeanObject(size=90)
    mean.add(image, labels, np.ones([1, *planted.ODD]))
    assert set(np.unique(mean.picture())) <= {0, unfolding.BACKGROUND}


def test_an_upright_view_is_found_where_the_stride_says_that_the_cells_are():
    """Labels that are places on the sphere, seen off its middle; the object fills a part of the image."""
    stride, size = 8, planted.ODD
    rows, columns = (side // stride for side in size)
    y, x = np.mgrid[:rows, :columns] / 10.0 - 0.4
    labels = label_map(label_sphere.from_latitude_longitude(-y, x + 1)[np.newaxis], stride)
    masks = np.zeros([1, *size])
    masks[:, 16:64, 24:72] = 1  # rows 2 to 7 and columns 3 to 8 of cells
    basis = unfolding.upright_view(labels, masks)["basis"]
    latitude, longitude = label_sphere.latitude_longitude(labels.values[0, 4:6, 5:7].reshape(-1, 3) @ basis)
    np.testing.assert_allclose([latitude.mean(), longitude.mean()], 0, atol=1e-3)
    assert (latitude[:2] > latitude[2:]).all()


@pytest.mark.parametrize("length", [2, 3, 5])
@pytest.mark.parametrize("values", [np.zeros, np.ones])
def test_labels_that_are_all_alike_and_images_without_an_object_are_seen_somehow(values, length):
    labels, nothing = label_map(values([2, 3, 4, length])), np.zeros([2, 6, 8])
    view = unfolding.upright_view(labels, nothing)
    if length == 2:
        assert view["longest"] == pytest.approx(np.sqrt(values(2).sum()))
    else:
        assert view["basis"].shape == (length, 3)
    random = label_map(RNG(0).normal(size=[2, 3, 4, 3]))  # no place is the middle of these
    assert np.isfinite(unfolding.upright_view(random, nothing)["basis"]).all()


def test_mean_object_hides_a_place_that_too_few_images_reach():
    mean = unfolding.MeanObject(size=90)
    for number in range(41):
        mean.add(plain(RED), one_label(0, 1.0 if number < 2 else -1.0 if number < 5 else 0.0), EVERYWHERE)
    columns = [int((longitude / (2 * np.pi) + 0.5) * 180) for longitude in (1.0, -1.0, 0.0)]
    hidden, *shown = mean.picture()[45, columns]
    np.testing.assert_array_equal(hidden, [unfolding.BACKGROUND] * 3)
    np.testing.assert_array_equal(shown, [[255, 0, 0]] * 2)


def test_mean_object_of_two_dimensions_is_scaled_to_the_longest_and_leaves_out_longer_ones():
    mean = unfolding.MeanObject(size=220, longest=4.0)
    for label, colour in (([2.0, 0.0], RED), ([0.0, 5.0], BLUE)):
        mean.add(plain(colour), label_map(np.broadcast_to(label, [1, 2, 2, 2])), EVERYWHERE)
    row, column, _, _ = place_of(mean.picture())
    np.testing.assert_allclose([row + 0.5, column + 0.5], [110, 160], atol=0.51)


def test_mean_object_through_a_turned_basis():
    basis = np.linalg.qr(RNG(0).normal(size=[5, 5]))[0][:, :3]
    quarter = np.float32([[0, -1, 0], [1, 0, 0], [0, 0, 1]])  # The first axis to the second: 90 degrees east.
    mean = unfolding.MeanObject(size=90, basis=basis @ quarter.T)
    mean.add(plain(RED), label_map(one_label(0.5, 0.3).values @ basis.T), EVERYWHERE)
    row, column, _, _ = place_of(mean.picture())
    expected = [90 * (0.5 - 0.5 / np.pi), 180 * (0.5 + (0.3 + np.pi / 2) / (2 * np.pi))]
    np.testing.assert_allclose([row + 0.5, column + 0.5], expected, atol=0.51)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: unfolding.unfold(np.ones([4, 3]), np.ones([4, 3]), np.ones(5), size=9),
            r"must agree; found shapes \(4, 3\), \(4, 3\) and \(5,\)",
        ),
        (
            lambda: unfolding.unfold(np.ones([4, 3]), np.ones([4, 3]), np.ones(4), size=9, projection="mollweide"),
            "projection='mollweide': must be one of equirectangular, hemispheres",
        ),
        (lambda: unfolding.MeanObject(size=9).picture(), "the mean of no image: add at least one"),
        (
            lambda: unfolding.MeanObject(size=9).add(plain(RED), label_map(np.ones([1, 2, 2, 2])), EVERYWHERE),
            "labels of length 2 need the length of the longest: pass longest=",
        ),
        (
            lambda: unfolding.MeanObject(size=9).add(plain(RED), label_map(np.ones([1, 2, 2, 5])), EVERYWHERE),
            "length 5 need a basis: pass basis=colour_basis",
        ),
        (
            lambda: unfolding.MeanObject(size=9).add(plain(RED), label_map(np.ones([1, 2, 2, 3])), EVERYWHERE[:, 1:]),
            r"masks must be \[1, 4, 4\]; found shape \(1, 3, 4\)",
        ),
    ],
)
def test_errors_say_what_was_given_and_what_is_needed(call, message):
    with pytest.raises(ValueError, match=message):
        call()
