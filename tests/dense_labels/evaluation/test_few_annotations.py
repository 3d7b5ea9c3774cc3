"""Tests of the protocols of few annotations with heads whose answers are known: what is drawn, and measured on what."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.evaluation import few_annotations, measuring
from tests.dense_labels.evaluation import numbered
from tests.dense_labels.evaluation.numbered import COUNT, Offset, fit

images = pytest.fixture(numbered.images)


def test_what_mirror_images_alone_show_is_not_measured(images):
    """As a left eye that no picture of a part shows, but the mirror image of a right one: it has no mean place."""
    images.annotated[:, 0] = np.arange(COUNT) % 5 == 0
    few, shape = images.take([1, 2]), measuring.mean_shape(images, np.array([1, 2]))
    mirrored = few.joined(dataclasses.replace(few, annotated=few.annotated[:, ::-1]))
    found = few_annotations.few_errors({"regress": fit(1.0)}, mirrored, images, shape=shape, batch_size=3)
    assert np.isnan(shape[0]).all() and np.isfinite(list(found.values())).all()


def test_a_draw_of_boxes_of_all_pictures_measures_nothing(images):
    shown, options = [n // 4 for n in range(COUNT)], {"counts": [3, 8], "seeds": 12, "batch_size": 4}
    views_of = lambda indices, _: images.take(np.sort(indices))  # noqa: E731
    found = few_annotations.few_shot({"regress": fit(1.0)}, views_of, images, None, shown=shown, **options)["regress"]
    assert 0 < len(found[3]) < 12 and list(found) == [3, 8]  # three boxes may be of all three pictures
    with pytest.raises(ValueError, match="^9 annotated images cannot be drawn from 12 with a picture left to measure"):
        few_annotations.check_few_shot([9], images, None, shown)
    few_annotations.check_few_shot([9], images, images, shown)


def test_few_images_are_measured_on_other_pictures(images):
    drawn, shown = [], [n // 2 for n in range(COUNT)]
    views_of = lambda indices, _: drawn.append(indices) or images.take(np.sort(indices))  # noqa: E731
    options = {"counts": [3], "seeds": 1, "batch_size": 4, "shown": shown}
    measure = lambda _, measured: sorted(measured.picture.tolist())  # noqa: E731
    found = few_annotations.few_shot({"regress": fit(1.0)}, views_of, images, None, measure=measure, **options)
    others = [n for n in range(COUNT) if n not in drawn[0] and n ^ 1 not in drawn[0]]
    assert found["regress"][3] == [others]


def test_few_images_are_drawn_anew_for_each_seed(images):
    drawn = {}

    def views_of(indices, seed):
        drawn[len(indices), seed] = sorted(indices)
        return images.take(np.sort(indices))

    fits, options = {"regress": fit(1.0)}, {"seeds": 3, "batch_size": 4}
    errors = few_annotations.few_shot(fits, views_of, images, images, counts=[1, 3, 3], **options)
    assert errors["regress"] == {1: pytest.approx([4.0] * 3), 3: pytest.approx([4.0] * 3)}
    assert len(drawn) == 6 and len({tuple(drawn[3, seed]) for seed in range(3)}) > 1
    assert all(len(set(indices)) == len(indices) for indices in drawn.values())
    assert min(errors["mean_shape"][1]) > 4
    assert len(few_annotations.few_shot(fits, views_of, images, images, counts=[12], **options)["regress"][12]) == 1
    with pytest.raises(ValueError, match="13 annotated images cannot be drawn from 12$"):
        few_annotations.few_shot(fits, views_of, images, images, counts=[13], **options)


def test_the_mean_shape_of_few_images_is_that_of_their_own_landmarks(images):
    """Heads are fitted to views of them, whose landmarks lie elsewhere."""

    def views_of(drawn, _):
        moved = images.take(drawn)
        return dataclasses.replace(moved, landmarks=moved.landmarks + 9)

    options = {"counts": [3], "seeds": [7], "batch_size": 4, "measure": lambda points, _: points[0]}
    found = few_annotations.few_shot({"regress": fit(1.0)}, views_of, images, images, **options)
    drawn = np.random.default_rng([7, 3]).permutation(COUNT)[:3]
    np.testing.assert_allclose(found["mean_shape"][3][0], images.landmarks[drawn].mean(axis=0), rtol=1e-5)


def test_of_few_images_anything_can_be_measured(images):
    def measure(points, measured):
        return (points - measured.landmarks)[..., 0].mean(), len(measured)

    views_of, options = lambda drawn, _: images.take(drawn), {"counts": [3], "seeds": [7], "batch_size": 4}  # noqa: E731
    found = few_annotations.few_shot({"regress": fit(1.0)}, views_of, images, None, measure=measure, **options)
    assert found["regress"] == {3: [(pytest.approx(1.0), 9)]}


def test_images_without_a_landmark_are_not_among_the_few(images):
    images.annotated[2:] = 0
    drawn = []

    def views_of(indices, seed):
        drawn.extend(indices)
        return images.take(indices)

    options = {"seeds": 5, "batch_size": 4}
    few_annotations.few_shot({"regress": fit(1.0)}, views_of, images, images, counts=[1], **options)
    assert set(drawn) == {0, 1}
    with pytest.raises(ValueError, match="^3 annotated images cannot be drawn from 2$"):
        few_annotations.few_shot({"regress": fit(1.0)}, views_of, images, images, counts=[3], **options)


def test_heads_are_not_fitted_to_nothing(images):
    few, rest = images.take(slice(0, 3)), images.take(slice(3, COUNT))
    few.annotated[:] = 0
    with pytest.raises(ValueError, match="^no landmark is annotated in the 3 images to fit heads on; annotate more"):
        few_annotations.few_errors({"regress": fit(1.0)}, few, rest, shape=np.zeros([1, 2]), batch_size=3)


def test_few_images_are_measured_on_those_not_drawn_where_there_are_no_others(images):
    measured = []

    class Memory(Offset):
        def call(self, labels):
            tf.py_function(lambda values: measured.extend(values.numpy()), [labels[:, 0, 0, 0]], [])
            return super().call(labels)

    drawn = []

    def views_of(indices, seed):
        drawn.extend(indices)
        return images.take(indices)

    fits = {"regress": lambda images: Memory(0.0)}
    few_annotations.few_shot(fits, views_of, images, None, counts=[5], seeds=1, batch_size=4)
    assert sorted(drawn + [int(value) for value in measured]) == list(range(COUNT))
    with pytest.raises(
        ValueError, match="12 annotated images cannot be drawn from 12 with a picture left to measure on; draw"
    ):
        few_annotations.few_shot(fits, views_of, images, None, counts=[12], seeds=1, batch_size=4)


def test_rounds_grow_by_images_of_each_class_and_go_on_from_the_last_head(images):
    classes, rounds = np.array([7, 2, 2] * 4), []

    def fit(few, head):
        rounds.append((sorted(few.labels.values[:, 0, 0, 0].astype(int)), head))
        return len(rounds)

    def views_of(indices, seed):
        assert seed == 5
        return images.take(indices)

    options = {"counts": [1, 3, 8], "seed": 5}
    assert list(few_annotations.growing_rounds(fit, views_of, classes, **options)) == [(1, 1), (3, 2), (8, 3)]
    drawn, begun_as = zip(*rounds)
    assert begun_as == (None, 1, 2)
    assert [[sum(classes[image] == 7), sum(classes[image] == 2)] for image in map(list, drawn)] == [
        [1, 1],
        [3, 3],
        [4, 8],
    ]
    assert set(drawn[0]) < set(drawn[1]) < set(drawn[2]) == set(range(COUNT))
    rounds.clear()
    list(few_annotations.growing_rounds(fit, lambda indices, _: images.take(indices), classes, counts=[3], seed=6))
    assert rounds[0][0] != drawn[1]  # drawn anew
    for counts in ([0, 1], [3, 2], [2, 2], [1, 9]):
        with pytest.raises(ValueError, match="must rise from at least 1 to at most 8, the images of a class"):
            next(few_annotations.growing_rounds(fit, views_of, classes, counts=counts, seed=0))


def test_draws_that_lack_landmarks_or_pictures_to_measure_on_are_said(images, capsys):
    images.annotated[1:, 0] = 0  # of the first image alone
    shown, draws = [n // 4 for n in range(COUNT)], {"seeds": 12}
    few_annotations.say_what_is_not_measured(images, images, counts=[1, 12], **draws)
    lacking = sum(np.random.default_rng([seed, 1]).permutation(COUNT)[0] != 0 for seed in range(12))
    said = "note: {} of 12 draws of {} annotated images {}\n"
    lack = "lack landmarks: their errors are of the landmarks that they have"
    assert 0 < lacking <= 12 and capsys.readouterr().out == said.format(lacking, 1, lack)
    images.annotated[:] = 1
    few_annotations.say_what_is_not_measured(images, None, counts=[3], shown=shown, **draws)
    options = {"counts": [3], "batch_size": 4, "shown": shown, **draws}
    found = few_annotations.few_shot({"regress": fit(1.0)}, lambda at, _: images.take(at), images, None, **options)
    assert capsys.readouterr().out == said.format(
        12 - len(found["regress"][3]), 3, "left no other picture to measure on, and are left out"
    )
    few_annotations.say_what_is_not_measured(images, images, counts=[3], shown=shown, **draws)
    assert capsys.readouterr().out == ""
