"""What it is worth to choose the pictures that are annotated: errors of heads fitted to chosen and to random ones.

python -m benchmarks.choosing --workdir=runs/mine [--images=IMAGES --annotations=ANNOTATIONS] \
    [--annotations_test=TEST] [--budgets=5,10,20] [--draws=5] [--heads=nearest,regress] \
    [--weights=FILE.h5] [--results=benchmarks/results/choosing_faces]

Of a finished run, whose network is frozen; IMAGES and the annotations are the run's own where none are given. Each draw
takes a random half of ANNOTATIONS. From it pictures are chosen by the code of `eval_main.py --annotate`, as where
nothing is annotated yet and there is no head (k-medoids over labels and colours), and as many are drawn at random.
Heads are fitted to either and to warped views of them, and measured on TEST; without it, on the other half. What is
chosen from one half is always the same: the halves make the spread. `--heads=detector` fits detectors, which begin with
--weights and see the chosen pictures alone; each takes minutes.

A finished row, of one budget and draw, is recorded in --results, where it is only read the next time; that is said of
a record of an earlier version, whose heads and settings may be others. Prints a Markdown table: mean and deviation over
the draws, and of the differences within them.
"""

import functools
import os
import sys
import time
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from benchmarks import rows
from dense_labels import command_line

_BUDGETS = flags.DEFINE_list("budgets", ["5", "10", "20"], "How many pictures are annotated.")
_DRAWS = flags.DEFINE_integer("draws", 5, "How often to draw a half, and pictures from it.", lower_bound=1)
_HEADS = flags.DEFINE_list("heads", [], "Landmark heads to fit, if not the run's; detector: a network of its own.")
_WEIGHTS = flags.DEFINE_string("weights", "imagenet", "Of a detector's trunk: imagenet, a Keras .h5 file, or none.")
_CHOSEN, _RANDOM = "chosen", "random"
_COPIES = 8  # pairs of warped views of a picture
_LATER = ("settings", "copies", "recipe", *rows.LATER)  # what records of earlier versions do not say


class Seen(NamedTuple):
    """The pictures of a run as a detector sees them, and what fits one to some of them."""

    known: Any  # LabelledLandmarks of the annotated pictures, in the order of those that are labelled
    test: Any  # likewise
    fit: Any


class Data(NamedTuple):
    """The pictures of a run, labelled, and what is fitted to some of them."""

    known: Any  # LabelledLandmarks of the annotated pictures
    described: Any  # their descriptions, as of `annotation.choosing.describe`
    test: Any  # LabelledLandmarks of others to measure on; None where there are none
    fits: Any  # name -> function that fits a head
    views_of: Any  # (indices, seed) -> LabelledLandmarks of some of the annotated pictures, several views of each
    batch_size: int
    facts: dict  # what tells these from others; JSON can hold it
    normaliser: str
    seen: Seen | None = None  # where a detector is fitted

    @property
    def pool(self):
        """Indices of the pictures in which a landmark is annotated."""
        return np.flatnonzero(self.known.annotated.any(axis=1))


def main():
    budgets, data = command_line.whole_numbers("budgets", _BUDGETS.value), _data()
    half = len(data.pool) // 2
    if max(budgets) > half:
        sys.exit(f"error: --budgets={max(budgets)}: a draw chooses from {half} pictures, half of those annotated")
    measured = {budget: [_row(data, budget, draw) for draw in range(_DRAWS.value)] for budget in budgets}
    print(f"\nmean error, % of {data.normaliser}, by annotated pictures:\n\n{_table(measured)}")


def _data():
    import dense_labels
    from dense_labels import run_config
    from dense_labels.annotation import choosing
    from dense_labels.evaluation import landmarks
    from dense_labels.registry import HEADS
    from input_pipeline import pipeline

    run = dense_labels.open_run(rows.workdir())
    given = rows.own_data()
    config = run_config.with_landmarks(run.config, given["annotations"], given["annotations_test"], given["images"])
    names = list(_HEADS.value or config.eval.heads)
    frozen = [name for name in names if not HEADS[name].facts.get("reads_pictures")]
    source, label, described = pipeline.prepare(config), rows.labelling(run.network), []
    settings = {"batch_size": config.eval.batch_size}

    def noted(images):
        labels = label(images)
        described.append(choosing.describe(labels, 255 * np.asarray(images)))
        return labels

    annotated = pipeline.landmark_batches(source, "annotated", count=config.eval.head_images, **settings)
    known, test = landmarks.label_landmarks(noted, annotated, run.stride), None
    if source.count("test"):
        test = landmarks.label_landmarks(label, pipeline.landmark_batches(source, "test", **settings), run.stride)

    def views_of(indices, seed):
        options = {"count": len(known), **settings}
        views = pipeline.chosen_batches(source, indices, **options)
        if source.warps_pictures:
            views = views.concatenate(pipeline.warped_batches(source, indices, seed=seed, copies=_COPIES, **options))
        return landmarks.label_landmarks(label, views, run.stride)

    options = {"upsample": config.eval.upsample, "seed": config.train.seed}
    fits = {name: functools.partial(HEADS[name].value.fit, **options) for name in frozen}
    seen = _seen(config, source) if frozen != names else None
    facts = _facts(run, given, names, source.warps_pictures)
    parts = [np.concatenate(part) for part in zip(*described)]
    return Data(known, parts, test, fits, views_of, settings["batch_size"], facts, source.normaliser, seen)


def _facts(run, given, names, warps):
    """What tells a run and the heads that are fitted from others."""
    from dense_labels.detection import fitting
    from dense_labels.registry import HEADS

    files, of_run = {name: os.path.basename(path or "") for name, path in given.items()}, rows.facts(run.workdir)
    facts = {**files, "run": os.path.basename(run.workdir), "step": run.step, "heads": names}
    facts |= {"settings": of_run["run"], "data": of_run["data"], "copies": _COPIES if warps else 0}
    if any(HEADS[name].facts.get("reads_pictures") for name in names):
        facts |= {"weights": os.path.basename(_WEIGHTS.value), "recipe": fitting.RECIPE}
    return facts


def _seen(config, source):
    from dense_labels.detection import evaluating, fitting
    from dense_labels.evaluation import absent

    weights = os.path.expanduser(_WEIGHTS.value)
    read = evaluating.Fitting(config, source, names=source.landmark_names, weights=weights, pile=None)

    fit = absent.takes_all(lambda images: fitting.fit(images, read.settings))
    return Seen(read.known, read.test, fit)


def _row(data, budget, draw):
    """Fits and measures heads on chosen and on random pictures of one draw, unless that is recorded."""
    counts = [len(data.pool), len(data.test or ())]
    asked = {**data.facts, "budget": budget, "draw": draw, "pictures": counts}
    record = rows.recorded(f"choosing_{budget}_{draw}", asked, lambda: _measure(data, budget, draw), _LATER)
    fitted = f"{budget} annotated, draw {draw}, fitted to {record['fitted_on']}"
    print(f"{fitted}: {record['error_percent']} ({record['minutes']:.1f} minutes)", flush=True)
    return record


def _measure(data, budget, draw):
    from dense_labels.annotation import choosing
    from dense_labels.evaluation import few_annotations, measuring

    start, order = time.monotonic(), np.random.default_rng(draw).permutation(data.pool)
    half, rest = np.split(order, [len(order) // 2])
    chosen = half[choosing.choose(choosing.joined([part[half] for part in data.described]), budget)]
    of = lambda images: images.known.take(rest) if images.test is None else images.test  # noqa: E731
    errors, options = {}, {"batch_size": data.batch_size}
    for how, indices in ((_CHOSEN, chosen), (_RANDOM, half[: len(chosen)])):
        few, options["shape"] = data.views_of(indices, draw), measuring.mean_shape(data.known, indices)
        errors[how] = few_annotations.few_errors(data.fits, few, of(data), **options)
        if data.seen:
            seen, options["shape"] = data.seen.known.take(indices), measuring.mean_shape(data.seen.known, indices)
            errors[how] |= few_annotations.few_errors({"detector": data.seen.fit}, seen, of(data.seen), **options)
    return {"error_percent": errors, "fitted_on": len(chosen), "minutes": (time.monotonic() - start) / 60}


def _table(measured):
    from dense_labels.evaluation import tables

    names = list(next(iter(measured.values()))[0]["error_percent"][_CHOSEN])
    lines = [f"| annotated | which | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for budget, draws in measured.items():
        errors = {
            how: np.array([[draw["error_percent"][how][name] for draw in draws] for name in names], float)
            for how in (_CHOSEN, _RANDOM)  # an error that could not be measured is None
        }
        errors["difference"] = errors[_CHOSEN] - errors[_RANDOM]
        for how, values in errors.items():
            cells = (tables.mean_and_deviation(each, 2) for each in values)
            lines.append(f"| {budget} | {how} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command_line.run(main)
