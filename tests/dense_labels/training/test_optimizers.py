"""Tests of the optimisers and rates: a loop by hand, Keras' own where they coincide, going on from a checkpoint."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.config import TrainConfig
from dense_labels.training import optimizers

GRADIENTS = np.random.default_rng(0).normal(size=[6, 3]).astype(np.float32)


def trained(optimizer, steps=slice(None), start=(1.0, -2.0, 0.5)):
    variable = tf.Variable(start)
    for gradient in GRADIENTS[steps]:
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
    return variable


def test_its_steps_are_those_of_a_loop_by_hand():
    w, a, v = np.array([1.0, -2.0, 0.5]), np.full(3, 0.1), np.zeros(3)
    for g in GRADIENTS.astype(float):
        w = w - w * 0.01 * 0.1  # weight decay, decoupled
        a = a + g * g
        v = 0.9 * v + 0.1 * g / np.sqrt(a + 1e-7)
        w = w - v
    found = trained(optimizers.AdagradMomentum(0.1, weight_decay=0.01))
    np.testing.assert_allclose(found, w, rtol=1e-5)


def test_without_momentum_it_is_adagrad():
    found = trained(optimizers.AdagradMomentum(0.3, momentum=0.0))
    np.testing.assert_allclose(found, trained(tf.keras.optimizers.Adagrad(0.3)), rtol=1e-6)


def test_a_sparse_gradient_is_as_good_as_a_dense_one():
    table, same = tf.Variable(tf.ones([4, 2])), tf.Variable(tf.ones([4, 2]))
    sparse = tf.IndexedSlices(tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([1, 3]), tf.constant([4, 2]))
    first, second = optimizers.AdagradMomentum(0.1), optimizers.AdagradMomentum(0.1)
    for _ in range(2):
        first.apply_gradients([(sparse, table)])
        second.apply_gradients([(tf.convert_to_tensor(sparse), same)])
    np.testing.assert_allclose(table, same)
    assert (table.numpy()[[1, 3]] < 1).all() and (table.numpy()[[0, 2]] == 1).all()


def test_it_goes_on_from_a_checkpoint(tmp_path):
    whole = trained(optimizers.AdagradMomentum(0.1))
    optimizer = optimizers.AdagradMomentum(0.1)
    variable = trained(optimizer, slice(3))
    path = tf.train.Checkpoint(variable=variable, optimizer=optimizer).save(str(tmp_path / "half"))
    variable, optimizer = tf.Variable(tf.zeros(3)), optimizers.AdagradMomentum(0.1)
    optimizer.build([variable])
    tf.train.Checkpoint(variable=variable, optimizer=optimizer).restore(path).assert_consumed()
    for gradient in GRADIENTS[3:]:
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
    np.testing.assert_array_equal(variable, whole)


def test_a_copy_is_made_from_its_configuration():
    original = optimizers.AdagradMomentum(0.2, momentum=0.5, weight_decay=0.1)
    copy = optimizers.AdagradMomentum.from_config(original.get_config())
    np.testing.assert_array_equal(trained(copy), trained(original))


@pytest.mark.parametrize("momentum", [-0.1, 1.0])
def test_a_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(ValueError, match=rf"momentum={momentum}: must be at least 0 and below 1"):
        optimizers.AdagradMomentum(momentum=momentum)


# --- the rate ---

STEPS = 4  # of an epoch


def test_the_rate_falls_at_the_epochs_asked_for():
    settings = TrainConfig(num_epochs=3, decay_epochs=(1, 2))
    rate = optimizers.learning_rate(settings, STEPS)
    rates = [float(rate(step)) for step in range(3 * STEPS)]
    np.testing.assert_allclose(rates, [1e-3] * STEPS + [1e-4] * STEPS + [1e-5] * STEPS, rtol=1e-5)


def test_the_rate_rises_before_it_falls():
    settings = TrainConfig(num_epochs=3, schedule="cosine", warmup_steps=STEPS)
    rate = optimizers.learning_rate(settings, STEPS)
    rates = [float(rate(step)) for step in (0, STEPS // 2, STEPS, 2 * STEPS, 3 * STEPS)]
    np.testing.assert_allclose(rates, [0, 0.5e-3, 1e-3, 0.5e-3, 0], atol=1e-9)


def test_a_rate_that_rises_for_the_whole_run_is_said(capsys):
    optimizers.learning_rate(TrainConfig(num_epochs=3, schedule="cosine", warmup_steps=3 * STEPS), STEPS)
    assert "note: the learning rate rises for all 12 steps of this run" in capsys.readouterr().out


def test_the_rate_falls_as_a_cosine_over_the_run():
    settings = TrainConfig(num_epochs=3, schedule="cosine")
    rate = optimizers.learning_rate(settings, STEPS)
    rates = [float(rate(step)) for step in (0, STEPS, 3 * STEPS // 2, 2 * STEPS, 3 * STEPS)]
    np.testing.assert_allclose(rates, [1e-3, 0.75e-3, 0.5e-3, 0.25e-3, 0], atol=1e-9)


def test_a_step_in_float16_whose_gradients_overflow_counts_on_both_stacks():
    """Epochs and checkpoints go by the count."""
    optimizer, variable = optimizers.loss_scaled(tf.keras.optimizers.SGD(1.0)), tf.Variable([1.0])
    optimizer.build([variable])
    counts = []
    for gradient in (0.0, float("inf"), 0.0):
        optimizer.apply_gradients([(tf.constant([gradient]), variable)])
        counts.append(int(optimizer.iterations.numpy()))
    assert counts == [1, 2, 3] and np.isfinite(variable.numpy()).all()
