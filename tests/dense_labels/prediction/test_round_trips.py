"""Every pair of formats: written, read by the reader of that name, written in the other, and read again."""

import dataclasses
import itertools
import pathlib

import numpy as np
import pytest
from PIL import Image

from dense_labels.prediction import annotated
from dense_labels.prediction.predictions import Predictions
from dense_labels.registry import FORMATS
from input_pipeline.readers import annotation_files

NAMES = ("left_eye", "right_eye", "nose")
READ = {  # format -> the reader that reads it, and how far its rounding moves a point of a picture of 100 pixels
    "csv": ("csv", 5.1e-4),
    "coco": ("coco", 1.6e-3),
    "deeplabcut": ("deeplabcut", 6e-5),
    "deeplabcut_h5": ("deeplabcut", 2e-5),
    "tps": ("tps", 2e-5),
    "label_studio": ("label_studio", 2e-5),
    "labelme": ("labelme", 5.1e-4),
    "cvat": ("cvat", 5.1e-4),
    "yolo": ("yolo", 2e-5),
    "sleap": ("sleap", 2e-5),
    "pts": ("pts", 2e-5),
}
WHOLE = ("pts",)  # formats that have a place for every landmark
SEVERAL = ("coco", "label_studio", "labelme", "cvat", "yolo", "sleap", "tps")
NEEDS = {"deeplabcut_h5": ("pandas", "tables"), "sleap": ("sleap_io",)}


@pytest.fixture
def predictions(tmp_path):
    """Two pictures, one of them in a folder below; a landmark of one has no place."""
    pictures = tmp_path / "pictures"
    for name, size in (("a.png", (64, 48)), ("in/b c.png", (30, 90))):
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(pictures / name)
    points = np.float32([[[10.2515, 20], [30, 40.5], [12, 13]], [[1.0625, 2], [np.nan, np.nan], [25.125, 80.0625]]])
    sizes = np.array([[48, 64], [90, 30]])
    score = np.full([2, 3], 0.5, np.float32)
    return Predictions(str(pictures), ("a.png", "in/b c.png"), sizes, NAMES, points, score)


def whole(predictions):
    """The same with a place for every landmark."""
    points = np.where(predictions.known[..., np.newaxis], predictions.points, np.float32([7.375, 61.25]))
    return dataclasses.replace(predictions, points=points)


def needed(*formats):
    for module in itertools.chain(*(NEEDS.get(name, ()) for name in formats)):
        pytest.importorskip(module)


def there_and_back(predictions, folder, name):
    """Writes a format, and reads what was written, in the order of the predictions' pictures and landmarks."""
    [path] = predictions.save(folder, name)
    assert annotation_files.kind_of(path) == READ[name][0]
    found = annotated.of_pictures(annotation_files.read(predictions.folder, path), predictions.folder)
    order = sorted(range(len(found)), key=lambda row: predictions.names.index(found.names[row]))
    names = NAMES if found.named else predictions.landmark_names
    columns = [found.landmark_names.index(k) for k in (names if found.named else ("0", "1", "2"))]
    return Predictions(
        found.folder,
        tuple(found.names[row] for row in order),
        found.sizes[order],
        names,
        found.points[order][:, columns],
        found.score[order][:, columns],
        hidden=None if found.hidden is None else found.hidden[order][:, columns],
        skeleton=found.skeleton,
        flip_pairs=found.flip_pairs,
    )


def agree(found, predictions, tolerance):
    assert found.names == predictions.names
    np.testing.assert_array_equal(found.known, predictions.known)
    np.testing.assert_array_equal(found.sizes, predictions.sizes)
    known = predictions.known
    np.testing.assert_allclose(found.points[known], predictions.points[known], atol=tolerance, rtol=0)


@pytest.mark.parametrize("first, second", [*itertools.product(READ, READ)])
def test_no_pair_of_formats_moves_a_point(predictions, tmp_path, first, second):
    needed(first, second)
    predictions = whole(predictions) if {first, second} & set(WHOLE) else predictions
    once = there_and_back(predictions, tmp_path / "first", first)
    twice = there_and_back(once, tmp_path / "second", second)
    agree(once, predictions, READ[first][1])
    agree(twice, predictions, READ[first][1] + READ[second][1])


def test_every_format_of_points_is_among_them():
    assert set(FORMATS) - set(READ) == {"scores", "sheet", "drawn", "video", "tfrecord", "parquet"}


@pytest.mark.parametrize("name", SEVERAL)
def test_objects_of_one_picture_come_back_in_boxes(predictions, tmp_path, name):
    needed(name)
    two = Predictions(
        predictions.folder,
        ("a.png", "a.png"),
        predictions.sizes[[0, 0]],
        NAMES,
        np.float32([predictions.points[0], predictions.points[0] + 7.25]),
        predictions.score,
    )
    [path] = two.save(tmp_path / "out", name)
    found = annotation_files.read(two.folder, path)
    assert found.boxes is not None and len(set(found.paths)) == 1
    agree(there_and_back(two, tmp_path / "again", name), two, READ[name][1])


@pytest.mark.parametrize("name", SEVERAL)
def test_pictures_of_one_and_of_several_objects_go_into_one_file(predictions, tmp_path, name):
    needed(name)
    order = [0, 0, 1]
    names, arrays = tuple(predictions.names[row] for row in order), ("sizes", "points", "score")
    some = {each: getattr(predictions, each)[order] for each in arrays}
    three = dataclasses.replace(predictions, names=names, **some)
    three.points[1] += 7.25
    agree(there_and_back(three, tmp_path / "out", name), three, READ[name][1])


@pytest.mark.parametrize("name", ["deeplabcut", "deeplabcut_h5", "pts"])
def test_objects_that_a_format_cannot_say_are_refused(predictions, tmp_path, name):
    needed(name)
    two = Predictions(
        predictions.folder, ("a.png", "a.png"), predictions.sizes, NAMES, predictions.points, predictions.score
    )
    with pytest.raises(ValueError, match="has one row a picture, and a.png has 2 objects"):
        two.save(tmp_path, name)


@pytest.mark.parametrize("name, numbered", [("csv", False), ("csv", True), ("coco", False)])
def test_what_is_hidden_and_has_no_place_comes_back(predictions, tmp_path, name, numbered):
    hidden = dataclasses.replace(predictions, hidden=np.array([[True, False, False], [False, True, False]]))
    hidden = dataclasses.replace(hidden, named=False, landmark_names=("0", "1", "2")) if numbered else hidden
    found = there_and_back(hidden, tmp_path / "out", name)
    np.testing.assert_array_equal(found.hidden, hidden.hidden)
    np.testing.assert_array_equal(found.known, hidden.known)


@pytest.mark.parametrize("name", ["csv", "coco", "labelme", "cvat", "yolo"])
def test_what_is_hidden_comes_back(predictions, tmp_path, name):
    hidden = Predictions(
        predictions.folder, predictions.names, predictions.sizes, NAMES, predictions.points, predictions.score,
        hidden=np.array([[True, False, False], [False, False, True]]),
    )  # fmt: skip
    np.testing.assert_array_equal(there_and_back(hidden, tmp_path / "out", name).hidden, hidden.hidden)


@pytest.mark.parametrize("name, lines, pairs", [("coco", True, False), ("yolo", False, True), ("sleap", True, True)])
def test_skeleton_and_flip_pairs_come_back(predictions, tmp_path, name, lines, pairs):
    needed(name)
    joined = Predictions(
        predictions.folder, predictions.names, predictions.sizes, NAMES, predictions.points, predictions.score,
        skeleton=((0, 2), (1, 2)), flip_pairs=((0, 1),),
    )  # fmt: skip
    found = there_and_back(joined, tmp_path / "out", name)
    assert found.skeleton == (((0, 2), (1, 2)) if lines else ())
    assert found.flip_pairs == (((0, 1),) if pairs else ())


def test_what_yolo_cannot_say_is_left_out_and_that_is_said(predictions, tmp_path, capsys):
    predictions.points[0, 0] = -3, 5
    found = there_and_back(predictions, tmp_path / "out", "yolo")
    assert not found.known[0, 0] and found.known[0, 1]
    assert "yolo: 1 landmarks lie outside of their pictures" in capsys.readouterr().out


def test_a_file_of_300_w_counts_pixels_from_one(predictions, tmp_path):
    [path] = whole(predictions).save(tmp_path, "pts")
    lines = "10.75150 20.50000\n30.50000 41.00000\n12.50000 13.50000\n"
    assert (path / "a.pts").read_text() == f"version: 1\nn_points: 3\n{{\n{lines}}}\n"
    assert sorted(file.name for file in path.rglob("*.pts")) == ["a.pts", "b c.pts"]


def test_what_300_w_cannot_say_is_refused_or_said(predictions, tmp_path, capsys):
    with pytest.raises(ValueError, match=r"pts has every landmark of a picture, and in/b c.png has no right_eye"):
        predictions.save(tmp_path, "pts")
    assert not (tmp_path / "pts").exists()
    some = dataclasses.replace(whole(predictions), hidden=np.array([[True, False, False], [False, False, False]]))
    some.points[1] = np.nan  # a picture without any landmark has no file
    [path] = some.save(tmp_path, "pts")
    assert [file.name for file in path.rglob("*.pts")] == ["a.pts"]
    said = capsys.readouterr().out
    assert "note: pts: the files hold no names; the order is left_eye, right_eye, nose" in said
    assert "warning: pts: the files do not say that something hides 1 landmarks" in said
    some.save(tmp_path, "tps")
    assert "note: tps: the file holds no names; the order is left_eye, right_eye, nose" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["labelme", "yolo", "pts"])
def test_two_pictures_of_one_name_need_two_files(predictions, tmp_path, name):
    same = dataclasses.replace(whole(predictions), names=("a.png", "a.jpg"))
    with pytest.raises(ValueError, match=f"{name} has one file for a.jpg and for a picture of that name"):
        same.save(tmp_path, name)


def test_names_that_xml_cannot_hold_are_refused(predictions, tmp_path):
    wrong = Predictions(
        predictions.folder, ("a\x01.png", "b.png"), predictions.sizes, NAMES, predictions.points, predictions.score
    )
    with pytest.raises(ValueError, match=r"'a\\x01.png': CVAT's XML cannot hold this name"):
        wrong.save(tmp_path, "cvat")


def test_sleap_has_a_video_for_the_pictures_of_each_size(predictions, tmp_path):
    """It packs pictures for its training as arrays of one size each."""
    sleap_io = pytest.importorskip("sleap_io")
    more = predictions.take([0, 1, 0])
    Image.new("RGB", (64, 48)).save(tmp_path / "pictures" / "z.png")
    more = dataclasses.replace(more, names=("a.png", "in/b c.png", "z.png"))
    [path] = more.save(tmp_path, "sleap")
    labels = sleap_io.load_slp(str(path), open_videos=False)
    assert [(frame.video.filename[frame.frame_idx].split("/")[-1], frame.frame_idx) for frame in labels] == [
        ("a.png", 0),
        ("z.png", 1),
        ("b c.png", 0),
    ]
    labels.save(str(tmp_path / "packed.pkg.slp"), embed="all", verbose=False)
    packed = sleap_io.load_slp(str(tmp_path / "packed.pkg.slp"))
    assert [frame.image.shape[:2] for frame in packed] == [(48, 64), (48, 64), (90, 30)]


def test_sleap_names_the_video_and_counts_its_frames(predictions, tmp_path):
    """The frames of a video need not lie anywhere as pictures, and SLEAP opens the video itself."""
    sleap_io = pytest.importorskip("sleap_io")
    video = tmp_path / "session 1.mp4"
    of_video = dataclasses.replace(
        predictions, names=("img3.png", "img5.png"), video=str(video), frames=np.array([3, 5]), seconds=np.zeros(2)
    )
    [path] = of_video.save(tmp_path, "sleap")
    labels = sleap_io.load_slp(str(path), open_videos=False)
    assert [each.filename for each in labels.videos] == [video.as_posix()]
    assert [frame.frame_idx for frame in labels.labeled_frames] == [3, 5]
    for number in range(6):  # as somebody who takes frames out of it would name them
        (tmp_path / "session 1").mkdir(exist_ok=True)
        Image.new("RGB", (90, 90)).save(tmp_path / "session 1" / f"img{number}.png")
    found = annotation_files.read(tmp_path, path)
    assert [pathlib.Path(each).name for each in found.paths] == ["img3.png", "img5.png"]
    known = predictions.known
    np.testing.assert_allclose(found.landmarks[known], predictions.points[known], atol=2e-5, rtol=0)


@pytest.mark.parametrize("name, module, extra", [("deeplabcut_h5", "pandas", "h5"), ("sleap", "sleap_io", "sleap")])
def test_what_is_missing_is_said(predictions, tmp_path, monkeypatch, name, module, extra):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ValueError, match=rf'{name} needs .*: pip install "dense-labels\[{extra}\]"'):
        predictions.save(tmp_path, name)


def test_annotations_need_landmarks_and_pictures(predictions, tmp_path):
    from input_pipeline.readers.pictures import Pictures

    with pytest.raises(ValueError, match="the pictures have no landmarks; read annotations"):
        annotated.of_pictures(Pictures(("a.png",)), tmp_path)
    gone = Pictures(("a.png",), landmarks=np.zeros([1, 1, 2], np.float32), annotated=np.ones([1, 1], np.float32))
    with pytest.raises(ValueError, match="a.png: cannot be read, so its size is not known"):
        annotated.of_pictures(gone, tmp_path)
