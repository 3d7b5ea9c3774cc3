"""What differs between the two stacks: TensorFlow 2.15 with Keras 2, and the newest TensorFlow with Keras 3.

TensorFlow Addons and TensorFlow Graphics ended with the older stack. They are used where they are installed;
`stand_ins` gives the same to 1e-5, and the batch norm of Keras 2. No other module asks which stack it runs on but
`training.optimizers`, which replaces private methods of Keras 3 where it finds them.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import unittest.mock
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import tensorflow as tf

from dense_labels.method import stand_ins

KERAS_3 = hasattr(tf.keras, "ops")
BatchNormalization = stand_ins.BatchNormalization if KERAS_3 else tf.keras.layers.BatchNormalization  # fused
HAS_ADDONS = importlib.util.find_spec("tensorflow_addons") is not None
HAS_GRAPHICS = importlib.util.find_spec("tensorflow_graphics") is not None
_Function = TypeVar("_Function", bound=Callable)


def without_autograph(function: _Function) -> _Function:
    """Traces what a function traces without AutoGraph, as Keras 3 trains; reading its source would take seconds."""
    return tf.autograph.experimental.do_not_convert(function)


def variables(layer: Any) -> list[tf.Variable]:
    """Returns the variables that a layer, a model or a module has as TensorFlow's own, which Keras 3 wraps."""
    found = getattr(layer, "variables", ())
    return [variable if isinstance(variable, tf.Variable) else variable.value for variable in found]


def saved_network(network: tf.keras.Model) -> Any:
    """Returns what a checkpoint holds of a network, under the names that Keras 2 gives its parts.

    Keras 3 hides weights from `tf.train.Checkpoint`. So each stack reads the checkpoints of the other. Raises a
    ValueError where it would not hold each weight.
    """
    return stand_ins.tracked(network) if KERAS_3 else network


def saved_optimizer(optimizer: tf.keras.optimizers.Optimizer) -> Any:
    """Returns what a checkpoint holds of an optimiser that is built; see `saved_network`. All of it carries over."""
    if not KERAS_3:
        return optimizer
    if isinstance(optimizer, tf.keras.optimizers.LossScaleOptimizer):  # its count of good steps begins anew
        state, good_steps = saved_optimizer(optimizer.inner_optimizer), tf.Variable(0, dtype=tf.int64)
        state.loss_scale = tf.train.Checkpoint(current_loss_scale=optimizer.dynamic_scale.value, good_steps=good_steps)
        return state
    of_all = ("iteration", "learning_rate")  # the others are of one weight each
    slots = [variable.value for variable in optimizer.variables if variable.name not in of_all]
    numbered = tf.train.Checkpoint(**{str(index): slot for index, slot in enumerate(slots, start=1)})
    rate = tf.Variable(0.0)  # Keras 2 keeps that of the last step, and works it out anew in each
    return tf.train.Checkpoint(_iterations=optimizer.iterations.value, _variables=numbered, _current_learning_rate=rate)


def several_workers(strategy: tf.distribute.Strategy) -> tf.distribute.Strategy:
    """Lets Keras 3 train a `PairModel` on many workers: it fails at a mean of scalars, which a step has made alike."""
    if KERAS_3:  # github.com/keras-team/keras/issues/20585
        reduce, local = strategy.reduce, strategy.experimental_local_results
        strategy.reduce = lambda operation, values, axis=None: tf.nest.map_structure(
            lambda value: reduce(operation, value, axis) if axis is None else local(value)[0], values
        )
    return strategy


LossScaleOptimizer = (tf.keras.optimizers if KERAS_3 else tf.keras.mixed_precision).LossScaleOptimizer  # it has moved


class SlotOptimizer(tf.keras.optimizers.Optimizer):
    """Base of an optimiser of our own; define `slots`, and `step` to change a variable and its slots."""

    slots: dict[str, float]  # name -> what it begins with

    def __init__(self, learning_rate: Any, name: str, **kwargs):
        """Creates the optimiser; the arguments are those of `tf.keras.optimizers.Optimizer` on either stack."""
        if KERAS_3:
            super().__init__(learning_rate, name=name, **kwargs)
        else:
            super().__init__(name, **kwargs)
            self._learning_rate = self._build_learning_rate(learning_rate)

    def step(self, gradient: tf.Tensor, variable: tf.Variable, rate: tf.Tensor, *slots: tf.Variable) -> None:
        """Makes the step of one variable."""
        raise NotImplementedError(f"{type(self).__name__} does not define step")

    def build(self, var_list: list[tf.Variable]) -> None:
        """Creates the slots of the variables, once."""
        if getattr(self, "_slots", None) is not None:
            return
        super().build(var_list)
        self._built = True
        self._slots = [self._slot(variable, *slot) for variable in var_list for slot in self.slots.items()]

    def _slot(self, variable, name, value):
        if KERAS_3:
            return self.add_variable_from_reference(variable, name, initializer=tf.keras.initializers.Constant(value))
        start = tf.fill(variable.shape, tf.cast(value, variable.dtype))
        return self.add_variable_from_reference(variable, name, initial_value=start)

    def update_step(self, gradient: Any, variable: tf.Variable, learning_rate: Any = None) -> None:
        """Makes the step of one variable; the gradient may be sparse, which is made dense."""
        index = self._get_variable_index(variable) if KERAS_3 else self._index_dict[self._var_key(variable)]
        slots = self._slots[index * len(self.slots) : (index + 1) * len(self.slots)]
        rate = tf.cast(self.learning_rate if learning_rate is None else learning_rate, variable.dtype)
        self.step(tf.convert_to_tensor(gradient), variable, rate, *slots)

    def get_config(self) -> dict:
        """Returns the arguments that make the optimiser again."""
        rate = {} if KERAS_3 else {"learning_rate": self._serialize_hyperparameter(self._learning_rate)}
        return {**super().get_config(), **rate}


def norms_apart(network: tf.keras.Model) -> list[tf.keras.layers.BatchNormalization]:
    """Returns the batch norms, in whatever layer, whose statistics each replica keeps for itself: all of Keras 3."""
    layers = network._flatten_layers() if KERAS_3 else []
    return [layer for layer in layers if isinstance(layer, tf.keras.layers.BatchNormalization)]


@functools.cache
def resampler() -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns `tfa.image.resampler`, or what stands in for it."""
    if not HAS_ADDONS:
        return stand_ins.resampler
    with warnings.catch_warnings():  # that the package will not be developed further is known, and no user's matter
        warnings.filterwarnings("ignore", message=r"\s*TensorFlow Addons")
        from tensorflow_addons.image import resampler as of_addons
    return of_addons


def graphics(module: str) -> ModuleType:
    """Returns a module of TensorFlow Graphics, such as "math.math_helpers", or what stands in for it."""
    if not HAS_GRAPHICS:
        return stand_ins
    # Each module looks for its caller, in the whole stack with all lines of source, which takes 15 seconds or more.
    with unittest.mock.patch("inspect.stack", lambda: [(sys._getframe(1),), (sys._getframe(2),)]):
        return importlib.import_module(f"tensorflow_graphics.{module}")
