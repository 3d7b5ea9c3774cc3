"""What the scores of a landmark head are worth: how far off a point is, how likely it is nearly right, or is there.

It is learned on annotated images that another head of its kind was not fitted to, so it holds for images of that sort.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.optimize
import scipy.special
import tensorflow as tf

from dense_labels import compat
from dense_labels.batches import LabelledLandmarks

EXPECTED, LIKELY, PRESENT = KEYS = "expected", "likely", "present"  # of a calibration: lines, [K, 4] each
NEAR = 0.05  # of the normaliser: a point is nearly right within so much of where it was annotated
_LEAST, _ENOUGH = 1e-2, 20  # pixels that a distance counts as at least; distances that a slope can be fitted to
_ABSENT = 5  # landmarks, of all kinds, that are not annotated: of fewer nothing is said
_PRIOR = 5  # distances that what all landmarks have in common counts as much as, in each of them
# Distances, a logit from their mean, that a slope of 0 counts as much as: the variance of the logarithms of distances,
# 0.4 where both coordinates are normal, over that of slopes, 0.2, for few are below -1.
_FLAT = 2
_SLOPES = 4  # variance of the slopes of likelihoods
_SPAN = -12.0, 7.0  # of logits that are fitted to: in float32 a score nearer to 1 is told from it too coarsely
_OLD_SPAN = -12.0, 12.0  # of those that earlier versions fitted one line for all landmarks to

_ANSWERS = (
    (EXPECTED, "expected_error", tf.exp),
    (LIKELY, "likelihood", tf.sigmoid),
    (PRESENT, "present", tf.sigmoid),
)

Calibration = Mapping[str, np.ndarray]


def fit(
    scores: np.ndarray, distances: np.ndarray, shares: np.ndarray, annotated: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Learns what scores are worth.

    The logarithm of a distance is a line in the logit of the score. Its slope is that of all landmarks together, by
    least squares, drawn towards 0 as by two distances a logit away from their mean: scores that hardly differ tell no
    slope. Its offset is that of each, so that it is right on average, drawn towards that of all by as much as five
    distances would. With fewer than 20 distances, or where a higher score does not mean a smaller distance, as of a
    head whose score says nothing, the slope is 0: the mean distance of each landmark is expected, drawn towards that of
    all landmarks likewise, whatever its score.

    The logit of the probability that a point is nearly right, within 5 % of the normaliser, is another such line, by
    maximum likelihood with Platt's targets (Advances in Large Margin Classifiers, 1999); it never falls with the score.
    How far the offset of a landmark is from that of all is normal beforehand, with variance 1; the slope, with 4.

    The logit of the probability that a landmark is annotated, where others of its image are, is a third line, fitted
    as the second. It is there where five landmarks or more are not annotated; of one whose score is unknown in some
    image it is that of all.

    No line is followed beyond the scores that were seen.

    Args:
      scores: float [N, K], from 0 to 1, of images that the head which gave them was not fitted to.
      distances: float [N, K], how far each point was off, in pixels of the image; not a number where that is unknown.
      shares: float [N, K], the same as a share of the normaliser; not a number likewise.
      annotated: bool [N, K], whether each landmark is annotated; None: nothing is said of those that are not.

    Returns:
      `expected` [K, 4], of each landmark the offset, the slope, and the least and the most logit that was seen, where a
      distance is known; `likely` and `present` [K, 4] likewise.
    """
    odds, found = np.clip(logit(tf.constant(scores, tf.float64)), *_SPAN), {}
    near = np.where(np.isfinite(shares), shares <= NEAR, np.nan)
    lines = {EXPECTED: (distances, _expected), LIKELY: (near, _probable)}
    if annotated is not None:
        some = annotated.any(axis=1, keepdims=True)  # of an image without landmarks nothing is known
        whole = np.isfinite(odds).all(axis=0)  # else the images that have it are those without a score, and not here
        lines[PRESENT] = np.where(some & whole, annotated, np.nan), _probable
    for name, (values, line) in lines.items():
        known = np.isfinite(values) & np.isfinite(odds)
        if known.any() and (name != PRESENT or np.sum(values[known] == 0) >= _ABSENT):
            landmark, seen = np.nonzero(known)[1], odds[known]
            offsets, slope = line(seen, np.asarray(values[known], np.float64), landmark, odds.shape[1])
            rest = [np.full_like(offsets, value) for value in (slope, seen.min(), seen.max())]
            found[name] = np.stack([offsets, *rest], axis=-1)
    return found


def of_answers(
    answers: Mapping[str, Mapping[str, np.ndarray]], images: LabelledLandmarks, annotated: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
    """Learns what the scores of heads are worth.

    Args:
      answers: name -> what a head that was not fitted on the images answered; of none without `score` anything is said.
      images: N annotated images; landmarks whose distances do not count are not annotated.
      annotated: [N, K], 1 where a landmark is annotated, be its distance counted or not, else 0.

    Returns:
      Name -> what `fit` returns.
    """
    normaliser = np.where(images.normaliser > 0, images.normaliser, np.nan)[:, np.newaxis]
    found = {}
    for name, answer in answers.items():
        if "score" not in answer:
            continue  # it can be measured, not exported
        offsets = np.where(images.annotated[..., np.newaxis] > 0, answer["points"] - images.landmarks, np.nan)
        shares = np.linalg.norm(offsets * images.scale[:, np.newaxis], axis=-1) / normaliser
        found[name] = fit(answer["score"], np.linalg.norm(offsets, axis=-1), shares, annotated > 0)
    return found


def _expected(odds, distances, landmark, count):
    distances, slope = np.maximum(distances, _LEAST), 0.0
    if len(distances) >= _ENOUGH:
        x, y = (_less_means(each, landmark) for each in (odds, np.log(distances)))
        slope = min(x @ y / (x @ x + _FLAT), 0.0)
    relative = np.exp(slope * odds)
    level = distances.mean() / relative.mean()
    times = np.bincount(landmark, minlength=count)
    sums, totals = (np.bincount(landmark, each, count) for each in (distances, relative))
    prior = _PRIOR * np.where(times, totals / np.maximum(times, 1), relative.mean())
    return np.log((sums + prior * level) / (totals + prior)), slope


def _probable(odds, holds, landmark, count):
    yes = holds > 0
    target = np.where(yes, (yes.sum() + 1) / (yes.sum() + 2), 1 / ((~yes).sum() + 2))

    def loss(values):
        slope, offset, own = values[0], values[1], values[2:]
        logits = offset + own[landmark] + slope * odds
        wrong = scipy.special.expit(logits) - target
        value = np.sum(np.logaddexp(0, logits) - target * logits) + 0.5 * (own @ own + slope**2 / _SLOPES)
        steeper, higher = wrong @ odds + slope / _SLOPES, wrong.sum()
        return value, np.concatenate([[steeper, higher], np.bincount(landmark, wrong, count) + own])

    steepest = None if len(holds) >= _ENOUGH else 0.0
    bounds = [(0.0, steepest), *[(None, None)] * (1 + count)]
    best = scipy.optimize.minimize(loss, np.zeros(2 + count), jac=True, method="L-BFGS-B", bounds=bounds).x
    return best[1] + best[2:], best[0]


def _less_means(values, landmark):
    return values - (np.bincount(landmark, values) / np.maximum(np.bincount(landmark), 1))[landmark]


def logit(score: tf.Tensor) -> tf.Tensor:
    """Returns the logarithm of the odds of scores from 0 to 1, which may be infinite."""
    score = tf.clip_by_value(score, 0.0, 1.0)
    return tf.math.log(score) - tf.math.log(1.0 - score)  # ONNX has no log1p


def _on_line(line: np.ndarray, odds: tf.Tensor) -> tf.Tensor:
    """The heights of lines, [K, 4] as `fit` returns them, at logits [N, K]; those of earlier versions have no span."""
    offset, slope, *span = np.moveaxis(np.float32(line), -1, 0)
    return offset + slope * tf.clip_by_value(odds, *(span or (_SPAN if line.ndim > 1 else _OLD_SPAN)))


class CalibratedHead:
    """A landmark head that also answers what its scores are worth.

    Attributes:
      variables: those of the head.
    """

    def __init__(self, head: Callable[[Any], Mapping[str, Any]], calibration: Calibration):
        """Creates it.

        Args:
          head: labels -> `points` [N, K, 2], `score` [N, K] and perhaps more.
          calibration: what `fit` returned, of K landmarks. Earlier versions kept offsets and slopes alone, [K, 2], or
            [2] for all of them.
        """
        self._head, self._calibration, self.variables = head, calibration, compat.variables(head)

    def __call__(self, labels: tf.Tensor) -> dict[str, Any]:
        """Locates the landmarks.

        Args:
          labels: float32 [N, h, w, L], or what else the head takes.

        Returns:
          The head's answer with `expected_error` [N, K], in pixels of the image, `likelihood` [N, K], the probability
          that a point is nearly right, and `present` [N, K], the probability that there is something to annotate;
          without what the calibration does not say.
        """
        found = self._head(labels)
        added, odds = {}, logit(found["score"])
        for key, name, of_line in _ANSWERS:
            if key in self._calibration:
                added[name] = of_line(_on_line(self._calibration[key], odds))
        return {**added, **found}
