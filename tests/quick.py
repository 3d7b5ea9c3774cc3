"""Trainings that take a second, and what tells whether two runs are the same."""

import contextlib
import os

import numpy as np
import pytest
import tensorflow as tf

from dense_labels import files
from dense_labels.training import callbacks, checkpoints, loop
from tests import drawn

SIDE, EPOCHS, STEPS = 32, 3, 2
_SETTINGS = {
    "model.name": "simple",
    "model.norm": "none",
    "data.size": (SIDE, SIDE),
    "train.num_epochs": EPOCHS,
    "train.steps_per_epoch": STEPS,
    "train.keep_checkpoints": 2,
    "train.warmup_steps": 0,
    "train.batch_size": 2,
    "train.precision": "float32",
}


@contextlib.contextmanager
def options(folder):
    """The arguments of a quick training, all but where; nothing is drawn, and nothing written for TensorBoard."""
    drawn.faces(folder / "pictures", side=SIDE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks.Pictures, "_attempt", lambda *_: None)
        patch.setattr(loop, "_for_the_chief", lambda *_: [])
        yield {"pictures_or_config": str(folder / "pictures"), **_SETTINGS, "data.cache_dir": str(folder / "cache")}


def weights(workdir):
    """The step and all variables of the newest checkpoint."""
    folder, name = os.path.split(checkpoints.newest(workdir))
    with files.plain_path(folder) as plain:
        reader = tf.train.load_checkpoint(os.path.join(plain, name))
        names = [name for name in reader.get_variable_to_shape_map() if "OBJECT" not in name]
        return int(name.rpartition("-")[2]), {name: reader.get_tensor(name) for name in names}


def assert_same(found, expected):
    """Refuses what `weights` gave of two runs, unless it is the same to the bit."""
    assert found[0] == expected[0] and found[1].keys() == expected[1].keys()
    for name, value in expected[1].items():
        np.testing.assert_array_equal(found[1][name], value, err_msg=name)
