"""The physics of a jointed arm that a changing gravity swings around.

The arm of section 4.1 of the first paper: five capsules in a chain and two more as a fork at its
end, joined by pivots with angle limits and anchored at the bottom left of the frame. Lengths are in
pixels throughout, so gravity, given in metres, is scaled by `PIXELS_PER_METRE`.

**Convention:** the frame's x runs right and y down, its outer top-left corner is (0, 0). A pose is
`(x, y, angle)` of one capsule: its centre, and the direction of its axis in radians from x to y.
"""

from collections.abc import Iterator

import numpy as np
import pymunk

FRAME_SIZE = 90  # pixels
GRAVITY_DEVIATION = 15.0  # m/s^2, of each element
ITERATIONS_PER_GRAVITY = 100
ITERATIONS_PER_FRAME = 20

# The paper gives none of these. With them the fastest point of the arm moves about 5 px from frame
# to frame (95 % of the time between 0.5 and 20 px), and the arm seldom comes to rest.
PIXELS_PER_METRE = 90.0
TIME_STEP = 0.0015  # seconds an iteration
DAMPING = 0.2  # share of its velocity that a free body keeps for a second
ELASTICITY = 0.5  # of capsules and walls: a bounce keeps a quarter of the speed

NUM_LINKS = 5
NUM_CAPSULES = NUM_LINKS + 2
LENGTH = 14.0  # pixels from joint to joint
RADIUS = 4.0  # pixels
ANCHOR = (7.0, 83.0)
REST_ANGLE = -np.pi / 4  # of the whole chain: towards the top right
FORK_ANGLE = np.radians(38.0)  # between the last link and either tine
ANCHOR_LIMIT = np.radians(40.0)
LINK_LIMIT = np.radians(50.0)
FORK_LIMIT = np.radians(14.0)


def simulate(seed: int) -> Iterator[np.ndarray]:
    """Yields the pose of the arm frame by frame, without end.

    Args:
      seed: of the gravity; the same seed gives the same poses, bit for bit.

    Yields:
      float64 [K, 3]: centre x, centre y and angle of each capsule.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    space, bodies = _build_arm()
    while True:
        gravity = random.normal(0.0, GRAVITY_DEVIATION * PIXELS_PER_METRE, 2)
        space.gravity = tuple(gravity.tolist())
        for _ in range(ITERATIONS_PER_GRAVITY // ITERATIONS_PER_FRAME):
            yield np.array([(*body.position, body.angle) for body in bodies])
            for _ in range(ITERATIONS_PER_FRAME):
                space.step(TIME_STEP)


def _build_arm() -> tuple[pymunk.Space, list[pymunk.Body]]:
    """Returns a space holding the walls and the arm at rest, and the arm's bodies in order."""
    space = pymunk.Space()
    space.iterations = 20  # of the solver: the joints stay closed to a third of a pixel
    space.damping = DAMPING
    _add_walls(space)
    bodies: list[pymunk.Body] = []
    parent, joint, angle = space.static_body, np.array(ANCHOR), REST_ANGLE
    for index in range(NUM_LINKS):
        limit = LINK_LIMIT if index else ANCHOR_LIMIT
        bodies.append(_add_capsule(space, parent, joint, angle, limit))
        parent, joint = bodies[-1], joint + LENGTH * _direction(angle)
    for side in (-1, 1):
        tine = _add_capsule(space, parent, joint, angle + side * FORK_ANGLE, FORK_LIMIT)
        bodies.append(tine)
    return space, bodies


def _add_capsule(space, parent, joint, angle, limit) -> pymunk.Body:
    """Adds a capsule that starts at `joint` and may turn by `limit` either way against `parent`."""
    mass, half = 1.0, LENGTH / 2
    body = pymunk.Body(mass, pymunk.moment_for_segment(mass, (-half, 0), (half, 0), RADIUS))
    body.position = tuple((joint + half * _direction(angle)).tolist())
    body.angle = angle
    shape = pymunk.Segment(body, (-half, 0), (half, 0), RADIUS)
    shape.elasticity = ELASTICITY
    shape.filter = pymunk.ShapeFilter(group=1)  # capsules pass each other, walls stop them
    pivot = pymunk.PivotJoint(parent, body, tuple(joint.tolist()))
    rest = angle - parent.angle
    turn = pymunk.RotaryLimitJoint(parent, body, rest - limit, rest + limit)
    space.add(body, shape, pivot, turn)
    return body


def _add_walls(space: pymunk.Space) -> None:
    """Adds four walls around the frame, thick enough that no capsule passes through in a step."""
    thickness = 20.0
    near, far = -thickness, FRAME_SIZE + thickness
    corners = [(near, near), (far, near), (far, far), (near, far)]
    for start, end in zip(corners, corners[1:] + corners[:1]):
        wall = pymunk.Segment(space.static_body, start, end, thickness)
        wall.elasticity = ELASTICITY
        space.add(wall)


def _direction(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)])
