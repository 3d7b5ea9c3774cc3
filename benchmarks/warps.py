"""Pairs of warped views a second, beside the libraries one would otherwise take.

python -m benchmarks.warps [--size=100] [--batch=32] [--out=FILE.json]

Two views of SIZE x SIZE pixels are made of each image, which lies in memory, on the CPU. What each contender does:

ours               `pairs.pair_from_image` in tf.data: draws two warps of 100 centres, composes them, samples twice, and
                   says where the cells (stride 2) of A are in B
sparse_image_warp  TensorFlow Addons in tf.data, image by image, which is its fastest form: random control points, two
                   warps that have nothing to do with one another. With "fixed ends" only the beginnings are random, and
                   TensorFlow computes the kernels once, at the start
kornia             get_tps_transform and warp_image_tps in PyTorch, float32 images ready as tensors, random control
                   points, two independent warps
cv2.remap          only the bilinear sampling, with maps made beforehand: no warp is drawn, computed or composed
"""

import argparse
from multiprocessing.pool import ThreadPool

import numpy as np

from benchmarks import timing

STRIDE = 2
IMAGES = 256  # different ones, taken again and again
JITTER = 0.02  # of the control points, standard deviation in widths of the image
PACKAGES = ("tensorflow", "tensorflow-addons", "torch", "kornia", "opencv-python-headless")
# name in the table -> (factory, what is special to it)
CONTENDERS = {
    "ours, 100 centres": ("ours", {}),
    "sparse_image_warp, 100 points": ("sparse_image_warp", {"points": 10}),
    "sparse_image_warp, 100 points, fixed ends": ("sparse_image_warp", {"points": 10, "fixed_ends": True}),
    "sparse_image_warp, 25 points": ("sparse_image_warp", {"points": 5}),
    "kornia, 100 points": ("kornia_tps", {"points": 10}),
    "kornia, 25 points": ("kornia_tps", {"points": 5}),
    "cv2.remap, float32": ("cv2_remap", {"dtype": "float32"}),
    "cv2.remap, uint8": ("cv2_remap", {"dtype": "uint8"}),
}


def main():
    arguments = _arguments()
    common = {name: getattr(arguments, name) for name in ("size", "batch", "threads")}
    contenders = {
        name: timing.Contender(f"benchmarks.warps:{factory}", {**common, **special}, arguments.threads)
        for name, (factory, special) in CONTENDERS.items()
    }
    timings = timing.compare(contenders, rounds=arguments.rounds, seconds=arguments.seconds)
    results = {
        name: _figures(result, next(iter(timings.values())), arguments.batch) for name, result in timings.items()
    }
    print(_table(results))
    if arguments.out:
        timing.write_report(arguments.out, {**common, "contenders": results}, PACKAGES, vars(arguments))


def ours(*, size, batch, threads):
    """Contender: `pair_from_image`; its work makes one batch and returns the two views, [batch, size, size, 3]."""
    import tensorflow as tf

    from input_pipeline.views import pairs

    def views(index, images):
        seeds = tf.stack([tf.zeros_like(index), index], axis=-1)
        pair = pairs.pair_from_image(images, seeds, stride=STRIDE)
        return tuple(pair)

    dataset = _dataset(size).enumerate().batch(batch, drop_remainder=True).map(views, num_parallel_calls=threads)
    return _next_of(dataset, threads)


def sparse_image_warp(*, size, batch, threads, points, fixed_ends=False):
    """Contender: TensorFlow Addons with `points` x `points` control points; its work as of `ours`."""
    import tensorflow as tf
    import tensorflow_addons as tfa

    side = np.linspace(0, size - 1, points, dtype=np.float32)
    lattice = np.stack(np.meshgrid(side, side), axis=-1).reshape(1, -1, 2)

    def near():
        return lattice + tf.random.normal(lattice.shape, stddev=JITTER * size)

    def view(image):
        return tfa.image.sparse_image_warp(image, near(), lattice if fixed_ends else near())[0]

    def views(image):
        image = tf.image.convert_image_dtype(image, tf.float32)
        return view(image), view(image)

    dataset = _dataset(size).map(views, num_parallel_calls=threads).batch(batch, drop_remainder=True)
    return _next_of(dataset, threads)


def kornia_tps(*, size, batch, threads, points):
    """Contender: kornia with `points` x `points` control points; its work as of `ours`, channels first."""
    import torch
    from kornia.geometry import transform

    torch.set_num_threads(threads)
    images = torch.from_numpy(_images(size)[:batch]).permute(0, 3, 1, 2).float().div(255).contiguous()
    side = torch.linspace(-1, 1, points)
    lattice = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1).reshape(1, -1, 2)

    def view():
        begin, end = (lattice + 2 * JITTER * torch.randn(batch, points**2, 2) for _ in range(2))
        return transform.warp_image_tps(images, begin, *transform.get_tps_transform(end, begin))

    def work():
        with torch.inference_mode():
            return [view().numpy(), view().numpy()]

    return work


def cv2_remap(*, size, batch, threads, dtype):
    """Contender: two bilinear samplings of each image through maps that are there; its work as of `ours`."""
    import cv2

    cv2.setNumThreads(1)  # the images are shared out instead
    rng = np.random.default_rng(0)
    images = (_images(size)[:batch] / (255 if dtype == "float32" else 1)).astype(dtype)
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    phases = rng.uniform(0, 2 * np.pi, [batch, 2, 2])
    bends = [[(x + 3 * np.sin(y / 15 + p), y + 3 * np.sin(x / 15 + q)) for p, q in pair] for pair in phases]
    maps = [[np.stack(bend, axis=-1).astype(np.float32) for bend in pair] for pair in bends]
    pool = ThreadPool(threads)

    def views(index):
        edge = cv2.BORDER_REPLICATE
        return [cv2.remap(images[index], bend, None, cv2.INTER_LINEAR, borderMode=edge) for bend in maps[index]]

    def work():
        return [np.stack(view) for view in zip(*pool.map(views, range(batch)))]

    return work


def _images(size):
    return np.random.default_rng(0).integers(0, 256, [IMAGES, size, size, 3], dtype=np.uint8)


def _dataset(size):
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    return tf.data.Dataset.from_tensor_slices(_images(size)).repeat()


def _next_of(dataset, threads):
    """Work that takes the next batch; but for the map's own elements, none is made in another contender's turn."""
    import tensorflow as tf

    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    options.experimental_optimization.inject_prefetch = False
    batches = iter(dataset.with_options(options))
    return lambda: [values.numpy() for values in next(batches)[:2]]


def _figures(result, to, batch):
    median, low, high = to.ratio_to(result)
    return {
        "pairs_a_second": [batch / seconds for seconds in result.seconds],
        "median_pairs_a_second": batch / result.median,
        "peak_mb": result.peak_bytes / 1e6,
        "ours_is_faster_by": [median, low, high],
    }


def _table(results):
    lines = []
    for name, figures in results.items():
        median, low, high = figures["ours_is_faster_by"]
        ratio = "" if low == high == 1 else f"{median:.2f} ({low:.2f} - {high:.2f})"
        lines.append([name, f"{figures['median_pairs_a_second']:.0f}", ratio])
    return timing.table(["contender", "pairs a second", "ours is faster by"], lines)


def _arguments():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warps", description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=100, help="side of images and views in pixels")
    parser.add_argument("--batch", type=int, default=32, help="pairs made together")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long a turn lasts")
    parser.add_argument("--threads", type=int, default=2, help="of each contender")
    parser.add_argument("--out", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
