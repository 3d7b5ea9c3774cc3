"""Detectors from a few annotated pictures: the errors of `--heads=detector`, by annotated pictures and draws.

python -m benchmarks.detectors --images=IMAGES --annotations=ANNOTATIONS [--annotations_test=TEST] --weights=FILE.h5 \
    [--counts=5,20,100] [--seeds=3] [--hold_out=600] [--unlabelled=FOLDER] [--results=RESULTS]

Annotations are in any format that `eval_main.py` takes. Draws and figures are those of `--few_shot`: each draw is
fitted alone, and measured on TEST; without it, on the annotated pictures that were not drawn. `--hold_out` is for
choosing settings: so many pictures of ANNOTATIONS, always the same, are measured on instead, and none of them is drawn
or learned from. The pile are the pictures of ANNOTATIONS that were not drawn, without their landmarks, or those of
FOLDER. Beside each detector stands the one that taught it, which saw nothing of the pile.
Each finished draw is recorded in --results, where it is only read the next time: a table that was stopped goes on.
Prints a Markdown table, mean and deviation over the draws.
"""

import dataclasses
import json
import os
import sys
import time

import numpy as np
from absl import flags

from benchmarks import rows
from dense_labels import command_line, files

_WEIGHTS = flags.DEFINE_string("weights", "imagenet", "Of the trunk: imagenet, a Keras .h5 file, or none.")
_COUNTS = flags.DEFINE_list("counts", ["5", "20", "100"], "Annotated pictures.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "How often to draw them.", lower_bound=1)
_HOLD_OUT = flags.DEFINE_integer("hold_out", 0, "Measure on so many pictures of --annotations.", lower_bound=0)
_UNLABELLED = flags.DEFINE_string("unlabelled", "", "Folder of the pile, if not the pictures of --annotations.")
_CACHE = flags.DEFINE_string("cache_dir", "", "Folder of the resized pictures, if not the usual one.")
_PILE = flags.DEFINE_integer("pile", 2000, "Other pictures to learn from; 0: annotated ones alone.", lower_bound=0)
_HOLD_OUT_SEED = 99


def main():
    if not all(count.isdecimal() and int(count) for count in _COUNTS.value):
        sys.exit(f"error: --counts={','.join(_COUNTS.value)}: must be whole numbers above 0, such as 5,20")
    detector, normaliser, measured = _fitting()
    from dense_labels.evaluation import landmarks

    landmarks.check_few_shot(list(map(int, _COUNTS.value)), detector.known, detector.test)
    for count in map(int, _COUNTS.value):
        measured[count] = [_draw(detector, count, seed) for seed in range(_SEEDS.value)]
    print(f"\nmean error of the detector, % of {normaliser}, by annotated pictures:\n\n{_table(measured)}")


def _fitting():
    """What fits detectors to few pictures, what errors are divided by, and an empty table."""
    from dense_labels import config as config_lib
    from dense_labels import config_files, run_config
    from dense_labels.detection import evaluating
    from input_pipeline import pipeline

    given = rows.annotations()
    if _HOLD_OUT.value and given["data.annotations_test"]:
        sys.exit("error: --hold_out measures on pictures of --annotations; leave out --annotations_test")
    folder = {"data.dir": rows.images(), **({"data.cache_dir": _CACHE.value} if _CACHE.value else {})}
    config = config_lib.with_overrides(config_files.find("folder"), {**folder, "eval.pile": _PILE.value})
    unlabelled = os.path.expanduser(_UNLABELLED.value)
    pile = config_lib.with_overrides(config, {"data.dir": unlabelled}) if unlabelled else None
    config = run_config.with_landmarks(config, given["data.annotations"], given["data.annotations_test"], None)
    source = pipeline.prepare(config)
    weights = os.path.expanduser(_WEIGHTS.value)
    detector = evaluating.Fitting(config, source, names=source.landmark_names, weights=weights, pile=pile or config)
    if _HOLD_OUT.value:
        order = np.random.default_rng(_HOLD_OUT_SEED).permutation(len(detector.known))
        held_out, rest = order[: _HOLD_OUT.value], order[_HOLD_OUT.value :]
        detector.test, detector.known = detector.known.take(held_out), detector.known.take(rest)
        if detector.pile:
            detector.pile = detector.pile.without({detector.origins[picture] for picture in detector.test.picture})
    return detector, source.normaliser, {}


def _draw(detector, count, seed):
    """Fits and measures one draw, unless that is recorded."""
    from dense_labels.detection import fitting

    given = {name: os.path.basename(value or "") for name, value in rows.annotations().items()}
    asked = {
        **given,
        "count": count,
        "seed": seed,
        "size": list(detector.known.labels.cells),
        "flip_pairs": [list(pair) for pair in detector.flip_pairs],
        "weights": os.path.basename(_WEIGHTS.value),
        "hold_out": _HOLD_OUT.value,
        "pile": [_PILE.value, os.path.basename(os.path.normpath(_UNLABELLED.value or ""))],
        "pictures": [len(detector.known), len(detector.test or ())],
        "steps": fitting.steps_for(count),
        "recipe": fitting.RECIPE,
    }
    path = rows.record_path(f"detector_{count}_{seed}")
    if path and os.path.exists(path):
        record = rows.read(path)
        if record["asked"] != asked:
            sys.exit(f"error: {path} was made in another way ({record['asked']}); give another --results, or remove it")
        return record
    start = time.monotonic()
    detector.settings = dataclasses.replace(detector.settings, seed=seed)  # where all are drawn, draws differ in this
    error, alone = detector.with_and_without_pile(count, seed)
    minutes = (time.monotonic() - start) / 60
    figures = {"error_percent": error, "error_percent_without_pile": alone, "minutes": minutes}
    record = {"asked": asked, "command": rows.typed_command(), **figures}
    print(
        f"{count} annotated, draw {seed}: {error:.2f} %, without the pile {alone:.2f} ({minutes:.1f} minutes)",
        flush=True,
    )
    if path:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.write_whole(path, (json.dumps(record, indent=1) + "\n").encode())
    return record


def _table(measured):
    from dense_labels.evaluation import tables

    lines = [
        "| annotated | error, % | the same without the pile, % | minutes for both, and measuring |",
        "|---|---|---|---|",
    ]
    for count, draws in measured.items():
        cells = [
            tables.mean_and_deviation([draw[name] for draw in draws], 2)
            for name in ("error_percent", "error_percent_without_pile")
        ]
        lines.append(f"| {count} | {' | '.join(cells)} | {np.mean([draw['minutes'] for draw in draws]):.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command_line.run(main)
