"""Trunks of the second paper: published image classifiers without their top, as maps of features.

Their pre-processing is inside, so they take plain images. Cell (i, j) of a map lies at ((j + 0.5) s, (i + 0.5) s), to
within half a pixel: Keras' MobileNetV2 and ResNet-50 pad on one side where they halve a map, which moves the cells of
stride s by (s - 1) / 2 pixels, half a cell; so the image is moved the other way by s / 2 before it enters.

The trunks and their strides are listed in `models.networks.introspection.TRUNKS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import tensorflow as tf

from dense_labels import compat
from dense_labels.method import geometry, introspection_loss
from models.networks.introspection import TRUNKS

_APPLICATIONS = {
    "mobilenet_v2": tf.keras.applications.MobileNetV2,
    "resnet50": tf.keras.applications.ResNet50,
    "vgg16": tf.keras.applications.VGG16,
}
ENDS = {"mobilenet_v2": "block_13_expand_relu", "resnet50": "conv5_block3_out", "vgg16": "block4_pool"}
_FIRST_CELL = {  # where the first cell of a map of stride s lies, in pixels
    "mobilenet_v2": lambda s: s - 0.5,
    "resnet50": lambda s: 0.5,
    "vgg16": lambda s: s / 2,
}
MOMENTUM = 0.9  # of moving statistics: that of the releases is for a million steps, and here a few hundred must do
_CAFFE_MEAN = (123.68, 116.779, 103.939)  # red, green, blue; of ImageNet, from 0 to 255
# (trunk, stride) -> layers that lose their stride, and how the names of the layers begin that are dilated for it
_NO_STRIDE = {
    ("mobilenet_v2", 8): (("block_6_depthwise",), [f"block_{n}_" for n in range(7, 17)]),
    ("resnet50", 16): (("conv5_block1_0_conv", "conv5_block1_1_conv"), ["conv5_"]),
}


def create(
    name: str, *, weights: str = "none", stride: int = 16, frozen: str = "", dtype: str = "float32"
) -> tf.keras.Model:
    """Creates a trunk that ends at one map.

    "resnet50": up to the rectified res5c, with res5 dilated by 2 at stride 1 (section 3.6). "vgg16": up to pool4.
    "mobilenet_v2": up to the rectified expansion of block 13; at stride 8, block 6 does not halve the map and those
    after it are dilated by 2, so that every other cell is what it is at stride 16.

    Batch norms of weights that were trained keep their statistics and factors; those of random ones are trained.

    Args:
      name: one of `TRUNKS`.
      weights: "imagenet" (Keras downloads them), the path of a Keras .h5 file of the classifier without its top, or
        "none", for random ones.
      stride: of the map in pixels: one of `TRUNKS[name]`.
      frozen: name of the last layer that is not trained, as in `tf.keras.applications`; those before it are not trained
        either. "": all are trained.
      dtype: Keras dtype or policy name of all layers.

    Returns:
      `tf.keras.Model` from images [B, H, W, 3] in [0, 1] to features [B, H // stride, W // stride, C].

    Raises:
      ValueError: if there is no such trunk, stride or layer, or the file holds no weights of this trunk.
    """
    trunk = cut(name, [ENDS[name]] if name in ENDS else [], weights, stride, dtype)
    freeze(trunk, frozen, norms=weights != "none")
    images = tf.keras.Input([None, None, 3], name="images")
    maps = tf.nest.flatten(trunk(PlainImages(name, stride, dtype=dtype)(images)))  # a list of one in Keras 3
    (cells,) = Cells(name, (stride,), stride, dtype="float32")([images, *maps])
    return tf.keras.Model(images, cells, name=f"trunk_{name}")


def features(
    name: str, layers: Sequence[str], *, weights: str = "none", dtype: str = "float32"
) -> tuple[tf.keras.Model, int]:
    """Creates a baseline: layers of a trunk as unit descriptors.

    Several make a hypercolumn (Hariharan et al., CVPR 2015): each is read bilinearly at the cells of the finest and
    made unit length, and all are joined.

    Args:
      name, weights, dtype: as in `create`; the stride is the trunk's own, ResNet-50's being 16.
      layers: names of layers as in `tf.keras.applications`.

    Returns:
      `(network, stride)`: `tf.keras.Model` from images [B, H, W, 3] in [0, 1] to float32 [B, H // stride, W // stride,
      C], of unit length; and the stride, an int.

    Raises:
      ValueError: as `create`.
    """
    trunk = cut(name, list(layers), weights, 16, dtype)
    strides = [_stride(tf.keras.Model(trunk.input, output)) for output in trunk.outputs]
    images = tf.keras.Input([None, None, 3], name="images")
    maps = tf.nest.flatten(trunk(PlainImages(name, max(strides), dtype=dtype)(images)))
    cells = Cells(name, tuple(strides), max(strides), dtype="float32")([images, *maps])
    joined = UnitLength(dtype="float32")(cells)
    return tf.keras.Model(images, joined, name=f"features_{name}"), min(strides)


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class PlainImages(tf.keras.layers.Layer):
    """Prepares images in [0, 1] for a trunk, with the room around them that moves its cells to where they should be."""

    def __init__(self, trunk: str, stride: int, **kwargs):
        """Creates the layer for a trunk, by name, and its largest stride."""
        super().__init__(**kwargs)
        self.trunk, self.stride = trunk, stride

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Returns what the trunk takes, [B, H + room, W + room, 3]."""
        if self.trunk == "mobilenet_v2":
            values = 2.0 * images - 1.0
        else:  # as Caffe has it
            values = (255.0 * images - tf.constant(_CAFFE_MEAN, images.dtype))[..., ::-1]
        if self.trunk == "vgg16":
            return values
        room = self.stride // 2  # before, and for ResNet-50, whose first cell then lies in it, as much after
        # MobileNetV2 pads odd sides before too, which would move their cells: one pixel more makes them even.
        sides = [values.shape[axis] or tf.shape(values)[axis] for axis in (1, 2)]
        more = [side % 2 if self.trunk == "mobilenet_v2" else 0 for side in sides]
        around = [[0, 0], *([room, room + one] for one in more), [0, 0]]
        return tf.pad(values, around, "SYMMETRIC")

    def get_config(self) -> dict:
        """Returns the arguments that make the layer again."""
        return {**super().get_config(), "trunk": self.trunk, "stride": self.stride}


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class Cells(tf.keras.layers.Layer):
    """Reads the maps of a trunk at the cells of the image, at the finest of their strides.

    A map whose cells are those of the image but for the room around it is cut; others are read bilinearly.
    """

    def __init__(self, trunk: str, strides: Sequence[int], largest: int, **kwargs):
        """Creates the layer for a trunk, by name, the strides of its maps, and the stride `PlainImages` was given."""
        super().__init__(**kwargs)
        self.trunk, self.strides, self.largest = trunk, tuple(strides), largest

    def call(self, inputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the maps [B, H // finest, W // finest, C], given the images [B, H, W, 3] and the trunk's maps."""
        images, *maps = inputs
        finest = min(self.strides)
        height, width = (tf.shape(images)[axis] // finest for axis in (1, 2))
        return [self._cells(each, stride, finest, height, width) for each, stride in zip(maps, self.strides)]

    def _cells(self, values: tf.Tensor, stride: int, finest: int, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        room = 0 if self.trunk == "vgg16" else self.largest // 2
        first = _FIRST_CELL[self.trunk](stride) - room  # where the first cell lies in the image
        skipped = (stride / 2 - first) / stride
        if stride == finest and abs(skipped - round(skipped)) <= 0.5 / stride:
            begin = round(skipped)
            return values[:, begin : begin + height, begin : begin + width]
        centres = tf.reshape(geometry.cell_centres(height, width, finest), [1, -1, 2]) - (first - stride / 2)
        points = tf.tile(centres, [tf.shape(values)[0], 1, 1])
        read = geometry.bilinear_sample(values, points, stride)
        return tf.reshape(read, [-1, height, width, values.shape[-1]])

    def get_config(self) -> dict:
        """Returns the arguments that make the layer again."""
        return {**super().get_config(), "trunk": self.trunk, "strides": self.strides, "largest": self.largest}


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class UnitLength(tf.keras.layers.Layer):
    """Makes each of several maps unit length and joins them into one of unit length."""

    def call(self, maps: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns float32 [B, h, w, C], C being the sum of the channels of all maps; Keras 2 may give one alone."""
        unit = [introspection_loss.split_labels(tf.cast(each, tf.float32))[0] for each in tf.nest.flatten(maps)]
        return tf.math.l2_normalize(tf.concat(unit, axis=-1), axis=-1)


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class PickedConv2D(tf.keras.layers.Conv2D):
    """A strided convolution by filters of one pixel, which picks the pixels that it reads first.

    oneDNN, left to skip them, writes beyond its memory in the gradient where a side is even (TensorFlow 2.15 to 2.21).
    """

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Convolves, without bias and activation."""
        rows, columns = self.strides
        return tf.nn.conv2d(inputs[:, ::rows, ::columns], kernel, 1, "VALID")


def cut(name: str, layers: Sequence[str], weights: str, stride: int, dtype: str) -> tf.keras.Model:
    """Returns the classifier up to some of its layers, with other strides and another dtype than it was published with.

    Args:
      name, weights, stride, dtype: as in `create`.
      layers: names of layers as in `tf.keras.applications`.

    Returns:
      `tf.keras.Model` from what `PlainImages` makes of images to the maps of the layers.

    Raises:
      ValueError: as `create`.
    """
    if name not in TRUNKS:
        raise ValueError(f"there is no trunk {name!r}; choose {', '.join(map(repr, TRUNKS))}")
    if stride not in TRUNKS[name]:
        raise ValueError(f"stride={stride}: {name} has stride {' or '.join(map(str, TRUNKS[name]))}")
    whole = _load(name, weights)
    known = [layer.name for layer in whole.layers]
    for layer in layers:
        if layer not in known:
            raise ValueError(f"{name} has no layer {layer!r}; its layers are {', '.join(known)}")
        if isinstance(whole.get_layer(layer), tf.keras.layers.ZeroPadding2D):
            raise ValueError(f"{layer} of {name} pads a map, so that its cells lie elsewhere; give the layer before it")
    plain = tf.keras.Model(whole.input, [whole.get_layer(layer).output for layer in layers])
    trunk = tf.keras.models.clone_model(plain, clone_function=_changes(name, stride, dtype))
    trunk.set_weights(plain.get_weights())
    return trunk


def _changes(name: str, stride: int, dtype: str) -> Callable[[tf.keras.layers.Layer], tf.keras.layers.Layer]:
    """Returns the function that copies a layer with the stride, the dilation and the dtype of a trunk."""
    unstrided, dilated = _NO_STRIDE.get((name, stride), ((), []))

    def changed(layer):
        config = {**layer.get_config(), "dtype": dtype}
        convolves = isinstance(layer, tf.keras.layers.Conv2D)  # depthwise too
        if layer.name in unstrided:
            config["strides"] = (1, 1)
        elif convolves and layer.kernel_size != (1, 1) and layer.name.startswith(tuple(dilated)):
            config["dilation_rate"] = (2, 2)
        if isinstance(layer, tf.keras.layers.ZeroPadding2D) and layer.name.replace("_pad", "_depthwise") in unstrided:
            config["padding"] = ((1, 1), (1, 1))
        kind = type(layer)
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            kind, config["momentum"] = compat.BatchNormalization, MOMENTUM
        elif convolves and layer.kernel_size == (1, 1) and layer.strides != (1, 1):
            kind = PickedConv2D
        return kind.from_config(config)

    return changed


def _load(name: str, weights: str) -> tf.keras.Model:
    """Returns the published classifier without its top."""
    create_application = _APPLICATIONS[name]
    if weights in ("imagenet", "none"):
        given = None if weights == "none" else weights
        try:
            return create_application(include_top=False, weights=given, input_shape=[None, None, 3])
        except Exception as error:  # Keras raises a plain one where it cannot download
            if given is None:
                raise
            reason = " ".join(str(error).split())
            raise ValueError(
                f"weights=imagenet: those of {name} cannot be had ({reason}); give the path of Keras' .h5 file of it "
                "without its top, or 'none'"
            ) from error
    check_weights(weights)
    application = create_application(include_top=False, weights=None, input_shape=[None, None, 3])
    try:
        application.load_weights(weights)
    except Exception as error:  # h5py and Keras raise whatever they meet in a file that is something else
        raise ValueError(f"weights={weights}: holds no weights of {name} without its top ({error})") from error
    return application


def check_weights(weights: str) -> None:
    """Raises a ValueError if weights are neither a word for them nor a file that is there."""
    if weights not in ("imagenet", "none") and not os.path.isfile(weights):
        raise ValueError(f"weights={weights}: there is no such file; give a Keras .h5 file, 'imagenet' or 'none'")


def check_layer(name: str, last: str) -> None:
    """Raises a ValueError if a trunk, one of `TRUNKS`, has no such layer as the last that `create` is to freeze."""
    freeze(cut(name, [ENDS[name]], "none", TRUNKS[name][0], "float32"), last, norms=False)


def _stride(trunk: tf.keras.Model) -> int:
    side = 512
    return side // trunk.compute_output_shape([1, side, side, 3])[1]


def freeze(trunk: tf.keras.Model, last: str, *, norms: bool) -> None:
    """Stops the training of all layers up to the last, and with `norms` that of every batch norm.

    Raises:
      ValueError: if there is no such layer.
    """
    names = [layer.name for layer in trunk.layers]
    if last and last not in names:
        raise ValueError(f"frozen={last!r}: there is no such layer; the layers are {', '.join(names)}")
    count = names.index(last) + 1 if last else 0
    for index, layer in enumerate(trunk.layers):
        is_norm = isinstance(layer, tf.keras.layers.BatchNormalization)
        layer.trainable = index >= count and not (is_norm and norms)
