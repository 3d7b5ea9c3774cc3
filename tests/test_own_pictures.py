"""The road of one's own pictures as a user walks it: a folder in, a landmark detector out, what is said of files."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

from tests import evaluated
from tests.commands import run

SHORT = [
    "--config.model.name=simple",
    "--config.train.steps_per_epoch=3",
    "--config.train.num_epochs=1",
    "--config.train.warmup_steps=1",
    "--config.train.precision=float32",
]


def face(seed, size):
    """A drawn face and its two eyes, in pixels."""
    rng = np.random.default_rng(seed)
    width, height = size
    picture = Image.new("RGB", size, tuple(rng.integers(100, 256, 3).tolist()))
    draw = ImageDraw.Draw(picture)
    centre, radius = np.array([width, height]) * rng.uniform(0.45, 0.55, 2), 0.35 * min(size)
    draw.ellipse([*(centre - radius), *(centre + radius)], fill=(230, 180, 140))
    eyes = centre + radius * np.array([[-0.4, -0.3], [0.4, -0.3]])
    for eye in eyes:
        draw.ellipse([*(eye - radius / 6), *(eye + radius / 6)], fill=(20, 40, 90))
    mouth = centre + radius * np.array([[-0.4, 0.5], [0.4, 0.5]])
    draw.line(mouth.ravel().tolist(), fill=(160, 30, 30), width=3)
    return picture, eyes


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Ten pictures of many kinds, and a table of their eyes."""
    folder = tmp_path_factory.mktemp("own") / "pictures"
    (folder / "more").mkdir(parents=True)
    sizes = {"huge.jpg": (1400, 1200), "tiny.png": (24, 20), "more/wide.bmp": (160, 90)}
    names = [*sizes, "grey.png", "cmyk.jpg", "palette.gif", "alpha.webp", "a.JPG", "b.png", "png called.jpg"]
    rows = ["file,left_eye_x,left_eye_y,right_eye_x,right_eye_y"]
    for seed, name in enumerate(names):
        picture, eyes = face(seed, sizes.get(name, (120, 100)))
        kind = {"grey.png": "L", "cmyk.jpg": "CMYK", "palette.gif": "P", "alpha.webp": "RGBA"}.get(name, "RGB")
        picture.convert(kind).save(folder / name, format="PNG" if "called" in name else None)
        rows.append(",".join([name, *(f"{value:.2f}" for value in eyes.ravel())]))
    (folder / "eyes.csv").write_text("\n".join(rows))
    return folder


def flags(pictures, workdir):
    cache = pictures.parent / "cache"
    return ["--config=configs/folder.py", f"--config.data.dir={pictures}", f"--workdir={workdir}", *SHORT] + [
        f"--config.data.cache_dir={cache}"
    ]


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "mine"
    result = run("train_main.py", *flags(pictures, workdir))
    assert result.returncode == 0, result.stderr
    assert "10 pictures of 24 x 20 to 1400 x 1200 pixels, the median 120 x 100; resized to 100 x 84" in result.stdout
    return workdir


def test_pictures_in_and_a_landmark_detector_out(pictures, trained, tmp_path, capsys):
    config = json.loads((trained / "config.json").read_text())
    assert config["data"]["size"] == [84, 100] and config["train"]["batch_size"] == 10
    evaluated.evaluate(trained, annotations=pictures / "eyes.csv", few_shot=["2"], export_dir=tmp_path)
    written = json.loads((trained / "eval" / "result.json").read_text())
    assert written["protocol"]["test_images"] == written["protocol"]["head_images"] == 10  # they take turns
    assert written["protocol"]["error"].startswith("Euclidean distance in % of eye distance")
    for name in ("mean_shape", "cell", "subpixel", "regress", "regress_each"):
        assert written["metrics"][f"{name}_error_percent"] > 0
        assert [len(each) for each in written["few_shot_error_percent"][name].values()] == [3]
    assert set(written["metrics"]) >= {"matching_same_cell_px", "matching_different_cell_px"}
    said = capsys.readouterr().out
    assert "left_eye " in said and "right_eye " in said

    served = tf.saved_model.load(str(tmp_path / "1"))
    names = ["huge.jpg", "b.png", "grey.png"]
    points = served.describe(tf.constant([(pictures / name).read_bytes() for name in names]))["points"].numpy()
    assert points.shape == (3, 2, 2)
    for name, found in zip(names, points):  # a picture made smaller beforehand has its points closer together
        picture = Image.open(pictures / name).convert("RGB")
        scale = np.array(picture.size) / [100, 84]
        small = np.asarray(picture.resize((100, 84), Image.Resampling.BILINEAR, reducing_gap=3.0))
        np.testing.assert_allclose(
            served.landmarks(small[np.newaxis])["points"][0] * scale, found, atol=2 * scale.max()
        )


def test_a_few_annotations_are_fitted_on_though_not_measured(pictures, trained, tmp_path, capsys):
    table = (pictures / "eyes.csv").read_text().splitlines()
    (tmp_path / "few.csv").write_text("\n".join(table[:4]))
    evaluated.evaluate(trained, annotations=tmp_path / "few.csv")
    assert "too few annotated images to measure on" in capsys.readouterr().out
    written = json.loads((trained / "eval" / "result.json").read_text())
    assert written["protocol"]["exported"] == "regress" and written["protocol"]["head_images"] == 3


def test_without_annotations_labels_alone_are_drawn_and_exported(trained, tmp_path, capsys):
    evaluated.evaluate(trained, export_dir=tmp_path, drawn=True)
    said = capsys.readouterr().out
    assert "fitting landmark heads" not in said and " pictures and back, " in said
    figures = json.loads((trained / "eval" / "result.json").read_text())["metrics"]
    assert figures["cycle_median_px"] >= 0 and 0 <= figures["cycle_within_percent"] <= 100
    assert set(tf.saved_model.load(str(tmp_path / "1")).signatures) >= {"serving_default", "encoded", "match_encoded"}
    assert (trained / "eval" / "mean_object.png").exists()


def test_a_run_goes_on_with_the_pictures_it_was_begun_with(pictures, trained):
    result = run("train_main.py", *flags(pictures, trained))
    assert result.returncode == 0 and "already trained for 1 epochs" in result.stdout, result.stderr
    Image.new("RGB", (300, 100)).save(pictures / "added.png")
    try:
        result = run("train_main.py", *flags(pictures, trained))
    finally:
        (pictures / "added.png").unlink()
    assert result.returncode == 1 and "began with: 1 new (added.png); bring these back" in result.stderr


def test_files_that_cannot_be_used_are_all_named_and_left_out_when_told(pictures, tmp_path):
    whole = (pictures / "a.JPG").read_bytes()
    bad = {"cut.jpg": whole[: len(whole) // 2], "text.jpg": b"not a picture", "empty.png": b""}
    for name, content in bad.items():
        (pictures / name).write_bytes(content)
    try:
        result = run("train_main.py", *flags(pictures, tmp_path / "w"))
        assert result.returncode == 1 and "Traceback" not in result.stderr
        error = result.stderr.splitlines()[-1]
        assert error.startswith("error: 3 of 13 files cannot be used") and all(name in error for name in bad)
        assert "--config.data.skip_bad_files=true" in error and not (tmp_path / "w").exists()
        result = run("train_main.py", *flags(pictures, tmp_path / "w"), "--config.data.skip_bad_files=true")
        assert result.returncode == 0, result.stderr
        assert "note: 3 of 13 files cannot be used" in result.stdout and "left out" in result.stdout
        assert all((pictures / name).read_bytes() == content for name, content in bad.items())
    finally:
        for name in bad:
            (pictures / name).unlink()


@pytest.mark.parametrize(
    "options, words",
    [
        (
            {"annotations": "eyes.txt"},
            ["eyes.txt", "or a folder of annotations is expected"],
        ),
        ({"annotations": "none.csv"}, ["none.csv", "there is no such file"]),
        ({"annotations_test": "none.csv"}, ["annotations_test goes with annotations"]),
        ({"few_shot": ["1"]}, ["few_shot needs landmarks; give annotations"]),
        ({"heads": ["nearest"]}, ["heads=nearest: they need landmarks; give annotations"]),
        ({"batch_requests": 8}, ["--max_pixels and --batch_requests go with --export_dir"]),
        ({"heads": ["heatmap"]}, ["config.eval.heads='heatmap'", "'nearest'", "'heatmaps'"]),
    ],
)
def test_a_mistake_in_the_evaluation_is_told(trained, options, words):
    error = evaluated.refusal(trained, **options)
    assert all(word in error for word in words), error


def test_a_mistake_in_the_evaluation_is_one_line(trained):
    result = run("eval_main.py", f"--workdir={trained}", "--few_shot=1,x")
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr and line.startswith("error: ")
    assert all(word in line for word in ("--few_shot=1,x", "whole numbers"))


def test_a_trunk_becomes_descriptors_and_is_not_needed_any_more(pictures, tmp_path, capsys):
    """The second paper's road: weights from a file that is gone when the run is evaluated and served."""
    weights, workdir = tmp_path / "trunk.weights.h5", tmp_path / "run"
    tf.keras.applications.MobileNetV2(include_top=False, weights=None).save_weights(weights)
    short = ["--config.train.steps_per_epoch=2", "--config.train.num_epochs=1", "--config.data.size=(64, 64)"]
    data = [f"--config.data.dir={pictures}", f"--config.data.cache_dir={pictures.parent / 'cache'}"]
    options = ["--config.data.name=folder", "--config.train.batch_size=4", f"--config.model.weights={weights}"]
    short.append("--config.eval.heads=('nearest',)")
    result = run("train_main.py", "--config=configs/introspection.py", f"--workdir={workdir}", *data, *options, *short)
    assert result.returncode == 0, result.stderr
    weights.unlink()
    evaluated.evaluate(workdir, annotations=pictures / "eyes.csv", export_dir=tmp_path / "served", drawn=True)
    figures = json.loads((workdir / "eval" / "result.json").read_text())["metrics"]
    assert 0 < figures["nearest_descriptor_error_percent"] == pytest.approx(figures["risk_at_random"], rel=1e-5)
    assert figures["risk_of_the_errors"] < figures["risk_by_confidence"] and 0 < figures["confidence_roc_area"] < 1
    assert "matched by the nearest descriptor: error in % of the width" in capsys.readouterr().out
    for name in ("confidence", "matches", "trust", "matches_between", "trust_between"):
        assert (workdir / "eval" / f"{name}.png").exists()
    served = tf.saved_model.load(str(tmp_path / "served" / "1")).signatures["descriptors"]
    found = served(images=tf.zeros([1, 100, 120, 3], tf.uint8))
    assert found["descriptors"].shape == [1, 8, 8, 64]
    np.testing.assert_allclose(np.linalg.norm(found["descriptors"], axis=-1), 1, rtol=1e-4)
    assert (found["confidence"].numpy() > 0).all()
