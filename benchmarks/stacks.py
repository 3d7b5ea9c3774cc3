"""One run on two stacks: what each exports, and what each answers with what the other has exported.

python -m benchmarks.stacks --workdir=runs/mine --python=OTHER/bin/python [--count=8]

`--python` names a Python that has the other TensorFlow and what this project needs. Both open the run and export it:
both read its checkpoint and its kept heads. Then both load both models and answer the same random pictures by every
signature. Prints a Markdown table: the largest difference of an output from what this Python answers with its own
model, as a share of the output's largest value.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf
from absl import flags

import dense_labels
from dense_labels import command_line
from dense_labels.exporting import signatures

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_STEP = "import sys; from benchmarks import stacks; stacks.step(*sys.argv[1:])"
_SIZE = (90, 118)  # of the pictures


def answers(folder: str, count: int) -> dict[str, np.ndarray]:
    """Asks an exported model; returns "signature/output" -> its numbers for random pictures in blocks of colour."""
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, [2 * count, -(-_SIZE[0] // 8), -(-_SIZE[1] // 8), 3], np.uint8)
    images = np.repeat(np.repeat(blocks, 8, axis=1), 8, axis=2)[:, : _SIZE[0], : _SIZE[1]] / np.float32(255)
    found, functions = {}, tf.saved_model.load(folder).signatures
    for name, (_, signature, dtype) in signatures.named().items():
        if name in functions:
            outputs = functions[name](**signature.request(dtype, [images[:count], images[count:]]))
            found.update({f"{name}/{key}": value.numpy() for key, value in outputs.items() if value.dtype.is_floating})
    return found


def differences(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> dict[str, float]:
    """Compares answers; returns signature -> the largest difference, as a share of the largest value of the output.

    Raises:
      ValueError: if the two have other signatures or outputs.
    """
    if found.keys() != expected.keys():
        raise ValueError(f"one model has signatures that the other lacks: {sorted(found.keys() ^ expected.keys())}")
    worst: dict[str, float] = {}
    for key, value in expected.items():
        name, most = key.partition("/")[0], max(float(np.abs(value).max()), 1e-30)
        worst[name] = max(worst.get(name, 0.0), float(np.abs(found[key] - value).max()) / most)
    return worst


def step(task: str, *arguments: str) -> None:
    """Does what each of the two Pythons is asked to do: to export a run, or to write what a model answers."""
    if task == "export":
        workdir, folder = arguments
        dense_labels.open_run(workdir).export(folder)
    else:
        folder, count, path = arguments
        np.savez(path, **answers(str(pathlib.Path(folder, "1")), int(count)))
    print(tf.__version__)


def _run(python, task, *arguments):
    """Has a Python do a task; returns the version of its TensorFlow."""
    command = [python, "-c", _STEP, task, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ValueError(f"{python}: {reason[-1]}")
    return done.stdout.strip().splitlines()[-1]


def main():
    given = flags.FLAGS
    if not (given.workdir and given.python):
        raise ValueError("--workdir and --python say what is compared; one is missing")
    workdir = os.path.abspath(os.path.expanduser(given.workdir))
    pythons = {"here": sys.executable, "there": os.path.abspath(os.path.expanduser(given.python))}
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        versions = {name: _run(python, "export", workdir, folder / name) for name, python in pythons.items()}
        found = {}
        for reader, python in pythons.items():
            for writer in pythons:
                path = folder / f"{writer}_{reader}.npz"
                _run(python, "answer", folder / writer, given.count, path)
                with np.load(path) as arrays:
                    found[writer, reader] = dict(arrays)
    expected = found.pop(("here", "here"))
    heads = [f"{versions[writer]} in {versions[reader]}" for writer, reader in found]
    print(f"| signature | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|", sep="\n")
    columns = [differences(each, expected) for each in found.values()]
    for name in columns[0]:
        print(f"| {name} | {' | '.join(f'{column[name]:.0e}' for column in columns)} |")


def _define_flags():
    flags.DEFINE_string("workdir", None, "Folder of a run.")
    flags.DEFINE_string("python", None, "A Python with another TensorFlow.")
    flags.DEFINE_integer("count", 8, "Pictures, or pairs of them.", 1)


if __name__ == "__main__":
    _define_flags()
    command_line.run(main)
