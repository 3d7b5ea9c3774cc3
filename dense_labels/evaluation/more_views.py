"""More views of annotated images, for heads on labels to be fitted to: mirror images, and warped views of a few."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from dense_labels.batches import LabelledLandmarks, LabelNetwork, LandmarkBatch
from dense_labels.config import Config
from dense_labels.evaluation import landmarks, sides

# How many annotated images there are where mirror images help, and where warped views do, on faces and wings. Of more
# they cost time and memory, and hardly help.
MIRRORED, WARPED = range(1, 1001), range(5, 51)

Batches = Callable[[np.ndarray, bool], Iterable[LandmarkBatch]]


class MoreViews:
    """What is added to annotated images of a source, for heads on labels to be fitted to."""

    def __init__(self, source: Any, config: Config, label: LabelNetwork, stride: int, batches: Batches):
        """Finds out which landmarks a mirror exchanges, if the training saw mirror images; labels nothing yet.

        Args:
          source: `input_pipeline.sources.base.Source`.
          config: of the run.
          label: images [B, H, W, 3] -> labels [B, h, w, L].
          stride: side of a cell in pixels.
          batches: numbers of annotated pictures, and whether they are warped -> LandmarkBatches of these, or of several
            warped views of each.

        Raises:
          ValueError: as `sides.exchanged`, of the pairs that the source names.
        """
        self._names = tuple(source.landmark_names)
        self._pairs = (source.flip_pairs or sides.flip_pairs(self._names)) if config.views.flip else ()
        sides.exchanged(1 + max((landmark for pair in self._pairs for landmark in pair), default=0), self._pairs)
        self._warpable, self._label, self._stride, self._batches = source.warps_pictures, label, stride, batches

    def words(self, count: int) -> str:
        """Returns what is added to so many images, in words; "" for nothing."""
        pairs = f", which exchange {sides.words(self._pairs, self._names)}" if self._pairs else ""
        kinds = ["warped views"] * self._warps(count) + [f"mirror images{pairs}"] * self._mirrors(count)
        return " and ".join(kinds)

    def adding(self, known: LabelledLandmarks) -> Callable[[LabelledLandmarks], LabelledLandmarks]:
        """Labels what is added to annotated images, and returns a function that adds theirs to some of them.

        How many they are all together decides what is added, so that heads see the same of each in turns.
        """
        count, pictures = len(known), known.picture
        if not (self._mirrors(count) or self._warps(count)):
            return lambda images: images
        views = landmarks.label_landmarks(self._label, self._views(pictures), self._stride)
        return lambda images: images.joined(views.take(np.isin(views.picture, images.picture)))

    def _mirrors(self, count: int) -> bool:
        return bool(self._pairs) and count in MIRRORED

    def _warps(self, count: int) -> bool:
        return bool(self._warpable) and count in WARPED

    def _views(self, pictures: np.ndarray) -> Iterator[LandmarkBatch]:
        if self._mirrors(len(pictures)):
            for batch in self._batches(pictures, False):
                yield sides.mirrored(batch, self._pairs)
        if self._warps(len(pictures)):
            for batch in self._batches(pictures, True):
                yield batch
                if self._pairs:
                    yield sides.mirrored(batch, self._pairs)
