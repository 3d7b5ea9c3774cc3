"""What a training can be refused for before the pictures are read, and what leaves it nothing to learn."""

from __future__ import annotations

import math
import os

from dense_labels import config_keys, progress
from dense_labels.config import Config
from dense_labels.registry import LOSSES, NETWORKS, describes, has_unit_labels
from dense_labels.training import checkpoints, loop

_BATCH_SIZE = 16
_COMPUTED = ("activation", "padding", "mean", "std")  # of the network, beside its weights


def check(config: Config, replicas: int) -> None:
    """Refuses what a new training could not begin with, before the work of reading its pictures.

    Args:
      config: of the run.
      replicas: how many train together.

    Raises:
      ValueError: if the run to begin with has no checkpoint, boxes are of another file than annotations, layers are
        kept that nothing has taught, `loop.check_batch` refuses the batch, colours are not of images in [0, 1], the
        rate would rise, or the loss is not for such labels.
    """
    _check_lengths(config)
    _check_boxes(config)
    if not config.data.cache_dir:
        raise ValueError("config.data.cache_dir is empty; name a folder, or leave it out")
    if config.train.batch_size:
        loop.check_batch(config, replicas)
    if config.train.init_from:
        checkpoints.newest_step(config.train.init_from)
    model, factor = config.model, config.train.decay_factor
    for name, colour in (("mean", model.mean), ("std", model.std)):
        if not all(0 <= each <= 1 for each in colour):
            raise ValueError(f"config.model.{name}={colour}: is of images in [0, 1], so no number may be above 1")
    if factor > 1:
        raise ValueError(f"config.train.decay_factor={factor}: the rate is multiplied by it and must fall; at most 1")
    frozen = model.frozen and not config_keys.unused(config, "model.frozen")
    if frozen and model.weights == "none" and not config.train.init_from:
        raise ValueError(
            f"config.model.frozen={model.frozen!r}: with config.model.weights='none' these layers would stay random; "
            "give weights, or leave config.model.frozen empty"
        )


def warn_of_start(config: Config, other: Config) -> None:
    """Warns where a network uses weights otherwise than that of the run which it begins with.

    Or where one of them trains the batch norms of a trunk, and the other does not: they are kept as they are in a trunk
    that began with published weights, and trained in one that began random.
    """
    differ = [key for key in _COMPUTED if getattr(config.model, key) != getattr(other.model, key)]
    differ = [key for key in differ if not any(config_keys.unused(each, f"model.{key}") for each in (config, other))]
    if differ:
        theirs = ", ".join(f"config.model.{key}={getattr(other.model, key)!r}" for key in differ)
        progress.warn(
            f"{config.train.init_from} was trained with {theirs}, and here the network computes otherwise with its "
            "weights; set the same, unless you mean it"
        )
    weights, of, others = config.model.weights, config.train.init_from, other.model.weights
    if not config_keys.unused(config, "model.weights") and (weights == "none") != (others == "none"):
        here, there = ("trained", "not trained") if weights == "none" else ("not trained", "trained")
        progress.warn(
            f"config.model.weights={weights!r}: the batch norms of the trunk are {here}, and those of {of} were "
            f"{there}; give --config.model.weights={others} to train as there"
        )


def _check_boxes(config: Config) -> None:
    """Refuses boxes of one file where annotations of another have boxes of their own, which are shown."""
    if any(config_keys.unused(config, key) for key in ("data.boxes", "data.annotations")):
        return
    data = config.data
    files = {os.path.realpath(os.path.expanduser(path)) for path in (data.annotations, data.annotations_test) if path}
    if data.boxes and files and os.path.realpath(os.path.expanduser(data.boxes)) not in files:
        raise ValueError(
            f"config.data.boxes={data.boxes}: with config.data.name={data.name!r} boxes are those of the annotations; "
            f"give {data.annotations}, or config.data.name='boxes' for these"
        )


def _check_lengths(config: Config) -> None:
    """Refuses losses that train no lengths of labels that have some, and those of paper 1 where all labels are 1 long.

    Among many cells a softmax of unit labels is hardly sharper than chance, and lengths that nothing trains are what
    chance makes them, though labels are compared by inner products.
    """
    loss, network, lengths = config.loss.name, config.model.name, LOSSES[config.loss.name].facts.get("lengths")
    if lengths is False and not (describes(network) or NETWORKS[network].value.has_confidence(config.model)):
        raise ValueError(
            f"config.loss.name={loss!r} trains the direction of labels, and those of config.model.name={network!r} are "
            "compared by their length too; set config.model.name='introspection', or another loss"
        )
    if lengths and has_unit_labels(config.model):
        raise ValueError(
            f"config.loss.name={loss!r} needs labels of any length, and with config.model.confidence=False they are "
            "all 1 long; set config.loss.name='introspection', or config.model.confidence=True"
        )


def batch_size(config: Config, count: int, replicas: int) -> int:
    """Returns the batch size where it is left open: 16, or all pairs if they are fewer, shared evenly by the replicas.

    Args:
      config: of the run.
      count: how many pictures, or pairs, there are.
      replicas: how many train together.

    Raises:
      ValueError: if labels are to be exchanged, and there are too few for that.
    """
    exchanged = config.loss.exchange and not config_keys.unused(config, "loss.exchange")
    least, most = replicas * (2 if exchanged else 1), min(_BATCH_SIZE, count)
    if exchanged and count < least:
        raise ValueError(
            f"config.loss.exchange=True: labels are exchanged with another picture, which takes {least} pictures, and "
            f"there are {count}; give more, or set config.loss.exchange=False"
        )
    return max(most - most % replicas, least)


def check_maps(config: Config, size: tuple[int, int], stride: int) -> None:
    """Refuses label maps on which the loss has nothing to tell apart.

    Args:
      config: of the run.
      size: height and width of a view, in pixels.
      stride: side of a cell, in pixels.

    Raises:
      ValueError: naming the key.
    """
    height, width = size
    rows, columns = height // stride, width // stride
    views = f"views of {height} x {width} pixels"
    if rows * columns < 2:
        raise ValueError(
            f"{views} are {rows} x {columns} cells of {stride} pixels, which leaves no points to tell apart; choose a "
            "larger config.data.size"
        )
    patch, tau2 = config.loss.patch, config.loss.tau2
    if patch >= max(rows, columns) and not config_keys.unused(config, "loss.patch"):
        raise ValueError(
            f"config.loss.patch={patch}: {views} have {rows} x {columns} cells, all of which would be one patch, and "
            "nothing would keep the landmarks apart; choose a smaller one"
        )
    if tau2 >= math.hypot(height, width) and not config_keys.unused(config, "loss.tau2"):
        raise ValueError(
            f"config.loss.tau2={tau2}: no two points of {views} are further apart, so there would be nothing that does "
            "not match; choose a smaller one"
        )
