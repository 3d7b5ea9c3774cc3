"""Tests of finding the pictures of the frames of videos."""

import re

import pytest

from input_pipeline.readers.formats import frames
from tests.input_pipeline.readers.files import draw


def find(folder, number, video, *others):
    return frames.Frames(folder, dict.fromkeys([video, *others], 0)).find(number, video, "file")


def test_a_frame_is_in_the_folder_of_its_video_or_anywhere(tmp_path):
    draw(tmp_path, "clipA/img0010.png", "clipB/img0000.png", "clipB/more/img0020.png")
    assert find(tmp_path, 20, "videos\\clipB.mp4", "clipA.mp4") == str(tmp_path / "clipB/more/img0020.png")
    assert find(tmp_path, 10, "clip.mp4") == find(tmp_path, 10, "") == str(tmp_path / "clipA/img0010.png")


def test_frames_of_one_video_lie_in_one_folder_where_none_is_named_as_it(tmp_path):
    """Folders of other videos may have pictures of these numbers."""
    draw(tmp_path, "clipA/img0007.png", "clipB/img0012.png", "clipB/img0040.png")
    for video, todo in (("clipC.mp4", "put those of this one below a folder named clipC"), ("", "give the folder of")):
        known = frames.Frames(tmp_path, {video: 0})
        assert [known.find(number, video, "file") for number in (40, 12)] == [
            str(tmp_path / f"clipB/img{number}.png") for number in ("0040", "0012")
        ]
        with pytest.raises(
            ValueError, match=f"frame 7 .*lies in .*clipA, and another of its frames in .*clipB: .*; {todo}"
        ):
            known.find(7, video, "file")
    draw(tmp_path, "clipC/train/img0001.png", "clipC/val/img0002.png")
    known = frames.Frames(tmp_path, {"clipC.mp4": 0})
    assert [known.find(number, "clipC.mp4", "file") for number in (1, 2)] == [
        str(tmp_path / f"clipC/{place}") for place in ("train/img0001.png", "val/img0002.png")
    ]


@pytest.mark.parametrize(
    "videos, message",
    [
        (["clipB.mp4"], "there are 0 in folders named clipB"),
        (["clipB.mp4", "clipA.mp4"], "such as clipB/img0010.png; there are 0 in folders named clipB"),
        (["clip.mp4", "other.mp4"], "there are 0 in folders named clip"),
        (["clipA.mp4"], "such as clipA/img0010.png; there are 2 in folders named clipA"),
        (["clip.mp4"], "such as clip/img0010.png; there are 3"),
        ([""], "file: frame 10 needs one picture"),
        (["a/clip.mp4", "a/clip.avi"], "frame 10 of the video a/clip.mp4: another video is called a/clip too"),
    ],
)
def test_a_frame_of_another_video_is_not_taken(tmp_path, videos, message):
    draw(
        tmp_path, "clipA/img0010.png", "clipA/in/10.png", "clipA/clipC/img0011.png", "img0010.png", "clipB/img0000.png"
    )
    with pytest.raises(ValueError, match=re.escape(message) + "( |$|;)"):
        find(tmp_path, 10, *videos)


def test_pictures_that_are_numbered_from_1_are_not_taken_for_frames(tmp_path, capsys):
    """ffmpeg numbers them so; where it is not known how many frames there are, they may be some that were chosen."""
    draw(tmp_path, *(f"{number:04}.png" for number in (1, 2, 3)))
    there = "the pictures in .* are numbered from 1 to 3, and frames count from 0"
    for count in (2, 3):
        with pytest.raises(ValueError, match=f"file: frame 2 .*{there}, {count} of them, .*: -start_number 0"):
            frames.Frames(tmp_path, {"clip.mp4": count}).find(2, "clip.mp4", "file")
    assert frames.Frames(tmp_path, {"clip.mp4": 4}).find(2, "clip.mp4", "file").endswith("0002.png")
    assert not capsys.readouterr().out
    of_unknown = frames.Frames(tmp_path, {"clip.mp4": 0})
    for _ in range(2):
        of_unknown.find(2, "clip.mp4", "file")
    said = capsys.readouterr().out
    assert re.fullmatch(f"warning: file: frame 2 .*{there}; if ffmpeg numbered them, .*\n", said)
    draw(tmp_path, "0000.png")
    assert frames.Frames(tmp_path, {"clip.mp4": 3}).find(2, "clip.mp4", "file").endswith("0002.png")


def test_pictures_of_every_few_frames_are_warned_of(tmp_path, capsys):
    """As `ffmpeg -vf fps=1` writes them; frame 2 of the video is another one than picture 2."""
    draw(tmp_path, *(f"{number:04}.png" for number in (1, 2, 3)))
    frames.Frames(tmp_path, {"clip.mp4": 90}).find(2, "clip.mp4", "file")
    said = capsys.readouterr().out
    assert re.fullmatch("warning: file: frame 2 .*: the video has 90 frames, .* from 1 to 3 without a gap; .*\n", said)
    draw(tmp_path, "0040.png")  # frames that were chosen have gaps
    frames.Frames(tmp_path, {"clip.mp4": 90}).find(2, "clip.mp4", "file")
    assert not capsys.readouterr().out


def test_the_innermost_folder_that_is_named_as_a_video_counts(tmp_path):
    draw(tmp_path, "a/b/img0010.png")
    assert find(tmp_path, 10, "b.mp4", "a.mp4") == str(tmp_path / "a/b/img0010.png")
    with pytest.raises(ValueError, match="there are 0 in folders named a"):
        find(tmp_path, 10, "a.mp4", "b.mp4")


def test_videos_of_one_name_are_told_apart_by_their_folders(tmp_path):
    draw(tmp_path, "day1/cam/img0010.png", "day2/cam/img0020.png")
    assert find(tmp_path, 20, "C:\\day2\\cam.mp4", "C:\\day1\\cam.mp4") == str(tmp_path / "day2/cam/img0020.png")
    with pytest.raises(ValueError, match="such as day2/cam/img0010.png; there are 0 in folders named day2/cam"):
        find(tmp_path, 10, "day2/cam.mp4", "day1/cam.mp4")
