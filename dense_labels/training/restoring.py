"""The network of a run, with the weights of its newest checkpoint."""

from __future__ import annotations

import copy
import os

import tensorflow as tf

from dense_labels import config as config_lib
from dense_labels.registry import NETWORKS
from dense_labels.training import checkpoints

_SIDE = 64  # pixels of an image that a network without weights is shown


def created_network(settings: config_lib.ModelConfig, precision: str = "float32") -> tf.keras.Model:
    """Creates the network that a configuration names, with its weights.

    Args:
      settings: the part of the configuration about the network.
      precision: Keras dtype or policy name of its convolutions.

    Returns:
      `tf.keras.Model` from images [B, H, W, 3] to labels.

    Raises:
      ValueError: if what is registered under the name creates something else, or a network without weights.
    """
    entry = NETWORKS[settings.name]
    network = entry.value.create(settings, precision)
    if not isinstance(network, tf.keras.Model):
        raise ValueError(f"create of network {entry.place} must return a Keras model; found {type(network).__name__}")
    if not network.built or not network.weights:  # as of a Sequential without an input, or a subclass
        network(tf.zeros([1, _SIDE, _SIDE, 3]))
    if not network.weights:
        raise ValueError(f"network {entry.place} has no weights: there is nothing to train")
    return network


def restored_network(config: config_lib.Config, workdir: str | os.PathLike | None) -> tuple[tf.keras.Model, int]:
    """Creates the network of a configuration, with the weights of the newest checkpoint of a run.

    Args:
      config: of the network.
      workdir: folder of the run; None for a network that is not trained.

    Returns:
      `(network, step)`: in float32, and how many steps it was trained for.

    Raises:
      ValueError: if the checkpoint is missing, damaged or of another network.
    """
    tf.config.experimental.enable_tensor_float_32_execution(False)  # the scores of a match need all of float32
    model = copy.copy(config.model)
    if workdir:
        model.weights = "none"  # those of a trunk are in the checkpoint
    network = created_network(model)
    return network, checkpoints.restore_network(network, os.fspath(workdir)) if workdir else 0
