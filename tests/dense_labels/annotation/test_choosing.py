"""Tests of choosing pictures: clusters whose answer is known, pictures that are alike, and doubt."""

import numpy as np
import pytest

from dense_labels.annotation import choosing


def clusters(sizes=(30, 5, 12, 2), spread=0.3):
    """Points [N, 6] about far places, in mixed order, and the cluster of each."""
    random = np.random.default_rng(0)
    cluster = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return 10 * random.normal(size=[len(sizes), 6])[cluster] + spread * random.normal(size=[len(cluster), 6]), cluster


def test_one_is_chosen_of_each_cluster_however_small_it_is():
    points, cluster = clusters()
    chosen = choosing.choose(points, 4)
    assert sorted(cluster[chosen]) == [0, 1, 2, 3] and (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(choosing.choose(points, 4), chosen)


def test_the_middle_of_a_cluster_stands_for_it():
    line = np.array([[0.0], [1], [2], [3], [4], [30], [31], [32]])
    assert choosing.choose(line, 2).tolist() == [2, 6]


def test_clusters_that_are_annotated_are_not_chosen_again():
    points, cluster = clusters()
    known = np.array([np.flatnonzero(cluster == 0)[0], np.flatnonzero(cluster == 2)[0]])
    assert sorted(cluster[choosing.choose(points, 2, known=known)]) == [1, 3]


def test_pictures_that_are_alike_are_chosen_once():
    points = np.repeat(np.random.default_rng(1).normal(size=[5, 3]), 4, axis=0)
    points += 1e-4 * np.random.default_rng(2).normal(size=points.shape)
    assert choosing.choose(points, 12).tolist() == [0, 4, 8, 12, 16]  # fewer than were asked for
    assert choosing.choose(points, 12, known=np.array([5])).tolist() == [0, 8, 12, 16]


def test_where_most_are_the_same_each_kind_is_chosen_once():
    """As of a video that stands still: the median distance is 0, or what rounding makes of it."""
    assert len(choosing.choose(np.tile([[0.3, 1.7, 2.1]], [30, 1]), 5)) == 1
    for seed in range(20):
        random = np.random.default_rng(seed)
        kinds = random.permutation([0] * 30 + [1] * 5 + [2] * 3)
        points = choosing.joined([random.normal(size=[3, 40])[kinds]])
        assert sorted(kinds[choosing.choose(points, 8)]) == [0, 1, 2]


def test_a_cluster_gives_the_picture_a_head_is_least_certain_of_but_no_outlier_of_it():
    line = np.array([[0.0], [1], [2], [3], [9], [30], [31], [32]])
    doubt = np.array([0, 0.6, 0, 0.5, 0.9, 0.1, 0, 0])
    assert choosing.choose(line, 2, uncertainty=doubt).tolist() == [1, 5]


def test_a_picture_is_described_by_where_its_labels_lie():
    labels, images = np.zeros([2, 8, 8, 2]), np.zeros([2, 16, 16, 3])
    labels[0, :2, :2, 1], labels[1, 6:, 6:, 0] = 5, 3
    images[1, :2, 2:4] = 1
    pooled, colours = choosing.describe(labels, images)
    assert pooled.shape == (2, 4 * 4 * 2) and colours.shape == (2, 8 * 8 * 3)
    assert np.flatnonzero(pooled[0]).tolist() == [1] and pooled[0, 1] == 5
    assert np.flatnonzero(pooled[1]).tolist() == [30] and np.flatnonzero(colours[1]).tolist() == [3, 4, 5]
    small = choosing.describe(labels[:, :3, :3], images[:, :5, :5])  # of fewer cells than fields as well
    assert [part.shape for part in small] == [pooled.shape, colours.shape]


def test_labels_and_colours_count_the_same():
    values = np.random.default_rng(0).normal(size=[50, 8])
    scaled = choosing.joined([1000 * values[:, :3] + 7, 0.01 * values[:, 3:]])
    assert np.mean(np.sum(scaled[:, :3] ** 2, axis=1)) == pytest.approx(1)
    assert np.mean(np.sum(scaled[:, 3:] ** 2, axis=1)) == pytest.approx(1)
    assert not choosing.joined([np.ones([2, 4])]).any()


def test_errors_say_what_is_needed():
    with pytest.raises(ValueError, match="count=0: must be at least 1"):
        choosing.choose(np.zeros([3, 2]), 0)
    with pytest.raises(ValueError, match=r"finite numbers \[N, D\]; found shape \[3\]"):
        choosing.choose(np.zeros(3), 1)
