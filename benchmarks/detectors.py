"""Detectors from a few annotated pictures: the errors of `--heads=detector`, by annotated pictures and draws.

python -m benchmarks.detectors --images=IMAGES --annotations=ANNOTATIONS [--annotations_test=TEST] --weights=FILE.h5 \
    [--counts=5,20,100] [--seeds=3] [--hold_out=600] [--unlabelled=FOLDER] [--peers=dlib] [--results=RESULTS]
python -m benchmarks.detectors --only=dlib --images=IMAGES --annotations=ANNOTATIONS [--results=RESULTS]
python -m benchmarks.detectors --picture=FILE.png --results=RESULTS

Annotations are in any format that `eval_main.py` takes. Draws are those of `--few_shot`: each draw is fitted alone, and
measured on TEST; without it, on the annotated pictures that were not drawn. The pile is learned from however small it
is, and pictures are seen at the size that suits all annotated ones. `--hold_out` is for
choosing settings: so many pictures of ANNOTATIONS, always the same, are measured on instead, with all boxes in them,
and none of them is drawn or learned from. The pile are the pictures of ANNOTATIONS that were not drawn, without their
landmarks, or those of FOLDER. Beside each detector stands what it is without the pile, without its second look, and
without either: a trunk of ImageNet that is fine-tuned end to end to heat maps, as other programs do it. The minutes are
of fitting, and of predicting the pictures that are measured on by all four.

`--peers` adds other programs, fitted to the same draws and measured on the same pictures; they see no pile. `--only`
names what is fitted: `detector`, which needs the weights of its trunk, or peers, which do not.

Each finished draw is recorded in --results, where it is only read the next time: a table that was stopped goes on.
Prints a Markdown table, mean and deviation over the draws; where errors are divided by the width of the picture, in its
pixels too. `--picture` draws what is recorded, and fits nothing.
"""

import dataclasses
import os
import sys
import time

import numpy as np
from absl import flags

from benchmarks import rows
from dense_labels import command_line

_WEIGHTS = flags.DEFINE_string("weights", "imagenet", "Of the trunk: imagenet, a Keras .h5 file, or none.")
_COUNTS = flags.DEFINE_list("counts", ["5", "20", "100"], "Annotated pictures.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "How often to draw them.", lower_bound=1)
_HOLD_OUT = flags.DEFINE_integer("hold_out", 0, "Measure on so many pictures of --annotations.", lower_bound=0)
_UNLABELLED = flags.DEFINE_string("unlabelled", "", "Folder of the pile, if not the pictures of --annotations.")
_CACHE = flags.DEFINE_string("cache_dir", "", "Folder of the resized pictures, if not the usual one.")
_PILE = flags.DEFINE_integer("pile", 2000, "Other pictures to learn from; 0: annotated ones alone.", lower_bound=0)
_PEERS = flags.DEFINE_list("peers", [], "Other programs to compare with: dlib.")
_PICTURE = flags.DEFINE_string("picture", "", "PNG file to draw what is recorded in --results into.")
_HOLD_OUT_SEED = 99
_OURS = "detector"
_WITHOUT = {  # suffix of a figure -> what it is of
    "_without_pile": "without the pile",
    "_without_second_look": "without the second look",
    "_without_either": "without either",
}
_IN_PIXELS = "picture width"  # where errors are divided by this, they are asked for in pixels


def main():
    if _PICTURE.value:
        from benchmarks import detectors_picture

        return detectors_picture.write(_PICTURE.value, rows.results())
    command_line.whole_numbers("counts", _COUNTS.value)
    names, config, measured = _names(), _config(), {}
    for name in reversed(names):  # peers take minutes, and say soon what is wrong
        fitting = _fitting(name, config)
        measured = {name: _draws(name, fitting), **measured}
    units = {"percent": f"% of {fitting.normaliser}"}
    if fitting.normaliser == _IN_PIXELS:
        units["px"] = f"px of pictures {_range(fitting.known.normaliser)} wide"
    print(f"\nmean error in {' and in '.join(units.values())}, by annotated pictures:\n\n{_table(measured, units)}")


def _names():
    """What is fitted: the detector and the peers that are asked for, or what is named alone."""
    from benchmarks import peers

    for name in _PEERS.value:
        if name not in peers.PEERS:
            sys.exit(f"error: --peers={name}: there is no such peer; choose {', '.join(peers.PEERS)}")
    return rows.only([_OURS, *peers.PEERS]) or [_OURS, *_PEERS.value]


def _config():
    """The configuration of an evaluation whose landmarks are those that are given."""
    from dense_labels import run_config

    given = rows.annotations()
    if _HOLD_OUT.value and given["data.annotations_test"]:
        sys.exit("error: --hold_out measures on pictures of --annotations; leave out --annotations_test")
    given = given["data.annotations"], given["data.annotations_test"]
    return run_config.with_landmarks(_of_folder(rows.images()), *given, None)


def _of_folder(folder):
    """The configuration of a training on the pictures of a folder."""
    from dense_labels import config as config_lib
    from dense_labels import config_files

    changes = {"data.dir": folder, "eval.pile": _PILE.value}
    changes |= {"data.cache_dir": _CACHE.value} if _CACHE.value else {}
    return config_lib.with_overrides(config_files.find("folder"), changes)


def _fitting(name, config):
    """What fits a detector or a peer to few pictures."""
    from benchmarks import peers

    fitting = _detector(config) if name == _OURS else peers.Fitting(name, config)
    if _HOLD_OUT.value:
        held_out, rest = _held_out(fitting, _HOLD_OUT.value)
        fitting.test, fitting.known = fitting.known.take(held_out), fitting.known.take(rest)
        if name == _OURS and fitting.pile:
            fitting.pile = fitting.pile.without({fitting.origins[picture] for picture in fitting.test.picture})
    return fitting


def _held_out(fitting, count):
    """Numbers of the annotated images of so many pictures, always the same, and of the others."""
    from dense_labels.evaluation import turns

    order = np.random.default_rng(_HOLD_OUT_SEED).permutation(len(fitting.known))
    pictures = turns.of_images(fitting.origins, fitting.known.picture)[order]
    names = list(dict.fromkeys(pictures.tolist()))
    if count >= len(names):
        raise ValueError(f"--hold_out={count}: there are {len(names)} pictures with annotations; hold out fewer")
    held_out = np.isin(pictures, names[:count])
    return order[held_out], order[~held_out]


def _detector(config):
    from dense_labels.detection import evaluating
    from input_pipeline import pipeline

    source, weights = pipeline.prepare(config), os.path.expanduser(_WEIGHTS.value)
    pile = _of_folder(os.path.expanduser(_UNLABELLED.value)) if _UNLABELLED.value else config
    detector = evaluating.Fitting(config, source, names=source.landmark_names, weights=weights, pile=pile)
    detector.normaliser = source.normaliser
    return detector


def _draws(name, fitting):
    """Fits and measures all draws: count -> records."""
    from dense_labels.evaluation import few_annotations

    counts = list(map(int, _COUNTS.value))
    few_annotations.check_few_shot(counts, fitting.known, fitting.test, fitting.origins)
    return {count: [_draw(name, fitting, count, seed) for seed in range(_SEEDS.value)] for count in counts}


def _draw(name, fitting, count, seed):
    """Fits and measures one draw, unless that is recorded."""
    asked = _asked(name, fitting, count, seed)
    record = rows.recorded(f"{name}_{count}_{seed}", asked, lambda: _measure(name, fitting, count, seed))
    if "error_percent" not in record:
        print(f"{count} annotated, draw {seed}: {name} drew all pictures, and none is left to measure on", flush=True)
        return record
    others = {words: record[f"error_percent{of}"] for of, words in _WITHOUT.items() if f"error_percent{of}" in record}
    said = f"{record['error_percent']:.2f} %" + "".join(f", {words} {value:.2f}" for words, value in others.items())
    print(f"{count} annotated, draw {seed}: {name} {said} ({record['minutes']:.1f} minutes)", flush=True)
    return record


def _asked(name, fitting, count, seed):
    """What the figures of a draw depend on."""
    asked = {
        **{flag: os.path.basename(value or "") for flag, value in rows.annotations().items()},
        "count": count,
        "seed": seed,
        "flip_pairs": [list(pair) for pair in fitting.flip_pairs],
        "hold_out": _HOLD_OUT.value,
        "pictures": [len(fitting.known), len(fitting.test or ())],
    }
    if name != _OURS:
        return {**asked, "settings": fitting.settings(count)}
    from dense_labels.detection import fitting as of_detectors

    return {
        **asked,
        "size": [side // fitting.settings.times for side in fitting.known.labels.cells] + [fitting.settings.times],
        "weights": os.path.basename(_WEIGHTS.value),
        "pile": [_PILE.value, os.path.basename(os.path.normpath(_UNLABELLED.value or ""))],
        "steps": of_detectors.steps_for(count),
        "recipe": of_detectors.RECIPE,
    }


def _measure(name, fitting, count, seed):
    """Fits and measures one draw: errors in percent and in pixels, and the minutes of it."""
    from benchmarks import peers

    start = time.monotonic()
    if name == _OURS:
        fitting.settings = dataclasses.replace(fitting.settings, seed=seed)  # where all are drawn, draws differ in this
        parts = fitting.ablated(count, seed, measure=peers.errors)
        measured = {of: part for of, part in parts.items() if isinstance(part, dict)}  # not where no picture is left
        found = {f"{figure}_{of}".rstrip("_"): value for of, part in measured.items() for figure, value in part.items()}
    else:
        found = fitting.measure(count, seed)
    return {**found, "normaliser": fitting.normaliser, "minutes": (time.monotonic() - start) / 60}


def _table(measured, units):
    """The figures, name -> count -> records, in each of some units; "-" where records lack one, as older ones do."""
    from dense_labels.evaluation import tables

    kinds = [(name, "", name) for name in measured]
    if _OURS in measured:
        kinds[1:1] = [(_OURS, of, f"{_OURS} {words}") for of, words in _WITHOUT.items()]
    columns = [(name, f"error_{unit}{of}", f"{title}, {unit}") for unit in units for name, of, title in kinds]
    columns = [(name, key, title.replace("percent", "%")) for name, key, title in columns]
    columns += [(name, "minutes", f"{name}, minutes") for name in measured]
    lines = [f"| annotated | {' | '.join(title for *_, title in columns)} |", "|---" * (len(columns) + 1) + "|"]
    for count in next(iter(measured.values())):
        found = [[draw[key] for draw in measured[name][count] if key in draw] for name, key, _ in columns]
        cells = [
            tables.mean_and_deviation(values, 2 if "error" in key else 1) for values, (_, key, _) in zip(found, columns)
        ]
        lines.append(f"| {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _range(values):
    """Whole numbers in words: the only one, or the least and the largest."""
    return " to ".join(f"{value:.0f}" for value in sorted({values.min(), values.max()}))


if __name__ == "__main__":
    command_line.run(main)
