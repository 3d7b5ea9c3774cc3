"""One of each kind added from outside the package, in one file: trained, evaluated, kept, and opened again."""

import json
import re
import subprocess
import sys
import types

import numpy as np
import pytest

from dense_labels import config, registry, run_training
from input_pipeline import pipeline
from input_pipeline.sources import base
from tests import commands, drawn
from tests.commands import ROOT, environment

OUTSIDE = '''
"""A data set, network, loss, head, metric and picture that the package knows nothing of."""

import pathlib

import numpy as np
import tensorflow as tf

from dense_labels.method.losses import MatchingLoss
from dense_labels.registry import HEADS, LOSSES, METRICS, NETWORKS, PICTURES, READERS
from input_pipeline.readers.pictures import Pictures


@READERS.register("npy", "points.npy beside its pictures", keys=("data.size", "data.crop", "data.cache_dir", "views.*"))
def read(data):
    points = np.load(pathlib.Path(data.dir) / "points.npy").astype(np.float32)
    paths = tuple(sorted(str(path) for path in pathlib.Path(data.dir).glob("*.png")))
    ones = np.ones(points.shape[:2], np.float32)
    known = Pictures(paths, landmarks=points, annotated=ones, normalisers=32 * ones[:, 0], normaliser="width")
    return {"train": known, "annotated": known}


@NETWORKS.register("tiny", "one convolution at stride 4")
class Tiny:
    @staticmethod
    def create(settings, precision):
        images = tf.keras.Input([None, None, 3])
        return tf.keras.Model(images, tf.keras.layers.Conv2D(settings.label_size, 4, 4, dtype="float32")(images))

    @staticmethod
    def stride(settings):
        return 4

    @staticmethod
    def has_confidence(settings):
        return False


class Squared(MatchingLoss):
    def value_and_gradient(self, scores, best, true_scores, squared_distances):
        probability = tf.nn.softmax(scores)
        expected = tf.reduce_sum(probability * squared_distances, axis=-1)
        return expected, probability * (squared_distances - expected[:, tf.newaxis]), tf.zeros_like(true_scores)


@LOSSES.register("squared", "expected squared distance", points_stride=None)
def create(config, stride):
    return Squared(stride)


class Middle(tf.keras.layers.Layer):
    """Finds every landmark in the middle of the picture."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def call(self, labels):
        places = tf.fill([tf.shape(labels)[0], self.count, 2], 16.0)
        return {"points": places, "score": tf.ones_like(places[..., 0])}

    def state(self):
        return {"count": np.array(self.count)}


@HEADS.register("middle", "the middle of the picture")
class MiddleHead:
    @staticmethod
    def fit(known, *, upsample, seed):
        return Middle(known.landmarks.shape[1])

    @staticmethod
    def restore(state):
        return Middle(int(state["count"]))


@METRICS.register("worst_percent", "largest mean error of an image, %")
def worst(points):
    offsets = np.linalg.norm(points.predicted - points.landmarks, axis=-1)
    return float((100 * offsets.mean(axis=1) / points.normaliser).max())


@PICTURES.register("checks", "The first view of each pair.", title="Checks", needs=("pairs",))
def checks(material):
    return np.uint8(255 * np.concatenate(list(material.pairs.image_a), axis=1))
'''

CONFIG = """
import mine  # registers what is chosen below

from dense_labels.config import Config


def get_config():
    config = Config()
    config.data.name, config.data.dir, config.data.size = "npy", {pictures!r}, (32, 32)
    config.data.cache_dir = {cache!r}
    config.model.name, config.loss.name, config.eval.heads = "tiny", "squared", ("middle", "nearest")
    config.train.num_epochs, config.train.steps_per_epoch, config.train.batch_size = 1, 2, 2
    config.train.precision = "float32"
    return config
"""


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run of what one file outside the package has registered, trained and evaluated by the commands."""
    folder = tmp_path_factory.mktemp("outside")
    landmarks = drawn.faces(folder / "pictures", count=6)
    np.save(folder / "pictures" / "points.npy", np.stack(list(landmarks.values())))
    (folder / "mine.py").write_text(OUTSIDE)
    config = CONFIG.format(pictures=str(folder / "pictures"), cache=str(folder / "cache"))
    (folder / "mine_config.py").write_text(config)
    trained = commands.run("train_main.py", f"--config={folder / 'mine_config.py'}", f"--workdir={folder / 'run'}")
    assert trained.returncode == 0, trained.stderr
    evaluated = commands.run(
        "eval_main.py", f"--workdir={folder / 'run'}", "--report", f"--export_dir={folder / 'served'}"
    )
    assert evaluated.returncode == 0, evaluated.stderr
    return folder / "run"


def test_it_is_trained_and_measured(workdir):
    result = json.loads((workdir / "eval" / "result.json").read_text())
    assert result["protocol"]["middle"] == "the middle of the picture"  # its words
    assert result["metrics"]["middle_worst_percent"] >= result["metrics"]["middle_error_percent"] > 0
    assert result["metrics"]["mean_shape_worst_percent"] > 0 and result["protocol"]["test_images"] == 6


def test_it_is_drawn_and_shown(workdir):
    assert (workdir / "eval" / "checks.png").exists()
    page = (workdir / "eval" / "report.html").read_text()
    assert "The first view of each pair." in page and "largest mean error of an image, %" in page


def test_its_head_is_served_and_kept(workdir):
    card = json.loads((workdir.parent / "served" / "1" / "assets" / "model_card.json").read_text())
    assert "landmarks" in card["signatures"]
    assert (workdir / "heads" / "1" / "middle.npz").exists()


def test_another_process_opens_it(workdir):
    """The run says which file registered what it is made of."""
    code = (
        f"import dense_labels; run = dense_labels.open_run({str(workdir)!r}); print(run.config.model.name, run.stride)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True)
    said, found = done.stdout.splitlines()
    assert found.split() == ["tiny", "4"], done.stderr
    assert re.fullmatch(r"note: running /.*\.py, which this run or configuration names", said)


def _source(size):
    """A source of images (height, width) that are of that size."""
    made = type("Mine", (base.Source,), {name: None for name in base.Source.__abstractmethods__})()
    made.input_size = size
    return made


def test_the_frame_of_a_source_that_resizes_nothing_is_that_of_its_images(monkeypatch):
    source = _source((32, 48))
    source.margin, source.count = 4, lambda split: 7
    before = config.with_overrides(config.Config(), {"data.name": "mine", "train.batch_size": 2, "data.crop": 15})
    monkeypatch.setitem(registry.SOURCES._entries, "mine", registry.Entry("mine", "", print))
    resolved = run_training._resolved(before, source, "float32", 1)
    assert (resolved.data.size, resolved.data.crop, resolved.data.num_pictures) == ((40, 56), 4, 7)


def test_a_name_of_a_source_and_of_a_reader_is_refused(monkeypatch):
    entry = registry.Entry("folder", "", print, file="/x/mine.py")
    list(registry.SOURCES)
    monkeypatch.setitem(registry.SOURCES._entries, "folder", entry)
    with pytest.raises(
        ValueError, match="two data sets have one name, folder .*mine.py.* and folder .*folder.py.*: rename"
    ):
        config.check(config.Config())


def test_a_network_that_lacks_a_function_is_refused():
    with pytest.raises(ValueError, match="^network half .* lacks stride, has_confidence$"):
        registry.NETWORKS.register("half", "a network")(types.SimpleNamespace(create=print))
    with pytest.raises(ValueError, match="^format half .* lacks file$"):
        registry.FORMATS.register("half", "a format")(print)


@pytest.mark.parametrize(
    "size, found, said",
    [
        ((48, 48), types.SimpleNamespace(input_size=(32, 32)), "must return a Source; found SimpleNamespace"),
        ((48, 48), _source((32, 32)), "is registered with size=(48, 48), but its images have input_size=(32, 32)"),
        (None, _source((32, 32)), "is registered with size=None, but its images have input_size=(32, 32)"),
    ],
)
def test_a_source_that_is_not_what_it_was_registered_as_is_refused(size, found, said, monkeypatch):
    facts = {"simulated": True, **({"size": size} if size else {})}
    list(registry.SOURCES)
    entry = registry.Entry("mine", "", lambda _: found, facts=facts, file="/x/mine.py")
    monkeypatch.setitem(registry.SOURCES._entries, "mine", entry)
    with pytest.raises(ValueError, match=f"mine.py.* {re.escape(said)}"):
        pipeline.prepare(config.with_overrides(config.Config(), {"data.name": "mine"}))


def test_a_name_that_is_taken_is_refused():
    list(registry.LOSSES)  # ours are there
    with pytest.raises(
        ValueError,
        match="there is a loss 'dist' already, dist .*losses/dist.py.*: rename yours, dist .*test_registries.py",
    ):
        registry.LOSSES.register("dist", "something else")(lambda config, stride: None)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="there is no loss 'l2'; choose .*'dist'"):
        _ = registry.LOSSES["l2"]


def test_what_the_configuration_can_choose_is_found_without_tensorflow():
    code = (
        "import sys; from dense_labels import registry as r\n"
        "print([len(each) > 0 for each in (r.NETWORKS, r.HEADS, r.LOSSES, r.SOURCES, r.READERS, r.WARPS, r.COLOURS)])\n"
        "assert not {'tensorflow', 'tensorflow_datasets', 'tensorflow_addons'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == str([True] * 7), done.stderr


def test_every_entry_has_words_for_the_documentation():
    for name in (
        "NETWORKS",
        "HEADS",
        "LOSSES",
        "SOURCES",
        "READERS",
        "WARPS",
        "COLOURS",
        "METRICS",
        "FORMATS",
        "SIGNATURES",
    ):
        for entry in getattr(registry, name).values():
            assert entry.words and not entry.words.endswith("."), entry
