"""Tests of the picture of errors of matches: what is drawn is what was planted."""

import dataclasses

import numpy as np
import pytest
from matplotlib import colormaps

from dense_labels.batches import PairBatch
from dense_labels.method import geometry
from dense_labels.pictures import gallery, matches
from dense_labels.pictures.sheet import LINE
from tests.dense_labels.pictures import planted
from tests.dense_labels.pictures.planted import label_map

STRIDE, ROWS, COLUMNS = 2, 10, 15


def planted_pair():
    """Labels of A, each alone in its direction, and of B, which shows A two pixels further right; the truth."""
    labels = planted.distinct_labels(1, ROWS, COLUMNS)
    centres = geometry.cell_centres(ROWS, COLUMNS, STRIDE).numpy()[np.newaxis]
    visible = np.ones([1, ROWS, COLUMNS], bool)
    visible[:, :, -1] = False  # these leave B
    return labels, label_map(np.roll(labels.values, 1, axis=2)), centres + [2.0, 0.0], visible


def tile_of(picture, column, size=(180, 120)):
    return planted.tile_of(picture, 0, column, size, under=LINE)


@pytest.mark.parametrize("rows", [matches._ROWS, 40])
def test_a_match_is_off_by_its_distance_from_the_truth(rows, monkeypatch):
    monkeypatch.setattr(matches, "_ROWS", rows)
    labels_a, labels_b, truth, visible = planted_pair()
    places, probability, errors, seen = matches.measure_matches(labels_a, labels_b, truth, visible)
    np.testing.assert_allclose(places[visible], truth[visible])
    np.testing.assert_allclose(errors[visible], 0)
    np.testing.assert_array_equal(seen, visible)
    assert probability.shape == errors.shape
    assert 0.99 < probability.min() <= probability.max() <= 1
    off = matches.measure_matches(labels_a, labels_b, truth - [3.0, 4.0], visible)
    np.testing.assert_allclose(off.errors[off.visible], 5, rtol=1e-6)
    np.testing.assert_array_equal(off.visible, visible)
    beyond = matches.measure_matches(labels_a, labels_b, truth + [1.5, 0.0], visible)  # of column 13: no cell is there
    np.testing.assert_array_equal(beyond.visible, visible & (np.arange(COLUMNS) < 13))


def test_a_is_drawn_from_the_pixels_of_b_and_what_b_does_not_show_is_hidden():
    _, _, places, visible = planted_pair()
    image_b = planted.RNG(1).uniform(size=[1, 20, 30, 3]).astype(np.float32)
    errors = np.zeros([1, ROWS, COLUMNS])
    errors[0, 3, 4], errors[0, 5, 6] = 99, 1  # of 20 pixels a tenth is far
    found = matches.MatchErrors(places, errors, errors, visible)
    picture = matches.match_errors_panel(np.ones_like(image_b), image_b, found, stride=STRIDE)
    colours = [tile_of(picture, column)[6::12, 6::12] for column in range(4)]  # at the centre of each cell
    between = image_b[0].reshape(10, 2, 15, 2, 3).mean(axis=(1, 3))  # the centre of a cell lies between four pixels
    np.testing.assert_allclose(colours[2][:, :-1], 255 * between[:, 1:], atol=1.1)
    np.testing.assert_allclose(colours[2][:, -1], 127.5, atol=0.6)
    wanted = 255 * colormaps["cividis"](np.array([0, 0.5, 1.0]))[:, :3]
    shown = [colours[3][0, 0], colours[3][5, 6], colours[3][3, 4]]
    np.testing.assert_allclose(shown, wanted, atol=1.6)
    np.testing.assert_allclose(colours[3][:, -1], 127.5, atol=0.6)


@pytest.mark.parametrize("stride", planted.ODD_STRIDES)
def test_an_error_is_drawn_over_the_pixels_of_its_cell_where_sides_are_no_multiple_of_the_stride(stride):
    rows, columns = (side // stride for side in planted.ODD)
    images, visible = np.zeros([1, *planted.ODD, 3]), np.ones([1, rows, columns], bool)
    images[:, :, 100:] = [1.0, 0.0, 0.0]
    places, errors = np.zeros([1, rows, columns, 2]), np.zeros([1, rows, columns])
    cell = rows - 1, columns - 1
    places[0][cell], errors[0][cell] = [110.0, 40.0], 99  # in the red part
    found = matches.MatchErrors(places, errors, errors, visible)
    picture = matches.match_errors_panel(images, images, found, stride=stride)
    redrawn, off = (tile_of(picture, column, (236, 180)) for column in (2, 3))
    corners = planted.corners_of(cell, stride, 2)
    np.testing.assert_array_equal(redrawn[corners], [[255, 0, 0]] * 4)
    np.testing.assert_allclose(off[corners], [255 * np.array(colormaps["cividis"](1.0)[:3])] * 4, atol=1.6)
    red = (redrawn == [255, 0, 0]).all(axis=-1)
    assert red.sum() == (2 * stride) ** 2
    for tile in (redrawn, off):
        assert (tile[2 * rows * stride :] == 255).all() and (tile[:, 2 * columns * stride :] == 255).all()


def test_the_pair_whose_matches_are_furthest_off_is_drawn_first(monkeypatch):
    labels_a, labels_b, truth, visible = planted_pair()
    drawn = {}

    def panel(images_a, images_b, found, *, stride):
        drawn.update(images=images_a[:, 0, 0, 0], errors=found.errors, visible=found.visible)
        return "panel"

    monkeypatch.setattr(matches, "match_errors_panel", panel)
    offsets = np.reshape([1.0, 4.0, 0.0, 2.0], [4, 1, 1, 1])
    images = np.tile(np.reshape(np.arange(4.0), [4, 1, 1, 1]), [1, 20, 30, 3])
    pairs = PairBatch(images, np.full_like(images, 9.0), truth - offsets * [1.0, 0.0], np.tile(visible, [4, 1, 1]))
    pairs.points_in_b[2, :, -1] = np.nan  # where nothing is visible there may be anything

    def network(images):
        return np.tile((labels_b if images[0, 0, 0, 0] == 9 else labels_a).values, [4, 1, 1, 1])

    material = gallery.label_pairs(network, pairs, STRIDE, has_confidence=False)
    assert matches.draw_match_errors(material) == "panel"
    np.testing.assert_array_equal(drawn["images"], [1, 3, 0])
    np.testing.assert_allclose(drawn["errors"][:, 0, 0], [4, 2, 1])
    # A tenth of the shorter side is 2 pixels: what is less off is correct, and what is hidden does not count.
    correct, probability = material.pair_matches
    np.testing.assert_array_equal(correct.reshape([4, -1]).all(axis=1), [True, False, True, False])
    assert len(correct) == len(probability) == 4 * visible.sum() and correct.sum() == 2 * visible.sum()
    # The same where they are compared beside others, which are shown elsewhere.
    others = gallery.label_pairs(lambda images: images[:, ::2, ::2], planted.pairs(1), STRIDE, has_confidence=False)
    compared = {"compared": material.pairs, "compared_a": material.labels_a, "compared_b": material.labels_b}
    both = dataclasses.replace(others, **compared)
    np.testing.assert_array_equal(both.pair_matches, material.pair_matches)
    nothing = pairs._replace(visible=np.zeros_like(pairs.visible))
    assert gallery.label_pairs(network, nothing, STRIDE, has_confidence=False).pair_matches is None


@pytest.mark.parametrize(
    "cells, stride, message",
    [
        ((2, 3), 2, r"errors must be \[1, 2, 2\]; found shape \(1, 2, 3\)"),
        ((2, 2), 1, "places: images of 4 x 4 have 4 x 4 cells of 1 pixels; found 2 x 2"),
    ],
)
def test_errors_say_what_was_given_and_what_is_needed(cells, stride, message):
    errors = np.ones([1, *cells])
    found = matches.MatchErrors(np.ones([1, 2, 2, 2]), errors, errors, np.ones([1, 2, 2]))
    with pytest.raises(ValueError, match=message):
        matches.match_errors_panel(np.ones([1, 4, 4, 3]), np.ones([1, 4, 4, 3]), found, stride=stride)
