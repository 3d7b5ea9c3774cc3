"""Tests of the dense flow: painting and conflicts against loops, the filter against a dense solve."""

import numpy as np
import pytest

from benchmarks.semantic import proposal_flow

RNG = np.random.default_rng(0)
KNOWN = RNG.uniform(size=[6, 7]) < 0.6
FIELD, GUIDE = RNG.normal(size=[6, 7, 2]) * 5, RNG.uniform(size=[6, 7, 3])


# --- painting ---


def test_the_best_region_that_holds_a_pixel_moves_it():
    boxes_a = np.array([[0, 0, 9, 7], [2.6, 1, 6, 5], [1, 2, 5.5, 6]])
    boxes_b = np.array([[0, 0, 18, 14], [10, 3, 12, 4], [1, 1, 9, 9]])
    scores = np.array([0.1, 0.9, 0.5])
    places, confidence = proposal_flow.paint(boxes_a, boxes_b, scores, (8, 9), (14, 18))
    for i, j in np.ndindex(8, 9):
        x, y = j + 0.5, i + 0.5
        holding = [n for n, box in enumerate(boxes_a) if box[0] <= x < box[2] and box[1] <= y < box[3]]
        if not holding:
            assert np.isnan(places[i, j]).all() and confidence[i, j] == -np.inf
            continue
        best = max(holding, key=lambda n: scores[n])
        (x0, y0, x1, y1), (left, top, right, bottom) = boxes_a[best], boxes_b[best]
        expected = [left + (x - x0) / (x1 - x0) * (right - left), top + (y - y0) / (y1 - y0) * (bottom - top)]
        np.testing.assert_allclose(places[i, j], expected)
        assert confidence[i, j] == scores[best]
    assert np.isnan(places).any()


def test_regions_may_reach_out_of_their_pictures():
    places, confidence = proposal_flow.paint([[-4, -2, 4, 2]], [[-4, -2, 4, 2]], [1.0], (3, 3), (3, 2))
    assert np.isfinite(confidence).tolist() == [[True] * 3, [True] * 3, [False] * 3]
    np.testing.assert_allclose(places[0], [[0.5, 0.5], [1.5, 0.5], [2, 0.5]])  # B is 2 wide
    _, confidence = proposal_flow.paint([[-9, 0, -2, 3]], [[0, 0, 3, 3]], [1.0], (3, 3), (3, 3))
    assert not np.isfinite(confidence).any()


def test_of_equal_scores_the_first_goes_before():
    boxes = np.array([[0, 0, 2, 2], [0, 0, 2, 2]])
    places, _ = proposal_flow.paint(boxes, boxes + [[4], [0]], [1.0, 1.0], (2, 2), (9, 9))
    np.testing.assert_allclose(places[0, 0], [4.5, 4.5])


def test_of_pixels_that_meet_the_most_confident_stays():
    places = RNG.uniform(0, 4, [5, 6, 2])
    places[0, 0] = [4, 4]  # on B's far edge
    confidence = RNG.integers(0, 3, [5, 6]).astype(float)
    confidence[2, 3], places[2, 3] = -np.inf, np.nan
    kept = proposal_flow.drop_conflicts(places, confidence, (4, 4))
    winners = {}
    for i, j in np.ndindex(5, 6):
        if np.isfinite(confidence[i, j]):
            pixel = tuple(np.minimum(places[i, j], 3.9).astype(int))
            if pixel not in winners or confidence[i, j] > confidence[winners[pixel]]:
                winners[pixel] = (i, j)
    assert sorted(map(tuple, np.argwhere(kept))) == sorted(winners.values())


# --- the filter ---


def dense(values, guidance, known, smoothness, static, dynamic, iterations):
    """The filter as a loop over pixels and full matrices."""
    height, width, _ = guidance.shape
    pixels = list(np.ndindex(height, width))
    next_to = np.array([[np.abs(np.subtract(p, q)).sum() == 1 for q in pixels] for p in pixels])

    def weight(image, strength):
        squares = np.zeros([len(pixels)] * 2)
        for p, (i, j) in enumerate(pixels):
            for q, other in enumerate(pixels):
                if next_to[p, q]:
                    squares[p, q] = np.sum((image[i, j] - image[other]) ** 2)
        return np.exp(-strength * squares / (squares.max() or 1)) + 1e-5

    found = np.ones_like(values)
    for _ in range(iterations):
        for c in range(values.shape[-1]):
            links = smoothness * next_to * weight(guidance, static) * weight(found[..., c : c + 1], dynamic)
            system = np.diag(known.ravel() + links.sum(axis=1)) - links
            found[..., c] = np.linalg.solve(system, (known * values[..., c]).ravel()).reshape([height, width])
    return found


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_the_filter_solves_the_dense_system(iterations):
    options = {"smoothness": 20.0, "static": 30.0, "dynamic": 15.0, "iterations": iterations}
    found = proposal_flow.sd_filter(FIELD, GUIDE, KNOWN, **options)
    np.testing.assert_allclose(found, dense(FIELD, GUIDE, KNOWN, **options), rtol=1e-7, atol=1e-9)


def test_without_smoothness_the_input_stays():
    found = proposal_flow.sd_filter(FIELD, GUIDE, np.ones_like(KNOWN), smoothness=0.0)
    np.testing.assert_allclose(found, FIELD, rtol=1e-12)


def test_a_constant_field_stays_and_fills_what_is_not_known():
    field = np.where(KNOWN[..., np.newaxis], [3.0, -2.0], 1e3)
    found = proposal_flow.sd_filter(field, GUIDE, KNOWN)
    np.testing.assert_allclose(found, np.broadcast_to([3.0, -2.0], found.shape), rtol=1e-8)


def test_edges_of_the_guidance_are_kept_and_noise_beside_them_is_not():
    guide = np.zeros([12, 16, 1])
    guide[:, 8:] = 1
    noise = RNG.normal(size=[12, 16, 1])
    field = 10.0 * guide + noise
    kept = proposal_flow.sd_filter(field, guide, np.ones([12, 16], bool))
    blurred = proposal_flow.sd_filter(field, np.zeros_like(guide), np.ones([12, 16], bool), dynamic=0.0)
    means = kept[:, :8].mean(), kept[:, 8:].mean()
    np.testing.assert_allclose(means, [field[:, :8].mean(), field[:, 8:].mean()], atol=0.01)
    assert kept[:, :8].std() < 0.25 * noise[:, :8].std()
    step, without = (np.mean(each[:, 8] - each[:, 7]) for each in (kept, blurred))
    assert step > 9 and without < 3


def test_the_filters_input_is_checked():
    with pytest.raises(ValueError, match=r"must be of one size; found \(6, 7, 2\), \(5, 7, 3\) and \(6, 7\)"):
        proposal_flow.sd_filter(FIELD, GUIDE[1:], KNOWN)
    with pytest.raises(ValueError, match="nothing is known: there is nothing to fill in from"):
        proposal_flow.sd_filter(FIELD, GUIDE, np.zeros_like(KNOWN))


# --- all together ---


def test_points_are_carried_by_regions_that_are_shifted():
    boxes = np.array([[x, y, x + 8, y + 8] for x in range(0, 20, 4) for y in range(0, 12, 4)], float)
    picture = RNG.uniform(size=[16, 24, 3])
    scores = RNG.uniform(size=len(boxes))
    offsets = proposal_flow.flow(boxes, boxes + [5, 3, 5, 3], scores, picture, (40, 40))
    np.testing.assert_allclose(offsets, np.broadcast_to([5.0, 3.0], offsets.shape), atol=1e-6)
    points = np.array([[0, 0], [7.3, 9.9], [24, 16]])
    np.testing.assert_allclose(proposal_flow.transfer(offsets, points), points + [5, 3], atol=1e-5)


def test_a_flow_is_read_between_the_centres_of_pixels():
    offsets = np.zeros([2, 2, 2])
    offsets[0, 1] = [4, 8]
    np.testing.assert_allclose(proposal_flow.transfer(offsets, [[1, 0.5], [1.5, 1]]), [[3, 4.5], [3.5, 5]])


def test_regions_beside_the_picture_make_no_flow():
    with pytest.raises(ValueError, match="no region of A covers the centre of a pixel"):
        proposal_flow.flow([[30, 0, 40, 9]], [[0, 0, 5, 5]], [1.0], np.zeros([8, 8, 3]), (8, 8))
