"""Tests of shards as a source: they show what a folder of the same pictures shows, in an order of the same kind."""

import io
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dense_labels.batches import stack
from dense_labels.config import Config
from input_pipeline import pipeline
from input_pipeline.sources import record_features
from input_pipeline.sources.shards import Split, read
from input_pipeline.storage import records
from tests import shards

COUNT, SIZE, CROP, BATCH = 11, (36, 30), 3, 4
POINTS = np.array([[[5 + n, 7.5], [20.0, 30 - n]] for n in range(COUNT)])
POINTS[4, 1] = -1, -1  # not annotated


def configured(where, name="shards", **data):
    config = Config()
    values = {"name": name, "dir": str(where), "size": SIZE, "crop": CROP, "cache_dir": f"{where}.cache", **data}
    for key, value in values.items():
        setattr(config.data, key, value)
    config.views.flip = True
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same pictures, one of them a JPEG and one of another size, as files and in three shards with key points."""
    folder = tmp_path_factory.mktemp("of_shards")
    (folder / "files").mkdir()
    (folder / "shards").mkdir()
    kinds = [("JPEG" if n == 2 else "PNG", (72, 60) if n == 5 else SIZE) for n in range(COUNT)]
    encoded = [shards.picture(n, size, kind)[0] for n, (kind, size) in enumerate(kinds)]
    for n, file in enumerate(encoded):
        (folder / "files" / f"{n:02}.{'jpg' if n == 2 else 'png'}").write_bytes(file)
    made = [shards.example(image=file, points=points.ravel()) for file, points in zip(encoded, POINTS)]
    for number, part in enumerate((made[:5], made[5:6], made[6:])):
        shards.write(folder / "shards" / f"a-{number:05d}-of-00003.tfrecord", part)
    return folder


@pytest.fixture(scope="module")
def source(folder):
    return pipeline.prepare(configured(folder / "shards", keypoints="points"))


@pytest.fixture(scope="module")
def trained_on(source):
    """The first batches of a training, over two epochs."""
    return batches(source, 7)


def batches(source, count, **kwargs):
    made = pipeline.training_pairs(source, stride=4, batch_size=BATCH, seed=5, **kwargs).take(count)
    return [[part.numpy() for part in batch] for batch in made]


@pytest.fixture(scope="module")
def stills(folder):
    """The source of the same pictures as a folder."""
    return pipeline.prepare(configured(folder / "files", name="folder"))


def test_pairs_are_those_of_the_folder_of_the_same_pictures(source, stills, trained_on):
    """To the last bit: order, views and colours. Of the one that is shrunk, pixels are rounded otherwise."""
    assert source.count("train") == stills.count("train") == COUNT
    image_a, image_b, points, visible = (np.concatenate(parts) for parts in zip(*trained_on))
    of_files = [np.concatenate(parts) for parts in zip(*batches(stills, 7))]
    np.testing.assert_array_equal(points, of_files[2])
    np.testing.assert_array_equal(visible, of_files[3])
    differ = [
        np.abs(mine - theirs).max(axis=(1, 2, 3)) for mine, theirs in ((image_a, of_files[0]), (image_b, of_files[1]))
    ]
    assert np.max(differ) < 0.1 and np.count_nonzero(np.max(differ, axis=0)) <= 3  # of 28 pairs of 11 pictures
    assert np.abs(image_a[0] - image_a[12]).max() > 0.1


def test_pictures_are_shrunk_as_those_of_a_folder_are(source, stills):
    found, expected = (next(iter(pipeline.image_batches(each, "train", batch_size=COUNT))) for each in (source, stills))
    difference = 255 * np.abs(found.image - expected.image).max(axis=(1, 2, 3))
    assert np.delete(difference, 5).max() < 1e-3 and difference[5] < 1.01  # JPEG and PNG as exact as Pillow reads them
    np.testing.assert_array_equal(found.mask, np.ones([COUNT, 30, 24]))


def test_a_worker_that_goes_on_meets_its_part_of_the_batches_it_would_have_met(source, trained_on):
    """As `tests/input_pipeline/test_pipeline.py` has it for all sources; here with what is read and drawn."""
    mine = batches(source, 3, start_step=4, input_context=tf.distribute.InputContext(2, 1, 2))
    for found, expected in zip(mine, trained_on[4:], strict=True):
        for part, whole in zip(found, expected):
            np.testing.assert_allclose(part, whole[1::2], atol=1e-5)  # sums of a smaller batch are rounded otherwise


def test_no_python_function_lies_on_the_road(source):
    """What makes the pairs is a graph, which another process could run: no operation in it calls back to Python."""
    made = pipeline.training_pairs(source, stride=4, batch_size=BATCH, seed=5)
    graph = tf.compat.v1.GraphDef.FromString(made._as_serialized_graph().numpy())
    used = {node.op for function in graph.library.function for node in function.node_def} | {n.op for n in graph.node}
    assert "TFRecordDatasetV2" in used and not {name for name in used if "PyFunc" in name}


def test_key_points_are_in_pixels_of_the_image(source):
    found = stack(pipeline.landmark_batches(source, "annotated", batch_size=4))
    np.testing.assert_array_equal(found.picture, np.arange(COUNT))
    scale = np.ones([COUNT, 1, 2]) * np.where(np.arange(COUNT) == 5, 2, 1)[:, np.newaxis, np.newaxis]
    known = found.annotated > 0
    np.testing.assert_allclose(found.landmarks[known], (POINTS / scale - CROP)[known], atol=1e-5)
    assert known.sum() == 2 * COUNT - 1 and not known[4, 1]
    np.testing.assert_allclose(found.scale, scale[:, 0])
    np.testing.assert_allclose(found.normaliser, 30 * scale[:, 0, 0])
    assert source.normaliser == "picture width" and source.input_size == (30, 24)
    few = stack(pipeline.landmark_batches(source, "annotated", batch_size=4, count=3))
    assert few.picture.tolist() == [0, 3, 7]


def test_key_points_far_outside_are_taken_for_not_annotated_and_that_is_said(tmp_path, capsys):
    """As those of files are: a slip would count in every mean."""
    made = [(shards.picture(n)[0], [4.0, 5.0, 6.0, 7.0]) for n in range(4)]
    made[1][1][:2], made[2][1][2:] = (9999.0, 3.0), (20.0, 50.0)  # a slip; and one that the border may have cut off
    shards.write(tmp_path / "a.tfrecord", [shards.example(image=file, points=points) for file, points in made])
    source = pipeline.prepare(configured(tmp_path, keypoints="points"))
    said = "warning: 1 of 8 key points of the 4 pictures that were looked at lie far outside; such key points are taken"
    assert said in capsys.readouterr().out
    found = stack(pipeline.landmark_batches(source, "annotated", batch_size=4))
    np.testing.assert_array_equal(found.annotated, [[1, 1], [0, 1], [1, 1], [1, 1]])


def test_key_points_of_pictures_that_are_turned_are_spoken_of(tmp_path, capsys):
    exif, turned = Image.Exif(), io.BytesIO()
    exif[0x0112] = 3  # upside down
    Image.open(io.BytesIO(shards.picture(0)[0])).save(turned, "PNG", exif=exif)
    for name, file, told in (("turned", turned.getvalue(), True), ("upright", shards.picture(0)[0], False)):
        (tmp_path / name).mkdir()
        files = [shards.picture(1)[0], file]
        shards.write(tmp_path / name / "a.tfrecord", [shards.example(image=each, points=[4.0, 5.0]) for each in files])
        pipeline.prepare(configured(tmp_path / name))
        assert "warning" not in capsys.readouterr().out  # pictures alone are seen upright
        pipeline.prepare(configured(tmp_path / name, keypoints="points"))
        said = "record 1 of .* is turned by its EXIF orientation .1 of 2 pictures that were looked at., and key points"
        assert bool(re.search(said, capsys.readouterr().out)) == told


def test_marks_of_coco_are_seen_where_nobody_annotated_the_first_object(tmp_path):
    nobody, somebody = [-1.0, -1, 0, -1, -1, 0], [20.0, 25, 2, 10, 20, 2]
    file = shards.picture(0)[0]
    made = [shards.example(image=file, points=points) for points in (nobody, nobody, somebody)]
    shards.write(tmp_path / "a.tfrecord", made)
    with pytest.raises(ValueError, match=r"keypoints=points: must be pairs x, y; in .* they look like x, y, v of COCO"):
        pipeline.prepare(configured(tmp_path, keypoints="points"))


def test_warps_that_leave_little_in_view_are_spoken_of(folder, capsys):
    config = configured(folder / "shards")
    pipeline.prepare(config)
    assert "warning" not in capsys.readouterr().out
    config.views.strength = 5.0
    pipeline.prepare(config)
    assert "of the cells of a view are not in the other; lower config.views.strength" in capsys.readouterr().out


def test_the_files_of_a_run_are_its_shards(folder, source):
    files = source.files("train")
    assert sorted(files) == sorted(str(path) for path in (folder / "shards").iterdir())
    assert len(set(files.values())) == 3


def test_pictures_alone_are_records_too_seen_upright_and_in_rgb(tmp_path, capsys):
    exif, turned, ramp = Image.Exif(), io.BytesIO(), np.arange(0, 240, 6, np.uint8)
    exif[0x0112] = 6  # lies on its side
    Image.fromarray(np.repeat(ramp[np.newaxis], 30, 0)).save(turned, "PNG", exif=exif)
    shards.write(tmp_path / "a.tfrecord", [turned.getvalue(), *(shards.picture(n, (40, 30))[0] for n in range(2))])
    source = pipeline.prepare(configured(tmp_path, size=(0, 0), crop=0))
    assert source.size == (40, 30) and "3 pictures of 30 x 40 pixels" in capsys.readouterr().out
    images, landmarks = pipeline.example_images(source, "train", count=1)
    np.testing.assert_allclose(255 * images.image[0, :, 7, 1], ramp, atol=0.01)
    assert landmarks is None and source.count("annotated") == source.count("test") == 0
    assert source.count("validation") == 3
    with pytest.raises(ValueError, match="the split 'annotated' have no landmarks"):
        source.landmarks("annotated", None, batch_size=1)
    with pytest.raises(ValueError, match=r"are pictures alone; leave out config\.data\.image and data\.keypoints"):
        pipeline.prepare(configured(tmp_path, keypoints="points"))


def test_a_record_that_cannot_be_read_is_named(tmp_path):
    good, _ = shards.picture(0)
    spoilt = (b"\x89PNG\r\n\x1a\n and then nothing", b"GIF89a", good[:200])
    path = tmp_path / "a.tfrecord"
    shards.write(path, [good, *spoilt, good])
    split = Split(records.index([str(path)]), record_features.of_record([good], "", image="", keypoints=""))
    together = tf.function(lambda places: read(split, places, (8, 8)), autograph=False)

    def refused(places, named):
        record = f"record {named} of {path}"
        said = f"assertion failed: .{record} is gone or damaged, or holds no JPEG, PNG or BMP picture, or"
        with pytest.raises(tf.errors.InvalidArgumentError, match=said):
            together(tf.constant(places, tf.int64))

    for places, named in (([0, 1, 4], 1), ([2], 2), ([4, 0, 3], 3), ([4, 3, 2, 1], 3)):
        refused(places, named)
    found = together(tf.constant([4, 0, 4], tf.int64))
    assert found.place.numpy().tolist() == [4, 0, 4] and found.size.numpy().tolist() == 3 * [list(SIZE)]
    with open(path, "r+b") as file:
        file.seek(split.records.places[4] + 100)
        file.write(b"xx")
    refused([0, 4], 4)
    with pytest.raises(ValueError, match=f"^record [1-4] of {path} is gone or damaged, or holds no JPEG"):
        pipeline.prepare(configured(tmp_path))


def test_a_record_with_other_key_points_than_the_first_is_named(tmp_path):
    file, _ = shards.picture(0)
    path = tmp_path / "a.tfrecord"
    shards.write(path, [shards.example(image=file, points=[3.0] * count) for count in (4, 4, 6)])
    said = f"^record 2 of {path} is gone .*, or not what the first record holds$"
    with pytest.raises(ValueError, match=said):
        pipeline.prepare(configured(tmp_path, keypoints="points"))
    path.rename(tmp_path / "b.tfrecord")
    split = pipeline.prepare(configured(tmp_path))
    (tmp_path / "b.tfrecord").unlink()
    with pytest.raises(tf.errors.InvalidArgumentError, match="record 0 of .*b.tfrecord is gone or damaged"):
        pipeline.example_images(split, "train", count=2)


@pytest.mark.parametrize(
    "record, data, said",
    [
        (b"text", {}, "are neither pictures .JPEG, PNG, BMP. nor tf.train.Examples"),
        ({"picture": b"x"}, {}, r"config\.data\.image=image/encoded: .* no such feature; they have picture"),
        ({"image": [1.0]}, {}, r"config\.data\.image=image: must be a bytes_list; in .* it is a float_list"),
        ({"image": b"x"}, {"keypoints": "p"}, r"config\.data\.keypoints=p: .* no such feature; they have image"),
        ({"image": b"x", "p": b"x"}, {"keypoints": "p"}, r"keypoints=p: must be a float_list or int64_list; in"),
        ({"image": b"x", "p": [1.0] * 3}, {"keypoints": "p"}, r"keypoints=p: must be pairs x, y; .* has 3 numbers"),
        (
            {"image": None, "p": [0.5, 0.9, 0.1, 0.2]},
            {"keypoints": "p"},
            r"keypoints=p: record 0 of .*: all landmarks lie within the first pix",
        ),
        (
            {"image": None, "p": [300.0, 200.0, 350.0, 10.0]},
            {"keypoints": "p"},
            r"keypoints=p: .* outside the 30 x 36 pix",
        ),
        ({"image": None, "p": [34.0, 5, 35, 7]}, {"keypoints": "p"}, "keypoints=p: .* x and y may be exchanged"),
        (
            {"image": None, "p": [20.0, 25, 2, 10, 20, 1]},
            {"keypoints": "p"},
            r"keypoints=p: must be pairs x, y; in .* they look like x, y, v of COCO",
        ),
        (
            {"image": None, "p": [20, 25, 2, 10, 20, 1]},
            {"keypoints": "p"},
            r"keypoints=p: .* look like x, y, v of COCO",
        ),
    ],
)
def test_records_that_do_not_hold_what_is_asked_for_are_refused(tmp_path, record, data, said):
    if isinstance(record, dict):
        record = shards.example(**{name: value or shards.picture(0)[0] for name, value in record.items()})
    shards.write(tmp_path / "a.tfrecord", [record])
    with pytest.raises(ValueError, match=said):
        pipeline.prepare(configured(tmp_path, **data))
