"""Other programs that are fitted to a few annotated pictures: by the draws of the detector, measured as it is.

A peer is a module that says whether its package is `installed()`, in which size it is shown a picture (`shown_size`),
what its figures depend on (`settings`), and that fits (`fit`), as `regression_trees` does.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from benchmarks import records, regression_trees
from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.config import Config
from dense_labels.evaluation import absent, few_annotations, measuring, sides
from dense_labels.registry import READERS
from input_pipeline.readers import consistency
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import decoding

PEERS = {"dlib": regression_trees}
_AS = "detector"  # the head that it is measured as
_AT_ONCE = 64  # pictures


def errors(points: np.ndarray, images: LabelledLandmarks) -> dict[str, float]:
    """Measures the mean distance of predicted landmarks, in percent of the normaliser and in pixels of the picture.

    Args:
      points, images: as of `measuring.landmark_errors`.

    Returns:
      `error_percent` and `error_px`, of the same points; not numbers where nothing can be measured.
    """
    found = measuring.mean_percent(points, images), measuring.mean_distance(points, images)
    return {name: np.nan if each is None else each for name, each in zip(("error_percent", "error_px"), found)}


class Fitting:
    """Fits a peer where `evaluating.Fitting` fits detectors: to the same pictures, at their own size.

    Attributes:
      known: the annotated pictures. In place of labels each has its number, by which its pixels are found; landmarks
        are in pixels of the picture.
      test: the test pictures, likewise; None where there are none.
      normaliser: what errors are divided by, in words.
      flip_pairs: landmarks that a mirror exchanges.
      origins: path and SHA-256 of the file that each annotated picture, or box in one, is of.
    """

    def __init__(self, name: str, config: Config):
        """Reads the annotations.

        Args:
          name: of the peer.
          config: whose pictures are annotated.

        Raises:
          ValueError: as the reader.
        """
        self._name, self._peer = name, PEERS[name]
        splits = READERS[config.data.name].value(config.data)
        consistency.check_one_answer(splits)
        annotated, test = splits["annotated"], splits.get("test")
        self._pictures = [(path, box) for each in (annotated, test) if each for path, box in _shown(each)]
        self.known = _numbered(annotated, 0)
        self.test = _numbered(test, len(annotated)) if test else None
        self.origins = [(os.path.realpath(path), records.digest(path)) for path in annotated.paths]
        self.normaliser = annotated.normaliser
        self._chosen: dict[str, Any] = {}
        self.flip_pairs = annotated.flip_pairs or sides.flip_pairs(annotated.landmark_names)

    def settings(self, count: int) -> dict[str, Any]:
        """Returns what the figures of the peer depend on where so many pictures are drawn."""
        return self._peer.settings(count, mirrored=bool(self.flip_pairs))

    def measure(self, count: int, seed: int) -> dict[str, Any]:
        """Fits to so many annotated pictures, drawn as `few_annotations.few_shot` draws them.

        Args:
          count: how many pictures.
          seed: of their draw, and of the peer.

        Returns:
          `errors`, and what the peer has `chosen` by the pictures that were drawn; nothing where other pictures than
          those are wanted to measure on, and there is none.

        Raises:
          ValueError: if the peer is not installed; a table of recorded draws does not need it.
        """
        if not self._peer.installed():
            raise ValueError(f"{self._name} is not installed; install the extra bench, or {self._peer.PACKAGE}")
        fit = absent.takes_all(lambda few: self._fit(few, seed))
        take, asked = lambda drawn, _: self.known.take(drawn), {"counts": [count], "seeds": [seed]}  # noqa: E731
        options = {**asked, "batch_size": _AT_ONCE, "measure": errors, "shown": self.origins}
        found = few_annotations.few_shot({_AS: fit}, take, self.known, self.test, **options).get(_AS, {})
        return {**found[count][0], "chosen": self._chosen} if found.get(count) else {}

    def _fit(self, few, seed):
        """A head: numbers of pictures -> landmarks in pixels of them."""
        import tensorflow as tf

        seen = [self._seen(number) for number in few.labels.values.ravel()]
        points = [(each - corner) / scale for each, (_, corner, scale) in zip(absent.shapes(few), seen)]
        exchanged = sides.exchanged(few.landmarks.shape[1], self.flip_pairs)
        how = {"exchanged": exchanged, "settings": self.settings(len(few)), "seed": seed}
        locate = self._peer.fit([image for image, *_ in seen], np.stack(points), **how)
        self._chosen = locate.chosen

        def head(numbers):
            images = (self._seen(number) for number in np.ravel(numbers))
            found = np.stack([locate(image) * scale + corner for image, corner, scale in images])
            return {"points": tf.constant(found, tf.float32), "score": tf.ones(found.shape[:2])}

        return head

    def _seen(self, number):
        """A picture as the peer sees it, its corner in the file, and how many pixels of the file one pixel is."""
        path, box = self._pictures[number]
        picture = decoding.read_picture(path)
        height, width = picture.shape[:2]
        left, top, right, bottom = (0, 0, width, height) if box is None else box
        size = self._peer.shown_size((round(bottom - top), round(right - left)))
        image, scale = decoding.resize_box(picture, box, size, path=path)
        return image, np.float32([left, top]), np.float32(scale)


def _shown(pictures: Pictures):
    """The path of each picture, and the box that is shown of it or None."""
    return zip(pictures.paths, [None] * len(pictures) if pictures.boxes is None else pictures.boxes.tolist())


def _numbered(pictures: Pictures, first: int) -> LabelledLandmarks:
    sizes = np.array([decoding.read_size(path) for path in pictures.paths], np.int64)
    pictures, ones = consistency.checked(pictures, sizes), np.ones([len(pictures), 2], np.float32)
    numbers = LabelMap(first + np.arange(len(pictures)).reshape([-1, 1, 1, 1]), 1)
    facts = pictures.landmarks, pictures.annotated, ones, pictures.normalisers, np.arange(len(pictures))
    return LabelledLandmarks(numbers, *facts)
