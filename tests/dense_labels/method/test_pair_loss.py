"""Tests of what all losses of pairs share: batches of any size, precision, and models that are saved and loaded."""

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.method import pair_loss
from dense_labels.method.introspection_loss import IntrospectionLoss, split_labels
from dense_labels.method.losses import DistanceLoss, LogLikelihoodLoss, MarginLoss
from dense_labels.method.sparse_landmarks import SparseLandmarksLoss
from dense_labels.training.optimizers import AdagradMomentum

SHAPES = ([6, 6, 3], [6, 6, 3], [6, 6, 2], [6, 6])  # of the labels of A and B, the points and what is visible
ANY_NUMBER = [tf.TensorSpec([None, *shape]) for shape in SHAPES]
LOSSES = {
    "log": lambda **options: LogLikelihoodLoss(2, **options),
    "dist": lambda **options: DistanceLoss(2, gamma=0.5, **options),
    "exchange": lambda **options: DistanceLoss(2, gamma=0.5, exchange=True, **options),
    "margin": lambda **options: MarginLoss(2, gamma=1.0, pack=False, **options),
    "introspection": lambda **options: IntrospectionLoss(2, 2, tau2=4.0, **options),
    "introspection with exchange": lambda **options: IntrospectionLoss(2, 2, tau2=4.0, exchange=True, **options),
    "sparse": lambda **options: SparseLandmarksLoss(2, diversity=1.0, patch=2, **options),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def batch(count):
    rng = np.random.default_rng(0)
    labels_a, labels_b, points, _ = (np.float32(rng.normal(size=[count, *shape])) for shape in SHAPES)
    return labels_a, labels_b, 6 + 2 * points, np.ones([count, 6, 6], np.float32)


@every_loss
def test_an_empty_batch_costs_nothing(name):
    """As the last share of a replica may be."""
    layer = LOSSES[name]()

    @tf.function(input_signature=ANY_NUMBER)
    def run(*pairs):
        figures = layer(pairs)
        return figures["loss"], layer.losses[0]

    of_none, added = run(*batch(0))
    assert of_none.shape == (0,) and added == 0.0
    of_two, added = run(*batch(2))
    np.testing.assert_allclose(added, np.mean(of_two), rtol=1e-6)


@pytest.mark.parametrize("name", ["exchange", "introspection with exchange"])
def test_a_pair_alone_is_not_exchanged_with_itself(name):
    message = "labels are exchanged with another pair of the batch; found one pair, where 2 are needed"
    with pytest.raises(ValueError, match=message):
        LOSSES[name]()(batch(1))
    layer = LOSSES[name]()
    run = tf.function(lambda *pairs: layer(pairs)["loss"], ANY_NUMBER)
    assert np.isfinite(run(*batch(2))).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        run(*batch(1))


@every_loss
def test_places_are_not_rounded(name):
    for policy in ("float16", "mixed_float16", "mixed_bfloat16"):
        with pytest.raises(ValueError, match="^dtype=b?float16: a loss computes in float32 or float64$"):
            LOSSES[name](dtype=policy)
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        assert LOSSES[name]()(batch(2))["loss"].dtype == tf.float32
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


@every_loss
def test_a_saved_model_is_loaded_with_its_loss_and_optimizer(name, tmp_path):
    inputs = [tf.keras.Input(shape) for shape in SHAPES]
    model = tf.keras.Model(inputs, LOSSES[name]()(tuple(inputs))["loss"])
    model.compile(AdagradMomentum(0.25, momentum=0.5))
    model.save(tmp_path / "m.keras")
    again = tf.keras.models.load_model(tmp_path / "m.keras")
    assert float(again.optimizer.learning_rate) == 0.25 and again.optimizer.get_config()["momentum"] == 0.5
    assert again.layers[-1].get_config() == model.layers[-1].get_config()
    np.testing.assert_array_equal(again(list(batch(3))), model(list(batch(3))))


def test_what_xla_cannot_compile_is_not_given_to_it():
    """Keras 3 asks, where there is a GPU and nobody says otherwise."""
    can = {name: create().supports_jit for name, create in LOSSES.items()}
    assert can == {name: name in ("margin", "sparse") for name in LOSSES}  # "margin" is not packed


def test_labels_of_no_length_have_gradients_that_can_be_squared():
    labels = tf.constant([[0.0, 0.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        tape.watch(labels)
        phi, sigma = split_labels(labels)
        total = tf.reduce_sum(phi)
    np.testing.assert_allclose(phi, [[0, 0], [0.6, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(sigma, [1e12, 0.2], rtol=1e-6)
    assert np.abs(tape.gradient(total, labels)).max() <= 1


def test_the_labels_of_the_pair_before_are_those_of_another():
    labels = tf.reshape(tf.range(3.0), [3, 1, 1, 1])
    np.testing.assert_array_equal(np.ravel(pair_loss.of_pair_before(labels)), [2, 0, 1])
