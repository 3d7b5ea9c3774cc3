"""The losses of paper 1 by the names of the configuration, and what they make of a batch."""

import tensorflow as tf

from dense_labels.method import losses

KINDS = {"log": losses.LogLikelihoodLoss, "dist": losses.DistanceLoss, "margin": losses.MarginLoss}


def create(name, stride, *, gamma=None, **options):
    """The loss layer of a name; "log" has no gamma."""
    return KINDS[name](stride, **options, **({} if name == "log" else {"gamma": gamma}))


def loss_and_gradients(layer, *batch, jit_compile=False):
    """The loss of each image in a graph, and the gradients of their mean by both label maps."""

    @tf.function(jit_compile=jit_compile, autograph=False)
    def run(labels_a, labels_b):
        with tf.GradientTape() as tape:
            tape.watch([labels_a, labels_b])
            loss = layer((labels_a, labels_b, *batch[2:]))["loss"]
            mean = tf.reduce_mean(loss)
        return loss, *tape.gradient(mean, [labels_a, labels_b])

    return run(*batch[:2])
