"""Tests of what landmark errors are divided by."""

import numpy as np
import pytest
from PIL import Image

from input_pipeline.readers import normalisers
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import decoding

EYES = (0, 1)


def face(x, annotated=(1, 1, 1)):
    """Eyes 10 pixels apart, and a chin."""
    return [[x, 5], [x + 10, 5], [x + 5, 25]], annotated


def pictures(*faces, objects=None):
    landmarks, annotated = zip(*faces)
    return Pictures(
        tuple(f"{k}.png" for k in range(len(faces))),
        landmarks=np.float32(landmarks) * np.float32(annotated)[..., np.newaxis],
        annotated=np.float32(annotated),
        objects=None if objects is None else np.float32(objects),
    )


def divided(found):
    return normalisers.add(found, EYES, "eye distance", otherwise=lambda: ([64] * len(found), "picture width"))


def test_a_distance_that_few_pictures_have_does_not_decide(capsys):
    one_eye = face(5, (1, 0, 1))
    found = divided(pictures(face(1), one_eye, one_eye))
    assert found.normaliser == "picture width" and found.normalisers.tolist() == [64] * 3
    assert "not by the eye distance, which 1 of 3 annotated images have" in capsys.readouterr().out
    found = divided(pictures(face(1), face(2), one_eye))
    assert found.normaliser == "eye distance" and found.normalisers.tolist() == [10, 10, 0]
    assert "no error is measured in 1 of 3 annotated images: no eye distance is known" in capsys.readouterr().out
    nothing = face(3, (0, 0, 0))
    assert divided(pictures(face(1), nothing, nothing)).normaliser == "eye distance" and not capsys.readouterr().out


def test_a_distance_that_half_of_the_pictures_have_decides():
    assert divided(pictures(face(1), face(5, (1, 0, 1)))).normaliser == "eye distance"


def test_the_width_of_a_picture_of_several_objects_is_read_once(monkeypatch, tmp_path):
    path, read = str(tmp_path / "a.png"), []
    Image.fromarray(np.zeros([8, 9, 3], np.uint8)).save(path)
    read_size = decoding.read_size
    monkeypatch.setattr(decoding, "read_size", lambda path: read.append(path) or read_size(path))
    assert normalisers.picture_widths([path, path, str(tmp_path / "gone.png"), path]) == [9, 9, 0, 9]
    assert len(read) == 2


def about(faces):
    """Boxes about the landmarks, a pixel at least."""
    boxes = []
    for landmarks, annotated in faces:
        known = np.array(landmarks)[np.array(annotated) > 0]
        boxes.append([*known.min(axis=0), *np.maximum(known.max(axis=0), known.min(axis=0) + 1)])
    return boxes


def test_a_box_about_few_landmarks_is_not_the_size_of_an_object():
    faces = [face(1), face(20), face(40, (1, 0, 0)), face(60, (1, 1, 0))]
    found = pictures(*faces, objects=about(faces))
    sizes, name = normalisers.box_sizes(found)
    usual = np.sqrt(10 * 20)
    np.testing.assert_allclose(sizes, [usual] * 4, rtol=1e-6)
    assert name == "box size"
    boxes = normalisers.usual_boxes(found)
    np.testing.assert_allclose(boxes[:2], found.objects[:2])
    np.testing.assert_allclose((boxes[2, :2] + boxes[2, 2:]) / 2, [40.5, 5.5])


def test_a_small_object_stays_small_and_a_line_does_not():
    small, line = ([[80, 5], [82, 5], [81, 9]], (1, 1, 1)), ([[5, 50], [15, 50], [10, 50]], (1, 1, 1))
    faces = [face(1), face(20), face(30), small, line]
    found = pictures(*faces, objects=about(faces))
    boxes, usual = normalisers.usual_boxes(found), np.sqrt(10 * 20) / 2
    np.testing.assert_allclose(boxes[:4], found.objects[:4])
    np.testing.assert_allclose(boxes[4], [10 - usual, 50.5 - usual, 10 + usual, 50.5 + usual], rtol=1e-6)


def test_an_object_of_two_landmarks_is_as_large_along_x_as_along_both():
    """A box about head and tail has hardly any area where they lie along x or y."""
    low = np.float64([[10, 10], [50, 10], [10, 90], [40, 40]])
    boxes = np.concatenate([low, low + [[200, 1], [180, 8], [1, 160], [140, 140]]], axis=1)
    grown = normalisers.grown(boxes, np.ones([4, 2]))
    np.testing.assert_allclose(grown[:, 2:] - grown[:, :2], np.float64([[200] * 2, [180] * 2, [170] * 2, [140] * 2]))
    np.testing.assert_allclose(grown[:, :2] + grown[:, 2:], boxes[:, :2] + boxes[:, 2:])


def test_boxes_of_the_objects_themselves_stay_however_small():
    faces = [face(1), face(20, (1, 0, 0))]
    found = pictures(*faces, objects=[[-5, -3, 30, 40], [18, 3, 25, 10]])
    np.testing.assert_allclose(normalisers.box_sizes(found)[0], [np.sqrt(35 * 43), 7])
    np.testing.assert_allclose(normalisers.usual_boxes(found), found.objects)


@pytest.mark.parametrize("annotated", [(1, 0, 0), (0, 0, 1)])
def test_boxes_about_single_landmarks_have_no_size(annotated):
    faces = [face(1, annotated), face(20, annotated)]
    found = pictures(*faces, objects=about(faces))
    assert normalisers.box_sizes(found) is None
    np.testing.assert_allclose(normalisers.usual_boxes(found), found.objects)
