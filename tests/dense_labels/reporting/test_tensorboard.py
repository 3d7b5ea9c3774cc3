"""Tests of what TensorBoard and its embedding projector are given: read back as they read it."""

import os

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins import projector

from dense_labels.batches import LabelMap
from dense_labels.reporting import tensorboard


def written(folder, masks, stride=2):
    rng = np.random.default_rng(0)
    height, width = masks.shape[1:]
    images = rng.uniform(size=[2, height, width, 3]).astype(np.float32)
    labels = rng.normal(size=[2, height // stride, width // stride, 5]).astype(np.float32)
    tensorboard.write_projector(folder, images, LabelMap(labels, stride), masks)
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), projector.ProjectorConfig())
    (embedding,) = config.embeddings
    points = np.loadtxt(folder / embedding.tensor_path, delimiter="\t", ndmin=2)
    head, *rows = (folder / embedding.metadata_path).read_text().splitlines()
    assert head == "picture\tx\ty" and list(embedding.tensor_shape) == [len(rows), 5]
    sprite = np.asarray(Image.open(folder / embedding.sprite.image_path))
    assert list(embedding.sprite.single_image_dim) == [16, 16]
    return images, labels, points, np.array([row.split("\t") for row in rows], float), sprite


def test_a_point_is_the_label_of_a_cell_of_the_object_and_its_sprite_the_picture_about_it(tmp_path):
    masks = np.zeros([2, 20, 30])
    masks[0, :, :8] = masks[1, 10:, :] = 1
    images, labels, points, rows, sprite = written(tmp_path / "run", masks)
    assert len(points) == 10 * 4 + 5 * 15
    n, i, j = rows[:, 0].astype(int), (rows[:, 2] // 2).astype(int), (rows[:, 1] // 2).astype(int)
    assert masks[n, 2 * i + 1, 2 * j + 1].all() and len(set(zip(n, i, j))) == len(rows)
    np.testing.assert_allclose(points, labels[n, i, j], rtol=1e-5)
    side = len(sprite) // 16
    assert sprite.shape == (16 * 11, 16 * 11, 3)  # 115 patches in a square
    for k in (0, 37, 39, 114):
        patch = sprite[16 * (k // side) :, 16 * (k % side) :][:16, :16]
        x, y = (2 * j[k] + 1, 2 * i[k] + 1)
        rows_of, columns_of = (np.clip(np.arange(at - 8, at + 8), 0, size - 1) for at, size in ((y, 20), (x, 30)))
        np.testing.assert_allclose(patch, 255 * images[n[k]][rows_of][:, columns_of], atol=0.51)  # the edge goes on


@pytest.mark.parametrize("stride", [2, 8, 16])
def test_points_lie_at_the_centres_of_cells_where_sides_are_no_multiple_of_the_stride(tmp_path, stride):
    masks = np.zeros([2, 90, 118])
    masks[1, 70:, 100:] = 1  # into the corner, where a wrong stride is furthest off
    _, labels, points, rows, _ = written(tmp_path, masks, stride)
    cells = np.int64(rows[:, 1:] // stride)
    np.testing.assert_allclose(rows[:, 1:], (cells + 0.5) * stride)
    np.testing.assert_allclose(points, labels[1, cells[:, 1], cells[:, 0]], rtol=1e-5)
    on_object = [masks[1, int(y), int(x)] for x, y in rows[:, 1:]]
    assert all(on_object) and cells[:, 1].max() == 90 // stride - 1 and cells[:, 0].max() == 118 // stride - 1


def test_figures_pictures_and_curves_are_written_at_their_steps(tmp_path):
    picture = np.zeros([2, 3, 3], np.uint8)
    curves = {"percent": [0.0, 0.1, 10.0], "regress": {"pck": [0.0, 0.25, 1.0]}}
    matches = np.array([True, False]), np.array([0.75, 0.25])
    tensorboard.write(tmp_path, {"error": 1.5}, {"labels": picture}, 7, curves=curves, matches=matches)
    tensorboard.write(tmp_path / "bare", {}, {"labels": picture}, 0)
    events = event_accumulator.EventAccumulator(str(tmp_path)).Reload()
    read = {
        name: [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors(name)]
        for name in ("error", "pck/regress")
    }
    assert read == {"error": [(7, 1.5)], "pck/regress": [(0, 0.0), (1, 0.25), (100, 1.0)]}
    assert events.Tensors("labels")[0].step == 7
    assert any(name.startswith("matches") for name in events.Tags()["tensors"])


def test_as_many_points_are_drawn_as_the_projector_bears(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "MOST_POINTS", 40)
    _, labels, points, rows, _ = written(tmp_path, np.zeros([2, 20, 30]))  # without an object all cells count
    assert len(points) == 40 and len(np.unique(rows, axis=0)) == 40 and set(rows[:, 0]) == {0, 1}
    again = written(tmp_path, np.zeros([2, 20, 30]))
    np.testing.assert_array_equal(points, again[2])
    assert sorted(os.listdir(tmp_path)) == [
        "labels.tsv",
        "labels_metadata.tsv",
        "labels_sprite.png",
        "projector_config.pbtxt",
    ]


def test_shapes_that_do_not_agree_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"masks must be \[1, 4, 4\]; found shape \(1, 2, 2\)"):
        tensorboard.write_projector(
            tmp_path, np.ones([1, 4, 4, 3]), LabelMap(np.ones([1, 2, 2, 3]), 2), np.ones([1, 2, 2])
        )
