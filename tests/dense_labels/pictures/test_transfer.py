"""Tests of the picture of points carried over: marks lie where labels match, the glow over the matched cell."""

import dataclasses

import numpy as np
import pytest

from dense_labels.pictures import sheet, transfer
from dense_labels.pictures.sheet import LINE
from tests.dense_labels.pictures import planted
from tests.dense_labels.pictures.planted import centre_of, grey_images, label_map


def tile_of(picture, column, size=(180, 120)):
    return planted.tile_of(picture, 0, column, size, under=LINE)


def test_a_planted_match_is_found_and_marked():
    labels_b = planted.distinct_labels()
    labels_a = label_map(np.roll(labels_b.values, (2, -3), axis=(1, 2)))  # cell (i, j) of B is (i + 2, j - 3) of A
    points, true = np.array([[[9.0, 11.0]]]), np.array([[[15.0, 7.0]]])
    probability, expected, peak = transfer.find_points(labels_a, labels_b, points)
    np.testing.assert_allclose(probability.sum(), 1, atol=1e-5)
    np.testing.assert_allclose(peak, true)
    np.testing.assert_allclose(expected, true, atol=0.01)

    picture = transfer.transfer_panel(grey_images(), grey_images(), labels_a, labels_b, points, points_in_b=true)
    assert picture.dtype == np.uint8
    for column, colour, point in (
        (0, sheet.POINT_COLOURS[0], points),
        (1, sheet.POINT_COLOURS[0], true),
        (2, sheet.PREDICTED, true),
        (2, sheet.PEAK, true),
        (2, sheet.TRUE, true),
    ):
        np.testing.assert_allclose(centre_of(tile_of(picture, column), colour), 6 * point[0, 0], atol=0.6)


@pytest.mark.parametrize("size, stride, scale", [((20, 30), 2, 6), *((planted.ODD, s, 2) for s in planted.ODD_STRIDES)])
def test_the_glow_lies_over_the_pixels_of_the_matched_cell_alone(size, stride, scale):
    height, width = (side // stride for side in size)
    labels = planted.distinct_labels(1, height, width, stride=stride)
    images, cell = grey_images(1, *size), (height - 1, width - 1)  # the last one, where a wrong stride is furthest off
    points = (np.array([[[cell[1], cell[0]]]]) + 0.5) * stride
    # Without the marks, which would hide a small cell.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheet, "stroke", lambda *_: {"linestyle": "none", "marker": ""})
        picture = transfer.transfer_panel(images, images, labels, labels, points, points_in_b=points)
    tile = tile_of(picture, 2, (size[1] * scale, size[0] * scale)).astype(int)
    assert tile[planted.corners_of(cell, stride, scale)].max(axis=-1).min() > 200
    dark = tile.max(axis=-1) < 60
    top, left = (index * stride * scale for index in cell)
    assert dark[:top].all() and dark[:, :left].all()
    assert dark[height * stride * scale :].all() and dark[:, width * stride * scale :].all()


LABELS, POINTS = label_map(np.ones([1, 10, 15, 3])), np.zeros([1, 4, 2])


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"points_in_b": np.zeros([1, 5, 2])}, r"points_in_b must be \[1, 4, 2\]; found shape \(1, 5, 2\)"),
        ({"points": np.zeros([2, 5, 2])}, r"points must be \[1, any, 2\]; found shape \(2, 5, 2\)"),
        (
            {"labels_b": label_map(LABELS.values[..., :2])},
            r"labels_b must be \[1, 10, 15, 3\]; found shape \(1, 10, 15, 2\)",
        ),
        ({"labels_a": label_map(LABELS.values, 4)}, "labels_a: images of 20 x 30 have 5 x 7 cells of 4 pixels"),
    ],
)
def test_errors_say_what_was_given_and_what_is_needed(changed, message):
    arguments = {"images_a": grey_images(), "images_b": grey_images(), "labels_a": LABELS, "labels_b": LABELS}
    with pytest.raises(ValueError, match=message):
        transfer.transfer_panel(**{**arguments, "points": POINTS, "points_in_b": POINTS, **changed})


def test_landmarks_are_carried_to_another_picture_not_to_another_box_of_the_same(monkeypatch):
    material, shown = planted.material(), []
    monkeypatch.setattr(transfer, "transfer_panel", lambda a, b, *_, **__: shown.append((a, b)))
    transfer.draw_transfer_between(dataclasses.replace(material, frame_pictures=np.array([4, 4, 7])))
    ((first, second),) = shown
    np.testing.assert_array_equal([first, second], [material.frames.image[[1]], material.frames.image[[2]]])
    assert transfer.draw_transfer_between(dataclasses.replace(material, frame_pictures=np.array([4, 4, 4]))) is None
