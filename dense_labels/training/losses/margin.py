"""The loss of footnote 2 of "Unsupervised learning of object frames" (NIPS 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import LOSSES

if TYPE_CHECKING:
    from dense_labels.config import Config
    from dense_labels.method.losses import MarginLoss


@LOSSES.register(
    "margin",
    "the true match must win by its distance to the power gamma (paper 1, footnote 2)",
    keys=("loss.gamma", "loss.exchange", "loss.direct"),
    points_stride=None,
    lengths=True,
)
def create(config: Config, stride: int) -> MarginLoss:
    """Creates the loss layer of a run whose cells are `stride` pixels."""
    from dense_labels.method import losses

    return losses.MarginLoss(
        stride,
        gamma=config.loss.gamma,
        exchange=config.loss.exchange,
        direct=config.loss.direct,
        pack=not config.train.jit_compile,
    )
