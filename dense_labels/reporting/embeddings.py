"""Labels in TensorBoard's embedding projector: a point for each pixel, shown as the patch of picture around it."""

import math
import os

import numpy as np
import tensorflow as tf
from tensorboard.plugins import projector

from dense_labels import files
from dense_labels.method import geometry
from dense_labels.pictures import sheet

MOST_POINTS = 2_000
_PATCH = 16  # Pixels of the picture, and of the sprite.
_TENSOR, _METADATA, _SPRITE = "labels.tsv", "labels_metadata.tsv", "labels_sprite.png"


def write(log_dir, images, labels, masks, *, stride, seed=0):
    """Writes labels for the projector.

    Args:
      log_dir: folder of a TensorBoard run; it is made where it is absent.
      images: [N, H, W, 3], float in [0, 1].
      labels: [N, h, w, L].
      masks: [N, H, W], where the object is (bool or 0/1); of images that have none, all cells count.
      stride: side of a cell in pixels.
      seed: of the draw of `MOST_POINTS` cells, where there are more.

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
      OSError: if a file cannot be written.
    """
    images = sheet.check_images("images", images)
    labels = sheet.check_labels("labels", labels, images)
    masks = sheet.check_masks(masks, images)
    rows, columns = labels.shape[1:3]
    cells = np.argwhere(masks[:, stride // 2 :: stride, stride // 2 :: stride][:, :rows, :columns])
    if not len(cells):
        cells = np.argwhere(np.ones(labels.shape[:3]))
    chosen = np.random.default_rng(seed).permutation(len(cells))[:MOST_POINTS]
    n, i, j = cells[np.sort(chosen)].T
    places = geometry.cell_centres(rows, columns, stride).numpy()[i, j]

    os.makedirs(log_dir, exist_ok=True)
    lines = [f"{image}\t{x:g}\t{y:g}" for image, (x, y) in zip(n, places)]
    content = {
        _TENSOR: "\n".join("\t".join(f"{value:.6g}" for value in label) for label in labels[n, i, j]).encode(),
        _METADATA: "\n".join(["picture\tx\ty", *lines]).encode(),
        _SPRITE: tf.io.encode_png(_sprite(images, n, places)).numpy(),
    }
    for name, text in content.items():
        files.write_whole(os.path.join(log_dir, name), text)
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add(
        tensor_name="labels", tensor_path=_TENSOR, metadata_path=_METADATA, tensor_shape=[len(n), labels.shape[-1]]
    )
    embedding.sprite.image_path = _SPRITE
    embedding.sprite.single_image_dim.extend([_PATCH, _PATCH])
    projector.visualize_embeddings(log_dir, config)


def _sprite(images, n, places):
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
