"""The robot arm as a source of pairs and landmarks."""

import tensorflow as tf

from dense_labels.batches import ImageBatch, LandmarkBatch, PairBatch
from dense_labels.config import Config
from input_pipeline.simulation import arm_simulation, roboarm
from input_pipeline.sources import simulated
from input_pipeline.sources.simulated import Records
from input_pipeline.views import pairs


class RobotArm(simulated.Simulated):
    """Frame pairs of `simulation.roboarm`; the landmarks are the capsule centres, known in all splits."""

    input_size = (arm_simulation.FRAME_SIZE, arm_simulation.FRAME_SIZE)
    normaliser = "image width"

    def count(self, split: str) -> int:
        return super().count(_stored(split))

    def landmarks(
        self, split: str, indices: tf.data.Dataset, *, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        return self._batches(split, indices, batch_size, count, self._landmarks)

    def _pair(self, records: Records, index: tf.Tensor, stride: int) -> PairBatch:
        image_a, image_b, flow, visible, capsule = self._decode(
            records, index, ("image_a", "image_b", "flow", "visible", "capsule")
        )
        return pairs.pair_from_flow(image_a, image_b, flow, visible[..., 0], capsule[..., 0], stride=stride)

    def _image(self, records: Records, index: tf.Tensor) -> ImageBatch:
        image, capsule = self._decode(records, index, ("image_a", "capsule"))
        return ImageBatch(image, mask=tf.cast(capsule[..., 0] > 0, tf.float32))

    def _landmarks(self, records: Records, index: tf.Tensor) -> LandmarkBatch:
        image, centres, visible = self._decode(records, index, ("image_a", "centres_a", "centres_visible_a"))
        return LandmarkBatch(
            image,
            landmarks=centres,
            annotated=tf.cast(visible, tf.float32),
            scale=tf.ones([2]),
            normaliser=tf.cast(tf.shape(image)[1], tf.float32),
            picture=tf.cast(index, tf.int64),
        )

    def _records(self, split: str, count: int | None) -> Records:
        return super()._records(_stored(split), count)


def _stored(split: str) -> str:
    return "train" if split == "annotated" else split


def prepare(config: Config) -> RobotArm:
    """Finds the frames that a configuration asks for, or simulates them; see `simulated.prepare`."""
    return RobotArm(simulated.prepare(roboarm.prepare, config.data))
