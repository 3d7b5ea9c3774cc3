"""Configurations by name or by file."""

from __future__ import annotations

import importlib.util
import os
import pkgutil

from dense_labels import user_code
from dense_labels.config import Config


def names() -> tuple[str, ...]:
    """Lists the configurations that come with the program, such as "folder"."""
    return tuple(module.name for module in pkgutil.iter_modules(_folders()))


def find(name_or_path: str | os.PathLike) -> Config:
    """Reads a configuration.

    Args:
      name_or_path: name of a configuration that comes with the program, such as "folder", or path of a Python file.

    Returns:
      What its `get_config()` returns; `check` it once everything is set.

    Raises:
      ValueError: if there is no such file or name, or if the file cannot be run or returns something else.
    """
    given = os.fspath(name_or_path)
    path = os.path.expanduser(given)
    if not os.path.isfile(path):
        if given not in names():
            listed = ", ".join(names())
            raise ValueError(
                f"{given}: there is no such file; give one such as configs/roboarm.py, or a name: {listed}"
            )
        path = next(file for file in (os.path.join(each, f"{given}.py") for each in _folders()) if os.path.exists(file))
    module = user_code.run(path)
    if not hasattr(module, "get_config"):
        raise ValueError(f"{given}: has no get_config(), which a configuration file must have")
    with user_code.mistakes_of(path):
        config = module.get_config()
    if not isinstance(config, Config):
        raise ValueError(f"{given}: get_config() must return a Config; found {type(config).__name__}")
    return config


def _folders() -> list[str]:
    """Folders of the package `configs`."""
    spec = importlib.util.find_spec("configs")
    return list(spec.submodule_search_locations or ()) if spec else []
