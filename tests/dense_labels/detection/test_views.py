"""Tests of the views of annotated images: a drawn dot is where its landmark is said to be."""

import dataclasses

import numpy as np
import pytest

from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.config import ViewsConfig
from dense_labels.detection import views

SIZE = (48, 64)
COLOURS = ViewsConfig(brightness=0.0, contrast=0.0, saturation=0.0, lighting=0.0, jpeg=0.0, rescale=0.0)


@pytest.fixture(scope="module")
def dots():
    """Four grey images with a red dot at landmark 0 and a green one at landmark 1; landmark 2 is annotated in none."""
    random = np.random.default_rng(0)
    places = np.float32(random.uniform([12, 12], [24, 36], size=[4, 3, 2]) + [[0, 0], [26, 0], [0, 0]])  # apart
    x, y = np.meshgrid(np.arange(SIZE[1]) + 0.5, np.arange(SIZE[0]) + 0.5)
    images = np.full([4, *SIZE, 3], 40.0)
    for image, points in zip(images, places):
        for channel in range(2):
            dot = np.exp(-((x - points[channel, 0]) ** 2 + (y - points[channel, 1]) ** 2) / (2 * 2.0**2))
            image[..., channel] += 200 * dot
    annotated = np.float32(np.tile([1, 1, 0], [4, 1]))
    ones = np.ones([4, 2], np.float32)
    return LabelledLandmarks(LabelMap(np.uint8(images), 1), places, annotated, ones, ones[:, 0], np.arange(4))


def drawn(dots, pairs, count=6, seed=3, **options):
    data = views.batches(dots, COLOURS, flip_pairs=pairs, batch_size=8, seed=seed, **options).take(count)
    return [np.concatenate(parts) for parts in zip(*(map(np.asarray, batch) for batch in data))]


def centre(image, channel):
    """Where a dot is: the mean place under its excess over the other channel."""
    weight = np.maximum(image[..., channel] - image[..., 2] - 0.1, 0)
    x, y = np.meshgrid(np.arange(SIZE[1]) + 0.5, np.arange(SIZE[0]) + 0.5)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize(
    "all_round, pairs, upside_down",
    [(False, (), False), (False, ((0, 1),), False), (True, ((0, 1),), False), (False, ((0, 1),), True)],
)
def test_a_dot_is_where_its_landmark_is(dots, all_round, pairs, upside_down):
    images, landmarks, known = drawn(dots, pairs, all_round=all_round, upside_down=upside_down)
    assert images.shape == (48, *SIZE, 3) and not known[:, 2].any() and known[:, :2].mean() > (0.5, 0.8)[not all_round]
    right_of = np.diff(landmarks[(known[:, :2] > 0).all(axis=1), :2], axis=1)[:, 0]  # landmark 1 of 0, in the images
    upright = np.mean(right_of[:, 0] / np.linalg.norm(right_of, axis=-1))  # the mean cosine
    assert abs(upright) < 0.4 if all_round or upside_down else upright > 0.95
    exchanged, errors = 0, []
    for image, points, here in zip(images, landmarks, known):
        inside = here[:2].all() and (points[:2] > 8).all() and (points[:2] < [SIZE[1] - 8, SIZE[0] - 8]).all()
        if not inside:
            continue
        found = np.stack([centre(image, 0), centre(image, 1)])
        swapped = np.abs(found[::-1] - points[:2]).max() < np.abs(found - points[:2]).max()
        exchanged += swapped  # in a mirror image the red dot is at what is landmark 1 now
        errors += np.linalg.norm((found[::-1] if swapped else found) - points[:2], axis=-1).tolist()
    assert (exchanged > 0) == bool(pairs)
    assert len(errors) > 20 and np.median(errors) < 0.4  # a bent dot has its middle elsewhere


def test_a_mirror_image_of_a_landmark_is_known_as_the_one_that_it_changes_places_with(dots):
    alone = dataclasses.replace(dots, annotated=np.float32(np.tile([1, 0, 0], [4, 1])))
    images, landmarks, known = drawn(alone, ((0, 1),))
    assert known[:, 0].any() and known[:, 1].any() and (known.sum(axis=1) <= 1).all()
    errors = []
    for image, point in zip(images[known.any(axis=1)], landmarks[known > 0]):
        if (point > 8).all() and (point < [SIZE[1] - 8, SIZE[0] - 8]).all():
            errors.append(np.linalg.norm(centre(image, 0) - point))  # the red dot is the only one that is known
    assert len(errors) > 20 and np.median(errors) < 0.4


def test_windows_are_cut_out_of_views_mostly_about_the_object(dots):
    window = (24, 40)
    whole, there, known = drawn(dots, ((0, 1),), count=12)
    images, landmarks, seen = drawn(dots, ((0, 1),), count=12, window=window)
    assert images.shape == (96, *window, 3)
    corners = (there - landmarks)[:, 0]
    assert not (corners % 1).any() and len(np.unique(corners, axis=0)) > 60
    for image, view, (x, y) in zip(images, whole, corners.astype(int)):
        np.testing.assert_array_equal(image, view[y : y + window[0], x : x + window[1]])
    inside = ((landmarks > 0) & (landmarks < window[::-1])).all(axis=-1)
    np.testing.assert_array_equal(seen > 0, inside & (known > 0))
    middle = np.abs(landmarks[:, :2].mean(axis=1) / window[::-1] - 0.5).max(axis=-1)
    assert 0.6 < np.mean(middle < 0.41) < 0.98 and middle.max() > 0.45


def test_a_window_as_large_as_the_views_changes_nothing(dots):
    for shown, whole in zip(drawn(dots, (), count=1, window=SIZE), drawn(dots, (), count=1)):
        np.testing.assert_array_equal(shown, whole)


@pytest.mark.parametrize("angle, expected", [(0, False), (30, False), (150, True), (180, True)])
def test_mirror_images_are_such_that_objects_lie_in_them_as_in_the_images(dots, angle, expected):
    """Left and right are mirrored by a line that is turned by half the angle from the vertical."""
    random = np.random.default_rng(2)
    shape = np.array([-20 - 10j, 20 - 10j, 25j]) * np.exp(1j * np.deg2rad(angle / 2))
    points = shape * np.exp(0.2j * random.standard_normal([4, 1])) + random.uniform(-9, 9, [4, 1])
    annotated = np.float32([[1, 1, 1], [1, 1, 1], [1, 0, 1], [0, 0, 0]])
    places = np.where(annotated[..., np.newaxis] > 0, np.stack([points.real, points.imag], axis=-1), np.nan)
    known = dataclasses.replace(dots, landmarks=np.float32(places), annotated=annotated)
    assert views.mirrored_upside_down(known, ((0, 1),)) == expected
    assert not views.mirrored_upside_down(known, ())


def test_views_are_a_function_of_the_seed(dots):
    first, again, other = (drawn(dots, (), count=1, seed=seed)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_views_that_are_passed_over_change_no_others(dots):
    options = {"flip_pairs": ((0, 1),), "batch_size": 4, "seed": 3}
    *_, third = views.batches(dots, COLOURS, **options).take(3)
    for passed_over, whole in zip(next(iter(views.batches(dots, COLOURS, start=2, **options))), third):
        np.testing.assert_array_equal(passed_over, whole)


def test_all_images_are_drawn_in_turn(dots):
    images = np.stack([np.full([*SIZE, 3], 60 * n, np.uint8) for n in range(4)])
    plain = LabelledLandmarks(LabelMap(images, 1), *(getattr(dots, name) for name in (
        "landmarks", "annotated", "scale", "normaliser", "picture")))  # fmt: skip
    found, *_ = drawn(plain, (), count=1)
    assert sorted(np.rint(255 * found.mean(axis=(1, 2, 3))).astype(int)) == sorted([0, 60, 120, 180] * 2)


@pytest.mark.parametrize(
    "spread, other_side, expected", [(0.0, 0.0, False), (25.0, 0.0, False), (90.0, 0.0, True), (10.0, 0.5, False)]
)
def test_it_is_seen_whether_objects_turn_all_round(spread, other_side, expected):
    random = np.random.default_rng(1)
    shape = np.array([-20 - 10j, 24 - 8j, -8 + 25j])
    shape = np.where(random.uniform(size=[30, 1]) < other_side, -shape.conj(), shape)  # seen from its other side
    points = shape * np.exp(1j * np.deg2rad(spread * random.standard_normal([30, 1]))) * random.uniform(0.5, 2, [30, 1])
    points = points + random.uniform(-50, 50, [30, 1]) + random.uniform(-1, 1, [30, 3])
    annotated = np.float32(random.uniform(size=[30, 3]) < 0.9)
    landmarks = np.where(annotated[..., np.newaxis] > 0, np.stack([points.real, points.imag], axis=-1), np.nan)
    ones = np.ones([30, 2], np.float32)
    images = LabelMap(np.zeros([30, *SIZE, 3], np.uint8), 1)
    known = LabelledLandmarks(images, np.float32(landmarks), annotated, ones, ones[:, 0], np.arange(30))
    assert views.turns_all_round(known) == expected
    whole = np.flatnonzero(annotated.all(axis=1))
    for row in (whole[0], whole[-1]):  # clicked in one place, which says nothing of how the object lies
        known.landmarks[row] = 9.1
        assert views.turns_all_round(known) == expected
    known.landmarks[:] = 9.1
    assert not views.turns_all_round(known)
    one_each = LabelledLandmarks(images, np.float32(landmarks), np.eye(3, dtype=np.float32)[np.arange(30) % 3], ones,
                                 ones[:, 0], np.arange(30))  # fmt: skip
    assert not views.turns_all_round(one_each)


def squeezed(size):
    """Twenty black images of a size, and landmarks all over them; the last landmark is annotated in none."""
    places = np.float32(np.random.default_rng(0).uniform(0.1, 0.9, [20, 4, 2]) * size[::-1])
    places[:, 3] = np.nan
    annotated, ones = np.float32(np.tile([1, 1, 1, 0], [20, 1])), np.ones([20, 2], np.float32)
    images = LabelMap(np.zeros([20, *size, 3], np.uint8), 1)
    return LabelledLandmarks(images, places, annotated, ones, ones[:, 0], np.arange(20))


@pytest.mark.parametrize("size", [(32, 128), (128, 128), (128, 16)])
@pytest.mark.parametrize("all_round", [False, True])
def test_the_share_of_landmarks_that_views_show_is_that_of_a_training(size, all_round):
    known = squeezed(size)
    shown = drawn(known, (), count=16, all_round=all_round)[2]
    assert not shown[:, 3].any()
    assert views.shown_share(known, all_round=all_round) == pytest.approx(shown[:, :3].mean(), abs=0.06)


def test_elongated_images_whose_views_lose_most_landmarks_are_warned_of(capsys):
    for size in ((128, 128), (72, 128)):
        views.warn_of_lost(squeezed(size))
    assert not capsys.readouterr().out
    views.warn_of_lost(squeezed((16, 128)))
    said = capsys.readouterr().out
    share = f"{views.shown_share(squeezed((16, 128)), all_round=True):.0%}"  # for the landmarks lie any way round
    assert said.startswith(f"warning: a detector's views show {share} of the landmarks, for pictures of 128 x 16 are")
    assert said.count("\n") == 1
