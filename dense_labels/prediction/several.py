"""All landmark heads that a run kept, asked together: where they disagree, at most one of them is right."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from dense_labels.batches import Frame
from dense_labels.exporting.served_model import ServedModel
from dense_labels.prediction.answers import spread
from dense_labels.prediction.predictor import Predictor
from input_pipeline.readers.pictures import saw_boxes


class SeveralHeads:
    """The best head, which predicts, and the others, which show where they disagree.

    Attributes:
      frame: what the best head sees of a picture.
      full_size: (height, width) in pixels that a picture should have at least, for each head to see all that it can.
      disagree: whether there are several heads.
      detects: whether the best head is a detector, of whole pictures.
    """

    def __init__(self, network: tf.keras.Model, frame: Frame, kept: Any):
        """Takes the heads of a run.

        Args:
          network: of the run.
          frame: what the network sees.
          kept: `kept_heads.KeptHeads` of the run.

        Raises:
          ValueError: if the best head could not be kept.
        """
        head, detector = kept.parts
        self._model = ServedModel(network, head, frame=frame, detector=detector)
        others = [each for name, each in kept.heads.items() if name != kept.result.best]
        self._detectors = [each for each in others if hasattr(each, "features")]
        self._heads = [each for each in others if not hasattr(each, "features")]
        self.frame, self.disagree = self._model.locator.frame, bool(others)
        self.detects = detector is not None and not saw_boxes(kept.config.data)
        seen = [frame, self.frame, *(each.frame for each in self._detectors)]
        self.full_size = tuple(max(sides) for sides in zip(*(each.full_size for each in seen)))

    def landmarks(self, images: Any) -> dict[str, Any]:
        """Asks the best head alone; images are uint8 [N, H, W, 3], the answer is that of a served model."""
        return self._model.landmarks(images)

    def together(self, images: Any) -> dict[str, Any]:
        """Asks all heads.

        Args:
          images: uint8 [N, H, W, 3], pictures of any size.

        Returns:
          The answer of the best head, and `disagreement` float32 [N, K]: the mean distance between the points of two
          heads, in pixels of the images; 0 where there is one head. `of_heads` float32 [N, H, K, 2]: these points.
        """
        images = tf.convert_to_tensor(images)
        found = dict(self.landmarks(images))
        points = [found["points"], *(model.landmarks(images)["points"] for model in self._served_detectors)]
        if self._heads:
            labels, scale = self._model.label(images)
            points += [self._model.to_pictures(head(labels)["points"], scale) for head in self._heads]
        of_heads = np.stack([np.asarray(each) for each in points], axis=1)
        return {**found, "disagreement": spread(of_heads), "of_heads": of_heads}

    @functools.cached_property
    def _served_detectors(self) -> list[ServedModel]:
        return [ServedModel(each.features, each.head, frame=each.frame) for each in self._detectors]


def predictor(network: tf.keras.Model, frame: Frame, kept: Any, workdir: str) -> Predictor:
    """Makes what predicts with the heads of the newest evaluation of a run.

    Args:
      network, frame: of the run.
      kept: its `kept_heads.KeptHeads`; None where it has none.
      workdir: its folder.

    Raises:
      ValueError: if no head was kept.
    """
    if kept is None:
        raise ValueError(f"{workdir} has no landmark head; evaluate it with annotations first")
    identity = {"run": workdir, "step": kept.result.step, "head": kept.result.best, "heads": kept.digest}
    heads = SeveralHeads(network, frame, kept)
    together, boxed = heads.together if heads.disagree else None, saw_boxes(kept.config.data)
    facts = {"annotated": kept.landmarks, "together": together}
    return Predictor(heads.landmarks, heads.frame, kept.result.landmark_names, identity, saw_boxes=boxed, **facts)
