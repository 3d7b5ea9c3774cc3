"""Matching of landmarks between different objects by their descriptors alone: the second paper and what it builds on.

python -m benchmarks.introspection --workdir=runs/introspection --images=IMAGES --annotations=TRAIN.json \
    --annotations_test=TEST.json [--weights=FILE.h5] [--only=confidence] [-- --config.train.num_epochs=10 ...]

Trains configs/introspection.py with and without confidence on the pictures of TRAIN.json, without its landmarks. Then
every landmark of a picture of TEST.json is looked for in another: 500 pairs, the nearest descriptor by cosine. Beside
them the trunk as it was published (layers, and a hypercolumn of all of them) and with random weights. --weights is the
trunk's Keras file; without it, it is downloaded. What follows `--` goes to both trainings.

Prints a Markdown table: mean error in % of the picture's width, share within 10 % of it (PCK), and how much less the
error is than the best published layer's, with 95 % bootstrap intervals over pairs. Of the networks with confidence also
whether it means something: see `_trust`.
"""

import sys

import numpy as np
from absl import app, flags

from benchmarks import rows

ROWS = {"without_confidence": {"model.confidence": False}, "confidence": {}}  # what is changed in the configuration
_CONFIG = "configs/introspection.py"
_LAYERS = ("block_6_expand_relu", "block_10_expand_relu", "block_13_expand_relu")
_PAIRS, _ALPHA, _SEED = 500, 0.1, 0

_IMAGES = flags.DEFINE_string("images", None, "Folder of the pictures.")
_ANNOTATIONS = flags.DEFINE_string("annotations", None, "COCO key points whose pictures are trained on.")
_ANNOTATIONS_TEST = flags.DEFINE_string("annotations_test", None, "COCO key points that are matched.")
_WEIGHTS = flags.DEFINE_string("weights", "imagenet", "The trunk's weights: imagenet or a Keras .h5 file.")


def main(argv):
    runs = rows.chosen(ROWS)
    data = {"data.dir": _IMAGES, "data.annotations": _ANNOTATIONS, "data.annotations_test": _ANNOTATIONS_TEST}
    for flag in data.values():
        if not flag.value:
            sys.exit(
                f"error: --{flag.name} is missing; --images, --annotations and --annotations_test say what pictures"
            )
    settings = {key: flag.value for key, flag in data.items()} | {"model.weights": _WEIGHTS.value}
    minutes = {}
    for name, workdir in runs.items():
        changes = [f"--config.{key}={value}" for key, value in {**settings, **ROWS[name]}.items()]
        minutes[name] = rows.minutes(rows.run(_CONFIG, workdir, [*changes, *argv[1:]]))
    measured = _measure(runs)
    print(_table(measured, minutes))
    for name, found in measured.items():
        if "confidence" in found:
            print(f"\n{name}: " + ", ".join(f"{what} {value:.3g}" for what, value in _trust(found).items()))


def _measure(workdirs):
    """Row -> what was found in the pairs of test pictures."""
    from dense_labels import correspondence, evaluation
    from dense_labels import runs as runs_lib  # not above: TensorFlow is slow to import
    from input_pipeline import pipeline

    config = runs_lib.load(next(iter(workdirs.values())))
    source = pipeline.prepare(config)
    measured = {}
    for name, (network, stride) in _networks(workdirs).items():
        maps = evaluation.label_maps(network, pipeline.landmark_batches(source, "test", batch_size=16))
        a, b = correspondence.pairs_of(_PAIRS, len(maps["labels"]), _SEED).T
        labels, landmarks = maps["labels"], maps["landmarks"]
        places, score, confidence = correspondence.nearest_descriptor(labels[a], labels[b], landmarks[a], stride=stride)
        known = maps["annotated"][a] * maps["annotated"][b] > 0
        width = source.input_size[1]
        errors = np.linalg.norm(places - landmarks[b], axis=-1) / width
        pair = np.broadcast_to(np.arange(len(a))[:, np.newaxis], known.shape)
        found = {"errors": 100 * errors[known], "pair": pair[known], "score": score[known]}
        if np.ptp(confidence):
            on_object = _grown_boxes(landmarks, maps["annotated"], labels.shape[1:3], stride)
            lengths = np.linalg.norm(labels, axis=-1)
            found |= {"confidence": confidence[known], "on_object": on_object.ravel(), "lengths": lengths.ravel()}
        measured[name] = found
    return measured


def _networks(workdirs):
    """Row -> (function of images, stride), one after the other."""
    import tensorflow as tf

    import models
    from dense_labels import checkpoints, runs
    from models import trunks

    def labelling(network):
        return tf.function(network, reduce_retracing=True)

    tf.keras.utils.set_random_seed(_SEED)
    networks = {}
    for kind, weights in (("random", "none"), ("published", _WEIGHTS.value)):
        for layers in [(layer,) for layer in _LAYERS] + [_LAYERS]:
            name = layers[0] if len(layers) == 1 else "hypercolumn"
            network, stride = trunks.features("mobilenet_v2", layers, weights=weights)
            networks[f"{kind} {name}"] = labelling(network), stride
    for name, workdir in workdirs.items():
        model = runs.load(workdir).model
        model.weights = "none"  # they are in the checkpoint
        network = models.create(model)
        checkpoints.restore_network(network, workdir)
        networks[name] = labelling(network), models.stride(model)
    return networks


def _grown_boxes(landmarks, annotated, cells, stride):
    """Which cells [N, h, w] lie in the box of an image's landmarks, grown by half its width and height on each side."""
    from dense_labels import geometry

    known = annotated[..., np.newaxis] > 0
    low = np.where(known, landmarks, np.inf).min(axis=1)
    high = np.where(known, landmarks, -np.inf).max(axis=1)
    low, high = low - (high - low) / 2, high + (high - low) / 2
    centres = geometry.cell_centres(*cells, stride).numpy()
    low, high = (side[:, np.newaxis, np.newaxis] for side in (low, high))
    return ((centres >= low) & (centres <= high)).all(axis=-1)


def _table(measured, minutes):
    from dense_labels import confidence

    published = [name for name in measured if name.startswith("published")]
    best = min(published, key=lambda name: measured[name]["errors"].mean())
    lines = [f"| descriptor | error, % of width | PCK@{_ALPHA} | less than {best} by | minutes |", "|---" * 5 + "|"]
    for name, found in measured.items():
        errors, pair = found["errors"], found["pair"]
        low, high = confidence.paired_bootstrap_interval(measured[best]["errors"], errors, seed=_SEED, groups=pair)
        gain = (measured[best]["errors"] - errors).mean()
        within = (errors <= 100 * _ALPHA).mean()
        gained = "-" if name == best else f"{gain:.2f} ({low:.2f} to {high:.2f})"
        lines.append(f"| {name} | {errors.mean():.2f} | {within:.3f} | {gained} | {minutes.get(name, '-')} |")
    return "\n".join(lines)


def _trust(found):
    """What the confidence is worth.

    Areas under risk-coverage curves (% of width; less is better) in the order of the confidence, of the cosine, at
    random and of the errors themselves; and how often a cell in the grown box of the landmarks is more confident than
    one outside (area under the ROC).
    """
    from dense_labels import confidence

    errors = found["errors"]
    at_random, oracle = confidence.reference_areas(errors)
    return {
        "risk-coverage area by confidence": confidence.area_under_risk_coverage(errors, found["confidence"]),
        "by cosine": confidence.area_under_risk_coverage(errors, found["score"]),
        "by both": confidence.area_under_risk_coverage(errors, found["confidence"] * found["score"]),
        "at random": at_random,
        "of the errors": oracle,
        "ROC area, object against background": confidence.roc_area(found["on_object"], found["lengths"]),
    }


if __name__ == "__main__":
    app.run(main)
