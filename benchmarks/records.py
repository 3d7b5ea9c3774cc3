"""How a row is made, and whether what is kept of one is what is asked for: records, and folders of runs.

A record of an earlier version may lack what newer ones say; it is read where all that it does say is as asked.
"""

import hashlib
import os

FEW = "--few_shot"
_WEIGHTS = "--config.model.weights"
_INIT_FROM = "--config.train.init_from"
_PUBLISHED = (  # names of the weights that Keras publishes; where a record names none, the row began with these
    "imagenet",
    "mobilenet_v2_imagenet_notop.h5",
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
)
_UNTRAINED = {"changes": ["--untrained"]}  # all that an earlier version said of a network before training


def how(options):
    """Returns how a row is made, whatever folder its files lie in, as JSON has it.

    Args:
      options: dictionary of `config`, a path, and of lists of flags: `changes`, of a training, and `evaluation`.
    """
    return {name: value if isinstance(value, str) else without_folders(value) for name, value in options.items()}


def without_folders(options):
    """Returns flags without that of the pictures; of those that name files or a run to begin with the name is kept.

    Args:
      options: list of flags.
    """
    kept = []
    for option in options:
        flag, _, value = option.partition("=")
        if flag not in ("--config.data.dir", "--pictures"):
            named = flag.removeprefix("--config.data.").removeprefix("--") in ("annotations", "annotations_test")
            named = named or flag in (_WEIGHTS, _INIT_FROM)
            kept.append(f"{flag}={os.path.basename(value.rstrip(os.sep))}" if named else option)
    return kept


def begun_alike(made, asked):
    """Says whether two rows are made alike, but for how few annotated pictures heads are fitted to.

    Args:
      made, asked: of what is kept and of what is asked for, as of `how`. The published weights are the same by any
        name, and where no weights are named.
    """
    if made == _UNTRAINED:
        return asked.get("evaluation") == _UNTRAINED["changes"]
    first, second = (
        {**each, "changes": _without_published(each.get("changes", [])), "evaluation": _split(each)[0]}
        for each in (made, asked)
    )
    return first == second


def serves(made, asked):
    """Says whether the figures of a row are, or have among them, those that are asked for; as `begun_alike`."""
    return begun_alike(made, asked) and _split(asked)[1] <= _split(made)[1]


def lacking(made, asked, later):
    """Compares what a record depends on with what is asked.

    Args:
      made, asked: dictionaries of JSON values, of the record and of what is asked for.
      later: keys of `asked` that records of earlier versions lack.

    Returns:
      List of those keys that it lacks; None where it is of something else.
    """
    lacks = [key for key in later if key in asked and key not in made]
    return lacks if made == {key: value for key, value in asked.items() if key not in lacks} else None


def unlike(made, asked):
    """Returns those entries of what a record depends on that are not as `asked`; if there are none, what it lacks."""
    other = {key: value for key, value in made.items() if key not in asked or value != asked[key]}
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(asked.get(key), dict):
            other[key] = unlike(value, asked[key])
    return other or dict.fromkeys(asked.keys() - made.keys())


def say_read(name, path, lacks=()):
    """Says that figures are read and from where, and what a record of an earlier version does not tell.

    Args:
      name: of the row.
      path: of its record.
      lacks: as of `lacking`.
    """
    earlier = f"; it is of an earlier version, whose records lack {', '.join(lacks)}" if lacks else ""
    print(f"{name}: read from {path}{earlier}", flush=True)


def digest(path):
    """Returns the SHA-256 of a file, in hexadecimal digits; "" where there is none."""
    if not os.path.isfile(path):
        return ""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _without_published(changes):
    return [each for each in changes if each not in [f"{_WEIGHTS}={name}" for name in _PUBLISHED]]


def _flag(option):
    return option.partition("=")[0]


def _split(of_row):
    """Flags of an evaluation but for `--few_shot`, and the counts that this names."""
    evaluation = of_row.get("evaluation", [])
    few = [each.partition("=")[2].split(",") for each in evaluation if _flag(each) == FEW]
    return [each for each in evaluation if _flag(each) != FEW], {count for counts in few for count in counts}
