"""Tests of the pictures: what is drawn lies where the arrays say."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from dense_labels.method import geometry, label_sphere
from dense_labels.pictures import panels, sheet, unfolding
from dense_labels.pictures.sheet import LINE, MARGIN


def grey_images(count=1, height=20, width=30):
    return np.full([count, height, width, 3], 0.5, np.float32)


def planted_labels(height=10, width=15, seed=0):
    """Labels of one length, each alone in its direction: a cell matches itself, p close to 1."""
    labels = np.random.default_rng(seed).normal(size=[1, height, width, 16])
    return np.float32(12 * labels / np.linalg.norm(labels, axis=-1, keepdims=True))


def centre_of(picture, colour):
    """Centre (x, y) of the pixels of a colour, in continuous pixels of the picture."""
    difference = np.abs(picture.astype(int) - np.rint(255 * np.array(to_rgb(colour))))
    rows, columns = np.nonzero(difference.max(axis=-1) < 4)
    assert len(rows), f"no pixel of colour {colour}"
    return np.array([(columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2])


@pytest.mark.parametrize("scale", [3, 4])
@pytest.mark.parametrize("point", [(15.0, 10.0), (7.25, 4.5), (22.125, 14.875)])
def test_landmark_is_drawn_at_its_scaled_point(scale, point):
    points = np.array([[point]])
    height, width = 20 * scale, 30 * scale
    picture = panels.landmarks_panel(grey_images(), points, points, [[1]], scale=scale)
    tile = picture[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
    np.testing.assert_allclose(centre_of(tile, panels.PREDICTED), scale * points[0, 0], atol=0.51)


def test_landmarks_of_the_fifth_image_are_drawn_in_the_second_row():
    predicted, true = np.full([5, 1, 2], [6.0, 5.0]), np.full([5, 1, 2], [22.0, 14.0])
    picture = panels.landmarks_panel(grey_images(5), predicted, true, np.eye(5)[4:].T)
    corner = np.array([MARGIN, MARGIN + 80 + MARGIN + LINE])
    tile = picture[corner[1] : corner[1] + 80, corner[0] : corner[0] + 120]
    np.testing.assert_allclose(centre_of(tile, panels.PREDICTED), [24, 20], atol=0.51)
    np.testing.assert_allclose(centre_of(tile, panels.TRUE), [88, 56], atol=0.51)
    np.testing.assert_array_equal(tile[38, 56], [255, 255, 255])  # The line between the two, half way.


def test_landmarks_without_annotation_are_not_drawn():
    points = np.full([1, 1, 2], 10.0)
    with_point = panels.landmarks_panel(grey_images(), points, points, [[1]])
    without = panels.landmarks_panel(grey_images(), points, points, [[0]])
    tile = np.s_[MARGIN : MARGIN + 80, MARGIN : MARGIN + 120]
    assert (without[tile] == 128).all() or (without[tile] == 127).all()
    assert not (with_point[tile] == without[tile]).all()


def test_pixels_of_an_image_stay_whole():
    image = np.random.default_rng(0).uniform(size=[1, 20, 30, 3])
    nowhere = np.zeros([1, 1, 2])
    picture = panels.landmarks_panel(image, nowhere, nowhere, [[0]], scale=4)
    tile = picture[MARGIN : MARGIN + 80, MARGIN : MARGIN + 120]
    wanted = np.repeat(np.repeat(image[0], 4, axis=0), 4, axis=1) * 255
    np.testing.assert_allclose(tile, wanted, atol=1)


def test_transfer_finds_a_planted_match():
    labels_b = planted_labels()
    labels_a = np.roll(labels_b, shift=(2, -3), axis=(1, 2))  # Cell (i, j) of B is cell (i + 2, j - 3) of A.
    points, true = np.array([[[9.0, 11.0]]]), np.array([[[15.0, 7.0]]])
    probability, expected, peak = panels._transfer(labels_a, labels_b, points, 2)
    np.testing.assert_allclose(probability.sum(), 1, atol=1e-5)
    np.testing.assert_allclose(peak, true)
    np.testing.assert_allclose(expected, true, atol=0.01)

    picture = panels.transfer_panel(
        grey_images(), grey_images(), labels_a, labels_b, points, stride=2, points_in_b=true
    )
    width, height, scale, top = 180, 120, 6, MARGIN + LINE
    assert picture.dtype == np.uint8
    for column, colour, point in (
        (0, sheet.POINT_COLOURS[0], points),
        (1, sheet.POINT_COLOURS[0], true),
        (2, panels.PREDICTED, true),
        (2, panels.PEAK, true),
        (2, panels.TRUE, true),
    ):
        left = MARGIN + column * (width + 8)
        tile = picture[top : top + height, left : left + width]
        np.testing.assert_allclose(centre_of(tile, colour), scale * point[0, 0], atol=0.6)


def test_transfer_glows_at_the_matched_cell_alone():
    labels = planted_labels()
    points = np.array([[[9.0, 11.0]]])
    picture = panels.transfer_panel(grey_images(), grey_images(), labels, labels, points, stride=2)
    left, top = MARGIN + 2 * 188, MARGIN + LINE
    tile = picture[top : top + 120, left : left + 180].astype(int)
    assert tile[66, 54].max() > 200  # The cell's centre: scale 6 times (9, 11).
    assert np.abs(tile[20, 120] - 0.4 * 127.5).max() < 8  # Far away: the darkened image.


def test_labels_panel_shows_the_colour_of_each_cell():
    labels = np.random.default_rng(1).normal(size=[2, 10, 15, 3])
    picture = panels.labels_panel(grey_images(2), labels)
    colours = np.rint(255 * label_sphere.label_colours(labels))
    left, top, side = 92, MARGIN + 120 + 8, 12
    for image, (row, column) in ((0, (0, 0)), (0, (7, 3)), (1, (9, 14))):
        x = left + image * 188 + column * side + side // 2
        np.testing.assert_allclose(picture[top + row * side + side // 2, x], colours[image, row, column], atol=1)


def test_labels_panel_hides_what_is_off_the_object():
    labels, masks = np.ones([1, 10, 15, 3]), np.zeros([1, 20, 30])
    masks[:, :, :16] = 1  # The left eight columns of cells.
    plain = panels.labels_panel(grey_images(), labels)
    picture = panels.labels_panel(grey_images(), labels, masks=masks)
    assert picture.shape[0] == plain.shape[0] + 128
    top = MARGIN + 2 * 128
    np.testing.assert_allclose(picture[top + 60, 92 + 94], 255 * label_sphere.label_colours(labels[0, 0, 0]), atol=1)
    np.testing.assert_allclose(picture[top + 60, 92 + 98], 127.5, atol=0.6)


@pytest.mark.parametrize("length", [2, 3, 5])
def test_panels_take_any_length_of_label(length):
    labels = np.random.default_rng(1).normal(size=[2, 10, 15, length])
    basis = label_sphere.colour_basis(labels) if length > 3 else None
    masks = np.ones([2, 20, 30])
    for picture in (
        panels.labels_panel(grey_images(2), labels, masks=masks, basis=basis),
        unfolding.unfolded_figure(grey_images(2), labels, masks, basis=basis),
    ):
        assert picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8


def test_unfolded_figure_draws_the_pixels_colour_at_the_labels_place():
    images = np.broadcast_to(np.float32(to_rgb("#cc0044")), [1, 20, 30, 3])
    place = label_sphere.from_latitude_longitude(np.pi / 8, -np.pi / 3)
    labels = np.broadcast_to(5 * place, [1, 10, 15, 3])
    picture = unfolding.unfolded_figure(images, labels, np.ones([1, 20, 30]))
    left, top = 76, 2 * MARGIN + 120
    sphere_map = picture[top : top + 220, left : left + 440]
    np.testing.assert_allclose(centre_of(sphere_map, "#cc0044"), [440 / 3, 220 * 3 / 8], atol=1.5)


def test_mean_object_figure_draws_each_frame_and_then_the_mean():
    place = label_sphere.from_latitude_longitude(np.pi / 8, -np.pi / 3)
    labels, everywhere = np.broadcast_to(place, [2, 10, 15, 3]), np.ones([2, 20, 30])
    images = np.ones([2, 20, 30, 3]) * np.reshape([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], [2, 1, 1, 3])
    mean = unfolding.MeanObject(size=440)
    mean.add(images, labels, everywhere)
    picture = unfolding.mean_object_figure(images, labels, everywhere, mean)
    for column, colour in enumerate(("#ff0000", "#0000ff", "#800080")):
        left, top = 76 + column * (440 + 2 * MARGIN), 2 * MARGIN + 120
        tile = picture[top : top + 220, left : left + 440]
        np.testing.assert_allclose(centre_of(tile, colour), [440 / 3, 220 * 3 / 8], atol=1.5)
        above = picture[MARGIN : MARGIN + 120, left + 130 : left + 310]
        if column < 2:
            np.testing.assert_array_equal(above[60, 90], 255 * images[column, 0, 0])
        else:  # How many images there are is written here.
            assert above.min() < 100 and np.mean(above == 255) > 0.9


def shifted_pair():
    """Every cell of A found 3 pixels further right and 2 higher in B; those in the left five columns hidden."""
    centres = geometry.cell_centres(10, 15, 2).numpy()[np.newaxis]
    visible = np.ones([1, 10, 15])
    visible[:, :, :5] = 0
    return centres, centres + [3.0, -2.0], visible


def tile_of_pair(picture, column):
    left, top = MARGIN + column * (180 + 8), MARGIN + LINE
    return picture[top : top + 120, left : left + 180]


def test_pairs_panel_draws_the_same_dot_on_both_views():
    centres, places, visible = shifted_pair()
    picture = panels.pairs_panel(grey_images(), grey_images(), places, visible, stride=2)
    a, b = tile_of_pair(picture, 0), tile_of_pair(picture, 1)
    rows, columns = range(0, 10, 2), range(0, 15, 2)
    colours = set()
    for i in rows:
        for j in columns:
            point, in_b = 6 * centres[0, i, j], 6 * places[0, i, j]
            x, y = point.astype(int)
            colour = tuple(a[y, x] / 255)
            if j < 5:  # Hollow: a coloured rim around a grey middle.
                assert np.ptp(colour) < 0.01
                assert np.ptp(a[y - 6 : y + 7, x - 6 : x + 7].astype(int), axis=-1).max() > 60
                continue
            colours.add(colour)
            np.testing.assert_allclose(centre_of(a, colour), point, atol=2.5)  # A triangle has more below.
            if in_b[0] < 174 and in_b[1] > 6:  # Whole in B.
                np.testing.assert_allclose(centre_of(b, colour), in_b, atol=2.5)
    assert len(colours) == len(rows) * sum(j >= 5 for j in columns)
    assert (np.ptp(b[:, :70].astype(int), axis=-1) == 0).all()  # What is hidden is left out: no colour at all.


def test_pairs_panel_bends_the_grid_as_the_cells_are_found_and_breaks_it_where_they_are_hidden():
    centres, places, visible = shifted_pair()
    places[..., 1] += 0.05 * (centres[..., 0] - 15) ** 2  # Rows become parabolas.
    picture = panels.pairs_panel(grey_images(), grey_images(), places, visible, stride=2)
    grid = tile_of_pair(picture, 2)
    for cell in ((4, 6), (4, 9), (2, 8), (7, 10)):  # In a row of the grid, or in a column of it.
        x, y = (6 * places[0][cell]).astype(int)
        assert grid[y - 1 : y + 2, x - 1 : x + 2].max() > 180, cell
    x, y = (6 * (places[0, 4, 9] + places[0, 5, 9]) / 2).astype(int)
    np.testing.assert_allclose(grid[y, x], 127.5, atol=0.6)  # Between the lines.
    assert np.ptp(grid[:, :74]) <= 1  # The first visible column is found at x = 14, drawn at 84.


def test_pairs_panel_draws_landmarks_on_their_view_alone():
    _, places, _ = shifted_pair()
    hidden = np.zeros([1, 10, 15])
    points = {"landmarks_a": np.array([[[4.0, 5.0]]]), "landmarks_b": np.array([[[8.0, 7.0]]])}
    for column, (name, point) in enumerate(points.items()):
        picture = panels.pairs_panel(grey_images(), grey_images(), places, hidden, stride=2, **{name: point})
        tile, other = tile_of_pair(picture, column), tile_of_pair(picture, 2)
        np.testing.assert_allclose(centre_of(tile, panels.TRUE), 6 * point[0, 0], atol=0.6)
        assert np.ptp(other) <= 1


def test_pictures_are_the_same_every_time_and_leave_their_arrays_alone():
    images, labels = grey_images(), planted_labels()[..., :3]
    before = images.copy(), labels.copy()
    np.testing.assert_array_equal(panels.labels_panel(images, labels), panels.labels_panel(images, labels))
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_large_images_are_shown_smaller():
    picture = panels.labels_panel(grey_images(1, 600, 800), np.ones([1, 30, 40, 3]))
    assert picture.shape[0] < 600


POINTS = np.zeros([1, 4, 2])
LABELS = np.ones([1, 10, 15, 3])
CELLS = np.ones([1, 10, 15, 2])


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: panels.labels_panel(np.zeros([1, 20, 30, 3], np.uint8), LABELS),
            r"images must be float in \[0, 1\]; found uint8 in \[0, 0\]",
        ),
        (
            lambda: panels.labels_panel(grey_images() * 400, LABELS),
            r"images must be float in \[0, 1\]; found float32 in \[200.0, 200.0\]",
        ),
        (
            lambda: panels.labels_panel(grey_images()[0], LABELS),
            r"images must be \[any, any, any, 3\]; found shape \(20, 30, 3\)",
        ),
        (
            lambda: panels.labels_panel(grey_images(2), LABELS),
            r"labels must be \[2, any, any, any\]; found shape \(1, 10, 15, 3\)",
        ),
        (
            lambda: panels.labels_panel(grey_images(), LABELS, masks=np.ones([1, 10, 15])),
            r"masks must be \[1, 20, 30\]; found shape \(1, 10, 15\)",
        ),
        (
            lambda: panels.labels_panel(grey_images(), np.ones([1, 40, 60, 3])),
            r"at most one cell per pixel of images of 20 x 30; found 40 x 60 cells",
        ),
        (
            lambda: panels.transfer_panel(grey_images(), grey_images(), LABELS, LABELS, np.zeros([2, 5, 2]), stride=2),
            r"points must be \[1, any, 2\]; found shape \(2, 5, 2\)",
        ),
        (
            lambda: panels.transfer_panel(grey_images(), grey_images(), LABELS, LABELS[..., :2], POINTS, stride=2),
            r"labels_b must be \[1, 10, 15, 3\]; found shape \(1, 10, 15, 2\)",
        ),
        (
            lambda: panels.pairs_panel(grey_images(), grey_images(2), CELLS, CELLS[..., 0], stride=2),
            r"images_b must be \[1, 20, 30, 3\]; found shape \(2, 20, 30, 3\)",
        ),
        (
            lambda: panels.pairs_panel(grey_images(), grey_images(), CELLS, CELLS, stride=2),
            r"visible must be \[1, 10, 15\]; found shape \(1, 10, 15, 2\)",
        ),
        (
            lambda: panels.pairs_panel(grey_images(), grey_images(), CELLS, CELLS[..., 0], stride=3),
            "10 x 15 cells of 3 pixels do not fit images of 20 x 30",
        ),
        (
            lambda: panels.pairs_panel(
                grey_images(), grey_images(), CELLS, CELLS[..., 0], stride=2, landmarks_b=POINTS[0]
            ),
            r"landmarks_b must be \[1, any, 2\]; found shape \(4, 2\)",
        ),
        (
            lambda: panels.landmarks_panel(grey_images(), POINTS, POINTS[:, 1:], np.ones([1, 4])),
            r"true must be \[1, 4, 2\]; found shape \(1, 3, 2\)",
        ),
        (
            lambda: panels.landmarks_panel(grey_images(), POINTS, POINTS, np.ones([1, 3])),
            r"annotated must be \[1, 4\]; found shape \(1, 3\)",
        ),
        (
            lambda: panels.landmarks_panel(grey_images(), POINTS, POINTS, np.ones([1, 4]), scale=0.5),
            "scale must be a positive int; found 0.5",
        ),
    ],
)
def test_errors_say_what_was_given_and_what_is_needed(call, message):
    with pytest.raises(ValueError, match=message):
        call()
