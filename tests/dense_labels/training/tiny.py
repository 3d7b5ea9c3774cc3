"""The smallest training there is: windows of one coloured picture, and a network of two convolutions."""

import functools
import os

import numpy as np
import tensorflow as tf

from dense_labels.batches import PairBatch
from dense_labels.config import Config
from dense_labels.method import geometry
from dense_labels.training import loop

SIZE, STRIDE, STEPS, BATCH = (24, 32), 2, 4, 4
_PAIRS, _ROOM = 32, 8


def config(num_epochs=3):
    """A configuration of `STEPS` steps an epoch."""
    config = Config()
    config.train.batch_size, config.train.num_epochs = BATCH, num_epochs
    config.train.steps_per_epoch, config.train.precision = STEPS, "float32"
    return config


def network(precision="float32", *, stride=STRIDE, label_size=3):
    """A network that could learn which colour is where."""
    layers = [
        tf.keras.layers.Conv2D(8, 3, padding="same", activation="relu", dtype=precision),
        tf.keras.layers.MaxPooling2D(stride, dtype=precision),
        tf.keras.layers.Conv2D(label_size, 1, dtype="float32"),
    ]
    return tf.keras.Sequential([tf.keras.Input([None, None, 3]), *layers])


@functools.cache
def pairs(size=SIZE, stride=STRIDE, count=_PAIRS):
    """A PairBatch of numpy arrays: two windows each of a picture whose colour says where one is."""
    height, width = size
    y, x = np.mgrid[: height + _ROOM, : width + _ROOM] / max(size)
    scene = np.stack([x, y, np.sin(9 * x) * np.cos(9 * y) / 2 + 0.5], axis=-1).clip(0, 1).astype(np.float32)
    corners = np.random.default_rng(0).integers(_ROOM + 1, size=[2, count, 2])  # (x, y) of each window
    image_a, image_b = (
        np.stack([scene[top : top + height, left : left + width] for left, top in each]) for each in corners
    )
    centres = geometry.cell_centres(height // stride, width // stride, stride).numpy()
    points = np.float32(centres + (corners[0] - corners[1])[:, np.newaxis, np.newaxis])
    visible = ((points > 0) & (points < [width, height])).all(axis=-1)
    return PairBatch(image_a, image_b, points, np.float32(visible))


def dataset(batch_size=BATCH, *, size=SIZE, stride=STRIDE):
    """`(start_step, context) -> tf.data.Dataset` of the pairs, one batch after another, as `loop.train` takes it."""
    arrays = pairs(size, stride)

    def create(start_step, context):
        indices = tf.data.Dataset.range(start_step * batch_size, 2**40).map(lambda index: index % _PAIRS)
        each = indices.map(lambda index: PairBatch(*(tf.gather(part, index) for part in arrays)))
        return each.batch(context.get_per_replica_batch_size(batch_size))

    return create


def examples(size=SIZE, stride=STRIDE):
    """Three pairs, as tensors."""
    return PairBatch(*(tf.constant(part) for part in pairs(size, stride, 3)))


def train(config, workdir, *, strategy=None, change=lambda dataset: dataset, size=SIZE, stride=STRIDE):
    """Trains; `change` may spoil the pairs."""
    os.makedirs(workdir, exist_ok=True)
    create = dataset(config.train.batch_size, size=size, stride=loop.pairs_stride(config, stride))
    return loop.train(
        config,
        str(workdir),
        network=functools.partial(network, stride=stride, label_size=config.model.label_size),
        dataset=lambda start_step, context: change(create(start_step, context)),
        steps_per_epoch=config.train.steps_per_epoch,
        examples=examples(size, stride),
        stride=stride,
        strategy=strategy,
    )


def two_replicas():
    """A strategy of two logical CPUs."""
    return tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
