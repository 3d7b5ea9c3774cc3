"""Tests of the benchmark of framing: networks that are known to lean on the frame or not."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.batches import LandmarkBatch
from tests import flagless

framing = flagless.benchmark("framing")
STRIDE, SIDE = 2, 40
POINTS = np.float32([[[15, 17], [21, 25]], [[19, 17], [25, 25]], [[15, 21], [21, 29]]])  # moved with the picture


def pictures():
    """Three views of one object, moved by 4 pixels; the colour of a pixel is its place on the object."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) + 0.5
    images = [np.stack([x - dx, y - dy, np.zeros_like(x)], axis=-1) / 50 for dx, dy in ((0, 0), (4, 0), (0, 4))]
    ones = np.ones([3, 2], np.float32)
    return LandmarkBatch(np.stack(images), POINTS, ones, ones, ones[:, 0], np.arange(3))


def on_sphere(places):
    """Labels of places [..., 2]: unit vectors, so that each is most like itself."""
    return np.concatenate([places, np.sqrt(2 - np.sum(places**2, axis=-1, keepdims=True))], axis=-1) / np.sqrt(2)


def by_content(images):
    return on_sphere(tf.nn.avg_pool2d(images, STRIDE, STRIDE, "VALID").numpy()[..., :2])


def by_place(images):
    rows, columns = np.mgrid[: images.shape[1] // STRIDE, : images.shape[2] // STRIDE]
    return np.repeat(on_sphere(np.float32(np.stack([columns, rows], axis=-1)) / 60)[np.newaxis], len(images), axis=0)


def test_labels_of_what_is_seen_do_not_mind_how_it_is_framed():
    found = framing.match(by_content, pictures(), stride=STRIDE, shift=0.15)
    assert found == {"framed_alike_px": 0, "framed_apart_px": 0, "framed_landmarks": 12}


def test_labels_of_the_place_in_the_frame_are_off_by_how_the_frames_differ():
    shown = pictures()
    found = framing.match(by_place, shown._replace(landmarks=POINTS[:1].repeat(3, axis=0)), stride=STRIDE, shift=0.15)
    assert found["framed_alike_px"] == 0 and found["framed_landmarks"] == 12
    assert found["framed_apart_px"] == pytest.approx(6 * np.sqrt(2) * 70 / SIDE)


def test_boxes_of_one_picture_are_not_matched():
    found = framing.match(by_content, pictures(), stride=STRIDE, shift=0.15, pictures=np.array([0, 1, 0]))
    assert found["framed_landmarks"] == 8


def test_landmarks_outside_a_window_are_left_out():
    shown = pictures()
    shown.annotated[0, 0] = 0
    outside = shown.landmarks.copy()
    outside[1:, 1] = 39
    found = framing.match(by_content, shown._replace(landmarks=outside), stride=STRIDE, shift=0.15)
    assert found["framed_landmarks"] == 2  # the first one, between the second and the third picture
