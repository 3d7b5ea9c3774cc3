"""The matching protocol: how far off the places are that labels alone find in another image."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from dense_labels import batches as types
from dense_labels.method import geometry, introspection_loss, matching

WIDTH = 70  # of an image, in whose pixels distances are told, whatever it was
FINER = 4  # than the label map: where places between cells are looked for


def match_landmarks(
    network: types.LabelNetwork,
    batches: Iterable[types.AnnotatedPairBatch],
    *,
    stride: int,
    count: int = 500,
    seed: int = 0,
    pictures: np.ndarray | None = None,
    unit: bool = False,
) -> dict[str, float]:
    """Measures how well labels match landmarks between two views of one image, and between two pictures.

    The views are warped; a pair of different pictures is view A of an image of the one and view B of one of the other.

    Args:
      network: images [B, H, W, 3] -> labels [B, h, w, L].
      batches: pairs of views, as `input_pipeline.pipeline.annotated_pairs` makes them.
      stride: side of a cell in pixels.
      count: how many pairs of different pictures to draw at most.
      seed: of that draw.
      pictures: int [N], which picture each image is of, in the order of the batches; see `pairs_of`.
      unit: whether labels are all of length 1. The mean place under their softmax is about the middle of the image,
        however well they match, and is left out.

    Returns:
      A dictionary, in pixels of the network's input made 70 wide: `matching_same_cell_px`, `matching_same_subpixel_px`,
      `matching_different_cell_px` and `matching_different_subpixel_px`; the decodings are those of `matching_error`.
      What has nothing to match (a single picture, no landmark that is seen in both) is left out.
    """
    labels_a, labels_b, views, width = [], [], [], 0
    for batch in batches:
        width = batch.pairs.image_a.shape[2]
        labels_a.append(np.asarray(network(batch.pairs.image_a)))
        labels_b.append(np.asarray(network(batch.pairs.image_b)))
        nothing = np.zeros(len(labels_a[-1]), np.uint8)
        views.append(batch._replace(pairs=nothing))  # the pixels are not kept
    joined, labels_a, labels_b = types.stack(views), np.concatenate(labels_a), np.concatenate(labels_b)
    images = len(labels_a)
    pairs = {"same": np.repeat(np.arange(images)[:, np.newaxis], 2, axis=1)}
    if count_pictures(images, pictures) > 1:
        pairs["different"] = pairs_of(count, images, seed, pictures)
    errors = {}
    for kind, (a, b) in ((kind, indices.T) for kind, indices in pairs.items()):
        visible = joined.landmarks_visible_a[a] * joined.landmarks_visible_b[b]
        if not visible.any():
            continue
        error = matching_error(
            labels_a[a], labels_b[b], joined.landmarks_a[a], joined.landmarks_b[b], visible, stride=stride
        )
        kept = ("cell",) if unit else ("cell", "subpixel")
        errors.update({f"matching_{kind}_{name}_px": error[name] * WIDTH / width for name in kept})
    return errors


def matching_error(labels_a, labels_b, points_a, points_b, annotated, *, stride: float) -> dict[str, float]:
    """Matches points of images A into images B by their labels and measures the distance to where they should be.

    The label of a point of A is read between cells. Of the same identity, B is another view of the image: take the cell
    centres of A and where the warp has them. Of different identities, B is another object: take the landmarks.

    `cell` is the centre of the cell of B with the largest inner product, on the stride grid. `subpixel` is the expected
    place under equation (3) on labels of B made 4 times finer. (A largest inner product between cells would be no finer
    than `cell`: between four cells it is bilinear, so it is largest at one of them.)

    Args:
      labels_a: float32 [N, h, w, L].
      labels_b: float32 [N, h', w', L].
      points_a: [N, P, 2], (x, y) in pixels of A.
      points_b: [N, P, 2], the same points in pixels of B.
      annotated: [N, P], 1 where the point is known and seen in both, else 0.
      stride: side of a cell in pixels.

    Returns:
      A dictionary: `cell` and `subpixel`, mean distance in pixels of the network's input, every point of every pair
      weighing the same; `points`, how many there are.

    Raises:
      ValueError: if no point is annotated.
    """
    known = np.asarray(annotated) > 0
    if not known.any():
        raise ValueError("no point is annotated: there is nothing to match")
    offsets = {"cell": [], "subpixel": []}
    for n in np.flatnonzero(known.any(axis=1)):
        true = np.asarray(points_b[n], np.float32)[known[n]]
        points = np.asarray(points_a[n], np.float32)[known[n]]
        for name, found in _match(labels_a[n : n + 1], labels_b[n : n + 1], points, stride).items():
            offsets[name].append(np.linalg.norm(found - true, axis=-1))
    return {name: float(np.mean(np.concatenate(parts))) for name, parts in offsets.items()} | {
        "points": int(known.sum())
    }


def nearest_descriptor(
    labels_a, labels_b, points, *, stride: float, upsample: int = 1, cosine: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds points of images A in images B by the label that is most like theirs; no two points see one another.

    Args:
      labels_a: float32 [N, h, w, C], phi / sigma where there is confidence; or [h, w, C] of a single image, and then
        nothing else here has N.
      labels_b: float32 [N, h', w', C].
      points: [N, P, 2], (x, y) in pixels of A; labels are read there between cells.
      stride: side of a cell in pixels.
      upsample: 1: the place is the centre of a cell of B; n: of a cell of B's label map made n times finer.
      cosine: whether unit descriptors are compared, made unit length again where they are read between cells; else
        labels are, by inner product, so that what B is confident of is preferred.

    Returns:
      `(places, score, confidence)`: float32 [N, P, 2], pixels of B; the cosine or inner product [N, P]; and the
      confidence of the match [N, P], the inverse of the mean sigma of the point and the place (1 of a network without
      confidence).
    """
    nearest = functools.partial(_nearest, stride=stride, upsample=upsample, cosine=cosine)
    points = np.asarray(points, np.float32)
    if points.ndim == 2:
        return nearest(labels_a, labels_b, points)
    return tuple(np.stack(parts) for parts in zip(*map(nearest, labels_a, labels_b, points)))


def _nearest(labels_a, labels_b, points, *, stride, upsample, cosine):
    (phi_a, sigma_a), (phi_b, sigma_b) = (_described(labels[np.newaxis]) for labels in (labels_a, labels_b))
    of_a, of_b = (phi_a, phi_b) if cosine else (labels_a[np.newaxis], tf.convert_to_tensor(labels_b[np.newaxis]))
    own = geometry.bilinear_sample(of_a, points[np.newaxis], stride)[0]
    finer = geometry.upsample(of_b, upsample) if upsample > 1 else of_b
    centres = tf.reshape(geometry.cell_centres(*finer.shape[1:3], stride / upsample), [-1, 2])
    finer = tf.reshape(finer, [-1, finer.shape[-1]])
    if cosine:
        own, finer = (tf.math.l2_normalize(each, axis=-1) for each in (own, finer))
    scores = tf.matmul(own, finer, transpose_b=True)  # [P, cells]
    places = matching.best_match(scores, centres)
    sigmas = [
        geometry.bilinear_sample(sigma, where[tf.newaxis], stride)[0, :, 0]
        for sigma, where in ((sigma_a, points), (sigma_b, places))
    ]
    return places.numpy(), tf.reduce_max(scores, axis=-1).numpy(), (2.0 / tf.add_n(sigmas)).numpy()


def _described(labels):
    phi, sigma = introspection_loss.split_labels(tf.convert_to_tensor(labels))
    return phi, sigma[..., tf.newaxis]


def count_pictures(images: int, pictures: np.ndarray | None) -> int:
    """Counts the pictures that images are of; the arguments are those of `pairs_of`."""
    return images if pictures is None else len(np.unique(pictures))


def pairs_of(count: int, images: int, seed: int, pictures: np.ndarray | None = None) -> np.ndarray:
    """Draws ordered pairs of images of different pictures, each as likely as any other; or takes all, if they are few.

    Args:
      count: how many pairs at most, an int.
      images: how many images there are, an int.
      seed: the same seed gives the same pairs.
      pictures: int [images], the number of the picture that each image is of, such as that of boxes in it; None: each
        image is of another picture.

    Returns:
      int64 [P, 2], indices of A and of B: `count` pairs, or where there are no more than that, each pair once.

    Raises:
      ValueError: if there are images of fewer than two pictures.
    """
    pictures = np.arange(images) if pictures is None else np.asarray(pictures)
    _, sizes = np.unique(pictures, return_counts=True)
    if len(sizes) < 2:
        raise ValueError(f"images={images} of {len(sizes)} pictures: a pair of different pictures needs at least 2")
    if images**2 - np.sum(sizes**2) <= count:
        return np.argwhere(pictures[:, np.newaxis] != pictures)
    rng, pairs = np.random.default_rng(seed), np.empty([0, 2], int)
    while len(pairs) < count:
        first = rng.integers(images, size=count)
        drawn = np.stack([first, (first + rng.integers(1, images, size=count)) % images], axis=-1)
        pairs = np.concatenate([pairs, drawn[pictures[drawn[:, 0]] != pictures[drawn[:, 1]]]])
    return pairs[:count]


def _match(labels_a, labels_b, points, stride):
    """Places [P, 2] in B of points [P, 2] of A, by name."""
    labels = geometry.bilinear_sample(labels_a, points[np.newaxis], stride)[0]
    on_grid, centres = _log_probability(labels, labels_b, stride)
    fine, fine_centres = _log_probability(labels, geometry.upsample(labels_b, FINER), stride / FINER)
    return {
        "cell": matching.best_match(on_grid, centres).numpy(),
        "subpixel": matching.expected_match(fine, fine_centres).numpy(),
    }


def _log_probability(labels, labels_b, stride):
    _, height, width, length = labels_b.shape
    centres = tf.reshape(geometry.cell_centres(height, width, stride), [-1, 2])
    return matching.match_log_probability(labels, tf.reshape(labels_b, [-1, length])), centres
