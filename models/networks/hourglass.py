"""An hourglass, larger than the networks of paper 1: for a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import NETWORKS

if TYPE_CHECKING:
    import tensorflow as tf

    from dense_labels.config import Config, ModelConfig


def check(config: Config) -> None:
    """Refuses a width that cannot be halved.

    Raises:
      ValueError: if it is odd.
    """
    if config.model.width % 2:
        raise ValueError(f"config.model.width={config.model.width}: must be even")


@NETWORKS.register(
    "hourglass",
    "residual blocks on maps of five sizes; stride 2; a label sees nearly the whole picture (ECCV 2016)",
    keys=("model.width", "model.mean", "model.std"),
    check=check,
)
class Hourglass:
    """An hourglass and a 1 x 1 convolution; batch norm over the images of one replica."""

    @staticmethod
    def create(settings: ModelConfig, precision: str = "float32") -> tf.keras.Model:
        """Creates the network; see `models.networks` and `models.hourglasses`."""
        from models import hourglasses

        colours = {"mean": settings.mean, "std": settings.std}
        return hourglasses.create(
            settings.label_size, width=settings.width, **colours, dtype=precision, name="hourglass"
        )

    @staticmethod
    def stride(settings: ModelConfig) -> int:
        """Returns the side of a cell in pixels, whatever the settings."""
        return 2

    @staticmethod
    def has_confidence(settings: ModelConfig) -> bool:
        """Returns False: how long a label is says how sharply it matches, no more."""
        return False
