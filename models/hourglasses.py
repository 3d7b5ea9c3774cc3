"""An hourglass: a map is pooled again and again and doubled again, with a short cut at each size.

As in "Stacked Hourglass Networks for Human Pose Estimation" (ECCV 2016), one of them, with the blocks of "Identity
Mappings in Deep Residual Networks" (ECCV 2016). A label sees nearly the whole image, in detail near its cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from dense_labels import compat

STRIDE = 2
_DEPTH = 4  # how often the map is pooled


def create(
    label_size: int, *, width: int, mean: Sequence[float], std: Sequence[float], dtype: str, name: str
) -> tf.keras.Model:
    """Creates the network.

    Args:
      label_size: L, the length of a label.
      width: channels of all maps; even.
      mean: three floats, subtracted from images in [0, 1].
      std: three floats, which images are then divided by.
      dtype: Keras dtype or policy name of all layers but the last, such as "mixed_bfloat16".
      name: of the model.

    Returns:
      `tf.keras.Model` from images [B, H, W, 3] in [0, 1] to labels, float32 [B, H // 2, W // 2, label_size].
    """
    images = tf.keras.Input([None, None, 3], name="images")
    variance = [s * s for s in std]
    x = tf.keras.layers.Normalization(mean=mean, variance=variance, dtype=dtype, name="normalise")(images)
    x = _convolution(x, width // 2, 7, dtype)
    x = tf.keras.layers.MaxPooling2D(STRIDE, STRIDE, dtype=dtype, name="pool")(x)
    x = _residual(x, width, dtype)
    x = _hourglass(x, _DEPTH, width, dtype)
    x = _convolution(_activated(_residual(x, width, dtype), dtype), width, 1, dtype)
    labels = tf.keras.layers.Conv2D(label_size, 1, dtype="float32", name="label")(_activated(x, dtype))
    return tf.keras.Model(images, labels, name=name)


def _hourglass(x, depth, width, dtype):
    """Adds what half the size shows, and what half of that shows, and so on, to what a block makes of a map."""
    fine = _residual(x, width, dtype)
    x = tf.keras.layers.MaxPooling2D(2, 2, padding="same", dtype=dtype)(x)
    x = _residual(x, width, dtype)
    x = _hourglass(x, depth - 1, width, dtype) if depth > 1 else _residual(x, width, dtype)
    x = _residual(x, width, dtype)
    return tf.keras.layers.Add(dtype=dtype)([fine, Repeated(dtype=dtype)([x, fine])])


def _residual(x, width, dtype):
    """Adds to a map what three convolutions make of it, through half the channels."""
    added = x
    for channels, size in ((width // 2, 1), (width // 2, 3), (width, 1)):
        added = _convolution(_activated(added, dtype), channels, size, dtype)
    if x.shape[-1] != width:
        x = _convolution(x, width, 1, dtype)
    return tf.keras.layers.Add(dtype=dtype)([x, added])


def _convolution(x, channels, size, dtype):
    options = {"padding": "same", "kernel_initializer": "he_normal", "dtype": dtype}
    return tf.keras.layers.Conv2D(channels, size, **options)(x)


def _activated(x, dtype):
    return tf.keras.layers.ReLU(dtype=dtype)(compat.BatchNormalization(dtype=dtype)(x))


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class Repeated(tf.keras.layers.Layer):
    """Repeats the cells of a map until it is as large as another, which may be one less than twice as large."""

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Returns the map [B, H, W, C], given one [B, (H + 1) // 2, (W + 1) // 2, C] and another [B, H, W, C]."""
        maps, like = inputs
        height, width = tf.unstack(tf.shape(like)[1:3])
        return tf.repeat(tf.repeat(maps, 2, axis=1), 2, axis=2)[:, :height, :width]

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape[1])
