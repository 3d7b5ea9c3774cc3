"""Your own shards: TFRecord files of encoded pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.config import Config
from dense_labels.registry import SOURCES

if TYPE_CHECKING:
    from input_pipeline.sources.base import Source

RECORD_KEYS = (  # of the configuration: what pictures in records are read and shown by
    "data.image",
    "data.keypoints",
    "data.size",
    "data.crop",
    "views.warp",
    "views.strength",
    "views.shift",
    "views.flip",
    "views.border",
    "views.colour",
)


@SOURCES.register(
    "shards",
    "TFRecord files of encoded pictures, read on the fly; data.dir is their folder or pattern",
    keys=RECORD_KEYS,
    simulated=False,
    reads_in_graph=True,
)
def prepare(config: Config) -> Source:
    """Finds the shards and the place of each record in them."""
    from input_pipeline.sources import shards

    return shards.prepare(config)
