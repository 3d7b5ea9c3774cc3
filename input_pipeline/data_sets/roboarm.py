"""The robot arm of section 4.1 of paper 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.config import Config
from dense_labels.registry import SOURCES

if TYPE_CHECKING:
    from input_pipeline.sources.base import Source


@SOURCES.register(
    "roboarm",
    "the robot arm of paper 1, simulated and built in data.dir where it is not there yet",
    keys=("data.num_pairs", "data.seed"),
    simulated=True,
    size=(90, 90),
)
def prepare(config: Config) -> Source:
    """Finds the frames of the arm, or simulates them."""
    from input_pipeline.sources import roboarm

    return roboarm.prepare(config)
