"""Tests of the formats of predictions; what our own readers read comes back."""

import dataclasses
import json
import pathlib
import re
import shutil
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dense_labels.prediction import tables
from dense_labels.prediction.formats import sheet
from dense_labels.prediction.predictions import Predictions, check_formats
from dense_labels.registry import FORMATS
from input_pipeline.readers import annotation_files, coco, points_csv
from input_pipeline.readers.formats import yolo

NAMES = ("left_eye", "right_eye", "nose, tip")


@pytest.fixture
def predictions(tmp_path):
    """Two pictures in a folder, one of them in a folder below, with points of three landmarks."""
    for name, size in (("a.png", (64, 48)), ("in/b,c.png", (30, 90))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", size, (90, 160, 200)).save(tmp_path / name)
    points = np.float32([[[10.25, 20], [30, 40.5], [12, 13]], [[1, 2], [3, 4], [25.125, 80.0625]]])
    score = np.float32([[0.9, 0.5, 0.25], [0.125, 0.75, 1]])
    sizes = np.array([[48, 64], [90, 30]])
    return Predictions(str(tmp_path), ("a.png", "in/b,c.png"), sizes, NAMES, points, score)


def content(predictions, name):
    return FORMATS[name].value(predictions)


def test_tables_are_what_annotations_are_read_from(predictions, tmp_path):
    (tmp_path / "points.csv").write_bytes(content(predictions, "csv"))
    found = points_csv.read_table(tmp_path, tmp_path / "points.csv")
    assert found.paths == (str(tmp_path / "a.png"), str(tmp_path / "in/b,c.png")) and found.landmark_names == NAMES
    np.testing.assert_allclose(found.landmarks, predictions.points, atol=6e-4)
    assert found.annotated.all()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names have no line breaks")
@pytest.mark.parametrize("name", ["a\rb.png", "a\nb.png", "\r\n.png", "\r", 'a"\r,.png'])
def test_tables_hold_names_with_line_breaks(predictions, tmp_path, name):
    (tmp_path / "a.png").rename(tmp_path / name)
    named = dataclasses.replace(predictions, names=(name, predictions.names[1]))
    for format, file in (("csv", "points.csv"), ("deeplabcut", "points_deeplabcut.csv")):
        named.save(tmp_path, format)
        found = annotation_files.read(tmp_path, tmp_path / file)
        assert [pathlib.Path(path).name for path in found.paths] == [name, "b,c.png"]
        np.testing.assert_allclose(found.landmarks, predictions.points, atol=6e-4)


@pytest.mark.parametrize(
    "name", ["csv", "scores", "coco", "cvat", "deeplabcut", "label_studio", "tfrecord", "tps", "sleap"]
)
def test_the_format_that_says_where_the_pictures_lie_has_that_fact(predictions, name):
    """Bulk prediction, which has no such folder, takes the others."""
    assert FORMATS[name].facts.get("whole_paths", False) == (name == "sleap")
    if name == "sleap":
        pytest.importorskip("sleap_io")
    here, elsewhere = (content(dataclasses.replace(predictions, folder=folder), name) for folder in ("", "/elsewhere"))
    assert (here != elsewhere) == (name == "sleap")


@pytest.mark.parametrize("name", ["coco", "cvat", "label_studio", "labelme", "csv"])
def test_what_is_known_is_worked_out_once_however_many_landmarks_are_written(predictions, monkeypatch, name):
    calls, isfinite = [], np.isfinite
    many = predictions.take([0, 1] * 50)
    many = dataclasses.replace(many, names=tuple(f"{k}.png" for k in range(100)))
    monkeypatch.setattr(np, "isfinite", lambda values: calls.append(np.size(values)) or isfinite(values))
    content(many, name)
    assert sum(size == many.points.size for size in calls) <= 2


@pytest.mark.parametrize("rows", [[False, True], np.array([False, True]), [1], np.array([1]), range(1, 2)])
def test_rows_are_taken_by_number_and_by_mask(predictions, rows):
    taken = predictions.take(rows)
    assert taken.names == predictions.names[1:2] and len(taken) == len(taken.points) == 1
    np.testing.assert_array_equal(taken.points[0], predictions.points[1])
    assert len(predictions.take([])) == len(predictions.take([]).points) == 0


def test_only_what_needs_quotes_has_them():
    rows = [["a.png", 1.5, ""], ["a, b.png", 2, "c\rd"], ['e"f', "", "g\nh"]]
    assert tables.table([["file", "x", "y"]], rows) == b'file,x,y\na.png,1.5,\n"a, b.png",2,"c\rd"\n"e""f",,"g\nh"\n'


def test_the_score_of_a_single_landmark_is_a_list_too(predictions):
    one = {"landmark_names": NAMES[:1], "points": predictions.points[:, :1], "score": predictions.score[:, :1]}
    written = json.loads(content(dataclasses.replace(predictions, **one), "coco"))["annotations"]
    assert [each["keypoint_scores"] for each in written] == [[0.9], [0.125]] and written[1]["score"] == 0.125


def test_landmarks_without_names_are_numbered(predictions, tmp_path):
    bare = Predictions(
        str(tmp_path), predictions.names, predictions.sizes, ("0", "1", "2"), predictions.points, predictions.score,
        named=False,
    )  # fmt: skip
    (tmp_path / "points.csv").write_bytes(content(bare, "csv"))
    assert points_csv.read_table(tmp_path, tmp_path / "points.csv").landmark_names == ()


@pytest.mark.parametrize("whole", [False, True])
def test_coco_is_read_back_without_half_a_pixel_more(predictions, tmp_path, whole):
    """Also where all numbers happen to be whole, which COCO's own are that count pixels at their centres."""
    if whole:
        np.round(predictions.points, out=predictions.points)
    (tmp_path / "points.json").write_bytes(content(predictions, "coco"))
    found = coco.read_file(tmp_path, tmp_path / "points.json")
    np.testing.assert_allclose(found.landmarks, predictions.points, atol=2e-3)
    assert found.landmark_names == NAMES and found.boxes is None
    np.testing.assert_array_equal(found.claimed, predictions.sizes)
    written = json.loads((tmp_path / "points.json").read_text())["annotations"]
    for each in written:  # what pycocotools and others need beside
        assert (each["area"], each["iscrowd"], each["segmentation"]) == (
            pytest.approx(np.prod(each["bbox"][2:])),
            0,
            [],
        )
    assert written[1]["keypoint_scores"] == [0.125, 0.75, 1.0] and written[1]["score"] == 0.625


def test_yolo_takes_the_folder_of_its_file(predictions, tmp_path):
    """Old releases of Ultralytics take a relative `path` from the folder of all their data sets."""
    predictions.save(tmp_path, "yolo")
    assert "path:" not in (tmp_path / "yolo/data.yaml").read_text()
    for name in predictions.names:
        (tmp_path / "yolo/images" / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / "yolo/images" / name)
    found = yolo.read_file(tmp_path / "elsewhere", tmp_path / "yolo/data.yaml")
    np.testing.assert_allclose(found.landmarks, predictions.points, atol=1e-5)


def test_labels_of_yolo_lie_where_they_are_looked_for_once_pictures_are_copied(tmp_path):
    """Ultralytics puts `labels` in the place of the last folder `images`, which names may have too."""
    names = ("a.png", "images/train/a.png", "s/images/b.png")
    for name in names:
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48)).save(tmp_path / "pictures" / name)
    points = np.float32(np.arange(18).reshape([3, 3, 2]))
    made = Predictions(str(tmp_path / "pictures"), names, np.array([[48, 64]] * 3), NAMES, points, np.ones([3, 3]))
    made.save(tmp_path, "yolo")
    places = ("labels/a.txt", "images/labels/train/a.txt", "images/s/labels/b.txt")
    assert all((tmp_path / "yolo" / place).is_file() for place in places)
    before = yolo.read_file(tmp_path / "pictures", tmp_path / "yolo")
    shutil.copytree(tmp_path / "pictures", tmp_path / "yolo/images", dirs_exist_ok=True)
    for found in (before, yolo.read_file(tmp_path / "elsewhere", tmp_path / "yolo")):
        assert [pathlib.Path(path).name for path in found.paths] == ["a.png", "a.png", "b.png"]
        np.testing.assert_allclose(found.landmarks, points, atol=1e-5)


def test_cvat_finds_frames_by_their_numbers_and_pictures_by_their_names(predictions, tmp_path):
    """CVAT takes an id for a frame where it knows no picture of that name."""
    images = ElementTree.fromstring(content(predictions, "cvat")).findall("image")
    assert [image.get("name") for image in images] == list(predictions.names)
    assert [image.get("id") for image in images] == ["-1", "-2"]
    video = dataclasses.replace(predictions, frames=np.array([3, 42]), video=str(tmp_path / "clip 1.mp4"))
    root = ElementTree.fromstring(content(video, "cvat"))
    said = [(image.get("id"), image.get("name")) for image in root.findall("image")]
    assert said == [("3", "frame_000003"), ("42", "frame_000042")]
    assert root.findtext("meta/task/source") == "clip 1.mp4"


def test_scores_are_a_table(predictions):
    lines = content(predictions, "scores").decode().splitlines()
    assert lines == [
        'file,left_eye,right_eye,"nose, tip"',
        "a.png,0.9000,0.5000,0.2500",
        '"in/b,c.png",0.1250,0.7500,1.0000',
    ]


def test_deeplabcut_counts_pixels_at_their_centres(predictions):
    lines = content(predictions, "deeplabcut").decode().splitlines()
    assert lines[0] == "scorer," + ",".join(["DenseLabels"] * 9)
    assert lines[1].startswith("bodyparts,left_eye,left_eye,left_eye,right_eye,")
    assert lines[2] == "coords," + ",".join(["x", "y", "likelihood"] * 3)
    assert lines[3].startswith("a.png,9.7500,19.5000,0.9000,29.5000,40.0000,0.5000,")


@pytest.mark.parametrize("frames", [None, np.array([3, 4])])
def test_both_tables_of_deeplabcut_have_the_same_rows(predictions, tmp_path, frames):
    """The numbers of the frames of a video, else the names of the pictures."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    found = dataclasses.replace(predictions, frames=frames)
    found.save(tmp_path, ("deeplabcut", "deeplabcut_h5"))
    table = pandas.read_hdf(tmp_path / "points_deeplabcut.h5")
    again = pandas.read_csv(tmp_path / "points_deeplabcut.csv", header=[0, 1, 2], index_col=0)
    assert list(table.index) == list(again.index) == (["a.png", "in/b,c.png"] if frames is None else [3, 4])
    assert pandas.api.types.is_integer_dtype(table.index) == (frames is not None)
    assert list(table.columns) == list(again.columns)
    np.testing.assert_allclose(table.to_numpy(), again.to_numpy(), atol=1e-4)


def test_likelihoods_take_the_place_of_scores_where_these_are_calibrated(predictions):
    error, likelihood = 10 * predictions.score, predictions.score / 2
    calibrated = dataclasses.replace(predictions, expected_error=error, likelihood=likelihood)
    lines = content(calibrated, "deeplabcut").decode().splitlines()
    assert lines[3].startswith("a.png,9.7500,19.5000,0.4500,29.5000,40.0000,0.2500,")
    header, first, _ = content(calibrated, "scores").decode().splitlines()
    assert header.startswith('file,left_eye,right_eye,"nose, tip",left_eye_expected_error_px,')
    assert header.endswith(',left_eye_likelihood,right_eye_likelihood,"nose, tip_likelihood"')
    assert first == "a.png,0.9000,0.5000,0.2500,9.0000,5.0000,2.5000,0.4500,0.2500,0.1250"


def test_what_is_probably_not_there_is_not_likely(predictions):
    known = dataclasses.replace(predictions, likelihood=predictions.score, present=predictions.score / 2)
    lines = content(known, "deeplabcut").decode().splitlines()
    assert lines[3].startswith("a.png,9.7500,19.5000,0.4050,29.5000,40.0000,0.1250,")
    header, first, _ = content(known, "scores").decode().splitlines()
    assert header.endswith(',left_eye_present,right_eye_present,"nose, tip_present"')
    assert first.endswith(",0.4500,0.2500,0.1250")


def test_tps_counts_from_the_bottom(predictions, tmp_path):
    text = content(predictions, "tps").decode()
    first, second = text.split("LM=")[1:]
    assert first == "3\n10.25000 28.00000\n30.00000 7.50000\n12.00000 35.00000\nIMAGE=a.png\nID=0\n"
    assert second.endswith("25.12500 9.93750\nIMAGE=in/b,c.png\nID=1\n")
    for name in ("a\n.png", " a.png"):
        broken = Predictions(str(tmp_path), (name,), *(part[:1] for part in (predictions.sizes,)), NAMES,
                             predictions.points[:1], predictions.score[:1])  # fmt: skip
        with pytest.raises(ValueError, match=r"a.*: a TPS file cannot hold this name"):
            content(broken, "tps")


def test_pts_is_for_several_landmarks(predictions, tmp_path):
    one = Predictions(str(tmp_path), predictions.names, predictions.sizes, ("tip",), predictions.points[:, :1],
                      predictions.score[:, :1])  # fmt: skip
    with pytest.raises(ValueError, match="pts is for several landmarks, .* and there is one; choose 'csv'"):
        one.save(tmp_path / "out", ["pts"])
    points = predictions.points.copy()
    points[1, :, 0] = 7
    level = dataclasses.replace(predictions, points=points)
    name = predictions.names[1]
    with pytest.raises(ValueError, match=f"pts: the landmarks of {name} lie on one line, .*; choose 'csv'"):
        level.save(tmp_path / "out", ["pts"])


def test_what_tps_would_take_for_not_placed_is_said(predictions, tmp_path, capsys):
    points = predictions.points.copy()
    points[0, :2] = [[-1.25, 49.5], [-1.25, 40]]
    text = content(dataclasses.replace(predictions, points=points), "tps").decode()
    assert text.startswith("LM=3\n-1 -1\n-1.25000 8.00000\n")
    assert "tps: 1 landmarks lie below and left of their pictures, and are written as not placed" in (
        capsys.readouterr().out
    )


def test_the_sheet_is_a_picture_of_pictures(predictions, tmp_path):
    (tmp_path / "sheet.png").write_bytes(content(predictions, "sheet"))
    shown = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert shown.ndim == 3 and shown.shape[1] > 2 * 220
    colours = {tuple(colour) for colour in shown.reshape(-1, 3)[::7]}
    assert (90, 160, 200) in colours and len(colours) > 10


def test_the_sheet_shows_the_24_lowest_scores_in_their_order(predictions, monkeypatch):
    rows = np.random.default_rng(0).permutation(30)
    score = np.float32(np.tile(rows[:, np.newaxis] / 30, [1, 3]))
    many = dataclasses.replace(predictions.take([0] * 30), names=tuple(f"{row}.png" for row in rows), score=score)
    asked = []
    monkeypatch.setattr(sheet, "draw_rows", lambda *given: asked.append(given[1:]) or b"")
    assert content(many, "sheet") == b""
    ((chosen, captions),) = asked
    assert [many.names[row] for row in chosen] == [f"{n}.png" for n in range(24)]
    assert captions == [f"{n / 30:.2f}" for n in range(24)]


def test_the_sheet_shows_landmarks_where_they_lie_in_small_copies(predictions, tmp_path, monkeypatch):
    Image.new("RGB", (440, 110), (20, 220, 40)).save(tmp_path / "a.png")
    sizes = np.array([[110, 440], [90, 30]])
    drawn = []
    monkeypatch.setattr(sheet, "_draw", lambda tiles, *given: drawn.append(given))
    sheet.draw_rows(dataclasses.replace(predictions, sizes=sizes), [1, 0], ["second", "first"])
    (row, column, picture, points), (other_row, other_column, other, others) = drawn
    assert (row, column, other_row, other_column) == (0, 0, 0, 1)
    assert picture.shape == (220, 73, 3) and other.shape == (55, 220, 3)
    assert (picture == (90, 160, 200)).all() and (other == (20, 220, 40)).all()
    np.testing.assert_allclose(points, predictions.points[1] * [73 / 30, 220 / 90], rtol=1e-5)
    np.testing.assert_allclose(others, predictions.points[0] / 2, rtol=1e-5)


def test_files_are_written_whole_or_not_at_all(predictions, tmp_path):
    written = predictions.save(tmp_path / "out", ("csv", "tps"))
    assert [path.name for path in written] == ["points.csv", "points.tps"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".written",
        ".written.json",
        "points.csv",
        "points.tps",
    ]
    assert predictions.save(tmp_path / "out", "scores")[0].name == "scores.csv"


@pytest.fixture
def registered(monkeypatch):
    """The registry, whose entries of this test go with it."""
    monkeypatch.setattr(FORMATS, "_entries", dict(FORMATS))
    return FORMATS


@pytest.mark.parametrize("file", ["", "..", "mine/points.txt", "/tmp/points.txt", 7])
def test_a_format_without_the_name_of_a_file_is_refused_before_the_work(predictions, registered, tmp_path, file):
    registered.register("mine", "my table", file=file)(lambda predictions: b"mine")
    said = rf"^format mine \({re.escape(__file__)}\) is registered with file={file!r}; the name of a file or folder in"
    with pytest.raises(ValueError, match=said):
        check_formats(["csv", "mine"])
    with pytest.raises(ValueError, match=said):
        predictions.save(tmp_path / "out", "mine")
    assert not (tmp_path / "out").exists()


def test_two_formats_of_one_file_are_refused_before_the_work(predictions, registered, tmp_path):
    registered.register("mine", "my table", file="points.csv")(lambda predictions: b"mine")
    said = rf"formats csv \(.*\) and mine \({re.escape(__file__)}\) both write points.csv; choose one of them, or"
    with pytest.raises(ValueError, match=said):
        check_formats(["csv", "mine"])
    with pytest.raises(ValueError, match=said):
        predictions.save(tmp_path / "out", ["csv", "mine"])
    for alone in ("mine", ["mine", "mine"]):  # one that is named twice is written once
        check_formats(alone)
        assert [path.read_bytes() for path in predictions.save(tmp_path / "out", alone)] == [b"mine"]


@pytest.mark.parametrize("content, found", [("x,y", "str"), (None, "NoneType")])
def test_a_format_that_returns_no_bytes_is_refused(predictions, registered, tmp_path, content, found):
    registered.register("mine", "my table", file="mine.txt")(lambda predictions: content)
    said = rf"^format mine \({re.escape(__file__)}\) returned {found}; bytes are expected, such as text.encode\(\)"
    with pytest.raises(ValueError, match=said):
        predictions.save(tmp_path / "out", "mine")
    assert not (tmp_path / "out").exists()


def test_a_format_of_ours_has_a_file_of_its_own():
    check_formats([name for name in FORMATS if not FORMATS[name].facts.get("needs")])


def test_what_a_person_has_corrected_is_kept_under_another_name(predictions, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "points.csv").write_text("by hand\n")
    formats = ("csv", "labelme", "sheet")
    predictions.save(out, formats)
    assert (out / "points_kept_1.csv").read_text() == "by hand\n"
    said = "points.csv was there and is not as predictions have left it; it is kept as points_kept_1.csv"
    assert capsys.readouterr().out.count(said) == 1
    moved = dataclasses.replace(predictions, points=predictions.points + 1)
    moved.save(out, formats)  # over what was predicted
    assert not capsys.readouterr().out and len(list(out.glob("*_kept_*"))) == 1
    (out / "labelme" / ".DS_Store").write_text("of a file manager")
    moved.save(out, formats)
    assert not capsys.readouterr().out and len(list(out.glob("*_kept_*"))) == 1
    corrected = out / "labelme" / "a.json"
    corrected.write_text("corrected")
    predictions.save(out, formats)
    assert (out / "labelme_kept_1" / "a.json").read_text() == "corrected"
    assert corrected.read_text() != "corrected" and len(list(out.glob("*_kept_*"))) == 2


def test_records_are_what_tensorflow_parses(predictions, tmp_path):
    known = dataclasses.replace(predictions, expected_error=predictions.score + 1, present=predictions.score / 2)
    known.save(tmp_path, "tfrecord")
    spec = {name: tf.io.FixedLenFeature([3], tf.float32) for name in ("score", "expected_error", "present")}
    spec |= {"points": tf.io.FixedLenFeature([3, 2], tf.float32), "height": tf.io.FixedLenFeature([], tf.int64)}
    spec |= {"file": tf.io.FixedLenFeature([], tf.string), "landmarks": tf.io.FixedLenFeature([3], tf.string)}
    records = [*tf.data.TFRecordDataset(str(tmp_path / "points.tfrecord"))]
    found = tf.io.parse_example([record.numpy() for record in records], spec)
    assert [name.decode() for name in found["file"].numpy()] == ["a.png", "in/b,c.png"]
    assert [name.decode() for name in found["landmarks"][1].numpy()] == list(NAMES)
    np.testing.assert_array_equal(found["points"], predictions.points)
    np.testing.assert_array_equal(found["expected_error"], known.expected_error)
    np.testing.assert_array_equal(found["present"], known.present)
    np.testing.assert_array_equal(found["height"], [48, 90])
    assert "likelihood" not in tf.train.Example.FromString(records[0].numpy()).features.feature


def test_time_stamps_in_records_are_told_apart_after_a_day(predictions, tmp_path):
    """Those of 240 frames a second, as a video has them."""
    stamps = np.round(86400 + np.arange(2) / 240, 6)
    dataclasses.replace(predictions, video="a.mp4", frames=np.arange(2), seconds=stamps).save(tmp_path, "tfrecord")
    spec = {"seconds": tf.io.FixedLenFeature([], tf.float32), "microseconds": tf.io.FixedLenFeature([], tf.int64)}
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(tmp_path / "points.tfrecord"))]
    found = tf.io.parse_example(records, spec)
    np.testing.assert_array_equal(found["seconds"], np.float32(stamps))
    assert found["microseconds"].numpy().tolist() == [86_400_000_000, 86_400_004_167]


def test_parquet_has_a_column_for_each_number(predictions, tmp_path):
    try:
        from pyarrow import parquet
    except ImportError:
        pytest.skip("no pyarrow that fits is installed; the extra beam brings one")
    dataclasses.replace(predictions, objects=np.array([1, 2])).save(tmp_path, "parquet")
    found = parquet.read_table(tmp_path / "points.parquet").to_pydict()
    assert list(found)[:4] == ["file", "height", "width", "object"] and found["file"] == ["a.png", "in/b,c.png"]
    np.testing.assert_array_equal(found["nose, tip_y"], predictions.points[:, 2, 1])
    np.testing.assert_array_equal(found["right_eye_score"], predictions.score[:, 1])


def test_parquet_says_what_it_needs(predictions, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r'parquet needs .*: pip install "dense-labels\[beam\]"'):
        content(predictions, "parquet")
