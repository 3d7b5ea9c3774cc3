"""Tests of pairs: rigid motions known in closed form, what is left out, and drawn dots that are found again."""

import re

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.batches import PairBatch
from dense_labels.config import ViewsConfig
from dense_labels.method import geometry
from dense_labels.registry import COLOURS
from input_pipeline.views import pairs, random_maps, view_maps

HEIGHT, WIDTH = 20, 24


def pixel_centres():
    return np.stack(np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5), axis=-1)


def cell_centres(stride):
    return np.stack(
        np.meshgrid((np.arange(WIDTH // stride) + 0.5) * stride, (np.arange(HEIGHT // stride) + 0.5) * stride), axis=-1
    )


def make(flow, visible=None, segments=None, stride=2, images=None):
    blank = tf.zeros([HEIGHT, WIDTH, 3])
    image_a, image_b = images or (blank, blank)
    visible = np.ones([HEIGHT, WIDTH]) if visible is None else visible
    segments = np.ones([HEIGHT, WIDTH]) if segments is None else segments
    return pairs.pair_from_flow(
        image_a,
        image_b,
        tf.cast(flow, tf.float32),
        tf.cast(visible, tf.uint8),
        tf.cast(segments, tf.uint8),
        stride=stride,
    )


def rotation(degrees, about, shift):
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return lambda points: (points - about) @ matrix.T + about + shift


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_no_motion_is_the_identity(stride):
    pair = make(np.zeros([HEIGHT, WIDTH, 2]), stride=stride)
    np.testing.assert_allclose(pair.points_in_b, cell_centres(stride), atol=1e-6)
    np.testing.assert_array_equal(pair.visible, np.ones([HEIGHT // stride, WIDTH // stride]))
    assert pair.points_in_b.dtype == pair.visible.dtype == tf.float32


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("degrees, shift", [(0, [3.25, -1.5]), (17, [0, 0]), (-80, [5, 2])])
def test_cells_of_a_rigid_motion_move_exactly_with_it(stride, degrees, shift):
    motion = rotation(degrees, np.array([7.0, 9.0]), np.array(shift))
    pair = make(motion(pixel_centres()) - pixel_centres(), stride=stride)
    np.testing.assert_allclose(pair.points_in_b, motion(cell_centres(stride)), atol=1e-4)


def test_a_drawn_dot_moves_where_its_point_moves():
    """A blurred dot is drawn in both frames at places related by the motion; the cell under it points to it in B."""
    motion = rotation(30, np.array([12.0, 10.0]), np.array([1.5, -0.7]))
    row, column = 6, 4
    place = cell_centres(2)[row, column]

    def draw(centre):
        return np.exp(-np.sum(np.square(pixel_centres() - centre), axis=-1) / 2)

    def find(image):  # centre of mass
        return np.tensordot(image, pixel_centres(), axes=2) / image.sum()

    images = [tf.constant(np.repeat(draw(p)[..., np.newaxis], 3, axis=-1), tf.float32) for p in (place, motion(place))]
    pair = make(motion(pixel_centres()) - pixel_centres(), images=images)
    np.testing.assert_allclose(find(pair.image_a.numpy()[..., 0]), place, atol=0.02)
    found = find(pair.image_b.numpy()[..., 0])
    np.testing.assert_allclose(pair.points_in_b[row, column], found, atol=0.02)
    assert np.linalg.norm(found - place) > 2
    np.testing.assert_array_equal(pair.image_a, images[0])


def cells_by_hand(stride, keep):
    """1 where all pixels that the cell's centre lies between are alike according to `keep(list of (row, column))`."""
    result = np.zeros([HEIGHT // stride, WIDTH // stride])
    for i in range(HEIGHT // stride):
        for j in range(WIDTH // stride):
            y, x = (i + 0.5) * stride - 0.5, (j + 0.5) * stride - 0.5  # counted in pixels from the first one's centre
            rows, columns = {int(np.floor(y)), int(np.ceil(y))}, {int(np.floor(x)), int(np.ceil(x))}
            result[i, j] = keep([(r, c) for r in rows for c in columns])
    return result


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_cells_that_touch_an_invisible_pixel_are_invisible(stride):
    visible = np.random.default_rng(0).uniform(size=[HEIGHT, WIDTH]) < 0.8
    expected = cells_by_hand(stride, lambda pixels: all(visible[p] for p in pixels))
    assert 0.2 < expected.mean() < 0.9
    np.testing.assert_array_equal(make(np.zeros([HEIGHT, WIDTH, 2]), visible=visible, stride=stride).visible, expected)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_cells_astride_two_segments_are_invisible(stride):
    """Two halves part along a slanted line, each with a motion of its own; what remains moves with one of them."""
    segments = 1 + (pixel_centres() @ [1.0, 0.35] > 14.2)
    motions = [rotation(10, np.array([5.0, 5.0]), np.zeros(2)), rotation(-25, np.array([18.0, 9.0]), np.ones(2))]
    moved = np.where((segments == 1)[..., np.newaxis], motions[0](pixel_centres()), motions[1](pixel_centres()))
    pair = make(moved - pixel_centres(), segments=segments, stride=stride)
    expected = cells_by_hand(stride, lambda pixels: len({segments[p] for p in pixels}) == 1)
    assert stride != 2 or 0 < expected.mean() < 1
    np.testing.assert_array_equal(pair.visible, expected)
    first = cells_by_hand(stride, lambda pixels: segments[pixels[0]] == 1)[..., np.newaxis] > 0
    exact = np.where(first, motions[0](cell_centres(stride)), motions[1](cell_centres(stride)))
    seen = expected > 0
    np.testing.assert_allclose(pair.points_in_b.numpy()[seen], exact[seen], atol=1e-4)


def test_an_odd_frame_drops_its_last_row_and_column():
    flow = tf.zeros([7, 9, 2])
    ones = tf.ones([7, 9], tf.uint8)
    pair = pairs.pair_from_flow(tf.zeros([7, 9, 3]), tf.zeros([7, 9, 3]), flow, ones, ones, stride=2)
    assert pair.points_in_b.shape == [3, 4, 2]
    np.testing.assert_allclose(pair.points_in_b[2, 3], [7, 5])


def test_it_is_the_same_inside_a_dataset():
    motion = rotation(17, np.array([7.0, 9.0]), np.array([1.0, 2.0]))
    flow = tf.constant(motion(pixel_centres()) - pixel_centres(), tf.float32)
    dataset = tf.data.Dataset.from_tensors(flow).map(make)
    pair = next(iter(dataset))
    np.testing.assert_allclose(pair.points_in_b, motion(cell_centres(2)), atol=1e-4)


def draw(seed, size, *, warp="tps", **kwargs):
    """The maps of views [B, ...] of frames of a size."""
    return {"tps": view_maps.draw_tps, "affine": view_maps.draw_affine}[warp](tf.constant(seed), size, **kwargs)


def views(image, seed, *, stride=2, border=None, flip=False, **kwargs):
    """The pairs of views of images [B, H, W, C]."""
    maps = draw(seed, image.shape[1:3], stride=stride, **kwargs)
    border = border or {"tps": "edge", "affine": "mirror"}[kwargs.get("warp", "tps")]
    return pairs.pair_from_maps(tf.constant(image), tf.constant(seed), maps, border=border, flip=flip)


def everything(image, seed, landmarks, *, stride=2, border="edge", flip=False, **kwargs):
    """Name -> value: the pairs of views, and their landmarks."""
    size = tuple(image.shape[1:3])
    maps = draw(seed, size, stride=stride, **kwargs)
    pair = pairs.pair_from_maps(image, seed, maps, border=border, flip=flip)
    found = pairs.landmarks_in_views(landmarks, seed, maps, size, flip=flip)
    return {**pair._asdict(), **found._asdict()}


def seeds(count, seed=0):
    return [[seed, index] for index in range(count)]


def dots(size, places, width=1.2):
    """An image of one blurred dot for each place, float32 [B, size, size, 3]."""
    pixels = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1)
    squares = np.sum(np.square(pixels - np.reshape(places, [-1, 1, 1, 2])), axis=-1)
    return np.repeat(np.float32(np.exp(-squares / (2 * width**2)))[..., np.newaxis], 3, axis=-1)


def centres_of_mass(images):
    mass = images.numpy()[..., 0].astype(np.float64)
    height, width = mass.shape[1:]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    moments = np.stack([(mass * x).sum(axis=(1, 2)), (mass * y).sum(axis=(1, 2))], axis=-1)
    return moments / mass.sum(axis=(1, 2))[:, np.newaxis]


def at_rest(images):
    """Whether nothing of a dot touches the border of its image."""
    mass = images.numpy()[..., 0]
    edges = [mass[:, 0], mass[:, -1], mass[:, :, 0], mass[:, :, -1]]
    return np.max([edge.max(axis=-1) for edge in edges], axis=0) < 1e-3


@pytest.mark.parametrize(
    "size, crop, stride, more",
    [
        (100, 15, 2, {}),
        (64, 0, 2, {}),
        (60, 5, 3, {}),
        (50, 0, 1, {}),
        (100, 15, 2, {"projective": 1.0}),
        (64, 3, 2, {"projective": 1.0, "flip": True}),
        (100, 15, 2, {"shift": 0.1}),
        (100, 10, 2, {"shift": 0.1, "warp": "affine", "border": "mirror", "strength": 0.5}),
        (64, 3, 2, {"warp": "affine", "border": "mirror", "flip": True}),
        (100, 15, 4, {"warp": "affine", "border": "mirror"}),
    ],
)
def test_a_dot_of_view_a_is_in_view_b_where_its_point_says(size, crop, stride, more):
    """And its landmark is where the dot is, in both views."""
    places = size / 2 + np.random.default_rng(0).uniform(-size / 8, size / 8, [24, 2])
    pair = everything(dots(size, places), seeds(24), places[:, np.newaxis], crop=crop, stride=stride, **more)
    whole = at_rest(pair["image_a"]) & at_rest(pair["image_b"])
    in_a, in_b = centres_of_mass(pair["image_a"]), centres_of_mass(pair["image_b"])
    said = geometry.bilinear_sample(pair["points_in_b"], np.float32(in_a)[:, np.newaxis], stride)[:, 0]
    errors = (said.numpy() - in_b)[whole]
    assert whole.sum() >= 12
    assert np.linalg.norm(errors, axis=-1).max() < 0.12  # a bent dot's centre of mass is not quite the dot's centre
    np.testing.assert_allclose(errors.mean(axis=0), [0, 0], atol=0.03)
    assert np.linalg.norm(in_a - in_b, axis=-1)[whole].mean() > 0.05 * size
    for view, centres in (("a", in_a), ("b", in_b)):
        errors = (pair[f"landmarks_{view}"][:, 0] - centres)[whole]
        assert np.linalg.norm(errors, axis=-1).max() < 0.2  # two bends from the dot that was drawn
        np.testing.assert_allclose(np.mean(errors, axis=0), [0, 0], atol=0.03)
        np.testing.assert_array_equal(pair[f"visible_{view}"][whole], 1)


def places_of_pixels(count, height, width):
    """Images in which every pixel shows where it is."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.tile(np.stack([x, y], axis=-1), [count, 1, 1, 1]).astype(np.float32)


@pytest.mark.parametrize(
    "edge, crop, more",
    [
        (2, 0, {}),
        (2, 15, {"projective": 1.0, "flip": True}),
        (20, 6, {"strength": 2.0, "projective": 1.0, "flip": True}),
        (2, 10, {"warp": "affine", "border": "edge", "flip": True}),
        (2, 15, {"shift": 0.2, "projective": 1.0}),
        (2, 10, {"shift": 0.2, "warp": "affine", "flip": True}),
    ],
)
def test_a_view_shows_at_a_landmark_what_the_image_has_there(edge, crop, more):
    """Up to 2 pixels from the corners of the image; and what a view shows is visible, save 1 in 100 at strength 2."""
    count, height, width = 30, 80, 100
    x, y = np.meshgrid(np.linspace(edge, width - edge, 5), np.linspace(edge, height - edge, 5))
    landmarks = np.tile(np.stack([x, y], axis=-1).reshape(1, -1, 2), [count, 1, 1]).astype(np.float32)
    image = places_of_pixels(count, height, width)
    pair = everything(image, seeds(count), landmarks, crop=crop, **more)
    for view in "ab":
        shown, places = pair[f"image_{view}"], pair[f"landmarks_{view}"].numpy()
        visible = pair[f"visible_{view}"].numpy() > 0
        last = np.array([width, height]) - 2 * crop - 0.5
        between_centres = np.all((places > 0.5) & (places < last), axis=-1)
        image_there = np.all((shown > 0.51) & (shown < [width - 0.51, height - 0.51]), axis=-1, keepdims=True)
        image_there = geometry.bilinear_sample(np.float32(image_there), places, 1)[..., 0] > 0.999
        errors = np.linalg.norm(geometry.bilinear_sample(shown, places, 1) - landmarks, axis=-1)
        assert errors[visible & between_centres & image_there].max() < 0.05
        inner = np.reshape(shown[:, 1:-1, 1:-1], [count, 1, -1, 2])
        nearest = np.min(np.max(np.abs(inner - landmarks[:, :, np.newaxis]), axis=-1), axis=-1)
        assert np.mean(visible[nearest < 0.4]) > (0.98 if "strength" in more else 0.999)
        assert np.all((places >= 0) & (places <= last + 0.5), axis=-1)[visible].all()
        assert 0.2 < np.mean(visible) < 0.95 and np.isfinite(places).all()


@pytest.mark.parametrize("warp", ["tps", "affine"])
def test_each_view_is_shifted_by_itself_and_otherwise_warped_as_it_was(warp):
    plain, shifted = (draw(seeds(200), (40, 60), stride=2, crop=4, warp=warp, shift=shift) for shift in (0.0, 0.2))
    by_b = (shifted.b_to_source - plain.b_to_source).numpy()
    np.testing.assert_allclose(by_b, by_b[:, :1, :1] + np.zeros_like(by_b), atol=1e-4)
    still_a, still_b = (
        getattr(draw(seeds(200), (40, 60), stride=2, warp=warp, shift=0.2, strength=0), view)[:, 20, 30]
        - np.float32([30.5, 20.5])
        for view in ("a_to_source", "b_to_source")
    )
    np.testing.assert_allclose(by_b[:, 0, 0], still_b, atol=1e-4)
    for shift in (still_a.numpy(), still_b.numpy()):
        assert 11 < np.abs(shift).max() <= 12.001  # a fifth of the longer side
        np.testing.assert_allclose(shift.mean(axis=0), [0, 0], atol=1.5)
    assert abs(np.corrcoef(still_a[:, 0], still_b[:, 0])[0, 1]) < 0.2


def test_mirrored_pairs_are_the_pairs_of_mirrored_images():
    """In a half of them; the points do not change, nor does anything for being asked about landmarks."""
    image = np.random.default_rng(0).uniform(size=[40, 24, 30, 1]).astype(np.float32)
    landmarks = np.random.default_rng(1).uniform(8, 16, [40, 3, 2]).astype(np.float32)
    plain = everything(image, seeds(40), landmarks)
    other = everything(image[:, :, ::-1], seeds(40), landmarks * [-1, 1] + [30, 0])
    found = everything(image, seeds(40), landmarks, flip=True)
    flipped = np.abs(found["image_a"] - plain["image_a"]).max(axis=(1, 2, 3)) > 1e-3
    assert 10 <= flipped.sum() <= 30
    for key, values in found.items():
        expected = np.where(flipped.reshape([-1] + [1] * (values.shape.rank - 1)), other[key], plain[key])
        np.testing.assert_allclose(values, expected, atol=1e-3, err_msg=key)
    np.testing.assert_array_equal(found["points_in_b"], plain["points_in_b"])
    for key, values in views(image, seeds(40))._asdict().items():
        np.testing.assert_array_equal(values, plain[key], err_msg=key)


def test_the_projective_part_comes_last_and_leaves_the_others_as_they_are():
    """W2 is the projective map of what it is without: the two agree in one homography, all over the view."""
    plain, tilted = (draw(seeds(6), (40, 50), stride=2, projective=projective).points_in_b for projective in (0.0, 1.0))
    plain, tilted = (np.float64(points).reshape(6, -1, 2) / 25 - [1, 0.8] for points in (plain, tilted))
    tilts = []
    for n, m in zip(plain, tilted):  # m (1 + p n) = n, for x and for y
        system = (m[:, :, np.newaxis] * n[:, np.newaxis]).reshape(-1, 2)
        tilt, residual, *_ = np.linalg.lstsq(system, (n - m).ravel(), rcond=None)
        assert residual[0] < 1e-8
        tilts.append(tilt)
    assert 0.03 < np.std(tilts) < 0.2


@pytest.mark.parametrize("warp, more", [("tps", {"projective": 1.0, "flip": True}), ("affine", {"flip": True})])
def test_a_pair_depends_on_its_seed_alone(warp, more):
    image = np.random.default_rng(0).uniform(size=[5, 40, 40, 3]).astype(np.float32)
    more = {"warp": warp, **more}
    together = views(image, seeds(5), **more)
    for index in (0, 3):
        alone = views(image[index : index + 1], [[0, index]], **more)
        for key, values in alone._asdict().items():
            np.testing.assert_allclose(values[0], getattr(together, key)[index], atol=1e-4, err_msg=key)
    again = views(image, np.array(seeds(5), np.int64), **more)
    for values, same in zip(again, together):
        np.testing.assert_array_equal(values, same)
    other = views(image, seeds(5, seed=1), **more).points_in_b
    moved = np.abs(np.concatenate([other - together.points_in_b, np.diff(together.points_in_b, axis=0)]))
    assert moved.max(axis=(1, 2, 3)).min() > 0.5


@pytest.mark.parametrize("warp", ["tps", "affine"])
def test_without_strength_both_views_are_the_image(warp):
    image = np.random.default_rng(0).integers(0, 256, [2, 24, 30, 3], np.uint8)
    pair = views(image, seeds(2), crop=3, strength=0.0, warp=warp)
    for shown in (pair.image_a, pair.image_b):
        np.testing.assert_allclose(shown, image[:, 3:-3, 3:-3] / 255, atol=1e-5)
    np.testing.assert_allclose(pair.points_in_b[1], geometry.cell_centres(9, 12, 2), atol=1e-5)
    np.testing.assert_array_equal(pair.visible, np.ones([2, 9, 12]))
    assert {values.dtype for values in pair} == {tf.float32}


def test_affine_pairs_are_exact_beyond_the_border_too():
    """Both views show, where they agree on a place outside the image, the same of its mirror image."""
    image = np.random.default_rng(0).uniform(size=[8, 12, 12, 3]).astype(np.float32)
    smooth = tf.image.resize(image, [96, 96], "bicubic")
    pair = views(np.clip(smooth, 0, 1), seeds(8), stride=1, warp="affine")
    inside = pair.visible.numpy() > 0
    there = geometry.bilinear_sample(pair.image_b, tf.reshape(pair.points_in_b, [8, -1, 2]), 1)
    errors = np.abs(np.reshape(there, [8, 96, 96, 3]) - pair.image_a.numpy())[inside]
    assert errors.mean() < 0.004 and np.quantile(errors, 0.999) < 0.05  # the image is sampled twice here
    shown = views(places_of_pixels(8, 96, 96), seeds(8), stride=1, warp="affine", border="zero").image_a.numpy()
    assert 0.05 < np.mean(shown[inside].min(axis=-1) == 0) < 0.5  # a part of what is compared is mirrored


def test_affine_views_point_from_a_to_b_through_the_image():
    """By hand: the place of a cell of A in the image, taken to B by the inverse of B's map."""
    seed, size = [5, 7], 40
    maps = draw([seed], (size, size), stride=4, crop=2, warp="affine")
    a, b = (np.float64(random_maps.draw_axes(one)) for one in random_maps.split(tf.constant(seed), 2))
    for row, column in ((0, 0), (3, 6), (8, 1)):
        cell = np.array([column + 0.5, row + 0.5]) * 4 + 2
        source = a @ [*((cell - size / 2) / (size / 2)), 1.0]
        in_b = (np.linalg.inv(b) @ source)[:2] * size / 2 + size / 2 - 2
        np.testing.assert_allclose(maps.points_in_b[0, row, column], in_b, atol=1e-3)


def test_the_two_warps_are_of_the_size_the_paper_s_author_gave_them():
    """Pixels of 70: W2 moves cells by 9.1 in the mean, 1.7 of it not affine, 18 % of them out of the frame."""
    count = 600
    points_of = tf.function(
        lambda seed: view_maps.draw_tps(seed, (100, 100), stride=2, crop=15).points_in_b, autograph=False
    )
    points = points_of(tf.constant(seeds(count))).numpy()
    centres = geometry.cell_centres(35, 35, 2).numpy()
    motion = np.reshape(points - centres, [count, -1, 2])
    affine = np.concatenate([centres.reshape(-1, 2), np.ones([35 * 35, 1])], axis=-1)
    bend = motion - affine @ (np.linalg.pinv(affine) @ motion)
    means = np.linalg.norm(motion, axis=-1).mean(axis=1)
    np.testing.assert_allclose(means.mean(), 9.1, atol=0.4)
    np.testing.assert_allclose(np.percentile(means, 95), 14.3, atol=1.5)
    np.testing.assert_allclose(np.linalg.norm(bend, axis=-1).mean(), 1.7, atol=0.1)
    np.testing.assert_allclose(np.mean(((points < 0) | (points >= 70)).any(axis=-1)), 0.18, atol=0.02)


def test_the_bend_of_view_b_is_half_that_of_the_map_between_the_views():
    first, second = map(np.array, tf.function(view_maps._draw_two_warps, autograph=False)(tf.constant(seeds(300)), 1.0))
    np.testing.assert_allclose(first[:, :100].std(), 0.5 * second[:, :100].std(), rtol=0.03)
    np.testing.assert_allclose(first[:, 100].std(), second[:, 100].std(), rtol=0.15)
    for part in (slice(0, 100), slice(100, 101)):  # and they have nothing to do with one another
        assert np.abs(np.corrcoef(first[:, part].ravel(), second[:, part].ravel())[0, 1]) < 0.1


def test_cells_found_outside_b_are_invisible():
    pair = views(np.zeros([8, 40, 60, 3], np.float32), seeds(8), crop=4)
    assert pair.points_in_b.shape == [8, 16, 26, 2]
    x, y = np.moveaxis(pair.points_in_b.numpy(), -1, 0)
    np.testing.assert_array_equal(pair.visible, (x >= 0) & (x < 52) & (y >= 0) & (y < 32))
    assert 0.5 < np.mean(pair.visible) < 0.95


@pytest.mark.parametrize("border, mean", [("zero", 0.85), ("edge", 1.0), ("mirror", 1.0)])
def test_the_border_is_the_one_asked_for(border, mean):
    pair = views(np.ones([16, 30, 30, 1], np.float32), seeds(16), border=border)
    for shown in (pair.image_a, pair.image_b):
        np.testing.assert_allclose(np.mean(shown), mean, atol=0.1 if border == "zero" else 1e-6)


def test_views_are_the_same_inside_a_dataset():
    image = np.random.default_rng(0).integers(0, 256, [6, 30, 30, 3], np.uint8)
    landmarks = np.random.default_rng(1).uniform(5, 25, [6, 4, 2])
    options = {"projective": 1.0, "flip": True}
    expected = everything(image, seeds(6), landmarks, **options)

    def elements(image, seed, landmarks):
        maps = view_maps.draw_tps(seed, (30, 30), stride=2, projective=1.0)
        pair = pairs.pair_from_image(image, seed, stride=2, **options)
        return pair, pairs.landmarks_in_views(landmarks, seed, maps, (30, 30), flip=True)

    dataset = tf.data.Dataset.from_tensor_slices((image, seeds(6), landmarks)).batch(4).map(elements)
    assert isinstance(dataset.element_spec[0], PairBatch)
    assert dataset.element_spec[0].image_a.shape[1:] == [30, 30, 3]
    assert dataset.element_spec[0].points_in_b.shape[1:] == [15, 15, 2]
    pair, found = next(iter(dataset.unbatch().batch(6)))
    for key, values in {**pair._asdict(), **found._asdict()}.items():
        np.testing.assert_allclose(values, expected[key], atol=1e-3, err_msg=key)


@pytest.mark.parametrize("colour", COLOURS)
def test_views_are_recoloured_each_from_a_seed_of_its_own(colour):
    """View A from 3 times the seed and 1, view B from 3 times the seed and 2."""
    image = np.random.default_rng(0).uniform(size=[4, 16, 16, 3]).astype(np.float32)
    pair = views(image, seeds(4), strength=0.0)
    config, seed = ViewsConfig(colour=colour), tf.constant(seeds(4), tf.int64)
    found = pairs.recolour(pair, seed, config)
    for shown, bare, offset in ((found.image_a, pair.image_a, 1), (found.image_b, pair.image_b, 2)):
        np.testing.assert_allclose(shown, COLOURS[colour].value(bare, 3 * seed + offset, config), atol=1e-6)
    assert np.abs(found.image_a - found.image_b).max() > 0.05
    np.testing.assert_array_equal(found.points_in_b, pair.points_in_b)


@pytest.mark.parametrize(
    "image, seed, kwargs, message",
    [
        (
            [20, 20, 3],
            [[0, 0]],
            {},
            "image must be [B, H, W, C] with H and W known, and seed [B, 2]; found (20, 20, 3) and (1, 2)",
        ),
        ([1, 20, 20, 3], [0, 0], {}, "found (1, 20, 20, 3) and (2,)"),
        ([1, 20, 20, 3], [[0, 0]], {"crop": 10}, "crop=10 leaves no cell of 1 pixels of an image of 20 x 20"),
        ([1, 20, 20, 3], [[0, 0]], {"strength": -1.0}, "strength=-1.0 must not be negative"),
        ([1, 20, 20, 3], [[0, 0]], {"projective": -1.0}, "projective=-1.0 must not be negative; 1 is full strength, 0"),
        ([1, 20, 20, 3], [[0, 0]], {"border": "wrap"}, "border='wrap': there is no such border; choose zero, edge"),
    ],
)
def test_errors_of_views_say_what_is_wrong(image, seed, kwargs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        pairs.pair_from_image(np.zeros(image, np.float32), seed, stride=2, **kwargs)


def test_integers_other_than_bytes_are_refused():
    with pytest.raises(ValueError, match=r"image must be uint8, or floating point in \[0, 1\]; found int64"):
        pairs.pair_from_image(np.zeros([1, 20, 20, 3], np.int64), [[0, 0]], stride=2)


@pytest.mark.parametrize("warp", ["tps", "affine"])
def test_a_shift_below_0_is_refused(warp):
    with pytest.raises(ValueError, match="shift=-0.1 must not be negative"):
        draw(seeds(1), (20, 30), stride=2, warp=warp, shift=-0.1)


@pytest.mark.parametrize("warp", ["tps", "affine"])
def test_a_crop_that_leaves_nothing_is_refused(warp):
    with pytest.raises(ValueError, match="crop=10 leaves no cell of . pixels of an image of 20 x 30"):
        draw(seeds(1), (20, 30), stride=2, crop=10, warp=warp)


def test_landmarks_of_another_shape_are_refused():
    maps = draw(seeds(1), (20, 20), stride=2)
    with pytest.raises(ValueError, match=re.escape("landmarks must be [B, K, 2]; found (1, 2)")):
        pairs.landmarks_in_views([[1.0, 2.0]], seeds(1), maps, (20, 20))
