"""The heads of section 4.3 of "Unsupervised learning of object frames" (NIPS 2017): linear maps of virtual points.

The head that they emulate, of "Unsupervised learning of object landmarks" (ICCV 2017), is one of them: its points are
the landmarks that the network itself finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.registry import HEADS, compares_labels

if TYPE_CHECKING:
    import numpy as np

    from dense_labels.batches import LabelledLandmarks
    from dense_labels.config import Config
    from models.regressed_landmarks import RegressedLandmarks


@HEADS.register(
    "regress",
    "linear maps of virtual points that all landmarks share (paper 1, section 4.3)",
    decodings={
        "regress": "regress: 50 virtual points (or twice the landmarks) shared by all, "
        "each landmark a linear map of them",
    },
)
class Regress:
    """Reads landmarks off virtual points that they share."""

    FORM = "shared"

    @classmethod
    def fit(cls, known: LabelledLandmarks, *, upsample: int, seed: int) -> RegressedLandmarks:
        """Fits the head.

        Args:
          known: label maps of annotated images.
          upsample: not used: positions are expected ones, between the cells.
          seed: of the virtual points and of the order of the images.

        Returns:
          The fitted layer.

        Raises:
          ValueError: if a landmark is annotated in no image, or the labels are all zero, not all finite or nearly all
            alike.
        """
        del upsample
        from models import regression

        return regression.fit_regress(known, form=cls.FORM, seed=seed)

    @staticmethod
    def restore(state: dict[str, np.ndarray]) -> RegressedLandmarks:
        """Makes the layer again from its `state()`."""
        from models import regressed_landmarks

        return regressed_landmarks.RegressedLandmarks.from_state(state)


@HEADS.register(
    "regress_each",
    "linear maps of virtual points that each landmark has for itself (paper 1, section 4.3)",
    decodings={
        "regress_each": "regress: 50 virtual points for each landmark, which is a linear map of its own",
    },
)
class RegressEach(Regress):
    """Reads each landmark off virtual points of its own."""

    FORM = "each"


def check_own(config: Config) -> None:
    """Refuses a network that has no landmarks of its own.

    Raises:
      ValueError: naming the network that has.
    """
    if compares_labels(config.model.name):
        raise ValueError(
            "config.eval.heads='regress_own': reads the landmarks that config.model.name='sparse' finds; this run has "
            f"{config.model.name!r}"
        )


@HEADS.register(
    "regress_own",
    "linear maps of the landmarks that the network finds by itself (ICCV 2017)",
    check=check_own,
    decodings={
        "regress_own": "regress_own: each landmark a linear map of those that the network finds, without offset",
    },
)
class RegressOwn(Regress):
    """Reads landmarks off those that the network finds."""

    @classmethod
    def fit(cls, known: LabelledLandmarks, *, upsample: int, seed: int) -> RegressedLandmarks:
        """Fits the head.

        Args:
          known: heat maps of annotated images, in the place of labels.
          upsample: not used: positions are expected ones, between the cells.
          seed: not used: nothing is drawn.

        Returns:
          The fitted layer.

        Raises:
          ValueError: if a landmark is annotated in no image, or the heat maps are all zero or not all finite.
        """
        del upsample, seed
        from models import regression

        return regression.fit_regress_own(known)
