"""The optimiser of a run and its learning rate, and an optimiser that Keras lacks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from dense_labels import compat, progress

if TYPE_CHECKING:
    from dense_labels.config import TrainConfig


def loss_scaled(optimizer: tf.keras.optimizers.Optimizer) -> tf.keras.optimizers.Optimizer:
    """Wraps an optimiser for training in float16, whose small gradients must be scaled.

    A step whose gradients overflow changes nothing but counts, for it has seen its pairs: epochs and checkpoints go by
    `iterations`. Keras 3 would not count it.
    """
    scaled = compat.LossScaleOptimizer(optimizer)
    after_overflow = getattr(scaled, "_stateful_handle_non_finite_grads", None)  # of Keras 3 alone

    def counted():
        after_overflow()
        optimizer.iterations.assign_add(1)

    if after_overflow is not None:
        scaled._stateful_handle_non_finite_grads = counted
    return scaled


def summed_first(optimizer: tf.keras.optimizers.Optimizer) -> tf.keras.optimizers.Optimizer:
    """Has an optimiser see the sum of the gradients of all replicas, to clip it or to find that it overflows.

    That of Keras 2 does. That of Keras 3 would look at the gradients of each replica, and sum what it clipped of them.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not hasattr(inner, "_all_reduce_sum_gradients"):  # of Keras 3 alone
        return optimizer
    apply = optimizer.apply

    def apply_sum(gradients, trainable_variables=None):
        gradients = list(gradients)
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            there = [each for each in gradients if each is not None]
            summed = iter(replica.all_reduce(tf.distribute.ReduceOp.SUM, there))
            gradients = [each if each is None else next(summed) for each in gradients]
        return apply(gradients, trainable_variables)

    optimizer.apply, inner._all_reduce_sum_gradients = apply_sum, list
    return optimizer


def create(settings: TrainConfig, steps_per_epoch: int) -> tf.keras.optimizers.Optimizer:
    """Creates the optimiser that a configuration names.

    Args:
      settings: the part of the configuration about training.
      steps_per_epoch: of the run.

    Returns:
      A Keras optimiser; its weight decay leaves biases and the parameters of batch norms alone.
    """
    kinds: dict[str, Callable[..., tf.keras.optimizers.Optimizer]] = {
        "adam": tf.keras.optimizers.Adam,
        "amsgrad": functools.partial(tf.keras.optimizers.Adam, amsgrad=True),
        "adagrad": tf.keras.optimizers.Adagrad,
        "adagrad_momentum": functools.partial(AdagradMomentum, momentum=settings.momentum),
    }
    optimizer = kinds[settings.optimizer](
        learning_rate(settings, steps_per_epoch),
        weight_decay=settings.weight_decay or None,
        global_clipnorm=settings.clip_norm or None,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def learning_rate(settings: TrainConfig, steps_per_epoch: int) -> tf.keras.optimizers.schedules.LearningRateSchedule:
    """Returns the rate of every step.

    Args:
      settings: the part of the configuration about training.
      steps_per_epoch: of the run.

    Returns:
      A Keras schedule: "cosine" rises from 0 for `warmup_steps` steps, then falls to 0 over the run; "steps" is
      multiplied by `decay_factor` after each of `decay_epochs`.
    """
    steps = settings.num_epochs * steps_per_epoch
    if settings.schedule == "cosine":
        if settings.warmup_steps >= steps:
            progress.note(
                f"the learning rate rises for all {steps} steps of this run, which is for trials alone; "
                f"config.train.warmup_steps={settings.warmup_steps}"
            )
        return tf.keras.optimizers.schedules.CosineDecay(
            0.0 if settings.warmup_steps else settings.learning_rate,
            max(1, steps - settings.warmup_steps),
            warmup_target=settings.learning_rate if settings.warmup_steps else None,
            warmup_steps=settings.warmup_steps,
        )
    rates = [settings.learning_rate * settings.decay_factor**n for n in range(len(settings.decay_epochs) + 1)]
    # The end of the run is a boundary too, for Keras needs one at least.
    last_steps = [epoch * steps_per_epoch - 1 for epoch in (*settings.decay_epochs, settings.num_epochs)]
    return tf.keras.optimizers.schedules.PiecewiseConstantDecay(last_steps, [*rates, rates[-1]])


@tf.keras.utils.register_keras_serializable(package="dense_labels")
class AdagradMomentum(compat.SlotOptimizer):
    """AdaGrad with momentum.

    The CVPR 2018 paper trains with "the AdaGrad solver" and momentum 0.9 (section 3.6), which is no published method.
    This is AdaGrad whose steps are accumulated as those of gradient descent with momentum are:

        a <- a + g^2,    v <- momentum v + rate g / sqrt(a + epsilon),    w <- w - v.

    With momentum 0 it is `tf.keras.optimizers.Adagrad`. Weight decay is decoupled, as in all optimisers of Keras; the
    paper does not say of which kind its 5e-4 is.
    """

    def __init__(
        self,
        learning_rate: float | tf.keras.optimizers.schedules.LearningRateSchedule = 0.001,
        momentum: float = 0.9,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        name: str = "AdagradMomentum",
        **kwargs,
    ):
        """Creates the optimiser.

        Args:
          learning_rate: a float or `tf.keras.optimizers.schedules.LearningRateSchedule`.
          momentum: share of the last step that is added to the next, from 0 to below 1.
          initial_accumulator_value: what a begins with.
          epsilon: added to a.
          name: of the optimiser.
          **kwargs: of `tf.keras.optimizers.Optimizer`, such as `weight_decay`.

        Raises:
          ValueError: if `momentum` is out of range.
        """
        super().__init__(learning_rate, name, **kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum={momentum}: must be at least 0 and below 1")
        self.momentum, self.epsilon = momentum, epsilon
        self.initial_accumulator_value = initial_accumulator_value
        self.slots = {"squares": initial_accumulator_value, "velocity": 0.0}

    def step(self, gradient: tf.Tensor, variable: tf.Variable, rate: tf.Tensor, *slots: tf.Variable) -> None:
        """Makes the step of one variable."""
        square, velocity = slots
        square.assign_add(tf.square(gradient))
        velocity.assign(self.momentum * velocity + rate * gradient * tf.math.rsqrt(square + self.epsilon))
        variable.assign_sub(velocity)

    def get_config(self) -> dict:
        """Returns the arguments that make the optimiser again."""
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }
