"""Tests of dlib's regression trees as a peer: they find what they were shown, mirrored too, whatever is annotated."""

import numpy as np
import pytest

from benchmarks import regression_trees

QUICK = {"cascade_depth": 4, "num_trees_per_cascade_level": 40, "oversampling_amount": 12}
SIDE = 48  # pixels of an image


def spots(places):
    """Images of two bright spots: [N, 2, 2], (x, y) in continuous pixels; the second one is dimmer."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    images = []
    for pair in places:
        grey = sum(light * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 40) for light, (px, py) in zip((200, 120), pair))
        images.append(np.repeat(np.uint8(np.clip(grey, 0, 255))[..., np.newaxis], 3, axis=-1))
    return images


@pytest.fixture
def places():
    """The spots of eighteen images; they move together."""
    middle = np.random.default_rng(0).uniform(18, 30, [18, 1, 2])
    return middle + [[-8.0, 0.0], [8.0, 4.0]]


def fitted(images, points, mirrored=False, exchanged=(0, 1), tried=(0.05,)):
    settings = {**regression_trees.settings(len(images), mirrored=mirrored), **QUICK}
    settings["oversampling_translation_jitter"] = list(tried)
    return regression_trees.fit(images, points, exchanged=exchanged, settings=settings, seed=0)


def off(trees, images, points):
    return np.linalg.norm([trees(image) - each for image, each in zip(images, points)], axis=-1).mean()


def test_settings_say_all_that_figures_depend_on():
    few, many = (regression_trees.settings(count, mirrored=False) for count in (20, 1000))
    assert (few["oversampling_amount"], many["oversampling_amount"]) == (150, 20)
    assert regression_trees.settings(20, mirrored=True)["oversampling_amount"] == 75
    assert regression_trees.settings(1, mirrored=False)["oversampling_amount"] == 300
    assert few["longer_side"] == 512 and few["mirrored"] is False and few["tree_depth"] == 2


def test_small_pictures_are_enlarged_and_large_ones_are_left():
    assert regression_trees.shown_size((128, 64)) == (512, 256)
    assert regression_trees.shown_size((480, 632)) == (480, 632)


def test_what_is_not_annotated_is_put_where_it_lies_in_the_others():
    points = np.array([[[10.0, 20.0], [np.nan, np.nan]], [[np.nan, np.nan], [np.nan, np.nan]]])
    images = [np.zeros([40, 20, 3], np.uint8), np.zeros([80, 100, 3], np.uint8)]
    found = regression_trees._filled_in(points, images)
    np.testing.assert_allclose(found, [[[10, 20], [10, 20]], [[50, 40], [50, 40]]])


def test_a_mirror_image_has_its_landmarks_exchanged():
    found = regression_trees._mirrored(np.array([[1.0, 5.0], [18.0, 7.0]]), np.zeros([10, 20]), [1, 0])
    np.testing.assert_allclose(found, [[2, 7], [19, 5]])


def test_trees_find_spots_in_images_that_they_have_not_seen(places):
    pytest.importorskip("dlib", reason="dlib is in the extra bench")
    images = spots(places)
    error = off(fitted(images[:14], places[:14]), images[14:], places[14:])
    still = np.linalg.norm(places[14:] - places[:14].mean(axis=0), axis=-1).mean()
    assert error < still / 2


def test_trees_that_see_mirror_images_find_mirrored_spots(places):
    """The spots lie in the left half; in their mirror image the brighter one is still the first landmark."""
    pytest.importorskip("dlib", reason="dlib is in the extra bench")
    places = places - [6.0, 0.0]
    images, mirrored = spots(places), places * [-1, 1] + [SIDE, 0]
    shown = spots(mirrored)
    without, seen = (off(fitted(images, places, mirrored=each), shown, mirrored) for each in (False, True))
    assert seen < without / 2


def test_how_far_starts_are_moved_is_chosen_by_what_was_left_out(places, monkeypatch):
    asked = []

    def fit(images, points, *, jitter, **_):
        asked.append((len(images), jitter))
        return regression_trees.Trees(None, {"jitter": jitter})

    monkeypatch.setattr(regression_trees, "_fit", fit)
    offset = {0.05: 3.0, 0.1: 1.0, 0.2: 2.0}
    monkeypatch.setattr(
        regression_trees.Trees, "__call__", lambda self, image: places[image[0, 0, 0]] + offset[self.chosen["jitter"]]
    )
    images = [np.full([SIDE, SIDE, 3], k, np.uint8) for k in range(5)]
    assert fitted(images, places[:5], tried=offset).chosen == {"jitter": 0.1}
    assert asked == [(3, 0.05), (2, 0.05), (3, 0.1), (2, 0.1), (3, 0.2), (2, 0.2), (5, 0.1)]
    asked.clear()
    fitted(images[:1], places[:1], tried=offset)
    assert asked == [(1, 0.05)]
