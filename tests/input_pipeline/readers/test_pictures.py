"""Tests of the form that all readers return."""

import dataclasses
import json
import re

import numpy as np
import pytest
from PIL import Image

from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers.pictures import Pictures, saw_boxes, settled


def test_pictures_must_agree_in_number():
    with pytest.raises(ValueError, match=re.escape("boxes must be float32 [1, 4]; found float32 [2, 4]")):
        Pictures(("a.png",), boxes=np.zeros([2, 4], np.float32))
    with pytest.raises(ValueError, match="landmarks and annotated come together"):
        Pictures(("a.png",), landmarks=np.zeros([1, 3, 2], np.float32))


@pytest.mark.parametrize(
    "name, place, said",
    [
        ("landmarks", (1, 2, 0), "b.png: its landmarks must be finite; found [[1.0, 1.0], [1.0, 1.0], [nan, 1.0]]"),
        ("annotated", (1, 0), "b.png: its annotated must be finite; found [nan, 1.0, 1.0]"),
        ("boxes", (0, 3), "a.png: its boxes must be finite; found [1.0, 1.0, 1.0, nan]"),
        ("normalisers", (1,), "b.png: its normalisers must be finite; found nan"),
    ],
)
def test_numbers_that_are_not_finite_are_refused_with_their_picture(name, place, said):
    """A reader from outside may not have looked."""
    shapes = {"boxes": (2, 4), "landmarks": (2, 3, 2), "annotated": (2, 3), "normalisers": (2,)}
    parts = {part: np.ones(shape, np.float32) for part, shape in shapes.items()}
    parts[name][place] = np.nan
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        Pictures(("a.png", "b.png"), **parts)


def test_a_landmark_that_is_not_annotated_may_be_anywhere():
    landmarks = np.full([1, 2, 2], np.nan, np.float32)
    pictures = Pictures(("a.png",), landmarks=landmarks, annotated=np.zeros([1, 2], np.float32))
    assert np.isnan(pictures.landmarks).all()


@pytest.fixture(params=[1, 2])
def coco(request, tmp_path):
    """How many objects are annotated in one picture, and a configuration that reads them."""
    category = {"id": 1, "keypoints": ["tip"]}
    point = {"image_id": 0, "category_id": 1, "keypoints": [5, 6, 2], "bbox": [1, 1, 9, 9]}
    image = {"id": 0, "file_name": "a.png", "width": 20, "height": 20}
    parts = {"images": [image], "annotations": [point] * request.param, "categories": [category]}
    (tmp_path / "points.json").write_text(json.dumps(parts))
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    return request.param, DataConfig(name="coco", dir=str(tmp_path), annotations=str(tmp_path / "points.json"))


def test_several_objects_in_a_picture_are_seen_in_boxes_that_no_key_names(coco):
    count, data = coco
    boxed = READERS["coco"].value(data)["train"].boxes is not None
    assert saw_boxes(data) == boxed == (count == 2)
    assert not saw_boxes(dataclasses.replace(data, whole_pictures=True))
    assert not saw_boxes(dataclasses.replace(data, annotations=f"{data.dir}/gone.json"))  # of an earlier version


def test_a_settled_configuration_says_so_without_its_files(coco):
    count, data = coco
    kept = settled(data, boxed=count == 2)
    assert saw_boxes(dataclasses.replace(kept, boxes="points.json" * bool(kept.boxes))) == (count == 2)
    assert (READERS["coco"].value(kept)["train"].boxes is not None) == (count == 2)
    assert settled(kept, boxed=count == 2) == kept


@pytest.mark.parametrize(
    "facts, seen",
    [
        ({"name": "folder", "boxes": "/any.json"}, False),
        ({"name": "csv", "boxes": "/any.json"}, False),
        ({"name": "boxes", "boxes": "/any.json", "whole_pictures": True}, True),
        ({"name": "pts"}, True),
        ({"name": "pts", "whole_pictures": True}, False),
        ({"name": "cats"}, True),
        ({"name": "celeba"}, True),
        ({"name": "roboarm"}, False),
        ({"name": "of_another_program"}, False),
    ],
)
def test_other_data_sets_show_boxes_always_or_never(facts, seen):
    assert saw_boxes(DataConfig(**facts)) == seen
    assert settled(DataConfig(**facts), boxed=True) == DataConfig(**facts)
