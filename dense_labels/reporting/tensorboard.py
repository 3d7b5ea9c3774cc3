"""What a run writes for TensorBoard: figures, pictures, curves, and labels in its embedding projector."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.plugins import projector
from tensorboard.plugins.pr_curve import summary as pr_curve

from dense_labels import files
from dense_labels.batches import LabelMap
from dense_labels.method import geometry
from dense_labels.pictures import cells, checks

MOST_POINTS = 2_000
_PATCH = 16  # pixels of the image, and of the sprite
_TENSOR, _METADATA, _SPRITE = "labels.tsv", "labels_metadata.tsv", "labels_sprite.png"


def write(
    log_dir: str | os.PathLike,
    scalars: Mapping[str, float],
    pictures: Mapping[str, np.ndarray],
    step: int,
    *,
    curves: Mapping[str, Any] | None = None,
    matches: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
    """Writes figures and pictures.

    Args:
      log_dir: folder of the TensorBoard run.
      scalars: name -> number.
      pictures: name -> uint8 [H, W, 3].
      step: of the training.
      curves: of landmark errors, as of `evaluation.result.Result`; their steps are tenths of a percent of the
        normaliser.
      matches: `(correct, probability)` of matches, [M] each, for TensorBoard's PR curves.
    """
    with tf.summary.create_file_writer(os.fspath(log_dir)).as_default(step=step):
        for name, value in scalars.items():
            tf.summary.scalar(name, value)
        for name, picture in pictures.items():
            tf.summary.image(name, picture[np.newaxis])
        if matches is not None:
            tf.summary.experimental.write_raw_pb(pr_curve.pb("matches", *matches).SerializeToString())
        for way, shares in (curves or {}).items():
            if way != "percent":
                _write_curves(way, shares, curves["percent"])


def write_projector(log_dir: str | os.PathLike, images: Any, labels: LabelMap, masks: Any, *, seed: int = 0) -> None:
    """Writes labels for the embedding projector: a point for each cell, shown as the patch of the image around it.

    Args:
      log_dir: folder of a TensorBoard run; it is made where it is absent.
      images: [N, H, W, 3], float in [0, 1].
      labels: of the N images.
      masks: [N, H, W], where the object is (bool or 0/1); of images that have none, all cells count.
      seed: of the draw of `MOST_POINTS` cells, where there are more.

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
      OSError: if a file cannot be written.
    """
    images = checks.check_images("images", images)
    labels = checks.check_labels("labels", labels, images)
    on_object = cells.at_centres(checks.check_masks(masks, images), labels)
    found = np.argwhere(on_object if on_object.any() else np.ones_like(on_object))
    chosen = np.random.default_rng(seed).permutation(len(found))[:MOST_POINTS]
    n, i, j = found[np.sort(chosen)].T
    places = geometry.cell_centres(*labels.cells, labels.stride).numpy()[i, j]

    os.makedirs(log_dir, exist_ok=True)
    lines = [f"{image}\t{x:g}\t{y:g}" for image, (x, y) in zip(n, places)]
    content = {
        _TENSOR: "\n".join("\t".join(f"{value:.6g}" for value in label) for label in labels.values[n, i, j]).encode(),
        _METADATA: "\n".join(["picture\tx\ty", *lines]).encode(),
        _SPRITE: tf.io.encode_png(_sprite(images, n, places)).numpy(),
    }
    for name, text in content.items():
        files.write_whole(os.path.join(log_dir, name), text)
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add(
        tensor_name="labels", tensor_path=_TENSOR, metadata_path=_METADATA, tensor_shape=[len(n), labels.length]
    )
    embedding.sprite.image_path = _SPRITE
    embedding.sprite.single_image_dim.extend([_PATCH, _PATCH])
    projector.visualize_embeddings(os.fspath(log_dir), config)


def _write_curves(way: str, shares: Mapping[str, Any], percents: Any) -> None:
    for kind, values in shares.items():
        for percent, share in zip(percents, values):
            tf.summary.scalar(f"{kind}/{way}", share, step=round(10 * percent))


def _sprite(images: np.ndarray, n: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The patches about places (x, y) of images n, row by row in a square: uint8; beyond an image its edge goes on."""
    half = _PATCH // 2
    padded = np.pad(images, [(0, 0), (half, half), (half, half), (0, 0)], mode="edge")
    left, top = np.int64(places).T
    side = math.ceil(math.sqrt(len(n)))
    sprite = np.full([side * _PATCH, side * _PATCH, 3], 255, np.uint8)
    for index, (image, x, y) in enumerate(zip(n, left, top)):
        row, column = _PATCH * (index // side), _PATCH * (index % side)
        patch = padded[image, y : y + _PATCH, x : x + _PATCH]
        sprite[row : row + _PATCH, column : column + _PATCH] = np.rint(255 * patch)
    return sprite
