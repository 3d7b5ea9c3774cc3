"""A detector of landmarks: an ImageNet trunk trained end to end, up-sampled to a quarter of the image, and heat maps.

Both papers end in a representation that is read through a frozen map. Where pictures are annotated, a network that is
trained for them locates landmarks better; see `dense_labels.detection` for how it is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from dense_labels import compat
from dense_labels.batches import Frame
from dense_labels.method import geometry
from models import heat_maps, pyramids
from models.pyramids import MULTIPLE, STRIDE

_RARE = -4.0  # the logit of a response before training: nearly all cells are empty


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
        self._maps.build([None, None, None, pyramids.CHANNELS])
        self.reach: np.ndarray | None = None  # float32 [K, K], how far from each other landmarks lie, in pixels
        self.exchanged: tuple[int, ...] = ()  # the landmark of a mirror image in the place of each; (): none is seen

    def logits(self, features: tf.Tensor) -> tf.Tensor:
        """Returns the responses before the sigmoid, float32 [N, h, w, K], to features [N, h, w, C]."""
        return self._maps(features)

    def call(self, features: tf.Tensor) -> dict[str, tf.Tensor]:
        """Locates the landmarks.

        Where it is known how far from each other they lie, they are looked for within that distance of one of them: of
        the one whose peak most of the responses at the others' peaks agree with.

        Args:
          features: float32 [N, h, w, C]; where mirror images are seen too, [N, h, w, 2 C], as of `BothSides`: the
            mean of both responses counts then.

        Returns:
          A dictionary: `points` [N, K, 2], (x, y) in pixels of the image; `score` [N, K], the response of the most
          responsive cell; `heatmaps` [N, K, h, w], the responses, from 0 to 1.
        """
        responses = tf.sigmoid(self.logits(features[..., : pyramids.CHANNELS]))
        if self.exchanged:
            mirrored = tf.sigmoid(self.logits(features[..., pyramids.CHANNELS :]))
            responses = (responses + tf.gather(mirrored, self.exchanged, axis=-1)) / 2
        heatmaps = tf.transpose(responses, [0, 3, 1, 2])
        plausible = heatmaps if self.reach is None else self._plausible(heatmaps)
        score = tf.reduce_max(plausible, axis=[2, 3])
        return {"points": heat_maps.window_means(plausible, STRIDE), "score": score, "heatmaps": heatmaps}

    def _plausible(self, heatmaps: tf.Tensor) -> tf.Tensor:
        """The responses [N, K, h, w], 0 where they are too far from the landmark that agrees best with the others."""
        points, score = heat_maps.window_means(heatmaps, STRIDE), tf.reduce_max(heatmaps, axis=[2, 3])
        reach = tf.constant(self.reach)
        apart = tf.norm(points[:, :, tf.newaxis] - points[:, tf.newaxis], axis=-1)  # [N, K, K]
        told = np.isfinite(self.reach) | np.eye(self.count, dtype=bool)  # of others nothing is known to agree with
        agreed = tf.reduce_sum(tf.where((apart <= reach) & told, score[:, tf.newaxis], 0.0), axis=2)
        middle = tf.argmax(agreed, axis=1)
        height, width = tf.shape(heatmaps)[2], tf.shape(heatmaps)[3]
        places = geometry.cell_centres(height, width, STRIDE)  # [h, w, 2]
        away = tf.norm(places - tf.gather(points, middle, batch_dims=1)[:, tf.newaxis, tf.newaxis], axis=-1)
        return tf.where(away[:, tf.newaxis] <= tf.gather(reach, middle)[..., tf.newaxis, tf.newaxis], heatmaps, 0.0)


class BothSides(tf.keras.layers.Layer):
    """Sees images and their mirror images with one network; joins the features of both, cell by cell of the images."""

    def __init__(self, network: tf.keras.Model, *, upside_down: bool = False):
        """Creates the layer.

        Args:
          network: images [N, H, W, 3] -> features [N, h, w, C].
          upside_down: whether images are mirrored top to bottom, not left to right.
        """
        super().__init__(dtype="float32")
        self.network, self._upside_down = network, upside_down

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the features [N, h, w, 2 C] of images."""
        both = self.network(tf.concat([images, self._mirrored(images)], axis=0), training=training)
        seen, mirrored = tf.split(both, 2)
        return tf.concat([seen, self._mirrored(mirrored)], axis=-1)

    def _mirrored(self, images):
        return images[:, ::-1] if self._upside_down else images[:, :, ::-1]


class Detector:
    """A network and heat maps that locate landmarks in images of one size.

    Attributes:
      network: images [N, H, W, 3] in [0, 1] -> features; what is trained.
      features: the same, of the mirror images too where it is known which landmarks a mirror exchanges.
      head: features -> landmarks.
      frame: what it sees of a picture: all of it, resized.
    """

    def __init__(
        self,
        network: tf.keras.Model,
        head: HeatMaps,
        size: tuple[int, int],
        *,
        frozen_norms: bool,
        frozen: str = "",
        exchanged: Sequence[int] = (),
        upside_down: bool = False,
        trunk: str = pyramids.TRUNKS[0],
    ):
        """Creates a detector for images of `size` (height, width); see `create`."""
        self.network, self.head, self.frame = network, head, Frame((int(size[0]), int(size[1])), STRIDE)
        self._frozen_norms, self._frozen, self._trunk = frozen_norms, frozen, trunk
        self.head.exchanged, self._upside_down = tuple(exchanged), upside_down
        self.features = BothSides(network, upside_down=upside_down) if self.head.exchanged else network

    @classmethod
    def create(
        cls,
        count: int,
        size: tuple[int, int],
        *,
        weights: str,
        seed: int,
        frozen_norms: bool | None = None,
        frozen: str | None = None,
        exchanged: Sequence[int] = (),
        upside_down: bool = False,
        trunk: str | None = None,
    ) -> Detector:
        """Creates a detector that is not trained.

        Args:
          count: K, how many landmarks.
          size: (height, width) of the images, multiples of 16.
          weights, seed: as of `pyramids.features`.
          frozen_norms, frozen: likewise; None: the norms, and the first blocks, where the trunk was trained: they keep
            what they have learned of other pictures, and a step is twice as fast.
          exchanged: K numbers: the landmark that stands in a mirror image where this one stands in the image. If it is
            known, the detector sees the mirror image too.
          upside_down: whether that is mirrored top to bottom, not left to right.
          trunk: likewise; None: the one that the weights are of.

        Raises:
          ValueError: as `pyramids.features` and `pyramids.trunk_of`, or if a side is no multiple of 16.
        """
        if any(side % MULTIPLE for side in size):
            raise ValueError(f"size={tuple(size)}: both sides must be multiples of {MULTIPLE}")
        trained, trunk = weights != "none", trunk or pyramids.trunk_of(weights)
        norms = trained if frozen_norms is None else frozen_norms
        last = (pyramids.GENERAL[trunk] if trained else "") if frozen is None else frozen
        features = pyramids.features(trunk, weights=weights, seed=seed, frozen_norms=norms, frozen=last)
        facts: Any = {"frozen_norms": norms, "frozen": last, "exchanged": exchanged, "upside_down": upside_down}
        return cls(features, HeatMaps(count, seed=seed), size, trunk=trunk, **facts)

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Locates the landmarks of images uint8 [N, H, W, 3], or floating point in [0, 1]; see `HeatMaps.call`."""
        return self.head(self.features(tf.image.convert_image_dtype(images, tf.float32), training=False))

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
            **({"exchanged": self.head.exchanged} if self.head.exchanged else {}),
            "frozen_norms": self._frozen_norms,  # Keras may list weights that are trained first
            **({"frozen": self._frozen} if self._frozen else {}),
            **({"trunk": self._trunk} if self._trunk != pyramids.TRUNKS[0] else {}),
            **({"upside_down": True} if self._upside_down else {}),
            **({"reach": self.head.reach} if self.head.reach is not None else {}),
        }
        return {**weights, **{name: np.asarray(value) for name, value in facts.items()}}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Detector:
        """Makes the detector again from its `state()`.

        Raises:
          ValueError: if the state is of another network.
        """
        height, width = state["size"].tolist()
        detector = cls.create(
            int(state["count"]),
            (height, width),
            weights="none",
            seed=0,
            frozen_norms=bool(state["frozen_norms"]),
            frozen=str(state["frozen"]) if "frozen" in state else "",
            exchanged=state["exchanged"].tolist() if "exchanged" in state else (),
            upside_down="upside_down" in state,
            trunk=str(state["trunk"]) if "trunk" in state else pyramids.TRUNKS[0],
        )
        detector.head.reach = state.get("reach")
        found = sum(name.startswith("weight_") for name in state)
        if found != len(detector.variables):
            raise ValueError(f"a detector has {len(detector.variables)} weights; found {found}")
        for index, variable in enumerate(detector.variables):
            variable.assign(state[f"weight_{index:03}"])
        return detector
