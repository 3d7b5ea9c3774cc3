"""Figures of merit; each names what it divides by, what counts as within, and how it averages.

All take the images of a test set at once, as arrays. Everywhere the normaliser of an image divides both x and y, and a
point or image at a threshold is within it. The figures of an evaluation register themselves in `METRICS`, at the end.
"""

from typing import NamedTuple

import numpy as np

from dense_labels.registry import METRICS

AVERAGES = ("points", "images")
_LIMIT = 10.0  # percent of the normaliser: areas reach to it, and images that are off by more count as failures


class Measured(NamedTuple):
    """Predicted and annotated landmarks of N pictures, in pixels of these; a normaliser is known of each."""

    predicted: np.ndarray  # [N, K, 2], (x, y)
    landmarks: np.ndarray  # [N, K, 2], (x, y)
    annotated: np.ndarray  # [N, K]: 1 where the landmark counts, else 0
    normaliser: np.ndarray  # [N]: an eye distance, a box size, the picture's width, ...


def mean_error(predicted, landmarks, annotated, normaliser) -> float:
    """Mean distance between predicted and annotated points, in percent of the normaliser of their image.

    Every annotated point of every image weighs the same (a mean over points, not a mean over image means).

    Args:
      predicted, landmarks, annotated, normaliser: as of `image_errors`.

    Returns:
      A percentage, 0 or more.

    Raises:
      ValueError: as `image_errors`.
    """
    return float(np.mean(_point_errors(predicted, landmarks, annotated, normaliser)[0]))


def image_errors(predicted, landmarks, annotated, normaliser) -> np.ndarray:
    """Mean distance of each image's annotated points, in percent of its normaliser.

    Args:
      predicted: [N, K, 2], (x, y) in pixels.
      landmarks: [N, K, 2], in pixels of the same image.
      annotated: [N, K], 1 where the landmark counts, else 0.
      normaliser: [N], in pixels: an eye distance, a box size, ...

    Returns:
      float64 [n], of the images that have an annotated point, in their order.

    Raises:
      ValueError: if no point is annotated, the normaliser of an annotated point is not positive, or shapes differ.
    """
    errors, images = _point_errors(predicted, landmarks, annotated, normaliser)
    counts = np.bincount(images)
    return np.bincount(images, errors)[counts > 0] / counts[counts > 0]


def failure_rate(errors) -> float:
    """Share of images whose mean error is above 10 %, or is no number, as of 300-W.

    Args:
      errors: [n], percent, of `image_errors`.

    Returns:
      From 0 to 1.
    """
    return float(np.mean(~(np.asarray(errors) <= _LIMIT)))


def cumulative_error_curve(errors, thresholds) -> np.ndarray:
    """Share of images whose mean error is at most t, for each t.

    Args:
      errors: [n], percent, of `image_errors`.
      thresholds: [T], percent.

    Returns:
      float64 [T], from 0 to 1.
    """
    return _shares_within(errors, thresholds, np.ones(len(errors)))


def area_under_cumulative_error(errors) -> float:
    """Area under the cumulative error curve from 0 to 10 %, divided by these, as of 300-W.

    The curve is a staircase and its area is exact: no thresholds are chosen.

    Args:
      errors: [n], percent, of `image_errors`.

    Returns:
      From 0 to 1.
    """
    return _area_within(errors, _LIMIT, np.ones(len(errors)))


def pck_curve(predicted, landmarks, annotated, normaliser, alphas, *, average: str) -> np.ndarray:
    """Percentage of correct keypoints: those no further off than alpha times the normaliser, for each alpha.

    Args:
      predicted, landmarks, annotated, normaliser: as of `image_errors`.
      alphas: [T], shares of the normaliser, such as 0.1.
      average: "points": each annotated point weighs the same; "images": each image that has one does, as of SCNet.

    Returns:
      float64 [T], a share from 0 to 1 (not a percentage).

    Raises:
      ValueError: as `image_errors`, or if there is no such average.
    """
    errors, weights = _weighted_errors(predicted, landmarks, annotated, normaliser, average)
    return _shares_within(errors, 100.0 * np.asarray(alphas), weights)


def area_under_pck(predicted, landmarks, annotated, normaliser, limit: float, *, average: str) -> float:
    """Area under the PCK curve for alpha from 0 to a limit, divided by the limit; exact.

    Args:
      predicted, landmarks, annotated, normaliser, average: as of `pck_curve`.
      limit: the largest alpha.

    Returns:
      From 0 to 1.

    Raises:
      ValueError: as `pck_curve`.
    """
    errors, weights = _weighted_errors(predicted, landmarks, annotated, normaliser, average)
    return _area_within(errors, 100.0 * limit, weights)


def _weighted_errors(predicted, landmarks, annotated, normaliser, average):
    """Percent and weight of each annotated point."""
    if average not in AVERAGES:
        raise ValueError(f"average={average!r}: there is no such average; choose {', '.join(AVERAGES)}")
    errors, images = _point_errors(predicted, landmarks, annotated, normaliser)
    return errors, 1.0 / np.bincount(images)[images] if average == "images" else np.ones(len(errors))


def _point_errors(predicted, landmarks, annotated, normaliser):
    """Percent of each annotated point, and the index of its image."""
    shapes = np.shape(predicted), np.shape(landmarks), (*np.shape(annotated), 2)
    if len(set(shapes)) > 1 or np.shape(normaliser) != np.shape(annotated)[:1]:
        raise ValueError(
            "predicted and landmarks must be [N, K, 2], annotated [N, K] and normaliser [N]; found shapes "
            f"{shapes[0]}, {shapes[1]}, {np.shape(annotated)} and {np.shape(normaliser)}"
        )
    images, points = np.nonzero(np.asarray(annotated) > 0)
    if not len(images):
        raise ValueError("no point is annotated: there is nothing to measure")
    divisor = np.asarray(normaliser, float)[images]
    if not (divisor > 0).all():
        image = images[~(divisor > 0)][0]
        raise ValueError(f"the normaliser of image {image} is {normaliser[image]}; it must be positive pixels")
    offsets = np.asarray(predicted, float)[images, points] - np.asarray(landmarks, float)[images, points]
    return 100.0 * np.linalg.norm(offsets, axis=-1) / divisor, images


def _shares_within(errors, thresholds, weights):
    within = np.asarray(errors) <= np.asarray(thresholds, float)[:, np.newaxis]  # [T, n]
    return np.average(within, axis=-1, weights=weights)


def _area_within(errors, limit, weights):
    """An error e is counted from e to the limit."""
    return float(np.average(np.clip(1.0 - np.asarray(errors) / limit, 0.0, 1.0), weights=weights))


@METRICS.register("error_percent", "mean error, %")
def _error(points: Measured) -> float:
    return mean_error(*points)


@METRICS.register("failures_percent", f"off by over {_LIMIT:.0f} %, % of images")
def _failures(points: Measured) -> float:
    return 100 * failure_rate(image_errors(*points))


@METRICS.register("cumulative_area", f"area under cumulative error to {_LIMIT:.0f} %")
def _cumulative_area(points: Measured) -> float:
    return area_under_cumulative_error(image_errors(*points))


@METRICS.register("pck_area", f"area under PCK to {_LIMIT:.0f} %")
def _pck_area(points: Measured) -> float:
    return area_under_pck(*points, _LIMIT / 100, average="points")
