"""A feature pyramid of a published trunk: its labels are as fine as paper 1's need, and it knows ImageNet already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import NETWORKS

if TYPE_CHECKING:
    import tensorflow as tf

    from dense_labels.config import Config, ModelConfig


def check(config: Config) -> None:
    """Refuses a trunk that has no pyramid.

    Raises:
      ValueError: naming the trunks that have one.
    """
    if config.model.trunk == "vgg16":
        raise ValueError("config.model.trunk='vgg16': must be 'mobilenet_v2' or 'resnet50' for a pyramid")


@NETWORKS.register(
    "pyramid",
    "a published trunk, its maps of strides 16, 8 and 4 joined; stride 4",
    keys=("model.trunk", "model.weights"),
    check=check,
)
class Pyramid:
    """A trunk, its maps of strides 16, 8 and 4 joined, and a 1 x 1 convolution."""

    @staticmethod
    def create(settings: ModelConfig, precision: str = "float32") -> tf.keras.Model:
        """Creates the network; see `models.networks` and `models.pyramids`.

        Raises:
          ValueError: if the file holds no weights of the trunk.
        """
        from models import pyramids

        return pyramids.labels(settings.trunk, settings.label_size, weights=settings.weights, dtype=precision)

    @staticmethod
    def stride(settings: ModelConfig) -> int:
        """Returns the side of a cell in pixels, whatever the settings."""
        return 4

    @staticmethod
    def has_confidence(settings: ModelConfig) -> bool:
        """Returns False: how long a label is says how sharply it matches, no more."""
        return False
