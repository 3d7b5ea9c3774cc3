"""Tests of images that lie in several arrays: they answer as one array of all would."""

import numpy as np
import pytest

from dense_labels.detection import kept
from dense_labels.detection.gathered import Gathered

RANDOM = np.random.default_rng(0)
FIRST, SECOND = (RANDOM.integers(0, 255, [count, 4, 6, 3], np.uint8) for count in (5, 40))


@pytest.fixture
def both():
    """Images that were gathered twice, and the same in one array."""
    some, one = np.array([4, 0, 2]), np.concatenate([SECOND, FIRST])
    gathered = Gathered.joined([FIRST, Gathered.joined([SECOND, FIRST]).take(slice(3, 43))]).take(slice(1, None))
    return Gathered.joined([gathered, FIRST.take(some, 0)]), np.concatenate([FIRST[1:], one[3:43], FIRST[some]])


@pytest.mark.parametrize("indices", [slice(None), slice(2, 30, 3), [3, 46, 3, -1], np.arange(47) % 4 == 1, []])
def test_an_index_makes_an_array_of_those_images(both, indices):
    gathered, one = both
    indices = np.array(indices, int) if isinstance(indices, list) else indices
    assert gathered.shape == one.shape and gathered.dtype == one.dtype and len(gathered) == len(one)
    np.testing.assert_array_equal(gathered[indices], one[indices])
    np.testing.assert_array_equal(gathered.take(indices)[:], one[indices])


def test_their_digest_is_that_of_one_array(both):
    gathered, one = both
    assert kept._digest({}, [gathered]) == kept._digest({}, [one]) != kept._digest({}, [one[1:]])
