"""Compares a SavedModel that was written with the live model it was made from."""

from __future__ import annotations

import copy
import os
import pathlib

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from dense_labels.batches import Frame
from dense_labels.exporting import agreement, signatures
from dense_labels.exporting.served_model import Detector
from dense_labels.exporting.signatures import Head, Labelled

_NEED_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}  # TensorFlow's own, but no server runs them


class LiveModel:
    """A network and its head as they are in this process, asked as a served model is."""

    def __init__(self, network: tf.keras.Model, head: Head | None, frame: Frame, detector: Detector | None = None):
        self.head, self.frame = head, frame
        self._detector = LiveModel(detector.features, detector.head, detector.frame) if detector else None
        self.locator: signatures.Model = self._detector or self
        self._network = network
        self._known: dict[tuple[tuple[int, ...], bytes], Labelled] = {}
        self._seed: int | None = None  # of how labels are rounded; None: as they are
        self.undecided: set[str] = set()  # answers that rounding decides

    def label(self, images: tf.Tensor) -> Labelled:
        """Labels pictures, each batch of them once, whatever type it comes in."""
        pixels = _pixels(images)
        known = pixels.shape, pixels.tobytes()
        if known not in self._known:
            self._known[known] = self._label(pixels)
        labels, scale = self._known[known]
        return Labelled(labels if self._seed is None else _rounded(labels, self._seed), scale)

    def rounded(self, seed: int) -> LiveModel:
        """Returns this model, whose labels differ from what they are by as much as a written one's may."""
        other = copy.copy(self)
        other._seed = seed
        other._detector = self._detector.rounded(seed) if self._detector else None
        other.locator = other._detector or other
        return other

    def to_pictures(self, points: tf.Tensor, scale: np.ndarray) -> tf.Tensor:
        """Takes points [N, K, 2] in pixels of the network's input to the pictures', whose scale is `Labelled.scale`."""
        return (points + self.frame.margin) * scale

    def _label(self, pixels: np.ndarray) -> Labelled:
        margin, full_size = self.frame.margin, self.frame.full_size
        resized = tf.image.resize(pixels, full_size, antialias=True)
        seen = tf.image.crop_to_bounding_box(resized, margin, margin, *self.frame.input_size)
        scale = np.float32(pixels.shape[2:0:-1]) / np.float32(full_size[::-1])
        return Labelled(self._network(seen, training=False), scale[np.newaxis, np.newaxis])


def within(images: np.ndarray, max_pixels: int) -> np.ndarray:
    """Returns images [N, H, W, 3], made smaller where they have more pixels than a model takes."""
    height, width = images.shape[1:3]
    share = (max_pixels / (height * width)) ** 0.5
    size = [max(int(side * share), 1) for side in (height, width)]
    return images if share >= 1 else np.clip(tf.image.resize(images, size).numpy(), 0, 1)


def verify(written: str | os.PathLike, live: LiveModel, images: np.ndarray, max_pixels: int) -> None:
    """Compares each signature of a SavedModel with the live model, at two sizes of pictures.

    Args:
      written: folder of the SavedModel.
      live: what it was made from.
      images: float32 [N, H, W, 3] in [0, 1].
      max_pixels: how many the model takes of a picture.

    Raises:
      RuntimeError: if an answer differs by more than rounding does.
    """
    functions = tf.saved_model.load(str(written)).signatures
    other = within(tf.image.resize(images, [images.shape[1] * 3 // 2, images.shape[2] * 2]).numpy(), max_pixels)
    for name, (_, signature, dtype) in signatures.named().items():
        for batches in ((images, other[::-1]), (other, images[::-1])) if name in functions else ():
            inputs = signature.request(dtype, batches)
            found = {key: value.numpy() for key, value in functions[name](**inputs).items()}
            signature.verify(found, live, inputs)


def check_operations(written: str | os.PathLike) -> None:
    """Refuses a SavedModel with operations that TensorFlow does not bring along, or that run in Python.

    Raises:
      RuntimeError: naming them.
    """
    saved = saved_model_pb2.SavedModel.FromString(pathlib.Path(written, "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [graph.node, *(function.node_def for function in graph.library.function)]
    operations = {node.op for part in nodes for node in part} - {
        function.signature.name for function in graph.library.function
    }
    foreign = sorted(name for name in operations if name in _NEED_PYTHON or not hasattr(tf.raw_ops, name))
    if foreign:
        raise RuntimeError(f"nothing exported: no TensorFlow server has the operations {', '.join(foreign)}")


def _rounded(labels, seed):
    tolerance = agreement.LABEL * tf.maximum(1.0, tf.reduce_max(tf.norm(labels, axis=-1)))
    return labels + tf.random.stateless_uniform(tf.shape(labels), (seed, 0), -tolerance, tolerance)


def _pixels(images: tf.Tensor) -> np.ndarray:
    """Pictures as `signatures.stored` makes them -> float32 [N, H, W, 3] in [0, 1]."""
    if images.dtype == tf.string:
        images = tf.stack([tf.io.decode_png(file, channels=3) for file in images])
    pixels = images.numpy()
    return pixels / np.float32(255) if pixels.dtype == np.uint8 else pixels
