"""Tests of what can be chosen: pictures that are drawn from many, and frames of videos, which become pictures."""

import os

import numpy as np
import pytest
from PIL import Image

from dense_labels.annotation import candidates
from dense_labels.prediction import leftovers, reading
from tests import videos

SIZE = (24, 32)  # half of the videos'


def find(given, out="out", most=100, seed=0):
    return candidates.find(given, out=str(out), most=most, seed=seed)


def pictures(folder, names):
    folder.mkdir(parents=True)
    for name in names:
        Image.new("RGB", (8, 6), (10, 20, 30)).save(folder / name)
    return folder


def test_of_many_pictures_some_are_drawn_by_the_seed(tmp_path, capsys):
    folder = pictures(tmp_path / "in", [f"{index:02}.png" for index in range(30)])
    drawn = [find(folder, most=10, seed=seed).paths for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] and len(set(drawn[0])) == 10 and drawn[0] == tuple(sorted(drawn[0]))
    assert "of 30 pictures 10 are looked at" in capsys.readouterr().out
    found = find(folder)
    assert len(found) == 30 and [key for key, _ in found.images(SIZE)] == list(found.paths)
    assert found.keep(found.paths[:2]) == list(found.paths[:2])


def test_a_picture_whose_name_is_no_text_is_left_out(tmp_path, capsys):
    folder = pictures(tmp_path / "in", ["good.png", b"bad\xff.png".decode("utf-8", "surrogateescape")])
    assert [path[-8:] for path in find(folder).paths] == ["good.png"]
    assert "1 pictures have names that are no text" in capsys.readouterr().out


def test_a_video_whose_name_is_no_text_is_refused(tmp_path):
    (tmp_path / "bad\udcff.mp4").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"bad\\udcff\.mp4: its name is not UTF-8, as those of its frames are; rename it"
    ):
        find(tmp_path / "bad\udcff.mp4")


def test_frames_of_a_video_are_written_as_deeplabcut_does(tmp_path):
    centres = videos.write(tmp_path / "clip.mp4", 12)
    found = find(tmp_path / "clip.mp4", tmp_path / "out", most=6)
    images = dict(found.images(SIZE))
    assert [index for _, index in images] == [0, 2, 4, 6, 8, 10] and len(found) == 6
    assert {image.shape for image in images.values()} == {(*SIZE, 3)}
    written = found.keep(list(images)[1:3])
    assert written == [str(tmp_path / f"out/labeled-data/clip/img{index:02}.png") for index in (2, 4)]
    for path, centre in zip(written, centres[[2, 4]]):
        bright = np.argwhere(np.asarray(Image.open(path)).mean(axis=-1) > 128)
        np.testing.assert_allclose(bright.mean(axis=0)[::-1] + 0.5, centre, atol=0.5)


def test_frames_are_counted_where_a_video_does_not_say_how_many_it_has(tmp_path, capsys):
    clip = tmp_path / "clip.webm"
    videos.write(clip, 12, codec="VP80")
    videos.forget_length(clip)
    found = find(clip, most=4)
    assert "Counting frames of clip.webm: 12 frames" in capsys.readouterr().err
    assert [index for (_, index), _ in found.images(SIZE)] == [0, 3, 6, 9] and len(found) == 4


def test_frames_before_a_damaged_spot_are_candidates(tmp_path, capsys):
    videos.write(tmp_path / "clip.avi", codec="MJPG")
    videos.damage(tmp_path / "clip.avi", 5)
    found = find(tmp_path / "clip.avi", tmp_path / "out", most=6)
    keys = [key for key, _ in found.images(SIZE)]
    assert [index for _, index in keys] == [0, 2, 4] and len(found.keep(keys)) == 3
    assert capsys.readouterr().out.count("clip.avi is damaged: the first frame that cannot be decoded is 5") == 1


def test_a_folder_of_videos_is_several_videos(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        videos.write(tmp_path / name, 6)
    keys = [key for key, _ in find(tmp_path, most=6).images(SIZE)]
    assert [(path[-5:], index) for path, index in keys] == [(n, k) for n in ("a.mp4", "b.mp4") for k in (0, 2, 4)]
    pictures(tmp_path / "frames", ["1.png"])
    assert len(find(tmp_path).paths) == 1  # where there are pictures they are meant


@pytest.mark.parametrize("ending", ["mts", "flv", "ts", "3gp", "dat"])
def test_a_file_is_a_video_where_a_prediction_takes_it_for_one(tmp_path, ending):
    videos.write(tmp_path / "a.avi", 4)
    clip = str((tmp_path / "a.avi").rename(tmp_path / f"a.{ending}"))
    for given in (clip, [clip]):
        assert [key for key, _ in find(given).images(SIZE)] == [(clip, index) for index in range(4)]
    assert reading.find(clip).video == clip
    if ending != "dat":
        assert list(find(tmp_path).counts) == [clip]


def test_a_picture_is_one_whatever_its_name(tmp_path):
    pictures(tmp_path / "in", ["a.png"])
    named = str((tmp_path / "in" / "a.png").rename(tmp_path / "in" / "a.mp4"))
    for given in (named, [named]):
        assert find(given).paths == (named,)
    assert not reading.find(named).video


def test_what_was_predicted_among_videos_is_not_meant(tmp_path):
    """Neither where the output lies in a folder of its own, nor where it is the folder of the videos."""
    (tmp_path / "day").mkdir()
    clips = [str(tmp_path / "a.mp4"), str(tmp_path / "day" / "b.mp4")]
    for clip in clips:
        videos.write(clip, 2)
    for out in (tmp_path, tmp_path / "points"):
        pictures(out / "drawn" / "a", ["img0.png"])
        (out / "sheet.png").write_bytes(b"")
        leftovers.remember(out, [out / "drawn", out / "sheet.png"], {})
    videos.write(tmp_path / "drawn.mp4", 2)  # as an earlier version has written it, that said nothing
    assert list(find(tmp_path).counts) == clips
    pictures(tmp_path / "frames", ["1.png"])
    assert str(tmp_path / "frames" / "1.png") in find(tmp_path).paths  # where there are others they are meant


def test_frames_are_known_by_the_files_that_they_are_written_to(tmp_path):
    """So that those that are annotated are not chosen again."""
    clip = str(tmp_path / "clip.mp4")
    videos.write(clip, 12)
    found, keys = find(clip, tmp_path / "out"), [(clip, 3), (clip, 11)]
    assert found.files(keys) == found.keep(keys)


def test_two_videos_of_one_name_are_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        videos.write(tmp_path / name / "clip.mp4", 2)
    with pytest.raises(ValueError, match="several videos are called clip, and so would their frames be; rename one"):
        find([tmp_path / name / "clip.mp4" for name in ("a", "b")])


def test_frames_of_another_video_of_that_name_are_not_replaced(tmp_path):
    """Points that are placed in them would be of other pictures."""
    clips = [str(tmp_path / name / "clip.mp4") for name in ("a", "b")]
    for clip, size in zip(clips, (videos.SIZE, (32, 64))):
        os.mkdir(os.path.dirname(clip))
        videos.write(clip, 2, size=size)
    first, again = (find(clips[0], out=tmp_path).keep([(clips[0], 1)]) for _ in range(2))
    assert first == again
    with pytest.raises(
        ValueError, match="img1.png is there already and shows something else, as of another video called clip"
    ):
        find(clips[1], out=tmp_path).keep([(clips[1], 1)])
    assert Image.open(first[0]).size == videos.SIZE[::-1]
