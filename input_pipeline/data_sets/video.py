"""Your own videos (section 3.3 of paper 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.config import Config
from dense_labels.registry import SOURCES

if TYPE_CHECKING:
    from input_pipeline.sources.base import Source


def check(config: Config) -> None:
    """Refuses a crop, for frames of a video are shown whole."""
    if config.data.crop:
        raise ValueError(
            f"config.data.crop={config.data.crop}: is for still pictures; frames are shown whole: set it to 0"
        )


@SOURCES.register(
    "video",
    "frames of your own videos, paired by optical flow; needs OpenCV",
    keys=("data.max_gap", "data.ignore_still", "data.size", "data.cache_dir", "views.colour"),
    check=check,
    simulated=False,
    unannotated=True,
)
def prepare(config: Config) -> Source:
    """Finds the frames, resizes them and computes their flow, once."""
    from input_pipeline.sources import video

    return video.prepare(config)
