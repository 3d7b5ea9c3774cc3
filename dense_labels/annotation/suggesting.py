"""Where landmarks that are annotated in a few pictures lie in others, by their labels.

`reporting/templates/suggesting.js` does the same in the annotation page; a test holds one against the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from dense_labels.annotation import refining
from dense_labels.batches import Frame, LabelMap
from dense_labels.method import geometry, matching

WINDOW = 3  # cells about the most probable one, on each side, over which the expected place is taken
FINER = 4  # scores are interpolated to so many places along each side of a cell


def in_pictures(
    labels: LabelMap,
    frame: Frame,
    pictures: Iterable[np.ndarray],
    points: np.ndarray,
    annotated: np.ndarray,
    targets: Sequence[int],
    *,
    exactly: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the landmarks of some pictures in others, as the annotation page suggests them.

    Args:
      labels: of N pictures.
      frame: in which the network saw them.
      pictures: the upright pictures, uint8 [H, W, 3], one at a time.
      points: [N, K, 2], in continuous pixels of the pictures.
      annotated: [N, K], above 0 where a landmark is annotated; each of them is in one picture at least.
      targets: indices of the M pictures whose other landmarks are looked for.
      exactly: whether the detail of the pictures has a say, see `refining`, or labels alone.

    Returns:
      `(points, probability)`: float32 [M, K, 2] in pixels of the pictures, inside them; and [M, K], of the labels.
    """
    full, known = np.array(frame.full_size[::-1]), np.asarray(annotated) > 0
    height, width = (side / frame.stride for side in frame.full_size)
    sizes, greys = [], []
    for picture in pictures:
        sizes.append(picture.shape[1::-1])
        greys.append(refining.grey(picture, (height, width)))
    scale = np.array(sizes)[:, np.newaxis] / full  # [N, 1, 2], along x and y
    shown = points / scale
    mean_labels = geometry.mean_labels(labels.values, shown - frame.margin, known, labels.stride)
    found, probability = suggest(labels[list(targets)], mean_labels)
    places = found + frame.margin
    if exactly:
        finer = np.array(greys[0].shape[::-1]) / full
        given = zip(targets, places * finer, probability)
        places = np.stack([refining.refine(greys, shown * finer, known, *each) for each in given]) / finer
    placed = np.clip(places * scale[list(targets)], 0, np.array(sizes)[list(targets), np.newaxis])
    return placed.astype(np.float32), probability


def suggest(labels: LabelMap, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds landmarks in label maps: the expected place under equation (3) in a window about the most probable cell.

    Scores are interpolated between cells, which is the same as interpolating labels, for a score is linear in them.

    Args:
      labels: of N pictures.
      vectors: [K, L], of the landmarks.

    Returns:
      `(points, probability)`: float32 [N, K, 2], (x, y) in pixels of the network's input, and [N, K], that of the most
      probable cell.
    """
    rows, columns = labels.cells
    flat = tf.reshape(tf.cast(labels.values, tf.float32), [len(labels), -1, labels.length])
    given = tf.tile(tf.cast(vectors, tf.float32)[tf.newaxis], [len(labels), 1, 1])
    log_probability = matching.match_log_probability(given, flat)  # [N, K, h * w]
    maps = tf.reshape(tf.transpose(log_probability, [0, 2, 1]), [len(labels), rows, columns, -1])
    fine = geometry.upsample(maps, FINER)
    best = tf.argmax(log_probability, axis=-1).numpy()
    window = _window(best, rows, columns)  # [N, h, w, K]
    fine_window = window.repeat(FINER, axis=1).repeat(FINER, axis=2)
    weights = tf.where(fine_window, fine, -np.inf)
    weights = tf.nn.softmax(tf.reshape(weights, [len(labels), -1, weights.shape[-1]]), axis=1)
    centres = tf.reshape(geometry.cell_centres(FINER * rows, FINER * columns, labels.stride / FINER), [-1, 2])
    points = tf.einsum("nmk,mc->nkc", weights, centres)
    return points.numpy(), tf.exp(tf.reduce_max(log_probability, axis=-1)).numpy()


def _window(best, rows, columns):
    """Whether each cell lies in the window about the most probable one, [N, h, w, K]."""
    row, column = (part[:, np.newaxis, np.newaxis] for part in np.divmod(best, columns))
    near_row = np.abs(np.arange(rows)[:, np.newaxis, np.newaxis] - row) <= WINDOW
    near_column = np.abs(np.arange(columns)[np.newaxis, :, np.newaxis] - column) <= WINDOW
    return near_row & near_column
