"""What the scores of a landmark head are worth: how far off its points are, and how likely they are nearly right.

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

EXPECTED, LIKELY = KEYS = "expected", "likely"  # of a calibration: offsets and slopes, [K, 2] each
NEAR = 0.05  # of the normaliser: a point is nearly right within so much of where it was annotated
_LEAST, _ENOUGH = 1e-2, 20  # pixels that a distance counts as at least; distances that a slope can be fitted to
_PRIOR = 5  # distances that what all landmarks have in common counts as much as, in each of them
_SPAN = -12.0, 7.0  # of logits: in float32 a score nearer to 1 is told from it too coarsely

Calibration = Mapping[str, np.ndarray]


def fit(scores: np.ndarray, distances: np.ndarray, shares: np.ndarray) -> dict[str, np.ndarray]:
    """Learns what scores are worth.

    The logarithm of a distance is a line in the logit of the score. Its slope is that of all landmarks together, by
    least squares; its offset is that of each, so that it is right on average, drawn towards that of all by as much as
    five distances would. With fewer than 20 distances, or where a higher score does not mean a smaller distance, as of
    a head whose score says nothing, the slope is 0: the mean distance of each landmark is expected, whatever its score.

    The logit of the probability that a point is nearly right, within 5 % of the normaliser, is another such line, by
    maximum likelihood with Platt's targets (Advances in Large Margin Classifiers, 1999); it never falls with the score.

    Args:
      scores: float [N, K], from 0 to 1, of images that the head which gave them was not fitted to.
      distances: float [N, K], how far each point was off, in pixels of the image; not a number where that is unknown.
      shares: float [N, K], the same as a share of the normaliser; not a number likewise.

    Returns:
      `expected` [K, 2], offset and slope of each landmark, where a distance is known; `likely` [K, 2] likewise.
    """
    odds, found = logit(tf.constant(scores, tf.float64)).numpy(), {}
    for name, values, line in ((EXPECTED, distances, _expected), (LIKELY, shares, _likely)):
        known = np.isfinite(values) & np.isfinite(odds)
        if known.any():
            landmark = np.nonzero(known)[1]
            found[name] = line(odds[known], np.float64(values[known]), landmark, odds.shape[1])
    return found


def _expected(odds, distances, landmark, count):
    distances, slope = np.maximum(distances, _LEAST), 0.0
    if len(distances) >= _ENOUGH:
        x, y = (_less_means(each, landmark) for each in (odds, np.log(distances)))
        slope = min(x @ y / (x @ x), 0.0) if x @ x > 1e-9 else 0.0
    relative = np.exp(slope * odds)
    level, prior = distances.mean() / relative.mean(), _PRIOR * relative.mean()
    sums, totals = (np.bincount(landmark, each, count) for each in (distances, relative))
    return _lines(np.log((sums + prior * level) / (totals + prior)), slope)


def _likely(odds, shares, landmark, count):
    near = shares <= NEAR
    target = np.where(near, (near.sum() + 1) / (near.sum() + 2), 1 / ((~near).sum() + 2))

    def loss(values):
        slope, offset, own = values[0], values[1], values[2:]
        logits = offset + own[landmark] + slope * odds
        wrong = scipy.special.expit(logits) - target
        value = np.sum(np.logaddexp(0, logits) - target * logits) + 0.5 * own @ own
        return value, np.concatenate([[wrong @ odds, wrong.sum()], np.bincount(landmark, wrong, count) + own])

    steepest = None if len(shares) >= _ENOUGH else 0.0
    bounds = [(0.0, steepest), *[(None, None)] * (1 + count)]
    best = scipy.optimize.minimize(loss, np.zeros(2 + count), jac=True, method="L-BFGS-B", bounds=bounds).x
    return _lines(best[1] + best[2:], best[0])


def _less_means(values, landmark):
    return values - (np.bincount(landmark, values) / np.maximum(np.bincount(landmark), 1))[landmark]


def _lines(offsets, slope):
    return np.stack([offsets, np.full_like(offsets, slope)], axis=-1)


def logit(score: tf.Tensor) -> tf.Tensor:
    """Returns the logarithm of the odds of scores from 0 to 1, from -12 to 7."""
    score = tf.clip_by_value(score, 0.0, 1.0)
    return tf.clip_by_value(tf.math.log(score) - tf.math.log1p(-score), *_SPAN)


class CalibratedHead:
    """A landmark head that also answers what its scores are worth.

    Attributes:
      variables: those of the head.
    """

    def __init__(self, head: Callable[[Any], Mapping[str, Any]], calibration: Calibration):
        """Creates it.

        Args:
          head: labels -> `points` [N, K, 2], `score` [N, K] and perhaps more.
          calibration: what `fit` returned, of K landmarks or, as earlier versions kept it, [2] for all of them.
        """
        self._head, self._calibration, self.variables = head, calibration, compat.variables(head)

    def __call__(self, labels: tf.Tensor) -> dict[str, Any]:
        """Locates the landmarks.

        Args:
          labels: float32 [N, h, w, L], or what else the head takes.

        Returns:
          The head's answer with `expected_error` [N, K], in pixels of the image, and `likelihood` [N, K], the
          probability that a point is nearly right; without what the calibration does not say.
        """
        found = self._head(labels)
        added, odds = {}, logit(found["score"])
        for key, name, of_line in ((EXPECTED, "expected_error", tf.exp), (LIKELY, "likelihood", tf.sigmoid)):
            if key in self._calibration:
                offset, slope = np.moveaxis(np.float32(self._calibration[key]), -1, 0)
                added[name] = of_line(offset + slope * odds)
        return {**added, **found}
