"""Random maps, each drawn from a seed: bends, affine maps and homographies, in the normalised frame of `warps`.

The sizes of bends and of `draw_affine` are those of the code that the first author of "Unsupervised learning of object
frames by dense equivariant image labelling" (Thewlis, Bilen and Vedaldi, NIPS 2017) published in 2019; the paper gives
none.
"""

import math

import tensorflow as tf

from dense_labels.batches import Array

CENTRES_PER_SIDE = 10
CENTRES = CENTRES_PER_SIDE**2  # kernel centres of a bend
_SMALL, _LARGE = 0.001, 0.01  # kernel weights: half of the centres bend little, the others much
_TRANSLATION, _SCALE, _ROTATION = 0.1, 0.1, math.radians(5)
_LEAST = 0.25  # of the scale
_TURN, _AXES, _SCALES, _SHIFT = math.radians(15), math.radians(30), 0.25, 0.25
_PERSPECTIVE, _STEEPEST = 0.1, 1 / 3


def draw_tps(seed: Array, *, strength: float = 1.0) -> tf.Tensor:
    """Draws the bend of a warp: no landmarks and no linear system, the kernel weights themselves are random.

    Args:
      seed: integer [2]; the same seed gives the same bend.
      strength: multiplies the standard deviations, which are 0.01 for a random half of the centres, 0.001 for the rest.

    Returns:
      float32 [100, 2], kernel weights in the normalised frame.

    Raises:
      ValueError: if `strength` is negative.
    """
    _check_strength(strength)
    weight_seed, order_seed = split(seed, 2)
    order = tf.random.experimental.stateless_shuffle(tf.range(CENTRES), order_seed)
    deviation = strength * tf.where(order < CENTRES // 2, _LARGE, _SMALL)
    return tf.random.stateless_normal([CENTRES, 2], weight_seed) * deviation[:, tf.newaxis]


def draw_affine(seed: Array, *, strength: float = 1.0) -> tf.Tensor:
    """Draws a translation, a change of scale and a rotation about the centre of the image.

    Args:
      seed: integer [2]; the same seed gives the same map.
      strength: multiplies the standard deviations: 0.1 of half the longer side along x and y; a factor of 1 +- 0.1,
        but of 0.25 at least; 5 degrees.

    Returns:
      float32 [3, 2], the rows for 1, x and y in the normalised frame.

    Raises:
      ValueError: if `strength` is negative.
    """
    _check_strength(strength)
    normal = strength * tf.random.stateless_normal([4], seed)
    scale, angle = tf.maximum(1.0 + _SCALE * normal[2], _LEAST), _ROTATION * normal[3]
    cos, sin = scale * tf.cos(angle), scale * tf.sin(angle)
    return tf.stack([_TRANSLATION * normal[:2], tf.stack([cos, sin]), tf.stack([-sin, cos])])


def draw_axes(seed: Array, *, strength: float = 1.0) -> tf.Tensor:
    """Draws an affine map that rotates the image, and scales it differently along two rotated axes.

    It takes n to R(a) R(-b) diag(k, l) R(b) n + t, the form of Hartley and Zisserman, with R a rotation, and a uniform
    within 15 degrees, b within 30 degrees, k and l from 0.75 to 1.25, t within a quarter of half the longer side along
    x and y: the ranges of CNNGeometric (Rocco, Arandjelovic and Sivic, CVPR 2017).

    Args:
      seed: integer [2]; the same seed gives the same map.
      strength: multiplies all ranges; below 4, where a scale could be 0.

    Returns:
      float32 [3, 3], in the normalised frame; its last row is (0, 0, 1).

    Raises:
      ValueError: if `strength` is negative, or 4 or more.
    """
    _check_strength(strength)
    if strength >= 1 / _SCALES:
        raise ValueError(f"strength={strength} must be below {1 / _SCALES:g}: an affine map could shrink to nothing")
    turn, axis, first, second, x, y = tf.unstack(strength * tf.random.stateless_uniform([6], seed, -1.0, 1.0))
    scales = tf.linalg.diag([1.0 + _SCALES * first, 1.0 + _SCALES * second])
    axes = _rotation(_AXES * axis)
    matrix = _rotation(_TURN * turn) @ tf.transpose(axes) @ scales @ axes
    shift = _SHIFT * tf.stack([x, y])[:, tf.newaxis]
    return tf.concat([tf.concat([matrix, shift], axis=1), [[0.0, 0.0, 1.0]]], axis=0)


def _rotation(angle):
    return tf.stack([[tf.cos(angle), -tf.sin(angle)], [tf.sin(angle), tf.cos(angle)]])


def draw_projective(seed: Array, *, strength: float = 1.0) -> tf.Tensor:
    """Draws a homography that tilts the image about its centre, which stays where it is.

    It takes n to n / (1 + p n). Where |p_x| + |p_y| is drawn larger than 1/3, 1 time in 27 at full strength, it is made
    1/3: so the denominator is 1/2 or more on the frame and a quarter of it beyond, and positive up to a whole frame
    beyond.

    Args:
      seed: integer [2]; the same seed gives the same homography.
      strength: multiplies the standard deviation of p_x and p_y, 0.1.

    Returns:
      float32 [3, 3], in the normalised frame: the identity but for its last row, (p_x, p_y, 1).

    Raises:
      ValueError: if `strength` is negative.
    """
    _check_strength(strength)
    tilt = _PERSPECTIVE * strength * tf.random.stateless_normal([2], seed)
    tilt *= tf.minimum(1.0, tf.math.divide_no_nan(_STEEPEST, tf.reduce_sum(tf.abs(tilt))))
    return tf.concat([tf.eye(2, 3), [[tilt[0], tilt[1], 1.0]]], axis=0)


def split(seed: Array, count: int) -> list[tf.Tensor]:
    """Makes several seeds out of one.

    Args:
      seed: integer [2]; int32 and int64 give the same.
      count: how many.

    Returns:
      A list of `count` int64 [2].
    """
    return tf.unstack(tf.random.split(tf.cast(seed, tf.int64), count))


def _check_strength(strength):
    if not strength >= 0:
        raise ValueError(f"strength={strength} must not be negative; 1 is full strength, 0 no warp")
