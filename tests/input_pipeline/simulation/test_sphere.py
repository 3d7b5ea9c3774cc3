"""Tests of the textured sphere: exact geometry against slow arithmetic, what moves, what stays, what is stored."""

import dataclasses
import itertools
import json
import math
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from dense_labels import run
from dense_labels.config import Config, DataConfig, ModelConfig
from dense_labels.evaluation import surface
from input_pipeline import pipeline
from input_pipeline.simulation import simulated, sphere, sphere_camera, sphere_motion, sphere_rendering
from tests import commands

PAIRS, SEED, SIZE = simulated.MIN_NUM_PAIRS, 7, sphere_camera.FRAME_SIZE


@pytest.fixture(scope="module")
def rotations():
    return list(itertools.islice(sphere_motion.simulate(SEED), 400))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return DataConfig(name="sphere", dir=str(tmp_path_factory.mktemp("sphere")), num_pairs=PAIRS, seed=SEED)


@pytest.fixture(scope="module")
def builder(data):
    return sphere.prepare(data.dir, data.num_pairs, data.seed)


@pytest.fixture(scope="module")
def source(builder, data):
    return pipeline.prepare(Config(data=data))


def slow_hit(x, y):
    """The point, in camera coordinates, where the ray through a point of the frame first meets the sphere; or None."""
    direction = np.array([(x - SIZE / 2) / sphere_camera.FOCAL, (y - SIZE / 2) / sphere_camera.FOCAL, 1.0])
    centre = np.array([0.0, 0.0, sphere_camera.DISTANCE])
    roots = np.roots([direction @ direction, -2 * direction @ centre, centre @ centre - 1])
    return None if np.iscomplex(roots).any() else min(roots.real) * direction


# --- the camera ---


@pytest.mark.parametrize("stride", [1, 2])
def test_motion_agrees_with_a_plain_loop(rotations, stride):
    random, answers = np.random.default_rng(0), []
    centre = np.array([0.0, 0.0, sphere_camera.DISTANCE])
    for before, after in zip(rotations[:10], rotations[1:]):
        points_in_b, visible = (values.numpy() for values in sphere_camera.motion(before, after, stride))
        places, on_sphere = (values.numpy() for values in sphere_camera.surface(before, stride))
        for i, j in random.integers(SIZE // stride, size=[40, 2]):
            hit = slow_hit((j + 0.5) * stride, (i + 0.5) * stride)
            assert on_sphere[i, j] == (hit is not None)
            if hit is None:
                assert not visible[i, j] and not places[i, j].any()
                continue
            place = before.T @ (hit - centre)
            np.testing.assert_allclose(places[i, j], place, atol=1e-6)
            x, y, z = after @ place + centre
            x, y = (SIZE / 2 + sphere_camera.FOCAL * value / z for value in (x, y))
            np.testing.assert_allclose(points_in_b[i, j], [x, y], atol=1e-4)
            seen = math.isclose(slow_hit(x, y)[2], z, abs_tol=1e-6)  # else the near side hides it
            assert visible[i, j] == seen
            answers.append(seen)
    assert 0.5 < np.mean(answers) < 0.98  # some are hidden


def test_places_are_unit_vectors_and_the_same_in_both_frames_along_the_flow(rotations):
    for before, after in zip(rotations[:20:4], rotations[1::4]):
        places, on_sphere = sphere_camera.surface(before, 2)
        points_in_b, visible = sphere_camera.motion(before, after, 2)
        np.testing.assert_allclose(np.linalg.norm(places[on_sphere], axis=-1), 1, atol=1e-12)
        normals, hit = sphere_camera.normals_at(points_in_b[visible])
        assert np.all(hit)
        np.testing.assert_allclose(normals.numpy() @ after, places[visible], atol=1e-6)


def test_the_outline_is_a_circle_whose_radius_the_camera_gives():
    _, on_sphere = sphere_camera.surface(np.eye(3), 1)
    radius = sphere_camera.FOCAL / math.sqrt(sphere_camera.DISTANCE**2 - 1)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5 - SIZE / 2
    np.testing.assert_array_equal(on_sphere, np.hypot(x, y) <= radius)
    assert radius < SIZE / 2  # it never leaves the frame


def test_a_point_that_turns_to_the_far_side_is_hidden():
    half_turn = sphere_motion.turns(np.array([[0.0, np.pi, 0.0]]))[0]
    _, visible = sphere_camera.motion(np.eye(3), half_turn, 1)
    assert not np.any(visible)
    _, visible = sphere_camera.motion(np.eye(3), np.eye(3), 1)
    np.testing.assert_array_equal(visible, sphere_camera.surface(np.eye(3), 1)[1])


# --- the picture ---


def test_a_dot_on_the_texture_moves_where_its_point_moves(rotations, monkeypatch):
    rows, columns = np.mgrid[: sphere_rendering._ROWS, : 2 * sphere_rendering._ROWS] + 0.5
    latitude, longitude = np.pi * (0.5 - rows / sphere_rendering._ROWS), np.pi * (columns / sphere_rendering._ROWS - 1)
    places = np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], -1
    )
    dot = np.array([0.36, -0.48, 0.8])
    drawn = np.float32(255 * (places @ dot > np.cos(0.06)))[..., np.newaxis] * np.ones(3, np.float32)
    monkeypatch.setattr(sphere_rendering, "_stored_texture", lambda: drawn)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    found = 0
    for rotation in rotations[::5]:
        image = sphere_rendering.draw(rotation)[..., 0].astype(float)
        normal = rotation @ dot
        if not sphere_camera.faces_camera(normal):
            assert image.sum() < 0.1 * 255  # but for its rim
        elif -normal[2] > 0.5:
            expected = sphere_camera.project(normal)
            np.testing.assert_allclose(
                np.array([(x * image).sum(), (y * image).sum()]) / image.sum(), expected, atol=0.3
            )
            found += 1
    assert found > 10


def test_the_light_stays_put_while_the_sphere_turns(rotations, monkeypatch):
    plain = np.full([sphere_rendering._ROWS, 2 * sphere_rendering._ROWS, 3], 200, np.float32)
    monkeypatch.setattr(sphere_rendering, "_stored_texture", lambda: plain)
    first = sphere_rendering.draw(rotations[0])
    for rotation in rotations[1:10]:
        np.testing.assert_array_equal(sphere_rendering.draw(rotation), first)
    brightest = np.unravel_index(first[..., 0].argmax(), [SIZE, SIZE])
    expected = sphere_camera.project(sphere_rendering.LIGHT)
    np.testing.assert_allclose(np.array(brightest)[::-1] + 0.5, expected, atol=4)
    np.testing.assert_allclose(np.linalg.norm(sphere_rendering.LIGHT), 1, atol=1e-12)
    assert first.max() <= 200 and first[SIZE // 2, 80, 0] == pytest.approx(200 * sphere_rendering.AMBIENT, abs=1)


def test_a_pixel_shows_the_colour_of_its_place(rotations):
    """Only the drawing samples the stored texture; here it is evaluated, and shaded, at the pixel's own ray."""
    for rotation in rotations[:40:10]:
        places, _ = sphere_camera.surface(rotation, 1)
        normals, _ = sphere_camera.normals_at(np.stack(np.meshgrid(*[np.arange(SIZE) + 0.5] * 2), axis=-1))
        inner = -normals.numpy()[..., 2] > 0.6
        shade = sphere_rendering.shading(normals.numpy())[..., np.newaxis]
        expected = (sphere_rendering.texture(places.numpy()) * shade)[inner]
        off = np.abs(sphere_rendering.draw(rotation)[inner] - expected)
        assert off.mean() < 2 and off.max() < 30


def test_one_side_is_blue_and_the_other_orange():
    points = spread_points(2000)
    colours = sphere_rendering.texture(points)
    bluer = colours[:, 2] > colours[:, 0]
    assert bluer[points[:, 0] > 0.4].mean() > 0.95
    assert bluer[points[:, 0] < -0.4].mean() < 0.05


def spread_points(count):
    """Points evenly over the sphere (a Fibonacci spiral)."""
    z = 1 - 2 * (np.arange(count) + 0.5) / count
    angle = np.arange(count) * math.pi * (3 - math.sqrt(5))
    return np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=-1)


def test_no_two_patches_far_apart_are_alike_however_they_are_turned():
    points, turns = spread_points(400), 12
    east = np.cross([0.3, 0.5, 0.81], points)
    east /= np.linalg.norm(east, axis=-1, keepdims=True)
    north = np.cross(points, east)
    patches = []
    for radius in np.radians([0, 8, 16, 24]):
        for angle in 2 * np.pi * np.arange(turns) / turns:
            ring = np.cos(angle) * east + np.sin(angle) * north
            patches.append(sphere_rendering.texture(np.cos(radius) * points + np.sin(radius) * ring))
    patches = np.stack(patches, axis=1).reshape(len(points), 4, turns, 3)  # each about as far as SIMPLE sees
    flat = patches.reshape(len(points), -1)
    far = points @ points.T < np.cos(np.radians(40))
    closest = np.inf
    for mirrored in (patches, patches[:, :, ::-1]):
        for turn in range(turns):
            turned = np.roll(mirrored, turn, axis=2).reshape(flat.shape)
            squared = (flat**2).mean(axis=1)[:, None] + (turned**2).mean(axis=1) - 2 * flat @ turned.T / flat.shape[1]
            closest = min(closest, squared[far].min())
    assert math.sqrt(closest) > 12  # of 255


# --- the video ---


def test_rotations_are_rotations_that_change_smoothly_through_all_orientations():
    rotations = np.array(list(itertools.islice(sphere_motion.simulate(0), 4000)))
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), [4000, 1, 1]), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-9)
    turns = rotations[1:] @ rotations[:-1].transpose(0, 2, 1)
    angles = np.degrees(np.arccos((np.trace(turns, axis1=1, axis2=2) - 1) / 2))
    assert 40 < angles.mean() < 50 and np.percentile(angles, 99) < 110
    axes = np.stack([turns[:, 2, 1] - turns[:, 1, 2], turns[:, 0, 2] - turns[:, 2, 0], turns[:, 1, 0] - turns[:, 0, 1]])
    axes /= np.linalg.norm(axes, axis=0)
    assert np.median(np.sum(axes[:, 1:] * axes[:, :-1], axis=0)) > 0.9
    towards = -rotations[:, 2]  # the place that faces the camera
    octants = np.bincount((towards > 0) @ [1, 2, 4], minlength=8) / 4000
    assert octants.min() > 0.06 and octants.max() < 0.2
    up = np.einsum("nij,nj->ni", rotations, np.tile([0.0, 0.0, 1.0], [4000, 1]))
    assert np.abs(up.mean(axis=0)).max() < 0.15


def test_turns_are_about_their_axes_by_their_length():
    quarter = sphere_motion.turns(np.array([[0.0, 0.0, np.pi / 2]]))[0]
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-12)


# --- what is stored ---


def test_it_stores_the_frames_of_the_video_and_their_rotations(builder, rotations):
    examples = sorted(tfds.as_numpy(builder.as_dataset(split="all")), key=lambda example: example["frame"])
    assert len(examples) == PAIRS
    for example in examples[::7]:
        frame = example["frame"]
        for view, rotation in (("a", rotations[frame]), ("b", rotations[frame + 1])):
            np.testing.assert_allclose(example[f"rotation_{view}"], rotation, atol=1e-7)
            np.testing.assert_array_equal(example[f"image_{view}"], sphere_rendering.draw(rotation))
    figures = builder.info.metadata
    assert figures["num_pairs"] == PAIRS and 30 < figures["turn_median_degrees"] < 60


def test_same_seed_gives_the_same_bytes_and_says_in_one_line_what_it_made(builder, tmp_path, capsys):
    again = sphere.prepare(tmp_path, PAIRS, SEED)
    printed = capsys.readouterr()
    assert printed.out.startswith(f"sphere: {PAIRS} pairs in ") and printed.out.count("\n") == 1
    assert "turned by" in printed.out and "Turning the sphere" in printed.err
    first, second = (
        {p.name: p.read_bytes() for p in pathlib.Path(b.data_path).glob("*rec*")} for b in (builder, again)
    )
    assert first == second and len(first) == 3 * simulated.NUM_SHARDS


def test_tfds_loads_it_by_name(builder, data):
    assert len(tfds.load(f"sphere/pairs_{PAIRS}_seed_{SEED}", split="test", data_dir=data.dir, download=False)) == 10
    assert tfds.builder("sphere", data_dir=data.dir).builder_config.num_pairs == sphere.DEFAULT_NUM_PAIRS


# --- what training and evaluation are given ---


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
    shapes = {name: (values.shape.as_list(), values.dtype) for name, values in batch.items()}
    assert shapes == {
        "image_a": ([8, SIZE, SIZE, 3], tf.float32),
        "image_b": ([8, SIZE, SIZE, 3], tf.float32),
        "points_in_b": ([8, 45, 45, 2], tf.float32),
        "visible": ([8, 45, 45], tf.float32),
    }
    for n in range(8):
        example = stored[np.uint8(np.rint(255 * batch["image_a"][n].numpy())).tobytes()]
        points_in_b, visible = sphere_camera.motion(example["rotation_a"], example["rotation_b"], 2)
        np.testing.assert_array_equal(batch["points_in_b"][n], points_in_b)
        np.testing.assert_array_equal(batch["visible"][n], tf.cast(visible, tf.float32))


def test_surfaces_say_which_places_of_one_frame_are_seen_in_another(source):
    batch = next(iter(pipeline.surface_batches(source, "test", stride=2, batch_size=32)))
    assert batch["places"].shape == [10, 45, 45, 3]
    on = batch["on_object"].numpy() > 0
    for n in range(10):
        facing = batch["places"][n].numpy()[on[n]] @ -batch["rotation"][n, 2].numpy()
        assert facing.min() > batch["limb"][n] - 1e-6 and facing.max() > 0.999
        assert facing.min() < batch["limb"][n] + 0.1
    np.testing.assert_array_equal(batch["on_object"][0], sphere_camera.surface(np.eye(3), 2)[1])


def test_images_come_with_a_mask_of_the_sphere_and_there_are_no_landmarks(source):
    batch = next(iter(pipeline.image_batches(source, "test", batch_size=4)))
    black = tf.reduce_max(batch["image"], axis=-1) == 0
    assert not np.any(black & (batch["mask"] > 0)) and np.mean(black == (batch["mask"] == 0)) > 0.95
    assert source.count("annotated") == 0
    with pytest.raises(ValueError, match="the sphere has no landmarks; give annotated pictures"):
        source.landmarks("test", None, batch_size=1)


def test_evaluation_measures_the_frame_of_a_run(builder, data, tmp_path):
    config = Config(data=data, model=ModelConfig(name="simple"))
    run.save(config, tmp_path)
    result = commands.run("eval_main.py", f"--workdir={tmp_path}", "--untrained", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    written = json.loads((tmp_path / "eval_untrained" / "result.json").read_text())
    metrics = written["metrics"]
    for name in surface.MEASURES:
        assert f"{metrics[f'{name}_median_degrees']:.2f}" in result.stdout
        assert 10 < metrics[f"{name}_mean_degrees"] < 120 and 50 < metrics[f"chance_{name}_mean_degrees"] < 120
    assert written["protocol"]["test_images"] == 10 and written["protocol"]["fitted_on_images"] == 100
    pictures = {path.stem for path in (tmp_path / "eval_untrained").glob("*.png")}
    of_pairs = {"labels", "sphere", "hemispheres", "transfer", "pairs", "match_errors", "precision_recall"}
    assert pictures == of_pairs | {"mean_object"}
