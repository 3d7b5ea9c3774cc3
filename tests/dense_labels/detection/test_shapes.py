"""Tests of how far from each other landmarks are looked for."""

import numpy as np

from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.detection import shapes


def test_the_reach_is_half_as_much_again_as_the_largest_distance_that_is_annotated():
    landmarks = np.float32(np.tile([[0, 0], [30, 40], [2, 0], [9, 9]], [7, 1, 1]))
    landmarks[3, 1] = [60, 80]
    annotated = np.ones([7, 4], np.float32)
    annotated[4:, 3] = 0  # four images show it
    landmarks[annotated == 0] = np.nan
    ones = np.ones([7, 2], np.float32)
    images = LabelMap(np.zeros([7, 8, 8, 3], np.uint8), 1)
    found = shapes.reach(LabelledLandmarks(images, landmarks, annotated, ones, ones[:, 0], np.arange(7)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], [np.inf, 150, 16, np.inf])
    np.testing.assert_array_equal(found, found.T)
    assert np.isinf(found[3]).all() and np.isinf(np.diag(found)).all()
