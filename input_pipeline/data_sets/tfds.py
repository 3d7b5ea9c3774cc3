"""Any data set that tensorflow-datasets has prepared, by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.config import Config
from dense_labels.registry import SOURCES
from input_pipeline.data_sets.shards import RECORD_KEYS

if TYPE_CHECKING:
    from input_pipeline.sources.base import Source


def check(config: Config) -> None:
    """Refuses a configuration that names no data set."""
    if not config.data.dataset:
        raise ValueError("config.data.name='tfds' needs the name of a data set: --config.data.dataset=NAME")


@SOURCES.register(
    "tfds",
    "data.dataset as tensorflow-datasets has prepared it in data.dir, read on the fly",
    keys=("data.dataset", *RECORD_KEYS),
    check=check,
    simulated=False,
    reads_in_graph=True,
)
def prepare(config: Config) -> Source:
    """Finds the data set and its shards; nothing is downloaded."""
    from input_pipeline.sources import tfds_shards

    return tfds_shards.prepare(config)
