"""Picture files -> pixels inside a graph, for files that anybody may send.

A few bytes can claim a picture that fills the memory, so its size is read from the file's header, and refused, before
anything is decoded. Two kinds of file get around any header, and are refused for what they are:

- A GIF's frames have sizes of their own, of which its header says nothing.
- A progressive JPEG of 100 kB can hold a thousand scans, each of which is a pass over all pixels.
"""

from __future__ import annotations

import tensorflow as tf

MOST_SCANS = 64  # encoders write about ten
_HEADER = 30  # bytes
_JPEG, _PNG, _BMP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM"  # as `tf.io.decode_image` tells them apart
_START_OF_SCAN = b"\xff\xda"  # within the data of a scan, 0xff is followed by 0


def decode(file: tf.Tensor, *, max_pixels: int) -> tf.Tensor:
    """Decodes a JPEG, PNG or BMP file as it is stored, on white: the EXIF orientation of a JPEG is not applied.

    Args:
      file: string [], the content of the file.
      max_pixels: the most pixels a picture may have, an int.

    Returns:
      uint8 [H, W, 3], RGB.

    Raises:
      tf.errors.InvalidArgumentError: if the file is of another kind, damaged, or has too many pixels.
    """
    header = tf.strings.substr(file, 0, _HEADER)
    is_jpeg, is_png, is_bmp = (_starts_with(header, magic) for magic in (_JPEG, _PNG, _BMP))
    known = tf.debugging.Assert(is_jpeg | is_png | is_bmp, ["not a picture: it must be a JPEG, PNG or BMP file"])
    with tf.control_dependencies([known]):
        size = tf.case(
            [(is_jpeg, lambda: _jpeg_size(file)), (is_png, lambda: _png_size(header))],
            default=lambda: _bmp_size(header),
        )
    with tf.control_dependencies(check_size(size, max_pixels=max_pixels)):
        return _on_white(tf.io.decode_image(tf.identity(file), expand_animations=False))


def check_size(size: tf.Tensor, *, max_pixels: int) -> list[tf.Operation]:
    """Refuses pictures without pixels and with too many.

    Args:
      size: integers [2], height and width.
      max_pixels: the most pixels a picture may have, an int.

    Returns:
      A list of operations that the use of the pictures must depend on.
    """
    size = tf.cast(size, tf.int64)
    some = tf.debugging.Assert(
        tf.reduce_all(size > 0), ["a picture must have at least one row and column; found the size", size]
    )
    # Divided, for the product of two numbers from a header may be beyond any integer.
    few = tf.debugging.Assert(
        size[0] <= max_pixels // tf.maximum(size[1], 1),
        [f"a picture must have at most {max_pixels} pixels; found the size", size],
    )
    return [some, few]


def _starts_with(header, magic):
    return tf.strings.substr(header, 0, len(magic)) == magic


def _jpeg_size(file):
    scans = tf.strings.split([file], _START_OF_SCAN).row_lengths()[0] - 1
    few = tf.debugging.Assert(scans <= MOST_SCANS, [f"a JPEG must have at most {MOST_SCANS} scans; found", scans])
    with tf.control_dependencies([few]):
        return tf.cast(tf.io.extract_jpeg_shape(tf.identity(file))[:2], tf.int64)


def _png_size(header):
    """Height and width; the chunk that holds them must be the first, for decoders look for it further down."""
    content = _bytes(header)
    first = tf.debugging.Assert(tf.reduce_all(content[12:16] == list(b"IHDR")), ["a damaged PNG: IHDR is not first"])
    with tf.control_dependencies([first]):
        return tf.reduce_sum(tf.reshape(content[16:24], [2, 4]) * [2**24, 2**16, 2**8, 1], axis=1)[::-1]


def _bmp_size(header):
    """Height and width; rows are stored from the top where the height is below 0."""
    unsigned = tf.reduce_sum(tf.reshape(_bytes(header)[18:26], [2, 4]) * [1, 2**8, 2**16, 2**24], axis=1)[::-1]
    return tf.abs(tf.where(unsigned < 2**31, unsigned, unsigned - 2**32))


def _bytes(header):
    """The header as int64 [30], filled up with zeros where the file ends before."""
    filled = tf.strings.substr(header + b"\0" * _HEADER, 0, _HEADER)
    return tf.cast(tf.ensure_shape(tf.io.decode_raw(filled, tf.uint8), [_HEADER]), tf.int64)


def _on_white(picture):
    """uint8 [H, W, 1 to 4], grey or RGB, without or with alpha -> uint8 [H, W, 3]."""
    channels = tf.shape(picture)[2]
    opaque = tf.cond(channels % 2 > 0, lambda: picture, lambda: _blend(picture[..., :-1], picture[..., -1:]))
    return tf.cond(channels > 2, lambda: opaque, lambda: tf.repeat(opaque, 3, axis=2))


def _blend(colour, alpha):
    colour, alpha = tf.cast(colour, tf.uint16), tf.cast(alpha, tf.uint16)  # half of what floats would take
    return tf.cast((colour * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)
