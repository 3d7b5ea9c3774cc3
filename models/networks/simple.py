"""Network SIMPLE, section 3.2 of "Unsupervised learning of object frames" (NIPS 2017).

(5,20)+ (2,mp) down2 (5,48)+ (3,64)+ (3,80)+ (3,256)+ (1,L); a label sees 26 pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import NETWORKS

if TYPE_CHECKING:
    import tensorflow as tf

    from dense_labels.config import ModelConfig

KEYS = ("model.norm", "model.activation", "model.padding", "model.mean", "model.std")


@NETWORKS.register("simple", "six convolutions at stride 2; a label sees 26 pixels (paper 1)", keys=KEYS)
class Simple:
    """A chain of convolutions at stride 2."""

    NAME = "simple"
    FILTERS: tuple[tuple[int, int, int], ...] = ((5, 20, 1), (5, 48, 1), (3, 64, 1), (3, 80, 1), (3, 256, 1))
    STRIDE = 2

    @classmethod
    def create(cls, settings: ModelConfig, precision: str = "float32") -> tf.keras.Model:
        """Creates the network; see `models.networks` and `models.chain`."""
        from models import chain

        return chain.create(
            cls.FILTERS,
            settings.label_size,
            stride=cls.STRIDE,
            norm=settings.norm,
            activation=settings.activation,
            padding=settings.padding,
            mean=settings.mean,
            std=settings.std,
            dtype=precision,
            name=cls.NAME,
        )

    @classmethod
    def stride(cls, settings: ModelConfig) -> int:
        """Returns the side of a cell in pixels, whatever the settings."""
        return cls.STRIDE

    @staticmethod
    def has_confidence(settings: ModelConfig) -> bool:
        """Returns False: how long a label is says how sharply it matches, no more."""
        return False
