"""Damaged files of a finished run and of its export: truncated, zeroed, or with a byte flipped.

After each damage the run is opened, labels a picture, restores its heads, goes on, or is served: whatever reads that
file. Each must answer as before, say what it falls back to, or be refused.
"""

import collections
import contextlib
import dataclasses
import io
import json
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

import dense_labels
from benchmarks import faults
from dense_labels import config as config_lib
from dense_labels import kept_heads
from dense_labels.training import checkpoints
from serving import versions

SIDE = 32
QUICK = {
    "model.name": "simple",
    "model.norm": "none",
    "data.size": (SIDE, SIDE),
    "train.num_epochs": 2,
    "train.steps_per_epoch": 2,
    "train.keep_checkpoints": 2,
    "train.warmup_steps": 0,
    "train.batch_size": 2,
    "train.precision": "float32",
}
UNREAD = "drawings and logs, never read"
_RUN, _SERVED, _PICTURES = "run", "served", "pictures"
_IMAGES = np.random.default_rng(0).integers(0, 256, [1, SIDE, SIDE, 3], np.uint8)
Answer = dict[str, Any]


def draw(folder: pathlib.Path) -> None:
    """Draws pictures of a head with two eyes into `pictures`, and writes where the eyes are into `points.csv`."""
    (folder / _PICTURES).mkdir(parents=True)
    lines, random = ["file,left_x,left_y,right_x,right_y"], np.random.default_rng(0)
    for n in range(8):
        centre = random.uniform(13, 19, 2)
        picture = Image.new("RGB", (SIDE, SIDE), tuple(random.integers(150, 256, 3).tolist()))
        eyes = centre + [[-4, -3], [4, -3]]
        for place, radius, colour in ((centre, 10, "peru"), (eyes[0], 2, "navy"), (eyes[1], 2, "green")):
            ImageDraw.Draw(picture).ellipse([*(place - radius), *(place + radius)], fill=colour)
        picture.save(folder / _PICTURES / f"{n}.png")
        lines.append(",".join([f"{n}.png", *(f"{value:.2f}" for value in eyes.ravel() + 0.5)]))
    (folder / "points.csv").write_text("\n".join(lines))


def train(folder: pathlib.Path, workdir: pathlib.Path) -> dense_labels.Run:
    """Trains, or goes on with, a run on the pictures of a folder."""
    settings = {**QUICK, "data.cache_dir": str(folder / "cache")}
    return dense_labels.train(str(folder / _PICTURES), workdir=workdir, **settings)


def weights(workdir: pathlib.Path) -> Answer:
    """The variables of the newest checkpoint of a run, by name."""
    reader = tf.train.load_checkpoint(checkpoints.newest(workdir))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if "OBJECT" not in name}


def make(folder: pathlib.Path) -> None:
    """Makes a run with heads, and its export."""
    draw(folder)
    run = train(folder, folder / _RUN)
    run.evaluate(annotations=folder / "points.csv", heads=("nearest",))
    run.export(folder / _SERVED)


# --- roads: what a file is read for ---


def _opened(sound: pathlib.Path, damaged: pathlib.Path) -> Answer:
    return {"config": json.dumps(config_lib.to_dict(dense_labels.open_run(damaged / _RUN).config))}


def _labelled(sound: pathlib.Path, damaged: pathlib.Path) -> Answer:
    return {"labels": dense_labels.open_run(damaged / _RUN).labels(_IMAGES).values}


def _gone_on(sound: pathlib.Path, damaged: pathlib.Path) -> Answer:
    train(sound, damaged / _RUN)
    return weights(damaged / _RUN)


def _heads(sound: pathlib.Path, damaged: pathlib.Path) -> Answer:
    """What an export takes from the heads that were kept."""
    kept = kept_heads.newest(damaged / _RUN)
    if kept is None:
        raise RuntimeError("the heads have gone")
    labels = np.random.default_rng(0).normal(size=[1, SIDE // 2, SIDE // 2, 3]).astype(np.float32)
    points = {name: np.asarray(value) for name, value in kept.best(labels).items()}
    described = json.dumps([kept.result.to_dict(), config_lib.to_dict(kept.config)])
    return {**points, "images": kept.example_images, "described": described}


def _result(sound: pathlib.Path, damaged: pathlib.Path) -> Answer:
    return {"result": json.dumps(dense_labels.Result.load(damaged / _RUN / "eval" / "result.json").to_dict())}


def _served(sound: pathlib.Path, damaged: pathlib.Path) -> Answer:
    served = versions.Versions(damaged / _SERVED)
    served.stop()
    found = served.current.signatures["landmarks"](images=tf.constant(_IMAGES))
    return {name: value.numpy() for name, value in found.items()}


ROADS: dict[str, Callable[[pathlib.Path, pathlib.Path], Answer]] = {
    "open": _opened,
    "label": _labelled,
    "go on": _gone_on,
    "heads": _heads,
    "result": _result,
    "serve": _served,
}


# --- damage ---


_DAMAGES = ("truncated", "zeroed", "flipped")
_WAYS = (0, 1, 2, 2, 2, 2)  # in turn; what happens at a byte depends most on which


def damage(content: bytes, way: int, random: np.random.Generator) -> bytes:
    """Truncates a file that is not empty at a place drawn by chance, fills it with zeros, or flips bits of a byte."""
    if way == 0:
        return content[: random.integers(len(content))]
    if way == 1:
        return bytes(len(content))
    changed = bytearray(content)
    changed[random.integers(len(content))] ^= int(random.integers(1, 256))
    return bytes(changed)


@dataclasses.dataclass(frozen=True)
class _Read:
    """A file of the run or its export, by its path from the folder of both, and the roads that read it."""

    name: str
    roads: tuple[str, ...]


class _Watch:
    """Which files are opened by Python; a hook of this kind cannot be removed, so it is told when to look."""

    def __init__(self) -> None:
        self.opened: set[str] | None = None
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple) -> None:
        if event == "open" and self.opened is not None and isinstance(arguments[0], (str, os.PathLike)):
            self.opened.add(os.path.abspath(arguments[0]))


def _asked(road: str, sound: pathlib.Path, damaged: pathlib.Path) -> tuple[Answer, str]:
    """The answer of a road, and what it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        return ROADS[road](sound, damaged), said.getvalue()


def _sound_answers(sound: pathlib.Path, roads: tuple[str, ...]) -> tuple[dict[str, Answer], list[_Read]]:
    """What each road answers, and all files with the roads that read them. TensorFlow's own reading is not seen."""
    watch, answers, read = _Watch(), {}, collections.defaultdict(list)
    for road in roads:
        watch.opened = set()
        answers[road], _ = _asked(road, sound, sound)
        opened, watch.opened = watch.opened, None
        by_tensorflow = {"label": [f"{_RUN}/checkpoints"], "go on": [f"{_RUN}/checkpoints"], "serve": [_SERVED]}
        for path in _files(sound):
            name = path.relative_to(sound).as_posix()
            if str(path) in opened or name.startswith(tuple(by_tensorflow.get(road, ("?",)))):
                read[name].append(road)
    names = (path.relative_to(sound).as_posix() for path in _files(sound))
    return answers, [_Read(name, tuple(read[name])) for name in names]


def _files(sound: pathlib.Path) -> list[pathlib.Path]:
    found = (path for part in (_RUN, _SERVED) for path in sorted((sound / part).rglob("*")))
    return [path for path in found if path.is_file() and path.stat().st_size]


def _outcome(road: str, sound: pathlib.Path, damaged: pathlib.Path, expected: Answer) -> faults.Outcome:
    try:
        found, said = _asked(road, sound, damaged)
    except Exception as error:
        return faults.of_error(error)
    if "warning: " in said or same(found, expected):
        return faults.Outcome(faults.RIGHT)
    return faults.Outcome(faults.WRONG, f"{road} answers otherwise, and says nothing")


def same(found: Answer, expected: Answer) -> bool:
    """Whether two answers are the same to the last bit."""
    return found.keys() == expected.keys() and all(np.array_equal(found[name], expected[name]) for name in expected)


def measure(count: int, seed: int, *, roads: tuple[str, ...] = tuple(ROADS), sound: pathlib.Path | None = None) -> Any:
    """Damages the files of a run and of its export `count` times; see `benchmarks.faults`.

    Args:
      count: shared by the files that are read.
      seed: of the damage.
      roads: those that are tried.
      sound: folder of what `make` makes; None to make it.
    """
    random, counters, wrong = np.random.default_rng(seed), collections.defaultdict(collections.Counter), []
    with tempfile.TemporaryDirectory() as temporary:
        if sound is None:
            sound = pathlib.Path(temporary) / "sound"
            make(sound)
        answers, every = _sound_answers(sound, roads)
        read = [each for each in every if each.roads]
        for n in range(count):
            each, damaged = read[n % len(read)], pathlib.Path(temporary) / str(n)
            way = _WAYS[n // len(read) % len(_WAYS)]
            content = damage((sound / each.name).read_bytes(), way, random)
            for road in each.roads:
                _copy(sound, damaged, each.name, content)
                kind, text = _outcome(road, sound, damaged, answers[road])
                counters[each.name][kind] += 1
                if kind == faults.WRONG:
                    wrong.append(f"{each.name}, {_DAMAGES[way]}: {text}")
                shutil.rmtree(damaged)
        counters[UNREAD][faults.RIGHT] = sum(not each.roads for each in every)
    return dict(counters), wrong


def _copy(sound: pathlib.Path, damaged: pathlib.Path, name: str, content: bytes) -> None:
    part = name.partition("/")[0]
    shutil.copytree(sound / part, damaged / part)
    (damaged / name).write_bytes(content)
