"""dlib's regression trees (Kazemi and Sullivan, CVPR 2014), which ml-morph uses: a peer of the detector.

The trees are those of dlib's own example for a small data set (depth 2, nu 0.05), in the 15 cascades of ml-morph, whose
other defaults (depth 4, nu 0.1, 10 starts of each picture) do worse here. Beside them:

- There are as many starts as make 3,000 samples, at least 20 and at most 300 of each picture. More gave nothing.
- How far starts are moved, a share of the box, is chosen in each draw: trees that are fitted to one half of the
  annotated pictures are tried on the other, and the other way round. On faces less is better, on wings more.
- Where landmarks change places in a mirror, the trees see the mirror images too.
- Trees see the box that a detector sees, the whole picture where there is none; nobody needs to find the object first.
- dlib takes and gives whole pixels: boxes are enlarged to 512 pixels on the longer side, so that nothing is lost by it.
- dlib wants every landmark in every picture: one that is not annotated is put where it lies in the others on average.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

PACKAGE = "dlib-bin"  # on PyPI, where dlib itself has no wheels
SETTINGS = {  # of `dlib.shape_predictor_training_options`
    "tree_depth": 2,
    "cascade_depth": 15,
    "nu": 0.05,
    "feature_pool_size": 400,
    "num_trees_per_cascade_level": 500,
    "num_test_splits": 20,
}
JITTERS = (0.05, 0.1)  # of `oversampling_translation_jitter`, what is chosen from
_STARTS, _LEAST, _MOST = 3_000, 20, 300  # of all annotated pictures together; of one, the least and the most
_LONGER_SIDE = 512  # pixels, or more: of a box as the trees see it
_GREY = (0.299, 0.587, 0.114)


def installed() -> bool:
    """Says whether there is a dlib."""
    return importlib.util.find_spec("dlib") is not None


def settings(count: int, *, mirrored: bool) -> dict[str, Any]:
    """Returns all that the figures of so many annotated pictures depend on; with mirror images there are twice as many.

    Args:
      count: how many pictures.
      mirrored: whether their mirror images are seen too.
    """
    starts = min(max(math.ceil(_STARTS / (count * (1 + mirrored))), _LEAST), _MOST)
    of_dlib = {**SETTINGS, "oversampling_amount": starts, "oversampling_translation_jitter": list(JITTERS)}
    return {**of_dlib, "mirrored": mirrored, "longer_side": _LONGER_SIDE}


def shown_size(size: tuple[int, int]) -> tuple[int, int]:
    """Says in which (height, width) the trees see a box of such a size."""
    scale = max(1.0, _LONGER_SIDE / max(size))
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


class Trees:
    """Trees that are fitted.

    Attributes:
      chosen: what was chosen by annotated pictures that were left out.
    """

    def __init__(self, predictor: Any, chosen: dict[str, float]):
        """Keeps a predictor of dlib's."""
        self._predictor, self.chosen = predictor, chosen

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Locates the landmarks in an image uint8 [H, W, 3]: float32 [K, 2], in continuous pixels of it."""
        grey = _grey(image)
        found = self._predictor(grey, _whole(grey)).parts()
        return np.float32([[part.x, part.y] for part in found]) + np.float32(0.5)


def fit(
    images: Sequence[np.ndarray], points: np.ndarray, *, exchanged: Sequence[int], settings: dict[str, Any], seed: int
) -> Trees:
    """Fits trees to annotated images.

    Args:
      images: uint8 [H, W, 3], each of its own size.
      points: [N, K, 2], the landmarks, (x, y) in continuous pixels of the images; not a number where one is not
        annotated.
      exchanged: the landmark of a mirror image in the place of each.
      settings: what `settings` returns.
      seed: of what is random.

    Returns:
      The trees.
    """
    how = {"exchanged": exchanged, "settings": settings, "seed": seed}
    tried, second = settings["oversampling_translation_jitter"], np.arange(len(images)) % 2 > 0
    turns = [half for half in (second, ~second) if len(images) > 1 and len(tried) > 1]
    errors = [sum(_tried(images, points, half, jitter=jitter, **how) for half in turns) for jitter in tried]
    return _fit(images, points, jitter=tried[int(np.argmin(errors))], **how)


def _tried(images, points, half, **how):
    """The mean error, a share of the longer side, in half of the images of trees that are fitted to the other half."""
    trees = _fit([images[k] for k in np.flatnonzero(~half)], points[~half], **how)
    offsets = [(trees(images[k]) - points[k]) / max(images[k].shape) for k in np.flatnonzero(half)]
    return np.nanmean(np.linalg.norm(offsets, axis=-1))


def _fit(images, points, *, exchanged, settings, seed, jitter):
    import dlib

    grey, points = [_grey(image) for image in images], _filled_in(points, images)
    if settings["mirrored"]:
        points = np.concatenate([points, [_mirrored(*pair, exchanged) for pair in zip(points, grey)]])
        grey += [np.ascontiguousarray(image[:, ::-1]) for image in grey]
    options = dlib.shape_predictor_training_options()
    for name in (*SETTINGS, "oversampling_amount"):
        setattr(options, name, settings[name])
    options.oversampling_translation_jitter = jitter
    options.random_seed, options.num_threads = str(seed), os.cpu_count() or 1
    shown = [[dlib.full_object_detection(_whole(image), _parts(each))] for image, each in zip(grey, points)]
    return Trees(dlib.train_shape_predictor(grey, shown, options), {"oversampling_translation_jitter": jitter})


def _filled_in(points, images):
    """The points, each that is not a number at its mean share of the sides; in the middle if it is none anywhere."""
    sides = np.array([image.shape[1::-1] for image in images], float)[:, np.newaxis]
    known = ~np.isnan(points)
    total = np.where(known, points / sides, 0).sum(axis=0)
    mean = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), 0.5)
    return np.where(known, points, mean * sides)


def _grey(image):
    return np.uint8(np.rint(image @ np.float32(_GREY)))


def _mirrored(points, image, exchanged):
    return np.stack([image.shape[1] - points[:, 0], points[:, 1]], axis=-1)[list(exchanged)]


def _whole(image):
    import dlib

    return dlib.rectangle(0, 0, image.shape[1] - 1, image.shape[0] - 1)


def _parts(points):
    """Points as dlib has them: whole numbers, which are the centres of pixels."""
    import dlib

    return dlib.points([dlib.point(*each) for each in np.rint(points - 0.5).astype(int).tolist()])
