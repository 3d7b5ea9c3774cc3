"""Tests of the protocols with heads whose answers are known: what is fitted on what, and what is measured."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.batches import LabelMap, LandmarkBatch
from dense_labels.evaluation import landmarks, measuring
from dense_labels.registry import HEADS
from tests.dense_labels.evaluation import numbered
from tests.dense_labels.evaluation.numbered import COUNT, Offset, fit

images = pytest.fixture(numbered.images)


def chosen(fits, images):
    """The best of some heads, fitted and measured on the same images."""
    return landmarks.fit_heads(fits, images, images, batch_size=3).best


def test_heads_are_fitted_on_known_and_measured_on_test_images_in_pixels_of_the_picture(images):
    known, test = images.take(slice(0, 8)), images.take(slice(8, 12))
    seen = []
    fitted = landmarks.fit_heads({"regress": fit(3.0, seen)}, known, test, batch_size=3)
    np.testing.assert_array_equal(fitted.measured_on.picture, test.picture)
    rest = [n for n in range(8) if n % 5]  # which calibrate it
    assert seen == [rest, list(range(8))] and fitted.heads["regress"].offset == 3.0
    assert measuring.landmark_errors(fitted.predicted["regress"], test) == pytest.approx(
        [12.0, 12.0, 12.0]
    )  # 3 px * 2 / 50
    mean = 10 * np.mean(range(8))
    expected = 100 * 2 * np.mean([abs(10 * n - mean) for n in range(8, 12)]) / 50
    assert measuring.landmark_errors(fitted.predicted["mean_shape"], test)[-1] == pytest.approx(expected, rel=1e-5)


def test_without_test_images_the_known_ones_take_turns(images):
    seen = []
    fits = {"regress": fit(1.0, seen), "regress_each": fit(2.0)}
    fitted = landmarks.fit_heads(fits, images, None, batch_size=3)
    assert seen[-1] == list(range(COUNT)) and len(seen) == landmarks.FOLDS + 1  # the head that is kept sees all
    assert fitted.best == "regress"  # by heads of its kind, not fitted anew
    assert fitted.errors == {"regress": pytest.approx(4.0), "regress_each": pytest.approx(8.0)}
    left_out = [sorted(set(range(COUNT)) - set(rest)) for rest in seen[:-1]]
    assert sorted(sum(left_out, [])) == list(range(COUNT))
    np.testing.assert_array_equal(fitted.measured_on.picture, images.picture)
    np.testing.assert_array_equal(fitted.measured_on.annotated, images.annotated)
    np.testing.assert_allclose(
        fitted.predicted["regress"][:, 0, 0], 10 * np.arange(COUNT) + 1
    )  # in the order of the images
    first = [n for n in range(COUNT) if n % 5]
    np.testing.assert_allclose(
        fitted.predicted["mean_shape"][0, 0, 0], 10 * np.mean(first), rtol=1e-5
    )  # without image 0


@pytest.mark.parametrize("tested", [False, True])
def test_heads_are_fitted_to_more_than_the_annotated_images_and_measured_on_these(images, tested):
    known, test, seen = images.take(slice(0, 10)), images.take(slice(10, 12)) if tested else None, []
    with_more = lambda some: some.joined(dataclasses.replace(some, labels=LabelMap(some.labels.values + 100, 1)))  # noqa: E731
    fitted = landmarks.fit_heads({"regress": fit(1.0, seen)}, known, test, batch_size=3, with_more=with_more)
    assert len(seen) == (2 if tested else 6) and seen[-1] == [*range(10), *range(100, 110)]
    for shown in seen:  # of a picture held out nothing is shown
        assert shown == [*shown[: len(shown) // 2], *(n + 100 for n in shown[: len(shown) // 2])]
    assert [len(shown) for shown in seen[:-1]] == [16] * (len(seen) - 1)
    np.testing.assert_array_equal(fitted.measured_on.picture, (test or known).picture)
    assert fitted.errors == {"regress": pytest.approx(4.0)} and len(fitted.fitted_on) == 10


def test_what_mirror_images_alone_show_is_not_measured(images):
    """As a left eye that no picture of a part shows, but the mirror image of a right one: it has no mean place."""
    images.annotated[:, 0] = np.arange(COUNT) % 5 == 0  # all in the first part

    def with_more(some):
        other = dataclasses.replace(some, annotated=some.annotated[:, ::-1])
        return some.joined(other)

    fits, options = {"regress": fit(1.0)}, {"batch_size": 3}
    fitted = landmarks.fit_heads(fits, images, None, with_more=with_more, **options)
    errors = [measuring.landmark_errors(points, fitted.measured_on) for points in fitted.predicted.values()]
    assert len(errors) == 2 and all(each[0] is None and np.isfinite(each[1:]).all() for each in errors)


@pytest.mark.parametrize("tested", [False, True])
def test_what_mirror_images_alone_show_is_annotated_where_somebody_did(images, tested):
    """Scores tell what is annotated exactly, also of a landmark that is annotated in pictures held out alone."""

    class Sure(Offset):
        def call(self, labels):
            found = super().call(labels)
            first = tf.reduce_any(labels[:, 0, 0] == tf.constant([0.0, 5, 10]), axis=-1)
            return {**found, "score": tf.stack([tf.where(first, 0.9, 0.1), 0.9 * tf.ones(len(labels))], axis=-1)}

    images = images.take(np.arange(2 * COUNT) % COUNT)
    images.annotated[:, 0] = images.picture % 5 == 0  # all in the first part
    mirrored = lambda some: some.joined(dataclasses.replace(some, annotated=some.annotated[:, ::-1]))  # noqa: E731
    options = {"batch_size": 3, "with_more": mirrored, "shown": range(COUNT)}
    fitted = landmarks.fit_heads({"regress": lambda _: Sure(1.0)}, images, images if tested else None, **options)
    offset, slope, _, most = fitted.calibrations["regress"].get("present", np.full([1, 4], np.nan))[0]
    # With a test none of what is held out lacks the landmark, so that nothing is said of what is absent.
    assert np.isnan(most) if tested else slope > 0 and offset + slope * most > 0


@pytest.mark.parametrize("tested", [False, True])
def test_heads_that_are_not_to_be_kept_are_measured_on_what_is_held_out_alone(images, tested):
    seen, told = {"regress": [], "regress_each": []}, {}
    fits = {"regress": fit(1.0, seen["regress"]), "regress_each": fit(2.0, seen["regress_each"])}
    known, test = images.take(slice(0, 10)), images.take(slice(10, 12)) if tested else None
    keep = lambda each: told.update(each) or ["regress_each"]  # noqa: E731
    fitted = landmarks.fit_heads(fits, known, test, batch_size=3, keep=keep)
    assert list(fitted.heads) == ["regress_each"] and fitted.errors.keys() == told.keys() == fits.keys()
    np.testing.assert_allclose(told["regress"], [4.0] * (2 if tested else 10))
    assert [len(each) for each in seen["regress"]] == [8] * (1 if tested else 5)
    assert seen["regress_each"] == [*seen["regress"], list(range(10))]
    assert list(fitted.points) == (["regress_each"] if tested else list(fits))


def test_all_parts_choose_the_head(images):
    lucky = lambda rest: Offset(9.0 if 0 in rest.picture else 0.0)  # noqa: E731, right on the first part alone
    fitted = landmarks.fit_heads({"regress": lucky, "regress_each": fit(1.0)}, images, None, batch_size=3, folds=3)
    assert fitted.best == "regress_each" and fitted.errors["regress"] == pytest.approx(36.0 * 2 / 3)


def test_no_part_has_all_images_with_a_landmark(images):
    """As it would where only every third picture, or frame of a video, is annotated."""
    several = images.take(np.arange(15) % COUNT)
    several.annotated[np.arange(15) % 3 > 0] = 0
    fitted = landmarks.fit_heads({"regress": fit(1.0)}, several, None, batch_size=3, folds=3)
    np.testing.assert_array_equal(fitted.measured_on.annotated, several.annotated)
    assert fitted.errors == {"regress": pytest.approx(4.0)}


@pytest.mark.parametrize("tested", [False, True])
def test_images_of_one_picture_are_held_out_together(images, tested):
    """Such as boxes in it, which may overlap."""
    seen, shown = [], [n // 2 for n in range(COUNT)]
    fits, test = {"regress": fit(1.0, seen)}, images if tested else None
    found = landmarks.fit_heads(fits, images, test, batch_size=3, shown=shown)
    for rest in seen[:-1]:
        held_out = set(range(COUNT)) - set(rest)
        assert held_out and all(n ^ 1 in held_out for n in held_out)
    assert len(seen) == (2 if tested else 6)
    np.testing.assert_allclose(found.predicted["regress"][:, 0, 0], 10 * np.arange(COUNT) + 1)
    of_four = images.take(slice(0, 8))
    assert landmarks.fit_heads(fits, of_four, None, batch_size=3, shown=shown).predicted is None


def test_copies_of_a_picture_are_held_out_together(images):
    """Whose paths differ, and whose digests are the same; one of them may be a box in a picture that has another."""
    seen = []
    shown = [(f"path {n}", f"digest {n // 2}") for n in range(COUNT)]
    shown[4] = ("path 3", "digest 2")  # a box in picture 3, whose file was written again
    landmarks.fit_heads({"regress": fit(1.0, seen)}, images, None, batch_size=3, shown=shown)
    assert len(seen) == 6
    for rest in seen[:-1]:
        held_out = set(range(COUNT)) - set(rest)
        assert held_out and all(n ^ 1 in held_out for n in held_out)
        assert held_out.isdisjoint({2, 3, 4, 5}) or held_out >= {2, 3, 4, 5}


def test_too_few_images_to_take_turns_are_fitted_on_and_not_measured(images):
    few = images.take(slice(0, 4))
    fitted = landmarks.fit_heads({"regress": fit(1.0)}, few, None, batch_size=3)
    assert fitted.heads["regress"].offset == 1.0 and fitted.predicted is None and fitted.measured_on is None
    assert fitted.best == "regress"


def test_pictures_without_a_landmark_do_not_count_among_those_that_take_turns(images):
    images.annotated[4:] = 0
    fitted = landmarks.fit_heads({"regress": fit(1.0), "regress_each": fit(0.0)}, images, None, batch_size=3)
    assert fitted.best == "regress" and fitted.errors == {} and fitted.predicted is None


@pytest.mark.parametrize(
    "errors, count, said",
    [
        ({}, 0, "fewer than 5 annotated pictures are too few to compare heads on: b is the one to export, for of so"),
        ({"a": None, "b": None}, 0, "the eye distance is known of no annotated picture that was held out"),
        ({"a": None, "b": 3.0}, 1, ""),
    ],
)
def test_heads_that_nothing_was_measured_of_were_not_compared(capsys, errors, count, said):
    fitted = landmarks.FittedHeads({"a": None, "b": None}, "b", None, None, None, errors=errors)
    assert landmarks.compared(fitted, "eye distance") == count
    found = capsys.readouterr().out
    assert found.startswith(said) and bool(found) == bool(said)


@pytest.mark.parametrize("errors", [{}, {"a": None, "b": None}])
def test_the_rule_for_few_images_names_the_first_where_nothing_can_be_said(errors):
    assert measuring.least(errors, ["b", "a"]) == measuring.of_few(["b", "a"]) == "b"
    assert measuring.least({"a": 2.0, "b": None}, ["b", "a"]) == "a"


@pytest.mark.parametrize(
    "names, best",
    [
        (("nearest", "regress_each", "regress"), "regress_each"),
        (("nearest", "regress", "detector"), "detector"),
        (("nearest", "heatmaps"), "nearest"),
    ],
)
def test_the_rule_for_few_images_takes_what_erred_least_elsewhere(names, best):
    assert measuring.of_few(names) == best


def test_a_landmark_that_a_part_lacks_is_not_measured_there(images):
    images.annotated[:, 1] = 0
    images.annotated[[0, 1], 1] = 1  # in the first part and in the second
    images.annotated[1, 0] = 0

    class Two(Offset):
        def call(self, labels):
            return {name: values[:, : self.count] for name, values in super().call(labels).items()}

    def fitted(images):
        head = Two(1.0)
        head.count = images.landmarks.shape[1]
        return head

    assert chosen({"heatmaps": fit(9.0), "regress": fitted}, images) == "regress"
    images.annotated[1, 1] = 0  # now no other part has it
    found = landmarks.fit_heads({"regress": fitted}, images, None, batch_size=3)
    predicted, measured_on = found.predicted, found.measured_on
    assert np.isnan(predicted["regress"][0, 1]).all() and np.isfinite(predicted["regress"][:, 0]).all()
    assert images.annotated[0, 1] == 1 and measured_on.annotated[0, 1] == 0
    parts = measuring.measure(predicted, measured_on, "picture width")
    assert parts["metrics"]["regress_error_percent"] == pytest.approx(4.0)
    assert parts["landmark_error_percent"]["regress"] == [pytest.approx(4.0), None]


def test_a_fit_that_takes_all_landmarks_is_given_those_that_a_part_lacks_too(images):
    images.annotated[:, 1] = 0
    images.annotated[0, 1] = 1
    seen = []

    def fitted(images):
        seen.append(images.landmarks.shape[1])
        return Offset(1.0)

    fitted.takes_all = True
    found = landmarks.fit_heads({"regress": fitted}, images, None, batch_size=3)
    assert set(seen) == {2} and np.isnan(found.predicted["regress"][0, 1]).all()
    assert np.isfinite(found.predicted["regress"][1, 1]).all() and np.isfinite(found.predicted["regress"][:, 0]).all()


def test_a_head_that_answers_no_numbers_is_never_the_best_nor_left_out_of_what_is_measured(images):
    fits = {"regress_each": fit(np.nan), "regress": fit(9.0)}
    assert chosen(fits, images) == "regress"
    found = landmarks.fit_heads(fits, images, None, batch_size=3)
    assert found.best == "regress" and (found.measured_on.annotated == 1).all()
    assert np.isnan(measuring.landmark_errors(found.predicted["regress_each"], found.measured_on)).all()


def test_the_best_head_is_chosen_on_images_it_was_not_fitted_on(images):
    seen = []
    fits = {"heatmaps": fit(5.0), "regress": fit(-1.0, seen), "regress_each": fit(2.0)}
    assert chosen(fits, images) == "regress"
    assert seen == [[n for n in range(COUNT) if n % 5], list(range(COUNT))]
    assert chosen(fits, images.take(slice(0, 4))) == "regress"  # too few to choose by


def test_heads_are_calibrated_on_images_that_others_of_their_kind_were_not_fitted_on(images):
    """One that remembers what it was fitted on would else be taken for exact."""

    class Memory(Offset):
        def __init__(self, seen):
            super().__init__(0.0)
            self.seen = tf.constant(seen.labels.values[:, 0, 0, 0])

        def call(self, labels):
            found = super().call(labels)
            known = tf.reduce_any(labels[:, 0, 0] == self.seen, axis=-1)[:, tf.newaxis, tf.newaxis]
            return {**found, "points": found["points"] + tf.where(known, 0.0, [3.0, 4.0])}

    images.annotated[5, 0] = 0
    images.normaliser[0] = 0  # not known
    for test in (images, None):
        fitted = landmarks.fit_heads({"regress": Memory, "regress_each": fit(2.0)}, images, test, batch_size=3)
        found = fitted.calibrations
        np.testing.assert_allclose(np.exp(found["regress"]["expected"][:, 0]), 5.0, rtol=1e-6)
        np.testing.assert_allclose(np.exp(found["regress_each"]["expected"][:, 0]), 2.0, rtol=1e-6)
        assert all((each["likely"][:, 0] < 0).all() for each in found.values())
        counted = 11 if test is None else 2  # all whose normaliser is known, or those of a fifth
        np.testing.assert_allclose(fitted.each["regress_each"], np.full(counted, 8.0))  # 4 pixels of the picture
    assert landmarks.fit_heads({"regress": Memory}, images.take(slice(4)), images, batch_size=3).calibrations == {}


def test_heads_are_compared_and_calibrated_on_a_fifth_of_the_images_with_a_landmark(images):
    """Where there are fewer than five, on none: the others may have no landmark to fit heads on."""
    for shown, held_out in ((range(0, 12, 5), None), (range(1, 12, 2), {1, 11}), (range(7, 12), {7})):
        known, seen = dataclasses.replace(images, annotated=np.zeros_like(images.annotated)), []
        known.annotated[list(shown)] = 1
        fitted = landmarks.fit_heads({"regress": fit(1.0, seen)}, known, images, batch_size=3)
        rest = [] if held_out is None else [sorted(set(range(COUNT)) - held_out)]
        assert seen == [*rest, list(range(COUNT))]
        assert bool(fitted.calibrations) == bool(fitted.errors) == (held_out is not None)
        assert fitted.best == "regress" and np.isfinite(fitted.predicted["regress"]).all()


def test_what_is_nearly_right_is_told_in_pixels_of_the_picture(images):
    """2 pixels of the image are 4 of the picture, which is twice as wide: 8 % of a normaliser of 50, 4 % of 100."""
    for normaliser, likely in ((50, False), (100, True)):
        images.normaliser[:] = normaliser
        found = landmarks.fit_heads({"regress": fit(2.0)}, images, None, batch_size=3).calibrations["regress"]
        assert (found["likely"][:, 0] > 0).tolist() == [likely] * 2
    images.normaliser[:] = 0
    fitted = landmarks.fit_heads({"regress": fit(2.0)}, images, None, batch_size=3)
    assert set(fitted.calibrations["regress"]) == {"expected"} and fitted.each == {}


@pytest.mark.parametrize("decodings", [{"cell": "its one way"}, {"cell": "a way", "top": "another"}])
def test_a_head_from_outside_names_its_decodings_itself(images, monkeypatch, decodings):
    monkeypatch.setattr(HEADS, "_entries", dict(HEADS))  # all, whatever was looked up before
    HEADS.register("outside", "a head", decodings=decodings)(None)

    class Several(Offset):
        def call(self, labels):
            points = super().call(labels)["points"]
            return {"points": points, **{way: points for way in decodings}}

    fits = {"outside": lambda images: Several(2.0), "regress": fit(1.0)}
    for test in (images, None):
        found = landmarks.fit_heads(fits, images, test, batch_size=3)
        assert set(found.predicted) == {"mean_shape", "regress", *decodings} and found.best == "regress"
        np.testing.assert_array_equal(found.best_points, found.predicted["regress"])
        alone = landmarks.fit_heads({"outside": fits["outside"]}, images, test, batch_size=3)
        np.testing.assert_array_equal(alone.best_points, alone.predicted["cell"])
    HEADS.register("mine", "a head", decodings={"regress": "called as another is"})(None)
    with pytest.raises(ValueError, match="^head 'mine': a decoding 'regress' is there already; give this one another"):
        landmarks.fit_heads({**fits, "mine": fit(0.0)}, images, images, batch_size=3)


def test_annotated_images_are_labelled_once_and_keep_their_stride():
    def batch(start):
        images = tf.fill([2, 7, 9, 3], float(start))
        rows = np.float32([start, start + 1])
        return LandmarkBatch(images, np.zeros([2, 3, 2]), np.ones([2, 3]), np.ones([2, 2]), rows, np.int64(rows))

    seen = []

    def network(images):
        seen.append(len(images))
        return images[:, :3, :4, :1]

    labelled = landmarks.label_landmarks(network, [batch(0), batch(2)], stride=2)
    assert seen == [2, 2] and labelled.labels.stride == 2 and labelled.labels.cells == (3, 4) and len(labelled) == 4
    np.testing.assert_array_equal(labelled.labels.values[:, 0, 0, 0], [0, 0, 2, 2])
    np.testing.assert_array_equal(labelled.normaliser, [0, 1, 2, 3])
    np.testing.assert_array_equal(labelled.take([3, 1]).picture, [3, 1])
