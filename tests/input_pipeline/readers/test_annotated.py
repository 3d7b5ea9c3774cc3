"""Tests of what annotations of several kinds of object are made into."""

import re

import numpy as np
import pytest
from PIL import Image

from input_pipeline.readers import annotated
from input_pipeline.readers.annotated import Found, Object


def test_pairs_that_kinds_of_object_have_in_common_count_once(tmp_path):
    """As two skeletons of a SLEAP project, of which each has its edges and its symmetries."""
    path = str(tmp_path / "a.png")
    Image.fromarray(np.zeros([8, 9, 3], np.uint8)).save(path)
    points = {"ear_left": (1.0, 2.0), "ear_right": (5.0, 2.0), "nose": (3.0, 6.0)}
    objects = [Object("a.png", path, points, kind=kind) for kind in ("mouse", "rat")]
    edges, sides = [("nose", "ear_left"), ("nose", "ear_right")], [("ear_left", "ear_right")]
    names = {"mouse": tuple(points), "rat": (*points, "tail")}
    edges_of_both, sides_of_both = [*edges, *edges, ("nose", "tail")], [*sides, ("ear_right", "ear_left")]
    found = Found(objects, names, skeleton=edges_of_both, flip_pairs=sides_of_both)
    made = annotated.pictures(str(tmp_path / "a.slp"), found, boxed=False, category="mouse")
    assert made.flip_pairs == ((0, 1),) and made.skeleton == ((2, 0), (2, 1))


def test_kinds_that_a_message_leaves_out_are_hinted_at():
    objects = [Object("a.png", "a.png", {"nose": (1.0, 2.0)}, kind=kind) for kind in ("a\n", "", *"bcde")]
    some = "a\\n, one without a name, b, c, d"
    for count, names in ((5, some), (6, f"{some}, ...")):
        with pytest.raises(ValueError, match=re.escape(f"of {count} kinds of object ({names}); name one")):
            annotated.pictures("a.json", Found(objects[:count], {}), boxed=False, category="")
