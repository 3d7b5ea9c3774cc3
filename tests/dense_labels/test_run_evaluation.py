"""Tests of what an evaluation makes of its arguments, before anything is measured."""

import types

import numpy as np
import pytest

import dense_labels
from dense_labels import run_config, run_evaluation
from dense_labels.batches import LandmarkBatch
from dense_labels.config import Config
from dense_labels.evaluation import sides
from dense_labels.registry import READERS, SOURCES
from dense_labels.run_pictures import Subject
from input_pipeline import pipeline


@pytest.fixture
def run(tmp_path):
    """A run that has been begun, of which nothing is read but its configuration."""
    run_config.save(Config(), tmp_path)
    return dense_labels.open_run(tmp_path)


@pytest.mark.parametrize(
    "heads, few_shot, taken",
    [("nearest", 5, (("nearest",), (5,))), (["nearest", "regress"], [1, 5], (("nearest", "regress"), (1, 5)))],
)
def test_one_head_and_one_number_may_be_given_alone(run, monkeypatch, heads, few_shot, taken):
    class Taken(Exception):
        pass

    def take(run, data, heads, few_shot, pile):
        assert (heads, few_shot) == taken
        raise Taken

    monkeypatch.setattr(run_evaluation, "_configuration", take)
    with pytest.raises(Taken):
        run.evaluate(heads=heads, few_shot=few_shot)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"heads": "nearest,regress"}, r"config\.eval\.heads='nearest,regress': there is no such choice; choose"),
        ({"few_shot": "5"}, r"few_shot=\('5',\): must be whole numbers above 0, such as 1, 5, 10"),
        ({"few_shot": 0.5}, r"few_shot=\(0\.5,\): must be whole numbers above 0"),
    ],
)
def test_what_they_cannot_be_is_refused(run, options, said):
    with pytest.raises(ValueError, match=said):
        run.evaluate(**options)


def test_data_sets_without_landmarks_say_that_they_have_none():
    """The test pictures of an evaluation are then looked for among those of the training."""
    found = {name for each in (READERS, SOURCES) for name in each if run_evaluation._is_unannotated(name)}
    assert found == {"folder", "boxes", "video"}


@pytest.fixture
def subject(monkeypatch):
    """Four annotated images, whose labels are their pixels, of a run that saw mirror images."""
    image = np.random.default_rng(0).random([4, 2, 5, 3], np.float32)
    points = np.float32([[[1, 1], [4, 1]]] * 4)
    batch = LandmarkBatch(image, points, np.ones([4, 2], np.float32), np.ones([4, 2]), np.ones(4), np.arange(4))
    chosen = lambda _, rows, **__: [LandmarkBatch(*(each[rows] for each in batch))]  # noqa: E731
    monkeypatch.setattr(pipeline, "landmark_batches", lambda *_, **__: [batch])
    monkeypatch.setattr(pipeline, "few_shot_batches", chosen)
    config = Config()
    config.views.flip = True
    source = types.SimpleNamespace(landmark_names=("left_eye", "right_eye"), flip_pairs=(), count=lambda _: 4)
    return Subject(config, lambda images: images, 1, 0, source, "train")


def mirror_images(subject):
    return sides.MirrorImages(subject.source, subject.config, subject.label, subject.stride)


def test_heads_see_mirror_images_of_the_pictures_they_are_fitted_to(subject, monkeypatch):
    images, known = mirror_images(subject), subject.landmarks("annotated")
    assert images.pairs == ((0, 1),) and images.words == "left_eye and right_eye"
    for rows in ([3, 1], [1, 0, 2]):
        found, count = images.added(known.take(rows)), len(rows)
        np.testing.assert_array_equal(found.picture, 2 * rows)
        np.testing.assert_array_equal(found.labels.values[count:], known.labels.values[rows][:, :, ::-1])
        np.testing.assert_array_equal(found.landmarks[count:], [[[1, 1], [4, 1]]] * count)
    monkeypatch.setattr(sides, "MANY", 3)
    assert images.added(known) is known


@pytest.mark.parametrize("lacking", ["flip", "sides", "heads"])
def test_they_see_none_that_the_training_did_not_or_whose_sides_are_not_known(subject, lacking):
    subject.config.views.flip = lacking != "flip"
    subject.config.eval.heads = ("detector",) if lacking == "heads" else ("detector", "nearest")
    subject.source.landmark_names = ("left_eye", "nose") if lacking == "sides" else ("left_eye", "right_eye")
    images, known = mirror_images(subject), subject.landmarks("annotated")
    assert images.pairs == () and images.added(known) is known
