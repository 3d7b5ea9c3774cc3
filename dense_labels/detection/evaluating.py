"""Fits detectors where landmark heads are fitted, on the same pictures, and measures them by the same protocol."""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from dense_labels import progress
from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.config import Config
from dense_labels.detection import choosing, fitting, sizes
from dense_labels.detection import pile as pile_lib
from dense_labels.detection import views as views_lib
from dense_labels.detection.pile import Pile
from dense_labels.evaluation import absent, few_annotations, landmarks, measuring, sides
from dense_labels.evaluation.landmarks import FittedHeads
from dense_labels.evaluation.measuring import MEAN_SHAPE, Measure
from dense_labels.registry import READERS
from input_pipeline import pipeline
from models import nearest_landmarks, pyramids

NAME = "detector"
_FOLDS = 3  # parts of the annotated images that take turns where none are for testing; each costs two trainings
_AT_ONCE = 16  # images that a detector sees together


def prepare(config: Config, source: Any) -> tuple[Any, int]:
    """Finds the pictures of a run again, whole, and as large as a detector sees them at its second look.

    Args:
      config: of the evaluation.
      source: its pictures, at the size that the run sees them in.

    Returns:
      A source of the same pictures; and how often as long their sides are as those of what the network sees.

    Raises:
      ValueError: as `pipeline.prepare`, or if the data set is no still pictures.
      OSError: likewise.
    """
    config = copy.deepcopy(config)
    height, width = sizes.input_size(source.picture_size(sizes.LONGEST), source.extent("annotated"))
    detail = source.picture_size(sizes.TIMES * sizes.LONGEST)
    count = min(source.count("annotated"), config.eval.head_images or np.inf)  # test pictures choose nothing
    times = sizes.detail_times((height, width), detail, int(count))
    again = f", and again at {times * width} x {times * height}" if times > 1 else ""
    progress.say(f"a detector sees pictures at {width} x {height} pixels{again}")
    config.data.size, config.data.crop = (times * height, times * width), 0
    return pipeline.prepare(config, only=("annotated", "test")), times


def annotated_images(source: Any, split: str, count: int = 0) -> LabelledLandmarks:
    """Reads annotated images, as label maps of stride 1 that hold their pixels.

    Args:
      source: of the pictures, as `prepare` returns it.
      split: name of the split.
      count: how many, from all over it; 0 for all.

    Returns:
      The images, uint8, and their landmarks.
    """
    read = pipeline.landmark_batches(source, split, batch_size=_AT_ONCE, count=count)
    return landmarks.label_landmarks(lambda images: tf.cast(tf.round(images * 255.0), tf.uint8), read, 1)


def _mapped_images(source: Any, split: str) -> LabelledLandmarks:
    """As `annotated_images`, of all of a split; the pixels stay on disk, for there may be many at twice the sides."""
    read = pipeline.landmark_batches(source, split, batch_size=_AT_ONCE)
    found = landmarks.label_landmarks(lambda images: tf.zeros([len(images), 1, 1, 0]), read, 1)
    return dataclasses.replace(found, labels=LabelMap(source.stored(split), 1))


class Fitting:
    """Fits detectors to the annotated pictures of a run.

    A detector is measured by the protocols of `evaluation.landmarks`, on the same pictures as other heads.

    Attributes:
      kept: what the detector is that `fit` returned, in words: its trunk and its parts.
    """

    def __init__(
        self,
        config: Config,
        source: Any,
        *,
        names: Sequence[str],
        weights: str,
        pile: Config | None,
        kept_in: str | os.PathLike | None = None,
    ):
        """Reads the annotated pictures, and those of the pile.

        Args:
          config: of the evaluation.
          source: the pictures of the run.
          names: of the landmarks; none where they have no names. Pairs of left and right ones are told by them.
          weights: of the trunk; see `models.pyramids.features`.
          pile: configuration of the training, whose pictures a detector learns from too; `config.eval.pile` of them.
            None, or one of a video or a simulation: only annotated pictures are seen.
          kept_in: folder of what a later process goes on with, as of `fitting.Settings`.

        Raises:
          ValueError: as `prepare` and `models.pyramids.trunk_of`.
        """
        self._config, self._trunk = config, pyramids.trunk_of(weights)
        progress.say(f"a detector's trunk is {self._trunk}")
        pyramids.fetch(self._trunk, weights)  # before the work
        self.kept = ""
        self.flip_pairs = source.flip_pairs or sides.flip_pairs(names)
        if self.flip_pairs:
            progress.say(f"mirrored views exchange {sides.words(self.flip_pairs, names)}")
        own, times = prepare(config, source)
        self.known = annotated_images(own, "annotated", config.eval.head_images)
        self.test = _mapped_images(own, "test") if own.count("test") else None
        sides.exchanged(self.known.landmarks.shape[1], self.flip_pairs)  # refuses pairs that are none
        _say_how_objects_lie(self.known, self.flip_pairs)
        views_lib.warn_of_lost(self.known)
        own_settings = fitting.Settings(config.views, weights, config.train.seed, self.flip_pairs, times=times)
        self.settings = dataclasses.replace(own_settings, kept_in=kept_in)
        self._last: list[tuple[tuple, Any]] = []
        self.origins = own.origins("annotated")
        self._tested = own.origins("test") if self.test else []
        height, width = (side // times for side in self.known.labels.cells)
        self._seen = {*self.origins, *self._tested}
        self.pile = _read_pile(pile, (height, width), config.eval.pile, self._seen, boxed=own.boxed)

    def fit(self, known: LabelledLandmarks, test: LabelledLandmarks | None) -> FittedHeads:
        """Fits a detector, and measures it or others of its kind.

        No picture that any of them is measured on is in the pile, neither a test picture nor one that is held out. A
        detector that errs more with the pile, or with its second look, is kept without; see `choosing.best`.

        Args:
          known, test: the annotated and test images as the run labels them; what is predicted is in pixels of these.

        Returns:
          As `landmarks.fit_heads`.

        Raises:
          ValueError: if the weights cannot be read.
        """
        nearest_landmarks.check_annotated(self.known)
        others = len(self.pile.without(self._seen).images) if self.pile else 0
        fits = choosing.fits_of(self._taught_without(self._seen), self._fit_alone if others else None)
        annotated = int(self.known.annotated.any(axis=1).sum())  # of other pictures nothing is learned
        usual = "without_pile" if others and not choosing.pays(others, annotated) else ""
        keep = lambda each: [choosing.best(each, usual, piled=bool(others))]  # noqa: E731, others are not fitted on all
        protocol: Any = {"batch_size": _AT_ONCE, "folds": _FOLDS, "shown": self.origins, "keep": keep}
        fitted = landmarks.fit_heads(fits, self.known, self.test, **protocol)
        (chosen,) = fitted.heads
        fitted = dataclasses.replace(choosing.alone(fitted, chosen, NAME), selected=chosen != usual)
        self.kept = f"{self._trunk}, {choosing.parts_in_words(chosen, others)}"
        if fitted.predicted is None:
            return fitted
        shown, own = (known, self.known) if test is None else (test, self.test)
        margin, annotated = self._config.data.crop, fitted.measured_on.annotated
        predicted = {name: _in_frame(fitted.predicted[name], own, shown, margin) for name in (MEAN_SHAPE, NAME)}
        points, measured_on = {NAME: predicted[NAME]}, dataclasses.replace(shown, annotated=annotated)
        return dataclasses.replace(fitted, predicted=predicted, points=points, measured_on=measured_on)

    def few_shot(self, *, counts: Sequence[int], seeds: int | Sequence[int]) -> dict[str, dict[int, list[float]]]:
        """Measures detectors that are fitted to a few annotated images; see `few_annotations.few_shot`.

        Annotated images that are not drawn belong to the pile, without their landmarks; test images do not. A pile is
        learned from where `choosing.pays`: nothing is held out to choose by.
        """
        return {NAME: self._few_shot(self._taught_without(self._tested, always=False), counts, seeds)}

    def ablated(self, count: int, seed: int, *, measure: Measure = measuring.mean_percent) -> dict[str, Any]:
        """Measures a detector fitted to a few annotated images, as in `few_shot`, and what it is without its parts.

        Args:
          count: how many images.
          seed: of their draw, as in `few_annotations.few_shot`.
          measure: what is measured, if not the mean error in percent.

        Returns:
          Name of `choosing.PARTS` -> what was measured; not a number where no landmark that was fitted is measured.
        """
        fits = choosing.fits_of(self._taught_without(self._tested), self._fit_alone)
        return {
            name: (self._few_shot(fit, [count], [seed], measure)[count] or [np.nan])[0] for name, fit in fits.items()
        }

    def _few_shot(self, fit, counts, seeds, measure=measuring.mean_percent) -> dict[int, list[Any]]:
        views_of = lambda indices, _: self.known.take(indices)  # noqa: E731, they are warped while it is trained
        asked = {"counts": counts, "seeds": seeds, "batch_size": _AT_ONCE, "measure": measure, "shown": self.origins}
        found = few_annotations.few_shot({NAME: fit}, views_of, self.known, self.test, **asked)
        return found.get(NAME, {count: [] for count in counts})

    def _taught_without(self, left_out: Collection[tuple], always: bool = True) -> Callable[[LabelledLandmarks], Any]:
        """A function that fits a detector to annotated images and the pile, less what is annotated or left out."""

        @absent.takes_all
        def fit(images):
            first = self._fit_alone(images)
            if not self.pile:
                return first
            others = self.pile.without({*left_out, *(self.origins[picture] for picture in images.picture)})
            if not always and not choosing.pays(len(others.images), len(images)):
                return first
            taught = functools.partial(fitting.fit_with_pile, images, others.images, first, self.settings)
            return self._remembered((first, len(others.images)), taught)

        return fit

    @absent.takes_all
    def _fit_alone(self, images: LabelledLandmarks) -> Any:
        """A detector fitted to annotated images alone."""
        asked = (self.settings, images.picture.tolist())
        return self._remembered(asked, functools.partial(fitting.fit, images, self.settings))

    def _remembered(self, asked: tuple, make: Callable[[], Any]) -> Any:
        """One of the last two detectors, before the pile and after, if it was asked for alike; or a new one."""
        found = next((made for key, made in self._last if key == asked), None)
        if found is None:
            found = make()
            self._last = [*self._last[-1:], (asked, found)]
        return found


def _say_how_objects_lie(known: LabelledLandmarks, pairs: Sequence[tuple[int, int]]) -> None:
    """Says how views are made for the detector of all annotated pictures; one of a part of them looks at that part."""
    upside_down = views_lib.mirrored_upside_down(known, pairs)
    found = {
        "mirrored top to bottom, so that objects lie in mirrored views as in the pictures": upside_down,
        "turned by any angle, for objects lie any way round": views_lib.turns_all_round(known),
    }
    for words in filter(found.get, found):
        progress.say(f"views of all annotated pictures are {words}; a detector of some of them decides by these")


def _read_pile(
    config: Config | None, size: tuple[int, int], most: int, seen: Collection[tuple], *, boxed: bool
) -> Pile | None:
    """Pictures of a training, first those that are not `seen`; None where a detector could learn from none."""
    if config is None or not most:
        return None
    if config.data.name not in READERS:
        progress.note(f"the training was on {config.data.name}: a detector sees annotated pictures alone")
        return None
    try:
        pile = pile_lib.read(config, size, most, seen)
    except (ValueError, OSError) as error:
        progress.note(
            f"the pictures of the training cannot be read: a detector sees annotated ones alone ({error}); if they "
            "have moved, stop this, and give the command of the training once more with --config.data.dir=NEW: a run "
            "that has ended is not trained further, and keeps where they are"
        )
        return None
    if pile.boxed != boxed:
        saw, shown = ("boxes", "whole pictures") if pile.boxed else ("whole pictures", "boxes")
        progress.note(f"the training saw {saw}, {shown} are annotated: a detector sees annotated ones alone")
        return None
    others = len(pile.without(seen).images)
    what = f"learns from {others} images of the training too" if others else "sees no others"
    progress.say(f"a detector of all annotated pictures {what}; it never sees one that it is measured on")
    return pile


def _in_frame(points: np.ndarray, own: LabelledLandmarks, shown: LabelledLandmarks, margin: int) -> np.ndarray:
    """Takes points [N, K, 2] in pixels of a detector's images to those of the run's, which lack a margin."""
    return np.float32(points * (own.scale / shown.scale)[:, np.newaxis] - margin)


def together(first: FittedHeads | None, second: FittedHeads, names: Sequence[str]) -> FittedHeads:
    """Joins heads that were fitted apart, on the same pictures.

    Args:
      first, second: the heads; `first` is None where there are no others.
      names: of all heads, in the order of the configuration.

    Returns:
      All heads; the best of both is best. What heads of either kind were not fitted to, as where a rare landmark is in
      one of their parts alone, is measured of none, and compares none; the mean shape is that of the first.
    """
    if first is None:
        return second
    heads = {name: {**first.heads, **second.heads}[name] for name in names}
    errors = {**first.errors, **second.errors}
    predicted, points, measured_on = first.predicted, first.points, first.measured_on
    if predicted is not None and second.predicted is not None:
        predicted = {**predicted, **second.predicted, MEAN_SHAPE: predicted[MEAN_SHAPE]}
        points = {**first.points, **second.points}
        marks = [each.measured_on.annotated for each in (first, second)]
        measured_on = dataclasses.replace(measured_on, annotated=marks[0] * marks[1])
        if (marks[0] != marks[1]).any():  # they took turns in other parts, so that neither's errors are of the same
            errors = {name: measuring.mean_percent(each, measured_on) for name, each in points.items()}
    best = measuring.least(errors, names)
    facts = points, measured_on, errors, (first if best in first.heads else second).fitted_on  # as the best sees them
    return FittedHeads(heads, best, predicted, *facts, {**first.calibrations, **second.calibrations})
