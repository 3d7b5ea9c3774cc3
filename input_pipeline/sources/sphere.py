"""The textured sphere as a source of pairs, and of the true place on it that each cell shows."""

import tensorflow as tf

from dense_labels.batches import ImageBatch, PairBatch, SurfaceBatch
from dense_labels.config import Config
from input_pipeline.simulation import sphere, sphere_camera
from input_pipeline.sources import simulated
from input_pipeline.sources.simulated import Records


class Sphere(simulated.Simulated):
    """Frame pairs of `simulation.sphere`; there are no landmarks, but all of the surface is known."""

    input_size = (sphere_camera.FRAME_SIZE, sphere_camera.FRAME_SIZE)
    knows_surface = True

    def landmarks(
        self, split: str, indices: tf.data.Dataset, *, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        raise ValueError("the sphere has no landmarks; give annotated pictures")

    def surfaces(
        self, split: str, indices: tf.data.Dataset, *, stride: int, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        return self._batches(split, indices, batch_size, count, self._surface, stride)

    def _pair(self, records: Records, index: tf.Tensor, stride: int) -> PairBatch:
        image_a, image_b, rotation_a, rotation_b = self._decode(
            records, index, ("image_a", "image_b", "rotation_a", "rotation_b")
        )
        points_in_b, visible = sphere_camera.motion(rotation_a, rotation_b, stride)
        return PairBatch(image_a, image_b, points_in_b, tf.cast(visible, tf.float32))

    def _image(self, records: Records, index: tf.Tensor) -> ImageBatch:
        image, rotation = self._decode(records, index, ("image_a", "rotation_a"))
        return ImageBatch(image, mask=tf.cast(sphere_camera.surface(rotation, stride=1)[1], tf.float32))

    def _surface(self, records: Records, index: tf.Tensor, stride: int) -> SurfaceBatch:
        image, rotation = self._decode(records, index, ("image_a", "rotation_a"))
        places, on_sphere = sphere_camera.surface(rotation, stride)
        return SurfaceBatch(
            image,
            places=places,
            on_object=tf.cast(on_sphere, tf.float32),
            rotation=rotation,
            limb=tf.constant(sphere_camera.LIMB),
        )


def prepare(config: Config) -> Sphere:
    """Finds the frames that a configuration asks for, or draws them; see `simulated.prepare`."""
    return Sphere(simulated.prepare(sphere.prepare, config.data))
