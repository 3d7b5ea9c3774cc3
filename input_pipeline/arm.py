"""The robot arm as a source of pairs: two frames and the flow between them."""

import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format

from input_pipeline import pairs, sources
from input_pipeline.datasets import arm_simulation, roboarm


class Arm(sources.Source):
    """Frame pairs of `datasets.roboarm`; the landmarks are the capsule centres, known in all splits.

    Splits are stored shuffled, so the first examples of one are from all over it. All encoded frames that are used of a
    split are held in memory.
    """

    input_size = (arm_simulation.FRAME_SIZE, arm_simulation.FRAME_SIZE)
    normaliser = "image width"

    def __init__(self, builder):
        """Creates the source of a prepared `tfds.core.DatasetBuilder`."""
        self._builder = builder

    def count(self, split):
        splits = self._builder.info.splits
        return splits[_stored(split)].num_examples if _stored(split) in splits else 0

    def pairs(self, split, indices, *, stride, batch_size, count=None):
        records = self._records(split, count)

        def pair(index, _):
            names = ("image_a", "image_b", "flow", "visible", "capsule")
            image_a, image_b, flow, visible, capsule = self._decode(records, index, names)
            return pairs.pair_from_flow(
                tf.image.convert_image_dtype(image_a, tf.float32),
                tf.image.convert_image_dtype(image_b, tf.float32),
                flow,
                visible[..., 0],
                capsule[..., 0],
                stride,
            )

        return indices.map(pair, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)

    def images(self, split, indices, *, batch_size, count=None):
        records = self._records(split, count)

        def image(index, _):
            image, capsule = self._decode(records, index, ("image_a", "capsule"))
            mask = tf.cast(capsule[..., 0] > 0, tf.float32)
            return {"image": tf.image.convert_image_dtype(image, tf.float32), "mask": mask}

        return indices.map(image, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)

    def landmarks(self, split, indices, *, batch_size, count=None):
        records = self._records(split, count)

        def landmarks(index, _):
            names = ("image_a", "centres_a", "centres_visible_a")
            image, centres, visible = self._decode(records, index, names)
            return {
                "image": tf.image.convert_image_dtype(image, tf.float32),
                "landmarks": centres,
                "annotated": tf.cast(visible, tf.float32),
                "scale": tf.ones([2]),
                "normaliser": tf.cast(tf.shape(image)[1], tf.float32),
                "picture": tf.cast(index, tf.int64),
            }

        return indices.map(landmarks, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)

    def _records(self, split, count):
        """The first `count` examples of a split, or all, nothing of them decoded: name -> tensor [count]."""
        examples = self.count(split)
        config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        decoders = {name: tfds.decode.SkipDecoding() for name in self._builder.info.features}
        dataset = self._builder.as_dataset(
            split=_stored(split), shuffle_files=False, decoders=decoders, read_config=config
        )
        try:
            return next(iter(dataset.batch(min(count or examples, examples))))
        except (tf.errors.DataLossError, tf.errors.FailedPreconditionError, tf.errors.NotFoundError) as error:
            folder = self._builder.data_path
            raise ValueError(
                f"a file in {folder} is damaged or gone; delete that folder and run again to rebuild it"
            ) from error

    def _decode(self, records, index, names):
        return [self._builder.info.features[name].decode_example(records[name][index]) for name in names]


def _stored(split):
    return "train" if split == "annotated" else split


def prepare(data):
    """Finds the frames, or simulates them.

    Args:
      data: `dense_labels.config.DataConfig`.

    Returns:
      An `Arm`.

    Raises:
      ValueError: if the data set on disk is damaged.
      OSError: if it cannot be written.
    """
    try:
        return Arm(roboarm.prepare(data.dir, num_pairs=data.num_pairs, seed=data.seed))
    except json_format.ParseError as error:
        raise ValueError(f"the data set in {data.dir} is damaged; delete it and run again ({error})") from error
