"""The loader that TensorFlow Serving uses, without Python: serving/loader.cc against the library in the wheel."""

import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import named_tensor_pb2, saved_model_pb2

from dense_labels.exporting import signatures, warmup_requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZE = (41, 33)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="its linker has these flags")


@pytest.fixture(scope="module")
def loader(tmp_path_factory):
    """Compiles the program; Debian's package g++ brings the compiler."""
    compiler = shutil.which("g++")
    assert compiler, "g++ is not there; the loader is compiled with it"
    program, library = tmp_path_factory.mktemp("loader") / "loader", tf.sysconfig.get_lib()
    flags = tf.sysconfig.get_compile_flags()
    all_of_it = ["-Wl,--no-as-needed", "-l:libtensorflow_cc.so.2"]  # which the program never names
    libraries = [*all_of_it, *tf.sysconfig.get_link_flags(), f"-Wl,-rpath,{library}"]
    command = [compiler, "-O0", "-w", *flags, ROOT / "serving" / "loader.cc", "-o", program, *libraries]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


def run(loader, *arguments):
    return subprocess.run([loader, *map(str, arguments)], capture_output=True, text=True)


def answers(path):
    read = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    return [named_tensor_pb2.NamedTensorProto.FromString(record) for record in read]


def random_requests(count):
    """A request for every signature, and one that is bad after each."""
    images = np.random.default_rng(count).integers(0, 256, [count, *SIZE, 3], np.uint8)
    stored = {
        tf.uint8: (images, images[..., :2]),
        tf.float32: (np.float32(images) / 255, np.zeros([count, 0, 9, 3], np.float32)),
        tf.string: (tf.constant([tf.io.encode_png(image).numpy() for image in images]), tf.constant(["no picture"])),
    }
    requests = []
    for name, (_, signature, dtype) in signatures.named().items():
        for value in stored[dtype]:
            requests.append((name, dict.fromkeys(signature.inputs, value)))
    return requests


def test_every_signature_answers_without_python_as_with_it(loader, colour_served_dir, tmp_path):
    requests = random_requests(1) + random_requests(3) + [("nonsense", {})]
    warmup_requests.write(tmp_path, requests)
    path = next((tmp_path / "assets.extra").iterdir())
    done = run(loader, colour_served_dir / "1", path, tmp_path / "answers")
    assert done.returncode == 0, done.stderr
    signatures = tf.saved_model.load(str(colour_served_dir / "1")).signatures
    found = iter(answers(tmp_path / "answers"))
    for n, (name, inputs) in enumerate(requests[:-1]):
        if n % 2:
            refused = next(found)
            assert not refused.HasField("tensor") and refused.name.startswith("INVALID_ARGUMENT: "), name
            continue
        expected = signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
        for key in sorted(expected):
            answer, tolerance = next(found), 1e-2 if "points" in key else 1e-5
            assert answer.name == key
            np.testing.assert_allclose(tf.make_ndarray(answer.tensor), expected[key], atol=tolerance, err_msg=name)
    assert next(found).name == "INVALID_ARGUMENT: there is no signature nonsense"
    assert next(found, None) is None


def test_the_warm_up_file_runs(loader, colour_served_dir, tmp_path):
    version = colour_served_dir / "1"
    done = run(loader, version, version / "assets.extra" / "tf_serving_warmup_requests", tmp_path / "answers")
    assert done.returncode == 0, done.stderr
    found = answers(tmp_path / "answers")
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    definitions = saved.meta_graphs[0].signature_def
    assert all(answer.HasField("tensor") for answer in found)
    assert sorted(answer.name for answer in found) == sorted(
        key for name in signatures.named() for key in definitions[name].outputs
    )


def test_a_folder_without_a_model_is_an_error(loader, tmp_path):
    done = run(loader, tmp_path, tmp_path / "requests", tmp_path / "answers")
    assert done.returncode == 1 and "error: NOT_FOUND: Could not find SavedModel" in done.stderr
