"""Tests of what the client makes of a file before it asks."""

import io
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import meta_graph_pb2

from input_pipeline.storage import decoding
from serving import client
from tests.commands import ROOT, environment


def encoded(pixels, **options):
    return tf.io.encode_png(pixels, **options).numpy()


def test_a_file_that_is_sent_is_drawn_as_the_model_sees_it():
    """On white where it is transparent, the high bits of 16, and turned upright."""
    clear, opaque = np.full([2, 3, 4], 7, np.uint8), np.full([2, 3, 4], 255, np.uint8)
    clear[..., 3], opaque[..., :3] = 0, 100
    np.testing.assert_array_equal(client._seen_pixels(encoded(clear)), np.full([2, 3, 3], 255))
    np.testing.assert_array_equal(client._seen_pixels(encoded(opaque)), np.full([2, 3, 3], 100))
    deep = np.full([2, 3, 1], 200 * 257, np.uint16)
    np.testing.assert_array_equal(client._seen_pixels(encoded(deep)), np.full([2, 3, 3], 200))
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(turned, "jpeg", exif=exif)
    assert client._seen_pixels(turned.getvalue()).shape == (20, 10, 3)


def test_what_is_no_picture_is_left_to_the_server_to_refuse():
    assert client._seen_pixels(b"no picture").shape == (1, 1, 3)


def test_a_picture_is_opened_only_as_one_of_the_formats_that_are_named(tmp_path, monkeypatch):
    """Of all that Pillow knows, PostScript would start another program."""
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (20, 10)).save(path, "EPS")
    with pytest.raises(decoding.PictureError, match="photo.jpg: not a picture of a known format"):
        client._read(str(path), tf.uint8)


@pytest.mark.parametrize("says", [True, False])
def test_a_model_that_does_not_say_where_cells_lie_is_told_of(tmp_path, capsys, says):
    class Earlier:
        def signatures(self):
            tensor = meta_graph_pb2.TensorInfo(dtype=tf.uint8.as_datatype_enum)
            return {"match": meta_graph_pb2.SignatureDef(inputs={"image_a": tensor, "image_b": tensor})}

        def predict(self, signature, **inputs):
            points = np.ones([1, 2, 2, 2], np.float32)
            found = {"points_in_b": points, "confidence": points[..., 0]}
            return {**found, "points_in_a": points} if says else found

    path = tmp_path / "photo.png"
    Image.new("RGB", (20, 10)).save(path)
    client._ask(Earlier(), "match", [str(path)] * 2)
    words = "which does not say where the cells of A lie: .* export the model again"
    assert bool(re.search(words, capsys.readouterr().out)) != says


def test_the_name_of_a_file_does_not_steer_the_terminal(capsys):
    client._print("\x1b[2J\nphoto.jpg", {"points": [(1, 2)]})
    assert capsys.readouterr().out == "\\x1b[2J\\nphoto.jpg  landmark 0: 1.00 2.00\n"


def test_pictures_and_the_drawing_may_lie_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = []
    monkeypatch.setattr(client, "_ask", lambda _, __, paths: asked.extend(paths) or np.zeros([2, 2, 3], np.uint8))
    given = {"address": "localhost:1", "model": "mine", "signature": "landmarks", "timeout_s": 1.0}
    client.ask(["~/photo.jpg"], out="~/drawn/answers.png", **given)
    assert asked == [str(tmp_path / "photo.jpg")]
    assert (tmp_path / "drawn" / "answers.png").exists()
    with pytest.raises(ValueError, match="photo.jpg: is one of the pictures, which is not written over"):
        client.ask(["~/photo.jpg"], out=str(tmp_path / "photo.jpg"), **given)


@pytest.mark.parametrize("module", ["serving.client", "serving.server"])
def test_without_the_api_one_line_says_what_to_install(module):
    """Of a command; whoever imports the module gets an ImportError that says the same."""
    lacking = "import sys; sys.modules['tensorflow_serving'] = None\n"
    run = "import runpy; runpy.run_module(sys.argv[1], run_name='__main__')"
    imported = "import importlib; importlib.import_module(sys.argv[1])"
    said = 'needs tensorflow-serving-api, which is not installed: pip install "dense-labels[serving]"\n'
    for code, beginning in ((run, "error: the gRPC API"), (imported, "ImportError: the gRPC API")):
        command = [sys.executable, "-c", lacking + code, module]
        done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
        last = done.stderr.splitlines(keepends=True)[-1]
        assert done.returncode == 1 and last.startswith(beginning) and last.endswith(said)
        assert ("Traceback" in done.stderr) == (code is imported)
