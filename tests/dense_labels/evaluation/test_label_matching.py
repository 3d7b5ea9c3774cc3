"""Tests of the matching protocol on planted labels, whose matches are known."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.batches import AnnotatedPairBatch, PairBatch
from dense_labels.evaluation import label_matching

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
    return label_matching.matching_error(*changed, stride=STRIDE)


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
    counts = np.zeros([4, 4])
    for seed in range(1200):
        pairs = label_matching.pairs_of(10, 4, seed=seed)
        assert pairs.shape == (10, 2)
        np.add.at(counts, tuple(pairs.T), 1)
    np.testing.assert_allclose(counts, 1000 * (1 - np.eye(4)), atol=130)  # four standard deviations
    np.testing.assert_array_equal(pairs, label_matching.pairs_of(10, 4, seed=seed))
    assert np.any(pairs != label_matching.pairs_of(10, 4, seed=0))


@pytest.mark.parametrize("count", [12, 500])
def test_where_there_are_no_more_pairs_than_asked_for_each_is_taken_once(count):
    pairs = label_matching.pairs_of(count, 4, seed=0)
    assert len(pairs) == 12
    assert {tuple(pair) for pair in pairs} == {(a, b) for a in range(4) for b in range(4) if a != b}


@pytest.mark.parametrize("images, pictures", [(1, None), (3, [7, 7, 7])])
def test_one_picture_makes_no_pair(images, pictures):
    assert label_matching.count_pictures(images, pictures) == 1
    with pytest.raises(ValueError, match=f"images={images} of 1 pictures: a pair of different pictures needs at least"):
        label_matching.pairs_of(5, images, seed=0, pictures=pictures)


def test_pairs_are_of_different_pictures_and_all_alike_likely():
    """As of boxes in them: six of the twelve pairs are of others."""
    pictures, counts = np.array([5, 2, 5, 5]), np.zeros([4, 4])
    for seed in range(1200):
        pairs = label_matching.pairs_of(5, 4, seed, pictures)
        assert pairs.shape == (5, 2) and pairs.dtype == np.int64
        np.add.at(counts, tuple(pairs.T), 1)
    expected = 1000 * (pictures[:, np.newaxis] != pictures)
    np.testing.assert_allclose(counts, expected, atol=130)
    np.testing.assert_array_equal(label_matching.pairs_of(6, 4, 0, pictures), np.argwhere(expected))


@pytest.mark.parametrize("pictures", [None, np.arange(30)[::-1]])
def test_of_a_picture_each_the_pairs_are_those_of_earlier_versions(pictures):
    """Which figures were recorded of."""
    rng = np.random.default_rng(3)
    first = rng.integers(30, size=500)
    expected = np.stack([first, (first + rng.integers(1, 30, size=500)) % 30], axis=-1)
    np.testing.assert_array_equal(label_matching.pairs_of(500, 30, 3, pictures), expected)


# --- the nearest descriptor ---


def unit(angles):
    """Labels of unit length, [..., 2]."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32)


def nearest(labels_a, labels_b, points, **options):
    return label_matching.nearest_descriptor(labels_a, labels_b, points, stride=STRIDE, **options)


def test_a_point_is_found_at_the_centre_of_the_cell_of_its_descriptor():
    a, b = np.zeros([2, 3, 4], np.float32), np.zeros([3, 5, 4], np.float32)
    a[0, 0] = b[2, 4] = [0, 1, 0, 0]
    a[1, 2] = b[1, 0] = [0, 0, 1, 0]
    places, score, _ = nearest(a, b, [[1, 1], [5, 3]])
    np.testing.assert_array_equal(places, [[9, 5], [1, 3]])
    np.testing.assert_allclose(score, 1, rtol=1e-6)


def test_several_images_are_matched_as_each_is_alone():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=[3, 4, 5, 6]), rng.normal(size=[3, 5, 4, 6])
    points = rng.uniform(1, 7, size=[3, 2, 2])
    for options in ({}, {"upsample": 4}, {"cosine": False}):
        together = nearest(np.float32(a), np.float32(b), points, **options)
        for n in range(3):
            alone = nearest(np.float32(a[n]), np.float32(b[n]), points[n], **options)
            for whole, single in zip(together, alone):
                np.testing.assert_array_equal(whole[n], single)


def test_descriptors_of_a_are_read_between_cells():
    a, b = unit(np.array([[0.0, 1.0]])), unit(np.array([[0.0, 0.5, 1.0]]))
    np.testing.assert_array_equal(nearest(a, b, [[1, 1], [2, 1], [2.95, 1]])[0], [[1, 1], [3, 1], [5, 1]])
    # by direction: however much surer the one cell is, halfway between two is halfway between their directions
    np.testing.assert_array_equal(nearest(a * np.float32([[[9], [1]]]), b, [[2, 1]])[0], [[3, 1]])


def test_a_finer_map_finds_places_between_cells():
    """Between two unit labels the cosine is largest at the label that lies between them, not at a cell."""
    a, b = unit(np.array([[0.5]])), unit(np.array([[0.0, 1.0]]))
    (finer, score, confidence), (cell, lower, _) = nearest(a, b, [[1, 1]], upsample=4), nearest(a, b, [[1, 1]])
    assert cell[0, 0] in (1, 3) and abs(finer[0, 0] - 2) == STRIDE / 8
    assert score[0] > 0.98 > lower[0] == pytest.approx(np.cos(0.5), rel=1e-6)
    assert confidence[0] == pytest.approx(1)  # of a network without confidence


def test_the_nearest_descriptor_is_by_direction_and_by_inner_product_also_by_confidence():
    a = unit(np.array([[0.0]]))
    b = unit(np.array([[0.0, 0.4]])) * np.float32([1, 3])[:, np.newaxis]
    np.testing.assert_array_equal(nearest(a, b, [[1, 1]])[0], [[1, 1]])
    places, score, _ = nearest(7 * a, b, [[1, 1]], cosine=False)
    np.testing.assert_array_equal(places, [[3, 1]])
    assert score[0] == pytest.approx(7 * 3 * np.cos(0.4), rel=1e-6)


def test_the_confidence_of_a_match_is_the_inverse_of_the_mean_sigma_of_its_ends():
    a, b = np.full([1, 2, 2], 0.1), np.full([1, 3, 2], 0.1)
    a[0, 0], b[0, 2] = [2.0, 0.0], [0.5, 0.0]  # sigma 1/2 and 2
    places, _, confidence = nearest(np.float32(a), np.float32(b), [[1, 1]])
    np.testing.assert_array_equal(places, [[5, 1]])
    assert confidence[0] == pytest.approx(1 / ((0.5 + 2.0) / 2), rel=1e-5)


def test_matching_of_views_and_of_images():
    """Labels that are their own place: a view is matched perfectly, another image as far off as its landmarks are."""
    side, moved = 35, np.array([6.0, 0.0])
    x, y = np.meshgrid(np.arange(side // 2) / 10 - 1, np.arange(side // 2) / 10 - 1)
    plane = np.stack([x, y, np.ones_like(x)], axis=-1)
    plane = 100 * plane / np.linalg.norm(plane, axis=-1, keepdims=True)

    def batch(offset, in_b=(0.0, 0.0), seen_in_b=(1.0, 1.0)):
        landmarks = np.array([[[11.0, 13.0], [21.0, 25.0]]]) + offset  # centres of cells
        image, seen = tf.zeros([1, side, side, 3]), tf.ones([1, 2])
        of_a, of_b = (tf.constant(each, tf.float32) for each in (landmarks, landmarks + np.float32(in_b)))
        pairs = PairBatch(image, image, tf.zeros([1, 17, 17, 2]), tf.ones([1, 17, 17]))
        seen_b = tf.constant([seen_in_b], tf.float32)
        return AnnotatedPairBatch(pairs, of_a, of_b, seen, seen_b, tf.ones([1, 2]), tf.ones(1), tf.zeros(1))

    def network(images):
        return tf.tile(tf.constant(plane, tf.float32)[tf.newaxis], [tf.shape(images)[0], 1, 1, 1])

    errors = label_matching.match_landmarks(network, [batch(0 * moved), batch(moved)], stride=2, count=7)
    assert errors["matching_same_cell_px"] == 0 and errors["matching_same_subpixel_px"] < 0.2
    assert errors["matching_different_cell_px"] == pytest.approx(6 * 70 / side)  # in pixels of an image that is 70 wide
    assert errors["matching_different_subpixel_px"] == pytest.approx(6 * 70 / side, rel=0.05)
    assert errors == label_matching.match_landmarks(
        network, [batch(0 * moved), batch(moved)], stride=2, count=7, pictures=np.array([4, 1])
    )
    alone = label_matching.match_landmarks(
        network, [batch(0 * moved), batch(moved)], stride=2, count=7, pictures=np.array([4, 4])
    )
    assert alone == {name: error for name, error in errors.items() if "same" in name}
    unit = label_matching.match_landmarks(network, [batch(0 * moved), batch(moved)], stride=2, count=7, unit=True)
    assert unit == {name: error for name, error in errors.items() if "cell" in name}
    # Points of one image's view A are looked for in the other's view B, where that shows them.
    others = [batch(0 * moved, in_b=(2, 0), seen_in_b=(1, 0)), batch(moved, in_b=(4, 0), seen_in_b=(0, 1))]
    errors = label_matching.match_landmarks(network, others, stride=2, count=7)
    assert errors["matching_same_cell_px"] == pytest.approx((2 + 4) / 2 * 70 / side)
    assert errors["matching_different_cell_px"] == pytest.approx(((6 + 4) + (6 - 2)) / 2 * 70 / side)
