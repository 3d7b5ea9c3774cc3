"""Tests of finding landmarks exactly by the detail of pictures: planted moves, and the same in the page."""

import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from dense_labels.annotation import refining
from dense_labels.reporting import page

TEMPLATES = pathlib.Path(page.__file__).parent / "templates"
SIZE = 160, 200  # (height, width)
MATRIX, SHIFT = np.array([[1.03, 0.04], [-0.04, 0.97]]), np.array([3.3, -5.6])  # of the object in the second picture
LANDMARKS = np.array([[60.2, 50.7], [110.5, 48.1], [140.9, 90.3], [100.0, 115.5], [62.4, 101.8], [88.8, 80.2]])


@pytest.fixture(scope="module")
def greys():
    """A smooth texture; the same moved by an affine map, and darker."""
    coarse = np.random.default_rng(0).integers(0, 256, [20, 25], np.uint8)
    picture = Image.fromarray(coarse).resize(SIZE[::-1], Image.Resampling.BICUBIC)
    back = np.linalg.inv(MATRIX)
    moved = picture.transform(SIZE[::-1], Image.Transform.AFFINE, [*np.c_[back, -back @ SHIFT].ravel()], Image.BICUBIC)
    return [np.asarray(picture, np.float32), 0.6 * np.asarray(moved, np.float32) + 20]


def asked(count=6):
    """Landmarks of the first picture, where they are in the second, and where labels might find them there."""
    truth = LANDMARKS @ MATRIX.T + SHIFT
    found = truth + np.random.default_rng(1).uniform(-9, 9, truth.shape)
    points, annotated = np.stack([LANDMARKS, np.zeros_like(truth)]), np.zeros([2, 6], bool)
    annotated[0] = True
    return points[:, :count], annotated[:, :count], truth[:count], found[:count], np.full(count, 0.5)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_landmarks_are_found_between_the_pixels(greys, count):
    points, annotated, truth, found, probability = asked(count)
    places = refining.refine(greys, points, annotated, 1, found, probability)
    assert np.linalg.norm(found - truth, axis=-1).min() > 2
    np.testing.assert_allclose(places, truth, atol=0.5)


def test_a_landmark_that_labels_find_elsewhere_is_put_right_by_the_others(greys):
    points, annotated, truth, found, probability = asked()
    found[2] = [20, 20]
    places = refining.refine(greys, points, annotated, 1, found, probability)
    np.testing.assert_allclose(places, truth, atol=0.5)


def test_what_is_annotated_in_the_picture_stays_and_leads_the_others(greys):
    points, annotated, truth, found, probability = asked()
    points[1], annotated[1, :4] = truth + 0.25, True
    found[4:] += 40  # out of reach, but for where the other four say
    places = refining.refine(greys, points, annotated, 1, found, probability)
    np.testing.assert_array_equal(places[:4], points[1, :4])
    np.testing.assert_allclose(places[4:], truth[4:], atol=0.5)


def test_where_there_is_no_detail_or_nothing_to_compare_the_labels_have_the_word(greys):
    points, annotated, _, found, probability = asked(3)
    places = refining.refine([np.full(SIZE, 9, np.float32)] * 2, points, annotated, 1, found, probability)
    np.testing.assert_allclose(places, found, atol=1)
    annotated[0, 1] = False
    places = refining.refine(greys, points, annotated, 1, found, probability)
    np.testing.assert_array_equal(places[1], found[1])


def test_greys_have_eight_pixels_a_cell():
    picture = np.zeros([30, 40, 3], np.uint8)
    picture[:, 20:, 1] = 100
    grey = refining.grey(picture, (7.5, 10))
    assert grey.shape == (60, 80) and grey.dtype == np.float32
    assert grey[0, 0] == 0 and grey[0, -1] == round(0.587 * 100)


SCRIPT = """
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const greyAt = (n) => ({ ...input.size, values: Float32Array.from(input.greys[n].flat()) });
const known = (n) => ({ grey: greyAt(n), points: input.points[n] });
console.log(JSON.stringify(refined(known(1), [known(0)], input.found, input.settings)));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no JavaScript outside a browser here")
def test_the_page_finds_what_python_does(greys):
    points, annotated, truth, found, probability = asked()
    found[3], points[1, 5], annotated[1, 5] = [30, 120], truth[5], True
    places = refining.refine(greys, points, annotated, 1, found, probability)
    given = {
        "size": {"height": SIZE[0], "width": SIZE[1]},
        "greys": [grey.tolist() for grey in greys],
        "points": [dict(enumerate(points[0].tolist())), {5: points[1, 5].tolist()}],
        "found": {k: {"point": found[k].tolist(), "probability": 0.5} for k in range(5)},
        "settings": refining.SETTINGS,
    }
    script = (TEMPLATES / "refining.js").read_text() + SCRIPT
    done = subprocess.run(["node", "-e", script], input=json.dumps(given), capture_output=True, text=True, check=True)
    np.testing.assert_allclose(list(json.loads(done.stdout).values()), places[:5], atol=1e-3)
