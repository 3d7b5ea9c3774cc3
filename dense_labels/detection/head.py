"""The detector as a landmark head: it reads pictures, not their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import HEADS

if TYPE_CHECKING:
    import numpy as np

    from models.detectors import Detector


@HEADS.register(
    "detector",
    "a network of its own, trained end to end on annotated pictures and others; its trunk knows ImageNet",
    keys=("eval.pile",),
    reads_pictures=True,
    decodings={
        "detector": "detector: a MobileNetV2 trained end to end on annotated pictures and others; its heat maps' peaks",
    },
)
class DetectorHead:
    """Finds each landmark at the peak of a map of its own; see `dense_labels.detection.evaluating`."""

    @staticmethod
    def restore(state: dict[str, np.ndarray]) -> Detector:
        """Makes the detector again from its `state()`."""
        from models.detectors import Detector

        return Detector.from_state(state)
