"""Python files from outside the program: configuration files, and what they import and register.

The folder of such a file can be imported from once the file has been run: `import my_loss` in `my_config.py` finds
`my_loss.py` beside it, and whatever that registers can be chosen. It comes after all of Python's own folders on the
path, so that it hides nothing, and before those of files that were run earlier.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import sys
import traceback
import types
from collections.abc import Iterable, Iterator

from dense_labels import progress
from dense_labels.registry import Entry

_FOLDERS: set[pathlib.Path] = set()  # of the files that were run
_ADDED: set[str] = set()  # folders that were put on the path for them
OURS = (
    "dense_labels",
    "input_pipeline",
    "models",
    "serving",
    "benchmarks",
    "configs",
    "train_main",
    "eval_main",
    "predict_main",
)


def run(path: str | os.PathLike) -> types.ModuleType:
    """Runs a Python file as a module.

    Args:
      path: of the file; one that lies in a package becomes a module of that package.

    Returns:
      The module. It is kept under its name, unless one that is no user's has it.

    Raises:
      ValueError: naming the file, the line and what is wrong there.
    """
    file = pathlib.Path(os.path.abspath(path))
    names, folder = [file.stem], file.parent
    while (folder / "__init__.py").exists():
        names, folder = [folder.name, *names], folder.parent
    _import_from(folder)
    _FOLDERS.add(file.parent)
    spec = importlib.util.spec_from_file_location(".".join(names), file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    known = sys.modules.setdefault(spec.name, module)
    try:
        with mistakes_of(file):
            spec.loader.exec_module(module)
    except ValueError:
        if known is module:
            del sys.modules[spec.name]
        raise
    return module


def _import_from(folder: pathlib.Path) -> None:
    """Lets imports find the files of a folder, not those of the same names beside files that were run before."""
    if str(folder) in _ADDED and str(folder) in sys.path:
        sys.path.remove(str(folder))
    if str(folder) not in sys.path:
        first = (index for index, path in enumerate(sys.path) if path in _ADDED)
        sys.path.insert(next(first, len(sys.path)), str(folder))
        _ADDED.add(str(folder))
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if (
            file
            and (folder / f"{name}.py").exists()
            and is_users(file)
            and os.path.realpath(folder) != os.path.dirname(os.path.realpath(file))
        ):
            del sys.modules[name]


@contextlib.contextmanager
def mistakes_of(path: str | os.PathLike) -> Iterator[None]:
    """Turns whatever is raised inside into a ValueError that says where in a file of the user's it came from.

    Args:
      path: of the file that runs inside.
    """
    try:
        yield
    except Exception as error:
        where = _where(error, pathlib.Path(os.path.abspath(path)))
        what = error.msg if isinstance(error, SyntaxError) else error
        raise ValueError(f"{where}: {type(error).__name__}: {what}") from error


def run_missing(paths: Iterable[str]) -> None:
    """Runs files, such as `registered_by` returned in another process, unless that was done in this one.

    Each is said, for whoever wrote the names may be somebody else.

    Args:
      paths: of the files, absolute. One that is not there any more is warned of.

    Raises:
      ValueError: if a path is not absolute; as `run`.
    """
    known = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for path in paths:
        if not os.path.isabs(path):
            raise ValueError(f"registered_by names {path}: the whole path of a Python file is expected")
        if not os.path.exists(path):
            progress.warn(
                f"{path} is not there any more, and what it registered is missing; put it there again, or import it "
                "first, in Python"
            )
        elif path not in known:
            progress.note(f"running {path}, which this run or configuration names")
            run(path)


def registered_by(entries: Iterable[Entry]) -> list[str]:
    """Lists the files that have registered some of these entries and that the registries do not find by themselves."""
    return sorted({entry.file for entry in entries if entry.file and is_outside(entry)})


def is_outside(entry: Entry) -> bool:
    """Says whether an entry is of the user's own: of a file from outside the program, or typed in."""
    return not (entry.file and _is_ours(entry.file))


def _is_ours(file: str) -> bool:
    """Says whether a file is one of the program; a configuration file is not, for nothing else imports it."""
    root = pathlib.Path(os.path.abspath(__file__)).parent.parent
    name = os.path.relpath(file, root).split(os.sep)[0].removesuffix(".py")
    return name in OURS and name != "configs"


def is_users(file: str | os.PathLike) -> bool:
    """Says whether a file is one that `run` has run, or lies beside one."""
    return pathlib.Path(os.path.abspath(file)).parent in _FOLDERS


def _where(error: Exception, file: pathlib.Path) -> str:
    """The last place of an error in a file or beside it."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    beside = [frame for frame in frames if pathlib.Path(frame.filename).parent == file.parent]
    return f"{beside[-1].filename}, line {beside[-1].lineno}" if beside else str(file)
