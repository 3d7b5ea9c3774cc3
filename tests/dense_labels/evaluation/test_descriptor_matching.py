"""Tests of landmarks matched between images, and of what confidence is worth, on planted labels."""

import numpy as np
import pytest

from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.evaluation import confidence, descriptor_matching

STRIDE, HEIGHT, WIDTH = 4, 6, 10
LANDMARKS = np.array([[6.0, 6.0], [18.0, 10.0]])  # centres of cells (1, 1) and (2, 4)


@pytest.fixture
def images():
    """Two images whose labels are their places; the second has its second landmark two cells further right."""
    x, y = np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT))
    plane = np.stack([x, y, np.ones_like(x)], axis=-1)
    plane /= np.linalg.norm(plane, axis=-1, keepdims=True)
    return LabelledLandmarks(
        labels=LabelMap(np.float32([plane, plane]), STRIDE),
        landmarks=np.float32([LANDMARKS, LANDMARKS + [[0, 0], [2 * STRIDE, 0]]]),
        annotated=np.ones([2, 2], np.float32),
        scale=np.ones([2, 2], np.float32),
        normaliser=np.ones(2, np.float32),
        picture=np.arange(2),
    )


def match(images):
    return descriptor_matching.match_landmarks(images, width=40, count=6)


def test_errors_are_shares_of_the_width(images):
    found = match(images)
    assert found.pair.tolist() == [0, 0, 1, 1]
    right, wrong = found.errors[0::2], found.errors[1::2]
    assert right.max() < 100 * STRIDE / 4 / 40  # on a grid four times finer
    np.testing.assert_allclose(wrong, 100 * 2 * STRIDE / 40, atol=100 * STRIDE / 4 / 40)
    np.testing.assert_allclose(found.confidence, 1, rtol=1e-5)
    assert found.score.min() > 0.99 and found.correct.tolist() == [True, False] * 2
    figures = descriptor_matching.figures(found)
    assert figures["nearest_descriptor_pck"] == 0.5
    assert figures["nearest_descriptor_error_percent"] == pytest.approx(found.errors.mean())


def test_landmarks_that_one_of_the_two_lacks_are_not_matched(images):
    images.annotated[1, 1], images.landmarks[1, 1] = 0, np.nan
    found = match(images)
    assert len(found.errors) == 2 and found.correct.all()
    images.annotated[:] = np.eye(2)
    assert match(images) is None
    assert match(images.take(slice(0, 1))) is None


def test_landmarks_that_are_cut_off_are_not_matched(images):
    """The network sees no place of them, in A or in B."""
    images.landmarks[1, 1] = [WIDTH * STRIDE + 3, 10]
    found = match(images)
    assert len(found.errors) == 2 and found.correct.all()


def test_images_of_one_picture_are_not_matched(images):
    three, options = images.take([0, 1, 1]), {"width": 40, "count": 6}
    found = descriptor_matching.match_landmarks(three, pictures=np.array([3, 3, 1]), **options)
    assert found.pair.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert np.flatnonzero(found.correct).tolist() == [0, 2, 3, 4, 6, 7]  # the last two images are alike
    assert descriptor_matching.match_landmarks(images, pictures=np.array([3, 3]), **options) is None


def test_what_confidence_is_worth_is_worked_out_in_each_order(images):
    """The surer landmark is the right one, so its order is that of the errors; the cosine knows less."""
    matches = match(images)._replace(errors=np.array([1.0, 9.0] * 2), confidence=np.array([5.0, 2.0] * 2))
    matches = matches._replace(score=np.array([0.1, 0.2, 0.4, 0.3]))
    found = descriptor_matching.confidence_figures(matches, images)
    assert found["risk_by_confidence"] == found["risk_of_the_errors"] < found["risk_by_cosine"]
    assert found["risk_at_random"] == pytest.approx(5)
    sigma = 1 / matches.confidence
    density = np.exp(matches.score / sigma) / (sigma * (np.exp(1 / sigma) - 1))  # equation (5), of points that match
    by_density = confidence.area_under_risk_coverage(matches.errors, density)
    assert found["risk_by_likelihood"] == pytest.approx(by_density)
    line = descriptor_matching.summary({**descriptor_matching.figures(matches), **found})
    assert "error in % of the width 5, share within 10 % 1, risk-coverage area by confidence 2.67, by cosine" in line


def test_confidence_on_the_object_is_compared_with_that_around_it(images):
    """Cells in the grown box, columns 0 to 5 of rows 0 to 3, are surer than others but for one in 24."""
    images.landmarks[1] = LANDMARKS
    boxes = descriptor_matching.grown_boxes(images.landmarks, images.annotated, (HEIGHT, WIDTH), STRIDE)
    expected = np.zeros([HEIGHT, WIDTH], bool)
    expected[0:4, 0:6] = True  # x from 6 - 6 to 18 + 6, y from 6 - 6 to 10 + 6
    np.testing.assert_array_equal(boxes, [expected, expected])
    lengths = np.where(expected, 3.0, 1.0)
    lengths[1, 0] = 0.5
    images.labels.values[:] = lengths[..., np.newaxis] * images.labels.values
    found = descriptor_matching.confidence_figures(match(images), images)
    assert found["confidence_roc_area"] == pytest.approx(23 / 24)


def test_an_image_without_landmarks_is_no_background(images):
    alone = images.take([0, 1, 0])
    alone.annotated[2], alone.landmarks[2], alone.labels.values[2] = 0, np.nan, 100
    matches = match(images)
    area = "confidence_roc_area"
    assert descriptor_matching.confidence_figures(matches, alone)[area] == pytest.approx(
        descriptor_matching.confidence_figures(matches, images)[area]
    )
    assert not descriptor_matching.grown_boxes(alone.landmarks, alone.annotated, (HEIGHT, WIDTH), STRIDE)[2].any()
    images.landmarks[:] = np.float32([[[0, 0], [40, 24]]] * 2)  # all cells lie in the box: there is no background
    assert area not in descriptor_matching.confidence_figures(matches, images)
