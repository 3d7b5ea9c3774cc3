"""Writes SavedModels for TensorFlow Serving: whole, checked against the live model, and described.

Beside the model lie `assets/model_card.json` and the warm-up requests that TensorFlow Serving looks for. What a model
takes and gives is listed in `served`.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from dense_labels.config import MAX_PIXELS
from dense_labels.exporting import model_card, warmup_requests
from dense_labels.exporting.signatures import CELLS_FIRST, MAX_IMAGES, SIGNATURES, ServedModel
from dense_labels.method import introspection_loss, matching

_PREFIX = ".export-"  # TensorFlow Serving passes over names that are not a number
_NEED_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}  # TensorFlow's own, but no server runs them
_LABEL_TOLERANCE = 1e-5  # times the largest label, where that is above 1
_POINT_TOLERANCE = 1e-2  # pixels
_PROBABILITY_TOLERANCE = 1e-3
_SCORE_TOLERANCE = 1e-4  # times the largest inner product of two labels, where that is above 1


def export_saved_model(
    network,
    head,
    export_dir,
    *,
    input_size,
    stride,
    example_images,
    margin=0,
    description=None,
    max_pixels=MAX_PIXELS,
    max_images=MAX_IMAGES,
    batch_requests=0,
):
    """Writes the next version of a SavedModel, whole and checked, or nothing.

    It is written under a temporary name in `export_dir`, loaded back, compared with the live
    network and head, and only then renamed: a server that watches the folder never sees a half.

    Args:
      network: `tf.keras.Model`, images float32 [N, H, W, 3] in [0, 1] of any size -> labels float32
        [N, H // stride, W // stride, L].
      head: callable, labels -> a dictionary with `points` [N, K, 2], (x, y) in pixels of the
        network's input, `score` [N, K] and perhaps `heatmaps` [N, K, h, w]; None to leave their signatures out.
      export_dir: folder of the versions; created where it is absent.
      input_size: (H, W) in pixels of what the network sees.
      stride: side of a cell in pixels of the network's input.
      example_images: float32 [N, H, W, 3] in [0, 1]; what the model is compared on. A few do.
      margin: pixels that are cut off each side of a picture, once it has been resized to `input_size` and twice this
        more, before the network sees it; answers are in pixels of the whole picture all the same.
      description: dictionary for the model card, such as `model_card.describe_run` makes it.
      max_pixels: the most pixels a picture may have; a larger one fails its request before it is decoded.
      max_images: the most pictures of a request.
      batch_requests: the most pictures that the network sees at once, from requests that run at the same time; 0 to
        answer each on its own. A request may wait 2 ms for others.

    Returns:
      `pathlib.Path` of the version folder: one above the highest number in `export_dir`, or 1.

    Raises:
      ValueError: if `example_images` are not such images, the network gives no such labels, or a limit is below 1.
      RuntimeError: if the written model does not answer as the live one does, or needs more than TensorFlow itself.
    """
    input_size, example_images = tuple(map(int, input_size)), np.asarray(example_images)
    _check_images(example_images)
    _check_network(network, input_size, stride)
    _check_limits(max_pixels=max_pixels, max_images=max_images)
    limits = {"max_pixels": max_pixels, "max_images": max_images, "batch_requests": batch_requests}
    shape = {"input_size": input_size, "stride": stride, "margin": margin}
    out = pathlib.Path(export_dir).expanduser().absolute()
    created = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _sole_writer(out), tempfile.TemporaryDirectory(prefix=_PREFIX, dir=out) as temporary:
            # A folder inside, because the temporary one itself is readable by its owner only.
            written = os.path.join(temporary, "model")
            served = ServedModel(network, head, **shape, **limits)
            signatures = served.signatures()
            tf.saved_model.save(served, written, signatures=signatures)
            model_card.write(written, signatures, description or {}, **shape, **limits)
            warmup_requests.write(written, [(name, _request(name, example_images[:1])) for name in signatures])
            _check_operations(written)
            with tf.device("CPU:0"):  # a GPU may round convolutions too coarsely to compare
                _verify(written, network, head, input_size, stride, margin, example_images)
            taken = [int(entry.name) for entry in out.iterdir() if entry.name.isdecimal()]
            version = out / str(max(taken, default=0) + 1)
            return pathlib.Path(written).rename(version)
    except BaseException:
        with contextlib.suppress(OSError):  # something of another program is in it by now
            for folder in created:
                folder.rmdir()
        raise


def _check_images(images):
    fits = images.dtype == np.float32 and images.ndim == 4 and images.shape[3] == 3 and images.size
    if not (fits and images.min() >= 0 and images.max() <= 1):
        span = f" from {images.min()} to {images.max()}" if images.size else ""
        found = f"{images.dtype} {list(images.shape)}{span}"
        raise ValueError(f"example_images must be float32 [N, H, W, 3] in [0, 1]; found {found}")


def _check_network(network, input_size, stride):
    labels = network(tf.zeros([1, *input_size, 3]), training=False)
    height, width = (side // stride for side in input_size)
    if labels.dtype != tf.float32 or labels.shape[:-1] != [1, height, width]:
        needed = f"float32 [N, {height}, {width}, L] at input_size={input_size}, stride={stride}"
        raise ValueError(f"labels must be {needed}; found {labels.dtype.name} {list(labels.shape)}")


def _check_limits(**limits):
    for name, limit in limits.items():
        if limit < 1:
            raise ValueError(f"{name} must be at least 1; found {limit}")


@contextlib.contextmanager
def _sole_writer(out):
    """Waits until no other export writes to `out`, and removes what killed ones left there."""
    folder = os.open(out, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # where the file system has no locks, leftovers stay
            fcntl.flock(folder, fcntl.LOCK_EX)
            for left in out.glob(f"{_PREFIX}*"):
                shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(folder)


def _request(name, images):
    """The inputs of a signature, from images float32 [N, H, W, 3]; they are matched with themselves."""
    task, dtype = SIGNATURES[name]
    stored, _ = _stored(images, dtype)
    return {key: stored for key in (("image_a", "image_b") if task == "match" else ("images",))}


def _check_operations(written):
    """Refuses a graph with operations that TensorFlow does not bring along, or that run in Python."""
    saved = saved_model_pb2.SavedModel.FromString(pathlib.Path(written, "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [graph.node, *(function.node_def for function in graph.library.function)]
    operations = {node.op for part in nodes for node in part} - {
        function.signature.name for function in graph.library.function
    }
    foreign = sorted(name for name in operations if name in _NEED_PYTHON or not hasattr(tf.raw_ops, name))
    if foreign:
        raise RuntimeError(f"nothing exported: no TensorFlow server has the operations {', '.join(foreign)}")


def _verify(written, network, head, input_size, stride, margin, images):
    """Compares every signature with the live network and head, at the images' size and another."""
    signatures = tf.saved_model.load(written).signatures
    full_size = [side + 2 * margin for side in input_size]
    other = tf.image.resize(images, [images.shape[1] * 3 // 2, images.shape[2] * 2]).numpy()
    pairs = [(images, other[::-1]), (other, images[::-1])]

    def live(pixels):
        resized = tf.image.resize(pixels, full_size, antialias=True)
        labels = network(tf.image.crop_to_bounding_box(resized, margin, margin, *input_size), training=False)
        scale = np.float32(pixels.shape[2:0:-1]) / np.float32(full_size[::-1])
        return labels, tf.norm(labels, axis=-1), scale

    types = tf.float32, tf.uint8
    expected = {dtype: [[live(_stored(images, dtype)[1]) for images in pair] for pair in pairs] for dtype in types}
    expected[tf.string] = expected[tf.uint8]  # files are written without loss
    for name, (task, dtype) in SIGNATURES.items():
        for pair, answers in zip(pairs, expected[dtype]) if name in signatures else ():
            stored = [_stored(images, dtype)[0] for images in pair]
            if task == "match":
                found = signatures[name](image_a=stored[0], image_b=stored[1])
                _verify_matches(found, *answers, stride, margin)
            else:
                _verify_picture(signatures[name](images=stored[0]), *answers[0], head, margin)


def _stored(images, dtype):
    """Images as a caller of a signature holds them, and the pixels that are in that."""
    if dtype == tf.float32:
        return images, images
    images = np.rint(images * 255).astype(np.uint8)
    stored = images if dtype == tf.uint8 else [tf.io.encode_png(image).numpy() for image in images]
    return tf.constant(stored), images / np.float32(255)


def _verify_picture(found, labels, lengths, scale, head, margin):
    tolerance = _LABEL_TOLERANCE * max(1, float(tf.reduce_max(lengths)))
    if "labels" in found:
        _agree("labels", found["labels"], labels, tolerance)
        _agree("confidence", found["confidence"], lengths, tolerance)
    if "descriptors" in found:
        _agree("confidence", found["confidence"], lengths, tolerance)
        _agree("descriptors", found["descriptors"] * found["confidence"][..., tf.newaxis], labels, tolerance)
    if "points" in found:
        expected = head(labels)
        _agree("points", found["points"], (expected["points"] + margin) * scale, _POINT_TOLERANCE)
        _agree("score", found["score"], expected["score"], _PROBABILITY_TOLERANCE)
    if "heatmaps" in found:
        _agree("heatmaps", found["heatmaps"], tf.transpose(expected["heatmaps"], CELLS_FIRST), _PROBABILITY_TOLERANCE)


def _verify_matches(found, a, b, stride, margin):
    (labels_a, lengths_a, _), (labels_b, lengths_b, scale_b) = a, b
    tolerance = _SCORE_TOLERANCE * max(1, float(tf.reduce_max(lengths_a)) * float(tf.reduce_max(lengths_b)))
    for n in range(len(labels_a)):
        one = {key: value[n].numpy() for key, value in found.items()}
        one["points_in_b"] = one["points_in_b"] / scale_b - margin
        _verify_match(one, labels_a[n], labels_b[n], stride, tolerance)


def _verify_match(found, labels_a, labels_b, cell, tolerance):
    """Checks that each place found is that of a most probable cell; where several are, of any."""
    height, width, length = labels_b.shape
    flat = [tf.reshape(labels, [-1, length]) for labels in (labels_a, labels_b)]
    log_probability = matching.match_log_probability(*flat).numpy()  # [h w, h w]
    best = log_probability.max(axis=-1)
    points = found["points_in_b"].reshape(-1, 2)
    x, y = np.clip(np.rint(points / cell - 0.5), 0, [width - 1, height - 1]).astype(int).T
    reached = log_probability[np.arange(len(points)), y * width + x]
    _agree("points_in_b", points, (np.stack([x, y], axis=-1) + 0.5) * cell, _POINT_TOLERANCE)
    _agree("points_in_b's log-probability", reached, best, tolerance)
    _agree("probability", found["probability"].ravel(), np.exp(best), _PROBABILITY_TOLERANCE)
    sigma_a, sigma_b = (introspection_loss.split_labels(labels)[1].numpy() for labels in flat)
    confidence = 2 / (sigma_a + sigma_b[y * width + x])
    _agree("confidence", found["confidence"].ravel(), confidence, _LABEL_TOLERANCE * max(1, confidence.max()))


def _agree(name, found, expected, tolerance):
    difference = float(np.max(np.abs(found - expected)))
    if not difference <= tolerance:
        excess = f"{difference:.3g}, more than {tolerance:.3g}"
        raise RuntimeError(f"nothing exported: {name}, written and live, differ by {excess}")
