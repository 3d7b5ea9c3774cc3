"""Tests of the input: the order is a function of the seed, workers share it, and what is read is what was stored."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from dense_labels.batches import Frame, ImageBatch, LandmarkBatch, PairBatch, stack
from dense_labels.config import Config
from dense_labels.method import geometry
from input_pipeline import pipeline
from input_pipeline.simulation import roboarm
from input_pipeline.sources.base import Source

STRIDE, SIZE, CELLS = 2, 90, 45
BATCH = 8


@pytest.fixture(scope="module")
def source(arm_data):
    return pipeline.prepare(Config(data=arm_data))


@pytest.fixture(scope="module")
def stored(arm_data):
    """What the data set holds, by split, in order of time: a list of examples of numpy values."""
    examples = {}
    builder = roboarm.prepare(arm_data.dir, num_pairs=arm_data.num_pairs, seed=arm_data.seed)
    for split in builder.info.splits:
        read = tfds.as_numpy(builder.as_dataset(split=split))
        examples[split] = sorted(read, key=lambda example: example["frame"])
    return examples


@pytest.fixture(scope="module")
def frame_of(stored):
    """Finds, by its bytes, the frame that opens a pair."""
    frames = {}
    for examples in stored.values():
        for example in examples:
            frames[example["image_a"].tobytes() + example["image_b"].tobytes()] = int(example["frame"])
    assert len(frames) == sum(map(len, stored.values())), "no two pairs look the same"
    return lambda image_a, image_b: frames[as_bytes(image_a) + as_bytes(image_b)]


def as_bytes(image):
    return np.round(255 * np.asarray(image)).astype(np.uint8).tobytes()


class Counted(Source):
    """A source of 200 pairs, each of which shows nothing but its index."""

    def count(self, split):
        return 200

    def pairs(self, split, indices, *, stride, batch_size, count=None):
        return indices.map(lambda index, seed: PairBatch(index, index, seed, seed)).batch(batch_size)

    def images(self, split, indices, *, batch_size, count=None):
        raise NotImplementedError

    landmarks = images


def order(count, *, seed=0, **kwargs):
    """Indices of the pairs of the first batches: one list a batch."""
    batches = pipeline.training_pairs(Counted(), stride=STRIDE, batch_size=BATCH, seed=seed, **kwargs).take(count)
    return [batch.image_a.numpy().tolist() for batch in batches]


def frames(examples):
    return [int(example["frame"]) for example in examples]


# --- training pairs ---


def test_a_batch_is_what_the_design_says(source):
    batch = next(iter(pipeline.training_pairs(source, stride=STRIDE, batch_size=BATCH, seed=0)))
    shapes = {
        "image_a": [BATCH, SIZE, SIZE, 3],
        "image_b": [BATCH, SIZE, SIZE, 3],
        "points_in_b": [BATCH, CELLS, CELLS, 2],
        "visible": [BATCH, CELLS, CELLS],
    }
    assert {name: values.shape.as_list() for name, values in batch._asdict().items()} == shapes
    assert {values.dtype for values in batch} == {tf.float32}
    for values in (batch.image_a.numpy(), batch.image_b.numpy()):
        assert values.min() >= 0 and 0.5 < values.max() <= 1
    assert set(np.unique(batch.visible)) == {0, 1}
    seen = batch.points_in_b.numpy()[batch.visible.numpy() > 0]
    assert seen.min() >= 0 and seen.max() <= SIZE


def test_visible_cells_look_in_b_as_in_a(source):
    """Photometric: the colour at a cell of A is found in B at points_in_b, far better than where the cell was."""
    moved, still = [], []
    for batch in pipeline.training_pairs(source, stride=STRIDE, batch_size=BATCH, seed=0).take(8):
        centres = tf.broadcast_to(geometry.cell_centres(CELLS, CELLS, STRIDE), batch.points_in_b.shape)
        flat = [tf.reshape(points, [BATCH, -1, 2]) for points in (centres, batch.points_in_b)]
        here = geometry.bilinear_sample(batch.image_a, flat[0], 1)
        far = tf.norm(flat[1] - flat[0], axis=-1) > 2
        chosen = tf.reshape(batch.visible > 0, [BATCH, -1]) & far
        for points, errors in ((flat[1], moved), (flat[0], still)):
            there = geometry.bilinear_sample(batch.image_b, points, 1)
            errors.extend(tf.reduce_max(tf.abs(there - here), axis=-1)[chosen].numpy())
    assert len(moved) > 200
    assert np.mean(moved) < 0.05
    assert np.mean(still) > 4 * np.mean(moved)


def test_the_same_seed_gives_the_same_order():
    first = order(30, seed=3)
    tf.random.uniform([5])
    assert order(30, seed=3) == first


def test_another_seed_gives_another_order():
    assert order(3, seed=3) != order(3, seed=4)


def test_the_order_is_a_function_of_the_seed_alone():
    tf.random.set_seed(1)
    first = order(3, seed=3)
    tf.random.set_seed(2)
    assert order(3, seed=3) == first


def test_an_epoch_shows_every_training_pair_once_and_the_next_in_another_order():
    steps = 200 // BATCH
    batches = order(2 * steps)
    epochs = [sum(batches[:steps], []), sum(batches[steps:], [])]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(200))
    assert epochs[0] != epochs[1]
    assert epochs[0] != sorted(epochs[0])


def test_every_pair_of_a_run_has_a_seed_of_its_own():
    batches = pipeline.training_pairs(Counted(), stride=STRIDE, batch_size=50, seed=3).take(8)
    seeds = np.concatenate([batch.visible for batch in batches])
    np.testing.assert_array_equal(seeds, [[3, place] for place in range(400)])


def test_no_training_frame_is_a_test_frame_or_its_neighbour(source, stored, frame_of):
    epoch = pipeline.training_pairs(source, stride=STRIDE, batch_size=BATCH, seed=0).take(len(stored["train"]) // BATCH)
    shown = [frame_of(a, b) for batch in epoch for a, b in zip(batch.image_a, batch.image_b)]
    assert sorted(shown) == frames(stored["train"])
    shown = set(shown) | {frame + 1 for frame in shown}
    for split in ("validation", "test"):
        held_out = set(frames(stored[split]))
        held_out |= {frame + 1 for frame in held_out}
        assert min(abs(a - b) for a in shown for b in held_out) > 25


@pytest.mark.parametrize("start", [1, 7, 24, 25, 26, 60])
def test_starting_later_meets_the_same_batches(start):
    assert order(3, start_step=start) == order(start + 3)[start:]


def context(pipelines, index, replicas):
    return tf.distribute.InputContext(pipelines, index, replicas)


@pytest.mark.parametrize("start", [0, 26])
@pytest.mark.parametrize("pipelines, replicas", [(2, 2), (4, 4), (2, 4), (1, 2)])
def test_workers_together_see_the_global_batches(pipelines, replicas, start):
    count, each = 5, replicas // pipelines  # replicas of a worker take turns at its batches
    parts = [
        order(count * each, start_step=start, input_context=context(pipelines, index, replicas))
        for index in range(pipelines)
    ]
    assert {len(batch) for part in parts for batch in part} == {BATCH // replicas}
    together = [sorted(sum((sum(part[k * each : (k + 1) * each], []) for part in parts), [])) for k in range(count)]
    assert together == [sorted(batch) for batch in order(count, start_step=start)]


def test_a_batch_that_replicas_cannot_share_is_refused():
    with pytest.raises(ValueError, match=r"config\.train\.batch_size=8 cannot be shared by 3 replicas"):
        order(1, input_context=context(3, 0, 3))


def test_a_batch_larger_than_the_split_is_refused():
    with pytest.raises(ValueError, match=r"config\.train\.batch_size=201 is more than the 200 training"):
        pipeline.training_pairs(Counted(), stride=STRIDE, batch_size=201, seed=0)
    assert next(iter(pipeline.training_pairs(Counted(), stride=STRIDE, batch_size=200, seed=0)))


# --- examples and landmarks ---


def from_all_over(chosen, everything):
    """Whether the chosen frames, all different, lie in every quarter of the time there is."""
    quarters = np.array([everything.index(frame) for frame in chosen]) * 4 // len(everything)
    return len(set(chosen)) == len(chosen) and np.bincount(quarters, minlength=4).min() >= len(chosen) / 10


def test_the_helper_knows_what_comes_from_all_over():
    assert from_all_over([3, 11, 17, 29, 5], list(range(32)))
    assert not from_all_over(range(20), list(range(32))) and not from_all_over([3, 3, 11, 17, 29], list(range(32)))


@pytest.mark.parametrize("split, count", [("validation", 12), ("train", 12), ("train", 150)])
def test_example_pairs_are_always_the_same_and_from_all_over_the_split(source, stored, frame_of, split, count):
    chosen = []
    for _ in range(2):
        batch = pipeline.example_pairs(source, split, stride=STRIDE, count=count)
        chosen.append([frame_of(a, b) for a, b in zip(batch.image_a, batch.image_b)])
        tf.random.set_seed(5)
    assert len(chosen[0]) == count
    assert chosen[0] == chosen[1]
    assert from_all_over(chosen[0], frames(stored[split]))


def test_example_pairs_are_all_of_a_split_that_has_fewer(source, stored, frame_of):
    batch = pipeline.example_pairs(source, "test", stride=STRIDE, count=1000)
    chosen = [frame_of(a, b) for a, b in zip(batch.image_a, batch.image_b)]
    assert sorted(chosen) == frames(stored["test"])


def image_frames(images, examples):
    """Which examples the images belong to."""
    frame = {example["image_a"].tobytes(): int(example["frame"]) for example in examples}
    return [frame[as_bytes(image)] for image in images]


def test_landmark_batches_hold_every_image_of_a_split_once(source, stored):
    batches = list(pipeline.landmark_batches(source, "test", batch_size=7))
    examples = stored["test"]
    assert [len(batch.image) for batch in batches] == [7] * (len(examples) // 7) + [len(examples) % 7]
    found = stack(batches)
    assert sorted(image_frames(found.image, examples)) == frames(examples)
    assert sorted(found.picture) == list(range(len(examples)))
    assert isinstance(found, LandmarkBatch) and found.picture.dtype == np.int64
    assert {values.dtype for values in found._replace(picture=found.image)} == {np.dtype(np.float32)}
    assert found.image.shape == (len(examples), SIZE, SIZE, 3)
    assert found.image.min() >= 0 and 0.5 < found.image.max() <= 1
    np.testing.assert_array_equal(found.normaliser, np.full(len(examples), SIZE))  # the image's width


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_landmarks_are_the_centres_and_flags_stored_with_their_image(source, stored, split):
    found = stack(pipeline.landmark_batches(source, split, batch_size=64))
    by_frame = {int(example["frame"]): example for example in stored[split]}
    chosen = image_frames(found.image, stored[split])
    np.testing.assert_array_equal(found.landmarks, [by_frame[frame]["centres_a"] for frame in chosen])
    np.testing.assert_array_equal(found.annotated, [by_frame[frame]["centres_visible_a"] for frame in chosen])


@pytest.mark.parametrize("count", [64, 150, 200, 1000])
def test_landmark_images_are_from_all_over_the_split(source, stored, count):
    found = stack(pipeline.landmark_batches(source, "train", batch_size=32, count=count))
    chosen = image_frames(found.image, stored["train"])
    assert len(chosen) == min(count, len(stored["train"]))
    assert from_all_over(chosen, frames(stored["train"]))


def test_few_landmark_images_are_few(source):
    assert len(stack(pipeline.landmark_batches(source, "train", batch_size=32, count=1)).image) == 1


def test_example_images_come_with_their_landmarks_where_a_split_is_annotated(source):
    images, known = pipeline.example_images(source, "test", count=3)
    assert isinstance(images, ImageBatch) and isinstance(known, LandmarkBatch)
    np.testing.assert_array_equal(images.image, known.image)
    images, known = pipeline.example_images(source, "validation", count=3)
    assert images.mask.shape == [3, SIZE, SIZE] and known is None


def test_the_frame_of_a_source_has_its_stride(source):
    assert source.frame(4) == Frame(input_size=(SIZE, SIZE), stride=4, margin=0) and source.size is None
