"""The losses of section 3.2 as Keras layers.

All of them compare every visible cell u of image A with every cell v of image B by the inner product of their labels.
They differ only in the value they give to one row of these scores. That value is averaged over the visible cells of an
image, then over the images of the batch, so that the size of the object does not change the weight of an image. Value
and gradient come from one sweep, `one_pass.sweep`.

Equation numbers are those of Thewlis, Bilen and Vedaldi, "Unsupervised learning of object frames by dense equivariant
image labelling", NIPS 2017.
"""

from __future__ import annotations

import tensorflow as tf

from dense_labels.method import geometry, matching, one_pass
from dense_labels.method.pair_loss import PairLoss, of_pair_before


class MatchingLoss(PairLoss):
    """Base of the matching losses: adds the mean loss of the batch to the model.

    Call it on `(labels_a, labels_b, points_in_b, visible)`:
      labels_a: [B, h, w, L], the label map of image A.
      labels_b: [B, h, w, L], the label map of image B.
      points_in_b: float32 [B, h, w, 2], where each cell of A is found in B, (x, y) in pixels of B.
      visible: float32 [B, h, w], 1 where that place is seen in B, else 0. Where sides are no multiples of the stride,
        places in the strip that no cell covers do not count.

    It returns a dictionary of [B] tensors of the layer's dtype, float32 unless given as "float64": `loss`, the mean
    over the visible cells of an image (0 where none is visible); `matching_error`, the mean distance in pixels between
    the most probable match and the true place, the quantity inside equation (2); and `visible_cells`, how many cells
    count.
    """

    def __init__(self, stride: int, *, exchange: bool = False, direct: float = 1.0, pack: bool = True, **kwargs):
        """Creates the layer.

        Args:
          stride: side of a cell in pixels.
          exchange: whether the labels of A are first expressed through the image A of the pair before, of the same
            batch; see `one_pass.sweep`. Then `matching_error` is of those labels too.
          direct: with `exchange`, what the loss of the labels as they are counts beside that of the exchanged ones, to
            which it is added; 0 is the exchange of ICCV 2019.
          pack: compare the visible cells alone, so that the work grows with the object rather than with the frame.
            False compares all cells and masks afterwards, with static shapes, as XLA needs; a model with True is not
            compiled by XLA unless `jit_compile` is asked for, which then fails.
          **kwargs: of `PairLoss`.

        Raises:
          ValueError: if `direct` is below 0; as `PairLoss`.
        """
        super().__init__(**kwargs)
        self.stride = stride
        if not direct >= 0:
            raise ValueError(f"direct={direct}: must be at least 0")
        self.exchange = exchange
        self.direct = float(direct)
        self.pack = pack
        self.supports_jit = not pack  # which Keras 3 asks on a GPU

    def value_and_gradient(
        self, scores: tf.Tensor, best: tf.Tensor, true_scores: tf.Tensor, squared_distances: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the value of each row of scores and its derivatives, as `one_pass.sweep` documents.

        It must not read variables: nothing is learned but the labels.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define value_and_gradient")

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Compares the label maps of pairs; see the class.

        Raises:
          ValueError: if shapes do not fit together, or there is one pair alone and labels are to be exchanged; in a
            graph for any number of pairs a `tf.errors.InvalidArgumentError`, when it runs.
        """
        labels_a, labels_b, points_in_b, visible = inputs
        _check_shapes(labels_a, labels_b, points_in_b, visible)
        visible = tf.cast(visible, labels_a.dtype)  # sums of small integers would wrap around
        inside = geometry.covered(points_in_b, tf.shape(labels_b)[1], tf.shape(labels_b)[2], self.stride)
        visible = tf.where(inside, visible, tf.zeros_like(visible))
        visible_cells = tf.reduce_sum(visible, axis=[1, 2])
        weights = tf.math.divide_no_nan(visible, visible_cells[:, tf.newaxis, tf.newaxis])
        loss, error = one_pass.sweep(
            self.value_and_gradient,
            labels_a,
            labels_b,
            points_in_b,
            weights,
            self.stride,
            labels_c=of_pair_before(labels_a) if self.exchange else None,
            direct=self.direct,
            pack=self.pack,
        )
        self.add_mean(loss)
        return {"loss": loss, "matching_error": error, "visible_cells": visible_cells}

    def get_config(self) -> dict:
        """Returns the arguments that make the layer again."""
        names = ("stride", "exchange", "direct", "pack")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class LogLikelihoodLoss(MatchingLoss):
    """Negative log-likelihood of the true match, equation (4).

    The true place lies between cells; its log-probability is that of the four cells around it, interpolated
    bilinearly. This is the cross-entropy with a distribution over those cells whose mean is the true place.
    """

    def value_and_gradient(
        self, scores: tf.Tensor, best: tf.Tensor, true_scores: tf.Tensor, squared_distances: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the value of each row of scores and its derivatives."""
        del squared_distances
        probability = tf.nn.softmax(scores)
        log_sum = _at(scores, best) - tf.math.log(_at(probability, best))
        return log_sum - true_scores, probability, -tf.ones_like(true_scores)


class PowerLoss(MatchingLoss):
    """Base of the losses by the distance between cells and the true place to the power gamma."""

    def __init__(self, stride: int, *, gamma: float, **kwargs):
        """Creates the layer.

        Args:
          stride: side of a cell in pixels.
          gamma: exponent of the distance in pixels, above 0; the paper uses 1 and 0.5. The power must stay within
            float32: of 64 pixels and an exponent of 20 it does not.
          **kwargs: of `MatchingLoss`.

        Raises:
          ValueError: if `gamma` is not above 0.
        """
        super().__init__(stride, **kwargs)
        if not gamma > 0:
            raise ValueError(f"gamma must be above 0; found {gamma}")
        self.gamma = float(gamma)

    def get_config(self) -> dict:
        """Returns the arguments that make the layer again."""
        return {**super().get_config(), "gamma": self.gamma}


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class DistanceLoss(PowerLoss):
    """Expected distance between the match and the true place to the power gamma, equation (5)."""

    def value_and_gradient(
        self, scores: tf.Tensor, best: tf.Tensor, true_scores: tf.Tensor, squared_distances: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the value of each row of scores and its derivatives."""
        probability, distances = tf.nn.softmax(scores), _power(squared_distances, self.gamma)
        expected = tf.reduce_sum(probability * distances, axis=-1)
        d_scores = probability * (distances - expected[:, tf.newaxis])
        return expected, d_scores, tf.zeros_like(true_scores)


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class MarginLoss(PowerLoss):
    """Margin loss of footnote 2: the true match must win by the distance to the power gamma.

    With Delta(u, v) = |v - gu|^gamma, its value is max(0, max_v Delta(u, v) + <a_u, b_v> - <a_u, b_gu>).
    """

    def value_and_gradient(
        self, scores: tf.Tensor, best: tf.Tensor, true_scores: tf.Tensor, squared_distances: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the value of each row of scores and its derivatives."""
        margins = scores + _power(squared_distances, self.gamma)
        worst = tf.argmax(margins, axis=-1, output_type=tf.int32)
        violation = _at(margins, worst) - true_scores
        violated = tf.cast(violation > 0, scores.dtype)
        d_scores = tf.one_hot(worst, tf.shape(scores)[1], dtype=scores.dtype) * violated[:, tf.newaxis]
        return violation * violated, d_scores, -violated


def _at(rows: tf.Tensor, cells: tf.Tensor) -> tf.Tensor:
    """Reads one cell [R] of each row [R, M]."""
    return tf.gather(rows, cells, batch_dims=1)


def _power(squared_distances: tf.Tensor, gamma: float) -> tf.Tensor:
    """Returns |v - gu|^gamma from squared distances, by roots where they are cheaper than logarithms."""
    if gamma == 2.0:
        return squared_distances
    distance = tf.sqrt(squared_distances)
    if gamma == 1.0:
        return distance
    if gamma == 0.5:
        return tf.sqrt(distance)
    if gamma == 0.25:
        return tf.sqrt(tf.sqrt(distance))
    return tf.exp(gamma / 2 * tf.math.log(squared_distances))  # a third of the time of tf.pow; exp(log 0) is 0


def _check_shapes(labels_a: tf.Tensor, labels_b: tf.Tensor, points_in_b: tf.Tensor, visible: tf.Tensor) -> None:
    if labels_a.shape.rank != 4 or labels_b.shape.rank != 4:
        raise ValueError(f"label maps must be [B, h, w, L]; found {labels_a.shape} and {labels_b.shape}")
    matching.check_lengths(labels_a, labels_b)
    if not labels_a.shape[:-1].is_compatible_with(visible.shape):
        raise ValueError(f"visible must be of shape {labels_a.shape[:-1]}; found {visible.shape}")
    if not (labels_a.shape[:-1] + [2]).is_compatible_with(points_in_b.shape):
        raise ValueError(f"points_in_b must be of shape {labels_a.shape[:-1] + [2]}; found {points_in_b.shape}")
