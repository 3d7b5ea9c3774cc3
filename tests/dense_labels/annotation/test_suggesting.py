"""Tests of carrying landmarks to other pictures: places that are known, and the same in the page."""

import base64
import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

from dense_labels.annotation import suggesting
from dense_labels.batches import Frame, LabelMap
from dense_labels.method import geometry, matching
from dense_labels.reporting import page

TEMPLATES = pathlib.Path(page.__file__).parent / "templates"
STRIDE, ROWS, COLUMNS = 4, 9, 12


def frame(shift=(0.0, 0.0), sharpness=3.0, rows=ROWS, columns=COLUMNS):
    """Labels [h, w, 3] whose inner products fall with the squared distance, of an object moved by (x, y) pixels."""
    centres = geometry.cell_centres(rows, columns, STRIDE).numpy() - shift
    places = (centres - [COLUMNS * STRIDE / 2, ROWS * STRIDE / 2]) / (ROWS * STRIDE)
    height = np.sqrt(1 - np.sum(np.square(places), axis=-1, keepdims=True).clip(max=0.9))
    return (sharpness * np.concatenate([places, height], axis=-1)).astype(np.float32)


def noise(count, length=5):
    return (2 * np.random.default_rng(0).normal(size=[count, ROWS, COLUMNS, length])).astype(np.float32)


def test_a_point_moves_with_its_object():
    moved = (5.0, -3.0)
    labels = LabelMap(np.stack([frame(sharpness=20), frame(moved, sharpness=20)]), STRIDE)
    point = np.float32([[[21.0, 19.0]]])
    points, probability = suggesting.suggest(
        labels, geometry.mean_labels(labels[:1].values, point, np.ones([1, 1]), labels.stride)
    )
    np.testing.assert_allclose(points[0, 0], [21, 19], atol=0.15)
    np.testing.assert_allclose(points[1, 0], [26, 16], atol=0.15)
    np.testing.assert_allclose(probability[0], probability[1], rtol=0.5)


def test_points_of_pictures_are_found_within_the_margin_of_the_frame():
    """Of pictures 3 times as wide and 2 times as high as their frame, whose labels begin 4 pixels inside of it."""
    labels = LabelMap(np.stack([frame(sharpness=20), frame((5.0, -3.0), sharpness=20)]), STRIDE)
    seen = Frame((ROWS * STRIDE, COLUMNS * STRIDE), STRIDE, margin=4)
    pictures = [np.zeros([2 * seen.full_size[0], 3 * seen.full_size[1], 3], np.uint8)] * 2
    given = np.float32([[[(4 + 21) * 3, (4 + 19) * 2]], [[0, 0]]])
    points, _ = suggesting.in_pictures(labels, seen, pictures, given, np.array([[1], [0]]), [1], exactly=False)
    np.testing.assert_allclose(points, [[[(4 + 26) * 3, (4 + 16) * 2]]], atol=0.5)


def test_the_mean_is_over_those_that_are_annotated():
    labels = LabelMap(noise(3), STRIDE)
    centre = np.float32([2.5 * STRIDE, 1.5 * STRIDE])  # of the cell (1, 2)
    points = np.tile(centre, [3, 2, 1])
    points[1] = np.nan
    found = geometry.mean_labels(labels.values, points, np.array([[1, 0], [0, 0], [1, 0]]), labels.stride)
    np.testing.assert_allclose(found[0], labels.values[[0, 2], 1, 2].mean(axis=0), rtol=1e-5)
    assert not found[1].any()


def test_where_all_lies_in_the_window_the_place_is_that_of_the_method(monkeypatch):
    labels, vectors = LabelMap(noise(2), STRIDE), noise(1)[0, 0, :3]
    monkeypatch.setattr(suggesting, "WINDOW", 50)
    points, probability = suggesting.suggest(labels, vectors)
    fine = geometry.upsample(labels.values, suggesting.FINER).numpy().reshape([2, -1, 5])
    log_p = matching.match_log_probability(np.stack([vectors] * 2), fine)
    stride = STRIDE / suggesting.FINER
    centres = geometry.cell_centres(ROWS * suggesting.FINER, COLUMNS * suggesting.FINER, stride)
    expected = matching.expected_match(log_p, np.reshape(centres, [-1, 2]))
    np.testing.assert_allclose(points, expected, rtol=1e-4)
    on_cells = matching.match_log_probability(np.stack([vectors] * 2), labels.values.reshape([2, -1, 5]))
    np.testing.assert_allclose(probability, np.exp(on_cells).max(axis=-1), rtol=1e-4)


def test_what_lies_outside_of_the_window_moves_nothing():
    values = np.full([1, 20, 20, 1], -9, np.float32)
    values[0, 3, 4], values[0, 15:, 15:] = 6, 5.9  # much probability in many cells far away
    points, probability = suggesting.suggest(LabelMap(values, STRIDE), np.float32([[1]]))
    np.testing.assert_allclose(points[0, 0], [4.5 * STRIDE, 3.5 * STRIDE], atol=0.01)
    np.testing.assert_allclose(probability[0, 0], 1 / (1 + 25 * np.exp(-0.1)), rtol=1e-3)


SCRIPT = """
const data = JSON.parse(require("fs").readFileSync(0, "utf8"));
const maps = data.maps.map((text) => ({...data, labels: labelsOf(text, data.scale)}));
const vectors = data.points[0].map((_, k) => meanLabel(data.points.map((points, n) => labelAt(maps[n], points[k]))));
console.log(JSON.stringify(maps.map((map) => vectors.map((vector) => suggestPlace(map, vector, data.settings)))));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no JavaScript outside a browser here")
@pytest.mark.parametrize("length", [3, 16])
def test_the_page_suggests_what_python_does(length):
    whole, scale = page.quantise(noise(4, length))
    labels = LabelMap(whole * np.float32(scale), STRIDE)
    points = np.random.default_rng(1).uniform(0, 40, size=[4, 6, 2]).astype(np.float32)
    data = {
        "maps": [base64.b64encode(each.astype("<i2").tobytes()).decode() for each in whole],
        **{"height": ROWS, "width": COLUMNS, "length": length, "stride": STRIDE, "scale": scale},
        "points": points.tolist(),
        "settings": {"window": suggesting.WINDOW, "finer": suggesting.FINER},
    }
    script = "".join((TEMPLATES / name).read_text() for name in ("matching.js", "suggesting.js")) + SCRIPT
    done = subprocess.run(["node", "-e", script], input=json.dumps(data), capture_output=True, text=True, check=True)
    answers = json.loads(done.stdout)
    found, probability = suggesting.suggest(
        labels, geometry.mean_labels(labels.values, points, np.ones([4, 6]), labels.stride)
    )
    np.testing.assert_allclose([[each["point"] for each in row] for row in answers], found, atol=2e-3)
    np.testing.assert_allclose([[each["probability"] for each in row] for row in answers], probability, rtol=2e-3)
