"""Tests of the pictures of errors: what is drawn is what was planted."""

import numpy as np
import pytest
import tensorflow as tf
from matplotlib import colormaps

from dense_labels.method import geometry
from dense_labels.pictures import error_panels, gallery
from dense_labels.pictures.sheet import LINE, MARGIN

STRIDE, ROWS, COLUMNS = 2, 10, 15
WIDTH, HEIGHT, GAP = 180, 120, 8  # of a tile: images of 30 x 20 pixels are drawn six times as large


def planted():
    """Labels of A, each alone in its direction, and of B, which shows A two pixels further right; the truth."""
    labels = np.random.default_rng(0).normal(size=[1, ROWS, COLUMNS, 16]).astype(np.float32)
    labels *= 12 / np.linalg.norm(labels, axis=-1, keepdims=True)
    centres = geometry.cell_centres(ROWS, COLUMNS, STRIDE).numpy()[np.newaxis]
    visible = np.ones([1, ROWS, COLUMNS])
    visible[:, :, -1] = 0  # these leave B
    return labels, np.roll(labels, 1, axis=2), centres + [2.0, 0.0], visible


@pytest.mark.parametrize("rows", [error_panels._ROWS, 40])
def test_a_match_is_off_by_its_distance_from_the_truth(rows, monkeypatch):
    monkeypatch.setattr(error_panels, "_ROWS", rows)
    labels_a, labels_b, truth, visible = planted()
    places, probability, errors = error_panels.match_errors(labels_a, labels_b, truth, STRIDE)
    np.testing.assert_allclose(places[visible > 0], truth[visible > 0])
    np.testing.assert_allclose(errors[visible > 0], 0)
    assert probability.shape == errors.shape and 0.99 < probability.min() <= probability.max() <= 1
    _, _, errors = error_panels.match_errors(labels_a, labels_b, truth + [3.0, -4.0], STRIDE)
    np.testing.assert_allclose(errors[visible > 0], 5, rtol=1e-6)


def test_matches_panel_draws_a_from_the_pixels_of_b_and_hides_what_b_does_not_show():
    _, _, places, visible = planted()
    image_b = np.random.default_rng(1).uniform(size=[1, 20, 30, 3]).astype(np.float32)
    errors = np.zeros([1, ROWS, COLUMNS])
    errors[0, 3, 4], errors[0, 5, 6] = 99, 1  # of 20 pixels a tenth is far
    picture = error_panels.matches_panel(np.ones_like(image_b), image_b, places, errors, visible, stride=STRIDE)
    lefts = MARGIN + (WIDTH + GAP) * np.arange(4)
    tiles = [picture[MARGIN + LINE :][:HEIGHT, left : left + WIDTH] for left in lefts]
    colours = [tile[6::12, 6::12] for tile in tiles]  # at the centre of each cell
    between = image_b[0].reshape(10, 2, 15, 2, 3).mean(axis=(1, 3))  # the centre of a cell lies between four pixels
    np.testing.assert_allclose(colours[2][:, :-1], 255 * between[:, 1:], atol=1.1)
    np.testing.assert_allclose(colours[2][:, -1], 127.5, atol=0.6)
    wanted = 255 * colormaps["cividis"](np.array([0, 0.5, 1.0]))[:, :3]
    found = [colours[3][0, 0], colours[3][5, 6], colours[3][3, 4]]
    np.testing.assert_allclose(found, wanted, atol=1.6)
    np.testing.assert_allclose(colours[3][:, -1], 127.5, atol=0.6)


def test_the_pair_whose_matches_are_furthest_off_is_drawn_first(monkeypatch):
    labels_a, labels_b, truth, visible = planted()
    drawn = {}

    def panel(images_a, images_b, places, errors, visible, *, stride):
        drawn.update(images=images_a[:, 0, 0, 0], errors=errors, visible=visible)
        return "panel"

    monkeypatch.setattr(error_panels, "matches_panel", panel)
    offsets = np.reshape([1.0, 4.0, 0.0, 2.0], [4, 1, 1, 1])
    examples = {
        "image_a": np.tile(np.reshape(np.arange(4.0), [4, 1, 1, 1]), [1, 20, 30, 3]),
        "image_b": np.full([4, 20, 30, 3], 9.0),
        "points_in_b": truth + offsets * [1.0, 0.0],
        "visible": np.tile(visible, [4, 1, 1]),
    }
    examples["points_in_b"][2, :, -1] = np.nan  # where nothing is visible there may be anything

    def network(images):
        return np.tile(labels_b if images[0, 0, 0, 0] == 9 else labels_a, [4, 1, 1, 1])

    pictures, (correct, probability) = gallery.match_pictures(network, examples, STRIDE, shown=3)
    assert pictures.keys() == {"match_errors", "precision_recall"} and pictures["match_errors"] == "panel"
    np.testing.assert_array_equal(drawn["images"], [1, 3, 0])
    np.testing.assert_allclose(drawn["errors"][:, 0, 0], [4, 2, 1])
    # A tenth of the shorter side is 2 pixels: what is less off is correct, and what is hidden does not count.
    np.testing.assert_array_equal(correct.reshape([4, -1]).all(axis=1), [True, False, True, False])
    assert len(correct) == len(probability) == 4 * visible.sum() and correct.sum() == 2 * visible.sum()


def test_precision_and_recall_lie_where_the_order_of_the_probabilities_puts_them():
    probability = np.linspace(1, 0, 1000)
    correct = np.where(np.arange(1000) < 400, True, np.arange(1000) % 2 == 0)  # the 400 surest, and half of the others
    picture = error_panels.precision_recall_panel(correct, probability).astype(int)
    across, down = error_panels._PLOT
    plot = picture[MARGIN:, 60:][:down, :across].max(axis=-1)
    for recall in (0.3, 0.75, 0.9):  # of 700 correct ones
        kept = 700 * recall if 700 * recall < 400 else 400 + 2 * (700 * recall - 400)
        dark = np.flatnonzero(plot[5:-5, round(recall * across)] < 60) + 5
        highest = down * (1 - 700 * recall / kept / 1.1)  # the dotted line of all is lower
        assert abs(dark[dark < highest + 5].mean() - highest) < 1.5


def test_landmarks_of_the_worst_images_are_drawn_on_their_own_pictures(monkeypatch):
    drawn = {}

    def panel(images, predicted, true, annotated):
        drawn.update(images=images[:, 0, 0, 0], predicted=predicted, true=true, annotated=annotated)
        return "panel"

    monkeypatch.setattr(gallery.visualization, "landmarks_panel", panel)
    monkeypatch.setattr(error_panels, "curves_panel", lambda curves: curves)
    images = np.tile(np.reshape(np.arange(5.0), [5, 1, 1, 1]), [1, 4, 4, 3])
    batches = [{"image": tf.constant(images[part])} for part in (slice(0, 2), slice(2, 4), slice(4, 5))]
    points = np.arange(5.0)[:, np.newaxis, np.newaxis] * np.ones([5, 2, 2])
    points[3, 1] = np.nan  # a landmark that was not fitted
    maps = {"landmarks": points + 1, "annotated": np.ones([5, 2])}
    pictures = gallery.error_pictures(batches, points, maps, np.array([3, 0, 4]), "curves")
    assert pictures == {"worst_landmarks": "panel", "curves": "curves"}
    np.testing.assert_array_equal(drawn["images"], [3, 0, 4])
    np.testing.assert_array_equal(drawn["true"][:, 0, 0], [4, 1, 5])
    np.testing.assert_array_equal(drawn["annotated"], [[1, 0], [1, 1], [1, 1]])


def test_curves_lie_where_their_shares_say():
    limits = np.linspace(0, 10, 11)
    curves = {"percent": limits, "first": {"cumulative": limits / 10, "pck": np.full(11, 0.25)}}
    picture = error_panels.curves_panel(curves).astype(int)
    across, down = error_panels._PLOT
    rising, flat = (picture[MARGIN:, left:][:down, :across].max(axis=-1) for left in (60, 60 + across + 70))
    inside = np.s_[5:-5]  # without the frame
    for share in (0.15, 0.35, 0.55):  # between the lines of the grid
        for plot, height in ((rising, share), (flat, 0.25)):
            dark = np.flatnonzero(plot[inside, round(share * across)] < 60)
            assert abs(dark.mean() + 5.5 - down * (1 - height)) < 1.5


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: error_panels.curves_panel({"percent": [0.0, 1.0]}), "there is no curve to draw"),
        (lambda: error_panels.precision_recall_panel([], []), r"correct must be \[any\]; found shape \(0,\)"),
        (
            lambda: error_panels.curves_panel({"percent": [0.0, 1.0], "a": {"cumulative": [1.0], "pck": [1.0, 1.0]}}),
            r"a must be \[2\]; found shape \(1,\)",
        ),
        (
            lambda: error_panels.matches_panel(
                np.ones([1, 4, 4, 3]), np.ones([1, 4, 4, 3]), np.ones([1, 2, 2, 2]), np.ones([1, 2, 3]), 0, stride=2
            ),
            r"errors must be \[1, 2, 2\]; found shape \(1, 2, 3\)",
        ),
    ],
)
def test_errors_say_what_was_given_and_what_is_needed(call, message):
    with pytest.raises(ValueError, match=message):
        call()
