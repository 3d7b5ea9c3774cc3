"""The typed configuration of a run, its checks, and the file that keeps it in the work directory."""

import dataclasses
import json
import math
import pathlib

from dense_labels import files

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
_FILE = "config.json"


@dataclasses.dataclass
class DataConfig:
    """Which pictures."""

    name: str = "roboarm"  # the data set
    dir: str = "~/tensorflow_datasets"  # where it is kept, and built if it is absent
    num_pairs: int = 23_999  # roboarm: frame pairs in all splits together
    seed: int = 0  # roboarm: of the simulation


@dataclasses.dataclass
class ModelConfig:
    """Which network."""

    name: str = "simple"  # simple | dilations
    label_size: int = 3  # L, the length of a label
    norm: str = "none"  # none | batch: over the images of one replica
    activation: str = "relu"  # relu | leaky_relu
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)  # taken off images in [0, 1], inside the network
    std: tuple[float, ...] = (1.0, 1.0, 1.0)  # then divided by


@dataclasses.dataclass
class LossConfig:
    """Which loss."""

    name: str = "log"  # log: equation (4) | dist: equation (5) | margin: footnote 2
    gamma: float = 0.5  # exponent of the distance, for dist and margin


@dataclasses.dataclass
class TrainConfig:
    """How it is trained."""

    batch_size: int = 16  # pairs, over all replicas
    num_epochs: int = 10
    steps_per_epoch: int = 0  # 0: one pass over the training pairs
    optimizer: str = "adam"  # adam | adagrad
    learning_rate: float = 1e-3
    schedule: str = "steps"  # steps: times decay_factor at each of decay_epochs | cosine: falls to 0 over the run
    warmup_steps: int = 0  # for cosine: how many steps the rate rises from 0
    decay_epochs: tuple[int, ...] = ()  # for steps
    decay_factor: float = 0.1
    weight_decay: float = 0.0  # of the filters, not the biases: rate times this is taken off each at each step
    clip_norm: float = 0.0  # global norm the gradient is clipped to; 0: not clipped
    # of the convolutions: float32 | mixed_bfloat16 | mixed_float16 | auto: bfloat16 where the processor has the units;
    # weights, labels and the softmax are always float32
    precision: str = "auto"
    jit_compile: bool = False  # compile the step with XLA
    seed: int = 0  # of the initial weights and the order of the pairs
    keep_checkpoints: int = 3


@dataclasses.dataclass
class EvalConfig:
    """How it is evaluated."""

    batch_size: int = 32
    head_images: int = 2_000  # annotated training images the landmark head is fitted on
    upsample: int = 4  # how much finer than the label map sub-pixel decoding works


@dataclasses.dataclass
class Config:
    """A whole run."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    eval: EvalConfig = dataclasses.field(default_factory=EvalConfig)


def check(config):
    """Refuses values no run can have.

    Args:
      config: a `Config`.

    Raises:
      ValueError: naming the key, the value and what is valid.
    """
    if not isinstance(config, Config):
        raise ValueError(f"get_config() of the configuration file must return a Config; found {type(config).__name__}")
    for part in dataclasses.fields(config):
        _check_types(part.name, getattr(config, part.name), part.default_factory())
    _check_choice("data.name", config.data.name, ("roboarm",))
    _check_choice("model.name", config.model.name, ("simple", "dilations"))
    _check_choice("model.norm", config.model.norm, ("none", "batch"))
    _check_choice("model.activation", config.model.activation, ("relu", "leaky_relu"))
    _check_choice("loss.name", config.loss.name, ("log", "dist", "margin"))
    _check_choice("train.optimizer", config.train.optimizer, ("adam", "adagrad"))
    _check_choice("train.schedule", config.train.schedule, ("steps", "cosine"))
    _check_choice("train.precision", config.train.precision, PRECISIONS)
    _check_range("data.num_pairs", config.data.num_pairs, 1)
    _check_range("data.seed", config.data.seed, 0)
    _check_range("model.label_size", config.model.label_size, 2)
    _check_range("loss.gamma", config.loss.gamma, 0, open_=True)
    for key in ("batch_size", "num_epochs", "keep_checkpoints"):
        _check_range(f"train.{key}", getattr(config.train, key), 1)
    for key in ("steps_per_epoch", "warmup_steps", "weight_decay", "clip_norm", "seed"):
        _check_range(f"train.{key}", getattr(config.train, key), 0)
    if config.train.seed >= 2**32:
        raise ValueError(f"config.train.seed={config.train.seed}: must be below 2**32")
    if config.train.warmup_steps and config.train.schedule != "cosine":
        raise ValueError(
            f"config.train.warmup_steps={config.train.warmup_steps}: is for config.train.schedule='cosine'"
        )
    for key in ("learning_rate", "decay_factor"):
        _check_range(f"train.{key}", getattr(config.train, key), 0, open_=True)
    for key in ("batch_size", "head_images", "upsample"):
        _check_range(f"eval.{key}", getattr(config.eval, key), 1)
    for key in ("mean", "std"):
        value = getattr(config.model, key)
        if len(value) != 3 or not all(math.isfinite(v) for v in value) or (key == "std" and min(value) <= 0):
            raise ValueError(
                f"config.model.{key}={value}: must be three finite numbers, one a colour"
                + (", above 0" if key == "std" else "")
            )
    epochs = list(config.train.decay_epochs)
    if epochs and config.train.schedule != "steps":
        raise ValueError(f"config.train.decay_epochs={tuple(epochs)}: is for config.train.schedule='steps' alone")
    whole = all(isinstance(e, int) and 0 < e < config.train.num_epochs for e in epochs)
    if not whole or epochs != sorted(set(epochs)):
        raise ValueError(
            f"config.train.decay_epochs={tuple(epochs)}: must be whole numbers that rise, "
            f"between 0 and num_epochs={config.train.num_epochs}"
        )


def override_keys(config, prefix="config"):
    """Lists every key that a command line may set.

    Args:
      config: a `Config` or one of its parts.
      prefix: name the keys start with.

    Returns:
      List of strings such as "config.train.batch_size".
    """
    keys = []
    for field in dataclasses.fields(config):
        value, key = getattr(config, field.name), f"{prefix}.{field.name}"
        keys.extend(override_keys(value, key) if dataclasses.is_dataclass(value) else [key])
    return keys


def check_same(config, workdir):
    """Refuses to go on with a run under another configuration; where the data lie may differ.

    Args:
      config: a `Config`.
      workdir: folder of the run, with its configuration.

    Raises:
      ValueError: naming what differs.
    """
    kept, new = (json.loads(json.dumps(dataclasses.asdict(c))) for c in (load(workdir), config))
    kept["data"]["dir"] = new["data"]["dir"]
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
    config = _from_dict(Config, values, "config")
    check(config)
    return config


def _from_dict(kind, values, prefix):
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            raise ValueError(f"{prefix}.{key} is not a key; the keys are {', '.join(override_keys(kind(), prefix))}")
    arguments = {}
    for key, value in values.items():
        default = getattr(kind(), key)
        if dataclasses.is_dataclass(default):
            value = _from_dict(type(default), value, f"{prefix}.{key}")
        elif isinstance(default, tuple) and isinstance(value, list):
            value = tuple(value)
        arguments[key] = value
    return kind(**arguments)


def _check_types(part, values, defaults):
    """Checks each key against the type of its default; a whole number is as good as a float, a list as a tuple."""
    if type(values) is not type(defaults):
        raise ValueError(f"config.{part}={values!r}: must be a {type(defaults).__name__}")
    words = {bool: "True or False", int: "a whole number", float: "a number", str: "a string", tuple: "numbers"}
    accepted = {float: (int, float), tuple: (tuple, list)}
    for field in dataclasses.fields(defaults):
        value, kind = getattr(values, field.name), type(getattr(defaults, field.name))
        right = isinstance(value, accepted.get(kind, kind)) and (kind is bool or not isinstance(value, bool))
        if right and kind is tuple:
            right = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in value)
        if not right:
            raise ValueError(f"config.{part}.{field.name}={value!r}: must be {words[kind]}")


def _check_choice(key, value, choices):
    if value not in choices:
        raise ValueError(f"config.{key}={value!r}: there is no such choice; choose {', '.join(map(repr, choices))}")


def _check_range(key, value, least, *, open_=False):
    if not math.isfinite(value) or value < least or (open_ and value == least):
        raise ValueError(f"config.{key}={value}: must be {'above' if open_ else 'at least'} {least}")
