"""Tests of the reader of key points in COCO files."""

import dataclasses
import json
import re

import numpy as np
import pytest

from dense_labels.config import DataConfig
from input_pipeline.readers import coco
from tests.input_pipeline.readers.files import draw, paths

EYES = ["left_eye", "right_eye", "nose"]
OTHERS = ["beak", "left_wing", "tail"]


def coco_parts(key_points, names=EYES, boxes=(), image_ids=None):
    """The parts of a COCO file: an annotation for each list of key points."""
    image_ids = range(len(key_points)) if image_ids is None else image_ids
    annotations = [
        {"id": 100 + index, "image_id": image_id, "category_id": 7, "keypoints": list(values)}
        for index, (image_id, values) in enumerate(zip(image_ids, key_points))
    ]
    for annotation, box in zip(annotations, boxes):
        annotation["bbox"] = box
    return {
        "images": [{"id": k, "file_name": f"in/{k}.png", "width": 64, "height": 48} for k in sorted(set(image_ids))],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "tree"}, {"id": 7, "name": "face", "keypoints": list(names)}],
    }


@pytest.fixture
def read_coco(tmp_path):
    """Writes a COCO file, and reads it beside two pictures."""
    draw(tmp_path, "in/0.png", "in/1.png")
    file = tmp_path / "coco.json"

    def read(parts):
        file.write_text(parts if isinstance(parts, str) else json.dumps(parts))
        return coco.read_file(str(tmp_path), str(file))

    return read


WHOLE = [[10, 20, 2, 13, 24, 1, 0, 0, 0], [1, 2, 1, 1, 12, 2, 5, 6, 2]]


def test_coco_whole_numbers_count_pixels_at_their_centres(read_coco, tmp_path):
    found = read_coco(coco_parts(WHOLE))
    assert found.paths == paths(tmp_path, "in/0.png", "in/1.png")
    assert found.boxes is None
    assert found.landmark_names == tuple(EYES)
    expected = [[[10.5, 20.5], [13.5, 24.5], [0, 0]], [[1.5, 2.5], [1.5, 12.5], [5.5, 6.5]]]
    np.testing.assert_array_equal(found.landmarks, expected)
    np.testing.assert_array_equal(found.annotated, [[1, 1, 0], [1, 1, 1]])
    np.testing.assert_array_equal(found.normalisers, [5, 10])
    assert found.normaliser == "eye distance"


def test_coco_fractional_numbers_are_continuous_pixels(read_coco):
    found = read_coco(coco_parts([WHOLE[0], [1, 2, 1, 1, 12.25, 2, 5, 6, 2]]))
    np.testing.assert_array_equal(found.landmarks[0, :2], [[10, 20], [13, 24]])
    np.testing.assert_array_equal(found.landmarks[1, :2], [[1, 2], [1, 12.25]])
    found = read_coco(coco_parts([WHOLE[0][:-3] + [0.25, 0.25, 0]]))  # what is not annotated tells nothing
    np.testing.assert_array_equal(found.landmarks[0], [[10.5, 20.5], [13.5, 24.5], [0, 0]])


def test_whole_numbers_of_label_studio_are_rounded_continuous_pixels(read_coco):
    found = read_coco({**coco_parts(WHOLE), "info": {"contributor": "Label Studio"}})
    np.testing.assert_array_equal(found.landmarks[0, :2], read_coco(coco_parts(WHOLE)).landmarks[0, :2] - 0.5)


def test_coco_annotations_without_key_points_are_left_out(read_coco, tmp_path):
    parts = coco_parts([[0] * 9, WHOLE[0], []], image_ids=[0, 1, 1])
    parts["annotations"].append({"image_id": 0, "category_id": 1})
    found = read_coco(parts)
    assert found.paths == paths(tmp_path, "in/1.png")
    assert found.boxes is None  # only one of the annotations of the picture has key points


def test_coco_objects_that_share_a_picture_are_cut_out(read_coco, tmp_path):
    """A box of 20 x 8 about (20, 14): its longer side and a quarter more on each side are 30."""
    parts = coco_parts([WHOLE[0], WHOLE[1], WHOLE[1]], boxes=[[10, 10, 20, 8]] * 3, image_ids=[0, 0, 1])
    found = read_coco(parts)
    assert found.paths == paths(tmp_path, "in/0.png", "in/0.png", "in/1.png")
    np.testing.assert_array_equal(found.boxes, [[5, -1, 35, 29]] * 3)
    del parts["annotations"][1]["bbox"]
    with pytest.raises(ValueError, match=r"coco.json: annotations\[1\]: bbox must be 4 numbers"):
        read_coco(parts)


def test_coco_boxes_about_one_landmark_each_are_told_of(read_coco, capsys):
    one = [[10, 20, 2, 0, 0, 0, 0, 0, 0], [15, 25, 2, 0, 0, 0, 0, 0, 0]]
    parts = coco_parts(one, boxes=[[10, 20, 1, 1], [15, 25, 1, 1]], image_ids=[0, 0])
    read_coco(parts)
    assert "coco.json: boxes about one landmark each show hardly a pixel; give boxes of" in capsys.readouterr().out


def test_coco_errors_are_divided_by_what_there_is(read_coco):
    found = read_coco(coco_parts(WHOLE, names=OTHERS, boxes=[[0, 0, 4, 9], [0, 0, 5, 5]]))
    assert (found.normaliser, found.normalisers.tolist()) == ("box size", [6, 5])
    found = read_coco(coco_parts(WHOLE, names=OTHERS, boxes=[[0, 0, 4, 9]]))
    assert (found.normaliser, found.normalisers.tolist()) == ("picture width", [64, 64])


@pytest.mark.parametrize("nothing", [None, []])
def test_a_bbox_that_says_nothing_is_none(read_coco, nothing):
    parts = coco_parts(WHOLE)
    parts["annotations"][1]["bbox"] = nothing
    assert read_coco(parts).objects is None
    parts["annotations"][0]["bbox"] = [0, 0, 5, None]  # none is used
    assert read_coco(parts).objects is None


def test_pictures_without_an_eye_are_not_measured(read_coco):
    one_eye = [10, 20, 2, 0, 0, 0, 5, 5, 2]
    found = read_coco(coco_parts([one_eye, WHOLE[1]]))
    assert (found.normaliser, found.normalisers.tolist()) == ("eye distance", [0, 10])
    assert found.annotated[0].tolist() == [1, 0, 1]  # they still serve to fit heads
    found = read_coco(coco_parts([one_eye, one_eye]))
    assert (found.normaliser, found.normalisers.tolist()) == ("picture width", [64, 64])


def test_coco_landmarks_are_cut_out_when_boxes_are_asked_for(read_coco, tmp_path):
    read_coco(coco_parts(WHOLE, boxes=[[10, 10, 20, 8]] * 2))
    found = coco.read_file(str(tmp_path), str(tmp_path / "coco.json"), boxed=True)
    np.testing.assert_array_equal(found.boxes, [[5, -1, 35, 29]] * 2)


def test_boxes_of_a_configuration_must_be_there_and_not_contradict_it(read_coco, tmp_path):
    read_coco(coco_parts(WHOLE, boxes=[[10, 10, 20, 8]] * 2))
    file = str(tmp_path / "coco.json")
    data = DataConfig(name="coco", dir=str(tmp_path), annotations=file, boxes=file)
    np.testing.assert_array_equal(coco.read(data)["train"].boxes, [[5, -1, 35, 29]] * 2)
    advice = r"give one that is there, or none \(to eval_main\.py give --annotations, which have boxes of their own\)$"
    with pytest.raises(ValueError, match=rf"^config\.data\.boxes=gone\.json: there is no such file; {advice}"):
        coco.read(dataclasses.replace(data, boxes="gone.json"))
    with pytest.raises(ValueError, match=r"coco\.json shows boxes .*whole_pictures=True whole pictures; leave one"):
        coco.read(dataclasses.replace(data, whole_pictures=True))


@pytest.mark.parametrize("fractional", [None, "annotations", "annotations_test"])
def test_files_that_may_differ_by_half_a_pixel_are_warned_of(tmp_path, capsys, fractional):
    draw(tmp_path, "in/0.png", "in/1.png")
    files = {name: tmp_path / f"{name}.json" for name in ("annotations", "annotations_test")}
    for name, file in files.items():
        points = [list(WHOLE[0]), list(WHOLE[1])]
        points[0][0] += 0.25 * (name == fractional)
        file.write_text(json.dumps(coco_parts(points)))
    coco.read(DataConfig(name="coco", dir=str(tmp_path), **{name: str(file) for name, file in files.items()}))
    said = capsys.readouterr().out
    if fractional is None:
        assert said == ""
    else:
        (other,) = files.keys() - {fractional}
        assert said.startswith(f"warning: the key points of config.data.{other} are whole numbers, which count pixels")
        assert f"; those of config.data.{fractional} are not, so none is: if one program wrote both files" in said


def changed(change):
    parts = coco_parts(WHOLE, boxes=[[0, 0, 4, 9], [0, 0, 5, 5]])
    change(parts)
    return parts


@pytest.mark.parametrize(
    "parts, message",
    [
        ("[" * 100_000, "coco.json is not JSON: maximum recursion depth exceeded"),
        ('{"images": ' + "9" * 5000 + "}", "coco.json is not JSON: Exceeds the limit (4300 digits)"),
        ('{"images": [', "coco.json is not JSON: Expecting value: line 1 column 13 (char 12)"),
        ("[1, 2]", "coco.json has no list called images; COCO has images, annotations and categories"),
        (changed(lambda p: p.pop("categories")), "coco.json has no list called categories"),
        (changed(lambda p: p["images"][1].pop("file_name")), "coco.json: images[1] has no usable file_name"),
        (changed(lambda p: p["annotations"].append(3)), "coco.json: annotations[2] has no usable image_id"),
        (
            changed(lambda p: p["annotations"][1].update(image_id=9)),
            "coco.json: annotations[1]: there is no image whose id is 9",
        ),
        (
            changed(lambda p: p["images"][1].update(file_name="in/gone.png")),
            "coco.json: annotations[1]: there is no picture ",
        ),
        (
            changed(lambda p: p["annotations"][1]["keypoints"].pop()),
            "coco.json: annotations[1]: keypoints must be 9 numbers; found 8",
        ),
        (
            changed(lambda p: p["annotations"][0]["keypoints"].__setitem__(0, "left")),
            "coco.json: annotations[0]: keypoints must be 9 numbers",
        ),
        (
            changed(lambda p: p["annotations"][0]["keypoints"].__setitem__(0, float("nan"))),
            "coco.json: annotations[0]: keypoints must be numbers where v is above 0; landmark 0 is [nan, 20.0, 2.0]",
        ),
        (
            coco_parts([[10.5, 20.2, 0.98, 30.1, 40.2, 0.012, 3.3, 4.4, 1.0]]),
            "coco.json: annotations[0]: v of a landmark must be 0 (not annotated), 1 (hidden) or 2 (visible); found "
            "0.98; this looks like the confidence of a prediction, and annotations are expected",
        ),
        (
            coco_parts([[1, 2, 3] * 3]),
            "annotations[0]: v of a landmark must be 0 (not annotated), 1 (hidden) or 2 (vis",
        ),
        (
            coco_parts([[1, 2, None] * 3]),
            "annotations[0]: v of a landmark must be 0 (not annotated), 1 (hidden) or 2 (v",
        ),
        (
            changed(lambda p: (p["categories"][0].update(keypoints=["x"]), p["annotations"][0].update(category_id=1))),
            "coco.json has key points of 2 categories (tree, face); name one: --category, or config.data.category",
        ),
        (
            changed(lambda p: p["categories"][1].update(keypoints=["eye", "eye", "nose"])),
            "coco.json: keypoints of a category must be names, no two alike; found ['eye', 'eye', 'nose']",
        ),
        (
            changed(lambda p: p["categories"][1].update(keypoints=["eye", ["x"], "nose"])),
            "coco.json: keypoints of a category must be names, no two alike; found ['eye', ['x'], 'nose']",
        ),
        (
            changed(lambda p: p["images"][1].update(id=0)),
            "coco.json: images[1], in/1.png, has the id 0, which is that of in/0.png; give each image an id of its own",
        ),
        (
            changed(lambda p: p["images"][1].update(file_name=p["images"][0]["file_name"])),
            "in/0.png; give all annotations of a picture one image_id, or leave one image out",
        ),
        (changed(lambda p: p["categories"][0].update(id="7")), "coco.json: several categories have one id"),
        (coco_parts([[0] * 9]), "coco.json has no annotation with keypoints"),
        (coco_parts([[4, 4, 2] * 3]), "0.png: the eye distance, by which errors are divided, is 0"),
        (
            coco_parts([WHOLE[0]] * 2, OTHERS, [[0, 0, 4, 9], [0, 0, 0, 5]], [0, 0]),
            "coco.json: annotations[1]: bbox has no area",
        ),
        (
            changed(lambda p: p["categories"][1].update(keypoints=[2, "2", "nose"])),
            "no two alike; found [2, '2', 'nose']",
        ),
    ],
)
def test_coco_errors_name_the_entry(read_coco, parts, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_coco(parts)


# --- what other programs write ---


def test_key_points_may_be_named_by_numbers_or_not_at_all(read_coco):
    assert read_coco(coco_parts(WHOLE, names=[0, 1, 2])).landmark_names == ("0", "1", "2")
    parts = coco_parts(WHOLE)
    del parts["categories"][1]["keypoints"]
    found = read_coco(parts)
    assert found.landmark_names == () and found.normaliser == "picture width"
    np.testing.assert_array_equal(found.annotated, [[1, 1, 0], [1, 1, 1]])
    parts["annotations"][1]["keypoints"] = WHOLE[1][:6]
    with pytest.raises(ValueError, match=r"annotations\[1\]: keypoints must be 9 numbers; found 6"):
        read_coco(parts)


def test_ids_may_be_numbers_here_and_text_there(read_coco):
    parts = coco_parts(WHOLE)
    for image in parts["images"]:
        image["id"] = str(image["id"])
    parts["categories"][1]["id"] = "7"
    assert len(read_coco(parts)) == 2


@pytest.mark.parametrize("nothing", [float("nan"), None])
def test_what_is_not_annotated_needs_no_numbers(read_coco, nothing):
    found = read_coco(coco_parts([[*WHOLE[0][:6], nothing, nothing, 0], WHOLE[1]]))
    np.testing.assert_array_equal(found.landmarks[0, 2], [0, 0])
    np.testing.assert_array_equal(found.annotated[0], [1, 1, 0])


@pytest.mark.parametrize("name, taken", [("object", True), (None, True), ("dog", False)])
def test_objects_without_a_name_of_their_own_are_whatever_is_asked_for(read_coco, tmp_path, name, taken):
    """As those of the annotation page are, which a merge takes as well."""
    parts = coco_parts(WHOLE)
    parts["categories"] = [{**each, "name": name} for each in parts["categories"] if each.get("keypoints")]
    if name is None:
        del parts["categories"][0]["name"]
    assert len(read_coco(parts)) == 2
    if taken:
        assert len(coco.read_file(tmp_path, tmp_path / "coco.json", category="cat")) == 2
        return
    with pytest.raises(ValueError, match="coco.json has no key points of the category 'cat'; it has those of dog$"):
        coco.read_file(tmp_path, tmp_path / "coco.json", category="cat")


def test_one_of_several_kinds_of_objects_is_chosen(read_coco, tmp_path):
    parts = coco_parts(WHOLE)
    parts["categories"][0]["keypoints"] = ["top"]
    assert len(read_coco(parts)) == 2  # no tree is annotated
    parts["annotations"].append({"image_id": 0, "category_id": 1, "keypoints": [3, 4, 2]})
    with pytest.raises(ValueError, match="name one: --category, or config.data.category of a training"):
        read_coco(parts)
    for wanted in ("tree", "1"):
        found = coco.read_file(tmp_path, tmp_path / "coco.json", category=wanted)
        assert found.landmark_names == ("top",) and len(found) == 1
    with pytest.raises(ValueError, match="no key points of the category 'bush'; it has those of tree, face"):
        coco.read_file(tmp_path, tmp_path / "coco.json", category="bush")


def test_boxes_without_area_are_not_what_errors_are_divided_by(read_coco, capsys):
    found = read_coco(coco_parts(WHOLE, OTHERS, [[0, 0, 4, 9], [0, 0, 0, 5]]))
    assert (found.normaliser, found.normalisers.tolist()) == ("picture width", [64, 64])
    assert "note: 1 of 2 annotations have no bbox with an area, such as " in capsys.readouterr().out
    read_coco(coco_parts(WHOLE, OTHERS, [[0, 0, 0, 9], [0, 0, 0, 5]]))
    assert "bbox" not in capsys.readouterr().out


def test_what_the_file_says_of_pictures_and_objects_is_kept(read_coco):
    parts = coco_parts(WHOLE, OTHERS, [[1, 2, 4, 9], [0, 0, 5, 5]])
    parts["images"][1].pop("width")
    found = read_coco(parts)
    np.testing.assert_array_equal(found.claimed, [[48, 64], [48, 0]])
    np.testing.assert_array_equal(found.objects, [[1, 2, 5, 11], [0, 0, 5, 5]])


def test_errors_of_bodies_are_not_divided_by_the_distance_of_their_eyes(read_coco, capsys):
    body = [20, 5, 2, 23, 5, 2, 21, 45, 2]
    found = read_coco(coco_parts([body, body], boxes=[[10, 2, 16, 36]] * 2))
    assert (found.normaliser, found.normalisers.tolist()) == ("box size", [24, 24])
    assert "errors are divided by the box size, not by the eye distance, which is only 8% of" in capsys.readouterr().out
