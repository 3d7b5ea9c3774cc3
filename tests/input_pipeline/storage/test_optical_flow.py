"""Tests of flow between frames of drawn clips, in which a square moves by a known step over a still background."""

import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from input_pipeline.storage import optical_flow

pytest.importorskip("cv2")

SIZE = (64, 80)  # height, width
LEFT, TOP, SIDE = 20.0, 18.0, 28.0  # of the square in frame 0


def texture(x, y, seed):
    """A sum of waves: grey values at real places, so that it can be moved by a fraction of a pixel."""
    waves = np.random.default_rng(seed).uniform([0.05, 0.05, 0], [0.4, 0.4, 6.3], [12, 3])
    signs = np.random.default_rng(seed + 1).choice([-1, 1], 12)
    return 127 + 14 * sum(np.sin(a * x + sign * b * y + c) for (a, b, c), sign in zip(waves, signs))


def centres():
    return np.meshgrid(np.arange(SIZE[1]) + 0.5, np.arange(SIZE[0]) + 0.5)


def on_square(shift):
    x, y = centres()
    return (np.abs(x - shift[0] - LEFT - SIDE / 2) < SIDE / 2) & (np.abs(y - shift[1] - TOP - SIDE / 2) < SIDE / 2)


def draw(shift):
    x, y = centres()
    grey = np.where(on_square(shift), texture(x - shift[0], y - shift[1], 1), texture(x, y, 5))
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., np.newaxis], 3, axis=-1)


def write_clip(folder, count, *, step=(0.0, 0.0), name="frame{}.png"):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(draw((i * step[0], i * step[1]))).save(folder / name.format(i))


def no_flow(image_a, image_b):
    return np.zeros((*image_a.shape[:2], 2), np.float32)


@pytest.mark.parametrize("step", [(4.0, 3.0), (2.5, -1.25), (-3.25, 0.75), (8.0, 6.0), (-6.5, 3.25)])
def test_flow_is_the_motion_and_what_gets_covered_is_not_visible(tmp_path, step):
    write_clip(tmp_path / "clip", 2, step=step)
    found = optical_flow.prepare(tmp_path / "clip", SIZE, tmp_path / "kept", ignore_still=False)
    assert (found.first, found.second) == ([0], [1])
    np.testing.assert_array_equal(found.images[1], draw(step))
    flow, visible = np.float32(found.flow[0]), found.visible[0] == 1
    square, landed, near = (on_square(np.multiply(times, step)) for times in (0, 1, 2))
    assert np.median(np.linalg.norm(flow[square] - step, axis=-1)) < 0.3
    assert visible[square].mean() > 0.75
    assert visible[~square & ~landed & ~near].mean() > 0.9
    np.testing.assert_allclose(found.seen, [visible.mean()], rtol=1e-6)
    if np.hypot(*step) > 5:
        assert visible[landed & ~square].mean() < 0.2


def test_what_stands_still_is_not_visible_unless_asked_for(tmp_path):
    write_clip(tmp_path / "clip", 2, step=(4.0, 3.0))
    visible = optical_flow.prepare(tmp_path / "clip", SIZE, tmp_path / "kept").visible[0] == 1
    assert visible[on_square((0, 0))].mean() > 0.9
    assert visible[:, :12].mean() < 0.02 and visible[:, -12:].mean() < 0.02


def test_a_point_is_visible_where_the_flow_back_leads_home_within_the_tolerance(tmp_path, monkeypatch):
    write_clip(tmp_path / "clip", 2)
    misses = np.zeros(SIZE)
    misses[:, 40:50], misses[:, 50:60] = 0.6, 0.8  # the tolerance at a flow of 4 pixels is 0.7
    first = np.zeros((*SIZE, 2), np.float32)
    first[..., 0] = 4
    back = np.zeros((*SIZE, 2), np.float32)
    back[..., 0], back[..., 1] = -4, misses
    flows = iter([first, back])
    monkeypatch.setattr(optical_flow, "_flow", lambda a, b: next(flows))
    visible = optical_flow.prepare(tmp_path / "clip", SIZE, tmp_path / "kept").visible[0]
    expected = np.ones(SIZE)
    expected[:, 46:56] = 0  # they end up between columns 50 and 60
    expected[:, 76:] = 0  # they leave the image
    np.testing.assert_array_equal(visible, expected)


def test_frames_are_in_order_of_their_numbers_and_pairs_keep_to_one_clip(tmp_path, monkeypatch):
    monkeypatch.setattr(optical_flow, "_flow", no_flow)
    write_clip(tmp_path / "clips/b10", 2)
    write_clip(tmp_path / "clips/b9", 12, name="Frame{}.PNG")
    write_clip(tmp_path / "clips/alone", 1)
    (tmp_path / "clips/b9/notes.txt").touch()
    clips = optical_flow.find_clips(tmp_path / "clips")
    assert [[path.name for path in clip] for clip in clips] == [
        [f"Frame{i}.PNG" for i in range(12)],
        ["frame0.png", "frame1.png"],
    ]
    found = optical_flow.prepare(str(tmp_path / "clips"), SIZE, str(tmp_path / "kept"))
    assert found.images.shape == (14, *SIZE, 3) and found.flow.shape == (12, *SIZE, 2)
    assert list(zip(found.first, found.second)) == [*((i, i + 1) for i in range(11)), (12, 13)]
    wider = optical_flow.prepare(tmp_path / "clips", SIZE, tmp_path / "kept", max_gap=2)
    pairs = {(a, b) for a in range(14) for b in (a + 1, a + 2) if (a < 12) == (b < 12) and b < 14}
    assert set(zip(wider.first, wider.second)) == pairs and len(wider.flow) == len(pairs) == 22


@pytest.mark.parametrize(
    "names, said",
    [
        (["t0", "t0.25", "t0.5", "t1", "t1.25", "t10", "t10.5"], "have fractions: t0.png is before t0.25.png"),
        (["1.0", "1.25", "1.5", "2.0"], "have fractions: 1.25.png is before 1.5.png"),
        (["v1.8", "v1.9", "v1.10", "v1.11"], ""),
        (["f1_s2.0", "f2_s2.0", "f10_s2.0"], ""),
    ],
)
def test_numbers_in_names_may_have_fractions(tmp_path, capsys, names, said):
    for name in names:
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    ((*clip,),) = optical_flow.find_clips(tmp_path)
    assert [path.stem for path in clip] == names
    noted = capsys.readouterr().out
    assert said in noted if said else noted == ""


@pytest.mark.parametrize("max_gap", [1, 3])
def test_the_last_tenth_of_each_clip_is_for_validation_and_shares_no_frame(tmp_path, monkeypatch, max_gap):
    monkeypatch.setattr(optical_flow, "_flow", no_flow)
    write_clip(tmp_path / "clips/a", 20)
    write_clip(tmp_path / "clips/b", 31)
    found = optical_flow.prepare(tmp_path / "clips", (16, 16), tmp_path / "kept", max_gap=max_gap)
    frames = {split: set(found.first[pairs]) | set(found.second[pairs]) for split, pairs in found.splits.items()}
    assert frames == {"train": {*range(18), *range(20, 48)}, "validation": {18, 19, 48, 49, 50}}
    assert (
        len(set(found.splits["train"]) | set(found.splits["validation"])) == len(found.first) - {1: 2, 3: 11}[max_gap]
    )


def test_flow_is_computed_once_for_the_same_files_and_settings(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(optical_flow, "_flow", lambda a, b: calls.append(0) or no_flow(a, b))
    write_clip(tmp_path / "clip", 3)

    def count(**settings):
        calls.clear()
        optical_flow.prepare(tmp_path / "clip", settings.pop("size", (16, 20)), tmp_path / "kept", **settings)
        return len(calls)

    assert [count(), count()] == [4, 0]
    assert [count(size=(16, 24)), count(ignore_still=False), count(max_gap=2), count()] == [4, 4, 6, 0]
    os.utime(tmp_path / "clip/frame1.png", ns=(0, 0))
    assert count() == 4
    shutil.copytree(tmp_path / "clip", tmp_path / "other")  # as an archive unpacks it, with its times
    optical_flow.prepare(tmp_path / "other", (16, 20), tmp_path / "kept")
    assert len(calls) == 8


def test_nothing_is_kept_of_a_computation_that_is_cut_off(tmp_path, monkeypatch):
    write_clip(tmp_path / "clip", 3)

    def stop(image_a, image_b):
        raise KeyboardInterrupt

    monkeypatch.setattr(optical_flow, "_flow", stop)
    with pytest.raises(KeyboardInterrupt):
        optical_flow.prepare(tmp_path / "clip", SIZE, tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept/video").iterdir()] == [".lock"]
    (tmp_path / "kept/video/incomplete.0123").mkdir()  # as a process leaves it that is killed
    monkeypatch.setattr(optical_flow, "_flow", no_flow)
    assert len(optical_flow.prepare(tmp_path / "clip", SIZE, tmp_path / "kept").flow) == 2
    assert len(list((tmp_path / "kept/video").iterdir())) == 2


@pytest.mark.parametrize("name", ["images", "flow", "visible", "seen"])
def test_what_was_kept_and_is_cut_short_is_made_anew(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(optical_flow, "_flow", no_flow)
    write_clip(tmp_path / "clip", 3)
    optical_flow.prepare(tmp_path / "clip", SIZE, tmp_path / "kept")
    (file,) = (tmp_path / "kept/video").glob(f"*/{name}.npy")
    whole = file.read_bytes()
    for content in (b"", whole[:50], whole[:-1]):
        file.write_bytes(content)
        optical_flow.prepare(tmp_path / "clip", SIZE, tmp_path / "kept")
        assert file.read_bytes() == whole
        assert f"note: {file.parent} is damaged (" in capsys.readouterr().out
    np.save(file, np.load(file)[:1])
    optical_flow.prepare(tmp_path / "clip", SIZE, tmp_path / "kept")
    assert file.read_bytes() == whole and f"({name}.npy has 1 of " in capsys.readouterr().out


def test_opencv_is_needed_for_computing_alone(tmp_path, monkeypatch):
    write_clip(tmp_path / "clip", 2)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "cv2", None)
        with pytest.raises(ValueError, match=r'OpenCV, which is not installed: pip install "dense-labels\[video\]"'):
            optical_flow.prepare(tmp_path / "clip", SIZE, tmp_path / "kept")
    optical_flow.prepare(tmp_path / "clip", SIZE, tmp_path / "kept")
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert len(optical_flow.prepare(tmp_path / "clip", SIZE, tmp_path / "kept").flow) == 1


@pytest.mark.parametrize(
    "size, max_gap, message",
    [
        ((15, 20), 1, r"size is \(15, 20\); give a height and a width of at least 16 pixels"),
        ((20,), 1, "size is"),
        (SIZE, 0, "max_gap is 0; give 1 or more"),
        (SIZE, 1, "holds no two frames in one folder; give a folder with the frames of a video"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, size, max_gap, message):
    write_clip(tmp_path, 1)
    with pytest.raises(ValueError, match=message):
        optical_flow.prepare(tmp_path, size, tmp_path / "kept", max_gap=max_gap)
