"""Detectors with a second look: they see images shrunk, and then all pixels about each landmark."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dense_labels.batches import Frame
from models import second_look
from models.detectors import STRIDE, Detector, HeatMaps
from models.second_look import SecondLook


class WithDetail(tf.keras.layers.Layer):
    """Shows a network images that are shrunk, and joins its features to the brightness of all their pixels."""

    def __init__(self, network: tf.keras.layers.Layer, times: int):
        """Creates the layer.

        Args:
          network: images [N, H, W, 3] -> features [N, h, w, C], of stride 4.
          times: how many pixels of the images, along a side, are one that the network sees.
        """
        super().__init__(dtype="float32")
        self.network, self._times = network, times

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns [N, h, w, C + D] of images [N, H, W, 3] in [0, 1]: last the D pixels that each cell consists of."""
        shrunk = tf.nn.avg_pool2d(images, self._times, self._times, "VALID") if self._times > 1 else images
        features = self.network(shrunk, training=training)
        return tf.concat([features, tf.nn.space_to_depth(second_look.grey(images), STRIDE * self._times)], axis=-1)


class RefinedHeatMaps(tf.keras.layers.Layer):
    """Locates landmarks by heat maps, and looks for them again in the pixels about them."""

    def __init__(self, head: HeatMaps, look: SecondLook, times: int):
        """Creates the layer; `times` is that of `WithDetail`."""
        super().__init__(dtype="float32")
        self.head, self.look, self._times = head, look, times

    def call(self, features: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns what `HeatMaps` does; `points` in pixels of the images and in them, where the second look finds them.

        Args:
          features: [N, h, w, C + D], as of `WithDetail`.
        """
        side = STRIDE * self._times
        answer = self.head(features[..., : -(side**2)])
        if not self.look.patches.any():
            return {**answer, "points": self._times * answer["points"]}
        greys = tf.nn.depth_to_space(features[..., -(side**2) :], side)
        points = self.look(greys, self._times * answer["points"])
        sides = tf.cast(tf.shape(greys)[2:0:-1], tf.float32)
        inside = tf.clip_by_value(points, 0.0, sides)  # the edge is repeated beyond it, and may look alike there
        return {**answer, "points": tf.where(tf.math.is_finite(points), inside, points)}


class RefiningDetector:
    """A detector, and a second look at the detail of its images.

    Attributes:
      plain: the detector, without it.
      features, head, frame: as of `Detector`; images are so many times larger than those that `plain` sees.
    """

    def __init__(self, plain: Detector, look: SecondLook, times: int):
        """Creates a detector of images whose sides are `times` as long as those of the plain one's."""
        self.plain, self._look, self._times = plain, look, times
        height, width = plain.frame.input_size
        self.frame = Frame((times * height, times * width), times * STRIDE)
        self.features, self.head = WithDetail(plain.features, times), RefinedHeatMaps(plain.head, look, times)

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Locates the landmarks of images uint8 [N, H, W, 3], or floating point in [0, 1]; see `RefinedHeatMaps`."""
        return self.head(self.features(tf.image.convert_image_dtype(images, tf.float32), training=False))

    def looking_once(self) -> RefiningDetector:
        """Returns a detector of the same images that finds nothing again: landmarks stay where heat maps find them.

        It is a detector of its own, to be measured, kept and exported.
        """
        return RefiningDetector(self.plain, SecondLook(0 * self._look.patches, self._look.shape), self._times)

    def state(self) -> dict[str, np.ndarray]:
        """Returns all that the detector was fitted to, as arrays by name."""
        look = {"times": np.asarray(self._times), "patches": self._look.patches, "shape": self._look.shape}
        return {**self.plain.state(), **look}


def restored(state: dict[str, np.ndarray]) -> Detector | RefiningDetector:
    """Makes a detector again from its `state()`; those of earlier versions have no second look.

    Raises:
      ValueError: as `Detector.from_state`.
    """
    plain = Detector.from_state(state)
    if "patches" not in state:
        return plain
    return RefiningDetector(plain, SecondLook(state["patches"], state["shape"]), int(state["times"]))
