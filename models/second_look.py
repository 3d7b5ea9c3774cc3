"""A second look: landmarks are looked for again in the detail of a picture, near where a detector finds them.

The cells of a heat map are coarse beside the pixels of a picture. What annotated pictures show about a landmark, each
turned as its landmarks lie, makes a patch; it is looked for near the landmark by normalised cross-correlation. Answers
do not jump, for the mean of all places there is taken, each weighed by the exponential of twenty times its correlation.
The landmark goes a share of the way, the root of the correlation: where no detail is found again, it stays. Nothing is
trained. `dense_labels.annotation.refining` makes suggestions alike.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dense_labels.method import geometry

HALF = 10  # pixels on each side of the middle one, of a patch
REACH = 5  # pixels that a landmark is looked for from where it was found, along each axis
PULL = 0.2  # what the correlation loses at the end of the reach
_SHARP = 20.0  # a place whose correlation is less by a twentieth counts 1 / e as much
_LUMA = (0.299, 0.587, 0.114)  # of ITU-R BT.601
_FLAT = 2e-3  # the sum of squares that the detail of a patch counts as at least: half a level of 255 in each pixel
_ALIKE = 0.8  # correlation of landmarks and a shape that is turned to fit; less tells no angle
_CLEARLY = 1.1  # times the fit of the shape as it is: that of its mirror image that is taken for what is shown
_APART = 16.0  # pixels, root of the sum of squares from their middle: landmarks nearer to it tell no angle
_AT_ONCE = 16  # pictures


def grey(images: tf.Tensor) -> tf.Tensor:
    """Returns the brightness [N, H, W, 1] of images [N, H, W, 3], floating point."""
    return tf.nn.conv2d(images, tf.reshape(tf.constant(_LUMA, images.dtype), [1, 1, 3, 1]), 1, "VALID")


class SecondLook:
    """Finds landmarks again, near where they were found.

    Attributes:
      patches: float32 [P, P, K], P = 2 HALF + 1: what pictures show about each landmark, of mean 0; 0 for one that no
        picture showed, which stays where it was found.
      shape: float32 [K, 2], how the landmarks lie in a picture that patches are turned like; not a number where it does
        not show one.
    """

    def __init__(self, patches: np.ndarray, shape: np.ndarray):
        """Takes what `learned` learned."""
        self.patches, self.shape = np.float32(patches), np.float32(shape)

    @classmethod
    def learned(cls, images: np.ndarray, landmarks: np.ndarray, annotated: np.ndarray) -> SecondLook:
        """Learns what pictures show about their landmarks.

        Args:
          images: uint8 [N, H, W, 3].
          landmarks: [N, K, 2], (x, y) in pixels of them.
          annotated: [N, K], above 0 where a landmark is annotated.
        """
        known = np.asarray(annotated) > 0
        places = np.where(known[..., np.newaxis], landmarks, np.nan).astype(np.float32)
        shape = places[np.argmax(known.sum(axis=1))]
        sums = 0.0
        for start in range(0, len(images), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            pixels = grey(tf.image.convert_image_dtype(images[part], tf.float32))
            found = tf.constant(np.nan_to_num(places[part]))
            seen = _details(pixels, found, _turns(places[part], shape), HALF)  # [n, K, P, P]
            seen -= tf.reduce_mean(seen, axis=[2, 3], keepdims=True)
            seen *= tf.math.rsqrt(tf.maximum(tf.reduce_sum(tf.square(seen), axis=[2, 3], keepdims=True), _FLAT))
            sums += np.einsum("nkij,nk->ijk", seen.numpy(), known[part])
        return cls(sums / np.maximum(known.sum(axis=0), 1), shape)

    def __call__(self, greys: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
        """Returns the landmarks [N, K, 2] of grey pictures [N, H, W, 1] from where they were found, both in pixels."""
        turns = _turns(points, self.shape)
        seen = tf.transpose(_details(greys, points, turns, HALF + REACH), [0, 2, 3, 1])  # [N, S, S, K]
        seen -= tf.reduce_mean(seen, axis=[1, 2], keepdims=True)  # or the squares of bright pixels hide small ones
        side = 2 * HALF + 1
        sums = side**2 * tf.nn.avg_pool2d(seen, side, 1, "VALID")
        squares = side**2 * tf.nn.avg_pool2d(tf.square(seen), side, 1, "VALID")
        products = tf.nn.depthwise_conv2d(seen, self.patches[..., np.newaxis], [1, 1, 1, 1], "VALID")
        agreement = products * tf.math.rsqrt(tf.maximum(squares - tf.square(sums) / side**2, _FLAT))
        steps = np.arange(-REACH, REACH + 1, dtype=np.float32)
        away = (np.square(steps) + np.square(steps)[:, np.newaxis]) / REACH**2
        likely = tf.exp(_SHARP * (agreement - PULL * away[..., np.newaxis] - 1))  # at most 1
        total = tf.reduce_sum(likely, axis=[1, 2])
        x, y, found = (
            tf.reduce_sum(likely * each, axis=[1, 2]) / total
            for each in (steps[:, np.newaxis], steps[:, np.newaxis, np.newaxis], agreement)
        )
        share = tf.sqrt(tf.maximum(found, 0.0))[..., tf.newaxis]
        cosine, sine = tf.unstack(turns[:, tf.newaxis], axis=-1)
        return points + share * tf.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def _turns(points: tf.Tensor, shape: np.ndarray) -> tf.Tensor:
    """The cosine and sine [N, 2] of the angles by which a shape is turned so that it fits points [N, K, 2] best.

    In the sense of least squares; of landmarks that are numbers in both. It is not turned where they tell no angle, for
    they are few, near together, of another shape (as if one was found far off), or of its mirror image.
    """
    shape = np.broadcast_to(shape, [1, *shape.shape])
    known = tf.cast(tf.reduce_all(tf.math.is_finite(points + shape), axis=-1, keepdims=True), tf.float32)  # [N, K, 1]
    to, of = (_centred(each, known) for each in (points, shape))
    cosine, sine = _fit(of, to)
    length = tf.sqrt(tf.square(cosine) + tf.square(sine))
    mirrored = tf.sqrt(tf.add_n([tf.square(each) for each in _fit(of * [-1.0, 1.0], to)]))
    spreads = [tf.sqrt(tf.reduce_sum(tf.square(each), axis=[1, 2])) for each in (of, to)]
    told = (length > _ALIKE * spreads[0] * spreads[1]) & (_CLEARLY * length > mirrored)
    told &= tf.minimum(*spreads) > _APART
    cosine = tf.where(told, tf.math.divide_no_nan(cosine, length), 1.0)
    return tf.stack([cosine, tf.where(told, tf.math.divide_no_nan(sine, length), 0.0)], axis=1)


def _fit(of, to):
    """The sums of the cosines and sines [N] of the angles from some vectors to others [N, K, 2], weighed by lengths."""
    return tf.reduce_sum(of * to, axis=[1, 2]), tf.reduce_sum(of[..., 0] * to[..., 1] - of[..., 1] * to[..., 0], axis=1)


def _centred(points, known):
    """Points [N, K, 2] less the mean of the known ones [N, K, 1]; 0 where they are not known."""
    points = tf.where(known > 0, points, 0.0)
    middle = tf.math.divide_no_nan(
        tf.reduce_sum(points, axis=1, keepdims=True), tf.reduce_sum(known, axis=1, keepdims=True)
    )
    return (points - middle) * known


def _details(greys: tf.Tensor, points: tf.Tensor, turns: tf.Tensor, half: int) -> tf.Tensor:
    """What pictures [N, H, W, 1] show about points [N, K, 2], turned [N, 2]: [N, K, 2 half + 1, 2 half + 1]."""
    steps, side = np.arange(-half, half + 1, dtype=np.float32), 2 * half + 1
    x, y = (np.reshape(each, [1, side**2]) for each in np.meshgrid(steps, steps))
    cosine, sine = turns[:, :1], turns[:, 1:]
    grid = tf.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)  # [N, side^2, 2]
    places = points[:, :, tf.newaxis] + grid[:, tf.newaxis]
    count = points.shape[1]
    values = geometry.bilinear_sample(greys, tf.reshape(places, [-1, count * side**2, 2]), 1)
    return tf.reshape(values, [-1, count, side, side])
