"""Asks a server about pictures, and draws what it answers.

python -m serving.client --address=localhost:8500 --model=mine --signature=landmarks picture.jpg ... [--out=answers.png]

It works with any server of the gRPC API of TensorFlow Serving. Each picture is a request of its own; a signature with
two inputs, such as `match`, takes two. A signature that takes files is sent the files, any other is sent the pixels: of
the upright picture, on white, as a server reads files. Landmarks are printed as x and y in pixels of that picture.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

from dense_labels import command_line, files, progress
from dense_labels.exporting import decoding_graph
from input_pipeline.storage import decoding
from serving import drawing, not_installed

try:
    import grpc
    from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc
except ImportError as error:  # an extra
    raise not_installed(error, __name__) from None

_ANY_SIZE = 2**31 - 1  # pixels: the server knows its own limit


class Client:
    """Calls the signatures of a model on a server."""

    def __init__(self, address: str, model: str, *, timeout_s: float = 30.0):
        """Prepares the connection, which the first call makes.

        Args:
          address: host and port of the server.
          model: its name there.
          timeout_s: seconds that an answer may take.
        """
        options = [(f"grpc.max_{way}_message_length", -1) for way in ("receive", "send")]
        self._channel = grpc.insecure_channel(address, options=options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model, self._timeout = model, timeout_s

    def predict(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """Asks a signature.

        Args:
          signature: its name.
          **inputs: arrays by the names of its inputs.

        Returns:
          Dictionary of arrays by the names of its outputs.

        Raises:
          grpc.RpcError: if the server refuses, or does not answer.
        """
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = self._model, signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        response = self.send(request)
        return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}

    def send(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """Sends a `PredictRequest`; returns the `PredictResponse`, raises as `predict` does."""
        return self._stub.Predict(request, self._timeout)

    def signatures(self) -> dict[str, Any]:
        """Returns name -> `SignatureDef` of the model's signatures; raises as `predict` does."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self._model
        metadata = self._stub.GetModelMetadata(request, self._timeout).metadata["signature_def"]
        found = get_model_metadata_pb2.SignatureDefMap()
        metadata.Unpack(found)
        return dict(found.signature_def)

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()


def ask(paths: Sequence[str], *, address: str, model: str, signature: str, out: str, timeout_s: float) -> None:
    """Asks about pictures, prints landmarks and draws the answers.

    Args:
      paths: of picture files.
      address: host and port of the server.
      model: its name there.
      signature: what to ask of it.
      out: path of the picture to draw.
      timeout_s: seconds that an answer may take.

    Raises:
      ValueError: if a file is no picture, or `out` is one of them or a URL, or the server refuses, or does not answer.
    """
    if not paths:
        raise ValueError("no picture is named; give the files after the options")
    files.check_local(out, "--out")
    paths, out = [os.path.expanduser(path) for path in paths], os.path.expanduser(out)
    if os.path.realpath(out) in map(os.path.realpath, paths):
        raise ValueError(f"--out={out}: is one of the pictures, which is not written over; give another")
    client = Client(address, model, timeout_s=timeout_s)
    try:
        picture = _ask(client, signature, paths)
    except grpc.RpcError as error:
        raise ValueError(f"{address}: {error.code().name}: {command_line.of_tensorflow(error.details())}") from error
    finally:
        client.close()
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    files.write_whole(out, tf.io.encode_png(picture).numpy())
    progress.say(f"drawn: {progress.printable(out)}")


def _ask(client, signature, paths):
    signatures = client.signatures()
    if signature not in signatures:
        raise ValueError(f"--signature={signature}: the model has {', '.join(sorted(signatures))}")
    inputs = dict(sorted(signatures[signature].inputs.items()))
    dtype = tf.dtypes.as_dtype(next(iter(inputs.values())).dtype)
    read = [_read(path, dtype) for path in paths]
    if len(inputs) > 1 and len(paths) != len(inputs):
        raise ValueError(
            f"--signature={signature} takes {len(inputs)} pictures, {', '.join(inputs)}; found {len(paths)}"
        )
    answers = []
    for n in range(0, len(paths), len(inputs)):
        sent = (each for each, _ in read[n : n + len(inputs)])
        found = client.predict(signature, **dict(zip(inputs, sent)))
        answers.append({name: values[0] for name, values in found.items()})
        _print(paths[n], answers[-1])
    pictures = [pixels for _, pixels in read]
    if "points_in_b" in answers[0]:
        if "points_in_a" not in answers[0]:
            progress.say(
                "an earlier version exported this model, which does not say where the cells of A lie: they are drawn "
                "as if they covered all of A, which a margin makes wrong; export the model again"
            )
        return drawing.draw_matches(pictures, answers[0])
    return drawing.draw_pictures(pictures[:: len(inputs)], answers)


def _read(path, dtype):
    """What is sent of a picture, a batch of one, and its pixels as the server sees them."""
    if dtype == tf.string:
        content = _content(path)
        return np.array([content], object), _seen_pixels(content)
    pixels = decoding.read_picture(path)
    sent = pixels if dtype == tf.uint8 else np.float32(pixels) / 255
    return sent[np.newaxis], pixels


def _content(path):
    with open(path, "rb") as file:
        return file.read()


def _seen_pixels(content):
    """As the model decodes it; what it cannot decode it refuses, and says why."""
    try:
        return decoding_graph.decode(tf.constant(content), max_pixels=_ANY_SIZE).numpy()
    except tf.errors.OpError:
        return np.zeros([1, 1, 3], np.uint8)


def _print(path, answer):
    for k, (x, y) in enumerate(answer.get("points", ())):
        score = f"  score {answer['score'][k]:.3f}" if "score" in answer else ""
        progress.say(f"{progress.printable(path)}  landmark {k}: {x:.2f} {y:.2f}{score}")


def main(paths: list[str]) -> None:
    names = ("address", "model", "signature", "out", "timeout_s")
    ask(paths, **{name: flags.FLAGS[name].value for name in names})


def _define_flags():
    flags.DEFINE_string("address", "localhost:8500", "Host and port of the gRPC API.")
    flags.DEFINE_string("model", "default", "Name of the model on the server.")
    flags.DEFINE_string("signature", "landmarks", "What to ask of it.")
    flags.DEFINE_string("out", "answers.png", "The picture to draw.")
    flags.DEFINE_float("timeout_s", 30.0, "Seconds that an answer may take.", 0)


if __name__ == "__main__":
    _define_flags()
    command_line.run(main, takes_files=True)
