"""Tests of the curves: they pass where their shares say."""

import numpy as np
import pytest

from dense_labels.pictures import curves as pictures
from dense_labels.pictures.sheet import MARGIN

ACROSS, DOWN = pictures.PLOT


def plot_of(picture, column):
    """The largest channel of the pixels of a plot, int [DOWN, ACROSS]."""
    left = pictures.LEFT + column * (ACROSS + pictures.APART)
    return picture.astype(int)[MARGIN:, left:][:DOWN, :ACROSS].max(axis=-1)


def test_precision_and_recall_lie_where_the_order_of_the_probabilities_puts_them():
    probability = np.linspace(1, 0, 1000)
    correct = np.where(np.arange(1000) < 400, True, np.arange(1000) % 2 == 0)  # the 400 surest, and half of the others
    plot = plot_of(pictures.precision_recall_panel(correct, probability), 0)
    for recall in (0.3, 0.75, 0.9):  # of 700 correct ones
        kept = 700 * recall if 700 * recall < 400 else 400 + 2 * (700 * recall - 400)
        dark = np.flatnonzero(plot[5:-5, round(recall * ACROSS)] < 60) + 5
        highest = DOWN * (1 - 700 * recall / kept / 1.1)  # the dotted line of all is lower
        assert abs(dark[dark < highest + 5].mean() - highest) < 1.5


def test_curves_lie_where_their_shares_say():
    limits = np.linspace(0, 10, 11)
    curves = {"percent": limits, "first": {"cumulative": limits / 10, "pck": np.full(11, 0.25)}}
    picture = pictures.curves_panel(curves)
    rising, flat = (plot_of(picture, column) for column in range(2))
    inside = np.s_[5:-5]  # without the frame
    for share in (0.15, 0.35, 0.55):  # between the lines of the grid
        for plot, height in ((rising, share), (flat, 0.25)):
            dark = np.flatnonzero(plot[inside, round(share * ACROSS)] < 60)
            assert abs(dark.mean() + 5.5 - DOWN * (1 - height)) < 1.5


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: pictures.curves_panel({"percent": [0.0, 1.0]}), "there is no curve to draw"),
        (lambda: pictures.precision_recall_panel([], []), r"correct must be \[any\]; found shape \(0,\)"),
        (
            lambda: pictures.curves_panel({"percent": [0.0, 1.0], "a": {"cumulative": [1.0], "pck": [1.0, 1.0]}}),
            r"a must be \[2\]; found shape \(1,\)",
        ),
    ],
)
def test_errors_say_what_was_given_and_what_is_needed(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_no_two_of_many_curves_look_alike():
    styles = [(style["color"], style["linestyle"]) for style in pictures._styles(12)]
    assert len(set(map(str, styles))) == 12
