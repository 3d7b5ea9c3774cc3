"""The configuration of a run: kept in its work directory, resolved once, compared, and given other landmarks."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import pathlib

from dense_labels import config as config_lib
from dense_labels import config_keys, files, progress
from dense_labels.registry import READERS, SOURCES, is_simulated

_FILE = "config.json"
_PARTS = tuple(field.name for field in dataclasses.fields(config_lib.Config))
_NO_PATHS = ("imagenet", "none")  # weights that are no file


def with_absolute_paths(config: config_lib.Config) -> config_lib.Config:
    """Returns a configuration with absolute paths, for an evaluation may run elsewhere; refuses URLs."""
    config = copy.deepcopy(config)
    for part, key in config_lib.path_keys():
        path = getattr(getattr(config, part), key)
        if path and not (key == "weights" and path in _NO_PATHS):
            files.check_local(path, f"config.{part}.{key}")
            setattr(getattr(config, part), key, os.path.abspath(os.path.expanduser(path)))
    return config


def with_landmarks(
    config: config_lib.Config,
    annotations: str | os.PathLike | None,
    annotations_test: str | os.PathLike | None,
    pictures: str | os.PathLike | None,
) -> config_lib.Config:
    """Returns the configuration of a run with other landmarks to evaluate on.

    Args:
      config: of the run.
      annotations: a file or folder that one of the readers knows by its name; None to keep the run's own.
      annotations_test: the same, or None.
      pictures: folder of the pictures, which file names start from; None for the run's own.

    Raises:
      ValueError: if there are test landmarks alone, a file is of no known kind, or the two differ; or if pictures
        are given alone and the run is of simulated ones, which would be made anew in their folder.
    """
    run, config = config.data, copy.deepcopy(config)
    config.data.dir = os.fspath(pictures) if pictures else config.data.dir
    can_choose = "data.whole_pictures" in _keys(config.data.name)
    if can_choose and config.data.whole_pictures:
        config.data.boxes = ""  # older versions took both, and whole pictures went first
    if not annotations:
        if annotations_test:
            raise ValueError("annotations_test goes with annotations; give both")
        if pictures and is_simulated(run.name) and _holds_pictures(pictures, run.name):
            raise ValueError(f"{pictures}: the run is of simulated pictures; give annotations of this folder too")
        return with_absolute_paths(config)
    from input_pipeline.readers import annotation_files  # not above: what checks a configuration imports no reader
    from input_pipeline.readers.pictures import saw_boxes

    saw = saw_boxes(run)
    paths = [os.fspath(path) for path in (annotations, annotations_test) if path]
    kinds = {annotation_files.kind_of(path) for path in paths}
    if len(kinds) > 1:
        raise ValueError(f"annotations {paths[0]} and test annotations {paths[1]} must be of one kind")
    if config.data.name == "boxes":
        config.data.whole_pictures = False
    elif not can_choose:
        config.data.whole_pictures, config.data.boxes = True, ""  # as the run saw them
    if is_simulated(run.name):  # as `Run.frame`, in which the heads will predict
        config.data.size, config.data.crop = tuple(SOURCES[run.name].facts["size"]), 0
    config.data.name = kinds.pop()
    config.data.annotations, config.data.annotations_test = paths[0], paths[1] if len(paths) > 1 else ""
    shows = saw and not config.data.whole_pictures and "data.boxes" in _keys(config.data.name)
    config.data.boxes = paths[0] if shows else ""  # those of these objects, not of the training
    return with_absolute_paths(config)


def settle_boxes(config: config_lib.Config, trained: config_lib.Config, boxed: bool) -> None:
    """Has the configuration of an evaluation say whether boxes are shown, and says where the training saw the other.

    Args:
      config: of the evaluation, which is changed.
      trained: of the run.
      boxed: whether the pictures that were read by `config` are boxes about objects.
    """
    from input_pipeline.readers import pictures

    config.data, saw = pictures.settled(config.data, boxed), pictures.saw_boxes(trained.data)
    if saw and not boxed:
        progress.warn(
            "the training saw boxes about objects, and these annotations are of whole pictures; give annotations with "
            "boxes, or pictures that are cropped alike"
        )
    if boxed and not saw:
        progress.warn(
            "these annotations are shown in boxes about objects, for a picture has several or they are of a kind that "
            "always is, and the training saw whole pictures, as far as is known; if no picture should have several, "
            "leave one object in each, once, and else train on boxes (config.data.name=boxes)"
        )


def _keys(name: str) -> tuple[str, ...]:
    return READERS[name].keys if name in READERS else ()


def settled(config: config_lib.Config, kept: config_lib.Config) -> config_lib.Config:
    """Fills in every setting left on 'auto', and what the run counts, with the value the run started with.

    Args:
      config: of a command that goes on with a run.
      kept: the resolved configuration of that run.
    """
    config = copy.deepcopy(config)
    if config.train.precision == "auto":
        config.train.precision = kept.train.precision
    config.train.batch_size = config.train.batch_size or kept.train.batch_size
    if not any(config.data.size):
        config.data.size = kept.data.size
    config.data.num_pictures = kept.data.num_pictures
    return config


def check_same(config: config_lib.Config, kept: config_lib.Config, workdir: str | os.PathLike) -> None:
    """Refuses to go on with a run under another configuration; where files are, and what has no effect, may differ.

    Args:
      config: resolved, of the command.
      kept: resolved, of the run.
      workdir: folder of the run, for the message.

    Raises:
      ValueError: naming what differs.
    """
    old, new = (json.loads(json.dumps(config_lib.to_dict(each))) for each in (kept, config))
    may_differ = {*config_lib.path_keys(), ("data", "skip_bad_files")}
    changed = [
        f"{part}.{key}: {old[part][key]} there, {value} now"
        for part, values in new.items()
        if isinstance(values, dict)
        for key, value in values.items()
        if old[part][key] != value
        and not all(config_keys.unused(each, f"{part}.{key}") for each in (kept, config))
        and ((part, key) not in may_differ or _begins_otherwise(key, old[part][key], value))
    ]
    if changed:
        raise ValueError(
            f"{workdir} holds a run with another configuration ({'; '.join(changed)}); "
            "go on with that configuration or choose another --workdir, which begins with the weights of this one "
            f"where --config.train.init_from={os.fspath(workdir)} is given"
        )


def as_begun(config: config_lib.Config, kept: config_lib.Config) -> config_lib.Config:
    """Returns the configuration that a run which goes on is kept with; says where it names another beginning.

    It keeps the run and the weights that it began with. What is no longer where it was has moved.

    Args:
      config: of the command, the same as that of the run by `check_same`.
      kept: resolved, of the run.
    """
    weights, init_from = kept.model.weights, kept.train.init_from
    if config.model.weights not in _NO_PATHS and weights not in _NO_PATHS and not os.path.exists(weights):
        weights = config.model.weights
    if not os.path.exists(init_from):
        init_from = config.train.init_from
    for name, given, begun in (
        ("model.weights", config.model.weights, weights),
        ("train.init_from", config.train.init_from, init_from),
    ):
        if given != begun:
            progress.note(f"config.{name}={given} is not read, for the run goes on; it began with {begun}")
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, weights=weights),
        train=dataclasses.replace(config.train, init_from=init_from),
    )


def _begins_otherwise(key: str, old: str, new: str) -> bool:
    """Says whether two trainings began otherwise, wherever the files are: with another run or none, a trunk or none.

    What is trained of a trunk depends on whether it had weights.
    """
    if key == "weights":
        return (old == "none") != (new == "none")
    return key == "init_from" and bool(old) != bool(new)


def _holds_pictures(folder, data_set):
    """Whether a folder is one of pictures, and not one that data sets such as this one are built in."""
    from input_pipeline.storage import listing

    folder = pathlib.Path(folder).expanduser()
    return not (folder / data_set).exists() and any(listing.is_picture(path.name) for path in folder.rglob("*"))


def save(config: config_lib.Config, workdir: str | os.PathLike) -> None:
    """Writes the resolved configuration into an existing work directory, whole or not at all."""
    text = json.dumps(files.sealed(config_lib.to_dict(config)), indent=2) + "\n"
    files.write_whole(pathlib.Path(workdir) / _FILE, text.encode())


def load(workdir: str | os.PathLike) -> config_lib.Config:
    """Reads the configuration of a run, of this version or an older one.

    Args:
      workdir: path of a folder that a training wrote.

    Returns:
      The checked configuration.

    Raises:
      ValueError: if the folder or its configuration is missing, or that file is not one of ours; naming the file.
    """
    path = pathlib.Path(workdir) / _FILE
    if not path.parent.is_dir():
        raise ValueError(f"--workdir={workdir} does not exist; give the folder a training wrote")
    if not path.exists():
        raise ValueError(f"--workdir={workdir} holds no {_FILE}; give the folder a training wrote")
    try:
        values = json.loads(path.read_text())
        if not isinstance(values, dict) or not all(isinstance(values.get(part, {}), dict) for part in _PARTS):
            raise ValueError("it does not hold the parts of a configuration")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); train again in another folder") from error
    values, intact = files.unsealed(values)
    if not intact:
        progress.warn(f"{path} is not as the training wrote it: it was edited, or the disk is at fault")
    try:
        config = config_lib.from_dict(values)
        config_lib.check(config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return config
