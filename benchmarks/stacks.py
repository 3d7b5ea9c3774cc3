"""Two stacks: what each exports and answers with what the other has exported, and how fast each is.

python -m benchmarks.stacks --python=OTHER/bin/python --workdir=runs/mine [--count=8]
python -m benchmarks.stacks --python=OTHER/bin/python --speed

`--python` names a Python that has the other TensorFlow and what this project needs. Both open the run and export it:
both read its checkpoint and its kept heads. Then both load both models and answer the same random pictures by every
signature. Prints a Markdown table: the largest difference of an output from what this Python answers with its own
model, as a share of the output's largest value.

With `--speed` the two take turns at the training steps of `benchmarks.train_step`, on the processor, and at the warps
of `benchmarks.warps`. Prints the milliseconds of each, and how many times as fast the other is.
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
from benchmarks import timing, train_step
from dense_labels import command_line
from dense_labels.config import TrainConfig
from dense_labels.exporting import signatures
from dense_labels.training import loop

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
    """Compares answers output by output.

    Returns:
      Signature -> the largest difference, as a share of the largest value of the output; infinity where an output has
      another shape, or either has a value that is not finite.

    Raises:
      ValueError: if the two have other signatures or outputs.
    """
    if found.keys() != expected.keys():
        raise ValueError(f"one model has signatures that the other lacks: {sorted(found.keys() ^ expected.keys())}")
    worst: dict[str, float] = {}
    for key, value in expected.items():
        name = key.partition("/")[0]
        worst[name] = max(worst.get(name, 0.0), _difference(found[key], value))
    return worst


def _difference(found, expected):
    """The largest difference of an output, as a share of its largest value; infinity where there can be none."""
    if found.shape != expected.shape or not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return float("inf")
    return float(np.abs(found - expected).max()) / max(float(np.abs(expected).max()), 1e-30)


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


def _compare_speed(pythons):
    """Prints a row for the warps and for each training step, in bfloat16 where the processor has units for it."""
    units = loop.choose_precision(TrainConfig()) == "mixed_bfloat16"
    precisions = train_step.PRECISIONS if units else train_step.PRECISIONS[:1]
    work = {"warps of a batch": ("benchmarks.warps:ours", {"size": 100, "batch": 16, "threads": 2})}
    work |= {
        f"step, {case}, {precision}": ("benchmarks.train_step:ours", {**settings, "precision": precision})
        for case, settings in train_step.CASES.items()
        for precision in precisions
    }
    print("| work | ms here | ms there | there is faster by |", "|---" * 4 + "|", sep="\n")
    for name, (factory, settings) in work.items():
        contenders = {key: timing.Contender(factory, settings, python=python) for key, python in pythons.items()}
        timings = timing.compare(contenders)
        ratio, least, most = timings["there"].ratio_to(timings["here"])
        took = " | ".join(f"{1000 * timings[key].median:.1f}" for key in pythons)
        print(f"| {name} | {took} | {ratio:.2f} ({least:.2f} - {most:.2f}) |", flush=True)


def _compare_answers(pythons, workdir, count):
    """Prints a row for each signature."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        versions = {name: _run(python, "export", workdir, folder / name) for name, python in pythons.items()}
        found = {}
        for reader, python in pythons.items():
            for writer in pythons:
                path = folder / f"{writer}_{reader}.npz"
                _run(python, "answer", folder / writer, count, path)
                with np.load(path) as arrays:
                    found[writer, reader] = dict(arrays)
    expected = found.pop(("here", "here"))
    heads = [f"{versions[writer]} in {versions[reader]}" for writer, reader in found]
    print(f"| signature | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|", sep="\n")
    columns = [differences(each, expected) for each in found.values()]
    for name in columns[0]:
        print(f"| {name} | {' | '.join(f'{column[name]:.0e}' for column in columns)} |")


def main():
    given = flags.FLAGS
    if not given.python or bool(given.workdir) == given.speed:
        raise ValueError("--python names the other Python; --workdir or --speed says what is compared; one is missing")
    pythons = {"here": sys.executable, "there": os.path.abspath(os.path.expanduser(given.python))}
    if given.speed:
        _compare_speed(pythons)
    else:
        _compare_answers(pythons, os.path.abspath(os.path.expanduser(given.workdir)), given.count)


def _define_flags():
    flags.DEFINE_string("workdir", None, "Folder of a run.")
    flags.DEFINE_string("python", None, "A Python with another TensorFlow.")
    flags.DEFINE_bool("speed", False, "Compare how fast the two are.")
    flags.DEFINE_integer("count", 8, "Pictures, or pairs of them.", 1)


if __name__ == "__main__":
    _define_flags()
    command_line.run(main)
