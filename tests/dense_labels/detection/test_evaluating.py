"""A detector from annotations to predictions: fitted and measured beside other heads, kept, exported, used."""

import dataclasses
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import dense_labels
from dense_labels import kept_heads, run_config
from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.detection import choosing, evaluating, fitting, pile, sizes
from dense_labels.evaluation import landmarks, measuring, sides
from tests import drawn
from tests.dense_labels.test_run import QUICK

SIDE, COUNT = 48, 12


@pytest.fixture(scope="module")
def run(tmp_path_factory, undrawn):
    """A run whose network lacks a margin of the pictures; points.csv and test.csv beside it have half of them each."""
    out = tmp_path_factory.mktemp("detector")
    points = list(drawn.faces(out / "pictures", side=SIDE, count=COUNT).items())
    drawn.write_csv(out / "points.csv", dict(points[: COUNT // 2]))
    drawn.write_csv(out / "test.csv", dict(points[COUNT // 2 :]))
    data = {"data.size": (36, 36), "data.crop": 2, "data.cache_dir": out / "cache", "views.flip": True}
    return dense_labels.train(str(out / "pictures"), workdir=out / "run", **{**QUICK, **data})


def annotations(run):
    out = run.workdir.removesuffix("/run")
    return {"annotations": f"{out}/points.csv", "annotations_test": f"{out}/test.csv", "weights": "none"}


class Red:
    """Finds every landmark in the middle of what is red, which the mouths of the drawn faces are."""

    def __call__(self, images):
        red, green, blue = tf.unstack(tf.cast(images, tf.float32), axis=-1)
        mouth = tf.cast((red > 140) & (green < 90) & (blue < 90), tf.float32)
        x, y = (tf.range(side, dtype=tf.float32) + 0.5 for side in images.shape[2:0:-1])
        middle = tf.stack(
            [tf.reduce_sum(mouth * x, axis=[1, 2]), tf.reduce_sum(mouth * y[:, tf.newaxis], axis=[1, 2])], axis=-1
        )
        points = tf.repeat((middle / tf.reduce_sum(mouth, axis=[1, 2])[:, tf.newaxis])[:, tf.newaxis], 3, axis=1)
        return {"points": points, "score": tf.ones_like(points[..., 0])}

    def state(self):
        return {}

    def looking_once(self):
        return self


def test_it_is_measured_beside_other_heads_on_the_same_pictures(run, monkeypatch, capsys):
    seen, piles, kept = [], [], {}
    unfinished = kept_heads.unfinished(run.workdir)

    def fit(images, settings):
        settings.kept_in.mkdir(parents=True, exist_ok=True)
        seen.append((images, settings))
        return Red()

    def save(workdir, heads, labels):
        assert unfinished.exists()  # should it fail, all of this is not lost
        kept.update(heads.calibrations)

    monkeypatch.setattr(kept_heads, "save", save)
    monkeypatch.setattr(choosing, "_PLENTY", 2)
    monkeypatch.setattr(fitting, "fit", fit)
    monkeypatch.setattr(fitting, "fit_with_pile", lambda images, pile, first, _: piles.append(len(pile)) or first)
    result = run.evaluate(heads=("nearest", "detector"), few_shot=2, **annotations(run))
    said = "heads on labels are fitted to more: warped views and mirror images, which exchange left_eye and right_eye; "
    assert said in capsys.readouterr().out
    assert result.landmark_error_percent["detector"][2] < 8 < 50 < result.landmark_error_percent["detector"][0]
    assert {"detector", "subpixel", "mean_shape"} <= result.landmark_error_percent.keys()
    assert len(result.few_shot_error_percent["detector"][2]) == 3
    (known, settings), counts = seen[0], [len(images) for images, _ in seen]
    assert counts == [4, 6, 2, 2, 2]  # those not held out, all, and the draws
    assert known.labels.values.dtype == np.uint8 and known.labels.cells == (2 * SIDE, 2 * SIDE)  # whole, and enlarged
    assert settings.flip_pairs == ((0, 1),) and settings.kept_in == unfinished and not unfinished.exists()
    assert piles == [0, 0, 4, 4, 4]  # none that is measured on: no test picture, of the draws no other annotated one
    assert set(kept) == {"nearest", "detector"}
    error = np.exp(kept["detector"]["expected"][:, 0])  # in pixels of what it sees, of two pictures held out
    assert error[2] < min(error[:2]) and kept["detector"]["expected"].shape == (3, 4)


class Off(Red):
    """As `Red`, so many pixels off."""

    def __init__(self, off):
        self.off = off

    def __call__(self, images):
        found = super().__call__(images)
        return {**found, "points": found["points"] + self.off}

    def looking_once(self):
        return Off(self.off + 2.0)


OF_TWO = {  # with test pictures two of the annotated are held out, and what they say of these may be chance
    (5.0, 9.0): ("as it is", 9.0),
    (5.0, 0.0): ("without the pile", 5.0),
    (9.0, -9.0): ("as it is", -9.0),
    (-9.0, 9.0): ("without the pile", -9.0),
}


@pytest.mark.parametrize("test", [True, False])
@pytest.mark.parametrize(
    "alone, taught, plenty, kept, off",
    [
        (5.0, 9.0, 0, "without the pile", 5.0),
        (5.0, 5.0, 0, "as it is", 5.0),
        (5.0, 5.0, 50, "without the pile", 5.0),
        (5.0, 5.0, 0.5, "as it is", 5.0),
        (5.0, 0.0, 50, "as it is", 0.0),
        (9.0, -9.0, 0, "without the second look", -7.0),
        (-9.0, 9.0, 50, "without either", -7.0),
    ],
)
def test_a_detector_is_kept_with_what_it_is_better_with(
    run, monkeypatch, tmp_path, capsys, alone, taught, plenty, kept, off, test
):
    """Every landmark is found at the mouth, but for so many pixels, to which a single look adds two."""
    if test:
        kept, off = OF_TWO.get((alone, taught), (kept, off))
    made, heads, given, few = [], [], annotations(run), tmp_path / "few.csv"
    of, rows = ("annotations_test", 3) if test else ("annotations", 5)  # the pictures of the others are the pile
    few.write_text("".join(f"{line}\n" for line in pathlib.Path(given[of]).read_text().splitlines()[: 1 + rows]))
    given = {**given, of: few} if test else {of: few, "weights": "none"}
    monkeypatch.setattr(fitting, "fit", lambda images, _: made.append("alone") or Off(alone))
    monkeypatch.setattr(fitting, "fit_with_pile", lambda *_: made.append("taught") or Off(taught))
    monkeypatch.setattr(kept_heads, "save", lambda workdir, each, labels: heads.append(each.heads))
    monkeypatch.setattr(choosing, "_PLENTY", plenty)  # a pile of 50 times as many is not there
    result = run.evaluate(heads="detector", pictures=run.config.data.dir, **given)
    assert f"; this one is kept {kept}\n" in capsys.readouterr().out
    assert set(heads[0]) == {"detector"} and heads[0]["detector"].off == off
    assert set(result.landmark_error_percent) == {"mean_shape", "detector"}
    assert ("chosen" in result.protocol) == (not test and alone != taught)  # its error is the least of several
    held_out = 1 if test else 3  # parts
    assert made.count("alone") == held_out + 1 and made.count("taught") == held_out + (
        "pile" not in kept and "either" not in kept  # none is fitted twice, and none to all that is not kept
    )


@pytest.mark.parametrize(
    "shown, extent, seen",
    [
        ((256, 256), 0.8, (256, 256)),
        ((128, 128), 0.5, (256, 256)),
        ((48, 40), 0.8, (96, 80)),
        ((388, 512), 0.5, (192, 256)),
        ((5, 9), 0.8, (32, 32)),
        ((384, 512), 0.25, (288, 384)),  # 96 pixels across
        ((384, 512), 0.01, (384, 512)),
        ((128, 128), 0.1, (256, 256)),  # twice their own
        ((384, 512), float("nan"), (192, 256)),
    ],
)
def test_pictures_are_seen_at_256_pixels_unless_they_or_objects_are_small(shown, extent, seen):
    assert sizes.input_size(shown, extent) == seen


@pytest.mark.parametrize("pile, learned", [(0, []), (3, [3])])
def test_so_much_of_the_pile_is_seen_as_is_asked_for(run, monkeypatch, pile, learned):
    seen = []
    monkeypatch.setattr(fitting, "fit", lambda *_: Red())
    monkeypatch.setattr(fitting, "fit_with_pile", lambda images, pile, first, _: seen.append(len(pile)) or first)
    monkeypatch.setattr(
        evaluating.Fitting, "fit", lambda self, *_: self._taught_without([])(self.known.take([])) and 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        run.evaluate(heads="detector", pile=pile, **annotations(run))
    assert seen == learned


def test_a_detector_is_measured_with_and_without_its_parts_on_one_fit(run, monkeypatch):
    seen, taught, measured = [], [], []
    monkeypatch.setattr(fitting, "fit", lambda images, _: seen.append(len(images)) or Off(5.0))
    monkeypatch.setattr(fitting, "fit_with_pile", lambda *_: taught.append(1) or Off(0.0))
    figure = lambda points, images: (len(images), measuring.mean_percent(points, images))  # noqa: E731
    for options in ({}, {"measure": figure}):
        ablated = lambda self, *_, options=options: measured.append(self.ablated(3, 0, **options)) or 1 / 0  # noqa: E731
        monkeypatch.setattr(evaluating.Fitting, "fit", ablated)
        with pytest.raises(ZeroDivisionError):
            run.evaluate(heads="detector", **annotations(run))
    assert seen == [3, 3] and taught == [1, 1]
    plain, both = measured
    assert list(plain) == ["", "without_pile", "without_second_look", "without_either"]
    assert plain[""] < plain["without_second_look"] < plain["without_pile"] < plain["without_either"]
    assert {name: error for name, (_, error) in both.items()} == plain and all(
        images > 1 for images, _ in both.values()
    )


@pytest.mark.parametrize(
    "pictures, count, times",
    [
        ((480, 632), 58, 2),
        ((480, 340), 58, 2),
        ((256, 256), 4000, 1),
        ((128, 128), 10, 1),  # are enlarged
        ((2000, 3000), 900, 2),
        ((2000, 3000), 1000, 1),  # twice would be 590 MB
        ((2000, 3000), 0, 2),
    ],
)
def test_a_second_look_sees_what_detail_pictures_have_and_memory_holds(pictures, count, times):
    assert sizes.detail_times((192, 256), pictures, count) == times


@pytest.mark.parametrize("turned, said", [(False, ""), (True, "turned by any angle, for objects lie any way round")])
def test_what_is_said_of_views_is_said_of_all_annotated_pictures(turned, said, capsys):
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False) * turned
    places = np.float32([[[0, 0], [9 * np.cos(a), 9 * np.sin(a)], [-4 * np.sin(a), 4 * np.cos(a)]] for a in angles])
    ones = np.ones([12, 3], np.float32)
    known = LabelledLandmarks(
        LabelMap(np.zeros([12, 4, 4, 3]), 1), places, ones, ones[:, :2], ones[:, 0], np.arange(12)
    )
    evaluating._say_how_objects_lie(known, ())
    words = f"views of all annotated pictures are {said}; a detector of some of them decides by these\n"
    assert capsys.readouterr().out == (words if said else "")


def heads_in_turns(name, folds, rare):
    """Heads of one kind, measured in turns on twelve images; a second landmark is annotated in some of them alone."""
    places = np.float32(np.random.default_rng(0).uniform(5, 20, [12, 2, 2]))
    annotated, ones = np.ones([12, 2], np.float32), np.ones([12, 2], np.float32)
    annotated[:, 1] = np.isin(np.arange(12), rare)
    images = LabelMap(np.zeros([12, 4, 4, 3], np.float32), 1)
    known = LabelledLandmarks(images, places, annotated, ones, 10 * ones[:, 0], np.arange(12))

    def fit(images):
        return lambda shown: {"points": tf.zeros([len(shown), 2, 2]), "score": tf.ones([len(shown), 2])}

    fit.takes_all = True
    return landmarks.fit_heads({name: fit}, known, None, batch_size=4, folds=folds)


@pytest.mark.parametrize("rare, left", [((0, 3), []), ((0, 1), [0, 1]), (range(12), range(12))])
def test_what_the_parts_of_one_kind_of_head_lack_is_measured_of_none(rare, left):
    """Of three parts the first has images 0 and 3, of five none has both."""
    first, second = heads_in_turns("regress", 5, rare), heads_in_turns("detector", 3, rare)
    both = evaluating.together(first, second, ("regress", "detector"))
    assert np.flatnonzero(both.measured_on.annotated[:, 1]).tolist() == list(left)
    assert first.measured_on.annotated[:, 1].sum() == len(rare)
    figures = measuring.measure(both.predicted, both.measured_on, "picture width")["metrics"]
    assert np.isfinite([*figures.values()]).all()
    assert figures["detector_error_percent"] == figures["regress_error_percent"]
    np.testing.assert_array_equal(both.predicted["mean_shape"], first.predicted["mean_shape"])


def test_heads_of_both_kinds_are_compared_on_what_both_were_measured_on():
    """A rare landmark that one kind of them alone was measured on decides nothing."""
    first, second = heads_in_turns("regress", 5, (0, 1)), heads_in_turns("detector", 3, (0, 3))
    shared = first.measured_on.annotated * second.measured_on.annotated
    assert first.measured_on.annotated[:, 1].any() and not shared[:, 1].any()
    places = first.measured_on.landmarks

    def off(by, rare):  # pixels that points are off, and those of the rare landmark
        return places + np.float32([[[by, 0], [rare, 0]]])

    found = [{"regress": off(1, 9)}, {"detector": off(2, 0)}]
    first, second = (
        dataclasses.replace(
            each, points=points, errors={n: measuring.mean_percent(p, each.measured_on) for n, p in points.items()}
        )
        for each, points in zip((first, second), found)
    )
    assert second.errors["detector"] < first.errors["regress"]
    both = evaluating.together(first, second, ("regress", "detector"))
    assert both.best == "regress" and both.errors == pytest.approx({"regress": 10.0, "detector": 20.0})
    np.testing.assert_array_equal(both.best_points, found[0]["regress"])
    alike = evaluating.together(second, dataclasses.replace(second, errors={"detector": 7.0}), ("detector",))
    assert alike.errors == {"detector": 7.0}  # on the same landmarks they are as they were


@pytest.mark.parametrize("heads", [("detector", "nearest", "regress"), ("nearest", "regress", "detector")])
def test_of_four_annotated_pictures_the_detector_is_exported_wherever_it_is_named(
    run, monkeypatch, tmp_path, capsys, heads
):
    table = pathlib.Path(annotations(run)["annotations"]).read_text().splitlines()
    (tmp_path / "few.csv").write_text("\n".join(table[:5]))
    monkeypatch.setattr(kept_heads, "save", lambda *_: None)
    monkeypatch.setattr(fitting, "fit", lambda *_: Red())
    monkeypatch.setattr(fitting, "fit_with_pile", lambda images, pile, first, _: first)
    result = run.evaluate(str(tmp_path / "few.csv"), heads=heads, weights="none")
    assert result.best == "detector" and result.protocol["head_images"] == 4
    assert (
        "fewer than 5 annotated pictures are too few to compare heads on: detector is the one to export, for of so few "
        "its kind erred least on wings\n"
    ) in capsys.readouterr().out


def test_pictures_of_the_training_that_are_gone_are_said(run, tmp_path, capsys):
    """With what helps, which it does: an ended run keeps where its pictures are now, and its weights."""
    workdir, pictures = tmp_path / "run", tmp_path / "moved"
    shutil.copytree(run.workdir, workdir)
    shutil.copytree(run.config.data.dir, pictures)
    config = run_config.load(workdir)
    config.data.dir = str(tmp_path / "gone")
    run_config.save(config, workdir)
    assert evaluating._read_pile(config, (SIDE, SIDE), 9, (), boxed=False) is None
    said = capsys.readouterr().out
    assert "note: the pictures of the training cannot be read: a detector sees annotated ones alone (" in said
    assert (
        "the command of the training once more with --config.data.dir=NEW: a run that has ended is not trained" in said
    )
    config.data.dir = str(pictures)
    again = dense_labels.train(config, workdir=workdir)
    assert f"{workdir}: already trained for 1 epochs" in capsys.readouterr().out
    assert again.step == run.step
    for old, new in zip(run.network.get_weights(), again.network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    pile = evaluating._read_pile(run_config.load(workdir), (SIDE, SIDE), COUNT, (), boxed=False)
    assert {path for path, _ in pile.origins} == {str(path) for path in pictures.iterdir()}


def test_a_pile_of_whole_pictures_is_not_for_boxes(run, capsys):
    assert evaluating._read_pile(run.config, (SIDE, SIDE), 9, (), boxed=True) is None
    assert "note: the training saw whole pictures, boxes are annotated: " in capsys.readouterr().out
    pile = evaluating._read_pile(run.config, (SIDE, SIDE), 9, (), boxed=False)
    assert len(pile.images) == len(pile.origins) == 9
    assert isinstance(pile.images, np.memmap) and pile.images.dtype == np.uint8  # no copy of the pixels is held
    part = pile.without(pile.origins[:3]).images
    assert part._arrays[0].base is pile.images.base is not None and type(part[:2]) is np.ndarray
    for image, (path, _) in zip(pile.images, pile.origins):
        np.testing.assert_array_equal(image, Image.open(path))
    capsys.readouterr()
    others = evaluating._read_pile(run.config, (SIDE, SIDE), 9, pile.origins, boxed=False)
    assert len(others.without(pile.origins).images) == COUNT - 9  # first those that are not seen
    assert "learns from 3 images of the training too; it never sees one that it is" in capsys.readouterr().out
    evaluating._read_pile(run.config, (SIDE, SIDE), 99, others.origins + pile.origins, boxed=False)
    assert "a detector of all annotated pictures sees no others" in capsys.readouterr().out


def test_a_training_without_still_pictures_has_no_pile(run, capsys):
    config = dense_labels.open_run(run.workdir).config
    config.data.name = "video"
    assert evaluating._read_pile(config, (SIDE, SIDE), 9, (), boxed=False) is None
    assert "note: the training was on video: a detector sees annotated pictures alone" in capsys.readouterr().out


def test_a_pile_is_for_a_detector(run):
    with pytest.raises(ValueError, match="^pile=0: is for the head detector; fit it, or leave pile out$"):
        run.evaluate(heads="nearest", pile=0)


def test_it_predicts_from_the_run_and_from_the_export_alike(run, tmp_path, monkeypatch):
    together, seen = evaluating.together, []
    monkeypatch.setattr(sizes, "detail_times", lambda *_: 2)
    monkeypatch.setattr(sides, "exchanged", lambda *_: [1, 2, 0])  # or a mouth is as likely on both sides
    fit, read = fitting.fit, pile.read
    monkeypatch.setattr(
        fitting, "fit", lambda images, settings: seen.append(images.labels.cells) or fit(images, settings)
    )
    monkeypatch.setattr(pile, "read", lambda _, size, *rest: seen.append(size) or read(_, size, *rest))
    monkeypatch.setattr(fitting, "steps_for", lambda images: 4)
    monkeypatch.setattr(evaluating, "together", lambda *heads: dataclasses.replace(together(*heads), best="detector"))
    run.evaluate(heads=("nearest", "detector"), **annotations(run))
    of_run = dense_labels.open_run(run.workdir).predict(run.config.data.dir)
    of_export = dense_labels.load(run.export(tmp_path / "served")).predict(run.config.data.dir)
    assert of_run.points.shape == (COUNT, 3, 2) and (of_run.points > 0).all() and (of_run.points < SIDE).all()
    assert {seen[0]} == {(2 * SIDE, 2 * SIDE)} and set(seen[1:]) == {(4 * SIDE, 4 * SIDE)}
    np.testing.assert_allclose(of_run.points, of_export.points, atol=0.02)
    np.testing.assert_allclose(of_run.score, of_export.score, atol=1e-3)
    np.testing.assert_allclose(of_run.expected_error, of_export.expected_error, rtol=1e-2)
    assert of_run.likelihood.shape == of_export.likelihood.shape == (COUNT, 3)


def test_weights_that_are_not_there_are_named(run, tmp_path):
    with pytest.raises(ValueError, match="weights=.*gone.h5: there is no such file"):
        run.evaluate(heads="detector", **{**annotations(run), "weights": tmp_path / "gone.h5"})
