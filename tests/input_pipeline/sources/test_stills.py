"""Tests of still pictures as a source: what is drawn in a picture is found in its views."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

from dense_labels.batches import Frame, stack
from dense_labels.config import Config
from dense_labels.method import geometry
from dense_labels.registry import COLOURS, WARPS
from input_pipeline import pipeline

STRIDE, SIZE, CROP, COUNT = 2, (80, 100), 10, 12
INNER = (SIZE[0] - 2 * CROP, SIZE[1] - 2 * CROP)


def scene(seed):
    """A smooth grey picture, 1.5 times as wide and twice as high as what it is resized to, and two dots in it."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(60, 200, (5, 5), np.uint8))
    picture = coarse.resize((150, 160), Image.Resampling.BICUBIC).convert("RGB")
    dots = np.array([[50, 60], [100, 90]]) + rng.integers(-10, 11, (2, 2))  # whole numbers: Pillow draws no others
    draw = ImageDraw.Draw(picture)
    for (x, y), colour in zip(dots, ("red", "blue")):
        draw.ellipse([x - 5, y - 5, x + 4, y + 4], fill=colour)  # the first and last pixels it covers
    return picture, dots


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures with a COCO file of their dots; the last has one that is not annotated."""
    folder = tmp_path_factory.mktemp("pictures")
    images, annotations = [], []
    for n in range(COUNT):
        picture, dots = scene(n)
        picture.save(folder / f"{n:02}.png")
        images.append({"id": n, "file_name": f"{n:02}.png", "width": 150, "height": 160})
        seen = 0 if n == COUNT - 1 else 2
        # whole numbers would be taken to count from 0 at pixels' centres
        points = [*(dots[0] + 0.001).tolist(), 2, *(dots[1] + 0.001).tolist(), seen]
        annotations.append({"image_id": n, "category_id": 1, "keypoints": points})
    parts = {"images": images, "annotations": annotations, "categories": [{"id": 1, "keypoints": ["red", "blue"]}]}
    (folder / "points.json").write_text(json.dumps(parts))
    return folder


@pytest.fixture
def config(folder):
    return make_config(folder)


@pytest.fixture(scope="module")
def source(folder):
    """The source of that configuration."""
    return pipeline.prepare(make_config(folder))


def make_config(folder):
    config = Config()
    config.data.name, config.data.dir, config.data.size, config.data.crop = "coco", str(folder), SIZE, CROP
    config.data.annotations = str(folder / "points.json")
    config.data.cache_dir = str(folder.parent / "cache")
    return config


def plain(config):
    """Views that are warped and keep their colours."""
    for name in ("brightness", "contrast", "saturation", "lighting", "jpeg", "rescale"):
        setattr(config.views, name, 0.0)
    return config


def centroid(image, colour):
    """Where a dot of a colour is: the middle of what is much redder or bluer than all else."""
    channels = image.astype(float)
    other = np.delete(channels, "rgb".index(colour), axis=-1).max(axis=-1)
    weight = np.clip(channels[..., "rgb".index(colour)] - other - 0.5, 0, None)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def test_landmarks_lie_on_their_dots_and_scale_takes_them_back(source):
    (batch,) = pipeline.landmark_batches(source, "annotated", batch_size=COUNT)
    assert source.input_size == INNER and source.margin == CROP and batch.image.shape == [COUNT, *INNER, 3]
    np.testing.assert_allclose(batch.scale, np.tile([150 / 100, 160 / 80], [COUNT, 1]))
    np.testing.assert_array_equal(batch.normaliser, np.full(COUNT, 150))
    assert source.normaliser == "picture width" and source.landmark_names == ("red", "blue")
    np.testing.assert_array_equal(batch.annotated, [[1, 1]] * (COUNT - 1) + [[1, 0]])
    for n in range(COUNT - 1):
        dots = (batch.landmarks[n].numpy() + CROP) * batch.scale[n].numpy()
        np.testing.assert_allclose(dots, scene(n)[1], atol=0.02)
        for k, colour in enumerate("rb"):
            found = centroid(batch.image[n].numpy(), colour)
            np.testing.assert_allclose(found, batch.landmarks[n, k], atol=0.3)


def test_the_extent_is_that_of_the_landmarks_that_are_annotated(source):
    (batch,) = pipeline.landmark_batches(source, "annotated", batch_size=COUNT)
    apart = (batch.landmarks[:-1, 0] - batch.landmarks[:-1, 1]) * batch.scale[:-1]  # in the last one stands alone
    expected = np.median(np.linalg.norm(apart, axis=-1)) / 160  # of the picture, however it is resized
    assert source.extent("annotated") == pytest.approx(expected, rel=1e-5)


def test_pictures_that_come_last_fill_what_others_leave(config, folder):
    late = {str(folder / f"{n:02}.png") for n in range(0, COUNT, 2)}

    def taken(most):
        source = pipeline.prepare(config, only=("train",), most=most, last=late)
        return [int(path[-6:-4]) for path, _ in source.origins("train")]

    assert taken(4) == [1, 3, 7, 9] and taken(8) == [0, 1, 3, 5, 6, 7, 9, 11] and taken(0) == list(range(COUNT))


def test_pictures_of_a_folder_are_those_that_it_holds_or_links_to(source, folder, tmp_path):
    """As a training saw them, wherever their files lie; a copy is another file."""
    trained = tmp_path / "trained"
    trained.mkdir()
    for n in range(3):
        (trained / f"{n}.png").symlink_to(folder / f"{n:02}.png")
    shutil.copy(folder / "03.png", trained)
    assert source.pictures_below(str(trained), "annotated") == 3
    (trained / "again").symlink_to(trained)
    (trained / "all").symlink_to(folder)
    assert source.pictures_below(str(trained), "annotated") == source.pictures_below(str(folder), "annotated") == COUNT
    assert source.pictures_below(str(tmp_path / "gone"), "annotated") == source.pictures_below(str(folder), "test") == 0


def test_pictures_that_are_links_into_a_folder_are_of_it(config, folder, tmp_path):
    known = json.loads((folder / "points.json").read_text())
    for n, image in enumerate(known["images"]):
        image["file_name"] = str(tmp_path / f"{n}.png")
        (tmp_path / f"{n}.png").symlink_to(folder / f"{n:02}.png")
    (tmp_path / "points.json").write_text(json.dumps(known))
    config.data.annotations = str(tmp_path / "points.json")
    linked = pipeline.prepare(config, only=("annotated",))
    assert linked.pictures_below(str(folder), "annotated") == linked.pictures_below(str(tmp_path), "annotated") == COUNT


def test_copies_of_annotated_pictures_are_said(config, folder, tmp_path, capsys):
    shutil.copy(folder / "03.png", tmp_path / "other.png")
    known = json.loads((folder / "points.json").read_text())
    test = {"images": [{**known["images"][3], "file_name": str(tmp_path / "other.png")}]}
    test["annotations"], test["categories"] = [known["annotations"][3]], known["categories"]
    (tmp_path / "test.json").write_text(json.dumps(test))
    config.data.annotations_test = str(tmp_path / "test.json")
    pipeline.prepare(config, only=("annotated", "test"))
    said = capsys.readouterr()
    assert f"1 test pictures are copies of annotated ones, {tmp_path}/other.png for one" in said.out + said.err
    assert "copies of others" not in said.out + said.err
    for part in ("images", "annotations"):
        known[part].append({**known[part][3], "id": 99, **({"image_id": 99} if part == "annotations" else {})})
    known["images"][-1]["file_name"] = str(tmp_path / "other.png")
    (folder / "twice.json").write_text(json.dumps(known))
    config.data.annotations, config.data.annotations_test = str(folder / "twice.json"), ""
    pipeline.prepare(config, only=("annotated",))
    (folder / "twice.json").unlink()
    said = capsys.readouterr()
    assert "warning: 2 annotated pictures are copies of others, " in said.out + said.err


def test_what_is_at_a_cell_of_a_is_found_in_b(config):
    (batch,) = pipeline.training_pairs(pipeline.prepare(plain(config)), stride=STRIDE, batch_size=COUNT, seed=0).take(1)
    cells = (INNER[0] // STRIDE, INNER[1] // STRIDE)
    centres = tf.broadcast_to(geometry.cell_centres(*cells, STRIDE), batch.points_in_b.shape)
    flat = [tf.reshape(points, [COUNT, -1, 2]) for points in (centres, batch.points_in_b)]
    here, there = (
        geometry.bilinear_sample(image, points, 1) for image, points in zip((batch.image_a, batch.image_b), flat)
    )
    still = geometry.bilinear_sample(batch.image_b, flat[0], 1)
    seen = tf.reshape(batch.visible, [COUNT, -1]).numpy() > 0
    assert 0.5 < seen.mean() < 1
    error, unmoved = (np.abs(there - here)[seen].mean(), np.abs(still - here)[seen].mean())
    assert error < 0.01 and error < unmoved / 4


def off_the_plane(points):
    """How far points [B, h, w, 2] at the cells are, at most, from an affine map of the cells' centres, in pixels."""
    centres = np.reshape(geometry.cell_centres(*points.shape[1:3], STRIDE), [-1, 2])
    plane = np.concatenate([centres, np.ones_like(centres[:, :1])], axis=1)
    cells = np.reshape(points, [len(points), -1, 2])
    return max(np.abs(each - plane @ np.linalg.lstsq(plane, each, rcond=None)[0]).max() for each in cells)


def test_the_views_of_the_second_paper_are_chosen_by_name(config):
    source = pipeline.prepare(plain(config))
    (bent,) = pipeline.training_pairs(source, stride=STRIDE, batch_size=COUNT, seed=0).take(1)
    config.views.warp = "affine"
    (pair,) = pipeline.training_pairs(pipeline.prepare(config), stride=STRIDE, batch_size=COUNT, seed=0).take(1)
    assert off_the_plane(pair.points_in_b) < 1e-3 < 1 < off_the_plane(bent.points_in_b)
    cells = tf.reshape(pair.points_in_b, [COUNT, -1, 2]).numpy()
    centres = np.reshape(geometry.cell_centres(*pair.visible.shape[1:], STRIDE), [-1, 2])
    there = geometry.bilinear_sample(pair.image_b, cells, 1).numpy()
    here = geometry.bilinear_sample(pair.image_a, np.tile(centres, [COUNT, 1, 1]), 1).numpy()
    assert np.abs(there - here)[np.reshape(pair.visible, [COUNT, -1]) > 0].mean() < 0.015


@pytest.mark.parametrize("colour", COLOURS)
def test_views_are_recoloured_each_in_its_own_way(config, colour):
    config.views.colour = colour
    coloured, bare = (
        next(iter(pipeline.training_pairs(pipeline.prepare(c), stride=STRIDE, batch_size=4, seed=0)))
        for c in (config, plain(Config(data=config.data)))
    )
    np.testing.assert_array_equal(coloured.points_in_b, bare.points_in_b)
    changes = [(coloured.image_a - bare.image_a).numpy(), (coloured.image_b - bare.image_b).numpy()]
    for values in changes:
        assert np.abs(values).mean(axis=(1, 2, 3)).mean() > 0.01  # of ssd's changes, each may not be made
    means = [values.mean(axis=(1, 2, 3)) for values in changes]
    assert (np.abs(means[0] - means[1]) > 1e-3).all()


def test_the_pairs_of_an_epoch_are_a_function_of_seed_and_place_alone(source):

    def batches(count, batch_size=4, **kwargs):
        return [b for b in pipeline.training_pairs(source, stride=STRIDE, batch_size=batch_size, **kwargs).take(count)]

    first, later = batches(6, seed=1), batches(2, seed=1, start_step=4)
    for a, b in zip(first[4:], later):
        np.testing.assert_array_equal(a.image_a, b.image_a)
        np.testing.assert_array_equal(a.points_in_b, b.points_in_b)
    together = np.concatenate([b.image_b for b in batches(12, batch_size=2, seed=1)])
    np.testing.assert_allclose(np.concatenate([b.image_b for b in first]), together, atol=1e-5)
    assert np.abs(first[0].points_in_b - first[3].points_in_b).max() > 0.1  # the next epoch warps anew
    assert np.abs(first[0].points_in_b - batches(1, seed=2)[0].points_in_b).max() > 0.1


@pytest.mark.parametrize("warp", WARPS)
def test_landmarks_of_views_lie_on_their_dots(config, warp):
    config.views.warp = warp
    source = pipeline.prepare(config)
    indices = tf.data.Dataset.range(COUNT).map(lambda i: (i, tf.stack([i, i])))
    (batch,) = source.annotated_pairs("annotated", indices, stride=STRIDE, batch_size=COUNT, strength=0.5)
    assert (off_the_plane(batch.pairs.points_in_b) < 1e-3) == (warp == "affine")  # warped as those of training
    assert batch.landmarks_visible_a[COUNT - 1, 1] == 0  # it is not annotated
    checked = 0
    for image, places, visible in (
        (batch.pairs.image_a, batch.landmarks_a, batch.landmarks_visible_a),
        (batch.pairs.image_b, batch.landmarks_b, batch.landmarks_visible_b),
    ):
        for n in range(COUNT):
            for k, colour in enumerate("rb"):
                x, y = place = places[n, k].numpy()
                inside = 6 < x < INNER[1] - 6 and 6 < y < INNER[0] - 6
                if inside and visible[n, k] > 0:
                    np.testing.assert_allclose(centroid(image[n].numpy(), colour), place, atol=0.5)
                    checked += 1
    assert checked > 2 * COUNT


def test_the_size_is_picked_from_the_pictures_and_said(config, capsys):
    config.data.size, config.data.crop = (0, 0), 10
    source = pipeline.prepare(config)
    assert source.size == (100, 94) and source.input_size == (80, 74)  # 150 x 160 pixels, at most 100
    assert source.frame(4) == Frame((80, 74), stride=4, margin=10) and source.frame(4).full_size == source.size
    assert config.data.size == (0, 0)  # the configuration stays as it is
    assert "12 pictures of 150 x 160 pixels; resized to 94 x 100" in capsys.readouterr().out


def test_a_crop_that_leaves_nothing_is_refused(config):
    config.data.size, config.data.crop = (0, 0), 45
    with pytest.raises(ValueError, match=r"less config\.data\.crop=45 on each side, views would be smaller than 16"):
        pipeline.prepare(config)


def test_annotated_and_test_pictures_must_belong_together(config, folder):
    config.data.annotations_test = config.data.annotations
    with pytest.raises(ValueError, match="12 pictures are both annotated and test pictures, .*00.png for one"):
        pipeline.prepare(config)
    parts = json.loads((folder / "points.json").read_text())
    parts["images"][0]["file_name"] = "../other.png"
    scene(99)[0].save(folder.parent / "other.png")
    parts["annotations"] = parts["annotations"][:1]
    parts["categories"][0]["keypoints"] = ["blue", "red"]
    (folder / "swapped.json").write_text(json.dumps(parts))
    config.data.annotations_test = str(folder / "swapped.json")
    with pytest.raises(ValueError, match=r"do not agree \(names of the landmarks: \('red', 'blue'\) and"):
        pipeline.prepare(config)


def test_files_that_are_not_called_pictures_are_told(config, tmp_path, capsys):
    scene(0)[0].save(tmp_path / "a.png")
    config.data.name, config.data.dir = "folder", str(tmp_path)
    pipeline.prepare(config)
    assert "passed over" not in capsys.readouterr().out
    for name in ("b.HEIC", "c.heic", "notes", "d.txt", "e.xmp", "f.mov", "g.raw", ".hidden"):
        (tmp_path / name).touch()
    pipeline.prepare(config)
    said = capsys.readouterr().out
    assert ".tif, .tiff are passed over: 2 .heic, " in said and ", ...\n" in said and said.count(" 1 ") == 5
    (tmp_path / "g.raw").unlink()
    pipeline.prepare(config)
    said = capsys.readouterr().out
    assert "1 without an ending" in said and "..." not in said


def test_two_pictures_are_enough_to_train_on(config, folder, tmp_path):
    for n in range(2):
        scene(n)[0].save(tmp_path / f"{n}.png")
    config.data.name, config.data.dir = "folder", str(tmp_path)
    source = pipeline.prepare(config)
    examples = pipeline.example_pairs(source, "validation", stride=STRIDE, count=6)
    (batch,) = pipeline.training_pairs(source, stride=STRIDE, batch_size=2, seed=0).take(1)
    assert examples.image_a.shape == batch.image_a.shape == [2, *INNER, 3]


def test_boxes_alone_are_trained_on_and_landmarks_then_shown_in_boxes_too(config, folder, tmp_path):
    parts = json.loads((folder / "points.json").read_text())
    boxes = [{"image_id": n, "category_id": 1, "bbox": [20, 30, 100, 90], "score": n / COUNT} for n in range(COUNT)]
    (tmp_path / "results.json").write_text(json.dumps(boxes))
    config.data.name, config.data.boxes, config.data.min_score = "boxes", str(tmp_path / "results.json"), 0.5
    config.data.images = config.data.annotations
    source = pipeline.prepare(config)
    assert source.boxed and source.count("train") == COUNT // 2 and not source.count("annotated")
    (batch,) = pipeline.training_pairs(source, stride=STRIDE, batch_size=COUNT // 2, seed=0).take(1)
    assert batch.image_a.shape == [COUNT // 2, *INNER, 3]

    for annotation in parts["annotations"]:
        annotation["bbox"] = [20, 30, 100, 90]
    (tmp_path / "points.json").write_text(json.dumps(parts))
    config.data.name, config.data.annotations = "coco", str(tmp_path / "points.json")
    source = pipeline.prepare(config)
    (batch,) = pipeline.landmark_batches(source, "annotated", batch_size=COUNT)
    assert source.boxed
    np.testing.assert_allclose(batch.scale, np.tile([150 / 100, 150 / 80], [COUNT, 1]))  # a square of 150
    np.testing.assert_allclose(centroid(batch.image[0].numpy(), "r"), batch.landmarks[0, 0], atol=0.4)


def test_warps_that_leave_little_in_view_are_spoken_of(config, capsys):
    pipeline.prepare(config)
    assert "warning" not in capsys.readouterr().out
    config.views.strength = 5.0
    pipeline.prepare(config)
    assert "of the cells of a view are not in the other; lower config.views.strength" in capsys.readouterr().out


def test_landmarks_without_a_file_are_refused(config):
    config.data.annotations = ""
    with pytest.raises(ValueError, match="config.data.name='coco' needs config.data.annotations"):
        pipeline.prepare(config)


def test_a_folder_has_pictures_and_no_landmarks(config):
    config.data.name = "folder"
    source = pipeline.prepare(config)
    assert [source.count(split) for split in ("train", "validation", "annotated", "test")] == [COUNT, COUNT, 0, 0]
    (batch,) = pipeline.image_batches(source, "train", batch_size=COUNT, count=4)
    expected = [centroid(np.asarray(scene(n)[0]) / 255.0, "r") for n in (0, 3, 6, 9)]  # from all over the split
    for image, dot in zip(batch.image.numpy(), expected):
        np.testing.assert_allclose(centroid(image, "r"), dot / [1.5, 2.0] - CROP, atol=0.3)
    assert batch.mask.numpy().all()


def test_a_few_pictures_are_shown_as_they_are_and_in_mild_views(source):
    options = {"count": COUNT, "batch_size": 4}
    shown = stack(pipeline.chosen_batches(source, [3, 7], **options))
    (plain,) = pipeline.landmark_batches(source, "annotated", batch_size=COUNT)
    for name in ("image", "landmarks", "scale", "normaliser", "picture"):
        np.testing.assert_array_equal(getattr(shown, name), tf.gather(getattr(plain, name), [3, 7]))
    views = stack(pipeline.warped_batches(source, [3, 7], seed=5, copies=6, **options))
    np.testing.assert_array_equal(views.picture, np.tile([3, 7], 12))
    moved = np.linalg.norm(views.landmarks - np.tile(shown.landmarks, [12, 1, 1]), axis=-1)
    assert 0.5 < np.median(moved[views.annotated > 0]) < 8
    assert len(np.unique(views.landmarks, axis=0)) == len(views.landmarks)  # every view is another
    other = stack(pipeline.warped_batches(source, [3, 7], seed=6, copies=6, **options))
    assert np.abs(other.landmarks - views.landmarks)[-4:].max() > 0.1


def test_annotated_pairs_are_always_the_same(source):
    first, again = (
        next(iter(pipeline.annotated_pairs(source, "annotated", stride=STRIDE, batch_size=COUNT))) for _ in range(2)
    )
    for values, same in zip(tf.nest.flatten(first), tf.nest.flatten(again)):
        np.testing.assert_array_equal(values, same)


def test_a_split_that_is_not_there_or_has_no_landmarks_is_refused(config):
    config.data.name = "folder"
    source = pipeline.prepare(config)
    with pytest.raises(ValueError, match="there is no split 'test' of these pictures; choose train"):
        pipeline.example_pairs(source, "test", stride=STRIDE, count=1)
    with pytest.raises(ValueError, match="the pictures of the split 'train' have no landmarks"):
        pipeline.landmark_batches(source, "train", batch_size=1)
