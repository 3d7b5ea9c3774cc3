"""Picture files -> pixels inside a graph, for files that anybody may send.

A file means the same here as in `input_pipeline.storage.decoding`, which reads pictures for training: upright, and on
white where it is transparent. What cannot be read so is refused.

A few bytes can claim a picture that fills the memory, so its size is read from the file's header, and refused, before
anything is decoded. Two kinds of file get around any header, and are refused for what they are:

- A GIF's frames have sizes of their own, of which its header says nothing.
- A progressive JPEG of 100 kB can hold a thousand scans, each of which is a pass over all pixels.
"""

from __future__ import annotations

import tensorflow as tf

from dense_labels.exporting import bmp_graph, viewing_graph
from dense_labels.exporting.bmp_graph import DO

MOST_SCANS = 64  # as in `input_pipeline.storage.decoding`; encoders write about ten
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM")  # begins a JPEG, PNG and BMP
_ADOBE = b"\xff\xee\0\x0eAdobe"
_PNG_HEADER = 26  # bytes
_SCANS = [b"\xff\xda\0" + bytes([6 + 2 * colours, colours]) for colours in (1, 2, 3, 4)]  # what begins one


def decode(file: tf.Tensor, *, max_pixels: int) -> tf.Tensor:
    """Decodes a JPEG, PNG or BMP file as a viewer shows it: upright, on white.

    Args:
      file: string [], the content of the file.
      max_pixels: the most pixels a picture may have, an int.

    Returns:
      uint8 [H, W, 3], RGB.

    Raises:
      tf.errors.InvalidArgumentError: if the file is of another kind, damaged, or has too many pixels.
    """
    kind = tf.where(tf.stack([_starts_with(file, magic) for magic in MAGIC]))  # [1, 1], or [0, 1] where it is none
    with tf.control_dependencies(
        [tf.debugging.Assert(tf.size(kind) > 0, [f"not a picture: it must be a JPEG, PNG or BMP file; {DO}"])]
    ):
        kind = tf.cast(kind[0, 0], tf.int32)
    size = tf.switch_case(kind, [lambda: _jpeg_size(file), lambda: _png_size(file), lambda: bmp_graph.size(file)])
    with tf.control_dependencies(check_size(size, max_pixels=max_pixels)):
        file = tf.identity(file)
    return tf.switch_case(kind, [lambda: _jpeg(file), lambda: _png(file), lambda: bmp_graph.decode(file)])


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


def _jpeg(file):
    # As exact as Pillow decodes; TensorFlow's usual way is off by up to six. Inks and grey become RGB.
    picture = tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE")
    return viewing_graph.turn(picture, viewing_graph.of_jpeg(file))


def _png(file):
    # Asked for alpha, the decoder also reads a colour that is said to be transparent. Where there is no alpha at all,
    # it must not be asked: of pixels of less than a byte it would give a wrong one.
    before = tf.strings.split([file], b"IDAT").values[:1]
    has_key = tf.strings.split(before, b"tRNS").row_lengths()[0] > 1
    has_alpha = tf.reduce_any(tf.strings.substr(_png_header(file), 25, 1) == [b"\4", b"\6"])  # colour types
    picture = tf.cond(
        has_key | has_alpha,
        lambda: viewing_graph.on_white(tf.io.decode_png(file, channels=4)),
        lambda: tf.io.decode_png(file, channels=3),
    )
    return viewing_graph.turn(picture, viewing_graph.of_png(file))


def _starts_with(file, magic):
    return tf.strings.substr(file, 0, len(magic)) == magic


def _jpeg_size(file):
    scans = tf.add_n([tf.strings.split([file], begins).row_lengths()[0] - 1 for begins in _SCANS])
    few = tf.debugging.Assert(scans <= MOST_SCANS, [f"a JPEG must have at most {MOST_SCANS} scans; found", scans])
    with tf.control_dependencies([few]):
        shape = tf.io.extract_jpeg_shape(tf.identity(file))
    inks = (shape[2] == 4) & (tf.strings.split([file], _ADOBE).row_lengths()[0] == 1)
    message = f"a JPEG of inks must be Adobe's, for others do not say which value means no ink; {DO}"
    with tf.control_dependencies([tf.debugging.Assert(~inks, [message])]):
        return tf.cast(shape[:2], tf.int64)


def _png_size(file):
    """Height and width; the chunk that holds them must be the first, for decoders look for it further down."""
    header = _png_header(file)
    first = tf.debugging.Assert(tf.strings.substr(header, 12, 4) == b"IHDR", ["a damaged PNG: IHDR is not first"])
    with tf.control_dependencies([first]):
        size = tf.io.decode_raw(tf.strings.substr(header, 16, 8), tf.int32, little_endian=False)
    return tf.cast(tf.bitcast(size, tf.uint32), tf.int64)[::-1]


def _png_header(file):
    """Zeros where the file ends before: an error of `substr` would show the bytes of the file."""
    return tf.strings.substr(file, 0, _PNG_HEADER) + b"\0" * _PNG_HEADER
