"""What a served model can be asked: the one table of signatures.

A signature of a SavedModel has one type of images. So what is registered here, a task such as "match", has a name for
each type it takes: uint8 images (0 to 255), float32 ones (0 to 1), and strings, files as they are: JPEG, PNG or BMP.
Everything else follows from the table: the functions of the exported model, its model card, its warm-up requests, and
how its answers are compared with those of the live model. A new task is one class, here or in a file of the user's:

    @SIGNATURES.register("brightest", "the brightest label of each picture")
    class Brightest(Signature):
        types = {"brightest": tf.uint8, "brightest_float": tf.float32}
        outputs = {"length": "length of the longest label"}

        @staticmethod
        def answer(model, images):
            return {"length": tf.reduce_max(tf.norm(model.label(images).labels, axis=-1), axis=[1, 2])}

In Python a task is a function of the loaded model, `model.brightest(images)`, for pixels or files as its types say.

**Convention:** points are (x, y) in continuous pixels of the picture that was sent, whatever its size.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from dense_labels.batches import Frame
from dense_labels.exporting import agreement
from dense_labels.method import geometry, introspection_loss, matching
from dense_labels.registry import SIGNATURES

Head = Callable[[Any], dict[str, Any]]  # labels [N, h, w, L] -> `points` [N, K, 2], `score` [N, K] and perhaps more
Tensors = dict[str, Any]  # tensors or arrays by name

LABELS = "comparable labels"  # what a network has that gives no heat maps of landmarks of its own
_CELLS_FIRST = (0, 2, 3, 1)  # takes heat maps [N, K, h, w] to [N, h, w, K]
_IMAGES = "pictures, RGB: uint8 from 0 to 255, float32 from 0 to 1, or strings, whole JPEG, PNG or BMP files, upright"
_LABELS = (
    "label of each cell, without unit: with s the stride and m the margin that this card has, cell (i, j) lies at "
    "(m + (j + 0.5) s, m + (i + 0.5) s) pixels of the picture once it is resized to the input size and twice the margin"
)
_LENGTH = "length of the label of each cell, above 0: the higher the more certain, unless `note` says otherwise"
_POINTS = "landmarks (x, y) in continuous pixels of the picture sent: (0, 0) is its outer top-left corner"
_SCORE = "of each landmark, from 0 to 1, the higher the more certain"
_HEATMAPS = "of each landmark, from 0 to 1 in each cell, as landmarks_frame lays them: how likely it is there"
_WORTH = {
    "expected_error": "how far each landmark is expected to be off, in pixels of the picture",
    "likelihood": "of each landmark: how likely it is within 5 % of what errors are divided by, as this card says",
    "present": "of each landmark: how likely it would be annotated, not left out as one that does not show",
}


class Labelled(NamedTuple):
    """Pictures as the network labels them."""

    labels: Any  # float32 [N, h, w, L]
    scale: Any  # float32 [N or 1, 1, 2], (x, y): pixels of the picture sent in a pixel of it once it is resized


class Model(Protocol):
    """What a signature is answered from: the model that is served, or the live one that it is compared with."""

    frame: Frame
    head: Head | None
    locator: Model  # what locates the landmarks: the model itself, or its detector

    def label(self, images: Any) -> Labelled:
        """Labels pictures [N, H, W, 3] or files [N]."""

    def to_pictures(self, points: Any, scale: Any) -> Any:
        """Takes points [N, K, 2] in pixels of the network's input to the pictures', whose scale is `Labelled.scale`."""


class Signature:
    """What can be asked of a served model, once for each type of images; subclass it and register the subclass.

    A subclass has `types`, `outputs` and a static method `answer`, which takes a `Model` and the `inputs`, under their
    names, and returns tensors by name, some or all of the `outputs`. It is called in a graph as well as eagerly. Inputs
    are batches of pictures or of files; a subclass that takes anything else has its own `specs` and `request`.
    """

    types: ClassVar[Mapping[str, tf.DType]]  # name of the signature -> type of its images
    inputs: ClassVar[Mapping[str, str]] = {"images": _IMAGES}  # name -> meaning
    outputs: ClassVar[Mapping[str, str]]  # name -> meaning
    needs: ClassVar[tuple[str, ...]] = ()  # answers of the head, or `LABELS`; what lacks one is exported without
    tolerances: ClassVar[Mapping[str, float]] = {}  # by which an output may differ from the live model's; or 1e-3
    answer: ClassVar[Callable[..., Tensors]]

    def __init_subclass__(cls) -> None:
        for name in ("types", "outputs", "answer"):
            if not getattr(cls, name, None):
                raise ValueError(f"signature {cls.__name__}: `{name}` is missing")
        taken = list(inspect.signature(cls.answer).parameters)[1:]
        if taken != list(cls.inputs):
            raise ValueError(
                f"signature {cls.__name__}: `answer` must take a model and {', '.join(cls.inputs)}, as `inputs` says; "
                f"it takes {', '.join(taken) or 'nothing else'}"
            )

    @classmethod
    def specs(cls, dtype: tf.DType) -> dict[str, tf.TensorSpec]:
        """Returns the type and shape of each input, for images of a type."""
        shape = [None] if dtype == tf.string else [None, None, None, 3]
        return {name: tf.TensorSpec(shape, dtype, name) for name in cls.inputs}

    @classmethod
    def request(cls, dtype: tf.DType, images: Sequence[np.ndarray]) -> dict[str, tf.Tensor]:
        """Makes inputs of images float32 [N, H, W, 3] in [0, 1], one for each input; fewer are used again."""
        return {name: stored(images[n % len(images)], dtype) for n, name in enumerate(cls.inputs)}

    @classmethod
    def verify(cls, found: dict[str, np.ndarray], live: Model, inputs: dict[str, tf.Tensor]) -> None:
        """Compares an answer with the live model's.

        Args:
          found: of the model that was written.
          live: the model that it was made from.
          inputs: what was asked.

        Raises:
          RuntimeError: if they differ.
        """
        agreement.check_answers(found, lambda model: cls.answer(model, **inputs), live, cls.tolerances)


class Named(NamedTuple):
    """What stands behind the name of a signature."""

    task: str  # its name in `SIGNATURES`, and of its function in Python
    signature: type[Signature]
    dtype: tf.DType  # of its images


def named() -> dict[str, Named]:
    """Lists the signatures by the names that they are served under.

    Raises:
      ValueError: if two have the same name, or one is no `Signature`.
    """
    found: dict[str, Named] = {}
    for task, entry in SIGNATURES.items():
        if not (isinstance(entry.value, type) and issubclass(entry.value, Signature)):
            raise ValueError(f"signature {task!r} must be a class below dense_labels.exporting.signatures.Signature")
        for name, dtype in entry.value.types.items():
            if name in found:
                raise ValueError(f"{found[name].task!r} and {task!r} are both served as {name!r}; rename one")
            found[name] = Named(task, entry.value, dtype)
    return found


def stored(images: np.ndarray, dtype: tf.DType) -> tf.Tensor:
    """Returns images float32 [N, H, W, 3] in [0, 1] as a caller has them: in another type, or as files without loss."""
    if dtype == tf.float32:
        return tf.constant(images)
    pixels = np.rint(images * 255).astype(np.uint8)
    return tf.constant(pixels if dtype == tf.uint8 else [tf.io.encode_png(image).numpy() for image in pixels])


@SIGNATURES.register("labels", "the label of each cell of a picture, and how certain it is")
class Labels(Signature):
    types = {"serving_default": tf.uint8, "labels_float": tf.float32}
    outputs = {"labels": _LABELS, "confidence": _LENGTH}

    @staticmethod
    def answer(model: Model, images: Any) -> Tensors:
        return _confident(model.label(images).labels)

    @classmethod
    def verify(cls, found: dict[str, np.ndarray], live: Model, inputs: dict[str, tf.Tensor]) -> None:
        agreement.check_labels("labels", found["labels"], found["confidence"], live.label(**inputs).labels)


@SIGNATURES.register("descriptors", "the same labels at unit length: of the second paper's networks phi and 1 / sigma")
class Descriptors(Signature):
    types = {"descriptors": tf.uint8, "descriptors_float": tf.float32}
    outputs = {"descriptors": "label of each cell made unit length", "confidence": _LENGTH}
    needs = (LABELS,)

    @staticmethod
    def answer(model: Model, images: Any) -> Tensors:
        labels = model.label(images).labels
        return {"descriptors": introspection_loss.split_labels(labels)[0], "confidence": tf.norm(labels, axis=-1)}

    @classmethod
    def verify(cls, found: dict[str, np.ndarray], live: Model, inputs: dict[str, tf.Tensor]) -> None:
        labels = found["descriptors"] * found["confidence"][..., np.newaxis]  # of none is the direction known
        agreement.check_labels("descriptors", labels, found["confidence"], live.label(**inputs).labels)


@SIGNATURES.register("landmarks", "the landmarks of a picture, between its pixels")
class Landmarks(Signature):
    types = {"landmarks": tf.uint8, "landmarks_float": tf.float32}
    outputs = {"points": _POINTS, "score": _SCORE, **_WORTH}
    needs: ClassVar[tuple[str, ...]] = ("points", "score")
    tolerances = agreement.OF_LANDMARKS

    @staticmethod
    def answer(model: Model, images: Any) -> Tensors:
        return _located(model, images)[0]


@SIGNATURES.register("keypoints", "the landmarks, with the heat maps that they are found by")
class Keypoints(Landmarks):
    types = {"keypoints": tf.uint8, "keypoints_float": tf.float32}
    outputs = {**Landmarks.outputs, "heatmaps": _HEATMAPS}
    needs = (*Landmarks.needs, "heatmaps")

    @staticmethod
    def answer(model: Model, images: Any) -> Tensors:
        placed, found = _located(model, images)
        return {**placed, "heatmaps": tf.transpose(found["heatmaps"], _CELLS_FIRST)}


@SIGNATURES.register("describe", "labels and landmarks of picture files, each of a size of its own")
class Describe(Signature):
    """Transparent pixels are seen on white. Points are in pixels of the picture turned upright, as EXIF says."""

    types = {"encoded": tf.string}
    outputs = {**Labels.outputs, **Landmarks.outputs}

    @staticmethod
    def answer(model: Model, images: Any) -> Tensors:
        confident = _confident(model.label(images).labels)
        return {**confident, **({} if model.locator.head is None else _located(model, images)[0])}

    @classmethod
    def verify(cls, found: dict[str, np.ndarray], live: Model, inputs: dict[str, tf.Tensor]) -> None:
        for part in (Labels, *([] if live.locator.head is None else [Landmarks])):
            part.verify(found, live, inputs)


@SIGNATURES.register("match", "where each cell of a picture A is found in a picture B, whatever their sizes")
class Match(Signature):
    types = {"match": tf.uint8, "match_float": tf.float32, "match_encoded": tf.string}
    inputs = {
        "image_a": f"{_IMAGES}; each is matched with its own in image_b",
        "image_b": "as many as in image_a, of the same type",
    }
    outputs = {
        "points_in_a": "where each cell of A lies, (x, y) in continuous pixels of A",
        "points_in_b": "for each cell of A its most probable place in B, (x, y) in continuous pixels of B",
        "probability": "of that cell of B among all cells of B, from 0 to 1; small of labels that are all of length 1",
        "confidence": "above 0: the inverse of the mean of 1 / length of both labels; as the length says how certain",
    }
    needs = (LABELS,)

    @staticmethod
    def answer(model: Model, image_a: Any, image_b: Any) -> Tensors:
        (labels_a, scale_a), (labels_b, scale_b) = model.label(image_a), model.label(image_b)
        counts = tf.shape(labels_a)[0], tf.shape(labels_b)[0]
        equal = tf.debugging.assert_equal(*counts, "image_a and image_b must hold as many images")
        _, height, width, length = labels_b.shape
        centres = tf.reshape(geometry.cell_centres(height, width, model.frame.stride), [-1, 2])

        def match_pair(pair):
            log_probability = matching.match_log_probability(*pair)  # [h w, h w]
            best = tf.exp(tf.reduce_max(log_probability, axis=-1))
            sigma_a, sigma_b = (introspection_loss.split_labels(labels)[1] for labels in pair)
            found = tf.gather(sigma_b, tf.argmax(log_probability, axis=-1, output_type=tf.int32))
            return matching.best_match(log_probability, centres), best, 2.0 / (sigma_a + found)

        with tf.control_dependencies([] if equal is None else [equal]):
            flat = [tf.reshape(x, [-1, height * width, length]) for x in (labels_a, labels_b)]
        dtypes = (tf.float32, tf.float32, tf.float32)
        # One pair at a time: the probabilities of a whole batch would take N (h w)^2 numbers.
        points, probability, confidence = tf.map_fn(match_pair, flat, parallel_iterations=1, fn_output_signature=dtypes)
        places_in_a = model.to_pictures(centres + tf.zeros_like(points), scale_a)
        found = {"points_in_a": places_in_a, "points_in_b": model.to_pictures(points, scale_b)}
        found |= {"probability": probability, "confidence": confidence}
        return {name: tf.reshape(values, [-1, height, width, *values.shape[2:]]) for name, values in found.items()}

    @classmethod
    def verify(cls, found: dict[str, np.ndarray], live: Model, inputs: dict[str, tf.Tensor]) -> None:
        (labels_a, scale_a), (labels_b, scale_b) = (live.label(images) for images in inputs.values())
        scales = {"points_in_a": scale_a, "points_in_b": scale_b}  # those of the network's input are compared
        points = {name: found[name] / scale[:, np.newaxis] - live.frame.margin for name, scale in scales.items()}
        agreement.check_matches({**found, **points}, labels_a, labels_b, live.frame.stride)


def _confident(labels: tf.Tensor) -> Tensors:
    return {"labels": labels, "confidence": tf.norm(labels, axis=-1)}


def _located(model: Model, images: Any) -> tuple[Tensors, Tensors]:
    """The landmarks in pixels of the pictures, and all that the head answers."""
    locator = model.locator
    if locator.head is None:
        raise ValueError("a model without a head has no landmarks")
    labels, scale = locator.label(images)
    found = locator.head(labels)
    placed: Tensors = {name: found[name] for name in ("score", "likelihood", "present") if name in found}
    placed["points"] = locator.to_pictures(found["points"], scale)
    if "expected_error" in found:
        placed["expected_error"] = found["expected_error"] * tf.sqrt(tf.reduce_mean(tf.square(scale), axis=-1))
    return placed, found
