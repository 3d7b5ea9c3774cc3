"""Tests of the reader of boxes, in COCO files and in lists of results."""

import json
import re

import numpy as np
import pytest

from dense_labels.config import Config
from input_pipeline.readers import boxes
from tests.input_pipeline.readers.files import draw, paths


def box_parts():
    """A COCO file without key points: two boxes of a cat, a crowd of them, an annotation without a box, and a dog."""
    boxes = [
        (0, 3, [10, 10, 20, 8]),
        (1, 3, [0.5, 4, 6, 12]),
        (1, 3, [0, 0, 64, 48]),
        (0, 3, None),
        (0, 4, [1, 1, 2, 2]),
    ]
    annotations = [{"image_id": image, "category_id": kind, "bbox": box} for image, kind, box in boxes]
    annotations[2]["iscrowd"] = 1
    del annotations[3]["bbox"]
    return {
        "images": [{"id": k, "file_name": f"in/{k}.png"} for k in (0, 1)],
        "annotations": annotations,
        "categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}],
    }


@pytest.fixture
def read_boxes(tmp_path):
    """Writes a file of boxes and one of images, and reads them beside two pictures."""
    draw(tmp_path, "in/0.png", "in/1.png")
    file, images = tmp_path / "boxes.json", tmp_path / "images.json"
    images.write_text(json.dumps({name: box_parts()[name] for name in ("images", "categories")}))

    def read(content, of=images, **options):
        file.write_text(json.dumps(content))
        return boxes.read_file(str(tmp_path), str(file), images=str(of or ""), **options)

    return read


def test_every_box_of_a_category_is_a_picture(read_boxes, tmp_path):
    for category in ("cat", "3"):
        found = read_boxes(box_parts(), of=None, category=category)
        assert found.paths == paths(tmp_path, "in/0.png", "in/1.png") and found.landmarks is None
        # the longer side and a quarter more on each side: 30 about (20, 14), 18 about (3.5, 10)
        np.testing.assert_array_equal(found.boxes, [[5, -1, 35, 29], [-5.5, 1, 12.5, 19]])


def test_results_of_a_detector_are_read_beside_a_file_of_their_pictures(read_boxes, tmp_path, capsys):
    results = [{"image_id": 1, "category_id": 3, "bbox": [0, 0, 4, 4], "score": score} for score in (0.9, 0.5, 0.49)]
    found = read_boxes(results, min_score=0.5)
    assert found.paths == paths(tmp_path, "in/1.png", "in/1.png")
    assert len(read_boxes(results)) == 3
    with pytest.raises(ValueError, match="boxes.json has no annotation with a bbox and a score of at least 0.95"):
        read_boxes(results, min_score=0.95)
    with pytest.raises(ValueError, match="min_score=nan: must be a finite number"):
        read_boxes(results, min_score=float("nan"))
    for box in results:
        del box["score"]
    assert len(read_boxes(results, min_score=0.5)) == 3
    assert "has no scores: min_score=0.5 leaves out none of its boxes" in capsys.readouterr().out
    either = "give a COCO file of their pictures: --images, or config.data.images of a training$"
    with pytest.raises(ValueError, match=f"boxes.json is a list of results; {either}"):
        read_boxes(results, of=None)


@pytest.mark.parametrize(
    "change, options, message",
    [
        ({}, {}, "boxes.json has boxes of 2 categories (cat, dog); name one: --category, or config.data.category of a"),
        ({}, {"category": "cow"}, "boxes.json has no box of the category 'cow'; it has those of cat, dog"),
        ({"bbox": [1, 2, 3]}, {"category": "cat"}, "boxes.json: annotations[0]: bbox must be 4 numbers; found 3"),
        ({"bbox": [1, 2, 0, 3]}, {"category": "cat"}, "boxes.json: annotations[0]: bbox has no area"),
        ({"score": "high"}, {}, "boxes.json: annotations[0]: score must be a number"),
        ({"image_id": 8}, {}, "boxes.json: annotations[0]: there is no image whose id is 8"),
        ({"category_id": None}, {}, "boxes.json: annotations[0] has no usable category_id"),
    ],
)
def test_a_box_that_cannot_be_used_is_named(read_boxes, change, options, message):
    parts = box_parts()
    parts["annotations"][0].update(change)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_boxes(parts, of=None, **options)


def test_categories_that_a_message_leaves_out_are_hinted_at(read_boxes):
    parts = box_parts()
    box = parts["annotations"][0]
    for count, some in ((5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4, ...")):
        annotations = [{**box, "category_id": number} for number in range(count)]
        with pytest.raises(ValueError, match=re.escape(f"has boxes of {count} categories ({some}); name one")):
            read_boxes({**parts, "categories": [], "annotations": annotations}, of=None)


def test_images_beside_a_file_that_has_its_own_are_refused(read_boxes):
    either = "leave out --images, or config.data.images of a training$"
    with pytest.raises(ValueError, match=f"boxes.json is no list of results and has images of its own; {either}"):
        read_boxes(box_parts(), category="cat")


def test_two_pictures_of_one_id_are_refused(read_boxes, tmp_path):
    parts = box_parts()
    parts["images"][1]["id"] = 0
    with pytest.raises(ValueError, match="boxes.json: images.1., in/1.png, has the id 0, which is that of in/0.png"):
        read_boxes(parts, of=None, category="cat")
    (tmp_path / "twice.json").write_text(json.dumps({"images": parts["images"]}))
    with pytest.raises(ValueError, match="twice.json: images.1., in/1.png, has the id 0"):
        read_boxes(parts["annotations"][:1], of=tmp_path / "twice.json")


def test_a_configuration_without_boxes_is_refused():
    config = Config()
    config.data.name = "boxes"
    with pytest.raises(ValueError, match="config.data.name='boxes' needs config.data.boxes, a COCO file or a"):
        boxes.check(config)
