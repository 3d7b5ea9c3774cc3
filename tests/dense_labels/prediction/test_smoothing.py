"""Tests of smoothing tracks: what a polynomial is stays so, a jump and noise go, gaps are bridged or left."""

import numpy as np
import pytest

from dense_labels.prediction import smoothing
from dense_labels.prediction.predictions import Predictions

TIME = np.arange(60.0)
TRACK = np.stack([5 + 0.8 * TIME + 0.01 * TIME**2, 90 - 1.1 * TIME], axis=1)  # rises and falls: its own median
SEEN = np.ones(60, bool)


def of_video(points, score):
    count, landmarks = score.shape
    names = tuple(f"a/img{k:02}.png" for k in range(count))
    sizes = np.tile([100, 100], [count, 1])
    return Predictions("", names, sizes, tuple("ab"[:landmarks]), np.float32(points), np.float32(score), video="a.mp4",
                       frames=np.arange(count), seconds=np.arange(count) / 10)  # fmt: skip


def test_a_parabola_is_kept():
    smooth = smoothing.smooth_track(TRACK, SEEN)
    np.testing.assert_allclose(smooth[4:-4], TRACK[4:-4], atol=1e-9)
    np.testing.assert_allclose(smooth, TRACK, atol=0.5)  # the median leads straight on at both ends


def test_a_jump_of_two_frames_is_taken_away():
    """To within what the landmark moves in two frames: the median of five takes the highest of the other three."""
    jumped = TRACK.copy()
    jumped[30:32] += [40, -25]
    np.testing.assert_allclose(smoothing.smooth_track(jumped, SEEN)[4:-4], TRACK[4:-4], atol=2 * 2.0)


@pytest.mark.parametrize("count", [3, 4, 5, 7, 30])
def test_a_jump_is_taken_away_wherever_it_is(count):
    """Of one frame anywhere, of two neighbours where they are not the ends."""
    two = [(frame, frame + 1) for frame in range(1, count - 2)] if count >= 7 else []
    for frames in [*((frame,) for frame in range(count)), *two]:
        jumped = np.full([count, 2], 30.0)
        jumped[list(frames)] = 300
        np.testing.assert_allclose(smoothing.smooth_track(jumped, SEEN[:count]), 30, atol=1e-9)


@pytest.mark.parametrize("count", range(1, 8))
def test_the_median_keeps_what_moves_evenly(count):
    """Also where the window is larger than the track."""
    even = np.arange(count)[:, np.newaxis] * [10.0, -3.0] + 30
    np.testing.assert_allclose(smoothing.running_median(even), even, atol=1e-9)


def test_noise_is_less_and_is_not_moved():
    noise = np.random.default_rng(0).normal(scale=1, size=TRACK.shape)
    left = smoothing.smooth_track(TRACK + noise, SEEN) - TRACK
    assert left[4:-4].std() < 0.65 and abs(left[4:-4].mean()) < 0.15


def test_a_gap_is_bridged_and_a_long_one_is_left_as_it_was():
    wild = TRACK.copy()
    seen = SEEN.copy()
    seen[20:26] = seen[40:57] = False
    wild[~seen] = 500, -300
    smooth = smoothing.smooth_track(wild, seen)
    np.testing.assert_allclose(smooth[18:28], TRACK[18:28], atol=0.5)
    np.testing.assert_array_equal(smooth[40:57], wild[40:57])
    np.testing.assert_allclose(smooth[36:40], TRACK[36:40], atol=2.5)
    np.testing.assert_array_equal(smoothing.smooth_track(wild, np.zeros(60, bool)), wild)


@pytest.mark.parametrize("count, bridged", [(15, True), (16, False)])
def test_the_longest_gap_that_is_bridged_is_of_15_frames(count, bridged):
    wild, gap = TRACK.copy(), np.isin(TIME, 20 + np.arange(count))
    wild[gap] = 500, -300
    expected = TRACK if bridged else wild
    np.testing.assert_allclose(smoothing.smooth_track(wild, ~gap)[gap], expected[gap], atol=2)


def test_each_landmark_is_judged_by_its_own_scores():
    points = np.stack([TRACK, TRACK + 7], axis=1)
    score = np.tile([0.9, 0.05], [60, 1])
    points[30, 1], score[30, 1] = 0, 0.01
    found = smoothing.smooth(of_video(points, score))
    np.testing.assert_allclose(found.points[4:-4, 1], TRACK[4:-4] + 7, atol=0.2)
    np.testing.assert_array_equal(found.raw_points, np.float32(points))


def test_raw_points_are_written_beside_the_smooth_ones(tmp_path):
    points = np.stack([TRACK, TRACK], axis=1)
    points[30] += 50
    found = smoothing.smooth(of_video(points, np.ones([60, 2])))
    written = [path.name for path in found.save(tmp_path, ("csv", "deeplabcut"))]
    assert written == ["points.csv", "points_deeplabcut.csv", "points_raw.csv"]
    raw, smooth = ((tmp_path / name).read_text().splitlines() for name in ("points_raw.csv", "points.csv"))
    assert raw[0] == smooth[0] and raw[31].startswith("a/img30.png,88.000,107.000") and len(raw) == 61
    assert float(smooth[31].split(",")[1]) == pytest.approx(38, abs=1.4)  # what it moves in a frame


@pytest.mark.parametrize("count", [1, 2, 6])
def test_short_videos_are_smoothed_too(count):
    found = smoothing.smooth(of_video(TRACK[:count, np.newaxis], np.ones([count, 1])))
    assert np.isfinite(found.points).all() and found.points.shape == (count, 1, 2)


def test_pictures_are_refused():
    with pytest.raises(ValueError, match="smooth is for the tracks of a video, and in holds pictures; leave it out"):
        smoothing.check("", "in")
