"""The network of the second paper: a published trunk, unit descriptors and how far each can be trusted; section 3.6."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import NETWORKS

if TYPE_CHECKING:
    import tensorflow as tf

    from dense_labels.config import Config, ModelConfig

# The strides in pixels that each trunk can have, its own first.
TRUNKS: dict[str, tuple[int, ...]] = {"mobilenet_v2": (16, 8), "resnet50": (16,), "vgg16": (16,)}


def check(config: Config) -> None:
    """Refuses a stride that the trunk cannot have.

    Raises:
      ValueError: naming the strides that it can have.
    """
    settings = config.model
    strides = TRUNKS[settings.trunk]
    if settings.stride not in strides:
        valid = " or ".join(map(str, strides))
        raise ValueError(f"config.model.stride={settings.stride}: must be {valid} for the trunk {settings.trunk!r}")


@NETWORKS.register(
    "introspection",
    "a published trunk, then unit descriptors and a confidence of each (paper 2)",
    keys=("model.trunk", "model.weights", "model.stride", "model.frozen", "model.confidence"),
    check=check,
    descriptors=True,
)
class Introspection:
    """A trunk, a 1 x 1 convolution and labels whose length is the confidence."""

    @staticmethod
    def create(settings: ModelConfig, precision: str = "float32") -> tf.keras.Model:
        """Creates the network; see `models.networks` and `models.descriptors`.

        Raises:
          ValueError: if there is no such trunk, stride or layer, or the file holds no weights of the trunk.
        """
        from models import descriptors

        return descriptors.create(
            settings.trunk,
            settings.label_size,
            weights=settings.weights,
            stride=settings.stride,
            frozen=settings.frozen,
            confidence=settings.confidence,
            dtype=precision,
        )

    @staticmethod
    def stride(settings: ModelConfig) -> int:
        """Returns the side of a cell in pixels."""
        return settings.stride

    @staticmethod
    def has_confidence(settings: ModelConfig) -> bool:
        """Says whether the length of a label is its confidence; without, labels are unit descriptors."""
        return settings.confidence
