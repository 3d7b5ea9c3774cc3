"""Writes SavedModels for TensorFlow Serving: whole, checked against the live model, and described.

Beside the model lie `assets/model_card.json` and the warm-up requests that TensorFlow Serving looks for. What a model
takes and gives is listed in `signatures`.
"""

from __future__ import annotations

import contextlib
import math
import os
import pathlib
import shutil
import tempfile
from typing import Any

import numpy as np
import tensorflow as tf

from dense_labels import files, progress
from dense_labels.batches import Frame, Limits
from dense_labels.exporting import checksums, model_card, signatures, verification, warmup_requests
from dense_labels.exporting.served_model import USUAL_LIMITS, Detector, ServedModel
from dense_labels.exporting.signatures import Head

# TensorFlow Serving passes over names that are not a number.
_PREFIX = ".export-"
_LAST = ".last_version"  # the highest number that was given: a removed version's is not given again


def export_saved_model(
    network: tf.keras.Model,
    head: Head | None,
    export_dir: str | os.PathLike,
    *,
    frame: Frame,
    limits: Limits = USUAL_LIMITS,
    example_images: np.ndarray,
    description: dict[str, Any] | None = None,
    detector: Detector | None = None,
    compares_labels: bool = True,
) -> pathlib.Path:
    """Writes the next version of a SavedModel, whole and checked, or nothing.

    It is written under a temporary name in `export_dir`, loaded back, compared with the live
    network and head, and only then renamed: a server that watches the folder never sees half of one. A warning says
    where its landmarks are not those of the highest version there, in their order, with others after them or none.

    Args:
      network: images float32 [N, H, W, 3] in [0, 1] of any size -> labels float32
        [N, H // stride, W // stride, L].
      head: callable, labels -> a dictionary with `points` [N, K, 2], (x, y) in pixels of the
        network's input, `score` [N, K] and perhaps `heatmaps` [N, K, h, w]; None to leave their signatures out.
      export_dir: folder of the versions; created where it is absent.
      frame: what the network sees of a picture. Its margin is cut off each side of a picture that has been resized to
        `frame.full_size`; answers are in pixels of the whole picture all the same.
      limits: what the model refuses, and what it joins: a request may wait 2 ms for others.
      example_images: float32 [N, H, W, 3] in [0, 1]; what the model is compared on. A few do.
      description: dictionary for the model card, such as `model_card.describe_run` makes it.
      detector: locates the landmarks in place of the head, in a frame of its own; None where the head does.
      compares_labels: False for a network whose labels are heat maps of landmarks of its own: nothing is then matched.

    Returns:
      Path of the version folder: one above the highest number that is or was in `export_dir`, or 1.

    Raises:
      ValueError: if TensorFlow takes `export_dir` for a pattern, `example_images` are not such images, the network
        gives no such labels, the head answers no points and scores, or a registered signature cannot be served.
      RuntimeError: if the written model does not answer as the live one does, or needs more than TensorFlow itself.
    """
    files.check_plain(export_dir, "export_dir")
    _warn_of_limits(limits, frame, *([detector.frame] if detector else []))
    example_images = np.asarray(example_images)
    _check_images(example_images)
    example_images = verification.within(example_images, limits.max_pixels)
    _check_network(network, frame)
    served = ServedModel(network, head, frame=frame, limits=limits, detector=detector, compares_labels=compares_labels)
    with (
        files.new_folder(export_dir) as out,
        _sole_writer(out),
        tempfile.TemporaryDirectory(prefix=_PREFIX, dir=out) as temp,
    ):
        _warn_of_order(out, description or {})
        written = os.path.join(temp, "model")  # inside: the temporary folder is readable by its owner only
        functions = served.signatures()
        tf.saved_model.save(served, written, signatures=functions)
        model_card.write(
            written, functions, description or {}, frame=frame, limits=limits, landmarks=served.locator.frame
        )
        warmup_requests.write(written, _requests(functions, example_images[:1]))
        checksums.write(written)
        verification.check_operations(written)
        with tf.device("CPU:0"):  # a GPU may round convolutions too coarsely to compare
            live = verification.LiveModel(network, head, frame, detector)
            verification.verify(written, live, example_images, limits.max_pixels)
        return pathlib.Path(written).rename(out / str(_next_number(out)))


def _warn_of_limits(limits, *frames):
    height, width = max((frame.full_size for frame in frames), key=math.prod)
    if limits.max_pixels < height * width:
        progress.warn(
            f"max_pixels={limits.max_pixels}: predict_main.py and bulk prediction resize pictures to the {width} x "
            f"{height} pixels that the model sees, and cannot use this export; give at least {height * width} for them"
        )


def _warn_of_order(out, description):
    """Warns, before the new version can take over, of landmarks that callers would take for others by their number."""
    version = max(filter(str.isdecimal, os.listdir(out)), key=int, default="")
    try:
        old, new = _landmarks(model_card.read(out / version)) if version else [], _landmarks(description)
    except (OSError, ValueError, RecursionError):  # what is not known does not stop an export
        return
    if new[: len(old)] != old:
        was, now = (", ".join(map(progress.printable, names)) or "none with a name" for names in (old, new))
        progress.warn(
            f"{out}: the landmarks of version {version} are, in the order of `points`, {was}, and those of the new "
            f"version {now}: whoever takes them by their number gets others; change that, or export to another folder"
        )


def _landmarks(card):
    """The names of the landmarks in a model card, in the order of `points`; none where it does not say them."""
    names = data.get("landmarks") if isinstance(data := card.get("data"), dict) else None
    return list(map(str, names)) if isinstance(names, (list, tuple)) else []


def _check_images(images):
    fits = images.dtype == np.float32 and images.ndim == 4 and images.shape[3] == 3 and images.size
    if not (fits and images.min() >= 0 and images.max() <= 1):
        span = f" from {images.min()} to {images.max()}" if images.size else ""
        found = f"{images.dtype} {list(images.shape)}{span}"
        raise ValueError(f"example_images must be float32 [N, H, W, 3] in [0, 1]; found {found}")


def _check_network(network, frame):
    labels = network(tf.zeros([1, *frame.input_size, 3]), training=False)
    height, width = (side // frame.stride for side in frame.input_size)
    if labels.dtype != tf.float32 or labels.shape[:-1] != [1, height, width]:
        needed = f"float32 [N, {height}, {width}, L] at input_size={frame.input_size}, stride={frame.stride}"
        raise ValueError(f"labels must be {needed}; found {labels.dtype.name} {list(labels.shape)}")


@contextlib.contextmanager
def _sole_writer(out):
    """Waits until no other export writes to `out`, and removes what killed ones left there."""
    with files.held(out, "export", waits=True) as is_alone:
        for left in out.glob(f"{_PREFIX}*") if is_alone else ():
            shutil.rmtree(left, ignore_errors=True)
        yield


def _next_number(out):
    """A number that no version has had: a server takes another version of a number that it has loaded for the same."""
    last = out / _LAST
    written = last.read_text(encoding="utf-8", errors="replace").strip() if last.is_file() else ""
    taken = [int(name) for name in (*os.listdir(out), written) if name.isdecimal()]
    number = max(taken, default=0) + 1
    files.write_whole(last, f"{number}\n".encode())
    return number


def _requests(functions, images):
    """A request for each signature that the model has: its name and inputs."""
    known = {name: each for name, each in signatures.named().items() if name in functions}
    return [(name, signature.request(dtype, [images])) for name, (_, signature, dtype) in known.items()]


def noise(frame: Frame) -> np.ndarray:
    """Makes two images float32 [2, H, W, 3] in [0, 1] for the check of an export, where there are no others."""
    random = np.random.default_rng(0)
    height, width = frame.input_size
    coarse = random.uniform(size=[2, -(-height // 8) + 1, -(-width // 8) + 1, 3])
    fine = np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2)
    return np.float32(fine[:, :height, :width])
