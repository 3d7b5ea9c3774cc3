"""Tests of reading videos: upright, with their own time stamps, and a clear line where one cannot be read."""

import numpy as np
import pytest
from PIL import Image

from input_pipeline.storage import videos
from tests import videos as made


def centre(picture):
    """Of what is bright, in continuous pixels (x, y)."""
    rows, columns = np.nonzero(picture.mean(axis=-1) > 140)
    return columns.mean() + 0.5, rows.mean() + 0.5


@pytest.mark.parametrize(
    "name, codec",
    [
        *[("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "mp4v"), ("a.webm", "VP80")],
        ("a.avi", "MPG2"),  # has frames that wait for later ones, so that its own stamps begin with the second
    ],
)
def test_frames_come_in_order_with_their_times(tmp_path, name, codec):
    places = made.write(tmp_path / name, codec=codec)
    frames = list(videos.read_frames(tmp_path / name))
    assert [frame.index for frame in frames] == list(range(12)) and videos.read_count(tmp_path / name) == 12
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(12) / 10, atol=2e-3)
    np.testing.assert_allclose([centre(frame.picture) for frame in frames], places, atol=0.5)
    assert frames[0].picture.shape == (48, 64, 3) and frames[0].picture.dtype == np.uint8


def test_some_frames_can_be_left_out(tmp_path):
    made.write(tmp_path / "a.mp4")
    every = list(videos.read_frames(tmp_path / "a.mp4"))
    some = list(videos.read_frames(tmp_path / "a.mp4", first=3, only={1, 5, 7}))
    assert [(frame.index, round(frame.seconds, 3)) for frame in some] == [(5, 0.5), (7, 0.7)]
    np.testing.assert_array_equal(some[0].picture, every[5].picture)
    assert [frame.index for frame in videos.read_frames(tmp_path / "a.mp4", first=10)] == [10, 11]
    assert list(videos.read_frames(tmp_path / "a.mp4", only=())) == []


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_frames_are_turned_as_the_video_says(tmp_path, degrees):
    places = made.write(tmp_path / "a.mp4", count=3)
    made.turn(tmp_path / "a.mp4", degrees=degrees)
    shown = {
        90: lambda x, y: (48 - y, x),
        180: lambda x, y: (64 - x, 48 - y),
        270: lambda x, y: (y, 64 - x),
    }[degrees]
    frames = list(videos.read_frames(tmp_path / "a.mp4"))
    assert frames[0].picture.shape == ((48, 64, 3) if degrees == 180 else (64, 48, 3))
    np.testing.assert_allclose([centre(frame.picture) for frame in frames], [shown(*p) for p in places], atol=0.5)


def test_frames_that_last_unequally_long_keep_their_times(tmp_path):
    made.write(tmp_path / "a.mp4", count=6)
    made.spread(tmp_path / "a.mp4", [1, 1, 5, 1, 2, 1])
    frames = list(videos.read_frames(tmp_path / "a.mp4"))
    np.testing.assert_allclose([frame.seconds for frame in frames], [0, 0.1, 0.2, 0.7, 0.8, 1.0], atol=2e-3)


@pytest.mark.parametrize("content", [b"", b"a text, no video" * 99, "cut"])
def test_what_is_no_video_is_refused_in_a_line(tmp_path, content, capfd):
    made.write(tmp_path / "a.mp4")
    (tmp_path / "a.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:-300] if content == "cut" else content)
    said = "empty" if content == b"" else "damaged, cut off, or in a form that OpenCV does not know"
    for read in (videos.read_count, lambda path: list(videos.read_frames(path))):
        with pytest.raises(videos.VideoError, match=f"a.mp4 cannot be opened as a video: {said}"):
            read(tmp_path / "a.mp4")
    assert capfd.readouterr() == ("", "")  # no lines of the decoder's own
    with pytest.raises(videos.VideoError, match=r"b%d.png: there is no such video"):
        videos.read_count(tmp_path / "b%d.png")


def test_a_video_that_is_cut_off_ends_at_its_last_whole_frame(tmp_path, capsys):
    made.write(tmp_path / "a.avi", codec="MJPG")
    list(videos.read_frames(tmp_path / "a.avi"))
    assert capsys.readouterr().out == ""
    content = (tmp_path / "a.avi").read_bytes()
    (tmp_path / "a.avi").write_bytes(content[: int(0.8 * len(content))])
    found = list(videos.read_frames(tmp_path / "a.avi"))
    assert 5 < len(found) < 12 == videos.read_count(tmp_path / "a.avi")
    assert capsys.readouterr().out == (
        f"warning: {tmp_path}/a.avi: {len(found)} frames were decoded, and the video says that it has 12; it may be "
        "damaged or cut off, or 12 is an estimate, as where frames do not follow evenly or the video was trimmed\n"
    )


def test_frames_are_counted_as_they_are_read(tmp_path, capsys):
    made.write(tmp_path / "a.mkv")
    made.forget_length(tmp_path / "a.mkv")
    assert videos.read_count(tmp_path / "a.mkv") == 0 and videos.count_frames(tmp_path / "a.mkv") == 12
    assert not capsys.readouterr().out
    made.write(tmp_path / "b.avi", codec="MJPG")
    made.damage(tmp_path / "b.avi", 4)
    assert videos.count_frames(tmp_path / "b.avi") == 4
    assert "the first frame that cannot be decoded is 4" in capsys.readouterr().out


def test_what_follows_a_damaged_spot_is_not_read_and_said(tmp_path, capsys):
    made.write(tmp_path / "a.avi", codec="MJPG")
    made.damage(tmp_path / "a.avi", 4)
    assert [frame.index for frame in videos.read_frames(tmp_path / "a.avi")] == [0, 1, 2, 3]
    reason = "the first frame that cannot be decoded is 4; what follows is not read"
    said = f"warning: {tmp_path}/a.avi is damaged: {reason}\n"
    assert capsys.readouterr().out == said
    assert [frame.index for frame in videos.read_frames(tmp_path / "a.avi", only={3, 5})] == [3]
    assert capsys.readouterr().out == said
    assert len(list(videos.read_frames(tmp_path / "a.avi", only=range(4)))) == 4 and not capsys.readouterr().out


def test_a_frame_that_is_there_is_neither_replaced_nor_taken_for_one_of_another_video(tmp_path):
    frame, path = np.random.default_rng(0).integers(0, 250, [20, 30, 3], np.uint8), tmp_path / "clip" / "img0.png"
    videos.write_frame(path, frame)
    edited = frame.copy()
    edited[0, 0] += 5
    Image.fromarray(edited).save(path)  # as another decoder has it
    videos.write_frame(path, frame)
    np.testing.assert_array_equal(Image.open(path), edited)
    elsewhere = edited.copy()  # an animal before the same background
    elsewhere[:10, :10] = 255 - elsewhere[:10, :10]
    for content in (frame[::-1], frame[:9], elsewhere, None):
        if content is None:
            path.write_bytes(b"no picture")
        else:
            Image.fromarray(content).save(path)
        with pytest.raises(
            videos.VideoError, match="img0.png is there already and shows something else, .* called clip"
        ):
            videos.write_frame(path, frame)


def test_frames_have_the_names_that_deeplabcut_gives_them():
    assert videos.frame_name("in/my mouse.mp4", 42, 2330) == "my mouse/img0042.png"
    assert videos.frame_name("a.mp4", 999, 1000) == "a/img999.png"
    assert videos.frame_name("a.mp4", 12, 0) == "a/img12.png"
