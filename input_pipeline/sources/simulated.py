"""Simulated video as a source of pairs: two stored frames and the exact motion between them."""

import abc
import os
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format

from dense_labels.batches import ImageBatch, PairBatch
from dense_labels.config import DataConfig
from input_pipeline.simulation.frame_pairs import FramePairs
from input_pipeline.sources import base

Records = dict[str, tf.Tensor]  # the stored features of some examples, nothing of them decoded: name -> [N]


class Simulated(base.Source):
    """Frame pairs of a data set of `simulation.frame_pairs`.

    Splits are stored shuffled, so the first examples of one are from all over it. All encoded frames that are used of a
    split are held in memory.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder):
        """Creates the source of a data set that has been built."""
        self._builder = builder

    @abc.abstractmethod
    def _pair(self, records: Records, index: tf.Tensor, stride: int) -> PairBatch:
        """Makes one element of a PairBatch of what `_records` returned."""

    @abc.abstractmethod
    def _image(self, records: Records, index: tf.Tensor) -> ImageBatch:
        """Makes one element of an ImageBatch."""

    def count(self, split: str) -> int:
        splits = self._builder.info.splits
        return splits[split].num_examples if split in splits else 0

    def pairs(
        self, split: str, indices: tf.data.Dataset, *, stride: int, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        return self._batches(split, indices, batch_size, count, self._pair, stride)

    def images(
        self, split: str, indices: tf.data.Dataset, *, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        return self._batches(split, indices, batch_size, count, self._image)

    def _batches(
        self,
        split: str,
        indices: tf.data.Dataset,
        batch_size: int,
        count: int | None,
        make: Callable[..., Any],
        *arguments: Any,
    ) -> tf.data.Dataset:
        """Batches of what `make(records, index, *arguments)` returns."""
        records = self._records(split, count)
        made = indices.map(lambda index, _: make(records, index, *arguments), num_parallel_calls=tf.data.AUTOTUNE)
        return made.batch(batch_size)

    def _records(self, split: str, count: int | None) -> Records:
        """The first `count` examples of a split, or all."""
        examples = self._builder.info.splits[split].num_examples
        config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        decoders = {name: tfds.decode.SkipDecoding() for name in self._builder.info.features}
        dataset = self._builder.as_dataset(split=split, shuffle_files=False, decoders=decoders, read_config=config)
        try:
            return next(iter(dataset.batch(min(count or examples, examples))))
        except (tf.errors.DataLossError, tf.errors.FailedPreconditionError, tf.errors.NotFoundError) as error:
            folder = self._builder.data_path
            raise ValueError(
                f"a file in {folder} is damaged or gone; delete that folder and run again to rebuild it"
            ) from error

    def _decode(self, records: Records, index: tf.Tensor, names: Iterable[str]) -> list[tf.Tensor]:
        """The features of one example; pictures are float32 in [0, 1]."""
        features = self._builder.info.features
        decoded = [(name, features[name].decode_example(records[name][index])) for name in names]
        return [
            tf.image.convert_image_dtype(values, tf.float32) if name.startswith("image") else values
            for name, values in decoded
        ]


def prepare(build: Callable[..., FramePairs], data: DataConfig) -> FramePairs:
    """Finds a simulated data set, or simulates it.

    Args:
      build: `prepare` of the data set's module in `simulation`.
      data: says where it is kept, of how many pairs it is and from which seed.

    Returns:
      The builder of the data set.

    Raises:
      ValueError: if the data set on disk is damaged.
      OSError: if it cannot be written.
    """
    try:
        return build(data.dir, num_pairs=data.num_pairs, seed=data.seed)
    except json_format.ParseError as error:
        folder = os.path.join(data.dir, data.name)  # `data.dir` may hold other data sets
        raise ValueError(f"the data set in {folder} is damaged; delete it and run again ({error})") from error
