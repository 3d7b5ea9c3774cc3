"""Tests of what an evaluation makes of its arguments, before anything is measured."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import dense_labels
from dense_labels import kept_heads, run_config, run_evaluation
from dense_labels.config import Config
from dense_labels.evaluation import label_matching
from dense_labels.evaluation.result import Result
from dense_labels.registry import HEADS, READERS, SOURCES, Entry
from dense_labels.run_pictures import Measured, Subject
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


class Moving:
    """A head that is restored as another."""

    def __init__(self, at=10.0):
        self.at = at

    def __call__(self, labels):
        return {"points": np.full([len(labels), 1, 2], self.at), "score": np.ones([len(labels), 1])}

    def state(self):
        return {}

    @staticmethod
    def restore(state):
        return Moving(at=18.0)


def test_heads_are_compared_on_labels_before_they_are_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(HEADS._entries, "moving", Entry("moving", "moving", Moving))
    images = np.zeros([1, 4, 4, 3], np.float32)
    monkeypatch.setattr(pipeline, "example_images", lambda *_, **__: [types.SimpleNamespace(image=images)])
    subject = types.SimpleNamespace(source=None, split="test", config=Config(), labels=lambda seen: seen[:, ::2])
    fitted = types.SimpleNamespace(heads={"moving": Moving()}, fitted_on=None, calibrations={})
    begun = types.SimpleNamespace(workdir=tmp_path, network=types.SimpleNamespace(get_weights=list))
    digest = run_evaluation._keep(begun, subject, Measured(Result(best="moving"), fitted))
    assert "warning: head moving is not kept, " in capsys.readouterr().out
    kept = kept_heads.newest(tmp_path)
    assert digest == kept.digest and not kept.heads


def test_data_sets_without_landmarks_say_that_they_have_none():
    """The test pictures of an evaluation are then looked for among those of the training."""
    found = {name for each in (READERS, SOURCES) for name in each if run_evaluation._is_unannotated(name)}
    assert found == {"folder", "boxes", "video"}


def subject_of_boxes(folder, pictures):
    """Two objects in each picture, and a network whose labels are the colours of an image."""
    parts = {"images": [], "annotations": [], "categories": [{"id": 1, "keypoints": ["a", "b"]}]}
    for n in range(pictures):
        noise = np.random.default_rng(n).integers(0, 256, [60, 120, 3], np.uint8)
        Image.fromarray(noise).save(folder / f"{n}.png")
        parts["images"].append({"id": n, "file_name": f"{n}.png", "width": 120, "height": 60})
        for left in (5.0, 65.0):
            points = [left + 10.5, 20.5, 2, left + 30.5, 40.5, 2]
            found = {"id": len(parts["annotations"]), "image_id": n, "category_id": 1, "bbox": [left, 5, 50, 50]}
            parts["annotations"].append({**found, "keypoints": points})
    (folder / "points.json").write_text(json.dumps(parts))
    config = Config()
    config.data.name, config.data.dir, config.data.size = "coco", str(folder), (48, 48)
    config.data.annotations, config.data.cache_dir = str(folder / "points.json"), str(folder / "cache")
    config.model.name = "introspection"
    label = lambda images: tf.nn.avg_pool2d(images, 4, 4, "VALID")  # noqa: E731
    return Subject(config, label, 4, 0, pipeline.prepare(config), "annotated")


@pytest.mark.parametrize("pictures", [1, 3])
def test_no_figure_of_other_pictures_is_of_objects_in_one(tmp_path, monkeypatch, capsys, pictures):
    subject, drawn, pairs_of = subject_of_boxes(tmp_path, pictures), [], label_matching.pairs_of
    monkeypatch.setattr(label_matching, "pairs_of", lambda *given: drawn.append(pairs_of(*given)) or drawn[-1])
    monkeypatch.setattr(run_evaluation, "_fit", lambda *_: Measured(Result(step=0)))
    measured = run_evaluation._measure_landmarks(subject, (), None, None)
    figures = {**measured.result.metrics, **run_evaluation._carried_over(subject)}
    assert subject.source.boxed and subject.source.count("annotated") == 2 * pictures
    assert "matching_same_cell_px" in figures and "shifted_error_px" in figures
    compared = {"matching_different_cell_px", "nearest_descriptor_pck", "cycle_median_px"} & figures.keys()
    assert len(drawn) == len(compared) == (0 if pictures == 1 else 3)
    for pairs in drawn:
        assert len(pairs) == 24 and all(a // 2 != b // 2 for a, b in pairs)
    assert figures.get("cycle_pictures") == (None if pictures == 1 else 3)
    assert ("no landmark is annotated and seen in two pictures" in capsys.readouterr().out) == (pictures == 1)


def test_pictures_are_those_of_the_images_that_are_shown():
    """Of ten images from all over a split, such as boxes, which copies of a file may show."""
    origins = [(f"{n // 2}.png", "copied" if n // 2 in (0, 9) else f"{n // 2}") for n in range(20)]
    source = types.SimpleNamespace(origins=lambda split: {"test": origins}.get(split, []))
    subject = Subject(Config(), None, 2, 0, source, "test")
    assert len(np.unique(subject.pictures("test"))) == len(np.unique(subject.pictures("test", 10))) == 9
    assert len(subject.pictures("test", 10)) == 10 and len(subject.pictures("test", 50)) == 20
    assert len(np.unique(subject.pictures("test", 15))) == 9 and subject.pictures("annotated", 3) is None


@pytest.mark.parametrize("confidence, length", [(False, 20**0.5), (True, 1.0)])
def test_labels_of_length_1_are_shown_as_long_as_a_softmax_needs_them(confidence, length):
    """In pictures and on the page alone, and a few images at a time; heads see them as they are."""
    config, seen = Config(), []
    config.model.name, config.model.confidence, config.eval.batch_size = "introspection", confidence, 2

    def label(images):
        seen.append(len(images))
        return np.ones([len(images), 3, 4, 1], np.float32)

    subject = Subject(config, label, 2, 1, None, "test")
    found = subject.label_map(np.zeros([5, 6, 8, 3], np.float32))
    assert found.values.shape == (5, 3, 4, 1) and seen == [2, 2, 1]
    np.testing.assert_allclose(found.values, length, rtol=1e-6)
