"""Labelled landmarks of tests: what heads are fitted on, from the arrays that matter to them."""

import numpy as np

from dense_labels.batches import LabelledLandmarks, LabelMap


def labelled(labels, landmarks, annotated=None, *, stride, picture=None):
    """`LabelledLandmarks` of labels [N, h, w, L] and landmarks [N, K, 2], all annotated unless it is said.

    Every image is a picture of its own, at its own size, unless it is said; the normaliser is not known.
    """
    count = len(labels)
    return LabelledLandmarks(
        LabelMap(labels, stride),
        landmarks,
        np.ones(landmarks.shape[:2], np.float32) if annotated is None else annotated,
        scale=np.ones([count, 2], np.float32),
        normaliser=np.zeros(count, np.float32),
        picture=np.arange(count) if picture is None else picture,
    )


def squares(count, size, low, high):
    """Dark images uint8 with a bright square, whose centre (x, y), from `low` up to `high`, is the only landmark."""
    random = np.random.default_rng(0)
    images, places = np.full([count, *size, 3], 30, np.uint8), random.integers(low, high, size=[count, 2])
    for image, (x, y) in zip(images, places):
        image[y - 3 : y + 3, x - 3 : x + 3] = 220
    ones = np.ones([count, 2], np.float32)
    landmarks = np.float32(places[:, np.newaxis])
    return LabelledLandmarks(LabelMap(images, 1), landmarks, ones[:, :1], ones, ones[:, 0], np.arange(count))
