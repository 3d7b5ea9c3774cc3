"""What CONTRIBUTING.md shows of adding a part does add it."""

import re
import types

import numpy as np
import pytest
import tensorflow as tf

from dense_labels import batches, config, registry
from dense_labels.config import Config
from dense_labels.pictures import gallery
from dense_labels.training import restoring
from input_pipeline.views import pairs
from tests.commands import ROOT

KINDS = ("LOSSES", "NETWORKS", "HEADS", "READERS", "SOURCES", "WARPS", "METRICS", "PICTURES")


@pytest.fixture(scope="module")
def added():
    """Kind -> the entry that the example registers."""
    before = {kind: set(getattr(registry, kind)) for kind in KINDS}
    exec(re.search(r"```python\n(.+?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), flags=re.DOTALL)[1], {})
    names = {kind: set(getattr(registry, kind)) - known for kind, known in before.items()}
    yield {kind: getattr(registry, kind)[name] for kind, (name,) in names.items()}
    for kind, (name,) in names.items():
        del getattr(registry, kind)._entries[name]


@pytest.fixture
def chosen(added):
    """A configuration that chooses all of them."""
    names = {"loss": "LOSSES", "model": "NETWORKS", "data": "READERS"}
    changes = {f"{part}.name": added[kind].name for part, kind in names.items()}
    return config.with_overrides(
        Config(), {**changes, "eval.heads": (added["HEADS"].name,), "views.warp": added["WARPS"].name}
    )


def test_they_can_be_chosen(chosen, added):
    config.check(chosen)
    config.check_used(chosen, ["views.warp", "views.strength", "data.crop"])
    with pytest.raises(ValueError, match=f"no effect .* this run has {added['NETWORKS'].name!r}"):
        config.check_used(chosen, ["model.norm"])
    config.check(config.with_overrides(chosen, {"data.name": added["SOURCES"].name}))


def test_the_network_and_the_loss_are_trained(chosen, added):
    network = added["NETWORKS"].value
    labels = network.create(chosen.model, "float32")(tf.random.uniform([2, 16, 20, 3]))
    stride = network.stride(chosen.model)
    assert labels.shape == [2, 16 // stride, 20 // stride, chosen.model.label_size]
    loss = added["LOSSES"].value(chosen, stride)
    points, visible = tf.random.uniform([2, 8, 10, 2], maxval=16), tf.ones([2, 8, 10])
    loss((labels, labels, points, visible))
    assert np.isfinite(loss.losses[0].numpy()) and not network.has_confidence(chosen.model)


def test_the_network_is_built_as_a_training_needs_it(chosen):
    network = restoring.created_network(chosen.model)
    assert len(network.trainable_variables) == 4

    class Own(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.convolution = tf.keras.layers.Conv2D(3, 1)

        def call(self, images):
            return self.convolution(images)

    subclass = types.SimpleNamespace(create=lambda settings, precision: Own())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.NETWORKS._entries, "subclass", registry.Entry("subclass", "", subclass))
        assert len(restoring.created_network(config.ModelConfig("subclass")).weights) == 2
    chosen.model.name = "nothing"
    with pytest.MonkeyPatch.context() as patch:
        nothing = types.SimpleNamespace(create=lambda settings, precision: None)
        patch.setitem(registry.NETWORKS._entries, "nothing", registry.Entry("nothing", "", nothing, file="/x/mine.py"))
        with pytest.raises(ValueError, match="mine.py.* must return a Keras model; found NoneType"):
            restoring.created_network(chosen.model)


def test_what_the_warp_and_the_change_of_colour_return_is_checked(added):
    images, seeds = np.zeros([2, 16, 16, 3], np.uint8), np.zeros([2, 2], np.int64)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("u8", lambda images, *_: tf.cast(images, tf.uint8)), ("grey", lambda x, *_: x[..., :1])):
            patch.setitem(registry.COLOURS._entries, name, registry.Entry(name, "", value, file="/x/mine.py"))
            views = config.ViewsConfig(colour=name)
            with pytest.raises(
                ValueError, match=r"colour .*mine.py\) must return float32 \(4, 16, 16, 3\) from 0 to 1;"
            ):
                pairs.two_views(images, seeds, views, stride=2, crop=0)
        nothing = registry.Entry("nothing", "", lambda *_, **__: None, file="/x/mine.py")
        patch.setitem(registry.WARPS._entries, "nothing", nothing)
        with pytest.raises(ValueError, match="warp nothing .*mine.py\\) must return ViewMaps; found NoneType"):
            pairs.two_views(images, seeds, config.ViewsConfig(warp="nothing"), stride=2, crop=0)


def test_the_head_is_fitted_and_restored(added):
    random = np.random.default_rng(0)
    labels = batches.LabelMap(np.float32(random.normal(size=[8, 6, 6, 3])), 2)
    places, ones = np.float32(random.uniform(2, 10, [8, 2, 2])), np.ones([8, 2], np.float32)
    known = batches.LabelledLandmarks(labels, places, ones, ones, ones[:, 0], np.arange(8))
    head = added["HEADS"].value.fit(known, upsample=2, seed=0)
    again = added["HEADS"].value.restore(head.state())
    np.testing.assert_array_equal(head(labels.values)["points"], again(labels.values)["points"])


def test_the_pictures_are_listed(added, tmp_path):
    (tmp_path / "list.txt").write_text("a.png\nb.png\n")
    found = added["READERS"].value(config.DataConfig(dir=str(tmp_path)))
    assert found["train"].paths == (f"{tmp_path}/a.png", f"{tmp_path}/b.png")


def test_the_warp_is_weaker(added):
    options = {"stride": 2, "crop": 0, "views": config.ViewsConfig()}
    maps = added["WARPS"].value(tf.constant([[1, 2]]), (16, 16), strength=1.0, **options)
    weak = registry.WARPS["affine"].value(tf.constant([[1, 2]]), (16, 16), strength=0.25, **options)
    np.testing.assert_array_equal(maps.points_in_b, weak.points_in_b)


def test_the_metric_and_the_picture_are_made(added):
    from dense_labels.evaluation.metrics import Measured

    predicted = np.array([[[0.0, 0]], [[3, 4]]])
    measured = Measured(predicted, np.zeros([2, 1, 2]), np.ones([2, 1]), np.array([10.0, 10]))
    assert added["METRICS"].value(measured) == pytest.approx(50.0)
    image = np.full([1, 8, 8, 3], 0.5, np.float32)
    pairs = batches.PairBatch(image, image, np.zeros([1, 4, 4, 2], np.float32), np.ones([1, 4, 4], np.float32))
    picture = added["PICTURES"].value(gallery.Material(pairs, 2))
    assert picture.dtype == np.uint8 and (picture == 127).all()
    assert added["PICTURES"] in gallery.in_order()
