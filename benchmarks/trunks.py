"""What the trunks of the second paper cost: parameters, label map, memory and time of one training step.

python -m benchmarks.trunks [--rows=resnet50,vgg16,...] [--size=240] [--batch=4] [--steps=3]

A step takes `--batch` pairs that lie in memory through the network on both views, the probabilistic matching loss with
the paper's settings, and its gradient, to the new weights of AdaGrad with momentum; random weights, C = 64, float32, on
the CPU. Each row is a process of its own. "peak" is the largest memory that it ever held (`resource.getrusage`),
TensorFlow itself included; how much that is alone, the first line says. Seconds are the median of steps after a first,
in which the graph is traced.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

from benchmarks import timing

ROWS = {  # name -> trunk, side of a cell in pixels
    "resnet50": ("resnet50", 16),
    "vgg16": ("vgg16", 16),
    "mobilenet_v2": ("mobilenet_v2", 16),
    "mobilenet_v2_8": ("mobilenet_v2", 8),
}
_HEADER = ["trunk", "stride", "parameters", "label map", "peak memory, MB", "seconds a step"]
_DESCRIPTOR = 64


def main():
    arguments = _arguments()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.size, arguments.batch, arguments.steps)))
        return
    empty = _in_own_process("empty", arguments)["peak"]
    pairs = f"{arguments.batch} pairs of {arguments.size} x {arguments.size}"
    print(f"{pairs}; TensorFlow alone holds {empty / 1e6:.0f} MB\n")
    print(table({name: _in_own_process(name, arguments) for name in arguments.rows}))


def table(results):
    """Markdown of `{row: what measure returned}`."""
    lines = []
    for name, found in results.items():
        cells = " x ".join(map(str, found["cells"]))
        figures = [f"{found['parameters']:,}", cells, f"{found['peak'] / 1e6:.0f}", f"{found['seconds']:.2f}"]
        lines.append([*ROWS[name], *figures])
    return timing.table(_HEADER, lines)


def measure(name, size, batch, steps):
    """Trains a few steps in this process.

    Args:
      name: of a row, or "empty" for none at all.
      size: pixels a side.
      batch: pairs.
      steps: how many are timed.

    Returns:
      A dictionary: `peak` in bytes; of a row also `parameters`, `cells` (height and width) and `seconds`.
    """
    if name == "empty":
        import tensorflow as tf

        tf.zeros([])
        return {"peak": _peak()}
    model, pairs = _model(*ROWS[name], size, batch)
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        model.train_on_batch(pairs)
        seconds.append(time.perf_counter() - start)
    return {
        "parameters": model.network.count_params(),
        "cells": model.network(pairs.image_a).shape[1:3].as_list(),
        "seconds": statistics.median(seconds[1:]),
        "peak": _peak(),
    }


def _model(trunk, stride, size, batch):
    """A compiled `loop.PairModel`, and a PairBatch of noise whose views are shifted."""
    import tensorflow as tf

    from dense_labels import config as config_lib
    from dense_labels.batches import PairBatch
    from dense_labels.method import geometry, introspection_loss
    from dense_labels.registry import NETWORKS
    from dense_labels.training import loop, optimizers

    tf.config.set_visible_devices([], "GPU")
    config = config_lib.Config()
    config.model = config_lib.ModelConfig("introspection", _DESCRIPTOR, trunk=trunk, weights="none", stride=stride)
    config.loss.name = "introspection"
    points_stride = loop.pairs_stride(config, stride)
    loss = introspection_loss.IntrospectionLoss(stride, points_stride)
    model = loop.PairModel(NETWORKS["introspection"].value.create(config.model), loss)
    model.compile(optimizers.AdagradMomentum(1e-3, weight_decay=5e-4))
    cells = size // points_stride
    places = geometry.cell_centres(cells, cells, points_stride) + 8.0
    image_a, image_b = tf.random.stateless_uniform([2, batch, size, size, 3], [0, 0])
    seen = tf.cast(tf.reduce_all(places < size, axis=-1), tf.float32)
    points_in_b, visible = (tf.repeat(each[tf.newaxis], batch, axis=0) for each in (places, seen))
    return model, PairBatch(image_a, image_b, points_in_b, visible)


def _in_own_process(name, arguments):
    """What `measure` returns in a process of its own, which no other row's memory is in."""
    print(f"measuring {name}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.trunks", f"--measure={name}"]
    command += [f"--{key}={getattr(arguments, key)}" for key in ("size", "batch", "steps")]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"error: {name} failed (exit code {result.returncode})")
    return json.loads(result.stdout.splitlines()[-1])


def _peak():
    """Bytes; the unit of `ru_maxrss` is a kilobyte, but for macOS."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=_names, default=list(ROWS), help=", ".join(ROWS))
    parser.add_argument("--size", type=int, default=240, help="pixels a side")
    parser.add_argument("--batch", type=int, default=4, help="pairs")
    parser.add_argument("--steps", type=int, default=3, help="how many are timed")
    parser.add_argument("--measure", choices=["empty", *ROWS], help=argparse.SUPPRESS)
    return parser.parse_args()


def _names(text):
    for name in text.split(","):
        if name not in ROWS:
            raise argparse.ArgumentTypeError(f"there is no row {name!r}; choose {', '.join(ROWS)}")
    return text.split(",")


if __name__ == "__main__":
    main()
