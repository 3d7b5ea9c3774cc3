"""Tests of warps: a double loop in double precision, maps in closed form, borders pixel by pixel, and what is drawn."""

import functools
import re

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import warps as benchmark
from input_pipeline import splines
from input_pipeline.views import point_maps, warps

SIZES = [(20, 20), (20, 32), (31, 24)]  # height, width
IDENTITY = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def draw(count, *, tps=1.0, affine=1.0, seed=0):
    weights = [
        warps.tps_affine(warps.draw_tps([seed, i], strength=tps), warps.draw_affine([seed, i + count], strength=affine))
        for i in range(count)
    ]
    return tf.stack(weights)


def draw_many(draw_one, count, *, seed=7):
    """What `draw_one` makes of the seeds [seed, 0], [seed, 1], ..., in one graph: float64 [count, ...]."""
    seeds = tf.stack([tf.fill([count], seed), tf.range(count)], axis=-1)
    draw_all = tf.function(lambda: tf.map_fn(draw_one, seeds, fn_output_signature=tf.float32))
    return np.float64(draw_all())


def no_bend(affine):
    """One warp without a bend; `affine` has the rows for 1, x and y."""
    return warps.tps_affine(tf.zeros([1, 100, 2]), tf.constant([affine], tf.float32))


def cell_centres(height, width, stride=1):
    return np.stack(np.meshgrid((np.arange(width) + 0.5) * stride, (np.arange(height) + 0.5) * stride), axis=-1)


def warp_by_hand(weights, point, size):
    """One point through one warp, term by term."""
    centre, half = np.array([size[1], size[0]]) / 2, max(size) / 2
    x, y = (point - centre) / half
    result = weights[100] + weights[101] * x + weights[102] * y
    for row in range(10):
        for column in range(10):
            square = (x - (-1 + 2 * column / 9)) ** 2 + (y - (-1 + 2 * row / 9)) ** 2
            result = result + weights[10 * row + column] * square * np.log(square + 1e-5)
    return result * half + centre


@pytest.mark.parametrize("size", SIZES)
def test_points_go_where_a_double_loop_in_double_precision_takes_them(size):
    weights = draw(2, tps=3.0)
    points = np.random.default_rng(0).uniform(-10, 45, [2, 30, 2])
    points[:, 0] = (np.array([-1 + 2 * 3 / 9, -1 + 2 * 6 / 9]) * max(size) + [size[1], size[0]]) / 2  # a kernel centre
    expected = [[warp_by_hand(w, p, size) for p in ps] for w, ps in zip(np.float64(weights), points)]
    found = warps.at_points(weights, tf.constant(points, tf.float32), size)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert np.abs(expected - points).mean() > 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop, stride", [(0, 1), (3, 1), (0, 2), (2, 3), (-5, 1)])
def test_a_grid_goes_where_its_points_go(size, crop, stride):
    weights = draw(3)
    rows, columns = ((side - 2 * crop) // stride for side in size)
    expected = [
        [[warp_by_hand(w, p + crop, size) for p in line] for line in cell_centres(rows, columns, stride)[::4, ::5]]
        for w in np.float64(weights)
    ]
    found = warps.on_grid(weights, size, crop=crop, stride=stride)
    assert found.shape == [3, rows, columns, 2]
    np.testing.assert_allclose(found[:, ::4, ::5], expected, atol=2e-4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("border", warps.BORDERS)
def test_the_identity_is_the_identity(size, border):
    found = warps.on_grid(no_bend(IDENTITY), size)
    np.testing.assert_allclose(found[0] / max(size), cell_centres(*size) / max(size), atol=1e-6)
    image = 0.5 + 0.5 * np.sin(cell_centres(*size).sum(axis=-1) / 5)[np.newaxis, ..., np.newaxis]
    np.testing.assert_allclose(warps.sample(np.float32(image), found, border=border), image, atol=1e-6)


def test_rows_of_an_affine_map_are_a_shift_and_the_images_of_the_axes():
    """A quarter turn takes +x to +y, which is down; half the longer side is 1."""
    point = tf.constant([[[20.0, 10.0]]])  # normalised (0.5, 0) in a frame of 40 x 20, whose centre is (20, 10)
    point += [[[10.0, 0.0]]]
    turn = no_bend([[0.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    np.testing.assert_allclose(warps.at_points(turn, point, (20, 40)), [[[20, 20]]], atol=1e-5)
    shift = no_bend([[0.1, -0.2], [1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(warps.at_points(shift, point, (20, 40)), [[[32, 6]]], atol=1e-5)


def test_drawn_affine_maps_have_the_sizes_they_should():
    drawn = draw_many(warps.draw_affine, 1500)
    shift, (cos, sin) = drawn[:, 0], drawn[:, 1].T
    np.testing.assert_allclose(drawn[:, 2], np.stack([-sin, cos], axis=-1))
    scale, angle = np.hypot(cos, sin), np.degrees(np.arctan2(sin, cos))
    np.testing.assert_allclose(shift.std(axis=0), [0.1, 0.1], rtol=0.06)
    np.testing.assert_allclose([scale.mean(), scale.std()], [1, 0.1], rtol=0.06)
    np.testing.assert_allclose(angle.std(), 5, rtol=0.06)
    numbers = np.stack([*shift.T, scale, angle])
    np.testing.assert_allclose(np.corrcoef(numbers), np.eye(4), atol=0.08)


def test_drawn_bends_are_ten_times_larger_at_a_half_of_the_centres():
    weights = draw_many(warps.draw_tps, 400)
    np.testing.assert_allclose(weights.mean(), 0, atol=1e-4)
    np.testing.assert_allclose(np.mean(weights**2), (0.001**2 + 0.01**2) / 2, rtol=0.03)
    sizes = np.sort(np.abs(weights).max(axis=-1), axis=1)  # of the larger component, smallest first
    np.testing.assert_allclose(np.median(sizes[:, :50]) / 0.001, np.median(sizes[:, 50:]) / 0.01, rtol=0.15)
    large = np.abs(weights).max(axis=-1) > 0.004
    np.testing.assert_allclose(large.mean(axis=0), large.mean(), atol=0.12)  # each centre as often as any other


def test_draws_are_functions_of_their_seed():
    for function in (warps.draw_tps, warps.draw_affine, warps.draw_projective):
        first = function([1, 2])
        np.testing.assert_array_equal(first, function(tf.constant([1, 2], tf.int64)))
        assert np.abs(first - function([1, 3])).max() > 1e-3
        assert np.abs(first - function([2, 2])).max() > 1e-3


def test_strength_multiplies_the_deviations():
    np.testing.assert_allclose(warps.draw_tps([1, 2], strength=0.5), 0.5 * warps.draw_tps([1, 2]), rtol=1e-6)
    np.testing.assert_array_equal(warps.draw_tps([1, 2], strength=0), np.zeros([100, 2]))
    np.testing.assert_array_equal(warps.draw_affine([1, 2], strength=0), IDENTITY)
    np.testing.assert_array_equal(warps.draw_projective([1, 2], strength=0), np.eye(3))
    full, half = (np.array(warps.draw_affine([1, 2], strength=strength)) for strength in (1, 0.5))
    np.testing.assert_allclose(half[0], full[0] / 2, rtol=1e-6)
    np.testing.assert_allclose(np.hypot(*half[1]) - 1, (np.hypot(*full[1]) - 1) / 2, atol=1e-6)
    np.testing.assert_allclose(np.arctan2(*half[1]), (np.arctan2(*full[1]) + np.pi / 2) / 2, atol=1e-6)


def test_maps_with_axes_of_their_own_have_the_ranges_they_should():
    drawn = draw_many(warps.draw_axes, 2000, seed=3)
    np.testing.assert_array_equal(drawn[:, 2], np.tile([0.0, 0.0, 1.0], [2000, 1]))
    shift, matrix = drawn[:, :2, 2], drawn[:, :2, :2]
    scales = np.linalg.svd(matrix, compute_uv=False)
    u, _, vt = np.linalg.svd(matrix)
    turns = np.degrees(np.arctan2(*np.moveaxis(u @ vt, 0, -1)[1::-1, 0]))
    for values, low, high in ((shift, -0.25, 0.25), (scales, 0.75, 1.25), (turns, -15, 15)):
        assert low <= values.min() < low + 0.02 * (high - low) and high - 0.02 * (high - low) < values.max() <= high
    axes = np.degrees(np.arctan2(vt[:, 0, 1], vt[:, 0, 0]))  # of the larger scale, or at right angles to it
    assert np.abs((axes + 45) % 90 - 45).max() <= 30.01
    assert np.abs((axes + 45) % 90 - 45).max() > 25
    weak = np.float64(warps.draw_axes([3, 1], strength=0.5))
    np.testing.assert_allclose(weak[:2, 2], shift[1] / 2, atol=1e-6)


@pytest.mark.parametrize(
    "strength, limit", [(-1, "must not be negative"), (4.0, "must be below 4: an affine map could")]
)
def test_an_affine_map_cannot_shrink_to_nothing(strength, limit):
    with pytest.raises(ValueError, match=f"strength={strength} {limit}"):
        warps.draw_axes([0, 0], strength=strength)


@pytest.mark.parametrize("size, crop", [((100, 100), 0), ((100, 100), 15), ((60, 90), 4)])
def test_composition_is_one_warp_after_the_other(size, crop):
    """Wherever A shows what is in B, or as far outside it as the grid of W1 goes."""
    first, second = draw(6, tps=0.5), draw(6, seed=1)
    a_to_source, b_to_source = warps.views_to_source(first, second, size, crop=crop)
    np.testing.assert_allclose(b_to_source, warps.on_grid(first, size, crop=crop), atol=2e-4)
    a_to_b = warps.on_grid(second, size, crop=crop)
    exact = warps.at_points(first, tf.reshape(a_to_b, [6, -1, 2]), size)
    margin = max(size) / 4
    place, end = a_to_b - crop, np.array([size[1], size[0]]) - 2 * crop
    known = tf.reduce_all((place > -margin) & (place < end + margin), axis=-1)
    error = np.linalg.norm(a_to_source - tf.reshape(exact, a_to_source.shape), axis=-1)[known]
    assert np.mean(known) > 0.95
    assert error.mean() < 1e-3 and error.max() < 0.01


def test_composition_of_affine_maps_is_their_product():
    turn = [[0.1, -0.05], [0.9, 0.2], [-0.2, 0.9]]
    shift = [[0.06, 0.1], [1.0, 0.0], [0.0, 1.0]]
    a_to_source, _ = warps.views_to_source(no_bend(turn), no_bend(shift), (40, 40))
    matrix = np.array(turn)
    expected = ((cell_centres(40, 40) / 20 - 1 + shift[0]) @ matrix[1:] + matrix[0] + 1) * 20
    np.testing.assert_allclose(a_to_source[0], expected, atol=1e-4)


def projected_by_hand(homography, point, size):
    """One point through one homography; (x, y, 1) is a column."""
    centre, half = np.array([size[1], size[0]]) / 2, max(size) / 2
    x, y, w = np.float64(homography) @ [*(point - centre) / half, 1.0]
    return np.array([x / w, y / w]) * half + centre


HOMOGRAPHIES = np.float32(
    [[[1, 0, 0], [0, 1, 0], [0.15, -0.1, 1]], [[0.9, 0.2, 0.1], [-0.1, 1.2, -0.3], [0.1, 0.2, 2]]]
)


@pytest.mark.parametrize("size", SIZES)
def test_homographies_take_points_where_a_matrix_product_by_hand_does(size):
    points = np.random.default_rng(0).uniform(-5, 35, [2, 12, 2]).astype(np.float32)
    expected = [[projected_by_hand(h, p, size) for p in ps] for h, ps in zip(HOMOGRAPHIES, points)]
    found = point_maps.project(HOMOGRAPHIES, points, size)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    on_a_grid = tf.function(point_maps.project)(HOMOGRAPHIES, points.reshape([2, 3, 4, 2]), size)
    np.testing.assert_allclose(on_a_grid, np.reshape(expected, [2, 3, 4, 2]), atol=1e-4)
    same = point_maps.project(
        np.eye(3, dtype=np.float32)[np.newaxis], cell_centres(*size)[np.newaxis].astype("f"), size
    )
    np.testing.assert_allclose(same[0] / max(size), cell_centres(*size) / max(size), atol=1e-6)


@pytest.mark.parametrize("strength, limited", [(1.0, 0.036), (2.0, 0.42)])
def test_drawn_tilts_have_the_size_they_should_and_a_horizon_beyond_the_frame(strength, limited):
    """|p_x| + |p_y| exceeds 1/3 as often as one of two independent N(0, 0.1 strength) exceeds 0.2357."""
    drawn = draw_many(functools.partial(warps.draw_projective, strength=strength), 3000)
    np.testing.assert_array_equal(drawn[:, :2], np.tile(np.eye(3)[:2], [3000, 1, 1]))
    np.testing.assert_array_equal(drawn[:, 2, 2], 1)
    tilts = drawn[:, 2, :2]
    steepness = np.abs(tilts).sum(axis=-1)
    assert steepness.max() < 1 / 3 + 1e-6
    np.testing.assert_allclose(np.mean(steepness > 1 / 3 - 1e-6), limited, atol=0.01 * strength)
    lower = np.percentile(np.abs(tilts), 25, axis=0)  # which the limit hardly touches
    np.testing.assert_allclose(lower, 0.0319 * strength, rtol=0.1)
    assert abs(np.corrcoef(tilts.T)[0, 1]) < 0.06


def test_the_mirror_image_exchanges_left_and_right_and_is_its_own():
    points = np.float32([[[0, 3], [30, 20], [7.5, 1]]])
    np.testing.assert_array_equal(point_maps.flip(points, (20, 30)), [[[30, 3], [0, 20], [22.5, 1]]])
    np.testing.assert_array_equal(point_maps.flip(point_maps.flip(points, (20, 30)), (20, 30)), points)
    image = np.random.default_rng(0).uniform(size=[1, 20, 30, 2]).astype(np.float32)
    found = warps.sample(image, point_maps.flip(cell_centres(20, 30)[np.newaxis].astype("f"), (20, 30)), border="zero")
    np.testing.assert_allclose(found, image[:, :, ::-1], atol=1e-5)


def test_a_composition_is_the_outer_map_of_what_the_inner_one_gives():
    """A shift by 2, then mirrored in a frame 30 wide, is not the other order."""
    shift, mirror = (lambda points: points + [2.0, 0.0]), functools.partial(point_maps.flip, size=(20, 30))
    point = tf.constant([[[5.0, 1.0]]])
    np.testing.assert_allclose(point_maps.compose(mirror, shift)(point), [[[23, 1]]])
    np.testing.assert_allclose(point_maps.compose(shift, mirror)(point), [[[27, 1]]])


def maps_and_their_doubles(size):
    """Name -> a map of a batch of one, and the same by hand for a point: a warp, a homography, a mirror."""
    weights = draw(1, seed=3)
    homography = HOMOGRAPHIES[:1]
    return {
        "warp": (
            functools.partial(warps.at_points, weights, size=size),
            functools.partial(warp_by_hand, np.float64(weights[0]), size=size),
        ),
        "tilt": (
            functools.partial(point_maps.project, homography, size=size),
            functools.partial(projected_by_hand, homography[0], size=size),
        ),
        "mirror": (
            functools.partial(point_maps.flip, size=size),
            lambda point: np.array([size[1] - point[0], point[1]]),
        ),
    }


@pytest.mark.parametrize("order", [["mirror", "tilt", "warp"], ["warp", "mirror", "tilt"], ["tilt", "warp", "mirror"]])
def test_a_drawn_dot_moves_where_its_point_moves(order):
    """The dot is drawn in the source where the maps, by hand, take its place in the view."""
    size, place = (60, 72), np.array([33.0, 26.5])
    both = maps_and_their_doubles(size)
    outer, middle, inner = (both[name][0] for name in order)
    source = place
    for name in reversed(order):
        source = both[name][1](source)
    image = np.exp(-np.sum(np.square(cell_centres(*size) - source), axis=-1) / 4).astype(np.float32)
    view_to_source = point_maps.compose(outer, point_maps.compose(middle, inner))
    points = view_to_source(tf.reshape(tf.constant(cell_centres(*size), tf.float32), [1, -1, 2]))
    view = warps.sample(image[np.newaxis, ..., np.newaxis], points, border="zero").numpy()[0, :, 0]
    np.testing.assert_allclose(view @ cell_centres(*size).reshape(-1, 2) / np.sum(view), place, atol=0.12)
    assert np.linalg.norm(source - place) > 3


def test_views_with_projective_parts_are_w1_of_w2():
    size, crop = (60, 90), 4
    first, second = draw(2, tps=0.5), draw(2, seed=1)
    tilts = tf.stack([warps.draw_projective([5, i]) for i in range(4)])
    after_first, after_second = (
        functools.partial(point_maps.project, tilt, size=size) for tilt in (tilts[:2], tilts[2:])
    )
    a_to_source, b_to_source = warps.views_to_source(
        first, second, size, crop=crop, after_first=after_first, after_second=after_second
    )

    def by_hand(weights, tilt, point):
        return projected_by_hand(tilt, warp_by_hand(np.float64(weights), point, size), size)

    for index in range(2):
        for row, column in [(20, 30), (26, 41), (35, 60)]:
            u = np.array([column + 0.5, row + 0.5]) + crop
            in_b = by_hand(first[index], tilts[index], u)
            np.testing.assert_allclose(b_to_source[index, row, column], in_b, atol=1e-3)
            in_a = by_hand(first[index], tilts[index], by_hand(second[index], tilts[2 + index], u))
            np.testing.assert_allclose(a_to_source[index, row, column], in_a, atol=0.02)
            assert np.linalg.norm(in_a - in_b) > 1


def frame_points(size, edge=3):
    """5 x 5 points, those outside `edge` pixels from the frame's sides."""
    x, y = (np.linspace(edge, side - edge, 5) for side in size[::-1])
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(1, -1, 2).astype(np.float32)


def test_a_homography_is_inverted_as_its_matrix_is():
    points = np.repeat(frame_points((40, 50)), 2, axis=0)
    places, found = point_maps.invert_at(
        functools.partial(point_maps.project, HOMOGRAPHIES, size=(40, 50)), points, (40, 50)
    )
    expected = point_maps.project(np.linalg.inv(HOMOGRAPHIES), points, (40, 50))
    np.testing.assert_allclose(places, expected, atol=0.02)
    assert np.all(found)


@pytest.mark.parametrize("strength, least, same", [(1.0, 0.999, 0.99), (2.0, 0.98, 0.92)])
def test_what_a_warp_shows_is_found_up_to_the_corners_of_the_frame(strength, least, same):
    """Points of the view are taken to the source and looked for again; where warps fold, another place is as right."""
    size, count = (80, 100), 120
    weights = draw(count, tps=strength, affine=strength)
    tilts = tf.stack([warps.draw_projective([9, i], strength=strength) for i in range(count)])
    tilt, warp = (
        functools.partial(point_maps.project, tilts, size=size),
        functools.partial(warps.at_points, weights, size=size),
    )
    view_to_source = point_maps.compose(tilt, warp)
    view = np.repeat(frame_points(size), count, axis=0)
    source = view_to_source(view)
    inside = tf.reduce_all((source > 0) & (source < [100.0, 80.0]), axis=-1)
    places, found = tf.function(lambda points: point_maps.invert_at(view_to_source, points, size))(source)
    distances = np.linalg.norm(places - view, axis=-1)
    assert np.mean(found[inside]) > least
    assert np.mean(distances[inside] < 0.05) > same
    for index, point in [(0, 0), (1, 24), (2, 4), (3, 12)]:
        back = warp_by_hand(np.float64(weights[index]), np.float64(places[index, point]), size)
        back = projected_by_hand(tilts[index], back, size)
        assert found[index, point] == (np.linalg.norm(back - source[index, point]) < 0.01)
    assert np.mean(inside) > 0.5 and np.all(np.isfinite(places))


def test_what_a_map_never_shows_is_not_found():
    def fold(points):
        """Covers the left half of a frame 20 wide twice, the right half never."""
        return tf.stack([10 - tf.square(points[..., 0] - 10) / 10, points[..., 1]], axis=-1)

    for view_to_source in (fold, tf.zeros_like):
        places, found = point_maps.invert_at(view_to_source, tf.constant([[[4.0, 3.0], [16.0, 3.0]]]), (20, 20))
        np.testing.assert_array_equal(found, [[view_to_source is fold, False]])
        assert np.all(np.isfinite(places))
        if view_to_source is fold:
            np.testing.assert_allclose(fold(places)[:, 0], [[4, 3]], atol=0.01)


def test_a_fitted_spline_is_composed_and_inverted_like_any_map():
    view = frame_points((40, 50))
    source = view + np.random.default_rng(0).normal(0, 1, view.shape).astype(np.float32)
    fitted = splines.fit_tps(view, source, (40, 50))
    mirrored = point_maps.compose(functools.partial(point_maps.flip, size=(40, 50)), fitted)
    np.testing.assert_allclose(mirrored(view), [50, 0] + source * [-1, 1], atol=1e-4)
    places, found = point_maps.invert_at(fitted, source, (40, 50))
    assert np.all(found)
    np.testing.assert_allclose(places, view, atol=0.02)


def pixel(image, row, column, border):
    """Value of a pixel that may lie outside the image."""
    height, width = image.shape
    if border == "zero":
        return image[row, column] if 0 <= row < height and 0 <= column < width else 0.0
    if border == "edge":
        return image[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
    row, column = row % (2 * height), column % (2 * width)  # ... 1 0 | 0 1 2 ... h-1 | h-1 ... 0 | 0 ...
    return image[min(row, 2 * height - 1 - row), min(column, 2 * width - 1 - column)]


@pytest.mark.parametrize("border", warps.BORDERS)
def test_sampling_is_bilinear_and_borders_are_what_they_are_called(border):
    rng = np.random.default_rng(0)
    image = rng.uniform(size=[5, 7])
    points = rng.uniform(-16, 20, [300, 2])
    points[:5] = [[0, 0], [7, 5], [0.5, 0.5], [-0.25, 2], [3, 5.25]]
    expected = []
    for x, y in points - 0.5:
        left, top = int(np.floor(x)), int(np.floor(y))
        across, down = x - left, y - top
        rows = [
            (1 - across) * pixel(image, row, left, border) + across * pixel(image, row, left + 1, border)
            for row in (top, top + 1)
        ]
        expected.append((1 - down) * rows[0] + down * rows[1])
    maps, points = np.float32(image)[np.newaxis, ..., np.newaxis], np.float32(points)
    for shape in ([1, 300, 2], [1, 20, 15, 2]):
        found = warps.sample(maps, points.reshape(shape), border=border)
        assert found.shape == [*shape[:-1], 1]
        np.testing.assert_allclose(np.ravel(found), expected, atol=1e-5)


def test_it_is_the_same_inside_a_dataset_whose_batches_differ():
    weights = draw(5)
    expected = warps.on_grid(weights, (20, 32), crop=2, stride=2)
    dataset = tf.data.Dataset.from_tensor_slices(weights).batch(2)
    dataset = dataset.map(lambda w: warps.on_grid(w, (20, 32), crop=2, stride=2)).unbatch()
    np.testing.assert_allclose(np.stack(list(dataset.as_numpy_iterator())), expected, atol=1e-5)


def test_the_basis_is_computed_once_though_a_graph_asks_for_it_first():
    weights = draw(2)
    warps._grid_basis.cache_clear()
    in_a_graph = tf.function(lambda weights: warps.on_grid(weights, (18, 14)))(weights)
    np.testing.assert_allclose(in_a_graph, warps.on_grid(weights, (18, 14)), atol=1e-5)
    assert warps._grid_basis.cache_info().misses == 1


WEIGHTS = tf.zeros([1, 103, 2])
MAPS, POINTS = tf.zeros([1, 4, 4, 3]), tf.zeros([1, 4, 4, 2])


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: warps.draw_tps([0, 0], strength=-1),
            "strength=-1 must not be negative; 1 is full strength, 0 no warp",
        ),
        (lambda: warps.draw_affine([0, 0], strength=-0.5), "strength=-0.5 must not be negative"),
        (lambda: warps.draw_projective([0, 0], strength=-2), "strength=-2 must not be negative"),
        (
            lambda: point_maps.project(HOMOGRAPHIES[0], POINTS, (9, 9)),
            "homography must be [B, 3, 3] and points [B, ..., 2]; found (3, 3) and (1, 4, 4, 2)",
        ),
        (
            lambda: warps.tps_affine(tf.zeros([99, 2]), tf.zeros([3, 2])),
            "tps must be [..., 100, 2] and affine [..., 3, 2]; found (99, 2) and (3, 2)",
        ),
        (lambda: warps.on_grid(WEIGHTS[0], (9, 9)), "weights must be [B, 103, 2]; found (103, 2)"),
        (lambda: warps.at_points(WEIGHTS[:, 3:], POINTS[0], (9, 9)), "weights must be [B, 103, 2]; found (1, 100, 2)"),
        (lambda: warps.at_points(WEIGHTS, POINTS, (9, 9)), "points must be [B, N, 2]; found (1, 4, 4, 2)"),
        (
            lambda: warps.on_grid(WEIGHTS, (9, 12), crop=4, stride=2),
            "crop=4 leaves no cell of 2 pixels of an image of 9 x 12; it must be smaller",
        ),
        (
            lambda: warps.sample(MAPS, POINTS, border="wrap"),
            "border='wrap': there is no such border; choose zero, edge, mirror",
        ),
        (
            lambda: warps.sample(MAPS[0], POINTS, border="zero"),
            "maps must be [B, h, w, C] and points [B, ..., 2]; found (4, 4, 3) and (1, 4, 4, 2)",
        ),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize(
    "factory, packages, special",
    [
        ("ours", [], {}),
        ("sparse_image_warp", [], {"points": 3, "fixed_ends": True}),
        ("kornia_tps", ["torch", "kornia"], {"points": 3}),
        ("cv2_remap", ["cv2"], {"dtype": "uint8"}),
    ],
)
def test_contenders_of_the_benchmark_make_two_different_views(factory, packages, special):
    for package in packages:
        pytest.importorskip(package)
    assert factory in [name for name, _ in benchmark.CONTENDERS.values()]
    image_a, image_b = getattr(benchmark, factory)(size=24, batch=2, threads=1, **special)()
    assert image_a.size == image_b.size == 2 * 24 * 24 * 3
    assert np.abs(np.float32(image_a) - np.float32(image_b)).max() > 0.1
    assert 0.3 < np.mean(image_a) / (255 if image_a.dtype == np.uint8 else 1) < 0.6


def test_the_benchmark_sets_the_others_beside_ours():
    results = {
        "ours": {"median_pairs_a_second": 2000.4, "ours_is_faster_by": [1, 1, 1]},
        "theirs": {"median_pairs_a_second": 500.0, "ours_is_faster_by": [4.0, 3.2, 4.8]},
    }
    lines = ["| ours | 2000 |  |", "| theirs | 500 | 4.00 (3.20 - 4.80) |"]
    assert benchmark._table(results).splitlines()[2:] == lines
