"""Tests of what the readers of landmark files share."""

import numpy as np
import pytest

from dense_labels.config import Config, DataConfig
from input_pipeline.readers import coco, landmark_files, points_csv
from input_pipeline.readers.pictures import Pictures


@pytest.mark.parametrize("read", [coco.read_file, points_csv.read_table])
def test_files_of_landmarks_must_be_there(tmp_path, read):
    with pytest.raises(ValueError, match="gone: No such file or directory; give a file of landmarks"):
        read(str(tmp_path), str(tmp_path / "gone"))


def boxed(name):
    """A picture in a box."""
    return Pictures((name,), np.float32([[0, 0, 2, 2]]))


def test_training_sees_the_pictures_that_heads_are_fitted_on():
    splits = landmark_files.read_splits(DataConfig(annotations="a", annotations_test="b"), boxed)
    assert {split: pictures.paths for split, pictures in splits.items()} == {
        "train": ("a",),
        "annotated": ("a",),
        "test": ("b",),
    }
    assert splits["test"].boxes is not None
    assert set(landmark_files.read_splits(DataConfig(annotations="a"), boxed)) == {"train", "annotated"}


def test_whole_pictures_have_no_boxes():
    data = DataConfig(annotations="a", annotations_test="b", whole_pictures=True)
    assert all(pictures.boxes is None for pictures in landmark_files.read_splits(data, boxed).values())


def test_a_configuration_without_landmarks_is_refused():
    config = Config()
    config.data.name = "csv"
    with pytest.raises(ValueError, match="config.data.name='csv' needs config.data.annotations, the landmarks"):
        landmark_files.check(config)
