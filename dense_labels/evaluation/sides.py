"""Mirror images of annotated ones, and which landmarks change places there, told by their names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from dense_labels.batches import LabelledLandmarks, LabelNetwork, LandmarkBatch
from dense_labels.config import Config
from dense_labels.evaluation import landmarks

MANY = 1000  # annotated images; mirror images of more cost time and do not help: measured on faces
_SIDE = re.compile(r"left|right|(?<![a-z])[lr](?![a-z])", re.IGNORECASE)
_STANDS_ALONE = re.compile(r"(?<![a-z])(left|right|l|r)(?![a-z])|^(left|right)|(left|right)$", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}


def flip_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Guesses the pairs of landmarks that a mirror exchanges.

    Every "left" in a name is taken for "right" and the other way round, and so is a letter l or r that stands by
    itself: "left_eye", "eyeLeft", "ear l", "left_eye_right_corner". Where a pair is found, so are names that differ by
    one l and r alone: "LF_paw" and "RF_paw", "pawL" and "pawR".

    Args:
      names: of the landmarks; none where they have no names.

    Returns:
      Pairs of indices, the lower one first; none where no name has a partner, or where one says a side and has none or
      several, for what a mirror makes of that landmark is not known.
    """
    places = {name.lower(): index for index, name in enumerate(names)}
    found = []
    for index, name in enumerate(names):
        mirrored = _SIDE.sub(lambda match: _OTHER[match.group().lower()], name.lower())
        partner = places.get(mirrored)
        if partner is None and _STANDS_ALONE.search(name):
            return ()
        if partner is not None and index < partner:
            found.append((index, partner))
    return _with_others(names, found) if found else ()


def _with_others(names: Sequence[str], found: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Adds the pairs of names that differ by one l and r alone, of names that have no partner yet."""
    rest = sorted(set(range(len(names))) - {index for pair in found for index in pair})
    added = [
        (a, b) for a, b in itertools.combinations(rest, 2) if _differ_by_a_side(names[a].lower(), names[b].lower())
    ]
    members = [index for pair in added for index in pair]
    return tuple(sorted(found + added)) if len(set(members)) == len(members) else ()


def _differ_by_a_side(first: str, second: str) -> bool:
    different = [{a, b} for a, b in zip(first, second) if a != b]
    return len(first) == len(second) and different == [{"l", "r"}]


def words(pairs: Sequence[tuple[int, int]], names: Sequence[str]) -> str:
    """Says which landmarks change places, and which keep theirs; by their numbers where they have no names."""
    said = ", ".join(f"{names[a]} and {names[b]}" if names else f"{a} and {b}" for a, b in pairs)
    members = {index for pair in pairs for index in pair}
    kept = [name for index, name in enumerate(names) if index not in members]
    return f"{said}; in their places stay {', '.join(kept)}" if kept else said


def exchanged(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Lists which landmark stands where each of `count` stood, once the pairs have changed places.

    Raises:
      ValueError: if a landmark is in two pairs.
    """
    members = [landmark for pair in pairs for landmark in pair]
    if len(set(members)) < len(members):
        raise ValueError(f"flip pairs {list(map(tuple, pairs))}: a landmark is in two of them; each has one partner")
    order = list(range(count))
    for left, right in pairs:
        order[left], order[right] = right, left
    return order


def mirrored(images: LandmarkBatch, pairs: Sequence[tuple[int, int]]) -> LandmarkBatch:
    """Mirrors annotated images left to right; landmarks of a pair change places.

    Raises:
      ValueError: as `exchanged`.
    """
    order = exchanged(images.landmarks.shape[1], pairs)
    x, y = np.moveaxis(np.asarray(images.landmarks)[:, order], -1, 0)
    points = np.stack([images.image.shape[2] - x, y], axis=-1)
    annotated = np.asarray(images.annotated)[:, order]
    return images._replace(image=np.asarray(images.image)[:, :, ::-1], landmarks=points, annotated=annotated)


class MirrorImages:
    """Mirror images of the annotated images of a source, labelled when they are asked for.

    Attributes:
      pairs: landmarks that a mirror exchanges; () where there are no mirror images: where the training saw none, it is
        not known which landmarks change sides, or no head sees labels.
      words: the pairs in words.
    """

    def __init__(self, source: Any, config: Config, label: LabelNetwork, stride: int):
        """Creates a collection without images.

        Args:
          source: `input_pipeline.sources.base.Source`.
          config: of the run.
          label: images [B, H, W, 3] -> labels [B, h, w, L].
          stride: side of a cell in pixels.
        """
        names = tuple(source.landmark_names)
        of_use = config.views.flip and set(config.eval.heads) != {"detector"}
        self.pairs = (source.flip_pairs or flip_pairs(names)) if of_use else ()
        self.words = words(self.pairs, names)
        self._source, self._label, self._stride, self._batch_size = source, label, stride, config.eval.batch_size
        self._labelled: LabelledLandmarks | None = None
        self._rows: dict[int, int] = {}  # of `_labelled`, by number of the picture

    def added(self, images: LabelledLandmarks) -> LabelledLandmarks:
        """Adds their mirror images to annotated images of the source, for heads to be fitted to.

        The fewer there are, the more these help; there are none of more than `MANY`.

        Raises:
          ValueError: as `exchanged`.
        """
        if not self.pairs or len(images) > MANY:
            return images
        new = [number for number in images.picture.tolist() if number not in self._rows]
        if new:
            found = self._labelled_anew(new)
            self._rows.update({number: len(self._rows) + n for n, number in enumerate(new)})
            self._labelled = found if self._labelled is None else self._labelled.joined(found)
        assert self._labelled is not None
        return images.joined(self._labelled.take([self._rows[number] for number in images.picture.tolist()]))

    def _labelled_anew(self, numbers):
        from input_pipeline import pipeline

        asked = {"count": self._source.count("annotated"), "batch_size": self._batch_size, "seed": 0, "copies": 0}
        images = pipeline.few_shot_batches(self._source, numbers, **asked)
        return landmarks.label_landmarks(self._label, (mirrored(each, self.pairs) for each in images), self._stride)
