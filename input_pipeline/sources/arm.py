"""The robot arm as a source of pairs and landmarks."""

import tensorflow as tf

from input_pipeline.simulation import arm_simulation, roboarm
from input_pipeline.sources import frames
from input_pipeline.views import pairs


class Arm(frames.Frames):
    """Frame pairs of `datasets.roboarm`; the landmarks are the capsule centres, known in all splits."""

    input_size = (arm_simulation.FRAME_SIZE, arm_simulation.FRAME_SIZE)
    normaliser = "image width"

    def count(self, split):
        return super().count(_stored(split))

    def landmarks(self, split, indices, *, batch_size, count=None):
        return self._batches(split, indices, batch_size, count, self._landmarks)

    def _pair(self, records, index, stride):
        names = ("image_a", "image_b", "flow", "visible", "capsule")
        image_a, image_b, flow, visible, capsule = self._decode(records, index, names)
        return pairs.pair_from_flow(image_a, image_b, flow, visible[..., 0], capsule[..., 0], stride)

    def _image(self, records, index):
        image, capsule = self._decode(records, index, ("image_a", "capsule"))
        return {"image": image, "mask": tf.cast(capsule[..., 0] > 0, tf.float32)}

    def _landmarks(self, records, index):
        image, centres, visible = self._decode(records, index, ("image_a", "centres_a", "centres_visible_a"))
        return {
            "image": image,
            "landmarks": centres,
            "annotated": tf.cast(visible, tf.float32),
            "scale": tf.ones([2]),
            "normaliser": tf.cast(tf.shape(image)[1], tf.float32),
            "picture": tf.cast(index, tf.int64),
        }

    def _records(self, split, count):
        return super()._records(_stored(split), count)


def _stored(split):
    return "train" if split == "annotated" else split


def prepare(data):
    """Finds the frames of a `dense_labels.config.DataConfig`, or simulates them; see `frames.prepare`."""
    return Arm(frames.prepare(roboarm.prepare, data))
