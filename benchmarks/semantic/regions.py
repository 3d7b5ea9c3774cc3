"""Semantic matching of regions between two pictures, and the figures that measure it.

Section 4.2 of "Self-supervised learning of geometrically stable features through probabilistic introspection" (CVPR
2018), whose protocol is that of Ham et al., "Proposal flow" (CVPR 2016), and SCNet (ICCV 2017). Labels are phi / sigma:
unit descriptors times their confidence. Boxes are left, top, right, bottom in continuous pixels.
"""

import numpy as np
import scipy.interpolate

_SAMPLES = 2  # of a bin, along x and along y
_AT_A_TIME = 128  # boxes: what is pooled of them on the way is larger than the outcome
_INSIDE = 0.75  # of a region, by area, in the object's box


def region_descriptors(maps, boxes, *, bins=7):
    """Describes regions: each map pooled over them and made unit length as a whole, and all joined.

    Within a region, labels weigh by their confidence; that of the region as a whole goes with its length. The inner
    product of two descriptors is the sum of the cosines of their parts.

    Args:
      maps: pairs (map float32 [h, w, C], stride) of labels and, perhaps, of a layer of the trunk below them.
      boxes: [N, 4], in pixels of the network's input.
      bins: along each side.

    Returns:
      float32 [N, bins * bins * (C + C' + ...)].
    """
    parts = [pool_regions(each, boxes, stride, bins=bins).reshape([len(boxes), -1]) for each, stride in maps]
    return np.concatenate([part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in parts], 1)


def pool_regions(values, boxes, stride, *, bins=7):
    """Averages a map over bins of boxes, as RoI-align does (He et al., "Mask R-CNN"): a box is not rounded to cells.

    A bin is the mean of 2 x 2 places that lie evenly in it, each read between cells; places beyond the outermost cell
    centres read the border.

    Args:
      values: float32 [h, w, C].
      boxes: [N, 4], in pixels.
      stride: side of a cell in pixels.
      bins: along each side.

    Returns:
      float32 [N, bins, bins, C], rows first.
    """
    height, width, channels = values.shape
    boxes = np.asarray(boxes, np.float32)
    rows = _bin_weights(boxes[:, 1], boxes[:, 3], height, stride, bins)
    columns = _bin_weights(boxes[:, 0], boxes[:, 2], width, stride, bins)
    pooled = np.empty([len(boxes), bins, bins, channels], np.float32)
    for start in range(0, len(boxes), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        lines = rows[part].reshape([-1, height]) @ values.reshape([height, -1])
        pooled[part] = columns[part, np.newaxis] @ lines.reshape([-1, bins, width, channels])
    return pooled


def _bin_weights(first, last, cells, stride, bins):
    """How much each cell of an axis counts in each bin: float32 [N, bins, cells]."""
    share = (np.arange(bins * _SAMPLES, dtype=np.float32) + 0.5) / (bins * _SAMPLES)
    places = first[:, np.newaxis] + (last - first)[:, np.newaxis] * share
    grid = np.clip(places / stride - 0.5, 0, cells - 1)[..., np.newaxis]
    weights = np.maximum(0, 1 - np.abs(grid - np.arange(cells, dtype=np.float32)))
    return weights.reshape([len(first), bins, _SAMPLES, cells]).mean(axis=2)


def match_regions(descriptors_a, descriptors_b):
    """Matches each region of A with the region of B that is most like it, without regard to where they are.

    Args:
      descriptors_a: [N, D].
      descriptors_b: [M, D].

    Returns:
      `(best, scores)`: int64 [N], regions of B; [N], inner products.
    """
    products = descriptors_a @ descriptors_b.T
    best = products.argmax(axis=1)
    return best, products[np.arange(len(best)), best]


def overlaps(boxes, others):
    """Intersection over union of boxes [..., 4] with others [..., 4], to which they broadcast: float64 [...]."""
    boxes, others = np.asarray(boxes, np.float64), np.asarray(others, np.float64)
    low, high = np.maximum(boxes[..., :2], others[..., :2]), np.minimum(boxes[..., 2:], others[..., 2:])
    common = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = (np.prod(each[..., 2:] - each[..., :2], axis=-1) for each in (boxes, others))
    return common / np.maximum(sum(areas) - common, 1e-12)


def on_object(boxes, points):
    """Says which regions lie on the object, as Ham et al.: those whose matches are measured.

    More than 75 % of such a region lies in the bounding box of the key points, and it holds one of them.

    Args:
      boxes: [N, 4].
      points: [K, 2], the key points that the picture has.

    Returns:
      bool [N].
    """
    boxes, points = np.asarray(boxes, np.float64), np.asarray(points, np.float64)
    low, high = np.maximum(boxes[:, :2], points.min(axis=0)), np.minimum(boxes[:, 2:], points.max(axis=0))
    inside = np.prod(np.maximum(high - low, 0), axis=1) / np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    held = (points >= boxes[:, np.newaxis, :2]) & (points <= boxes[:, np.newaxis, 2:])  # [N, K, 2]
    return (inside > _INSIDE) & held.all(axis=-1).any(axis=1)


def span_plane(points):
    """Says whether points [K, 2] determine a thin-plate spline: three or more, not all on one line."""
    offsets = np.asarray(points, np.float64) - np.mean(points, axis=0)
    return len(offsets) >= 3 and np.linalg.matrix_rank(offsets, tol=1e-3) == 2


def true_boxes(boxes, points_a, points_b, size_b):
    """Where regions of A are in B: the ground truth of Ham et al.

    A thin-plate spline takes A's key points to B's, and with them the corners of a box; the sides of the box in B are
    the means of the two leftmost, the two topmost, the two rightmost and the two lowest of them, in B's frame.

    Args:
      boxes: [N, 4], in pixels of A.
      points_a, points_b: [K, 2], key points known in both, in pixels of A and of B.
      size_b: (height, width) of B.

    Returns:
      float64 [N, 4], in pixels of B; without area where a box leaves B.

    Raises:
      ValueError: if A's points determine no thin-plate spline.
    """
    if not span_plane(points_a):
        raise ValueError(f"{len(points_a)} key points are too few or on one line; three that span the plane are needed")
    boxes = np.asarray(boxes, np.float64)
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape([-1, 2])
    spline = scipy.interpolate.RBFInterpolator(points_a, points_b, kernel="thin_plate_spline", degree=1)
    found = np.clip(spline(corners), 0, [size_b[1], size_b[0]]).reshape([-1, 4, 2])
    ordered = np.sort(found, axis=1)
    return np.concatenate([ordered[:, :2].mean(axis=1), ordered[:, 2:].mean(axis=1)], axis=1)


def pcr_curve(ious, thresholds):
    """Probability of correct regions: the share of matches with 1 - IoU < t, for each t; every pair weighs the same.

    Args:
      ious: a list of one array for each pair: the IoU of the match of each of its regions with the true box.
      thresholds: [T], from 0 to 1.

    Returns:
      float64 [T].

    Raises:
      ValueError: if there are no matches.
    """
    _check(ious)
    thresholds = np.asarray(thresholds, np.float64)[:, np.newaxis]
    return np.mean([np.mean(1 - np.asarray(each) < thresholds, axis=1) for each in ious], axis=0)


def area_under_pcr(ious):
    """Area under `pcr_curve` from 0 to 1, exact: it is the mean IoU, every pair weighing the same."""
    _check(ious)
    return float(np.mean([np.mean(each) for each in ious]))


def mean_iou_curve(ious, scores, *, most=100):
    """mIoU@k: the mean IoU of the k matches of a pair with the highest scores, for k = 1, 2, ...

    As in the public code of Ham et al., the i-th best match is averaged over the pairs that have so many, then the
    first k of these means are.

    Args:
      ious: a list of one array for each pair.
      scores: a list of the scores of the same matches.
      most: the largest k.

    Returns:
      float64 [min(most, the most matches that a pair has)].

    Raises:
      ValueError: if there are no matches.
    """
    _check(ious)
    length = min(most, max(map(len, ious)))
    ranked = np.full([len(ious), length], np.nan)
    for row, each, score in zip(ranked, ious, scores):
        best = np.asarray(each)[np.argsort(-np.asarray(score), kind="stable")[:length]]
        row[: len(best)] = best
    return np.cumsum(np.nanmean(ranked, axis=0)) / np.arange(1, length + 1)


def _check(ious):
    if not len(ious) or not all(map(len, ious)):
        raise ValueError("there is nothing to measure: each pair needs a match or more, and there must be a pair")
