"""The network of a run, as its newest checkpoint has it."""

from __future__ import annotations

import copy
import os

import tensorflow as tf

from dense_labels import config as config_lib
from dense_labels.registry import NETWORKS
from dense_labels.training import checkpoints


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
    network = NETWORKS[model.name].value.create(model, "float32")
    return network, checkpoints.restore_network(network, os.fspath(workdir)) if workdir else 0
