"""What stands in for TensorFlow Addons, TensorFlow Graphics and Keras 2 where they are not: on Python 3.12 and newer.

All have the names, arguments and results (to 1e-5, of finite numbers) of what they stand in for; `compat` chooses.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import spatial, special

_NUMBERED = re.compile(r"variable(_\d+)?")  # the names that Keras 3 gives weights without one


@tf.function(jit_compile=True, autograph=False)  # at least twice as fast as one operation after the other
def resampler(data: tf.Tensor, warp: tf.Tensor) -> tf.Tensor:
    """As `tfa.image.resampler`: reads maps [B, h, w, C] bilinearly at (x, y) [B, ..., 2], 0 a pixel beyond the border.

    It is compiled for each shape, in some tenths of a second.
    """
    count, height, width, channels = tf.unstack(tf.shape(data))
    pixels = tf.reshape(data, [-1, channels])
    points = tf.reshape(warp, [count, -1, 2])
    first = tf.floor(points)
    after = points - first
    left, top = tf.unstack(tf.cast(first, tf.int32), axis=-1)
    image = tf.range(count)[:, tf.newaxis] * height * width
    corners = []
    for x, of_x in ((left, 1 - after[..., 0]), (left + 1, after[..., 0])):
        for y, of_y in ((top, 1 - after[..., 1]), (top + 1, after[..., 1])):
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            at = image + tf.clip_by_value(y, 0, height - 1) * width + tf.clip_by_value(x, 0, width - 1)
            share = tf.where(inside, of_x * of_y, tf.zeros_like(of_x))
            corners.append(tf.gather(pixels, at) * share[..., tf.newaxis])
    return tf.reshape(tf.add_n(corners), tf.concat([tf.shape(warp)[:-1], [channels]], axis=0))


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class BatchNormalization(tf.keras.layers.BatchNormalization):
    """As that of Keras 2: TensorFlow's fused operation, where Keras 3 makes a dozen passes over the maps [B, H, W, C].

    A training step of MobileNetV2 takes Keras 3 1.8 times as long, one of SIMPLE up to 1.3 times. In float64, which the
    operation has not, it is Keras 3's own.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        """Normalises by the statistics of the batch in training, by those that were kept otherwise; no mask is read."""
        if self.compute_dtype == "float64":
            return super().call(inputs, training=training, mask=mask)
        kept = [tf.cast(each, tf.float32) for each in (self.moving_mean, self.moving_variance)]
        by_batch = bool(training and self.trainable)
        outputs, *statistics = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.cast(self.gamma, tf.float32),
            offset=tf.cast(self.beta, tf.float32),
            mean=tf.zeros([0]) if by_batch else kept[0],
            variance=tf.zeros([0]) if by_batch else kept[1],
            epsilon=self.epsilon,
            is_training=by_batch,
        )[:3]
        if by_batch:
            for variable, old, new in zip((self.moving_mean, self.moving_variance), kept, statistics):
                variable.assign(old * self.momentum + new * (1 - self.momentum))
        return outputs


def tracked(network: tf.keras.Model) -> tf.train.Checkpoint:
    """As Keras 2 tracks the weights of a network for a checkpoint: by the attributes of its layers.

    Raises:
      ValueError: if two weights of a layer would have one name, of which a checkpoint would hold one.
    """
    return _checkpoint(_weights(network, ()))


def _weights(part: Any, above: tuple[int, ...]) -> dict[str, Any]:
    """The weights of a layer, or of layers in a list or dictionary, by name; those of layers within in dictionaries."""
    layer = tf.keras.layers.Layer
    named: dict[str, Any]
    if isinstance(part, (list, tuple)):
        named = {str(k): each for k, each in enumerate(part)}
    elif isinstance(part, dict):
        named = part
    elif isinstance(part, tf.keras.Sequential) or hasattr(part, "operations"):  # as functional models alone have
        named = {f"layer_with_weights-{k}": each for k, each in enumerate(each for each in part.layers if each.weights)}
    else:
        of_all = {*vars(layer()), "_self_unconditional_dependency_names"}
        named = {name: each for name, each in vars(part).items() if name not in of_all}
    above = (*above, id(part))
    within = {str(k): each for k, each in named.items() if isinstance(each, (layer, list, tuple, dict))}
    found = {name: _weights(each, above) for name, each in within.items() if id(each) not in above}
    found = {name: each for name, each in found.items() if each}
    below = {id(each) for each in tf.nest.flatten(found)}
    own = [weight for weight in getattr(part, "weights", ()) if id(weight) not in below]
    for weight in own:
        name = weight.name
        if _NUMBERED.fullmatch(name) or [each.name for each in own].count(name) > 1:
            name = next((k for k, each in named.items() if each is weight), name)
        if name == "kernel" and isinstance(part, tf.keras.layers.DepthwiseConv2D):
            name = "depthwise_kernel"
        if name in found:
            raise ValueError(f"{part.name} has two weights {name}: keep each of its weights and layers in an attribute")
        found[name] = weight
    return found


def _checkpoint(found: dict[str, Any]) -> tf.train.Checkpoint:
    parts = {name: _checkpoint(each) if isinstance(each, dict) else each.value for name, each in found.items()}
    return tf.train.Checkpoint(**parts)


def ray(point_2d: tf.Tensor, focal: tf.Tensor, principal_point: tf.Tensor) -> tf.Tensor:
    """As `perspective.ray`: the rays [..., 3], of depth 1, that a camera sees at points [..., 2]."""
    across = (point_2d - principal_point) / focal
    return tf.concat([across, tf.ones_like(across[..., :1])], axis=-1)


def project(point_3d: tf.Tensor, focal: tf.Tensor, principal_point: tf.Tensor) -> tf.Tensor:
    """As `perspective.project`: where a camera sees points [..., 3] of its coordinates, [..., 2]."""
    return point_3d[..., :2] / point_3d[..., 2:] * focal + principal_point


def from_axis_angle(axis: np.ndarray, angle: np.ndarray) -> tf.Tensor:
    """As `rotation_matrix_3d.from_axis_angle`: rotations [..., 3, 3] about unit axes [..., 3] by angles [..., 1]."""
    return tf.constant(spatial.transform.Rotation.from_rotvec(axis * angle).as_matrix())


def from_quaternion(quaternion: np.ndarray) -> tf.Tensor:
    """As `rotation_matrix_3d.from_quaternion`: rotations [..., 3, 3] of unit quaternions x, y, z, w [..., 4]."""
    return tf.constant(spatial.transform.Rotation.from_quat(quaternion).as_matrix())


def cartesian_to_spherical_coordinates(point_cartesian: np.ndarray) -> tf.Tensor:
    """As `math_helpers`: the length, the angle from the z axis and that about it of vectors [..., 3]."""
    x, y, z = np.moveaxis(point_cartesian, -1, 0)
    length = np.linalg.norm(point_cartesian, axis=-1)
    cosine = np.divide(z, length, out=np.zeros_like(length), where=length > 0)
    return tf.constant(np.stack([length, np.arccos(np.clip(cosine, -1, 1)), np.arctan2(y, x)], axis=-1))


def spherical_to_cartesian_coordinates(point_spherical: np.ndarray) -> tf.Tensor:
    """As `math_helpers`: the inverse of `cartesian_to_spherical_coordinates`."""
    length, polar, azimuth = np.moveaxis(point_spherical, -1, 0)
    across = length * np.sin(polar)
    return tf.constant(np.stack([across * np.cos(azimuth), across * np.sin(azimuth), length * np.cos(polar)], axis=-1))


def generate_l_m_permutations(max_band: int) -> tuple[tf.Tensor, tf.Tensor]:
    """As `spherical_harmonics`: degree and order of all harmonics up to a degree, [(max_band + 1)^2] each."""
    pairs = [(degree, order) for degree in range(max_band + 1) for order in range(-degree, degree + 1)]
    degrees, orders = np.transpose(pairs)
    return tf.constant(degrees), tf.constant(orders)


def evaluate_spherical_harmonics(
    degree_l: np.ndarray, order_m: np.ndarray, theta: np.ndarray, phi: np.ndarray
) -> tf.Tensor:
    """As `spherical_harmonics`: the real harmonics [N, K] of degrees and orders [N, K] at angles [N, 1]."""
    values = special.sph_harm_y(degree_l, np.abs(order_m), theta, phi)
    parts = np.where(order_m < 0, values.imag, values.real)
    return tf.constant(np.where(order_m == 0, parts, np.sqrt(2) * parts))
