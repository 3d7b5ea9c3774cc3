"""Tests of the heads and networks as they are registered: found without TensorFlow, kept, and restored."""

import functools
import io
import subprocess
import sys

import numpy as np
import pytest

from dense_labels.config import Config
from dense_labels.registry import HEADS, NETWORKS
from models import heatmap_landmarks, regression
from tests.models.labelled import labelled

STRIDE = 4
OF_LABELS = [name for name, head in HEADS.items() if not head.facts.get("reads_pictures")]


@pytest.fixture(scope="module")
def known():
    """Six noisy images of three pictures, in which the second landmark is annotated now and then."""
    rng = np.random.default_rng(0)
    labels = rng.normal(size=[6, 6, 7, 3]).astype(np.float32)
    annotated = np.ones([6, 2], np.float32)
    annotated[::2, 1] = 0
    landmarks = rng.uniform(2, 20, size=[6, 2, 2]).astype(np.float32)
    return labelled(labels, landmarks, annotated, stride=STRIDE, picture=np.arange(6) // 2)


@pytest.fixture(scope="module")
def fitted(known):
    """Gives the head of a name, fitted for a moment."""

    @functools.cache
    def fit(name):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(heatmap_landmarks.fit_heatmaps.__kwdefaults__, "steps", 2)
            return HEADS[name].value.fit(known, upsample=3, seed=1)

    return fit


@pytest.mark.parametrize("name", OF_LABELS)
def test_a_head_that_was_kept_answers_bit_for_bit_alike(name, fitted):
    file = io.BytesIO()
    np.savez(file, **fitted(name).state())
    file.seek(0)
    with np.load(file) as state:
        restored = HEADS[name].value.restore(dict(state))
    labels = np.random.default_rng(1).normal(size=[3, 5, 9, 3]).astype(np.float32)
    expected, found = fitted(name)(labels), restored(labels)
    assert set(found) == set(expected)
    for answer, values in expected.items():
        np.testing.assert_array_equal(found[answer], values)
    for a, b in zip(fitted(name).get_weights(), restored.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", OF_LABELS)
def test_a_head_locates_landmarks_in_the_ways_it_names(name, known, fitted):
    located = fitted(name)(known.labels.values)
    assert located["points"].shape == [6, 2, 2] and located["score"].shape == [6, 2]
    ways = HEADS[name].facts["decodings"]
    assert all(located[way].shape == [6, 2, 2] for way in ways) if len(ways) > 1 else list(ways) == [name]
    assert all(words and not words.endswith(".") for words in ways.values())


def test_a_head_has_the_stride_of_its_labels_and_the_settings_it_was_given(fitted):
    assert all(fitted(name).stride == STRIDE for name in OF_LABELS)
    assert fitted("nearest").upsample == 3 and HEADS["nearest"].keys == ("eval.upsample",)
    assert fitted("regress").vectors.shape[0] == 1 and fitted("regress_each").vectors.shape[0] == 2


def test_views_of_a_picture_are_left_out_together(known, monkeypatch):
    pictures, ridge = [], regression._ridge
    monkeypatch.setattr(
        regression, "_ridge", lambda x, y, picture, o: pictures.append(picture) or ridge(x, y, picture, o)
    )
    HEADS["regress"].value.fit(known, upsample=1, seed=0)
    assert [each.tolist() for each in pictures] == [[0, 0, 1, 1, 2, 2], [0, 1, 2]]


def test_a_stride_that_the_trunk_cannot_have_is_refused():
    config = Config()
    config.model.name, config.model.trunk, config.model.stride = "introspection", "vgg16", 8
    message = r"^config\.model\.stride=8: must be 16 for the trunk 'vgg16'$"
    with pytest.raises(ValueError, match=message):
        NETWORKS["introspection"].check(config)
    config.model.trunk = "mobilenet_v2"
    NETWORKS["introspection"].check(config)
    config.model.stride = 4
    with pytest.raises(ValueError, match="must be 16 or 8 for the trunk 'mobilenet_v2'"):
        NETWORKS["introspection"].check(config)


def test_a_head_of_a_networks_own_landmarks_needs_one_that_has_them():
    config = Config()
    message = r"^config\.eval\.heads='regress_own': reads the landmarks .*'sparse' finds; this run has 'simple'$"
    with pytest.raises(ValueError, match=message):
        HEADS["regress_own"].check(config)
    config.model.name = "sparse"
    HEADS["regress_own"].check(config)


def test_they_are_listed_without_tensorflow():
    script = (
        "import sys; from dense_labels.registry import HEADS, LOSSES, NETWORKS\n"
        "print([list(each) for each in (HEADS, LOSSES, NETWORKS)] and 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "False"
