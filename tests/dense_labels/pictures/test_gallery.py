"""Tests of the gallery: every registered picture is drawn where there is what it needs, from labels made once."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dense_labels.batches import PairBatch
from dense_labels.pictures import gallery, sheet
from dense_labels.registry import PICTURES
from dense_labels.reporting import page_text
from tests.dense_labels.pictures import planted

LABELS = {"labels", "sphere", "hemispheres", "transfer", "match_errors", "precision_recall"}
CONFIDENCE = {"confidence", "matches", "trust"}


@pytest.fixture
def registered(monkeypatch):
    """The registry, whose entries of this test go with it."""
    assert "labels" in PICTURES  # loads what is there
    monkeypatch.setattr(PICTURES, "_entries", dict(PICTURES))
    return PICTURES


@pytest.fixture
def blank(registered, monkeypatch):
    """The registry, every picture of which is a pixel: it is quick to draw."""
    for name, entry in PICTURES._entries.items():
        pixel = dataclasses.replace(entry, value=lambda _: np.zeros([1, 1, 3], np.uint8))
        monkeypatch.setitem(PICTURES._entries, name, pixel)
    return PICTURES


@pytest.mark.parametrize("stride", planted.ODD_STRIDES)
def test_everything_is_drawn_where_sides_are_no_multiple_of_the_stride(stride, capsys, monkeypatch):
    """Each is laid out; that takes half of the time, and turning it into pixels is left to its own tests."""
    monkeypatch.setattr(sheet, "render", lambda figure: np.full([1, 1, 3], len(figure.axes), np.uint8))
    pictures = gallery.draw(planted.material(planted.ODD, stride, count=1))
    assert capsys.readouterr().out == ""
    assert list(pictures) == [entry.name for entry in gallery.in_order()]
    assert all(picture.any() for picture in pictures.values())


def test_the_views_of_a_training_are_each_labelled_once(blank):
    labelled = []

    def network(images):
        labelled.append(images)
        return planted.colours(2)(images)

    pairs = PairBatch(*map(tf.constant, planted.pairs()))
    material = gallery.label_pairs(network, pairs, 2, has_confidence=True)
    assert set(gallery.draw(material, only_learned=True)) == LABELS | CONFIDENCE
    assert material.pair_matches is material.pair_matches and material.nearest is material.nearest
    np.testing.assert_array_equal(labelled, [pairs.image_a, pairs.image_b])
    assert material.labels_a.stride == 2 and isinstance(material.pairs.image_a, np.ndarray)


def test_a_picture_is_drawn_where_there_is_what_it_needs(blank):
    material = planted.material()
    alone = gallery.Material(material.pairs, material.stride)
    assert set(gallery.draw(alone)) == {"pairs"} and not gallery.draw(alone, only_learned=True)
    labelled = dataclasses.replace(alone, labels_a=material.labels_a, labels_b=material.labels_b)
    assert set(gallery.draw(labelled)) == LABELS | {"pairs"}
    assert set(gallery.draw(dataclasses.replace(labelled, has_confidence=True))) == LABELS | CONFIDENCE | {"pairs"}
    for field, name in (("curves", "curves"), ("worst", "worst_landmarks"), ("many", "mean_object")):
        assert name in gallery.draw(dataclasses.replace(alone, **{field: getattr(material, field)}))
    assert "curves" not in gallery.draw(dataclasses.replace(alone, curves={}))


def test_heat_maps_are_taken_for_no_labels(blank):
    pairs = planted.pairs()
    material = gallery.label_pairs(planted.colours(2), pairs, 2, has_confidence=False, compares_labels=False)
    assert set(gallery.draw(material, only_learned=True)) == {"own_landmarks"} and material.pair_matches is None
    np.testing.assert_array_equal(material.heat_maps_b.values, planted.colours(2)(pairs.image_b))


def test_labels_of_two_numbers_have_no_sphere():
    material = planted.material()
    flat = dataclasses.replace(material, labels_a=planted.label_map(material.labels_a.values[..., :2]))
    assert PICTURES["hemispheres"].value(flat) is None and PICTURES["sphere"].value(flat) is not None


def test_a_picture_from_outside_is_one_function(registered, tmp_path):
    caption = "How long labels are, as shades of grey <dark to light>."

    @registered.register("lengths", caption, title="Lengths & more", needs=("labels_a",), place=15)
    def draw_lengths(material):
        lengths = np.linalg.norm(material.labels_a.values[0], axis=-1, keepdims=True)
        return np.uint8(255 * lengths / lengths.max()).repeat(3, axis=-1)

    material = planted.material()
    for name in set(registered) - {"lengths", "curves"}:
        del registered._entries[name]
    pictures = gallery.draw(material)
    assert list(pictures) == ["lengths", "curves"] and pictures["lengths"].shape == (10, 15, 3)
    for name in ("labels", "of_mine"):  # of an earlier evaluation; of nobody we know
        (tmp_path / f"{name}.png").write_bytes(b"earlier")
    registered.register("labels", "Not drawn this time.", needs=("worst",))(draw_lengths)
    gallery.save(tmp_path, pictures)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["curves.png", "lengths.png", "of_mine.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "lengths.png")), pictures["lengths"])
    assert (tmp_path / "curves.png").is_file()
    html = page_text.panels({"unknown_one": "data:,u", "curves": "data:,c", "lengths": "data:,l"})
    assert "<h3>Lengths &amp; more</h3>" in html and "shades of grey &lt;dark to light&gt;." in html
    assert html.index("data:,l") < html.index("data:,c") < html.index("data:,u")
    assert "<h3>Unknown one</h3>" in html


def test_a_picture_that_cannot_be_drawn_is_a_warning(blank, capsys):
    @blank.register("broken", "It breaks.", title="Broken", needs=("pairs",))
    def draw_broken(material):
        raise IndexError("of no use\nat all")

    @blank.register("mistaken", "It needs what is not.", title="Mistaken", needs=("paris",))
    def draw_mistaken(material):
        raise AssertionError("this is not called")

    pictures = gallery.draw(planted.material())
    assert "labels" in pictures and not {"broken", "mistaken"} & set(pictures)
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"warning: picture broken ({__file__}) cannot be drawn: IndexError: of no use"
    assert second.startswith(f"warning: picture mistaken ({__file__}) cannot be drawn: AttributeError: ")
    assert "paris" in second


@pytest.mark.parametrize(
    "returned, found",
    [
        (np.zeros([4, 5, 3], np.float32), "ndarray of float32 [4, 5, 3]"),
        (np.zeros([4, 5, 3], np.int64), "ndarray of int64 [4, 5, 3]"),
        (np.zeros([4, 5], np.uint8), "ndarray of uint8 [4, 5]"),
        (np.zeros([2, 4, 5, 3], np.uint8), "ndarray of uint8 [2, 4, 5, 3]"),
        (np.zeros([0, 5, 3], np.uint8), "ndarray of uint8 [0, 5, 3]"),
        ([[[1, 2, 3]]], "list of int64 [1, 1, 3]"),
    ],
)
def test_what_is_no_picture_is_a_warning_and_not_written(blank, capsys, tmp_path, returned, found):
    blank.register("of_mine", "It is no picture.", title="Of mine", needs=("pairs",))(lambda material: returned)
    pictures = gallery.draw(planted.material())
    gallery.save(tmp_path, pictures)
    assert "labels" in pictures and not (tmp_path / "of_mine.png").exists()
    [said] = capsys.readouterr().out.splitlines()
    assert said == (
        f"warning: picture of_mine ({__file__}) cannot be drawn: ValueError: it is {found}; uint8 [H, W, 3] is expected"
    )


def test_pairs_of_another_stride_than_the_networks_are_refused():
    with pytest.raises(ValueError, match="labels of 5 x 7 cells do not go with pairs sampled at 10 x 15 cells"):
        gallery.label_pairs(planted.colours(4), planted.pairs(stride=2), 2, has_confidence=False)
