"""How the textured sphere looks: its texture, its light, and the picture a camera takes of it.

The texture is a function of the place on the sphere and turns with it. The light is a function of the normal in camera
coordinates and stays put.
"""

import functools

import numpy as np

from dense_labels.method import geometry
from input_pipeline.simulation import sphere_camera

# Each side shades from the one to the other: blue from violet to cyan, orange from red to yellow.
BLUES = np.array([[125.0, 60.0, 235.0], [20.0, 190.0, 225.0]])
ORANGES = np.array([[240.0, 60.0, 60.0], [250.0, 200.0, 30.0]])
LIGHT = np.array([-0.48, -0.6, -0.64])  # unit vector, in camera coordinates: from above, left and behind the camera
AMBIENT = 0.5  # share of the light that comes from everywhere

_SAMPLES = 2  # along each side of a pixel
_ROWS = 512  # of the stored texture: a texel is a quarter of a pixel at most
_TEXTURE_SEED = 6


def texture(places) -> np.ndarray:
    """Returns the colour of the surface, without light.

    Each axis has a pair of sides: blue and orange, of one hue or the other within these, pale or sooty. Waves of random
    directions and phases blotch them; the narrowest tell near-by points from each other.

    Without the third pair, fine structure alone would tell opposite sides apart, and early in training both would get
    the same labels: no frame shows both sides, so nothing would separate them later.

    Args:
      places: [..., 3], unit vectors, places on the sphere.

    Returns:
      float32 [..., 3], RGB from 0 to 255.
    """
    places = np.asarray(places, np.float32)
    random = np.random.Generator(np.random.PCG64(_TEXTURE_SEED))
    bands = ((2, 4), (2, 4), (2, 5), (2, 5), (10, 20))
    border, hue, pale, dark, fine = (_noise(places, random, *band) for band in bands)
    x, y, z = np.moveaxis(places, -1, 0)
    blue = _step(4 / 3 * (x + 0.15 * border))[..., np.newaxis]
    second = _step(0.6 * (y + 0.3 * hue))[..., np.newaxis]
    blues, oranges = (ends[0] + second * (ends[1] - ends[0]) for ends in (BLUES, ORANGES))
    colours = oranges + blue * (blues - oranges)
    colours += 0.6 * _step(0.7 * pale - 0.4 + z)[..., np.newaxis] * (255.0 - colours)
    colours *= 1.0 - 0.6 * _step(0.7 * dark - 0.4 - z)[..., np.newaxis]
    return np.float32(colours * (0.75 + 0.25 * np.tanh(2 * fine))[..., np.newaxis])


def _noise(places, random, slowest, fastest, waves=32):
    """Waves of mean square 1, whose length on the sphere is between 2 pi over these two numbers, in radians."""
    directions = random.normal(size=[waves, 3])
    directions *= (random.uniform(slowest, fastest, waves) / np.linalg.norm(directions, axis=-1))[:, np.newaxis]
    phases = random.uniform(0, 2 * np.pi, waves)
    total = np.zeros(places.shape[:-1], np.float32)
    for direction, phase in zip(np.float32(directions), np.float32(phases)):
        total += np.cos(places @ direction + phase)
    return total / np.sqrt(waves / 2)


def _step(values):
    """Rises smoothly from 0 to 1 around 0."""
    return 0.5 + 0.5 * np.tanh(3 * values)


def shading(normals) -> np.ndarray:
    """Returns the share of the light that is reflected where the surface has these normals.

    Args:
      normals: [..., 3], unit vectors in camera coordinates.

    Returns:
      [...], from `AMBIENT` to 1.
    """
    return AMBIENT + (1 - AMBIENT) * np.maximum(normals @ LIGHT, 0.0)


def draw(rotation) -> np.ndarray:
    """Draws a frame on black; each pixel is the mean over a grid of exact rays.

    Args:
      rotation: [3, 3], of the sphere.

    Returns:
      uint8 [FRAME_SIZE, FRAME_SIZE, 3].
    """
    pixels, normals, shares = _rays()
    x, y, z = (normals @ np.float32(rotation)).T
    rows = np.int32((0.5 - np.arcsin(np.clip(z, -1, 1)) / np.float32(np.pi)) * _ROWS)
    columns = np.int32((0.5 + np.arctan2(y, x) / np.float32(2 * np.pi)) * 2 * _ROWS)
    colours = _stored_texture()[np.minimum(rows, _ROWS - 1), np.minimum(columns, 2 * _ROWS - 1)]
    image = np.zeros([sphere_camera.FRAME_SIZE**2, 3], np.float32)
    image[pixels] = (colours * shares).reshape(len(pixels), -1, 3).sum(axis=1)
    return np.uint8(np.rint(image)).reshape(sphere_camera.FRAME_SIZE, sphere_camera.FRAME_SIZE, 3)


@functools.cache
def _rays():
    """Flat indices of the pixels [P] that show the sphere; normals [P * n, 3] at their n rays, and shares [P * n, 1].

    What a ray adds to its pixel is its share of the surface's colour; those of rays that miss the sphere are 0.
    """
    size = sphere_camera.FRAME_SIZE
    points = geometry.cell_centres(size * _SAMPLES, size * _SAMPLES, 1 / _SAMPLES).numpy()
    points = points.reshape(size, _SAMPLES, size, _SAMPLES, 2).transpose(0, 2, 1, 3, 4).reshape(size**2, -1, 2)
    normals, hit = (values.numpy() for values in sphere_camera.normals_at(points))
    shares = hit * shading(normals) / _SAMPLES**2
    pixels = np.flatnonzero(hit.any(axis=1))
    return pixels, np.float32(normals[pixels].reshape(-1, 3)), np.float32(shares[pixels].reshape(-1, 1))


@functools.cache
def _stored_texture():
    """The texture by latitude and longitude, [_ROWS, 2 * _ROWS, 3]; the row nearest the north pole is the first."""
    latitude = np.pi * (0.5 - (np.arange(_ROWS) + 0.5) / _ROWS)[:, np.newaxis]
    longitude = np.pi * ((np.arange(2 * _ROWS) + 0.5) / _ROWS - 1)
    across = np.cos(latitude)
    height = np.broadcast_to(np.sin(latitude), [_ROWS, 2 * _ROWS])
    return texture(np.stack([across * np.cos(longitude), across * np.sin(longitude), height], axis=-1))
