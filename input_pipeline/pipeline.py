"""From a data set to batches: shuffle, repeat, share, read, pair, batch, prefetch."""

import tensorflow as tf

from input_pipeline.sources import arm, clips, stills

MILD = 0.5  # strength of the warps of annotated pictures
_ANY_STRIDE = 2  # where the cells are not used
_TWICE = {"scale": [2, 1], "normaliser": [2], "picture": [2]}


def prepare(config):
    """Finds the data set a configuration names, and makes what has to be made of it first.

    Args:
      config: `dense_labels.config.Config`.

    Returns:
      A `sources.Source`.

    Raises:
      ValueError: if the data set is not there, not complete, or damaged.
      OSError: if what is made of it cannot be written.
    """
    if config.data.name == "roboarm":
        return arm.prepare(config.data)
    if config.data.name == "sphere":
        from input_pipeline.sources import sphere

        return sphere.prepare(config.data)
    if config.data.name == "video":
        return clips.prepare(config.data, config.views)
    return stills.prepare(config.data, config.views)


def training_pairs(source, *, stride, batch_size, seed, start_step=0, input_context=None):
    """Endless shuffled PairBatches of the training split.

    The order, and what is random in a pair, are functions of the seed alone. Batch k of one process and the k-th
    batches of several workers together hold the same pairs, and a run that starts at `start_step` meets the batches
    that a run from 0 meets there.

    Args:
      source: what `prepare` returned.
      stride: side of a cell of the label map in pixels.
      batch_size: pairs, over all replicas.
      seed: of the order and of the views.
      start_step: how many global batches to pass over.
      input_context: `tf.distribute.InputContext` where the input is distributed.

    Returns:
      `tf.data.Dataset` of PairBatches of `batch_size` / replicas pairs.

    Raises:
      ValueError: if the batch cannot be shared evenly by the replicas, or is larger than the split, or a file of the
        data set is damaged or gone.
    """
    examples = source.count("train")
    if batch_size > examples:
        raise ValueError(f"config.train.batch_size={batch_size} is more than the {examples} training pairs")
    indices = tf.data.Dataset.counter().flat_map(_shuffled(examples, seed))
    indices = indices.skip(start_step * batch_size)
    if input_context is not None:
        replicas = input_context.num_replicas_in_sync
        if batch_size % replicas:
            raise ValueError(f"config.train.batch_size={batch_size} cannot be shared by {replicas} replicas")
        indices = indices.shard(input_context.num_input_pipelines, input_context.input_pipeline_id)
        batch_size //= replicas
    pairs = source.pairs("train", indices, stride=stride, batch_size=batch_size)
    return pairs.prefetch(tf.data.AUTOTUNE)


def example_pairs(source, split, *, stride, count):
    """A few pairs of a split, for pictures; always the same, and from all over it.

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
    count = min(count, source.count(split))
    return next(iter(source.pairs(split, _first(count), stride=stride, batch_size=count, count=count)))


def image_batches(source, split, *, batch_size, count=None):
    """Images of a split as a user has them, each once, with a mask of the object.

    Args:
      source, split, batch_size, count: as in `landmark_batches`.

    Returns:
      `tf.data.Dataset`, see `sources.Source.images`.

    Raises:
      ValueError: if a file of the data set is damaged or gone.
    """
    count = min(count or source.count(split), source.count(split))
    return source.images(split, _first(count), batch_size=batch_size, count=count).prefetch(tf.data.AUTOTUNE)


def example_images(source, split, *, count):
    """A few images of a split as a user has them, from all over it, with their landmarks where they have any.

    Args:
      source, split: as in `landmark_batches`.
      count: how many images.

    Returns:
      A dictionary: of a batch of `image_batches`, and of one of `landmark_batches` where the split is annotated.

    Raises:
      ValueError: if a file of the data set is damaged or gone.
    """
    options = {"batch_size": count, "count": count}
    examples = next(iter(image_batches(source, split, **options)))
    if split != "validation" and source.count("annotated"):
        examples.update(next(iter(landmark_batches(source, split, **options))))
    return examples


def landmark_batches(source, split, *, batch_size, count=None):
    """LandmarkBatches of a split, each image once.

    Args:
      source: what `prepare` returned.
      split: name of the split.
      batch_size: images of a batch; the last may be smaller.
      count: how many images, from all over the split; None or 0 for all.

    Returns:
      `tf.data.Dataset` of LandmarkBatches, see `sources.Source.landmarks`.

    Raises:
      ValueError: if a file of the data set is damaged or gone.
    """
    count = min(count or source.count(split), source.count(split))
    return source.landmarks(split, _first(count), batch_size=batch_size, count=count).prefetch(tf.data.AUTOTUNE)


def surface_batches(source, split, *, stride, batch_size, count=None):
    """Images of a split, each once, with the true place on the object that is seen in each cell.

    Args:
      source: a `sources.Source` that `knows_surface`.
      split, batch_size, count: as in `landmark_batches`.
      stride: side of a cell of the label map in pixels.

    Returns:
      `tf.data.Dataset`, see `sources.Source.surfaces`.

    Raises:
      ValueError: if a file of the data set is damaged or gone.
    """
    count = min(count or source.count(split), source.count(split))
    shape = {"stride": stride, "batch_size": batch_size, "count": count}
    return source.surfaces(split, _first(count), **shape).prefetch(tf.data.AUTOTUNE)


def annotated_pairs(source, split, *, stride, batch_size, count=None):
    """Warped pairs of annotated pictures, with their landmarks in both views; always the same.

    Args:
      source: a `sources.Source` that `warps_pictures`.
      split, batch_size, count: as in `landmark_batches`.
      stride: side of a cell of the label map in pixels.

    Returns:
      `tf.data.Dataset`, see `stills.Stills.annotated_pairs`.
    """
    count = min(count or source.count(split), source.count(split))
    views = {"stride": stride, "batch_size": batch_size, "strength": MILD, "count": count}
    return source.annotated_pairs(split, _first(count), **views).prefetch(tf.data.AUTOTUNE)


def few_shot_batches(source, indices, *, count, batch_size, seed, copies=8):
    """LandmarkBatches of a few annotated pictures, and of mildly warped views of them where pictures can be warped.

    Args:
      source: what `prepare` returned.
      indices: integer [n], below `count`.
      count: how many images of the split "annotated" are drawn from, as in `landmark_batches`.
      batch_size: images of a batch, and pairs of views of one.
      seed: of the warps, an int.
      copies: how many pairs of views of each picture there are; 0: the pictures alone.

    Returns:
      `tf.data.Dataset` of LandmarkBatches.
    """
    chosen = tf.data.Dataset.from_tensor_slices(tf.cast(indices, tf.int64))
    options = {"batch_size": batch_size, "count": count}
    plain = source.landmarks("annotated", chosen.map(lambda index: (index, [0, 0])), **options)
    if not source.warps_pictures:
        return plain
    repeated = chosen.repeat(copies).enumerate().map(lambda place, index: (index, tf.stack([seed, place])))
    pairs = source.annotated_pairs("annotated", repeated, stride=_ANY_STRIDE, strength=MILD, **options)

    def views(batch):
        parts = {"image": "image", "landmarks": "landmarks", "annotated": "landmarks_visible"}
        both = {name: tf.concat([batch[f"{of}_a"], batch[f"{of}_b"]], axis=0) for name, of in parts.items()}
        return {**both, **{name: tf.tile(batch[name], twice) for name, twice in _TWICE.items()}}

    return plain.concatenate(pairs.map(views))


def _shuffled(examples, seed):
    """Epoch -> its (index, seed) in random order; the second number of a seed counts on through all epochs."""

    def indices(epoch):
        order = tf.random.experimental.stateless_shuffle(tf.range(examples, dtype=tf.int64), seed=[seed, epoch])
        places = epoch * examples + tf.range(examples, dtype=tf.int64)
        seeds = tf.stack([tf.fill([examples], tf.constant(seed, tf.int64)), places], axis=-1)
        return tf.data.Dataset.from_tensor_slices((order, seeds))

    return indices


def _first(count):
    """The first indices, and a seed for each that no training uses."""
    return tf.data.Dataset.range(count).map(lambda index: (index, tf.stack([tf.constant(-1, tf.int64), index])))
