"""The shape both networks of the first paper share: a chain of convolutions with one max-pooling, ending in labels."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow as tf

from dense_labels import compat


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class DilatedConv2D(tf.keras.layers.Conv2D):
    """A convolution that leaves dilation to the processor's own kernels.

    Keras moves every d-th pixel together before a dilated convolution and back after it, and so cannot join bias and
    activation to it. oneDNN dilates in place. Where TensorFlow has no gradient for that (a CPU without oneDNN, float16
    on a CPU) the layer does as Keras does.
    """

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Convolves, without bias and activation."""
        if not _dilates_in_place(inputs.dtype):
            return super().convolution_op(inputs, kernel)
        return tf.nn.conv2d(inputs, kernel, self.strides, self.padding.upper(), dilations=self.dilation_rate)


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class MirrorPadding2D(tf.keras.layers.Layer):
    """Goes on beyond the border with a mirror image, [B, H, W, C] -> [B, H + 2 P, W + 2 P, C], P at most H and W.

    Zeros tell a convolution where the frame ends, which a mirror image hardly does.
    """

    def __init__(self, padding: int, **kwargs):
        """Creates the layer; `padding` is P, in pixels of the layer's input."""
        super().__init__(**kwargs)
        self.padding = padding

    def call(self, inputs):
        around = [self.padding, self.padding]
        return tf.pad(inputs, [[0, 0], around, around, [0, 0]], "SYMMETRIC")

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, height, width, channels = input_shape
        height, width = (None if side is None else side + 2 * self.padding for side in (height, width))
        return (batch, height, width, channels)

    def get_config(self):
        return {**super().get_config(), "padding": self.padding}


@functools.cache
def _dilates_in_place(dtype: tf.DType) -> bool:
    """Says whether TensorFlow differentiates a dilated convolution of this dtype on this machine."""
    around = {"strides": [1, 1, 1, 1], "padding": "SAME", "dilations": [1, 2, 2, 1]}
    with tf.init_scope():  # at once, even where a graph is being built
        image, kernel = tf.ones([1, 5, 5, 1], dtype), tf.ones([3, 3, 1, 1], dtype)
        try:
            tf.raw_ops.Conv2DBackpropInput(input_sizes=image.shape, filter=kernel, out_backprop=image, **around)
            tf.raw_ops.Conv2DBackpropFilter(input=image, filter_sizes=kernel.shape, out_backprop=image, **around)
        except tf.errors.OpError:
            return False
    return True


def create(
    filters: Sequence[tuple[int, int, int]],
    label_size: int,
    *,
    stride: int,
    norm: str,
    activation: str,
    padding: str,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: str,
    name: str,
) -> tf.keras.Model:
    """Creates (h1,c1)+ (2,mp) down2 (h2,c2,d2)+ ... (1,L): max-pooling after the first convolution, sides kept.

    Args:
      filters: one `(size, filters, dilation)` for each convolution before the last.
      label_size: L, the length of a label.
      stride: side and stride of the max-pooling, so the side of a cell in pixels.
      norm: "none" (the paper) or "batch", before the activation.
      activation: "relu" (the paper) or "leaky_relu", whose negative slope is 0.2.
      padding: "zero" (the paper) or "mirror": what convolutions see beyond the border.
      mean: three floats, subtracted from images in [0, 1].
      std: three floats, which images are then divided by.
      dtype: Keras dtype or policy name of all convolutions but the last, such as "mixed_bfloat16".
      name: of the model.

    Returns:
      `tf.keras.Model` from images [B, H, W, 3] in [0, 1] to labels, float32 [B, H // stride, W // stride, label_size].
    """
    images = tf.keras.Input([None, None, 3], name="images")
    variance = [s * s for s in std]
    # bfloat16 makes convolutions faster, batch norm and leaky ReLU slower (on a CPU): these stay in float32.
    bare = norm == "none" and activation == "relu"
    between = "float32" if dtype == "mixed_bfloat16" and not bare else dtype
    x = tf.keras.layers.Normalization(mean=mean, variance=variance, dtype=dtype, name="normalise")(images)
    for index, (size, channels, dilation) in enumerate(filters, start=1):
        x = _convolution(x, size, channels, dilation, padding, dtype, f"conv{index}")
        if norm == "batch":
            x = compat.BatchNormalization(dtype=between, name=f"norm{index}")(x)
        x = _activation(activation, between, f"activation{index}")(x)
        if index == 1:
            x = tf.keras.layers.MaxPooling2D(stride, stride, dtype=dtype, name="pool")(x)
    # The labels of a trained network are long, and so are the steps of 16-bit numbers of their size: float32 here.
    labels = _convolution(x, 1, label_size, 1, "zero", "float32", "label")
    return tf.keras.Model(images, labels, name=name)


def _convolution(
    x: tf.Tensor, size: int, channels: int, dilation: int, padding: str, dtype: str, name: str
) -> tf.Tensor:
    if padding == "mirror":
        x = MirrorPadding2D(dilation * (size // 2), dtype=dtype, name=f"{name}_mirror")(x)
    layer = tf.keras.layers.Conv2D if dilation == 1 else DilatedConv2D
    return layer(
        channels,
        size,
        padding="valid" if padding == "mirror" else "same",
        dilation_rate=dilation,
        kernel_initializer="glorot_normal",
        dtype=dtype,
        name=name,
    )(x)


def _activation(name: str, dtype: str, layer_name: str) -> tf.keras.layers.Layer:
    if name == "leaky_relu":
        return tf.keras.layers.LeakyReLU(0.2, dtype=dtype, name=layer_name)
    return tf.keras.layers.ReLU(dtype=dtype, name=layer_name)
