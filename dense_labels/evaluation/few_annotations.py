"""Protocols of few annotations: images drawn anew for each count, and rounds in which annotations grow."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import numpy as np

from dense_labels import progress
from dense_labels.batches import LabelledLandmarks
from dense_labels.evaluation import absent, landmarks, measuring, turns
from dense_labels.evaluation.absent import Fits, Head
from dense_labels.evaluation.measuring import Measure, mean_percent


def few_shot(
    fits: Fits,
    views_of: Callable[[np.ndarray, int], LabelledLandmarks],
    known: LabelledLandmarks,
    test: LabelledLandmarks | None,
    *,
    counts: Sequence[int],
    seeds: int | Sequence[int],
    batch_size: int,
    measure: Measure = mean_percent,
    shown: Sequence[Hashable] | None = None,
) -> dict[str, dict[int, list[Any]]]:
    """Measures heads that are fitted on a few annotated images, drawn anew for each seed.

    Args:
      fits: as in `landmarks.fit_heads`.
      views_of: `(indices, seed) ->` those of the annotated images, labelled, and perhaps views of them.
      known: all annotated images.
      test: the test images; None to measure on the annotated images of pictures of which none was drawn.
      counts: how many images to fit on.
      seeds: how often to draw, or the numbers of the draws; all annotated images are drawn once.
      batch_size: as in `landmarks.fit_heads`.
      measure: what is measured, if not the mean error in percent.
      shown: as in `landmarks.fit_heads`.

    Returns:
      Decoding -> count -> what was measured, one a seed (none for a seed that left nothing to measure).

    Raises:
      ValueError: if a count is below 1, or so many images cannot be drawn, or none would be left to measure on.
    """
    check_few_shot(counts, known, test, shown)
    errors: dict[str, dict[int, list[Any]]] = {}
    for count, seed, drawn, others in _draws(counts, seeds, known, test, shown):
        if test is None and not len(others):
            continue  # boxes of all pictures were drawn
        few, measured = views_of(drawn, seed), known.take(others) if test is None else test
        shape = measuring.mean_shape(known, drawn)  # of views it would lie elsewhere
        options = {"shape": shape, "batch_size": batch_size, "measure": measure}
        for name, error in few_errors(fits, few, measured, **options).items():
            errors.setdefault(name, {}).setdefault(count, []).extend([] if error is None else [error])
    return {name: {count: found.get(count, []) for count in dict.fromkeys(counts)} for name, found in errors.items()}


def _draws(counts, seeds, known, test, shown) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """`(count, seed, indices drawn, indices of images of other pictures)` of each draw."""
    pool, numbers = np.flatnonzero(known.annotated.any(axis=1)), turns.pictures(known, shown)
    for count in dict.fromkeys(counts):  # one that is there twice is drawn alike
        draws = range(seeds) if isinstance(seeds, int) else seeds
        for seed in list(draws)[: 1 if count == len(pool) else None]:  # all are drawn but once
            order = np.random.default_rng([seed, count]).permutation(pool)
            yield count, seed, order[:count], order[count:][~np.isin(numbers[order[count:]], numbers[order[:count]])]


def say_what_is_not_measured(
    known: LabelledLandmarks,
    test: LabelledLandmarks | None,
    *,
    counts: Sequence[int],
    seeds: int | Sequence[int],
    shown: Sequence[Hashable] | None = None,
) -> None:
    """Notes which draws of `few_shot`, whose arguments these are, have figures of some landmarks alone, or none.

    Raises:
      ValueError: as `check_few_shot`.
    """
    check_few_shot(counts, known, test, shown)
    draws, lacking, empty = collections.Counter(), collections.Counter(), collections.Counter()
    for count, _, drawn, others in _draws(counts, seeds, known, test, shown):
        measured = known.annotated[others] if test is None else test.annotated  # without a copy of the labels
        draws[count] += 1
        empty[count] += not len(measured)
        lacking[count] += bool((measured.any(axis=0) & ~known.annotated[drawn].any(axis=0)).any())
    for count, number in draws.items():
        of = f"of {number} draws of {count} annotated images"
        if lacking[count]:
            progress.note(f"{lacking[count]} {of} lack landmarks: their errors are of the landmarks that they have")
        if empty[count]:
            progress.note(f"{empty[count]} {of} left no other picture to measure on, and are left out")


def few_errors(
    fits: Fits,
    few: LabelledLandmarks,
    measured: LabelledLandmarks,
    *,
    shape: np.ndarray,
    batch_size: int,
    measure: Measure = mean_percent,
) -> dict[str, Any]:
    """Measures heads that are fitted on a few annotated images.

    Args:
      fits: as in `landmarks.fit_heads`.
      few: what heads are fitted on: the annotated images, and perhaps views of them.
      measured: the images that they are measured on.
      shape: float [K, 2], the mean shape of the annotated images, which is measured beside the heads.
      batch_size, measure: as in `few_shot`.

    Returns:
      Decoding -> what was measured; None where nothing is left to measure.

    Raises:
      ValueError: if no landmark is annotated in the few, or a head cannot be fitted.
    """
    answers = landmarks.answers_of(absent.fit_present(fits, few), measured, batch_size)
    images = absent.fitted_alone(measured, few)  # a view may show what none of the few does
    images = dataclasses.replace(images, annotated=images.annotated * np.isfinite(shape).all(axis=-1))
    return {name: measure(points, images) for name, points in landmarks.by_decoding(answers, shape, measured).items()}


def check_few_shot(
    counts: Sequence[int],
    known: LabelledLandmarks,
    test: LabelledLandmarks | None,
    shown: Sequence[Hashable] | None = None,
) -> None:
    """Refuses numbers of images that `few_shot` cannot draw, whose arguments these are; raises a ValueError."""
    pool = np.flatnonzero(known.annotated.any(axis=1))  # of others nothing is learned
    of_one = np.bincount(turns.pictures(known, shown)[pool]).min(initial=len(pool)) if test is None else 0
    left = "" if test is not None else " with a picture left to measure on; draw fewer, or give annotations to test on"
    for count in counts:
        if not 1 <= count <= len(pool) - of_one:
            raise ValueError(f"{count} annotated images cannot be drawn from {len(pool)}{left}")


def growing_rounds(
    fit: Callable[[LabelledLandmarks, Head | None], Head],
    views_of: Callable[[np.ndarray, int], LabelledLandmarks],
    classes: np.ndarray,
    *,
    counts: Sequence[int],
    seed: int,
) -> Iterator[tuple[int, Head]]:
    """Fits a head on annotations that grow from round to round, section 4.3 of the CVPR 2018 paper.

    Each round has the images of the one before and as many more of each class; its head begins as theirs.

    Args:
      fit: `(images, head of the round before or None) -> head`.
      views_of: as in `few_shot`, of all images of a round.
      classes: integer [N], the class of each annotated image.
      counts: how many images of each class a round has, rising; of a class with fewer, all.
      seed: of what is drawn.

    Yields:
      `(count, head)`, round by round.

    Raises:
      ValueError: if the counts do not rise from at least 1, or no class has as many images as the last.
    """
    members = [np.flatnonzero(classes == each) for each in np.unique(classes)]
    most = max(map(len, members))
    if list(counts) != sorted(set(counts)) or not 1 <= counts[0] <= counts[-1] <= most:
        raise ValueError(f"counts={list(counts)}: must rise from at least 1 to at most {most}, the images of a class")
    orders = [np.random.default_rng([seed, k]).permutation(each) for k, each in enumerate(members)]
    head = None
    for count in counts:
        head = fit(views_of(np.concatenate([order[:count] for order in orders]), seed), head)
        yield count, head
