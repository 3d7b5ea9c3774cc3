"""Tests of the form that all readers return."""

import re

import numpy as np
import pytest

from input_pipeline.readers.pictures import Pictures


def test_pictures_must_agree_in_number():
    with pytest.raises(ValueError, match=re.escape("boxes must be float32 [1, 4]; found float32 [2, 4]")):
        Pictures(("a.png",), boxes=np.zeros([2, 4], np.float32))
    with pytest.raises(ValueError, match="landmarks and annotated come together"):
        Pictures(("a.png",), landmarks=np.zeros([1, 3, 2], np.float32))


@pytest.mark.parametrize(
    "name, place, said",
    [
        ("landmarks", (1, 2, 0), "b.png: its landmarks must be finite; found [[1.0, 1.0], [1.0, 1.0], [nan, 1.0]]"),
        ("annotated", (1, 0), "b.png: its annotated must be finite; found [nan, 1.0, 1.0]"),
        ("boxes", (0, 3), "a.png: its boxes must be finite; found [1.0, 1.0, 1.0, nan]"),
        ("normalisers", (1,), "b.png: its normalisers must be finite; found nan"),
    ],
)
def test_numbers_that_are_not_finite_are_refused_with_their_picture(name, place, said):
    """A reader from outside may not have looked."""
    shapes = {"boxes": (2, 4), "landmarks": (2, 3, 2), "annotated": (2, 3), "normalisers": (2,)}
    parts = {part: np.ones(shape, np.float32) for part, shape in shapes.items()}
    parts[name][place] = np.nan
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        Pictures(("a.png", "b.png"), **parts)


def test_a_landmark_that_is_not_annotated_may_be_anywhere():
    landmarks = np.full([1, 2, 2], np.nan, np.float32)
    pictures = Pictures(("a.png",), landmarks=landmarks, annotated=np.zeros([1, 2], np.float32))
    assert np.isnan(pictures.landmarks).all()
