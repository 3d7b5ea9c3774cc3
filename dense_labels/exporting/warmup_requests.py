"""Warm-up requests of a SavedModel: TensorFlow Serving answers them before it says that a version is ready.

The file is a TFRecord of `tensorflow.serving.PredictionLog`. Its few fields are written here by hand, all of them being
strings or messages, so that exporting needs no package of TensorFlow Serving's.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

FILE = pathlib.Path("assets.extra") / "tf_serving_warmup_requests"  # where TensorFlow Serving looks
_PREDICT_LOG = 6  # of PredictionLog
_REQUEST = 1  # of PredictLog
_MODEL_SPEC, _INPUTS = 1, 2  # of PredictRequest
_SIGNATURE_NAME = 3  # of ModelSpec
_KEY, _VALUE = 1, 2  # of an entry of a map


def write(folder: str | os.PathLike, requests: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Writes the warm-up requests of a SavedModel.

    Args:
      folder: of the SavedModel.
      requests: (name of a signature, its inputs by name), at most 1,000.
    """
    path = pathlib.Path(folder) / FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, inputs in requests:
            writer.write(_prediction_log(name, inputs))


def _prediction_log(name, inputs):
    request = _field(_MODEL_SPEC, _field(_SIGNATURE_NAME, name.encode()))
    for key, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += _field(_INPUTS, _field(_KEY, key.encode()) + _field(_VALUE, tensor))
    return _field(_PREDICT_LOG, _field(_REQUEST, request))


def _field(number, content):
    """A field of protobuf's wire format that holds bytes: its number and that kind, the length, the content."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
