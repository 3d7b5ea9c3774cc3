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
