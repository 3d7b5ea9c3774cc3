"""The model that is exported: pre-processing inside, answers in pixels of the pictures that were sent.

What it can be asked is listed in `signatures`.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from dense_labels import compat
from dense_labels.batches import Frame, Limits
from dense_labels.exporting import decoding_graph, signatures
from dense_labels.exporting.signatures import Head, Labelled

USUAL_LIMITS = Limits()
_AT_ONCE = 4  # pictures of a request that are decoded at the same time, each of them of up to so many pixels
_QUEUE = 100  # batches that wait before a server says it is busy
_BATCH_THREADS, _BATCH_WAIT_MICROS = 2, 2000


class Detector(Protocol):
    """A network and its head that see pictures in a frame of their own."""

    features: Any  # images [N, H, W, 3] in [0, 1] -> features, which the head takes
    head: Head
    frame: Frame


class ServedModel(tf.Module):
    """A network and its landmark head, for callers with pictures of any size.

    For each task of `signatures` that it can answer it has a function of that name, such as `labels` and `match`.

    **Convention:** points are (x, y) in continuous pixels of the picture that was passed in: where that was resized
    for the network, x is scaled by W / W_full and y by H / H_full on return.
    """

    def __init__(
        self,
        network: tf.keras.Model,
        head: Head | None,
        *,
        frame: Frame,
        limits: Limits = USUAL_LIMITS,
        detector: Detector | None = None,
        compares_labels: bool = True,
        queue: str = "labels",
    ):
        """Creates the module; `queue` names what requests wait in, the others are of `saved_model.export_saved_model`.

        Networks of one model need queues of different names, or images for one would be given to the other.
        """
        super().__init__(name="served_model")
        self._locator = detector and ServedModel(
            detector.features, detector.head, frame=detector.frame, limits=limits, queue="landmarks"
        )
        self.frame, self._limits = frame, limits
        # A tracked Keras object would bring its own traces along, so only variables are tracked.
        self.weights = [*compat.variables(network), *compat.variables(head)]
        # Parts are traced once, and called by all signatures: a network of many layers would make each of them long.
        # They are concrete functions, for others are traced again while they are saved.
        pixels = tf.TensorSpec([None, *frame.input_size, 3], tf.float32)
        self._network = _traced(lambda images: network(images, training=False), pixels)
        if limits.batch_requests:
            self._network = _batched(self._network, limits, queue)
        self._labels_of = functools.cache(self._traced_label)
        self._label_shape = network(tf.zeros([1, *frame.input_size, 3]), training=False).shape[1:]
        self.head = None
        if head is not None:
            traced = _traced(lambda labels: head(labels), tf.TensorSpec([None, *self._label_shape], tf.float32))
            self.head = lambda labels: traced(labels)
        self.answered: set[str] = self.locator.answered if detector else _answers(head, self._label_shape)
        tasks = {task: signature for task, signature, _ in signatures.named().values()}
        has = {*self.answered, *([signatures.LABELS] if compares_labels else [])}
        self._tasks = frozenset(task for task, signature in tasks.items() if has.issuperset(signature.needs))
        for task in self._tasks:
            if hasattr(self, task):
                raise ValueError(f"signature {task!r}: a served model has something else of that name; rename it")
            # Python's own control flow on tensors is the user's to have; ours has none, and converting takes seconds.
            theirs = not tasks[task].__module__.startswith("dense_labels.")
            setattr(self, task, tf.function(types.MethodType(tasks[task].answer, self), autograph=theirs))

    @property
    def locator(self) -> ServedModel:
        """The model that locates the landmarks: this one, or that of a detector with its own view of the pictures."""
        return self._locator or self

    def signatures(self) -> dict[str, Any]:
        """Traces what the model can be asked.

        Returns:
          Name -> concrete function, of those of `signatures.named` that the model has.

        Raises:
          ValueError: if one answers what its `outputs` do not describe.
        """
        traced = {}
        for name, (task, signature, dtype) in signatures.named().items():
            if task in self._tasks:
                traced[name] = getattr(self, task).get_concrete_function(**signature.specs(dtype))
                if unknown := set(traced[name].structured_outputs) - set(signature.outputs):
                    raise ValueError(
                        f"signature {name!r} answers {', '.join(sorted(unknown))}; add it to its `outputs`"
                    )
        return traced

    def to_pictures(self, points: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """Takes points [N, K, 2] in pixels of the network's input to the pictures', whose scale is `Labelled.scale`."""
        return (points + float(self.frame.margin)) * scale

    def label(self, images: tf.Tensor) -> Labelled:
        """Labels pictures.

        Args:
          images: uint8 or float32 [N, H, W, 3], or string [N], the contents of files.

        Returns:
          Their labels and scale.
        """
        return self._labels_of(images.dtype)(images)

    def _traced_label(self, dtype: tf.DType) -> Any:
        """The concrete function that labels pictures of a type."""
        spec = tf.TensorSpec([None] if dtype == tf.string else [None, None, None, 3], dtype)
        with tf.init_scope():  # not as a part of the signature that asks for it first
            return _traced(self._label, spec, autograph=False)

    def _label(self, images):
        pixels, scale = self._decode(images) if images.dtype == tf.string else self._resize(images)
        height, width = self.frame.input_size
        pixels = tf.image.crop_to_bounding_box(pixels, self.frame.margin, self.frame.margin, height, width)
        labels = self._network(tf.ensure_shape(pixels, [None, height, width, 3]))
        return Labelled(tf.ensure_shape(labels, [None, *self._label_shape]), scale[:, tf.newaxis])

    def _resize(self, images):
        """Pictures of one size -> float32 [N, height, width, 3] of the full size, and their scale [1, 2]."""
        images = tf.ensure_shape(images, [None, None, None, 3])
        shape = tf.shape(images)
        sound = decoding_graph.check_size(shape[1:3], max_pixels=self._limits.max_pixels)
        with tf.control_dependencies([*sound, *self._check_count(shape[0]), *_check_range(images)]):
            images = tf.identity(images)
        height, width = self.frame.full_size
        pixels = tf.cond(
            tf.reduce_all(shape[1:3] == [height, width]),
            lambda: tf.cast(images, tf.float32),
            lambda: tf.image.resize(images, [height, width], antialias=True),
        )
        pixels /= 255.0 if images.dtype == tf.uint8 else 1.0
        return pixels, tf.cast([[shape[2] / width, shape[1] / height]], tf.float32)

    def _decode(self, files):
        """Files [N] -> the same, with a scale [N, 2]."""

        def decode(file):
            picture = decoding_graph.decode(file, max_pixels=self._limits.max_pixels)
            pixels, scale = self._resize(picture[tf.newaxis])
            return tf.ensure_shape(pixels[0], [*self.frame.full_size, 3]), scale[0]

        with tf.control_dependencies(self._check_count(tf.size(files))):
            files = tf.identity(files)
        dtypes = (tf.float32, tf.float32)
        return tf.map_fn(decode, files, parallel_iterations=_AT_ONCE, fn_output_signature=dtypes)

    def _check_count(self, count):
        limits = f"a request must have from 1 to {self._limits.max_images} pictures; found"
        return [tf.debugging.Assert((count > 0) & (count <= self._limits.max_images), [limits, count])]


def _check_range(images):
    """Refuses floating-point pictures whose values are not from 0 to 1, such as bytes that were cast."""
    if images.dtype == tf.uint8:
        return []
    least, most = tf.reduce_min(images), tf.reduce_max(images)
    words = "floating-point images must be in [0, 1], or be sent as uint8; found values from, to"
    return [tf.debugging.Assert((least >= 0) & (most <= 1), [words, least, most])]


def _traced(function, spec, **options) -> Any:
    return tf.function(function, input_signature=[spec], **options).get_concrete_function()


def _answers(head, label_shape) -> set[str]:
    """The names of what a head answers; none where there is no head."""
    answered = set() if head is None else set(head(tf.zeros([1, *label_shape])))
    if head is not None and not answered >= {"points", "score"}:
        raise ValueError(f"a head must answer points and score; found {', '.join(sorted(answered)) or 'nothing'}")
    return answered


def _batched(network, limits, queue):
    """Joins what requests that run at the same time give to the network, whatever the sizes of their pictures.

    Only the network runs on what is joined: a picture that cannot be decoded has failed its own request before.
    """
    sizes = [*(2**k for k in range((limits.batch_requests - 1).bit_length())), limits.batch_requests]
    joined = tf.nondifferentiable_batch_function(
        _BATCH_THREADS,
        max(limits.max_images, sizes[-1]),  # of a request; one beyond the largest of the sizes is split
        _BATCH_WAIT_MICROS,
        allowed_batch_sizes=sizes,  # a batch in between is filled up to the next: one plan of the kernels for each
        max_enqueued_batches=_QUEUE,
    )(network)

    def call(images):
        with tf.name_scope(queue):  # by which TensorFlow tells queues apart
            return joined(images)

    return call


def checked_pairs(images_a: Any, images_b: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images of pairs as `checked_images` does.

    Raises:
      ValueError: as that, or if there are not as many of both.
    """
    images_a, images_b = checked_images(images_a), checked_images(images_b)
    if len(images_a) != len(images_b):
        raise ValueError(f"A and B must be as many images; found {len(images_a)} and {len(images_b)}")
    return images_a, images_b


def in_parts(ask: Callable[..., dict[str, tf.Tensor]], *images: np.ndarray) -> dict[str, np.ndarray]:
    """Asks about as many images at a time as a request may hold.

    Args:
      ask: what is asked, such as `ServedModel.labels`.
      *images: one or more [N, H, W, 3], which are asked about together.

    Returns:
      The answers, [N, ...] by name.
    """
    most = USUAL_LIMITS.max_images
    parts = [ask(*(each[start : start + most] for each in images)) for start in range(0, len(images[0]), most)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def checked_images(images: Any) -> np.ndarray:
    """Returns images as [N, H, W, 3], uint8 or float32 in [0, 1].

    Raises:
      ValueError: if they are of another shape, type or range, or of too many pixels.
    """
    images = np.asarray(images)
    images = images[np.newaxis] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise ValueError(f"images must be [N, H, W, 3] or [H, W, 3]; found {list(images.shape)}")
    if images.shape[1] * images.shape[2] > USUAL_LIMITS.max_pixels:
        most, found = USUAL_LIMITS.max_pixels, list(images.shape)
        raise ValueError(f"images may have at most {most:,} pixels each; found shape {found}: make them smaller")
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating) or not (images.min() >= 0 and images.max() <= 1):
        span = f"{images.dtype} from {images.min()} to {images.max()}"
        raise ValueError(f"images must be uint8, or floating point in [0, 1]; found {span}")
    return images.astype(np.float32)
