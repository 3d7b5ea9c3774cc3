"""Tests of the protocols with heads whose answers are known: what is fitted on what, and what is measured."""

import json

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.evaluation import landmarks
from dense_labels.evaluation import result as result_lib

COUNT, CELLS, STRIDE = 12, 4, 2


@pytest.fixture
def maps():
    """Labels that hold the number of their image; landmarks that are 10 times that, and a picture twice as wide."""
    numbers = np.arange(COUNT, dtype=np.float32)
    labels = np.tile(numbers[:, np.newaxis, np.newaxis, np.newaxis], [1, CELLS, CELLS, 1])
    landmarks = np.stack([10 * numbers, 10 * numbers + 1], axis=1)[..., np.newaxis] * [1, 0]
    return {
        "labels": labels,
        "landmarks": landmarks.astype(np.float32),
        "annotated": np.ones([COUNT, 2], np.float32),
        "scale": np.tile(np.float32([2, 1]), [COUNT, 1]),
        "normaliser": np.full(COUNT, 50, np.float32),
        "picture": np.arange(COUNT),
    }


class Offset(tf.keras.layers.Layer):
    """Knows the landmarks but for an offset along x, which it is fitted with."""

    def __init__(self, offset):
        super().__init__()
        self.offset = offset

    def call(self, labels):
        x = 10 * labels[:, 0, 0] + tf.constant([0.0, 1.0]) + self.offset  # [N, 2]
        return {"points": tf.stack([x, tf.zeros_like(x)], axis=-1), "score": tf.ones_like(x)}


def fit(offset, seen=None):
    """A fit that notes the images it is given."""

    def fitted(maps):
        if seen is not None:
            seen.append(sorted(maps["labels"][:, 0, 0, 0].astype(int).tolist()))
        return Offset(offset)

    return fitted


def test_heads_are_fitted_on_known_and_measured_on_test_images_in_pixels_of_the_picture(maps):
    known, test = landmarks.take(maps, slice(0, 8)), landmarks.take(maps, slice(8, 12))
    seen = []
    heads, found, measured = landmarks.landmarks({"regress": fit(3.0, seen)}, known, test, batch_size=3)
    assert seen == [list(range(8))] and measured is test and heads["regress"].offset == 3.0
    assert result_lib.landmark_errors(found["regress"], test) == pytest.approx([12.0, 12.0, 12.0])  # 3 px * 2 / 50
    mean = 10 * np.mean(range(8))
    expected = 100 * 2 * np.mean([abs(10 * n - mean) for n in range(8, 12)]) / 50
    assert result_lib.landmark_errors(found["mean_shape"], test)[-1] == pytest.approx(expected, rel=1e-5)


def test_without_test_images_the_known_ones_take_turns(maps):
    seen = []
    _, found, measured = landmarks.landmarks({"regress": fit(1.0, seen)}, maps, None, batch_size=3)
    assert seen[0] == list(range(COUNT)) and len(seen) == 1 + landmarks.FOLDS  # the head that is kept sees all
    left_out = [sorted(set(range(COUNT)) - set(rest)) for rest in seen[1:]]
    assert sorted(sum(left_out, [])) == list(range(COUNT))
    assert measured is maps
    np.testing.assert_allclose(found["regress"][:, 0, 0], 10 * np.arange(COUNT) + 1)  # in the order of the images
    first = [n for n in range(COUNT) if n % 5]
    np.testing.assert_allclose(found["mean_shape"][0, 0, 0], 10 * np.mean(first), rtol=1e-5)  # without image 0


def test_too_few_images_to_take_turns_are_fitted_on_and_not_measured(maps):
    few = landmarks.take(maps, slice(0, 4))
    heads, found, measured = landmarks.landmarks({"regress": fit(1.0)}, few, None, batch_size=3)
    assert heads["regress"].offset == 1.0 and found is None and measured is None


def test_a_landmark_that_a_part_lacks_is_not_measured_there(maps):
    maps["annotated"][:, 1] = 0
    maps["annotated"][[0, 1], 1] = 1  # in the first part and in the second
    maps["annotated"][1, 0] = 0

    class Two(Offset):
        def call(self, labels):
            return {name: values[:, : self.count] for name, values in super().call(labels).items()}

    def fitted(maps):
        head = Two(1.0)
        head.count = maps["landmarks"].shape[1]
        return head

    assert landmarks.choose({"nearest": fit(9.0), "regress": fitted}, maps, batch_size=3) == "regress"
    maps["annotated"][1, 1] = 0  # now no other part has it
    _, found, measured = landmarks.landmarks({"regress": fitted}, maps, None, batch_size=3)
    assert np.isnan(found["regress"][0, 1]).all() and np.isfinite(found["regress"][:, 0]).all()
    result = result_lib.report(found, measured, "picture width")
    assert result["metrics"]["regress_error_percent"] == pytest.approx(4.0)
    assert result["landmark_error_percent"]["regress"] == [pytest.approx(4.0), None]


def test_the_best_head_is_chosen_on_images_it_was_not_fitted_on(maps):
    seen = []
    fits = {"nearest": fit(5.0), "regress": fit(-1.0, seen), "regress_each": fit(2.0)}
    assert landmarks.choose(fits, maps, batch_size=3) == "regress"
    assert seen == [[n for n in range(COUNT) if n % 5]]
    assert landmarks.choose({"nearest": None}, maps, batch_size=3) == "nearest"  # there is nothing to choose
    assert landmarks.choose(fits, landmarks.take(maps, slice(0, 4)), batch_size=3) == "nearest"  # nor to choose by


def test_few_images_are_drawn_anew_for_each_seed(maps):
    drawn = {}

    def maps_of(indices, seed):
        drawn[len(indices), seed] = sorted(indices)
        return landmarks.take(maps, np.sort(indices))

    fits, options = {"regress": fit(1.0)}, {"seeds": 3, "batch_size": 4}
    errors = landmarks.few_shot(fits, maps_of, maps, maps, counts=[1, 3], **options)
    assert errors["regress"] == {1: pytest.approx([4.0] * 3), 3: pytest.approx([4.0] * 3)}
    assert len(drawn) == 6 and len({tuple(drawn[3, seed]) for seed in range(3)}) > 1
    assert all(len(set(indices)) == len(indices) for indices in drawn.values())
    assert min(errors["mean_shape"][1]) > 4
    with pytest.raises(ValueError, match="13 annotated images cannot be drawn from 12$"):
        landmarks.few_shot(fits, maps_of, maps, maps, counts=[13], **options)


def test_few_images_are_measured_on_those_not_drawn_where_there_are_no_others(maps):
    measured = []

    class Memory(Offset):
        def call(self, labels):
            tf.py_function(lambda values: measured.extend(values.numpy()), [labels[:, 0, 0, 0]], [])
            return super().call(labels)

    drawn = []

    def maps_of(indices, seed):
        drawn.extend(indices)
        return landmarks.take(maps, indices)

    fits = {"regress": lambda maps: Memory(0.0)}
    landmarks.few_shot(fits, maps_of, maps, None, counts=[5], seeds=1, batch_size=4)
    assert sorted(drawn + [int(value) for value in measured]) == list(range(COUNT))
    with pytest.raises(
        ValueError, match="12 annotated images cannot be drawn from 12 with one left to measure on; draw fewer"
    ):
        landmarks.few_shot(fits, maps_of, maps, None, counts=[12], seeds=1, batch_size=4)


def test_rounds_grow_by_images_of_each_class_and_go_on_from_the_last_head(maps):
    classes, rounds = np.array([7, 2, 2] * 4), []

    def fit(maps, head):
        rounds.append((sorted(maps["labels"][:, 0, 0, 0].astype(int)), head))
        return len(rounds)

    def maps_of(indices, seed):
        assert seed == 5
        return landmarks.take(maps, indices)

    options = {"counts": [1, 3, 8], "seed": 5}
    assert list(landmarks.growing_rounds(fit, maps_of, classes, **options)) == [(1, 1), (3, 2), (8, 3)]
    images, begun_as = zip(*rounds)
    assert begun_as == (None, 1, 2)
    assert [[sum(classes[image] == 7), sum(classes[image] == 2)] for image in map(list, images)] == [
        [1, 1],
        [3, 3],
        [4, 8],
    ]
    assert set(images[0]) < set(images[1]) < set(images[2]) == set(range(COUNT))
    rounds.clear()
    list(landmarks.growing_rounds(fit, lambda indices, _: landmarks.take(maps, indices), classes, counts=[3], seed=6))
    assert rounds[0][0] != images[1]  # drawn anew
    for counts in ([0, 1], [3, 2], [2, 2], [1, 9]):
        with pytest.raises(ValueError, match="must rise from at least 1 to at most 8, the images of a class"):
            next(landmarks.growing_rounds(fit, maps_of, classes, counts=counts, seed=0))


def test_pck_areas_are_means_of_classes_over_all_alphas(maps):
    points, classes = maps["landmarks"].copy(), np.zeros(COUNT, int)
    points[0, 0, 0] += 10  # 20 px of the picture, 40 % of the normaliser
    points[1, 1, 0] += 1000  # beyond any alpha
    classes[:1], classes[1:3] = 4, 2
    maps["annotated"][0, 1] = 0
    # The first class lacks .4, the second one point of its four, the others nothing.
    assert result_lib.pck_area(points, maps, classes) == pytest.approx((0.6 + 0.75 + 1) / 3)
    maps["normaliser"][1:3] = 0
    assert result_lib.pck_area(points, maps, classes) == pytest.approx((0.6 + 1) / 2)
    with pytest.raises(ValueError, match="no point is annotated: there is nothing to measure"):
        result_lib.pck_area(points, {**maps, "annotated": 0 * maps["annotated"]}, classes)


def test_what_is_not_annotated_or_has_no_normaliser_is_not_measured(maps):
    points = maps["landmarks"] + np.float32([1, 0])
    points[0, 0], points[1] = np.nan, 1e6
    maps["annotated"][0, 0], maps["normaliser"][1] = 0, 0
    assert result_lib.landmark_errors(points, maps) == pytest.approx([4.0, 4.0, 4.0])
    maps["annotated"][:, 1] = 0
    assert result_lib.landmark_errors(points, maps) == [pytest.approx(4.0), None, pytest.approx(4.0)]


def test_a_report_names_what_it_measured(maps, tmp_path):
    found = {"mean_shape": maps["landmarks"] + 1, "regress": maps["landmarks"]}
    result = result_lib.report(found, maps, "eye distance", head_images=7)
    assert result["metrics"]["regress_error_percent"] == 0
    assert result["metrics"]["regress_pck_area"] == result["metrics"]["regress_cumulative_area"] == 1
    off = 100 * np.sqrt(5) / 50  # by a pixel along x, which is two of the picture, and one along y
    assert result["metrics"]["mean_shape_error_percent"] == pytest.approx(off, rel=1e-5)
    assert result["metrics"]["mean_shape_pck_area"] == pytest.approx(1 - off / 10, abs=0.01)
    assert result["metrics"]["mean_shape_failures_percent"] == 0 == result["metrics"]["regress_failures_percent"]
    assert result["protocol"]["error"].startswith("Euclidean distance in % of eye distance")
    assert result["protocol"]["head_images"] == 7 and result["protocol"]["test_landmarks"] == 2 * COUNT
    lines = result_lib.table(result, ["left eye", "a longer name"]).splitlines()
    assert [line.split()[-1] for line in lines[2:]] == ["0.000"] * 4 and lines[3].startswith("a longer name ")
    assert len({len(line) for line in lines[1:]}) == 1
    result_lib.write_result(tmp_path / "result.json", result)
    assert json.loads((tmp_path / "result.json").read_text()) == result
    result["metrics"]["regress_error_percent"] = float("nan")
    with pytest.raises(ValueError, match="metric regress_error_percent is nan"):
        result_lib.write_result(tmp_path / "result.json", result)


def test_heads_that_are_no_better_than_the_mean_shape_are_not_passed_over(maps):
    words = "no head does better than the mean shape"
    for off, said in ((0.5, False), (1.5, True)):
        found = {"mean_shape": maps["landmarks"] + 1, "regress": maps["landmarks"] + np.float32(off)}
        assert (words in result_lib.table(result_lib.report(found, maps, "eye distance"))) == said


def test_few_shot_figures_are_means_and_deviations():
    lines = result_lib.few_shot_table({"mean_shape": {1: [1.0, 3.0], 20: [2.0, 2.0]}, "regress": {1: [5.0], 20: []}})
    assert [line.split() for line in lines.splitlines()] == [
        ["annotated", "mean_shape", "regress"],
        ["1", "2.00", "±", "1.41", "5.00"],
        ["20", "2.00", "±", "0.00", "-"],
    ]


def test_matching_of_views_and_of_images():
    """Labels that are their own place: a view is matched perfectly, another image as far off as its landmarks are."""
    side, moved = 35, np.array([6.0, 0.0])
    x, y = np.meshgrid(np.arange(side // 2) / 10 - 1, np.arange(side // 2) / 10 - 1)
    plane = np.stack([x, y, np.ones_like(x)], axis=-1)
    plane = 100 * plane / np.linalg.norm(plane, axis=-1, keepdims=True)

    def batch(offset):
        landmarks = np.array([[[11.0, 13.0], [21.0, 25.0]]]) + offset  # centres of cells
        parts = {"image": np.zeros([1, side, side, 3]), "landmarks": landmarks, "landmarks_visible": np.ones([1, 2])}
        return {f"{name}_{view}": tf.constant(value, tf.float32) for view in "ab" for name, value in parts.items()}

    def network(images):
        return tf.tile(tf.constant(plane, tf.float32)[tf.newaxis], [tf.shape(images)[0], 1, 1, 1])

    errors = landmarks.matching(network, [batch(0 * moved), batch(moved)], stride=2, count=7)
    assert errors["matching_same_cell_px"] == 0 and errors["matching_same_subpixel_px"] < 0.2
    assert errors["matching_different_cell_px"] == pytest.approx(6 * 70 / side)  # in pixels of an image that is 70 wide
    assert errors["matching_different_subpixel_px"] == pytest.approx(6 * 70 / side, rel=0.05)


def test_the_worst_images_come_first_and_those_that_cannot_be_measured_not_at_all(maps):
    points = maps["landmarks"] + np.array([1, 4, 2, 9, 3, 8, 5, 0, 0, 0, 0, 0])[:, np.newaxis, np.newaxis] * [1.0, 0.0]
    maps["normaliser"][3] = 0
    maps["annotated"][5] = 0
    points[6, 0] = np.nan  # the other landmark still counts
    np.testing.assert_array_equal(result_lib.worst_images(points, maps, 4), [6, 1, 4, 2])
    maps["normaliser"][1] = 10  # errors are in percent of it
    np.testing.assert_array_equal(result_lib.worst_images(points, maps, 2), [1, 6])
