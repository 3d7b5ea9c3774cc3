import errno
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import decoding, resized

ROOT = pathlib.Path(__file__).resolve().parents[3]
SIZES = [(60, 80), (90, 50), (64, 64), (200, 300), (41, 37), (33, 90), (70, 70)]  # (height, width)


def draw_dots(folder):
    """Pictures with a white dot each, the first stored on its side, and where the dots are."""
    paths, dots = [], []
    for index, (height, width) in enumerate(SIZES):
        dot = np.array([0.6 * width, 0.35 * height])
        y, x = np.indices([height, width]) + 0.5
        width_of_dot = min(height, width) / 16
        blob = np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / 2 / width_of_dot**2)
        upright = np.repeat(np.uint8(255 * blob)[..., np.newaxis], 3, axis=2)
        paths.append(str(folder / f"{index}.png"))
        dots.append(dot)
        exif = Image.Exif()
        exif[0x0112] = 1 if index else 8  # column 0 of the file is the bottom, row 0 the left
        Image.fromarray(upright if index else np.rot90(upright, -1)).save(paths[-1], exif=exif)
    return paths, np.float32(dots)


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "data").mkdir()
    paths, dots = draw_dots(tmp_path / "data")
    return Pictures(
        tuple(paths),
        landmarks=dots[:, np.newaxis],
        annotated=np.ones([len(paths), 1], np.float32),
        normalisers=np.arange(1, len(paths) + 1, dtype=np.float32),
        normaliser="picture width",
    )


@pytest.fixture
def decoded(monkeypatch):
    """Paths of the files that are read, as they are."""
    paths, read = [], decoding.read_picture
    monkeypatch.setattr(decoding, "read_picture", lambda path, **_: paths.append(path) or read(path))
    return paths


def prepare(pictures, tmp_path, size=(40, 56), skip_bad_files=False):
    return resized.prepare(pictures, size, str(tmp_path / "cache"), skip_bad_files=skip_bad_files)


def kept(tmp_path):
    """What is in the cache and is not hidden."""
    return [path.name for path in (tmp_path / "cache/pictures").glob("[!.]*")]


def centres_of_brightness(images):
    weights = images[..., 0].astype(float) ** 2
    rows, columns = np.indices(images.shape[1:3]) + 0.5
    total = weights.sum(axis=(1, 2))
    return np.stack([(weights * columns).sum(axis=(1, 2)), (weights * rows).sum(axis=(1, 2))], axis=-1) / total[:, None]


def boxes_beyond():
    """Boxes that reach beyond the pictures on two sides."""
    return np.float32([[0.1 * width, -0.2 * height, 1.3 * width, 0.9 * height] for height, width in SIZES])


@pytest.mark.parametrize("boxed", [False, True])
def test_dots_are_where_their_landmarks_are(pictures, tmp_path, monkeypatch, boxed):
    monkeypatch.setattr(resized, "_IN_FLIGHT", 3)  # several rounds
    sizes = np.float32(SIZES)[:, ::-1]
    if boxed:
        pictures = Pictures(pictures.paths, boxes_beyond(), pictures.landmarks, pictures.annotated)
        sizes = sizes * [1.2, 1.1]
    stored = prepare(pictures, tmp_path)
    assert stored.images.shape == (len(SIZES), 40, 56, 3) and stored.images.dtype == np.uint8
    assert stored.landmarks.dtype == stored.scale.dtype == np.float32
    np.testing.assert_allclose(stored.scale, sizes / [56, 40], rtol=1e-5)
    np.testing.assert_allclose(centres_of_brightness(stored.images), stored.landmarks[:, 0], atol=0.1)
    places = np.floor(stored.landmarks[:, 0]).astype(int)
    assert stored.images[range(len(SIZES)), places[:, 1], places[:, 0]].min() > 180
    np.testing.assert_array_equal(stored.annotated, pictures.annotated)
    if not boxed:
        np.testing.assert_array_equal(stored.normalisers, pictures.normalisers)


def test_it_is_done_once_for_the_same_files_boxes_and_size(pictures, tmp_path, decoded):
    first = prepare(pictures, tmp_path)
    assert sorted(decoded) == sorted(pictures.paths)
    again = prepare(pictures, tmp_path)
    assert len(decoded) == len(SIZES)
    np.testing.assert_array_equal(again.images, first.images)
    np.testing.assert_array_equal(again.scale, first.scale)

    boxed = Pictures(pictures.paths, boxes_beyond())
    for changed, size in ((pictures, (40, 58)), (boxed, (40, 56)), (pictures.take([1, 0]), (40, 56))):
        decoded.clear()
        prepare(changed, tmp_path, size)
        assert len(decoded) == len(changed)
    decoded.clear()
    os.utime(pictures.paths[0], (1, 1))
    prepare(pictures, tmp_path)
    assert len(decoded) == len(SIZES)


def test_pictures_that_were_exchanged_are_resized_again(tmp_path):
    """They have one size and were given one time, as an archive gives it."""
    paths = [tmp_path / f"{name}.bmp" for name in "ab"]
    for k, path in enumerate(paths):
        Image.new("RGB", (8, 8), (100 * k, 0, 0)).save(path)
        os.utime(path, (1, 1))
    pictures = Pictures(tuple(map(str, paths)))
    assert prepare(pictures, tmp_path, (8, 8)).images[:, 0, 0, 0].tolist() == [0, 100]
    paths[0].rename(tmp_path / "c")
    paths[1].rename(paths[0])
    (tmp_path / "c").rename(paths[1])
    assert prepare(pictures, tmp_path, (8, 8)).images[:, 0, 0, 0].tolist() == [100, 0]


def damage(paths):
    for path in paths:
        pathlib.Path(path).write_bytes(pathlib.Path(path).read_bytes()[:-40])


@pytest.mark.parametrize("left", [0, 100, None])
@pytest.mark.parametrize("name", ["images", "scale.npy", "sizes.npy", "brightest.npy", "bad_files.json", "digests.txt"])
def test_what_was_kept_and_is_cut_short_is_made_anew(pictures, tmp_path, capsys, name, left):
    """As a loss of power may leave it: with nothing, a part, or without its name."""
    store = prepare(pictures, tmp_path)
    images, digests = np.array(store.images), store.digests  # what is mapped goes with the file
    (file,) = (tmp_path / "cache" / "pictures").glob(f"*/{name}")
    content = file.read_bytes()
    file.write_bytes(content[: min(left or 0, len(content) - 1)])
    if left is None:
        file.unlink()
    capsys.readouterr()
    again = prepare(pictures, tmp_path)
    said = capsys.readouterr().out
    assert re.search(rf"^note: {file.parent} is damaged \(.+\), and is made anew\n", said), said
    np.testing.assert_array_equal(again.images, images)
    assert again.digests == digests and len(digests) == len(SIZES) and file.read_bytes() == content
    prepare(pictures, tmp_path)
    assert "damaged" not in capsys.readouterr().out


def test_damaged_files_are_all_told_at_once(pictures, tmp_path):
    damage(pictures.paths[1:])
    with pytest.raises(ValueError, match="6 of 7 files cannot be used: 1.png .+5.png .truncated. and 1 more") as caught:
        prepare(pictures, tmp_path)
    advice = r"--config\.data\.skip_bad_files=true \(eval_main\.py: --skip_bad_files\)$"
    ending = rf"all are listed in (\S+)\); remove them, or leave them out with {advice}"
    listing = pathlib.Path(re.search(ending, str(caught.value))[1])
    assert listing.read_text().splitlines() == [f"{path}: truncated" for path in pictures.paths[1:]]
    assert kept(tmp_path) == [listing.name]


def test_damaged_files_can_be_left_out(pictures, tmp_path, capsys, decoded):
    whole = prepare(pictures, tmp_path)
    left = [0, 2, 3, 5, 6]
    pathlib.Path(pictures.paths[1]).unlink()
    pathlib.Path(pictures.paths[4]).write_text("not a picture at all")
    for expected_reads in (7, 0):
        decoded.clear()
        stored = prepare(pictures, tmp_path, skip_bad_files=True)
        assert len(decoded) == expected_reads
        assert stored.pictures.paths == tuple(pictures.paths[index] for index in left)
        for name in ("images", "landmarks", "annotated", "scale", "normalisers"):
            np.testing.assert_array_equal(getattr(stored, name), getattr(whole, name)[left])
        report = "note: 2 of 7 files cannot be used: 1.png (no such file or directory), 4.png (not a picture of a known"
        assert report in capsys.readouterr().out
    with pytest.raises(ValueError, match="2 of 7 files cannot be used"):  # what was left out is not forgotten
        prepare(pictures, tmp_path)


def test_files_are_named_from_the_folder_they_share_and_spelt_out_where_they_cannot_be_printed(tmp_path):
    names = ("a/1.jpg", "b/c/1.jpg", "b/two\nlines.jpg", os.fsdecode(b"b/caf\xe9.jpg"), "b/日本.jpg")
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("a letter")
    with pytest.raises(ValueError, match="5 of 5 files") as caught:
        prepare(Pictures(tuple(str(tmp_path / "in" / name) for name in names)), tmp_path)
    named = ", ".join(
        f"{name} (not a picture of a known format)"
        for name in ("a/1.jpg", "b/c/1.jpg", r"b/two\nlines.jpg", r"b/caf\udce9.jpg", "b/日本.jpg")
    )
    assert named in str(caught.value)
    listing = pathlib.Path(re.search(r"listed in (\S+)\)", str(caught.value))[1])
    lines = listing.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 5 and lines[2].endswith(r"in/b/two\nlines.jpg: not a picture of a known format")


def test_a_file_that_serves_two_boxes_is_counted_once(pictures, tmp_path):
    damage(pictures.paths[:1])
    twice = pictures.take([0, 1, 0])
    with pytest.raises(ValueError, match=r"1 of 2 files cannot be used: 0.png \(truncated\) \(all"):
        prepare(twice, tmp_path)


def test_it_is_refused_if_no_file_is_left(pictures, tmp_path):
    damage(pictures.paths)
    with pytest.raises(ValueError, match="7 of 7 files cannot be used: .+; none is left"):
        prepare(pictures, tmp_path, skip_bad_files=True)


@pytest.mark.parametrize("code", [errno.EIO, errno.ETIMEDOUT, errno.EMFILE])
@pytest.mark.parametrize("skip_bad_files", [False, True])
def test_what_the_system_fails_to_read_is_not_left_out_for_good(pictures, tmp_path, monkeypatch, code, skip_bad_files):
    whole, opened, pauses = prepare(pictures, tmp_path / "whole"), open, []
    failing = {pictures.paths[1]: 3, pictures.paths[4]: 2}  # path -> how often it still fails

    def fails(path, *args, **kwargs):
        if failing.get(os.fspath(path), 0):
            failing[os.fspath(path)] -= 1
            raise OSError(code, os.strerror(code), path)
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(decoding.time, "sleep", pauses.append)
    monkeypatch.setattr("builtins.open", fails)
    damage(pictures.paths[5:6])
    said = (
        rf"1 of 7 files could not be read: 1.png \({os.strerror(code).lower()}\) \(all are listed "
        r"in \S+\); this may pass: start again, or remove files that can never be read"
    )
    with pytest.raises(ValueError, match=said):
        prepare(pictures, tmp_path, skip_bad_files=skip_bad_files)
    assert sorted(pauses) == [1, 1, 5, 5] and not any(failing.values())
    stored = prepare(pictures, tmp_path, skip_bad_files=True)
    assert stored.pictures.paths == tuple(np.delete(pictures.paths, 5))
    np.testing.assert_array_equal(stored.images, np.delete(whole.images, 5, axis=0))


def test_a_digest_is_read_again_too(pictures, tmp_path, monkeypatch):
    read, failing = decoding.read_file, [OSError(errno.EIO, "Input/output error")]

    def fails_once(path):
        with decoding._failing(path):
            if failing:
                raise failing.pop()
        return read(path)

    monkeypatch.setattr(decoding.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(decoding, "read_file", fails_once)
    assert len(prepare(pictures, tmp_path).digests) == len(SIZES) and not failing


def test_two_at_once_read_each_file_once(pictures, tmp_path, decoded):
    found = []
    threads = [threading.Thread(target=lambda: found.append(prepare(pictures, tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and len(decoded) == len(SIZES)
    np.testing.assert_array_equal(found[0].images, found[1].images)


def test_nothing_of_a_killed_build_is_taken_for_whole(pictures, tmp_path):
    program = f"""
import os, signal
from input_pipeline.readers import pictures
from input_pipeline.storage import decoding, resized
resized._IN_FLIGHT, read = 1, decoding.read_picture
def read_or_die(path, **_):
    if path.endswith("4.png"):
        os.kill(os.getpid(), signal.SIGKILL)
    return read(path)
decoding.read_picture = read_or_die
resized.prepare(pictures.Pictures({pictures.paths}), (40, 56), {str(tmp_path / "cache")!r}, skip_bad_files=False)
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
    assert run.returncode == -signal.SIGKILL
    (leftover,) = kept(tmp_path)
    stored = prepare(pictures, tmp_path, size=(20, 28))  # of another size: leftovers go whatever they are of
    assert len(stored.images) == len(SIZES) and leftover not in kept(tmp_path)
    assert len(prepare(pictures, tmp_path).images) == len(SIZES)


def test_a_full_disk_leaves_nothing_half_written(pictures, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 40 * 56 * 3, before[1]))
    try:
        either = r"--config\.data\.cache_dir \(eval_main\.py: --cache_dir\)$"
        with pytest.raises(
            OSError, match=f"the resized pictures need 0.0 GB in .+; make room, or choose another {either}"
        ):
            prepare(pictures, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert kept(tmp_path) == []
    assert len(prepare(pictures, tmp_path).images) == len(SIZES)


def test_a_stopped_build_leaves_nothing(pictures, tmp_path, monkeypatch):
    def stopped(path, **_):
        raise KeyboardInterrupt

    monkeypatch.setattr(decoding, "read_picture", stopped)
    with pytest.raises(KeyboardInterrupt):
        prepare(pictures, tmp_path)
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    "pictures, size, message",
    [
        (Pictures(()), (4, 4), "there are no pictures to resize"),
        (Pictures(("a.png",)), (0, 4), "size must be (height, width) in pixels, both at least 1; found (0, 4)"),
        (Pictures(("a.png",), np.float32([[3, 1, 3, 4]])), (4, 4), "a.png: its box [3.0, 1.0, 3.0, 4.0] has no area"),
    ],
)
def test_what_cannot_be_resized_is_refused(tmp_path, pictures, size, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        prepare(pictures, tmp_path, size)


def test_a_look_tells_how_many_and_how_large(pictures):
    found = resized.look(pictures)
    assert str(found) == "7 pictures of 37 x 41 to 300 x 200 pixels, the median 50 x 90"
    assert found.sizes[:3].tolist() == [[41, 37], [33, 90], [64, 64]]
    damage(pictures.paths[:1])
    pathlib.Path(pictures.paths[6]).write_text("damaged")
    assert len(resized.look(pictures).sizes) == 6  # the header of the first is whole
    assert str(resized.look(pictures.take([2, 2]))) == "2 pictures of 64 x 64 pixels"
    assert str(resized.look(pictures.take([2]))) == "1 picture of 64 x 64 pixels"
    assert resized.look(Pictures(pictures.paths, boxes_beyond())).sizes[-1].tolist() == pytest.approx([220, 360])
    with pytest.raises(ValueError, match="none of the 1 files looked at can be used; the first is .+6.png: not a pict"):
        resized.look(pictures.take([6]))


def test_a_look_at_many_reads_headers_from_all_over_the_list(monkeypatch):
    monkeypatch.setattr(decoding, "read_size", lambda path: (int(path), 1))
    rows = resized.look(Pictures(tuple(str(index) for index in range(1, 20_001)))).sizes[:, 0]
    assert len(rows) == 1000 and rows[0] == 1 and rows[-1] == 20_000
    assert set(np.diff(rows)) == {20, 21}


@pytest.mark.parametrize(
    "sizes, longer_side, expected",
    [
        ([(218, 178)], 100, (100, 82)),  # 81.65
        ([(178, 218)], 100, (82, 100)),
        ([(100, 100), (100, 200), (300, 900)], 92, (46, 92)),  # the median ratio is 2
        ([(64, 64)], 100, (64, 64)),  # not made larger
        ([(61, 61), (63, 63), (500, 500)], 100, (62, 62)),
        ([(2, 400)], 100, (2, 100)),
    ],
)
def test_the_size_has_the_shape_of_the_median_picture(sizes, longer_side, expected):
    assert resized.pick_size(sizes, longer_side) == expected
