"""The loss of equation (4) of "Unsupervised learning of object frames" (NIPS 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import LOSSES

if TYPE_CHECKING:
    from dense_labels.config import Config
    from dense_labels.method.losses import LogLikelihoodLoss


@LOSSES.register(
    "log",
    "negative log-likelihood of the true match (paper 1, equation 4)",
    keys=("loss.exchange", "loss.direct"),
    points_stride=None,
    lengths=True,
)
def create(config: Config, stride: int) -> LogLikelihoodLoss:
    """Creates the loss layer of a run whose cells are `stride` pixels."""
    from dense_labels.method import losses

    return losses.LogLikelihoodLoss(
        stride,
        exchange=config.loss.exchange,
        direct=config.loss.direct,
        pack=not config.train.jit_compile,
    )
