"""Tests of region matching: pooling against a loop, the true boxes against known maps, the figures by hand."""

import numpy as np
import pytest
import scipy.integrate
import scipy.interpolate

from benchmarks.semantic import regions
from dense_labels.method import geometry

STRIDE = 4
RNG = np.random.default_rng(0)
BOXES = np.array([[2, 3, 17, 11], [-6, 0, 30, 20], [9, 9, 10, 10.5]])


def test_pooling_is_the_mean_of_four_places_in_each_bin():
    values = RNG.normal(size=[5, 6, 3]).astype(np.float32)
    found = regions.pool_regions(values, BOXES, STRIDE, bins=3)
    for n, (left, top, right, bottom) in enumerate(BOXES):
        for i, j in np.ndindex(3, 3):
            xs = left + (right - left) * (j + np.array([0.25, 0.75])) / 3
            ys = top + (bottom - top) * (i + np.array([0.25, 0.75])) / 3
            places = np.array([[[x, y] for x in xs for y in ys]], np.float32)
            mean = geometry.bilinear_sample(values[np.newaxis], places, STRIDE)[0].numpy().mean(axis=0)
            np.testing.assert_allclose(found[n, i, j], mean, atol=1e-5)


def test_many_boxes_are_pooled_as_each_alone():
    values = RNG.normal(size=[5, 6, 2]).astype(np.float32)
    boxes = RNG.uniform(0, 10, [300, 4]) + [0, 0, 10, 10]
    found = regions.pool_regions(values, boxes, STRIDE, bins=2)
    alone = np.concatenate([regions.pool_regions(values, boxes[n : n + 1], STRIDE, bins=2) for n in (0, 127, 128, 299)])
    np.testing.assert_allclose(found[[0, 127, 128, 299]], alone, atol=1e-6)


def test_a_ramp_is_pooled_to_the_centres_of_the_bins():
    ramp = geometry.cell_centres(6, 8, STRIDE).numpy()
    found = regions.pool_regions(ramp, np.array([[4, 4, 24, 20]]), STRIDE, bins=4)[0]
    np.testing.assert_allclose(found[1, 2], [4 + 2.5 * 5, 4 + 1.5 * 4], rtol=1e-6)


def test_descriptors_are_parts_of_unit_length_that_weigh_by_confidence_within():
    labels, below = RNG.normal(size=[5, 6, 3]).astype(np.float32), RNG.normal(size=[10, 12, 2]).astype(np.float32)
    found = regions.region_descriptors([(labels, 4), (below, 2)], BOXES)
    assert found.shape == (3, 49 * 5)
    np.testing.assert_allclose(np.linalg.norm(found[:, : 49 * 3], axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found[:, 49 * 3 :], axis=1), 1, rtol=1e-5)
    pooled = regions.pool_regions(labels, BOXES, 4).reshape([3, -1])
    np.testing.assert_allclose(found[:, : 49 * 3] * np.linalg.norm(pooled, axis=1, keepdims=True), pooled, atol=1e-5)
    np.testing.assert_allclose(regions.region_descriptors([(7 * labels, 4), (below, 2)], BOXES), found, atol=1e-5)


def test_regions_of_a_shifted_picture_match_where_they_went():
    labels = RNG.normal(size=[8, 14, 4]).astype(np.float32)
    boxes = np.array([[x, y, x + 12, y + 12] for x in (8, 12, 16, 20) for y in (4, 8, 12)], float)
    shifted = np.roll(labels, 3, axis=1)
    order = RNG.permutation(len(boxes))
    described = [
        regions.region_descriptors([(values, STRIDE)], where)
        for values, where in ((labels, boxes), (shifted, boxes[order] + [12, 0, 12, 0]))
    ]
    best, scores = regions.match_regions(*described)
    np.testing.assert_array_equal(order[best], np.arange(len(boxes)))
    np.testing.assert_allclose(scores, 1, rtol=1e-5)


def test_overlaps():
    box = np.array([[0, 0, 10, 10]])
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [2, 2, 4, 7], [30, 30, 30, 40]])
    np.testing.assert_allclose(regions.overlaps(box, others), [1, 1 / 3, 0, 0.1, 0])
    pairs = regions.overlaps(box[:, np.newaxis], others)
    np.testing.assert_allclose(pairs, [[1, 1 / 3, 0, 0.1, 0]])


def test_regions_on_the_object_are_inside_and_hold_a_key_point():
    points = np.array([[0, 0], [40, 0], [0, 20], [40, 20]])
    boxes = [[-1, -1, 19, 9], [10, 5, 30, 15], [-10, -10, 10, 10], [30, 10, 42, 20], [30, 10, 43.3, 20.1]]
    # inside: 171 of 200 with a point; all, no point; a quarter; 100 of 120 with a point; 100 of 134.3, less than 3/4
    assert regions.on_object(boxes, points).tolist() == [True, False, False, True, False]


POINTS = np.array([[0, 0], [30, 0], [0, 20], [30, 20], [10, 8], [22, 15]], float)


def test_true_boxes_follow_an_affine_map():
    boxes = np.array([[3, 4, 13, 10], [0, 0, 30, 20]], float)
    stretched = regions.true_boxes(boxes, POINTS, POINTS * [2, 0.5] + [5, 7], (100, 100))
    np.testing.assert_allclose(stretched, boxes * [2, 0.5, 2, 0.5] + [5, 7, 5, 7], atol=1e-6)
    quarter = POINTS[:, ::-1] * [-1, 1] + [40, 0]  # turned by 90 degrees
    np.testing.assert_allclose(regions.true_boxes(boxes[:1], POINTS, quarter, (100, 100)), [[30, 3, 36, 13]], atol=1e-6)


def test_a_sheared_box_has_the_means_of_its_corners_and_ends_at_the_frame():
    sheared = POINTS + POINTS[:, 1:] * [1, 0]
    found = regions.true_boxes([[10, 10, 20, 16]], POINTS, sheared, (100, 100))
    np.testing.assert_allclose(found, [[(20 + 26) / 2, 10, (30 + 36) / 2, 16]], atol=1e-6)
    found = regions.true_boxes([[10, 10, 20, 16]], POINTS, sheared, (12, 29))
    np.testing.assert_allclose(found, [[23, 10, 29, 12]], atol=1e-6)


def test_true_boxes_bend_as_the_spline_through_the_key_points():
    bent = POINTS + [[0, 0], [0, 0], [0, 0], [0, 0], [4, -2], [0, 0]]
    corner = scipy.interpolate.RBFInterpolator(POINTS, bent, kernel="thin_plate_spline", degree=1)([[10, 8]])
    np.testing.assert_allclose(corner, [[14, 6]], atol=1e-8)
    found = regions.true_boxes([[10, 8, 10, 8]], POINTS, bent, (100, 100))
    np.testing.assert_allclose(found, [[14, 6, 14, 6]], atol=1e-8)


@pytest.mark.parametrize("points", [POINTS[:2], POINTS[:1].repeat(4, axis=0), np.outer(np.arange(5), [2, 1])])
def test_points_that_determine_no_spline_are_refused(points):
    assert not regions.span_plane(points) and regions.span_plane(POINTS)
    with pytest.raises(ValueError, match=f"{len(points)} key points are too few or on one line; three that span"):
        regions.true_boxes(BOXES, points, points, (10, 10))


# --- the figures, by hand ---

IOUS = [np.array([1.0, 0.5]), np.array([0.8, 0.0, 0.2, 0.6])]
SCORES = [np.array([1.0, 2.0]), np.array([5.0, 7.0, 1.0, 6.0])]


def test_pcr_counts_what_overlaps_enough_and_every_pair_weighs_the_same():
    thresholds = [0.0, 0.1, 0.3, 0.5, 0.7, 1.0, 1.01]
    first, second = [0, 0.5, 0.5, 0.5, 1, 1, 1], [0, 0, 0.25, 0.5, 0.5, 0.75, 1]  # below the threshold, not at it
    np.testing.assert_allclose(regions.pcr_curve(IOUS, thresholds), np.mean([first, second], axis=0))
    assert regions.area_under_pcr(IOUS) == pytest.approx((0.75 + 0.4) / 2)


def test_area_under_pcr_is_that_of_a_fine_curve():
    ious = [RNG.uniform(size=30), RNG.uniform(size=7) ** 2]
    fine = np.linspace(0, 1, 20_001)
    assert regions.area_under_pcr(ious) == pytest.approx(
        scipy.integrate.trapezoid(regions.pcr_curve(ious, fine), fine), abs=1e-4
    )


def test_mean_iou_at_k_is_of_the_matches_with_the_highest_scores():
    ranks = [(0.5 + 0.0) / 2, (1.0 + 0.6) / 2, 0.8, 0.2]  # the second pair alone has a third and a fourth match
    expected = np.cumsum(ranks) / [1, 2, 3, 4]
    np.testing.assert_allclose(regions.mean_iou_curve(IOUS, SCORES), expected)
    np.testing.assert_allclose(regions.mean_iou_curve(IOUS, SCORES, most=3), expected[:3])


@pytest.mark.parametrize("ious", [[], [np.array([0.5]), np.array([])]])
def test_nothing_to_measure_is_said(ious):
    for figure in (
        regions.area_under_pcr,
        lambda ious: regions.pcr_curve(ious, [0.5]),
        lambda ious: regions.mean_iou_curve(ious, ious),
    ):
        with pytest.raises(ValueError, match="there is nothing to measure: each pair needs a match or more"):
            figure(ious)
