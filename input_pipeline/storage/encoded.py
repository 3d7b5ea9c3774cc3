"""Encoded pictures -> pixels inside a graph: what training reads from shards, and what may be written into them."""

import tensorflow as tf

from dense_labels.exporting import decoding_graph
from input_pipeline.storage import decoding


@tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.string)])  # traced once, wherever it is called
def decode(file: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG, PNG or BMP file as a served model does: upright, on white.

    Args:
      file: string [], the content of the file.

    Returns:
      uint8 [H, W, 3], RGB.

    Raises:
      tf.errors.InvalidArgumentError: if it is of another kind, damaged, or has more than `decoding.MOST_PIXELS` pixels.
    """
    return tf.ensure_shape(decoding_graph.decode(file, max_pixels=decoding.MOST_PIXELS), [None, None, 3])
