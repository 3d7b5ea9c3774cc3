"""Runs a command line: a user's mistake ends in one clear line and a non-zero exit code, not in a stack trace."""

import difflib
import os
import re
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from dense_labels import config as config_lib

_TRACEBACK = flags.DEFINE_bool("traceback", False, "Show where in the code an error came from.")

# What a user, a disk or a damaged file can cause, beside TensorFlow's own errors. Anything else is a mistake of this
# project and keeps its stack trace.
_EXPECTED = (ValueError, OSError, FloatingPointError)


def define_config():
    """Defines `--config=FILE` and `--config.part.key=value`.

    Returns:
      An absl flag holder of a `dense_labels.config.Config`.
    """
    return config_flags.DEFINE_config_file(
        "config", None, "A file whose get_config() returns a dense_labels.config.Config, such as configs/roboarm.py."
    )


def run(main, *, takes_files=False):
    """Parses the flags and calls `main()`; exits with 0, or with 1 after one line on stderr.

    Args:
      main: a function without arguments, or of a list of strings where it `takes_files`.
      takes_files: whether names may follow the flags.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.set_verbosity(logging.ERROR)  # tensorflow-datasets warns of its own deprecations
    app.run(
        lambda argv: _guarded(lambda: main(argv[1:]) if takes_files else main()),
        flags_parser=lambda argv: _parse(argv, takes_files),
    )


def _parse(argv, takes_files):
    try:
        _check_keys(argv)
        rest = flags.FLAGS(argv)
        if len(rest) > 1 and not takes_files:
            raise ValueError(f"unexpected argument {rest[1]!r}; every option is written --name=value")
        if "config" in flags.FLAGS:
            _check_file(flags.FLAGS["config"].config_filename)
    except Exception as error:  # whatever is wrong here, the user wrote it
        _fail(error)
    return rest


def _check_keys(argv):
    keys = [f"--{key}" for key in config_lib.override_keys(config_lib.Config())]
    for argument in argv[1:]:
        name = "--" + argument.partition("=")[0].lstrip("-")
        if name.startswith("--config.") and name not in keys:
            close = difflib.get_close_matches(name, keys, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ValueError(f"{name} is not a configuration key; {hint}the keys are {', '.join(keys)}")


def _check_file(path):
    if not os.path.isfile(path):
        raise ValueError(f"--config={path}: there is no such file; give one such as configs/roboarm.py")


def _guarded(main):
    try:
        main()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        tensorflow = sys.modules.get("tensorflow")
        if not isinstance(error, _EXPECTED + ((tensorflow.errors.OpError,) if tensorflow else ())):
            raise
        _fail(error)


def _fail(error):
    if flags.FLAGS.is_parsed() and _TRACEBACK.value:
        raise error
    message = of_tensorflow(error.message) if hasattr(error, "message") else str(error)
    print(f"error: {' '.join(message.split()) or type(error).__name__}", file=sys.stderr)
    sys.exit(1)


def of_tensorflow(message):
    """Picks what went wrong out of a message of TensorFlow's that also says where in the graph."""
    message = re.sub(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*?\]( name: ?\S*)?", " ", message, flags=re.S)
    where = ("Graph execution error", "Detected at node", "Hint:", "File ", "<stdin>", "<stack traces")
    lines = [line.strip() for line in message.splitlines()]
    return next((line for line in lines if line and not line.startswith(where)), "")


def python():
    """Returns the command that runs this Python, as short as it can be written."""
    inside = os.path.relpath(sys.executable)
    return sys.executable if inside.startswith(os.pardir) else inside
