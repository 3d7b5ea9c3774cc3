"""What all tests share: two logical CPUs, so that distribution is tested on a laptop; fixed seeds; a small arm."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
import tensorflow as tf

tf.config.set_visible_devices([], "GPU")
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

ARM_PAIRS, ARM_SEED = 240, 0


@pytest.fixture(autouse=True)
def fixed_seeds():
    """Every test starts from the same random state, alone or among others."""
    tf.keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def arm_dir(tmp_path_factory):
    """Folder that holds a small roboarm data set."""
    from input_pipeline.datasets import roboarm

    folder = tmp_path_factory.mktemp("arm")
    roboarm.prepare(str(folder), num_pairs=ARM_PAIRS, seed=ARM_SEED)
    return str(folder)


@pytest.fixture(scope="session")
def arm_data(arm_dir):
    """Configuration of that data set."""
    from dense_labels.config import DataConfig

    return DataConfig(dir=arm_dir, num_pairs=ARM_PAIRS, seed=ARM_SEED)


@pytest.fixture(scope="session")
def colour_served_dir(tmp_path_factory):
    """Folder of the versions of a small model, of 30 x 24 pixels, that finds red, green and blue and joins requests."""
    import numpy as np

    from dense_labels import export
    from models import heads

    layers = [tf.keras.layers.AveragePooling2D(2), tf.keras.layers.Rescaling(30.0)]
    network = tf.keras.Sequential([tf.keras.Input([None, None, 3]), *layers])
    nearest = heads.NearestLandmarks(10 * np.eye(3, dtype=np.float32), 2, upsample=4)

    def head(labels):
        return {**nearest(labels), "heatmaps": tf.transpose(labels / 30.0, [0, 3, 1, 2])}  # of a colour, how much of it

    head.variables = nearest.variables
    example = tf.image.resize(tf.random.stateless_uniform([1, 6, 6, 3], [0, 0]), (30, 24)).numpy()
    shape = {"input_size": (30, 24), "stride": 2}
    folder = tmp_path_factory.mktemp("colours")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_verify", lambda *_: None)  # test_export sees to that, and it takes long
        export.export_saved_model(network, head, folder, **shape, example_images=example, batch_requests=4)
    return folder
