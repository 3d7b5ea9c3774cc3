"""Tests of label space: oracles are the CIELAB distance, the seam and known rotations."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dense_labels.method import label_sphere

XYZ_OF_LINEAR_RGB = np.array(  # IEC 61966-2-1, the opposite way to the module's own matrix.
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def random_labels(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def angle(first, second):
    return np.arctan2(np.linalg.norm(np.cross(first, second), axis=-1), np.sum(first * second, axis=-1))


def cielab(srgb):
    srgb = np.asarray(srgb, np.float64)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    ratio = linear @ XYZ_OF_LINEAR_RGB.T / XYZ_OF_LINEAR_RGB.sum(axis=1)
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def colour_difference(first, second):
    return np.linalg.norm(cielab(first) - cielab(second), axis=-1)


@pytest.mark.parametrize(
    "label, latitude, longitude",
    [
        ([0, 0, 2], np.pi / 2, None),
        ([0, 0, -3], -np.pi / 2, None),
        ([1, 0, 0], 0, 0),
        ([0, 1, 0], 0, np.pi / 2),
        ([0, -5, 0], 0, -np.pi / 2),
        ([1, 1, np.sqrt(2)], np.pi / 4, np.pi / 4),
        ([0, 0, 0], 0, 0),
    ],
)
def test_latitude_longitude_of_known_labels(label, latitude, longitude):
    found = label_sphere.latitude_longitude(label)
    np.testing.assert_allclose(found[0], latitude, atol=1e-6)
    if longitude is not None:  # At a pole every longitude is right.
        np.testing.assert_allclose(found[1], longitude, atol=1e-6)


def test_latitude_longitude_round_trip():
    labels = np.concatenate([random_labels(500, 3), [[1e-4, 0, 1], [0, 2e-4, -1]]])
    units = label_sphere.from_latitude_longitude(*label_sphere.latitude_longitude(labels))
    np.testing.assert_allclose(units, labels / np.linalg.norm(labels, axis=-1, keepdims=True), atol=1e-6)


def test_colour_is_the_same_for_every_length_of_a_label():
    labels = random_labels(50, 3)
    np.testing.assert_array_equal(label_sphere.label_colours(labels), label_sphere.label_colours(4 * labels))
    assert label_sphere.label_colours(labels).dtype == np.float32


def test_colours_fit_the_gamut_without_clipping():
    labels = random_labels(20_000, 3)
    units = labels / np.linalg.norm(labels, axis=-1, keepdims=True)
    wanted = label_sphere.ELLIPSOID_CENTRE + units @ label_sphere.ELLIPSOID_AXES.T
    np.testing.assert_allclose(cielab(label_sphere.label_colours(labels)), wanted, atol=1e-3)


def test_colours_are_continuous_across_the_seam_and_at_the_poles():
    latitude = np.linspace(-np.pi / 2, np.pi / 2, 91)
    east = label_sphere.from_latitude_longitude(latitude, np.full(91, np.pi - 1e-3))
    west = label_sphere.from_latitude_longitude(latitude, np.full(91, -np.pi + 1e-3))
    assert colour_difference(label_sphere.label_colours(east), label_sphere.label_colours(west)).max() < 0.2
    for pole in (np.pi / 2, -np.pi / 2):
        ring = label_sphere.from_latitude_longitude(np.full(36, pole * 0.999), np.linspace(-3, 3, 36))
        assert np.ptp(cielab(label_sphere.label_colours(ring)), axis=0).max() < 0.3


def test_steps_of_colour_are_even_to_a_factor_of_two():
    labels = random_labels(2000, 3)
    moved = labels + 1e-2 * np.linalg.norm(labels, axis=-1, keepdims=True) * random_labels(2000, 3, seed=1)
    difference = colour_difference(label_sphere.label_colours(labels), label_sphere.label_colours(moved))
    step = difference / angle(labels, moved)
    assert step.max() / step.min() < 2.1


def test_directions_far_apart_have_distinguishable_colours():
    labels = random_labels(400, 3)
    apart = angle(labels[:, np.newaxis], labels) > np.deg2rad(30)
    colours = label_sphere.label_colours(labels)
    assert colour_difference(colours[:, np.newaxis], colours)[apart].min() > 15  # About 2 can just be seen.


def test_circle_is_the_equator_of_the_sphere():
    labels = random_labels(20, 2)
    embedded = np.concatenate([labels, np.zeros([20, 1])], axis=-1)
    np.testing.assert_allclose(label_sphere.label_colours(labels), label_sphere.label_colours(embedded), atol=1e-6)


def test_zero_label_is_grey():
    red, green, blue = label_sphere.label_colours([0.0, 0.0, 0.0])
    assert max(red, green, blue) - min(red, green, blue) < 0.08
    assert colour_difference([red, green, blue], label_sphere.label_colours(random_labels(500, 3))).min() > 30


def test_colour_basis_finds_the_subspace_that_labels_lie_in():
    directions = np.linalg.qr(random_labels(20, 3))[0]  # [20, 3], orthonormal
    inner = random_labels(3000, 3) * [3.0, 2.0, 1.0]
    basis = label_sphere.colour_basis(inner @ directions.T)
    assert basis.shape == (20, 3) and basis.dtype == np.float32
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(directions @ (directions.T @ basis), basis, atol=1e-5)
    np.testing.assert_allclose(np.abs(np.diag(directions.T @ basis)), 1, atol=0.02)
    assert (np.take_along_axis(basis, np.abs(basis).argmax(axis=0)[np.newaxis], axis=0) > 0).all()


def test_directions_seen_by_a_colour_basis_have_a_root_mean_square_length_of_1():
    labels = random_labels(2000, 20) * np.linspace(3, 1, 20)
    directions = labels / np.linalg.norm(labels, axis=-1, keepdims=True)
    squares = np.square(directions @ label_sphere.colour_basis(labels)).mean(axis=0)
    assert squares.sum() == pytest.approx(1, rel=1e-4) and (np.diff(squares) < 0).all()


def test_colour_basis_does_not_depend_on_order_or_length_of_labels():
    labels = random_labels(500, 5) * [5, 4, 3, 2, 1]
    other = (labels * np.linspace(1, 9, 500)[:, np.newaxis])[::-1].reshape(20, 25, 5)
    np.testing.assert_allclose(label_sphere.colour_basis(labels), label_sphere.colour_basis(other), atol=1e-5)


def test_colours_through_a_basis_agree_with_those_of_the_projection():
    labels = random_labels(100, 3)
    rotation = np.linalg.qr(random_labels(6, 6))[0][:3]  # [3, 6]
    np.testing.assert_allclose(
        label_sphere.label_colours(labels @ rotation, rotation.T), label_sphere.label_colours(labels), atol=1e-5
    )


def upright_face(seed=0):
    """Labels [2, 500, 3] of an object in the middle of the map, and where two images show them."""
    half = np.random.default_rng(seed).uniform([-0.9, -0.6], [0.9, 0.6], [125, 2])
    longitude, latitude = np.concatenate([half, -half, half * [-1, 1], half * [1, -1]]).T
    labels = np.stack([label_sphere.from_latitude_longitude(latitude, longitude)] * 2)
    points = np.stack([longitude, -latitude], axis=-1) * [[[40.0]], [[30.0]]] + [[[50.0, 60.0]], [[55.0, 60.0]]]
    return labels, points


@pytest.mark.parametrize("turn", [[0, 0, 0], [0, np.pi / 2, 0], [0, 0, np.pi], [np.pi, 0, 0], [1, 2, 3]])
def test_upright_rotation_turns_a_sphere_back_whichever_way_it_lay(turn):
    labels, points = upright_face()
    turned = Rotation.from_rotvec(turn).apply(labels.reshape(-1, 3)).reshape(labels.shape)
    lengths = np.random.default_rng(1).uniform(1, 9, [2, 500, 1])
    noise = np.random.default_rng(2).normal(size=points.shape)
    rotation = label_sphere.upright_rotation(lengths * turned, points + noise)
    assert rotation.dtype == np.float32
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-6)
    assert np.rad2deg(angle(turned @ rotation.T, labels)).max() < 1
    np.testing.assert_allclose(label_sphere.project(turned, rotation.T), turned @ rotation.T, atol=1e-6)


def test_upright_rotation_does_not_depend_on_where_y_starts():
    labels, points = random_labels(300, 3) ** 2, random_labels(300, 2, seed=1)  # The directions are askew.
    points[:, 1] -= 9 * labels[:, 2]
    moved = label_sphere.upright_rotation(labels, points + 100)
    np.testing.assert_allclose(label_sphere.upright_rotation(labels, points), moved, atol=1e-5)


def test_upright_rotation_of_an_object_seen_upside_down_turns_it_over():
    labels, points = upright_face()
    rotation = label_sphere.upright_rotation(labels, 100 - points)
    np.testing.assert_allclose(rotation, np.diag([1, -1, -1]), atol=1e-5)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: label_sphere.latitude_longitude(np.ones([4, 2])),
            r"labels must be \[\.\.\., 3\] .* \(4, 2\)",
        ),
        (
            lambda: label_sphere.from_latitude_longitude([0.0], [0.0, 1.0]),
            r"one shape; found \(1,\) and \(2,\)",
        ),
        (
            lambda: label_sphere.colour_basis(np.ones([4, 2])),
            r"\[\.\.\., L\] with L >= 3; found shape \(4, 2\)",
        ),
        (lambda: label_sphere.colour_basis(np.zeros([4, 5])), "at least one label that is not zero"),
        (lambda: label_sphere.label_colours(np.ones([4, 1])), r"L >= 2; found shape \(4, 1\)"),
        (lambda: label_sphere.label_colours(1.0), r"L >= 2; found shape \(\)"),
        (
            lambda: label_sphere.label_colours(np.ones([4, 5])),
            "length 5 need a basis: pass basis=colour_basis",
        ),
        (
            lambda: label_sphere.label_colours(np.ones([4, 5]), np.ones([3, 5])),
            r"basis must be \[5, 3\] for labels of length 5; found shape \(3, 5\)",
        ),
        (
            lambda: label_sphere.upright_rotation(np.ones([4, 3]), np.ones([5, 2])),
            r"labels must be \[\.\.\., 3\] and points \[\.\.\., 2\]; found shapes \(4, 3\) and \(5, 2\)",
        ),
        (
            lambda: label_sphere.upright_rotation(np.ones([4, 5]), np.ones([4, 2])),
            r"found shapes \(4, 5\) and \(4, 2\)",
        ),
        (
            lambda: label_sphere.upright_rotation([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], [[0.0, 0.0], [0.0, 9.0]]),
            "labels point in all directions alike, so none is the middle",
        ),
        (
            lambda: label_sphere.upright_rotation([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[0.0, 5.0], [9.0, 5.0]]),
            "y does not change with the labels, so none is up",
        ),
    ],
)
def test_errors_say_what_was_given_and_what_is_needed(call, message):
    with pytest.raises(ValueError, match=message):
        call()
