"""Figures about confidence: what it says of errors, and how sure a mean is.

Errors may be of any unit; of confidence only the order counts. Where confidences are equal, their order is not known:
every figure here is then the mean over all orders, so a constant confidence is worth what a random one is.
"""

import numpy as np
import scipy.stats


def risk_coverage(errors, confidence) -> tuple[np.ndarray, np.ndarray]:
    """Mean error of the most confident share, for each share.

    Args:
      errors: [n], any unit.
      confidence: [n], higher for what is trusted more.

    Returns:
      `(coverage, risk)`, both float64 [n]: the shares 1/n, 2/n, ..., 1, and the mean error of the most confident ones.

    Raises:
      ValueError: if there is nothing, the two differ in length, or a number is not finite.
    """
    errors, confidence = _finite(errors=errors, confidence=confidence)
    _, level = np.unique(-confidence, return_inverse=True)  # 0 for the most confident
    count = np.bincount(level)
    ordered = np.repeat(np.bincount(level, errors) / count, count)
    kept = np.arange(1, len(errors) + 1)
    return kept / len(errors), np.cumsum(ordered) / kept


def area_under_risk_coverage(errors, confidence) -> float:
    """Area under the risk-coverage curve: the mean of its risk over all shares; less is better.

    Args:
      errors, confidence: as of `risk_coverage`.

    Returns:
      A float, of the unit of `errors`.

    Raises:
      ValueError: as `risk_coverage`.
    """
    return float(np.mean(risk_coverage(errors, confidence)[1]))


def reference_areas(errors) -> tuple[float, float]:
    """Areas under the risk-coverage curve between which a confidence that says something lies.

    Args:
      errors: [n].

    Returns:
      `(random, oracle)`: in a random order, which is the mean error; in the order of the errors themselves, which no
      confidence undercuts.

    Raises:
      ValueError: as `risk_coverage`.
    """
    (errors,) = _finite(errors=errors)
    return float(np.mean(errors)), area_under_risk_coverage(errors, -errors)


def reliability(correct, confidence, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of what is correct, from the least to the most confident.

    The bins hold equal numbers as nearly as can be: they are quantiles, and what is of equal confidence stays together,
    in the bin of its mean rank. So there may be fewer bins than were asked for.

    Args:
      correct: [n], true or 1 where a match is correct.
      confidence: [n].
      bins: how many at most.

    Returns:
      `(mean_confidence, share, count)`, each [m], m <= bins: of each bin that holds something, the mean confidence, the
      share from 0 to 1 that is correct, and how many there are.

    Raises:
      ValueError: as `risk_coverage`, or if there is not a bin.
    """
    correct, confidence = _finite(correct=correct, confidence=confidence)
    if bins < 1:
        raise ValueError(f"bins={bins}: there must be at least 1")
    rank = scipy.stats.rankdata(confidence) - 0.5  # [n], in (0, n)
    which = (rank * bins / len(rank)).astype(int)
    count = np.bincount(which, minlength=bins)
    held = count > 0
    count = count[held]
    sums = (np.bincount(which, values, minlength=bins)[held] for values in (confidence, correct))
    return (*(total / count for total in sums), count)


def roc_area(positive, score) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, a tie counting one half.

    Args:
      positive: bool [n].
      score: [n].

    Returns:
      From 0 to 1; 0.5 where the score says nothing.

    Raises:
      ValueError: as `risk_coverage`, or if all or none are positive.
    """
    positive, score = _finite(positive=positive, score=score)
    positive = positive > 0
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        raise ValueError(f"an ROC needs positives and negatives; found {positives} and {negatives}")
    above = scipy.stats.rankdata(score)[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def bootstrap_interval(
    values, *, seed: int, groups=None, level: float = 0.95, draws: int = 2000
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean; of a paired difference, where `values` are differences.

    Args:
      values: [n], such as the errors of all pairs, or the differences of two methods on each of them.
      seed: int of the draws.
      groups: [n], what belongs together, such as images: whole groups are drawn. None draws single values.
      level: the share of drawn means that lie within, between 0 and 1.
      draws: how many times as many groups as there are are drawn, with replacement.

    Returns:
      `(low, high)`, floats.

    Raises:
      ValueError: as `risk_coverage`, or if `groups` are not as many as the values, or `level` or `draws` is out of
        range.
    """
    (values,) = _finite(values=values)
    if not 0 < level < 1:
        raise ValueError(f"level={level}: must be between 0 and 1")
    if draws < 1:
        raise ValueError(f"draws={draws}: there must be at least 1")
    groups = np.arange(len(values)) if groups is None else np.asarray(groups)
    if groups.shape != values.shape:
        raise ValueError(f"groups must be one for each value; found shapes {groups.shape} and {values.shape}")
    _, member = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(member, values), np.bincount(member)
    generator, means = np.random.default_rng(seed), np.empty(draws)
    for draw in range(draws):
        chosen = generator.integers(len(sums), size=len(sums))
        means[draw] = sums[chosen].sum() / sizes[chosen].sum()
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_bootstrap_interval(
    first, second, *, seed: int, groups=None, level: float = 0.95, draws: int = 2000
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `first` - `second`, which were measured on the same cases.

    Args:
      first, second: [n].
      seed, groups, level, draws: as of `bootstrap_interval`.

    Returns:
      `(low, high)`, floats: where both are below 0, `first` is lower, and so on.

    Raises:
      ValueError: as `bootstrap_interval`.
    """
    first, second = _finite(first=first, second=second)
    return bootstrap_interval(first - second, seed=seed, groups=groups, level=level, draws=draws)


def _finite(**arrays):
    """The arrays as float64, checked: [n] each, of one n above 0, finite."""
    arrays = {name: np.asarray(values, float) for name, values in arrays.items()}
    shapes = {values.shape for values in arrays.values()}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        found = ", ".join(f"{name} {values.shape}" for name, values in arrays.items())
        raise ValueError(f"one number is needed for each case, in as many cases; found shapes {found}")
    for name, values in arrays.items():
        if not len(values):
            raise ValueError(f"{name}: there is nothing to measure")
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: case {np.flatnonzero(~np.isfinite(values))[0]} is not a finite number")
    return list(arrays.values())
