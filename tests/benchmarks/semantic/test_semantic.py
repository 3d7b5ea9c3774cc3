"""Tests of PCK against figures worked out by hand."""

import numpy as np
import pytest

from benchmarks.semantic import semantic

# Two pairs, 10 and then 2 key points, the second padded to 10.
ANNOTATED = np.zeros([2, 10])
ANNOTATED[0], ANNOTATED[1, :2] = 1, 1
TRUE = np.zeros([2, 10, 2])
TRUE[0, :, 0] = np.linspace(0, 90, 10)  # extent 90: within 9 at alpha .1
TRUE[1, :2] = [[0, 0], [0, 40]]  # extent 40: within 4
PREDICTED = TRUE.copy()
PREDICTED[0, :4, 1] = 9.5  # 4 of 10 are off
PREDICTED[1, 1, 1] = 44.5  # 1 of 2 is off
EXTENTS = semantic.extent(TRUE, ANNOTATED)


def pck(against="extent", average="points", reference=EXTENTS, predicted=PREDICTED, annotated=ANNOTATED, alpha=0.1):
    options = {"against": against, "reference": reference, "average": average}
    return semantic.transfer_pck(predicted, TRUE, annotated, [alpha], **options)[0]


def test_extent_is_the_longer_side_of_what_is_annotated():
    np.testing.assert_array_equal(EXTENTS, [90, 40])
    np.testing.assert_array_equal(semantic.extent(np.full([1, 3, 2], 7.0), np.array([[1, 0, 0]])), [0])
    np.testing.assert_array_equal(semantic.extent(np.full([1, 3, 2], 7.0), np.zeros([1, 3])), [0])


def test_per_point_and_per_pair_means_differ():
    assert pck(average="points") == pytest.approx(7 / 12)
    assert pck(average="images") == pytest.approx((6 / 10 + 1 / 2) / 2)


def test_padded_key_points_count_nowhere():
    """The known wrong way lets the padding, which is alike on both sides, count as correct."""
    wrong = pck(annotated=np.ones([2, 10]))
    assert wrong == pytest.approx(15 / 20) and pck() == pytest.approx(7 / 12)
    elsewhere = np.where(ANNOTATED[..., np.newaxis] > 0, PREDICTED, np.nan)
    assert pck(predicted=elsewhere) == pytest.approx(7 / 12)


def test_alpha_is_a_share_of_what_is_named():
    boxes = np.array([[10, 10, 110, 60], [0, 0, 20, 50]])  # longer sides 100 and 50: within 10 and 5
    assert pck("box", reference=boxes) == 1
    assert pck("box", reference=boxes, alpha=0.094) == pytest.approx((6 + 2) / 12)


def test_size_scales_the_errors_of_x_and_y_apart():
    """B is 448 wide and 112 high: in 224 x 224, 40 px along x are 20, within 22.4, and 12 px along y are 24, not."""
    sizes = np.array([[112, 448], [112, 448]])
    for offset, within in (([40, 0], 1), ([0, 12], 0), ([46, 0], 0), ([0, 11], 1)):
        predicted = TRUE + offset
        assert pck("size", reference=sizes, predicted=predicted) == within
    wrong = np.linalg.norm([0, 12]) <= 0.1 * 224  # not scaled at all
    assert wrong and pck("size", reference=sizes, predicted=TRUE + [0, 12]) == 0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"against": "width"}, "against='width': there is no such reference; choose size, box, extent"),
        ({"against": "box"}, r"against='box' needs a reference of shape \[2, 4\]; found \[2\]"),
        ({"average": "pairs"}, "average='pairs': there is no such average; choose points, images"),
        ({"annotated": np.zeros([2, 10])}, "no point is annotated"),
    ],
)
def test_a_choice_that_is_not_there_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pck(**options)
