"""Which pictures to predict: a folder, a pattern, a list of names, or one file."""

from __future__ import annotations

import glob
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from input_pipeline.readers import folder, landmark_files
from input_pipeline.storage import decoding

_LIST = ".txt"


class Inputs(NamedTuple):
    """Pictures, and the folder that their names start from."""

    folder: str
    names: tuple[str, ...]  # with forward slashes, as files of annotations have them

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the pictures lie."""
        return tuple(os.path.join(self.folder, name) for name in self.names)


def find(pictures: str | os.PathLike | Sequence[str | os.PathLike]) -> Inputs:
    """Finds pictures.

    Args:
      pictures: a folder, with folders in it; a picture; a pattern such as "in/*.jpg"; a text file .txt with a name a
        line, from the folder of that file; or a sequence of paths.

    Returns:
      The pictures, each once, in the order of the list or of their names.

    Raises:
      ValueError: if there are none, or a name of a list is not there.
    """
    if not isinstance(pictures, (str, os.PathLike)):
        return _from_common_folder([os.fspath(path) for path in pictures], "the list of pictures")
    given = os.path.expanduser(os.fspath(pictures))
    if os.path.isdir(given):
        return _below(given, folder.find(given).paths)
    if os.path.isfile(given):
        if given.lower().endswith(_LIST):
            return _listed(given)
        return _below(os.path.dirname(given) or os.curdir, [given])
    return _from_common_folder(sorted(path for path in glob.glob(given, recursive=True) if _is_picture(path)), given)


def _is_picture(path):
    return os.path.isfile(path) and path.lower().endswith(decoding.EXTENSIONS)


def _listed(file):
    names = [line.strip() for line in landmark_files.read_text(file).splitlines() if line.strip()]
    top = os.path.dirname(file) or os.curdir
    paths = [landmark_files.find_picture(top, name) for name in names]
    for name, path in zip(names, paths):
        if path is None:
            raise ValueError(f"{file}: there is no picture {os.path.join(top, name)}")
    return _from_common_folder([path for path in paths if path], file)


def _from_common_folder(paths, given):
    if not paths:
        raise ValueError(f"{given}: there is no such picture or folder; give a folder, a pattern, a list or a picture")
    paths = [os.path.abspath(os.path.expanduser(path)) for path in paths]
    for path in paths:
        if not os.path.isfile(path):
            raise ValueError(f"{path}: there is no such picture")
    return _below(os.path.commonpath([os.path.dirname(path) for path in paths]), paths)


def _below(top, paths):
    names = dict.fromkeys(pathlib.PurePath(os.path.relpath(path, top)).as_posix() for path in paths)
    return Inputs(os.path.abspath(top), tuple(names))
