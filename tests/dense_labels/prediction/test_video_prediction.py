"""Tests of predicting the frames of a video: a stand-in for a network finds the middle of what is bright."""

import csv
import dataclasses
import functools
import resource
import signal

import numpy as np
import pytest
from PIL import Image

from dense_labels.batches import Frame
from dense_labels.prediction import answers, drawing, journal
from dense_labels.prediction.predictor import Predictor
from input_pipeline.storage import videos as reading
from tests import videos

FRAME = Frame((44, 60), 2, margin=2)  # a frame of 48 x 64 pixels as it is


def middle(images):
    """The middle of the bright pixels, and the corner of the image, with how far off they are expected to be."""
    rows, columns = np.indices(images.shape[1:3]) + 0.5
    bright = images.mean(axis=-1) > 140
    count = np.maximum(bright.sum(axis=(1, 2)), 1)
    spot = np.stack([(bright * places).sum(axis=(1, 2)) / count for places in (columns, rows)], axis=-1)
    points = np.stack([spot, np.zeros_like(spot)], axis=1)
    score = np.tile([0.9, 0.1], [len(images), 1])
    return {"points": points, "score": score, "expected_error": 10 * score}


def model(landmarks=middle):
    return Predictor(landmarks, FRAME, ("spot", "corner"), {"model": "middle"})


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(answers, "BATCH_SIZE", 8)


@pytest.fixture
def video(tmp_path):
    """A video of 44 frames; returns its path and where the middle of its square is."""
    (tmp_path / "in").mkdir()
    return tmp_path / "in" / "arm.mp4", videos.write(tmp_path / "in" / "arm.mp4", 44)


def rows(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_points_are_in_pixels_of_the_frames_with_their_times(video, tmp_path):
    path, places = video
    found = model().predict(path, out=tmp_path / "out", formats=("csv", "scores", "deeplabcut", "coco"))
    np.testing.assert_allclose(found.points[:, 0], places, atol=0.6)
    assert found.names[0] == "arm/img00.png" and found.names[43] == "arm/img43.png" and found.video == str(path)
    np.testing.assert_array_equal(found.frames, np.arange(44))
    np.testing.assert_allclose(found.seconds, np.arange(44) / 10, atol=1e-6)
    table = rows(tmp_path / "out" / "scores.csv")
    assert table[0] == [
        *("file", "frame", "seconds", "spot", "corner"), "spot_expected_error_px", "corner_expected_error_px"
    ]  # fmt: skip
    assert table[13] == ["arm/img12.png", "12", "1.200000", "0.9000", "0.1000", "9.0000", "1.0000"]
    assert [row[0] for row in rows(tmp_path / "out" / "points_deeplabcut.csv")[3:]] == [str(k) for k in range(44)]
    assert rows(tmp_path / "out" / "points.csv")[1][0] == "arm/img00.png"


def test_the_expected_error_grows_with_the_frame(tmp_path):
    places = videos.write(tmp_path / "a.mp4", 3, size=(96, 128))
    found = model().predict(tmp_path / "a.mp4")
    np.testing.assert_allclose(found.points[:, 0], places, atol=1.5)
    np.testing.assert_allclose(found.expected_error, [[18, 2]] * 3, atol=1e-3)


def test_a_turned_video_is_seen_upright(video):
    path, places = video
    videos.turn(path)
    found = model().predict(path)
    np.testing.assert_array_equal(found.sizes, [[64, 48]] * 44)
    np.testing.assert_allclose(found.points[:, 0], np.stack([48 - places[:, 1], places[:, 0]], axis=1), atol=1)


@pytest.fixture
def stopped_once():
    """Answers as `middle`, and is stopped at its third batch; and how many images it has seen in each."""
    seen = []

    def landmarks(images):
        seen.append(len(images))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return middle(images)

    return landmarks, seen


def test_a_prediction_that_was_stopped_goes_on_at_its_frame(video, stopped_once, tmp_path, capsys):
    path, (landmarks, seen) = video[0], stopped_once
    model().predict(path, out=tmp_path / "whole", formats=("csv", "scores"))
    with pytest.raises(KeyboardInterrupt):
        model(landmarks).predict(path, out=tmp_path / "out", formats=("csv", "scores"))
    assert [each.name for each in (tmp_path / "out").iterdir()] == [journal.FILE]
    (tmp_path / "out" / ".drawn.0123456789abcdef").mkdir()  # as a kill leaves it
    capsys.readouterr()
    model(landmarks).predict(path, out=tmp_path / "out", formats=("csv", "scores"))
    assert "going on: 16 of 44 frames were predicted before" in capsys.readouterr().out
    assert len(seen) == 3 + 4  # the frames from the 17th on, eight at a time
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == [
        ".predicted.json", ".written", ".written.json", "points.csv", "scores.csv"
    ]  # fmt: skip
    for name in ("points.csv", "scores.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_files_that_are_smoothed_otherwise_are_said(video, tmp_path, capsys):
    predict = functools.partial(model().predict, video[0], out=tmp_path / "out")
    predict(formats=("csv", "deeplabcut"), smooth=True)
    predict(formats=("csv",), smooth=True)
    assert "of an earlier prediction" not in capsys.readouterr().out
    predict(formats=("csv",))
    said = "points_deeplabcut.csv, points_raw.csv are of an earlier prediction, by another model, of other pictures"
    assert f"{said} or boxes, or smoothed otherwise" in capsys.readouterr().out


def test_a_prediction_that_was_stopped_goes_on_whether_it_is_smoothed_or_not(video, stopped_once, tmp_path, capsys):
    """For the lines of the journal are as they were found."""
    with pytest.raises(KeyboardInterrupt):
        model(stopped_once[0]).predict(video[0], out=tmp_path / "out", smooth=True)
    model().predict(video[0], out=tmp_path / "out")
    assert "going on: 16 of 44 frames were predicted before" in capsys.readouterr().out


def test_a_damaged_video_gives_what_can_be_read_and_a_line(tmp_path, capsys):
    videos.write(tmp_path / "a.avi", codec="MJPG")
    content = (tmp_path / "a.avi").read_bytes()
    (tmp_path / "a.avi").write_bytes(content[: int(0.8 * len(content))])
    found = model().predict(tmp_path / "a.avi")
    said = f"warning: {tmp_path}/a.avi: {len(found)} frames were decoded, and the video says that it has 12; it may be"
    assert capsys.readouterr().out.count(said) == 1 and 5 < len(found) < 12
    (tmp_path / "a.avi").write_bytes(content[:99])
    with pytest.raises(ValueError, match="a.avi cannot be opened as a video: damaged"):
        model().predict(tmp_path / "a.avi", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_prediction_says_once_where_a_video_is_damaged(tmp_path, capsys):
    videos.write(tmp_path / "a.avi", codec="MJPG")
    videos.damage(tmp_path / "a.avi", 7)
    found = model().predict(tmp_path / "a.avi", out=tmp_path / "out", formats=("csv", "drawn"), outliers=2)
    assert len(found) == 7 and capsys.readouterr().out.count("the first frame that cannot be decoded is 7") == 1


# --- drawings ---


def dots(picture, before):
    """The middle of what was drawn into a picture."""
    changed = np.abs(np.int64(picture) - before).sum(axis=-1)
    places = np.indices(changed.shape) + 0.5
    return ((places * changed).sum(axis=(1, 2)) / changed.sum())[::-1]


@pytest.mark.parametrize("point", [(20, 12), (20.5, 12.25), (33.8, 30.1)])
def test_a_dot_is_where_its_landmark_is(point):
    grey = np.full((48, 64, 3), 128, np.uint8)
    one = drawing.with_points(grey, [point])
    np.testing.assert_allclose(dots(one, 128), point, atol=0.05)
    assert (grey == 128).all()
    np.testing.assert_array_equal(drawing.with_points(grey, [(-50, 5), (np.nan, 3), (5, 1e9)]), grey)
    assert (drawing.with_points(grey, [(0, 0)])[0, 0] != 128).any()


def test_a_dot_has_a_dark_edge_on_any_ground():
    rows, columns = np.indices([621, 621]) + 0.5
    away = np.hypot(rows - 310.5, columns - 310.5)  # the radius is 4.97, the edge 1.74 of it
    for ground in (0, 100, 255):
        picture = drawing.with_points(np.full([621, 621, 3], ground, np.uint8), [(310.5, 310.5)])
        assert (picture[(away > 3.8) & (away < 4.4)] == 0).all()
        partly = picture[(away > 4.5) & (away < 5.4)]
        assert (partly <= ground).all() and (len(np.unique(partly)) > 2 or not ground)
        assert (picture[away > 5.5] == ground).all()


def test_the_video_is_drawn_with_its_landmarks(video, tmp_path):
    path, places = video
    videos.turn(path)
    found = model().predict(path, out=tmp_path / "out", formats=("video", "drawn", "sheet"))
    frames = list(reading.read_frames(tmp_path / "out" / "drawn.mp4"))
    assert len(frames) == 44 and frames[0].picture.shape == (64, 48, 3) and round(frames[-1].seconds, 2) == 4.3
    orange = [np.int64(frame.picture)[tuple(np.int64(place[::-1]))] for frame, place in zip(frames, found.points[:, 0])]
    assert (np.array(orange)[:, 0] - np.array(orange)[:, 2] > 80).all()  # much red and little blue, where all was grey
    first = np.asarray(Image.open(tmp_path / "out" / "drawn" / "arm" / "img00.png"))
    assert first.shape == (64, 48, 3) and sorted(each.name for each in (tmp_path / "out").iterdir()) == [
        ".predicted.json", "drawn", "drawn.mp4", "sheet.png"
    ]  # fmt: skip


@pytest.mark.parametrize("rate", [1 / 3600, 0.0015, 1 / 60, 30000 / 1001, 65.5354, 200 / 3, 719.2424, 6600.66, 1e6])
def test_a_video_of_any_rate_is_drawn(tmp_path, rate):
    videos.write(tmp_path / "a.mp4", 3)
    found = dataclasses.replace(model().predict(tmp_path / "a.mp4"), seconds=np.arange(3) / rate)
    found.save(tmp_path, ("video",))
    seconds = [frame.seconds for frame in reading.read_frames(tmp_path / "drawn.mp4")]
    near = np.clip(rate, 0.002, 65535)  # what can be written
    np.testing.assert_allclose(seconds, np.arange(3) / near, rtol=max(1e-3, 5e-4 / near))


def test_pictures_are_drawn_in_their_own_size_and_folders(tmp_path):
    (tmp_path / "in" / "more").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.new("RGB", (80, 40), (9, 9, 9)).save(tmp_path / "in" / "a.jpg", exif=exif)
    Image.new("RGB", (30, 50), (9, 9, 9)).save(tmp_path / "in" / "more" / "b.tif")
    model().predict(tmp_path / "in", out=tmp_path / "out", formats=("drawn",))
    (tmp_path / "out" / "drawn" / "earlier.png").write_bytes(b"")
    model().predict(tmp_path / "in", out=tmp_path / "out", formats=("drawn",))
    drawn = tmp_path / "out" / "drawn"
    assert sorted(str(p.relative_to(drawn)) for p in drawn.rglob("*.*")) == ["a.jpg", "more/b.tif.png"]
    assert Image.open(drawn / "a.jpg").size == (40, 80) and Image.open(drawn / "more" / "b.tif.png").size == (30, 50)


def test_a_drawing_that_fails_leaves_nothing(video, tmp_path, monkeypatch):
    path, _ = video
    found = model().predict(path)
    monkeypatch.setattr(drawing, "with_points", lambda picture, points: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        found.save(tmp_path / "out", ("video",))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_video_for_which_the_disk_has_no_room_replaces_nothing(video, tmp_path):
    path, _ = video
    found = model().predict(path)
    found.save(tmp_path / "out", ("video",))
    good = (tmp_path / "out" / "drawn.mp4").read_bytes()
    usual, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match=r"drawn.mp4: \d+ of its 44 frames can be read .* the disk may be full"):
            found.save(tmp_path / "out", ("video",))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, usual)
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["drawn.mp4"]
    assert (tmp_path / "out" / "drawn.mp4").read_bytes() == good


def test_a_video_whose_frames_differ_in_size_is_not_written_in_part(video, tmp_path, monkeypatch):
    """OpenCV passes over frames of another size than the first."""
    found, drawn = model().predict(video[0]), drawing.drawn

    def cut(*given):
        return ((name, picture[: 48 - k % 2]) for k, (name, picture) in enumerate(drawn(*given)))

    monkeypatch.setattr(drawing, "drawn", cut)
    with pytest.raises(OSError, match="22 of its 44 frames can be read again, .* or the frames of the video differ"):
        found.save(tmp_path / "out", ("video",))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_video_of_pictures_is_refused_before_the_work(tmp_path):
    Image.new("RGB", (30, 50)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="format 'video' is of videos, and these are pictures; choose 'drawn'"):
        model(None).predict(tmp_path, out=tmp_path / "out", formats=("csv", "video"))
    assert not (tmp_path / "out").exists()
