"""Tests of the matches that return: on labels whose matches are known."""

import numpy as np
import pytest

from dense_labels.evaluation import cycle_consistency

STRIDE, CELLS, SIDE = 2, 12, 24
ALL = np.ones([3, SIDE, SIDE], np.float32)


def object_frame(shift):
    """Labels [h, w, L] of an object that lies `shift` columns further right: unit vectors, one for each place on it."""
    places = np.arange(CELLS * CELLS).reshape(CELLS, CELLS)
    return np.eye(CELLS * CELLS, dtype=np.float32)[np.roll(places, shift, axis=1)]


def measure(labels, masks=ALL, **options):
    return cycle_consistency.measure(np.stack(labels), masks, stride=STRIDE, **options)


def test_labels_of_one_object_wherever_it_lies_bring_every_cell_back():
    found = measure([object_frame(shift) for shift in (0, 3, 7)])
    assert found == {"cycle_median_px": 0.0, "cycle_within_percent": 100.0, "cycle_pictures": 3}


def test_distances_are_in_pixels_of_an_image_70_wide():
    """Cells come back one column further right, where labels are longer; but for those of the last."""
    first, second = object_frame(0), object_frame(0)
    second[:, :-1] += 0.9 * first[:, 1:]
    first *= 1.2 ** np.arange(CELLS, dtype=np.float32)[:, np.newaxis]
    found = measure([first, second], ALL[:2])
    assert found["cycle_median_px"] == pytest.approx(STRIDE * 70 / SIDE)
    assert found["cycle_within_percent"] == pytest.approx(100 / CELLS)


def test_an_image_may_be_higher_than_wide(monkeypatch):
    """Its distances are by its width, and cells of each image start on the object of that image."""
    first, second = object_frame(0), object_frame(0)
    second[:, :-1] += 0.9 * first[:, 1:]
    first *= 1.2 ** np.arange(CELLS, dtype=np.float32)[:, np.newaxis]
    first, second = first[:, :6], second[:, :6]
    found = measure([first, second], ALL[:2, :, :12])
    assert found["cycle_median_px"] == pytest.approx(STRIDE * 70 / 12)
    masks = np.zeros([2, SIDE, 12], np.float32)
    masks[0, :12], masks[1, 12:] = 1, 1
    first, second = object_frame(0)[:, :6], object_frame(0)[:, :6]
    second[6:] = 0  # of the second object nothing is found again, of the first all
    assert measure([first, second], masks)["cycle_within_percent"] == 50


def test_cells_are_tried_all_over_an_image_that_has_many():
    places = cycle_consistency._starts(np.ones([64, 64]), (32, 32), STRIDE)
    assert len(places) == 200 and len(np.unique(places, axis=0)) == 200
    assert (np.ptp(places, axis=0) > 56).all() and abs(places.mean(axis=0) - 32).max() < 2


def test_labels_of_different_pictures_that_have_nothing_in_common_do_not_return():
    random = np.random.default_rng(0)
    found = measure(random.normal(size=[3, CELLS, CELLS, 8]).astype(np.float32))
    assert found["cycle_median_px"] > 10 and found["cycle_within_percent"] < 50


def test_cells_start_on_the_object_alone():
    labels = [object_frame(0), object_frame(3)]
    for frame in labels:
        frame[:, :6] = 0  # where the object is not, labels match anything
    masks = np.zeros([2, SIDE, SIDE], np.float32)
    assert measure(labels, masks) == {}
    masks[:, :, 18:] = 1
    assert measure(labels, masks)["cycle_within_percent"] > measure(labels, ALL[:2])["cycle_within_percent"]


def test_unit_descriptors_are_compared_by_direction():
    longer = [
        object_frame(0),
        object_frame(3) * np.linspace(0.1, 9, CELLS, dtype=np.float32)[:, np.newaxis, np.newaxis],
    ]
    parts = [np.concatenate([frame, np.full([*frame.shape[:2], 1], 0.05, np.float32)], axis=-1) for frame in longer]
    assert measure(parts, ALL[:2], cosine=True)["cycle_within_percent"] == 100


def test_sides_need_not_be_multiples_of_the_stride():
    labels = np.random.default_rng(0).normal(size=[1, 17, 20, 9]).repeat(2, axis=0)
    labels = np.float32(labels / np.linalg.norm(labels, axis=-1, keepdims=True))
    found = cycle_consistency.measure(labels, np.ones([2, 33, 39]), stride=STRIDE)
    assert found == {"cycle_median_px": 0.0, "cycle_within_percent": 100.0, "cycle_pictures": 2}


def test_one_image_returns_through_no_other():
    assert measure([object_frame(0)], ALL[:1]) == {}


def test_images_of_one_picture_are_not_matched_into_one_another():
    other = np.zeros_like(object_frame(0))  # in which nothing is found again
    labels = [object_frame(0), object_frame(3), other]
    found = measure(labels, pictures=np.array([0, 0, 1]))
    assert found["cycle_pictures"] == 2 and found["cycle_within_percent"] < 50
    assert measure(labels, pictures=np.array([0, 1, 0]))["cycle_within_percent"] > found["cycle_within_percent"]
    assert measure(labels, pictures=np.zeros(3, int)) == {}


def test_the_figures_are_a_sentence():
    assert cycle_consistency.summary({}) == ""
    figures = {"cycle_median_px": 2.345, "cycle_within_percent": 71.2}
    assert "another of 20 pictures and back, 71 %" in cycle_consistency.summary({**figures, "cycle_pictures": 20.0})
    said = cycle_consistency.summary(figures)
    assert "71 % of the points" in said and "2.35" in said
    assert cycle_consistency.is_figure("cycle_median_px") and not cycle_consistency.is_figure("nearest_error_percent")
