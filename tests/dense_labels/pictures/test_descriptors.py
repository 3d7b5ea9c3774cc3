"""Tests of the picture of nearest descriptors: a line for each match, in the colour of its confidence."""

import dataclasses

import matplotlib
import numpy as np
import pytest

from dense_labels.batches import LandmarkBatch
from dense_labels.pictures import confidence, descriptors, transfer
from dense_labels.pictures.sheet import GAP, LINE, MARGIN
from tests.dense_labels.pictures import planted
from tests.dense_labels.pictures.planted import grey_images, matches_colour


def viridis(value):
    return matplotlib.colormaps[descriptors.CONFIDENCE](value)[:3]


def found(points, places, sure, true):
    return descriptors.Nearest(points, places, sure, sure, true)


def test_a_match_is_a_line_from_a_to_b_in_the_colour_of_its_confidence():
    points = np.array([[[5.0, 4.0], [5.0, 10.0], [5.0, 16.0]]])
    places = points + [[[10.0, 0.0]]]
    sure = np.array([[1.0, 2.0, 3.0]])
    true = places + [[[0, 0], [3, 4], [0, 0]]]  # the second is off by 5
    picture = descriptors.matches_panel(grey_images(), grey_images(), found(points, places, sure, true), near=4.9)
    scale, across, top = 8, 240 + GAP, MARGIN + LINE
    for (x, y), (u, v), value in zip(points[0], places[0], (0.0, 0.5, 1.0)):
        row = picture[int(top + scale * y)]
        start, end = int(MARGIN + scale * x), int(MARGIN + across + scale * u)
        between = matches_colour(row[np.newaxis, start + 8 : end - 8], viridis(value), tolerance=30)
        assert between.all(), value
        assert y == v
    tile = picture[top : top + 160, MARGIN + across : MARGIN + across + 240]
    for y, value in ((4, 0.0), (16, 1.0)):  # a dot, which reaches a little further right than where it is
        rows, columns = np.nonzero(matches_colour(tile[:, 114:], viridis(value)))
        assert rows.mean() + 0.5 == pytest.approx(8 * y, abs=1) and 114 + columns.max() == pytest.approx(123, abs=1.5)
    cross = matches_colour(tile[80 - 12 : 80 + 12, 120 + 2 : 120 + 12], viridis(0.5), tolerance=30)
    assert cross[6:9].any() and cross[15:18].any() and not cross[11:13, 6:].any()  # arms, and nothing between them


def test_points_that_are_not_numbers_are_not_drawn_nor_do_they_stretch_the_colours():
    points = np.array([[[5.0, 4.0], [np.nan, np.nan]]])
    places, sure = np.array([[[15.0, 4.0], [15.0, 16.0]]]), np.array([[2.0, 900.0]])
    picture = descriptors.matches_panel(grey_images(), grey_images(), found(points, places, sure, places), near=1)
    tiles = picture[MARGIN + LINE + 64 : MARGIN + LINE + 160, MARGIN : MARGIN + 240]
    assert np.ptp(tiles) <= 1


@pytest.mark.parametrize("size, stride", [((32, 32), 4), *((planted.ODD, stride) for stride in planted.ODD_STRIDES)])
def test_matches_in_pairs_are_those_that_the_warp_says(size, stride):
    """The views are the same but for the shift, so every point is found where it is."""
    pairs, network = planted.pairs(2, size, stride), planted.colours(stride)
    labels_a, labels_b = (planted.label_map(network(image), stride) for image in (pairs.image_a, pairs.image_b))
    nearest = descriptors.find_in_pairs(labels_a, labels_b, pairs.points_in_b, pairs.visible > 0)
    assert nearest.errors.shape == (2, 40)
    # Where the number of columns is no multiple of the stride, the first column of B shows what is left over of A.
    assert np.median(nearest.errors) < stride / 4
    assert 0.99 < nearest.confidence.min() < 2 < nearest.confidence.max() < 4.01


def test_pairs_in_which_nothing_is_seen_are_left_out_of_all_pictures_of_matches(monkeypatch):
    material, drawn = planted.material(count=9), {}
    material.pairs.visible[[0, 1, 2, 5]] = 0
    assert material.nearest.known.any(axis=1).tolist() == [False, False, False, True, True, False, True, True, True]
    panels = {descriptors: "matches_panel", confidence: "trust_panel", transfer: "transfer_panel"}
    for module, name in panels.items():
        monkeypatch.setattr(module, name, lambda *parts, name=name, **_: drawn.update({name: parts}) or "drawn")
    draw = descriptors.draw_matches, confidence.draw_trust, transfer.draw_transfer
    assert [each(material) for each in draw] == ["drawn"] * 3
    images = material.pairs.image_a
    np.testing.assert_array_equal(drawn["matches_panel"][0], images[[3, 6]])  # of pairs 0, 3 and 6
    assert np.isfinite(drawn["matches_panel"][2].points).all()
    assert [part.shape for part in drawn["trust_panel"]] == [(5 * 40,)] * 3
    np.testing.assert_array_equal(drawn["transfer_panel"][0], images[[8]])  # of pairs 2, 5 and 8
    unseen = dataclasses.replace(material, pairs=material.pairs._replace(visible=0 * material.pairs.visible))
    assert [each(unseen) for each in draw] == [None] * 3


@pytest.mark.parametrize("annotated, drawn", [([[1.0, 0], [1, 0], [0, 1]], True), ([[1.0, 0], [0, 1], [1, 0]], False)])
def test_neighbours_with_landmarks_in_common_are_drawn(annotated, drawn):
    material = planted.material()
    some = np.ones(3, np.float32)
    landmarks = np.full([3, 2, 2], 10, np.float32)
    frames = LandmarkBatch(material.frames.image, landmarks, np.array(annotated), some, some, some)
    material = dataclasses.replace(material, frames=frames)
    assert (descriptors.draw_matches_between(material) is not None) == drawn
    of_one = dataclasses.replace(material, frame_pictures=np.array([4, 4, 4]))
    assert descriptors.draw_matches_between(of_one) is None


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"places": np.zeros([1, 3, 2])}, r"places must be \[1, 2, 2\]; found shape \(1, 3, 2\)"),
        ({"points_in_b": np.zeros([1, 1, 2])}, r"points_in_b must be \[1, 2, 2\]; found shape \(1, 1, 2\)"),
        ({"confidence": np.zeros([1, 1])}, r"confidence must be \[1, 2\]; found shape \(1, 1\)"),
        ({"images_b": grey_images(2)}, r"images_b must be \[1, 20, 30, 3\]; found shape \(2, 20, 30, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(changed, message):
    zeros = np.zeros([1, 2, 2])
    given = {"images_b": grey_images(), "places": zeros, "confidence": zeros[..., 0], "points_in_b": zeros, **changed}
    nearest = found(zeros, given["places"], given["confidence"], given["points_in_b"])
    with pytest.raises(ValueError, match=message):
        descriptors.matches_panel(grey_images(), given["images_b"], nearest, near=3)
