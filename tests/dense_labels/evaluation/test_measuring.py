"""Tests of what is measured of predicted landmarks, against figures worked out by hand."""

import dataclasses
import re

import numpy as np
import pytest

from dense_labels.evaluation import measuring, metrics
from dense_labels.evaluation.result import Result
from dense_labels.registry import METRICS, Entry
from tests.dense_labels.evaluation import numbered
from tests.dense_labels.evaluation.numbered import COUNT

images = pytest.fixture(numbered.images)


def test_pck_areas_are_means_of_classes_over_all_alphas(images):
    points, classes = images.landmarks.copy(), np.zeros(COUNT, int)
    points[0, 0, 0] += 10  # 20 px of the picture, 40 % of the normaliser
    points[1, 1, 0] += 1000  # beyond any alpha
    classes[:1], classes[1:3] = 4, 2
    images.annotated[0, 1] = 0
    # The first class lacks .4, the second one point of its four, the others nothing.
    assert measuring.pck_area(points, images, classes) == pytest.approx((0.6 + 0.75 + 1) / 3)
    images.normaliser[1:3] = 0
    assert measuring.pck_area(points, images, classes) == pytest.approx((0.6 + 1) / 2)
    with pytest.raises(ValueError, match="no point is annotated: there is nothing to measure"):
        measuring.pck_area(points, dataclasses.replace(images, annotated=0 * images.annotated), classes)


def test_what_cannot_be_measured_is_refused_before_the_work(images):
    empty = dataclasses.replace(images, annotated=0 * images.annotated)
    measuring.check(images, None, "eye distance")
    measuring.check(images, images, "eye distance")
    with pytest.raises(
        ValueError, match=f"no landmark that heads were fitted to is annotated in the {COUNT} images to"
    ):
        measuring.check(images, empty, "eye distance")
    with pytest.raises(ValueError, match="the eye distance, by which errors are divided, is known of none of the"):
        measuring.check(images, dataclasses.replace(images, normaliser=0 * images.normaliser), "eye distance")


def test_measuring_touches_neither_label_maps_nor_pixels(images):
    class Untouched:
        def __len__(self):
            return COUNT

        def __getitem__(self, indices):
            raise AssertionError("label maps are copied, or pixels read")

    images.normaliser[3] = 0
    points, classes = images.landmarks + np.float32([1, 0]), np.arange(COUNT) % 2
    untouched = dataclasses.replace(images, labels=Untouched())
    assert measuring.landmark_errors(points, untouched) == pytest.approx([4.0, 4.0, 4.0])
    assert measuring.pck_area(points, untouched, classes) == pytest.approx(0.96)
    assert len(measuring.worst_images(points, untouched, COUNT)) == COUNT - 1


def test_each_landmark_has_an_error_of_its_own(images):
    points = images.landmarks + np.float32([[[1, 0], [3, 0]]])  # 2 and 6 px of the picture, of 50
    assert measuring.landmark_errors(points, images) == pytest.approx([4.0, 12.0, 8.0], rel=1e-5)


def test_distances_are_in_pixels_of_each_picture(images):
    points = images.landmarks + np.float32([[[1, 0], [0, 3]]])  # 2 and 3 px of the picture
    images.normaliser[:6] = 500
    assert measuring.mean_distance(points, images) == pytest.approx(2.5, rel=1e-5)
    assert measuring.mean_percent(points, images) == pytest.approx((0.5 + 5) / 2, rel=1e-5)
    images.scale[0], points[1:], images.annotated[1:, 0] = 20, images.landmarks[1:], 0  # 20 and 60 px, and eleven of 0
    assert measuring.mean_distance(points, images) == pytest.approx(80 / 13, rel=1e-5)
    images.normaliser[0] = 0  # is measured in neither way
    assert measuring.mean_distance(points, images) == measuring.mean_percent(points, images) == 0
    images.annotated[:] = 0
    assert measuring.mean_distance(points, images) is measuring.mean_percent(points, images) is None


def test_images_of_one_picture_have_one_error(images):
    points = images.landmarks + np.float32([1, 0]) * np.arange(COUNT)[:, np.newaxis, np.newaxis]
    images.annotated[3], images.normaliser[4] = 0, 0
    numbers = np.repeat(np.arange(COUNT), 3)[:COUNT]
    errors = measuring.picture_percents(points, images, numbers)
    np.testing.assert_allclose(errors[:2], [4 * 1.0, 4 * 5.0], rtol=1e-5)  # of images 0 to 2, and of 5 alone
    assert len(errors) == len(np.unique(numbers))


def test_how_the_head_was_chosen_is_said(images):
    assert measuring.how_chosen(images, None, True) == measuring.CHOSEN
    few = "by annotated pictures held out from it, 3 of them, which are few: leave the test pictures out to choose by"
    assert measuring.how_chosen(images, None, False).startswith(few) and COUNT == 12
    many = images.take(np.arange(25) % COUNT)
    assert measuring.how_chosen(many, None, False) == "by annotated pictures held out from it, 5 of them"


def test_what_is_not_annotated_or_has_no_normaliser_is_not_measured(images):
    points = images.landmarks + np.float32([1, 0])
    points[0, 0], points[1] = np.nan, 1e6
    images.annotated[0, 0], images.normaliser[1] = 0, 0
    assert measuring.landmark_errors(points, images) == pytest.approx([4.0, 4.0, 4.0])
    images.annotated[:, 1] = 0
    assert measuring.landmark_errors(points, images) == [pytest.approx(4.0), None, pytest.approx(4.0)]


def test_a_prediction_that_is_no_number_improves_no_error(images, tmp_path):
    points = images.landmarks + np.float32([1, 0])
    points[0, 0] = np.nan
    assert np.isnan(measuring.landmark_errors(points, images)[0])
    parts = measuring.measure({"regress": points}, images, "eye distance")
    with pytest.raises(ValueError, match="metric regress_error_percent is nan"):
        Result(**parts).save(tmp_path / "result.json")


def test_measures_are_named_with_how_they_were_made(images):
    predicted = {"mean_shape": images.landmarks + 1, "regress": images.landmarks}
    parts = measuring.measure(predicted, images, "eye distance", head_images=7)
    assert parts["metrics"]["regress_error_percent"] == 0
    assert parts["metrics"]["regress_pck_area"] == parts["metrics"]["regress_cumulative_area"] == 1
    off = 100 * np.sqrt(5) / 50  # by a pixel along x, which is two of the picture, and one along y
    assert parts["metrics"]["mean_shape_error_percent"] == pytest.approx(off, rel=1e-5)
    assert parts["metrics"]["mean_shape_pck_area"] == pytest.approx(1 - off / 10, abs=0.01)
    assert parts["metrics"]["mean_shape_failures_percent"] == 0 == parts["metrics"]["regress_failures_percent"]
    assert parts["protocol"]["error"].startswith("Euclidean distance in % of eye distance")
    assert parts["protocol"]["head_images"] == 7 and parts["protocol"]["test_landmarks"] == 2 * COUNT
    lines = Result(**parts, landmark_names=("left eye", "a longer name")).table().splitlines()
    assert [line.split()[-1] for line in lines[2:]] == ["0.000"] * 4 and lines[3].startswith("a longer name ")
    assert len({len(line) for line in lines[1:]}) == 1


def test_pictures_and_landmarks_that_are_not_measured_are_not_counted(images):
    images.annotated[0, 0], images.annotated[1], images.normaliser[2] = 0, 0, 0
    protocol = measuring.measure({"regress": images.landmarks}, images, "eye distance")["protocol"]
    assert (protocol["test_images"], protocol["test_landmarks"]) == (COUNT - 2, 2 * (COUNT - 2) - 1)


def test_what_cannot_be_measured_for_want_of_a_normaliser_says_so(images):
    images.normaliser[:] = 0
    with pytest.raises(ValueError, match="^the eye distance, by which errors are divided, is known of none of the 12 "):
        measuring.measure({"regress": images.landmarks}, images, "eye distance")
    images.annotated[:] = 0
    with pytest.raises(ValueError, match="^no landmark that heads were fitted to is annotated in the 12 images"):
        measuring.measure({"regress": images.landmarks}, images, "eye distance")


def test_a_figure_of_any_type_can_be_written(images, monkeypatch, tmp_path):
    monkeypatch.setitem(METRICS._entries, "one", Entry("one", "one", lambda measured: np.float32(1)))
    parts = measuring.measure({"regress": images.landmarks}, images, "eye distance")
    Result(**parts).save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json").metrics["regress_one"] == 1


def test_heads_that_are_no_better_than_the_mean_shape_are_not_passed_over(images):
    words = "no head does better than the mean shape"
    for off, said in ((0.5, False), (1.5, True)):
        predicted = {"mean_shape": images.landmarks + 1, "regress": images.landmarks + np.float32(off)}
        assert (words in Result(**measuring.measure(predicted, images, "eye distance")).table()) == said


def test_the_worst_images_come_first_and_those_that_cannot_be_measured_not_at_all(images):
    points = images.landmarks + np.array([1, 4, 2, 9, 3, 8, 5, 0, 0, 0, 0, 0])[:, np.newaxis, np.newaxis] * [1.0, 0.0]
    images.normaliser[3] = 0
    images.annotated[5] = 0
    points[6, 0], images.annotated[6, 0] = np.nan, 0  # the other landmark still counts
    np.testing.assert_array_equal(measuring.worst_images(points, images, 4), [6, 1, 4, 2])
    images.normaliser[1] = 10  # errors are in percent of it
    np.testing.assert_array_equal(measuring.worst_images(points, images, 2), [1, 6])


def test_too_few_images_are_said_to_be_too_few():
    parts = measuring.measure(None, None, "eye distance", head_images=2)
    assert parts["metrics"] == {} and "too few annotated images" in parts["protocol"]["tested"]
    assert Result(**parts).table() == "there are too few annotated images to measure on"


def test_a_metric_from_outside_is_measured_of_every_decoding(images, monkeypatch):
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS))

    @METRICS.register("median_percent", "median error, %")
    def median(points: metrics.Measured) -> float:
        return float(np.median(metrics.image_errors(*points)))

    predicted = {"mean_shape": images.landmarks + 1, "regress": images.landmarks + np.float32([2, 0])}
    figures = measuring.measure(predicted, images, "eye distance")["metrics"]
    assert figures["regress_median_percent"] == pytest.approx(100 * 4 / 50, rel=1e-5)
    assert {name.removeprefix("regress_") for name in figures if name.startswith("regress_")} == set(METRICS)


def stop(_):
    raise ZeroDivisionError("division by zero\nby nobody")


@pytest.mark.parametrize(
    "value, said",
    [
        (stop, "ZeroDivisionError: division by zero"),
        (lambda _: None, "ValueError: a finite number is expected, not None"),
        (lambda _: "much", "ValueError: a finite number is expected, not 'much'"),
        (lambda points: np.log(points.predicted[0, 0, 0] - points.landmarks[0, 0, 0]), "ValueError: .*, not .*-inf.*"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_metric_from_outside_that_fails_of_any_decoding_is_left_out(images, monkeypatch, capsys, value, said):
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS))
    ours, predicted = set(METRICS), {"mean_shape": images.landmarks + 1, "regress": images.landmarks}
    METRICS.register("of_mine", "mine")(value)
    figures = measuring.measure(predicted, images, "eye distance")["metrics"]
    assert list(figures) == [f"{way}_{name}" for way in predicted for name in METRICS if name in ours]
    place = re.escape(f"of_mine ({__file__})")
    assert re.fullmatch(f"warning: metric {place} cannot be measured: {said}\n", capsys.readouterr().out)


def test_a_metric_of_ours_that_fails_is_no_warning(images, monkeypatch):
    broken = dataclasses.replace(METRICS["pck_area"], value=stop)
    monkeypatch.setitem(METRICS._entries, "pck_area", broken)
    with pytest.raises(ZeroDivisionError):
        measuring.measure({"regress": images.landmarks}, images, "eye distance")
