"""The model card of a SavedModel: what it was made from, how good it was, and what it takes and gives."""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform

import tensorflow as tf

from dense_labels import files, run
from dense_labels.exporting import signatures

_FILE = pathlib.Path("assets") / "model_card.json"
_PACKAGES = ("dense-labels", "tensorflow", "keras", "numpy")


def describe_run(config, result, *, landmark_names=()):
    """Says what a model was made from and how good it was.

    Args:
      config: a `Config`.
      result: what was measured, as `results.report` returns it.
      landmark_names: of its landmarks, in the order of its points.

    Returns:
      A dictionary that JSON can hold. Of files and folders it has the names, not where they lie.
    """
    configuration = dataclasses.asdict(config)
    for part, key in run.PATHS:
        configuration[part][key] = os.path.basename(configuration[part][key])
    return {
        "configuration": configuration,
        "data": {"name": config.data.name, "landmarks": list(landmark_names), **result.get("protocol", {})},
        "figures": result["metrics"],
    }


def write(folder, signatures, description, **properties):
    """Writes the model card of a SavedModel.

    Args:
      folder: of the SavedModel.
      signatures: name -> concrete function.
      description: what `describe_run` returned, or another dictionary that JSON can hold.
      **properties: of the model, such as the size of its input.
    """
    card = {
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "model": properties,
        **description,
        "signatures": {name: _signature(function) for name, function in signatures.items()},
    }
    path = pathlib.Path(folder) / _FILE
    path.parent.mkdir(exist_ok=True)
    files.write_whole(path, (json.dumps(card, indent=2) + "\n").encode())


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # this one, run from its folder without being installed
        return None


def _signature(function):
    inputs = {spec.name: spec for spec in tf.nest.flatten(function.structured_input_signature)}
    return {"inputs": _tensors(inputs), "outputs": _tensors(function.structured_outputs)}


def _tensors(specs):
    return {
        name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list(), "meaning": signatures.MEANINGS[name]}
        for name, spec in specs.items()
    }
