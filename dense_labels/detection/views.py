"""Views of annotated images: warped, recoloured and mirrored, with their landmarks; endless, and the same each time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dense_labels.batches import Array, LabelledLandmarks
from dense_labels.compat import without_autograph
from dense_labels.config import ViewsConfig
from dense_labels.detection import sides
from dense_labels.registry import WARPS
from input_pipeline import order as order_lib
from input_pipeline.views import pairs

_ANY_STRIDE = 16  # the cells are not used
_STRENGTH = 1.5  # of the warps; two thirds of them turn the image by less than 8 degrees


class AnnotatedViews(NamedTuple):
    """Views of annotated images."""

    images: Array  # float32 [B, H, W, 3] in [0, 1]
    landmarks: Array  # float32 [B, K, 2], (x, y) in pixels of the view
    known: Array  # float32 [B, K]: 1 where the landmark is annotated and the view shows it, else 0


@without_autograph
def batches(
    known: LabelledLandmarks,
    views: ViewsConfig,
    *,
    flip_pairs: Sequence[tuple[int, int]],
    batch_size: int,
    seed: int,
) -> tf.data.Dataset:
    """Makes endless batches of views, two of each image that is drawn; all images are drawn in turn.

    Args:
      known: annotated images, uint8 [N, H, W, 3], as label maps of stride 1.
      views: how colours are changed, and what lies beyond the border.
      flip_pairs: landmarks that a mirror exchanges. Without any no image is mirrored: which landmarks a mirror
        exchanges is not known then.
      batch_size: views, an even number.
      seed: of the order and of the views.

    Returns:
      `tf.data.Dataset` of AnnotatedViews.
    """
    images = known.labels.values
    settings = dataclasses.replace(
        views, warp="tps", strength=_STRENGTH, projective=0.0, shift=0.0, flip=bool(flip_pairs)
    )
    order = sides.exchanged(known.landmarks.shape[1], flip_pairs)
    landmarks = tf.constant(np.where(known.annotated[..., np.newaxis] > 0, known.landmarks, 0), tf.float32)
    annotated = tf.constant(known.annotated, tf.float32)

    def drawn(index, seed):
        pictures = tf.numpy_function(lambda rows: np.take(images, rows, axis=0), [index], tf.uint8, stateful=False)
        pictures = tf.ensure_shape(pictures, [None, *known.labels.cells, 3])
        return _views(pictures, tf.gather(landmarks, index), tf.gather(annotated, index), seed, settings, order)

    indices = tf.data.Dataset.counter().flat_map(order_lib.shuffled(len(images), seed))
    return indices.batch(batch_size // 2).map(drawn, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _views(pictures, landmarks, annotated, seeds, views, order) -> AnnotatedViews:
    """Two views of each picture; in a mirror image the landmarks have the order that is given."""
    size, seed, flip = tuple(pictures.shape[1:3]), 3 * seeds, views.flip
    maps = WARPS[views.warp].value(seed, size, stride=_ANY_STRIDE, crop=0, strength=views.strength, views=views)
    pair = pairs.pair_from_maps(pictures, seed, maps, border=views.border, flip=flip)
    pair = pairs.recolour(pair, seeds, views)
    found = pairs.landmarks_in_views(landmarks, seed, maps, size, flip=flip)
    images = tf.concat([pair.image_a, pair.image_b], axis=0)
    places = tf.concat([found.landmarks_a, found.landmarks_b], axis=0)
    known = tf.concat([found.visible_a * annotated, found.visible_b * annotated], axis=0)
    if flip:
        mirrored = tf.tile(pairs.mirrored(seed), [2])[:, tf.newaxis]
        places = tf.where(mirrored[..., tf.newaxis], tf.gather(places, order, axis=1), places)
        known = tf.where(mirrored, tf.gather(known, order, axis=1), known)
    return AnnotatedViews(images, places, known)
