"""What an evaluation measured: errors, rates and curves, as tables and as a file."""

import json

import numpy as np

from dense_labels import files
from dense_labels.evaluation import metrics

DECODINGS = {
    "mean_shape": "each landmark at its mean place in the annotated images",
    "cell": "nearest: a vector for each landmark, fitted by negative log-likelihood; its most probable cell",
    "subpixel": "nearest: the same vectors; expected position on labels made finer",
    "regress": "regress: 50 virtual points (or twice the landmarks) shared by all, each landmark a linear map of them",
    "regress_each": "regress: 50 virtual points for each landmark, which is a linear map of its own",
    "heatmaps": "heat maps: a map for each landmark by two 3 x 3 convolutions; its peak, between the cells",
}
_PERCENT = np.linspace(0, 10, 101)  # of the normaliser: what the curves run over
_MATCHING = "matching_"
_WIDTH = 14


def landmark_errors(points, maps):
    """Measures located landmarks with `metrics.PointError`, in pixels of the picture.

    Pictures whose normaliser is not known, which is 0, are not measured, nor are places that are not numbers.

    Args:
      points: [N, K, 2], (x, y) in pixels of the network's input.
      maps: `label_maps` of the same images.

    Returns:
      K + 1 floats: the mean error of each landmark, then of all points, in percent of the normaliser; None for a
      landmark that is annotated nowhere.
    """
    scale = maps["scale"][:, np.newaxis]
    points, true = points * scale, maps["landmarks"] * scale
    count = true.shape[1]
    measured = maps["annotated"] * (maps["normaliser"] > 0)[:, np.newaxis] * np.isfinite(points).all(axis=-1)
    errors = []
    for chosen in [slice(k, k + 1) for k in range(count)] + [slice(None)]:
        annotated = measured[:, chosen]
        metric = metrics.PointError()
        metric.update_state(points[:, chosen], true[:, chosen], annotated, maps["normaliser"])
        errors.append(float(metric.result()) if annotated.any() else None)
    return errors


def report(found, maps, normaliser, **protocol):
    """Measures what `evaluation.landmarks` found.

    Args:
      found, maps: as it returned them.
      normaliser: what errors are divided by, such as "eye distance".
      **protocol: how they were found, in words and numbers.

    Returns:
      A dictionary that JSON can hold: `metrics`, for each decoding the mean error, the share of images that are off by
      more than 10 %, the area under the cumulative error curve up to there and under the PCK curve up to alpha 0.1;
      `curves`, these two; `landmark_error_percent`, the mean error landmark by landmark; `protocol`.
    """
    if found is None:
        return {"metrics": {}, "protocol": {"tested": "nothing: there are too few annotated images", **protocol}}
    errors = {name: landmark_errors(points, maps) for name, points in found.items()}
    figures, curves = {}, {"percent": _PERCENT.tolist()}
    for name, points in found.items():
        against = _in_pictures(points, maps)
        each = metrics.image_errors(*against)
        figures[f"{name}_error_percent"] = errors[name][-1]
        figures[f"{name}_failures_percent"] = 100 * metrics.failure_rate(each)
        figures[f"{name}_cumulative_area"] = metrics.area_under_cumulative_error(each)
        figures[f"{name}_pck_area"] = metrics.area_under_pck(*against, 0.1, average="points")
        curves[name] = {
            "cumulative": metrics.cumulative_error_curve(each, _PERCENT).tolist(),
            "pck": metrics.pck_curve(*against, _PERCENT / 100, average="points").tolist(),
        }
    return {
        "metrics": figures,
        "curves": curves,
        "landmark_error_percent": {name: values[:-1] for name, values in errors.items()},
        "protocol": {
            "test_images": len(maps["labels"]),
            "test_landmarks": int(maps["annotated"][maps["normaliser"] > 0].sum()),
            "error": f"Euclidean distance in % of {normaliser}, mean over all annotated landmarks",
            **{name: DECODINGS[name] for name in found},
            **protocol,
        },
    }


def pck_area(points, maps, classes):
    """Measures the area under the PCK curve for alpha from 0 to 1, section 4.3 of the CVPR 2018 paper.

    In a class every annotated point weighs the same; classes with an annotated point weigh the same. A landmark is only
    asked for where it is annotated, so the class of an object is known, as in the paper.

    Args:
      points: [N, K, 2], (x, y) in pixels of the network's input.
      maps: `label_maps` of the same images; their `normaliser` is what alpha is a share of.
      classes: integer [N].

    Returns:
      From 0 to 1.

    Raises:
      ValueError: if no point is annotated in an image with a normaliser.
    """
    areas = []
    for each in np.unique(classes):
        chosen = classes == each
        against = _in_pictures(points[chosen], {name: values[chosen] for name, values in maps.items()})
        if against[2].any():
            areas.append(metrics.area_under_pck(*against, 1.0, average="points"))
    if not areas:
        raise ValueError("no point is annotated: there is nothing to measure")
    return float(np.mean(areas))


def worst_images(points, maps, count):
    """Finds the images whose landmarks are located worst.

    Args:
      points, maps: as of `landmark_errors`.
      count: how many images at most.

    Returns:
      int [n], indices of images that have a normaliser and an annotated landmark, the largest mean error first.
    """
    predicted, true, annotated, normaliser = _in_pictures(points, maps)
    measured = annotated.any(axis=1)
    errors = metrics.image_errors(predicted, true, annotated, normaliser) if measured.any() else np.empty(0)
    return np.flatnonzero(maps["normaliser"] > 0)[measured][np.argsort(-errors, kind="stable")][:count]


def _in_pictures(points, maps):
    """Located and true landmarks in pixels of the pictures, what is annotated, normalisers; of images that have one."""
    known = maps["normaliser"] > 0
    scale = maps["scale"][known][:, np.newaxis]
    points = points[known] * scale
    annotated = maps["annotated"][known] * np.isfinite(points).all(axis=-1)
    return points, maps["landmarks"][known] * scale, annotated, maps["normaliser"][known]


def table(result, names=()):
    """Lays out the errors of `report`, one landmark a line; then their mean, and the images off by more than 10 %.

    Args:
      result: what `report` returned, with the figures of `evaluation.matching` among its metrics or without.
      names: of the landmarks; numbers where there are none.

    Returns:
      The table, a string.
    """
    if "landmark_error_percent" not in result:
        return "there are too few annotated images to measure on"
    each, mean = result["landmark_error_percent"], result["metrics"]
    names = list(names) or [str(k) for k in range(len(next(iter(each.values()))))]
    first = max(map(len, ["landmark", *names]))
    lines = [result["protocol"]["error"], f"{'landmark':<{first}}" + "".join(f"{name:>{_WIDTH}}" for name in each)]
    for landmark, values in zip(names, zip(*each.values())):
        numbers = ("-" if value is None else f"{value:.3f}" for value in values)
        lines.append(f"{landmark:<{first}}" + "".join(f"{number:>{_WIDTH}}" for number in numbers))
    for row, figure in (("mean", "error_percent"), ("> 10 %", "failures_percent")):
        numbers = (mean[f"{name}_{figure}"] for name in each)
        lines.append(f"{row:<{first}}" + "".join(f"{number:>{_WIDTH}.3f}" for number in numbers))
    errors = {name: mean[f"{name}_error_percent"] for name in each}
    if len(errors) > 1 and min(errors, key=errors.get) == "mean_shape":
        lines.append("no head does better than the mean shape, which sees no picture: train longer or annotate more")
    matching = {name[len(_MATCHING) : -len("_px")]: mean[name] for name in mean if name.startswith(_MATCHING)}
    if matching:
        figures = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in matching.items())
        lines.append(f"landmarks matched by labels alone between views, in px of an image 70 wide: {figures}")
    return "\n".join(lines)


def few_shot_table(errors):
    """Lays out the errors of `few_shot`: mean and standard deviation over the draws, a number of images a line.

    Args:
      errors: what `few_shot` returned.

    Returns:
      The table, a string.
    """
    lines = ["annotated" + "".join(f"{name:>{_WIDTH + 2}}" for name in errors)]
    for count in next(iter(errors.values())):
        figures = (mean_and_deviation(each[count], 2) for each in errors.values())
        lines.append(f"{count:<9}" + "".join(f"{figure:>{_WIDTH + 2}}" for figure in figures))
    return "\n".join(lines)


def mean_and_deviation(values, digits):
    """Writes the mean and the standard deviation (of a sample, n - 1) of a few values: "12.34 ± 0.56"."""
    if len(values) < 2:
        return f"{values[0]:.{digits}f}" if values else "-"
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def write_result(path, values):
    """Writes a result as JSON, whole or not at all.

    Args:
      path: of the file; its folder exists.
      values: a dictionary JSON can hold; no value of `metrics` may be anything but a finite number.

    Raises:
      ValueError: if a metric is not finite.
    """
    for name, value in values["metrics"].items():
        if value is None or not np.isfinite(value):
            raise ValueError(f"metric {name} is {value}: no test landmark is annotated, or the labels are not finite")
    text = json.dumps(values, indent=2, allow_nan=False) + "\n"
    files.write_whole(path, text.encode())
