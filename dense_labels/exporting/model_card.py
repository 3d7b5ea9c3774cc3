"""The model card of a SavedModel: what it was made from, how good it was, and what it takes and gives."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from dense_labels import config as config_lib
from dense_labels import files
from dense_labels.batches import Frame, Limits
from dense_labels.evaluation.result import Result
from dense_labels.exporting import signatures
from dense_labels.registry import NETWORKS, compares_labels, has_unit_labels

FILE = pathlib.Path("assets") / "model_card.json"  # below the folder of a version
_HEAT_MAPS = (  # of a network that finds landmarks of its own
    "labels are responses of landmarks that the network finds by itself, a channel each, whose softmax over all cells "
    "is the probability map of the landmark; they are not to be compared, and their length is no confidence"
)
_NO_CONFIDENCE = "labels have no confidence of their own: their length says how sharply a cell matches, and no more"
_UNIT = "labels have no confidence: they are all of length 1"
_PACKAGES = ("dense-labels", "tensorflow", "keras", "numpy")


def describe_run(
    config: config_lib.Config, result: Result, trained_on: config_lib.DataConfig | None = None
) -> dict[str, Any]:
    """Says what a model was made from and how good it was.

    Args:
      config: of the run, with the data that it was evaluated on.
      result: of its evaluation.
      trained_on: the data that labels were learned from; None for the same.

    Returns:
      A dictionary that JSON can hold. Of files and folders it has the names, not where they lie.
    """
    configuration = dataclasses.asdict(config)
    for part, key in config_lib.path_keys():
        configuration[part][key] = os.path.basename(configuration[part][key])
    learned = config.data if trained_on is None else trained_on
    pictures = {"num_pictures": learned.num_pictures} if learned.num_pictures else {}  # frames are not counted
    return {
        "configuration": configuration,
        "trained_on": {"name": learned.name, "dir": os.path.basename(learned.dir), **pictures},
        **_note(config.model),
        "data": {"name": config.data.name, "landmarks": list(result.landmark_names), **result.protocol},
        "figures": result.metrics,
    }


def _note(model: config_lib.ModelConfig) -> dict[str, str]:
    if not compares_labels(model.name):
        return {"note": _HEAT_MAPS}
    if has_unit_labels(model):
        return {"note": _UNIT}
    return {} if NETWORKS[model.name].value.has_confidence(model) else {"note": _NO_CONFIDENCE}


def write(
    folder: str | os.PathLike,
    functions: Mapping[str, Any],
    description: dict[str, Any],
    *,
    frame: Frame,
    limits: Limits,
    landmarks: Frame,
) -> None:
    """Writes the model card of a SavedModel.

    Args:
      folder: of the SavedModel.
      functions: name of a signature -> concrete function.
      description: what `describe_run` returned, or another dictionary that JSON can hold.
      frame: what the network sees.
      limits: what the model refuses.
      landmarks: what is seen where landmarks are located.
    """
    card = {
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "model": {**dataclasses.asdict(frame), **dataclasses.asdict(limits)},
        "landmarks_frame": dataclasses.asdict(landmarks),
        **description,
        "signatures": {name: _signature(name, function) for name, function in functions.items()},
    }
    path = pathlib.Path(folder) / FILE
    path.parent.mkdir(exist_ok=True)
    files.write_whole(path, (json.dumps(card, indent=2) + "\n").encode())


def read(folder: str | os.PathLike) -> dict[str, Any]:
    """Reads the model card of a SavedModel.

    Raises:
      OSError: if it is not there.
      ValueError: naming the file, if it is damaged.
    """
    path = pathlib.Path(folder) / FILE
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); export the model again") from error
    if not isinstance(card, dict):
        raise ValueError(f"{path} is damaged (it holds no model card); export the model again")
    return card


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # this one, run from its folder without being installed
        return None


def _signature(name, function):
    task, signature, _ = signatures.named()[name]
    taken = {spec.name: spec for spec in tf.nest.flatten(function.structured_input_signature)}
    return {
        "what": signatures.SIGNATURES[task].words,
        "function": task,
        "inputs": _tensors(taken, signature.inputs),
        "outputs": _tensors(function.structured_outputs, signature.outputs),
    }


def _tensors(specs, meanings):
    return {
        name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list(), "meaning": meanings[name]}
        for name, spec in specs.items()
    }
