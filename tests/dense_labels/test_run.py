"""The public face: a folder of pictures in, a run that evaluates, labels, matches and exports."""

import concurrent.futures
import pathlib
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

import dense_labels
from dense_labels import config as config_lib
from dense_labels import files, kept_heads, progress, run_config, run_pictures
from dense_labels.evaluation.result import Result
from tests import drawn, evaluated
from tests.commands import ROOT, environment

SIDE = 32
QUICK = {  # what makes a training take seconds
    "model.name": "simple",
    "model.norm": "none",
    "model.label_size": 3,  # longer labels need more steps before scores vary little with the resizing
    "loss.exchange": False,
    "data.size": (SIDE, SIDE),
    "train.num_epochs": 1,
    "train.steps_per_epoch": 2,
    "train.warmup_steps": 0,
    "train.batch_size": 2,
    "train.precision": "float32",
    "eval.heads": ("nearest", "regress"),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of pictures, with points.csv beside it."""
    folder = tmp_path_factory.mktemp("faces") / "pictures"
    drawn.write_csv(folder.parent / "points.csv", drawn.faces(folder, side=SIDE))
    return folder


NOTEBOOK = """
import dense_labels
run = dense_labels.train(PICTURES, workdir=OUT + "/run", **quick)
result = run.evaluate(annotations=POINTS)
served = run.export(OUT + "/served")
import tensorflow; model = tensorflow.saved_model.load(str(served))
"""


@pytest.fixture(scope="module")
def notebook(pictures, tmp_path_factory, undrawn):
    """What five lines leave behind: a run that was trained, evaluated and exported."""
    out = tmp_path_factory.mktemp("notebook")
    points = str(pictures.parent / "points.csv")
    quick = {**QUICK, "data.cache_dir": out / "cache"}
    namespace = {"PICTURES": str(pictures), "POINTS": points, "OUT": str(out), "quick": quick}
    exec(NOTEBOOK, namespace)
    return namespace


@pytest.fixture(scope="module")
def run(notebook):
    return notebook["run"]


def test_five_lines_take_a_folder_to_landmarks(notebook):
    assert len(NOTEBOOK.strip().splitlines()) == 5
    result, images = notebook["result"], tf.zeros([1, 50, 40, 3], tf.uint8)
    assert result.landmark_names == drawn.NAMES and result.best in ("nearest", "regress")
    assert notebook["model"].landmarks(images)["points"].shape == (1, 3, 2)


def test_importing_the_package_imports_no_tensorflow():
    code = "import dense_labels, sys; dense_labels.open_run; assert 'tensorflow' not in sys.modules; print('light')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.stdout.strip() == "light", done.stderr


def test_the_mains_can_be_imported_side_by_side():
    code = "import train_main, eval_main; print(callable(train_main.main), callable(eval_main.console))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.stdout.strip() == "True True", done.stderr
    for main in ("train_main.py", "eval_main.py"):
        assert len((ROOT / main).read_text().splitlines()) <= 60


def test_everything_public_is_there_and_documented():
    for name in dense_labels.__all__:
        assert getattr(dense_labels, name).__doc__, name
    assert set(dense_labels.__all__) <= set(dir(dense_labels))
    with pytest.raises(AttributeError, match="has no attribute 'predict'"):
        _ = dense_labels.predict


def test_a_run_says_what_it_is(run):
    assert run.step == 2 and run.stride == 2 and run.frame.input_size == (SIDE, SIDE)
    assert run.config.data.num_pictures == 12 and run.config.train.batch_size == 2
    assert dense_labels.open_run(run.workdir).config == run.config


def test_simulated_frames_are_seen_whole_whatever_size_the_configuration_names(tmp_path):
    """As where another data set is chosen for configs/faces.py."""
    config = config_lib.Config()
    config.data.name, config.data.size, config.data.crop = "roboarm", (100, 100), 15
    run_config.save(config, str(tmp_path))
    frame = dense_labels.open_run(tmp_path).frame
    assert frame.input_size == frame.full_size == (90, 90) and frame.margin == 0


def test_the_result_is_written_and_read_back(run):
    result = Result.load(f"{run.workdir}/eval/result.json")
    assert result.step == 2 and result.landmark_names == drawn.NAMES
    assert {"cell", "subpixel", "regress", "mean_shape"} <= set(result.landmark_error_percent)
    assert "left_eye" in result.table()


def test_heads_are_kept_and_answer_alike(run):
    kept = kept_heads.newest(run.workdir)
    assert set(kept.heads) == {"nearest", "regress"} and kept.result.landmark_names == drawn.NAMES
    assert kept.config.data.name == "csv" and len(kept.example_images) == 9
    again = kept_heads.newest(run.workdir)
    labels = run.labels(kept.example_images).values
    for name, head in kept.heads.items():
        np.testing.assert_array_equal(head(labels)["points"], again.heads[name](labels)["points"])


def test_an_export_needs_no_annotations_but_the_heads_that_were_kept(run, notebook):
    served, kept = notebook["model"], kept_heads.newest(run.workdir)
    points = served.landmarks(kept.example_images)["points"]
    np.testing.assert_allclose(points, kept.best(run.labels(kept.example_images).values)["points"], atol=1e-3)


def test_an_export_answers_what_scores_are_worth_in_pixels_of_the_picture(run, notebook):
    model, images = notebook["model"], np.uint8(255 * kept_heads.newest(run.workdir).example_images)
    found = model.landmarks(images)
    assert set(found) == {"points", "score", "expected_error", "likelihood"}
    assert (found["expected_error"].numpy() > 0).all() and (found["expected_error"].numpy() < SIDE).all()
    likelihood = found["likelihood"].numpy()
    assert (likelihood > 0).all() and (likelihood < 1).all()
    twice = model.landmarks(images.repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_allclose(twice["expected_error"], 2 * found["expected_error"], rtol=0.02)
    np.testing.assert_allclose(twice["likelihood"], likelihood, atol=0.02)


def test_where_landmarks_are_left_out_a_run_and_its_export_say_whether_one_is_there(run, pictures, tmp_path):
    lines = (pictures.parent / "points.csv").read_text().splitlines()
    left_out = [line.rsplit(",", 2)[0] + ",," for line in lines[1:7]]  # the last landmark of six pictures
    (tmp_path / "points.csv").write_text("\n".join([lines[0], *left_out, *lines[7:]]) + "\n")
    again = dense_labels.open_run(shutil.copytree(run.workdir, tmp_path / "run"))
    again.evaluate(annotations=tmp_path / "points.csv", pictures=pictures)
    found = again.predict(pictures, out=tmp_path / "out", formats=("scores", "deeplabcut"))
    exported = dense_labels.load(again.export(tmp_path / "served")).predict(pictures)
    assert found.present.shape == found.points.shape[:2]
    np.testing.assert_allclose(found.present, exported.present, atol=1e-3)
    assert (found.present[:, :2] > 0.8).all() and (found.present[:, 2] < 0.8).all()
    header = (tmp_path / "out" / "scores.csv").read_text().splitlines()[0]
    assert header.endswith(f"{drawn.NAMES[-1]}_present")


def test_the_report_of_an_earlier_evaluation_is_not_taken_for_that_of_the_newest(run, pictures, tmp_path, capsys):
    again = dense_labels.open_run(shutil.copytree(run.workdir, tmp_path / "run"))
    folder = tmp_path / "run" / "eval"
    (folder / "report.html").write_text("of an earlier one")
    again.evaluate(annotations=pictures.parent / "points.csv", pictures=pictures)
    assert (folder / "report_earlier.html").read_text() == "of an earlier one" and not (folder / "report.html").exists()
    assert "was of an earlier evaluation, and is called report_earlier.html now" in capsys.readouterr().out
    again.evaluate(report=True)  # without landmarks
    (folder / "report_earlier.html").unlink()
    assert (
        len(list((tmp_path / "run" / "tensorboard" / "eval").glob("events.*"))) == 1
    )  # nor are figures of earlier heads
    with_none = (folder / "report.html").read_text()
    again.evaluate(annotations=pictures.parent / "points.csv", pictures=pictures, report=True)
    assert (folder / "report_earlier.html").read_text() == with_none != (folder / "report.html").read_text()


def test_heads_are_kept_before_anything_is_drawn(run, pictures, tmp_path, monkeypatch):
    """A disk that is full of pictures does not cost what was fitted."""
    again = dense_labels.open_run(shutil.copytree(run.workdir, tmp_path / "run"))

    def write(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(run_pictures, "write", write)
    with pytest.raises(OSError, match="No space left"):
        again.evaluate(annotations=pictures.parent / "points.csv", pictures=pictures, heads="nearest")
    kept = kept_heads.newest(again.workdir)
    assert list(kept.heads) == ["nearest"] and len(kept.example_images) == 9
    assert kept.result == Result.load(tmp_path / "run" / "eval" / "result.json")


def test_heads_of_another_training_in_the_folder_are_not_used(run, pictures, tmp_path):
    """It ends at the same step, and its labels are others."""
    workdir = shutil.copytree(run.workdir, tmp_path / "run")
    shutil.rmtree(workdir / "checkpoints")
    changes = {**QUICK, "data.cache_dir": run.config.data.cache_dir, "train.seed": 7}
    again = dense_labels.train(str(pictures), workdir=workdir, **changes)
    assert again.step == run.step
    for use in (lambda: again.predict(pictures), lambda: again.export(tmp_path / "served")):
        with pytest.raises(ValueError, match="were fitted to the network of an earlier training there; evaluate"):
            use()
    again.evaluate(annotations=pictures.parent / "points.csv")
    assert len(again.predict(pictures))


def test_what_another_evaluation_has_kept_is_not_exported_as_ones_own(run, pictures, tmp_path):
    points = pictures.parent / "points.csv"
    again = dense_labels.open_run(shutil.copytree(run.workdir, tmp_path / "run"))
    again.evaluate(annotations=points, pictures=pictures)
    waits = pytest.raises(ValueError, match="eval: another evaluation is writing there; wait until it has ended")
    with files.held(tmp_path / "run" / "eval", "evaluation"), waits:
        again.evaluate(annotations=points, pictures=pictures)
    dense_labels.open_run(again.workdir).evaluate(annotations=points, pictures=pictures, heads="nearest")
    with pytest.raises(ValueError, match="another evaluation has kept its heads in .* since this one"):
        again.export(tmp_path / "served")


def test_heads_of_an_earlier_evaluation_are_told_where_the_last_one_had_none(run, pictures, tmp_path, capsys):
    again = dense_labels.open_run(shutil.copytree(run.workdir, tmp_path / "run"))
    assert again._kept() is not None and not capsys.readouterr().out
    again.evaluate(pictures=pictures)
    capsys.readouterr()
    best = again._kept().result.best
    said = f"note: the last evaluation had no landmarks: head {best} is of an earlier one, on "
    assert said in capsys.readouterr().out


def test_the_best_head_is_shown_in_pictures_that_it_was_not_fitted_to():
    source = types.SimpleNamespace(count=lambda split: 4)
    heads = {name: lambda labels: {"points": np.full([len(labels), 1, 2], 9.0)} for name in ("regress", "detector")}
    images, label = np.zeros([2, 6, 6, 3], np.float32), lambda images: np.zeros([len(images), 3, 3, 1], np.float32)
    four, spread, asked = np.arange(8.0).reshape([4, 1, 2]), [[0, 1], [4, 5]], [[9, 9]] * 2
    for best, split, known, shown in (
        ("regress", "annotated", four, spread),
        ("regress", "annotated", None, asked),
        ("regress", "annotated", np.zeros([3, 1, 2]), None),  # of some of them alone
        ("regress", "test", four, asked),  # whichever of the test pictures are shown: simulated ones are the first
        ("detector", "test", four, spread),
        ("detector", "test", None, None),
    ):
        subject = types.SimpleNamespace(source=source, split=split, labels=label)
        fitted = types.SimpleNamespace(best=best, heads=heads, best_points=known)
        found = run_pictures._head_points(subject, fitted, images)
        assert found is None if shown is None else found[:, 0].tolist() == shown


def test_heads_of_another_step_are_not_exported(run, tmp_path, monkeypatch):
    monkeypatch.setattr(dense_labels.Run, "step", property(lambda self: 7))
    with pytest.raises(ValueError, match="fitted at step 2 of the training, which is at step 7 now; evaluate the run"):
        dense_labels.open_run(run.workdir).export(tmp_path / "served")
    assert not (tmp_path / "served").exists()


@pytest.mark.parametrize("damage", ["heads.json", "nearest.npz", "examples.npz"])
def test_damaged_heads_say_what_to_do(run, tmp_path, damage):
    shutil.copytree(f"{run.workdir}/heads", tmp_path / "heads")
    (tmp_path / "heads" / "1" / damage).write_bytes(b"?")
    with pytest.raises(ValueError, match="heads/1 cannot be read .*; evaluate the run again"):
        kept_heads.newest(tmp_path)


def test_labels_are_those_of_the_network_and_have_their_stride(run):
    images = np.random.default_rng(0).uniform(size=[2, SIDE, SIDE, 3]).astype(np.float32)
    labels = run.labels(images)
    np.testing.assert_allclose(labels.values, run.network(images), atol=1e-5)
    assert labels.stride == 2 and labels.cells == (SIDE // 2, SIDE // 2) and labels.length == 3
    assert len(run.labels(np.uint8(255 * images[0]))) == 1  # one image, of whole numbers
    many = run.labels(np.tile(images, [50, 1, 1, 1]))  # more than a request may hold
    np.testing.assert_allclose(many.values[[0, -1]], labels.values, atol=1e-5)
    assert len(many) == 100


def test_a_match_is_in_pixels_of_b_as_it_was_given(run):
    a, b = (
        np.random.default_rng(n).integers(0, 256, [1, *size, 3], np.uint8)
        for n, size in enumerate([(40, 50), (90, 60)])
    )
    match = run.match(a, b)
    assert match.points_in_b.shape == (1, SIDE // 2, SIDE // 2, 2) and match.probability.shape == (1, 16, 16)
    assert (match.points_in_b >= 0).all() and (match.points_in_b <= [60, 90]).all()
    assert match.points_in_b[..., 1].max() > 60
    frame, (rows, columns) = run.frame, np.mgrid[:16, :16]  # the formula of `Run.labels`
    x = 50 / frame.full_size[1] * (frame.margin + (columns + 0.5) * run.stride)
    y = 40 / frame.full_size[0] * (frame.margin + (rows + 0.5) * run.stride)
    np.testing.assert_allclose(match.points_in_a[0], np.stack([x, y], axis=-1), rtol=1e-5)


@pytest.mark.parametrize(
    "images, said",
    [
        (np.zeros([4, 4]), r"must be \[N, H, W, 3\] or \[H, W, 3\]; found \[4, 4\]"),
        (np.full([8, 8, 3], 200.0), "floating point in .0, 1.; found float64 from 200.0 to 200.0"),
        (np.zeros([8, 8, 3], np.int64), "must be uint8"),
    ],
)
def test_images_that_could_be_misread_are_refused(run, images, said):
    with pytest.raises(ValueError, match=said):
        run.labels(images)


def test_images_larger_than_a_model_takes_are_refused(run):
    with pytest.raises(
        ValueError, match=r"images may have at most 25,000,000 pixels each; found shape \[1, 6000, 5000, 3\]: make them"
    ):
        run.labels(np.broadcast_to(np.uint8(0), [6000, 5000, 3]))


def test_threads_may_share_a_run_that_nothing_has_used_yet(run):
    again, images = dense_labels.open_run(run.workdir), np.zeros([1, 48, 64, 3], np.uint8)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        found = [each.values for each in threads.map(again.labels, [images] * 8)]
    for values in found:
        np.testing.assert_array_equal(values, run.labels(images).values)


def test_a_run_without_a_checkpoint_says_what_to_do(run, tmp_path):
    shutil.copy(f"{run.workdir}/config.json", tmp_path)
    begun = dense_labels.open_run(tmp_path)  # its network can be evaluated as it was before training
    picture = np.zeros([8, 8, 3], np.uint8)
    uses = (lambda: begun.step, begun.evaluate, lambda: begun.labels(picture), lambda: begun.export(tmp_path / "x"))
    for use in uses:
        with pytest.raises(ValueError, match="holds no checkpoint; train for at least one epoch first"):
            use()
    assert not (tmp_path / "x").exists() and not (tmp_path / "eval").exists()


def test_two_folders_of_pictures_are_refused(pictures, tmp_path):
    with pytest.raises(ValueError, match=rf"the pictures are in {pictures} or in data.dir=elsewhere; give one"):
        dense_labels.train(pictures, workdir=tmp_path / "run", **{"data.dir": "elsewhere"})
    assert not (tmp_path / "run").exists()


def test_an_override_that_has_no_effect_is_refused(pictures, tmp_path):
    with pytest.raises(ValueError, match="config.loss.tau2 has no effect in this run"):
        dense_labels.train(pictures, workdir=tmp_path / "run", **{**QUICK, "loss.tau2": 9.0})
    assert not (tmp_path / "run").exists()


def test_a_run_and_its_export_predict_alike(run, notebook, pictures, tmp_path):
    """And as the served model does that is sent the pictures."""
    found = run.predict(pictures, out=tmp_path / "run", formats=("csv", "sheet"), outliers=4)
    exported = dense_labels.load(notebook["served"]).predict(pictures, out=tmp_path / "exported")
    assert found.landmark_names == exported.landmark_names == tuple(drawn.NAMES)
    np.testing.assert_allclose(found.points, exported.points, atol=1e-2)
    np.testing.assert_allclose(found.expected_error, exported.expected_error, rtol=1e-3)
    np.testing.assert_allclose(found.likelihood, exported.likelihood, atol=1e-3)
    for name, points in list(zip(found.names, found.points))[:3]:
        sent = tf.image.decode_png((pictures / name).read_bytes())[tf.newaxis]
        np.testing.assert_allclose(notebook["model"].landmarks(sent)["points"][0], points, atol=0.05)
    assert (tmp_path / "run" / "sheet.png").exists() and (tmp_path / "run" / "outliers.png").exists()
    reasons = (tmp_path / "run" / "outliers.csv").read_text()
    assert "a shape unlike all that were annotated" in reasons and "heads disagree on" in reasons


def test_the_heads_of_a_later_evaluation_predict(run, pictures, tmp_path, undrawn):
    """Whoever made it: here in the same process, of landmarks with other names."""
    again = dense_labels.open_run(shutil.copytree(run.workdir, tmp_path / "again"))
    assert again.predict(pictures).landmark_names == tuple(drawn.NAMES)
    first = again._predictor
    assert again._predictor is first  # it is traced once
    renamed = (pictures.parent / "points.csv").read_text().replace(drawn.NAMES[0], "renamed")
    (tmp_path / "renamed.csv").write_text(renamed)
    again.evaluate(annotations=tmp_path / "renamed.csv", heads=("nearest",))
    assert again.predict(pictures).landmark_names == ("renamed", *drawn.NAMES[1:])
    early = dense_labels.open_run(again.workdir)
    early.restored = again.network, 0  # as of a process that had opened the run before it was trained on
    with pytest.raises(ValueError, match="which is at step 0 in this process; open the run again"):
        early.predict(pictures)
    image = np.zeros([1, SIDE, SIDE, 3], np.float32)
    np.testing.assert_allclose(again.labels(image).values, again.network(image), atol=1e-5)


def test_a_run_without_a_head_cannot_predict(run, tmp_path, pictures):
    bare = shutil.copytree(run.workdir, tmp_path / "bare", ignore=shutil.ignore_patterns("heads"))
    with pytest.raises(ValueError, match="has no landmark head; evaluate it with annotations first"):
        dense_labels.open_run(bare).predict(pictures)
    with pytest.raises(ValueError, match="holds no exported model; give the folder that an export wrote"):
        dense_labels.load(tmp_path)


def test_the_command_writes_a_page_to_annotate_in(run, pictures, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["eval_main.py"])
    evaluated.evaluate(run.workdir, annotate=2)
    said = capsys.readouterr().out
    assert f"annotate 2 pictures in a browser: {run.workdir}/annotate/annotate.html" in said
    assert f"then: {progress.python()} eval_main.py --workdir={run.workdir} --annotations=DOWNLOADED.csv" in said
    refused = evaluated.refusal(run.workdir, annotate=2, few_shot=["1"])
    assert refused == "--annotate does not evaluate: leave out --few_shot"
    assert "suggest=coco needs annotations" in evaluated.refusal(run.workdir, annotate=2, suggest=["coco"])
    assert "such as --annotate=20; --suggest needs --annotate too" in evaluated.refusal(run.workdir, suggest=["coco"])


def test_a_page_goes_on_with_earlier_annotations_and_suggests_in_other_formats(run, pictures):
    lines = (pictures.parent / "points.csv").read_text().splitlines()
    (pictures.parent / "few.csv").write_text("\n".join(lines[:3]))
    page = run.annotate(2, annotations=pictures.parent / "few.csv", suggest="csv")
    assert f'"name":"{lines[1].split(",")[0]}"' in pathlib.Path(page).read_text("utf-8")
    suggested = pathlib.Path(run.workdir, "annotate", "points.csv").read_text("utf-8").splitlines()
    assert suggested[0] == lines[0] and len(suggested) == 3
    assert not {line.split(",")[0] for line in suggested[1:]} & {line.split(",")[0] for line in lines[:3]}
