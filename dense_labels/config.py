"""The typed configuration of a run, its checks, and the file that keeps it in the work directory."""

import dataclasses
import json
import math
import os
import pathlib

from dense_labels import files

DATA_SETS = ("roboarm", "video", "folder", "coco", "csv", "pts", "celeba", "celeb_a", "aflw", "cats")
HEADS = ("nearest", "regress", "regress_each")
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
BATCH_SIZE = 16  # where it is left to be found out, and there are as many pictures
_FILE = "config.json"
_PATHS = (
    ("data", "dir"),
    ("data", "annotations"),
    ("data", "annotations_test"),
    ("data", "cache_dir"),
    ("train", "init_from"),
)
_LEAST_SIDE = 16  # pixels of a view: eight cells
_MOST = {"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0.5, "lighting": 10, "jpeg": 1, "rescale": 0.9}


@dataclasses.dataclass
class DataConfig:
    """Which pictures."""

    # roboarm | video | folder | coco | csv | pts | celeba | celeb_a (of tensorflow-datasets) | aflw | cats
    name: str = "roboarm"
    dir: str = "~/tensorflow_datasets"  # where it is kept; roboarm is built there if it is absent
    num_pairs: int = 23_999  # roboarm: frame pairs in all splits together
    seed: int = 0  # roboarm: of the simulation
    # coco, csv: file of landmarks that heads are fitted on, pts: folder of them; training uses its pictures alone
    annotations: str = ""
    annotations_test: str = ""  # the same for the pictures heads are tested on
    whole_pictures: bool = False  # coco, pts: show whole pictures, not boxes about the objects
    num_pictures: int = 0  # pictures or pairs of frames in training; found out
    max_gap: int = 1  # video: frames that a pair may lie apart
    ignore_still: bool = True  # video: what does not move teaches nothing; a camera's background, for instance
    size: tuple[int, ...] = (0, 0)  # (height, width) that pictures are resized to; (0, 0): from the pictures
    crop: int = 0  # pixels that views lack on each side, so that warps bring in more of the picture, not of its border
    skip_bad_files: bool = False  # leave files out that cannot be read, instead of refusing to start
    cache_dir: str = "~/.cache/dense_labels"  # where resized pictures and computed flow are kept


@dataclasses.dataclass
class ViewsConfig:
    """How two views are made: warps, then changes of colour; of video, which moves, changes of colour alone."""

    strength: float = 1.0  # of the thin-plate spline and the affine map; 1: the published one
    projective: float = 0.0  # of a change of perspective
    flip: bool = False  # show half of the pictures mirrored, both views alike
    border: str = "edge"  # what lies beyond the picture: zero | edge | mirror
    brightness: float = 0.4  # factor from 1 - this to 1 + this
    contrast: float = 0.4  # the same
    saturation: float = 0.4  # the same
    hue: float = 0.0  # turn of at most this, of a full one
    lighting: float = 0.1  # standard deviation along the principal colours
    jpeg: float = 1.0  # 1: written and read at a quality from 30 to 98
    rescale: float = 0.2  # made smaller by a factor from 1 - this to 1, and larger again


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

    init_from: str = ""  # folder of a run whose network this one begins with; "": random weights
    batch_size: int = 16  # pairs, over all replicas; 0: 16, or as many as there are where these are fewer
    num_epochs: int = 10
    steps_per_epoch: int = 0  # 0: one pass over the training pairs
    optimizer: str = "adam"  # adam | amsgrad | adagrad
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
    heads: tuple[str, ...] = ("nearest",)  # nearest | regress | regress_each; the best of them is exported
    head_images: int = 0  # annotated training images the landmark heads are fitted on; 0: all
    upsample: int = 4  # how much finer than the label map sub-pixel decoding works


@dataclasses.dataclass
class Config:
    """A whole run."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    views: ViewsConfig = dataclasses.field(default_factory=ViewsConfig)
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
    _check_choice("data.name", config.data.name, DATA_SETS)
    _check_choice("views.border", config.views.border, ("zero", "edge", "mirror"))
    _check_choice("model.name", config.model.name, ("simple", "dilations"))
    _check_choice("model.norm", config.model.norm, ("none", "batch"))
    _check_choice("model.activation", config.model.activation, ("relu", "leaky_relu"))
    _check_choice("loss.name", config.loss.name, ("log", "dist", "margin"))
    _check_choice("train.optimizer", config.train.optimizer, ("adam", "amsgrad", "adagrad"))
    _check_choice("train.schedule", config.train.schedule, ("steps", "cosine"))
    _check_choice("train.precision", config.train.precision, PRECISIONS)
    _check_range("data.num_pairs", config.data.num_pairs, 1)
    if not config.data.dir:
        raise ValueError("config.data.dir is empty; say where the pictures are: --config.data.dir=PICTURES")
    for key in ("seed", "crop", "num_pictures"):
        _check_range(f"data.{key}", getattr(config.data, key), 0)
    _check_range("data.max_gap", config.data.max_gap, 1)
    if config.data.name == "video" and config.data.crop:
        raise ValueError(f"config.data.crop={config.data.crop}: is for still pictures; frames are shown whole")
    size, crop = tuple(config.data.size), config.data.crop
    if len(size) != 2 or not all(isinstance(side, int) for side in size):
        raise ValueError(f"config.data.size={size}: must be two whole numbers, height and width")
    if any(size) and min(size) - 2 * crop < _LEAST_SIDE:
        raise ValueError(
            f"config.data.size={size} less config.data.crop={crop} on each side leaves views smaller than "
            f"{_LEAST_SIDE} pixels; choose a larger size or a smaller crop"
        )
    for key in ("strength", "projective"):
        _check_range(f"views.{key}", getattr(config.views, key), 0)
    for key in ("brightness", "contrast", "saturation", "hue", "lighting", "jpeg", "rescale"):
        _check_range(f"views.{key}", getattr(config.views, key), 0, most=_MOST[key])
    _check_range("model.label_size", config.model.label_size, 2)
    _check_range("loss.gamma", config.loss.gamma, 0, open_=True)
    for key in ("num_epochs", "keep_checkpoints"):
        _check_range(f"train.{key}", getattr(config.train, key), 1)
    for key in ("batch_size", "steps_per_epoch", "warmup_steps", "weight_decay", "clip_norm", "seed"):
        _check_range(f"train.{key}", getattr(config.train, key), 0)
    if config.train.seed >= 2**32:
        raise ValueError(f"config.train.seed={config.train.seed}: must be below 2**32")
    if config.train.warmup_steps and config.train.schedule != "cosine":
        raise ValueError(
            f"config.train.warmup_steps={config.train.warmup_steps}: is for config.train.schedule='cosine'"
        )
    for key in ("learning_rate", "decay_factor"):
        _check_range(f"train.{key}", getattr(config.train, key), 0, open_=True)
    for key, least in (("batch_size", 1), ("head_images", 0), ("upsample", 1)):
        _check_range(f"eval.{key}", getattr(config.eval, key), least)
    if not config.eval.heads:
        raise ValueError(f"config.eval.heads is empty; name at least one of {', '.join(HEADS)}")
    for name in config.eval.heads:
        _check_choice("eval.heads", name, HEADS)
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


def make_paths_absolute(config):
    """Makes the paths in a configuration independent of where the command is run; an evaluation may run elsewhere.

    Args:
      config: a `Config`; changed in place.
    """
    for part, key in _PATHS:
        path = getattr(getattr(config, part), key)
        if path:
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
    if config.data.name not in ("coco", "pts"):
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
    for part, key in (*_PATHS, ("data", "skip_bad_files")):
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
    words = {bool: "True or False", int: "a whole number", float: "a number", str: "a string"}
    accepted = {float: (int, float)}
    for field in dataclasses.fields(defaults):
        value, default = getattr(values, field.name), getattr(defaults, field.name)
        kind, items, word = type(default), [value], words.get(type(default))
        if kind is tuple:
            of_words = bool(default) and isinstance(default[0], str)
            kind, items, word = (str, value, "words") if of_words else (float, value, "numbers")
            if not isinstance(value, (tuple, list)):
                items = [None]
        for item in items:
            if not isinstance(item, accepted.get(kind, kind)) or (kind is not bool and isinstance(item, bool)):
                raise ValueError(f"config.{part}.{field.name}={value!r}: must be {word}")


def _check_choice(key, value, choices):
    if value not in choices:
        raise ValueError(f"config.{key}={value!r}: there is no such choice; choose {', '.join(map(repr, choices))}")


def _check_range(key, value, least, *, most=math.inf, open_=False):
    if not math.isfinite(value) or value < least or (open_ and value == least):
        raise ValueError(f"config.{key}={value}: must be {'above' if open_ else 'at least'} {least}")
    if value > most:
        raise ValueError(f"config.{key}={value}: must be at most {most}")
