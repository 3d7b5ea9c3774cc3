"""The typed configuration of a run: every key with its default, its meaning and what is valid.

`config_keys.key` says what can stand with a key. A key that only some networks, losses, heads or data sets read is
claimed where these are registered; see `dense_labels.registry`.
"""

# No annotations of the future here: ml_collections needs the types of the keys, not their names.
import copy
import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any

from dense_labels import config_checks, config_keys, user_code
from dense_labels.config_keys import key
from dense_labels.registry import (
    COLOURS,
    FORMATS,
    HEADS,
    LOSSES,
    METRICS,
    NETWORKS,
    PICTURES,
    READERS,
    SIGNATURES,
    SOURCES,
    WARPS,
)

VERSION = 2  # of the dictionary that a configuration is kept as; in 1 exchanged labels alone had a loss
_COUNTED = "data.num_pictures"  # nobody else may set it
_ASKED_BY_0 = ("loss.direct", "model.confidence")


@dataclasses.dataclass
class DataConfig:
    """Which pictures."""

    name: str = key("roboarm", "a data set, or the format of your own pictures", choices=(SOURCES, READERS))
    dir: str = key("~/tensorflow_datasets", "folder, or pattern of shards; simulated data are built there", path=True)
    dataset: str = key("", "name of a data set of tensorflow-datasets, such as celeb_a or mine/small:1.0.0")
    image: str = key("", "feature of the records that is the picture; empty: the one they have")
    keypoints: str = key("", "feature of the records that is their landmarks, in pixels; empty: none")
    num_pairs: int = key(23_999, "frame pairs to simulate, in all splits together", least=1)
    seed: int = key(0, "seed of the simulation", least=0)
    annotations: str = key("", "landmarks to fit heads on; training uses only the pictures they name", path=True)
    annotations_test: str = key("", "landmarks to test heads on, in the same format", path=True)
    boxes: str = key("", "COCO file, or list of a detector's results; each box is a training picture", path=True)
    images: str = key("", "COCO file of the pictures that a list of results is about", path=True)
    category: str = key("", "name or id of the objects to use, where a file holds several kinds")
    min_score: float = key(0.0, "boxes with a lower score of the detector are left out")
    whole_pictures: bool = key(False, "show whole pictures instead of boxes around the objects")
    num_pictures: int = key(0, "pictures, or pairs of frames, that a run begins with; it fills this in", least=0)
    max_gap: int = key(1, "how far apart the two frames of a pair may lie", least=1, unit="frames")
    ignore_still: bool = key(True, "leave out what does not move, such as the background of a fixed camera")
    size: tuple[int, ...] = key((0, 0), "(height, width) to resize pictures to; (0, 0): from the pictures", unit="px")
    crop: int = key(0, "cut off each side of a view, so that warps bring in picture, not border", least=0, unit="px")
    skip_bad_files: bool = key(False, "leave out files that cannot be read, instead of refusing to start")
    cache_dir: str = key("~/.cache/dense_labels", "folder to keep resized pictures and computed flow in", path=True)


@dataclasses.dataclass
class ViewsConfig:
    """How two views of a picture are made: first warps, then changes of colour."""

    warp: str = key("tps", "how the picture is warped", choices=WARPS)
    strength: float = key(1.0, "strength of the warps; 1: as published", least=0)
    projective: float = key(0.0, "strength of a change of perspective", least=0)
    shift: float = key(
        0.0,
        "largest shift of each view along x and along y, beside the warp, as a share of the longer side",
        least=0,
        most=0.5,
    )
    flip: bool = key(False, "mirror half of the pictures, both views alike")
    border: str = key("edge", "what lies beyond the picture", choices=("zero", "edge", "mirror"))
    colour: str = key("dve", "how colours are changed", choices=COLOURS)
    colour_strength: float = key(1.0, "strength of the changes of colour; 1: as published", least=0)
    brightness: float = key(0.4, "largest change of brightness; the factor is 1 less or plus this", least=0, most=1)
    contrast: float = key(0.4, "largest change of contrast, as of brightness", least=0, most=1)
    saturation: float = key(0.4, "largest change of saturation, as of brightness", least=0, most=1)
    hue: float = key(0.0, "largest turn of the hue", least=0, most=0.5, unit="full turns")
    lighting: float = key(0.1, "standard deviation of a shift along the principal colours", least=0, most=10)
    jpeg: float = key(1.0, "strength of JPEG compression; 1: at a quality from 30 to 98", least=0, most=1)
    rescale: float = key(0.2, "largest loss of sharpness: shrunk to 1 less this, and enlarged again", least=0, most=0.9)


@dataclasses.dataclass
class ModelConfig:
    """Which network."""

    name: str = key("simple", "network", choices=NETWORKS)
    label_size: int = key(3, "how many numbers a label is (L); of sparse, landmarks (K)", least=2, most=4096)
    norm: str = key("none", "normalisation; batch: over the images of one replica", choices=("none", "batch"))
    activation: str = key("relu", "activation of the hidden layers", choices=("relu", "leaky_relu"))
    width: int = key(128, "channels of the maps of an hourglass", least=2)
    padding: str = key("zero", "what convolutions see beyond the border", choices=("zero", "mirror"))
    mean: tuple[float, ...] = key((0.0, 0.0, 0.0), "colour that the network subtracts from its images in [0, 1]")
    std: tuple[float, ...] = key((1.0, 1.0, 1.0), "colour that it then divides them by")
    trunk: str = key("mobilenet_v2", "published network to start from", choices="models.networks.introspection:TRUNKS")
    weights: str = key("imagenet", "imagenet: downloaded; a Keras .h5 file without the top; none: random", path=True)
    stride: int = key(16, "side of a cell; of mobilenet_v2 also 8", least=1, unit="px")
    frozen: str = key("", "the trunk's last layer that is not trained, nor are those before it; empty: all are")
    confidence: bool = key(True, "learn a confidence with each label; false: the paper's 'w/o conf.'")


@dataclasses.dataclass
class LossConfig:
    """Which loss."""

    name: str = key("log", "loss", choices=LOSSES)
    gamma: float = key(0.5, "exponent of the distance", above=0)
    exchange: bool = key(False, "whether labels of A also take part as another picture of the batch expresses them")
    direct: float = key(1.0, "what the loss of labels as they are counts beside that of exchanged ones", least=0)
    tau1: float = key(1.0, "distance up to which two points match", least=0, unit="px")
    tau2: float = key(30.0, "distance beyond which they do not; pairs in between do not count", least=0, unit="px")
    points: int = key(700, "points drawn from an image; each is compared with the matches of all", least=2)
    hard_negatives: int = key(30, "how many of the worst non-matches of a point count", least=1)
    diversity: float = key(500.0, "what landmarks in the same place cost, beside their alignment", least=0, unit="px²")
    patch: int = key(3, "side of the patches in which two landmarks are in the same place", least=1, unit="cells")


@dataclasses.dataclass
class TrainConfig:
    """How the network is trained."""

    init_from: str = key("", "folder of a run whose network to start from; empty: random weights", path=True)
    batch_size: int = key(16, "pairs in a step, over all replicas; 0: about 16, or all if they are fewer", least=0)
    num_epochs: int = key(10, "epochs to train for", least=1)
    patience: int = key(0, "epochs without a lower loss after which training stops; 0: it goes on", least=0)
    steps_per_epoch: int = key(0, "steps in an epoch; 0: one pass over what the run began with", least=0)
    optimizer: str = key("adam", "optimizer", choices=("adam", "amsgrad", "adagrad", "adagrad_momentum"))
    momentum: float = key(0.9, "momentum", least=0, most=0.999, owner="train.optimizer=adagrad_momentum")
    learning_rate: float = key(1e-3, "learning rate, at its highest", above=0)
    schedule: str = key("steps", "steps: falls at decay_epochs; cosine: falls to 0", choices=("steps", "cosine"))
    warmup_steps: int = key(0, "steps in which the rate rises from 0", least=0, owner="train.schedule=cosine")
    decay_epochs: tuple[int, ...] = key((), "epochs after which the rate falls", owner="train.schedule=steps")
    decay_factor: float = key(0.1, "what the rate is then multiplied by", above=0, owner="train.schedule=steps")
    weight_decay: float = key(0.0, "share of the filters, times the rate, that a step takes off; biases stay", least=0)
    clip_norm: float = key(0.0, "global norm that gradients are clipped to; 0: not clipped", least=0)
    precision: str = key(
        "auto",
        "precision of the convolutions; auto: mixed_bfloat16 if the processor has the units, else float32",
        choices=("auto", "float32", "mixed_bfloat16", "mixed_float16"),
    )
    jit_compile: bool = key(False, "compile the training step with XLA")
    seed: int = key(0, "seed of the initial weights and of the order of the pairs", least=0, most=2**32 - 1)
    keep_checkpoints: int = key(3, "how many of the newest checkpoints to keep", least=1)


@dataclasses.dataclass
class EvalConfig:
    """How the network is evaluated."""

    batch_size: int = key(32, "images in a batch", least=1)
    heads: tuple[str, ...] = key(("nearest",), "landmark heads to fit; the best is exported", choices=HEADS)
    head_images: int = key(0, "annotated training images to fit heads on; 0: all", least=0)
    pile: int = key(2000, "training pictures without annotations that a detector learns from; 0: none", least=0)
    upsample: int = key(4, "how much finer than the label map sub-pixel decoding works", least=1, most=64)


@dataclasses.dataclass
class Config:
    """A whole run."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    views: ViewsConfig = dataclasses.field(default_factory=ViewsConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    eval: EvalConfig = dataclasses.field(default_factory=EvalConfig)


def check(config: Config) -> None:
    """Refuses values that no run can have.

    Raises:
      ValueError: naming the key, its value and what is valid.
    """
    if not isinstance(config, Config):
        raise ValueError(f"a configuration must be a dense_labels.config.Config; found {type(config).__name__}")
    defaults = Config()
    for part in dataclasses.fields(Config):
        config_checks.check_types(part.name, getattr(config, part.name), getattr(defaults, part.name))
    config_checks.check_names(config, key_names())
    for name, facts in config_keys.keys(config).items():
        config_checks.check_value(name, facts, config_keys.value(config, name))
    config_checks.check_data(config.data)
    config_checks.check_colours(config.model)
    config_checks.check_schedule(config.train)
    for entry in config_keys.chosen_entries(config):
        if entry.check is not None:
            entry.check(config)


def check_used(config: Config, names: Iterable[str]) -> None:
    """Refuses a key that was set on purpose and has no effect in this run, or is the run's to fill in.

    One that is set to 0, nothing or False may be there: it switches off what a configuration file may have switched on.
    Not so `loss.direct`, which at 0 leaves exchanged labels alone, and `model.confidence`, which is usually on.

    Args:
      config: a configuration that `check` accepts.
      names: the keys that were set, such as "loss.tau2".

    Raises:
      ValueError: naming the first such key and what it belongs to.
    """
    for name in names:
        if name == _COUNTED:
            raise ValueError(f"config.{name} is filled in by the run, which counts them; leave it out")
        if (config_keys.value(config, name) or name in _ASKED_BY_0) and (whose := config_keys.unused(config, name)):
            raise ValueError(f"config.{name} has no effect in this run: it is of {whose}; leave it out")


def key_names() -> list[str]:
    """Lists every key that a command line may set, such as "train.batch_size"."""
    return list(config_keys.keys(Config()))


def path_keys() -> tuple[tuple[str, str], ...]:
    """Lists the keys whose values are paths, such as ("data", "dir")."""
    keys = config_keys.keys(Config())
    paths = (name.partition(".") for name, facts in keys.items() if facts.path)
    return tuple((part, field) for part, _, field in paths)


def describe(config: Config | None = None) -> str:
    """Writes all keys with their values in a configuration, if not the defaults, meanings and ranges, a line each."""
    config = config or Config()
    keys = config_keys.keys(config).items()
    return "\n".join(config_keys.described(name, facts, config_keys.value(config, name)) for name, facts in keys)


def with_overrides(config: Config, overrides: Mapping[str, Any]) -> Config:
    """Returns a copy of a configuration with other values for some keys; `check` it afterwards.

    Args:
      config: stays as it is.
      overrides: key -> value, such as {"train.num_epochs": 3}; a path may be a `pathlib.Path`, a tuple a list.

    Raises:
      ValueError: if there is no such key.
    """
    config, known = copy.deepcopy(config), key_names()
    for name, value in overrides.items():
        if name not in known:
            raise config_keys.unknown(name, known, "config.")
        value = os.fspath(value) if isinstance(value, os.PathLike) else value
        part, _, field = name.partition(".")
        setattr(getattr(config, part), field, tuple(value) if isinstance(value, list) else value)
    return config


def to_dict(config: Config) -> dict[str, Any]:
    """Returns a checked configuration as a dictionary that JSON can hold.

    Beside the parts it has a "version", and "registered_by": the files of the user's that registered what this run is
    made of, or what an evaluation or a prediction may use: a head, reader, format, metric, picture or signature.
    """
    of_any_run = (HEADS, READERS, FORMATS, METRICS, PICTURES, SIGNATURES)
    of_all_runs = (entry for registry in of_any_run for entry in registry.registered())
    outside = user_code.registered_by((*config_keys.chosen_entries(config), *of_all_runs))
    return {"version": VERSION, **({"registered_by": outside} if outside else {}), **dataclasses.asdict(config)}


def from_dict(values: Mapping[str, Any]) -> Config:
    """Reads what `to_dict` returned, in this version of the program or an older one; `check` it afterwards.

    The files in "registered_by" are run, so that what they registered can be chosen.

    Raises:
      ValueError: if it is of a newer version, does not hold the parts of a configuration, or has unknown keys.
    """
    parts = dict(values) if isinstance(values, Mapping) else {"": values}
    version, outside = parts.pop("version", 0), parts.pop("registered_by", ())  # older ones have neither
    if not isinstance(version, int) or version > VERSION:
        raise ValueError(
            f"it is a configuration of version {version}; this program reads up to {VERSION}: install a newer one"
        )
    if not all(isinstance(part, Mapping) for part in parts.values()):
        raise ValueError("it does not hold the parts of a configuration")
    for part, known in _key_names_by_part().items():
        for name in parts.get(part, ()):
            if f"{part}.{name}" not in known:
                raise config_keys.unknown(f"{part}.{name}", known, "config.")
    for part in parts.keys() - _key_names_by_part().keys():
        raise config_keys.unknown(part, key_names(), "config.")
    user_code.run_missing(outside)
    loss = parts.get("loss", {})
    exchanged_alone = version < 2 and loss.get("exchange") is True and loss.get("name") != "introspection"
    before = {"loss.direct": 0.0} if exchanged_alone else {}
    given = {f"{part}.{name}": value for part in parts for name, value in parts[part].items()}
    return with_overrides(Config(), {**before, **given})


def _key_names_by_part() -> dict[str, list[str]]:
    parts = [part.name for part in dataclasses.fields(Config)]
    return {part: [name for name in key_names() if name.startswith(f"{part}.")] for part in parts}
