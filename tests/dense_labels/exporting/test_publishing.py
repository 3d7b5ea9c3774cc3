"""How an export is written: whole, checked and versioned, or not at all."""

import errno
import json
import os
import re
import shutil
import threading

import numpy as np
import pytest
import tensorflow as tf

from dense_labels import files
from dense_labels.batches import Frame, Limits
from dense_labels.exporting import model_card, saved_model
from dense_labels.method import geometry, matching
from tests.colours import FRAME, SIZE, STRIDE, publish, smooth_images

QUICK = {"verified": False, "only": ("labels_float",)}


def test_a_model_that_needs_python_is_not_published(colour_network, tmp_path):
    def head(labels):
        found = tf.py_function(lambda values: values[:, 0, :1, :2], [labels], tf.float32)
        return {"points": tf.ensure_shape(found, [None, 1, 2]), "score": tf.ones([1, 1])}

    with pytest.raises(RuntimeError, match="nothing exported: no TensorFlow server has the operations EagerPyFunc$"):
        publish(colour_network, head, tmp_path / "out", only=("landmarks_float",))
    assert not (tmp_path / "out").exists()


def test_a_version_is_one_above_the_highest_and_readable_by_a_server(colour_network, tmp_path):
    for name in ("3", "10", "notes", "2.5", ".hidden"):
        (tmp_path / name).mkdir()
    path = publish(colour_network, None, tmp_path, **QUICK)
    assert path == tmp_path / "11"
    assert path.stat().st_mode == (tmp_path / "3").stat().st_mode
    assert publish(colour_network, None, str(tmp_path), **QUICK) == tmp_path / "12"
    kept = {"3", "10", "notes", "2.5", ".hidden"}
    assert {entry.name for entry in tmp_path.iterdir()} == {*kept, "11", "12", ".last_version"}


@pytest.mark.parametrize("damage", [b"", b"one\xff\n", b"1\n"])
def test_the_number_of_a_removed_version_is_not_given_again(colour_network, tmp_path, damage):
    """A server that had loaded it would not notice that it is another one."""
    for number in ("1", "2"):
        assert publish(colour_network, None, tmp_path, **QUICK) == tmp_path / number
    shutil.rmtree(tmp_path / "2")
    assert publish(colour_network, None, tmp_path, **QUICK) == tmp_path / "3"
    (tmp_path / ".last_version").write_bytes(damage)  # what is there still counts
    assert publish(colour_network, None, tmp_path, **QUICK) == tmp_path / "4"


def test_what_a_killed_export_left_is_removed_once_no_other_is_at_work(colour_network, tmp_path):
    (tmp_path / ".export-killed" / "model").mkdir(parents=True)
    ours = threading.Thread(target=publish, args=(colour_network, None, tmp_path), kwargs=QUICK)
    with files.held(tmp_path, "export"):
        ours.start()
        ours.join(1)
        assert ours.is_alive()
        assert {entry.name for entry in tmp_path.iterdir()} == {".export-killed", ".lock"}
    ours.join(300)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".last_version", "1"]


def named(*names):
    return {"data": {"name": "labelme", "landmarks": list(names)}}


def test_landmarks_at_other_places_than_in_the_version_before_are_warned_of(colour_network, tmp_path, capsys):
    for names, said in (
        (("eye", "nose"), ""),
        (("eye", "nose", "tail"), ""),
        (("antenna", "eye", "nose", "tail"), "version 2 are, in the order of `points`, eye, nose, tail, and those of "),
        (("antenna", "eye", "nose", "tail"), ""),
    ):
        publish(colour_network, None, tmp_path, description=named(*names), **QUICK)
        warned = [line for line in capsys.readouterr().out.splitlines() if "in the order of" in line]
        assert len(warned) == bool(said) and all(said in line for line in warned)
        assert not warned or "the new version antenna, eye, nose, tail: whoever takes them by" in warned[0]


@pytest.mark.parametrize(
    "old, new, said",
    [
        (named("eye", "nose"), named("nose", "eye"), "version 10 are, .*, eye, nose, and .* new version nose, eye: "),
        (named("eye", "nose"), named("eye"), "eye, nose, and those of the new version eye: whoever"),
        (named("eye"), named(), "eye, and those of the new version none with a name: whoever"),
        (named("a\x1b\nb"), {}, r"`points`, a\\x1b\\nb, and"),
        (named(), named("eye"), ""),
        (named("eye"), named("eye"), ""),
        ({}, named("eye"), ""),
        ({"data": {"landmarks": None}}, named("eye"), ""),
        ({"data": [3]}, named("eye"), ""),
        ("no card", named("eye"), ""),
        ([], named("eye"), ""),
        (None, named("eye"), ""),
    ],
)
def test_the_order_is_held_against_the_card_of_the_highest_version(tmp_path, capsys, old, new, said):
    """What is there of an old card, and whether it is one, stops no export."""
    for number, card in (("9", named("other")), ("10", old)):
        (tmp_path / number / "assets").mkdir(parents=True)
        if card is not None:
            text = card if isinstance(card, str) else json.dumps(card)
            (tmp_path / number / model_card.FILE).write_text(text)
    (tmp_path / "notes").mkdir()
    saved_model._warn_of_order(tmp_path, new)
    printed = capsys.readouterr().out
    assert re.search(f"^warning: {tmp_path}: .*{said}", printed) if said else not printed
    assert printed.count("\n") == bool(said)


class EagerOffset(tf.keras.Model):
    """Answers one thing live and another once it is traced."""

    def call(self, images):
        labels = tf.nn.avg_pool2d(images, STRIDE, STRIDE, "VALID")
        return labels + 0.001 if tf.executing_eagerly() else labels


def failing_head(colour_head):
    def call(labels):
        found = colour_head(labels)
        found["points"] += 0.5 if tf.executing_eagerly() else 0.0
        return found

    call.variables = colour_head.variables
    return call


def least_match(log_probability, positions):
    return tf.gather(positions, tf.argmin(log_probability, axis=-1))


def between_cells(log_probability, positions):
    return best_match(log_probability, positions) + 0.25


def off_centre(*cells):
    return cell_centres(*cells) - 0.25


best_match, cell_centres = matching.best_match, geometry.cell_centres


@pytest.mark.parametrize(
    "wrong, signature, existing",
    [
        ("labels", "serving_default", True),
        ("descriptors", "descriptors_float", False),
        ("points", "landmarks_float", False),
        ("points_in_a", "match_float", False),
        ("points_in_b", "match_float", True),
        ("points_in_b's log-probability", "match_float", False),
    ],
)
def test_a_model_that_answers_otherwise_than_live_is_not_published(
    colour_network, colour_head, tmp_path, monkeypatch, wrong, signature, existing
):
    network, head = colour_network, None
    if wrong in ("labels", "descriptors"):
        network = EagerOffset()
    elif wrong == "points":
        head = failing_head(colour_head)
    elif wrong == "points_in_a":
        monkeypatch.setattr(geometry, "cell_centres", off_centre)
    else:
        broken = between_cells if wrong == "points_in_b" else least_match
        monkeypatch.setattr(matching, "best_match", broken)
    out = tmp_path / "served" / "model"
    if existing:
        (out / "1").mkdir(parents=True)
    with pytest.raises(RuntimeError, match=f"nothing exported: {wrong}, written and live, differ by"):
        publish(network, head, out, only=(signature,))
    left = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))]
    assert left == (["served", "served/model", "served/model/1"] if existing else [])


@pytest.mark.parametrize("wrong", [False, True])
def test_where_places_are_equally_likely_a_written_model_may_choose_another(colour_network, tmp_path, caplog, wrong):
    def head(labels):
        eager, columns = tf.executing_eagerly(), SIZE[1] // STRIDE
        red = tf.reduce_sum(labels[..., :1], axis=1) + (1e-5 * np.arange(columns)[:, np.newaxis] if eager else 0.0)
        x = tf.cast(tf.argmax(red, axis=1), tf.float32) + (0.5 if eager and wrong else 0.0)
        return {"points": tf.stack([x, x], axis=-1), "score": tf.ones_like(x)}

    grey, others = np.full([1, *SIZE, 3], 0.5, np.float32), smooth_images(1, SIZE, 1)
    options = {"only": ("landmarks_float",), "example_images": np.concatenate([grey, others])}
    if wrong:  # where one place is likeliest too
        with pytest.raises(RuntimeError, match="nothing exported: points, written and live, differ by 0.5"):
            publish(colour_network, head, tmp_path, **options)
    else:
        publish(colour_network, head, tmp_path, **options)
        assert caplog.text.count("points: not compared in 1 of 2 example pictures, where rounding decides") == 1


def test_a_full_disk_leaves_nothing(colour_network, tmp_path, monkeypatch):
    parents = []

    def save(module, path, **kwargs):
        os.makedirs(os.path.join(path, "variables"))
        parents.append(os.path.dirname(path))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(tf.saved_model, "save", save)
    with pytest.raises(OSError, match="No space left on device"):
        publish(colour_network, None, tmp_path / "served", **QUICK)
    assert list(tmp_path.iterdir()) == []
    # It was written on the file system it belongs to, under a name that no server loads.
    assert os.path.dirname(parents[0]) == str(tmp_path / "served")
    assert os.path.basename(parents[0]).startswith(".export-")


@pytest.mark.parametrize(
    "pixels, detail, said",
    [
        (719, [], "max_pixels=719: .* 24 x 30 pixels .* give at least 720 for them"),
        (720, [Frame((64, 48), 4)], "max_pixels=720: .* 48 x 64 pixels .* give at least 3072 for them"),
        (719, [Frame((16, 8), 4)], "max_pixels=719: .* 24 x 30 pixels .* give at least 720 for them"),
        (720, [Frame((16, 8), 4)], ""),
    ],
)
def test_a_model_that_refuses_what_predictions_show_it_is_warned_of(capsys, pixels, detail, said):
    """Predictions resize every picture to what the network, or the detector, sees."""
    saved_model._warn_of_limits(Limits(max_pixels=pixels), Frame((30, 24), 2), *detail)
    printed = capsys.readouterr()
    assert re.search(said, printed.out + printed.err) if said else not printed.out + printed.err


@pytest.mark.parametrize("pixels", [720, 100])
def test_a_model_that_takes_small_pictures_alone_is_compared_on_such(colour_network, tmp_path, pixels):
    """It sees 30 x 24 pixels, to which it enlarges them."""
    path = publish(colour_network, None, tmp_path, only=("labels_float",), limits=Limits(max_pixels=pixels))
    assert tf.saved_model.load(path).labels(tf.zeros([1, 10, 10, 3]))["labels"].shape == [1, 15, 12, 3]


@pytest.mark.parametrize(
    "images, found",
    [
        (np.zeros([1, 30, 24, 3], np.uint8), r"uint8 \[1, 30, 24, 3\]"),
        (np.zeros([30, 24, 3], np.float32), r"float32 \[30, 24, 3\]"),
        (np.zeros([1, 30, 24, 1], np.float32), r"float32 \[1, 30, 24, 1\]"),
        (np.zeros([0, 30, 24, 3], np.float32), r"float32 \[0, 30, 24, 3\]"),
        (np.full([1, 30, 24, 3], 255, np.float32), r"float32 \[1, 30, 24, 3\] from 255.0 to 255.0"),
        (np.full([1, 30, 24, 3], np.nan, np.float32), r"float32 \[1, 30, 24, 3\] from nan to nan"),
    ],
)
def test_example_images_must_be_images(colour_network, tmp_path, images, found):
    message = r"example_images must be float32 \[N, H, W, 3\] in \[0, 1\]; found " + found
    with pytest.raises(ValueError, match=message):
        saved_model.export_saved_model(colour_network, None, tmp_path / "out", frame=FRAME, example_images=images)
    assert not (tmp_path / "out").exists()


def test_labels_must_be_float32_at_the_stride(colour_network, tmp_path):
    half = tf.keras.Sequential([colour_network, tf.keras.layers.Activation("linear", dtype="float16")])
    needed = r"labels must be float32 \[N, {}, {}, L\] at input_size=\(30, 24\), stride={}; found "
    with pytest.raises(ValueError, match=needed.format(15, 12, 2) + r"float16 \[1, 15, 12, 3\]"):
        publish(half, None, tmp_path)
    with pytest.raises(ValueError, match=needed.format(7, 6, 4) + r"float32 \[1, 15, 12, 3\]"):
        publish(colour_network, None, tmp_path, frame=Frame(SIZE, 4))
    assert list(tmp_path.iterdir()) == []
