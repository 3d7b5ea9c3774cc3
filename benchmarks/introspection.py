"""Matching of landmarks between different objects by their descriptors alone: the second paper and what it builds on.

python -m benchmarks.introspection --workdir=runs/introspection --images=IMAGES --annotations=TRAIN.json \
    --annotations_test=TEST.json [--weights=FILE.h5] [--only=confidence] [-- --config.train.num_epochs=10 ...]

Trains configs/introspection.py with and without confidence, and both with exchange, on the pictures of TRAIN.json,
without its landmarks. Then every landmark of a picture of TEST.json is looked for in another: 500 pairs, the nearest
descriptor by cosine. Beside them the trunk as it was published (layers, and a hypercolumn of all of them) and with
random weights. --weights is the trunk's Keras file; without it, it is downloaded. What follows `--` goes to all
trainings.

Prints a Markdown table: mean error in % of the picture's width, share within 10 % of it (PCK), and how much less the
error is than the best published layer's, with 95 % bootstrap intervals over pairs. Of the networks with confidence also
whether it means something: see `descriptor_matching.confidence_figures`.
"""

import numpy as np
from absl import flags

from benchmarks import rows
from dense_labels import command_line

ROWS = {  # what is changed in the configuration
    "without_confidence": {"model.confidence": False},
    "confidence": {},
    "without_confidence_exchange": {"model.confidence": False, "loss.exchange": True},
    "confidence_exchange": {"loss.exchange": True},
}
_CONFIG = "configs/introspection.py"
_LAYERS = ("block_6_expand_relu", "block_10_expand_relu", "block_13_expand_relu")
_SEED = 0

_WEIGHTS = flags.DEFINE_string("weights", "imagenet", "The trunk's weights: imagenet or a Keras .h5 file.")


def main(passed):
    runs = rows.chosen(ROWS)
    settings = {**rows.data(), "model.weights": _WEIGHTS.value}
    minutes = {}
    for name, workdir in runs.items():
        changes = [f"--config.{key}={value}" for key, value in {**settings, **ROWS[name]}.items()]
        minutes[name] = rows.minutes([rows.run(_CONFIG, workdir, [*changes, *passed])])
    from dense_labels.evaluation import descriptor_matching

    measured = _measure(runs)
    print(_table(measured, minutes))
    for row in ("confidence", "confidence_exchange"):
        if {row, f"without_{row}"} <= measured.keys():
            less = _less(*(measured[name][0] for name in (f"without_{row}", row)))
            print(f"\n{row}: the error is less than without by {less} % of the width")
    for name, (_, figures) in measured.items():
        if "risk_by_confidence" in figures:
            print(f"\n{name}: {descriptor_matching.summary(figures)}")


def _measure(workdirs):
    """Row -> `descriptor_matching.Matches` in pairs of test pictures, and the figures of these."""
    from dense_labels import run_config
    from dense_labels.evaluation import descriptor_matching, landmarks, turns
    from input_pipeline import pipeline

    source = pipeline.prepare(run_config.load(next(iter(workdirs.values()))))
    measured = {}
    for name, (network, stride, confidence) in _networks(workdirs).items():
        batches = pipeline.landmark_batches(source, "test", batch_size=16)
        images = landmarks.label_landmarks(network, batches, stride)
        asked = {"width": source.input_size[1], "confidence": confidence, "seed": _SEED}
        asked["pictures"] = turns.of_images(source.origins("test"), images.picture)
        measured[name] = descriptor_matching.measure(images, **asked)
    return measured


def _networks(workdirs):
    """Row -> (function of images, stride, whether the length of labels is confidence)."""
    import tensorflow as tf

    from dense_labels import run_config
    from dense_labels.registry import NETWORKS
    from models import trunks

    tf.keras.utils.set_random_seed(_SEED)
    networks = {}
    for kind, weights in (("random", "none"), ("published", _WEIGHTS.value)):
        for layers in [(layer,) for layer in _LAYERS] + [_LAYERS]:
            name = layers[0] if len(layers) == 1 else "hypercolumn"
            network, stride = trunks.features("mobilenet_v2", layers, weights=weights)
            networks[f"{kind} {name}"] = rows.labelling(network), stride, False
    for name, workdir in workdirs.items():
        model = run_config.load(workdir).model
        networks[name] = *rows.network(workdir), NETWORKS[model.name].value.has_confidence(model)
    return networks


def _table(measured, minutes):
    from dense_labels.evaluation import descriptor_matching

    published = [name for name in measured if name.startswith("published")]
    best = min(published, key=lambda name: measured[name][0].errors.mean())
    header = f"| descriptor | error, % of width | PCK@{descriptor_matching.ALPHA} | less than {best} by | minutes |"
    lines = [header, "|---" * 5 + "|"]
    for name, (matches, figures) in measured.items():
        gained = "-" if name == best else _less(measured[best][0], matches)
        figures = f"{figures['nearest_descriptor_error_percent']:.2f} | {figures['nearest_descriptor_pck']:.3f}"
        lines.append(f"| {name} | {figures} | {gained} | {minutes.get(name, '-')} |")
    return "\n".join(lines)


def _less(first, second):
    """How much less the mean error of the second `Matches` is, with its 95 % interval over pairs."""
    from dense_labels.evaluation import confidence

    low, high = confidence.paired_bootstrap_interval(first.errors, second.errors, seed=_SEED, groups=first.pair)
    return f"{np.mean(first.errors - second.errors):.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    command_line.run(main, takes_files=True)  # what follows -- is of the trainings
