"""Pairs per second of the whole training step, against PyTorch eager.

python -m benchmarks.train_step [--cases=simple,dilations,arm] [--data_dir=~/tensorflow_datasets] [--out=FILE]

A step takes a batch of 8 pairs that lie in memory, through the network on both views, L_dist with gamma 0.5 and L = 3,
and the gradient, to Adam's new weights; on the CPU. "simple" is 90 pixels with all cells visible, "arm" the same with
batch norm and a tenth of the cells, as configs/roboarm.py, "dilations" 70 pixels with all. Ours is the step that
`loop.train` runs, the peer that of benchmarks/torch_peer.py, in float32 and in bfloat16 (networks only), with both
memory formats and a C library told to keep memory for the next step; "best" is the faster format at the same precision,
"tuned" the format channels_last with the distances of the loss computed the fastest way rather than as public
implementations do. The second table says what ours spends its time on: "network" is the step with a loss that costs
nothing, "with exchange" the time of the step with `config.loss.exchange`, where that without is 1. With --data_dir it
says what the robot arm's input alone delivers, and how long a training in bfloat16 waits for it.
"""

import argparse
import os
import statistics
import time

import numpy as np

from benchmarks import matching, timing

BATCH, LABEL_SIZE, GAMMA = 8, 3, 0.5
CASES = {  # name -> network and its normalisation, pixels a side, share of visible cells
    "simple": {"network": "simple", "norm": "none", "size": 90, "visible": 1.0},
    "dilations": {"network": "dilations", "norm": "none", "size": 70, "visible": 1.0},
    "arm": {"network": "simple", "norm": "batch", "size": 90, "visible": 0.1},
}
PRECISIONS = ("float32", "bfloat16")
FORMATS = ("contiguous", "channels_last")
PEERS = {
    **{name: {"memory_format": name} for name in FORMATS},
    "tuned": {"memory_format": "channels_last", "tuned": True},
}


def main():
    arguments = _arguments()
    results = {
        case: {precision: _measure(case, precision, arguments) for precision in PRECISIONS} for case in arguments.cases
    }
    print(_speeds(results))
    print(f"\n{_shares(results)}")
    if arguments.data_dir:
        results["input"] = _input(arguments.data_dir)
        alone, waits = results["input"]["alone"], results["input"]["waits"]
        print(f"\nThe robot arm's input alone: {alone:.0f} pairs/s; a training waits for it {waits:.1%} of its time")
    if arguments.out:
        timing.write_report(arguments.out, results, ["tensorflow", "torch"], vars(arguments))


def inputs(*, size, visible, seed=0):
    """Draws a PairBatch.

    Args:
      size: pixels a side.
      visible: share of visible cells.
      seed: of the drawing.

    Returns:
      Dictionary of float32 arrays: `image_a`, `image_b`, `points_in_b`, `visible`.
    """
    cells = size // matching.STRIDE
    *_, points, seen = matching.inputs(cells=cells, batch=BATCH, label_size=LABEL_SIZE, visible=visible, seed=seed)
    image_a, image_b = np.random.default_rng(seed).uniform(size=[2, BATCH, size, size, 3]).astype(np.float32)
    return {"image_a": image_a, "image_b": image_b, "points_in_b": points, "visible": seen}


def ours(*, network, norm, size, visible, precision, loss=True, exchange=False):
    """Contender: the training step that Keras builds for `loop.PairModel`.

    Args:
      network: "simple" or "dilations".
      norm: "none" or "batch".
      size: pixels a side.
      visible: share of visible cells.
      precision: "float32" or "bfloat16".
      loss: False for the mean of the labels in place of the matching loss.
      exchange: whether labels are exchanged, as `config.loss.exchange` says.

    Returns:
      The function that does one step.
    """
    import tensorflow as tf

    from dense_labels.batches import PairBatch

    model = _model(network, norm, precision, loss, exchange)
    pairs = PairBatch(**inputs(size=size, visible=visible))
    batches = iter(tf.data.Dataset.from_tensors((pairs,)).repeat().prefetch(1))
    model.make_train_function()
    return lambda: {name: value.numpy() for name, value in model.train_function(batches).items()}


def _model(network, norm, precision, loss=True, exchange=False):
    """A compiled `loop.PairModel` on the CPU."""
    import tensorflow as tf

    from dense_labels.config import ModelConfig
    from dense_labels.method import losses
    from dense_labels.registry import NETWORKS
    from dense_labels.training import loop, strategies

    tf.config.set_visible_devices([], "GPU")
    with strategies.create().scope():
        distance = losses.DistanceLoss(matching.STRIDE, gamma=GAMMA, exchange=exchange)
        layer = distance if loss else _mean_of_labels()
        settings = ModelConfig(name=network, norm=norm, label_size=LABEL_SIZE)
        net = NETWORKS[network].value.create(settings, _policy(precision))
        model = loop.PairModel(net, layer)
        model.compile(tf.keras.optimizers.Adam(1e-3))
    return model


def torch(*, network, norm, size, visible, precision, memory_format, tuned=False):
    """Contender: the peer's training step; arguments as of `ours`, and those of a member of PEERS."""
    import torch

    from benchmarks import torch_peer

    batch = {name: torch.from_numpy(values) for name, values in inputs(size=size, visible=visible).items()}
    images = torch.cat([batch["image_a"], batch["image_b"]]).permute(0, 3, 1, 2)
    return torch_peer.training_step(
        torch_peer.network(network, LABEL_SIZE, norm=norm),
        (images, batch["points_in_b"], batch["visible"]),
        precision=precision,
        memory_format={"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[memory_format],
        tuned=tuned,
    )


def _policy(precision):
    return {"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision]


def _mean_of_labels():
    """A loss layer that costs nothing and still sends a gradient into every label."""
    import tensorflow as tf

    class MeanOfLabels(tf.keras.layers.Layer):
        def call(self, inputs):
            labels_a, labels_b, _, visible = inputs
            loss = tf.reduce_mean(labels_a + labels_b, axis=[1, 2, 3])
            self.add_loss(tf.reduce_mean(loss))
            return {"loss": loss, "matching_error": loss, "visible_cells": tf.reduce_sum(visible, axis=[1, 2])}

    return MeanOfLabels()


def _measure(case, precision, arguments):
    """Figures of one row: pairs per second of each contender, ratios, and the share of the network."""
    kwargs = {**CASES[case], "precision": precision}
    contenders = {
        "ours": timing.Contender("benchmarks.train_step:ours", kwargs, arguments.threads),
        "network": timing.Contender("benchmarks.train_step:ours", {**kwargs, "loss": False}, arguments.threads),
    }
    contenders["exchange"] = timing.Contender(
        "benchmarks.train_step:ours", {**kwargs, "exchange": True}, arguments.threads
    )
    for name, own in PEERS.items():
        factory = "benchmarks.train_step:torch"
        contenders[name] = timing.Contender(factory, {**kwargs, **own}, arguments.threads, timing.KEEP_MEMORY)
    timings = timing.compare(contenders, rounds=arguments.rounds, seconds=arguments.seconds)
    best = min(FORMATS, key=lambda name: timings[name].median)
    return {
        "pairs_per_second": {name: BATCH / result.median for name, result in timings.items()},
        "seconds": {name: result.seconds for name, result in timings.items()},
        "best": best,
        "ratio": timings["ours"].ratio_to(timings[best]),
        "ratio_to_tuned": timings["ours"].ratio_to(timings["tuned"]),
        "network_share": timings["ours"].ratio_to(timings["network"]),
        "with_exchange": timings["ours"].ratio_to(timings["exchange"]),
    }


def _speeds(results):
    lines = []
    for case, rows in results.items():
        for precision, row in rows.items():
            speeds = [f"{row['pairs_per_second'][name]:.1f}" for name in ("ours", *PEERS)]
            ratios = ["{:.2f} ({:.2f} - {:.2f})".format(*row[key]) for key in ("ratio", "ratio_to_tuned")]
            lines.append([case, precision, *speeds, row["best"], *ratios])
    header = ["step", "precision", "ours, pairs/s", *(f"torch {name}" for name in PEERS)]
    header += ["best", "ours / best", "ours / tuned"]
    return timing.table(header, lines)


def _shares(results):
    lines = []
    for case, rows in results.items():
        for precision, row in rows.items():
            step, (share, *_) = 1e3 * statistics.median(row["seconds"]["ours"]) / BATCH, row["network_share"]
            exchange = "{:.2f} ({:.2f} - {:.2f})".format(*row["with_exchange"])
            lines.append([case, precision, f"{step:.1f}", f"{share:.0%}", f"{1 - share:.0%}", exchange])
    return timing.table(["step of ours", "precision", "ms a pair", "network", "loss", "with exchange"], lines)


def _input(folder, batches=300):
    """The robot arm's training input: pairs per second alone, and the share of a training's time that waits for it."""
    import tensorflow as tf

    from dense_labels.config import Config, DataConfig
    from input_pipeline import pipeline

    source = pipeline.prepare(Config(data=DataConfig(dir=os.path.expanduser(folder))))

    def times(step):
        """Seconds spent on waiting and in all; the first steps, in which everything settles, are not counted."""
        pairs = iter(pipeline.training_pairs(source, stride=matching.STRIDE, batch_size=BATCH, seed=0))
        waited = started = 0.0
        for index in range(batches + batches // 5):
            if index == batches // 5:
                waited, started = 0.0, time.perf_counter()
            asked = time.perf_counter()
            batch = next(pairs)
            waited += time.perf_counter() - asked
            step((batch,))
        return waited, time.perf_counter() - started

    step = tf.function(_model("simple", "batch", "bfloat16").train_step)
    (waited, whole), (_, alone) = times(lambda batch: step(batch)["loss"].numpy()), times(lambda batch: None)
    return {"alone": batches * BATCH / alone, "waits": waited / whole}


def _arguments():
    # Not absl's flags: the contenders' own processes, and tests, import several benchmarks at once.
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train_step", description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=_cases, default=list(CASES), help="which rows, with commas")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long a turn lasts")
    parser.add_argument("--threads", type=int, default=2, help="of each contender")
    parser.add_argument("--data_dir", help="where the robot arm's data set is; to time its input as well")
    parser.add_argument("--out", help="JSON file for the figures")
    return parser.parse_args()


def _cases(text):
    names = text.split(",")
    for name in names:
        if name not in CASES:
            raise argparse.ArgumentTypeError(f"there is no case {name!r}; choose {', '.join(CASES)}")
    return names


if __name__ == "__main__":
    main()
