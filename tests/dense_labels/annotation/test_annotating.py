"""Tests of writing the page: which pictures it shows, what is carried on, and what is suggested in other formats."""

import base64
import dataclasses
import json
import os
import pathlib
import re
import shutil
import sys
import types

import numpy as np
import pytest
from PIL import Image

from dense_labels.annotation import annotating, earlier
from dense_labels.batches import Frame, LabelMap
from dense_labels.config import Config, DataConfig
from dense_labels.prediction.predictions import Predictions
from dense_labels.registry import READERS
from input_pipeline.readers.pictures import Pictures

STRIDE, FRAME = 4, Frame((40, 60), 4, margin=4)  # pictures become 48 x 68
SHARPNESS = 8


class Run:
    """A run whose label of a cell is where it lies from a bright spot, so that labels move with the spot."""

    step, stride, frame = 1, STRIDE, FRAME

    def __init__(self, folder, workdir):
        workdir.mkdir(exist_ok=True)
        self.workdir, self.config = str(workdir), Config()
        self.config.data.name, self.config.data.dir = "folder", str(folder)

    def labels(self, images):
        assert images.shape[1:3] == FRAME.full_size
        inside = np.asarray(images, np.float32)[:, 4:-4, 4:-4].mean(axis=-1)
        rows, columns = np.mgrid[0.5:40, 0.5:60]
        weight = np.maximum(inside - 100, 1e-6)
        total = weight.sum(axis=(1, 2))
        spot = np.stack([(weight * axis).sum(axis=(1, 2)) / total for axis in (columns, rows)], axis=-1)
        centres = np.stack(np.meshgrid(np.arange(15) + 0.5, np.arange(10) + 0.5), axis=-1) * STRIDE
        away = (centres - spot[:, np.newaxis, np.newaxis]) / 60
        height = np.sqrt(np.maximum(2 - np.sum(np.square(away), axis=-1, keepdims=True), 0))
        return LabelMap((SHARPNESS * np.concatenate([away, height], axis=-1)).astype(np.float32), STRIDE)


def draw(spot, size=(96, 136)):
    """A dark picture with a bright square about a spot, (x, y)."""
    picture = np.full([*size, 3], 20, np.uint8)
    x, y = spot
    picture[y - 8 : y + 8, x - 8 : x + 8] = 250
    return Image.fromarray(picture)


@pytest.fixture
def run(tmp_path):
    """A run of 12 pictures in four places, three nearly the same in each."""
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for index in range(12):
        spot = [(40, 40), (90, 40), (40, 60), (90, 60)][index % 4]
        name = f"{index:02}.png" if index % 4 else f"deep/{index:02}.png"
        draw(spot).save(folder / name)
    return Run(folder, tmp_path / "run")


def data_of(path):
    with open(path, encoding="utf-8") as file:
        return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', file.read(), re.S)[1])


def test_the_page_shows_one_picture_of_each_kind_in_pixels_of_its_owner(run):
    data = data_of(annotating.annotate(run, 4))
    names = [each["name"] for each in data["pictures"]]
    assert sorted(int(name[-6:-4]) % 4 for name in names) == [0, 1, 2, 3] and any("deep/" in name for name in names)
    assert {(each["height"], each["width"]) for each in data["pictures"]} == {(96, 136)}
    assert data["landmark_names"] == [] and data["others"] == []
    whole = np.frombuffer(base64.b64decode(data["pictures"][0]["labels"]), "<i2").reshape([10, 15, 3])
    picture = np.asarray(Image.open(f"{run.config.data.dir}/{names[0]}").resize((68, 48), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(whole * data["scale"], run.labels(picture[np.newaxis]).values[0], atol=0.1)


def test_pictures_that_are_nearly_black_are_told(run, tmp_path, capsys):
    for path in (tmp_path / "pictures").rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(path)) // 25).save(path)  # as those of a 12-bit camera in 16-bit files
    annotating.annotate(run, 2)
    assert "warning: no pixel of 12 pictures is brighter than 10 of 255" in capsys.readouterr().out


def test_a_page_that_no_browser_would_open_is_refused(run, monkeypatch):
    monkeypatch.setattr(annotating, "_PAGE", 12e6)
    with pytest.raises(
        ValueError, match="annotate=9: no browser would open a page so large; at most [1-8] pictures at"
    ):
        annotating.annotate(run, 9)
    annotating.annotate(run, 1)


def test_where_all_are_alike_there_is_nothing_to_annotate(run, monkeypatch):
    monkeypatch.setattr(annotating.choosing, "choose", lambda *_, **__: np.empty(0, int))
    with pytest.raises(ValueError, match="all pictures are alike, or like those that are annotated"):
        annotating.annotate(run, 2)


def test_fewer_are_shown_where_pictures_are_alike(run, capsys):
    assert len(data_of(annotating.annotate(run, 9))["pictures"]) == 4
    assert "only 4 pictures differ" in capsys.readouterr().out


def test_earlier_annotations_are_shown_again_and_those_like_them_are_not_chosen(run, tmp_path, monkeypatch):
    points = tmp_path / "points.csv"
    points.write_text("file,tip_x,tip_y,tail_x,tail_y\n01.png,92.5,41,80,30\n02.png,42,61.5,,\n03.png,1,2,3,4\n")
    monkeypatch.setattr(annotating, "_MOST_SHOWN", 2)
    data = data_of(annotating.annotate(run, 4, annotations=points))
    assert [each["name"] for each in data["pictures"]] == ["deep/00.png", "01.png", "02.png"]
    assert [each["points"] for each in data["pictures"]] == [[None, None], [[92.5, 41], [80, 30]], [[42, 61.5], None]]
    assert data["others"] == [{"name": "03.png", "height": 96, "width": 136, "points": [[1, 2], [3, 4]]}]
    assert data["landmark_names"] == ["tip", "tail"]


def test_pictures_without_a_point_are_yet_to_be_annotated(run, tmp_path):
    """As in a table that was prepared with all names."""
    points = tmp_path / "points.csv"
    names = [f"{'' if n % 4 else 'deep/'}{n:02}.png" for n in range(12)]
    points.write_text(
        "file,tip_x,tip_y\n" + "".join(f"{name},{'92,41' if n == 1 else ','}\n" for n, name in enumerate(names))
    )
    data = data_of(annotating.annotate(run, 3, annotations=points))
    assert len(data["pictures"]) == 4 and not data["others"]
    assert sorted(int(each["name"][-6:-4]) % 4 for each in data["pictures"]) == [0, 1, 2, 3]
    points.write_text("file,tip_x,tip_y\n" + "".join(f"{name},,\n" for name in names))
    data = data_of(annotating.annotate(run, 4, annotations=points))
    assert len(data["pictures"]) == 4 and data["landmark_names"] == ["tip"]
    with pytest.raises(ValueError, match="points.csv: no landmark is annotated, and suggestions carry"):
        annotating.annotate(run, 4, annotations=points, suggest="csv")


def test_annotations_of_other_pictures_are_refused_as_an_evaluation_does(run, tmp_path):
    """The page hands points on with the true sizes: afterwards nobody could tell."""
    image = {"id": 1, "file_name": "01.png", "width": 96, "height": 136}  # before it was turned
    points = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [41.5, 92.5, 2]}
    category = {"id": 1, "name": "spot", "keypoints": ["tip"]}
    (tmp_path / "turned.json").write_text(
        json.dumps({"images": [image], "annotations": [points], "categories": [category]})
    )
    with pytest.raises(ValueError, match="is 136 x 96 pixels, its annotations are of 96 x 136"):
        annotating.annotate(run, 4, annotations=tmp_path / "turned.json")
    (tmp_path / "large.csv").write_text("file,tip_x,tip_y\n01.png,925,410\n")
    with pytest.raises(ValueError, match=r"tip lies at \(925, 410\), outside the 136 x 96 pixels"):
        annotating.annotate(run, 4, annotations=tmp_path / "large.csv")
    assert not (tmp_path / "run" / "annotate").exists()


def test_a_category_that_has_no_effect_is_refused(run, tmp_path):
    (tmp_path / "points.csv").write_text("file,tip_x,tip_y\n01.png,92,41\n")
    with pytest.raises(ValueError, match=r"config\.data\.category has no effect in this run"):
        annotating.annotate(run, 4, annotations=tmp_path / "points.csv", category="dog")
    with pytest.raises(ValueError, match="category=dog is of annotations, and none are given"):
        annotating.annotate(run, 4, category="dog")


def test_annotated_pictures_of_which_none_can_be_read_are_named(run, tmp_path):
    path = tmp_path / "pictures" / "01.png"
    path.write_bytes(path.read_bytes()[:70])
    (tmp_path / "points.csv").write_text("file,tip_x,tip_y\n01.png,92,41\n")
    with pytest.raises(ValueError, match="none of the 1 annotated pictures can be read, .*01.png for one"):
        annotating.annotate(run, 4, annotations=tmp_path / "points.csv")


def test_a_landmark_that_only_a_late_picture_has_is_suggested_too(run, tmp_path, monkeypatch):
    points = tmp_path / "points.csv"
    points.write_text("file,tip_x,tip_y,tail_x,tail_y\n01.png,94,44,,\n02.png,44,64,,\n03.png,94,64,90,60\n")
    monkeypatch.setattr(annotating, "_MOST_SHOWN", 2)
    data = data_of(annotating.annotate(run, 1, annotations=points, suggest="csv"))
    assert [each["name"] for each in data["pictures"][1:]] == ["01.png", "03.png"]
    assert [each["name"] for each in data["others"]] == ["02.png"]
    assert "tail_x" in (tmp_path / "run" / "annotate" / "points.csv").read_text()


def test_annotations_that_may_be_of_other_pictures_of_the_same_names_are_spoken_of(run, tmp_path, capsys):
    (tmp_path / "new").mkdir()
    for name in ("01.png", "02.png"):
        shutil.copyfile(f"{run.config.data.dir}/{name}", tmp_path / "new" / name)
    points = tmp_path / "points.csv"
    points.write_text("file,tip_x,tip_y\n01.png,94,44\n")
    said = f"and 1 of these pictures are others in the folder of the training, such as {tmp_path}/new/01.png and "
    for other in (False, True):
        if other:
            shutil.copyfile(f"{run.config.data.dir}/03.png", tmp_path / "new" / "01.png")
        annotating.annotate(run, 1, annotations=points, pictures=tmp_path / "new")
        assert (said in capsys.readouterr().out) == other


def test_labels_of_length_1_are_made_longer_for_a_softmax_tells_little_of_them(run, monkeypatch):
    sheets, labels = [], run.labels
    monkeypatch.setattr(annotating.annotation_page, "write", lambda path, title, sheet, *_, **__: sheets.append(sheet))
    monkeypatch.setattr(annotating.os.path, "getsize", lambda path: 0)
    monkeypatch.setattr(run, "labels", lambda images: LabelMap(labels(images).values / (SHARPNESS * 2**0.5), STRIDE))
    run.config.model.name = "introspection"
    for run.config.model.confidence in (False, True):
        annotating.annotate(run, 2)
    lengths = [np.linalg.norm(sheet.labels.values, axis=-1) for sheet in sheets]
    np.testing.assert_allclose(lengths[0], 20**0.5, rtol=1e-5)
    np.testing.assert_allclose(lengths[1], 1, rtol=1e-5)


def test_hidden_marks_are_shown_again(run, tmp_path, monkeypatch):
    points = tmp_path / "points.csv"
    rows = "01.png,92.5,41,1,,,1\n02.png,42,61.5,2,7,8,\n03.png,1,2,2,3,4,1\n"
    points.write_text("file,tip_x,tip_y,tip_v,tail_x,tail_y,tail_v\n" + rows)
    monkeypatch.setattr(annotating, "_MOST_SHOWN", 2)
    data = data_of(annotating.annotate(run, 4, annotations=points))
    assert [each["points"] for each in data["pictures"][1:]] == [[[92.5, 41, "hidden"], "hidden"], [[42, 61.5], [7, 8]]]
    assert data["others"][0]["points"] == [[1, 2], [3, 4, "hidden"]]


def test_suggestions_are_written_in_the_formats_of_predictions(run, tmp_path):
    points = tmp_path / "points.csv"
    points.write_text("file,tip_x,tip_y,none_x,none_y\n01.png,94,44,,\n")
    annotating.annotate(run, 3, annotations=points, suggest=["coco", "csv"])
    file = tmp_path / "run" / "annotate" / "points.json"
    settings = DataConfig(name="coco", dir=run.config.data.dir, annotations=str(file))
    read = READERS["coco"].value(settings)["annotated"]
    assert read.landmark_names == ("tip",)  # what is annotated nowhere cannot be suggested
    found = {int(path[-6:-4]) % 4: point[0] for path, point in zip(read.paths, read.landmarks)}
    assert sorted(found) == [0, 2, 3]  # (4, 4) off the spot, wherever that lies
    np.testing.assert_allclose([found[0], found[2], found[3]], [[44, 44], [44, 64], [94, 64]], atol=1)
    assert (tmp_path / "run" / "annotate" / "points.csv").exists()


def test_a_format_that_cannot_say_the_suggestions_is_refused_before_the_page_is_written(run, tmp_path):
    points = tmp_path / "points.csv"
    points.write_text("file,tip_x,tip_y\n01.png,94,44\n")
    with pytest.raises(ValueError, match="pts is for several landmarks"):
        annotating.annotate(run, 3, annotations=points, suggest=["csv", "pts"])
    assert not (tmp_path / "run" / "annotate").exists()


@pytest.mark.parametrize("doubted", ["score", "disagreement"])
def test_with_heads_pictures_that_they_doubt_are_chosen(run, monkeypatch, doubted):
    """In a cluster of three the best head is less certain of one, or others find its landmarks elsewhere."""
    for index in range(12):
        spot = [(40, 40), (90, 40), (40, 60), (90, 60)][index % 4]
        draw((spot[0] + index // 4, spot[1])).save(
            f"{run.config.data.dir}/{'' if index % 4 else 'deep/'}{index:02}.png"
        )
    asked = []

    class Heads:
        full_size, detects = FRAME.full_size, False

        def __init__(self, *of_run):
            assert of_run == (run.network, run.frame, kept)

        def together(self, images):
            asked.extend(images)
            doubt = np.arange(12) == 5  # the sixth in the order of names, deep/... being last
            score, apart = np.where(doubt & (doubted == "score"), 0.1, 0.9), 1.0 + (doubt & (doubted != "score"))
            return {"score": score[:, np.newaxis], "disagreement": apart[:, np.newaxis]}

    kept = types.SimpleNamespace(result=types.SimpleNamespace(step=run.step), network="")
    run.network = None
    monkeypatch.setattr(annotating.kept_heads, "newest", lambda workdir: kept)
    monkeypatch.setattr(annotating, "SeveralHeads", Heads)
    monkeypatch.setattr(annotating.choosing, "_ALIKE", 0.0)
    names = [each["name"] for each in data_of(annotating.annotate(run, 4))["pictures"]]
    assert "06.png" in names and len(asked) == 12


class Detector:
    """A head of a run whose best is a detector, which finds the tip at (1, 2), likely there, and an ear."""

    full_size, detects = FRAME.full_size, True

    @staticmethod
    def together(images):
        return {"score": np.ones([len(images), 2]), "disagreement": np.ones([len(images), 2])}

    @staticmethod
    def predict(paths):
        names = tuple(os.path.basename(path) for path in reversed(paths))
        points = np.tile(np.float32([[1, 2], [3, 400]]), [len(names), 1, 1])  # one below the picture
        facts = {"likelihood": np.full([len(names), 2], 0.5), "present": np.full([len(names), 2], 0.5)}
        folder, sizes = os.path.dirname(paths[0]), np.full([len(names), 2], 96)
        return Predictions(folder, names, sizes, ("ear", "tip"), points, np.ones([len(names), 2]), **facts)


@pytest.mark.parametrize(
    "annotated, names, predicted",
    [
        ("", ["ear", "tip"], [[1, 2, 0.25], [3, 96, 0.25]]),
        ("file,tip_x,tip_y,none_x,none_y\n01.png,94,44,,\n", ["tip", "none"], [[3, 96, 0.25], None]),
    ],
)
def test_what_a_detector_of_the_run_finds_in_new_pictures_is_suggested(
    run, tmp_path, monkeypatch, annotated, names, predicted
):
    (tmp_path / "pictures" / "deep").rename(tmp_path / "deep")  # so that all lie in one folder
    points, options = tmp_path / "points.csv", {}
    if annotated:
        points.write_text(annotated)
        options = {"annotations": points, "suggest": "csv"}
    monkeypatch.setattr(annotating, "_heads", lambda run: Detector)
    run.predict = Detector.predict
    data = data_of(annotating.annotate(run, 2, **options))
    assert data["landmark_names"] == names and len(data["pictures"]) == 2 + bool(annotated)
    assert [each["predicted"] for each in data["pictures"][:2]] == [predicted] * 2
    if annotated:
        assert data["pictures"][2]["predicted"] == [None, None] and data["pictures"][2]["points"] == [[94, 44], None]
        assert (tmp_path / "run" / "annotate" / "points.csv").read_text().count(",3.000,96.000") == 2


def test_doubts_of_two_kinds_count_alike():
    """Whatever their units; what is no number is doubted most."""
    ranks = annotating._ranks(np.array([[0.1, 0.2, 0.3, 0.3], [50, np.nan, 10, 20]]))
    np.testing.assert_array_equal(ranks, [1 + 3, 2 + 4, 3.5 + 1, 3.5 + 2])


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"count": 0}, "annotate=0: must be at least 1 picture"),
        ({"suggest": "nothing"}, "there is no format 'nothing'"),
        ({"suggest": "video", "annotations": "a.csv"}, "format 'video' is of videos, and these are pictures"),
        ({"suggest": "coco"}, "suggest=coco needs annotations of one picture or more"),
        ({"pictures": "no/where"}, "there is no such picture or folder"),
    ],
)
def test_mistakes_are_told_before_the_work(run, arguments, words):
    with pytest.raises(ValueError, match=words):
        annotating.annotate(run, **{"count": 2, **arguments})


def test_a_run_without_a_folder_needs_pictures(run):
    run.config.data.dir = ""
    with pytest.raises(ValueError, match="no folder that is there now; give the pictures"):
        annotating.annotate(run, 2)


def spots(path, count):
    """COCO annotations of one picture with so many objects."""
    images = [{"id": 1, "file_name": "01.png", "width": 136, "height": 96}]
    objects = [
        {"id": n, "image_id": 1, "category_id": 1, "keypoints": [5.5, 6.5 + n, 2], "bbox": [1, 1, 9, 9]}
        for n in range(1, count + 1)
    ]
    category = {"id": 1, "name": "spot", "keypoints": ["tip"]}
    path.write_text(json.dumps({"images": images, "annotations": objects, "categories": [category]}))
    return path


@pytest.mark.parametrize("by", ["boxes", "coco"])
def test_a_run_that_saw_boxes_is_given_pictures_of_one_object(run, tmp_path, by):
    """Also one whose boxes are those of several objects in a picture, which no key of its configuration names."""
    run.config.data.name = by
    if by == "coco":
        run.config.data.annotations = str(spots(tmp_path / "points.json", 2))
    with pytest.raises(ValueError, match="was trained on boxes about objects.*crop pictures"):
        annotating.annotate(run, 2)
    assert len(data_of(annotating.annotate(run, 2, pictures=run.config.data.dir))["pictures"]) == 2


@pytest.mark.parametrize(
    "annotated, asked, category", [(True, "", "spot"), (False, "7", "object"), (False, "cat", "cat")]
)
def test_the_page_calls_objects_what_annotations_or_the_run_call_them(run, tmp_path, annotated, asked, category):
    annotations = spots(tmp_path / "points.json", 1) if annotated else None
    run.config.data.category = asked
    assert data_of(annotating.annotate(run, 2, annotations=annotations))["category"] == category


def test_what_the_page_does_not_hand_out_again_is_said(run, tmp_path, capsys):
    path = spots(tmp_path / "points.json", 1)
    annotating.annotate(run, 2, annotations=path)
    said = f"warning: {path} says the boxes about the objects, whose sizes errors are divided by; the files"
    assert said in capsys.readouterr().out
    points = {
        "landmarks": np.zeros([1, 2, 2], "f4"),
        "annotated": np.ones([1, 2], "f4"),
        "landmark_names": ("tip", "tail"),
    }
    pictures = Pictures(("a.png",), **points, flip_pairs=((0, 1),))
    earlier._say_what_goes(pictures, path)
    assert f"{path} says which landmarks change places in a mirror; the files" in capsys.readouterr().out
    pairs = dataclasses.replace(pictures, landmark_names=("left", "right"), flip_pairs=((1, 0),))
    earlier._say_what_goes(pairs, path)  # as is guessed
    earlier._say_what_goes(pairs.take(np.array([], int)), path)
    assert not capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all names are text")
def test_names_that_are_no_text_cost_nothing_else(run, tmp_path, capsys):
    """One of an annotated picture, and that of the run, which is the title of the page."""
    for name in ("good.png", "bad\udcff.png"):
        draw((40, 40)).save(tmp_path / "pictures" / name)
        (tmp_path / "pictures" / f"{name[:-4]}.pts").write_text("version: 1\nn_points: 2\n{\n5 6\n9 7\n}\n")
    run.workdir += "\udcfe"
    data = data_of(annotating.annotate(run, 2, annotations=run.config.data.dir, pictures=run.config.data.dir))
    assert "note: 1 annotated pictures have names that are no text: rename them" in capsys.readouterr().out
    assert len(data["pictures"]) == 3 and data["pictures"][-1]["name"] == "good.png"


def test_two_objects_in_a_picture_are_refused(run, tmp_path):
    path = spots(tmp_path / "points.json", 2)
    with pytest.raises(ValueError, match="01.png has two objects"):
        annotating.annotate(run, 2, annotations=path)


def test_pictures_that_cannot_be_read_cost_nothing_else(run, capsys):
    with open(f"{run.config.data.dir}/bad.png", "wb") as file:
        file.write(b"no picture")
    assert len(data_of(annotating.annotate(run, 4))["pictures"]) == 4
    assert "warning: 1 of 13 pictures cannot be read, such as" in capsys.readouterr().out


def test_an_annotated_picture_that_is_cut_off_is_handed_on_and_not_shown(run, tmp_path, capsys):
    """Its head can be read, so its points are known; and its place among those shown goes to another one."""
    folder = pathlib.Path(run.config.data.dir)
    names = sorted(path.name for path in folder.glob("*.png"))[:3]
    table = tmp_path / "points.csv"
    table.write_text("file,tip_x,tip_y\n" + "".join(f"{name},4,{n + 5}\n" for n, name in enumerate(names)))
    whole = (folder / names[1]).read_bytes()
    (folder / names[1]).write_bytes(whole[: len(whole) // 2])
    data = data_of(annotating.annotate(run, 2, annotations=table))
    assert [each["name"] for each in data["pictures"][2:]] == [names[0], names[2]]
    assert [(each["name"], each["points"]) for each in data["others"]] == [(names[1], [[4, 6]])]


def test_the_command_names_the_folder_where_it_is_another(run, tmp_path):
    with open(annotating.annotate(run, 2), encoding="utf-8") as file:
        assert "--annotations=DOWNLOADED.csv --heads=nearest,regress,detector</pre>" in file.read()
    with open(annotating.annotate(run, 2, pictures=f"{run.config.data.dir}/deep/*.png"), encoding="utf-8") as file:
        assert f"--pictures={run.config.data.dir}/deep</pre>" in file.read()
