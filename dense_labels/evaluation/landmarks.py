"""Protocols for landmark heads: which images a head is fitted on, and which it is measured on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dense_labels import batches as types
from dense_labels import progress
from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.evaluation import absent, calibration, measuring, turns
from dense_labels.evaluation.absent import Fits, Head
from dense_labels.evaluation.measuring import mean_percent
from dense_labels.registry import HEADS

FOLDS = turns.PARTS  # of the annotated pictures, and how many of these heads are compared on at least


@dataclasses.dataclass(frozen=True)
class FittedHeads:
    """Heads fitted on all annotated images, and what heads of their kind predict in images they were not fitted on.

    Attributes:
      heads: name -> head.
      best: name of the head that errs least on annotated images that it was not fitted on; that of
        `measuring.of_few` where there are too few to tell. No test image is seen.
      predicted: decoding -> float [N, K, 2], (x, y) in pixels of the network's input, with `measuring.MEAN_SHAPE` among
        them; not a number where a landmark was not fitted. None where there are too few annotated images to measure on.
      points: name -> float [N, K, 2], the `points` of heads of its kind; None likewise.
      measured_on: the N images these were predicted in; a landmark that was not fitted counts as not annotated. None
        likewise.
      errors: name -> mean error in percent on annotated images, of heads that were not fitted on them; None where
        nothing can be said. Empty where there are too few annotated images.
      fitted_on: float32 [M, K, 2], the landmarks of all annotated images; not a number where one is not annotated.
      calibrations: name -> what the scores of heads of its kind were worth on annotated images that they were not
        fitted on, as `calibration.fit` returns it. Empty where there are too few.
      each: name -> float [n], of `errors` that of each picture in which a point is measured. Empty likewise.
      selected: whether heads were left out here that erred more on the images of `errors`.
    """

    heads: Mapping[str, Head]
    best: str
    predicted: Mapping[str, np.ndarray] | None
    points: Mapping[str, np.ndarray] | None
    measured_on: LabelledLandmarks | None
    errors: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    fitted_on: np.ndarray | None = None
    calibrations: Mapping[str, calibration.Calibration] = dataclasses.field(default_factory=dict)
    each: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    selected: bool = False

    @property
    def best_points(self) -> np.ndarray | None:
        """Of `points` those of `best`."""
        return None if self.points is None else self.points[self.best]


def label_landmarks(
    network: types.LabelNetwork, batches: Iterable[types.LandmarkBatch], stride: int
) -> LabelledLandmarks:
    """Labels annotated images once, for whatever is fitted or measured on frozen labels.

    Args:
      network: images [B, H, W, 3] -> labels [B, h, w, L]; a `tf.function` is traced once for all calls.
      batches: LandmarkBatches.
      stride: side of a cell in pixels.

    Returns:
      The label maps and landmarks of all N images, in their order.
    """
    labels, known = [], []
    for batch in batches:
        labels.append(np.asarray(network(batch.image)))
        known.append(batch._replace(image=np.zeros(len(batch.image), np.uint8)))  # the pixels are not kept
    joined = types.stack(known)
    return LabelledLandmarks(LabelMap(np.concatenate(labels), stride), *joined[1:])


def fit_heads(
    fits: Fits,
    known: LabelledLandmarks,
    test: LabelledLandmarks | None,
    *,
    batch_size: int,
    folds: int = FOLDS,
    shown: Sequence[Hashable] | None = None,
    keep: Callable[[Mapping[str, np.ndarray]], Collection[str]] | None = None,
    with_more: Callable[[LabelledLandmarks], LabelledLandmarks] = lambda images: images,
) -> FittedHeads:
    """Fits landmark heads on annotated images, their frozen labels or pixels, and measures each on others.

    Sections 4.1 and 4.3 of the NIPS 2017 paper. Without test images the annotated ones take turns: each of five parts
    is measured by heads fitted on the other four, and all parts compare and calibrate them. The heads that are returned
    are always fitted on all annotated images. A part may lack a landmark; heads fitted on it do not predict that one.
    With test images a fifth of those with a landmark is held out once, to compare heads on and to calibrate them: no
    test image is seen for either. Images of one picture, such as boxes in it, are held out together.

    Args:
      fits: name -> function that fits a head.
      known: the annotated images.
      test: the test images; None where there are none.
      batch_size: label maps a head is applied to at a time.
      folds: how many parts there are, if not five.
      shown: what tells the picture of each image from others, as `turns.pictures` takes it.
      keep: says of the errors held out, as of `FittedHeads.each`, which heads are fitted on all annotated images; if
        not all of them.
      with_more: takes annotated images to what heads are fitted on: these, and perhaps views of them.

    Returns:
      The heads, and what was predicted by them, or by heads of their kind.

    Raises:
      ValueError: if a head cannot be fitted.
    """
    numbers = turns.pictures(known, shown)
    count = turns.annotated(known, numbers)
    measured = FittedHeads({}, measuring.of_few(fits), None, None, None, fitted_on=absent.shapes(known))
    if count >= FOLDS and test is None:
        measured = _in_turns(fits, known, batch_size, numbers, folds, with_more)
    elif count >= FOLDS:
        held_out = (numbers % FOLDS == 0) & (numbers < count)
        part, answers = _turn(fits, known, held_out, batch_size, with_more)[1:]
        measured = _compared(measured, answers, part, known.annotated[held_out], numbers[held_out])
    kept = fits if keep is None else keep(measured.each)
    fitted_to = with_more(known)
    heads = {name: fit(fitted_to) for name, fit in fits.items() if name in kept}
    if test is None:
        return dataclasses.replace(measured, heads=heads)
    answers = answers_of(heads, test, batch_size)
    points = {name: answer["points"] for name, answer in answers.items()}
    predicted = by_decoding(answers, measuring.mean_shape(known), test)
    measured = dataclasses.replace(measured, heads=heads, best=measuring.least(measured.errors, fits))
    on = absent.fitted_alone(test, known)
    return dataclasses.replace(measured, predicted=predicted, points=points, measured_on=on)


def compared(fitted: FittedHeads, normaliser: str) -> int:
    """Counts the heads whose errors on others than they were fitted to are known; says so where it has to do without.

    Args:
      fitted: the heads.
      normaliser: what errors are divided by.
    """
    count = sum(error is not None for error in (fitted.errors or {}).values())
    if len(fitted.heads) > 1 and not count:
        few = f"fewer than {FOLDS} annotated pictures are too few to compare heads on"
        unknown = f"the {normaliser} is known of no annotated picture that was held out to compare heads on"
        why = unknown if fitted.errors else few
        progress.say(f"{why}: {fitted.best} is the one to export, for {measuring.FEW_REASON}")
    return count


def _compared(measured: FittedHeads, answers, images: LabelledLandmarks, annotated, numbers) -> FittedHeads:
    """Adds what heads are compared and calibrated by: answers in images that they were not fitted on, and the truth."""
    errors = {name: mean_percent(answer["points"], images) for name, answer in answers.items()}
    each = {name: measuring.picture_percents(answer["points"], images, numbers) for name, answer in answers.items()}
    return dataclasses.replace(
        measured,
        best=measuring.least(errors, answers),
        errors=errors,
        calibrations=calibration.of_answers(answers, images, annotated),
        each={name: found for name, found in each.items() if len(found)},
    )


def _in_turns(fits: Fits, known: LabelledLandmarks, batch_size: int, numbers, folds: int, with_more) -> FittedHeads:
    """Measures heads on the annotated images, each part of the pictures by those fitted on the others."""
    fold = numbers % folds
    turns_of = tqdm(range(fold.max() + 1), desc="Fitting heads to the others, to measure a part", unit=" parts")
    took = [_turn(fits, known, fold == k, batch_size, with_more) for k in turns_of]
    order = np.argsort(fold, kind="stable").argsort()
    parts = [by_decoding(answers, shape, part) for shape, part, answers in took]
    predicted = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    together = {
        name: {key: np.concatenate([answers[name][key] for *_, answers in took])[order] for key in took[0][2][name]}
        for name in fits
    }
    measured_on = dataclasses.replace(known, annotated=np.concatenate([part.annotated for _, part, _ in took])[order])
    points = {name: answer["points"] for name, answer in together.items()}
    measured = FittedHeads({}, "", predicted, points, measured_on, fitted_on=absent.shapes(known))
    return _compared(measured, together, measured_on, known.annotated, numbers)


def _turn(fits: Fits, known: LabelledLandmarks, held_out: np.ndarray, batch_size: int, with_more) -> tuple:
    """Returns the mean shape of the images that heads are fitted on, the held-out images, and the answers on these.

    The held-out images come without their labels, which would fill the memory.
    """
    rest, part = known.take(~held_out), known.take(held_out)
    answers = answers_of(absent.fit_present(fits, with_more(rest)), part, batch_size)
    part = absent.fitted_alone(part, rest)
    nothing = LabelMap(np.broadcast_to(np.float32(0), part.labels.values.shape), part.labels.stride)
    return measuring.mean_shape(rest), dataclasses.replace(part, labels=nothing), answers


def predict(head: Head, labels: LabelMap, batch_size: int) -> dict[str, np.ndarray]:
    """Applies a landmark head to label maps.

    Args:
      head: labels -> a dictionary of tensors of N rows.
      labels: N label maps.
      batch_size: maps at a time.

    Returns:
      The dictionary less its heat maps, as arrays over all N maps.
    """
    rows = range(0, len(labels), batch_size)
    parts = [head(tf.constant(labels.values[row : row + batch_size])) for row in rows]
    kept = [name for name, value in parts[0].items() if value.shape.rank <= 3]  # no heat maps, which fill the memory
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in kept}


def check_alike(head: Head, other: Head, labels: Any) -> None:
    """Refuses a head that answers otherwise than another, but for rounding.

    Args:
      head, other: labels -> a dictionary of arrays.
      labels: float32 [N, h, w, L].

    Raises:
      ValueError: naming what is answered otherwise.
    """
    found = head(labels)
    for name, wanted in other(labels).items():
        pair = np.asarray(found[name]), np.asarray(wanted)
        if pair[0].shape != pair[1].shape or not np.allclose(*pair, rtol=1e-4, atol=1e-3, equal_nan=True):
            raise ValueError(f"it answers other {name}")


def answers_of(
    heads: Mapping[str, Head], images: LabelledLandmarks, batch_size: int
) -> dict[str, dict[str, np.ndarray]]:
    """Name of a head -> what it answers on the images, as of `predict`."""
    return {name: predict(head, images.labels, batch_size) for name, head in heads.items()}


def by_decoding(answers, shape: np.ndarray, images: LabelledLandmarks) -> dict[str, np.ndarray]:
    """Decoding -> [N, K, 2]: of a head with several each entry of its answer called so, of others its points."""
    predicted = {measuring.MEAN_SHAPE: np.broadcast_to(shape, [len(images), *shape.shape])}
    for name, answer in answers.items():
        ways = tuple(HEADS[name].facts.get("decodings", [name]) if name in HEADS else [name])
        if taken := predicted.keys() & set(ways):
            raise ValueError(f"head {name!r}: a decoding {min(taken)!r} is there already; give this one another name")
        predicted.update({way: answer[way] for way in ways} if len(ways) > 1 else {ways[0]: answer["points"]})
    return predicted
