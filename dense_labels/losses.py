"""The losses of section 3.2 as Keras layers.

All of them compare every visible cell u of image A with every cell v of image B through the inner product of their
labels, and differ only in the value they give to one row of these scores. That value is averaged over the visible
cells of an image, then over the images of the global batch, so that neither the size of the object nor the number of
replicas changes the weight of an image.

Equation numbers are those of Thewlis, Bilen and Vedaldi, "Unsupervised learning of object frames by dense equivariant
image labelling", NIPS 2017.
"""

import tensorflow as tf

from dense_labels import geometry


class MatchingLoss(tf.keras.layers.Layer):
    """Base of the matching losses: adds the mean loss of the batch to the model.

    Call it on `(labels_a, labels_b, points_in_b, visible)`:
      labels_a: [B, h, w, L], the label map of image A.
      labels_b: [B, h, w, L], the label map of image B.
      points_in_b: float32 [B, h, w, 2], where each cell of A is found in B, (x, y) in pixels of B.
      visible: float32 [B, h, w], 1 where that place is seen in B, else 0.

    It returns a dictionary of float32 [B] tensors: `loss`, the mean over the visible cells of an image (0 where none
    is visible); `matching_error`, the mean distance in pixels between the most probable match and the true place, the
    quantity inside equation (2); and `visible_cells`, the sum of `visible`.
    """

    def __init__(self, stride, *, pack=True, **kwargs):
        """Creates the layer.

        Args:
          stride: side of a cell in pixels.
          pack: compare the visible cells alone, so that the work grows with the object rather than with the frame.
            False compares all cells and masks afterwards, with static shapes, as XLA needs.
          **kwargs: of `tf.keras.layers.Layer`.
        """
        super().__init__(**{"dtype": "float32", **kwargs})
        self.stride = stride
        self.pack = pack

    def row_values(self, scores, true_scores, squared_distances):
        """Gives each row of scores its value.

        Args:
          scores: float32 [B, R, M], inner product of the label of point u of A with that of every cell v of B.
          true_scores: float32 [B, R], the same with the label of B at the true place gu, read between cells.
          squared_distances: float32 [B, R, M], between v and gu, in squared pixels.

        Returns:
          float32 [B, R].
        """
        raise NotImplementedError(f"{type(self).__name__} does not define row_values")

    def call(self, inputs):
        labels_a, labels_b, points_in_b, visible = inputs
        _check_shapes(labels_a, labels_b, points_in_b, visible)
        labels_b = tf.cast(labels_b, tf.float32)
        shape = tf.shape(labels_b)
        height, width, length = shape[1], shape[2], labels_b.shape[-1]
        rows, points, weights = self._rows(tf.cast(labels_a, tf.float32), points_in_b, visible)

        true_labels = geometry.bilinear_sample(labels_b, points, self.stride)  # [B, R, L]
        flat_b = tf.reshape(labels_b, [shape[0], height * width, length])
        scores = tf.matmul(rows, flat_b, transpose_b=True)  # [B, R, M]
        distances = _squared_distances(points, height, width, self.stride)
        values = self.row_values(scores, tf.reduce_sum(rows * true_labels, axis=-1), distances)

        best = tf.argmax(scores, axis=-1, output_type=tf.int32)
        errors = tf.sqrt(tf.gather(distances, best, batch_dims=2))
        visible_cells = tf.reduce_sum(weights, axis=1)
        loss = tf.math.divide_no_nan(tf.reduce_sum(values * weights, axis=1), visible_cells)
        self.add_loss(tf.reduce_mean(loss))
        return {
            "loss": loss,
            "matching_error": tf.math.divide_no_nan(tf.reduce_sum(errors * weights, axis=1), visible_cells),
            "visible_cells": visible_cells,
        }

    def get_config(self):
        return {**super().get_config(), "stride": self.stride, "pack": self.pack}

    def _rows(self, labels_a, points_in_b, visible):
        """Flattens the cells of A and, when packing, keeps as many as the fullest image of the batch has visible."""
        shape = tf.shape(labels_a)
        cells = shape[1] * shape[2]
        labels_a = tf.reshape(labels_a, [shape[0], cells, labels_a.shape[-1]])
        points_in_b = tf.reshape(points_in_b, [shape[0], cells, 2])
        visible = tf.reshape(visible, [shape[0], cells])
        points_in_b = tf.where(visible[..., tf.newaxis] > 0, points_in_b, 0.0)  # elsewhere they may be anything
        if not self.pack:
            return labels_a, points_in_b, visible
        fullest = tf.reduce_max(tf.math.count_nonzero(visible, axis=1, dtype=tf.int32))
        weights, kept = tf.math.top_k(visible, k=tf.maximum(fullest, 1))
        return tf.gather(labels_a, kept, batch_dims=1), tf.gather(points_in_b, kept, batch_dims=1), weights


class LogLikelihoodLoss(MatchingLoss):
    """Negative log-likelihood of the true match, equation (4).

    The true place lies between cells; its log-probability is that of the four cells around it, interpolated
    bilinearly. This is the cross-entropy with a distribution over those cells whose mean is the true place.
    """

    def row_values(self, scores, true_scores, squared_distances):
        del squared_distances
        return tf.reduce_logsumexp(scores, axis=-1) - true_scores


class DistanceLoss(MatchingLoss):
    """Expected distance between the match and the true place to the power gamma, equation (5)."""

    def __init__(self, stride, *, gamma, **kwargs):
        """Creates the layer; see `MatchingLoss` for `stride` and the rest.

        Args:
          stride: side of a cell in pixels.
          gamma: exponent of the distance in pixels, above 0; the paper uses 1 and 0.5.
          **kwargs: of `MatchingLoss`.

        Raises:
          ValueError: if `gamma` is not above 0.
        """
        super().__init__(stride, **kwargs)
        self.gamma = _checked_gamma(gamma)

    def row_values(self, scores, true_scores, squared_distances):
        del true_scores
        return tf.reduce_sum(tf.nn.softmax(scores) * _power(squared_distances, self.gamma), axis=-1)

    def get_config(self):
        return {**super().get_config(), "gamma": self.gamma}


class MarginLoss(MatchingLoss):
    """Margin loss of footnote 2: the true match must win by the distance to the power gamma.

    With Delta(u, v) = |v - gu|^gamma, its value is max(0, max_v Delta(u, v) + <a_u, b_v> - <a_u, b_gu>).
    """

    def __init__(self, stride, *, gamma, **kwargs):
        """Creates the layer; see `DistanceLoss`."""
        super().__init__(stride, **kwargs)
        self.gamma = _checked_gamma(gamma)

    def row_values(self, scores, true_scores, squared_distances):
        violation = tf.reduce_max(scores + _power(squared_distances, self.gamma), axis=-1) - true_scores
        return tf.nn.relu(violation)

    def get_config(self):
        return {**super().get_config(), "gamma": self.gamma}


def create(name, stride, *, gamma, pack=True):
    """Creates the loss layer a configuration names.

    Args:
      name: "log" (equation 4), "dist" (equation 5) or "margin" (footnote 2).
      stride: side of a cell in pixels.
      gamma: exponent of the distance; "log" has none and does not use it.
      pack: see `MatchingLoss`.

    Returns:
      A `MatchingLoss`.

    Raises:
      ValueError: if there is no such loss, or gamma is not above 0.
    """
    if name == "log":
        return LogLikelihoodLoss(stride, pack=pack)
    if name == "dist":
        return DistanceLoss(stride, gamma=gamma, pack=pack)
    if name == "margin":
        return MarginLoss(stride, gamma=gamma, pack=pack)
    raise ValueError(f"there is no loss {name!r}; choose 'log', 'dist' or 'margin'")


def _squared_distances(points, height, width, stride):
    """Squared pixels between points [B, R, 2] and all cell centres: [B, R, height * width]."""
    centres = geometry.cell_centres(height, width, stride)
    x = tf.square(points[..., 0:1] - centres[0, :, 0])  # [B, R, w]
    y = tf.square(points[..., 1:2] - centres[:, 0, 1])  # [B, R, h]
    both = y[..., :, tf.newaxis] + x[..., tf.newaxis, :]  # [B, R, h, w]
    return tf.reshape(both, [tf.shape(points)[0], tf.shape(points)[1], height * width])


def _power(squared_distances, gamma):
    """|v - gu|^gamma from squared distances, by roots where they are cheaper than a power."""
    if gamma == 2.0:
        return squared_distances
    distance = tf.sqrt(squared_distances)
    if gamma == 1.0:
        return distance
    if gamma == 0.5:
        return tf.sqrt(distance)
    return tf.pow(distance, gamma)


def _checked_gamma(gamma):
    if not gamma > 0:
        raise ValueError(f"gamma must be above 0; found {gamma}")
    return float(gamma)


def _check_shapes(labels_a, labels_b, points_in_b, visible):
    if labels_a.shape.rank != 4 or labels_b.shape.rank != 4:
        raise ValueError(f"label maps must be [B, h, w, L]; found {labels_a.shape} and {labels_b.shape}")
    if labels_a.shape[-1] != labels_b.shape[-1]:
        raise ValueError(
            f"labels of A and B must be of one length; found {labels_a.shape[-1]} and {labels_b.shape[-1]}"
        )
    if not labels_a.shape[:-1].is_compatible_with(visible.shape):
        raise ValueError(f"visible must be of shape {labels_a.shape[:-1]}; found {visible.shape}")
    if not (labels_a.shape[:-1] + [2]).is_compatible_with(points_in_b.shape):
        raise ValueError(f"points_in_b must be of shape {labels_a.shape[:-1] + [2]}; found {points_in_b.shape}")
