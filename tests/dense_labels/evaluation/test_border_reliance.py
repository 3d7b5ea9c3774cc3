"""Tests of how far labels lean on the frame: on networks that are known to lean or not."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.config import ModelConfig
from dense_labels.evaluation import border_reliance
from models.networks import simple

STRIDE, HEIGHT, WIDTH = 2, 40, 48
_Y, _X = (np.float32((at + 0.5) / 60) for at in np.mgrid[:HEIGHT, :WIDTH])
PLACES = np.stack([_X, _Y, np.sqrt(1 - 0.5 * (_X**2 + _Y**2))], axis=-1)[np.newaxis]  # each colour is of one place


def on_sphere(places):
    """Labels [..., 3] of places [..., 2] in [0, 1]: unit vectors, so that each is most like itself."""
    return np.concatenate([places, np.sqrt(2 - np.sum(places**2, axis=-1, keepdims=True))], axis=-1) / np.sqrt(2)


def by_content(images):
    cells = tf.nn.avg_pool2d(images, STRIDE, STRIDE, "VALID").numpy()
    return on_sphere(cells[..., :2])


def by_place(images):
    rows, columns = np.mgrid[: images.shape[1] // STRIDE, : images.shape[2] // STRIDE]
    return np.repeat(on_sphere(np.float32(np.stack([columns, rows], axis=-1)) / 60)[np.newaxis], len(images), axis=0)


def test_labels_of_what_is_seen_do_not_lean():
    found = border_reliance.measure(by_content, PLACES, stride=STRIDE)
    assert found == {"shifted_error_px": 0.0, "border_reliance_percent": 0.0}


def test_labels_of_the_place_in_the_window_lean_all_the_way():
    found = border_reliance.measure(by_place, PLACES, stride=STRIDE, shift=0.1)
    assert found["border_reliance_percent"] == pytest.approx(100)
    assert found["shifted_error_px"] == pytest.approx(4 * np.sqrt(2) * 70 / WIDTH)


def test_labels_at_random_are_half_way():
    random = np.random.default_rng(0)

    def network(images):
        return random.normal(size=[len(images), images.shape[1] // 2, images.shape[2] // 2, 8]).astype(np.float32)

    found = border_reliance.measure(network, PLACES.repeat(20, axis=0), stride=STRIDE)
    assert found["border_reliance_percent"] == pytest.approx(50, abs=10) and found["shifted_error_px"] > 10


def test_a_network_is_right_wherever_it_does_not_see_the_border():
    """SIMPLE sees 26 pixels: 13 on each side of a cell."""
    network = simple.Simple.create(ModelConfig(label_size=8))
    images = np.random.default_rng(0).uniform(size=[2, 130, 140, 3]).astype(np.float32)

    def unit_labels(seen):
        return tf.math.l2_normalize(network(seen), axis=-1)

    found = border_reliance.measure(unit_labels, images, stride=2, shift=0.05)
    assert found == {"shifted_error_px": 0.0, "border_reliance_percent": 0.0}


@pytest.mark.parametrize("cosine", [False, True])
def test_sides_need_not_be_multiples_of_the_stride(cosine):
    images = PLACES[:, :39, :45]
    found = border_reliance.measure(
        lambda seen: np.pad(by_content(seen), [(0, 0)] * 3 + [(0, int(cosine))], constant_values=0.05),
        images,
        stride=STRIDE,
        cosine=cosine,
    )
    assert found["shifted_error_px"] == 0


def test_a_plain_background_does_not_count_where_the_object_is_known():
    """No cell of it can be told from another, so that all are matched into the first."""
    masks = np.zeros([1, HEIGHT, WIDTH])
    masks[:, 10:30, 14:34] = 1
    images = np.where(masks[..., np.newaxis] > 0, PLACES, np.float32(0.99))
    anywhere = border_reliance.measure(by_content, images, stride=STRIDE)
    assert anywhere["border_reliance_percent"] > 5
    found = border_reliance.measure(by_content, images, masks, stride=STRIDE)
    assert found == {"shifted_error_px": 0.0, "border_reliance_percent": 0.0}
    assert border_reliance.measure(by_content, images, 0 * masks, stride=STRIDE) == {}


@pytest.mark.parametrize("images", [PLACES[:0], PLACES[:, :6, :6]])
def test_without_cells_well_inside_nothing_is_measured(images):
    assert border_reliance.measure(by_content, images, stride=STRIDE, shift=0.5) == {}


def test_a_window_without_such_cells_is_not_labelled():
    """A network with large cells may refuse windows so small."""

    def refuse(images):
        raise AssertionError(f"asked for labels of {images.shape}")

    assert border_reliance.measure(refuse, PLACES[:, :20, :40], stride=16) == {}


def test_the_figures_are_a_sentence():
    assert border_reliance.summary({}) == ""
    said = border_reliance.summary({"shifted_error_px": 2.345, "border_reliance_percent": 31.2})
    assert "2.35 px off" in said and "31 %" in said
    assert border_reliance.is_figure("border_reliance_percent") and not border_reliance.is_figure("cycle_median_px")
