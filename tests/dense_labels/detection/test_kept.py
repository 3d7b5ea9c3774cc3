"""Tests of what is kept while detectors are fitted: a fit that is stopped goes on, and ends as one that was not."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.config import ViewsConfig
from dense_labels.detection import fitting, kept, pile, views
from dense_labels.registry import Entry
from models import pyramids
from models.detectors import Detector, HeatMaps
from tests.models import labelled

SIZE, STEPS = (32, 48), 7


@pytest.fixture(scope="module")
def dots():
    """Ten dark images with a bright dot, whose centre is the only landmark."""
    return labelled.squares(10, SIZE, [12, 8], [36, 24])


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Settings of detectors with a small network, whose state is kept every second step."""

    def create(count, size, *, seed, exchanged=(), **_):
        layers = [
            tf.keras.Input([None, None, 3]),
            tf.keras.layers.Conv2D(pyramids.CHANNELS, 4, strides=4, use_bias=False),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.ReLU(),
        ]
        return Detector(tf.keras.Sequential(layers), HeatMaps(count, seed=seed), size, frozen_norms=False)

    monkeypatch.setattr(Detector, "create", create)
    monkeypatch.setattr(fitting, "_KEPT_EVERY", 2)
    return fitting.Settings(ViewsConfig(), "none", seed=3, steps=STEPS, kept_in=tmp_path / "kept")


def stop_after(monkeypatch, part, times=1):
    """Stops the process, as it were, once a part has been kept so often."""
    write, left = kept.Kept.write, [times]

    def written(self, name, arrays):
        write(self, name, arrays)
        left[0] -= name == part
        if not left[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(kept.Kept, "write", written)


def starts(monkeypatch):
    """Lists the steps that trainings begin with."""
    batches, found = views.batches, []

    def begun(*args, start, **options):
        found.append(start)
        return batches(*args, start=start, **options)

    monkeypatch.setattr(views, "batches", begun)
    return found


def parts(folder):
    return sorted(path.stem.partition("_")[2] for path in folder.iterdir())


def assert_same(detector, other):
    first, second = detector.state(), other.state()
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_fit_that_is_stopped_goes_on_and_ends_as_one_that_was_not(dots, settings, monkeypatch, capsys):
    whole = fitting.fit(dots, dataclasses.replace(settings, kept_in=None))
    assert not settings.kept_in.exists()
    begun = starts(monkeypatch)
    with monkeypatch.context() as patch:
        stop_after(patch, "training", times=2)
        with pytest.raises(KeyboardInterrupt):
            fitting.fit(dots, settings)
    assert parts(settings.kept_in) == ["training"]
    assert_same(fitting.fit(dots, settings), whole)
    assert begun == [0, 4] and parts(settings.kept_in) == ["detector"]
    assert "Training a detector: goes on after 4 of 7 steps\n" in capsys.readouterr().out
    assert_same(fitting.fit(dots, settings), whole)
    assert begun == [0, 4]
    assert "Training a detector: an evaluation that was stopped had done it; its detector is taken\n" in (
        capsys.readouterr().out
    )


def test_a_second_detector_goes_on_without_locating_the_landmarks_again(dots, settings, monkeypatch):
    known, others = dots.take(np.arange(4)), dots.labels.values[4:]
    first = fitting.fit(known, settings)
    whole = fitting.fit_with_pile(known, others, first, dataclasses.replace(settings, kept_in=None))
    with monkeypatch.context() as patch:
        stop_after(patch, "training")
        with pytest.raises(KeyboardInterrupt):
            fitting.fit_with_pile(known, others, first, settings)
    assert parts(settings.kept_in) == ["detector", "found", "training"]
    begun = starts(monkeypatch)
    monkeypatch.setattr(pile, "taught", lambda *_: pytest.fail("they were located before"))
    again = fitting.fit(known, settings)
    assert_same(fitting.fit_with_pile(known, others, again, settings), whole)
    assert begun == [2] and parts(settings.kept_in) == ["detector", "detector"]


def test_all_that_determines_a_detector_is_in_its_name(dots, settings, tmp_path, monkeypatch):
    weights = tmp_path / "weights.h5"
    weights.write_bytes(b"1")
    settings = dataclasses.replace(settings, weights=str(weights))
    pixels, moved = dots.take(np.arange(10)), dots.take(np.arange(10))
    pixels.labels.values[9, 0, 0, 0] += 1
    moved.landmarks[0, 0, 0] += 0.5

    def name(known=dots, *others, **changes):
        return fitting._kept(known, dataclasses.replace(settings, **changes), *others)._path("detector").name

    brighter = dataclasses.replace(settings.views, brightness=0.5)
    changed = [{"seed": 4}, {"steps": 8}, {"views": brighter}, {"flip_pairs": ((0, 1),)}, {"all_round": True}]
    changed += [{"upside_down": True}, {"times": 2}]
    names = [name(), name(pixels), name(moved), name(dots, dots.labels.values)] + [name(**each) for each in changed]
    assert len(set(names)) == len(names) and name() == name(kept_in=str(tmp_path)) == names[0]
    weights.write_bytes(b"2")
    assert name() not in names
    (tmp_path / "moved.h5").write_bytes(b"1")
    assert name(weights=str(tmp_path / "moved.h5")) == names[0]
    monkeypatch.setattr(fitting, "RECIPE", fitting.RECIPE + 1)
    assert name(weights=str(tmp_path / "moved.h5")) not in names


def keep(folder, number):
    return kept.Kept(folder, {"number": number}, [np.arange(3.0), np.array(5)])


def test_what_is_kept_is_read_back_by_who_asks_for_the_same(tmp_path, capsys):
    keep(tmp_path / "new", 1).write("part", {"a": np.arange(4), "b": 2.5})
    found = keep(tmp_path / "new", 1).read("part", lambda arrays: arrays)
    assert found.keys() == {"a", "b"} and found["a"].tolist() == [0, 1, 2, 3] and found["b"] == 2.5
    assert keep(tmp_path / "new", 2).read("part", dict) is keep(tmp_path / "new", 1).read("other", dict) is None
    keep(tmp_path / "new", 1).remove("part")
    assert keep(tmp_path / "new", 1).read("part", dict) is None and capsys.readouterr().out == ""


def test_without_a_folder_nothing_is_kept():
    nothing = keep(None, 1)
    nothing.write("part", {"a": np.arange(4)})
    assert nothing.read("part", dict) is None
    nothing.remove("part")


@pytest.mark.parametrize("what", ["changed", "cut off", "empty", "of another", "not arrays"])
def test_a_file_that_is_damaged_or_of_another_detector_is_not_used(tmp_path, capsys, what):
    for number in (1, 2):
        keep(tmp_path, number).write("part", {"a": np.full(1000, number)})
    path, other = (keep(tmp_path, number)._path("part") for number in (1, 2))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = {"changed": content, "cut off": content[:700], "empty": b"", "of another": other.read_bytes()}
    path.write_bytes(damaged.get(what, b"not arrays"))
    assert keep(tmp_path, 1).read("part", dict) is None
    assert capsys.readouterr().out.startswith(f"note: {path} is not used, for it cannot be read (")
    assert keep(tmp_path, 2).read("part", dict)["a"][0] == 2


def test_a_state_of_another_network_changes_nothing():
    variables = [tf.Variable([1.0, 2.0]), tf.Variable(3.0)]
    arrays = {"variable_0000": np.zeros(2), "variable_0001": np.zeros(2), "step": np.array(5)}
    with pytest.raises(ValueError, match="^it is of another network$"):
        fitting._resumed(variables, arrays)
    assert variables[0].numpy().tolist() == [1.0, 2.0] and variables[1].numpy() == 3.0


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_resuming(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    keep(tmp_path / "file", 1).write("part", {"a": 1})
    said = capsys.readouterr().out
    assert said.startswith("note: ") and "cannot be written, so that a training that is stopped loses more (" in said


def test_a_colour_of_ones_own_is_told_by_what_its_file_holds(dots, settings, tmp_path, monkeypatch):
    file = tmp_path / "mine.py"
    settings = dataclasses.replace(settings, views=ViewsConfig(colour="mine"))

    def name(of):
        entry = Entry("mine", "of a test", print, file=of)
        monkeypatch.setattr(fitting, "COLOURS", {"mine": entry})
        return fitting._kept(dots, settings)._path("detector")

    found = []
    for content in ("a = 1", "a = 2", "a = 1"):
        file.write_text(content)
        found.append(name(str(file)))
    assert found[0] == found[2] != found[1]
    assert name("") is None  # it was typed in, and may be another function today
