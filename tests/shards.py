"""Small pictures, drawn and encoded, and shards of them that TensorFlow itself writes, for tests that need these."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image


def picture(seed, size=(36, 30), format="PNG"):
    """A smooth picture of (height, width), encoded; returns the file and its pixels."""
    coarse = Image.fromarray(np.random.default_rng(seed).integers(0, 256, [4, 5, 3], np.uint8))
    drawn, file = coarse.resize(size[::-1], Image.Resampling.BICUBIC), io.BytesIO()
    drawn.save(file, format)
    return file.getvalue(), np.asarray(drawn)


def example(**features):
    """A serialised `tf.train.Example`: bytes are pictures, lists of numbers are key points."""

    def feature(value):
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=value))

    made = tf.train.Features(feature={name: feature(value) for name, value in features.items()})
    return tf.train.Example(features=made).SerializeToString()


def write(path, records):
    """Writes a TFRecord file; returns the byte at which each record begins."""
    places = []
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.flush()
            places.append(path.stat().st_size)
            writer.write(record)
    return places
