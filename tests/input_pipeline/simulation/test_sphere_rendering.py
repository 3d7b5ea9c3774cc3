"""Tests of the sphere's picture: what moves with it, what stays, and that no two patches are alike."""

import itertools
import math

import numpy as np
import pytest

from input_pipeline.simulation import sphere_camera, sphere_motion, sphere_rendering

SIZE = sphere_camera.FRAME_SIZE


@pytest.fixture(scope="module")
def rotations():
    return list(itertools.islice(sphere_motion.simulate(7), 200))


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
