"""An exported model in other runtimes: agreement, size and error in LiteRT, ONNX Runtime and another TensorFlow.

python -m benchmarks.elsewhere --workdir=runs/mine --model=served/mine/1 [--annotations=TEST] [--pictures=IMAGES] \
    [--python=OTHER/bin/python] [--count=200]

The pictures are those of TEST, whose names start from IMAGES or the folder of the run; or the run's own test pictures,
or annotated ones where it has no others. `--python` names a Python that has another TensorFlow, such as the newest, in
an environment of its own: it answers the same pictures. Prints a Markdown table: the size of the file or folder, how
far landmarks lie from where the SavedModel finds them, in pixels of its input, their error, and the time for one
picture. Runtimes that are not installed are left out.
"""

import importlib.util
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import flags

from dense_labels import batches, command_line, run_config
from dense_labels.evaluation import measuring
from dense_labels.exporting import model_card
from input_pipeline import pipeline
from serving import convert

_ANSWER = """
import sys, numpy as np, tensorflow as tf
folder, images, points = sys.argv[1:]
landmarks = tf.saved_model.load(folder).signatures["landmarks_float"]
answers = [landmarks(images=tf.constant(image[None]))["points"].numpy()[0] for image in np.load(images)]
np.save(points, answers)
print(tf.__version__)
"""


def pictures(source, *, count, margin):
    """Takes the test pictures of a source as a served model is sent them.

    Args:
      source: as `pipeline.prepare` returns it.
      count: the most pictures.
      margin: pixels that the served model cuts off, which are black here.

    Returns:
      float32 [N, H, W, 3] in [0, 1] of the size of the served model's input, and the `LandmarkBatch` of these pictures.

    Raises:
      ValueError: if there are no landmarks.
    """
    split = next((name for name in ("test", "annotated") if source.count(name)), None)
    if split is None:
        raise ValueError("the data set of the run has no landmarks, which errors are measured on")
    known = batches.stack(pipeline.landmark_batches(source, split, batch_size=20, count=count))
    sides = (margin, margin)
    return np.pad(known.image, ((0, 0), sides, sides, (0, 0))), known


def frame_pictures(config, card):
    """Has a configuration show pictures as what locates the landmarks sees them: a detector has a frame of its own.

    Args:
      config: of the run, which is changed.
      card: of the model.

    Returns:
      The margin of that frame, in pixels.
    """
    frame = card.get("landmarks_frame", card["model"])
    margin = int(frame["margin"])
    if any(frame[key] != card["model"][key] for key in ("input_size", "margin")):
        height, width = (side + 2 * margin for side in frame["input_size"])
        config.data.size, config.data.crop = (height, width), margin
    return margin


def answers(answer, images):
    """Asks a runtime about one picture after another.

    Args:
      answer: float32 [1, H, W, 3] -> points [1, K, 2].
      images: float32 [N, H, W, 3].

    Returns:
      [N, K, 2], and the median time for a picture in milliseconds.
    """
    answer(images[:1])  # plans its kernels
    points, took = [], []
    for image in images[:, np.newaxis]:
        start = time.perf_counter()
        points.append(np.asarray(answer(image))[0])
        took.append(time.perf_counter() - start)
    return np.array(points), 1000 * np.median(took)


def lite(content):
    """Returns what answers for the content of a .tflite file."""
    runner = tf.lite.Interpreter(model_content=content, num_threads=os.cpu_count()).get_signature_runner()
    return lambda image: runner(images=image)["points"]


def onnx(content):
    """Returns what answers for the content of an .onnx file."""
    import onnxruntime  # an extra

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    place = next(k for k, output in enumerate(session.get_outputs()) if list(output.shape[2:]) == [2])
    return lambda image: session.run(None, {"images": image})[place]


def _other_tensorflow(python, folder, images):
    """Points that another Python's TensorFlow finds, and its version."""
    with tempfile.TemporaryDirectory() as shared:
        paths = [os.path.join(shared, name) for name in ("images.npy", "points.npy")]
        np.save(paths[0], images)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [python, "-c", _ANSWER, folder, *paths]
        done = subprocess.run(command, capture_output=True, text=True, cwd=shared, env=environment)
        if done.returncode:
            reason = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise ValueError(f"--python={python}: {reason[-1]}")
        return np.load(paths[1]), done.stdout.strip()


def _row(name, size, points, expected, known, margin, milliseconds):
    off = np.linalg.norm(points - expected, axis=-1)
    labels = batches.LabelMap(np.zeros([len(points), 1, 1, 1]), 1)  # errors are measured without any
    error = measuring.landmark_errors(points - margin, batches.LabelledLandmarks(labels, *known[1:]))[-1]
    took = "" if milliseconds is None else f"{milliseconds:.1f}"
    print(f"| {name} | {size / 2**20:.2f} | {off.mean():.4f} | {off.max():.4f} | {error:.3f} | {took} |", flush=True)


def main():
    given = flags.FLAGS
    if not (given.workdir and given.model):
        raise ValueError("--workdir and --model say what is compared; one is missing")
    folder = os.path.abspath(os.path.expanduser(given.model))
    card = model_card.read(folder)
    if "landmarks_float" not in card["signatures"]:
        raise ValueError(f"--model={given.model} finds no landmarks; export one with a head")
    config = run_config.load(os.path.expanduser(given.workdir))
    margin = frame_pictures(config, card)
    config = run_config.with_landmarks(config, given.annotations, None, given.pictures)
    source = pipeline.prepare(config, only=("annotated", "test"))
    images, known = pictures(source, count=given.count, margin=margin)
    landmarks = tf.saved_model.load(folder).signatures["landmarks_float"]
    expected, took = answers(lambda image: landmarks(images=tf.constant(image))["points"], images)
    print(f"{len(images)} pictures; error in % of {source.normaliser}\n")
    print("| runtime | MiB | mean px off | largest px off | error % | ms |", "|---" * 6 + "|", sep="\n")
    parts = [pathlib.Path(folder, "saved_model.pb"), *pathlib.Path(folder, "variables").iterdir()]
    size = sum(path.stat().st_size for path in parts)
    _row(f"SavedModel, TensorFlow {tf.__version__}", size, expected, expected, known, margin, took)
    if given.python:
        points, version = _other_tensorflow(given.python, folder, images)
        _row(f"SavedModel, TensorFlow {version}", size, points, expected, known, margin, None)
    kinds = {"lite": lite, "lite_int8": lite, "onnx": onnx}
    if not all(importlib.util.find_spec(name) for name in ("tf2onnx", "onnxruntime")):
        del kinds["onnx"]
    for kind, runtime in kinds.items():
        content = convert.convert(folder, kind)
        points, took = answers(runtime(content), images)
        _row(kind, len(content), points, expected, known, margin, took)


def _define_flags():
    flags.DEFINE_string("workdir", None, "Folder of the run that the model was exported from.")
    flags.DEFINE_string("model", None, "Folder of a version with landmarks.")
    flags.DEFINE_string("annotations", None, "Annotated pictures to measure on, if not those of the run.")
    flags.DEFINE_string("pictures", None, "Folder that their names start from, if not that of the run.")
    flags.DEFINE_string("python", None, "A Python with another TensorFlow.")
    flags.DEFINE_integer("count", 200, "The most pictures.", 1)


if __name__ == "__main__":
    _define_flags()
    command_line.run(main)
