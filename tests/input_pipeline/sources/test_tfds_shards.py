"""Tests of data sets of tensorflow-datasets by their names: what it reads itself is the oracle."""

import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from dense_labels import command_line
from dense_labels import config as config_lib
from dense_labels.batches import stack
from dense_labels.config import Config
from input_pipeline import pipeline
from input_pipeline.simulation import building
from input_pipeline.sources import record_features, tfds_shards
from tests import shards

COUNTS = {"train": 7, "validation": 3, "test": 2}
NAMED = {f"{name}_{axis}": tfds.features.Scalar(np.int64) for name in ("eye", "nose") for axis in "xy"}


def prepared(folder, features, make, *, name="drawn", config="", format="tfrecord"):
    """Prepares a data set of pictures as tensorflow-datasets would, offline."""
    with building.quiet_tfds():
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            config=config or None,
            data_dir=str(folder),
            split_datasets={split: [(n, make(split, n)) for n in range(count)] for split, count in COUNTS.items()},
            features=tfds.features.FeaturesDict(features),
            file_format=format,
            download_config=tfds.download.DownloadConfig(num_shards=2),
            disable_shuffling=True,
        )


def drawn(split, n):
    x = 3 * n + len(split)
    points = np.float32([[x, 8.5, 1], [12, 6, 0]])
    named = {"eye_x": x, "eye_y": 8, "nose_x": 12, "nose_y": -1 if n else 6}
    pixels = np.uint8(np.random.default_rng([n, len(split)]).integers(0, 256, (24, 32, 3)))
    return {"image": pixels, "points": points, "landmarks": named, "text": "words"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    points = tfds.features.Tensor(shape=(2, 3), dtype=np.float32)
    features = {"image": tfds.features.Image(shape=(None, None, 3)), "points": points}
    prepared(folder, {**features, "landmarks": NAMED, "text": tfds.features.Text()}, drawn)
    text = {"text": tfds.features.Text()}
    prepared(folder, text, lambda split, n: {"text": "words"}, name="wordy", config="small")
    both = {name: tfds.features.Image(shape=(None, None, 1)) for name in ("left", "right")}
    grey = np.full([20, 20, 1], 77, np.uint8)
    prepared(folder, both, lambda split, n: {"left": grey, "right": grey + 1}, name="stereo")
    return folder


def configured(folder, dataset="drawn", **data):
    config = Config()
    values = {"name": "tfds", "dir": str(folder), "dataset": dataset, "size": (24, 32), **data}
    for key, value in values.items():
        setattr(config.data, key, value)
    return config


def test_pictures_and_points_are_those_that_tfds_reads(folder):
    source = pipeline.prepare(configured(folder, keypoints="points"))
    assert {split: source.count(split) for split in (*COUNTS, "annotated")} == {**COUNTS, "annotated": 3}
    with building.quiet_tfds():
        read = list(
            tfds.as_numpy(tfds.builder_from_directory(folder / "drawn" / "1.0.0").as_dataset(split="validation"))
        )
    found = stack(pipeline.landmark_batches(source, "annotated", batch_size=2))
    np.testing.assert_allclose(found.image, [each["image"] / 255 for each in read], atol=1e-6)
    np.testing.assert_array_equal(found.annotated, [[1, 0]] * 3)
    np.testing.assert_allclose(found.landmarks[:, 0], [each["points"][0, :2] for each in read])


def test_named_points_are_told_apart_by_their_names_and_no_words_are_read(folder):
    source = pipeline.prepare(configured(folder, dataset="drawn:1.0.0", keypoints="landmarks"))
    assert source.landmark_names == ("eye", "nose")
    (batch,) = pipeline.landmark_batches(source, "test", batch_size=2)
    # Whole numbers count pixels from 0 at their centres. Only one number of the last point is below 0.
    np.testing.assert_allclose(batch.landmarks, [[[4.5, 8.5], [12.5, 6.5]], [[7.5, 8.5], [12.5, -0.5]]])
    np.testing.assert_array_equal(batch.annotated, np.ones([2, 2]))


def test_the_picture_is_chosen_where_there_are_several(folder):
    with pytest.raises(ValueError, match=r"stereo has several pictures: choose config\.data\.image among left, right"):
        pipeline.prepare(configured(folder, dataset="stereo"))
    source = pipeline.prepare(configured(folder, dataset="stereo", image="right", size=(20, 20)))
    images, landmarks = pipeline.example_images(source, "train", count=3)
    assert landmarks is None and images.image.shape == [3, 20, 20, 3]
    np.testing.assert_allclose(255 * images.image, 78)


@pytest.mark.parametrize(
    "data, said",
    [
        (
            {"dataset": "absent"},
            r"absent holds no prepared data set; prepare it with tfds.builder\('absent', data_dir=",
        ),
        ({"dataset": "drawn:2.0.0"}, r"drawn holds no prepared data set of version 2\.0\.0; prepare it"),
        ({"dataset": "a/b/c"}, r"config\.data\.dataset='a/b/c': must be NAME, NAME/CONFIG or NAME/CONFIG:VERSION"),
        ({"dataset": "wordy"}, r"config\.data\.dataset=wordy: choose one of its wordy/small"),
        ({"dataset": "wordy/small"}, r"wordy/small has no pictures among its features text"),
        ({"image": "points"}, r"config\.data\.image=points: the pictures of drawn are image"),
        ({"keypoints": "nose"}, r"keypoints=nose: drawn has no such feature; it has image, landmarks, points, text"),
        ({"keypoints": "text"}, r"keypoints=text: must be numbers \[K, 2\] or \[K, 3\]; in drawn it is Text"),
        ({"dir": "gs://data"}, "gs://data is not a path of this machine; mount"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(folder, data, said):
    with pytest.raises(ValueError, match=said):
        pipeline.prepare(configured(folder, **data))


def test_files_that_tensorflow_cannot_read_are_refused(tmp_path):
    image = {"image": tfds.features.Image(shape=(None, None, 3))}
    prepared(tmp_path, image, lambda split, n: {"image": drawn(split, n)["image"]}, format="array_record")
    with pytest.raises(ValueError, match="files of the kind array_record, which TensorFlow cannot read without Python"):
        pipeline.prepare(configured(tmp_path))


def test_a_shard_that_is_cut_off_or_short_is_refused(folder, tmp_path):
    image = {"image": tfds.features.Image(shape=(None, None, 3))}
    prepared(tmp_path, image, lambda split, n: {"image": drawn(split, n)["image"]})
    (tmp_path / "drawn" / "1.0.0").rename(tmp_path / "elsewhere")  # as on another disk
    (tmp_path / "drawn" / "1.0.0").symlink_to(tmp_path / "elsewhere")
    first = sorted(tmp_path.glob("drawn/1.0.0/*train*"))[0]
    shards.write(first, [b"one"])
    with pytest.raises(ValueError, match=r"the split train has \d records in place of 7; prepare the data set again"):
        pipeline.prepare(configured(tmp_path))
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{first} is no TFRecord file, or cut off"):
        pipeline.prepare(configured(tmp_path))


def test_a_backup_is_no_version(folder, tmp_path):
    shutil.copytree(folder / "drawn", tmp_path / "drawn")
    for name in ("1.0.0_20240101", "1.0.0-2", "backup_2023", "incomplete.8XK2Q1_1.0.0"):
        shutil.copytree(folder / "drawn" / "1.0.0", tmp_path / "drawn" / name)
    assert tfds_shards._folder(configured(tmp_path).data) == tmp_path / "drawn" / "1.0.0"
    for name in ("1.0.2", "1.0.10"):
        shutil.copytree(folder / "drawn" / "1.0.0", tmp_path / "drawn" / name)
    assert tfds_shards._folder(configured(tmp_path).data) == tmp_path / "drawn" / "1.0.10"
    for name in ("1.0.0", "1.0.2", "1.0.10"):
        shutil.rmtree(tmp_path / "drawn" / name)
    with pytest.raises(ValueError, match="drawn holds 1.0.0-2, .* of which none is called by a version such as 1.0.0"):
        tfds_shards._folder(configured(tmp_path).data)
    for name in ("1.0.0_20240101", "1.0.0-2", "incomplete.8XK2Q1_1.0.0"):
        shutil.rmtree(tmp_path / "drawn" / name)
    assert tfds_shards._folder(configured(tmp_path).data) == tmp_path / "drawn" / "backup_2023"  # there is no other


@pytest.mark.parametrize("file, content", [("dataset_info.json", ""), ("features.json", "{"), ("features.json", None)])
def test_a_data_set_that_is_damaged_is_told_in_one_line(folder, tmp_path, file, content):
    shutil.copytree(folder / "drawn", tmp_path / "drawn")
    damaged = tmp_path / "drawn" / "1.0.0" / file
    damaged.unlink() if content is None else damaged.write_text(content)
    said = f"^{damaged.parent}: tensorflow-datasets cannot read what it keeps of the data set, .*Error: .*; prepare"
    with pytest.raises(ValueError, match=said) as raised:
        pipeline.prepare(configured(tmp_path))
    assert command_line.is_expected(raised.value)


def test_the_name_is_needed_and_is_of_no_other_data(folder):
    with pytest.raises(
        ValueError, match=r"config\.data\.name='tfds' needs the name of a data set: --config.data.dataset"
    ):
        config_lib.check(configured(folder, dataset=""))
    with pytest.raises(
        ValueError, match=r"config\.data\.dataset has no effect in this run: it is of config\.data\.name='tfds'"
    ):
        config_lib.check_used(configured(folder, name="shards"), ["data.dataset"])
    config_lib.check_used(configured(folder, name="shards"), ["data.keypoints", "data.crop", "views.strength"])


def test_pixels_of_more_than_8_bits_are_refused():
    deep = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(8, 8, 1), dtype=np.uint16)})
    with pytest.raises(ValueError, match="deep: its feature image has pixels of type uint16; only those of 8 bits"):
        record_features.of_dataset(deep, "deep", image="", keypoints="")
