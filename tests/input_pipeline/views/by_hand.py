"""Warps and homographies for tests, and what they do to one point, by hand."""

import numpy as np
import tensorflow as tf

from input_pipeline.views import random_maps, warps

SIZES = [(20, 20), (20, 32), (31, 24)]  # height, width
IDENTITY = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # rows for 1, x and y
HOMOGRAPHIES = np.float32(
    [[[1, 0, 0], [0, 1, 0], [0.15, -0.1, 1]], [[0.9, 0.2, 0.1], [-0.1, 1.2, -0.3], [0.1, 0.2, 2]]]
)


def draw(count, *, tps=1.0, affine=1.0, seed=0):
    """The weights of random warps, [count, 103, 2]."""
    bends = [random_maps.draw_tps([seed, i], strength=tps) for i in range(count)]
    affines = [random_maps.draw_affine([seed, i + count], strength=affine) for i in range(count)]
    return warps.tps_affine(bends, affines)


def no_bend(affine):
    """One warp without a bend; `affine` has the rows for 1, x and y."""
    return warps.tps_affine(tf.zeros([1, 100, 2]), tf.constant([affine], tf.float32))


def cell_centres(height, width, stride=1):
    return np.stack(np.meshgrid((np.arange(width) + 0.5) * stride, (np.arange(height) + 0.5) * stride), axis=-1)


def warp_by_hand(weights, point, size):
    """One point through one warp, term by term."""
    centre, half = np.array([size[1], size[0]]) / 2, max(size) / 2
    x, y = (point - centre) / half
    result = weights[100] + weights[101] * x + weights[102] * y
    for row in range(10):
        for column in range(10):
            square = (x - (-1 + 2 * column / 9)) ** 2 + (y - (-1 + 2 * row / 9)) ** 2
            result = result + weights[10 * row + column] * square * np.log(square + 1e-5)
    return result * half + centre


def projected_by_hand(homography, point, size):
    """One point through one homography; (x, y, 1) is a column."""
    centre, half = np.array([size[1], size[0]]) / 2, max(size) / 2
    x, y, w = np.float64(homography) @ [*(point - centre) / half, 1.0]
    return np.array([x / w, y / w]) * half + centre


def frame_points(size, edge=3):
    """5 x 5 points, those outside `edge` pixels from the frame's sides."""
    x, y = (np.linspace(edge, side - edge, 5) for side in size[::-1])
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(1, -1, 2).astype(np.float32)
