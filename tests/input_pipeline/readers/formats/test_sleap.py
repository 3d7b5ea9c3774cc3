"""Tests of the reader of SLEAP's files."""

import json

import h5py
import numpy as np
import pytest

from input_pipeline.readers import annotation_files
from input_pipeline.readers.formats import sleap
from tests.input_pipeline.readers.files import draw, paths

TRACKS = np.full([3, 1, 2, 2], np.nan)  # frame, track, node, xy
TRACKS[0, 0] = [[1, 2], [3, 4.5]]
TRACKS[2, 0, 1] = [10, 20]


@pytest.fixture
def write(tmp_path):
    """Writes an analysis beside two frames of a video."""
    draw(tmp_path, "v/img0000.png", "v/img0002.png")

    def save(tracks=TRACKS, names=("nose", "tail"), video="videos/v.mp4", dims=None, scores=None, symmetries=None):
        with h5py.File(tmp_path / "analysis.h5", "w") as file:
            file["tracks"] = tracks.transpose(1, 3, 2, 0) if dims is None else tracks
            file["node_names"] = np.bytes_(names)
            file["edge_names"] = np.bytes_([names])
            file["video_path"] = video
            if dims:
                file["tracks"].attrs["dims"] = dims
            if scores is not None:
                file["instance_scores"] = np.transpose(scores)
            if symmetries:
                file.attrs["skeleton_symmetries"] = symmetries
        return tmp_path / "analysis.h5"

    return save


def check(found, folder):
    assert found.paths == paths(folder, "v/img0000.png", "v/img0002.png") and found.landmark_names == ("nose", "tail")
    np.testing.assert_array_equal(found.landmarks, [[[1.5, 2.5], [3.5, 5]], [[0, 0], [10.5, 20.5]]])
    np.testing.assert_array_equal(found.annotated, [[1, 1], [0, 1]])


@pytest.mark.parametrize("dims", [None, '["frame", "track", "node", "xy"]'])
def test_frames_of_an_analysis_are_found_by_their_numbers(write, tmp_path, dims):
    file = write(dims=dims)
    assert annotation_files.kind_of(file) == "sleap"
    found = annotation_files.read(tmp_path, file)
    check(found, tmp_path)
    assert found.skeleton == ((0, 1),)


def test_of_an_analysis_what_a_person_labelled_is_read(write, tmp_path, capsys):
    """Predicted instances have a score there, and others have none."""
    scores = np.full(TRACKS.shape[:2], np.nan)
    check(sleap.read_file(tmp_path, write(scores=scores)), tmp_path)
    assert "predicted" not in capsys.readouterr().out
    scores[0] = 0.9
    found = sleap.read_file(tmp_path, write(scores=scores, symmetries='[["nose", "tail"], ["nose", "gone"]]'))
    assert found.paths == paths(tmp_path, "v/img0002.png") and found.flip_pairs == ((0, 1),)
    said = capsys.readouterr().out
    assert "what a person labelled is read alone; 1 predicted instances are passed over" in said
    assert "has landmarks in frame 0; if its first frames had none" in said
    assert sleap.read_file(tmp_path, write(scores=scores, symmetries="no JSON")).flip_pairs == ()
    check(sleap.read_file(tmp_path, write(scores=np.full(TRACKS.shape[:2], 0.9))), tmp_path)
    assert "nobody labelled an instance, so the predicted ones are read" in capsys.readouterr().out
    with pytest.raises(ValueError, match="instance_scores are expected of 3 frames and 1 tracks"):
        sleap.read_file(tmp_path, write(scores=scores[:1]))


def test_frames_of_several_videos_are_told_apart_by_their_folder(write, tmp_path):
    draw(tmp_path, "w/img0000.png", "w/img0002.png")
    check(sleap.read_file(tmp_path, write()), tmp_path)
    with pytest.raises(ValueError, match="frame 0 of the video u.mp4 needs one picture .*; there are 2"):
        sleap.read_file(tmp_path, write(video="u.mp4"))
    draw(tmp_path, "u/img0000.png")
    with pytest.raises(ValueError, match="frame 2 of the video u.mp4 .*; there are 0 in folders named u"):
        sleap.read_file(tmp_path, write(video="u.mp4"))


def test_an_analysis_of_images_is_read_by_their_names(write, tmp_path):
    """Their order is that of their names as text, img10 before img2: their numbers are not those of frames."""
    draw(tmp_path, *(f"img{number}.png" for number in range(12)))
    names = [f"/home/me/img{number}.png" for number in (0, 1, 10, 11, 2)]
    found = annotation_files.read(tmp_path, write(video=np.bytes_(names)))
    assert found.paths == paths(tmp_path, "img0.png", "img10.png")
    for first in (names[0], np.bytes_(names[:1])):
        with pytest.raises(ValueError, match="of which it names the first alone|its video has 1 images"):
            sleap.read_file(tmp_path, write(video=first))


def test_an_analysis_that_may_begin_late_is_said(write, tmp_path, capsys):
    sleap.read_file(tmp_path, write())
    assert "has landmarks in frame 0; if its first frames had none" in capsys.readouterr().out
    tracks = np.concatenate([np.full_like(TRACKS[:2], np.nan), TRACKS[2:]])
    sleap.read_file(tmp_path, write(tracks))
    assert not capsys.readouterr().out


def test_tracks_are_objects(write, tmp_path):
    found = sleap.read_file(tmp_path, write(np.concatenate([TRACKS, TRACKS + 20], axis=1)))
    assert len(found) == 4 and found.boxes is not None


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"names": ("a", "a")}, "tracks are expected of 2 landmarks of different names"),
        ({"names": ("a", "b", "c")}, "tracks are expected of 3 landmarks of different names"),
        ({"dims": '["frame", "track", "node", "z"]'}, "is no analysis of SLEAP that can be read"),
        ({"tracks": TRACKS * np.nan}, "analysis.h5 has no landmark in any picture"),
        ({"tracks": np.concatenate([TRACKS, TRACKS])}, "frame 3 of the video videos/v.mp4 needs one picture"),
    ],
)
def test_what_cannot_be_read_is_refused(write, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        sleap.read_file(tmp_path, write(**changes))


def test_an_analysis_that_says_it_has_any_number_is_not_read(write, tmp_path):
    """Of what was never written HDF5 keeps nothing, and reads zeros."""
    with h5py.File(write(), "r+") as file:
        del file["tracks"]
        file.create_dataset("tracks", (1, 2, 2, 10**9), "f8", chunks=(1, 2, 2, 10**4))
    with pytest.raises(ValueError, match="it says that tracks are 4000000000 values; at most 1000000000 are read"):
        sleap.read_file(tmp_path, tmp_path / "analysis.h5")


def test_names_that_are_bytes_of_another_file_are_refused(write, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"a secret")
    with h5py.File(write(), "r+") as file:
        del file["node_names"]
        file.create_dataset("node_names", (2,), "S4", external=[(str(secret), 0, 8)])
    with pytest.raises(ValueError, match="it takes node_names from other files") as raised:
        sleap.read_file(tmp_path, tmp_path / "analysis.h5")
    assert "secret" not in str(raised.value)


def test_other_files_of_that_ending_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = [1]
    with pytest.raises(ValueError, match="a.h5: holds none of what is read from files .h5: .*sleap: "):
        annotation_files.kind_of(tmp_path / "a.h5")


def test_what_is_missing_for_slp_files_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sleap_io", None)
    with pytest.raises(ValueError, match=r'an .slp file needs sleap-io, .*: pip install "dense-labels\[sleap\]"'):
        sleap.read_file(tmp_path, tmp_path / "a.slp")


def test_what_a_person_labelled_goes_before_predictions(tmp_path, capsys):
    """As sleap-io writes it, which counts pixels at their centres; the file names its pictures."""
    sleap_io = pytest.importorskip("sleap_io")
    draw(tmp_path, "a.png", "b.png")
    skeleton = sleap_io.Skeleton(nodes=["nose", "tail"])
    video = sleap_io.Video.from_filename([str(tmp_path / "a.png"), str(tmp_path / "b.png")])
    by_person = sleap_io.Instance.from_numpy(np.array([[1.0, 2], [np.nan, np.nan]]), skeleton=skeleton)
    corrected, *predicted = (
        sleap_io.PredictedInstance.from_numpy(np.ones([2, 2]), skeleton=skeleton, point_scores=np.ones(2))
        for _ in range(3)
    )
    by_person.from_predicted = corrected
    frames = [
        sleap_io.LabeledFrame(video=video, frame_idx=1, instances=[by_person, corrected]),
        sleap_io.LabeledFrame(video=video, frame_idx=0, instances=predicted),
    ]
    labels = sleap_io.Labels(videos=[video], skeletons=[skeleton], labeled_frames=frames)
    labels.save(str(tmp_path / "a.slp"), embed=False, verbose=False)
    found = annotation_files.read(tmp_path, tmp_path / "a.slp")
    assert found.paths == paths(tmp_path, "b.png")
    assert "2 predicted instances are passed over" in capsys.readouterr().out
    np.testing.assert_array_equal(found.landmarks, [[[1.5, 2.5], [0, 0]]])
    np.testing.assert_array_equal(found.annotated, [[1, 0]])


def save_videos(file, *videos):
    """Writes an instance of frame 10 of each of some videos, which are not there."""
    import sleap_io

    skeleton = sleap_io.Skeleton(nodes=["nose", "tail"])
    about = {"type": "MediaVideo", "shape": [20, 48, 64, 3], "grayscale": False}
    made = [
        sleap_io.Video(filename=each, open_backend=False, backend_metadata={**about, "filename": each})
        for each in videos
    ]
    points = np.array([[10.0, 20], [30, 40]])
    frames = [
        sleap_io.LabeledFrame(each, 10, [sleap_io.Instance.from_numpy(points, skeleton=skeleton)]) for each in made
    ]
    labels = sleap_io.Labels(videos=made, skeletons=[skeleton], labeled_frames=frames)
    labels.save(str(file), embed=False, verbose=False)
    return file


def test_frames_of_two_videos_are_not_one_picture(tmp_path):
    pytest.importorskip("sleap_io")
    draw(tmp_path, "A/img0010.png")
    file = save_videos(tmp_path / "a.slp", "A.mp4", "B.mp4")
    with pytest.raises(ValueError, match="frame 10 of the video B.mp4 .*; there are 0 in folders named B"):
        sleap.read_file(tmp_path, file)
    draw(tmp_path, "B/img0010.png")
    found = sleap.read_file(tmp_path, file)
    assert found.paths == paths(tmp_path, "A/img0010.png", "B/img0010.png")
    np.testing.assert_array_equal(found.claimed, [[48, 64], [48, 64]])  # height and width of the frames of the videos


def test_a_picture_of_two_lists_is_refused(tmp_path):
    sleap_io = pytest.importorskip("sleap_io")
    draw(tmp_path, "a.png", "b.png")
    skeleton = sleap_io.Skeleton(nodes=["nose"])
    lists = (["a.png"], ["b.png", "a.png"])
    videos = [sleap_io.Video.from_filename([str(tmp_path / name) for name in names]) for names in lists]
    frames = [
        sleap_io.LabeledFrame(video, k, [sleap_io.Instance.from_numpy(np.ones([1, 2]), skeleton=skeleton)])
        for k, video in enumerate(videos)
    ]
    labels = sleap_io.Labels(videos=videos, skeletons=[skeleton], labeled_frames=frames)
    labels.save(str(tmp_path / "a.slp"), embed=False, verbose=False)
    with pytest.raises(ValueError, match="frame 0 of video 0 and .*frame 1 of video 1 are both found as .*a.png;"):
        sleap.read_file(tmp_path, tmp_path / "a.slp")


def test_pictures_inside_the_file_are_refused(tmp_path):
    pytest.importorskip("sleap_io")
    draw(tmp_path, "img0010.png")
    file = save_videos(tmp_path / "a.pkg.slp", "A.mp4")
    with h5py.File(file, "r+") as content:
        about = {"type": "HDF5Video", "filename": ".", "dataset": "video0/video", "shape": [1, 48, 64, 3]}
        del content["videos_json"]  # whose strings may have a length of their own
        content["videos_json"] = [json.dumps({"filename": ".", "backend": about})]
    with pytest.raises(ValueError, match="frame 10: its pictures are inside the file .*; give one that names pictures"):
        sleap.read_file(tmp_path, file)
