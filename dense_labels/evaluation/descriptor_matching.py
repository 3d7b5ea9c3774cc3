"""Landmarks matched between different objects by their nearest descriptors, and how far confidence can be trusted.

Section 4 of "Self-supervised learning of geometrically stable features through probabilistic introspection" (CVPR
2018) has no such measure of the confidence itself; what each figure is, is said where it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dense_labels.batches import LabelledLandmarks
from dense_labels.evaluation import confidence as confidence_lib
from dense_labels.evaluation import label_matching
from dense_labels.method import geometry, introspection_loss

ALPHA = 0.1  # a match is correct up to this share of the image's width
WORDS = {  # of the figures, for tables
    "nearest_descriptor_error_percent": "error in % of the width",
    "nearest_descriptor_pck": f"share within {100 * ALPHA:.0f} %",
    "risk_by_confidence": "risk-coverage area by confidence",
    "risk_by_cosine": "by cosine",
    "risk_by_likelihood": "by the likelihood of (5)",
    "risk_at_random": "at random",
    "risk_of_the_errors": "of the errors",
    "confidence_roc_area": "ROC area, object against background",
}


class Matches(NamedTuple):
    """Landmarks of images A that were looked for in images B."""

    errors: np.ndarray  # float [n], distance from the true place in % of the image's width
    confidence: np.ndarray  # float [n], the inverse of the mean sigma of the two ends
    score: np.ndarray  # float [n], cosine
    pair: np.ndarray  # int [n], which pair each belongs to

    @property
    def correct(self) -> np.ndarray:
        """Which are at most `ALPHA` of the width off, bool [n]."""
        return self.errors <= 100 * ALPHA


def measure(
    images: LabelledLandmarks, *, width: int, confidence: bool, seed: int = 0, pictures: np.ndarray | None = None
) -> tuple[Matches | None, dict[str, float]]:
    """Matches the landmarks of different pictures, and says how far off they are and what confidence is worth.

    Args:
      images, width, seed, pictures: as in `match_landmarks`.
      confidence: whether the labels carry confidence.

    Returns:
      `(matches, figures)`: `Matches`, and the dictionary of `figures`, with that of `confidence_figures` where there is
      confidence; None and an empty one where there is nothing to match.
    """
    matches = match_landmarks(images, width=width, seed=seed, pictures=pictures)
    if matches is None:
        return None, {}
    worth = confidence_figures(matches, images) if confidence else {}
    return matches, {**figures(matches), **worth}


def match_landmarks(
    images: LabelledLandmarks, *, width: int, count: int = 500, seed: int = 0, pictures: np.ndarray | None = None
) -> Matches | None:
    """Looks for landmarks in images of other pictures, by the nearest descriptor on a label map made 4 times finer.

    Args:
      images: annotated images, labelled.
      width: of the images in pixels, which errors are a share of.
      count: how many pairs of different pictures are drawn at most.
      seed: of that draw.
      pictures: int [N], which picture each image is of; see `label_matching.pairs_of`.

    Returns:
      `Matches`, of the landmarks that are annotated and seen in both images; None where there are none, or but one
      picture.
    """
    labels, landmarks, annotated = images.labels.values, images.landmarks, images.annotated * images.inside
    if label_matching.count_pictures(len(images), pictures) < 2:
        return None
    a, b = label_matching.pairs_of(count, len(labels), seed, pictures).T
    known = annotated[a] * annotated[b] > 0
    if not known.any():
        return None
    points = np.where(annotated[..., np.newaxis] > 0, landmarks, 0)  # those that are not annotated may be anywhere
    compared = labels[a], labels[b], points[a]
    places, score, sure = label_matching.nearest_descriptor(
        *compared, stride=images.labels.stride, upsample=label_matching.FINER
    )
    errors = 100 * np.linalg.norm(places - points[b], axis=-1) / width
    pair = np.broadcast_to(np.arange(len(a))[:, np.newaxis], known.shape)
    return Matches(errors[known], sure[known], score[known], pair[known])


def figures(matches: Matches) -> dict[str, float]:
    """How far off the matches are.

    Args:
      matches: `Matches`.

    Returns:
      A dictionary of floats: `nearest_descriptor_error_percent`, the mean error in % of the width, and
      `nearest_descriptor_pck`, the share within `ALPHA` of the width; every landmark of every pair weighs the same.
    """
    return {
        "nearest_descriptor_error_percent": float(matches.errors.mean()),
        "nearest_descriptor_pck": float(matches.correct.mean()),
    }


def confidence_figures(matches: Matches, images: LabelledLandmarks) -> dict[str, float]:
    """What the confidence of a network is worth.

    Args:
      matches: `Matches` in the images.
      images: annotated images, labelled by a network that has confidence.

    Returns:
      A dictionary of floats. Areas under risk-coverage curves, in % of the width (less is better), in the order of the
      confidence, of the cosine, of the likelihood that equation (5) gives the cosine of two points that match, in a
      random order and in that of the errors themselves: `risk_by_confidence`, `risk_by_cosine`, `risk_by_likelihood`,
      `risk_at_random`, `risk_of_the_errors`. And `confidence_roc_area`, how often a cell in the box of an image's
      landmarks, grown by half its longer side on each side, is more confident than one outside; left out where all
      cells are of one kind.
    """
    orders = {
        "confidence": matches.confidence,
        "cosine": matches.score,
        "likelihood": -introspection_loss.negative_log_likelihood(1 - matches.score, 1 / matches.confidence).numpy(),
    }
    areas = {
        f"risk_by_{name}": confidence_lib.area_under_risk_coverage(matches.errors, order)
        for name, order in orders.items()
    }
    areas["risk_at_random"], areas["risk_of_the_errors"] = confidence_lib.reference_areas(matches.errors)
    shown = images.take(images.annotated.any(axis=1))
    on_object = grown_boxes(shown.landmarks, shown.annotated, shown.labels.cells, shown.labels.stride).ravel()
    if 0 < on_object.sum() < len(on_object):
        areas["confidence_roc_area"] = confidence_lib.roc_area(
            on_object, np.linalg.norm(shown.labels.values, axis=-1).ravel()
        )
    return areas


def grown_boxes(landmarks, annotated, cells: tuple[int, int], stride: int) -> np.ndarray:
    """Which cells lie in the box of an image's landmarks, grown by half its longer side on each side.

    Args:
      landmarks: [N, K, 2], (x, y) in pixels.
      annotated: [N, K], 1 where the landmark is known.
      cells: (height, width) of the label map.
      stride: side of a cell in pixels.

    Returns:
      bool [N, h, w]: whether the centre of the cell does; False where no landmark is annotated.
    """
    known = annotated[..., np.newaxis] > 0
    low, high = np.where(known, landmarks, np.inf).min(axis=1), np.where(known, landmarks, -np.inf).max(axis=1)
    grown = np.where(np.isfinite(low), np.max(high - low, axis=-1, keepdims=True) / 2, 0)
    centres = geometry.cell_centres(*cells, stride).numpy()
    low, high = (side[:, np.newaxis, np.newaxis] for side in (low - grown, high + grown))
    return ((centres >= low) & (centres <= high)).all(axis=-1)


def summary(figures: Mapping[str, float]) -> str:
    """One line of the figures.

    Args:
      figures: a dictionary that holds some of those of `figures` and `confidence_figures`.

    Returns:
      A string.
    """
    named = ", ".join(f"{words} {figures[name]:.3g}" for name, words in WORDS.items() if name in figures)
    return f"landmarks of other pictures matched by the nearest descriptor: {named}"
