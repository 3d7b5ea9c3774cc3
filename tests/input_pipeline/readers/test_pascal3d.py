"""Tests of the PASCAL3D+ reader on files written in its format."""

import re

import numpy as np
import pytest
import scipy.io

from dense_labels.config import Config, DataConfig
from input_pipeline import pipeline
from input_pipeline.readers import pascal3d

NONE = np.zeros([0, 0])  # MATLAB's []


def read(folder):
    return pascal3d.read(DataConfig(dir=str(folder)))


def anchors(**points):
    """NAME=(x, y, status), or NAME=status for one without a place."""
    return {
        name: {"location": np.float64([value[:2]]) if isinstance(value, tuple) else NONE, "status": np.ravel(value)[-1]}
        for name, value in points.items()
    }


def an_object(kind, bbox, anchors):
    return {"class": kind, "bbox": np.float64([bbox]), "anchors": anchors, "viewpoint": NONE, "truncated": 0.0}


def write(root, kind, name, *objects):
    """A record whose objects are a struct array, 1 x n, as the release has it."""
    table = np.empty([1, len(objects)], [(key, object) for key in objects[0]])
    for column, each in enumerate(objects):
        for key, value in each.items():
            table[0, column][key] = value
    (root / "Annotations" / f"{kind}_pascal").mkdir(parents=True, exist_ok=True)
    (root / "Images" / f"{kind}_pascal").mkdir(parents=True, exist_ok=True)
    record = {"filename": f"{name}.jpg", "imgsize": np.float64([[60, 40, 3]]), "objects": table}
    scipy.io.savemat(root / "Annotations" / f"{kind}_pascal" / f"{name}.mat", {"record": record})
    picture(root, kind, name)


def picture(root, kind, name):
    from PIL import Image

    Image.new("RGB", (60, 40), (200, 100, 50)).save(root / "Images" / f"{kind}_pascal" / f"{name}.jpg")


@pytest.fixture
def root(tmp_path):
    """Two cars and a bus in train, a car and a bus in val; a boat that nobody annotated, and what is not listed."""
    lists = tmp_path / "PASCAL/VOCdevkit/VOC2012/ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2008_000001\n2008_000002\n2008_000009\n")
    (lists / "val.txt").write_text("2008_000003\n2008_000004\n")
    first = an_object("car", [1, 1, 40, 30], anchors(wheel=(11, 21, 1), roof=(5, 6, 2), door=4))
    second = an_object("car", [5.5, 3, 14.5, 38], anchors(wheel=(8.25, 9.5, 1), roof=(12, 13, 1), door=5))
    bus = an_object("bus", [2, 3, 21, 12], anchors(roof=(10, 5, 1)))
    hidden = an_object("car", [1, 1, 9, 9], anchors(wheel=2, roof=3, door=(4, 4, 3)))
    write(tmp_path, "car", "2008_000001", first, an_object("boat", [1, 1, 9, 9], NONE), second, hidden)
    write(tmp_path, "bus", "2008_000002", bus, an_object("bus", [1, 1, 9, 9], NONE))
    write(tmp_path, "bus", "2008_000003", bus)
    write(tmp_path, "car", "2008_000004", an_object("car", [1, 1, 10, 20], anchors(wheel=2, roof=2, door=(3, 4, 1))))
    write(tmp_path, "car", "2010_000005", first)
    return tmp_path


def test_visible_points_and_boxes_come_to_continuous_pixels_class_by_class(root):
    splits = read(root)
    train = splits["annotated"]
    assert splits["train"] is train and train.landmark_names == ("bus/roof", "car/door", "car/roof", "car/wheel")
    names = [path.removeprefix(str(root / "Images")) for path in train.paths]
    assert names == ["/bus_pascal/2008_000002.jpg"] + ["/car_pascal/2008_000001.jpg"] * 2  # bus before car
    np.testing.assert_array_equal(train.classes, [0, 1, 1])
    np.testing.assert_array_equal(train.annotated, [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1]])
    np.testing.assert_array_equal(train.landmarks[0, 0], [9.5, 4.5])
    np.testing.assert_array_equal(train.landmarks[1, 3], [10.5, 20.5])
    np.testing.assert_array_equal(train.landmarks[2, 2:], [[11.5, 12.5], [7.75, 9.0]])
    # Pixels 1 to 40 of MATLAB's are from 0 to 40; the box's longer side is what errors are divided by.
    np.testing.assert_array_equal(train.boxes, [[1, 2, 21, 12], [0, 0, 40, 30], [4.5, 2, 14.5, 38]])
    np.testing.assert_array_equal(train.normalisers, [20, 40, 36])
    assert train.normaliser == "longer side of the box"
    test = splits["test"]
    assert test.landmark_names == train.landmark_names and test.classes.tolist() == [0, 1]
    np.testing.assert_array_equal(test.annotated, [[1, 0, 0, 0], [0, 1, 0, 0]])


def test_it_is_a_data_set_of_boxes_with_classes(root, tmp_path):
    config = Config()
    config.data.name, config.data.dir, config.data.cache_dir = "pascal3d", str(root), str(tmp_path / "cache")
    config.data.size = (32, 64)
    source = pipeline.prepare(config)
    assert (
        source.boxed and source.classes("annotated").tolist() == [0, 1, 1] and source.classes("test").tolist() == [0, 1]
    )
    (batch,) = pipeline.landmark_batches(source, "annotated", batch_size=3)
    # In the bus's box, which is 20 x 10 from (1, 2), the roof is 8.5 from the left and 2.5 from the top.
    np.testing.assert_allclose(batch.landmarks[0, 0], [8.5 * 64 / 20, 2.5 * 32 / 10], rtol=1e-5)
    np.testing.assert_allclose(batch.scale[0] * [64, 32], [20, 10], rtol=1e-5)
    assert batch.normaliser.numpy().tolist() == [20, 40, 36]


def test_what_is_missing_or_damaged_is_named(root):
    file = root / "Annotations/car_pascal/2008_000001.mat"

    def refused(message, **record):
        if record:
            scipy.io.savemat(file, {"record": record})
        with pytest.raises(ValueError, match=message):
            read(root)

    good = {"filename": "2008_000001.jpg"}
    refused(r"record must be a struct with filename and objects", filename="2008_000001.jpg")
    refused(r"there is no picture .*Images/car_pascal/none\.jpg", filename="none.jpg", objects={"class": "car"})
    refused(r"objects\(1\): a struct with class, bbox and anchors is expected", **good, objects=5.0)
    points = anchors(wheel=(1, 1, 1))
    refused(r"objects\(1\): bbox must be left, top", **good, objects=an_object("car", [9, 9, 1, 20], points))
    lost = an_object("car", [1, 1, 9, 9], anchors(wheel=1))
    refused(r"objects\(1\): anchors\.wheel\.location must be x and y where status is 1", **good, objects=lost)
    bare = an_object("car", [1, 1, 9, 9], {"wheel": 5.0})
    refused(r"anchors\.wheel must be a struct with location and status", **good, objects=bare)
    file.write_bytes(b"nothing")
    refused(r"2008_000001\.mat: not a MATLAB file that can be read")
    (root / "PASCAL/VOCdevkit/VOC2012/ImageSets/Main/val.txt").write_text("2009_000001\n")
    file.unlink()
    refused(r"val\.txt: none of its pictures has an object with a visible landmark")
    (root / "PASCAL/VOCdevkit/VOC2012/ImageSets/Main/train.txt").unlink()
    refused(r"train\.txt: No such file or directory; give a file of landmarks")
    with pytest.raises(ValueError, match=re.escape("holds no folder Annotations/CLASS_pascal; give that of the")):
        read(root / "Images")
