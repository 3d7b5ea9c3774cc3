"""The textured sphere as a source of pairs, and of the true place on it that each cell shows."""

import tensorflow as tf

from input_pipeline.simulation import sphere, sphere_camera
from input_pipeline.sources import frames


class Sphere(frames.Frames):
    """Frame pairs of `datasets.sphere`; there are no landmarks, but all of the surface is known."""

    input_size = (sphere_camera.FRAME_SIZE, sphere_camera.FRAME_SIZE)
    normaliser = ""
    knows_surface = True

    def landmarks(self, split, indices, *, batch_size, count=None):
        raise ValueError("the sphere has no landmarks; give annotated pictures")

    def surfaces(self, split, indices, *, stride, batch_size, count=None):
        return self._batches(split, indices, batch_size, count, self._surface, stride)

    def _pair(self, records, index, stride):
        names = ("image_a", "image_b", "rotation_a", "rotation_b")
        image_a, image_b, rotation_a, rotation_b = self._decode(records, index, names)
        points_in_b, visible = sphere_camera.motion(rotation_a, rotation_b, stride)
        return {
            "image_a": image_a,
            "image_b": image_b,
            "points_in_b": points_in_b,
            "visible": tf.cast(visible, tf.float32),
        }

    def _image(self, records, index):
        image, rotation = self._decode(records, index, ("image_a", "rotation_a"))
        return {"image": image, "mask": tf.cast(sphere_camera.surface(rotation, stride=1)[1], tf.float32)}

    def _surface(self, records, index, stride):
        image, rotation = self._decode(records, index, ("image_a", "rotation_a"))
        places, on_sphere = sphere_camera.surface(rotation, stride)
        return {
            "image": image,
            "places": places,
            "on_object": tf.cast(on_sphere, tf.float32),
            "rotation": rotation,
            "limb": tf.constant(sphere_camera.LIMB),
        }


def prepare(data):
    """Finds the frames of a `dense_labels.config.DataConfig`, or draws them; see `frames.prepare`."""
    return Sphere(frames.prepare(sphere.prepare, data))
