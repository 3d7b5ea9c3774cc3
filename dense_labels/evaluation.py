"""Protocols: which images a head is fitted on and which it is measured on, and what is matched with what."""

import numpy as np
import tensorflow as tf

from dense_labels import correspondence, results

MEAN_SHAPE = "mean_shape"  # each landmark at its mean place: what is known without looking at a picture
FOLDS = 5
_KEYS = ("landmarks", "annotated", "scale", "normaliser")


def label_maps(network, batches):
    """Labels annotated images once, for whatever is fitted or measured on frozen labels.

    Args:
      network: images [B, H, W, 3] -> labels [B, h, w, L].
      batches: iterable of LandmarkBatches.

    Returns:
      A dictionary of float32 arrays over all N images: `labels` [N, h, w, L], and `landmarks`, `annotated`, `scale` and
      `normaliser` as in LandmarkBatch.
    """
    label = tf.function(network, reduce_retracing=True)
    parts = {"labels": [], **{name: [] for name in _KEYS}}
    for batch in batches:
        parts["labels"].append(label(batch["image"]).numpy())
        for name in _KEYS:
            parts[name].append(batch[name].numpy())
    return {name: np.concatenate(part) for name, part in parts.items()}


def take(maps, indices):
    """Returns the label maps at integer indices or under a mask."""
    return {name: values[indices] for name, values in maps.items()}


def landmarks(fits, known, test, *, batch_size):
    """Fits landmark heads on frozen labels of annotated images and measures each on others.

    Section 4.1 and 4.3 of the NIPS 2017 paper. Without test images the annotated ones take turns: each of five parts is
    measured by heads fitted on the other four. The heads that are returned are always fitted on all annotated images.

    Args:
      fits: name -> function of `label_maps` that returns a fitted head.
      known: `label_maps` of the annotated images.
      test: `label_maps` of the test images; None where there are none.
      batch_size: maps a head is applied to at a time.

    Returns:
      `(heads, found, maps)`: the fitted head by name; [N, K, 2] by decoding, in pixels of the network's input, with
      `MEAN_SHAPE` among them; and the maps these were found in, `test` or `known`.

    Raises:
      ValueError: if there are too few annotated images to take turns, or a head cannot be fitted.
    """
    heads = {name: fit(known) for name, fit in fits.items()}
    if test is not None:
        return heads, _find(heads, known, test, batch_size), test
    count = len(known["labels"])
    if count < FOLDS:
        raise ValueError(f"{count} annotated images are too few to be measured on; give {FOLDS} or test images")
    fold = np.arange(count) % FOLDS
    parts = []
    for k in range(FOLDS):
        rest = take(known, fold != k)
        parts.append(_find({name: fit(rest) for name, fit in fits.items()}, rest, take(known, fold == k), batch_size))
    order = np.argsort(np.concatenate([np.flatnonzero(fold == k) for k in range(FOLDS)]))
    return heads, {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}, known


def choose(fits, known, *, batch_size):
    """Says which head does best on a fifth of the annotated images, fitted on the others; no test image is seen.

    Where there are too few images for that, it is the first.

    Args:
      fits, known, batch_size: as in `landmarks`.

    Returns:
      The name of a head.

    Raises:
      ValueError: as `landmarks`.
    """
    if len(fits) == 1 or len(known["labels"]) < FOLDS:
        return next(iter(fits))
    held_out = np.arange(len(known["labels"])) % FOLDS == 0
    rest, part = take(known, ~held_out), take(known, held_out)
    errors = {}
    for name, fit in fits.items():
        errors[name] = _mean_error(locate(fit(rest), part["labels"], batch_size)["points"], part)
    return min(errors, key=errors.get)


def few_shot(fits, maps_of, known, test, *, counts, seeds, batch_size):
    """Measures heads that are fitted on a few annotated images, drawn anew for each seed.

    Args:
      fits: as in `landmarks`.
      maps_of: `(indices, seed) -> label_maps` of those of the annotated images, several views of each where that helps.
      known: `label_maps` of all annotated images.
      test: `label_maps` of the test images; None to measure on the annotated images that were not drawn.
      counts: how many images to fit on: ints.
      seeds: how often to draw, an int.
      batch_size: as in `landmarks`.

    Returns:
      Decoding -> count -> list of mean errors in percent, one a seed.

    Raises:
      ValueError: if a count is below 1, or so many images cannot be drawn, or none would be left to measure on.
    """
    pool = len(known["labels"])
    errors = {}
    for count in counts:
        if not 1 <= count <= pool - (test is None):
            left = " with one left to measure on" if test is None else ""
            raise ValueError(f"{count} annotated images cannot be drawn from {pool}{left}")
        for seed in range(seeds):
            order = np.random.default_rng([seed, count]).permutation(pool)
            maps = maps_of(order[:count], seed)
            measured = take(known, order[count:]) if test is None else test
            found = _find({name: fit(maps) for name, fit in fits.items()}, maps, measured, batch_size)
            for name, points in found.items():
                errors.setdefault(name, {}).setdefault(count, []).append(_mean_error(points, measured))
    return errors


def locate(head, labels, batch_size):
    """Applies a landmark head to label maps.

    Args:
      head: labels -> a dictionary of tensors of N rows.
      labels: float32 [N, h, w, L].
      batch_size: maps at a time.

    Returns:
      The dictionary, as arrays over all N maps.
    """
    apply = tf.function(head, reduce_retracing=True)
    parts = [apply(batch) for batch in tf.data.Dataset.from_tensor_slices(labels).batch(batch_size)]
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}


def _find(heads, known, maps, batch_size):
    """Decoding -> [N, K, 2]: of a head with several, each by its own name; of others, by the head's."""
    weights = known["annotated"][..., np.newaxis]
    mean = np.sum(np.where(weights > 0, known["landmarks"], 0), axis=0) / np.maximum(weights.sum(axis=0), 1)
    found = {MEAN_SHAPE: np.broadcast_to(mean, maps["landmarks"].shape)}
    for name, head in heads.items():
        located = locate(head, maps["labels"], batch_size)
        own = {decoding: located[decoding] for decoding in ("cell", "subpixel") if decoding in located}
        found.update(own or {name: located["points"]})
    return found


def _mean_error(points, maps):
    return results.landmark_errors(points, maps)[-1]


def matching(network, batches, *, stride, count=500, seed=0):
    """Measures how well labels match landmarks between two views of one image, and between two images.

    The views are warped; a pair of different images is view A of the one and view B of the other.

    Args:
      network: images [B, H, W, 3] -> labels [B, h, w, L].
      batches: iterable of PairBatches with landmarks, as `input_pipeline.stills.Stills.annotated_pairs` makes them.
      stride: side of a cell in pixels.
      count: how many pairs of different images to draw.
      seed: of that draw.

    Returns:
      A dictionary of floats, in pixels of an image that is 70 wide: `same_cell` and `same_subpixel`, `different_cell`
      and `different_subpixel`; the decodings are those of
      `correspondence.matching_error`.

    Raises:
      ValueError: if there are fewer than two images, or no landmark is seen in two of them.
    """
    label = tf.function(network, reduce_retracing=True)
    names = [f"{what}_{view}" for what in ("landmarks", "landmarks_visible") for view in "ab"]
    views = {name: [] for name in ("labels_a", "labels_b", *names)}
    for batch in batches:
        width = batch["image_a"].shape[2]
        for view in "ab":
            views[f"labels_{view}"].append(label(batch[f"image_{view}"]).numpy())
        for name in names:
            views[name].append(batch[name].numpy())
    views = {name: np.concatenate(parts) for name, parts in views.items()}
    images = len(views["labels_a"])
    pairs = {
        "same": np.repeat(np.arange(images)[:, np.newaxis], 2, axis=1),
        "different": correspondence.pairs_of(count, images, seed),
    }
    errors = {}
    for kind, (a, b) in ((kind, indices.T) for kind, indices in pairs.items()):
        found = correspondence.matching_error(
            views["labels_a"][a],
            views["labels_b"][b],
            views["landmarks_a"][a],
            views["landmarks_b"][b],
            views["landmarks_visible_a"][a] * views["landmarks_visible_b"][b],
            stride=stride,
        )
        errors.update({f"{kind}_{name}": found[name] * 70 / width for name in ("cell", "subpixel")})
    return errors
