"""Tests of finding outliers: each kind finds the one that was made, and shapes are told apart by shape alone."""

import csv
import dataclasses
import json
import os

import numpy as np
import pytest
from PIL import Image

from dense_labels.batches import Frame
from dense_labels.prediction import outliers
from dense_labels.prediction.predictions import Predictions
from dense_labels.prediction.predictor import Predictor
from input_pipeline.readers import annotation_files, points_csv
from input_pipeline.storage import videos as reading
from tests import videos

SHAPE = np.float64([[10, 10], [30, 12], [20, 30], [12, 40], [33, 38]])


def moved(shape, random, noise=0.3):
    """A shape at another place, size and angle, a little deformed."""
    angle, scale = random.uniform(0, 2 * np.pi), random.uniform(0.5, 2)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (shape + random.normal(scale=noise, size=shape.shape)) @ turn.T + random.uniform(0, 60, size=2)


def of(points, score, folder="", names=None, **more):
    names = names or tuple(f"{k:02}.png" for k in range(len(points)))
    sizes = np.tile([80, 100], [len(points), 1])
    landmarks = tuple("abcde"[: points.shape[1]])
    return Predictions(str(folder), names, sizes, landmarks, np.float32(points), np.float32(score), **more)


def test_shapes_are_told_by_shape_alone():
    random = np.random.default_rng(0)
    known = np.stack([moved(SHAPE, random) for _ in range(30)])
    alike = np.stack([moved(SHAPE, random) for _ in range(50)])
    other = alike.copy()
    other[:, [0, 1]] = other[:, [1, 0]]  # two landmarks change places
    near, far = outliers.shape_distances(alike, known), outliers.shape_distances(other, known)
    assert near.max() < far.min() / 3
    turned = alike[..., ::-1] * [-1, 1]  # by a quarter
    np.testing.assert_allclose(outliers.shape_distances(3 * turned + 11, known), near, rtol=1e-6)
    assert near.max() < outliers.shape_distances(alike * [-1, 1], known).min() / 3  # a mirror image is another shape


def test_the_covariance_is_that_of_ledoit_and_wolf():
    """Of many samples it is the true one; of few it lies nearer to it than the sample's own, and can be inverted."""
    random = np.random.default_rng(1)
    true = np.diag([9.0, 4, 1, 1, 1, 1, 1, 1])
    many = random.multivariate_normal(np.zeros(8), true, 20_000)
    np.testing.assert_allclose(outliers._shrunk_covariance(many), true, atol=0.25)
    few = random.multivariate_normal(np.zeros(8), true, 6)
    shrunk, sample = outliers._shrunk_covariance(few), few.T @ few / 6
    assert np.linalg.norm(shrunk - true) < np.linalg.norm(sample - true)
    assert np.linalg.eigvalsh(shrunk).min() > 0.1 > np.linalg.eigvalsh(sample).min()


def test_too_few_shapes_tell_nothing_and_lost_points_are_far():
    random = np.random.default_rng(0)
    known = np.stack([moved(SHAPE, random) for _ in range(6)])
    some = known.copy()
    some[:2, 0] = np.nan
    assert (
        outliers.shape_distances(known, some) is None and outliers.shape_distances(known[:, :2], known[:, :2]) is None
    )
    lost = known.copy()
    lost[3, 2] = np.nan
    assert np.flatnonzero(np.isinf(outliers.shape_distances(lost, known))).tolist() == [3]


def test_landmarks_all_at_one_place_are_no_shape():
    random = np.random.default_rng(0)
    known = np.stack([moved(SHAPE, random) for _ in range(8)])
    with_a_point = np.concatenate([np.full([1, 5, 2], 7.0), known])
    np.testing.assert_allclose(outliers.shape_distances(known, with_a_point), outliers.shape_distances(known, known))


def test_each_kind_finds_its_own_in_pictures():
    random = np.random.default_rng(0)
    known = np.stack([moved(SHAPE, random) for _ in range(20)])
    points = np.stack([moved(SHAPE, random) for _ in range(40)])
    points[7, 2] += 30
    score, error = random.uniform(0.7, 0.9, [40, 5]), random.uniform(1, 2, [40, 5])
    score[:, 4] /= 10  # a landmark that is always hard
    score[11, 1], error[23, 3] = 0.3, 9
    found = outliers.find(of(points, score, expected_error=error), 3, shapes=known, size=(80, 100))
    assert [(each.row, each.why) for each in found] == [
        (11, "low score of b"), (23, "large expected error of d, px"), (7, "a shape unlike all that were annotated")
    ]  # fmt: skip
    assert found[0].value == pytest.approx(0.3) and found[1].value == 9
    apart = random.uniform(1, 2, [40, 5])
    apart[31, 0] = 8
    with_heads = outliers.find(of(points, score, expected_error=error, disagreement=apart), 3)
    assert [(each.row, each.why, each.kind) for each in with_heads][2] == (31, "heads disagree on a, px", "heads")
    assert len(outliers.find(of(points, score), 99)) == 40
    assert outliers.find(of(points, score), 1)[0].row == 11


def test_shapes_are_compared_in_what_the_network_sees():
    """Pictures of 100 x 80 that it sees as 50 x 80, and an object in its box: both stretched as its landmarks were."""
    random = np.random.default_rng(0)
    known = np.stack([moved(SHAPE, random) for _ in range(20)])
    seen = np.stack([moved(SHAPE, random) for _ in range(20)])
    seen[5, [0, 1]] = seen[5, [1, 0]]
    whole = of(seen * [2, 1], np.ones([20, 5]))
    boxes = np.tile(np.float32([30, 20, 55, 100]), [20, 1])
    boxed = of(seen * [0.5, 1] + [30, 20], np.ones([20, 5]), boxes=boxes)
    for predictions in (whole, boxed):
        kinds = outliers.find(predictions, 2, shapes=known, size=(80, 50))
        assert {each.kind: each.row for each in kinds}["shape"] == 5


def test_a_jump_in_a_video_is_found_and_its_neighbours_are_not_listed():
    time = np.arange(60.0)
    points = np.stack([time, 80 - time], axis=1)[:, np.newaxis]
    points[30] += [12, 0]
    frames = np.arange(60)
    found = outliers.find(of(points, np.ones([60, 1]), video="a.mp4", frames=frames, seconds=frames / 10), 60)
    jumps = [each for each in found if each.kind == "jump"]
    assert jumps[0].row == 30 and jumps[0].value == pytest.approx(12, abs=3) and jumps[0].why == "jump of a, px"
    assert min(np.diff(sorted(each.row for each in found))) >= 10 and len(found) <= 6


@pytest.mark.parametrize("frame", [0, 1, 59])
def test_a_jump_at_an_end_of_a_video_is_found(frame):
    points, score, frames = np.full([60, 1, 2], 30.0), np.ones([60, 1]), np.arange(60)
    points[frame] = 70, 60
    score[30] = 0.5
    found = outliers.find(of(points, score, video="a.mp4", frames=frames, seconds=frames / 10), 2)
    assert [(each.row, each.kind) for each in found] == [(30, "score"), (frame, "jump")]
    assert found[1].value == pytest.approx(50)


def test_outliers_are_written_as_a_table_and_drawn(tmp_path):
    for index in range(4):
        Image.new("RGB", (100, 80), (90, 160, 200)).save(tmp_path / f"{index}.png")
    points, score = np.full([4, 2, 2], 40.0), np.full([4, 2], 0.8)
    score[2, 1] = 0.1
    names = ("0.png", "1.png", "2.png", "2.png")
    predictions = of(points, score, tmp_path, names, objects=np.array([1, 1, 1, 2]))
    written = outliers.write(predictions, outliers.find(predictions, 2), tmp_path)
    assert [path.name for path in written] == ["outliers.csv", "outliers.png", "outliers"]
    with open(written[0], newline="") as file:
        header, first, other = csv.reader(file)
    assert header == ["file", "object", "why", "value"] and first == ["2.png", "1", "low score of b", "0.1"]
    assert Image.open(written[1]).size[0] > 400
    found = json.loads((written[2] / "points.json").read_text())  # in csv a picture has one row
    named = {each["id"]: each["file_name"] for each in found["images"]}
    assert [named[each["image_id"]] for each in found["annotations"]].count("2.png") == 2
    assert len(named) == len({first[0], other[0]})


def test_those_of_pictures_are_written_in_the_formats_that_are_asked_for_and_read(tmp_path):
    points, score = np.arange(16.0).reshape([4, 2, 2]) + 10, np.full([4, 2], 0.8)
    score[[2, 1], 1] = 0.1, 0.2
    for index in range(4):
        Image.new("RGB", (100, 80)).save(tmp_path / f"{index}.png")
    predictions = of(points, score, tmp_path, tuple(f"{index}.png" for index in range(4)))
    folder = outliers.write(predictions, outliers.find(predictions, 2), tmp_path, ["scores", "tps", "csv"])[2]
    assert sorted(each.name for each in folder.glob("[!.]*")) == ["points.csv", "points.tps"]
    read = points_csv.read_table(tmp_path, folder / "points.csv")
    assert [os.path.basename(path) for path in read.paths] == ["1.png", "2.png"]
    np.testing.assert_allclose(read.landmarks, points[1:3])


def test_those_of_several_objects_are_written_in_formats_that_are_read_with_several(tmp_path):
    for index in range(2):
        Image.new("RGB", (100, 80)).save(tmp_path / f"{index}.png")
    points = np.arange(12.0).reshape([3, 2, 2]) + 10
    predictions = of(points, np.full([3, 2], 0.8), tmp_path, ("0.png", "1.png", "1.png"), objects=np.array([1, 1, 2]))
    chosen = outliers.find(predictions, 3)
    for given, written in ((["csv", "deeplabcut", "scores"], "points.json"), (["csv", "tps"], "points.tps")):
        (tmp_path / given[1]).mkdir()
        folder = outliers.write(predictions, chosen, tmp_path / given[1], given)[2]
        assert [path.name for path in folder.glob("[!.]*")] == [written]
        read = annotation_files.read(tmp_path, folder / written)
        assert len(read.paths) == 3 and read.boxes is not None


def test_those_of_a_video_are_written_with_their_frames(tmp_path):
    pytest.importorskip("cv2")
    middle = videos.write(tmp_path / "arm.mp4", 30)
    points = middle[:, np.newaxis].repeat(2, axis=1)
    points[[7, 21]] = [[9, 30], [50, 9]]
    frames = np.arange(30)
    names = tuple(reading.frame_name("arm.mp4", index, 30) for index in frames)
    facts = {"video": str(tmp_path / "arm.mp4"), "frames": frames, "seconds": frames / 25}
    predictions = of(points, np.ones([30, 2]), tmp_path, names, **facts)
    predictions = dataclasses.replace(predictions, sizes=np.tile(videos.SIZE, [30, 1]))
    (tmp_path / "out").mkdir()
    listed = outliers.find(predictions, 2)
    chosen = sorted(each.row for each in listed)
    folder = outliers.write(predictions, listed, tmp_path / "out", ["deeplabcut", "csv"])[2]
    for name in ("points.csv", "points_deeplabcut.csv"):
        read = annotation_files.read(folder, folder / name)
        assert [os.path.relpath(path, folder) for path in read.paths] == [
            f"labeled-data/{names[row]}" for row in chosen
        ]
        np.testing.assert_allclose(read.landmarks, points[chosen], atol=1e-3)
    for row, path in zip(chosen, read.paths):
        bright = np.argwhere(np.asarray(Image.open(path).convert("L")) > 128)[:, ::-1].mean(axis=0) + 0.5
        np.testing.assert_allclose(bright, middle[row], atol=1)


def test_outliers_without_a_folder_are_refused(tmp_path):
    Image.new("RGB", (10, 8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="outliers=3 are written as files; give out, the folder to write to"):
        Predictor(None, Frame((8, 8), 2), (), {}).predict(tmp_path, outliers=3)
