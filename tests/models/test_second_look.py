"""Tests of the second look: it finds detail again, turned and between pixels; where there is none landmarks stay."""

import numpy as np
import pytest
import tensorflow as tf

from models import second_look
from models.refining_detectors import RefinedHeatMaps
from models.second_look import SecondLook

SIZE, MIDDLE = (80, 96), np.float32([48, 40])
PLACES = np.float32([[-22.3, -9.2], [21.6, -13.8], [-3.1, 17.4]])  # of the landmarks, from the middle
BESIDE = np.float32([[2.3, -1.4], [-1.7, 0.6], [0.8, 2.2]])  # from these, where a detector found them


def shown(angle, shift):
    """A picture uint8 [H, W, 3] of a blob about each place, and the places in it; turned, then shifted."""
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.float32([[cosine, -sine], [sine, cosine]])
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    at = (np.stack([x, y], axis=-1) - MIDDLE - shift) @ turn  # turned back
    values = np.full(SIZE, 60.0)
    for k, place in enumerate(PLACES):
        along, across = np.moveaxis(at - place, -1, 0)
        values += 120 * np.exp(-(np.square(along) / (20 + 9 * k) + np.square(across) / (50 - 15 * k)))
    picture = np.repeat(np.uint8(np.rint(values))[..., np.newaxis], 3, axis=-1)
    return picture, np.float32(PLACES @ turn.T + MIDDLE + shift)


def pictures(*views):
    images, points = zip(*(shown(angle, np.float32(shift)) for angle, shift in views))
    return np.stack(images), np.stack(points)


def looked(look, images, points):
    return look(second_look.grey(tf.image.convert_image_dtype(images, tf.float32)), tf.constant(points)).numpy()


@pytest.fixture(scope="module")
def known():
    return pictures((0.0, [0, 0]), (0.2, [1.3, 0.4]), (-0.4, [-0.8, 2.6]))


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi, -2.0])
def test_detail_is_found_again_between_pixels_however_it_is_turned(known, angle):
    look = SecondLook.learned(*known, np.ones([3, 3]))
    images, points = pictures((angle, [1.6, -2.3]))
    begun = points + BESIDE
    before, after = (np.linalg.norm(each - points, axis=-1) for each in (begun, looked(look, images, begun)))
    assert np.all(after < 0.5 * before)  # it goes a share of the way, and rather stays


def test_the_pictures_of_a_batch_do_not_depend_on_each_other(known):
    look = SecondLook.learned(*known, np.ones([3, 3]))
    images, points = pictures((0.1, [0, 1]), (2.0, [1, 0]))
    together = looked(look, images, points + BESIDE)
    for k in range(2):
        np.testing.assert_allclose(looked(look, images[[k]], points[[k]] + BESIDE)[0], together[k], atol=1e-4)


def test_points_stay_in_their_pictures():
    """Beyond the edge of a picture its pixels are repeated, and may look alike."""
    beyond = tf.constant([[[-1.7, 20.0], [96.5, 81.0], [np.nan, np.nan], [30.0, 30.0]]])

    class Look:
        patches = np.ones([4, 3, 3])

        def __call__(self, greys, points):
            assert greys.shape == [1, 80, 96, 1]
            return beyond

    head = lambda features: {"points": tf.zeros([1, 4, 2]), "score": tf.ones([1, 4])}  # noqa: E731
    found = RefinedHeatMaps(head, Look(), 2)(tf.zeros([1, 10, 12, 3 + 64]))["points"]
    np.testing.assert_array_equal(found, [[[0, 20], [96, 80], [np.nan, np.nan], [30, 30]]])


def test_landmarks_stay_where_there_is_no_detail_or_no_picture_showed_it(known):
    annotated = np.ones([3, 3])
    annotated[:, 1] = 0
    given, (x, y) = known[0].copy(), known[1][0, 1].astype(int)
    given[:, :11, :11] = known[0][0, y : y + 11, x : x + 11]  # as of that landmark, where (0, 0) is read for it
    look = SecondLook.learned(given, np.where(annotated[..., np.newaxis] > 0, known[1], np.nan), annotated)
    images, points = pictures((0.0, [0, 0]))
    found = looked(look, images, points + BESIDE)
    np.testing.assert_allclose(found[0, 1], points[0, 1] + BESIDE[1], atol=1e-5)
    assert np.linalg.norm(found[0, ::2] - points[0, ::2], axis=-1).max() < 0.8
    np.testing.assert_allclose(looked(look, np.full_like(images, 60), points), points, atol=1e-5)


def test_a_patch_is_the_mean_over_the_pictures_that_show_its_landmark(known):
    given, annotated = known[0].copy(), np.ones([3, 3])
    given[1:, :11, :11] = np.random.default_rng(0).integers(0, 255, [2, 11, 11, 1])  # where (0, 0) is read
    annotated[1:, 1] = 0
    look, alone = (SecondLook.learned(given[:n], known[1][:n], annotated[:n]) for n in (3, 1))
    np.testing.assert_allclose(look.patches[..., 1], alone.patches[..., 1], atol=1e-5)
    assert np.abs(look.patches[..., 0] - alone.patches[..., 0]).max() > 1e-3  # which all show


def test_patches_are_turned_as_a_picture_stands_that_shows_most_landmarks(known):
    annotated = np.ones([3, 3])
    annotated[0, 1:] = 0
    np.testing.assert_array_equal(SecondLook.learned(*known, annotated).shape, known[1][1])


def test_landmarks_stay_nearly_where_nothing_is_like_what_was_shown(known):
    """In noise the best place is anywhere within reach; but no place is so much better that it is gone to."""
    look = SecondLook.learned(*known, np.ones([3, 3]))
    images = np.random.default_rng(0).integers(0, 255, [8, *SIZE, 1], np.uint8).repeat(3, axis=-1)
    points = np.repeat(pictures((0.0, [0, 0]))[1], 8, axis=0)
    assert np.linalg.norm(looked(look, images, points) - points, axis=-1).mean() < 0.4


def test_a_landmark_that_is_no_number_disturbs_no_other(known):
    look = SecondLook.learned(*known, np.ones([3, 3]))
    images, points = pictures((0.0, [0, 0]))
    begun = points + BESIDE
    begun[0, 2] = np.nan
    found = looked(look, images, begun)
    assert np.isnan(found[0, 2]).all() and np.linalg.norm(found[0, :2] - points[0, :2], axis=-1).max() < 0.8


def test_one_landmark_alone_is_looked_for_as_pictures_stand(known):
    look = SecondLook.learned(known[0], known[1][:, :1], np.ones([3, 1]))
    images, points = pictures((0.1, [2, 1]))
    assert np.linalg.norm(looked(look, images, points[:, :1] + BESIDE[:1]) - points[:, :1], axis=-1).max() < 0.8


def test_pictures_are_turned_only_where_the_landmarks_tell_an_angle(known):
    shape = known[1][0]
    cosine, sine = np.cos(0.7), np.sin(0.7)
    turned = (shape - shape.mean(0)) @ np.float32([[cosine, sine], [-sine, cosine]]) + 50
    found = second_look._turns(tf.constant(turned[np.newaxis]), shape).numpy()
    np.testing.assert_allclose(found, [[cosine, sine]], atol=1e-5)
    off, near = turned.copy(), 0.01 * turned
    off[0] += [150, -90]
    lines = np.float32([[0, 0], [40, 0], [0, 25], [30, 30]])
    for points, of in ((off, shape), (near, shape), (lines * [-1, 1], lines)):
        np.testing.assert_array_equal(second_look._turns(tf.constant(np.float32(points)[np.newaxis]), of), [[1, 0]])
