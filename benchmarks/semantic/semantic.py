"""How many of the key points that are carried from one picture to another are correct.

Section 4.2 of "Self-supervised learning of geometrically stable features through probabilistic introspection" (CVPR
2018).
"""

import numpy as np

from dense_labels.evaluation import metrics

REFERENCES = {"size": (2,), "box": (4,), "extent": ()}  # what PCK's alpha is a share of -> its shape for a picture

_RESIZED = 224.0  # as SCNet has it


def extent(points, annotated):
    """Longer side of the bounding box of each picture's annotated points.

    Args:
      points: [P, K, 2].
      annotated: [P, K].

    Returns:
      float64 [P], pixels; 0 where fewer than two points are annotated.
    """
    known = np.asarray(annotated)[..., np.newaxis] > 0
    low, high = np.where(known, points, np.inf).min(axis=1), np.where(known, points, -np.inf).max(axis=1)
    return np.maximum(np.max(high - low, axis=-1), 0).astype(np.float64)


def transfer_pck(predicted, points_b, annotated, alphas, *, against, reference, average):
    """Percentage of correct keypoints among those carried from A to B, with every choice by name.

    Args:
      predicted: [P, K, 2], places in pictures B of key points of A, in pixels of B as it is, before any resizing.
      points_b: [P, K, 2], where they should be.
      annotated: [P, K], 1 where the key point is known in both; what only pads is 0 and counts nowhere.
      alphas: [T].
      against: what alpha is a share of. "size": B, and with it the errors, are stretched to 224 x 224 pixels, and alpha
        is a share of 224 (SCNet). "box": the longer side of B's object box. "extent": the longer side of the bounding
        box of all key points that B has (Ham et al.).
      reference: for "size" [P, 2], (height, width) of B; for "box" [P, 4]; for "extent" [P], of `extent`.
      average: "points" or "images", which are pairs here, as of `metrics.pck_curve`.

    Returns:
      float64 [T], from 0 to 1.

    Raises:
      ValueError: as `metrics.pck_curve`, or if there is no such reference or it is of another shape.
    """
    if against not in REFERENCES:
        raise ValueError(f"against={against!r}: there is no such reference; choose {', '.join(REFERENCES)}")
    reference = np.asarray(reference, np.float64)
    if reference.shape != (len(predicted), *REFERENCES[against]):
        needed = [len(predicted), *REFERENCES[against]]
        raise ValueError(f"against={against!r} needs a reference of shape {needed}; found {list(reference.shape)}")
    scale, normaliser = np.ones([len(reference), 1, 2]), reference
    if against == "size":
        scale, normaliser = _RESIZED / reference[:, np.newaxis, ::-1], np.full(len(reference), _RESIZED)
    elif against == "box":
        normaliser = np.max(reference[:, 2:] - reference[:, :2], axis=1)
    compared = np.asarray(predicted) * scale, np.asarray(points_b) * scale
    return metrics.pck_curve(*compared, annotated, normaliser, alphas, average=average)
