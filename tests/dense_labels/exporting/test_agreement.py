"""Tests of how near an answer of a written model must be to the live model's."""

import numpy as np
import pytest

from dense_labels.exporting import agreement


@pytest.mark.parametrize("found", [[1.0, 200.0], [1.05, 202.0], [0.9, 198.0]])
def test_large_answers_may_differ_by_a_share_of_them_and_small_ones_by_a_little(found):
    agreement.check("far", found, np.array([1.0, 200.0]), 0.1, 0.01)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([1.2, 200.0], "by 0.2, more than 0.11"),
        ([1.0, 203.0], "by 3, more than 2.1"),
        ([np.nan, 200.0], "by nan, more than 0.11"),
        ([1.0, np.inf], "by inf, more than 2.1"),
    ],
)
def test_what_differs_by_more_is_refused(found, said):
    with pytest.raises(RuntimeError, match=f"^nothing exported: far, written and live, differ {said}$"):
        agreement.check("far", found, np.array([1.0, 200.0]), 0.1, 0.01)


def test_one_answer_is_held_against_several():
    agreement.check("one", np.ones([1, 2]), np.ones([3, 2]), 0.0)
    with pytest.raises(RuntimeError, match="differ by 1, more than 0.5$"):
        agreement.check("one", np.ones([1, 2]), np.array([[1, 1], [1, 2.0]]), 0.5)
