"""Tests of the reader of CVAT's XML."""

import re

import numpy as np
import pytest

from input_pipeline.readers import annotation_files
from input_pipeline.readers.formats import cvat
from tests.input_pipeline.readers.files import draw, paths

LABELS = (
    "<meta><task><labels><label><name>fly</name><type>skeleton</type></label>"
    "<label><name>nose</name><type>points</type><parent>fly</parent></label>"
    "<label><name>tail</name><type>points</type><parent>fly</parent></label></labels></task></meta>"
)


def point(label, at, outside=0, occluded=0):
    return f'<points label="{label}" outside="{outside}" occluded="{occluded}" points="{at}"></points>'


def skeleton(*points, label="fly"):
    return f'<skeleton label="{label}" z_order="0">{"".join(points)}</skeleton>'


def image(name, *shapes):
    return f'<image id="0" name="{name}" width="64" height="48">{"".join(shapes)}</image>'


@pytest.fixture
def read_cvat(tmp_path):
    """Writes an XML file, and reads it beside two pictures."""
    draw(tmp_path, "frame_000000.png", "frame_000012.png", "in/bee.png")
    file = tmp_path / "annotations.xml"

    def read(*parts, head='<?xml version="1.0" encoding="utf-8"?>', **settings):
        file.write_text(f"{head}<annotations><version>1.1</version>{''.join(parts)}</annotations>")
        assert annotation_files.kind_of(file) == "cvat"
        return cvat.read_file(tmp_path, file, **settings)

    return read


def test_elements_of_a_skeleton_are_told_apart_by_their_labels(read_cvat, tmp_path):
    found = read_cvat(
        LABELS,
        image("frame_000000.png", skeleton(point("tail", "10.50,20.00"), point("nose", "1.00,2.00", occluded=1))),
        image("in/bee.png", skeleton(point("nose", "3.00,4.00"), point("tail", "0.00,0.00", outside=1))),
    )
    assert found.paths == paths(tmp_path, "frame_000000.png", "in/bee.png")
    assert found.landmark_names == ("nose", "tail")
    np.testing.assert_array_equal(found.landmarks, [[[1, 2], [10.5, 20]], [[3, 4], [0, 0]]])
    np.testing.assert_array_equal(found.annotated, [[1, 1], [1, 0]])
    np.testing.assert_array_equal(found.hidden, [[1, 0], [0, 0]])
    np.testing.assert_array_equal(found.claimed, [[48, 64]] * 2)


def test_single_points_are_landmarks(read_cvat):
    found = read_cvat(image("frame_000000.png", point("b", "1,2"), point("a10", "5,6"), point("a9", "3,4")))
    assert found.landmark_names == ("a9", "a10", "b")
    np.testing.assert_array_equal(found.landmarks, [[[3, 4], [5, 6], [1, 2]]])


def test_frames_of_a_video_are_found_by_their_numbers(read_cvat, tmp_path):
    """CVAT calls them so, without an ending, where annotations of a video are exported as those of images."""
    draw(tmp_path, "clip/img12.png")
    meta = "<meta><task><source>clip.mp4</source></task></meta>"
    found = read_cvat(meta, image("frame_000012", point("a", "1,2")))
    assert found.paths == paths(tmp_path, "clip/img12.png")
    with pytest.raises(ValueError, match="image 0: frame 13 of the video clip.mp4 needs one picture in"):
        read_cvat(meta, image("frame_000013", point("a", "1,2")))


def test_frames_that_cvat_may_have_filled_in_are_said(read_cvat, tmp_path, capsys):
    """In an export of tracks as images nothing tells them from key frames."""
    draw(tmp_path, "clip/img12.png")
    read_cvat(f"<meta>{task('clip.mp4')}</meta>", image("frame_000012", point("a", "1,2")))
    said = capsys.readouterr().out
    assert 'what CVAT filled in counts as annotated here: export it as "CVAT for video"' in said
    for mode, name in (("annotation", "frame_000012.png"), ("interpolation", "in/bee.png")):
        read_cvat(f"<meta>{task('clip.mp4', mode=mode)}</meta>", image(name, point("a", "1,2")))
    assert not capsys.readouterr().out


def test_skeletons_of_one_picture_are_in_boxes(read_cvat):
    shapes = [skeleton(point("nose", f"{x},2"), point("tail", f"{x + 5},9")) for x in (1, 21)]
    found = read_cvat(LABELS, image("frame_000000.png", *shapes))
    np.testing.assert_array_equal(found.objects, [[1, 2, 6, 9], [21, 2, 26, 9]])
    with pytest.raises(ValueError, match=r"2 kinds of object \(fly, bee\); name one"):
        read_cvat(image("frame_000000.png", *shapes, skeleton(point("x", "1,1"), label="bee")))


def test_key_frames_of_tracks_are_read(read_cvat, tmp_path):
    shapes = (
        f'<skeleton frame="{frame}" keyframe="{key}">{point("nose", f"{frame},2")}</skeleton>'
        for frame, key in ((0, 1), (5, 0), (12, 1))
    )
    size = "<meta><task><original_size><width>64</width><height>48</height></original_size></task></meta>"
    found = read_cvat(size, f'<track id="0" label="fly">{"".join(shapes)}</track>')
    assert found.paths == paths(tmp_path, "frame_000000.png", "frame_000012.png")
    np.testing.assert_array_equal(found.landmarks, [[[0, 2]], [[12, 2]]])
    np.testing.assert_array_equal(found.claimed, [[48, 64]] * 2)


@pytest.mark.parametrize("of_skeleton", [0, 1])
def test_elements_of_a_skeleton_have_key_frames_of_their_own(read_cvat, of_skeleton):
    """CVAT fills in an element between its key frames also where another element of the skeleton has one."""
    elements = point("nose", "3,2").replace(" outside", ' keyframe="1" outside') + point("tail", "9,9")
    shape = f'<skeleton frame="12" keyframe="{of_skeleton}">{elements}</skeleton>'
    filled = f'<skeleton frame="0" keyframe="1">{elements.replace("keyframe=", "x=")}</skeleton>'
    found = read_cvat(LABELS, f'<track id="0" label="fly">{filled}{shape}</track>')
    np.testing.assert_array_equal(found.annotated, [[1, 1], [1, of_skeleton]])
    shape = shape.replace('label="tail"', 'label="tail" keyframe="0"')
    found = read_cvat(LABELS, f'<track id="0" label="fly">{shape}</track>')
    np.testing.assert_array_equal(found.annotated, [[1, 0]])


def task(video, id="1", mode="interpolation"):
    return f"<task><id>{id}</id><mode>{mode}</mode><source>{video}</source></task>"


def track(*frames, attributes='id="0"'):
    shapes = (f'<points frame="{frame}" keyframe="1" points="{frame},2"/>' for frame in frames)
    return f'<track {attributes} label="nose">{"".join(shapes)}</track>'


def test_a_frame_of_another_video_is_not_taken(read_cvat, tmp_path):
    draw(tmp_path, "clipA/img0010.png", "clipB/img0000.png")
    with pytest.raises(ValueError, match="frame 10 of the video clipB.mp4 .*; there are 0 in folders named clipB"):
        read_cvat(f"<meta>{task('clipB.mp4')}</meta>", track(0, 10))


def test_tracks_of_a_project_are_of_the_video_of_their_task(read_cvat, tmp_path):
    draw(tmp_path, "a/img0010.png", "b/img0010.png")
    meta = f"<meta><project><tasks>{task('a.mp4')}{task('b.mp4', id='2')}</tasks></project></meta>"
    found = read_cvat(meta, track(10, attributes='task_id="2"'), track(10, attributes='task_id="1"'))
    assert found.paths == paths(tmp_path, "b/img0010.png", "a/img0010.png") and found.boxes is None
    meta = meta.replace("b.mp4", "a.mp4")
    with pytest.raises(ValueError, match="frame 10 of task 1 and .*: frame 10 of task 2 are both found as .*0010.png"):
        read_cvat(meta, track(10, attributes='task_id="1"'), track(10, attributes='task_id="2"'))
    with pytest.raises(ValueError, match="track 0: must have the task_id of a task in meta: 1, 2"):
        read_cvat(meta, track(10))


def test_tracks_of_a_task_of_pictures_are_refused(read_cvat):
    with pytest.raises(ValueError, match='frame 12: is of a task of pictures .mode annotation.*"CVAT for images"'):
        read_cvat(f"<meta>{task('', mode='annotation')}</meta>", track(12))


@pytest.mark.parametrize(
    "parts, message",
    [
        (
            [image("frame_000000.png", point("face", "1,2;3,4"))],
            "image 0: face is a shape of 2 points, which have no names",
        ),
        ([image("frame_000000.png", point("a", "1,2"), point("a", "3,4"))], "image 0: a has several points; group"),
        ([image("frame_000000.png", point("a", "1"))], "image 0: a is no point x,y"),
        ([image("frame_000000.png", point("a", "1,x"))], "image 0: a: a number is expected; found 'x'"),
        ([image("frame_000000.png", point("", "1,2"))], "image 0: a point has no label"),
        ([image("gone.png", point("a", "1,2"))], "image 0: there is no picture"),
        ([image("frame_000000.png", point("a", "1,2"))] * 2, "image 1 are both found as"),
        ([image("frame_000000.png")], "annotations.xml has no landmark in any picture"),
        (
            [f'<track id="0" label="fly"><skeleton frame="3" keyframe="1">{point("nose", "1,2")}</skeleton></track>'],
            "track 0: frame 3 needs one picture",
        ),
        (["<image>"], "annotations.xml is not XML that can be read: mismatched tag"),
    ],
)
def test_cvat_errors_name_the_image(read_cvat, parts, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_cvat(*parts)


def test_entities_that_could_fill_the_memory_are_refused(read_cvat):
    with pytest.raises(ValueError, match="a document type .DOCTYPE. is not read"):
        read_cvat("&b;", head='<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>')
