"""Label space: the direction of a label as a place on the sphere and as a colour; which way is up.

Convention: the length of a label is its confidence and its direction its place on the object. Latitude is in
[-pi/2, pi/2], pi/2 at the north pole (0, 0, 1); longitude is in [-pi, pi], 0 along the first axis and pi/2 along the
second. Arrays in, arrays out: nothing here is part of a graph.
"""

from __future__ import annotations

import numpy as np

from dense_labels import compat

math_helpers = compat.graphics("math.math_helpers")
spherical_harmonics = compat.graphics("math.spherical_harmonics")

# The colours are the surface of an ellipsoid in CIELAB (D65): the largest inside the sRGB gamut whose longest axis is
# at most twice its shortest (found by constrained optimisation, rounded inwards). So there is no seam, no pole and no
# clipping, and a turn by one degree is nowhere less than half as visible as elsewhere. A column is where an axis of
# label space points, longest first.
ELLIPSOID_CENTRE = np.array([55.3, 4.2, 4.1])
ELLIPSOID_AXES = np.array([[20.9, 24.7, 23.4], [-43.6, -15.4, 20.8], [44.1, -26.9, 9.4]])
_D65 = np.array([0.95047, 1.0, 1.08883])
_XYZ_TO_LINEAR_RGB = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)
_SMALL = 1e-6  # directions that vary by less than its square root, in radians, do not tell up from down


def latitude_longitude(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns where on the sphere labels point.

    Args:
      labels: [..., 3], of any length; a zero label is given latitude and longitude 0.

    Returns:
      `(latitude, longitude)`: float32 [...] each, in radians.

    Raises:
      ValueError: if labels are not of length 3.
    """
    labels = np.asarray(labels, np.float64)  # in float32 the arc cosine is coarse near the poles
    if labels.ndim < 1 or labels.shape[-1] != 3:
        raise ValueError(f"labels must be [..., 3] to have a latitude; found shape {labels.shape}")
    spherical = math_helpers.cartesian_to_spherical_coordinates(labels).numpy()
    return np.float32(np.pi / 2 - spherical[..., 1]), np.float32(spherical[..., 2])


def from_latitude_longitude(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Returns the unit labels that point to places on the sphere; inverse of `latitude_longitude`.

    Args:
      latitude: [...], radians.
      longitude: [...], radians.

    Returns:
      float32 [..., 3].

    Raises:
      ValueError: if the two differ in shape.
    """
    latitude, longitude = np.asarray(latitude, np.float64), np.asarray(longitude, np.float64)
    if latitude.shape != longitude.shape:
        raise ValueError(f"latitude and longitude must be of one shape; found {latitude.shape} and {longitude.shape}")
    spherical = np.stack([np.ones_like(latitude), np.pi / 2 - latitude, longitude], axis=-1)
    return np.float32(math_helpers.spherical_to_cartesian_coordinates(spherical).numpy())


def colour_basis(reference_labels: np.ndarray) -> np.ndarray:
    """Returns the axes by which a label space of more than three dimensions is seen in three.

    These are the principal axes, through the origin, of the directions of the reference labels, scaled so that the
    projected directions have a root mean square length of 1. Use one basis for all pictures that are to be compared.

    Args:
      reference_labels: [..., L] with L >= 3, for instance the foreground labels of a few images.

    Returns:
      float32 [L, 3], in order of falling variance; the largest entry of each column is positive.

    Raises:
      ValueError: if labels have fewer than three dimensions, or all are zero.
    """
    reference_labels = np.asarray(reference_labels)
    if reference_labels.ndim < 2 or reference_labels.shape[-1] < 3:
        raise ValueError(f"reference_labels must be [..., L] with L >= 3; found shape {reference_labels.shape}")
    directions = _directions(reference_labels).reshape(-1, reference_labels.shape[-1])
    if not np.any(directions):
        raise ValueError("reference_labels must hold at least one label that is not zero")
    moment = directions.T @ directions / len(directions)  # [L, L]
    variances, axes = np.linalg.eigh(moment)
    variances, axes = variances[:-4:-1], axes[:, :-4:-1]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[np.newaxis], axis=0)
    return np.float32(axes * np.sign(largest) / np.sqrt(variances.sum()))


def label_colours(labels: np.ndarray, basis: np.ndarray | None = None) -> np.ndarray:
    """Returns the colour of each label: the same direction always has the same colour.

    The map is continuous over the whole sphere, without a seam. L = 2 is the equator of L = 3; L > 3 is seen through
    `basis`, and directions that the basis does not show turn grey. A zero label is grey.

    Args:
      labels: [..., L] with L >= 2.
      basis: [L, 3] from `colour_basis`; needed for L > 3, optional otherwise.

    Returns:
      float32 [..., 3], sRGB in [0, 1].

    Raises:
      ValueError: if L < 2, if L > 3 without a basis, or if the basis does not fit the labels.
    """
    projected = project(labels, basis)
    projected /= np.maximum(np.linalg.norm(projected, axis=-1, keepdims=True), 1.0)
    return _srgb(ELLIPSOID_CENTRE + projected @ ELLIPSOID_AXES.T)


def upright_rotation(labels: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Returns the rotation of label space that puts the object in the middle of the map, top up.

    The mean direction goes to latitude and longitude 0. The pixels' y is fitted by least squares as a linear function
    of the direction; the way it falls fastest, at the mean direction, goes to the north pole. A label space that a
    network has learnt mirrored stays mirrored.

    Convention: `labels @ rotation.T` are the rotated labels. So `rotation.T` is a basis that turns pictures of L = 3,
    and `basis @ rotation.T` one of L > 3, where the rotation is that of `labels @ basis`.

    Args:
      labels: [..., 3], on the object, of any number of images together.
      points: [..., 2], (x, y) in pixels, where in their images the labels are.

    Returns:
      float32 [3, 3], orthonormal with determinant 1.

    Raises:
      ValueError: if the shapes do not agree, the directions have no mean, or y does not depend on them.
    """
    labels, points = np.asarray(labels), np.asarray(points, np.float64)
    if labels.shape[-1:] != (3,) or points.shape != labels.shape[:-1] + (2,) or not labels.size:
        raise ValueError(f"labels must be [..., 3] and points [..., 2]; found shapes {labels.shape} and {points.shape}")
    directions, y = _directions(labels).reshape(-1, 3), points[..., 1].ravel()
    mean = directions.mean(axis=0)
    if np.linalg.norm(mean) < 1e-3:
        raise ValueError("labels point in all directions alike, so none is the middle; give those on the object alone")
    front = _directions(mean)
    centred = directions - mean
    moment = centred.T @ centred / len(y) + _SMALL * np.eye(3)
    rise = -np.linalg.solve(moment, centred.T @ y / len(y))  # of the object, so against y
    rise -= rise @ front * front
    if np.linalg.norm(rise) < 1e-3:
        raise ValueError("y does not change with the labels, so none is up; give labels from all over the object")
    up = _directions(rise)
    return np.float32([front, np.cross(up, front), up])


def harmonics(labels: np.ndarray, degree: int) -> np.ndarray:
    """Returns the real spherical harmonics of the directions of labels, a basis of smooth functions on the sphere.

    Args:
      labels: [N, 3], of any length; a zero label is taken to lie at latitude and longitude 0.
      degree: the highest, 0 or more.

    Returns:
      float64 [N, (degree + 1)^2], orthonormal over the sphere.

    Raises:
      ValueError: if labels are not of length 3.
    """
    latitude, longitude = (np.asarray(values, np.float64)[..., np.newaxis] for values in latitude_longitude(labels))
    degrees, orders = (
        np.broadcast_to(values, [len(latitude), len(values)])
        for values in spherical_harmonics.generate_l_m_permutations(degree)
    )
    polar, azimuth = np.clip(np.pi / 2 - latitude, 0, np.pi), longitude % (2 * np.pi)
    return spherical_harmonics.evaluate_spherical_harmonics(degrees, orders, polar, azimuth).numpy()


def project(labels: np.ndarray, basis: np.ndarray | None = None) -> np.ndarray:
    """Returns the directions of labels in three dimensions.

    Args:
      labels: [..., L] with L >= 2.
      basis: [L, 3] from `colour_basis`; needed for L > 3, optional otherwise.

    Returns:
      float64 [..., 3], of length 1 for L <= 3 without a basis, or 0 for a zero label.

    Raises:
      ValueError: if L < 2, if L > 3 without a basis, or if the basis does not fit the labels.
    """
    shape = np.shape(labels)
    length = shape[-1] if shape else 0
    if length < 2:
        raise ValueError(f"labels must be [..., L] with L >= 2; found shape {shape}")
    if basis is None:
        if length > 3:
            raise ValueError(f"labels of length {length} need a basis: pass basis=colour_basis(reference_labels)")
        basis = np.eye(length, 3)
    if np.shape(basis) != (length, 3):
        raise ValueError(f"basis must be [{length}, 3] for labels of length {length}; found shape {np.shape(basis)}")
    return _directions(labels) @ np.asarray(basis, np.float64)


def _directions(labels: np.ndarray) -> np.ndarray:
    """Returns labels made unit length, zero where a label is."""
    labels = np.asarray(labels, np.float64)
    return labels / np.maximum(np.linalg.norm(labels, axis=-1, keepdims=True), 1e-12)


def _srgb(lab: np.ndarray) -> np.ndarray:
    """Turns CIELAB (D65) into sRGB, float32 in [0, 1]."""
    lightness, a, b = np.moveaxis(lab, -1, 0)
    middle = (lightness + 16) / 116
    root = np.stack([middle + a / 500, middle, middle - b / 200], axis=-1)
    ratio = np.where(root > 6 / 29, root**3, 3 * (6 / 29) ** 2 * (root - 4 / 29))
    linear = np.clip((ratio * _D65) @ _XYZ_TO_LINEAR_RGB.T, 0, 1)
    encoded = 1.055 * linear ** (1 / 2.4) - 0.055
    return np.float32(np.where(linear <= 0.0031308, 12.92 * linear, encoded))
