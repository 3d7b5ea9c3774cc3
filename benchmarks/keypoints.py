"""Few-shot key points, section 4.3 of the second paper: heat maps on labels, and the same head on the raw trunk.

python -m benchmarks.keypoints --workdir=runs/keypoints --workdirs=runs/introspection/confidence --images=IMAGES \
    --annotations=TRAIN.json --annotations_test=TEST.json [--weights=FILE.h5] [--random] [--steps=100]

In each round annotated pictures of TRAIN.json are added, the head goes on from where it was, for 3 epochs of at least
500 steps of 4 pictures, and is measured on TEST.json. Rows: the networks of --workdirs; the trunk as it was published,
at the size and stride of the first of them; and with --random the same trunk with random weights. --dataset=pascal3d
takes the folder of the release as --images and no annotations; a round then has so many pictures of each class.

What is done is kept in --workdir, row by row and seed by seed: stopped and started again, it goes on there. The time of
a step grows with the length of the labels; --rounds, --epochs, --steps and --seeds make all shorter.

Prints two Markdown tables, mean and deviation over the seeds: the area under PCK for alpha from 0 to 1 times the longer
side of what is shown of a picture, a mean of classes; and the mean error. Shown is the box with --dataset=pascal3d, the
whole picture where a file has one object in each, and a square 1.5 times as large as the box where it has several.
"""

import dataclasses
import functools
import json
import os
import sys
import time

import numpy as np
from absl import flags

from benchmarks import records, rows
from dense_labels import command_line

_WORKDIRS = flags.DEFINE_list("workdirs", [], "Folders of runs that train_main.py wrote.")
_WEIGHTS = flags.DEFINE_string("weights", "imagenet", "The trunk's weights: imagenet or a Keras .h5 file.")
_DATASET = flags.DEFINE_enum("dataset", "coco", ["coco", "pascal3d"], "What --images and --annotations are.")
_RANDOM = flags.DEFINE_bool("random", False, "Measure the trunk with random weights too.")
_ROUNDS = flags.DEFINE_list("rounds", "1,5,10,20,50,100,200", "Annotated pictures of each class, round by round.")
_STEPS = flags.DEFINE_integer("steps", 500, "The fewest steps of an epoch.", lower_bound=1)
_EPOCHS = flags.DEFINE_integer("epochs", 3, "Epochs of a round.", lower_bound=1)
_SEEDS = flags.DEFINE_integer("seeds", 3, "How often to draw the pictures.", lower_bound=1)

_LATER = ("step", "run", "trunk", "stride", "shown", *rows.LATER)  # of features, what earlier versions did not keep
_BATCH = 16  # images that are labelled at a time


def main():
    if not _WORKDIRS.value:
        sys.exit("error: --workdirs is missing; name at least one run of configs/introspection.py")
    rounds = command_line.whole_numbers("rounds", _ROUNDS.value)
    settings = {"rounds": rounds, "epochs": _EPOCHS.value, "steps": _STEPS.value}
    measured = _measure(rows.workdir(), settings)
    what = next(iter(measured.values()))[0]["normaliser"]
    for figure, title in (("pck_area", "area under PCK to alpha 1"), ("error_percent", f"mean error, % of {what}")):
        print(f"\n{title}, by annotated pictures:\n\n{_table(measured, figure)}")


def _measure(workdir, settings):
    """Row -> what was found, seed by seed; what is not there yet is measured first."""
    from dense_labels import run_config

    config = run_config.load(_WORKDIRS.value[0])
    source, measured = None, {}
    config.data = dataclasses.replace(config.data, name=_DATASET.value, **_data())
    names = ("dir", "annotations", "annotations_test")
    data = {"dataset": _DATASET.value, **{name: os.path.basename(getattr(config.data, name)) for name in names}}
    data["shown"] = [*config.data.size, config.data.crop]  # as the first of the runs sees it
    os.makedirs(workdir, exist_ok=True)
    for name, (features, create) in _networks(config.model).items():
        paths = {seed: os.path.join(workdir, f"{name}_{seed}.json") for seed in range(_SEEDS.value)}
        asked = {**settings, **features, **data}
        missing = {seed: path for seed, path in paths.items() if not _is_done(f"{name}_{seed}", path, asked)}
        if missing:
            source = source or _source(config)
            _run(name, create, source, missing, asked)
        measured[name] = [rows.read(path) for path in paths.values()]
    return measured


def _is_done(name, path, asked):
    if not os.path.exists(path):
        return False
    made = rows.read(path)["settings"]
    made["features"] = os.path.basename(made["features"])  # a path, of earlier versions
    lacks = records.lacking(made, asked, _LATER)
    if lacks is None:
        sys.exit(f"error: {path} was made with {records.unlike(made, asked)}, choose another --workdir")
    records.say_read(name, path, lacks)
    return True


def _source(config):
    from input_pipeline import pipeline

    return pipeline.prepare(config)


def _data():
    if _DATASET.value == "pascal3d":
        return {"dir": rows.images(), "annotations": "", "annotations_test": ""}
    return {key.removeprefix("data."): value for key, value in rows.data().items()}


def _networks(model):
    """Row -> what tells its features from others, and a function that creates the network and says its stride."""

    def trunk(weights):
        from models import trunks

        return rows.labelling(trunks.create(model.trunk, weights=weights, stride=model.stride)), model.stride

    networks = {}
    for path in map(os.path.abspath, _WORKDIRS.value):
        name = os.path.basename(path)
        if name in networks:
            sys.exit(f"error: --workdirs: two runs are called {name}; give one another name")
        networks[name] = {"features": name, **rows.facts(path)}, functools.partial(rows.network, path)
    trunks_shown = {"published": _WEIGHTS.value, **({"random": "none"} if _RANDOM.value else {})}
    for kind, weights in trunks_shown.items():
        features = {"features": os.path.basename(weights), "trunk": model.trunk, "stride": model.stride}
        networks[f"{kind}_{model.trunk}"] = features, functools.partial(trunk, weights)
    return networks


def _run(name, create, source, paths, settings):
    """Measures a row for some seeds, and writes the file of each as soon as it is done."""
    import tensorflow as tf

    from dense_labels import files
    from dense_labels.evaluation import few_annotations, landmarks, measuring
    from input_pipeline import pipeline
    from models import heatmap_landmarks

    tf.keras.utils.set_random_seed(0)  # of the random trunk
    label, stride = create()
    test = landmarks.label_landmarks(label, pipeline.landmark_batches(source, "test", batch_size=_BATCH), stride)
    sides = np.max(test.scale * source.frame(stride).full_size[::-1], axis=1)
    by_side = dataclasses.replace(test, normaliser=np.where(test.normaliser > 0, sides, 0))  # of the same pictures
    classes, test_classes = source.classes("annotated"), source.classes("test")
    every = source.count("annotated")

    def views_of(indices, seed):
        views = pipeline.chosen_batches(source, indices, count=every, batch_size=_BATCH)
        return landmarks.label_landmarks(label, views, stride)

    for seed, path in paths.items():

        def fit(known, head, seed=seed):
            epochs, steps = settings["epochs"], settings["steps"]
            return heatmap_landmarks.fit_heatmaps(known, seed=seed, epochs=epochs, steps=steps, warm_start=head)

        found = {"settings": settings, "normaliser": source.normaliser, "pck_area": {}, "error_percent": {}}
        start = time.monotonic()
        for count, head in few_annotations.growing_rounds(fit, views_of, classes, counts=settings["rounds"], seed=seed):
            points = landmarks.predict(head, test.labels, _BATCH)["points"]
            found["pck_area"][count] = measuring.pck_area(points, by_side, test_classes)
            found["error_percent"][count] = measuring.landmark_errors(points, test)[-1]
            found["minutes"] = (time.monotonic() - start) / 60
            area, minutes = found["pck_area"][count], found["minutes"]
            print(f"{name}, seed {seed}, {count} annotated: {area:.4f} ({minutes:.1f} minutes)", flush=True)
        files.write_whole(path, json.dumps(found, indent=2).encode())


def _table(measured, figure):
    from dense_labels.evaluation import tables

    counts = list(next(iter(measured.values()))[0][figure])
    lines = [f"| features | {' | '.join(counts)} |", "|---" * (len(counts) + 1) + "|"]
    for name, seeds in measured.items():
        digits = 4 if figure == "pck_area" else 1
        cells = (tables.mean_and_deviation([found[figure][count] for found in seeds], digits) for count in counts)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command_line.run(main)
