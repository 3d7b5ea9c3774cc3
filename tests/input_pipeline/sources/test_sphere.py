"""Tests of the sphere as a source: stored pairs with their exact motion, masks and surfaces."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from dense_labels.config import Config, DataConfig
from input_pipeline import pipeline
from input_pipeline.simulation import frame_pairs, sphere, sphere_camera

SIZE = sphere_camera.FRAME_SIZE


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("sphere"))
    return DataConfig(name="sphere", dir=folder, num_pairs=frame_pairs.MIN_NUM_PAIRS, seed=7)


@pytest.fixture(scope="module")
def builder(data):
    return sphere.prepare(data.dir, data.num_pairs, data.seed)


@pytest.fixture(scope="module")
def source(builder, data):
    return pipeline.prepare(Config(data=data))


def test_a_damaged_file_is_named(builder, data, tmp_path):
    shutil.copytree(data.dir, tmp_path / "data")
    for shard in (tmp_path / "data").rglob("*test.tfrecord*"):
        shard.write_bytes(shard.read_bytes()[:-9])
    source = pipeline.prepare(Config(data=dataclasses.replace(data, dir=str(tmp_path / "data"))))
    with pytest.raises(
        ValueError, match=r"a file in .*/sphere/.* is damaged or gone; delete that folder and run again"
    ):
        pipeline.image_batches(source, "test", batch_size=4)


def test_training_pairs_are_stored_pairs_with_their_exact_motion(source, builder):
    stored = {example["image_a"].tobytes(): example for example in tfds.as_numpy(builder.as_dataset(split="train"))}
    batch = next(iter(pipeline.training_pairs(source, stride=2, batch_size=8, seed=0)))
    shapes = {name: (values.shape.as_list(), values.dtype) for name, values in batch._asdict().items()}
    assert shapes == {
        "image_a": ([8, SIZE, SIZE, 3], tf.float32),
        "image_b": ([8, SIZE, SIZE, 3], tf.float32),
        "points_in_b": ([8, 45, 45, 2], tf.float32),
        "visible": ([8, 45, 45], tf.float32),
    }
    for n in range(8):
        example = stored[np.uint8(np.rint(255 * batch.image_a[n].numpy())).tobytes()]
        points_in_b, visible = sphere_camera.motion(example["rotation_a"], example["rotation_b"], 2)
        np.testing.assert_array_equal(batch.points_in_b[n], points_in_b)
        np.testing.assert_array_equal(batch.visible[n], tf.cast(visible, tf.float32))


def test_surfaces_say_which_places_of_one_frame_are_seen_in_another(source):
    batch = next(iter(pipeline.surface_batches(source, "test", stride=2, batch_size=32)))
    assert batch.places.shape == [10, 45, 45, 3]
    on = batch.on_object.numpy() > 0
    for n in range(10):
        facing = batch.places[n].numpy()[on[n]] @ -batch.rotation[n, 2].numpy()
        assert facing.min() > batch.limb[n] - 1e-6 and facing.max() > 0.999
        assert facing.min() < batch.limb[n] + 0.1
    np.testing.assert_array_equal(batch.on_object[0], sphere_camera.surface(np.eye(3), 2)[1])


def test_images_come_with_a_mask_of_the_sphere_and_there_are_no_landmarks(source):
    batch = next(iter(pipeline.image_batches(source, "test", batch_size=4)))
    black = tf.reduce_max(batch.image, axis=-1) == 0
    assert not np.any(black & (batch.mask > 0)) and np.mean(black == (batch.mask == 0)) > 0.95
    assert source.count("annotated") == 0
    with pytest.raises(ValueError, match="the sphere has no landmarks; give annotated pictures"):
        source.landmarks("test", None, batch_size=1)
