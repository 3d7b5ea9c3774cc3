"""A stand-in for TensorFlow Serving where its binary cannot be had: the same SavedModel behind the same gRPC services.

python -m serving.server --model_base_path=served/mine [--model_name=mine] [--port=8500]

It answers `PredictionService.Predict`, `PredictionService.GetModelMetadata` and `ModelService.GetModelStatus`, follows
the folder as TensorFlow Serving does, and prints the port it listens on. It has no REST, no labels of versions and no
batching of its own: a model exported with `--batch_requests` joins requests itself.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import threading

import numpy as np
import tensorflow as tf
from absl import flags
from google.protobuf import any_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from dense_labels import command_line
from serving import not_installed

try:
    import grpc
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )
except ImportError as error:  # an extra
    raise not_installed(error, __name__) from None
from serving import listening, versions

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_MOST_VALUES = 2**22  # of a tensor one by one, which Python unpacks while everybody else waits
_FIELDS = {  # of a tensor, which have its values one by one
    **{tf.string: "string_val", tf.float32: "float_val", tf.float64: "double_val", tf.int64: "int64_val"},
    **{tf.uint64: "uint64_val", tf.uint32: "uint32_val", tf.bool: "bool_val", tf.float16: "half_val"},
    tf.bfloat16: "half_val",
}
_MOST_SAID = 1000  # characters of a message: what a stranger sends may be in it
_INVALID, _NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


class RequestError(Exception):
    """What is wrong with a request, and its gRPC status code."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code


def serve(
    served: versions.Versions,
    name: str,
    *,
    host: str = "localhost",
    port: int = 0,
    threads: int = 16,
    max_bytes: int = 2**27,
) -> tuple[listening.Server, int]:
    """Starts a server.

    Args:
      served: the versions to answer from.
      name: of the model in requests.
      host: address to listen on.
      port: to listen on; 0 for any that is free.
      threads: how many requests may run at once.
      max_bytes: the size of the largest message, and of the largest tensor in it.

    Returns:
      The started server and its port.

    Raises:
      ValueError: if the port is taken.
    """

    def services(server, pool):
        prediction = _PredictionService(served, name, max_bytes, pool)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(served, name, pool), server)

    try:
        server = listening.Server(services, f"{host}:{port}", threads, max_bytes)
    except RuntimeError as error:
        raise ValueError(f"--host={host} --port={port}: cannot listen there; is the port taken?") from error
    return server, server.port


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, served, name, max_bytes, pool):
        self._served, self._name, self._max_bytes, self._pool = served, name, max_bytes, pool

    async def Predict(self, request, context):
        return await _answered(context, self._pool, self._predict, request)

    async def GetModelMetadata(self, request, context):
        return await _answered(context, self._pool, self._metadata, request)

    def _predict(self, request):
        version = _version(self._served, self._name, request.model_spec)
        name = request.model_spec.signature_name or "serving_default"
        function = _signature(version, name)
        asked = dict.fromkeys(request.output_filter)  # each once, however often it is named
        for key in asked:
            if key not in function.structured_outputs:
                outputs = ", ".join(sorted(function.structured_outputs))
                raise RequestError(_INVALID, f"output_filter: {name} gives {outputs}; not {key}")
        found = function(**self._inputs(request, function))
        response = predict_pb2.PredictResponse()
        _specify(response.model_spec, self._name, version.number, name)
        for key in asked or found:
            response.outputs[key].CopyFrom(tf.make_tensor_proto(found[key].numpy()))
        return response

    def _metadata(self, request):
        if list(request.metadata_field[:2]) != ["signature_def"]:
            raise RequestError(_INVALID, "metadata_field must be signature_def")
        version = _version(self._served, self._name, request.model_spec)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        _specify(response.model_spec, self._name, version.number, "")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, function in version.signatures.items():
            signatures.signature_def[name].CopyFrom(_signature_def(function))
        packed = any_pb2.Any()
        packed.Pack(signatures)
        response.metadata["signature_def"].CopyFrom(packed)
        return response

    def _inputs(self, request, function):
        specs = function.structured_input_signature[1]
        if set(specs) != set(request.inputs):
            needed, found = (", ".join(sorted(names)) or "none" for names in (specs, request.inputs))
            raise RequestError(_INVALID, f"the inputs must be {needed}; found {found}")
        return {name: self._tensor(name, request.inputs[name], spec) for name, spec in specs.items()}

    def _tensor(self, name, value, spec):
        """Unpacks a tensor; its proto must hold a value for each place of its shape."""
        if value.dtype != spec.dtype.as_datatype_enum:
            raise RequestError(_INVALID, f"{name} must be {spec.dtype.name}; found {_dtype_name(value.dtype)}")
        sizes = [dimension.size for dimension in value.tensor_shape.dim]
        if value.tensor_shape.unknown_rank or len(sizes) != spec.shape.rank or min(sizes, default=0) < 0:
            raise RequestError(_INVALID, f"{name} must have the shape {spec.shape.as_list()}; found {sizes}")
        count = int(np.prod(sizes, dtype=object))
        if count * spec.dtype.size > self._max_bytes:
            raise RequestError(_INVALID, f"{name} must have at most {self._max_bytes} bytes; found the shape {sizes}")
        self._check_values(name, value, spec, sizes, count)
        try:
            return tf.constant(tf.make_ndarray(value))
        except (ValueError, TypeError, OverflowError) as error:
            raise RequestError(_INVALID, f"{name} does not hold what its shape {sizes} needs: {error}") from error

    def _check_values(self, name, value, spec, sizes, count):
        """Refuses values that are too many, too few or too large, before anything is made of them."""
        given = {field.name: len(values) for field, values in value.ListFields() if field.name.endswith("_val")}
        own = _FIELDS.get(spec.dtype, "int_val")
        whole = spec.dtype != tf.string if value.tensor_content else given.get(own, 0) == count
        if given.keys() - {own} or not whole or max(sizes, default=0) > self._max_bytes:
            found = ", ".join(f"{number} in {field}" for field, number in given.items()) or "no values"
            raise RequestError(_INVALID, f"{name} must hold what its shape {sizes} needs; found {found}")
        if given.get(own, 0) > _MOST_VALUES:
            raise RequestError(_INVALID, f"{name} has {given[own]} values one by one; send them as tensor_content")
        if value.int_val and spec.dtype.is_integer:
            least, most = spec.dtype.min, spec.dtype.max
            if not least <= min(value.int_val) <= max(value.int_val) <= most:
                raise RequestError(_INVALID, f"{name} must hold values from {least} to {most}")


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, served, name, pool):
        self._served, self._name, self._pool = served, name, pool

    async def GetModelStatus(self, request, context):
        return await _answered(context, self._pool, self._status, request)

    def _status(self, request):
        _check_name(self._name, request.model_spec)
        response = get_model_status_pb2.GetModelStatusResponse()
        for number, state in sorted(self._served.states().items(), reverse=True):
            response.model_version_status.add(version=number, state=state)
        return response


async def _answered(context, pool, answer, request):
    """Answers in one of the threads; what goes wrong with a request is its gRPC status, and nothing else fails."""
    response, code, message = await asyncio.get_running_loop().run_in_executor(pool, _tried, answer, request)
    if code is not None:  # `context.abort` would hold its error, which holds the request, in a circle
        context.set_code(code)
        context.set_details(message[:_MOST_SAID])
    return response


def _tried(answer, request):
    """The response, or None with a status code and a message."""
    try:
        return answer(request), None, ""
    except RequestError as error:
        return None, error.code, str(error)
    except tf.errors.OpError as error:
        return None, _CODES[error.error_code], error.message


def _version(served, name, model_spec):
    _check_name(name, model_spec)
    version = served.current
    asked = model_spec.version.value if model_spec.HasField("version") else version.number
    if model_spec.version_label or asked != version.number:
        what = f"label {model_spec.version_label}" if model_spec.version_label else f"version {asked}"
        raise RequestError(_NOT_FOUND, f"{name} has no {what}; version {version.number} is served")
    return version


def _check_name(name, model_spec):
    if model_spec.name != name:
        raise RequestError(_NOT_FOUND, f"there is no model {model_spec.name!r}; {name} is served")


def _signature(version, name):
    if name not in version.signatures:
        raise RequestError(
            _INVALID, f"there is no signature {name!r}; there are {', '.join(sorted(version.signatures))}"
        )
    return version.signatures[name]


def _specify(model_spec, name, number, signature):
    model_spec.name, model_spec.signature_name = name, signature
    model_spec.version.value = number


def _signature_def(function):
    definition = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    sides = (
        (definition.inputs, function.structured_input_signature[1]),
        (definition.outputs, function.structured_outputs),
    )
    for side, specs in sides:
        for name, spec in specs.items():
            side[name].name, side[name].dtype = name, spec.dtype.as_datatype_enum
            side[name].tensor_shape.CopyFrom(spec.shape.as_proto())
    return definition


def _dtype_name(number):
    try:
        return tf.dtypes.as_dtype(number).name
    except TypeError:
        return f"type {number}"


def main() -> None:
    given = flags.FLAGS
    served = versions.Versions(given.model_base_path, poll_seconds=given.poll_seconds)
    gc.freeze()  # a graph is many objects that stay
    server, port = serve(
        served,
        given.model_name,
        host=given.host,
        port=given.port,
        threads=given.threads,
        max_bytes=given.max_bytes,
    )
    print(f"listening at {given.host}:{port}", flush=True)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    server.stop(grace=5)
    served.stop()


def _define_flags():
    flags.DEFINE_string("model_base_path", None, "Folder of the versions that eval_main.py exported.")
    flags.DEFINE_string("model_name", "default", "What requests call the model.")
    flags.DEFINE_string("host", "localhost", "Address to listen on; 0.0.0.0 for all of this machine's.")
    flags.DEFINE_integer("port", 8500, "0 for any that is free.", 0)
    flags.DEFINE_float("poll_seconds", 1.0, "Seconds between two looks at the folder.", 0.01, 86_400)
    flags.DEFINE_integer("max_bytes", 2**27, "Bytes of the largest message, and of the largest tensor in it.", 1)
    flags.DEFINE_integer("threads", 16, "How many requests may run at once.", 1)
    flags.mark_flag_as_required("model_base_path")


if __name__ == "__main__":
    _define_flags()
    command_line.run(main)
