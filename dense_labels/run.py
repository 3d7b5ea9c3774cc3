"""The configuration of a run: kept in its work directory, settled, compared, and given other landmarks."""

import dataclasses
import json
import os
import pathlib

from dense_labels import config as config_lib
from dense_labels import files

_FILE = "config.json"
PATHS = (
    ("data", "dir"),
    ("data", "annotations"),
    ("data", "annotations_test"),
    ("data", "boxes"),
    ("data", "images"),
    ("data", "cache_dir"),
    ("train", "init_from"),
    ("model", "weights"),
)
_NO_PATHS = ("imagenet", "none")  # weights that are no file


def make_paths_absolute(config):
    """Makes the paths in a configuration independent of where the command is run; an evaluation may run elsewhere.

    Args:
      config: a `Config`; changed in place.
    """
    for part, key in PATHS:
        path = getattr(getattr(config, part), key)
        if path and path not in _NO_PATHS:
            setattr(getattr(config, part), key, os.path.abspath(os.path.expanduser(path)))


def annotate(config, annotations, annotations_test, pictures):
    """Names the landmarks that a run is evaluated on, where they are not those of its own data set.

    Args:
      config: a `Config` of a run; changed in place.
      annotations: a COCO .json, a .csv or a folder of .pts files; None to keep the run's own.
      annotations_test: the same, or None.
      pictures: folder of the pictures, which file names start from; None for the run's own.

    Raises:
      ValueError: if there are test landmarks alone, a file is of none of these kinds, or the two differ.
    """
    config.data.dir = pictures or config.data.dir
    if not annotations:
        if annotations_test:
            raise ValueError("--annotations_test goes with --annotations; give that too")
        return
    if config.data.name not in ("boxes", "coco", "pts"):
        config.data.whole_pictures = True  # as the run saw them
    kinds = {_annotation_kind(path) for path in (annotations, annotations_test) if path}
    if len(kinds) > 1:
        raise ValueError(f"--annotations={annotations} and --annotations_test={annotations_test} must be of one kind")
    config.data.name = kinds.pop()
    config.data.annotations, config.data.annotations_test = annotations, annotations_test or ""
    make_paths_absolute(config)


def _annotation_kind(path):
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        return "pts"
    kind = {".json": "coco", ".csv": "csv"}.get(os.path.splitext(path)[1].lower())
    if not kind or not os.path.exists(path):
        what = "there is no such file" if kind else "a COCO .json, a .csv or a folder of .pts files is expected"
        raise ValueError(f"{path}: {what}")
    return kind


def settle(config, workdir):
    """Gives what is left to be found out the value that a run was begun with.

    Args:
      config: a `Config`; changed in place.
      workdir: folder of the run, with its configuration.
    """
    kept = load(workdir)
    if config.train.precision == "auto":
        config.train.precision = kept.train.precision
    config.train.batch_size = config.train.batch_size or kept.train.batch_size
    if not any(config.data.size):
        config.data.size = kept.data.size


def check_same(config, workdir):
    """Refuses to go on with a run under another configuration; where the data are kept may differ.

    Args:
      config: a `Config`.
      workdir: folder of the run, with its configuration.

    Raises:
      ValueError: naming what differs.
    """
    kept, new = (json.loads(json.dumps(dataclasses.asdict(c))) for c in (load(workdir), config))
    for part, key in (*PATHS, ("data", "skip_bad_files")):
        kept[part][key] = new[part][key]
    changed = [
        f"{part}.{key}: {kept[part][key]} there, {value} now"
        for part, values in new.items()
        for key, value in values.items()
        if kept[part][key] != value
    ]
    if changed:
        raise ValueError(
            f"{workdir} holds a run with another configuration ({'; '.join(changed)}); "
            "go on with that configuration or choose another --workdir"
        )


def save(config, workdir):
    """Writes the resolved configuration into a work directory, whole or not at all.

    Args:
      config: a `Config`.
      workdir: path of an existing folder.
    """
    text = json.dumps(dataclasses.asdict(config), indent=2) + "\n"
    files.write_whole(pathlib.Path(workdir) / _FILE, text.encode())


def load(workdir):
    """Reads the configuration of a work directory.

    Args:
      workdir: path of a folder that a training wrote.

    Returns:
      The checked `Config`.

    Raises:
      ValueError: if the folder or its configuration is missing, or that file is not one of ours.
    """
    path = pathlib.Path(workdir) / _FILE
    if not path.parent.is_dir():
        raise ValueError(f"--workdir={workdir} does not exist; give the folder a training wrote")
    if not path.exists():
        raise ValueError(f"--workdir={workdir} holds no {_FILE}; give the folder a training wrote")
    damaged = f"{path} is damaged ({{}}); train again in another folder"
    try:
        values = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(damaged.format(error)) from error
    if not isinstance(values, dict) or not all(isinstance(part, dict) for part in values.values()):
        raise ValueError(damaged.format("it does not hold the parts of a configuration"))
    config = _from_dict(config_lib.Config, values, "config")
    config_lib.check(config)
    return config


def _from_dict(kind, values, prefix):
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            raise ValueError(
                f"{prefix}.{key} is not a key; the keys are {', '.join(config_lib.override_keys(kind(), prefix))}"
            )
    arguments = {}
    for key, value in values.items():
        default = getattr(kind(), key)
        if dataclasses.is_dataclass(default):
            value = _from_dict(type(default), value, f"{prefix}.{key}")
        elif isinstance(default, tuple) and isinstance(value, list):
            value = tuple(value)
        arguments[key] = value
    return kind(**arguments)
