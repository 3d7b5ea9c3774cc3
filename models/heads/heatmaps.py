"""The head of section 4.3 of the CVPR 2018 paper: a response map for each landmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import HEADS

if TYPE_CHECKING:
    import numpy as np

    from dense_labels.batches import LabelledLandmarks
    from models.heatmap_landmarks import HeatMapLandmarks


@HEADS.register(
    "heatmaps",
    "a map for each landmark by two convolutions (paper 2, section 4.3)",
    decodings={
        "heatmaps": "heat maps: a map for each landmark by two 3 x 3 convolutions; its peak, between the cells",
    },
)
class HeatMaps:
    """Finds each landmark at the peak of a map of its own."""

    @staticmethod
    def fit(known: LabelledLandmarks, *, upsample: int, seed: int) -> HeatMapLandmarks:
        """Fits the head.

        Args:
          known: label maps of annotated images.
          upsample: not used: a peak is found between the cells.
          seed: of the first weights and of the order of the images.

        Returns:
          The fitted layer.

        Raises:
          ValueError: if a landmark is annotated in no image, or the labels are all zero or not all finite.
        """
        del upsample
        from models import heatmap_landmarks, nearest_landmarks

        nearest_landmarks.check_annotated(known)
        return heatmap_landmarks.fit_heatmaps(known, seed=seed)

    @staticmethod
    def restore(state: dict[str, np.ndarray]) -> HeatMapLandmarks:
        """Makes the layer again from its `state()`."""
        from models import heatmap_landmarks

        return heatmap_landmarks.HeatMapLandmarks.from_state(state)
