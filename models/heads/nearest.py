"""The head of section 4.1 of "Unsupervised learning of object frames" (NIPS 2017): the most similar label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import HEADS

if TYPE_CHECKING:
    import numpy as np

    from dense_labels.batches import LabelledLandmarks
    from models.nearest_landmarks import NearestLandmarks


@HEADS.register(
    "nearest",
    "a vector for each landmark, compared with the label of every cell (paper 1, section 4.1)",
    keys=("eval.upsample",),
    decodings={
        "cell": "nearest: a vector for each landmark, fitted by negative log-likelihood; its most probable cell",
        "subpixel": "nearest: the same vectors; expected position on labels made finer",
    },
)
class Nearest:
    """Finds each landmark where its vector matches best."""

    @staticmethod
    def fit(known: LabelledLandmarks, *, upsample: int, seed: int) -> NearestLandmarks:
        """Fits the head.

        Args:
          known: label maps of annotated images.
          upsample: how much finer than the label map the sub-pixel positions are sought.
          seed: not used: nothing is drawn.

        Returns:
          The fitted layer.

        Raises:
          ValueError: if a landmark is annotated in no image, or the labels are all zero or not all finite.
        """
        del seed
        from models import nearest_landmarks

        vectors = nearest_landmarks.fit_nearest(known)
        return nearest_landmarks.NearestLandmarks(vectors, known.labels.stride, upsample=upsample)

    @staticmethod
    def restore(state: dict[str, np.ndarray]) -> NearestLandmarks:
        """Makes the layer again from its `state()`."""
        from models import nearest_landmarks

        return nearest_landmarks.NearestLandmarks.from_state(state)
