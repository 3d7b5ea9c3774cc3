"""Tests of predicting many pictures: with a stand-in for a network, which finds the brightest pixel."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import dense_labels
import predict_main
from dense_labels import files
from dense_labels.batches import Frame
from dense_labels.config import Config
from dense_labels.evaluation.result import Result
from dense_labels.exporting import model_card
from dense_labels.prediction import answers, inputs, journal, predictions, predictor, reading
from dense_labels.prediction.inputs import Boxes
from dense_labels.prediction.predictor import Predictor
from dense_labels.registry import FORMATS
from dense_labels.training import lock
from input_pipeline.readers import coco
from input_pipeline.storage import decoding
from tests.commands import ROOT, environment

FRAME = Frame((16, 24), 2, margin=2)  # a picture becomes 20 x 28
NAMES = ("spot", "corner")


def brightest(images):
    """The brightest pixel of each image, and its corner."""
    height, width = images.shape[1:3]
    assert images.dtype == np.uint8 and (height, width) == FRAME.full_size
    y, x = np.divmod(images.sum(axis=-1).reshape(len(images), -1).argmax(axis=1), width)
    spot = np.stack([x, y], axis=-1) + 0.5
    return {"points": np.stack([spot, np.zeros_like(spot)], axis=1), "score": np.tile([0.9, 0.1], [len(images), 1])}


def model(**identity):
    return Predictor(brightest, FRAME, NAMES, {"model": "brightest", **identity})


@pytest.fixture
def pictures(tmp_path):
    """40 pictures four times the size of the frame, each with a bright square; returns the folder and its centres."""
    folder, random, places = tmp_path / "pictures", np.random.default_rng(0), {}
    folder.mkdir()
    for index in range(40):
        column, row = random.integers(28), random.integers(20)
        picture = np.zeros([80, 112, 3], np.uint8)
        picture[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 255
        Image.fromarray(picture).save(folder / f"{index:02}.png")
        places[f"{index:02}.png"] = [4 * column + 2, 4 * row + 2]
    return folder, places


def test_points_are_in_pixels_of_the_pictures(pictures):
    folder, places = pictures
    found = model().predict(folder)
    assert found.names == tuple(places) and found.landmark_names == NAMES and len(found) == 40
    np.testing.assert_allclose(found.points[:, 0], list(places.values()), atol=1e-3)
    np.testing.assert_array_equal(found.sizes, [[80, 112]] * 40)
    np.testing.assert_allclose(found.score, [[0.9, 0.1]] * 40, atol=1e-6)


def test_files_of_other_pictures_of_the_folder_are_named(pictures, tmp_path, capsys):
    folder, out = pictures[0], tmp_path / "out"
    for pattern, formats, named in (("0*", ("csv", "coco"), False), ("0*", "csv", False), ("1*", "csv", True)):
        model().predict(f"{folder}/{pattern}.png", out=out, formats=formats)
        said = capsys.readouterr().out
        assert ("points.json is of an earlier prediction, by another model, of other pictures" in said) == named


def test_files_of_outliers_of_another_list_are_named(pictures, tmp_path, capsys):
    folder, out = pictures[0], tmp_path / "out"
    for formats, count, named in (("coco", 3, False), ("csv", 3, False), ("csv", 2, True)):
        model().predict(folder, out=out, formats=formats, outliers=count)
        assert (f"{out / 'outliers'}: points.json is of an earlier pred" in capsys.readouterr().out) == named


def test_several_heads_are_asked_together_where_outliers_are(pictures, tmp_path):
    folder, _ = pictures
    asked = []

    def together(images):
        asked.append(len(images))
        found = brightest(images)
        points = np.asarray(found["points"])
        return {**found, "of_heads": np.stack([points, points + [[2, 0], [0, 1]]], axis=1)}

    predicting = Predictor(brightest, FRAME, NAMES, {"model": "brightest"}, together=together)
    assert predicting.predict(folder, out=tmp_path / "out").disagreement is None and not asked
    found = predicting.predict(folder, out=tmp_path / "out", outliers=3)
    assert asked and (tmp_path / "out" / "outliers.csv").read_text().count('"heads disagree on spot, px",8\n') == 1
    np.testing.assert_allclose(found.disagreement, [[8, 4]] * 40, atol=1e-3)  # pictures are four times as large


def test_heads_are_apart_in_pixels_of_a_picture_that_is_stretched():
    """An error is expected of no direction; how far heads are apart is known."""
    points = np.zeros([1, 2, 2, 2])
    points[0, 1] = [[5, 0], [0, 5]]  # the second head, along x and along y

    def ask(images):
        return {"points": points[:, 0], "expected_error": [[2.0, 2.0]], "of_heads": points}

    seen = reading.Seen({"name": "a.png", "state": 1}, np.zeros([100, 100, 3], np.uint8), (16.0, 4.0))
    (line,) = answers.of_batch([seen], ask, size=1)
    assert line["disagreement"] == [80, 20]
    np.testing.assert_allclose(line["expected_error"], 2 * np.sqrt((16**2 + 4**2) / 2), atol=1e-4)


def test_files_of_predictions_in_other_boxes_are_named(pictures, tmp_path, capsys):
    """There are as many boxes, but they lie elsewhere."""
    folder, out = pictures[0], tmp_path / "out"
    name = min(pictures[1])
    for left, formats, named in ((0, ("csv", "coco"), False), (0, "csv", False), (9, "csv", True)):
        file = tmp_path / "boxes.json"
        images = [{"id": 1, "file_name": name, "width": 112, "height": 80}]
        file.write_text(
            json.dumps(
                {
                    "images": images,
                    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [left, 0, 50, 50]}],
                }
            )
        )
        model().predict(folder, boxes=Boxes(str(file)), out=out, formats=formats)
        said = capsys.readouterr().out
        assert ("is of an earlier prediction, by another model, of other pictures or boxes" in said) == named


def test_pictures_that_cannot_be_read_are_listed_and_cost_nothing_else(pictures, capsys):
    folder, places = pictures
    (folder / "07.png").write_bytes(b"")
    (folder / "11.png").write_bytes((folder / "11.png").read_bytes()[:60])
    found = model().predict(folder)
    assert [name for name, _ in found.failed] == ["07.png", "11.png"] and len(found) == 38
    assert "warning: 2 of 40 pictures cannot be read: 07.png (empty), 11.png (" in capsys.readouterr().out
    np.testing.assert_allclose(found.points[6:8, 0], [places["06.png"], places["08.png"]], atol=1e-3)


def test_a_table_lists_all_pictures_that_cannot_be_read(pictures, tmp_path, capsys):
    folder, out = pictures[0], tmp_path / "out"
    whole = {name: (folder / name).read_bytes() for name in (f"{k:02}.png" for k in range(7))}
    for name in whole:
        (folder / name).write_bytes(b"")
    model().predict(folder, out=out, formats="csv", outliers=2)
    assert "04.png (empty) and 2 more (failed.csv lists all)" in capsys.readouterr().out
    assert (out / "failed.csv").read_text().splitlines() == ["file,reason", *(f"{name},empty" for name in whole)]
    assert not list((out / "outliers").glob("failed*"))
    for name, content in whole.items():
        (folder / name).write_bytes(content)
    model().predict(folder, out=out, formats="csv")
    assert (out / "failed.csv").read_text().splitlines() == ["file,reason"]
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize("brightest, warned", [(15, True), (255, False)])
def test_pictures_that_are_nearly_black_are_told(tmp_path, capsys, brightest, warned):
    """Such as 12 bits of a microscope in a file of 16."""
    pixels = np.linspace(0, brightest * 257, 40 * 60, dtype=np.uint16).reshape([40, 60])
    Image.fromarray(pixels).save(tmp_path / "cells.tif")
    model().predict(tmp_path)
    assert ("no pixel of 1 pictures is brighter than" in capsys.readouterr().out) == warned


def test_where_none_can_be_read_there_is_no_output(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"")
    with pytest.raises(ValueError, match="none of the 1 pictures can be read"):
        model().predict(tmp_path / "in")


def stopped_at(count, monkeypatch):
    """A model that is stopped when it sees its batch of that number."""
    seen = []

    def landmarks(images):
        seen.append(len(images))
        if len(seen) == count:
            raise KeyboardInterrupt
        return brightest(images)

    return Predictor(landmarks, FRAME, NAMES, {"model": "brightest"}), seen


def test_a_prediction_that_was_stopped_goes_on_to_the_same_output(pictures, tmp_path, monkeypatch, capsys):
    folder, _ = pictures
    monkeypatch.setattr(answers, "BATCH_SIZE", 8)
    expected = model().predict(folder, out=tmp_path / "whole", formats=("csv", "scores"))
    stopping, _ = stopped_at(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        stopping.predict(folder, out=tmp_path / "out", formats=("csv", "scores"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == [journal.FILE]
    with open(tmp_path / "out" / journal.FILE, "a") as file:
        file.write('{"name": "16.png", "sta')  # as a kill leaves it
    capsys.readouterr()
    going_on, seen = stopped_at(0, monkeypatch)
    found = going_on.predict(folder, out=tmp_path / "out", formats=("csv", "scores"))
    assert "going on: 16 of 40 pictures were predicted before" in capsys.readouterr().out and len(seen) == 3
    np.testing.assert_array_equal(found.points, expected.points)
    for name in ("points.csv", "scores.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".predicted.json",
        ".written",
        ".written.json",
        "points.csv",
        "scores.csv",
    ]


SLOW = """
import sys, time
from dense_labels.prediction import answers, predictor
from tests.dense_labels.prediction import test_predictor as stand_in

def slowly(images):
    time.sleep(0.1)
    return stand_in.brightest(images)

answers.BATCH_SIZE = 2
model = predictor.Predictor(slowly, stand_in.FRAME, stand_in.NAMES, {"model": "brightest"})
model.predict(sys.argv[1], out=sys.argv[2], formats=("csv", "scores", "drawn"))
"""


def test_killed_twice_it_ends_with_the_output_of_one_that_was_not(pictures, tmp_path):
    """By signal 9, which no program can do anything about."""
    folder, out = pictures[0], tmp_path / "out"

    def start():
        return subprocess.Popen([sys.executable, "-c", SLOW, folder, out], cwd=ROOT, env=environment())

    for lines in (5, 20):
        process = start()
        while process.poll() is None and not (out / journal.FILE).exists():
            time.sleep(0.01)
        while process.poll() is None and (out / journal.FILE).read_bytes().count(b"\n") < lines:
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert start().wait() == 0
    model().predict(folder, out=tmp_path / "whole", formats=("csv", "scores", "drawn"))
    whole, killed = (
        {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*.*") if path.is_file()}
        for top in (tmp_path / "whole", out)
    )
    assert whole == killed and len(whole) == 2 + 3 + 40


@pytest.mark.parametrize("other", ["model", "picture"])
def test_what_another_model_or_picture_gave_is_not_gone_on_with(pictures, tmp_path, monkeypatch, capsys, other):
    folder, places = pictures
    monkeypatch.setattr(answers, "BATCH_SIZE", 8)
    stopping, _ = stopped_at(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        stopping.predict(folder, out=tmp_path / "out")
    if other == "picture":
        (folder / "39.png").replace(folder / "03.png")
        places["03.png"] = places.pop("39.png")
    found = model(**({"step": 2} if other == "model" else {})).predict(folder, out=tmp_path / "out")
    said = capsys.readouterr().out
    assert ("going on: 7 of 39" in said) == (other == "picture")
    kept = tmp_path / "out" / "unfinished_kept_1.jsonl"
    assert (f"starting over: 8 predictions are not used, but kept in {kept}" in said) == (other == "model")
    if other == "model":  # as where the first command had a slip
        model().predict(folder, out=tmp_path / "out")
        assert "going on: 8 of 40" in capsys.readouterr().out and not kept.exists()
    np.testing.assert_allclose(found.points[:, 0], [places[name] for name in found.names], atol=1e-3)


def test_a_picture_that_could_not_be_read_is_read_again(pictures, tmp_path, monkeypatch, capsys):
    """What was in the way, such as a network drive or a permission, may be gone, and leaves the file as it was."""
    folder, _ = pictures
    monkeypatch.setattr(answers, "BATCH_SIZE", 8)
    read = decoding.read_resized
    stopping, _ = stopped_at(3, monkeypatch)

    def failing(path, *args, **options):
        if path.endswith("03.png"):
            raise decoding.PictureError(path, "Input/output error")
        return read(path, *args, **options)

    monkeypatch.setattr(decoding, "read_resized", failing)
    with pytest.raises(KeyboardInterrupt):
        stopping.predict(folder, out=tmp_path / "out")
    monkeypatch.setattr(decoding, "read_resized", read)
    found = model().predict(folder, out=tmp_path / "out")
    assert "going on: 15 of 40 pictures were predicted before" in capsys.readouterr().out
    assert not found.failed and len(found) == 40


@pytest.mark.parametrize("out", ["points", "."])
def test_what_was_drawn_among_the_pictures_is_not_predicted(pictures, tmp_path, capsys, out):
    folder, _ = pictures
    options = {"out": folder / out, "formats": ("csv", "drawn", "sheet"), "outliers": 2}
    first = model().predict(folder, **options)
    said = capsys.readouterr().out
    drawn = ", ".join(str(folder / out / name) for name in ("drawn", "sheet.png", "outliers.png"))
    assert "left out" not in said
    assert f"warning: {drawn}: a later training on {folder} would take" in said
    again = model().predict(folder, **options)
    assert again.names == first.names and len(again) == 40
    said = f"42 pictures that lie where predictions are drawn are left out, in {(folder / out).resolve()}"
    assert said in capsys.readouterr().out
    with pytest.raises(ValueError, match="all pictures in .* lie where predictions are drawn; give another out"):
        model().predict(folder / out / "drawn", out=folder / out)
    model().predict(folder, **{**options, "formats": "csv", "outliers": 0})
    assert "a later training" not in capsys.readouterr().out
    assert len(model().predict(folder / out / "drawn")) == 40  # without an output they are pictures like others


def test_the_work_directory_of_a_run_is_refused_before_the_work(pictures, tmp_path):
    """Whoever trains there would wait without a word, and lose what is not whole yet."""
    workdir, refused = tmp_path / "run", Predictor(None, FRAME, NAMES, {})
    said = f"^{workdir}: is the work directory of a run; give the predictions a .*, such as {workdir}/predicted$"
    with lock.hold(workdir), pytest.raises(ValueError, match=said):  # which has no checkpoint yet
        refused.predict(pictures[0], out=workdir)
    (workdir / "checkpoints").mkdir(parents=True, exist_ok=True)
    unfinished = files.temporary_name(workdir / "config.json")
    unfinished.touch()
    with pytest.raises(ValueError, match=said):
        refused.predict(pictures[0], out=workdir)
    assert unfinished.exists()
    assert len(model().predict(pictures[0], out=workdir / "predicted")) == 40


def test_an_unknown_format_is_refused_before_the_work(pictures, tmp_path):
    with pytest.raises(ValueError, match="there is no format 'xls'; choose 'coco', 'csv', 'cvat'"):
        Predictor(None, FRAME, NAMES, {}).predict(pictures[0], out=tmp_path / "out", formats=("csv", "xls"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["", "[]", '{"version": 1}\n{', "\x00" * 9])
def test_a_damaged_journal_is_begun_anew_or_cut_off(tmp_path, content, capsys):
    (tmp_path / journal.FILE).write_text(content)
    opened = journal.Journal(tmp_path, {"version": 1})
    opened.add([{"name": "a.png"}])
    opened.close(finished=None)
    lines = (tmp_path / journal.FILE).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"version": 1}, {"name": "a.png"}]
    assert not capsys.readouterr().out  # nothing was there to be lost


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all names are text")
def test_a_name_that_is_no_text_fails_by_itself(pictures, tmp_path, capsys):
    folder, places = pictures
    (folder / "39.png").rename(folder / "b\udcff.png")
    written = [each.name for each in FORMATS.values() if not {"needs_video", "needs"} & each.facts.keys()]
    predicted = model().predict(folder, out=tmp_path / "out", formats=written, outliers=2)
    assert r"1 of 40 pictures cannot be read: b\udcff.png (its name is not UTF-8)" in capsys.readouterr().out
    assert len(predicted) == 39 and predicted.failed == (("b\udcff.png", "its name is not UTF-8"),)
    table = (tmp_path / "out" / "points.csv").read_text().splitlines()
    assert (tmp_path / "out" / "failed.csv").read_text().splitlines()[1] == r"b\udcff.png,its name is not UTF-8"
    assert len(table) == 1 + 39 and not (tmp_path / "out" / journal.FILE).exists()
    assert "39.png" in places and not any(line.startswith("39.png") for line in table)
    (folder / "b\udcff.png").replace(tmp_path / "c\udcff.mp4")
    (tmp_path / "c\udcff.mp4").write_bytes(b"no picture")
    with pytest.raises(
        ValueError, match=r"c\\udcff\.mp4: its name is not UTF-8, as those of its frames are; rename it"
    ):
        model().predict(tmp_path / "c\udcff.mp4")


def test_a_second_prediction_into_a_folder_is_refused_as_long_as_the_first_one_writes(pictures, tmp_path):
    folder, _ = pictures
    refused = []

    def landmarks(images):
        with pytest.raises(ValueError, match="out: another prediction is writing there; wait until it has ended"):
            model(step=2).predict(folder, out=tmp_path / "out")
        refused.append(len(images))
        return brightest(images)

    Predictor(landmarks, FRAME, NAMES, {"model": "brightest"}).predict(folder, out=tmp_path / "out")
    assert refused and sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["points.csv"]


def test_what_was_begun_with_other_pictures_of_the_folder_is_kept(pictures, tmp_path, monkeypatch, capsys):
    """As by a slip: a pattern of some of them, which goes on with those that were predicted."""
    folder, _ = pictures
    monkeypatch.setattr(answers, "BATCH_SIZE", 8)
    stopping, _ = stopped_at(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        stopping.predict(folder, out=tmp_path / "out")
    model().predict(f"{folder}/0*.png", out=tmp_path / "out")
    kept = tmp_path / "out" / "unfinished_kept_1.jsonl"
    said = capsys.readouterr().out
    assert (
        "going on: 10 of 10" in said
        and f"6 predictions of other pictures that had been begun here are kept in {kept}" in said
    )
    assert len(model().predict(folder, out=tmp_path / "out")) == 40
    assert "going on: 16 of 40" in capsys.readouterr().out and not kept.exists()


def test_formats_that_cannot_be_written_are_refused_before_the_work(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(predictions.importlib.util, "find_spec", lambda name: None)
    sleap = r"format 'sleap' needs sleap_io, which is not installed: pip install \"dense-labels\[sleap\]\""
    for formats, said in (((), "no format is named; choose of .*csv"), ("sleap", sleap)):
        with pytest.raises(ValueError, match=said):
            model().predict(pictures[0], out=tmp_path / "out", formats=formats)
    assert not (tmp_path / "out").exists()


def test_two_pictures_that_would_be_drawn_into_one_file_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.bmp", "a.bmp.png"):
        Image.new("RGB", (112, 80)).save(tmp_path / "in" / name)
    with pytest.raises(ValueError, match="two pictures would both be drawn as a.bmp.png, a.bmp.png for one"):
        model().predict(tmp_path / "in", out=tmp_path / "out", formats="drawn")


def test_a_picture_that_cannot_be_read_clashes_with_none(tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (112, 80)).save(tmp_path / "in" / "a.jpg")
    (tmp_path / "in" / "a.png").write_bytes(b"damaged")
    found = model().predict(tmp_path / "in", out=tmp_path / "out", formats="labelme")
    assert found.names == ("a.jpg",) and list((tmp_path / "out").glob("**/a.json"))
    Image.new("RGB", (112, 80)).save(tmp_path / "in" / "a.png")
    with pytest.raises(ValueError, match="labelme has one file for a.png and for a picture of that name"):
        model().predict(tmp_path / "in", out=tmp_path / "other", formats="labelme")
    assert not (tmp_path / "other").exists()


# --- boxes about objects ---


@pytest.fixture
def boxed(pictures, tmp_path):
    """Two pictures with a bright square in each of two boxes, which are shown 30 x 30 pixels large; and the squares."""
    folder, annotations, places = tmp_path / "two", [], []
    folder.mkdir()
    for index in range(2):
        picture = np.zeros([80, 112, 3], np.uint8)
        for left, top in ((10 + index, 20), (60, 40)):
            picture[top + 9 : top + 15, left + 3 : left + 9] = 255
            annotations.append({"image_id": index, "category_id": 1, "bbox": [left, top, 20, 10], "score": 0.9})
            places.append((left + 6, top + 12))
        Image.fromarray(picture).save(folder / f"{index}.png")
    images = [{"id": index, "file_name": f"{index}.png", "width": 112, "height": 80} for index in range(2)]
    (tmp_path / "boxes.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return folder, tmp_path / "boxes.json", places


def test_objects_are_seen_in_their_boxes_and_found_in_their_pictures(boxed, tmp_path, monkeypatch):
    folder, file, places = boxed
    monkeypatch.setattr(answers, "BATCH_SIZE", 4)
    found = model().predict(folder, boxes=Boxes(file), out=tmp_path / "out", formats=("csv", "scores", "coco", "drawn"))
    assert found.names == ("0.png", "0.png", "1.png", "1.png") and found.objects.tolist() == [1, 2, 1, 2]
    np.testing.assert_allclose(
        found.boxes[:2], [[5, 10, 35, 40], [55, 30, 85, 60]]
    )  # squares, 1.5 times the longer side
    np.testing.assert_allclose(found.points[:, 0], places, atol=4)  # it takes the first pixel of the brightest
    np.testing.assert_allclose(found.points[:, 1], found.boxes[:, :2], atol=1e-3)
    assert (tmp_path / "out" / "scores.csv").read_text().splitlines()[2] == "0.png,2,0.9000,0.1000"
    drawn = np.int64(Image.open(tmp_path / "out" / "drawn" / "0.png"))
    assert all(drawn[int(y), int(x)].max() > 150 for x, y in found.points[:2, 1])
    again = coco.read_file(folder, tmp_path / "out" / "points.json")
    np.testing.assert_allclose(again.boxes, found.boxes, atol=5e-3)
    np.testing.assert_allclose(again.landmarks, found.points, atol=5e-3)
    drawn_by_hand = np.array([each["bbox"] for each in json.loads(file.read_text())["annotations"]])
    np.testing.assert_allclose(again.objects[:, 2:] - again.objects[:, :2], drawn_by_hand[:, 2:])
    np.testing.assert_allclose(again.objects[:, :2], drawn_by_hand[:, :2])


def test_what_a_format_cannot_say_is_refused_before_a_picture_is_read(boxed, tmp_path):
    folder, file, _ = boxed
    never = lambda images: pytest.fail("no picture is to be shown to the network")  # noqa: E731
    two, one = (Predictor(never, FRAME, names, {}) for names in (NAMES, NAMES[:1]))
    numbered = [Predictor(never, FRAME, (), {}, count=1), Predictor(never, FRAME, (), {}, annotated=np.ones([5, 1, 2]))]
    for name in ("deeplabcut", "deeplabcut_h5", "pts"):
        with pytest.raises(ValueError, match=f"^{name} has one row a picture, and 0.png has 2 objects; choose 'coco'"):
            two.predict(folder, boxes=Boxes(file), out=tmp_path / "out", formats=("csv", name))
    for predictor_of_one in (one, *numbered):
        with pytest.raises(ValueError, match="pts is for several landmarks, whose box has an area, and there is one"):
            predictor_of_one.predict(folder, out=tmp_path / "out", formats="pts")
    Image.new("RGB", (112, 80)).save(folder / "0.bmp")
    Image.new("RGB", (112, 80)).save(folder / "0.bmp.png")
    for name in ("pts", "labelme", "yolo"):
        with pytest.raises(ValueError, match=f"{name} has one file for 0.png and for a picture of that name with anot"):
            two.predict(folder, out=tmp_path / "out", formats=name)
    with pytest.raises(ValueError, match="two pictures would both be drawn as 0.bmp.png, 0.bmp.png for one; rename"):
        two.predict(folder, out=tmp_path / "out", formats="drawn")
    (folder / "0.bmp").rename(folder / "a\n.png")
    for name in ("tps", "cvat"):
        with pytest.raises(ValueError, match=r"'a\\n.png': .* cannot hold this name; rename"):
            two.predict(folder, out=tmp_path / "out", formats=name)
    assert not (tmp_path / "out").exists()


def test_a_table_of_several_objects_is_said_to_be_no_annotations(boxed, tmp_path, capsys):
    folder, file, _ = boxed
    model().predict(folder, boxes=Boxes(file), out=tmp_path / "out", formats=("csv", "scores", "sheet"), outliers=2)
    said = "note: points.csv has several lines of a picture, one for each object, and is not read as annotations; corr"
    assert capsys.readouterr().out.count(said) == 1
    outliers = tmp_path / "out" / "outliers"
    assert [path.name for path in outliers.glob("[!.]*")] == ["points.json"]
    again = coco.read_file(folder, outliers / "points.json")
    assert again.boxes is not None and len(again.paths) == 2 * len(set(again.paths))
    model().predict(folder / "0.png", out=tmp_path / "one", formats="csv")
    assert "not read as annotations" not in capsys.readouterr().out


def test_objects_go_on_where_they_were_stopped_unless_their_boxes_changed(boxed, tmp_path, monkeypatch, capsys):
    folder, file, places = boxed
    monkeypatch.setattr(answers, "BATCH_SIZE", 1)
    stopping, _ = stopped_at(4, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        stopping.predict(folder, boxes=Boxes(file), out=tmp_path / "out")
    file.write_text(file.read_text().replace("[60, 40, 20, 10]", "[61, 40, 20, 10]", 1))
    going_on, seen = stopped_at(0, monkeypatch)
    found = going_on.predict(folder, boxes=Boxes(file), out=tmp_path / "out")
    assert "going on: 2 of 4 objects were predicted before" in capsys.readouterr().out and len(seen) == 2
    assert found.boxes[1].tolist() == [56, 30, 86, 60]


def test_boxes_that_do_not_fit_are_refused_and_pictures_without_one_are_told(boxed, pictures, capsys):
    folder, file, _ = boxed
    Image.new("RGB", (9, 9)).save(folder / "none.png")
    assert len(model().predict(folder, boxes=Boxes(file))) == 4
    assert "note: 1 of 3 pictures have no box and are left out: none.png" in capsys.readouterr().out
    with pytest.raises(ValueError, match="boxes.json has no box about the 1 pictures in"):
        model().predict(folder / "none.png", boxes=Boxes(file))
    (folder / "a.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match="boxes.json: boxes are about pictures, and .*a.mp4 is a video"):
        model().predict(folder / "a.mp4", boxes=Boxes(file))
    resized = file.with_name("resized.json")
    resized.write_text(file.read_text().replace('"width": 112, "height": 80', '"width": 224, "height": 160'))
    (folder / "1.png").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="none of the 2 objects can be read"):
        model().predict(folder / "1.png", boxes=Boxes(file))
    with pytest.raises(ValueError, match="0.png is 112 x 80 pixels, its annotations are of 224 x 160 .1 of 1"):
        model().predict(folder, boxes=Boxes(resized))
    with pytest.raises(ValueError, match="no annotation with a bbox and a score of at least 0.95"):
        model().predict(folder, boxes=Boxes(file, min_score=0.95))


def test_flags_of_boxes_are_refused_without_boxes(tmp_path, monkeypatch):
    monkeypatch.setattr(dense_labels, "load", lambda model: pytest.fail("it is refused before the work"))
    given = {"file": "", "images": "", "category": "dog", "min_score": 0.0}
    with pytest.raises(ValueError, match="--category is of boxes; give --boxes too"):
        predict_main.main(str(tmp_path), str(tmp_path), given)


def test_a_network_that_saw_boxes_asks_for_them(boxed, capsys):
    folder, file, _ = boxed
    of_boxes = Predictor(brightest, FRAME, NAMES, {}, saw_boxes=True)
    of_boxes.predict(folder, boxes=Boxes(file))
    assert "saw boxes" not in capsys.readouterr().out
    of_boxes.predict(folder)
    assert "note: the network saw boxes about the objects; give boxes, or pictures that" in capsys.readouterr().out


def test_a_network_that_saw_whole_pictures_warns_of_boxes(boxed, capsys):
    folder, file, _ = boxed
    model().predict(folder)
    assert "warning" not in capsys.readouterr().out
    model().predict(folder, boxes=Boxes(file))
    said = "boxes.json: objects are shown in boxes, and the network saw whole pictures, as far as is known; give no bo"
    assert capsys.readouterr().out.count(f"warning: {file.parent}/{said}") == 1


@pytest.mark.parametrize(
    "name, boxes, seen", [("coco", "", False), ("coco", "/own/points.json", True), ("pts", "", True)]
)
def test_an_export_tells_by_its_card_whether_the_network_saw_boxes(name, boxes, seen):
    config = Config()
    config.data.name, config.data.boxes, config.data.annotations = name, boxes, "/own/points.json"
    card = model_card.describe_run(config, Result())["configuration"]["data"]
    assert predictor._saw_boxes(card) == predictor._saw_boxes({**card, "a_newer_key": 1}) == seen


# --- which pictures ---


def test_pictures_are_found_by_folder_pattern_list_and_path(pictures, tmp_path):
    folder, _ = pictures
    (folder / "more").mkdir()
    (folder / "05.png").rename(folder / "more" / "05 [x].png")
    whole = inputs.find(folder)
    assert len(whole.names) == 40 and "more/05 [x].png" in whole.names and whole.folder == str(folder)
    assert inputs.find(f"{folder}/0*.png").names == tuple(f"0{k}.png" for k in (0, 1, 2, 3, 4, 6, 7, 8, 9))
    assert inputs.find(f"{folder}/**/*.png") == whole
    assert inputs.find(folder / "03.png") == (str(folder), ("03.png",))
    (folder / "some.txt").write_text("07.png\n\nmore\\05 [x].png\n07.png\n")
    assert inputs.find(folder / "some.txt") == (str(folder), ("07.png", "more/05 [x].png"))
    (folder / "04.png").rename(folder / " 03.png")
    (folder / "some.txt").write_text(" 03.png\n 07.png\n")  # a space that is in a name, and one that is not
    assert inputs.find(folder / "some.txt") == (str(folder), (" 03.png", "07.png"))
    assert inputs.find([folder / "02.png", str(folder / "01.png")]) == (str(folder), ("02.png", "01.png"))


def test_files_that_are_not_called_pictures_are_told(pictures, capsys):
    folder, _ = pictures
    inputs.find(folder)
    for name in ("a.heic", "b.HEIC", "notes.txt"):
        (folder / name).touch()
    inputs.find(f"{folder}/0*")
    assert not capsys.readouterr().out
    both = "2 .heic, 1 .txt"
    for given, kinds in ((folder, both), (f"{folder}/*", both), (f"{folder}/[a0]*", "1 .heic")):
        assert inputs.find(given).names[0] == "00.png"
        said = capsys.readouterr().out
        assert said.startswith("note: files that are not called .jpg, ") and f"are passed over: {kinds}\n" in said


@pytest.mark.parametrize(
    "given, said",
    [("none", "there is no such picture or folder"), ("*.jpg", "no such picture or folder"), ([], "no such")],
)
def test_no_pictures_are_refused(tmp_path, given, said):
    with pytest.raises(ValueError, match=said):
        inputs.find(given if isinstance(given, list) else tmp_path / given)


def test_a_name_of_a_list_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "some.txt").write_text("gone.png\n")
    with pytest.raises(ValueError, match="some.txt: there is no picture .*gone.png"):
        inputs.find(tmp_path / "some.txt")
    (tmp_path / "some.txt").write_text("s1/a.png\ns2/a.png\n")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="some.txt: there is no picture .*s1/a.png; .*a.png is there, but not"):
        inputs.find(tmp_path / "some.txt")
