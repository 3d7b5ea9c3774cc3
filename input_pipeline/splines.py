"""Thin-plate splines fitted to points, landmarks for instance.

With n a point of the normalised frame (its centre is (0, 0), its longer side runs from -1 to 1) and c_k the view
points,

    f(n) = sum_k weights[k] U(|n - c_k|) + affine(n),   U(r) = r^2 log r,

which among all maps that take the view points to the source points bends least (Bookstein, "Principal warps", PAMI
1989). The warps that are drawn, in `warps`, have fixed centres instead, and no linear system.
"""

import warnings

import tensorflow as tf

with warnings.catch_warnings():  # that the package will not be developed further is known, and no user's matter
    warnings.filterwarnings("ignore", message=r"\s*TensorFlow Addons")
    import tensorflow_addons as tfa

_NEAREST = 1e-5  # of half the longer side: points closer than this are one point
_FLATTEST = 1e-5  # points whose deviation across their line is this part of that along it are on the line


def fit_tps(view_points, source_points, size, *, smoothing=0.0):
    """Fits a thin-plate spline that takes points of a view to points of its source.

    Solved in double precision, at each call of the map that is returned; a call keeps B N K numbers a few times over.

    Args:
      view_points: [B, K, 2], (x, y) in pixels; no two alike, for without smoothing they are met exactly, and not all
        on one line; K >= 3.
      source_points: [B, K, 2], (x, y) in pixels, where each view point is found in the source.
      size: `(height, width)` of the frame in pixels, two ints; only rounding depends on it.
      smoothing: 0 meets the points exactly; the larger, the nearer the map is to the affine one of least squares, and
        the farther from the points. In square pixels: the number that `scipy.interpolate.RBFInterpolator` with the
        kernel "thin_plate_spline" takes for the same points. Where pixels are s times as many, the same map needs
        s^2 times the number.

    Returns:
      A `view_to_source` map: a function of points [B, ..., 2] that returns float32 [B, ..., 2], both in pixels.

    Raises:
      ValueError: if the points are not [B, K, 2], both alike, of K >= 3, or `smoothing` is negative.
      tf.errors.InvalidArgumentError: if view points coincide (allowed with smoothing), lie on one line, or are not
        finite.
    """
    view_points, source_points = tf.convert_to_tensor(view_points), tf.convert_to_tensor(source_points)
    _check_shapes(view_points, source_points)
    if not smoothing >= 0:
        raise ValueError(f"smoothing={smoothing} must not be negative; 0 meets the points exactly")
    half = max(size) / 2
    centre = tf.constant([size[1] / 2, size[0] / 2], tf.float64)

    def normalised(points):
        return (tf.cast(points, tf.float64) - centre) / half

    centres, values = _checked(normalised(view_points), distinct=smoothing == 0), normalised(source_points)

    def view_to_source(points):
        points = tf.convert_to_tensor(points)
        shape = tf.shape(points)
        flat = normalised(tf.reshape(points, [shape[0], -1, 2]))
        found = tfa.image.interpolate_spline(centres, values, flat, order=2, regularization_weight=smoothing / half**2)
        return tf.reshape(tf.cast(found * half + centre, tf.float32), shape)

    return view_to_source


def _check_shapes(view_points, source_points):
    found = f"found {view_points.shape} and {source_points.shape}"
    if any(points.shape.rank != 3 or points.shape[-1] != 2 for points in (view_points, source_points)):
        raise ValueError(f"view_points and source_points must be [B, K, 2]; {found}")
    if not view_points.shape.is_compatible_with(source_points.shape):
        raise ValueError(f"each of the view_points needs its one of the source_points; {found}")
    if view_points.shape[1] is not None and view_points.shape[1] < 3:
        raise ValueError(f"a thin-plate spline needs 3 points or more; {found}")


def _checked(centres, *, distinct):
    """The centres [B, K, 2], once it is certain that the linear system can be solved."""
    offsets = centres - tf.reduce_mean(centres, axis=1, keepdims=True)
    spread = tf.matmul(offsets, offsets, transpose_a=True)  # [B, 2, 2]
    checks = [
        tf.debugging.assert_greater(
            tf.linalg.det(spread),
            tf.square(_FLATTEST * tf.linalg.trace(spread)),
            "view_points must be finite and not all on one line; give points that span the plane",
        )
    ]
    if distinct:
        squares = tf.reduce_sum(tf.square(centres[:, :, tf.newaxis] - centres[:, tf.newaxis]), axis=-1)  # [B, K, K]
        apart = tf.linalg.set_diag(squares, tf.ones_like(squares[..., 0]))
        message = "view_points must not coincide; leave one of the two out, or give smoothing > 0"
        checks.append(tf.debugging.assert_greater(apart, tf.cast(_NEAREST**2, apart.dtype), message))
    with tf.control_dependencies([check for check in checks if check is not None]):  # None: checked already, eagerly
        return tf.identity(centres)
