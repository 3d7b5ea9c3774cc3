"""SavedModels for TensorFlow Serving: pre-processing inside, answers in the caller's own pixels.

A signature has one type, so each exists for uint8 images (0 to 255), for float32 ones (0 to 1), and for files as they
are, JPEG, PNG, GIF (its first frame) or BMP, in strings:

- `serving_default`, `labels_float`: `images` [N, H, W, 3] -> `labels` [N, h, w, L], `confidence`
  [N, h, w], the length of the label: the shorter, the more diffuse its match.
- `descriptors`, `descriptors_float`: `images` -> `descriptors` [N, h, w, L], the labels made unit length, and
  `confidence`. Of a network of the second paper they are phi and 1 / sigma.
- `landmarks`, `landmarks_float`: `images` -> `points` [N, K, 2] (sub-pixel), `score` [N, K].
- `keypoints`, `keypoints_float`, of a head that has heat maps: the same and these, `heatmaps` [N, h, w, K] in [0, 1].
- `match`, `match_float`, `match_encoded`: `image_a`, `image_b`, each of a size of its own -> for each cell of A its
  most probable place `points_in_b` [N, h, w, 2], the `probability` [N, h, w] of that cell, and the `confidence`
  [N, h, w] of the match, the inverse of the mean of both cells' 1 / confidence.
- `encoded`: `images`, a string [N] of files, each of a size of its own -> `labels`, `confidence`, `points`, `score`.
  What is transparent is seen on white. The EXIF orientation of a JPEG is not applied: points are in its stored pixels.

In Python, `labels`, `descriptors`, `landmarks` and `keypoints` of the loaded object are functions of pixels of either
type, `describe`, which is `encoded`, one of files, and `match` one of all three.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile

import numpy as np
import tensorflow as tf

from dense_labels import geometry, introspection, matching

_SIGNATURES = {  # name -> task, type
    "serving_default": ("labels", tf.uint8),
    "labels_float": ("labels", tf.float32),
    "descriptors": ("descriptors", tf.uint8),
    "descriptors_float": ("descriptors", tf.float32),
    "landmarks": ("landmarks", tf.uint8),
    "landmarks_float": ("landmarks", tf.float32),
    "keypoints": ("keypoints", tf.uint8),
    "keypoints_float": ("keypoints", tf.float32),
    "encoded": ("describe", tf.string),
    "match": ("match", tf.uint8),
    "match_float": ("match", tf.float32),
    "match_encoded": ("match", tf.string),
}
_CELLS_FIRST = (0, 2, 3, 1)  # takes heat maps [N, K, h, w] to [N, h, w, K]
_PREFIX = ".export-"  # TensorFlow Serving passes over names that are not a number
_LABEL_TOLERANCE = 1e-5  # times the largest label, where that is above 1
_POINT_TOLERANCE = 1e-2  # pixels
_PROBABILITY_TOLERANCE = 1e-3
_SCORE_TOLERANCE = 1e-4  # times the largest inner product of two labels, where that is above 1


class ServedModel(tf.Module):
    """A network and its landmark head, for callers with images of any size.

    **Convention:** points are (x, y) in continuous pixels of the image that was passed in: where
    that was resized for the network, x is scaled by W / W_input and y by H / H_input on return.
    """

    def __init__(self, network, head, *, input_size, stride, margin=0):
        """Creates the module; the arguments are those of `export_saved_model`."""
        super().__init__(name="served_model")
        # A tracked Keras object would bring its own traces along, so only variables are tracked.
        self.weights = [*network.variables, *getattr(head, "variables", ())]
        self._network = lambda images: network(images, training=False)
        self._head = lambda labels: head(labels)
        self._stride, self._margin = stride, margin
        self._input_size = input_size
        self._full_size = [side + 2 * margin for side in input_size]
        self.labels = tf.function(self._labels)
        self.descriptors = tf.function(self._descriptors)
        self.match = tf.function(self._match)
        self.describe = tf.function(self._labels if head is None else self._labels_and_landmarks)
        if head is not None:
            self.landmarks = tf.function(self._landmarks)
            if "heatmaps" in head(network(tf.zeros([1, *input_size, 3]), training=False)):
                self.keypoints = tf.function(self._keypoints)

    def signatures(self):
        """Returns a dictionary of name -> concrete function, as listed at the top of this file."""
        traced = {}
        for name, (task, dtype) in _SIGNATURES.items():
            if hasattr(self, task):
                names = ["image_a", "image_b"] if task == "match" else ["images"]
                shape = [None] if dtype == tf.string else [None, None, None, 3]
                specs = [tf.TensorSpec(shape, dtype, name) for name in names]
                traced[name] = getattr(self, task).get_concrete_function(*specs)
        return traced

    def _labels(self, images):
        return _confident(self._label(images)[0])

    def _descriptors(self, images):
        labels = self._label(images)[0]
        return {"descriptors": introspection.split_labels(labels)[0], "confidence": tf.norm(labels, axis=-1)}

    def _landmarks(self, images):
        return self._locate(*self._label(images))

    def _keypoints(self, images):
        labels, scale = self._label(images)
        found = self._head(labels)
        return {**self._placed(found, scale), "heatmaps": tf.transpose(found["heatmaps"], _CELLS_FIRST)}

    def _labels_and_landmarks(self, images):
        labels, scale = self._label(images)
        return {**_confident(labels), **self._locate(labels, scale)}

    def _locate(self, labels, scale):
        return self._placed(self._head(labels), scale)

    def _placed(self, found, scale):
        return {"points": (found["points"] + float(self._margin)) * scale, "score": found["score"]}

    def _match(self, image_a, image_b):
        (labels_a, _), (labels_b, scale) = self._label(image_a), self._label(image_b)
        counts = tf.shape(labels_a)[0], tf.shape(labels_b)[0]
        equal = tf.debugging.assert_equal(*counts, "image_a and image_b must hold as many images")
        _, height, width, length = labels_b.shape
        centres = tf.reshape(geometry.cell_centres(height, width, self._stride), [-1, 2])

        def match_pair(pair):
            log_probability = matching.match_log_probability(*pair)  # [h w, h w]
            best = tf.exp(tf.reduce_max(log_probability, axis=-1))
            sigma_a, sigma_b = (introspection.split_labels(labels)[1] for labels in pair)
            found = tf.gather(sigma_b, tf.argmax(log_probability, axis=-1, output_type=tf.int32))
            return matching.best_match(log_probability, centres), best, 2.0 / (sigma_a + found)

        with tf.control_dependencies([equal]):
            flat = [tf.reshape(x, [-1, height * width, length]) for x in (labels_a, labels_b)]
        # One pair at a time: the probabilities of a whole batch would take N (h w)^2 numbers.
        points, probability, confidence = tf.map_fn(
            match_pair, flat, parallel_iterations=1, fn_output_signature=(tf.float32, tf.float32, tf.float32)
        )
        points = (points + float(self._margin)) * scale
        return {
            "points_in_b": tf.reshape(points, [-1, height, width, 2]),
            "probability": tf.reshape(probability, [-1, height, width]),
            "confidence": tf.reshape(confidence, [-1, height, width]),
        }

    def _label(self, images):
        """Returns labels, and the (x, y) [N or 1, 1, 2] that take points of the full size to the pictures'."""
        pixels, scale = self._decode(images) if images.dtype == tf.string else self._resize(images)
        height, width = self._input_size
        pixels = tf.image.crop_to_bounding_box(pixels, self._margin, self._margin, height, width)
        return self._network(tf.ensure_shape(pixels, [None, height, width, 3])), scale[:, tf.newaxis]

    def _resize(self, images):
        """Pictures of one size -> float32 [N, height, width, 3] of the full size, and their scale [1, 2]."""
        images = tf.ensure_shape(images, [None, None, None, 3])
        shape = tf.shape(images)
        message = "images must be at least one, of at least one row and column; found the shape"
        sound = tf.debugging.Assert(tf.reduce_all(shape > 0), [message, shape], summarize=4)
        with tf.control_dependencies([sound]):
            pixels = tf.cast(tf.identity(images), tf.float32)
        pixels /= 255.0 if images.dtype == tf.uint8 else 1.0
        pixels = tf.cond(
            tf.reduce_all(shape[1:3] == self._full_size),
            lambda: pixels,
            lambda: tf.image.resize(pixels, self._full_size, antialias=True),
        )
        height, width = self._full_size
        return pixels, tf.cast([[shape[2] / width, shape[1] / height]], tf.float32)

    def _decode(self, files):
        """Files [N] -> the same, with a scale [N, 2]."""

        def decode(file):
            picture = _on_white(tf.io.decode_image(file, expand_animations=False))
            pixels, scale = self._resize(picture[tf.newaxis])
            return tf.ensure_shape(pixels[0], [*self._full_size, 3]), scale[0]

        return tf.map_fn(decode, files, fn_output_signature=(tf.float32, tf.float32))


def _on_white(picture):
    """uint8 [H, W, 1 to 4], grey or RGB, without or with alpha -> float32 [H, W, 3] in [0, 1], on white."""
    channels = tf.shape(picture)[2]
    values = tf.cast(picture, tf.float32) / 255.0
    alpha = tf.cond(channels % 2 > 0, lambda: tf.ones_like(values[..., :1]), lambda: values[..., -1:])
    colour = tf.cond(channels > 2, lambda: values[..., :3], lambda: tf.repeat(values[..., :1], 3, axis=2))
    return colour * alpha + 1.0 - alpha


def export_saved_model(network, head, export_dir, *, input_size, stride, example_images, margin=0):
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

    Returns:
      `pathlib.Path` of the version folder: one above the highest number in `export_dir`, or 1.

    Raises:
      ValueError: if `example_images` are not such images, or the network gives no such labels.
      RuntimeError: if the written model does not answer as the live one does.
    """
    input_size, example_images = tuple(map(int, input_size)), np.asarray(example_images)
    _check_images(example_images)
    _check_network(network, input_size, stride)
    out = pathlib.Path(export_dir).expanduser().absolute()
    created = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _sole_writer(out), tempfile.TemporaryDirectory(prefix=_PREFIX, dir=out) as temporary:
            # A folder inside, because the temporary one itself is readable by its owner only.
            written = os.path.join(temporary, "model")
            served = ServedModel(network, head, input_size=input_size, stride=stride, margin=margin)
            tf.saved_model.save(served, written, signatures=served.signatures())
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


def _confident(labels):
    return {"labels": labels, "confidence": tf.norm(labels, axis=-1)}


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

    for name, (task, dtype) in _SIGNATURES.items():
        for pair in pairs if name in signatures else ():
            stored, pixels = zip(*(_stored(images, dtype) for images in pair))
            answers = [live(values) for values in pixels]
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
        _agree("heatmaps", found["heatmaps"], tf.transpose(expected["heatmaps"], _CELLS_FIRST), _PROBABILITY_TOLERANCE)


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
    sigma_a, sigma_b = (introspection.split_labels(labels)[1].numpy() for labels in flat)
    confidence = 2 / (sigma_a + sigma_b[y * width + x])
    _agree("confidence", found["confidence"].ravel(), confidence, _LABEL_TOLERANCE * max(1, confidence.max()))


def _agree(name, found, expected, tolerance):
    difference = float(np.max(np.abs(found - expected)))
    if not difference <= tolerance:
        excess = f"{difference:.3g}, more than {tolerance:.3g}"
        raise RuntimeError(f"nothing exported: {name}, written and live, differ by {excess}")
