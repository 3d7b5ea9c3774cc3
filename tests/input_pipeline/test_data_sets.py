"""Tests of data sets that are chosen by name: found without TensorFlow, and added from outside."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dense_labels.batches import ImageBatch, PairBatch
from dense_labels.config import Config
from dense_labels.registry import READERS, SOURCES
from input_pipeline import pipeline
from input_pipeline.readers.pictures import STILL_KEYS, Pictures
from input_pipeline.sources.base import Source

ALL_MODULES = """
import importlib, pkgutil, sys
import input_pipeline.data_sets, input_pipeline.readers.formats, input_pipeline.views.choices
for package in (input_pipeline.data_sets, input_pipeline.readers, input_pipeline.readers.formats):
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
print(sorted({"tensorflow", "tensorflow_datasets", "tensorflow_addons", "scipy", "cv2"} & set(sys.modules)))
"""


@pytest.fixture
def registries(monkeypatch):
    """What a test registers is forgotten after it."""
    for registry in (READERS, SOURCES):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries if len(registry) else {}))


def test_none_of_their_modules_imports_what_is_slow():
    result = subprocess.run([sys.executable, "-c", ALL_MODULES], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_a_reader_from_outside_is_trained_on(registries, tmp_path):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.picture", "png")
    Image.new("RGB", (40, 30), "blue").save(tmp_path / "b.picture", "png")

    @READERS.register("oddly_named", "pictures called .picture", keys=STILL_KEYS)
    def read(data):
        return {"train": Pictures(tuple(sorted(map(str, tmp_path.glob("*.picture")))))}

    config = Config()
    config.data.name, config.data.dir, config.data.cache_dir = "oddly_named", str(tmp_path), str(tmp_path / "cache")
    source = pipeline.prepare(config)
    assert source.size == source.input_size == (30, 40) and source.count("train") == 2
    (batch,) = pipeline.image_batches(source, "train", batch_size=2)
    np.testing.assert_allclose(batch.image[:, 0, 0], [[1, 0, 0], [0, 0, 1]], atol=1e-6)


def test_a_source_from_outside_is_prepared_and_checked_first(registries):
    class Blank(Source):
        input_size = (8, 8)

        def count(self, split):
            return 3

        def pairs(self, split, indices, *, stride, batch_size, count=None):
            image = tf.zeros([8, 8, 3])
            pair = PairBatch(image, image, tf.zeros([2, 2, 2]), tf.ones([2, 2]))
            return indices.map(lambda index, seed: pair).batch(batch_size)

        def images(self, split, indices, *, batch_size, count=None):
            return indices.map(lambda index, seed: ImageBatch(tf.zeros([8, 8, 3]), tf.ones([8, 8]))).batch(batch_size)

        def landmarks(self, split, indices, *, batch_size, count=None):
            raise ValueError("it has no landmarks")

    def check(config):
        if config.data.seed:
            raise ValueError("config.data.seed: a blank page has none")

    SOURCES.register("blank", "blank pages", check=check, simulated=True, size=(8, 8))(lambda config: Blank())
    config = Config()
    config.data.name = "blank"
    source = pipeline.prepare(config)
    assert pipeline.example_pairs(source, "train", stride=4, count=5).visible.shape == [3, 2, 2]
    for method, arguments in ((source.surfaces, {}), (source.annotated_pairs, {"strength": 1.0})):
        with pytest.raises(NotImplementedError, match="Blank does not"):
            method("train", None, stride=4, batch_size=1, **arguments)
    config.data.seed = 1
    with pytest.raises(ValueError, match="a blank page has none"):
        pipeline.prepare(config)
