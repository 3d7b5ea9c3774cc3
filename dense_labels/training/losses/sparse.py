"""The loss of sparse landmarks: "Unsupervised learning of object landmarks by factorized spatial embeddings", 2017."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import LOSSES, compares_labels

if TYPE_CHECKING:
    from dense_labels.config import Config
    from dense_labels.method.sparse_landmarks import SparseLandmarksLoss


def check(config: Config) -> None:
    """Refuses a network that gives labels.

    Raises:
      ValueError: naming the network that gives heat maps.
    """
    if compares_labels(config.model.name):
        raise ValueError(
            f"config.loss.name='sparse': is for the heat maps of config.model.name='sparse'; "
            f"this run has {config.model.name!r}"
        )


@LOSSES.register(
    "sparse",
    "landmarks move with the object and lie apart: alignment of probability maps, and diversity (ICCV 2017)",
    keys=("loss.diversity", "loss.patch"),
    check=check,
    points_stride=None,
)
def create(config: Config, stride: int) -> SparseLandmarksLoss:
    """Creates the loss layer of a run whose cells are `stride` pixels."""
    from dense_labels.method import sparse_landmarks

    return sparse_landmarks.SparseLandmarksLoss(stride, diversity=config.loss.diversity, patch=config.loss.patch)
