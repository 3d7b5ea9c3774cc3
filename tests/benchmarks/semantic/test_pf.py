"""Tests of the readers of PF-WILLOW and PF-PASCAL, on files the tests write as published, and of their command."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import scipy.io
import tensorflow as tf
from PIL import Image

from benchmarks import pf as command
from benchmarks.semantic import pf_data, pf_tables
from dense_labels import compat, run_config
from dense_labels.config import Config
from dense_labels.registry import NETWORKS
from models import descriptors, trunks

ROOT = pathlib.Path(__file__).resolve().parents[3]
SUBSETS = {"car(S)": ["Cars_000a", "Cars_001b", "Cars_031"], "duck(S)": ["060_0000", "060_0002"]}


def draw(path, size=(60, 40), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, [5, 5, 3], np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(path)


def willow_points(number):
    return np.array([[10, 20.5, 30, 12], [10, 30, 20, 11]]) + number  # [2, K]


@pytest.fixture
def willow(tmp_path):
    names = [f"{subset}/{name}" for subset, names in SUBSETS.items() for name in names]
    for number, name in enumerate(names):
        draw(tmp_path / f"{name}.png", seed=number)
        scipy.io.savemat(tmp_path / f"{name}.mat", {"pts_coord": willow_points(number)})
    return tmp_path


def test_willow_has_all_ordered_pairs_within_a_subset(willow):
    found = pf_data.read_willow(str(willow))
    assert found.pictures.paths[0] == str(willow / "car(S)/Cars_000a.png")
    assert found.groups == ("car(S)",) * 3 + ("duck(S)",) * 2
    expected = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (3, 4), (4, 3)]
    assert sorted(map(tuple, found.indices)) == expected


def test_the_centre_of_matlabs_first_pixel_is_half_a_pixel_from_the_edge(willow):
    scipy.io.savemat(willow / "car(S)/Cars_000a.mat", {"pts_coord": np.array([[1, 20.5, 3, 4], [1, 7, 9, 2]])})
    found = pf_data.read_willow(str(willow)).pictures
    np.testing.assert_array_equal(found.landmarks[0], [[0.5, 0.5], [20, 6.5], [2.5, 8.5], [3.5, 1.5]])
    np.testing.assert_array_equal(found.landmarks[4], willow_points(4).T - 0.5)
    assert found.annotated.all()


def test_a_willow_list_names_the_pairs_alone(willow):
    file = willow / "test_pairs_pf.csv"
    rows = [
        "PF-dataset/car(S)/Cars_031.png,PF-dataset/car(S)/Cars_000a.png,1,2,3",
        "duck(S)\\060_0000.png, duck(S)/060_0002.png",
    ]
    file.write_text("\n".join(["source_image,target_image,XA", *rows, ""]))
    found = pf_data.read_willow(str(willow), str(file))
    assert found.indices.tolist() == [[2, 0], [3, 4]]
    np.testing.assert_array_equal(found.pictures.landmarks[2], willow_points(2).T - 0.5)


def test_subsets_may_have_different_numbers_of_key_points(willow):
    scipy.io.savemat(willow / "car(S)/Cars_000a.mat", {"pts_coord": willow_points(0)[:, :3]})
    found = pf_data.read_willow(str(willow)).pictures
    np.testing.assert_array_equal(found.annotated[:2], [[1, 1, 1, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(found.landmarks[0, 3], [0, 0])


def overwrite(path, content):
    if isinstance(content, dict):
        scipy.io.savemat(path, content)
    elif content is None:
        path.unlink()
    else:
        path.write_bytes(content)


@pytest.mark.parametrize(
    "file, content, message",
    [
        ("duck(S)/060_0000.png", None, "060_0000.mat: there is no picture .*060_0000.png beside it"),
        ("duck(S)/060_0000.mat", b"no numbers", "060_0000.mat: not a MATLAB file that can be read"),
        ("duck(S)/060_0000.mat", {"kps": 1}, "060_0000.mat has no pts_coord; is it an annotation of this data set"),
        ("duck(S)/060_0000.mat", {"pts_coord": np.ones([4, 2])}, r"must be finite numbers \[2, K\]; found \[4, 2\]"),
        ("duck(S)/060_0000.mat", {"pts_coord": np.full([2, 4], np.nan)}, "060_0000.mat: pts_coord must be finite"),
        ("list.csv", b"a,b\n", "list.csv lists no pairs"),
        ("list.csv", b'a,b\n"car(S)/Cars_031.png\n', "list.csv, line 2: unexpected end of data"),
        ("list.csv", b"a,b\ncar(S)/Cars_031.png\n", "list.csv, line 2: the pictures of A and B are expected"),
        ("list.csv", b"a,b\ncar(S)/Cars_031.png,x/y.png\n", "list.csv, line 2: there is no annotated picture x/y.png"),
    ],
)
def test_what_is_wrong_in_willow_is_named(willow, file, content, message):
    overwrite(willow / file, content)
    with pytest.raises(ValueError, match=message):
        pf_data.read_willow(str(willow), str(willow / file) if file == "list.csv" else None)


def test_a_folder_without_annotations_is_named(tmp_path):
    with pytest.raises(ValueError, match="holds no .mat files; the folders of PF-WILLOW's subsets are expected"):
        pf_data.read_willow(str(tmp_path))


# --- PF-PASCAL ---

KPS = {  # class, name -> key points
    ("cat", "2008_01"): [[1, 1], [np.nan, np.nan], [11, 21]],
    ("cat", "2008_02"): [[5, 6], [7, 8], [9, 10]],
    ("tvmonitor", "2008_02"): [[2, 3], [4, 5]],
    ("tvmonitor", "2008_03"): [[6, 7], [8, np.nan]],
}
LIST = """source_image,target_image,class,XA,YA,XB,YB
PF-dataset-PASCAL/JPEGImages/2008_01.jpg,PF-dataset-PASCAL/JPEGImages/2008_02.jpg,8,1;11,1;21,5;9,6;10
2008_02.jpg,2008_03.jpg,tvmonitor
"""


@pytest.fixture
def pascal(tmp_path):
    for name in {name for _, name in KPS}:
        draw(tmp_path / "JPEGImages" / f"{name}.jpg")
    for (group, name), points in KPS.items():
        (tmp_path / "Annotations" / group).mkdir(parents=True, exist_ok=True)
        annotation = {"kps": np.array(points), "bbox": np.array([[1.0, 2, 30, 40]])}
        scipy.io.savemat(tmp_path / "Annotations" / group / f"{name}.mat", annotation)
    (tmp_path / "list.csv").write_text(LIST)
    return tmp_path


def test_pascal_has_missing_key_points_boxes_and_pictures_of_two_classes(pascal):
    found = pf_data.read_pascal(str(pascal), str(pascal / "list.csv"))
    assert found.indices.tolist() == [[0, 1], [2, 3]]
    assert found.groups == ("cat", "cat", "tvmonitor", "tvmonitor")
    names = ["2008_01", "2008_02", "2008_02", "2008_03"]
    assert found.pictures.paths == tuple(str(pascal / "JPEGImages" / f"{name}.jpg") for name in names)
    np.testing.assert_array_equal(found.pictures.annotated, [[1, 0, 1], [1, 1, 1], [1, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(found.pictures.landmarks[0], [[0.5, 0.5], [0, 0], [10.5, 20.5]])
    np.testing.assert_array_equal(found.pictures.landmarks[2], [[1.5, 2.5], [3.5, 4.5], [0, 0]])
    np.testing.assert_array_equal(found.pictures.boxes, [[0, 1, 30, 40]] * 4)  # pixels 1 to 30 and 2 to 40


@pytest.mark.parametrize(
    "old, new, message",
    [
        (",8,", ",21,", "list.csv, line 2: there is no class 21; give a number from 1 to 20 or aeroplane, bicycle"),
        ("tvmonitor", "bus", "2008_02.mat: No such file or directory; an annotation is expected there"),
        (
            ",tvmonitor",
            "",
            "list.csv, line 3: pictures of A and B and their class are expected; found 2008_02.jpg,2008_03",
        ),
        ("2008_03.jpg", "2008_04.jpg", "list.csv, line 3: there is no picture .*2008_04.jpg"),
    ],
)
def test_what_is_wrong_in_a_pascal_list_is_named(pascal, old, new, message):
    (pascal / "list.csv").write_text(LIST.replace(old, new))
    with pytest.raises(ValueError, match=message):
        pf_data.read_pascal(str(pascal), str(pascal / "list.csv"))


@pytest.mark.parametrize(
    "content, message",
    [
        ({"kps": np.ones([3, 3]), "bbox": [1, 2, 3, 4]}, r"kps must be numbers \[K, 2\], NaN for what is missing"),
        ({"kps": np.ones([3, 2])}, "2008_03.mat has no bbox"),
        ({"kps": np.ones([3, 2]), "bbox": [3, 2, 1, 4]}, "bbox must be left, top, right and bottom; found .3.0, 2.0"),
    ],
)
def test_what_is_wrong_in_a_pascal_annotation_is_named(pascal, content, message):
    overwrite(pascal / "Annotations/tvmonitor/2008_03.mat", content)
    with pytest.raises(ValueError, match=message):
        pf_data.read_pascal(str(pascal), str(pascal / "list.csv"))


# --- the command ---


def row_that_sees_places():
    """A network whose labels say where on the picture a cell is, and never the same at two places."""

    class Places(tf.keras.layers.Layer):
        def call(self, images):
            cells = tf.range(0.5, 8.0) / 8
            angles = tf.stack(tf.meshgrid(cells, cells), axis=-1)[tf.newaxis] * 1.5
            return tf.concat([tf.cos(angles), tf.sin(angles)], axis=-1) + 0 * images[:, :1, :1, :1]

    images = tf.keras.Input([None, None, 3])
    return command.Row("places", tf.keras.Model(images, [Places()(images)]), 4, False)


def test_labels_that_are_places_match_each_pixel_with_the_same_place(willow, monkeypatch):
    monkeypatch.setattr(command, "_FLOW", (56, 64))
    pairs, boxes, source = command.read("pf_willow", str(willow), None, None, 500)
    assert source == f"sliding grid of {len(boxes[0])}" and len(boxes[0]) <= 500
    scene = command.describe(pairs, boxes)
    result = command.measure(row_that_sees_places(), scene, 32)
    moved = pairs.pictures.landmarks[pairs.indices[:, 0]]  # all pictures are of one size
    np.testing.assert_allclose(result["points"]["flow"], moved, atol=1e-3)
    cell = (np.floor(moved / [7.5, 5]) + 0.5) * [7.5, 5]  # 8 x 8 cells of a picture of 60 x 40
    np.testing.assert_allclose(result["points"]["cell"], cell, atol=1e-4)
    np.testing.assert_allclose(result["points"]["cell, inner product"], cell, atol=1e-4)
    assert np.abs(result["points"]["4 x finer"] - moved).max() < 2
    chosen, _ = scene.true[0]
    assert chosen.any() and len(result["ious"][0]) == chosen.sum()
    found = {"places": pf_tables.figures(result, scene)}
    assert json.loads(json.dumps(found)) == found
    tables = pf_tables.point_table(found, scene) + pf_tables.region_table(found, scene)
    title = "| PCK@0.1 | matching | extent, mean of points | extent, mean of pairs | size, mean of points |"
    assert tables[0].startswith(title)
    flow = next(line for line in tables if line.startswith("| places | flow |"))
    errors = np.linalg.norm(result["points"]["flow"] - pairs.pictures.landmarks[pairs.indices[:, 1]], axis=-1)
    longest = np.ptp(pairs.pictures.landmarks, axis=1).max(axis=1)[pairs.indices[:, 1], np.newaxis]
    assert flow.split("|")[3].strip() == f"{np.mean(errors <= 0.1 * longest):.3f}"
    assert tables[-1].startswith("| best of the proposals | 0.") and tables[-1].endswith("| - | 8 |")


def test_pascal_has_a_box_to_measure_against_and_pairs_without_extent_or_truth(pascal):
    pairs, boxes, _ = command.read("pf_pascal", str(pascal), str(pascal / "list.csv"), None, 0)
    scene = command.describe(pairs, boxes)
    assert scene.true == [None, None]  # two key points in common, and one
    moved = pairs.pictures.landmarks[[0, 2]]
    found = pf_tables.figures({"points": {"none": moved}, "ious": [], "scores": []}, scene)
    lines = pf_tables.point_table({"still": found}, scene)
    cells = [cell.strip() for cell in lines[3].split("|")[3:-1]]
    assert lines[2].replace("same place | -", "still | none") == lines[3]  # the pictures are of one size
    # Errors 6.40, 11.18 and, where B has no extent, 5.66, of 4, 4 and 0; of a box of 39, 3.9; in 224 x 224 larger still
    assert lines[0].count("mean of") == 6 and cells == ["0.000"] * 6
    near = pairs.pictures.landmarks[[1, 3]] + [3.5, 0]  # 13.1 px of 224 along x; within a tenth of 224 and of the box
    found = pf_tables.figures({"points": {"none": near}, "ious": [], "scores": []}, scene)
    (line,) = pf_tables.point_table({"near": found}, scene)[3:]
    assert [cell.strip() for cell in line.split("|")[3:-1]] == ["0.000"] * 2 + ["1.000"] * 4


@pytest.mark.parametrize("confidence", [True, False])
def test_a_runs_row_is_its_newest_checkpoint_with_the_layer_below_the_labels(tmp_path, monkeypatch, confidence):
    def create(config):
        images = tf.keras.Input([None, None, 3])
        below = tf.keras.layers.Conv2D(4, 16, strides=16)(images)
        raw = tf.keras.layers.Conv2D(5 + config.confidence, 1, name="label")(below)
        labels = descriptors.Introspect()(raw) if config.confidence else trunks.UnitLength()([raw])
        return tf.keras.Model(images, labels)

    value = NETWORKS["introspection"].value
    monkeypatch.setattr(value, "create", staticmethod(lambda settings, precision: create(settings)))
    config = Config()
    config.model.name, config.model.confidence = "introspection", confidence
    network = create(config.model)
    run_config.save(config, str(tmp_path))
    checkpoint = tf.train.Checkpoint(network=compat.saved_network(network))
    tf.train.CheckpointManager(checkpoint, str(tmp_path / "checkpoints"), 1).save(checkpoint_number=7)
    row = command.trained_row(str(tmp_path))
    assert (row.name, row.stride, row.unit) == (f"{tmp_path} (step 7)", 16, not confidence)
    picture = np.random.default_rng(0).uniform(size=[1, 32, 48, 3]).astype(np.float32)
    labels, below = row.network(picture)
    np.testing.assert_allclose(labels, network(picture), atol=1e-5)
    np.testing.assert_allclose(below, network.layers[1](picture), atol=1e-5)


def test_a_row_of_the_first_papers_network_has_labels_alone(tmp_path):
    config = Config()
    run_config.save(config, str(tmp_path))
    network = NETWORKS[config.model.name].value.create(config.model, "float32")
    checkpoint = tf.train.Checkpoint(network=compat.saved_network(network))
    tf.train.CheckpointManager(checkpoint, str(tmp_path / "checkpoints"), 1).save(checkpoint_number=1)
    row = command.trained_row(str(tmp_path))
    assert (row.stride, row.unit) == (2, False)
    assert tf.nest.flatten(row.network(np.zeros([1, 32, 32, 3], np.float32)))[0].shape == (1, 16, 16, 3)


def test_a_trunks_row_names_its_weights(monkeypatch):
    asked = []

    def features(name, layers, *, weights):
        asked.append((name, layers, weights))
        images = tf.keras.Input([None, None, 3])
        return tf.keras.Model(images, trunks.UnitLength()([images])), 1

    monkeypatch.setattr(trunks, "features", features)
    given = {"vgg16": "in/mine.h5"}
    rows = [command.trunk_row(name, given) for name in ("vgg16_conv4_3", "mobilenet_v2_random")]
    assert asked == [("vgg16", ("block4_conv3",), "in/mine.h5"), ("mobilenet_v2", ("block_13_expand_relu",), "none")]
    assert [row.name for row in rows] == ["vgg16_conv4_3 (mine.h5)", "mobilenet_v2_random (none)"]
    assert rows[0].unit and rows[0].stride == 1


@pytest.mark.parametrize(
    "options, message",
    [
        (["--rows=mobilenet"], "--rows=mobilenet: there is no such row; choose mobilenet_v2_random, mobilenet_v2,"),
        (["--rows=vgg16_pool4"], "--rows=vgg16_pool4 needs --weights=vgg16=FILE.h5"),
        (["--weights=a.h5"], "--weights=a.h5: write TRUNK=FILE, such as mobilenet_v2=weights.h5"),
    ],
)
def test_a_wrong_option_is_one_line(options, message, tmp_path):
    line = [sys.executable, "-m", "benchmarks.pf", f"--dir={tmp_path}", *options]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {message}") and len(result.stderr.splitlines()) == 1
