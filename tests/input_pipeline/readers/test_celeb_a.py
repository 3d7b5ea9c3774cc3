"""Tests of the reader of CelebA as tensorflow-datasets prepares it, on a small data set of that form."""

import io
import os

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from dense_labels.config import DataConfig
from input_pipeline.readers import celeb_a
from input_pipeline.simulation import building

HEADER = [f"{place}_{axis}" for place in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"]
POINTS = [69, 109, 106, 113, 77, 142, 73, 152, 108, 154]


def read(folder):
    return celeb_a.read(DataConfig(dir=str(folder)))


def points_of(index):
    return [POINTS[0] + index, *POINTS[1:]]


def encoded(shade):
    file = io.BytesIO()
    Image.new("RGB", (178, 218), (shade, 0, 0)).save(file, "jpeg")
    return file.getvalue()


class CelebA(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A data set of the name and features of celeb_a, with 2 training, 1 validation and 1 test picture."""

    VERSION = tfds.core.Version("2.1.0")

    def _info(self):
        image = tfds.features.Image(shape=(218, 178, 3), encoding_format="jpeg")
        landmarks = {name: np.int64 for name in HEADER}
        features = tfds.features.FeaturesDict({"image": image, "landmarks": landmarks})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        pictures = {"train": [0, 1], "validation": [2], "test": [3]}
        return {split: self._generate_examples(indices) for split, indices in pictures.items()}

    def _generate_examples(self, indices):
        for i in indices:
            yield i, {"image": io.BytesIO(encoded(60 * i)), "landmarks": dict(zip(HEADER, points_of(i)))}


def prepare_tfds(folder):
    building.build_once(lambda: CelebA(data_dir=folder), num_shards=1)


def test_a_prepared_tfds_data_set_is_written_out_once_and_unchanged(tmp_path, monkeypatch):
    prepare_tfds(tmp_path)
    splits = read(tmp_path)
    assert {split: len(pictures) for split, pictures in splits.items()} == {"train": 2, "annotated": 1, "test": 1}
    test = splits["test"]
    with open(test.paths[0], "rb") as file:
        assert file.read() == encoded(180)
    np.testing.assert_array_equal(test.landmarks[0], np.reshape(points_of(3), [5, 2]) + 0.5)
    np.testing.assert_array_equal(test.boxes, [[0, 30, 178, 208]])
    monkeypatch.setattr(celeb_a, "_write_pictures", None)
    assert read(tmp_path)["train"].paths == splits["train"].paths


def test_pictures_of_an_earlier_preparation_are_written_anew(tmp_path):
    """Such as of some of the examples, to try it."""
    prepare_tfds(tmp_path)
    folder = tmp_path / "celeb_a/pictures_2.1.0/train"
    read(tmp_path)
    np.save(folder / "landmarks.npy", np.load(folder / "landmarks.npy")[:1])
    assert len(read(tmp_path)["train"]) == 2


def test_writing_out_leaves_nothing_when_it_fails(tmp_path, monkeypatch):
    prepare_tfds(tmp_path)

    def fail(builder, split, folder):
        (folder / "000000.jpg").touch()
        raise OSError("the disk is full")

    monkeypatch.setattr(celeb_a, "_write_pictures", fail)
    with pytest.raises(OSError, match="the disk is full"):
        read(tmp_path)
    assert [path.name for path in (tmp_path / "celeb_a/pictures_2.1.0").iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_written_names_the_flag_of_each_command(tmp_path, monkeypatch):
    prepare_tfds(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # nothing is refused to root
    either = r"give another --config\.data\.dir \(eval_main\.py: --pictures\), or the right to write$"
    with pytest.raises(PermissionError, match=f"nothing can be written there; {either}"):
        read(tmp_path)


def test_tfds_data_that_are_not_prepared_are_not_downloaded(tmp_path):
    with pytest.raises(ValueError, match="no prepared data set; prepare it with tfds.builder.*download_and_prepare"):
        read(tmp_path)
