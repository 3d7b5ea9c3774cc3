"""The network of sparse landmarks: "Unsupervised learning of object landmarks by factorized spatial embeddings", 2017.

It is SIMPLE, as section 3.2 of the NIPS 2017 paper says, which took it from there. What it gives a cell is no label but
the responses of K landmarks of its own, K being `model.label_size`; see `dense_labels.method.sparse_landmarks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import NETWORKS
from models.networks import simple

if TYPE_CHECKING:
    from dense_labels.config import Config


def check(config: Config) -> None:
    """Refuses losses that compare labels.

    Raises:
      ValueError: naming the loss that reads heat maps.
    """
    if config.loss.name != "sparse":
        raise ValueError(
            f"config.loss.name={config.loss.name!r}: compares labels, which config.model.name='sparse' has none of; "
            "choose config.loss.name='sparse'"
        )


@NETWORKS.register(
    "sparse",
    "SIMPLE, but with a heat map for each of K landmarks of its own, K being label_size (ICCV 2017)",
    keys=simple.KEYS,
    check=check,
    heat_maps=True,
)
class Sparse(simple.Simple):
    """SIMPLE, whose channels are heat maps of landmarks."""

    NAME = "sparse"
