"""How the textured sphere turns: smoothly, and in time through all its orientations.

Its angular velocity is a random walk that is drawn back to rest (an Ornstein-Uhlenbeck process): each component is
normal, and keeps a share of itself from frame to frame.
"""

from collections.abc import Iterator

import numpy as np

from dense_labels import compat

rotation_matrix_3d = compat.graphics("geometry.transformation.rotation_matrix_3d")

# The paper says nothing of its video. Here the sphere turns by 44 degrees from frame to frame on average. The less it
# turns, the nearer to right are labels that stay in place in the frame, and the harder it is to learn others.
VELOCITY_DEVIATION = np.radians(28.0)  # radians a frame, of each component
PERSISTENCE = 0.9  # share of the velocity that is kept for a frame: an axis lasts about ten frames

_CHUNK = 256  # frames computed at a time


def simulate(seed: int) -> Iterator[np.ndarray]:
    """Yields the rotation of the sphere frame by frame, without end.

    Args:
      seed: the same seed gives the same rotations, bit for bit.

    Yields:
      float64 [3, 3], of determinant 1: takes places on the sphere to camera coordinates. The first is drawn uniformly.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    rotation = _uniform(random)
    velocity = random.normal(0.0, VELOCITY_DEVIATION, 3)
    while True:
        velocities = np.empty([_CHUNK, 3])
        for step, kick in enumerate(random.normal(0.0, VELOCITY_DEVIATION, [_CHUNK, 3])):
            velocities[step] = velocity = PERSISTENCE * velocity + np.sqrt(1 - PERSISTENCE**2) * kick
        for turn in turns(velocities):
            yield rotation
            rotation = turn @ rotation


def turns(velocities: np.ndarray) -> np.ndarray:
    """Returns rotations [N, 3, 3] about axes [N, 3], by angles that are the lengths of the axes in radians, above 0."""
    angles = np.linalg.norm(velocities, axis=-1, keepdims=True)
    return rotation_matrix_3d.from_axis_angle(velocities / angles, angles).numpy()


def _uniform(random: np.random.Generator) -> np.ndarray:
    """A rotation, each as likely as any other: the quaternion is a direction in four dimensions."""
    quaternion = random.normal(size=4)
    return rotation_matrix_3d.from_quaternion(quaternion / np.linalg.norm(quaternion)).numpy()
