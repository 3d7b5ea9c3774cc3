"""Tests of what the client makes of a file before it asks."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

from serving import client


def encoded(pixels, **options):
    return tf.io.encode_png(pixels, **options).numpy()


def test_a_file_that_is_sent_is_drawn_as_the_model_sees_it():
    """On white where it is transparent, the high bits of 16, and not turned upright."""
    clear, opaque = np.full([2, 3, 4], 7, np.uint8), np.full([2, 3, 4], 255, np.uint8)
    clear[..., 3], opaque[..., :3] = 0, 100
    np.testing.assert_array_equal(client._stored_pixels(encoded(clear)), np.full([2, 3, 3], 255))
    np.testing.assert_array_equal(client._stored_pixels(encoded(opaque)), np.full([2, 3, 3], 100))
    deep = np.full([2, 3, 1], 200 * 257, np.uint16)
    np.testing.assert_array_equal(client._stored_pixels(encoded(deep)), np.full([2, 3, 3], 200))
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(turned, "jpeg", exif=exif)
    assert client._stored_pixels(turned.getvalue()).shape == (10, 20, 3)


def test_what_is_no_picture_is_left_to_the_server_to_refuse():
    assert client._stored_pixels(b"no picture").shape == (1, 1, 3)
