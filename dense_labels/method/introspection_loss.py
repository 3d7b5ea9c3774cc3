"""The loss of the second paper, of matches and how far they can be trusted.

Equation numbers are those of Novotny, Albanie, Larlus and Vedaldi, "Self-supervised learning of geometrically stable
features through probabilistic introspection", CVPR 2018.

A label map holds both of a network's answers: the direction of a label is the unit descriptor phi, its length the
confidence 1 / sigma.
"""

from __future__ import annotations

import tensorflow as tf

from dense_labels.method import geometry
from dense_labels.method.pair_loss import PairLoss, of_pair_before

_TINY = 1e-24  # a squared length; shorter labels count as this long
SHARPNESS = 20.0  # what cosines are times in an exchange: 0.3 more is e^6 times as probable


def shown_length(has_unit_labels: bool) -> float:
    """Returns what labels are multiplied by where a softmax compares them for pictures, pages and suggestions.

    It hardly tells labels of length 1 apart: these are made as long as an exchange of paper 2 has them. Others stay.

    Args:
      has_unit_labels: whether all have the length 1.
    """
    return SHARPNESS**0.5 if has_unit_labels else 1.0


def split_labels(labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Splits labels into their direction and the inverse of their length.

    Args:
      labels: floating point [..., C].

    Returns:
      `(phi, sigma)`: unit descriptors [..., C], zero where the label is; and the uncertainty [...], the inverse of the
      label's length.
    """
    square = tf.reduce_sum(tf.square(labels), axis=-1, keepdims=True)
    inverse = tf.math.rsqrt(tf.maximum(square, _TINY))
    return labels * tf.where(square > _TINY, inverse, tf.ones_like(inverse)), inverse[..., 0]  # of 0 it would be huge


def negative_log_likelihood(matching_loss: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Returns -log p(s | y, sigma) of equation (5), by way of the matching loss l of equation (4).

    With p = exp((1 - l) / sigma) / C, the density integrates to 1 over the scores in [0, 1] for
    C = sigma (e^(1 / sigma) - 1), whether y is 1 or -1. So -log p = l / sigma + log(sigma (1 - e^(-1 / sigma))), which
    overflows nowhere: it tends to 0 as sigma grows, and to log sigma where l is 0 and sigma tends to 0.

    Args:
      matching_loss: l, in [0, 1]: 1 - s where two points match, s where they do not.
      sigma: the uncertainty of the two points, above 0; it broadcasts with `matching_loss`.

    Returns:
      A tensor of their common shape.
    """
    return matching_loss / sigma + tf.math.log(-sigma * tf.math.expm1(-1.0 / sigma))


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class IntrospectionLoss(PairLoss):
    """Probabilistic matching loss of equations (3) to (7), on drawn points with hard negatives; section 3.4.

    Points u_i of image A are drawn among the places that are seen in B, without repetition; their matches u'_i = g(u_i)
    are real-valued, and descriptors and sigma are read there bilinearly (then descriptors are made unit length again).
    Where sides are no multiples of the stride, neither end lies in the strip that no cell covers.
    All pairs (u_i, u'_j) are compared. Those with |u'_j - u'_i| up to tau1 match; of those beyond tau2 the
    `hard_negatives` with the largest loss count, for each u_i; what lies between is left out. The two sets have equal
    weight in the loss of an image.

    The draw depends on the pair alone, so a run that is stopped and started again repeats it.

    Call it on `(labels_a, labels_b, points_in_b, visible)`:
      labels_a, labels_b: [B, h, w, C], phi / sigma, at cells of `stride` pixels.
      points_in_b: float32 [B, p, q, 2], where points of A are found in B, (x, y) in pixels of B; the points lie on the
        finer grid of `points_stride` pixels.
      visible: float32 [B, p, q], 1 where that place is seen in B, else 0.

    It adds the mean loss of the batch to the model and returns a dictionary of [B] tensors, as `losses.MatchingLoss`:
    `loss`, 0 where nothing is visible; `matching_error`, the mean distance in pixels between u'_i and the u'_j whose
    descriptor is nearest to that of u_i, exchanged if descriptors are; `visible_cells`, the sum of `visible`.
    """

    def __init__(
        self,
        stride: int,
        points_stride: int,
        *,
        confidence: bool = True,
        tau1: float = 1.0,
        tau2: float = 30.0,
        points: int = 700,
        hard_negatives: int = 30,
        exchange: bool = False,
        **kwargs,
    ):
        """Creates the layer; the defaults are the paper's.

        Args:
          stride: side of a cell of the label maps in pixels.
          points_stride: side of a cell of `points_in_b` in pixels.
          confidence: whether the length of a label is its confidence. False leaves sigma out ("w/o conf."): the loss is
            l of equation (4) itself.
          tau1: pixels up to which two points match.
          tau2: pixels beyond which they do not; what lies between is neither.
          points: how many are drawn of an image; all where it has fewer.
          hard_negatives: how many count for each point.
          exchange: whether the descriptors of A are first expressed through those of the cells of the image A of the
            pair before, of the same batch: phi becomes softmax(20 phi phi_c^T) phi_c, made unit length again, the
            exchange of `one_pass.sweep` for unit descriptors. With confidence, the loss is that without exchange
            plus l of equation (4) of the exchanged descriptors. Their own likelihood would not do: at first they match
            hardly better than by chance, where an infinite sigma is best, and nothing is learned any more.
          **kwargs: of `PairLoss`.

        Raises:
          ValueError: if `tau1` is below 0 or above `tau2`, where two points would match and not match.
        """
        if not 0 <= tau1 <= tau2:
            raise ValueError(f"tau1 must be at least 0 and not above tau2; found tau1={tau1} and tau2={tau2}")
        super().__init__(**kwargs)
        self.stride, self.points_stride, self.confidence = stride, points_stride, confidence
        self.tau1, self.tau2, self.points, self.hard_negatives = tau1, tau2, points, hard_negatives
        self.exchange = exchange
        self.supports_jit = False  # XLA does not compile it with TensorFlow 2.15

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Compares the label maps of pairs; see the class.

        Raises:
          ValueError: if shapes do not fit together, or there is one pair alone and descriptors are to be exchanged; in
            a graph for any number of pairs a `tf.errors.InvalidArgumentError`, when it runs.
        """
        labels_a, labels_b, points_in_b, visible = inputs
        _check_shapes(labels_a, labels_b, points_in_b, visible)
        visible = tf.cast(visible, self.compute_dtype)  # sums of small integers would wrap around
        covered = self._covered(labels_a, labels_b, tf.cast(points_in_b, tf.float32))
        points, matches, drawn = self._draw(points_in_b, tf.where(covered, visible, tf.zeros_like(visible)))
        phi_a, sigma_a = self._read(labels_a, points)
        phi_b, sigma_b = self._read(labels_b, matches)
        cosines = tf.matmul(phi_a, phi_b, transpose_b=True)  # [B, N, N]
        compared = drawn[:, :, tf.newaxis] & drawn[:, tf.newaxis]
        squares = _squared_distances(matches)
        of_pairs = compared & (squares <= self.tau1**2), compared & (squares > self.tau2**2)
        loss = self._loss(cosines, *of_pairs, (sigma_a, sigma_b))
        if self.exchange:
            cosines = tf.matmul(self._exchanged(phi_a, labels_a), phi_b, transpose_b=True)
            of_exchanged = self._loss(cosines, *of_pairs, None)
            loss = loss + of_exchanged if self.confidence else of_exchanged
        self.add_mean(loss)
        best = tf.argmax(tf.where(compared, cosines, -2.0), axis=-1, output_type=tf.int32)
        error = tf.norm(tf.gather(matches, best, batch_dims=1) - matches, axis=-1)  # [B, N]
        return {
            "loss": loss,
            "matching_error": _mean(tf.cast(error, loss.dtype), drawn),
            "visible_cells": tf.reduce_sum(visible, axis=[1, 2]),
        }

    def _covered(self, labels_a: tf.Tensor, labels_b: tf.Tensor, points_in_b: tf.Tensor) -> tf.Tensor:
        """Says where [B, p, q] cells of A cover the point, and cells of B its match."""
        rows, columns = tf.shape(points_in_b)[1], tf.shape(points_in_b)[2]
        centres = geometry.cell_centres(rows, columns, self.points_stride)
        of_a, of_b = (
            geometry.covered(points, tf.shape(labels)[1], tf.shape(labels)[2], self.stride)
            for points, labels in ((centres, labels_a), (points_in_b, labels_b))
        )
        return of_a & of_b

    def _draw(self, points_in_b: tf.Tensor, visible: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Draws points [B, N, 2] of A, with their matches [B, N, 2] in B; says which [B, N] of them there are."""
        shape = tf.shape(visible)
        count = shape[1] * shape[2]
        points_in_b = tf.where(visible[..., tf.newaxis] > 0, points_in_b, 0)  # what is not seen may be anywhere
        seeds = tf.reduce_sum(tf.bitcast(tf.cast(points_in_b, tf.float32), tf.int32), axis=[1, 2])  # exact in any order
        order = tf.map_fn(  # with one more, for it maps no empty batch
            lambda seed: tf.random.stateless_uniform([count], seed),
            tf.concat([seeds, [[0, 0]]], axis=0),
            fn_output_signature=tf.float32,
        )[:-1]
        seen = tf.reshape(visible, [-1, count]) > 0
        keys, cells = tf.math.top_k(tf.where(seen, order, -1.0), tf.minimum(self.points, count))
        centres = tf.reshape(geometry.cell_centres(shape[1], shape[2], self.points_stride), [-1, 2])
        matches = tf.gather(tf.reshape(points_in_b, [-1, count, 2]), cells, batch_dims=1)
        return tf.gather(centres, cells), matches, keys >= 0

    def _read(self, labels: tf.Tensor, points: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads unit descriptors [B, N, C] and sigma [B, N] at points [B, N, 2]."""
        phi, sigma = split_labels(tf.cast(labels, self.dtype))
        read = geometry.bilinear_sample(tf.concat([phi, sigma[..., tf.newaxis]], axis=-1), points, self.stride)
        return tf.math.l2_normalize(read[..., :-1], axis=-1), read[..., -1]

    def _exchanged(self, phi: tf.Tensor, labels_a: tf.Tensor) -> tf.Tensor:
        """Expresses descriptors phi [B, N, C] of images A through the cells of the image A of the pair before."""
        cells, _ = split_labels(tf.cast(of_pair_before(labels_a), self.dtype))
        cells = tf.reshape(cells, [tf.shape(cells)[0], -1, cells.shape[-1]])  # [B, M, C]
        probability = tf.nn.softmax(SHARPNESS * tf.matmul(phi, cells, transpose_b=True))
        return tf.math.l2_normalize(tf.matmul(probability, cells), axis=-1)

    def _loss(
        self, cosines: tf.Tensor, positive: tf.Tensor, negative: tf.Tensor, sigmas: tuple[tf.Tensor, tf.Tensor] | None
    ) -> tf.Tensor:
        """Returns the loss of each image [B]; only the pairs that count are differentiated, a twentieth of all.

        With the sigmas [B, N] of A and B it is the likelihood of equation (5); with None, or without confidence, l.
        """
        sigmas = sigmas if self.confidence else None
        scores = tf.nn.relu(cosines)  # equation (3)
        everywhere = sigmas and _means(sigmas[0], sigmas[1][:, tf.newaxis])
        contribution = tf.where(negative, _value(scores, everywhere), -float("inf"))
        worst, chosen = tf.math.top_k(
            tf.stop_gradient(contribution), tf.minimum(self.hard_negatives, tf.shape(scores)[-1]), sorted=False
        )
        of_chosen = sigmas and _means(sigmas[0], tf.gather(sigmas[1], chosen, batch_dims=1))  # [B, N, hard]
        negatives = _value(tf.gather(scores, chosen, batch_dims=2), of_chosen)
        return (_positives(scores, positive, sigmas) + _mean(negatives, tf.math.is_finite(worst))) / 2.0

    def get_config(self) -> dict:
        """Returns the arguments that make the layer again."""
        names = ("stride", "points_stride", "confidence", "tau1", "tau2", "points", "hard_negatives", "exchange")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _value(matching_loss: tf.Tensor, sigma: tf.Tensor | None) -> tf.Tensor:
    return matching_loss if sigma is None else negative_log_likelihood(matching_loss, sigma)


def _means(sigma_a: tf.Tensor, sigma_b: tf.Tensor) -> tf.Tensor:
    """Returns the means of sigma [B, N] of A and those of B, [B, 1, M] or [B, N, M]: [B, N, M]."""
    return (sigma_a[:, :, tf.newaxis] + sigma_b) / 2.0


def _positives(scores: tf.Tensor, positive: tf.Tensor, sigmas: tuple[tf.Tensor, tf.Tensor] | None) -> tf.Tensor:
    """Returns the mean value of the pairs that match, of each image [B]."""
    pairs = tf.where(positive)  # [P, 3]: image, point, match
    sigma = sigmas and (tf.gather_nd(sigmas[0], pairs[:, :2]) + tf.gather_nd(sigmas[1], pairs[:, ::2])) / 2.0
    values = _value(1.0 - tf.gather_nd(scores, pairs), sigma)
    total = tf.math.unsorted_segment_sum(values, pairs[:, 0], tf.shape(scores)[0])
    count = tf.math.count_nonzero(positive, axis=[1, 2], dtype=values.dtype)
    return tf.math.divide_no_nan(total, count)


def _squared_distances(points: tf.Tensor) -> tf.Tensor:
    """Returns the squared distances [B, N, N] between points [B, N, 2], by differences, which are exact."""
    x, y = points[..., 0], points[..., 1]
    return sum(tf.math.squared_difference(each[:, :, tf.newaxis], each[:, tf.newaxis]) for each in (x, y))


def _mean(values: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    """Returns the mean over what counts of each image; 0 where nothing does."""
    axes = list(range(1, values.shape.rank))
    total = tf.reduce_sum(tf.where(counted, values, 0.0), axis=axes)
    return tf.math.divide_no_nan(total, tf.reduce_sum(tf.cast(counted, values.dtype), axis=axes))


def _check_shapes(labels_a: tf.Tensor, labels_b: tf.Tensor, points_in_b: tf.Tensor, visible: tf.Tensor) -> None:
    if labels_a.shape.rank != 4 or not labels_a.shape[3:].is_compatible_with(labels_b.shape[3:]):
        raise ValueError(f"label maps must be [B, h, w, C] of one C; found {labels_a.shape} and {labels_b.shape}")
    if visible.shape.rank != 3 or not (visible.shape + [2]).is_compatible_with(points_in_b.shape):
        raise ValueError(
            f"visible must be [B, p, q] and points_in_b [B, p, q, 2]; found {visible.shape} and {points_in_b.shape}"
        )
