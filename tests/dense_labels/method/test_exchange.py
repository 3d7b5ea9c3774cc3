"""Tests of the exchange: labels of A take part as they are expressed through another image of the batch."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.method import losses, one_pass
from tests.dense_labels.method import layers, test_losses, test_one_pass

STRIDE = 2
each_loss = pytest.mark.parametrize("name, gamma", [("log", None), ("dist", 0.5), ("margin", 0.5)])
alone_or_not = pytest.mark.parametrize("direct", [0.0, 0.7])  # the weight of labels as they are


def create(name, gamma, **options):
    return layers.create(name, STRIDE, gamma=gamma, exchange=True, **options)


def exchanged(labels_a):
    """Every label of A through the image of the pair before, one cell and one other cell at a time."""
    result = np.zeros_like(labels_a)
    for image, (a, c) in enumerate(zip(labels_a, np.roll(labels_a, 1, axis=0))):
        for u in np.ndindex(*a.shape[:2]):
            weights = {v: np.exp(np.dot(a[u], c[v])) for v in np.ndindex(*c.shape[:2])}
            result[image][u] = sum(weight * c[v] for v, weight in weights.items()) / sum(weights.values())
    return result


def oracle(name, gamma, direct, labels_a, *others):
    as_they_are = direct * test_losses.oracle(name, gamma, labels_a, *others)
    return test_losses.oracle(name, gamma, exchanged(labels_a), *others) + as_they_are


def through_the_image_before(labels_a):
    """The same from whole matrices, which TensorFlow differentiates."""
    rows = tf.reshape(labels_a, [labels_a.shape[0], -1, labels_a.shape[-1]])
    others = tf.roll(rows, 1, axis=0)
    return tf.reshape(tf.nn.softmax(rows @ tf.transpose(others, [0, 2, 1])) @ others, labels_a.shape)


def plain(name, gamma, direct, *batch):
    """Loss and gradients of both label maps."""
    of_exchanged = test_one_pass.plain(name, gamma, *batch, through=through_the_image_before)
    return [a + direct * b for a, b in zip(of_exchanged, test_one_pass.plain(name, gamma, *batch))]


@alone_or_not
@each_loss
def test_values_and_gradients_are_those_of_plain_loops(name, gamma, direct):
    batch, epsilon = test_losses.batch_of_pairs(), 1e-5
    value, outputs, found = test_losses.value_and_gradients(create(name, gamma, direct=direct), batch)
    expected = oracle(name, gamma, direct, *batch)
    assert not np.allclose(expected, test_losses.oracle(name, gamma, *batch), rtol=1e-2)
    np.testing.assert_allclose(outputs["loss"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)
    errors = test_losses.image_means(test_losses.error_at_u, exchanged(batch[0]), *batch[1:])
    np.testing.assert_allclose(outputs["matching_error"], errors, rtol=1e-5)
    random = np.random.default_rng(0)
    for which, gradient in enumerate(found):  # A counts twice: as A of its pair and as C of the next
        direction = random.normal(size=batch[which].shape)
        above, below = ([*batch], [*batch])
        above[which], below[which] = batch[which] + epsilon * direction, batch[which] - epsilon * direction
        slope = (oracle(name, gamma, direct, *above).mean() - oracle(name, gamma, direct, *below).mean()) / (
            2 * epsilon
        )
        assert abs(slope) > 1e-3
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("length", [3, 64])
@pytest.mark.parametrize("pack", [True, False])
@alone_or_not
@each_loss
def test_any_blocks_give_the_whole_matrices(name, gamma, direct, pack, length, monkeypatch):
    monkeypatch.setattr(one_pass, "_block_bytes", lambda: 2**14)
    batch = test_one_pass.pairs(12, length=length, dtype=tf.float64)
    found = layers.loss_and_gradients(create(name, gamma, direct=direct, pack=pack, dtype="float64"), *batch)
    test_one_pass.assert_equal(found, plain(name, gamma, direct, *batch), 1e-12)


@each_loss
def test_float32_is_as_exact(name, gamma):
    batch = test_one_pass.pairs(12, dtype=tf.float64)
    single = [tf.cast(values, tf.float32) for values in batch]
    test_one_pass.assert_equal(
        layers.loss_and_gradients(create(name, gamma), *single), plain(name, gamma, 1.0, *batch), 1e-5
    )


def test_xla_compiles_it():
    batch = test_one_pass.pairs(12)
    found = layers.loss_and_gradients(create("dist", 0.5, pack=False), *batch, jit_compile=True)
    test_one_pass.assert_equal(found, plain("dist", 0.5, 1.0, *batch), 1e-5)


def test_each_replica_exchanges_among_its_own_pairs():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    batch = test_one_pass.pairs(8, images=4, visible=(1.0, 1.0, 0.4, 0.8))
    halves = [[values[start : start + 2] for values in batch] for start in (0, 2)]
    per_replica = strategy.experimental_distribute_values_from_function(
        lambda context: tuple(halves[context.replica_id_in_sync_group])
    )
    with strategy.scope():
        layer = create("dist", 0.5)
    found = strategy.run(lambda pairs: layer(pairs)["loss"], [per_replica])
    for loss, half in zip(strategy.experimental_local_results(found), halves):
        np.testing.assert_allclose(loss, plain("dist", 0.5, 1.0, *half)[0], rtol=1e-5)


def test_it_is_kept_in_the_configuration_of_the_layer():
    layer = losses.DistanceLoss(STRIDE, gamma=0.5, exchange=True, direct=0.25)
    again = losses.DistanceLoss.from_config(layer.get_config())
    assert again.exchange and again.direct == 0.25
    with pytest.raises(ValueError, match="^direct=-1: must be at least 0"):
        losses.DistanceLoss(STRIDE, gamma=0.5, exchange=True, direct=-1)


def test_one_pair_has_no_other_to_exchange_with():
    batch = test_one_pass.pairs(8, images=1, visible=(1.0,))
    with pytest.raises(ValueError, match="found one pair, where 2 are needed"):
        create("dist", 0.5)(batch)
