"""From a data set to batches: shuffle, repeat, share, read, pair, batch, prefetch."""

import functools
from collections.abc import Collection, Sequence

import numpy as np
import tensorflow as tf

from dense_labels.batches import AnnotatedPairBatch, ImageBatch, LandmarkBatch, PairBatch
from dense_labels.compat import without_autograph
from dense_labels.config import Config
from dense_labels.registry import READERS, data_set
from input_pipeline import data_service, order
from input_pipeline.sources import base, stills
from input_pipeline.sources.base import Source

MILD = 0.5  # strength of the warps of annotated pictures
_ANY_STRIDE = 2  # where the cells are not used


def prepare(config: Config, *, only: Sequence[str] = (), most: int = 0, last: Collection[str] = ()) -> Source:
    """Finds the data set that a configuration names, and makes what must be made of it first.

    Args:
      config: of the run; it is not changed. `data.name` is one of the registries SOURCES and READERS.
      only, most, last: of still pictures, which splits are wanted, and how much of each; see `stills.prepare`.

    Returns:
      The source of the batches.

    Raises:
      ValueError: if the data set is not there, not complete, or damaged.
      OSError: if what is made of it cannot be written.
    """
    entry = data_set(config.data.name)
    if entry.check:
        entry.check(config)
    if config.data.name in READERS:
        return stills.prepare(config, only=only, most=most, last=last)
    return base.check(entry.value(config), entry)


@without_autograph
def training_pairs(
    source: Source,
    *,
    stride: int,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    input_context: tf.distribute.InputContext | None = None,
    services: Sequence[str] = (),
) -> tf.data.Dataset:
    """Makes endless shuffled PairBatches of the training split.

    The order, and what is random in a pair, are functions of the seed alone. Batch k of one process and the k-th
    batches of several workers together hold the same pairs, and a run that starts at `start_step` meets the batches
    that a run from 0 meets there.

    Args:
      source: what `prepare` returned.
      stride: side of a cell of the label map in pixels.
      batch_size: pairs, over all replicas.
      seed: of the order and of the views.
      start_step: how many global batches to pass over.
      input_context: given where the input is distributed.
      services: addresses of tf.data services that make the pairs, of a data set with the fact `reads_in_graph`; none:
        they are made here. The batches are the same.

    Returns:
      `tf.data.Dataset` of PairBatches of `batch_size` / replicas pairs.

    Raises:
      ValueError: if the batch cannot be shared evenly by the replicas, or is larger than the split, or a file of the
        data set is damaged or gone.
    """
    examples = source.count("train")
    if batch_size > examples:
        raise ValueError(f"config.train.batch_size={batch_size} is more than the {examples} training pairs")
    indices = tf.data.Dataset.counter().flat_map(order.shuffled(examples, seed))
    indices = indices.skip(start_step * batch_size)
    if input_context is not None:
        replicas = input_context.num_replicas_in_sync
        if batch_size % replicas:
            raise ValueError(f"config.train.batch_size={batch_size} cannot be shared by {replicas} replicas")
        indices = indices.shard(input_context.num_input_pipelines, input_context.input_pipeline_id)
        batch_size //= replicas
    make = functools.partial(source.pairs, "train", stride=stride, batch_size=batch_size)
    pairs = data_service.distribute(make, indices, batch_size, services) if services else make(indices)
    return pairs.prefetch(tf.data.AUTOTUNE)


@without_autograph
def example_pairs(source: Source, split: str, *, stride: int, count: int) -> PairBatch:
    """Makes a few pairs of a split, for pictures; always the same, and from all over it.

    Args:
      source: what `prepare` returned.
      split: name of the split.
      stride: side of a cell of the label map in pixels.
      count: how many pairs.

    Returns:
      One PairBatch of `count` pairs (all of the split where it has fewer).

    Raises:
      ValueError: if a file of the data set is damaged or gone.
    """
    count = _at_most(source, split, count)
    return next(iter(source.pairs(split, _first(count), stride=stride, batch_size=count, count=count)))


@without_autograph
def image_batches(source: Source, split: str, *, batch_size: int, count: int | None = None) -> tf.data.Dataset:
    """Makes ImageBatches of a split, as a user has the images, each once, with a mask of the object.

    Args:
      source, split, batch_size, count: as in `landmark_batches`.

    Returns:
      `tf.data.Dataset` of ImageBatches.

    Raises:
      ValueError: if a file of the data set is damaged or gone.
    """
    images = source.count_images(split)
    count = min(count or images, images)
    return source.images(split, _first(count), batch_size=batch_size, count=count).prefetch(tf.data.AUTOTUNE)


@without_autograph
def example_images(source: Source, split: str, *, count: int) -> tuple[ImageBatch, LandmarkBatch | None]:
    """Makes a few images of a split as a user has them, from all over it, with their landmarks where they have any.

    Args:
      source, split: as in `landmark_batches`.
      count: how many images.

    Returns:
      The images; and the same images with their landmarks, or None where the split is not annotated.

    Raises:
      ValueError: if a file of the data set is damaged or gone.
    """
    images = next(iter(image_batches(source, split, batch_size=count, count=count)))
    if split == "validation" or not source.count("annotated"):
        return images, None
    return images, next(iter(landmark_batches(source, split, batch_size=count, count=count)))


@without_autograph
def landmark_batches(source: Source, split: str, *, batch_size: int, count: int | None = None) -> tf.data.Dataset:
    """Makes LandmarkBatches of a split, each image once.

    Args:
      source: what `prepare` returned.
      split: name of the split.
      batch_size: images of a batch; the last may be smaller.
      count: how many images, from all over the split; None or 0 for all.

    Returns:
      `tf.data.Dataset` of LandmarkBatches.

    Raises:
      ValueError: if a file of the data set is damaged or gone.
    """
    count = _at_most(source, split, count)
    return source.landmarks(split, _first(count), batch_size=batch_size, count=count).prefetch(tf.data.AUTOTUNE)


@without_autograph
def landmark_images(
    source: Source, split: str, indices: Sequence[int] | np.ndarray, *, count: int | None = None
) -> np.ndarray:
    """Reads some of the images of `landmark_batches`, no others.

    Args:
      source, split, count: as in `landmark_batches`.
      indices: integer [n], n > 0, places in the order in which `landmark_batches` makes them.

    Returns:
      float32 [n, H, W, 3] in [0, 1].

    Raises:
      ValueError: if a file of the data set is damaged or gone.
    """
    count = _at_most(source, split, count)
    return next(iter(_chosen(source, split, indices, len(indices), count))).image.numpy()


@without_autograph
def surface_batches(
    source: Source, split: str, *, stride: int, batch_size: int, count: int | None = None
) -> tf.data.Dataset:
    """Makes SurfaceBatches of a split, each image once, with the true place on the object that is seen in each cell.

    Args:
      source: one that `knows_surface`.
      split, batch_size, count: as in `landmark_batches`.
      stride: side of a cell of the label map in pixels.

    Returns:
      `tf.data.Dataset` of SurfaceBatches.

    Raises:
      ValueError: if a file of the data set is damaged or gone.
    """
    count = _at_most(source, split, count)
    batches = source.surfaces(split, _first(count), stride=stride, batch_size=batch_size, count=count)
    return batches.prefetch(tf.data.AUTOTUNE)


@without_autograph
def annotated_pairs(
    source: Source, split: str, *, stride: int, batch_size: int, count: int | None = None
) -> tf.data.Dataset:
    """Makes pairs of mildly warped views of annotated pictures, with their landmarks in both; always the same.

    Args:
      source: one that `warps_pictures`.
      split, batch_size, count: as in `landmark_batches`.
      stride: side of a cell of the label map in pixels.

    Returns:
      `tf.data.Dataset` of AnnotatedPairBatches.

    Raises:
      ValueError: if a file of the data set is damaged or gone.
    """
    count = _at_most(source, split, count)
    batches = source.annotated_pairs(
        split, _first(count), stride=stride, batch_size=batch_size, strength=MILD, count=count
    )
    return batches.prefetch(tf.data.AUTOTUNE)


@without_autograph
def chosen_batches(
    source: Source, indices: Sequence[int] | np.ndarray, *, count: int, batch_size: int
) -> tf.data.Dataset:
    """Makes LandmarkBatches of some annotated pictures.

    Args:
      source: what `prepare` returned.
      indices: integer [n], below `count`.
      count: how many images of the split "annotated" are chosen from, as in `landmark_batches`.
      batch_size: images of a batch.

    Returns:
      `tf.data.Dataset` of LandmarkBatches.

    Raises:
      ValueError: if a file of the data set is damaged or gone, or there are no landmarks.
    """
    return _chosen(source, "annotated", indices, batch_size, count)


@without_autograph
def warped_batches(
    source: Source, indices: Sequence[int] | np.ndarray, *, count: int, batch_size: int, seed: int, copies: int
) -> tf.data.Dataset:
    """Makes LandmarkBatches of mildly warped views of some annotated pictures.

    As `chosen_batches`, of a source that `warps_pictures`: `copies` pairs of each picture, `batch_size` at a time.
    """
    repeated = tf.data.Dataset.from_tensor_slices(tf.cast(indices, tf.int64)).repeat(copies).enumerate()
    seeded = repeated.map(lambda place, index: (index, tf.stack([seed, place])))
    options = {"stride": _ANY_STRIDE, "batch_size": batch_size, "count": count}
    return source.annotated_pairs("annotated", seeded, strength=MILD, **options).map(_both_views)


def _chosen(source, split, indices, batch_size, count):
    chosen = tf.data.Dataset.from_tensor_slices(tf.cast(indices, tf.int64)).map(lambda index: (index, [0, 0]))
    return source.landmarks(split, chosen, batch_size=batch_size, count=count)


def _both_views(batch: AnnotatedPairBatch) -> LandmarkBatch:
    """The views A of annotated pairs, then their views B."""

    def join(of_a, of_b):
        return tf.concat([of_a, of_b], axis=0)

    return LandmarkBatch(
        image=join(batch.pairs.image_a, batch.pairs.image_b),
        landmarks=join(batch.landmarks_a, batch.landmarks_b),
        annotated=join(batch.landmarks_visible_a, batch.landmarks_visible_b),
        scale=join(batch.scale, batch.scale),
        normaliser=join(batch.normaliser, batch.normaliser),
        picture=join(batch.picture, batch.picture),
    )


def _at_most(source: Source, split: str, count: int | None) -> int:
    """How many examples are asked for, where None or 0 is all of the split, and no more than it has."""
    return min(count or source.count(split), source.count(split))


def _first(count: int) -> tf.data.Dataset:
    """The first indices, and a seed for each that no training uses."""
    return tf.data.Dataset.range(count).map(lambda index: (index, tf.stack([tf.constant(-1, tf.int64), index])))
