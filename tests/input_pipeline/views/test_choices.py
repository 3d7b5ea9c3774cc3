"""Tests of warps and changes of colour that are chosen by name, also of those that the package knows nothing of."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dense_labels.config import Config
from dense_labels.method import geometry
from dense_labels.registry import COLOURS, WARPS
from input_pipeline import pipeline
from input_pipeline.views import view_maps

SIZE = (24, 32)


def shift(seed, size, *, stride, crop, strength, views):
    """A warp in a few lines: view A is the picture, view B what lies 4 strength pixels to the right of it."""
    count, (height, width) = tf.shape(seed)[0], size

    def at_cells(stride):
        cells = geometry.cell_centres(height // stride, width // stride, stride)
        return tf.repeat(cells[tf.newaxis], count, axis=0)

    offset = tf.constant([4.0 * strength, 0.0])

    def locate(points):
        everywhere = tf.ones_like(points[..., 0], tf.bool)
        return view_maps.Located(points, points - offset, everywhere, everywhere)

    return view_maps.ViewMaps(at_cells(1), at_cells(1) + offset, at_cells(stride) - offset, locate)


@pytest.fixture
def outside(monkeypatch):
    """A warp and a change of colour that are registered from outside, for one test."""
    monkeypatch.setattr(WARPS, "_entries", dict(WARPS._entries if len(WARPS) else {}))
    monkeypatch.setattr(COLOURS, "_entries", dict(COLOURS._entries if len(COLOURS) else {}))
    WARPS.register("shift", "a shift to the right")(shift)
    COLOURS.register("dark", "half as bright")(lambda images, seeds, views: images / 2)


def test_a_warp_and_a_change_of_colour_from_outside_make_pairs(outside, tmp_path):
    rng = np.random.default_rng(0)
    for n in range(2):
        Image.fromarray(rng.integers(0, 255, (*SIZE, 3), np.uint8)).save(tmp_path / f"{n}.png")
    (tmp_path / "points.csv").write_text("file,x0,y0\n0.png,10,12\n1.png,2,5\n")
    config = Config()
    config.data.name, config.data.dir, config.data.annotations = "csv", str(tmp_path), str(tmp_path / "points.csv")
    config.data.size, config.data.cache_dir = SIZE, str(tmp_path / "cache")
    config.views.warp, config.views.colour = "shift", "dark"
    source = pipeline.prepare(config)
    (pair,) = pipeline.training_pairs(source, stride=4, batch_size=2, seed=0).take(1)
    np.testing.assert_allclose(pair.image_b[:, :, :-4], pair.image_a[:, :, 4:], atol=1e-6)
    assert 0.4 < np.max(pair.image_a) <= 0.5
    np.testing.assert_allclose(pair.points_in_b[0, 2, 3], [14 - 4, 10])
    np.testing.assert_array_equal(pair.visible[0, 0], [0, 1, 1, 1, 1, 1, 1, 1])

    (mild,) = pipeline.annotated_pairs(source, "annotated", stride=4, batch_size=2)  # at half strength
    np.testing.assert_allclose(mild.landmarks_b - mild.landmarks_a, [[[-2, 0]], [[-2, 0]]])
    np.testing.assert_array_equal(mild.landmarks_visible_b[:, 0], [1, 1])
    assert np.max(mild.pairs.image_a) > 0.9  # in the picture's own colours


def test_affine_maps_that_could_shrink_to_nothing_are_refused():
    config = Config()
    config.views.strength = 4.0
    with pytest.raises(ValueError, match="config.views.strength=4.0: must be below 4 for config.views.warp='affine'"):
        WARPS["affine"].check(config)
    config.views.strength = 3.9
    WARPS["affine"].check(config)
