"""The loss of the second paper: matches, and how far they can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import LOSSES, NETWORKS

if TYPE_CHECKING:
    from dense_labels.config import Config
    from dense_labels.method.introspection_loss import IntrospectionLoss

_POINTS_STRIDE = 4  # pixels between the points that the loss draws from, where cells are larger


def check(config: Config) -> None:
    """Refuses thresholds in the wrong order, and XLA.

    Raises:
      ValueError: if `tau1` is above `tau2`, or the training step is to be compiled.
    """
    if config.train.jit_compile:  # how many pairs match is not known before a step; XLA needs static shapes
        raise ValueError(
            "config.train.jit_compile=True: XLA cannot compile config.loss.name='introspection'; leave it out"
        )
    if config.loss.tau1 > config.loss.tau2:
        raise ValueError(f"config.loss.tau1={config.loss.tau1}: must not be above config.loss.tau2={config.loss.tau2}")


@LOSSES.register(
    "introspection",
    "matching of drawn points with hard negatives: paper 2, equation 6, or 4 where the network has no confidence",
    keys=("loss.tau1", "loss.tau2", "loss.points", "loss.hard_negatives", "loss.exchange"),
    check=check,
    points_stride=_POINTS_STRIDE,
    lengths=False,
)
def create(config: Config, stride: int) -> IntrospectionLoss:
    """Creates the loss layer of a run whose cells are `stride` pixels."""
    from dense_labels.method import introspection_loss

    return introspection_loss.IntrospectionLoss(
        stride,
        min(stride, _POINTS_STRIDE),
        confidence=NETWORKS[config.model.name].value.has_confidence(config.model),
        tau1=config.loss.tau1,
        tau2=config.loss.tau2,
        points=config.loss.points,
        hard_negatives=config.loss.hard_negatives,
        exchange=config.loss.exchange,
    )
