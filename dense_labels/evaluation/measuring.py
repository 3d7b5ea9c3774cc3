"""Measures predicted landmarks in pixels of the picture, in percent of its normaliser."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dense_labels import progress, user_code
from dense_labels.batches import LabelledLandmarks
from dense_labels.evaluation import metrics, turns
from dense_labels.registry import HEADS, METRICS, Entry

MEAN_SHAPE = "mean_shape"  # each landmark at its mean place: what is known without looking at a picture
CHOSEN = (  # how the head that is exported was chosen, where no test pictures are given
    "as the one that errs least on these very pictures, so its error here is a little too small: chance favours the "
    "head that is chosen; annotated test pictures, which choose no head, tell more"
)
_FEW_HELD_OUT = 5  # pictures: of fewer chance chooses often
IN_TURNS = "the annotated pictures, each by heads that were not fitted to it"  # where no test pictures are given
FEW_REASON = "of so few its kind erred least on wings"  # why `of_few` names a head, in words
_OF_FEW = ("detector", "regress")  # the best heads of one to four annotated images, on wings
Measure = Callable[[np.ndarray, LabelledLandmarks], Any]  # of points [N, K, 2] in N images; None where it cannot
PERCENT = np.linspace(0, 10, 101)  # of the normaliser: what the curves run over


def decodings() -> dict[str, str]:
    """Returns the ways of predicting landmarks, and what each is in words."""
    words = {MEAN_SHAPE: "each landmark at its mean place in the annotated images"}
    for head in HEADS.values():
        words.update(head.facts.get("decodings", {head.name: head.words}))
    return words


def mean_shape(known: LabelledLandmarks, rows: np.ndarray | None = None) -> np.ndarray:
    """Returns the mean place of each landmark over annotated images, or some rows of them: float [K, 2].

    It is not a number where no image has the landmark.
    """
    landmarks, weights = (each if rows is None else each[rows] for each in (known.landmarks, known.annotated))
    total = np.sum(np.where(weights[..., np.newaxis] > 0, landmarks, 0), axis=0)
    annotated = weights.sum(axis=0)[:, np.newaxis]
    return np.where(annotated > 0, total / np.maximum(annotated, 1), np.nan)


def landmark_errors(points: np.ndarray, images: LabelledLandmarks) -> list[float | None]:
    """Measures the mean error of each landmark, then of all points, with `metrics.mean_error`.

    Pictures whose normaliser is not known are not measured.

    Args:
      points: [N, K, 2], predicted (x, y) in pixels of the network's input.
      images: the N images.

    Returns:
      K + 1 floats, in percent of the normaliser; None for a landmark that is annotated nowhere. One is not a number
      where a prediction is not.
    """
    measured = in_pictures(points, images)
    chosen = [slice(k, k + 1) for k in range(points.shape[1])] + [slice(None)]
    return [_mean_error(measured, each) for each in chosen]


def mean_percent(points: np.ndarray, images: LabelledLandmarks) -> float | None:
    """Returns the last number of `landmark_errors`: the mean error of all points, in percent of the normaliser."""
    return landmark_errors(points, images)[-1]


def picture_percents(points: np.ndarray, images: LabelledLandmarks, numbers: np.ndarray) -> np.ndarray:
    """Returns the mean error of each picture, float [n], of those in which `mean_percent` measures a point.

    Args:
      points: float [N, K, 2].
      images: N of them, and what is true.
      numbers: int [N], the same for images of one picture: each has one error, for theirs are alike.
    """
    measured = in_pictures(points, images)
    if not measured.annotated.any():
        return np.zeros(0)
    of = numbers[images.normaliser > 0][measured.annotated.any(axis=1)]
    errors = metrics.image_errors(*measured)
    return np.array([errors[of == number].mean() for number in np.unique(of)])


def mean_distance(points: np.ndarray, images: LabelledLandmarks) -> float | None:
    """Returns the mean error of the points that `mean_percent` measures, in pixels of the picture."""
    measured = in_pictures(points, images)
    return _mean_error(measured._replace(normaliser=np.full(len(measured.normaliser), 100.0)), slice(None))


def _mean_error(measured: metrics.Measured, landmarks: slice) -> float | None:
    predicted, true, annotated = (part[:, landmarks] for part in measured[:3])
    return metrics.mean_error(predicted, true, annotated, measured.normaliser) if annotated.any() else None


def measure(
    predicted: Mapping[str, np.ndarray] | None, images: LabelledLandmarks | None, normaliser: str, **protocol: Any
) -> dict[str, Any]:
    """Measures the predictions of `landmarks.FittedHeads`.

    Args:
      predicted, images: its `predicted` and `measured_on`.
      normaliser: what errors are divided by, such as "eye distance".
      **protocol: how they were predicted, in words and numbers.

    Returns:
      Parts of a `result.Result`: `metrics`, for each decoding every figure of `METRICS`, but for those of the user's
      own that cannot be measured, of which is warned; `curves`, the cumulative error and PCK curves;
      `landmark_error_percent`, the mean error landmark by landmark; `protocol`.

    Raises:
      ValueError: if no landmark can be measured.
    """
    if predicted is None or images is None:
        return {"metrics": {}, "protocol": {"tested": "nothing: there are too few annotated images", **protocol}}
    annotated = _measurable(images, normaliser)
    words = decodings()
    curves: dict[str, Any] = {"percent": PERCENT.tolist()}
    measured = {name: in_pictures(points, images) for name, points in predicted.items()}
    for name, each in measured.items():
        curves[name] = {
            "cumulative": metrics.cumulative_error_curve(metrics.image_errors(*each), PERCENT).tolist(),
            "pck": metrics.pck_curve(*each, PERCENT / 100, average="points").tolist(),
        }
    return {
        "metrics": _figures(measured),
        "curves": curves,
        "landmark_error_percent": {name: landmark_errors(points, images)[:-1] for name, points in predicted.items()},
        "protocol": {
            "test_images": int(annotated.any(axis=1).sum()),
            "test_landmarks": int(annotated.sum()),
            "error": f"Euclidean distance in % of {normaliser}, mean over the annotated landmarks that are measured",
            **{name: words[name] for name in predicted},
            **protocol,
        },
    }


def _figures(measured: Mapping[str, metrics.Measured]) -> dict[str, float]:
    """Every figure of each decoding; one of the user's own is of all decodings or of none."""
    found = {metric.name: _measured_by(metric, measured) for metric in METRICS.values()}
    return {f"{name}_{metric}": values[name] for name in measured for metric, values in found.items() if values}


def _measured_by(metric: Entry, measured: Mapping[str, metrics.Measured]) -> dict[str, float]:
    """What a metric is of each decoding; nothing of one of the user's own that fails, which is said."""
    if not user_code.is_outside(metric):
        return {name: float(metric.value(each)) for name, each in measured.items()}
    try:
        return {name: _finite(metric.value(each)) for name, each in measured.items()}
    except Exception as error:  # whatever is wrong with it, it is worth less than the heads that were fitted
        progress.warn(f"metric {metric.place} cannot be measured: {progress.reason(error)}")
        return {}


def _finite(value: Any) -> float:
    """A number of any type; raises a ValueError where it is none or not finite."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise ValueError(f"a finite number is expected, not {reprlib.repr(value)}")
    return number


def how_chosen(known: LabelledLandmarks, shown: Sequence[Hashable] | None, in_turns: bool) -> str:
    """Says how the head that is exported was chosen.

    Args:
      known: the annotated images.
      shown: as `turns.pictures` takes it.
      in_turns: whether they took turns; else a part was held out, for there are test pictures.
    """
    if in_turns:
        return CHOSEN
    count = -(-turns.annotated(known, turns.pictures(known, shown)) // turns.PARTS)
    few = ", which are few: leave the test pictures out to choose by all annotated ones" * (count < _FEW_HELD_OUT)
    return f"by annotated pictures held out from it, {count} of them{few}"


def check(known: LabelledLandmarks, test: LabelledLandmarks | None, normaliser: str) -> None:
    """Refuses, before heads are fitted, test images on which none of their landmarks can be measured.

    Raises:
      ValueError: saying what they lack.
    """
    from dense_labels.evaluation import absent

    if test is not None and known.annotated.any():
        _measurable(absent.fitted_alone(test, known), normaliser)


def _measurable(images: LabelledLandmarks, normaliser: str) -> np.ndarray:
    """Which landmarks of the images are measured, bool [N, K]; raises a ValueError where none is."""
    annotated = images.annotated > 0
    measured = annotated & (images.normaliser > 0)[:, np.newaxis]
    if annotated.any() and not measured.any():
        raise ValueError(
            f"the {normaliser}, by which errors are divided, is known of none of the {len(images)} images to measure "
            "on; give them the annotations that it needs"
        )
    if not measured.any():
        raise ValueError(
            f"no landmark that heads were fitted to is annotated in the {len(images)} images to measure on"
        )
    return measured


def pck_area(points: np.ndarray, images: LabelledLandmarks, classes: np.ndarray) -> float:
    """Measures the area under the PCK curve for alpha from 0 to 1, section 4.3 of the CVPR 2018 paper.

    In a class every annotated point weighs the same; classes with an annotated point weigh the same. A landmark is only
    asked for where it is annotated, so the class of an object is known, as in the paper.

    Args:
      points: [N, K, 2], predicted (x, y) in pixels of the network's input.
      images: the N images; their `normaliser` is what alpha is a share of.
      classes: integer [N].

    Returns:
      From 0 to 1.

    Raises:
      ValueError: if no point is annotated in an image with a normaliser.
    """
    measured, areas = in_pictures(points, images), []
    classes = classes[images.normaliser > 0]
    for each in np.unique(classes):
        of_class = metrics.Measured(*(part[classes == each] for part in measured))
        if of_class.annotated.any():
            areas.append(metrics.area_under_pck(*of_class, 1.0, average="points"))
    if not areas:
        raise ValueError("no point is annotated: there is nothing to measure")
    return float(np.mean(areas))


def worst_images(points: np.ndarray, images: LabelledLandmarks, count: int) -> np.ndarray:
    """Returns the images whose landmarks are predicted worst.

    Args:
      points, images: as of `landmark_errors`.
      count: how many images at most.

    Returns:
      int [n], indices of images that have a normaliser and an annotated landmark, the largest mean error first.
    """
    measured = in_pictures(points, images)
    has_error = measured.annotated.any(axis=1)
    errors = metrics.image_errors(*measured) if has_error.any() else np.empty(0)
    return np.flatnonzero(images.normaliser > 0)[has_error][np.argsort(-errors, kind="stable")][:count]


def in_pictures(points: np.ndarray, images: LabelledLandmarks) -> metrics.Measured:
    """Takes predicted and annotated landmarks to pixels of their pictures, for the images whose normaliser is known.

    Args:
      points: [N, K, 2], predicted (x, y) in pixels of the network's input.
      images: the N images.

    Returns:
      The landmarks of n <= N pictures.
    """
    known = images.normaliser > 0  # not `take`, which would copy the label maps, or read the pixels of all images
    scale = images.scale[known, np.newaxis]
    return metrics.Measured(
        points[known] * scale, images.landmarks[known] * scale, images.annotated[known], images.normaliser[known]
    )


def of_few(names: Iterable[str]) -> str:
    """Names the head that is exported where there are too few annotated images to compare heads on.

    It is a detector where there is one, else `regress`, else the first. Of one and three annotated wings the detector
    errs by 0.46 and 0.39 % of the width, `regress` by 2.5 and 1.8, `nearest` by 2.7 and 2.0; of one and three faces
    `regress` by 17.6 and 14.9 % of the eye distance, `nearest` by 17.7 and 15.1.

    Args:
      names: of the heads, in the order of the configuration.
    """
    names = list(names)
    return next((name for best in _OF_FEW for name in names if name.split("_")[0] == best), names[0])


def least(errors: Mapping[str, float | None], fits: Iterable[str]) -> str:
    """Names the head that errs least; that of `of_few` where nothing can be said of any.

    Args:
      errors: as of `FittedHeads`.
      fits: names of the heads, in their order.
    """
    known = {name: errors.get(name) for name in fits}
    if all(error is None for error in known.values()):
        return of_few(known)
    return min(known, key=lambda name: np.inf if known[name] is None else np.nan_to_num(known[name], nan=np.inf))
