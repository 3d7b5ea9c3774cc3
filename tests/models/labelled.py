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
