"""Heads where landmarks are annotated in some of the images alone: they are fitted to what there is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from dense_labels.batches import LabelledLandmarks

# Labels [N, h, w, L], or images, -> `points` [N, K, 2], `score` [N, K], ...
Head = Callable[[Any], Mapping[str, Any]]
Fit = Callable[[LabelledLandmarks], Head]
Fits = Mapping[str, Fit]


def takes_all(fit: Callable) -> Callable:
    """Has `fit_present` give a function that fits a head all landmarks, also those that the images lack.

    It is for heads that have to know of all, as of the pairs that a mirror exchanges.
    """
    fit.takes_all = True  # type: ignore[attr-defined]
    return fit


def fitted_alone(images: LabelledLandmarks, known: LabelledLandmarks) -> LabelledLandmarks:
    """Leaves those landmarks annotated that heads can be fitted to on others.

    Args:
      images: annotated images.
      known: those that heads are fitted on.

    Returns:
      The images; a landmark that none of the others has counts as not annotated.
    """
    return dataclasses.replace(images, annotated=images.annotated * present_in(known))


def present_in(images: LabelledLandmarks) -> np.ndarray:
    """Which landmarks are annotated in any of the images, bool [K]."""
    return images.annotated.any(axis=0)


def shapes(known: LabelledLandmarks) -> np.ndarray:
    """The landmarks of annotated images, float32 [N, K, 2]; not a number where one is not annotated."""
    return np.where(known.annotated[..., np.newaxis] > 0, known.landmarks, np.float32(np.nan))


def fit_present(fits: Fits, images: LabelledLandmarks) -> dict[str, Head]:
    """Fits heads to the landmarks that the images have; the places of others are not numbers.

    A fit that is decorated with `takes_all` is given all landmarks, also those that the images lack.

    Args:
      fits: name -> function that fits a head.
      images: annotated images.

    Returns:
      Name -> head.

    Raises:
      ValueError: if the images have no landmarks, or a head cannot be fitted.
    """
    present = present_in(images)
    if not present.any():
        raise ValueError(
            f"no landmark is annotated in the {len(images)} images to fit heads on; annotate more pictures"
        )
    if present.all():
        return {name: fit(images) for name, fit in fits.items()}
    rest = dataclasses.replace(images, landmarks=images.landmarks[:, present], annotated=images.annotated[:, present])
    column = np.where(present, np.cumsum(present) - 1, present.sum())

    def with_all_landmarks(head):
        def answer(labels):
            known = head(labels)
            absent = {name: tf.fill(tf.shape(values[:, :1]), np.float32(np.nan)) for name, values in known.items()}
            return {name: tf.gather(tf.concat([known[name], absent[name]], axis=1), column, axis=1) for name in known}

        return answer

    def without(head):
        def answer(images):
            known = head(images)
            points = tf.where(present[:, np.newaxis], known["points"], np.float32(np.nan))
            return {"points": points, "score": tf.where(present, known["score"], np.float32(np.nan))}

        return answer

    return {
        name: without(fit(images)) if getattr(fit, "takes_all", False) else with_all_landmarks(fit(rest))
        for name, fit in fits.items()
    }
