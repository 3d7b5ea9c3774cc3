"""Time and memory of the matching loss, forward and backward, against the whole score matrix.

python -m benchmarks.matching [--cells=35,45,48,64,96,128] [--batch=4] [--label_size=3] [--loss=dist] [--out=FILE]
python -m benchmarks.matching --grow [--out=FILE]

All cells of both images are visible. "ours" is the loss layer, "exchange" the same with labels of A expressed through a
third image first (`config.loss.exchange` with `config.loss.direct=0`), "exchange_too" the sum of the two; "plain" is
TensorFlow's automatic gradient through the whole matrix of scores with one power of the squared distances, "plain_sqrt"
the same with two square roots (what TensorFlow also makes of a square root and a power of 0.5); "torch" is the PyTorch
eager loss as public implementations have it (benchmarks/torch_peer.py), with PyTorch as it is installed; "torch_tuned"
has the distances computed the fastest way and a C library told to keep memory for the next call, as TensorFlow does:
faster, and larger. From 64 x 64 cells on the batch is 1; "-" stands where a matrix would not fit or there is no third
image. Times are milliseconds a pair, memory is the process' peak in MB above inputs and libraries; on the CPU. `--grow`
shows how the cost of ours grows with cells, batch, length of a label and share of visible cells.
"""

import argparse
import functools

import numpy as np
import scipy.ndimage

from benchmarks import timing

STRIDE, GAMMA = 2, 0.5
CONTENDERS = {  # name -> function, its own arguments, environment
    "ours": ("ours", {}, {}),
    "exchange": ("ours", {"exchange": True, "direct": 0.0}, {}),
    "exchange_too": ("ours", {"exchange": True}, {}),
    "plain": ("plain", {}, {}),
    "plain_sqrt": ("plain", {"sqrt": True}, {}),
    "torch": ("torch", {}, {}),
    "torch_tuned": ("torch", {"tuned": True}, timing.KEEP_MEMORY),
}
_WARM_UP = 12  # cells a side, on which libraries get ready before memory is measured
_LARGE = 64  # cells a side
_MATRICES = 10  # an image, more than what a contender with the whole matrix was seen to hold at once
_GROW = {"cells": (35, 45, 64, 96, 128), "batch": (1, 2, 4, 8, 16), "label_size": (3, 8, 16, 32, 64)}
_GROW["visible"] = (0.1, 0.25, 0.5, 1.0)


def main():
    arguments = _arguments()
    common = {"batch": arguments.batch, "label_size": arguments.label_size, "loss": arguments.loss}
    results = _grow(arguments, common) if arguments.grow else _against(arguments, common)
    if arguments.out:
        timing.write_report(
            arguments.out, results, ["tensorflow"] if arguments.grow else ["tensorflow", "torch"], vars(arguments)
        )


def inputs(*, cells, batch, label_size, visible=1.0, seed=0):
    """Draws a batch: smooth label maps, a smooth warp that stays inside B, and which cells are visible.

    Args:
      cells: side of the label maps.
      batch: pairs.
      label_size: L.
      visible: share of visible cells; they form a bent bar in each image.
      seed: of the drawing.

    Returns:
      `(labels_a, labels_b, points_in_b, visible)`, float32 arrays as a `losses.MatchingLoss` takes them.
    """
    rng = np.random.default_rng(seed)
    labels_a, labels_b = (_smooth(rng, batch, cells, label_size) for _ in range(2))
    centres = (np.indices([cells, cells])[::-1].transpose(1, 2, 0) + 0.5) * STRIDE
    size = cells * STRIDE
    points = size / 2 + 0.8 * (centres - size / 2) + 0.03 * size * _smooth(rng, batch, cells, 2)
    seen = np.stack([_bar(rng, cells, visible) for _ in range(batch)])
    return tuple(np.float32(values) for values in (labels_a, labels_b, np.clip(points, 0, size), seen))


def ours(*, exchange=False, direct=1.0, **kwargs):
    """Contender: the loss layer as it is; `kwargs` as of `inputs`, and `loss`; the others as of the layer."""
    from dense_labels.method import losses

    is_log, options = kwargs.pop("loss") == "log", {"exchange": exchange, "direct": direct}
    layer = (
        losses.LogLikelihoodLoss(STRIDE, **options) if is_log else losses.DistanceLoss(STRIDE, gamma=GAMMA, **options)
    )
    return _tensorflow(lambda *batch: layer(batch)["loss"], kwargs)


def plain(*, sqrt=False, **kwargs):
    """Contender: automatic gradient through the whole matrix; `kwargs` as of `ours`, `sqrt` for roots, not a power."""
    import tensorflow as tf

    from dense_labels.method import geometry

    def value(labels_a, labels_b, points_in_b, visible):
        shape = tf.shape(labels_a)
        rows, columns, points = (_flat(values) for values in (labels_a, labels_b, points_in_b))
        scores = tf.matmul(rows, columns, transpose_b=True)  # [B, N, M]
        if kwargs["loss"] == "log":
            true_labels = geometry.bilinear_sample(labels_b, points, STRIDE)
            values = tf.reduce_logsumexp(scores, axis=-1) - tf.reduce_sum(rows * true_labels, axis=-1)
        else:
            centres = _flat(geometry.cell_centres(shape[1], shape[2], STRIDE)[tf.newaxis])
            x, y = (tf.square(points[..., k, tf.newaxis] - centres[:, tf.newaxis, :, k]) for k in (0, 1))
            powers = tf.sqrt(tf.sqrt(x + y)) if sqrt else tf.pow(x + y, GAMMA / 2)
            values = tf.reduce_sum(tf.nn.softmax(scores) * powers, axis=-1)
        seen = _flat(visible[..., tf.newaxis])[..., 0]
        return tf.reduce_sum(values * seen, axis=1) / tf.reduce_sum(seen, axis=1)

    return _tensorflow(value, {key: kwargs[key] for key in kwargs if key != "loss"})


def torch(*, loss, tuned=False, **kwargs):
    """Contender: the peer's loss; `kwargs` as of `ours`, `tuned` as of `torch_peer.distance_loss`."""
    import torch

    from benchmarks import torch_peer

    distance_loss = functools.partial(torch_peer.distance_loss, tuned=tuned)
    function = {"dist": distance_loss, "log": torch_peer.log_loss}[loss]

    def work_on(batch):
        labels_a, labels_b, points, visible = (torch.from_numpy(values) for values in batch)
        maps = [labels.permute(0, 3, 1, 2).contiguous().requires_grad_() for labels in (labels_a, labels_b)]

        def work():
            value = function(*maps, points, visible)
            gradients = torch.autograd.grad(value, maps)
            return value.item(), [gradient.permute(0, 2, 3, 1).numpy() for gradient in gradients]

        return work

    work_on(inputs(**{**kwargs, "cells": _WARM_UP}))()
    return work_on(inputs(**kwargs))


def _tensorflow(loss_of_images, kwargs):
    """Work of a TensorFlow contender: the mean loss and both gradients, as a graph, with the shapes known."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")

    def work_on(batch):
        tensors = [tf.constant(values) for values in batch]

        @tf.function
        def value_and_gradients(*batch):
            with tf.GradientTape() as tape:
                tape.watch(batch[:2])
                value = tf.reduce_mean(loss_of_images(*batch))
            return value, tape.gradient(value, batch[:2])

        def work():
            value, gradients = value_and_gradients(*tensors)
            return value.numpy(), [gradient.numpy() for gradient in gradients]

        return work

    work_on(inputs(**{**kwargs, "cells": _WARM_UP}))()
    return work_on(inputs(**kwargs))


def _flat(maps):
    """[B, h, w, C] -> [B, h * w, C]."""
    import tensorflow as tf

    shape = tf.shape(maps)
    return tf.reshape(maps, [shape[0], shape[1] * shape[2], maps.shape[-1]])


def _smooth(rng, batch, cells, channels):
    """Smooth random maps of mean square 1, [batch, cells, cells, channels]."""
    coarse = rng.normal(size=[batch, 6, 6, channels])
    maps = scipy.ndimage.zoom(coarse, [1, cells / 6, cells / 6, 1], order=3, mode="nearest")
    return maps / np.sqrt(np.mean(maps**2))


def _bar(rng, cells, share):
    """1 on the given share of the cells, those nearest to a bent line through the middle: [cells, cells]."""
    places = (np.indices([cells, cells]).reshape(2, -1).T + 0.5) / cells
    bend = rng.uniform(0.4, 0.6, 2)
    turns = rng.uniform(0, np.pi) + np.array([0, rng.uniform(np.pi / 2, np.pi * 3 / 2)])
    distances = [_to_segment(places, bend, bend + 0.35 * np.array([np.cos(turn), np.sin(turn)])) for turn in turns]
    nearest = np.argsort(np.minimum(*distances), kind="stable")[: max(1, round(share * cells * cells))]
    mask = np.zeros(cells * cells)
    mask[nearest] = 1
    return mask.reshape(cells, cells)


def _to_segment(places, start, end):
    along = np.clip((places - start) @ (end - start) / np.sum((end - start) ** 2), 0, 1)
    return np.linalg.norm(places - start - along[:, np.newaxis] * (end - start), axis=1)


def _against(arguments, common):
    """Times all contenders at all sizes and prints the table: {cells: {contender: figures}}."""
    results, lines = {}, []
    for cells in arguments.cells:
        kwargs = {**common, "cells": cells, "batch": common["batch"] if cells < _LARGE else 1}
        figures = {}
        for contenders in _groups(kwargs, arguments.threads):
            timings = timing.compare(contenders, rounds=arguments.rounds, seconds=arguments.seconds)
            for name, result in timings.items():
                figures.setdefault(name, _figures(result, timings["ours"], kwargs))
        results[cells] = {**kwargs, "contenders": figures}
        lines.append([f"{cells} x {cells}", kwargs["batch"], *(_cell(figures.get(name)) for name in CONTENDERS)])
    print(f"L_{common['loss']}, L = {common['label_size']}: ms a pair, peak MB, ratio to ours (smallest - largest)\n")
    print(timing.table(["cells", "batch", *CONTENDERS], lines))
    return results


def _groups(kwargs, threads):
    """Those that take turns: all, or, as they keep their memory in between, ours with one other where it is much."""
    contenders = _contenders(kwargs, threads)
    if kwargs["cells"] < _LARGE or len(contenders) == 1:
        return [contenders]
    return [{"ours": contenders["ours"], name: contenders[name]} for name in contenders if name != "ours"]


def _contenders(kwargs, threads):
    """All contenders of a size that there are for the loss and that fit into memory."""
    contenders = {}
    for name, (function, own, environment) in CONTENDERS.items():
        if _fits(name, kwargs) and not (name == "plain_sqrt" and kwargs["loss"] == "log"):
            factory = f"benchmarks.matching:{function}"
            contenders[name] = timing.Contender(factory, {**kwargs, **own}, threads, environment)
    return contenders


def _fits(name, kwargs):
    """Whether the matrices of a contender fit into the memory that is free now; or there is a pair to exchange with."""
    if name in ("exchange", "exchange_too"):
        return kwargs["batch"] > 1
    needed = _MATRICES * kwargs["batch"] * 4 * kwargs["cells"] ** 4
    free = timing.free_memory()
    return name == "ours" or free is None or needed < 0.8 * free


def _figures(result, to, kwargs):
    median, low, high = to.ratio_to(result)
    return {
        "ms_a_pair": [1e3 * seconds / kwargs["batch"] for seconds in result.seconds],
        "median_ms_a_pair": 1e3 * result.median / kwargs["batch"],
        "peak_mb": result.peak_bytes / 1e6,
        "ratio": [median, low, high],
    }


def _cell(figures):
    if figures is None:
        return "-"
    text = f"{figures['median_ms_a_pair']:.3g} ms, {figures['peak_mb']:.0f} MB"
    median, low, high = figures["ratio"]
    return text if low == high == 1 else f"{text}, {median:.1f} ({low:.1f} - {high:.1f})"


def _grow(arguments, common):
    """Times ours along each of its sizes and prints a table of each: {size: {value: figures}}."""
    results, start = {}, {**common, "cells": 45, "visible": 1.0}
    for key, values in _GROW.items():
        changed = {value: {**start, key: value} for value in values}
        contenders = {
            value: timing.Contender("benchmarks.matching:ours", kwargs, arguments.threads)
            for value, kwargs in changed.items()
        }
        timings = timing.compare(contenders, rounds=arguments.rounds, seconds=arguments.seconds)
        first = timings[values[0]]
        results[key] = {value: _figures(timings[value], first, changed[value]) for value in values}
        fixed = ", ".join(f"{name} {value}" for name, value in start.items() if name != key)
        print(f"\n{key} ({fixed})\n")
        lines = [[value, f"{f['median_ms_a_pair']:.3g}", f"{f['peak_mb']:.0f}"] for value, f in results[key].items()]
        print(timing.table([key, "ms a pair", "peak MB"], lines))
    return results


def _arguments():
    # Not absl's flags: the contenders' own processes, and tests, import several benchmarks at once.
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matching", description=__doc__.split("\n")[0])
    sizes = [35, 45, 48, 64, 96, 128]
    parser.add_argument("--cells", type=_integers, default=sizes, help="sides of the label maps, with commas")
    parser.add_argument("--batch", type=int, default=4, help="pairs, below 64 x 64 cells")
    parser.add_argument("--label_size", type=int, default=3, help="L, the length of a label")
    parser.add_argument("--loss", choices=["dist", "log"], default="dist", help="dist has gamma 0.5")
    parser.add_argument("--grow", action="store_true", help="how the cost of ours grows")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    parser.add_argument("--seconds", type=float, default=0.5, help="about how long a turn lasts")
    parser.add_argument("--threads", type=int, default=2, help="of each contender")
    parser.add_argument("--out", help="JSON file for the figures")
    return parser.parse_args()


def _integers(text):
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
