"""Runs a command line: a user's mistake ends in one clear line and a non-zero exit code, not in a stack trace.

Which errors are a user's? Those that this project raises on purpose, the operating system's, and TensorFlow's about
files and machines. Anything else is a mistake of the program and keeps its stack trace: also a ValueError that a
library or the interpreter raises, such as numpy's "cannot reshape array". An error was raised on purpose if it comes
from a `raise` statement in one of our own files, or in one beside a configuration file of the user's. So whoever finds
that the user is wrong writes `raise ValueError(...)`, and no class of errors is needed for it.
"""

from __future__ import annotations

import ast
import builtins
import os
import pathlib
import re
import shlex
import sys
import traceback
from collections.abc import Callable
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

from dense_labels import config as config_lib
from dense_labels import config_files, config_keys, files, progress, user_code

_TRACEBACK = flags.DEFINE_bool("traceback", False, "Show where in the code an error came from.")
_ROOT = pathlib.Path(__file__).resolve().parents[1]
KNOWN = ("annotations", "pictures", "category")  # flags that say what is annotated already
_RAISED_ON_PURPOSE = (ValueError, FloatingPointError)
_HELP = "Name of a configuration, such as folder, or a file whose get_config() returns a dense_labels.config.Config."
# Of TensorFlow's errors, those that files and machines cause. The others are mistakes in a graph.
_FROM_OUTSIDE = (
    *("AbortedError", "AlreadyExistsError", "CancelledError", "DataLossError", "DeadlineExceededError"),
    *("NotFoundError", "OutOfRangeError", "PermissionDeniedError", "ResourceExhaustedError", "UnavailableError"),
    "UnknownError",
)


class _ConfigParser(flags.ArgumentParser):
    """Takes the name or file of a configuration for the configuration in it."""

    def parse(self, argument: str) -> config_lib.Config:
        try:
            return config_files.find(argument)
        except ValueError as error:  # absl says again what was given
            raise ValueError(str(error).removeprefix(f"{argument}: ")) from error

    def flag_type(self) -> str:
        return "name or file"


def define_config() -> flags.FlagHolder[config_lib.Config]:
    """Defines `--config=NAME_OR_FILE` and `--config.part.key=value`.

    Returns:
      An absl flag holder. Once `run` has parsed the flags, it holds a configuration that was checked.
    """
    holder = config_flags.DEFINE_config_file("config", None, _HELP)
    flags.FLAGS["config"].parser = _ConfigParser()
    return holder


def run(main: Callable[..., Any], *, takes_files: bool = False, passes_on: bool = False) -> None:
    """Parses the flags and calls `main()`; exits with 0, or with 1 after one line on stderr.

    Args:
      main: a function without arguments, or of a list of strings where it `takes_files` or `passes_on`.
      takes_files: whether names may follow the flags.
      passes_on: whether what is no flag of ours is for another program, which knows whether it is one.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.set_verbosity(logging.ERROR)  # tensorflow-datasets warns of its own deprecations
    app.run(
        lambda argv: _guarded(lambda: main(argv[1:]) if takes_files or passes_on else main()),
        flags_parser=lambda argv: _parse(argv, takes_files, passes_on),
    )


def is_expected(error: Exception) -> bool:
    """Says whether an error is about what a user gave, a disk or another machine, not a mistake of the program."""
    if isinstance(error, (OSError, flags.Error)):
        return True
    if isinstance(error, _RAISED_ON_PURPOSE):
        frames = traceback.extract_tb(error.__traceback__)
        return bool(frames) and _is_raise(frames[-1].filename, frames[-1].lineno or 0)
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(error, tensorflow.errors.OpError) and _is_from_outside(error)


def whole_numbers(name: str, texts: list[str]) -> list[int]:
    """Returns the numbers above 0 that a flag lists; raises a ValueError where one is something else."""
    if not all(text.isdecimal() and int(text) for text in texts):
        raise ValueError(f"--{name}={','.join(texts)}: must be whole numbers above 0, such as 1,5,10")
    return [int(text) for text in texts]


def alone(name: str, *taken: str, **given: Any) -> dict[str, Any]:
    """Returns those of the given flags that another one takes.

    Args:
      name: of the flag that takes them.
      *taken: names of those that it takes.
      **given: the values of all others.

    Raises:
      ValueError: if a flag is set that it does not take.
    """
    is_set = {other: value is not False and value not in (None, []) for other, value in given.items()}  # 0 is a value
    if idle := [other for other in given if is_set[other] and other not in taken]:
        raise ValueError(f"--{name} does not evaluate: leave out {', '.join(f'--{other}' for other in idle)}")
    return {other: given[other] for other in taken}


def check_export(export_dir: str | None, untrained: bool, limits: tuple[int, int], usual: tuple[int, int]) -> None:
    """Refuses flags that do not fit an export, or that are of one where there is none.

    Args:
      export_dir: where to, or None.
      untrained: whether the network is evaluated as it was before training.
      limits: the values of --max_pixels and --batch_requests.
      usual: what they are where they are not given.

    Raises:
      ValueError: naming the flag.
      OSError: if nothing can be written there.
    """
    if export_dir and untrained:
        raise ValueError("--untrained goes without --export_dir: a network that is not trained is not served")
    files.check_plain(export_dir, "--export_dir")
    if export_dir:
        files.check_local(export_dir, "--export_dir")
        files.check_writable(export_dir)
    if not export_dir and limits != usual:
        raise ValueError("--max_pixels and --batch_requests go with --export_dir: they are of the model that it writes")


def of_tensorflow(message: str) -> str:
    """Picks what went wrong out of a message of TensorFlow's that also says where in the graph."""
    message = re.sub(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*?\]( name: ?\S*)?", " ", message, flags=re.S)
    where = ("Graph execution error", "Detected at node", "Hint:", "File ", "<stdin>", "<stack traces")
    lines = [line.strip() for line in message.splitlines()]
    return next((line for line in lines if line and not line.startswith(where)), "")


def tensorboard(workdir: str) -> str:
    """Returns the line that says how to look at a run in TensorBoard."""
    return f"TensorBoard: {progress.python()} -m tensorboard.main --logdir={shlex.quote(workdir)}"


def _parse(argv: list[str], takes_files: bool, passes_on: bool) -> list[str]:
    """Parses the flags, and checks the configuration before anything slow is imported."""
    try:
        _check_keys(argv)
        _describe_keys(argv)
        flags.FLAGS.set_gnu_getopt(True)  # flags that stand after what is none are flags all the same
        rest = flags.FLAGS(argv, known_only=passes_on)
        if len(rest) > 1 and not (takes_files or passes_on):
            pattern = "; a pattern stands in quotes" * os.path.exists(rest[1])  # as a shell takes one for its files
            raise ValueError(f"unexpected argument {rest[1]!r}; every option is written --name=value{pattern}")
        _check_values()
        if "config" in flags.FLAGS:
            _check_config(flags.FLAGS["config"])
    except Exception as error:
        if not is_expected(error):
            raise
        _fail(error)
    return rest


def _check_keys(argv: list[str]) -> None:
    known = config_lib.key_names()
    for argument in argv[1:]:
        flag = argument.partition("=")[0]
        name = flag.lstrip("-")
        for prefix in ("config.", "noconfig."):  # --noconfig.views.flip is --config.views.flip=false
            if name != flag and name.startswith(prefix) and name.removeprefix(prefix) not in known:
                raise config_keys.unknown(name.removeprefix(prefix), known, "--config.")


def _check_values() -> None:
    """Refuses a flag that was given no value: an empty path would be the current folder, an empty name another default.

    Keys of the configuration may be emptied.
    """
    for name in flags.FLAGS:
        if flags.FLAGS[name].present and flags.FLAGS[name].value in ("", []) and not name.startswith("config"):
            raise ValueError(
                f"--{name}= has no value; is a shell variable not set? Give one, or leave the flag out if it may be"
            )


def _check_config(flag: Any) -> None:
    if flag.value is not None:
        config_lib.check(flag.value)
        config_lib.check_used(flag.value, flag.override_values)


def _describe_keys(argv: list[str]) -> None:
    """Shows all our flags, and the keys of the configuration that is named or of none, where help is asked for."""
    if not {"--help", "-help", "--helpshort", "--helpfull"}.intersection(argv):
        return
    for module, defined in flags.FLAGS.flags_by_module_dict().items():
        if not module.startswith("absl"):
            for flag in defined:
                flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    if "config" in flags.FLAGS:
        name = _named(argv)
        words = f"Its keys, as they are in {name}" if name else "Its keys, as they are unless it sets them"
        described = config_lib.describe(config_files.find(name) if name else None)
        flags.FLAGS["config"].help = f"{_HELP} {words}:\n{described}"


def _named(argv: list[str]) -> str:
    """The name or file of the configuration among flags that are not parsed yet; "" where there is none."""
    named = ""
    for argument, following in zip(argv, [*argv[1:], ""]):
        flag, equals, value = argument.partition("=")
        if flag in ("--config", "-config"):
            named = value if equals or following.startswith("-") else following
    return named


def _guarded(main: Callable[[], Any]) -> None:
    try:
        main()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if not is_expected(error):
            raise
        _fail(error)


def _fail(error: Exception) -> None:
    if flags.FLAGS.is_parsed() and _TRACEBACK.value:
        raise error
    message = of_tensorflow(error.message) if hasattr(error, "message") else str(error)
    if message.startswith("in user code:"):  # of Keras or AutoGraph: where they were, what was wrong, what was given
        message = [
            message,
            *re.findall(r"^ +\w*(?:Error|Exception): (.+)$", message.partition("Call arguments")[0], re.M),
        ][-1]
    line = progress.printable(" ".join(message.split()))
    print(f"error: {line or type(error).__name__}", file=sys.stderr)
    sys.exit(1)


def _is_raise(file: str, line: int) -> bool:
    """Says whether a line belongs to a `raise` statement in a file of ours or of the user's."""
    path = pathlib.Path(file)
    inside = path.parts[len(_ROOT.parts)] if path.is_relative_to(_ROOT) and path != _ROOT else ""
    main = getattr(sys.modules["__main__"], "__file__", None)
    ours = inside.removesuffix(".py") in user_code.OURS or file == main or user_code.is_users(file)
    if not ours or not path.is_file():
        return False
    raises = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Raise))
    return any(node.lineno <= line <= (node.end_lineno or node.lineno) for node in raises)


def _is_from_outside(error: Any) -> bool:
    """Says the same of a TensorFlow error; one from a Python function in a graph has a stack trace in its message."""
    kind, message = type(error).__name__, error.message
    before, _, trace = message.partition("\nTraceback (most recent call last):")
    places = re.findall(r'File "(.+?)", line (\d+)', trace)
    if places:
        names = re.findall(r"\w+(?=: |$)", before.rpartition("\n")[2])  # the newest says first where in a dataset it is
        kinds = [getattr(builtins, name, None) for name in names]
        of_the_system = any(isinstance(kind, type) and issubclass(kind, OSError) for kind in kinds)
        return of_the_system or _is_raise(places[-1][0], int(places[-1][1]))
    directory = kind == "FailedPreconditionError" and "directory" in message
    return kind in _FROM_OUTSIDE or directory or "assertion failed" in message
