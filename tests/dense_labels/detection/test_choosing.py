"""Which parts a detector is kept with: by the errors of each image, and where they say nothing by the pile's size."""

import numpy as np
import pytest

from dense_labels.detection import choosing
from dense_labels.evaluation.landmarks import FittedHeads


def parts(usual, without_pile, once, neither):
    """Detectors with and without their parts: the errors of each image that none was fitted to."""
    return dict(zip(choosing.PARTS, map(np.float64, (usual, without_pile, once, neither))))


@pytest.mark.parametrize("images", [2, 3, 5, 20])
def test_one_that_errs_less_by_chance_is_not_taken(images):
    """Of 100 piles that make no difference to single images but noise, few are left out, however few images say so."""
    random, left_out = np.random.default_rng(0), 0
    for _ in range(100):
        usual = random.lognormal(size=images)
        found = parts(usual, usual * random.lognormal(0, 0.3, size=images), usual + 1, usual + 1)
        left_out += choosing.best(found, "", piled=True) != ""
    assert left_out <= 7


def test_one_that_errs_less_in_nearly_every_image_is_taken(capsys):
    usual = np.linspace(2, 9, 20)
    found = parts(usual, usual - 0.1, usual + 1, usual - 0.2)
    assert choosing.best(found, "", piled=True) == "without_either"
    said = "on 20 annotated pictures held out, detectors err by 5.50 % as they are, 5.40 % without the pile, "
    said += "6.50 % without the second look, 5.30 % without either on average over pictures; this one is kept without"
    assert f"{said} either" in capsys.readouterr().out


@pytest.mark.parametrize("less, chosen", [([5.5, 6.5], ""), ([6.5, 7.5], "without_pile")])
def test_of_two_images_one_is_taken_whose_mean_gain_is_13_8_standard_errors(less, chosen):
    """That is the 97.7 % quantile of Student's t of one degree of freedom; these gains are 12 and 14 of them."""
    errors = {"": np.full(2, 10.0), "without_pile": 10 - np.array(less)}
    assert choosing.best(errors, "", piled=True) == chosen


def test_three_alternatives_are_taken_by_chance_no_more_often_than_one():
    random, taken = np.random.default_rng(0), 0
    for _ in range(1000):
        usual = random.normal(10, 1, size=20)
        taken += choosing.best(parts(usual, *(usual + random.normal(size=(3, 20)))), "", piled=True) != ""
    assert taken <= 35  # 2.3 % of 1,000, and two and a half deviations of that


@pytest.mark.parametrize("usual", ["", "without_pile"])
def test_one_image_tells_nothing(usual):
    assert choosing.best(parts([2], [1], [1], [1]), usual, piled=True) == usual


def test_what_is_not_a_number_is_not_kept():
    found = parts([2, np.nan], [np.nan, 1], [np.nan] * 2, [2, 2])
    assert choosing.best(found, "", piled=True) == "without_either"


@pytest.mark.parametrize("usual, words", [("", "as it is"), ("without_pile", "without the pile")])
def test_of_few_annotated_pictures_the_usual_one_is_kept_which_is_said(usual, words, capsys):
    assert choosing.best({}, usual, piled=True) == usual
    assert f"this one is kept {words}: a pile helps that is at least 50 times as large as" in capsys.readouterr().out


def test_the_chosen_one_is_known_by_its_other_name_alone():
    errors, points = dict.fromkeys(choosing.PARTS, 5.3), {part: np.zeros([1, 1, 2]) for part in choosing.PARTS}
    fitted = FittedHeads({"without_pile": "head"}, "", {**points, "mean_shape": 1}, points, None, errors=errors)
    found = choosing.alone(fitted, "without_pile", "detector")
    assert found.heads == {"detector": "head"} and found.best == "detector" and found.errors == {"detector": 5.3}
    assert set(found.predicted) == {"mean_shape", "detector"} and set(found.points) == {"detector"}


def test_a_pile_pays_that_is_much_larger_than_what_is_annotated():
    assert choosing.pays(2000, 40) and not choosing.pays(1999, 40) and not choosing.pays(72, 20)


@pytest.mark.parametrize(
    "part, others, words",
    [
        ("", 2000, "of annotated pictures and 2000 others, a second look"),
        ("", 0, "of annotated pictures alone, a second look"),
        ("without_pile", 2000, "of annotated pictures alone, a second look"),
        ("without_second_look", 2000, "of annotated pictures and 2000 others, one look"),
        ("without_either", 2000, "of annotated pictures alone, one look"),
    ],
)
def test_what_is_kept_is_said_in_words(part, others, words):
    assert choosing.parts_in_words(part, others) == words
