"""Requests that no client should send: damaged files, files made to fill the memory, tensors of other kinds."""

import io
import struct
import zlib

import grpc
import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import predict_pb2

MAY_BE_SOUND = ("truncated", "bits flipped", "bits of the header flipped", "bytes inserted")


def requests(files, model, *, count, seed=0):
    """Draws bad requests.

    Args:
      files: list of bytes, sound JPEG or PNG files.
      model: its name.
      count: how many.
      seed: an int; the same one draws the same requests.

    Returns:
      A list of (kind of mutation, `PredictRequest`, file or None): where a file is sent to `encoded`, that file.
    """
    random = np.random.default_rng(seed)
    drawn = []
    for n in range(count):
        kind = list(_KINDS)[n % len(_KINDS)]
        made = _KINDS[kind](files[random.integers(len(files))], random)
        drawn.append((kind, _encoded(made, model), made) if isinstance(made, bytes) else (kind, made(model), None))
    return drawn


def damaged(file, random):
    """Damages a picture file in one of the ways that may leave it sound, drawn by chance."""
    return _KINDS[MAY_BE_SOUND[random.integers(len(MAY_BE_SOUND))]](file, random)


def _truncated(file, random):
    return file[: random.integers(len(file))]


def _bits_flipped(file, random):
    content = bytearray(file)
    for _ in range(random.integers(1, 9)):
        content[random.integers(len(content))] ^= 1 << random.integers(8)
    return bytes(content)


def _header_flipped(file, random):
    content = bytearray(file)
    content[random.integers(min(len(content), 40))] ^= 1 << random.integers(8)
    return bytes(content)


def _bytes_inserted(file, random):
    place = random.integers(len(file))
    return file[:place] + random.bytes(random.integers(1, 64)) + file[place:]


def _noise(file, random):
    return file[:8] + random.bytes(random.integers(1, 4096))


def _png_bomb(file, random):
    """A sound PNG of a thousandth of the bytes of its pixels."""
    side = int(random.integers(6_000, 60_000))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(2**22))
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    written = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def _jpeg_bomb(file, random):
    """A JPEG that claims to be large, or has scan after scan."""
    content = io.BytesIO()
    Image.new("L", (64, 64), 99).save(content, "JPEG", progressive=True)
    file = content.getvalue()
    if random.integers(2):
        last = file[file.rindex(b"\xff\xda") : -2]
        return file[:-2] + last * int(random.integers(100, 5000)) + file[-2:]
    start = file.index(b"\xff\xc2") + 5  # the frame's header: marker, length, precision, height, width
    return file[:start] + struct.pack(">HH", *random.integers(6_000, 65_000, 2)) + file[start + 4 :]


def _gif_bomb(file, random):
    """A GIF of one pixel whose frame is larger."""
    content = io.BytesIO()
    Image.new("L", (2000, 2000)).save(content, "GIF")
    written = bytearray(content.getvalue())
    written[6:10] = struct.pack("<HH", 1, 1)
    return bytes(written)


def _other_dtype(file, random):
    dtype = (np.float64, np.int32, np.int8, np.bool_, np.float16)[random.integers(5)]
    return lambda model: request(model, "landmarks", images=np.zeros([1, 8, 8, 3], dtype))


def _other_rank(file, random):
    shape = [(8, 8, 3), (8,), (), (1, 1, 8, 8, 3), (1, 8, 8, 4), (1, 8, 8, 1)][random.integers(6)]
    return lambda model: request(model, "landmarks", images=np.zeros(shape, np.uint8))


def _no_pixels(file, random):
    shape = [(0, 8, 8, 3), (1, 0, 8, 3), (1, 8, 0, 3)][random.integers(3)]
    return lambda model: request(model, "landmarks", images=np.zeros(shape, np.uint8))


def _many_pictures(file, random):
    count = int(random.integers(65, 2000))
    return lambda model: request(model, "encoded", images=np.array([file] * count, object))


def _claimed_shape(file, random):
    """A tensor that is a single value, said to fill a shape of gigabytes; or whose content is too short."""

    def make(model):
        made = request(model, "landmarks", images=np.zeros([1, 1, 1, 3], np.uint8))
        tensor = made.inputs["images"]
        for dimension, size in zip(tensor.tensor_shape.dim, (1, 100_000, 100_000, 3)):
            dimension.size = size
        if random.integers(2):
            tensor.tensor_content = b""
            tensor.int_val.append(1)
        return made

    return make


def _other_names(file, random):
    name, inputs = [("nonsense", ["images"]), ("landmarks", ["pictures"]), ("match", ["image_a"]), ("encoded", [])][
        random.integers(4)
    ]
    return lambda model: request(model, name, **{key: np.zeros([1, 8, 8, 3], np.uint8) for key in inputs})


_KINDS = {
    "truncated": _truncated,
    "bits flipped": _bits_flipped,
    "bits of the header flipped": _header_flipped,
    "bytes inserted": _bytes_inserted,
    "noise": _noise,
    "PNG bomb": _png_bomb,
    "JPEG bomb": _jpeg_bomb,
    "GIF bomb": _gif_bomb,
    "another dtype": _other_dtype,
    "another rank": _other_rank,
    "no pixels": _no_pixels,
    "too many pictures": _many_pictures,
    "a shape that is not there": _claimed_shape,
    "other names": _other_names,
}


def request(model, signature, **inputs):
    """Returns the `PredictRequest` of a signature of a model."""
    made = predict_pb2.PredictRequest()
    made.model_spec.name, made.model_spec.signature_name = model, signature
    for name, value in inputs.items():
        made.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return made


def refusal(client, request):
    """Sends a `PredictRequest`; returns the message that it failed with, or None."""
    try:
        client.send(request)
    except grpc.RpcError as error:
        refused = error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
        if not (refused and error.details()):
            raise
        return error.details()
    return None


def _encoded(file, model):
    return request(model, "encoded", images=np.array([file], object))
