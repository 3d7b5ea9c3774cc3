"""Tests of the pairs of left and right landmarks."""

import numpy as np
import pytest

from dense_labels.batches import LandmarkBatch
from dense_labels.evaluation import sides


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (("left_eye", "right_eye", "nose", "left_mouth", "right_mouth"), ((0, 1), (3, 4))),
        (("snout", "leftear", "rightear", "tailbase"), ((1, 2),)),
        (("Right ear", "Left ear"), ((0, 1),)),
        (("eyeLeft", "eyeRight"), ((0, 1),)),
        (("l_hip", "r_hip", "hip r", "hip l"), ((0, 1), (2, 3))),
        (("hindleftpaw", "hindrightpaw"), ((0, 1),)),
        (("left_eye_left", "left_eye_right", "right_eye_left", "right_eye_right"), ((0, 3), (1, 2))),
        (("left_eye", "nose"), ()),  # no partner
        (("left_eye", "right_eye", "left_ear"), ()),  # nobody knows what the mirror makes of the ear
        (("tail", "trail", "cleft"), ()),  # letters inside a word
        (("L_Ear", "R_Ear", "Nose", "LF_Paw", "RF_Paw", "LB_Paw", "RB_Paw"), ((0, 1), (3, 4), (5, 6))),
        (("left_ear", "right_ear", "pawL", "pawR", "fl_toe", "fr_toe"), ((0, 1), (2, 3), (4, 5))),
        (("left_ear", "right_ear", "ll", "lr", "rl"), ()),  # the partner of ll may be either
        (("pawL", "pawR"), ()),  # nothing else says that these are sides
        ((), ()),
    ],
)
def test_left_and_right_are_told_by_names(names, pairs):
    assert sides.flip_pairs(names) == pairs


def test_what_changes_places_and_what_stays_is_said():
    names = ("left_eye", "right_eye", "nose")
    assert sides.words([(0, 1)], names) == "left_eye and right_eye; in their places stay nose"
    assert sides.words([(0, 1)], names[:2]) == "left_eye and right_eye"
    assert sides.words([(0, 1), (2, 4)], ()) == "0 and 1, 2 and 4"


def test_pairs_change_places():
    assert sides.exchanged(5, [(0, 1), (3, 4)]) == [1, 0, 2, 4, 3]


def test_a_landmark_in_two_pairs_is_refused():
    with pytest.raises(ValueError, match=r"flip pairs \[\(0, 1\), \(1, 2\)\]: a landmark is in two of them"):
        sides.exchanged(3, [(0, 1), (1, 2)])


def test_mirror_images_show_the_same_landmarks_on_other_sides():
    image = np.zeros([1, 4, 6, 3], np.float32)
    points, rest = np.float32([[[0.5, 1.5], [5.5, 1.5], [2.5, 3.5]]]), [np.ones([1, 2]), np.ones(1), np.arange(1)]
    for n, (x, y) in enumerate(points[0].astype(int)):
        image[0, y, x, n] = 1
    found = sides.mirrored(LandmarkBatch(image, points, np.float32([[1, 0, 1]]), *rest), [(0, 1)])
    np.testing.assert_array_equal(found.landmarks, [[[0.5, 1.5], [5.5, 1.5], [3.5, 3.5]]])
    np.testing.assert_array_equal(found.annotated, [[0, 1, 1]])
    for n, (x, y) in zip([1, 0, 2], found.landmarks[0].astype(int)):  # what was the right eye is the left one
        assert found.image[0, y, x, n] == 1
    again = sides.mirrored(found, [(0, 1)])
    for mine, given in zip(again, (image, points, np.float32([[1, 0, 1]]), *rest)):
        np.testing.assert_array_equal(mine, given)
