"""Training: a folder of pictures or a configuration in, a run out."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import json
import os
from collections.abc import Iterator
from typing import Any

from dense_labels import config as config_lib
from dense_labels import config_files, config_keys, files, progress, run_config, user_code
from dense_labels.registry import NETWORKS, is_simulated
from dense_labels.run import Run, open_run

_EXAMPLES = 6  # pairs in the pictures of a training


def train(
    pictures_or_config: str | os.PathLike | config_lib.Config,
    *,
    workdir: str | os.PathLike,
    allow_changed_data: bool = False,
    data_service: str = "",
    backup: str = "",
    **overrides: Any,
) -> Run:
    """Trains a labelling network, or goes on with a training that was stopped.

    A checkpoint is written after every epoch. Called again with the same arguments, the run goes on after the last of
    them and ends with the weights of a run that was never stopped.

    Args:
      pictures_or_config: a folder of pictures of one kind of object; or the name of a configuration, such as "faces",
        the path of its file, or a `Config`.
      workdir: folder of the run, which is created where it is absent.
      allow_changed_data: go on although pictures were edited, renamed, added or removed, or boxes or the order
        changed, since the run began; an epoch stays as long as it was.
      data_service: address of a tf.data service that makes the pairs of shards, grpc://HOST:PORT, or several with
        commas between them; "": this process makes them.
      backup: URL of a .tar file, such as s3://bucket/mine.tar or gs://bucket/mine.tar, or path of one: a copy of the
        run, which is replaced after every epoch. Where it is there and `workdir` holds no run, it goes on from that.
        "": none is kept.
      **overrides: keys of the configuration and their values, such as `**{"train.num_epochs": 3}`.

    Returns:
      The run.

    Raises:
      ValueError: if the configuration, the data set or the run in `workdir` cannot be used, its pictures have changed,
        another process is training there, the service does not answer or cannot read this data set, or the backup is
        damaged, of another run, or ahead of `workdir`.
      OSError: if the backup cannot be written; the run stays in `workdir`.
      FloatingPointError: if the loss or a weight is no longer finite; the last good checkpoint stays.
      ConnectionError: if another worker is lost, of several that train together.
    """
    config = _configuration(pictures_or_config, overrides)
    files.check_local(workdir, "--workdir")
    workdir = os.path.abspath(os.path.expanduser(os.fspath(workdir)))
    _check_place(workdir, config.data.dir)

    import tensorflow as tf  # after the configuration is known to be right, for this is slow

    from dense_labels.training import lock, strategies
    from input_pipeline import data_service as service

    service.check(config.data.name, data_service)
    tf.config.experimental.enable_tensor_float_32_execution(False)  # the scores of a match need all of float32
    strategy = strategies.create()  # first: it must meet the other workers before anything else runs
    services = service.find(data_service)
    with (
        strategies.others_may_be_lost(),
        lock.hold(workdir) if strategies.is_chief(strategy) else contextlib.nullcontext(),
        _backed_up(backup, workdir, strategy) as copies,
    ):
        _train(config, workdir, strategy, allow_changed_data, services, copies)
    return open_run(workdir)


def _check_place(workdir: str, pictures: str) -> None:
    """Refuses a file in place of a folder, and the folder of the pictures, in which drawings would be pictures."""
    if os.path.lexists(workdir) and not os.path.isdir(workdir):
        raise ValueError(f"--workdir={workdir}: is a file; give the folder of a run, which need not be there yet")
    if pictures and os.path.realpath(workdir) == os.path.realpath(os.path.expanduser(pictures)):
        raise ValueError(
            f"--workdir={workdir}: is the folder of the pictures, among which the run would put its drawings; give "
            "another, such as runs/mine"
        )


@contextlib.contextmanager
def _backed_up(place: str, workdir: str, strategy: Any) -> Iterator[Any]:
    """Yields the backup of the process that writes, in step with its run; None to others, and where there is none."""
    from dense_labels.training import backups, strategies

    backup, refused = None, None
    if place and strategies.is_chief(strategy):
        try:
            backup = backups.Backup(place, workdir)
            backup.begin()
        except (ValueError, OSError) as error:
            refused = error
    try:  # before others look for checkpoints
        alike: dict[str, str | int] = {"--backup": place, "what is at --backup": int(refused is not None), "step": 0}
        strategies.check_alike(strategy, alike)
    except ValueError:
        if not refused:
            raise
    if refused:
        raise refused
    with backup.in_step() if backup else contextlib.nullcontext():
        yield backup
    if place:
        strategies.check_alike(strategy, {"step": 0})  # none ends before all is in the store: it would not come again


def _train(
    config: config_lib.Config,
    workdir: str,
    strategy: Any,
    allow_changed_data: bool,
    services: tuple[str, ...],
    backup: Any,
) -> None:
    """Trains as the only process that writes into the work directory, or beside that process."""
    from dense_labels.training import archives, beginning, checkpoints, loop, manifest, strategies
    from input_pipeline import pipeline

    # A run that was killed before its first checkpoint has nothing to go on from: its configuration is replaced.
    kept = run_config.load(workdir) if checkpoints.newest(workdir) else None
    replicas = strategy.num_replicas_in_sync
    config = _checked(config, kept, workdir, replicas)  # before the pictures are read
    precision = loop.choose_precision(config.train)
    source = pipeline.prepare(config)
    config = _resolved(config, source, precision, replicas)
    if kept is None:
        beginning.check_maps(config, source.input_size, NETWORKS[config.model.name].value.stride(config.model))
    shown = manifest.of_source(source, config.data.dir)
    if kept is not None:
        if manifest.check(workdir, shown, allow_changes=allow_changed_data):
            config.data.num_pictures = kept.data.num_pictures  # an epoch stays as long as it was
        run_config.check_same(config, kept, workdir)
    progress.say(f"precision of the convolutions: {precision}; {strategies.devices()}")
    os.makedirs(workdir, exist_ok=True)
    if strategies.is_chief(strategy):
        files.remove_temporary(workdir)
        run_config.save(config, workdir)
        manifest.save(workdir, shown)
        if kept is None:  # what an earlier run in this folder was called
            files.remove(os.path.join(workdir, archives.FILE))
    alike = {"configuration": _without_paths(config), "pictures": json.dumps(shown, sort_keys=True)}
    _fit(config, workdir, source, strategy, services, alike, backup)


def _checked(
    config: config_lib.Config, kept: config_lib.Config | None, workdir: str, replicas: int
) -> config_lib.Config:
    """The configuration of a run that can begin with it, or go on with it as far as is known without the pictures."""
    from dense_labels.training import beginning, loop

    if kept is None:
        beginning.check(config, replicas)
        if config.train.init_from:
            with contextlib.suppress(ValueError):  # its checkpoint is enough
                beginning.warn_of_start(config, run_config.load(config.train.init_from))
        _check_trunk(config)
        return config
    config = run_config.settled(config, kept)
    run_config.check_same(config, kept, workdir)
    config = run_config.as_begun(config, kept)
    loop.check_batch(config, replicas)
    _check_trunk(config)
    return config


def _check_trunk(config: config_lib.Config) -> None:
    """Refuses a file of weights that is not there, and a layer that the trunk does not have, where they are used."""
    from models import trunks

    model = config.model
    if user_code.registered_by([NETWORKS[model.name]]):
        return  # a network of the user's own may read something else
    if not config_keys.unused(config, "model.weights"):
        trunks.check_weights(model.weights)
    if model.frozen and not config_keys.unused(config, "model.frozen"):
        trunks.check_layer(model.trunk, model.frozen)


def _without_paths(config: config_lib.Config) -> str:
    """What a configuration says, but for what may lie elsewhere on another worker."""
    config = copy.deepcopy(config)
    for part, key in config_lib.path_keys():
        setattr(getattr(config, part), key, "")
    values = config_lib.to_dict(config)
    values["registered_by"] = [os.path.basename(file) for file in values.get("registered_by", [])]
    return json.dumps(values, sort_keys=True)


def _configuration(pictures_or_config, overrides) -> config_lib.Config:
    """The checked configuration that a call names, with paths that do not depend on where it is made."""
    if isinstance(pictures_or_config, config_lib.Config):
        config = copy.deepcopy(pictures_or_config)
    elif os.path.isdir(os.path.expanduser(pictures_or_config)):
        if "data.dir" in overrides:
            raise ValueError(
                f"the pictures are in {pictures_or_config} or in data.dir={overrides['data.dir']}; give one"
            )
        config = config_files.find("folder")
        config.data.dir = os.fspath(pictures_or_config)
    else:
        config = _found(os.fspath(pictures_or_config))
    config = config_lib.with_overrides(config, overrides)
    config_lib.check(config)
    config_lib.check_used(config, overrides)
    return run_config.with_absolute_paths(config)


def _found(given: str) -> config_lib.Config:
    """The configuration of a name or file, where a folder of pictures might be meant."""
    if given not in config_files.names() and not os.path.isfile(os.path.expanduser(given)):
        raise ValueError(
            f"{given}: there is no such folder; give a folder of pictures, or a configuration: its file, or a name of "
            f"{', '.join(config_files.names())}"
        )
    return config_files.find(given)


def _resolved(config: config_lib.Config, source: Any, precision: str, replicas: int) -> config_lib.Config:
    """The configuration with every setting that was left open, as the run keeps it."""
    from dense_labels.training import beginning
    from input_pipeline.readers import pictures

    count = source.count("train")
    batch_size = config.train.batch_size or beginning.batch_size(config, count, replicas)
    train = dataclasses.replace(config.train, precision=precision, batch_size=batch_size)
    if is_simulated(config.data.name):
        return dataclasses.replace(config, train=train)
    data = pictures.settled(config.data, source.boxed)
    size = tuple(source.size or source.frame(stride=1).full_size)  # of what has a size of its own, nothing is resized
    data = dataclasses.replace(data, size=size, crop=data.crop if source.size else source.margin, num_pictures=count)
    return dataclasses.replace(config, data=data, train=train)


def _fit(
    config: config_lib.Config,
    workdir: str,
    source: Any,
    strategy: Any,
    services: tuple[str, ...],
    alike: dict[str, str],
    backup: Any,
) -> None:
    from dense_labels.training import backups, loop, restoring
    from input_pipeline import pipeline

    stride = NETWORKS[config.model.name].value.stride(config.model)
    count = config.data.num_pictures or source.count("train")
    loop.train(
        config,
        workdir,
        network=functools.partial(restoring.created_network, config.model),
        dataset=lambda start_step, context: pipeline.training_pairs(
            source,
            stride=loop.pairs_stride(config, stride),
            batch_size=config.train.batch_size,
            seed=config.train.seed,
            start_step=start_step,
            input_context=context,
            services=services,
        ),
        steps_per_epoch=config.train.steps_per_epoch or max(1, count // config.train.batch_size),
        examples=pipeline.example_pairs(source, "validation", stride=stride, count=_EXAMPLES),
        stride=stride,
        strategy=strategy,
        alike=alike,
        after_epochs=[backups.AfterEpochs(backup)] if backup else [],
    )
