"""Rows of a table: trainings of one configuration with a few changes each, run once and then only read; their flags.

With `--results=FOLDER`, FOLDER/ROW.json records a finished row: its commands, what it took, and its figures. Recorded
rows are read wherever they were made, and need no work directory.
"""

import json
import os
import subprocess
import sys
import time

from absl import flags

from benchmarks import records
from dense_labels import files

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for the runs.")
_IMAGES = flags.DEFINE_string("images", None, "Folder of the pictures.")
_ANNOTATIONS = flags.DEFINE_string("annotations", None, "COCO key points whose pictures are trained on.")
_ANNOTATIONS_TEST = flags.DEFINE_string("annotations_test", None, "COCO key points that are measured on.")
_RESULTS = flags.DEFINE_string("results", None, "Folder of the records of finished rows; those in it are only read.")
_ONLY = flags.DEFINE_list("only", [], "The rows to train; all of them where none is named.")
LATER = ("data",)  # of `facts`, what records of earlier versions lack
EXCHANGE = {"loss.exchange": True, "loss.direct": 0.0}  # what is changed for the loss of exchanged labels alone
BOTH = {"loss.exchange": True}  # and for that of labels as they are too
_DONE = "done.json"  # in the folder of a row whose training and evaluation have ended


def sparse(count):
    """What is changed in a configuration to train sparse landmarks, which both papers compare with."""
    changes = {"model.name": "sparse", "model.label_size": count, "loss.name": "sparse"}
    return {**changes, "eval.heads": "('regress_own',)"}


def chosen(rows):
    """Reads --only and --workdir.

    Args:
      rows: the names of all rows.

    Returns:
      Dictionary of the chosen names -> the folder of each row.
    """
    folder = workdir()
    return {name: os.path.join(folder, name) for name in only(rows) or rows}


def only(names):
    """Reads --only: those of the names of all rows that it gives; an empty list where it is not given."""
    for name in _ONLY.value:
        if name not in names:
            sys.exit(f"error: --only={name}: there is no such row; choose {', '.join(names)}")
    return list(dict.fromkeys(_ONLY.value))


def results():
    """Reads --results."""
    if not _RESULTS.value:
        sys.exit("error: --results is missing; give the folder of the records")
    return _RESULTS.value


def workdir():
    """Reads --workdir."""
    if not _WORKDIR.value:
        sys.exit("error: --workdir is missing; give a folder for the runs")
    return _WORKDIR.value


def images():
    """Reads --images."""
    if not _IMAGES.value:
        sys.exit("error: --images is missing; give the folder of the pictures")
    return _IMAGES.value


def data():
    """Reads --images, --annotations and --annotations_test: keys of the configuration -> values."""
    flag_of = {"data.dir": _IMAGES, "data.annotations": _ANNOTATIONS, "data.annotations_test": _ANNOTATIONS_TEST}
    for flag in flag_of.values():
        if not flag.value:
            sys.exit(
                f"error: --{flag.name} is missing; --images, --annotations and --annotations_test say what pictures"
            )
    return {key: flag.value for key, flag in flag_of.items()}


def annotations():
    """Reads --annotations and --annotations_test, which may be missing: keys of the configuration -> values or None."""
    if not _ANNOTATIONS.value:
        sys.exit("error: --annotations is missing; give the landmarks of the pictures")
    return {"data.annotations": _ANNOTATIONS.value, "data.annotations_test": _ANNOTATIONS_TEST.value}


def own_data():
    """Reads --images, --annotations and --annotations_test, all of which may be missing: names -> values or None."""
    given = {"images": _IMAGES, "annotations": _ANNOTATIONS, "annotations_test": _ANNOTATIONS_TEST}
    return {name: flag.value for name, flag in given.items()}


def record_path(name):
    """Returns the path of a record in --results; None where no results are kept."""
    return os.path.join(_RESULTS.value, f"{name}.json") if _RESULTS.value else None


def labelling(network):
    """A network as a function that is traced once for all sizes of batches."""
    import tensorflow as tf

    return tf.function(network, reduce_retracing=True)


def network(workdir):
    """The trained network of a run: a function from images to labels, and its stride."""
    import dense_labels

    trained = dense_labels.open_run(workdir)
    return labelling(trained.network), trained.stride


def facts(workdir):
    """What tells a run from others of its name, as JSON has it: `step` of its training, settings, and pictures."""
    import dataclasses

    from dense_labels import run_config

    config = run_config.load(workdir)  # says what is wrong before TensorFlow is imported
    from dense_labels.training import checkpoints

    config.model.weights = os.path.basename(config.model.weights)
    config.train.init_from = os.path.basename(config.train.init_from)
    parts = {name: dataclasses.asdict(getattr(config, name)) for name in ("model", "loss", "views", "train")}
    data = {name: getattr(config.data, name) for name in ("name", "size", "crop", "num_pictures")}
    return json.loads(json.dumps({"step": checkpoints.newest_step(workdir), "run": parts, "data": data}))


def run(config, workdir, changes, *, evaluation=()):
    """Trains and evaluates one row, unless that is done.

    Args:
      config: path of the configuration file.
      workdir: folder of the row; a row that was stopped goes on there.
      changes: flags of train_main.py, such as "--config.loss.name=log".
      evaluation: flags of eval_main.py.

    Returns:
      What eval_main.py wrote, with the `minutes` of the training where it was not stopped.
    """
    options = {"config": config, "changes": changes, "evaluation": evaluation}
    return _recorded(workdir, options, lambda: _run(workdir, **options))


def _run(workdir, *, config, changes, evaluation):
    how = records.how({"config": config, "changes": changes, "evaluation": evaluation})
    _check_begun_alike(workdir, how)
    written = os.path.join(workdir, "eval", "result.json")
    timing = os.path.join(workdir, "minutes.json")
    if not _is_done(workdir, how, written):
        fresh, start = not os.path.exists(os.path.join(workdir, "checkpoints")), time.monotonic()
        _command("train_main.py", f"--config={config}", f"--workdir={workdir}", *changes)
        if fresh:
            with open(timing, "w") as file:
                json.dump((time.monotonic() - start) / 60, file)
        _command("eval_main.py", f"--workdir={workdir}", *evaluation)
        _write(os.path.join(workdir, _DONE), {"how": how, "result": records.digest(written)})
    result = read(written)
    if os.path.exists(timing):
        result["minutes"] = read(timing)
    return result


def _is_done(workdir, how, written):
    """Whether both commands of a row have ended, and nobody has evaluated its run in another way since."""
    path = os.path.join(workdir, _DONE)
    if not os.path.exists(path):
        return False
    done = read(path)
    if not records.serves(done["how"], how) or done["result"] != records.digest(written):
        return False
    records.say_read(os.path.basename(workdir), written)
    return True


def _check_begun_alike(workdir, how):
    """Refuses a folder in which a row was begun in another way, or by no row; keeps how, where none was."""
    path = os.path.join(workdir, "how.json")
    if os.path.exists(path):
        if not records.begun_alike(read(path), how):
            sys.exit(
                f"error: {workdir} holds a row that was begun in another way ({read(path)}); give another --workdir"
            )
    elif os.path.exists(os.path.join(workdir, "checkpoints")):
        sys.exit(f"error: {workdir} holds a run, and no how.json says that a row began it; give another --workdir")
    else:
        _write(path, how)


def untrained(config, workdir, changes):
    """Evaluates the network of a row as it was before training, unless that is done; as `run`, returns the result."""
    options = {"config": config, "changes": changes, "evaluation": ["--untrained"]}
    return _recorded(f"{workdir}_untrained", options, lambda: _untrained(workdir))


def _untrained(workdir):
    written = os.path.join(workdir, "eval_untrained", "result.json")
    if not os.path.exists(written):
        _command("eval_main.py", f"--workdir={workdir}", "--untrained")
    return read(written)


def _recorded(workdir, options, make):
    """A result from its record, or made and then recorded; where there is a folder of records."""
    name = os.path.basename(workdir)
    path = record_path(name)
    if path is None:
        return make()
    how = records.how(options)
    if os.path.exists(path):
        record = read(path)
        if not records.begun_alike(record["how"], how):
            sys.exit(f"error: {path} was made in another way ({record['how']}); give another --results, or remove it")
        records.say_read(name, path, () if records.serves(record["how"], how) else (f"some of {records.FEW}",))
        return record["result"]
    result = {name: value for name, value in make().items() if name != "curves"}
    _write(path, {"how": how, "command": typed_command(), "result": result})
    return result


def recorded(name, asked, make, later=()):
    """Reads a record of --results, or makes and writes it; where no results are kept it is made.

    Args:
      name: of the record.
      asked: what its figures depend on; a dictionary that JSON can hold.
      make: a function without arguments that returns its figures, another such dictionary.
      later: keys of `asked` that records of earlier versions lack, which are read all the same.

    Returns:
      The figures, with what was `asked` and the `command`.
    """
    path = record_path(name)
    if path and os.path.exists(path):
        record = read(path)
        lacks = records.lacking(record["asked"], asked, later)
        if lacks is None:
            other = records.unlike(record["asked"], asked)
            sys.exit(f"error: {path} was made in another way ({other}); give another --results, or remove it")
        records.say_read(name, path, lacks)
        return record
    record = {"asked": asked, "command": typed_command(), **make()}
    if path:
        _write(path, record)
    return record


def typed_command():
    """Returns the command, with the names of the flags in place of paths."""

    def shown(argument):
        flag, _, value = argument.partition("=")
        return f"{flag}={flag.strip('-').upper()}" if os.sep in value else argument

    module = os.path.basename(sys.argv[0]).removesuffix(".py")
    return " ".join([f"python -m benchmarks.{module}", *map(shown, sys.argv[1:])])


def minutes(results):
    """The mean minutes of a row's trainings as a cell of a table, of those that were not stopped."""
    found = [result["minutes"] for result in results if "minutes" in result]
    return f"{sum(found) / len(found):.0f}" if found else "resumed"


def read(path):
    """Reads a JSON file."""
    with open(path) as file:
        return json.load(file)


def _write(path, value):
    """Writes a JSON file, and its folder where there is none."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    files.write_whole(path, (json.dumps(value, indent=1) + "\n").encode())


def _command(*command):
    code = subprocess.run([sys.executable, *command]).returncode
    if code:
        sys.exit(code)  # what went wrong has been said
