"""Protocols: which images a head is fitted on and which it is measured on, and what is matched with what."""

import numpy as np
import tensorflow as tf

from dense_labels.evaluation import label_matching
from dense_labels.evaluation import result as result_lib

MEAN_SHAPE = "mean_shape"  # each landmark at its mean place: what is known without looking at a picture
FOLDS = 5
_KEYS = ("landmarks", "annotated", "scale", "normaliser", "picture")


def label_maps(network, batches, keys=_KEYS):
    """Labels annotated images once, for whatever is fitted or measured on frozen labels.

    Args:
      network: images [B, H, W, 3] -> labels [B, h, w, L]; a `tf.function` is traced once for all calls.
      batches: iterable of LandmarkBatches.
      keys: what is kept of them.

    Returns:
      A dictionary of arrays over all N images: `labels` float32 [N, h, w, L], and `landmarks`, `annotated`, `scale`,
      `normaliser` and `picture` as in LandmarkBatch.
    """
    parts = {"labels": [], **{name: [] for name in keys}}
    for batch in batches:
        parts["labels"].append(network(batch["image"]).numpy())
        for name in keys:
            parts[name].append(batch[name].numpy())
    return {name: np.concatenate(part) for name, part in parts.items()}


def take(maps, indices):
    """Returns the label maps at integer indices or under a mask."""
    return {name: values[indices] for name, values in maps.items()}


def landmarks(fits, known, test, *, batch_size):
    """Fits landmark heads on frozen labels of annotated images and measures each on others.

    Section 4.1 and 4.3 of the NIPS 2017 paper. Without test images the annotated ones take turns: each of five parts is
    measured by heads fitted on the other four. The heads that are returned are always fitted on all annotated images.
    What heads are fitted on may lack a landmark in one of the parts; it is not measured there.

    Args:
      fits: name -> function of `label_maps` that returns a fitted head.
      known: `label_maps` of the annotated images.
      test: `label_maps` of the test images; None where there are none.
      batch_size: maps a head is applied to at a time.

    Returns:
      `(heads, found, maps)`: the fitted head by name; [N, K, 2] by decoding, in pixels of the network's input, with
      `MEAN_SHAPE` among them, not a number where a landmark was not fitted; and the maps these were found in, `test` or
      `known`. The last two are None where there are too few annotated images to take turns.

    Raises:
      ValueError: if a head cannot be fitted.
    """
    heads = {name: fit(known) for name, fit in fits.items()}
    if test is not None:
        return heads, _find(fits, known, test, batch_size, heads), test
    count = len(known["labels"])
    if count < FOLDS:
        return heads, None, None
    fold = np.arange(count) % FOLDS
    parts = []
    for k in range(FOLDS):
        rest = take(known, fold != k)
        parts.append(_find(fits, rest, take(known, fold == k), batch_size))
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
        error = _mean_error(locate(_fit(fit, rest), part["labels"], batch_size)["points"], part)
        errors[name] = np.inf if error is None else error
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
      Decoding -> count -> list of mean errors in percent, one a seed (none for a seed that left nothing to measure).

    Raises:
      ValueError: if a count is below 1, or so many images cannot be drawn, or none would be left to measure on.
    """
    pool = len(known["labels"])
    check_few_shot(counts, pool, test)
    errors = {}
    for count in counts:
        for seed in range(seeds):
            order = np.random.default_rng([seed, count]).permutation(pool)
            maps = maps_of(order[:count], seed)
            measured = take(known, order[count:]) if test is None else test
            for name, points in _find(fits, maps, measured, batch_size).items():
                error = _mean_error(points, measured)
                errors.setdefault(name, {}).setdefault(count, []).extend([] if error is None else [error])
    return errors


def growing_rounds(fit, maps_of, classes, *, counts, seed):
    """Fits a head on annotations that grow from round to round, section 4.3 of the CVPR 2018 paper.

    Each round has the images of the one before and as many more of each class; its head begins as theirs.

    Args:
      fit: `(label_maps, head of the round before or None) -> head`.
      maps_of: as in `few_shot`, of all images of a round.
      classes: integer [N], the class of each annotated image.
      counts: how many images of each class a round has, ints that rise; of a class with fewer, all.
      seed: of what is drawn, an int.

    Yields:
      `(count, head)`, round by round.

    Raises:
      ValueError: if the counts do not rise from at least 1, or no class has as many images as the last.
    """
    members = [np.flatnonzero(classes == each) for each in np.unique(classes)]
    most = max(map(len, members))
    if list(counts) != sorted(set(counts)) or not 1 <= counts[0] <= counts[-1] <= most:
        raise ValueError(f"counts={list(counts)}: must rise from at least 1 to at most {most}, the images of a class")
    orders = [np.random.default_rng([seed, k]).permutation(each) for k, each in enumerate(members)]
    head = None
    for count in counts:
        head = fit(maps_of(np.concatenate([order[:count] for order in orders]), seed), head)
        yield count, head


def check_few_shot(counts, pool, test):
    """Refuses numbers of images that `few_shot` cannot draw from a pool; arguments as there."""
    for count in counts:
        if not 1 <= count <= pool - (test is None):
            left = " with one left to measure on; draw fewer, or give annotations to test on" if test is None else ""
            raise ValueError(f"{count} annotated images cannot be drawn from {pool}{left}")


def locate(head, labels, batch_size):
    """Applies a landmark head to label maps.

    Args:
      head: labels -> a dictionary of tensors of N rows.
      labels: float32 [N, h, w, L].
      batch_size: maps at a time.

    Returns:
      The dictionary, as arrays over all N maps.
    """
    parts = [head(batch) for batch in tf.data.Dataset.from_tensor_slices(labels).batch(batch_size)]
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}


def _find(fits, known, maps, batch_size, heads=None):
    """Decoding -> [N, K, 2]: of a head with several, each by its own name; of others, by the head's."""
    weights = known["annotated"][..., np.newaxis]
    total = np.sum(np.where(weights > 0, known["landmarks"], 0), axis=0)
    count = weights.sum(axis=0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    found = {MEAN_SHAPE: np.broadcast_to(mean, maps["landmarks"].shape)}
    for name, fit in fits.items():
        located = locate(heads[name] if heads else _fit(fit, known), maps["labels"], batch_size)
        own = {decoding: located[decoding] for decoding in ("cell", "subpixel") if decoding in located}
        found.update(own or {name: located["points"]})
    return found


def _fit(fit, maps):
    """Fits a head to the landmarks that the images have; the places of others are not numbers."""
    present = maps["annotated"].any(axis=0)
    if present.all():
        return fit(maps)
    head = fit({**maps, "landmarks": maps["landmarks"][:, present], "annotated": maps["annotated"][:, present]})
    column = np.where(present, np.cumsum(present) - 1, present.sum())

    def all_landmarks(labels):
        found = head(labels)
        absent = {name: tf.fill(tf.shape(values[:, :1]), np.float32(np.nan)) for name, values in found.items()}
        return {name: tf.gather(tf.concat([found[name], absent[name]], axis=1), column, axis=1) for name in found}

    return all_landmarks


def _mean_error(points, maps):
    return result_lib.landmark_errors(points, maps)[-1]


def matching(network, batches, *, stride, count=500, seed=0):
    """Measures how well labels match landmarks between two views of one image, and between two images.

    The views are warped; a pair of different images is view A of the one and view B of the other.

    Args:
      network: images [B, H, W, 3] -> labels [B, h, w, L].
      batches: iterable of PairBatches with landmarks, as `sources.stills.Stills.annotated_pairs` makes them.
      stride: side of a cell in pixels.
      count: how many pairs of different images to draw at most.
      seed: of that draw.

    Returns:
      A dictionary of floats, in pixels of the network's input made 70 wide: `matching_same_cell_px`,
      `matching_same_subpixel_px`, `matching_different_cell_px` and `matching_different_subpixel_px`; the decodings are
      those of `label_matching.matching_error`. What has nothing to match (a single image, no landmark that is seen in
      both) is left out.
    """
    names = [f"{what}_{view}" for what in ("landmarks", "landmarks_visible") for view in "ab"]
    views = {name: [] for name in ("labels_a", "labels_b", *names)}
    for batch in batches:
        width = batch["image_a"].shape[2]
        for view in "ab":
            views[f"labels_{view}"].append(network(batch[f"image_{view}"]).numpy())
        for name in names:
            views[name].append(batch[name].numpy())
    views = {name: np.concatenate(parts) for name, parts in views.items()}
    images = len(views["labels_a"])
    pairs = {"same": np.repeat(np.arange(images)[:, np.newaxis], 2, axis=1)}
    if images > 1:
        pairs["different"] = label_matching.pairs_of(count, images, seed)
    errors = {}
    for kind, (a, b) in ((kind, indices.T) for kind, indices in pairs.items()):
        visible = views["landmarks_visible_a"][a] * views["landmarks_visible_b"][b]
        if not visible.any():
            continue
        compared = views["labels_a"][a], views["labels_b"][b], views["landmarks_a"][a], views["landmarks_b"][b], visible
        found = label_matching.matching_error(*compared, stride=stride)
        errors.update({f"matching_{kind}_{name}_px": found[name] * 70 / width for name in ("cell", "subpixel")})
    return errors
