"""Changes of what a view looks like, not of where things are: colour, light, sharpness and JPEG.

Brightness, contrast, saturation and hue are linear in YIQ. With (y, i, q) a pixel, Y the mean y of its image, b, c and
s the drawn factors and R a rotation by the drawn angle,

    y' = b (c y + (1 - c) Y),    (i', q') = b c s R (i, q),

whatever their order, for nothing is clipped between them. With the lighting, which is added to the result, they are one
affine map of colour per image.
"""

import math

import numpy as np
import tensorflow as tf

from dense_labels.batches import Array
from input_pipeline.views import random_maps

_RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)

# Principal components of the colours of ImageNet in [0, 1], as published with fb.resnet.torch: rows red, green, blue,
# a column an eigenvector times its eigenvalue.
_COMPONENTS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]], np.float32
) * np.array([0.2175, 0.0188, 0.0045], np.float32)

_BEST_QUALITY, _WORST_QUALITY = 98, 30
_RANGES = {"hue": (0.5, "]"), "jpeg": (1, "]"), "rescale": (1, ")")}  # of a strength, from 0; of the others to infinity


def change(
    images: Array,
    seeds: Array,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.0,
    lighting: float = 0.1,
    jpeg: float = 1.0,
    rescale: float = 0.2,
) -> tf.Tensor:
    """Changes the appearance of each image at random: its colours, then its sharpness, and JPEG last.

    Each keyword is the strength of one change; 0 switches it off and leaves the others as they are. A factor of
    strength s is uniform in [max(0, 1 - s), 1 + s]. The defaults of colour, lighting and quality are those of the code
    that the first author of the NIPS 2017 paper published in 2019; the order and the default of `rescale` are not
    (there JPEG comes first, at 0.8 times the size or more).

    Args:
      images: float32 [B, H, W, 3], RGB in [0, 1]; H and W must be known.
      seeds: integer [B, 2]; the change of an image depends on its seed alone.
      brightness: the image is multiplied by a factor.
      contrast: the difference to the mean grey of the image is multiplied by a factor.
      saturation: the difference to the grey of the same pixel is multiplied by a factor.
      hue: the colours are turned about the grey axis of YIQ by an angle uniform in [-hue, hue], in turns. This is
        `tfa.image.adjust_hsv_in_yiq`; it is not `tf.image.adjust_hue`, which turns in HSV.
      lighting: standard deviation of the three numbers by which the principal components of ImageNet's colours are
        multiplied; their sum is added to every pixel (Krizhevsky, Sutskever and Hinton, NIPS 2012, section 4.1).
      jpeg: the image is written as JPEG and read back, at a quality uniform in [98 - 68 jpeg, 98].
      rescale: the image is made smaller by a factor uniform in [1 - rescale, 1], to whole pixels, and as large as
        before; bilinear, antialiased on the way down.

    Returns:
      float32 [B, H, W, 3] in [0, 1]; clipped once, before JPEG.

    Raises:
      ValueError: if `images` or `seeds` has another shape or type, or a strength is out of its range.
    """
    images, seeds = _checked(images, seeds)
    _check_strengths(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
    _check_strengths(lighting=lighting, jpeg=jpeg, rescale=rescale)
    uniform, normal = _draw(seeds)  # six [B] in [0, 1), and [B, 3]
    if any((brightness, contrast, saturation, hue, lighting)):
        drawn = [_factor(strength, u) for strength, u in zip((brightness, contrast, saturation), uniform[:3])]
        drawn += [2 * math.pi * hue * (2 * uniform[3] - 1), lighting * normal]
        images = _recolour(images, *drawn)
    if rescale:
        images = _rescale(images, 1 - rescale * uniform[4])
    images = tf.clip_by_value(images, 0.0, 1.0)
    if jpeg:
        images = _jpeg(images, _BEST_QUALITY - jpeg * (_BEST_QUALITY - _WORST_QUALITY) * uniform[5])
    return images


def change_as_ssd(images: Array, seeds: Array, *, strength: float = 1.0) -> tf.Tensor:
    """Changes the colours of each image at random as SSD does (Liu et al., ECCV 2016); the CVPR 2018 paper does so.

    Each of four changes is made with probability 1/2, in this order: a number within 32 / 255 is added; contrast: all
    is multiplied by a factor in [0.5, 1.5]; saturation, in HSV, by another; hue is turned by up to 18 degrees. For a
    random half of the images contrast comes last. After each change values are clipped to [0, 1].

    Args:
      images: float32 [B, H, W, 3], RGB in [0, 1]; H and W must be known.
      seeds: integer [B, 2]; the change of an image depends on its seed alone.
      strength: multiplies all ranges (a factor is not below 0); the paper takes more than SSD's 1 and does not say how
        much.

    Returns:
      float32 [B, H, W, 3] in [0, 1].

    Raises:
      ValueError: if `images` or `seeds` has another shape or type, or the strength is negative.
    """
    images, seeds = _checked(images, seeds)
    _check_strengths(strength=strength)

    def draw(seed):
        amounts, made = random_maps.split(seed, 2)
        amounts = tf.random.stateless_uniform([4], amounts, -strength, strength)
        return amounts, tf.random.stateless_uniform([5], made) < 0.5

    amounts, made = tf.map_fn(draw, seeds, fn_output_signature=(tf.float32, tf.bool))
    amounts = tf.where(made[:, :4], amounts, 0.0)[:, :, tf.newaxis, tf.newaxis]
    brightness, contrast, saturation, hue = tf.unstack(amounts, axis=1)  # each [B, 1, 1]
    contrast = tf.maximum(1.0 + 0.5 * contrast, 0.0)[..., tf.newaxis]
    first = made[:, 4, tf.newaxis, tf.newaxis, tf.newaxis]
    images = _clip(images + 32 / 255 * brightness[..., tf.newaxis])
    images = _clip(images * tf.where(first, contrast, 1.0))
    turned, vivid, value = tf.unstack(tf.image.rgb_to_hsv(images), axis=-1)
    vivid = _clip(vivid * tf.maximum(1.0 + 0.5 * saturation, 0.0))
    images = tf.image.hsv_to_rgb(tf.stack([(turned + 18 / 360 * hue) % 1.0, vivid, value], axis=-1))
    return _clip(images * tf.where(first, 1.0, contrast))


def _clip(values):
    return tf.clip_by_value(values, 0.0, 1.0)


def _checked(images, seeds):
    images, seeds = tf.convert_to_tensor(images), tf.convert_to_tensor(seeds)
    if not (
        images.dtype == tf.float32
        and images.shape.is_compatible_with([None, None, None, 3])
        and images.shape[1:].is_fully_defined()
        and seeds.dtype.is_integer
        and seeds.shape.is_compatible_with([images.shape[0], 2])
    ):
        raise ValueError(
            "images must be float32 [B, H, W, 3] with H and W known, and seeds integer [B, 2]; "
            f"found {images.dtype.name} {images.shape} and {seeds.dtype.name} {seeds.shape}"
        )
    return images, seeds


def _check_strengths(**strengths):
    for name, value in strengths.items():
        end, bracket = _RANGES.get(name, (math.inf, ")"))
        if not (0 <= value < end or (bracket == "]" and value == end)):
            raise ValueError(f"{name}={value} must be in [0, {end}{bracket}; 0 switches it off")


def _draw(seeds):
    """Draws for each image, whatever is switched off: six uniform numbers, each [B], and three normal ones [B, 3]."""

    def draw(seed):
        uniform_seed, normal_seed = random_maps.split(seed, 2)
        return tf.random.stateless_uniform([6], uniform_seed), tf.random.stateless_normal([3], normal_seed)

    uniform, normal = tf.map_fn(draw, seeds, fn_output_signature=(tf.float32, tf.float32))
    return tf.unstack(uniform, axis=1), normal


def _factor(strength, uniform):
    low, high = max(0, 1 - strength), 1 + strength
    return low + (high - low) * uniform


def _recolour(images, brightness, contrast, saturation, angle, lighting):
    """The affine map of the module's docstring; factors and angle (radians) [B], multiples of components [B, 3]."""
    cos, sin, zero = saturation * tf.cos(angle), saturation * tf.sin(angle), tf.zeros_like(angle)
    in_yiq = tf.stack([zero + 1, zero, zero, zero, cos, -sin, zero, sin, cos], axis=-1)
    matrix = _YIQ_TO_RGB @ tf.reshape(in_yiq, [-1, 3, 3]) @ _RGB_TO_YIQ
    matrix *= (brightness * contrast)[:, tf.newaxis, tf.newaxis]
    mean_grey = tf.tensordot(tf.reduce_mean(images, axis=[1, 2]), _RGB_TO_YIQ[0], axes=1)
    offset = (brightness * (1 - contrast) * mean_grey)[:, tf.newaxis] + tf.matmul(lighting, _COMPONENTS.T)
    return tf.einsum("bhwc,bdc->bhwd", images, matrix) + offset[:, tf.newaxis, tf.newaxis]


def _rescale(images, factors):
    size = images.shape[1:3]
    smaller = tf.maximum(tf.round(factors[:, tf.newaxis] * tf.constant(size.as_list(), tf.float32)), 1.0)

    def down_and_up(image, smaller):
        return tf.image.resize(tf.image.resize(image, smaller, antialias=True), size)

    return _map(down_and_up, images, tf.cast(smaller, tf.int32))


def _jpeg(images, quality):
    def write_and_read(image, quality):
        encoded = tf.raw_ops.EncodeJpegVariableQuality(images=image, quality=quality)
        # TensorFlow's default decoder is off by some levels at high qualities and hardly faster.
        return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")

    levels = tf.cast(tf.round(images * 255.0), tf.uint8)
    return tf.cast(_map(write_and_read, levels, tf.cast(tf.round(quality), tf.int32)), tf.float32) / 255.0


def _map(function, images, values):
    """Applies a function to each image and its value; it keeps size and dtype of the image."""
    signature = tf.TensorSpec(images.shape[1:], images.dtype)
    return tf.map_fn(lambda pair: function(*pair), (images, values), fn_output_signature=signature)
