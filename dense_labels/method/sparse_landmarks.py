"""Sparse landmarks: K heat maps of a network, read as landmarks, and the loss that they are learned by.

Thewlis, Bilen and Vedaldi, "Unsupervised learning of object landmarks by factorized spatial embeddings", ICCV 2017: the
system that both of our papers compare with. A softmax over all cells u of a heat map makes it a probability map
p(u|x, r) of landmark r in image x, and the landmark is its mean, sum_u u p(u|x, r).

Convention: places are those of `geometry`; g takes places of image A to image B, as `points_in_b` says.
"""

from __future__ import annotations

import tensorflow as tf

from dense_labels.method import geometry
from dense_labels.method.pair_loss import PairLoss

_UNSEEN = -1e9  # added to the response of a cell that does not count: its probability is 0


def probability_maps(heat_maps: tf.Tensor, seen: tf.Tensor | None = None) -> tf.Tensor:
    """Makes each heat map a distribution over its cells: p(u|x, r).

    Args:
      heat_maps: float [B, h, w, K], responses of the landmarks.
      seen: [B, h, w], above 0 for the cells that count; others have probability 0. None: all count, as they do in an
        image of which no cell is seen.

    Returns:
      float [B, h, w, K]; each map adds up to 1.

    Raises:
      ValueError: if the heat maps are not of rank 4.
    """
    if heat_maps.shape.rank != 4:
        raise ValueError(f"heat maps must be [B, h, w, K]; found {heat_maps.shape}")
    if seen is not None:
        none = tf.constant(max(_UNSEEN, float(heat_maps.dtype.min)), heat_maps.dtype)
        heat_maps = tf.where(seen[..., tf.newaxis] > 0, heat_maps, none)
    shape = tf.shape(heat_maps)
    flat = tf.nn.softmax(tf.reshape(heat_maps, [shape[0], -1, shape[3]]), axis=1)
    return tf.reshape(flat, shape)


def mean_places(maps: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Returns the mean of places under probability maps: sum_u places(u) p(u|x, r).

    Args:
      maps: float [B, h, w, K], each adding up to 1.
      places: float [B or 1, h, w, C], such as (x, y) of each cell.

    Returns:
      float [B, K, C].
    """
    # Sums of products, not a matrix product, which GPUs round to ten bits: places would be off by tenths of a pixel.
    return tf.reduce_sum(maps[..., tf.newaxis] * places[..., tf.newaxis, :], axis=[1, 2])


def landmarks(heat_maps: tf.Tensor, stride: float) -> tf.Tensor:
    """Returns the landmarks that heat maps stand for, sum_u u p(u|x, r).

    Args:
      heat_maps: float [B, h, w, K].
      stride: side of a cell in pixels.

    Returns:
      float [B, K, 2], (x, y) in pixels of the image.

    Raises:
      ValueError: as `probability_maps`.
    """
    maps = probability_maps(heat_maps)
    centres = geometry.cell_centres(tf.shape(maps)[1], tf.shape(maps)[2], stride)
    return mean_places(maps, tf.cast(centres, maps.dtype)[tf.newaxis])


def alignment(maps_a: tf.Tensor, maps_b: tf.Tensor, points_in_b: tf.Tensor, stride: float) -> tf.Tensor:
    """Measures how far each landmark of A, carried to B, is from that of B: the paper's loss of probability maps.

    It is sum_u sum_v |v - g(u)|^2 p(u|A, r) p(v|B, r), worked out as E|g(u)|^2 + E|v|^2 - 2 <E g(u), E v>. So it is 0
    only where both maps are single cells that move with the object: it asks for certainty too.

    Args:
      maps_a: float [B, h, w, K], probability maps of images A.
      maps_b: float [B, h, w, K], those of images B.
      points_in_b: [B, h, w, 2], g(u): where each cell of A is found in B, (x, y) in pixels of B.
      stride: side of a cell in pixels.

    Returns:
      float [B, K], in square pixels.
    """
    shape, dtype = tf.shape(maps_b), maps_b.dtype
    centres = tf.cast(geometry.cell_centres(shape[1], shape[2], stride), dtype)
    middle = tf.cast(shape[2:0:-1], dtype) * (stride / 2)  # places are counted from it: squares lose fewer digits
    of_a = mean_places(maps_a, _with_squares(tf.cast(points_in_b, dtype) - middle))
    of_b = mean_places(maps_b, _with_squares(centres - middle)[tf.newaxis])
    together = tf.reduce_sum(of_a[..., :2] * of_b[..., :2], axis=-1)
    return of_a[..., 2] + of_b[..., 2] - 2 * together


def diversity(maps: tf.Tensor, patch: int) -> tf.Tensor:
    """Measures how far landmarks share their places: K - sum_u max_r p(u|x, r), on maps summed over patches.

    It is 0 where no two maps share a patch and K - 1 where all are alike.

    Args:
      maps: float [B, h, w, K], probability maps.
      patch: side in cells of the square patches that the maps are summed over first, side by side; the last ones may
        reach beyond the map. 1: the cells themselves.

    Returns:
      float [B].
    """
    shape = tf.shape(maps)
    down, right = -shape[1] % patch, -shape[2] % patch
    padded = tf.pad(maps, [[0, 0], [0, down], [0, right], [0, 0]])
    rows, columns = (shape[1] + down) // patch, (shape[2] + right) // patch
    pooled = tf.reduce_sum(tf.reshape(padded, [shape[0], rows, patch, columns, patch, shape[3]]), axis=[2, 4])
    return tf.cast(shape[3], maps.dtype) - tf.reduce_sum(tf.reduce_max(pooled, axis=-1), axis=[1, 2])


def _with_squares(places: tf.Tensor) -> tf.Tensor:
    """Joins places [..., 2] and their squared distances from the origin: [..., 3]."""
    return tf.concat([places, tf.reduce_sum(tf.square(places), axis=-1, keepdims=True)], axis=-1)


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class SparseLandmarksLoss(PairLoss):
    """Alignment and diversity of the landmarks of pairs; adds the mean loss of the batch to the model.

    Call it on `(heat_maps_a, heat_maps_b, points_in_b, visible)`, as `losses.MatchingLoss`, the heat maps in the place
    of labels. The loss of a pair is the `alignment`, averaged over the landmarks, plus a weight times the `diversity`
    of A and that of B. Of A only the visible cells count in the alignment: elsewhere nobody knows g.

    It returns a dictionary of [B] tensors: `loss`; `matching_error`, the mean distance in pixels between the landmarks
    of A, carried to B, and those of B; both without the alignment where no cell is visible; and `visible_cells`.
    """

    def __init__(self, stride: int, *, diversity: float, patch: int, **kwargs):
        """Creates the layer.

        Args:
          stride: side of a cell in pixels.
          diversity: weight of the diversity, in square pixels; 0 or more.
          patch: as of `diversity`, in cells.
          **kwargs: of `PairLoss`.

        Raises:
          ValueError: if the weight is below 0, or the patch below 1.
        """
        super().__init__(**kwargs)
        if not diversity >= 0:
            raise ValueError(f"diversity={diversity}: must be at least 0")
        if patch < 1:
            raise ValueError(f"patch={patch}: must be at least 1 cell")
        self.stride, self.diversity, self.patch = stride, float(diversity), int(patch)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Compares the heat maps of pairs; see the class.

        Raises:
          ValueError: if the shapes do not fit together.
        """
        heat_maps_a, heat_maps_b, points_in_b, visible = inputs
        _check_shapes(heat_maps_a, heat_maps_b, points_in_b, visible)
        visible = tf.cast(visible, heat_maps_a.dtype)  # sums of small integers would wrap around
        inside = geometry.covered(points_in_b, tf.shape(heat_maps_b)[1], tf.shape(heat_maps_b)[2], self.stride)
        visible = tf.where(inside, visible, tf.zeros_like(visible))
        visible_cells = tf.reduce_sum(visible, axis=[1, 2])
        known = tf.cast(visible_cells > 0, visible.dtype)
        points_in_b = tf.where(visible[..., tf.newaxis] > 0, points_in_b, 0)  # others may be anywhere, and no numbers
        maps_a, maps_b = probability_maps(heat_maps_a, visible), probability_maps(heat_maps_b)
        aligned = tf.reduce_mean(alignment(maps_a, maps_b, points_in_b, self.stride), axis=-1)
        whole_a = probability_maps(heat_maps_a)
        shared = diversity(whole_a, self.patch) + diversity(maps_b, self.patch)
        loss = known * aligned + self.diversity * shared
        carried = mean_places(maps_a, points_in_b)
        error = tf.reduce_mean(tf.norm(carried - landmarks(heat_maps_b, self.stride), axis=-1), axis=-1)
        self.add_mean(loss)
        return {"loss": loss, "matching_error": known * error, "visible_cells": visible_cells}

    def get_config(self) -> dict:
        """Returns the arguments that make the layer again."""
        return {**super().get_config(), "stride": self.stride, "diversity": self.diversity, "patch": self.patch}


def _check_shapes(heat_maps_a: tf.Tensor, heat_maps_b: tf.Tensor, points_in_b: tf.Tensor, visible: tf.Tensor) -> None:
    if heat_maps_a.shape.rank != 4 or not heat_maps_a.shape.is_compatible_with(heat_maps_b.shape):
        raise ValueError(
            f"heat maps of A and B must be [B, h, w, K]; found {heat_maps_a.shape} and {heat_maps_b.shape}"
        )
    cells = heat_maps_a.shape[:-1]
    if not cells.is_compatible_with(visible.shape):
        raise ValueError(f"visible must be of shape {cells}; found {visible.shape}")
    if not (cells + [2]).is_compatible_with(points_in_b.shape):
        raise ValueError(f"points_in_b must be of shape {cells + [2]}; found {points_in_b.shape}")
