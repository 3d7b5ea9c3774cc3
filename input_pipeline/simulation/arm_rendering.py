"""What a camera sees of the arm: its picture, and the exact flow and visibility of its surface.

**Convention:** points are `(x, y)` in pixels of the frame, y down, outer top-left corner (0, 0), so
pixel (row i, column j) has its centre at (j + 0.5, i + 0.5). Maps of pixels are flat, row by row.
Capsules are drawn in order: of two that overlap, the later one is on top. Flow goes from a to b.
"""

import dataclasses
from typing import Any

import numpy as np

from input_pipeline.simulation import frame_pairs
from input_pipeline.simulation.arm_simulation import FRAME_SIZE, LENGTH, NUM_CAPSULES, RADIUS

# Seven hues in even steps, neighbours in hue being neighbours on the arm.
COLOURS = np.array(
    [
        [255, 38, 38],  # red, at the anchor
        [255, 224, 38],  # yellow
        [100, 255, 38],  # green
        [38, 255, 162],  # turquoise
        [38, 162, 255],  # blue
        [100, 38, 255],  # violet, one tine
        [255, 38, 224],  # pink, the other
    ],
    np.float64,
)

_TICKS = np.arange(FRAME_SIZE) + 0.5
PIXEL_CENTRES = np.stack(np.meshgrid(_TICKS, _TICKS), axis=-1).reshape(-1, 2)  # [FRAME_SIZE^2, 2]


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """One frame of the simulation, with what both pairs that share it need."""

    index: int
    poses: np.ndarray  # [K, 3]
    capsules: np.ndarray  # [FRAME_SIZE^2], the one seen at each pixel centre, -1 for none
    centres_visible: np.ndarray  # [K]
    png: bytes


def draw_frame(index: int, poses: np.ndarray) -> Frame:
    """Draws the frame in which the capsules have these poses [K, 3]."""
    distances = signed_distances(poses, PIXEL_CENTRES)
    return Frame(
        index=index,
        poses=poses,
        capsules=topmost(distances),
        centres_visible=visible_at(poses[:, :2], np.arange(NUM_CAPSULES), poses),
        png=frame_pairs.encode_png(render(distances)),
    )


def pair_features(a: Frame, b: Frame) -> dict[str, Any]:
    """Returns the features of the pair (a, b), under the names and in the units of `roboarm.Roboarm`.

    The flow of a pixel is the rigid motion of the capsule seen at its centre, so it is exact.
    """
    on_arm = np.flatnonzero(a.capsules >= 0)
    points, capsules = PIXEL_CENTRES[on_arm], a.capsules[on_arm]
    moved = move(points, a.poses[capsules], b.poses[capsules])
    flow = np.zeros((FRAME_SIZE**2, 2), np.float32)
    flow[on_arm] = moved - points
    visible = np.zeros(FRAME_SIZE**2, np.uint8)
    visible[on_arm] = visible_at(moved, capsules, b.poses)
    as_map = (FRAME_SIZE, FRAME_SIZE, -1)
    return {
        "image_a": a.png,
        "image_b": b.png,
        "flow": flow.reshape(as_map),
        "visible": visible.reshape(as_map),
        "capsule": (a.capsules + 1).astype(np.uint8).reshape(as_map),
        "centres_a": a.poses[:, :2].astype(np.float32),
        "centres_b": b.poses[:, :2].astype(np.float32),
        "centres_visible_a": a.centres_visible,
        "centres_visible_b": b.centres_visible,
        "frame": a.index,
    }


def signed_distances(poses: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Returns the distance from each point to the outline of each capsule, in pixels, negative inside.

    Args:
      poses: [K, 3].
      points: [N, 2].

    Returns:
      float64 [K, N].
    """
    centre_x, centre_y, angle = poses.T[..., None]  # [K, 1] each
    x, y = points[:, 0] - centre_x, points[:, 1] - centre_y  # [K, N]
    cosine, sine = np.cos(angle), np.sin(angle)
    past_the_end = np.maximum(np.abs(cosine * x + sine * y) - LENGTH / 2, 0.0)
    across = cosine * y - sine * x
    return np.sqrt(past_the_end**2 + across**2) - RADIUS


def topmost(distances: np.ndarray) -> np.ndarray:
    """Returns the capsule that is seen at each point: int64 [N], -1 where there is none.

    Args:
      distances: [K, N], as from `signed_distances`.
    """
    covers = distances <= 0.0
    last = len(covers) - 1 - np.argmax(covers[::-1], axis=0)
    return np.where(covers.any(axis=0), last, -1)


def render(distances: np.ndarray) -> np.ndarray:
    """Draws the capsules over black, their outlines smoothed by a ramp one pixel wide.

    Args:
      distances: [K, FRAME_SIZE^2], as from `signed_distances` at the pixel centres.

    Returns:
      uint8 [FRAME_SIZE, FRAME_SIZE, 3].
    """
    image = np.zeros((FRAME_SIZE**2, 3))
    for colour, distance in zip(COLOURS, distances):
        touched = np.flatnonzero(distance < 0.5)
        coverage = np.minimum(0.5 - distance[touched], 1.0)[:, None]
        image[touched] += coverage * (colour - image[touched])
    return np.rint(image).astype(np.uint8).reshape(FRAME_SIZE, FRAME_SIZE, 3)


def move(points: np.ndarray, poses_a: np.ndarray, poses_b: np.ndarray) -> np.ndarray:
    """Moves points from a to b, each with its own rigid capsule.

    Args:
      points: [N, 2].
      poses_a, poses_b: [N, 3], of the capsule that each point belongs to, in a and in b.

    Returns:
      float64 [N, 2].
    """
    turn = poses_b[:, 2] - poses_a[:, 2]
    cosine, sine = np.cos(turn), np.sin(turn)
    x, y = (points - poses_a[:, :2]).T
    return poses_b[:, :2] + np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def visible_at(points: np.ndarray, capsules: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Says whether the capsule of each point is what is seen there, inside the frame: bool [N].

    Args:
      points: [N, 2].
      capsules: [N], the capsule each point belongs to.
      poses: [K, 3].
    """
    return inside(points) & (topmost(signed_distances(poses, points)) == capsules)


def inside(points: np.ndarray) -> np.ndarray:
    """Says which points [..., 2] lie inside the frame: bool [...]."""
    return np.all((points >= 0.0) & (points <= FRAME_SIZE), axis=-1)
