"""Callbacks: what is written before what, pictures that fail, late or odd ones, and words of warning."""

import os
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from dense_labels.config import ModelConfig
from dense_labels.training import callbacks
from tests.dense_labels.training import tiny
from tests.dense_labels.training.tiny import STEPS

LEARNED = ("labels", "sphere", "hemispheres", "transfer", "match_errors", "precision_recall")
RATE, MANY = 2e-2, 40  # of a training that is to learn something: rate, and steps of an epoch


def events(workdir, folder):
    return EventAccumulator(os.path.join(workdir, "tensorboard", folder)).Reload()


def newest(workdir):
    path = tf.train.latest_checkpoint(os.path.join(workdir, "checkpoints"))
    return path and int(path.rpartition("-")[2])


# --- what an epoch shows ---


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Work directory of a run of three epochs that was stopped while it drew the second and went on."""
    workdir, draw = tmp_path_factory.mktemp("shown"), callbacks.gallery.draw
    config = tiny.config()
    config.train.learning_rate, config.train.batch_size, config.train.steps_per_epoch = RATE, 8, MANY

    def stop_in_second_epoch(material, **options):
        if newest(workdir) == 2 * MANY:
            raise KeyboardInterrupt
        return draw(material, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks.gallery, "draw", stop_in_second_epoch)
        with pytest.raises(KeyboardInterrupt):
            tiny.train(config, workdir)
    assert newest(workdir) == 2 * MANY
    tiny.train(config, workdir)
    assert newest(workdir) == 3 * MANY
    return workdir


def test_training_matches_better_and_shows_it_in_tensorboard(shown):
    written = events(shown, "train")
    figures = {
        name: [tf.make_ndarray(event.tensor_proto).item() for event in written.Tensors(f"epoch_{name}")]
        for name in ("loss", "matching_error", "learning_rate", "pairs_per_second")
    }
    assert all(len(values) == 3 for values in figures.values())
    assert figures["matching_error"][-1] < 0.6 * figures["matching_error"][0]
    assert figures["loss"][-1] < figures["loss"][0]
    assert figures["learning_rate"] == pytest.approx([RATE] * 3)


def test_every_epoch_has_its_pictures_and_curves_even_one_that_was_stopped(shown):
    pictures = events(shown, "pictures")
    for name in (*LEARNED, "pairs"):
        drawn = pictures.Tensors(name)
        assert [event.step for event in drawn] == ([0] if name == "pairs" else [0, 1, 2])
        width, height, png = drawn[-1].tensor_proto.string_val
        assert tf.io.decode_png(png).shape == [int(height), int(width), 3]
    curve = "matches/pr_curves"
    assert pictures.SummaryMetadata(curve).plugin_data.plugin_name == "pr_curves"
    assert tf.make_ndarray(pictures.Tensors(curve)[-1].tensor_proto).shape == (6, 201)


def test_the_settings_of_a_run_are_in_tensorboards_table(shown):
    run = events(shown, ".")
    (start,) = run.PluginTagToContent("hparams").keys() - {"_hparams_/session_end_info"}
    values = plugin_data_pb2.HParamsPluginData.FromString(run.PluginTagToContent("hparams")[start])
    hparams = values.session_start_info.hparams
    assert hparams["loss.name"].string_value == "log"
    assert hparams["train.batch_size"].number_value == 8 and hparams["model.mean"].string_value == "(0.0, 0.0, 0.0)"


@pytest.mark.parametrize("stride", [2, 8, 16])
def test_image_sides_need_not_be_multiples_of_the_stride(tmp_path, capsys, stride):
    config = tiny.config(num_epochs=1)
    config.train.steps_per_epoch, config.train.batch_size = 1, 2
    tiny.train(config, tmp_path, size=(90, 118), stride=stride)
    said = capsys.readouterr().out
    assert "cannot be drawn" not in said
    assert {*LEARNED, "pairs"} <= set(events(tmp_path, "pictures").Tags()["tensors"])
    assert newest(tmp_path) == 1


# --- when and by whom ---


def test_pictures_come_after_the_figures_and_the_checkpoint(tmp_path, no_pictures, monkeypatch):
    seen = []

    def draw(material, **options):
        if options:  # not how the pairs are bent, which is drawn first of all
            steps = [event.step for event in events(tmp_path, "train").Tensors("epoch_loss")]
            seen.append((newest(tmp_path), steps))
        return {}

    monkeypatch.setattr(callbacks.gallery, "draw", draw)
    tiny.train(tiny.config(num_epochs=2), tmp_path)
    assert seen == [(STEPS, [0]), (2 * STEPS, [0, 1])]


def test_pictures_that_cannot_be_drawn_end_no_run_and_are_made_up_for(tmp_path, no_pictures, monkeypatch, capsys):
    config = tiny.config(num_epochs=2)

    def fail(*_, **options):
        raise RuntimeError("out of ink")

    def label_first(*_, **options):
        if newest(tmp_path) == 2 * STEPS:
            raise MemoryError("out of paper")
        return types.SimpleNamespace(pair_matches=None)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.gallery, "draw", fail)
        patch.setattr(callbacks.gallery, "label_pairs", label_first)
        tiny.train(config, tmp_path)
    said = capsys.readouterr().out
    assert newest(tmp_path) == 2 * STEPS and no_pictures == []
    for what, why in (("the pairs", "ink"), ("epoch 1", "ink"), ("epoch 2", "paper")):
        assert f"warning: the pictures of {what} cannot be drawn: " in said and f"Error: out of {why}; training" in said
    for _ in range(2):
        tiny.train(config, tmp_path)
        assert "already trained for 2 epochs" in capsys.readouterr().out
        assert no_pictures == [1]  # the last epoch, once


@pytest.mark.parametrize("chief", [True, False])
def test_all_of_several_workers_label_the_pairs_and_one_draws_them(tmp_path, no_pictures, monkeypatch, chief):
    """Labels of length 1 are drawn longer, for a softmax hardly tells them apart."""
    labelled, settings = [], ModelConfig(name="introspection", confidence=False)

    def label_pairs(network, pairs, stride, *, has_confidence, compares_labels):
        labelled.append((network(1), stride, has_confidence, compares_labels))
        return types.SimpleNamespace(pair_matches=None)

    monkeypatch.setattr(callbacks.gallery, "label_pairs", label_pairs)
    callback = callbacks.Pictures(str(tmp_path), tiny.examples(), 4, settings, chief=chief)
    callback.set_model(types.SimpleNamespace(network=lambda images: images))
    callback.on_train_begin()
    callback.on_epoch_end(0)
    assert labelled == [(20**0.5, 4, False, True)]
    assert no_pictures == ([0, 0] if chief else [])


# --- words of warning ---


def test_a_weight_that_is_not_finite_is_seen_behind_a_loss_that_is():
    weight = tf.Variable([1.0, 2.0])
    callback = callbacks.StopIfNotFinite(types.SimpleNamespace(newest=None))
    network = types.SimpleNamespace(trainable_variables=[weight])
    iterations = types.SimpleNamespace(iterations=tf.constant(7))
    callback.set_model(types.SimpleNamespace(network=network, optimizer=iterations))
    callback.on_train_begin()
    callback.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(
        FloatingPointError, match="^the loss is not finite at step 7; there is no checkpoint yet; try a"
    ):
        callback.on_train_batch_end(1, {"loss": np.inf})
    weight.assign([1.0, np.nan])
    with pytest.raises(
        FloatingPointError, match="^a weight is not finite at step 7; there is no checkpoint yet; try a"
    ):
        callback.on_train_batch_end(1, {"loss": 1.0})


@pytest.mark.parametrize("error, warned", [(0.72, True), (0.6, False)])
def test_collapsed_labels_are_spoken_of(capsys, error, warned):
    cells = (30, 20)
    callback = callbacks.WarnOfCollapse(cells, tiny.STRIDE)
    places = tiny.STRIDE * np.stack(np.meshgrid(np.arange(20), np.arange(30)), axis=-1).reshape([-1, 2])
    by_chance = np.linalg.norm(places[:, np.newaxis] - places, axis=-1).mean()
    callback.on_epoch_end(0, {"matching_error": error * by_chance})
    said = capsys.readouterr().out
    assert said.startswith("warning: matches are") == warned
    if warned:
        assert f"by chance they would be {by_chance:.0f}" in said and "config.model.norm=batch" in said
