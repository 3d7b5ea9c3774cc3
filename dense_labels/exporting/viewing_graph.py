"""What a viewer does with pixels, inside a graph: shows them on white, and turns them upright as EXIF data say."""

from __future__ import annotations

import tensorflow as tf

MOST_SEGMENTS = 2000  # of a JPEG before its pixels; cameras write about ten
_PREFIX = b"Exif\0\0"
_EXIF, _SCAN, _FILLING = b"\xff\xe1", b"\xff\xda", b"\xff\xff"  # markers of a JPEG
_LITTLE, _BIG = b"II*\0", b"MM\0*"  # begin EXIF data: the lowest byte of a number comes first, or the highest
_ENTRY = 12  # bytes of a tag, the type and number of its values, and the value
_REST = 2**30  # bytes, of which a string of TensorFlow's has fewer
_ORIENTATION = 0x0112
_SHORTS, _LONGS = (3, 8), (4, 9)  # types of two and four bytes
_REVERSED = [[o in (3, 4, 7, 8), o in (2, 3, 6, 7)] for o in range(9)]  # whether the rows, the columns


def on_white(picture: tf.Tensor) -> tf.Tensor:
    """Shows a picture, uint8 [H, W, 4], RGB and alpha, on white; returns uint8 [H, W, 3]."""
    colour, alpha = picture[..., :3], picture[..., 3:]
    return tf.cond(tf.reduce_all(alpha == 255), lambda: colour, lambda: _blend(colour, alpha))


def _blend(colour, alpha):
    colour, alpha = tf.cast(colour, tf.uint16), tf.cast(alpha, tf.uint16)  # half of what floats would take
    return tf.cast((colour * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


def turn(picture: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns a picture upright.

    Args:
      picture: [H, W, C], as it is stored.
      orientation: int32 [], as EXIF has it: 1 to 8, 1 for upright.

    Returns:
      [H, W, C], or [W, H, C] from orientation 5 on.
    """
    turned = tf.transpose(picture, tf.where(orientation < 5, [0, 1, 2], [1, 0, 2]))
    return tf.reverse(turned, tf.where(tf.gather(_REVERSED, orientation))[:, 0])


def of_jpeg(file: tf.Tensor) -> tf.Tensor:
    """Reads the orientation of a JPEG file: of the EXIF segments before its pixels.

    Args:
      file: string [], the content of the file.

    Returns:
      int32 []; 1 where it says none.

    Raises:
      tf.errors.InvalidArgumentError: if other bytes lie between the segments, or there are very many segments.
    """
    size = tf.strings.length(file)

    def is_segment(place, _):
        marker = tf.strings.substr(file, tf.minimum(place, size), 2)
        return (place + 4 <= size) & (marker != _SCAN) & (tf.strings.substr(marker, 0, 1) == b"\xff")

    def step(place, exif):
        marker = tf.strings.substr(file, place, 2)
        length = tf.io.decode_raw(tf.strings.substr(file, place + 2, 2), tf.uint16, little_endian=False)
        content = tf.strings.substr(file, place + 4, tf.cast(length[0], tf.int32) - 2)
        is_exif = (marker == _EXIF) & (tf.strings.substr(content, 0, len(_PREFIX)) == _PREFIX)
        found = tf.strings.substr(tf.where(is_exif, content, _PREFIX), len(_PREFIX), _REST)
        return place + tf.where(marker == _FILLING, 1, tf.cast(length[0], tf.int32) + 2), exif + found

    place, exif = tf.while_loop(is_segment, step, (2, tf.constant(b"")), maximum_iterations=MOST_SEGMENTS)
    reached = tf.strings.substr(file, tf.minimum(place, size), 2) == _SCAN
    message = f"a damaged JPEG: its pixels must follow at most {MOST_SEGMENTS} segments, and nothing else"
    with tf.control_dependencies([tf.debugging.Assert(reached, [message])]):
        return _of_exif(tf.identity(exif))


def of_png(file: tf.Tensor) -> tf.Tensor:
    """Reads the orientation of a PNG file: of its last eXIf chunk, before its pixels or after.

    Args:
      file: string [], the content of the file.

    Returns:
      int32 []; 1 where it says none.
    """
    # Chunks are found by name, not one after the other: of a large file there are thousands.
    parts = tf.strings.split([file], b"eXIf").values[1:]
    parts = tf.where(tf.strings.substr(parts, 0, len(_PREFIX)) == _PREFIX, parts, _PREFIX + parts)
    found = tf.strings.substr(parts, len(_PREFIX), _REST)
    header = tf.strings.substr(found, 0, 4)
    return _of_exif(tf.strings.reduce_join(found[(header == _LITTLE) | (header == _BIG)][-1:]))


def _of_exif(exif):
    """The orientation in EXIF data, string []; 1 where there are none, or they are damaged."""
    header = tf.strings.substr(exif, 0, 4)
    exif += b"\0" * _ENTRY  # whatever is read below is there

    def numbers(start, count, dtype):
        content = tf.strings.substr(exif, start, count)
        first, last = (tf.io.decode_raw(content, dtype, little_endian=little) for little in (True, False))
        return tf.cast(tf.where(header == _LITTLE, first, last), tf.int32)

    size = tf.strings.length(exif)
    start = tf.clip_by_value(numbers(4, 4, tf.int32)[0], 0, size - 2)
    count = tf.minimum(numbers(start, 2, tf.uint16)[0], (size - start - 2) // _ENTRY)
    tag, kind, *times, low, high = tf.unstack(
        tf.reshape(numbers(start + 2, count * _ENTRY, tf.uint16), [-1, _ENTRY // 2]), axis=1
    )
    # Of a small number in four bytes, either half is 0.
    is_long = tf.reduce_any(kind[:, tf.newaxis] == _LONGS, axis=1)
    is_known = is_long | tf.reduce_any(kind[:, tf.newaxis] == _SHORTS, axis=1)
    value = low + tf.where(is_long, high, 0)
    value = tf.reduce_sum(value[(tag == _ORIENTATION) & (tf.add_n(times) == 1) & is_known][-1:])
    known = ((header == _LITTLE) | (header == _BIG)) & (value >= 1) & (value <= 8)
    return tf.where(known, value, 1)
