"""Runs that an earlier version wrote are still opened, evaluated and exported, and give the numbers they gave then.

fixtures/runs/KIND is a work directory of 20 steps: its configuration, and a checkpoint of the network alone, whose
weights are rounded to bfloat16 so that they pack well. (20 steps are too few for the moving statistics of the trunk of
"introspection": they were replaced by those of the pictures.) Its expected.json holds what the version before all
modules were moved (cd1a785) made of it: `result`, its result.json, and `answers`, some values of what each signature
answers. ("introspection" lacks the distances of matches between views: that version warped them by splines, where the
run asks for affine warps.) Heads are fitted anew by whoever evaluates, here as then to no views beside the pictures.
Since the vectors of `nearest` are drawn to mean labels, what heads of "arm", "stills" and "introspection" find is that
of the version which began with this.
"""

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

import dense_labels
from dense_labels import run_pictures
from dense_labels.evaluation import more_views
from dense_labels.exporting import verification
from tests import evaluated

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
KINDS = ("arm", "stills", "video", "sphere", "introspection")
# Of a number, or of 1 where it is smaller. Processors and releases of TensorFlow round convolutions in their own way:
# labels differ a little, and what heads that are fitted to them find.
TOLERANCE_OF_LABELS, TOLERANCE_OF_ERRORS = 1e-4, 1e-3
_ERRORS = ("_error_percent", "_px", "_degrees")  # other figures count, and jump where one landmark passes a threshold
_LABELS = ("labels", "descriptors", "confidence", "probability")
_VALUES = 16  # of an output


def evaluate(run, scratch, patch):
    """Evaluates and exports a copy of a run, where nothing but arguments says where its data are.

    What is compared are numbers. So nothing is drawn, which `test_mains` sees to, and the export is not compared with
    the live model, which `exporting/test_publishing.py` sees to: what it answers is compared here.

    Args:
      run: folder of the run, which is written to; its name is that of a kind.
      scratch: folder for what is simulated, kept and exported.
      patch: `pytest.MonkeyPatch`.

    Returns:
      What an expected.json holds.
    """
    patch.setattr(run_pictures, "write", evaluated.nothing)
    patch.setattr(verification, "verify", lambda *_: None)
    for name in ("MIRRORED", "WARPED"):
        patch.setattr(more_views, name, range(0))
    pictures, frames = FIXTURES / "pictures", FIXTURES / "frames"
    annotated = {"annotations": pictures / "points.json", "annotations_test": pictures / "points_test.json"}
    simulated, kept = {"pictures": scratch / "data"}, {"cache_dir": scratch / "cache"}
    given = {"arm": simulated, "sphere": simulated, "video": {"pictures": frames, **kept}}
    opened = dense_labels.open_run(run)
    opened.evaluate(**given.get(run.name, {"pictures": pictures, **annotated, **kept}))
    written = json.loads((run / "eval" / "result.json").read_text())
    return {"result": written, "answers": answers(opened.export(scratch / "served"))}


def answers(served):
    """What the signatures of an exported model answer to four pictures: signature -> output -> shape and values."""
    paths = sorted((FIXTURES / "pictures").glob("*.png"))[:4]
    pixels = np.stack([tf.io.decode_png(path.read_bytes(), channels=3) for path in paths])
    first, second = pixels[:2, :48], pixels[2:]  # of different heights
    given = {"images": first, "image_a": first, "image_b": second}
    stored = {
        tf.uint8: tf.constant,
        tf.float32: lambda images: tf.constant(images / np.float32(255)),
        tf.string: lambda images: tf.stack([tf.io.encode_png(image) for image in images]),
    }
    found = {}
    for name, function in sorted(tf.saved_model.load(str(served)).signatures.items()):
        inputs = function.structured_input_signature[1].items()
        outputs = function(**{key: stored[spec.dtype](given[key]) for key, spec in inputs})
        found[name] = {key: _some(value.numpy()) for key, value in sorted(outputs.items())}
    return found


def _some(array):
    """The shape of an array, and values from all over it."""
    flat = array.ravel().astype(np.float64)
    places = np.linspace(0, flat.size - 1, min(_VALUES, flat.size)).round().astype(int)
    return {"shape": list(array.shape), "values": [float(f"{value:.9g}") for value in flat[places]]}


def _assert_same(found, expected, where, tolerance):
    """Compares numbers to the tolerance, and texts; what is found may hold more keys."""
    if isinstance(expected, dict):
        assert found.keys() >= expected.keys(), where
        for key, value in expected.items():
            _assert_same(found[key], value, f"{where}/{key}", tolerance)
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for index, value in enumerate(expected):
            _assert_same(found[index], value, f"{where}/{index}", tolerance)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=tolerance, abs=tolerance), where
    else:
        assert found == expected, where


@pytest.mark.parametrize("kind", KINDS)
def test_an_old_run_gives_the_numbers_it_gave(kind, tmp_path, monkeypatch):
    expected = json.loads((FIXTURES / "runs" / kind / "expected.json").read_text())
    run = tmp_path / kind
    shutil.copytree(FIXTURES / "runs" / kind, run)
    found = evaluate(run, tmp_path, monkeypatch)
    assert found["result"].keys() >= expected["result"].keys()
    assert found["result"]["metrics"].keys() >= expected["result"]["metrics"].keys()
    others = {name: value for name, value in expected["result"].items() if name in ("step", "landmark_error_percent")}
    _assert_same(found["result"], others, kind, TOLERANCE_OF_ERRORS)
    errors = {name: value for name, value in expected["result"]["metrics"].items() if name.endswith(_ERRORS)}
    _assert_same(found["result"]["metrics"], errors, kind, TOLERANCE_OF_ERRORS)
    for signature, outputs in expected["answers"].items():
        for name, values in outputs.items():
            tolerance = TOLERANCE_OF_LABELS if name in _LABELS else TOLERANCE_OF_ERRORS
            _assert_same(found["answers"][signature][name], values, f"{kind}/{signature}/{name}", tolerance)
