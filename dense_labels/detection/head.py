"""The detector as a landmark head: it reads pictures, not their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import HEADS

if TYPE_CHECKING:
    import numpy as np

    from models.detectors import Detector
    from models.refining_detectors import RefiningDetector


@HEADS.register(
    "detector",
    "a network of its own, trained end to end on annotated pictures and others; its trunk knows ImageNet",
    keys=("eval.pile",),
    reads_pictures=True,
    decodings={
        "detector": "detector: a network of its own, trained end to end on the pictures; detector_kept says how",
    },
)
class DetectorHead:
    """Finds landmarks at the peaks of maps, and looks there again; see `dense_labels.detection.evaluating`."""

    @staticmethod
    def restore(state: dict[str, np.ndarray]) -> Detector | RefiningDetector:
        """Makes the detector again from its `state()`."""
        from models import refining_detectors

        return refining_detectors.restored(state)
