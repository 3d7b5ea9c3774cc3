import json
import os
import re

import numpy as np
import pytest
from PIL import Image

from input_pipeline.readers import coco, points_csv, pts
from input_pipeline.readers.pictures import Pictures

EYES = ["left_eye", "right_eye", "nose"]
OTHERS = ["beak", "left_wing", "tail"]


def draw(folder, *names, size=(64, 48)):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(folder / name)


def paths(folder, *names):
    return tuple(os.path.join(folder, name) for name in names)


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
        return coco.read(str(tmp_path), str(file))

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


def test_coco_errors_are_divided_by_what_there_is(read_coco):
    found = read_coco(coco_parts(WHOLE, names=OTHERS, boxes=[[0, 0, 4, 9], [0, 0, 5, 5]]))
    assert (found.normaliser, found.normalisers.tolist()) == ("box size", [6, 5])
    found = read_coco(coco_parts(WHOLE, names=OTHERS, boxes=[[0, 0, 4, 9]]))
    assert (found.normaliser, found.normalisers.tolist()) == ("picture width", [64, 64])


def test_pictures_without_an_eye_are_not_measured(read_coco):
    one_eye = [10, 20, 2, 0, 0, 0, 5, 5, 2]
    found = read_coco(coco_parts([one_eye, WHOLE[1]]))
    assert (found.normaliser, found.normalisers.tolist()) == ("eye distance", [0, 10])
    assert found.annotated[0].tolist() == [1, 0, 1]  # they still serve to fit heads
    found = read_coco(coco_parts([one_eye, one_eye]))
    assert (found.normaliser, found.normalisers.tolist()) == ("picture width", [64, 64])


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
        return coco.read_boxes(str(tmp_path), str(file), images=str(of or ""), **options)

    return read


def test_every_box_of_a_category_is_a_picture(read_boxes, tmp_path):
    for category in ("cat", "3"):
        found = read_boxes(box_parts(), of=None, category=category)
        assert found.paths == paths(tmp_path, "in/0.png", "in/1.png") and found.landmarks is None
        # the longer side and a quarter more on each side: 30 about (20, 14), 18 about (3.5, 10)
        np.testing.assert_array_equal(found.boxes, [[5, -1, 35, 29], [-5.5, 1, 12.5, 19]])


def test_results_of_a_detector_are_read_beside_a_file_of_their_pictures(read_boxes, tmp_path):
    results = [{"image_id": 1, "category_id": 3, "bbox": [0, 0, 4, 4], "score": score} for score in (0.9, 0.5, 0.49)]
    found = read_boxes(results, min_score=0.5)
    assert found.paths == paths(tmp_path, "in/1.png", "in/1.png")
    assert len(read_boxes(results)) == 3
    with pytest.raises(ValueError, match="boxes.json has no annotation with a bbox and a score of at least 0.95"):
        read_boxes(results, min_score=0.95)
    with pytest.raises(ValueError, match="boxes.json is a list of results; config.data.images must name a COCO file"):
        read_boxes(results, of=None)


@pytest.mark.parametrize(
    "change, options, message",
    [
        ({}, {}, "boxes.json has boxes of 2 categories (cat, dog); name one: config.data.category"),
        ({}, {"category": "cow"}, "boxes.json has no box of config.data.category='cow'; it has those of cat, dog"),
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
        read_boxes(parts, **options)


def test_coco_landmarks_are_cut_out_when_boxes_are_asked_for(read_coco, tmp_path):
    read_coco(coco_parts(WHOLE, boxes=[[10, 10, 20, 8]] * 2))
    found = coco.read(str(tmp_path), str(tmp_path / "coco.json"), boxed=True)
    np.testing.assert_array_equal(found.boxes, [[5, -1, 35, 29]] * 2)


def changed(change):
    parts = coco_parts(WHOLE, boxes=[[0, 0, 4, 9], [0, 0, 5, 5]])
    change(parts)
    return parts


@pytest.mark.parametrize(
    "parts, message",
    [
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
            "coco.json: annotations[0]: keypoints must be 9 numbers",
        ),
        (
            changed(lambda p: p["categories"][0].update(keypoints=["top"])),
            "coco.json: one category with keypoints is expected; 2 of its categories have any",
        ),
        (coco_parts([[0] * 9]), "coco.json has no annotation with keypoints"),
        (coco_parts([[4, 4, 2] * 3]), "0.png: the eye distance, by which errors are divided, is 0"),
        (coco_parts(WHOLE, OTHERS, [[0, 0, 4, 9], [0, 0, 0, 5]]), "coco.json: annotations[1]: bbox has no area"),
    ],
)
def test_coco_errors_name_the_entry(read_coco, parts, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_coco(parts)


@pytest.fixture
def read_csv(tmp_path):
    """Writes a CSV file, and reads it beside two pictures."""
    draw(tmp_path, "in/0.png")
    draw(tmp_path, "1, b.png", size=(30, 20))
    file = tmp_path / "points.csv"

    def read(text):
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return points_csv.read(str(tmp_path), str(file))

    return read


def test_csv_with_numbered_landmarks(read_csv, tmp_path):
    found = read_csv('file,x0,y0,x1,y1\nin/0.png,1.5,2,3,4e0\n\n"1, b.png",,,-5, 6.25\n')
    assert found.paths == paths(tmp_path, "in/0.png", "1, b.png")
    np.testing.assert_array_equal(found.landmarks, [[[1.5, 2], [3, 4]], [[0, 0], [-5, 6.25]]])
    np.testing.assert_array_equal(found.annotated, [[1, 1], [0, 1]])
    assert found.landmark_names == () and found.boxes is None
    assert (found.normaliser, found.normalisers.tolist()) == ("picture width", [64, 30])


def test_csv_with_named_landmarks_as_spreadsheets_write_it(read_csv):
    header = "\ufefffile,nose_x,nose_y,right_eye_x,right_eye_y,left_eye_x,left_eye_y\r\n"
    found = read_csv(header + "in/0.png,1,1,3,4,6,8\r\nin/0.png,1,1,3,4,,\r\n")
    assert found.landmark_names == ("nose", "right_eye", "left_eye")
    assert (found.normaliser, found.normalisers.tolist()) == ("eye distance", [5, 0])


def test_csv_leaves_damaged_pictures_to_the_store(read_csv, tmp_path):
    (tmp_path / "in/0.png").write_text("not a picture")
    found = read_csv('file,x0,y0\nin/0.png,1,2\n"1, b.png",3,4\n')
    assert found.normalisers.tolist() == [0, 30]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "points.csv, line 1: the header must be file,x0,y0,x1,y1,... or file,left_eye_x,left_eye_y,...; found "),
        ("file;x0;y0\n", "the header must be file,x0,y0,x1,y1,... or file,left_eye_x,left_eye_y,...; found file;x0;y0"),
        ("file,x0,y0,x1\n", "found file,x0,y0,x1"),
        ("file,x1,y1\n", "found file,x1,y1"),
        ("file,a_x,b_y\n", "found file,a_x,b_y"),
        ("file,a_x,a_y,a_x,a_y\n", "found file,a_x,a_y,a_x,a_y"),
        ("in/0.png,1,2\n", "found in/0.png,1,2"),
        ("file,x0,y0\n", "points.csv lists no pictures"),
        (
            "file,x0,y0\nin/0.png,1,2\nin/0.png,1\n",
            "points.csv, line 3: 3 cells are expected, as in the header; found 2",
        ),
        ("file,x0,y0\n\n\nin/0.png,1,left\n", "points.csv, line 4: 'left' in column y0 is not a number"),
        ("file,x0,y0\nin/0.png,nan,1\n", "points.csv, line 2: 'nan' in column x0 is not a number"),
        (
            "file,x0,y0\nin/0.png,1,\n",
            "points.csv, line 2: x0 and the cell after it must both be numbers, or both be empty",
        ),
        ("file,x0,y0\ngone.png,1,2\n", "points.csv, line 2: there is no picture "),
        ('file,x0,y0\n"in/0.png,1,2\n', "points.csv, line 2: unexpected end of data"),
        (b"file,x0,y0\n\xff\xfe,1,2\n", "points.csv: text in UTF-8 is expected"),
    ],
)
def test_csv_errors_name_the_line(read_csv, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_csv(text)


@pytest.mark.parametrize("read", [coco.read, points_csv.read])
def test_files_of_landmarks_must_be_there(tmp_path, read):
    with pytest.raises(ValueError, match="gone: No such file or directory; give a file of landmarks"):
        read(str(tmp_path), str(tmp_path / "gone"))


def write_pts(path, points):
    lines = "".join(f"{x} {y}\n" for x, y in points)
    path.write_text(f"version: 1\nn_points:  {len(points)}\n{{\n{lines}}}\n")


def test_pts_count_pixels_from_one(tmp_path):
    """The landmarks' box is 6 x 8 about (4, 7); its longer side and a quarter more on each side are 12."""
    draw(tmp_path, "b/1.PNG", "a.jpg", "alone.jpg")
    for name in ("b/1.pts", "a.pts"):
        write_pts(tmp_path / name, [(1.5, 3.5), (7.5, 11.5), (4.25, 5.0)])
    found = pts.read(tmp_path)
    assert found.paths == paths(tmp_path, "a.jpg", "b/1.PNG")
    np.testing.assert_array_equal(found.landmarks, [[[1, 3], [7, 11], [3.75, 4.5]]] * 2)
    np.testing.assert_array_equal(found.annotated, np.ones([2, 3]))
    np.testing.assert_array_equal(found.boxes, [[-2, 1, 10, 13]] * 2)
    assert found.normaliser == "box size"
    np.testing.assert_allclose(found.normalisers, np.sqrt([48, 48]))


def test_pts_of_68_points_are_measured_by_the_outer_eye_corners(tmp_path):
    draw(tmp_path, "a.png")
    points = np.random.default_rng(0).uniform(10, 40, [68, 2])
    points[[36, 45]] = [[12, 20], [36, 27]]
    write_pts(tmp_path / "a.pts", points)
    found = pts.read(tmp_path)
    assert (found.normaliser, found.normalisers.tolist()) == ("outer eye corner distance (points 36 and 45)", [25])


GOOD = "version: 1\nn_points: 2\n{\n1 2\n3 4\n}\n"


@pytest.mark.parametrize(
    "content, pictures, message",
    [
        (GOOD, [], "a.pts: one picture of that name is expected beside it; there are 0"),
        (GOOD, ["a.png", "a.jpg"], "a.pts: one picture of that name is expected beside it; there are 2"),
        ("1 2\n3 4\n", ["a.png"], "a.pts: 'version: 1', 'n_points: K' and K lines 'x y' in braces are expected"),
        (GOOD[:-3], ["a.png"], "a.pts: 'version: 1', 'n_points: K' and K lines 'x y' in braces are expected"),
        (GOOD.replace("4", ""), ["a.png"], "a.pts: 4 finite numbers are expected in the braces; found 3"),
        (GOOD.replace("4", "nan"), ["a.png"], "a.pts: 4 finite numbers are expected in the braces; found 4"),
        (GOOD.replace("4", "four"), ["a.png"], "a.pts: could not convert string to float: 'four'"),
        (GOOD.replace("4", "2"), ["a.png"], "a.pts: the points lie on one line, so that their box has no area"),
        (None, ["a.png"], "holds no .pts files, in it or in the folders in it; it has 1 other files"),
    ],
)
def test_pts_errors_name_the_file(tmp_path, content, pictures, message):
    draw(tmp_path, *pictures)
    if content is not None:
        (tmp_path / "a.pts").write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        pts.read(tmp_path)


def test_pts_of_other_numbers_of_points_do_not_mix(tmp_path):
    draw(tmp_path, "a.png", "b.png")
    write_pts(tmp_path / "a.pts", [(1, 2), (3, 4)])
    write_pts(tmp_path / "b.pts", [(1, 2), (3, 4), (5, 5)])
    with pytest.raises(ValueError, match="b.pts has 3 points, but .+a.pts has 2; all must have the same number"):
        pts.read(tmp_path)


def test_pictures_must_agree_in_number():
    with pytest.raises(ValueError, match=re.escape("boxes must be float32 [1, 4]; found float32 [2, 4]")):
        Pictures(("a.png",), boxes=np.zeros([2, 4], np.float32))
    with pytest.raises(ValueError, match="landmarks and annotated come together"):
        Pictures(("a.png",), landmarks=np.zeros([1, 3, 2], np.float32))
