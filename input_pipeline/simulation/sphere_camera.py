"""The camera of the textured sphere: which point of the surface a pixel shows, and where a point is seen.

Convention: camera coordinates have x right, y down and z away from the camera, which is at the origin; the sphere, of
radius 1, has its centre at (0, 0, DISTANCE). A point of its surface is named by the unit vector from the centre to it:
by its normal in camera coordinates, or by its place on the sphere, in coordinates that turn with the sphere. A rotation
R takes the second to the first, `normal = R place`. All functions are exact, and of tensors: they may lie on a graph.
"""

import tensorflow as tf

from dense_labels import compat
from dense_labels.batches import Array
from dense_labels.method import geometry

perspective = compat.graphics("rendering.camera.perspective")

FRAME_SIZE = 90  # pixels
DISTANCE = 4.0  # radii from the camera to the sphere's centre
FOCAL = 150.0  # pixels: the outline of the sphere is a circle 39 pixels in radius
LIMB = 1.0 / DISTANCE  # cosine of the angle, from the point nearest the camera, at which the surface turns out of sight

_INTRINSICS = ([FOCAL, FOCAL], [FRAME_SIZE / 2, FRAME_SIZE / 2])


def normals_at(points: Array) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the normals of the surface at the places that are seen at points of the frame.

    Args:
      points: [..., 2], (x, y) in pixels.

    Returns:
      `(normals, hit)`: float64 [..., 3], unit vectors in camera coordinates, 0 where the ray misses the sphere; and
      bool [...], where it does not.
    """
    points = tf.cast(points, tf.float64)
    rays = perspective.ray(points, *(tf.constant(values, tf.float64) for values in _INTRINSICS))
    squared = tf.reduce_sum(rays**2, axis=-1)
    discriminant = DISTANCE**2 - squared * (DISTANCE**2 - 1.0)  # of |depth * ray - centre| = 1; ray z is 1
    hit = discriminant >= 0
    depth = (DISTANCE - tf.sqrt(tf.maximum(discriminant, 0.0))) / squared
    normals = depth[..., tf.newaxis] * rays - [0.0, 0.0, DISTANCE]
    return tf.where(hit[..., tf.newaxis], normals, 0.0), hit


def project(normals: Array) -> tf.Tensor:
    """Projects points of the surface into the frame, whether the sphere hides them or not.

    Args:
      normals: [..., 3], unit vectors in camera coordinates.

    Returns:
      [..., 2], (x, y) in pixels.
    """
    normals = tf.convert_to_tensor(normals)
    points = normals + tf.constant([0.0, 0.0, DISTANCE], normals.dtype)
    return perspective.project(points, *(tf.constant(values, normals.dtype) for values in _INTRINSICS))


def faces_camera(normals: Array) -> tf.Tensor:
    """Says which points of the surface the camera sees: bool [...] of unit vectors [..., 3] in camera coordinates."""
    return -tf.convert_to_tensor(normals)[..., 2] > LIMB


def surface(rotation: Array, stride: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the place on the sphere that is seen at the centre of each cell of a frame.

    Args:
      rotation: float [3, 3], of the sphere in the frame.
      stride: side of a cell in pixels; 1 for each pixel.

    Returns:
      `(places, on_sphere)`: [h, w, 3], unit vectors that turn with the sphere, 0 on the background; and bool [h, w].
    """
    rotation = tf.convert_to_tensor(rotation)
    cells = FRAME_SIZE // stride
    normals, on_sphere = normals_at(geometry.cell_centres(cells, cells, stride))
    return tf.einsum("hwi,ij->hwj", tf.cast(normals, rotation.dtype), rotation), on_sphere


def motion(rotation_a: Array, rotation_b: Array, stride: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns where the point at the centre of each cell of A is found in B, and whether it is seen there.

    Args:
      rotation_a: float [3, 3], of the sphere in A.
      rotation_b: the same in B.
      stride: side of a cell in pixels; 1 for each pixel.

    Returns:
      `(points_in_b, visible)`: [h, w, 2], (x, y) in pixels, the cell's own centre on the background; and bool [h, w],
      true where the cell is on the sphere and B does not hide its point. The flow is `points_in_b` less the centres.
    """
    places, on_sphere = surface(rotation_a, stride)
    normals = tf.einsum("hwi,ji->hwj", places, rotation_b)
    cells = FRAME_SIZE // stride
    centres = tf.cast(geometry.cell_centres(cells, cells, stride), normals.dtype)
    return tf.where(on_sphere[..., tf.newaxis], project(normals), centres), on_sphere & faces_camera(normals)
