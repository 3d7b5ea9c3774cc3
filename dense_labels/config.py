"""The typed configuration of a run, and its checks."""

import dataclasses
import math

SIMULATED = ("roboarm", "sphere")  # built from num_pairs and seed
_ANNOTATED = ("coco", "csv", "pts", "celeba", "celeb_a", "aflw", "cats", "pascal3d")
DATA_SETS = (*SIMULATED, "video", "folder", "boxes", *_ANNOTATED)
HEADS = ("nearest", "regress", "regress_each", "heatmaps")
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
MAX_PIXELS = 25_000_000  # of a picture that a served model takes: what cameras of 24 million give
BATCH_SIZE = 16  # where it is left to be found out, and there are as many pictures
STRIDES = {"mobilenet_v2": (16, 8), "resnet50": (16,), "vgg16": (16,)}  # of the trunks
_LEAST_SIDE = 16  # pixels of a view: eight cells
_CHOICES = {
    "data.name": DATA_SETS,
    "views.warp": ("tps", "affine"),
    "views.border": ("zero", "edge", "mirror"),
    "views.colour": ("dve", "ssd"),
    "model.name": ("simple", "dilations", "introspection"),
    "model.norm": ("none", "batch"),
    "model.activation": ("relu", "leaky_relu"),
    "model.trunk": tuple(STRIDES),
    "loss.name": ("log", "dist", "margin", "introspection"),
    "train.optimizer": ("adam", "amsgrad", "adagrad", "adagrad_momentum"),
    "train.schedule": ("steps", "cosine"),
    "train.precision": PRECISIONS,
}
_RANGES = {  # from, to
    "data.num_pairs": (1, math.inf),
    "data.seed": (0, math.inf),
    "data.crop": (0, math.inf),
    "data.num_pictures": (0, math.inf),
    "data.max_gap": (1, math.inf),
    "data.min_score": (-math.inf, math.inf),
    "views.strength": (0, math.inf),
    "views.projective": (0, math.inf),
    "views.colour_strength": (0, math.inf),
    "views.brightness": (0, 1),
    "views.contrast": (0, 1),
    "views.saturation": (0, 1),
    "views.hue": (0, 0.5),
    "views.lighting": (0, 10),
    "views.jpeg": (0, 1),
    "views.rescale": (0, 0.9),
    "model.label_size": (2, math.inf),
    "loss.tau1": (0, math.inf),
    "loss.tau2": (0, math.inf),
    "loss.points": (2, math.inf),
    "loss.hard_negatives": (1, math.inf),
    "train.batch_size": (0, math.inf),
    "train.num_epochs": (1, math.inf),
    "train.patience": (0, math.inf),
    "train.steps_per_epoch": (0, math.inf),
    "train.momentum": (0, 0.999),
    "train.warmup_steps": (0, math.inf),
    "train.weight_decay": (0, math.inf),
    "train.clip_norm": (0, math.inf),
    "train.seed": (0, 2**32 - 1),
    "train.keep_checkpoints": (1, math.inf),
    "eval.batch_size": (1, math.inf),
    "eval.head_images": (0, math.inf),
    "eval.upsample": (1, math.inf),
}
_POSITIVE = ("loss.gamma", "train.learning_rate", "train.decay_factor")


@dataclasses.dataclass
class DataConfig:
    """Which pictures."""

    # roboarm | sphere | video | folder | boxes | coco | csv | pts | celeba | celeb_a (of tensorflow-datasets) | aflw |
    # cats | pascal3d
    name: str = "roboarm"
    dir: str = "~/tensorflow_datasets"  # where it is kept; roboarm and sphere are built there if absent
    num_pairs: int = 23_999  # roboarm, sphere: frame pairs in all splits together
    seed: int = 0  # roboarm, sphere: of the simulation
    # coco, csv: file of landmarks that heads are fitted on, pts: folder of them; training uses its pictures alone
    annotations: str = ""
    annotations_test: str = ""  # the same for the pictures heads are tested on
    boxes: str = ""  # boxes: COCO file, or list of a detector's results; each box is a training picture
    images: str = ""  # boxes: COCO file of the pictures that a list of results is about
    category: str = ""  # boxes: name or id of the objects, where there are several
    min_score: float = 0.0  # boxes: those that a detector gave a lower score are left out
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

    # tps: view B a thin-plate spline and an affine map of the picture, view A another of view B (as of paper 1's code)
    # affine: two affine maps of the picture (paper 2)
    warp: str = "tps"
    strength: float = 1.0  # of the warps; 1: the published one
    projective: float = 0.0  # tps: of a change of perspective
    flip: bool = False  # show half of the pictures mirrored, both views alike
    border: str = "edge"  # what lies beyond the picture: zero | edge | mirror
    colour: str = "dve"  # dve: the seven changes below (as of paper 1's code) | ssd: those of SSD (paper 2)
    colour_strength: float = 1.0  # ssd: 1 is the published one
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

    name: str = "simple"  # simple | dilations | introspection
    label_size: int = 3  # L, the length of a label
    norm: str = "none"  # simple, dilations: none | batch: over the images of one replica
    activation: str = "relu"  # simple, dilations: relu | leaky_relu
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)  # simple, dilations: taken off images in [0, 1], inside the network
    std: tuple[float, ...] = (1.0, 1.0, 1.0)  # simple, dilations: then divided by
    trunk: str = "mobilenet_v2"  # introspection: mobilenet_v2 | resnet50 | vgg16
    weights: str = "imagenet"  # introspection: imagenet: downloaded | a Keras .h5 file without the top | none: random
    stride: int = 16  # introspection: side of a cell in pixels; 16, or of mobilenet_v2 8
    frozen: str = ""  # introspection: the trunk's last layer that is not trained, nor are those before it; "": all are
    confidence: bool = True  # introspection: False is the paper's "w/o conf."


@dataclasses.dataclass
class LossConfig:
    """Which loss."""

    # of paper 1, log: equation (4) | dist: equation (5) | margin: footnote 2
    # of paper 2, introspection: equation (6), or (4) where the model has no confidence
    name: str = "log"
    gamma: float = 0.5  # exponent of the distance, for dist and margin
    tau1: float = 1.0  # introspection: pixels up to which two points match
    tau2: float = 30.0  # introspection: pixels beyond which they do not; what lies between is left out
    points: int = 700  # introspection: drawn of an image; each is compared with the matches of all
    hard_negatives: int = 30  # introspection: the worst that count, for each point


@dataclasses.dataclass
class TrainConfig:
    """How it is trained."""

    init_from: str = ""  # folder of a run whose network this one begins with; "": random weights
    batch_size: int = 16  # pairs, over all replicas; 0: 16, or as many as there are where these are fewer
    num_epochs: int = 10
    patience: int = 0  # epochs without a lower loss after which training ends; 0: it does not
    steps_per_epoch: int = 0  # 0: one pass over the training pairs
    optimizer: str = "adam"  # adam | amsgrad | adagrad | adagrad_momentum
    momentum: float = 0.9  # of adagrad_momentum
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
    heads: tuple[str, ...] = ("nearest",)  # nearest | regress | regress_each | heatmaps; the best is exported
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
    for key, choices in _CHOICES.items():
        _check_choice(key, _value(config, key), choices)
    for key, (least, most) in _RANGES.items():
        _check_range(key, _value(config, key), least, most=most)
    for key in _POSITIVE:
        _check_range(key, _value(config, key), 0, open_=True)
    _check_data(config.data)
    _check_model(config.model)
    _check_loss(config.loss)
    _check_train(config.train)
    if not config.eval.heads:
        raise ValueError(f"config.eval.heads is empty; name at least one of {', '.join(HEADS)}")
    for name in config.eval.heads:
        _check_choice("eval.heads", name, HEADS)


def has_confidence(model):
    """Says whether the length of a network's labels is its confidence, as of paper 2.

    Args:
      model: a `ModelConfig`.

    Returns:
      A bool.
    """
    return model.name == "introspection" and model.confidence


def _value(config, key):
    part, name = key.split(".")
    return getattr(getattr(config, part), name)


def _check_data(data):
    if not data.dir:
        raise ValueError("config.data.dir is empty; say where the pictures are: --config.data.dir=PICTURES")
    if data.name == "boxes" and not data.boxes:
        raise ValueError("config.data.name='boxes' needs config.data.boxes, a COCO file or a detector's results")
    if data.name == "video" and data.crop:
        raise ValueError(f"config.data.crop={data.crop}: is for still pictures; frames are shown whole")
    size, crop = tuple(data.size), data.crop
    if len(size) != 2 or not all(isinstance(side, int) for side in size):
        raise ValueError(f"config.data.size={size}: must be two whole numbers, height and width")
    if any(size) and min(size) - 2 * crop < _LEAST_SIDE:
        raise ValueError(
            f"config.data.size={size} less config.data.crop={crop} on each side leaves views smaller than "
            f"{_LEAST_SIDE} pixels; choose a larger size or a smaller crop"
        )


def _check_model(model):
    for key in ("mean", "std"):
        value = getattr(model, key)
        if len(value) != 3 or not all(math.isfinite(v) for v in value) or (key == "std" and min(value) <= 0):
            raise ValueError(
                f"config.model.{key}={value}: must be three finite numbers, one a colour"
                + (", above 0" if key == "std" else "")
            )
    strides = STRIDES[model.trunk]
    if model.name == "introspection" and model.stride not in strides:
        valid = " or ".join(map(str, strides))
        raise ValueError(f"config.model.stride={model.stride}: must be {valid} for the trunk {model.trunk!r}")


def _check_loss(loss):
    if loss.tau1 > loss.tau2:
        raise ValueError(f"config.loss.tau1={loss.tau1}: must not be above config.loss.tau2={loss.tau2}")


def _check_train(train):
    if train.warmup_steps and train.schedule != "cosine":
        raise ValueError(f"config.train.warmup_steps={train.warmup_steps}: is for config.train.schedule='cosine'")
    epochs = list(train.decay_epochs)
    if epochs and train.schedule != "steps":
        raise ValueError(f"config.train.decay_epochs={tuple(epochs)}: is for config.train.schedule='steps' alone")
    whole = all(isinstance(e, int) and 0 < e < train.num_epochs for e in epochs)
    if not whole or epochs != sorted(set(epochs)):
        raise ValueError(
            f"config.train.decay_epochs={tuple(epochs)}: must be whole numbers that rise, "
            f"between 0 and num_epochs={train.num_epochs}"
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


def hyperparameters(config):
    """Lays out how a network is made and trained, as a table of runs needs it.

    Args:
      config: a `Config`.

    Returns:
      A dictionary such as {"loss.gamma": 0.5}; tuples are written as strings. Where data are and how a network is
      evaluated are not in it.
    """
    keys = [key.partition(".")[2] for key in override_keys(config)]
    values = {key: _value(config, key) for key in keys if key.split(".")[0] not in ("data", "eval")}
    return {key: str(value) if isinstance(value, (tuple, list)) else value for key, value in values.items()}


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
