"""Optimisers that Keras lacks."""

import tensorflow as tf


class AdagradMomentum(tf.keras.optimizers.Optimizer):
    """AdaGrad with momentum.

    The CVPR 2018 paper trains with "the AdaGrad solver" and momentum 0.9 (section 3.6), which is no published method.
    This is AdaGrad whose steps are accumulated as those of gradient descent with momentum are:

        a <- a + g^2,    v <- momentum v + rate g / sqrt(a + epsilon),    w <- w - v.

    With momentum 0 it is `tf.keras.optimizers.Adagrad`. Weight decay is decoupled, as in all optimisers of Keras; the
    paper does not say which kind its 5e-4 is.
    """

    def __init__(
        self,
        learning_rate=0.001,
        momentum=0.9,
        initial_accumulator_value=0.1,
        epsilon=1e-7,
        name="AdagradMomentum",
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
        super().__init__(name=name, **kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum={momentum}: must be at least 0 and below 1")
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.momentum, self.epsilon = momentum, epsilon
        self.initial_accumulator_value = initial_accumulator_value

    def build(self, var_list):
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._built = True
        self._squares, self._velocities = [], []
        for variable in var_list:
            start = tf.fill(variable.shape, tf.cast(self.initial_accumulator_value, variable.dtype))
            self._squares.append(self.add_variable_from_reference(variable, "squares", initial_value=start))
            self._velocities.append(self.add_variable_from_reference(variable, "velocity"))

    def update_step(self, gradient, variable):
        """Makes the step of one variable; the gradient may be sparse, which is made dense."""
        index = self._index_dict[self._var_key(variable)]
        square, velocity = self._squares[index], self._velocities[index]
        gradient = tf.convert_to_tensor(gradient)
        rate = tf.cast(self.learning_rate, variable.dtype)
        square.assign_add(tf.square(gradient))
        velocity.assign(self.momentum * velocity + rate * gradient * tf.math.rsqrt(square + self.epsilon))
        variable.assign_sub(velocity)

    def get_config(self):
        return {
            **super().get_config(),
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "momentum": self.momentum,
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }
