"""Tests of the picture of a network's own landmarks: dots lie at the means of the heat maps, in the right view."""

import colorsys
import dataclasses

import numpy as np
import pytest

from dense_labels.pictures import gallery, own_landmarks
from dense_labels.pictures.sheet import GAP, MARGIN
from tests.dense_labels.pictures import planted
from tests.dense_labels.pictures.planted import centre_of, grey_images

SCALE = 6  # of images 30 wide in tiles of 180


def colour(k, count):
    return colorsys.hls_to_rgb(k / count, 0.7, 0.9)


def test_dots_lie_at_the_landmarks_of_both_views(monkeypatch):
    monkeypatch.setattr(own_landmarks, "_DIGITS", 0.1)  # the numbers have the colours of the dots
    points_a, points_b = np.array([[[6.0, 5.0], [20.25, 12.5]]]), np.array([[[10.0, 8.0], [25.0, 3.0]]])
    picture = own_landmarks.own_landmarks_panel(grey_images(), grey_images(), points_a, points_b)
    for row, points in enumerate((points_a, points_b)):
        tile = planted.tile_of(picture, row, 0, (180, 120), left=own_landmarks._CAPTIONS, top=MARGIN)
        for k, point in enumerate(points[0]):
            np.testing.assert_allclose(centre_of(tile, colour(k, 2)), SCALE * point, atol=1.5)
    assert picture.shape[0] == 2 * MARGIN + 2 * 120 + GAP


def test_they_are_read_from_the_heat_maps(monkeypatch):
    heat_maps = np.zeros([3, 10, 15, 2])
    heat_maps[:, 2, 4, 0] = heat_maps[:, 7, 9, 1] = 60
    drawn = []
    monkeypatch.setattr(own_landmarks, "own_landmarks_panel", lambda *parts: drawn.append(parts))
    maps = {"heat_maps_a": planted.label_map(heat_maps), "heat_maps_b": planted.label_map(heat_maps[..., ::-1])}
    own_landmarks.draw_own_landmarks(dataclasses.replace(planted.material(), **maps))
    np.testing.assert_allclose(drawn[0][2], [[[9, 5], [19, 15]]] * 3, atol=1e-4)
    np.testing.assert_allclose(drawn[0][3], [[[19, 15], [9, 5]]] * 3, atol=1e-4)


def test_points_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"points_b must be \[1, 2, 2\]; found shape \(1, 3, 2\)"):
        own_landmarks.own_landmarks_panel(grey_images(), grey_images(), np.ones([1, 2, 2]), np.ones([1, 3, 2]))


def test_the_picture_is_registered():
    assert "own_landmarks" in [entry.name for entry in gallery.in_order()]
