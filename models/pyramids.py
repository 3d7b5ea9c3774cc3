"""Feature pyramids: published trunks whose maps of strides 16, 8 and 4 are joined, from the deepest to the finest.

As in "Feature Pyramid Networks for Object Detection" (CVPR 2017), but joined by concatenation and a convolution, as in
a U-Net. Labels and the heat maps of a detector are both read from the finest map.

The maps are joined as the trunk gives them, whose cells lie off their nominal places: in MobileNetV2 by 1.5, 3.5 and
7.5 px at strides 4, 8 and 16, down and to the right, in ResNet-50 as far up and to the left. What follows learns this.
"""

from __future__ import annotations

import contextlib
import itertools

import h5py
import tensorflow as tf

from dense_labels import compat
from models import trunks

STRIDE = 4  # side of a cell of the features, in pixels of the image
MULTIPLE = 16  # the stride of the deepest map: images whose sides are multiples of it are not padded
CHANNELS = 64  # of the features
_TAPS = {  # trunk -> the layers whose maps have strides 4, 8 and 16
    "mobilenet_v2": ("block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu"),
    "resnet50": ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out"),
}
TRUNKS = tuple(_TAPS)
GENERAL = {"mobilenet_v2": "block_3_project_BN", "resnet50": "conv2_block3_out"}  # up to here trunks suit any picture
_WIDTHS = (CHANNELS, 96, 128)  # channels of the features at strides 4, 8 and 16
_JOINED = (32, 64)  # channels of the trunk's own maps at strides 4 and 8


def features(
    trunk: str,
    *,
    weights: str,
    frozen_norms: bool,
    frozen: str = "",
    seed: int | None = None,
    dtype: str = "float32",
) -> tf.keras.Model:
    """Creates the trunk and what up-samples it.

    Args:
      trunk: one of `TRUNKS`.
      weights: "imagenet" (Keras downloads them), the path of a Keras .h5 file of the trunk without its top, or "none"
        for random ones.
      frozen_norms: whether the batch norms of the trunk keep what they are.
      frozen: name of the last layer of the trunk that keeps what it is, and all before it; none where it is empty.
      seed: of the other weights; None: that of `tf.keras.utils.set_random_seed`.
      dtype: Keras dtype or policy name of all layers.

    Returns:
      `tf.keras.Model` from images float32 [B, H, W, 3] in [0, 1] to features [B, H // 4, W // 4, 64].

    Raises:
      ValueError: if there is no such trunk or layer, or the file holds no weights of it.
    """
    if trunk not in _TAPS:
        raise ValueError(f"there is no pyramid of {trunk!r}; choose {', '.join(map(repr, _TAPS))}")
    body = trunks.cut(trunk, _TAPS[trunk], weights, 16, dtype)
    trunks.freeze(body, frozen, norms=frozen_norms)
    images = tf.keras.Input([None, None, 3], name="images")
    at_4, at_8, at_16 = body(trunks.PlainImages(trunk, 1, dtype=dtype)(ToMultiple(dtype=dtype)(images)))
    values = CutTo(dtype=dtype)([_joined_up(at_4, at_8, at_16, seed, dtype), images])
    return tf.keras.Model(images, values, name=f"pyramid_{trunk}")


def fetch(trunk: str, weights: str) -> None:
    """Downloads the weights of ImageNet where these are asked for and not there; raises a ValueError if that fails."""
    if weights == "imagenet":
        trunks.cut(trunk, _TAPS[trunk], weights, 16, "float32")


def trunk_of(weights: str) -> str:
    """Says which of `TRUNKS` weights are of: "imagenet" and "none" of the first, a Keras .h5 file by its layers.

    Raises:
      ValueError: if there is no such file, or it holds no weights of a trunk.
    """
    if weights in ("imagenet", "none"):
        return TRUNKS[0]
    trunks.check_weights(weights)
    try:
        with h5py.File(weights) as file:
            layers = set(file.get("model_weights", file))
    except OSError as error:
        raise ValueError(f"weights={weights}: is no Keras .h5 file ({error})") from error
    for trunk, taps in _TAPS.items():
        if {name.replace("_relu", "").replace("_out", "_1_conv") for name in taps} <= layers:
            return trunk
    for trunk in TRUNKS:  # other layouts, such as that of .weights.h5, do not name the layers
        with contextlib.suppress(ValueError):
            trunks.cut(trunk, _TAPS[trunk], weights, 16, "float32")
            return trunk
    raise ValueError(f"weights={weights}: holds no weights of {' or '.join(TRUNKS)} without its top")


def _joined_up(at_4, at_8, at_16, seed, dtype):
    seeds = ((100 * seed + k) % 2**31 for k in itertools.count()) if seed is not None else None

    def block(values, width, kernel):
        random = tf.keras.initializers.GlorotUniform(seed=next(seeds) if seeds else None)
        options = {"padding": "same", "use_bias": False, "kernel_initializer": random, "dtype": dtype}
        values = tf.keras.layers.Conv2D(width, kernel, **options)(values)
        values = compat.BatchNormalization(momentum=trunks.MOMENTUM, dtype=dtype)(values)
        return tf.keras.layers.ReLU(dtype=dtype)(values)

    def joined(deep, own, width, own_width):
        finer = Doubled(dtype=dtype)(deep)
        both = tf.keras.layers.Concatenate(dtype=dtype)([finer, block(own, own_width, 1)])
        return block(both, width, 3)

    values = block(at_16, _WIDTHS[2], 1)
    values = joined(values, at_8, _WIDTHS[1], _JOINED[1])
    return joined(values, at_4, _WIDTHS[0], _JOINED[0])


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class ToMultiple(tf.keras.layers.Layer):
    """Mirrors images at their right and bottom until their sides are multiples of 16."""

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Returns the images [B, H, W, C], padded."""
        down, right = (-side % MULTIPLE for side in _sides(images))
        return tf.pad(images, [[0, 0], [0, down], [0, right], [0, 0]], "SYMMETRIC")


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class CutTo(tf.keras.layers.Layer):
    """Cuts features off that lie in the padding."""

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Returns the features [B, H // 4, W // 4, C], given padded ones and the images [B, H, W, 3]."""
        features, images = inputs
        height, width = (side // STRIDE for side in _sides(images))
        return features[:, :height, :width]


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class Doubled(tf.keras.layers.Layer):
    """Makes maps twice as high and wide, bilinearly; Keras' `UpSampling2D` must know their size."""

    def call(self, maps: tf.Tensor) -> tf.Tensor:
        """Returns the maps [B, 2 h, 2 w, C]."""
        return tf.cast(tf.image.resize(maps, [2 * side for side in _sides(maps)]), maps.dtype)


def _sides(maps: tf.Tensor) -> list[int | tf.Tensor]:
    """The height and width of maps [B, H, W, C]: numbers where they are known before anything is computed."""
    sides = tf.unstack(tf.shape(maps)[1:3])
    return [computed if known is None else known for known, computed in zip(maps.shape[1:3], sides)]


def labels(trunk: str, label_size: int, *, weights: str, dtype: str) -> tf.keras.Model:
    """Creates a network whose labels are a linear map of the features.

    Args:
      trunk, weights, dtype: as in `features`; the labels are float32 whatever the dtype. The batch norms of a trunk
        whose weights were trained keep what they are.
      label_size: L.

    Returns:
      `tf.keras.Model` from images float32 [B, H, W, 3] in [0, 1] to labels, float32 [B, H // 4, W // 4, L].

    Raises:
      ValueError: as `features`.
    """
    body = features(trunk, weights=weights, frozen_norms=weights != "none", dtype=dtype)
    found = tf.keras.layers.Conv2D(label_size, 1, use_bias=False, dtype="float32", name="label")(body.output)
    return tf.keras.Model(body.input, found, name="pyramid")
