"""A run of sparse landmarks: trained, evaluated, kept and exported; what needs labels is left out, or refused."""

import json

import numpy as np
import pytest
import tensorflow as tf

import dense_labels
from dense_labels import kept_heads
from dense_labels.method import sparse_landmarks
from tests import drawn

SIDE, COUNT = 32, 5
QUICK = {
    "model.name": "sparse",
    "model.label_size": COUNT,
    "loss.name": "sparse",
    "eval.heads": ("regress_own",),
    "data.size": (SIDE, SIDE),
    "train.num_epochs": 1,
    "train.steps_per_epoch": 3,
    "train.warmup_steps": 0,
    "train.batch_size": 2,
    "train.precision": "float32",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on drawn faces, evaluated with a page and few-shot errors, and exported."""
    out = tmp_path_factory.mktemp("sparse")
    drawn.write_csv(out / "points.csv", drawn.faces(out / "pictures", side=SIDE))
    run = dense_labels.train(out / "pictures", workdir=out / "run", **QUICK, **{"data.cache_dir": out / "cache"})
    run.evaluate(out / "points.csv", few_shot=(1, 3), report=True)
    run.export(out / "served")
    return run


@pytest.fixture
def out(run, tmp_path_factory):
    return tmp_path_factory.getbasetemp() / "sparse0"


def test_it_measures_landmarks_and_matches_nothing(run, out):
    result = json.loads((out / "run/eval/result.json").read_text())
    assert result["best"] == "regress_own" and result["metrics"]["regress_own_error_percent"] > 0
    assert not [name for name in result["metrics"] if name.startswith(("matching", "cycle", "border"))]
    assert {int(count) for count in result["few_shot_error_percent"]["regress_own"]} == {1, 3}


def test_its_pictures_and_its_page_show_landmarks_and_no_labels(run, out):
    pictures = {path.stem for path in (out / "run/eval").glob("*.png")}
    assert pictures == {"own_landmarks", "landmarks", "worst_landmarks", "pairs", "curves"}
    page = (out / "run/eval/report.html").read_text()
    assert "Landmarks of the network" in page and f"heat maps of {COUNT} landmarks" in page and "<script" not in page
    assert "Training: data set folder; network " in page  # not that of the annotations, a CSV file
    assert not list((out / "run/tensorboard/eval").glob("labels*"))  # of the projector


def test_the_served_model_answers_landmarks_and_matches_nothing(run, out):
    card = json.loads((out / "served/1/assets/model_card.json").read_text())
    assert {signature["function"] for signature in card["signatures"].values()} == {"labels", "landmarks", "describe"}
    assert card["note"].startswith("labels are responses of landmarks that the network finds by itself")
    image = np.asarray(drawn.face(1, SIDE)[0])[np.newaxis]
    model = tf.saved_model.load(str(out / "served/1"))
    served = model.landmarks(image)
    predicted = run.predict([out / "pictures/01.png"])
    np.testing.assert_allclose(served["points"], predicted.points, atol=0.01)
    assert served["expected_error"].shape == [1, 3]  # calibrated, as other heads are


def test_the_head_that_was_kept_reads_the_networks_landmarks(run):
    again = dense_labels.open_run(run.workdir)
    heat_maps = again.labels(np.asarray(drawn.face(1, SIDE)[0]))
    assert heat_maps.values.shape == (1, SIDE // 2, SIDE // 2, COUNT)
    own = (sparse_landmarks.landmarks(tf.constant(heat_maps.values), 2).numpy() - SIDE / 2) / (SIDE / 2)
    kept = kept_heads.newest(run.workdir).best
    expected = own.reshape([1, -1]) @ kept.matrices.numpy()  # [K, 1, 2]
    np.testing.assert_allclose(kept(heat_maps.values)["points"][0], expected[:, 0] * SIDE / 2 + SIDE / 2, atol=1e-3)


def test_what_needs_labels_is_refused_in_a_line(run, out):
    image = np.zeros([SIDE, SIDE, 3], np.uint8)
    with pytest.raises(
        ValueError, match=r"run has landmarks of its own and no labels: nothing can be matched by them$"
    ):
        run.match(image, image)
    with pytest.raises(ValueError, match=r"has landmarks of its own and no labels, .*; annotate with a run that has$"):
        run.annotate(2)
    with pytest.raises(ValueError, match=r"config\.loss\.name='dist': compares labels"):
        dense_labels.train(out / "pictures", workdir=out / "other", **{"model.name": "sparse"})
