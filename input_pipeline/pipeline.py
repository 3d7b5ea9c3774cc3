"""From stored frames to batches: read, shuffle, repeat, map, batch, prefetch."""

import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format

from input_pipeline import pairs
from input_pipeline.datasets import roboarm


def prepare(data):
    """Finds the data set a configuration names, or builds it.

    Args:
      data: `dense_labels.config.DataConfig`.

    Returns:
      The prepared `tfds.core.DatasetBuilder`.

    Raises:
      ValueError: if the data set on disk is damaged.
      OSError: if it cannot be written.
    """
    try:
        return roboarm.prepare(data.dir, num_pairs=data.num_pairs, seed=data.seed)
    except json_format.ParseError as error:
        raise ValueError(f"the data set in {data.dir} is damaged; delete it and run again ({error})") from error


def training_pairs(builder, *, stride, batch_size, seed, start_step=0, input_context=None):
    """Endless shuffled PairBatches of the training split.

    The order is a function of the seed alone. Batch k of one process and the k-th batches of several workers together
    hold the same pairs, and a run that starts at `start_step` meets the batches that a run from 0 meets there. All
    encoded frames of the split are held in memory.

    Args:
      builder: what `prepare` returned.
      stride: side of a cell of the label map in pixels.
      batch_size: pairs, over all replicas.
      seed: of the order.
      start_step: how many global batches to pass over.
      input_context: `tf.distribute.InputContext` where the input is distributed.

    Returns:
      `tf.data.Dataset` of PairBatches of `batch_size` / replicas pairs.

    Raises:
      ValueError: if the batch cannot be shared evenly by the replicas, or is larger than the split, or a file of the
        data set is damaged or gone.
    """
    examples = builder.info.splits["train"].num_examples
    if batch_size > examples:
        raise ValueError(f"config.train.batch_size={batch_size} is more than the {examples} training pairs")
    records = _records(builder, "train")
    dataset = tf.data.Dataset.counter().flat_map(_shuffled(examples, seed))
    dataset = dataset.skip(start_step * batch_size)
    if input_context is not None:
        replicas = input_context.num_replicas_in_sync
        if batch_size % replicas:
            raise ValueError(f"config.train.batch_size={batch_size} cannot be shared by {replicas} replicas")
        dataset = dataset.shard(input_context.num_input_pipelines, input_context.input_pipeline_id)
        batch_size //= replicas
    pair = _pair(builder, stride)
    dataset = dataset.map(
        lambda index: pair({name: values[index] for name, values in records.items()}),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    dataset = dataset.batch(batch_size, drop_remainder=True)
    return dataset.prefetch(tf.data.AUTOTUNE)


def example_pairs(builder, split, *, stride, count):
    """A few pairs of a split, for pictures; always the same, and from all over it, for splits are stored shuffled.

    Args:
      builder: what `prepare` returned.
      split: name of the split.
      stride: side of a cell of the label map in pixels.
      count: how many pairs.

    Returns:
      One PairBatch of `count` pairs (all of the split where it has fewer).

    Raises:
      ValueError: if a file of the data set is damaged or gone.
    """
    dataset = tf.data.Dataset.from_tensor_slices(_records(builder, split, count)).map(_pair(builder, stride))
    return next(iter(dataset.batch(count)))


def landmark_batches(builder, split, *, batch_size, count=None):
    """LandmarkBatches of a split in stored order, which is shuffled; the landmarks are the capsule centres.

    Args:
      builder: what `prepare` returned.
      split: name of the split.
      batch_size: images of a batch; the last may be smaller.
      count: how many images; None for all.

    Returns:
      `tf.data.Dataset` of LandmarkBatches; `annotated` is 1 where a centre is seen; `normaliser` is the image's width.

    Raises:
      ValueError: if a file of the data set is damaged or gone.
    """
    dataset = tf.data.Dataset.from_tensor_slices(_records(builder, split, count))
    dataset = dataset.map(_landmarks(builder), num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _shuffled(examples, seed):
    def indices(epoch):
        order = tf.random.experimental.stateless_shuffle(tf.range(examples), seed=[seed, epoch])
        return tf.data.Dataset.from_tensor_slices(order)

    return indices


def _records(builder, split, count=None):
    """The first `count` examples of a split, or all, nothing of them decoded: name -> tensor [count]."""
    examples = builder.info.splits[split].num_examples
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    decoders = {name: tfds.decode.SkipDecoding() for name in builder.info.features}
    dataset = builder.as_dataset(split=split, shuffle_files=False, decoders=decoders, read_config=config)
    try:
        return next(iter(dataset.batch(min(count or examples, examples))))
    except (tf.errors.DataLossError, tf.errors.FailedPreconditionError, tf.errors.NotFoundError) as error:
        raise ValueError(
            f"a file in {builder.data_path} is damaged or gone; delete that folder and run again to rebuild it"
        ) from error


def _decode(builder, record, names):
    return [builder.info.features[name].decode_example(record[name]) for name in names]


def _pair(builder, stride):
    names = ("image_a", "image_b", "flow", "visible", "capsule")

    def pair(record):
        image_a, image_b, flow, visible, capsule = _decode(builder, record, names)
        return pairs.pair_from_flow(
            tf.image.convert_image_dtype(image_a, tf.float32),
            tf.image.convert_image_dtype(image_b, tf.float32),
            flow,
            visible[..., 0],
            capsule[..., 0],
            stride,
        )

    return pair


def _landmarks(builder):
    names = ("image_a", "centres_a", "centres_visible_a")

    def landmarks(record):
        image, centres, visible = _decode(builder, record, names)
        return {
            "image": tf.image.convert_image_dtype(image, tf.float32),
            "landmarks": centres,
            "annotated": tf.cast(visible, tf.float32),
            "normaliser": tf.cast(tf.shape(image)[1], tf.float32),
        }

    return landmarks
