"""A detector of landmarks: an ImageNet trunk trained end to end, up-sampled to a quarter of the image, and heat maps.

Both papers end in a representation that is read through a frozen map. Where pictures are annotated, a network that is
trained for them locates landmarks better; see `dense_labels.detection` for how it is trained.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dense_labels import compat
from dense_labels.batches import Frame
from models import heat_maps, trunks

STRIDE = 4  # side of a cell of the heat maps, in pixels of the image
MULTIPLE = 16  # of which the sides of the images must be multiples: the stride of the deepest map
_TRUNK = "mobilenet_v2"
_TAPS = ("block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu")  # of strides 4, 8 and 16
_WIDTHS = (64, 96, 128)  # channels of the features at strides 4, 8 and 16
_JOINED = (32, 64)  # channels of the trunk's own maps at strides 4 and 8
_MOMENTUM = 0.9  # of the moving statistics: a few hundred steps are enough for them
_RARE = -4.0  # the logit of a response before training: nearly all cells are empty


def create_features(*, weights: str, seed: int, frozen_norms: bool) -> tf.keras.Model:
    """Creates the trunk and what up-samples it.

    Args:
      weights: "imagenet" (Keras downloads them), the path of a Keras .h5 file of MobileNetV2 without its top, or
        "none" for random ones.
      seed: of the other weights.
      frozen_norms: whether the batch norms of the trunk keep what they are.

    Returns:
      `tf.keras.Model` from images float32 [B, H, W, 3] in [0, 1], sides multiples of 16, to features float32
      [B, H / 4, W / 4, 64].

    Raises:
      ValueError: if the file holds no weights of the trunk.
    """
    trunk = trunks.cut(_TRUNK, _TAPS, weights, 16, "float32")
    trunks.freeze(trunk, "", norms=frozen_norms)
    for layer in trunk.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.momentum = _MOMENTUM  # that of the release is for a million steps
    seeds = iter(range(100 * seed, 2**31))

    def block(values, width, kernel):
        random = tf.keras.initializers.GlorotUniform(seed=next(seeds))
        options = {"padding": "same", "use_bias": False, "kernel_initializer": random}
        values = tf.keras.layers.Conv2D(width, kernel, **options)(values)
        return tf.keras.layers.ReLU()(tf.keras.layers.BatchNormalization(momentum=_MOMENTUM)(values))

    def joined(deep, own, width, own_width):
        finer = tf.keras.layers.UpSampling2D(2, interpolation="bilinear")(deep)
        both = tf.keras.layers.Concatenate()([finer, block(own, own_width, 1)])
        return block(both, width, 3)

    images = tf.keras.Input([None, None, 3], name="images")
    at_4, at_8, at_16 = trunk(tf.keras.layers.Rescaling(2.0, offset=-1.0)(images))
    values = block(at_16, _WIDTHS[2], 1)
    values = joined(values, at_8, _WIDTHS[1], _JOINED[1])
    values = joined(values, at_4, _WIDTHS[0], _JOINED[0])
    return tf.keras.Model(images, values, name="detector_features")


class HeatMaps(tf.keras.layers.Layer):
    """Turns features into a heat map for each landmark, and locates its peak."""

    def __init__(self, count: int, *, seed: int = 0, **kwargs):
        """Creates the layer with random weights.

        Args:
          count: K, how many landmarks.
          seed: of the weights.
          **kwargs: of `tf.keras.layers.Layer`.
        """
        super().__init__(dtype="float32", **kwargs)
        self.count = count
        self._maps = tf.keras.layers.Conv2D(
            count,
            1,
            kernel_initializer=tf.keras.initializers.RandomNormal(stddev=0.01, seed=seed),
            bias_initializer=tf.keras.initializers.Constant(_RARE),
            dtype="float32",
            name="maps",
        )
        self._maps.build([None, None, None, _WIDTHS[0]])

    def logits(self, features: tf.Tensor) -> tf.Tensor:
        """Returns the responses before the sigmoid, float32 [N, h, w, K], to features [N, h, w, C]."""
        return self._maps(features)

    def call(self, features: tf.Tensor) -> dict[str, tf.Tensor]:
        """Locates the landmarks.

        Args:
          features: float32 [N, h, w, C].

        Returns:
          A dictionary: `points` [N, K, 2], (x, y) in pixels of the image; `score` [N, K], the response of the most
          responsive cell; `heatmaps` [N, K, h, w], the responses, from 0 to 1.
        """
        heatmaps = tf.transpose(tf.sigmoid(self.logits(features)), [0, 3, 1, 2])
        score = tf.reduce_max(heatmaps, axis=[2, 3])
        return {"points": heat_maps.window_means(heatmaps, STRIDE), "score": score, "heatmaps": heatmaps}


class Detector:
    """A network and heat maps that locate landmarks in images of one size.

    Attributes:
      network: images [N, H, W, 3] in [0, 1] -> features.
      head: features -> landmarks.
      frame: what it sees of a picture: all of it, resized.
    """

    def __init__(self, network: tf.keras.Model, head: HeatMaps, size: tuple[int, int], *, frozen_norms: bool):
        """Creates a detector for images of `size` (height, width); see `create`."""
        self.network, self.head, self.frame = network, head, Frame((int(size[0]), int(size[1])), STRIDE)
        self._frozen_norms = frozen_norms

    @classmethod
    def create(
        cls, count: int, size: tuple[int, int], *, weights: str, seed: int, frozen_norms: bool | None = None
    ) -> Detector:
        """Creates a detector of `count` landmarks that is not trained; see `create_features`.

        The batch norms of the trunk are frozen where its weights were trained, if nothing else is said.

        Raises:
          ValueError: as `create_features`, or if a side is no multiple of 16.
        """
        if any(side % MULTIPLE for side in size):
            raise ValueError(f"size={tuple(size)}: both sides must be multiples of {MULTIPLE}")
        frozen = weights != "none" if frozen_norms is None else frozen_norms
        features = create_features(weights=weights, seed=seed, frozen_norms=frozen)
        return cls(features, HeatMaps(count, seed=seed), size, frozen_norms=frozen)

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Locates the landmarks of images uint8 [N, H, W, 3], or floating point in [0, 1]; see `HeatMaps.call`."""
        return self.head(self.network(tf.image.convert_image_dtype(images, tf.float32), training=False))

    @property
    def variables(self) -> list[tf.Variable]:
        """Everything that is fitted or kept."""
        return [*compat.variables(self.network), *compat.variables(self.head)]

    def state(self) -> dict[str, np.ndarray]:
        """Returns all that the detector was fitted to, as arrays by name."""
        weights = {f"weight_{index:03}": variable.numpy() for index, variable in enumerate(self.variables)}
        facts = {
            "size": self.frame.input_size,
            "count": self.head.count,
            "frozen_norms": self._frozen_norms,  # Keras may list weights that are trained first
        }
        return {**weights, **{name: np.asarray(value) for name, value in facts.items()}}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Detector:
        """Makes the detector again from its `state()`.

        Raises:
          ValueError: if the state is of another network.
        """
        height, width = state["size"].tolist()
        frozen = bool(state["frozen_norms"])
        detector = cls.create(int(state["count"]), (height, width), weights="none", seed=0, frozen_norms=frozen)
        found = sum(name.startswith("weight_") for name in state)
        if found != len(detector.variables):
            raise ValueError(f"a detector has {len(detector.variables)} weights; found {found}")
        for index, variable in enumerate(detector.variables):
            variable.assign(state[f"weight_{index:03}"])
        return detector
