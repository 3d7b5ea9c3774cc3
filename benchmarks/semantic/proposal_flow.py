"""Dense flow from matched regions, and key points carried along by it.

The protocol of Ham et al., "Proposal flow" (CVPR 2016), which SCNet and the second paper follow; the filter is that of
Ham et al., "Robust image filtering using joint static and dynamic guidance" (CVPR 2015).
"""

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from dense_labels.method import geometry

_LEAST = 1e-5  # weight of two neighbours, so that what is not known is always held by something


def flow(boxes_a, boxes_b, scores, image_a, size_b):
    """Turns matched regions into a dense flow: painted, freed of conflicts, filtered.

    Args:
      boxes_a: [N, 4], left, top, right, bottom in pixels of A.
      boxes_b: [N, 4], their matches in pixels of B.
      scores: [N], how good the matches are.
      image_a: [H, W, 3] in [0, 1].
      size_b: (height, width) of B.

    Returns:
      float64 [H, W, 2]: how far each pixel's centre moves from A to B, in pixels.

    Raises:
      ValueError: if no box covers the centre of a pixel of A.
    """
    places, confidence = paint(boxes_a, boxes_b, scores, image_a.shape[:2], size_b)
    known = drop_conflicts(places, confidence, size_b)
    if not known.any():
        raise ValueError("no region of A covers the centre of a pixel: there is nothing to make a flow of")
    offsets = np.where(known[..., np.newaxis], places - _centres(image_a.shape[:2]), 0.0)
    return sd_filter(offsets, image_a, known)


def transfer(offsets, points):
    """Carries points along a flow, which is read between the centres of pixels.

    Args:
      offsets: [H, W, 2], of `flow`.
      points: [K, 2], (x, y) in pixels of A.

    Returns:
      float64 [K, 2], pixels of B.
    """
    points = np.asarray(points, np.float64)
    return points + geometry.bilinear_sample(offsets[np.newaxis], points[np.newaxis], 1)[0].numpy()


def paint(boxes_a, boxes_b, scores, size_a, size_b):
    """Lets each pixel of A move with the best match whose region holds its centre, bilinearly in the region.

    Args:
      boxes_a, boxes_b, scores: as of `flow`; of equal scores, the first region goes before.
      size_a, size_b: (height, width).

    Returns:
      `(places, confidence)`: [H, W, 2], in pixels of B and within it, and [H, W], the score; NaN and minus infinity
      where no region is.
    """
    places, confidence = np.full([*size_a, 2], np.nan), np.full(size_a, -np.inf)
    centres = _centres(size_a)
    for index in np.argsort(-np.asarray(scores), kind="stable")[::-1]:  # the best is painted last, over the others
        (left, top, right, bottom), box_b = np.asarray(boxes_a[index], float), np.asarray(boxes_b[index], float)
        columns = slice(max(0, int(np.ceil(left - 0.5))), max(0, int(np.ceil(right - 0.5))))
        rows = slice(max(0, int(np.ceil(top - 0.5))), max(0, int(np.ceil(bottom - 0.5))))
        share = (centres[rows, columns] - [left, top]) / [right - left, bottom - top]
        places[rows, columns] = box_b[:2] + share * (box_b[2:] - box_b[:2])
        confidence[rows, columns] = scores[index]
    return np.clip(places, 0, [size_b[1], size_b[0]]), confidence


def drop_conflicts(places, confidence, size_b):
    """Where several pixels of A move into one pixel of B, keeps the most confident; of equals, the first by rows.

    Args:
      places, confidence: of `paint`.
      size_b: (height, width) of B.

    Returns:
      bool [H, W]: which pixels of A keep their place.
    """
    known = np.isfinite(confidence).ravel()
    height, width = size_b
    x, y = np.minimum(places.reshape([-1, 2])[known], [width - 0.5, height - 0.5]).astype(int).T
    order = np.argsort(-confidence.ravel()[known], kind="stable")
    _, first = np.unique((y * width + x)[order], return_index=True)
    kept = np.zeros(known.shape, bool)
    kept[np.flatnonzero(known)[order[first]]] = True
    return kept.reshape(confidence.shape)


def sd_filter(values, guidance, known, *, smoothness=20.0, static=30.0, dynamic=15.0, iterations=2):
    """Smooths channels where the guidance is smooth and they are themselves, and fills in what is not known.

    Each channel u is to keep to its known values f and to differ little from pixel to pixel, less so over edges:

        sum_known (u_i - f_i)^2 + smoothness sum_ij w_ij (u_i - u_j)^2 over the 4 neighbours,
        w_ij = exp(-static |g_i - g_j|^2) exp(-dynamic |u'_i - u'_j|^2),

    u' being the outcome of the iteration before, first a constant. As in the public code of Ham et al., squared
    differences are divided by the largest of the picture, and a little is added to each weight. Their static guidance
    is the picture in Lab; here it is as given.

    Args:
      values: [H, W, C], f; anything finite where it is not known.
      guidance: [H, W, G], g, such as a picture.
      known: bool [H, W].
      smoothness, static, dynamic: lambda, sigma_g and sigma_u of their code; the latter two are inverse bandwidths.
      iterations: how often the sparse linear system is solved.

    Returns:
      float64 [H, W, C].

    Raises:
      ValueError: if the shapes do not fit or nothing is known.
    """
    values, guidance, known = np.asarray(values, np.float64), np.asarray(guidance, np.float64), np.asarray(known, bool)
    if not values.shape[:2] == guidance.shape[:2] == known.shape:
        raise ValueError(
            f"values, guidance and known must be of one size; found {values.shape}, {guidance.shape} and {known.shape}"
        )
    if not known.any():
        raise ValueError("nothing is known: there is nothing to fill in from")
    ends = _neighbours(*known.shape)
    fixed = np.exp(-static * _relative_squares(guidance, ends)) + _LEAST
    channels = values.reshape([-1, values.shape[-1]])
    found = np.ones_like(channels)
    for _ in range(iterations):
        if not np.ptp(found, axis=0).any():  # one matrix for all channels
            found = _solve(channels, known.ravel(), smoothness * fixed * (1 + _LEAST), ends)
            continue
        weights = [np.exp(-dynamic * _relative_squares(u[:, np.newaxis], ends)) + _LEAST for u in found.T]
        solved = [_solve(f, known.ravel(), smoothness * fixed * w, ends) for f, w in zip(channels.T, weights)]
        found = np.stack(solved, axis=-1)
    return found.reshape(values.shape)


def _centres(size):
    """Centres of pixels, float64 [H, W, 2]."""
    return geometry.cell_centres(*size, 1).numpy().astype(np.float64)


def _neighbours(height, width):
    """Pixels that are next to each other: int [2, E]."""
    number = np.arange(height * width).reshape([height, width])
    across = number[:, :-1].ravel(), number[:, 1:].ravel()
    down = number[:-1].ravel(), number[1:].ravel()
    return np.concatenate([across, down], axis=1)


def _relative_squares(values, ends):
    """Squared differences of neighbours [E], the largest being 1 (or 0 if there are none)."""
    flat = values.reshape([-1, values.shape[-1]])
    squares = np.sum((flat[ends[0]] - flat[ends[1]]) ** 2, axis=-1)
    largest = squares.max(initial=0)
    return squares / largest if largest > 0 else squares


def _solve(values, known, weights, ends):
    """Solves (known + Laplacian) u = known * values; values are [N] or [N, C]."""
    count = len(known)
    links = scipy.sparse.coo_matrix((weights, ends), shape=(count, count))
    links = links + links.T
    system = scipy.sparse.diags(known + np.asarray(links.sum(axis=1)).ravel()) - links
    factors = scipy.sparse.linalg.splu(
        system.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    return factors.solve((known * values.T).T)
