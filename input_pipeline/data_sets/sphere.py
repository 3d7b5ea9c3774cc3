"""The textured sphere of section 4.2 of paper 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.config import Config
from dense_labels.registry import SOURCES

if TYPE_CHECKING:
    from input_pipeline.sources.base import Source


@SOURCES.register(
    "sphere",
    "the textured sphere of paper 1, drawn and built in data.dir where it is not there yet",
    keys=("data.num_pairs", "data.seed"),
    simulated=True,
    size=(90, 90),
)
def prepare(config: Config) -> Source:
    """Finds the frames of the sphere, or draws them."""
    from input_pipeline.sources import sphere

    return sphere.prepare(config)
