"""Heat-map key points: frozen label map -> a response map for each landmark, section 4.3 of the CVPR 2018 paper."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from dense_labels import compat
from dense_labels.batches import LabelledLandmarks
from dense_labels.method import introspection_loss
from models import heat_maps, nearest_landmarks

EPOCHS, STEPS = 3, 500  # of a round, and the fewest of an epoch, as the paper has them
_FILTERS = 512
_BATCH, _RATE = 4, 1e-3
_MOMENTUM = 0.9  # of the moving statistics: a round of 50 steps is enough for them
_SPREAD = 1.0  # standard deviation of a target's peak, in cells


class HeatMapLandmarks(tf.keras.layers.Layer):
    """Finds each landmark at the peak of a map of its own.

    A 3 x 3 convolution to 512 channels, batch norm, ReLU, a 3 x 3 convolution to K channels, a sigmoid. Of a label its
    direction alone is read, the descriptor phi: how long a label is says how far it can be trusted, in units that
    differ from network to network, and has no bound but 1 / epsilon; a few certain cells would make up the statistics
    of the batch norm. The paper too calls the input the representation, and names phi / sigma for matching only.
    """

    def __init__(self, count: int, length: int, stride: int, *, seed: int = 0, **kwargs):
        """Creates the layer with random weights.

        Args:
          count: K, how many landmarks.
          length: L, of a label.
          stride: side of a cell of the label maps in pixels.
          seed: of the weights, an int.
          **kwargs: of `tf.keras.layers.Layer`.
        """
        super().__init__(dtype="float32", trainable=True, **kwargs)
        self.count, self.length, self.stride = count, length, stride
        options = {"kernel_size": 3, "padding": "same", "dtype": "float32"}
        random = [tf.keras.initializers.GlorotUniform(seed=2 * seed + n) for n in range(2)]
        self._layers_in_order = [
            tf.keras.layers.Conv2D(_FILTERS, use_bias=False, kernel_initializer=random[0], name="features", **options),
            compat.BatchNormalization(momentum=_MOMENTUM, dtype="float32", name="norm"),
            tf.keras.layers.ReLU(dtype="float32", name="relu"),
            tf.keras.layers.Conv2D(count, kernel_initializer=random[1], name="maps", **options),
        ]
        self.logits(tf.zeros([1, 3, 3, length]))  # makes the weights

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> HeatMapLandmarks:
        """Makes the layer again from its `state()`."""
        head = cls(state["maps"].shape[-1], state["features"].shape[2], int(state["stride"]))
        for name, variable in head._named().items():
            variable.assign(state[name])
        return head

    def state(self) -> dict[str, np.ndarray]:
        """Returns all that the layer was fitted to, as arrays by name."""
        weights = {name: variable.numpy() for name, variable in self._named().items()}
        return {**weights, "stride": np.asarray(self.stride)}

    def _named(self) -> dict[str, tf.Variable]:
        features, norm, _, maps = self._layers_in_order
        of_norm = {name: getattr(norm, name) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
        return {"features": features.kernel, **of_norm, "maps": maps.kernel, "biases": maps.bias}

    def logits(self, labels: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the responses before the sigmoid, [N, h, w, K], to labels [N, h, w, L]."""
        phi, _ = introspection_loss.split_labels(labels)
        values = phi * self.length**0.5  # a channel is about 1
        for layer in self._layers_in_order:
            values = layer(values, training=training) if layer.name == "norm" else layer(values)
        return values

    def call(self, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Locates the landmarks.

        Args:
          labels: float32 [N, h, w, L].

        Returns:
          A dictionary: `points` [N, K, 2], (x, y) in pixels of the network's input, see `peaks`; `score` [N, K], the
          response of the most responsive cell; `heatmaps` [N, K, h, w], the responses, from 0 to 1.
        """
        log_maps = tf.transpose(tf.math.log_sigmoid(self.logits(labels)), [0, 3, 1, 2])
        heatmaps = tf.exp(log_maps)
        return {
            "points": peaks(log_maps, self.stride),
            "score": tf.reduce_max(heatmaps, axis=[2, 3]),
            "heatmaps": heatmaps,
        }


def peaks(log_maps: tf.Tensor, stride: int) -> tf.Tensor:
    """Finds the top of each map between its cells: the arg max, moved by up to half a cell along x and along y.

    The logarithm of a Gaussian is a parabola, and the one through the best cell and its two neighbours has its top
    exactly where that of the Gaussian is. At the border of the map, where there is one neighbour, nothing is moved
    across it.

    Args:
      log_maps: float32 [N, K, h, w], logarithms of responses; h and w at least 2.
      stride: side of a cell in pixels.

    Returns:
      float32 [N, K, 2], (x, y) in pixels of the network's input.
    """
    shape = tf.shape(log_maps)
    width = shape[3]
    best = tf.argmax(tf.reshape(log_maps, [shape[0], shape[1], -1]), axis=-1, output_type=tf.int32)
    row, column = best // width, best % width
    around = tf.pad(log_maps, [[0, 0], [0, 0], [1, 1], [1, 1]], "REFLECT")  # so that a border's parabola is symmetric
    around = tf.reshape(around, [shape[0], shape[1], -1])

    def value(down, right):
        return tf.gather(around, (row + 1 + down) * (width + 2) + column + 1 + right, batch_dims=2)

    def moved(before, after):
        return 0.5 * tf.math.divide_no_nan(after - before, 2 * value(0, 0) - before - after)

    x = tf.cast(column, tf.float32) + moved(value(0, -1), value(0, 1))
    y = tf.cast(row, tf.float32) + moved(value(-1, 0), value(1, 0))
    return (tf.stack([x, y], axis=-1) + 0.5) * stride


def fit_heatmaps(
    known: LabelledLandmarks,
    *,
    seed: int,
    warm_start: HeatMapLandmarks | None = None,
    epochs: int = EPOCHS,
    steps: int = STEPS,
) -> HeatMapLandmarks:
    """Fits `HeatMapLandmarks` on frozen label maps of annotated images, for one round.

    The target T of a landmark is a Gaussian about it, 1 at its top, of a standard deviation of one cell. The loss of a
    map H is the weighted L2 distance of Tulsiani and Malik (CVPR 2015), as their code has it: a cell u weighs
    1 + lambda T(u)^2. Where they have lambda = 50, here it is what makes the peak weigh as much as the whole map:

      1/2 (mean_u (H - T)^2 + sum_u T^2 (H - T)^2 / sum_u T^2),

    averaged over the landmarks that are annotated and lie in the image; of one that lies outside in all images, the
    nearest place at the edge is taught. Others are not taught: one that is annotated nowhere has a map that says
    nothing, as in the rounds of a growing set it may have at first.

    Adam, the rate falling to 0 along a cosine in each round; 4 images a step, or all where there are fewer. (The paper
    says nothing of either.)

    Args:
      known: label maps of annotated images.
      seed: of the first weights and of the order of the images, an int.
      warm_start: head of the round before, for as many landmarks, which this one begins as; None: random weights.
      epochs: how often all images are seen.
      steps: the fewest of an epoch; where there are too few images for them they are seen more often.

    Returns:
      The fitted `HeatMapLandmarks`.

    Raises:
      ValueError: if the labels are all zero or not all finite, or of one row or column, no landmark is annotated, or
        the head to begin with is for other landmarks or labels.
      FloatingPointError: if the loss is not finite at the end.
    """
    nearest_landmarks.check_labels(known.labels)
    labels, stride, landmarks = known.labels.values, known.labels.stride, known.landmarks
    if min(labels.shape[1:3]) < 2:
        raise ValueError(f"label maps must be of 2 x 2 cells at least; found {labels.shape[1]} x {labels.shape[2]}")
    annotated, inside = np.asarray(known.annotated) > 0, known.inside
    if not (annotated & inside).any():
        raise ValueError(f"no landmark is annotated, where the network sees it, in the {len(labels)} images")
    outside = ~(annotated & inside).any(axis=0)  # of all of these images: such a landmark is learned at their edge
    landmarks = np.where(outside[:, np.newaxis], np.clip(landmarks, 0, known.labels.covered[::-1]), landmarks)
    annotated &= inside | outside
    head = HeatMapLandmarks(landmarks.shape[1], known.labels.length, stride, seed=seed)
    if warm_start is not None:
        _begin_as(head, warm_start)
    batch = min(_BATCH, len(labels))
    count = epochs * max(steps, -(-len(labels) // batch))
    step = _training_step(head, count)
    for rows in _drawn(len(labels), count, batch, np.random.default_rng(seed)):
        places = np.where(annotated[rows, :, np.newaxis], landmarks[rows], 0).astype(np.float32)
        loss = step(tf.constant(labels[rows]), tf.constant(places), tf.constant(annotated[rows], tf.float32))
    if not np.isfinite(loss):
        raise FloatingPointError(f"the loss of the heat maps is not finite after {count} steps; fit them again")
    return head


def check_inside(known: LabelledLandmarks) -> None:
    """Refuses landmarks that lie on the cells in none of the images, of which no map can learn; raises a ValueError."""
    counts = ((np.asarray(known.annotated) > 0) & known.inside).sum(axis=0)  # [K]
    if not counts.all():
        raise ValueError(
            f"landmark {int(np.argmin(counts))} lies outside of what the network sees in all images where it is "
            "annotated; train with a smaller data.crop, or leave it out"
        )


def _training_step(head: HeatMapLandmarks, count: int) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns the function of a batch that makes one of `count` steps of training, and returns its loss."""
    optimizer = tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(_RATE, count))

    @tf.function(autograph=False)
    def step(labels, landmarks, annotated):
        with tf.GradientTape() as tape:
            loss = weighted_distance(head.logits(labels, training=True), landmarks, annotated, head.stride)
        variables = head.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    return step


def weighted_distance(logits: tf.Tensor, landmarks: tf.Tensor, annotated: tf.Tensor, stride: int) -> tf.Tensor:
    """Returns the loss of `fit_heatmaps`.

    Args:
      logits: float32 [N, h, w, K], responses before the sigmoid.
      landmarks: float32 [N, K, 2], (x, y) in pixels of the network's input.
      annotated: float32 [N, K], 1 where the landmark counts, else 0.
      stride: side of a cell in pixels.

    Returns:
      A float32 scalar, 0 where nothing is annotated.
    """
    shape = tf.shape(logits)
    target = heat_maps.gaussians(landmarks, shape[1], shape[2], stride, _SPREAD)
    distance = tf.square(tf.sigmoid(logits) - target)
    peak = tf.square(target)
    at_peak = tf.math.divide_no_nan(tf.reduce_sum(peak * distance, axis=[1, 2]), tf.reduce_sum(peak, axis=[1, 2]))
    each = 0.5 * (tf.reduce_mean(distance, axis=[1, 2]) + at_peak)  # [N, K]
    return tf.math.divide_no_nan(tf.reduce_sum(each * annotated), tf.reduce_sum(annotated))


def _begin_as(head: HeatMapLandmarks, other: HeatMapLandmarks) -> None:
    if (other.count, other.length) != (head.count, head.length):
        raise ValueError(
            f"the head to begin with is for {other.count} landmarks and labels of length {other.length}; "
            f"{head.count} and {head.length} are needed"
        )
    head.set_weights(other.get_weights())


def _drawn(images: int, steps: int, batch: int, rng: np.random.Generator) -> np.ndarray:
    """Draws indices [steps, batch]: all images in random order, then all in another, and so on."""
    turns = -(-steps * batch // images)
    order = np.concatenate([rng.permutation(images) for _ in range(turns)])
    return order[: steps * batch].reshape(steps, batch)
