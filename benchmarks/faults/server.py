"""Strangers at a server of its own process, for a while: silent connections, requests begun and not sent, lies, bulk.

Every second one client asks as it should, and must be answered rightly. What the strangers send must be refused with a
message, and a quarter of a minute later the server must have at most 1.5 times the memory that it began with.
"""

import collections
import concurrent.futures
import contextlib
import pathlib
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator

import grpc
import numpy as np
import tensorflow as tf

from benchmarks import faults, mutations
from benchmarks import serving as measured
from benchmarks.faults import disk, files
from serving.client import Client

MOST_GROWTH = 1.5
_IDLE, _SILENT, _STRANGERS = 200, 50, 4
_WAIT, _SLOW = 10.0, 60.0  # seconds for the answer to a sound request, and to another
_SETTLES = 15.0  # seconds until memory is given back
_BULK = 100 * 2**20  # bytes
_HUGE = 2**62
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_REFUSALS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.RESOURCE_EXHAUSTED}
_SIGNATURE, _METHOD = "serving_default", "/tensorflow.serving.PredictionService/Predict"


def _image_request(signature: str = _SIGNATURE, change: Callable = lambda tensor: None, images=None):
    images = np.zeros([1, 1, 1, 3], np.uint8) if images is None else images
    made = mutations.request(measured.MODEL, signature, images=images)
    change(made.inputs["images"])
    return made


def _shape(*sizes: int, **fields) -> Callable:
    """Gives a tensor another shape, and other values in place of its content."""

    def change(tensor) -> None:
        tensor.ClearField("tensor_shape")
        for size in sizes:
            tensor.tensor_shape.dim.add(size=size)
        for name, values in fields.items():
            tensor.tensor_content = b""
            getattr(tensor, name).extend(values)

    return change


def _called(name: str):
    request = _image_request()
    request.model_spec.name = name
    return request


_FILE = np.array([b"x"], object)
REQUESTS: dict[str, Callable] = {
    "more elements than content": lambda: _image_request(change=_shape(1, 3000, 3000, 3)),
    "less elements than content": lambda: _image_request(
        images=np.zeros([1, 9, 9, 3], np.uint8), change=_shape(1, 1, 1, 3)
    ),
    "a negative size": lambda: _image_request(change=_shape(1, -1, -1, 3)),
    "huge sizes": lambda: _image_request(change=_shape(1, _HUGE, _HUGE, 3)),
    "huge sizes and none": lambda: _image_request(change=_shape(0, _HUGE, _HUGE, 3)),
    "no rank": lambda: _image_request(change=lambda tensor: setattr(tensor.tensor_shape, "unknown_rank", True)),
    "another dtype": lambda: _image_request(images=np.zeros([1, 8, 8, 3], np.float32)),
    "a dtype that is none": lambda: _image_request(change=lambda tensor: setattr(tensor, "dtype", 9999)),
    "strings for numbers": lambda: _image_request(images=_FILE),
    "numbers for strings": lambda: _image_request("encoded"),
    "one file for millions": lambda: _image_request("encoded", _shape(16_000_000), _FILE),
    "no file for millions": lambda: _image_request(
        "encoded", lambda t: (t.ClearField("string_val"), _shape(10**7)(t)), _FILE
    ),
    "values out of range": lambda: _image_request(change=_shape(1, 1, 1, 3, int_val=[300, -1, 2**31 - 1])),
    "millions of values for three": lambda: _image_request(change=_shape(1, 1, 1, 3, int_val=[1] * 10**7)),
    "30 MB of values, one by one": lambda: _image_request(change=_shape(1, 3200, 3200, 3, int_val=[1] * 30_720_000)),
    "100 MB of pixels": lambda: _image_request(images=np.zeros([1, 5900, 5900, 3], np.uint8)),
    "100 MB of a file": lambda: _image_request("encoded", images=np.array([b"\xff\xd8\xff" + bytes(_BULK)], object)),
    "100 MB of 64 files": lambda: _image_request("encoded", images=np.array([bytes(_BULK // 64)] * 64, object)),
    "a name of 100 MB": lambda: _called("x" * _BULK),
}


@contextlib.contextmanager
def _connections(address: str) -> Iterator[None]:
    """Holds connections that say nothing, or begin a request each and do not send it."""
    host, _, port = address.rpartition(":")
    held = []
    try:
        for n in range(_IDLE):
            held.append(socket.create_connection((host, int(port)), timeout=_WAIT))
            if n % 2:
                held[-1].sendall(_PREFACE + _frame(4))
        for _ in range(_SILENT):
            held.append(socket.create_connection((host, int(port)), timeout=_WAIT))
            held[-1].sendall(_PREFACE + _frame(4) + _frame(1, _headers(address), flags=4, stream=1))
        yield
    finally:
        for each in held:
            each.close()


def _frame(kind: int, content: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """A frame of HTTP/2."""
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content


def _headers(address: str) -> bytes:
    """The headers of a request, each written out."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": _METHOD,
        ":authority": address,
        "te": "trailers",
        "content-type": "application/grpc",
    }
    texts = ((name.encode(), value.encode()) for name, value in fields.items())
    return b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in texts)


def hostile(
    address: str, requests: dict[str, bytes], until: float, number: int
) -> tuple[dict[str, collections.Counter[str]], list[str]]:
    """Sends one request after the other that must be refused, beginning with that of a number, until a time."""
    counters, wrong, kinds = collections.defaultdict(collections.Counter), [], list(requests)
    with grpc.insecure_channel(address) as channel:
        while time.monotonic() < until:
            kind = kinds[number % len(kinds)]
            found, text = refusal(channel, requests[kind])
            counters[kind][found] += 1
            if found == faults.WRONG:
                wrong.append(f"{kind}: {text}")
            number += 1
    return dict(counters), wrong


def refusal(channel: grpc.Channel, request: bytes) -> faults.Outcome:
    """Sends a request; it must be refused with a message."""
    try:
        channel.unary_unary(_METHOD)(request, timeout=_SLOW)
    except grpc.RpcError as error:
        if error.code() in _REFUSALS and error.details():
            return faults.Outcome(faults.REFUSED)
        return faults.Outcome(faults.WRONG, f"{error.code()}: {str(error.details())[:500]}")
    return faults.Outcome(faults.WRONG, "it was answered")


def sound(
    address: str, until: float, expected: np.ndarray, images: np.ndarray
) -> tuple[collections.Counter, list[str]]:
    """Asks every second what must be answered rightly, until a time."""
    counter, wrong, client = collections.Counter(), [], Client(address, measured.MODEL, timeout_s=_WAIT)
    while (begun := time.monotonic()) < until:
        try:
            found = client.predict(_SIGNATURE, images=images)["labels"]
            right = np.allclose(found, expected, atol=1e-5)
            text = "" if right else "another answer"
        except grpc.RpcError as error:
            right, text = False, f"{error.code()}: {error.details()}"
        counter[faults.RIGHT if right else faults.WRONG] += 1
        if not right:
            wrong.append(f"a sound request: {text}")
        time.sleep(max(0.0, begun + 1 - time.monotonic()))
    client.close()
    return counter, wrong


def attacked(address: str, process, seconds: float, expected: np.ndarray, images: np.ndarray):
    """Counters and texts of the sound requests, the hostile ones and the memory of a server."""
    counters, wrong = collections.defaultdict(collections.Counter), []
    requests = {kind: make().SerializeToString() for kind, make in REQUESTS.items()}  # once, for that takes long
    sound(address, time.monotonic() + 3, expected, images)
    before, until = measured.resident_mib(process), time.monotonic() + seconds
    with _connections(address), concurrent.futures.ThreadPoolExecutor() as pool:
        asked = pool.submit(sound, address, until, expected, images)
        for each in [pool.submit(hostile, address, requests, until, 5 * n) for n in range(_STRANGERS)]:
            found, texts = each.result()
            wrong += texts
            for kind, counter in found.items():
                counters[kind] += counter
        counters["sound requests meanwhile"], texts = asked.result()
        wrong += texts
        time.sleep(_SETTLES)
        after = measured.resident_mib(process)
    kind = faults.RIGHT if after <= MOST_GROWTH * before else faults.WRONG
    counters[f"memory: {before} MiB before, {after} after"][kind] += 1
    if kind == faults.WRONG or process.poll() is not None:
        wrong.append(
            f"the server had {before} MiB and has {after}, and is {'alive' if process.poll() is None else 'gone'}"
        )
    return dict(counters), wrong


def measure(count: int, seed: int) -> tuple[dict[str, collections.Counter[str]], list[str]]:
    """Lets strangers at a server for `count` seconds; see `benchmarks.faults`. Nothing is drawn by chance."""
    images = np.random.default_rng(seed).integers(0, 256, [1, files.SIDE, files.SIDE, 3], np.uint8)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        files.draw(folder)
        with disk.undrawn():
            version = files.train(folder, folder / "run").export(folder / "served")
        expected = (
            tf.saved_model.load(str(version)).signatures[_SIGNATURE](images=tf.constant(images))["labels"].numpy()
        )
        with measured.started(folder / "served") as (address, process):
            return attacked(address, process, count, expected, images)
