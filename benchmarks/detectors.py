"""Detectors from a few annotated pictures: the errors of `--heads=detector`, by annotated pictures and draws.

python -m benchmarks.detectors --images=IMAGES --annotations=ANNOTATIONS [--annotations_test=TEST] --weights=FILE.h5 \
    [--counts=5,20,100] [--seeds=3] [--hold_out=600] [--results=benchmarks/results/detectors_faces]

Annotations are in any format that `eval_main.py` takes. Each draw is fitted alone, and measured on TEST; without it, on
the annotated pictures that were not drawn. `--hold_out` is for choosing settings: so many pictures of ANNOTATIONS,
always the same, are measured on instead, and none of them is drawn. Each finished draw is recorded in --results, where
it is only read the next time: a table that was stopped goes on. Prints a Markdown table, mean and deviation over the
draws.
"""

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
_CACHE = flags.DEFINE_string("cache_dir", "", "Folder of the resized pictures, if not the usual one.")
_HOLD_OUT_SEED = 99


def main():
    if not all(count.isdecimal() and int(count) for count in _COUNTS.value):
        sys.exit(f"error: --counts={','.join(_COUNTS.value)}: must be whole numbers above 0, such as 5,20")
    known, test, names, normaliser = _pictures()
    measured = {}
    for count in map(int, _COUNTS.value):
        if count > len(known) - (test is None):
            sys.exit(f"error: --counts={count}: there are {len(known)} annotated pictures; draw fewer")
        measured[count] = [_draw(known, test, names, count, seed) for seed in range(_SEEDS.value)]
    print(f"\nmean error of the detector, % of {normaliser}, by annotated pictures:\n\n{_table(measured)}")


def _pictures():
    """Annotated pictures to draw from, those to measure on or None, names of the landmarks, and the unit of errors."""
    from dense_labels import config as config_lib
    from dense_labels import config_files, run_config
    from dense_labels.detection import evaluating
    from input_pipeline import pipeline

    given = rows.annotations()
    folder = {"data.dir": rows.images(), **({"data.cache_dir": _CACHE.value} if _CACHE.value else {})}
    config = config_lib.with_overrides(config_files.find("folder"), folder)
    config = run_config.with_landmarks(config, given["data.annotations"], given["data.annotations_test"], None)
    source = pipeline.prepare(config)
    own = evaluating.prepare(config, source)
    known = evaluating.annotated_images(own, "annotated")
    test = evaluating.annotated_images(own, "test") if own.count("test") else None
    if _HOLD_OUT.value:
        order = np.random.default_rng(_HOLD_OUT_SEED).permutation(len(known))
        known, test = known.take(order[_HOLD_OUT.value :]), known.take(order[: _HOLD_OUT.value])
    return known, test, own.landmark_names, own.normaliser


def _draw(known, test, names, count, seed):
    """Fits and measures one draw, unless that is recorded."""
    from dense_labels.config import ViewsConfig
    from dense_labels.detection import fitting, sides
    from dense_labels.evaluation import landmarks, measuring

    order = np.random.default_rng([seed, count]).permutation(len(known))
    pairs = sides.flip_pairs(names)
    size = list(known.labels.cells)
    asked = {"count": count, "seed": seed, "size": size, "flip_pairs": [list(pair) for pair in pairs]}
    asked |= {"hold_out": _HOLD_OUT.value, "steps": fitting.steps_for(count), "recipe": fitting.RECIPE}
    path = rows.record_path(f"detector_{count}_{seed}")
    if path and os.path.exists(path):
        record = rows.read(path)
        if record["asked"] != asked:
            sys.exit(f"error: {path} was made in another way ({record['asked']}); give another --results, or remove it")
        return record
    measured_on = known.take(order[count:]) if test is None else test
    start = time.monotonic()
    detector = fitting.fit(
        known.take(order[:count]), ViewsConfig(), weights=_WEIGHTS.value, seed=seed, flip_pairs=pairs
    )
    minutes = (time.monotonic() - start) / 60
    points = landmarks.predict(detector, measured_on.labels, 16)["points"]
    errors = measuring.landmark_errors(points, measured_on)
    found = measuring.in_pictures(points, measured_on)
    distances = np.linalg.norm(found.predicted - found.landmarks, axis=-1)
    record = {
        "asked": asked,
        "command": rows.typed_command(),
        "error_percent": errors[-1],
        "error_px": float(distances[found.annotated > 0].mean()),
        "minutes": minutes,
        "measured_on": len(measured_on),
    }
    print(f"{count} annotated, draw {seed}: {errors[-1]:.2f} % ({minutes:.1f} minutes)", flush=True)
    if path:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.write_whole(path, (json.dumps(record, indent=1) + "\n").encode())
    return record


def _table(measured):
    from dense_labels.evaluation import tables

    lines = ["| annotated | error, % | error, px of the pictures | minutes |", "|---|---|---|---|"]
    for count, draws in measured.items():
        cells = [tables.mean_and_deviation([draw[name] for draw in draws], 2) for name in ("error_percent", "error_px")]
        lines.append(f"| {count} | {' | '.join(cells)} | {np.mean([draw['minutes'] for draw in draws]):.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command_line.run(main)
