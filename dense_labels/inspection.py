"""The pictures a run shows of itself, in TensorBoard and as files."""

import os

import numpy as np
import tensorflow as tf

from dense_labels import files, geometry, sphere, visualization


def pair_pictures(network, examples, stride, *, points=5):
    """Draws what a network makes of a few pairs.

    Args:
      network: images [B, H, W, 3] -> labels [B, h, w, L].
      examples: a PairBatch; what is visible of A counts as the object.
      stride: side of a cell in pixels.
      points: how many points of A are followed into B.

    Returns:
      A dictionary of uint8 pictures: `labels` (colours and norms, figure 3), `sphere` (the label space with the
      pixels of every third frame carried to it, figure 4), `transfer` (where points of A are found in B).
    """
    examples = {name: np.asarray(value) for name, value in examples.items()}
    visible = examples["visible"] > 0
    labels_a, labels_b = (np.asarray(network(examples[name])) for name in ("image_a", "image_b"))
    object_labels = labels_a[visible] if visible.any() else labels_a.reshape([-1, labels_a.shape[-1]])
    basis = sphere.colour_basis(object_labels) if labels_a.shape[-1] > 3 else None
    size = examples["image_a"].shape[1:3]
    masks = tf.image.resize(examples["visible"][..., np.newaxis], size, "nearest").numpy()[..., 0] > 0
    cells = _spread_cells(visible, points)
    centres = np.asarray(geometry.cell_centres(*visible.shape[1:], stride)).reshape([-1, 2])
    places = examples["points_in_b"].reshape([len(visible), -1, 2])
    thirds = slice(2, None, 3)
    return {
        "labels": visualization.labels_panel(examples["image_a"], labels_a, masks=masks, basis=basis),
        "sphere": visualization.unfolded_figure(
            examples["image_a"][thirds], labels_a[thirds], masks[thirds], basis=basis
        ),
        "transfer": visualization.transfer_panel(
            examples["image_a"][thirds],
            examples["image_b"][thirds],
            labels_a[thirds],
            labels_b[thirds],
            centres[cells][thirds],
            stride=stride,
            points_in_b=np.take_along_axis(places, cells[..., np.newaxis], axis=1)[thirds],
        ),
    }


def write_tensorboard(log_dir, scalars, pictures, step):
    """Writes figures and pictures to TensorBoard.

    Args:
      log_dir: folder of the TensorBoard run.
      scalars: name -> number.
      pictures: name -> uint8 [H, W, 3].
      step: an int.
    """
    with tf.summary.create_file_writer(log_dir).as_default(step=step):
        for name, value in scalars.items():
            tf.summary.scalar(name, value)
        for name, picture in pictures.items():
            tf.summary.image(name, picture[np.newaxis])


def save_pictures(folder, pictures):
    """Writes pictures as PNG files, each whole or not at all.

    Args:
      folder: an existing folder.
      pictures: name -> uint8 [H, W, 3].
    """
    for name, picture in pictures.items():
        files.write_whole(os.path.join(folder, f"{name}.png"), tf.io.encode_png(picture).numpy())


def _spread_cells(visible, count):
    """Picks `count` visible cells of each map [B, h, w], evenly in row-major order: int [B, count]."""
    chosen = []
    for mask in visible.reshape([len(visible), -1]):
        cells = np.flatnonzero(mask) if mask.any() else np.arange(mask.size)
        chosen.append(cells[np.linspace(0, cells.size - 1, count).round().astype(int)])
    return np.stack(chosen)
