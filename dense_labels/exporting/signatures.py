"""What a served model answers: pre-processing inside, answers in the caller's own pixels.

A signature has one type, so each exists for uint8 images (0 to 255), for float32 ones (0 to 1), and for files as they
are, JPEG, PNG or BMP, in strings:

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

import tensorflow as tf

from dense_labels.config import MAX_PIXELS
from dense_labels.exporting import decoding_graph
from dense_labels.method import geometry, introspection_loss, matching

SIGNATURES = {  # name -> task, type
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
MEANINGS = {  # of what goes in and comes out, by its name
    "images": "pictures, RGB: uint8 from 0 to 255, float32 from 0 to 1, or strings, whole JPEG, PNG or BMP files",
    "image_a": "as images; for each the one in image_b that it is matched with",
    "image_b": "as images; as many as in image_a",
    "labels": "label of each cell of the picture, without unit: cell (i, j) of h x w lies about "
    "((j + 0.5) / w, (i + 0.5) / h) of the network's part of the picture",
    "descriptors": "label of each cell made unit length",
    "confidence": "above 0, the higher the more certain: of a cell the length of its label, of a match the inverse of "
    "the mean of both cells' 1 / confidence",
    "points": "landmarks (x, y) in continuous pixels of the picture sent: (0, 0) is its outer top-left corner",
    "heatmaps": "of each landmark, from 0 to 1 in each cell: how likely it is there",
    "score": "of each landmark, from 0 to 1, the higher the more certain",
    "points_in_b": "for each cell of A where it is found in B, (x, y) in continuous pixels of B",
    "probability": "of that cell of B among all cells of B, from 0 to 1",
}
CELLS_FIRST = (0, 2, 3, 1)  # takes heat maps [N, K, h, w] to [N, h, w, K]
MAX_IMAGES = 64  # of a request: the network sees them together
_AT_ONCE = 4  # pictures of a request that are decoded at the same time, each of them of up to so many pixels
_QUEUE = 100  # batches that wait before a server says it is busy
_BATCH_THREADS, _BATCH_WAIT_MICROS = 2, 2000


class ServedModel(tf.Module):
    """A network and its landmark head, for callers with images of any size.

    **Convention:** points are (x, y) in continuous pixels of the image that was passed in: where
    that was resized for the network, x is scaled by W / W_input and y by H / H_input on return.
    """

    def __init__(
        self,
        network,
        head,
        *,
        input_size,
        stride,
        margin=0,
        max_pixels=MAX_PIXELS,
        max_images=MAX_IMAGES,
        batch_requests=0,
    ):
        """Creates the module; the arguments are those of `export.export_saved_model`."""
        super().__init__(name="served_model")
        # A tracked Keras object would bring its own traces along, so only variables are tracked.
        self.weights = [*network.variables, *getattr(head, "variables", ())]
        # Traced once, and called by all signatures: a network of many layers would make each of them long.
        pixels = tf.TensorSpec([None, *input_size, 3], tf.float32)
        self._network = tf.function(lambda images: network(images, training=False), input_signature=[pixels])
        if batch_requests:
            self._network = _batched(self._network, batch_requests, max_images)
        self._label_shape = network(tf.zeros([1, *input_size, 3]), training=False).shape[1:]
        self._head = lambda labels: head(labels)
        self._stride, self._margin = stride, margin
        self._input_size = input_size
        self._full_size = [side + 2 * margin for side in input_size]
        self._max_pixels, self._max_images = max_pixels, max_images
        self.labels = tf.function(self._labels)
        self.descriptors = tf.function(self._descriptors)
        self.match = tf.function(self._match)
        self.describe = tf.function(self._labels if head is None else self._labels_and_landmarks)
        if head is not None:
            self.landmarks = tf.function(self._landmarks)
            if "heatmaps" in head(tf.zeros([1, *self._label_shape])):
                self.keypoints = tf.function(self._keypoints)

    def signatures(self):
        """Returns a dictionary of name -> concrete function, as listed at the top of this file."""
        traced = {}
        for name, (task, dtype) in SIGNATURES.items():
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
        return {"descriptors": introspection_loss.split_labels(labels)[0], "confidence": tf.norm(labels, axis=-1)}

    def _landmarks(self, images):
        return self._locate(*self._label(images))

    def _keypoints(self, images):
        labels, scale = self._label(images)
        found = self._head(labels)
        return {**self._placed(found, scale), "heatmaps": tf.transpose(found["heatmaps"], CELLS_FIRST)}

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
            sigma_a, sigma_b = (introspection_loss.split_labels(labels)[1] for labels in pair)
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
        labels = self._network(tf.ensure_shape(pixels, [None, height, width, 3]))
        return tf.ensure_shape(labels, [None, *self._label_shape]), scale[:, tf.newaxis]

    def _resize(self, images):
        """Pictures of one size -> float32 [N, height, width, 3] of the full size, and their scale [1, 2]."""
        images = tf.ensure_shape(images, [None, None, None, 3])
        shape = tf.shape(images)
        sound = decoding_graph.check_size(shape[1:3], max_pixels=self._max_pixels)
        with tf.control_dependencies([*sound, *self._check_count(shape[0])]):
            images = tf.identity(images)
        pixels = tf.cond(
            tf.reduce_all(shape[1:3] == self._full_size),
            lambda: tf.cast(images, tf.float32),
            lambda: tf.image.resize(images, self._full_size, antialias=True),
        )
        pixels /= 255.0 if images.dtype == tf.uint8 else 1.0
        height, width = self._full_size
        return pixels, tf.cast([[shape[2] / width, shape[1] / height]], tf.float32)

    def _decode(self, files):
        """Files [N] -> the same, with a scale [N, 2]."""

        def decode(file):
            picture = decoding_graph.decode(file, max_pixels=self._max_pixels)
            pixels, scale = self._resize(picture[tf.newaxis])
            return tf.ensure_shape(pixels[0], [*self._full_size, 3]), scale[0]

        with tf.control_dependencies(self._check_count(tf.size(files))):
            files = tf.identity(files)
        types = (tf.float32, tf.float32)
        return tf.map_fn(decode, files, parallel_iterations=_AT_ONCE, fn_output_signature=types)

    def _check_count(self, count):
        limits = f"a request must have from 1 to {self._max_images} pictures; found"
        return [tf.debugging.Assert((count > 0) & (count <= self._max_images), [limits, count])]


def _confident(labels):
    return {"labels": labels, "confidence": tf.norm(labels, axis=-1)}


def _batched(network, batch_size, max_images):
    """Joins what requests that run at the same time give to the network, whatever the sizes of their pictures.

    Only the network runs on what is joined: a picture that cannot be decoded has failed its own request before.
    """
    sizes = [2**k for k in range(max(batch_size - 1, 0).bit_length() + 1)]
    return tf.nondifferentiable_batch_function(
        _BATCH_THREADS,
        max(max_images, sizes[-1]),  # of a request; one beyond the largest of the sizes is split
        _BATCH_WAIT_MICROS,
        allowed_batch_sizes=sizes,  # a batch in between is filled up to the next: one plan of the kernels for each
        max_enqueued_batches=_QUEUE,
    )(network)
