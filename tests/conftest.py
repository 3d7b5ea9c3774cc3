"""What all tests share: two logical CPUs, so that distribution is tested on a laptop; fixed seeds; a small arm."""

import gc
import os

import dense_labels  # noqa: F401, before TensorFlow, which it sets up as in the commands that tests start

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
import tensorflow as tf

tf.config.set_visible_devices([], "GPU")
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

from dense_labels.batches import Limits  # noqa: E402, for TensorFlow must not have begun before the devices are set
from tests import colours  # noqa: E402, for the same reason

# A graph is many objects that stay. Going through all of them again and again took a quarter of the time of the tests.
gc.freeze()
gc.set_threshold(50_000, 20, 20)

ARM_PAIRS, ARM_SEED = 240, 0


def pytest_collection_modifyitems(items):
    """Begins with the files at the top, which take longest, so that none is left to run alone at the end."""
    items.sort(key=lambda item: item.path.parent.name != "tests")


@pytest.fixture(autouse=True)
def fixed_seeds():
    """Every test starts from the same random state, alone or among others."""
    tf.keras.utils.set_random_seed(0)


@pytest.fixture(scope="module")
def undrawn():
    """Draws no pictures of training and evaluation, for modules that test something else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dense_labels.pictures.gallery.draw", lambda material, **_: {})
        yield


@pytest.fixture(scope="session")
def arm_dir(tmp_path_factory):
    """Folder that holds a small roboarm data set."""
    from input_pipeline.simulation import roboarm

    folder = tmp_path_factory.mktemp("arm")
    roboarm.prepare(str(folder), num_pairs=ARM_PAIRS, seed=ARM_SEED)
    return str(folder)


@pytest.fixture(scope="session")
def arm_data(arm_dir):
    """Configuration of that data set."""
    from dense_labels.config import DataConfig

    return DataConfig(dir=arm_dir, num_pairs=ARM_PAIRS, seed=ARM_SEED)


@pytest.fixture(scope="session")
def colour_network():
    """The network of `colours`."""
    return colours.network()


@pytest.fixture(scope="session")
def colour_head():
    """The head of `colours`."""
    return colours.head()


@pytest.fixture(scope="session")
def colour_served_dir(colour_network, colour_head, tmp_path_factory):
    """Folder of the versions of that model, which has heat maps here and joins requests."""

    def head(labels):
        return {**colour_head(labels), "heatmaps": tf.transpose(labels / 30.0, [0, 3, 1, 2])}  # how much of a colour

    head.variables = colour_head.variables
    folder = tmp_path_factory.mktemp("colours")
    colours.publish(colour_network, head, folder, verified=False, limits=Limits(batch_requests=4))
    return folder
