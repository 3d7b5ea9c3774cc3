import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dense_labels.exporting import decoding_graph
from input_pipeline.storage import decoding

SIZE = (7, 9)  # height, width
MOST = 64


@pytest.fixture(scope="module")
def decode():
    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)  # as a served model does
    def decoded(file):
        return decoding_graph.decode(file, max_pixels=MOST)

    return lambda file: decoded(tf.constant(file)).numpy()


def written(kind, image, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(mode="RGB", size=SIZE):
    values = np.random.default_rng(0).integers(0, 256, [*size, len(Image.new(mode, (1, 1)).getbands())], np.uint8)
    return Image.fromarray(values.squeeze(), mode)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_are_those_of_the_picture(decode, kind, mode):
    image = picture(mode)
    np.testing.assert_array_equal(decode(written(kind, image)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_seen_on_white(decode, mode):
    image = picture(mode)
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    found = decode(written("PNG", image)).astype(int)
    assert np.abs(found - np.asarray(white.convert("RGB"))).max() <= 1  # the two round differently


def test_a_bmp_may_be_stored_from_the_top(decode):
    image = picture()
    file = bytearray(written("BMP", image))
    file[22:26] = struct.pack("<i", -SIZE[0])
    np.testing.assert_array_equal(decode(bytes(file)), np.asarray(image)[::-1])


def with_size(kind, height, width):
    """A file of a few bytes whose header claims a size."""
    if kind == "PNG":
        header = b"IHDR" + struct.pack(">II", width, height) + b"\x08\x02\0\0\0"
        return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    if kind == "BMP":
        return b"BM" + b"\0" * 8 + struct.pack("<IIii", 54, 40, width, height) + b"\x01\0\x18\0"
    file = bytearray(written("JPEG", picture()))
    start = file.index(b"\xff\xc0") + 5
    file[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(file)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
@pytest.mark.parametrize("size", [(5, 13), (13, 5), (60000, 60000)])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(decode, kind, size):
    """With that refusal out of the way, all of these fail for another reason: nothing lies behind the header."""
    message = rf"a picture must have at most 64 pixels; found the size\] \[{size[0]} {size[1]}\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode(with_size(kind, *size))


@pytest.mark.parametrize("kind, height, width", [("PNG", 2**31 - 1, 2**32 - 1), ("BMP", -(2**31), 2**31 - 1)])
def test_sizes_whose_product_no_integer_holds_are_refused(decode, kind, height, width):
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"at most 64 pixels.*\[{abs(height)} {width}\]"):
        decode(with_size(kind, height, width))


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
@pytest.mark.parametrize("height, width", [(0, 9), (9, 0)])
def test_a_picture_without_pixels_is_refused(decode, kind, height, width):
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have at least one row and column"):
        decode(with_size(kind, height, width))


def test_as_many_pixels_as_allowed_are_decoded(decode):
    assert decode(written("PNG", picture(size=(8, 8)))).shape == (8, 8, 3)


@pytest.mark.parametrize(
    "file",
    [b"", b"B", b"no picture", b"\x89PNG", written("GIF", picture()), written("WEBP", picture())],
    ids=["empty", "a byte", "text", "cut", "GIF", "WebP"],
)
def test_what_is_no_picture_of_a_known_kind_is_refused(decode, file):
    with pytest.raises(tf.errors.InvalidArgumentError, match="it must be a JPEG, PNG or BMP file"):
        decode(file)


@pytest.mark.parametrize("kind, mode", [("JPEG", "RGB"), ("PNG", "RGB"), ("BMP", "RGB"), ("BMP", "P")])
def test_a_file_that_ends_early_is_refused_wherever_it_ends(decode, kind, mode):
    """And the message, which a server must send, is text: it shows no bytes of the file."""
    file = written(kind, picture().convert(mode))
    for length in range(3 if kind == "JPEG" else 8, len(file) * 3 // 4, 7 if mode == "RGB" else 17):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(file[:length])


def test_a_png_whose_size_comes_late_is_refused(decode):
    """A decoder that passes over a chunk it does not know would find another size than is read here."""
    file = written("PNG", picture())
    chunk = b"abCd" + b"\0" * 13
    late = file[:8] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + file[8:]
    with pytest.raises(tf.errors.InvalidArgumentError, match="a damaged PNG: IHDR is not first"):
        decode(late)


def test_a_jpeg_of_a_thousand_scans_is_refused(decode):
    file = written("JPEG", picture(), progressive=True)
    assert decode(file).shape == (*SIZE, 3)
    last = file[file.rindex(b"\xff\xda") : -2]
    count = file.count(b"\xff\xda") + 1000
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"a JPEG must have at most 64 scans; found\] \[?{count}"):
        decode(file[:-2] + last * 1000 + file[-2:])
    assert decoding_graph.MOST_SCANS == decoding.MOST_SCANS  # for trainings read the same files
