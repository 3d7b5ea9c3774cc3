"""Damaged annotations through every reader of a user's own files: each is read, or refused in one line.

Writes a small data set of each format, damages its annotations (bytes, words, lines, entries) and reads them as a
training does, with the checks against the pictures.
"""

import collections
import contextlib
import copy
import importlib.util
import io
import json
import pathlib
import re
import tempfile

import h5py
import numpy as np
from PIL import Image

from benchmarks import faults
from dense_labels.config import DataConfig
from dense_labels.prediction.predictions import Predictions
from dense_labels.registry import FORMATS, READERS
from input_pipeline.readers import annotation_files, consistency
from input_pipeline.storage import decoding

_PICTURES = 12
_SIZE = (64, 48)  # width, height
_NAMES = ("left_eye", "right_eye", "nose")
_WRITTEN = {  # name -> format, its reader, and which of several files is damaged
    "tps": ("tps", "tps", ""),
    "deeplabcut": ("deeplabcut", "deeplabcut", ""),
    "deeplabcut_h5": ("deeplabcut_h5", "deeplabcut", ""),
    "label_studio": ("label_studio", "label_studio", ""),
    "labelme": ("labelme", "labelme", "3.json"),
    "cvat": ("cvat", "cvat", ""),
    "yolo": ("yolo", "yolo", "data.yaml"),
    "sleap_slp": ("sleap", "sleap", ""),
}
_VALUES = ("nan", "inf", "1e400", "-1", "0", "9" * 400, "", "null", '"x"', "[]", "{}", "true", "\x00", "é", "-0.0")


def write(folder: pathlib.Path) -> dict[str, tuple[pathlib.Path, DataConfig]]:
    """Writes a sound data set of each format into a folder.

    Returns:
      Format -> the file to damage, and the configuration that reads it.
    """
    pictures, random = folder / "pictures", np.random.default_rng(0)
    pictures.mkdir(parents=True)
    points = random.uniform(4, 44, [_PICTURES, len(_NAMES), 2]).round(2)
    for index in range(_PICTURES):
        Image.new("RGB", _SIZE, (index, 99, 200)).save(pictures / f"{index}.png")
    made = {}
    made |= _written(folder, points)
    for name, (file, content) in _sound(points).items():
        path = (pictures if name == "pts" else folder) / file
        path.write_text(content)
        key = "boxes" if name == "boxes" else "annotations"
        named = pictures if name == "pts" else path
        made[name] = (path, DataConfig(name=name.removesuffix("_boxed"), dir=str(pictures), **{key: str(named)}))
    made["coco_boxed"][1].boxes = str(made["coco_boxed"][0])
    return made


def _written(folder, points):
    """Format -> the file to damage and its configuration, of those that predictions are written in as well."""
    names, score = tuple(f"{index}.png" for index in range(_PICTURES)), np.ones(points.shape[:2], np.float32)
    sizes = np.full([_PICTURES, 2], _SIZE[::-1])
    predictions = Predictions(str(folder / "pictures"), names, sizes, _NAMES, points.astype(np.float32), score)
    made = {}
    for name, (format, reader, part) in _WRITTEN.items():
        if all(importlib.util.find_spec(module) for module in FORMATS[format].facts.get("needs", ())):
            [path] = predictions.save(folder / "written", format)
            damaged = path / part if part else path
            read = path if part else damaged
            made[name] = (damaged, DataConfig(name=reader, dir=str(folder / "pictures"), annotations=str(read)))
    made["yolo_labels"] = (folder / "written/yolo/labels/3.txt", made["yolo"][1])
    analysis = folder / "written/analysis.h5"
    with h5py.File(analysis, "w") as file:  # each picture is a frame, by its number
        file["tracks"] = points.transpose(2, 1, 0)[np.newaxis] - 0.5
        file["node_names"] = np.bytes_(_NAMES)
    made["sleap"] = (analysis, DataConfig(name="sleap", dir=str(folder / "pictures"), annotations=str(analysis)))
    return made


def _sound(points):
    """Format -> name and content of the annotations."""
    columns = [f"{name}_{axis}" for name in _NAMES for axis in "xy"]
    rows = [[f"{index}.png", *map(str, each.ravel())] for index, each in enumerate(points)]
    coco = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": _SIZE[0], "height": _SIZE[1]} for i in range(len(points))
        ],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "keypoints": np.append(each, np.full([len(each), 1], 2), axis=1).ravel().tolist(),
                "bbox": [*each.min(axis=0), *np.ptp(each, axis=0)],
            }
            for i, each in enumerate(points)
        ],
        "categories": [{"id": 1, "name": "face", "keypoints": list(_NAMES)}],
    }
    lines = "".join(f"{x} {y}\n" for x, y in points[0])
    return {
        "coco": ("points.json", json.dumps(coco)),
        "coco_boxed": ("boxed.json", json.dumps(coco)),
        "boxes": ("boxes.json", json.dumps(coco)),
        "csv": ("points.csv", "\n".join(",".join(row) for row in [["file", *columns], *rows])),
        "pts": ("0.pts", f"version: 1\nn_points: {len(points[0])}\n{{\n{lines}}}\n"),
    }


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """Damages the content of a file, in one to three ways at once."""
    for _ in range(random.integers(1, 4)):
        data = _WAYS[random.integers(len(_WAYS))](data, random)
    return data


def _truncated(data, random):
    return data[: random.integers(len(data) + 1)]


def _flipped(data, random):
    content = bytearray(data)
    if content:
        content[random.integers(len(content))] ^= 1 << random.integers(8)
    return bytes(content)


def _word_replaced(data, random):
    words = list(re.finditer(rb"[-\w.]+", data))
    if not words:
        return data
    word = words[random.integers(len(words))]
    return data[: word.start()] + _VALUES[random.integers(len(_VALUES))].encode() + data[word.end() :]


def _line_moved(data, random):
    lines = data.splitlines(keepends=True)
    if len(lines) > 1:
        line = lines.pop(random.integers(len(lines)))
        for _ in range(random.integers(3)):
            lines.insert(random.integers(len(lines) + 1), line)
    return b"".join(lines)


def _entry_changed(data, random):
    """One place in what JSON holds: removed, doubled, or something else."""
    try:
        root = json.loads(data)
    except (ValueError, RecursionError):
        return data
    holders = [each for each in _walk(root) if each]
    if not holders:
        return data
    holder = holders[random.integers(len(holders))]
    key = list(holder)[random.integers(len(holder))] if isinstance(holder, dict) else int(random.integers(len(holder)))
    other = holders[random.integers(len(holders))]
    change = random.integers(4)
    if change == 0:
        del holder[key]
    elif change == 1:
        holder[key] = copy.deepcopy(other)
    elif change == 2 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    else:
        holder[key] = (None, -1, 1.5, "x", [], {}, True, 10**400, float("nan"))[random.integers(9)]
    return json.dumps(root).encode()


def _walk(value):
    if isinstance(value, (dict, list)):
        yield value
        for each in value.values() if isinstance(value, dict) else value:
            yield from _walk(each)


_WAYS = (_truncated, _flipped, _word_replaced, _word_replaced, _line_moved, _entry_changed, _entry_changed)


def outcome(config: DataConfig) -> faults.Outcome:
    """Reads a data set as a training does; what is read is right."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            with contextlib.suppress(ValueError):
                annotation_files.kind_of(config.annotations or config.boxes)
            splits = READERS[config.name].value(config)
            consistency.check_one_answer(splits)
            for pictures in splits.values():
                consistency.checked(pictures, np.array([decoding.read_size(path) for path in pictures.paths]))
        return faults.Outcome(faults.RIGHT)
    except Exception as error:
        return faults.of_error(error)


def measure(count: int, seed: int) -> tuple[dict[str, collections.Counter[str]], list[str]]:
    """Damages `count` files of annotations, shared by the formats; see `benchmarks.faults`."""
    random, counters, wrong = np.random.default_rng(seed), collections.defaultdict(collections.Counter), []
    with tempfile.TemporaryDirectory() as folder:
        sets = write(pathlib.Path(folder) / "sound")
        for name, (path, config) in sets.items():
            content = path.read_bytes()
            if (first := outcome(config)).kind != faults.RIGHT:
                raise RuntimeError(f"{name}: the sound data set is not read: {first}")
            for _ in range(count // len(sets)):
                path.write_bytes(damaged(content, random))
                kind, text = outcome(config)
                counters[name][kind] += 1
                if kind == faults.WRONG:
                    wrong.append(f"{name}: {path.read_bytes()[:2000]!r}\n{text}")
            path.write_bytes(content)
    return dict(counters), wrong
