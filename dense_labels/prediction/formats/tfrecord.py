"""TFRecords of `tf.train.Example`, for pipelines of TensorFlow's: one for each picture, object or frame."""

from __future__ import annotations

import pathlib
import tempfile
from typing import TYPE_CHECKING

import numpy as np

from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions


@FORMATS.register("tfrecord", "TFRecords of tf.train.Example: continuous pixels", file="points.tfrecord")
def write(predictions: Predictions) -> bytes:
    """Writes `file`, `height`, `width`, `landmarks` [K], `points` [2 K], that is x and y of each, and `score` [K].

    What is known of a row follows: `expected_error` [K] in pixels, `likelihood` [K], `present` [K], `object`, `frame`,
    `seconds`, and the same as whole `microseconds`: an Example has floats of 32 bits alone, which after a day are too
    coarse to tell neighbouring frames apart.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "points.tfrecord")
        with tf.io.TFRecordWriter(str(path)) as writer:
            for row in range(len(predictions)):
                example = tf.train.Example(features=tf.train.Features(feature=_features(predictions, row)))
                writer.write(example.SerializeToString(deterministic=True))
        return path.read_bytes()


def _features(predictions, row):
    import tensorflow as tf

    def texts(*values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode() for text in values]))

    def whole(value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))

    def floats(values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(values)))

    p = predictions
    numbers = {"points": p.points, "score": p.score, "expected_error": p.expected_error, "likelihood": p.likelihood}
    numbers |= {"present": p.present, "seconds": p.seconds}
    counts = {"height": p.sizes[:, 0], "width": p.sizes[:, 1], "object": p.objects, "frame": p.frames}
    counts["microseconds"] = None if p.seconds is None else np.rint(p.seconds * 1e6)
    return {
        "file": texts(p.names[row]),
        "landmarks": texts(*p.landmark_names),
        **{name: floats(values[row]) for name, values in numbers.items() if values is not None},
        **{name: whole(values[row]) for name, values in counts.items() if values is not None},
    }
