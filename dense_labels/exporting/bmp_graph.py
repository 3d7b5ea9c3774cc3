"""BMP files -> pixels inside a graph, of the kinds that are usual.

`tf.io.decode_bmp` reads the rows, but takes the index of a colour for a grey, and a byte that means nothing for alpha.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from dense_labels.exporting import viewing_graph

_FIELDS = 10, 60  # where the numbers of a header begin that are read here, and their bytes
_SIZES = (40, 52, 56, 64, 108, 124)  # of headers; in older ones numbers have two bytes
_WITH_ALPHA = 56  # size of the first header with a mask of alpha
_PLAIN, _MASKS = 0, 3  # compressions
_BGR, _ALPHA = (0xFF0000, 0xFF00, 0xFF), -0x1000000  # masks
DO = "save it as a PNG or JPEG of 8 bits, or send its RGB pixels to a signature that takes pixels"


class _Header(NamedTuple):
    """What the header of a BMP file says, each an int32 [] but `masks`."""

    start: tf.Tensor  # of the pixels in the file
    length: tf.Tensor  # of the header
    width: tf.Tensor
    height: tf.Tensor  # below 0 where the rows are stored from the top
    bits: tf.Tensor  # of a pixel
    compression: tf.Tensor
    colours: tf.Tensor  # in the palette; 0 for as many as the bits allow
    masks: tf.Tensor  # int32 [4], of red, green, blue and alpha


def size(file: tf.Tensor) -> tf.Tensor:
    """Reads the int64 [2], height and width, of a BMP file, string [].

    Raises:
      tf.errors.InvalidArgumentError: if its pixels have not 8, 24 or 32 bits, are compressed or in another order than
        usual.
    """
    header = _header(file)
    plain = (header.compression == _PLAIN) & tf.reduce_any(header.bits == [8, 24, 32])
    usual = tf.reduce_all(header.masks[:3] == _BGR)
    usual &= (header.length < _WITH_ALPHA) | tf.reduce_any(header.masks[3] == [0, _ALPHA])
    known = plain | ((header.compression == _MASKS) & (header.bits == 32) & usual)
    says = f"a BMP must have 8, 24 or 32 bits a pixel, without compression, in the usual order; {DO}. Its header says"
    shown = tf.stack(header[:-1])
    with tf.control_dependencies([tf.debugging.Assert(known & tf.reduce_any(header.length == _SIZES), [says, shown])]):
        return tf.abs(tf.cast([header.height, header.width], tf.int64))


def decode(file: tf.Tensor) -> tf.Tensor:
    """Decodes a BMP file whose size has been checked.

    Args:
      file: string [], its content.

    Returns:
      uint8 [H, W, 3], RGB, on white.

    Raises:
      tf.errors.InvalidArgumentError: if it is damaged.
    """
    header = _header(file)
    has_alpha = (header.compression == _MASKS) & (header.length >= _WITH_ALPHA) & (header.masks[3] == _ALPHA)
    palette = tf.where(header.bits == 8, 4 * _colours(header), 0)
    after = header.start >= 14 + header.length + palette
    with tf.control_dependencies([tf.debugging.Assert(after, ["a damaged BMP: its pixels begin within its header"])]):
        pixels = tf.io.decode_bmp(tf.identity(file))
    meaningless = tf.cast(tf.where(has_alpha, [0, 0, 0, 0], [0, 0, 0, 255]), tf.uint8)
    return tf.switch_case(
        header.bits // 16,
        [
            lambda: tf.gather(_palette(file, header), tf.cast(pixels[..., 0], tf.int32)),
            lambda: pixels,
            lambda: viewing_graph.on_white(tf.bitwise.bitwise_or(pixels, meaningless)),
        ],
    )


def _header(file):
    """What is beyond the end of the file is 0."""
    start, size = _FIELDS
    content = tf.strings.substr(tf.strings.substr(file, 0, start + size) + b"\0" * (start + size), start, size)
    fields = tf.ensure_shape(tf.io.decode_raw(content, tf.int32), [size // 4])
    start, length, width, height, depth, compression, _, _, _, colours, _ = tf.unstack(fields[:11])
    return _Header(start, length, width, height, depth // 2**16, compression, colours, fields[11:])


def _colours(header):
    return tf.where((header.colours > 0) & (header.colours < 256), header.colours, 256)


def _palette(file, header):
    """uint8 [256, 3], RGB; black where there are fewer colours."""
    colours = _colours(header)
    place = tf.minimum(14 + header.length, tf.strings.length(file))
    content = tf.strings.substr(file, place, 4 * colours)  # blue, green, red and a byte for each
    palette = tf.reshape(tf.io.decode_raw(content, tf.uint8), [-1, 4])[:, 2::-1]
    return tf.pad(palette, [[0, 256 - tf.shape(palette)[0]], [0, 0]])
