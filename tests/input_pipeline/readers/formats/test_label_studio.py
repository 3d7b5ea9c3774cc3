"""Tests of the reader of Label Studio's exports."""

import copy
import json
import re

import numpy as np
import pytest

from input_pipeline.readers import annotation_files
from input_pipeline.readers.formats import label_studio
from tests.input_pipeline.readers.files import draw, paths


def key_point(label, x, y, **other):
    about = {"original_width": 64, "original_height": 48, "image_rotation": 0, "type": "keypointlabels"}
    return {**about, "value": {"x": x, "y": y, "width": 0.5, "keypointlabels": [label]}, **other}


def rectangle(id, x, y, w, h):
    value = {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": ["fly"]}
    return {"original_width": 64, "original_height": 48, "id": id, "type": "rectanglelabels", "value": value}


BOX = rectangle("", 0, 0, 50, 50)["value"]


def task(image, *results, **other):
    return {"data": {"image": image}, "annotations": [{"result": list(results), **other}]}


TASKS = [
    task("/data/upload/3/0a1b2c3d-a.png", key_point("tail", 50, 25), key_point("nose", 12.5, 100)),
    task("/data/local-files/?d=in%2Fb.png", key_point("nose", 0, 0)),
]


@pytest.fixture
def read_tasks(tmp_path):
    """Writes an export, and reads it beside two pictures."""
    draw(tmp_path, "a.png", "in/b.png")
    file = tmp_path / "export.json"

    def read(tasks, **settings):
        file.write_text(json.dumps(tasks))
        assert annotation_files.kind_of(file) == "label_studio"
        return label_studio.read_file(tmp_path, file, **settings)

    return read


def test_an_upload_that_may_be_of_two_folders_is_refused(read_tasks, tmp_path):
    """It has lost its folder."""
    draw(tmp_path, "img1.png", "session2/img1.png", "session2/img2.png")
    two = task("/data/upload/1/1a2b3c4d-img2.png", key_point("nose", 1, 1))
    assert read_tasks([two]).paths == (str(tmp_path / "session2/img2.png"),)
    with pytest.raises(ValueError, match=r"img1.png can be img1.png or session2/img1.png; leave one of them in"):
        read_tasks([task("/data/upload/1/1a2b3c4d-img1.png", key_point("nose", 1, 1))])


def test_uploads_are_found_by_the_names_that_they_had(read_tasks, tmp_path):
    """Label Studio puts 8 digits before them, and leaves no spaces and brackets in them."""
    draw(tmp_path, "fly wing (1).png", "20230101-b.png", "b.png")
    tasks = [task(f"/data/{name}", key_point("nose", 1, 1)) for name in ("upload/3/1a2b3c4d-fly_wing_1.png", "b.png")]
    assert read_tasks(tasks).paths == paths(tmp_path, "fly wing (1).png", "b.png")
    draw(tmp_path, "fly_wing_1.png")
    with pytest.raises(ValueError, match=r"task 0: .* can be fly wing \(1\).png or fly_wing_1.png; leave one of them"):
        read_tasks(tasks)
    with pytest.raises(ValueError, match="there is no picture .*20230102-b.png"):  # which is no upload
        read_tasks([task("20230102-b.png", key_point("nose", 1, 1))])


def test_percent_are_of_the_sides(read_tasks, tmp_path):
    found = read_tasks(TASKS)
    assert found.paths == paths(tmp_path, "a.png", "in/b.png") and found.landmark_names == ("nose", "tail")
    np.testing.assert_array_equal(found.landmarks[0], [[8, 48], [32, 12]])
    np.testing.assert_array_equal(found.annotated, [[1, 1], [1, 0]])  # a point at (0, 0) is one
    np.testing.assert_array_equal(found.claimed, [[48, 64], [48, 64]])


def test_the_last_annotation_counts_and_no_prediction(read_tasks, capsys):
    tasks = copy.deepcopy(TASKS)
    tasks[0]["annotations"] += [
        {"result": [key_point("tail", 100, 100)]},
        {"result": [key_point("tail", 1, 1)], "was_cancelled": True},
    ]
    tasks[1] = {"data": {"image": "in/b.png"}, "predictions": [{"result": [key_point("nose", 5, 5)]}]}
    found = read_tasks(tasks)
    np.testing.assert_array_equal(found.landmarks, [[[64, 48]]])
    assert "1 tasks that have none, but predictions, are passed over" in capsys.readouterr().out
    assert len(read_tasks(tasks[1:])) == 1 and "no task has annotations, so the predictions" in capsys.readouterr().out


def test_the_short_export_is_read(read_tasks):
    point = {"x": 50, "y": 25, "keypointlabels": ["tail"], "original_width": 64, "original_height": 48}
    found = read_tasks([{"image": "a.png", "id": 1, "label": [point]}])
    np.testing.assert_array_equal(found.landmarks, [[[32, 12]]])


def test_all_lists_of_key_points_of_the_short_export_are_read(read_tasks):
    """It has a list for each KeyPointLabels of the configuration."""
    about = {"y": 25, "original_width": 64, "original_height": 48}
    left, right = ({**about, "x": x, "keypointlabels": [name]} for x, name in ((25, "left"), (75, "right")))
    found = read_tasks([{"image": "a.png", "id": 1, "eyes": [left], "others": [right], "tags": ["dog", {"x": 1}]}])
    assert found.landmark_names == ("left", "right")
    np.testing.assert_array_equal(found.landmarks, [[[16, 12], [48, 12]]])


def test_a_task_without_key_points_may_come_first(read_tasks, tmp_path):
    """Nothing else tells the short export from other lists, so all its tasks are looked through."""
    point = {"x": 50, "y": 25, "keypointlabels": ["tail"], "original_width": 64, "original_height": 48}
    found = read_tasks([{"image": "in/b.png", "id": 1}, {"image": "a.png", "id": 2, "label": [point]}])
    assert found.paths == paths(tmp_path, "a.png")


def test_the_newest_annotation_counts_wherever_it_stands(read_tasks):
    """The export has them in no order; old versions call what was passed over skipped."""
    made = ((9, "2024-02-01T00:00:00Z", 75), (3, "2024-01-01T00:00:00Z", 25))
    both = [{"id": id, "created_at": time, "result": [key_point("nose", x, 25)]} for id, time, x in made]
    for marks in (both, both[::-1], [{key: each[key] for key in ("id", "result")} for each in both]):
        found = read_tasks([{"data": {"image": "a.png"}, "annotations": marks}])
        np.testing.assert_array_equal(found.landmarks, [[[48, 12]]])
    old = [{**both[0], "skipped": True}, {**both[1], "skipped": False}]
    found = read_tasks([{"data": {"image": "a.png"}, "completions": old}])
    np.testing.assert_array_equal(found.landmarks, [[[16, 12]]])


@pytest.mark.parametrize(
    "data, tag, picture",
    [
        ({"image": "in/b.png", "thumbnail": "a.png"}, "image", "in/b.png"),
        ({"photo": "a.png", "origin": "site.org", "made": "2024-02-02T10:00:00.123456Z"}, "img", "a.png"),
        ({"one": "in/b.png", "two": "a.png"}, "two", "a.png"),
    ],
)
def test_the_picture_is_the_one_that_key_points_are_on(read_tasks, tmp_path, data, tag, picture):
    result = key_point("nose", 1, 1, to_name=tag)
    assert read_tasks([{"data": data, "annotations": [{"result": [result]}]}]).paths == paths(tmp_path, picture)


def test_key_points_on_two_pictures_are_refused(read_tasks):
    data = {"image": "a.png", "image2": "in/b.png"}
    on = [key_point(name, 1, 1, to_name=tag) for name, tag in (("nose", "img1"), ("tail", "img2"))]
    for results in (on, on[:1]):
        with pytest.raises(ValueError, match=r"task 0: has several pictures \(image, image2\), and its key points do"):
            read_tasks([{"data": data, "annotations": [{"result": results}]}])
    with pytest.raises(ValueError, match="task 0: has several pictures"):
        read_tasks([{**data, "id": 1, "label": [{**on[0]["value"], "original_width": 64, "original_height": 48}]}])


@pytest.mark.parametrize("dated", [True, False])
def test_of_entries_of_one_task_the_last_counts(read_tasks, dated):
    """The short export has an entry for each annotation of a task, the newest first."""
    point = {"y": 25, "keypointlabels": ["tail"], "original_width": 64, "original_height": 48}
    entries = [
        {"image": "a.png", "id": 7, "label": [{**point, "x": x}], "annotation_id": number}
        for x, number in ((50, 2), (25, 1))
    ]
    for entry in entries if dated else ():
        entry["created_at"] = f"2024-01-0{entry['annotation_id']}T00:00:00.5Z"
    found = read_tasks([*entries, {"image": "in/b.png", "id": 8, "label": [{**point, "x": 75}]}])
    np.testing.assert_array_equal(found.landmarks, [[[32, 12]], [[48, 12]]])
    assert found.boxes is None
    with pytest.raises(ValueError, match="task 0 and .*task 1 are both found as .*a.png; leave one of these tasks"):
        read_tasks([{**entry, "id": None} for entry in entries])


def test_key_points_in_rectangles_are_objects(read_tasks):
    found = read_tasks(
        [
            task(
                "a.png",
                rectangle("one", 0, 0, 50, 50),
                rectangle("two", 50, 50, 25, 50),
                key_point("nose", 75, 75, parentID="two"),
                key_point("nose", 25, 25, parentID="one"),
            )
        ]
    )
    np.testing.assert_array_equal(found.objects, [[32, 24, 48, 48], [0, 0, 32, 24]])
    np.testing.assert_array_equal(found.landmarks[:, 0], [[48, 36], [16, 12]])


@pytest.mark.parametrize(
    "tasks, message",
    [
        ([task("c.png", key_point("nose", 1, 1))], "export.json: task 0: there is no picture"),
        ([task("a.png", key_point("nose", 1, "x"))], "task 0: y of nose: a number is expected; found 'x'"),
        ([task("a.png", key_point("nose", 1, 1), key_point("nose", 2, 2))], "task 0: has several key points nose"),
        ([task("a.png", key_point("nose", 1, 1, image_rotation=90))], "task 0: the picture was turned in Label Studio"),
        ([task("a.png", key_point("nose", 1, 1, original_width=None))], "task 0: original_width and original_height"),
        (
            [task("a.png", key_point("nose", 1, 1)), task("upload/1/0a1b2c3d-a.png", key_point("nose", 1, 1))],
            "task 1 are both found as",
        ),
        ([task("a.png")], "export.json has no landmark in any picture"),
        (
            [{"image": "a.png", "box": [BOX, BOX], "kp": [{"x": 1, "y": 1, "keypointlabels": ["nose"]}]}],
            "task 0: JSON-MIN does not say in which of its 2 rectangles a key point lies; export it as JSON",
        ),
        ([{**TASKS[0], "data": {}}], "task 0: its data must name one picture, as image"),
        ([task("a.png", rectangle("one", 0, 0, 0, 5), key_point("nose", 1, 1, parentID="one"))], "must have an area"),
    ],
)
def test_label_studio_errors_name_the_task(read_tasks, tasks, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_tasks(tasks)
