"""Tests of other programs beside the detector: the pictures and draws they are given, and how they are measured."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from benchmarks import peers
from dense_labels import config_files, run_config
from dense_labels.config import with_overrides
from dense_labels.detection import evaluating
from dense_labels.evaluation import few_annotations, landmarks
from input_pipeline import pipeline

COUNT = 8
SIZES = [(40, 30), (50, 20)]  # (width, height) of even and of odd pictures


class Peer:
    """Sees pictures at twice their size; is off by 4 pixels of these, of a picture that it reads the number of."""

    def __init__(self):
        self.fitted = []

    def installed(self):
        return True

    def shown_size(self, size):
        return 2 * size[0], 2 * size[1]

    def settings(self, count, *, mirrored):
        return {"count": count, "mirrored": mirrored}

    def fit(self, images, points, **how):
        numbers = [int(image[0, 0, 0]) for image in images]
        self.fitted.append((numbers, [image.shape for image in images], points, how))

        def locate(image):
            return np.float32(2 * places(int(image[0, 0, 0])) + [4, 0])

        locate.chosen = {"depth": 3}
        return locate


def places(number):
    return np.array([[number + 1.0, 5.0], [number + 2.0, 6.0]])


@pytest.fixture
def config(tmp_path):
    lines = ["file,left_x,left_y,right_x,right_y"]
    for number in range(COUNT):
        Image.new("RGB", SIZES[number % 2], (number,) * 3).save(tmp_path / f"{number}.png")
        lines.append(",".join([f"{number}.png", *(str(value) for value in places(number).ravel())]))
    (tmp_path / "points.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "test.csv").write_text("\n".join([lines[0], *lines[-3:]]) + "\n")
    (tmp_path / "known.csv").write_text("\n".join(lines[:-3]) + "\n")
    return lambda known, test: run_config.with_landmarks(
        with_overrides(config_files.find("folder"), {"data.dir": str(tmp_path)}),
        str(tmp_path / known),
        test and str(tmp_path / test),
        None,
    )


@pytest.fixture
def peer(monkeypatch):
    found = Peer()
    monkeypatch.setitem(peers.PEERS, "dlib", found)
    return found


def test_a_peer_sees_the_draws_of_few_shot_and_is_measured_in_both_units(config, peer):
    fitting = peers.Fitting("dlib", config("points.csv", None))
    found = fitting.measure(3, 1)
    drawn = np.random.default_rng([1, 3]).permutation(COUNT)
    numbers, shapes, points, how = peer.fitted[0]
    assert numbers == drawn[:3].tolist()
    assert shapes == [(2 * SIZES[k % 2][1], 2 * SIZES[k % 2][0], 3) for k in drawn[:3]]
    np.testing.assert_allclose(points, [2 * places(k) for k in drawn[:3]])
    settings = {"count": 3, "mirrored": True}
    assert how == {"exchanged": [1, 0], "settings": settings, "seed": 1} and fitting.settings(3) == settings
    percent = np.mean([100 * 2 / SIZES[k % 2][0] for k in drawn[3:]])
    assert fitting.normaliser == "picture width"
    assert found == {"error_percent": pytest.approx(percent), "error_px": pytest.approx(2), "chosen": {"depth": 3}}


def test_the_draws_are_those_of_heads_on_images_of_one_size(config, peer, tmp_path):
    """As `evaluating.Fitting` reads them: the same pictures in the same order."""
    asked, seen = config("points.csv", None), []
    asked.data.cache_dir = str(tmp_path / "cache")
    own, _ = evaluating.prepare(asked, pipeline.prepare(asked))
    known = evaluating.annotated_images(own, "annotated")

    def fit(images):
        seen.append((images.labels.values[:, 0, 0, 0].tolist(), images.landmarks * images.scale[:, np.newaxis]))
        return lambda shown: {"points": tf.zeros([len(shown), 2, 2])}

    options = {"counts": [4], "seeds": [2], "batch_size": 4}
    few_annotations.few_shot({"detector": fit}, lambda drawn, _: known.take(drawn), known, None, **options)
    peers.Fitting("dlib", asked).measure(4, 2)
    numbers, _, points, _ = peer.fitted[0]
    assert numbers == seen[0][0]
    np.testing.assert_allclose(points / 2, seen[0][1], rtol=1e-5)


def test_no_box_of_a_drawn_picture_is_measured(config, peer, tmp_path):
    """Copies of a file are one picture, as boxes in one file are."""
    (tmp_path / "1.png").write_bytes((tmp_path / "0.png").read_bytes())
    (tmp_path / "3.png").write_bytes((tmp_path / "2.png").read_bytes())
    fitting, measured = peers.Fitting("dlib", config("points.csv", None)), []
    assert len(fitting.origins) == 8 and len({digest for _, digest in fitting.origins}) == 6
    located = landmarks.predict
    measure = lambda head, labels, size: measured.extend(labels.values.ravel()) or located(head, labels, size)  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landmarks, "predict", measure)
        for seed in range(4):
            measured.clear()
            fitting.measure(3, seed)
            drawn = set(np.random.default_rng([seed, 3]).permutation(COUNT)[:3].tolist())
            together = {number + 1 - 2 * (number % 2) for number in drawn & {0, 1, 2, 3}}
            assert set(measured) == set(range(COUNT)) - drawn - together


def test_a_draw_that_leaves_no_picture_to_measure_has_no_figures(config, peer):
    fitting = peers.Fitting("dlib", config("points.csv", None))
    fitting.origins = [(f"{number // 4}.png",) for number in range(COUNT)]
    found = [fitting.measure(2, seed) for seed in range(8)]
    split = [len(set(np.random.default_rng([seed, 2]).permutation(COUNT)[:2] // 4)) == 2 for seed in range(8)]
    assert any(split) and not all(split) and [not each for each in found] == split


def test_test_pictures_are_measured_and_not_fitted(config, peer):
    fitting = peers.Fitting("dlib", config("known.csv", "test.csv"))
    found = fitting.measure(5, 0)
    assert sorted(peer.fitted[0][0]) == [0, 1, 2, 3, 4] and len(fitting.test) == 3
    assert found["error_percent"] == pytest.approx(np.mean([100 * 2 / SIZES[k % 2][0] for k in (5, 6, 7)]))


def test_a_landmark_that_is_annotated_in_no_drawn_picture_is_not_measured(config, peer):
    fitting = peers.Fitting("dlib", config("points.csv", None))
    fitting.known.annotated[:7, 1] = 0
    fitting.test = fitting.known.take([7])
    fitting.known = fitting.known.take(slice(0, 7))
    assert fitting.measure(7, 0)["error_px"] == pytest.approx(2)
    assert np.isnan(peer.fitted[0][2][:, 1]).all() and not np.isnan(peer.fitted[0][2][:, 0]).any()


def test_a_peer_sees_the_box_where_there_is_one(config, peer):
    """It answers as if the box began where the picture does: off by (-4, 2) pixels of the file, and by its own 2."""
    fitting = peers.Fitting("dlib", config("points.csv", None))
    fitting._pictures = [(path, (-4.0, 2.0, 16.0, 12.0)) for path, _ in fitting._pictures]
    assert fitting.measure(3, 1)["error_px"] == pytest.approx(np.hypot(-4 + 2, 2))
    numbers, shapes, points, _ = peer.fitted[0]
    assert shapes == [(20, 40, 3)] * 3
    np.testing.assert_allclose(points, [2 * (places(number) - [-4, 2]) for number in numbers])


def test_a_peer_that_is_not_installed_is_one_line(config, peer):
    peer.installed, peer.PACKAGE = lambda: False, "dlib-bin"
    fitting = peers.Fitting("dlib", config("points.csv", None))
    assert fitting.settings(3)  # of a record that is only read
    with pytest.raises(ValueError, match="^dlib is not installed; install the extra bench, or dlib-bin$"):
        fitting.measure(3, 0)
    assert not peer.fitted
