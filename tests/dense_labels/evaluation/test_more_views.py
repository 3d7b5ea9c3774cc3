"""Tests of what heads are fitted to beside the annotated images."""

import types

import numpy as np
import pytest

from dense_labels.batches import LandmarkBatch
from dense_labels.config import Config
from dense_labels.evaluation import landmarks, more_views

COUNT = 8
SIDES = "mirror images, which exchange left_eye and right_eye"


VALUES = np.random.default_rng(0).random([COUNT, 2, 5, 3], np.float32)


def batches(pictures, warped):
    """Annotated images, whose labels are their pixels; the eight warped views of one are brighter by 10."""
    points = np.tile(np.float32([[1, 1], [4, 1]]), [len(pictures), 1, 1])
    rest = (np.ones([len(pictures), 2], np.float32), np.ones([len(pictures), 2]), np.ones(len(pictures)))
    batch = LandmarkBatch(VALUES[pictures] + 10 * warped, points, *rest, np.asarray(pictures))
    return [batch] * (8 if warped else 1)


@pytest.fixture
def images():
    return landmarks.label_landmarks(lambda images: images, batches(np.arange(COUNT), False), 1)


def views_of(*, flip=True, names=("left_eye", "right_eye"), warps=True, pairs=()):
    config = Config()
    config.views.flip = flip
    source = types.SimpleNamespace(landmark_names=names, flip_pairs=pairs, warps_pictures=warps)
    return more_views.MoreViews(source, config, lambda images: images, 1, batches)


@pytest.mark.parametrize(
    ("changed", "count", "words", "times"),
    [
        ({}, 8, f"warped views and {SIDES}", 2 + 16),
        ({}, 4, SIDES, 2),  # of so few warped views make heads worse
        ({"names": (), "pairs": ((0, 1),)}, 4, "mirror images, which exchange 0 and 1", 2),
        ({"warps": False}, 8, SIDES, 2),  # a video
        ({"flip": False}, 8, "warped views", 1 + 8),  # the training saw no mirror images
        ({"names": ("left_eye", "nose")}, 8, "warped views", 1 + 8),  # nobody knows the other eye
        ({"flip": False}, 4, "", 1),
    ],
)
def test_heads_see_views_of_the_pictures_they_are_fitted_to(images, changed, count, words, times):
    known, views = images.take(np.arange(COUNT)[::-1][:count]), views_of(**changed)
    adding, some = views.adding(known), known.take([2, 0])
    assert views.words(count) == words
    found = adding(some)
    assert len(found) == 2 * times and len(adding(known)) == count * times
    np.testing.assert_array_equal(found.picture[:2], some.picture)
    assert set(found.picture) == set(some.picture)
    mirrored = ("mirror" in words) * (1 + 8 * ("warped" in words))
    for row, values in enumerate(found.labels.values):
        original = images.labels.values[found.picture[row]]
        assert any(np.array_equal(values, original[:, ::step] + more) for step in (1, -1) for more in (0, 10))
    original = images.labels.values[found.picture]
    turned = np.isclose(found.labels.values % 10, original[:, :, ::-1], atol=1e-5).all(axis=(1, 2, 3))
    assert turned.sum() == 2 * mirrored
    np.testing.assert_array_equal(found.landmarks, [[[1, 1], [4, 1]]] * len(found))


def test_of_many_pictures_heads_see_the_pictures_alone(images, monkeypatch):
    monkeypatch.setattr(more_views, "MIRRORED", range(1, 8))
    monkeypatch.setattr(more_views, "WARPED", range(5, 8))
    views = views_of()
    some = images.take([1, 2])
    assert views.words(COUNT) == "" and views.adding(images)(some) is some  # in turns too, where there are fewer


def test_pairs_of_one_landmark_are_refused_before_anything_is_labelled():
    with pytest.raises(ValueError, match="flip pairs .* a landmark is in two of them"):
        views_of(pairs=((0, 1), (1, 2)))
