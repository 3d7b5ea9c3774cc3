"""Tests of the three measures of an object frame, with labels whose errors are known."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.batches import LabelledSurfaces, LabelMap, SurfaceBatch
from dense_labels.evaluation import surface
from dense_labels.evaluation.result import Result
from dense_labels.method import label_sphere
from input_pipeline.simulation import sphere_camera, sphere_motion

STRIDE, IMAGES = 6, 24  # 15 x 15 cells
_TURN = sphere_motion.turns(np.array([[0.4, -1.0, 0.7]]))[0]  # some rotation


def rotations(seed):
    """Rotations far apart in a video, each with the three half turns of it: together they show all sides alike."""
    chosen = itertools.islice(sphere_motion.simulate(seed), 0, 20 * IMAGES // 4, 20)
    half_turns = ([1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1])
    return [rotation * half_turn for rotation in chosen for half_turn in half_turns]


def frames(rotations):
    """Images of a sphere that is seen under these rotations; their labels are nothing yet."""
    surfaces = [[values.numpy() for values in sphere_camera.surface(rotation, STRIDE)] for rotation in rotations]
    places, on_object = map(np.stack, zip(*surfaces))
    limb = np.full(len(rotations), sphere_camera.LIMB)
    return LabelledSurfaces(LabelMap(places, STRIDE), places, on_object, np.stack(rotations), limb)


def labelled(images, of_place):
    return dataclasses.replace(images, labels=LabelMap(of_place(images.places), STRIDE))


@pytest.fixture(scope="module")
def known():
    return frames(rotations(seed=1))


@pytest.fixture(scope="module")
def unseen():
    return frames(rotations(seed=2))


def measured(known, unseen, of_place):
    return surface.measure(labelled(known, of_place), labelled(unseen, of_place), pairs=60)


def best_possible(images, a, b):
    """The angle from each place of A that B sees to the nearest place B has a cell of."""
    places, candidates = (images.places[n][images.on_object[n]] for n in (a, b))
    seen = places @ -images.rotation[b][2] > images.limb[b]
    return np.degrees(np.arccos(np.minimum((places[seen] @ candidates.T).max(axis=1), 1)))


def test_a_turned_frame_has_no_error_but_that_of_the_cells(known, unseen):
    result = measured(known, unseen, lambda places: 20 * places @ _TURN.T)
    metrics = result.metrics
    for name in ("consistency", "isometry"):
        assert metrics[f"{name}_median_degrees"] < 1e-4 and metrics[f"{name}_mean_degrees"] < 1e-4
    assert metrics["isometry_reflected"] == 0
    images = labelled(unseen, lambda places: places @ _TURN.T)
    np.testing.assert_allclose(surface.matching_errors(images, 0, 12), best_possible(images, 0, 12), atol=1e-4)


def test_a_quarter_turn_of_the_frame_takes_cells_to_cells_and_is_matched_without_error():
    quarter = sphere_motion.turns(np.array([[0.0, 0.0, np.pi / 2]]))[0]
    images = labelled(frames([_TURN, quarter @ _TURN]), lambda places: 3 * places @ _TURN)
    errors = surface.matching_errors(images, 0, 1)
    assert len(errors) == images.on_object[0].sum()
    np.testing.assert_allclose(errors, 0, atol=1e-5)


@pytest.mark.parametrize("mirrored", [1, -1])
def test_an_orthogonal_map_is_that_of_the_polar_decomposition(mirrored):
    random = np.random.default_rng(0)
    labels = random.normal(size=[50, 3])
    directions = label_sphere.project(labels)
    places = label_sphere.project(directions @ _TURN.T * [1, 1, mirrored] + 0.2 * random.normal(size=[50, 3]))
    found = surface.fit_orthogonal(labels, places)
    stretch = found.T @ (places.T @ directions)  # what is left of the covariance is symmetric, with no negative value
    np.testing.assert_allclose(stretch, stretch.T, atol=1e-9)
    assert np.linalg.eigvalsh(stretch).min() > 0 and np.linalg.det(found) == pytest.approx(mirrored)
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-9)


def test_a_mirrored_frame_is_said_to_be_mirrored(known, unseen):
    metrics = measured(known, unseen, lambda places: places @ _TURN.T * [1, -1, 1]).metrics
    assert metrics["isometry_mean_degrees"] < 1e-4 and metrics["isometry_reflected"] == 1
    assert metrics["consistency_mean_degrees"] < 1e-4


def test_a_smooth_deformation_is_consistent_and_no_isometry(known, unseen):
    metrics = measured(known, unseen, lambda places: places * [1, 1, 1.6]).metrics
    assert metrics["consistency_mean_degrees"] < 1
    latitude, longitude = (values.ravel() for values in np.meshgrid(np.linspace(-1.5, 1.5, 91), np.linspace(-3, 3, 60)))
    places = label_sphere.from_latitude_longitude(latitude, longitude)
    moved = surface.angles(places, label_sphere.project(places * [1, 1, 1.6]))
    expected = np.average(moved, weights=np.cos(latitude))
    assert metrics["isometry_mean_degrees"] == pytest.approx(expected, rel=0.1) and expected > 5
    assert metrics["isometry_reflected"] == 0


def test_labels_that_fold_the_sphere_are_not_consistent(known, unseen):
    metrics = measured(known, unseen, lambda places: np.abs(places)).metrics
    assert metrics["consistency_median_degrees"] > 30 and metrics["matching_mean_degrees"] > 10


def test_chance_is_what_labels_at_random_reach(known, unseen):
    result = measured(known, unseen, lambda places: places)
    metrics, random = result.metrics, np.random.default_rng(9)
    for name in ("consistency", "isometry"):
        assert metrics[f"chance_{name}_median_degrees"] == pytest.approx(90, abs=6)
    again = measured(known, unseen, lambda places: random.normal(size=places.shape)).metrics
    for name in surface.MEASURES:
        assert again[f"{name}_mean_degrees"] == pytest.approx(metrics[f"chance_{name}_mean_degrees"], abs=6)
    assert 40 < metrics["chance_matching_median_degrees"] < 80  # B shows less than half of the sphere


def test_pairs_are_told_apart_by_their_turn_and_hidden_points_left_out(known, unseen):
    result = measured(known, unseen, lambda places: places)
    rows = result.matching_by_turn
    assert [row["turned_by_degrees"] for row in rows] == [[0, 60], [60, 120], [120, 180]]
    weighted = sum(row["mean_degrees"] * row["points"] for row in rows) / sum(row["points"] for row in rows)
    assert weighted == pytest.approx(result.metrics["matching_mean_degrees"])
    half_turn = sphere_motion.turns(np.array([[0.0, np.pi, 0.0]]))[0]
    images = labelled(frames([np.eye(3), half_turn]), lambda places: places)
    assert surface.matching_errors(images, 0, 1).size == 0
    assert surface.turned(np.eye(3), half_turn) == pytest.approx(180)
    assert surface.turned(_TURN, _TURN @ sphere_motion.turns(np.array([[0.1, 0, 0]]))[0]) == pytest.approx(
        np.degrees(0.1)
    )


def test_a_match_beside_the_object_lands_on_the_nearest_cell_of_it():
    images = labelled(frames([np.eye(3), np.eye(3)]), lambda places: places.copy())
    row, on_object = images.labels.cells[0] // 2, images.on_object[0]
    assert not on_object[row, 0] and on_object[row, 1]
    images.labels.values[1, row, 0] = [-100, 0, 0]  # the inner product of all that lies on the left is largest here
    places = images.places[0][on_object]
    left = places[:, 0] < -0.1
    expected = surface.angles(places, images.places[1][row, 1])
    np.testing.assert_allclose(surface.matching_errors(images, 0, 1)[left], expected[left])


def test_labels_of_another_length_are_matched_alone(known, unseen):
    result = measured(known, unseen, lambda places: np.concatenate([places, 0 * places[..., :1]], axis=-1))
    names = {f"{chance}matching_{figure}_degrees" for chance in ("", "chance_") for figure in ("median", "mean")}
    assert set(result.metrics) == names


def test_one_test_image_cannot_be_matched(known):
    one = labelled(known, lambda places: places).take(slice(0, 1))
    with pytest.raises(ValueError, match="images=1 of 1 pictures: a pair of different pictures needs at least 2"):
        surface.measure(one, one, pairs=3)


def test_the_result_is_json_and_a_table(known, unseen):
    written = json.dumps(measured(known, unseen, lambda places: places * [1, 1, -1.6]).to_dict())
    result = Result.from_dict(json.loads(written))
    lines = result.table().splitlines()
    for name in surface.MEASURES:
        (line,) = (line for line in lines if line.startswith(name))
        metrics = result.metrics
        expected = (metrics[f"{key}_degrees"] for key in (f"{name}_median", f"{name}_mean"))
        assert line.split()[1:3] == [f"{value:.2f}" for value in expected]
        assert line.split()[3] == f"{metrics[f'chance_{name}_median_degrees']:.1f}"
    assert lines[-1] == "the labels are a mirror image of the object"
    assert any(line.startswith("  turned by 120-180") for line in lines)


def test_labelled_surfaces_are_those_of_all_batches(known):
    images = np.random.default_rng(0).uniform(size=[IMAGES, 4, 4, 3]).astype(np.float32)
    parts = SurfaceBatch(images, *(np.float32(getattr(known, name)) for name in SurfaceBatch._fields[1:]))
    batches = tf.data.Dataset.from_tensor_slices(parts).batch(7)
    labelled = surface.label_surfaces(lambda image: 2 * image, batches, STRIDE)
    np.testing.assert_array_equal(labelled.labels.values, 2 * images)
    assert labelled.labels.stride == STRIDE and labelled.on_object.dtype == bool
    for name in SurfaceBatch._fields[1:]:
        np.testing.assert_array_equal(getattr(labelled, name), getattr(parts, name))


@pytest.mark.parametrize("degree", [0, 1, 4])
def test_harmonics_are_orthonormal(degree):
    count = 20_000
    z = 1 - 2 * (np.arange(count) + 0.5) / count
    angle = np.arange(count) * np.pi * (3 - np.sqrt(5))
    points = np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=-1)
    values = label_sphere.harmonics(7 * points, degree)
    assert values.shape == (count, (degree + 1) ** 2)
    np.testing.assert_allclose(4 * np.pi * values.T @ values / count, np.eye((degree + 1) ** 2), atol=2e-3)


def test_harmonics_of_degree_one_are_the_coordinates():
    points = np.random.default_rng(0).normal(size=[50, 3])
    values = label_sphere.harmonics(points, 1)[:, 1:] * np.sqrt(4 * np.pi / 3)
    unit = points / np.linalg.norm(points, axis=-1, keepdims=True)
    np.testing.assert_allclose(np.sort(np.abs(values), axis=-1), np.sort(np.abs(unit), axis=-1), atol=1e-6)
