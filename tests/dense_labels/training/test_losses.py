"""Tests of the losses as they are registered: which layer a configuration makes, and what it is given."""

import pytest

from dense_labels.config import Config, check
from dense_labels.method import introspection_loss, losses, sparse_landmarks
from dense_labels.registry import LOSSES


@pytest.mark.parametrize(
    "name, kind",
    [("log", losses.LogLikelihoodLoss), ("dist", losses.DistanceLoss), ("margin", losses.MarginLoss)],
)
def test_a_name_makes_the_layer_of_its_equation(name, kind):
    config = Config()
    config.loss.name, config.loss.gamma, config.train.jit_compile = name, 0.3, True
    layer = LOSSES[name].value(config, 4)
    assert type(layer) is kind and layer.stride == 4 and layer.pack is False
    assert name == "log" or layer.gamma == 0.3
    assert layer.exchange is False
    config.train.jit_compile, config.loss.exchange, config.loss.direct = False, True, 0.25
    layer = LOSSES[name].value(config, 2)
    assert layer.pack is True and layer.exchange is True and layer.direct == 0.25


def test_the_second_papers_loss_has_its_settings():
    config = Config()
    config.model.name, config.loss.tau1, config.loss.tau2 = "introspection", 2.0, 5.0
    config.loss.points, config.loss.hard_negatives = 70, 3
    for stride, points_stride in ((16, 4), (8, 4), (2, 2)):
        layer = LOSSES["introspection"].value(config, stride)
        assert type(layer) is introspection_loss.IntrospectionLoss
        assert (layer.stride, layer.points_stride) == (stride, points_stride)
        assert (layer.tau1, layer.tau2, layer.points, layer.hard_negatives) == (2.0, 5.0, 70, 3)
    for layer in (LOSSES["introspection"].value(Config(), 8), introspection_loss.IntrospectionLoss(8, 2)):
        assert (layer.tau1, layer.tau2, layer.points, layer.hard_negatives) == (1, 30, 700, 30)  # as the paper has them


@pytest.mark.parametrize(
    "network, setting, confidence",
    [
        ("introspection", True, True),
        ("introspection", False, False),
        ("simple", True, False),
        ("dilations", True, False),
    ],
)
def test_a_length_is_taken_for_confidence_only_where_the_network_says_so(network, setting, confidence):
    """`config.model.confidence` is on unless it is set; of other networks it says nothing."""
    config = Config()
    config.model.name, config.model.confidence = network, setting
    assert LOSSES["introspection"].value(config, 2).confidence == confidence


def test_thresholds_in_the_wrong_order_are_refused():
    config = Config()
    LOSSES["introspection"].check(config)
    config.loss.tau1, config.loss.tau2 = 31.0, 30.0
    message = r"^config\.loss\.tau1=31\.0: must not be above config\.loss\.tau2=30\.0$"
    with pytest.raises(ValueError, match=message):
        LOSSES["introspection"].check(config)


def test_sparse_landmarks_have_their_settings():
    config = Config()
    config.loss.diversity, config.loss.patch = 7.0, 4
    layer = LOSSES["sparse"].value(config, 2)
    assert type(layer) is sparse_landmarks.SparseLandmarksLoss
    assert (layer.stride, layer.diversity, layer.patch) == (2, 7.0, 4)


def test_heat_maps_and_labels_have_losses_of_their_own():
    config = Config()
    config.model.name = "sparse"
    message = r"^config\.loss\.name='log': compares labels, which config\.model\.name='sparse' has none of; choose "
    with pytest.raises(ValueError, match=message):
        check(config)
    config.loss.name = "sparse"
    check(config)
    config.model.name = "dilations"
    message = r"^config\.loss\.name='sparse': is for .* config\.model\.name='sparse'; this run has 'dilations'$"
    with pytest.raises(ValueError, match=message):
        check(config)


def test_keys_belong_to_the_losses_that_read_them():
    owners = {key: {name for name, entry in LOSSES.items() if key in entry.keys} for key in ("loss.gamma", "loss.tau2")}
    assert owners == {"loss.gamma": {"dist", "margin"}, "loss.tau2": {"introspection"}}
