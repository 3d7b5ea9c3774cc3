"""The pictures a run shows of itself: what they are drawn from, labelled once, and all of them drawn."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from dense_labels import files, progress
from dense_labels.batches import LabelMap, LabelNetwork, LandmarkBatch, PairBatch
from dense_labels.evaluation.descriptor_matching import Matches
from dense_labels.pictures import cells, descriptors, matches, unfolding
from dense_labels.registry import PICTURES, Entry


class Worst(NamedTuple):
    """The images whose landmarks are predicted worst, the worst first."""

    images: np.ndarray  # float32 [n, H, W, 3] in [0, 1]
    points: np.ndarray  # float [n, K, 2], predicted (x, y) in pixels; not numbers where a landmark was not fitted
    landmarks: np.ndarray  # float32 [n, K, 2], true (x, y) in pixels
    annotated: np.ndarray  # float32 [n, K]
    scale: np.ndarray  # float32 [n, 2]: pixels of the picture in one pixel of the image, along x and y


@dataclasses.dataclass(frozen=True, eq=False)
class Material:
    """All that pictures are drawn from; a picture is drawn where what it needs is there. Arrays are numpy's.

    Attributes:
      pairs: a few pairs; what is visible of A counts as the object.
      stride: side of a cell of the network in pixels, at which the pairs were sampled.
      labels_a, labels_b: of the views of the pairs.
      has_confidence: whether the length of a label is its confidence.
      heat_maps_a, heat_maps_b: in place of labels, of a network that finds landmarks of its own.
      compared: more pairs, of which the worst are shown; where there are none, the pairs above are compared.
      compared_a, compared_b: labels of their views.
      many: gives many images, batch by batch: images [B, H, W, 3], their labels, and masks of the object [B, H, W].
      frames: a few annotated images.
      frame_labels: their labels.
      frame_pictures: int [N], the number of the picture that each is of, such as that of boxes in it; None: each is of
        another.
      head_points: [N, K, 2], what the landmark head predicts in them, (x, y) in pixels.
      descriptor_matches: landmarks of many images matched by the nearest descriptor.
      worst: the images whose landmarks are predicted worst.
      curves: of landmark errors, as of `evaluation.result.Result`.
    """

    pairs: PairBatch
    stride: int
    labels_a: LabelMap | None = None
    labels_b: LabelMap | None = None
    has_confidence: bool = False
    heat_maps_a: LabelMap | None = None
    heat_maps_b: LabelMap | None = None
    compared: PairBatch | None = None
    compared_a: LabelMap | None = None
    compared_b: LabelMap | None = None
    many: Callable[[], Iterable[tuple[Any, LabelMap, Any]]] | None = None
    frames: LandmarkBatch | None = None
    frame_labels: LabelMap | None = None
    frame_pictures: np.ndarray | None = None
    head_points: np.ndarray | None = None
    descriptor_matches: Matches | None = None
    worst: Worst | None = None
    curves: Mapping[str, Any] | None = None

    def has(self, name: str) -> bool:
        """Whether there is something in a field."""
        value = getattr(self, name)
        return bool(value) if isinstance(value, (bool, Mapping)) else value is not None

    @functools.cached_property
    def visible(self) -> np.ndarray:
        """Which cells of views A are seen in B, bool [N, h, w]."""
        return self.pairs.visible > 0

    @functools.cached_property
    def masks(self) -> np.ndarray:
        """The pixels of these cells, bool [N, H, W]."""
        return cells.over_pixels(self.visible, self.stride, self.pairs.image_a.shape[1:3])

    @functools.cached_property
    def basis(self) -> np.ndarray | None:
        """How labels of more than three numbers are seen as colours; see `unfolding.colour_basis`."""
        return unfolding.colour_basis(self.labels_a.values, self.visible)

    @property
    def thirds(self) -> slice:
        """Every third pair, for pictures that need much room."""
        return slice(2, None, 3) if len(self.visible) > 2 else slice(None)

    @property
    def compared_pairs(self) -> PairBatch:
        """The pairs whose matches are measured."""
        return self.pairs if self.compared is None else self.compared

    @functools.cached_property
    def match_errors(self) -> matches.MatchErrors:
        """The matches of all cells of these pairs."""
        own = self.compared is None
        labels = (self.labels_a, self.labels_b) if own else (self.compared_a, self.compared_b)
        return matches.measure_matches(*labels, self.compared_pairs.points_in_b, self.compared_pairs.visible > 0)

    @functools.cached_property
    def pair_matches(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The matches of these pairs as `(correct, probability)`, bool [M] and float [M]; None where none is visible.

        A match is correct that is off by less than `matches.FAR` of the image's shorter side. Without labels there are
        none.
        """
        if self.labels_a is None:
            return None
        found = self.match_errors
        if not found.visible.any():
            return None
        far = matches.FAR * min(self.compared_pairs.image_a.shape[1:3])
        return found.errors[found.visible] < far, found.probability[found.visible]

    @functools.cached_property
    def nearest(self) -> descriptors.Nearest:
        """The nearest descriptors of points of views A in views B."""
        return descriptors.find_in_pairs(self.labels_a, self.labels_b, self.pairs.points_in_b, self.visible)


def label_pairs(
    network: LabelNetwork, pairs: PairBatch, stride: int, *, has_confidence: bool, compares_labels: bool = True
) -> Material:
    """Labels the views of pairs, each once, for all pictures of an epoch or evaluation.

    Args:
      network: images [B, H, W, 3] -> labels [B, h, w, L].
      pairs: sampled at the network's stride.
      stride: side of a cell in pixels.
      has_confidence: whether the length of a label is its confidence.
      compares_labels: whether the network gives labels, not heat maps of landmarks of its own.

    Raises:
      ValueError: if the labels have other cells than the pairs.
    """
    pairs = PairBatch(*(np.asarray(part) for part in pairs))
    labels_a, labels_b = (LabelMap(np.asarray(network(image)), stride) for image in (pairs.image_a, pairs.image_b))
    if labels_a.cells != pairs.visible.shape[1:]:
        (height, width), (rows, columns) = labels_a.cells, pairs.visible.shape[1:]
        raise ValueError(
            f"labels of {height} x {width} cells do not go with pairs sampled at {rows} x {columns} cells; "
            f"sample the pairs at the stride of the network, which should be {stride}"
        )
    if not compares_labels:
        return Material(pairs, stride, heat_maps_a=labels_a, heat_maps_b=labels_b)
    return Material(pairs, stride, labels_a, labels_b, has_confidence)


def draw(material: Material, *, only_learned: bool = False) -> dict[str, np.ndarray]:
    """Draws every registered picture whose `needs` the material has.

    One that cannot be drawn, or is no uint8 [H, W, 3], is a warning.

    Args:
      material: what there is.
      only_learned: whether pictures are left out that need nothing but the pairs, which no training changes.

    Returns:
      Name -> uint8 [H, W, 3], in the order of the page.
    """
    pictures = {}
    for entry in in_order():
        needs = entry.facts.get("needs", ())
        if only_learned and set(needs) <= {"pairs"}:
            continue
        try:
            picture = entry.value(material) if all(map(material.has, needs)) else None
            if picture is not None:
                pictures[entry.name] = _checked(picture)
        except Exception as error:  # whatever is wrong with a picture, it is worth less than the run it is of
            progress.warn(f"picture {entry.place} cannot be drawn: {progress.reason(error)}")
    return pictures


def _checked(picture: Any) -> np.ndarray:
    """A picture as numpy has it; raises a ValueError where it is not uint8 [H, W, 3]."""
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.shape[2:] != (3,) or not array.size:
        found = f"{type(picture).__name__} of {array.dtype} {list(array.shape)}"
        raise ValueError(f"it is {found}; uint8 [H, W, 3] is expected")
    return array


def in_order() -> list[Entry]:
    """Returns the registered pictures as they stand on the page; those without a place come last."""
    return sorted(PICTURES.values(), key=lambda entry: entry.facts.get("place", np.inf))


def save(folder: str | os.PathLike, pictures: Mapping[str, np.ndarray]) -> None:
    """Writes pictures as PNG files, each whole or not at all; removes others that an earlier evaluation has drawn.

    Args:
      folder: an existing folder.
      pictures: name -> uint8 [H, W, 3].

    Raises:
      OSError: if one cannot be written.
    """
    for name in PICTURES.keys() - pictures.keys():
        files.remove(os.path.join(folder, f"{name}.png"))
    for name, picture in pictures.items():
        files.write_whole(os.path.join(folder, f"{name}.png"), tf.io.encode_png(picture).numpy())
