"""Tests of the matching protocol on planted labels, whose matches are known."""

import numpy as np
import pytest

from dense_labels import correspondence

STRIDE, HEIGHT, WIDTH = 2, 5, 8


def planted(cells, value=10.0):
    """A label map [1, h, w, L] that is 0 but for unit vector k, times `value`, at the k-th cell."""
    labels = np.zeros([1, HEIGHT, WIDTH, len(cells)], np.float32)
    for k, (row, column) in enumerate(cells):
        labels[0, row, column, k] = value
    return labels


A, B = planted([(1, 2), (3, 5)]), planted([(2, 6), (1, 1)])
POINTS_A = np.array([[[5, 3], [11, 7]]], np.float32)  # the centres of the planted cells
POINTS_B = np.array([[[13, 5], [3, 3]]], np.float32)
BOTH = np.ones([1, 2], np.float32)


def measure(*changed):
    return correspondence.matching_error(*changed, stride=STRIDE)


def test_planted_points_are_matched_at_their_cells():
    found = measure(A, B, POINTS_A, POINTS_B, BOTH)
    assert found["cell"] == 0 and found["points"] == 2
    assert found["subpixel"] == pytest.approx(0, abs=1e-3)


def test_errors_are_distances_in_pixels_of_b_averaged_over_points():
    found = measure(A, B, POINTS_A, POINTS_B + [[[3, 4], [0, 0]]], BOTH)
    assert found["cell"] == pytest.approx(2.5)
    assert found["subpixel"] == pytest.approx(2.5, abs=1e-3)


def test_labels_of_a_are_read_between_cells():
    """A quarter of the way from its cell a label is still mostly that of the cell; past the middle it is the next's."""
    a = planted([(1, 2), (1, 3)])
    for x, expected in ((5.5, 0.0), (6.5, 1.0)):
        points = np.float32([[[x, 3]]])
        error = measure(a, B, points, POINTS_B[:, :1], BOTH[:, :1])["cell"]
        assert error == pytest.approx(expected * np.hypot(10, 2), rel=1e-6)


def test_subpixel_is_the_expected_place_on_finer_labels():
    b = planted([(2, 3), (0, 0)])
    b[0, 2, 4] = b[0, 2, 3]  # the label is at (7, 5) and (9, 5) alike
    found = measure(A, b, POINTS_A[:, :1], np.float32([[[8, 5]]]), BOTH[:, :1])
    assert found["cell"] == 1 and found["subpixel"] == pytest.approx(0, abs=1e-3)


def test_maps_may_differ_in_size():
    wide = np.pad(B, [(0, 0), (0, 1), (0, 4), (0, 0)])
    assert measure(A, wide, POINTS_A, POINTS_B, BOTH)["cell"] == 0


def test_every_point_of_every_pair_weighs_the_same_and_what_is_not_annotated_nothing():
    annotated = np.array([[1, 1], [0, 1], [0, 0]], np.float32)
    points_b = np.concatenate([POINTS_B, POINTS_B + [0, 6], POINTS_B])
    points_a = np.tile(POINTS_A, [3, 1, 1])
    points_a[annotated == 0] = points_b[annotated == 0] = np.nan
    found = measure(np.tile(A, [3, 1, 1, 1]), np.tile(B, [3, 1, 1, 1]), points_a, points_b, annotated)
    assert found["cell"] == pytest.approx(6 / 3) and found["points"] == 3


def test_nothing_to_match_is_refused():
    with pytest.raises(ValueError, match="no point is annotated: there is nothing to match"):
        measure(A, B, POINTS_A, POINTS_B, 0 * BOTH)


def test_pairs_are_of_different_images_and_all_alike_likely():
    pairs = correspondence.pairs_of(12000, 4, seed=0)
    assert pairs.shape == (12000, 2)
    counts = np.zeros([4, 4])
    np.add.at(counts, tuple(pairs.T), 1)
    np.testing.assert_allclose(counts, 1000 * (1 - np.eye(4)), atol=130)  # four standard deviations
    np.testing.assert_array_equal(pairs, correspondence.pairs_of(12000, 4, seed=0))
    assert np.any(pairs != correspondence.pairs_of(12000, 4, seed=1))


def test_one_image_makes_no_pair():
    with pytest.raises(ValueError, match="images=1: a pair of different images needs at least 2"):
        correspondence.pairs_of(5, 1, seed=0)


def test_the_nearest_descriptor_is_by_direction_alone():
    """The cell that is longer, and so more certain, is not nearer."""
    b = np.full([1, HEIGHT, WIDTH, 2], 0.1, np.float32)
    b[0, 2, 6], b[0, 4, 1] = [0.5, 0.0], [9.0, 3.0]
    a = np.full([1, HEIGHT, WIDTH, 2], 0.1, np.float32)
    a[0, 1, 2] = [2.0, 0.0]
    places, score, confidence = correspondence.nearest_descriptor(a, b, POINTS_A[:, :1], stride=STRIDE)
    assert np.abs(places[0, 0] - [13, 5]).max() <= STRIDE / 4  # the nearest of the finer grid
    assert 0.98 < score[0, 0] <= 1
    # sigma is 1 / 2 there, and about 2 here, but for a share of the long ones around
    assert confidence[0, 0] == pytest.approx(1 / ((0.5 + 2.0) / 2), rel=0.6)


def test_the_nearest_descriptor_may_lie_between_cells():
    b = np.zeros([1, 1, 4, 2], np.float32)
    b[0, 0] = [[1, 0], [1, 0], [0, 1], [0, 1]]
    a = np.full([1, 1, 4, 2], np.sqrt(0.5), np.float32)
    places, score, confidence = correspondence.nearest_descriptor(a, b, np.float32([[[3, 1]]]), stride=STRIDE)
    assert abs(places[0, 0, 0] - 4) <= STRIDE / 8 and score[0, 0] > 0.96  # a cell's own cosine is 0.71
    assert confidence[0, 0] == pytest.approx(1)
