"""Which files there are, and which of them are pictures: of a folder, or of a pattern."""

import collections
import fnmatch
import glob
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from dense_labels import progress
from input_pipeline.storage import videos

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")  # how names of pictures end
_OF_RUNS = {"config.json", "pictures.json"}  # files of every work directory of a training
_ESCAPED = re.compile(r"\[([*?[])\]")  # by `glob.escape`


def is_picture(path: str) -> bool:
    """Says whether the name of a file ends as those of pictures do, in letters of either case."""
    return path.lower().endswith(EXTENSIONS)


def pictures_among(files: Sequence[str]) -> tuple[str, ...]:
    """Returns those of some files whose names end as those of pictures do, and says which others are passed over.

    Nothing is said where there is no picture, which callers refuse.
    """
    paths = tuple(filter(is_picture, files))
    if paths and len(paths) < len(files):
        others = sorted(set(files) - set(paths))
        endings = collections.Counter(os.path.splitext(path)[1].lower() for path in others)
        kinds = progress.some(f"{count} {end or 'without an ending'}" for end, count in endings.most_common())
        progress.note(f"files that are not called {', '.join(EXTENSIONS)} are passed over: {kinds}")
    return paths


def files_below(dir: str | os.PathLike, runs: list[str] | None = None) -> list[str]:
    """Lists the files in a folder and the folders in it, but for runs, and nothing whose name begins with a dot.

    Links are followed; a folder that is reached twice is listed once, so that links in a circle come to an end.

    Args:
      dir: the folder.
      runs: takes the folders of runs in it, which hold what was drawn of pictures.

    Returns:
      Paths, sorted.

    Raises:
      ValueError: if there is no such folder.
      OSError: if a folder in it cannot be read.
    """
    if not os.path.isdir(dir):
        found = "is a file" if os.path.exists(dir) else "does not exist"
        raise ValueError(f"{dir} {found}; give a folder of pictures{videos.advice([os.fspath(dir)])}")
    return sorted(os.path.join(place, name) for place, names in _folders(os.fspath(dir), runs) for name in names)


def real_paths(dir: str | os.PathLike) -> set[str]:
    """Finds where the files of `files_below` lie that a folder holds, be it by links.

    Args:
      dir: the folder.

    Returns:
      Absolute paths without links; none of a folder that is not there, or of one in it that cannot be read.
    """
    found = _folders(os.fspath(dir), onerror=None)
    return {os.path.realpath(os.path.join(place, name)) for place, names in found for name in names}


def matching(pattern: str | os.PathLike) -> list[str]:
    """Lists the files of a pattern, as a shell does: ** stands for folders of any depth, and for none.

    Links are followed; a folder that ** reaches twice is listed once. What begins with a dot is only found where its
    part of the pattern does.

    Args:
      pattern: a path with *, ?, [] and **; none of them has a meaning where `glob.escape` has been.

    Returns:
      Paths, sorted; none where nothing matches.

    Raises:
      ValueError: if ** is not all that is between two slashes.
      OSError: if a folder cannot be read.
    """
    parts = pathlib.PurePath(pattern).parts
    for part in parts:
        if "**" in part and part != "**":
            one = part.replace("**", "*")
            raise ValueError(
                f"{os.fspath(pattern)}: ** stands alone between slashes; write **/{one} for folders of any depth, or "
                f"{one} for one"
            )
    return sorted({path.removeprefix(os.path.join(os.curdir, "")) for path in _matching("", parts)})


def _matching(place: str, parts: Sequence[str]) -> Iterator[str]:
    """Yields the files in or at a place that the parts of a pattern match, perhaps twice."""
    if not parts:
        yield from [place] if os.path.lexists(place) and not os.path.isdir(place) else ()
        return
    first, rest, here = parts[0], parts[1:], place or os.curdir
    plain = _ESCAPED.sub(r"\1", first)
    if glob.escape(plain) == first:
        yield from _matching(os.path.join(place, plain), rest)
    elif first == "**":
        for below, names in _folders(here) if os.path.isdir(here) else ():
            yield from _matching(below, rest) if rest else (os.path.join(below, name) for name in names)
    else:
        for name in os.listdir(here) if os.path.isdir(here) else ():
            if fnmatch.fnmatch(name, first) and (first.startswith(".") or not name.startswith(".")):
                yield from _matching(os.path.join(place, name), rest)


def _raise(error: OSError) -> NoReturn:
    raise error


def _folders(
    top: str, runs: list[str] | None = None, onerror: Callable[[OSError], None] | None = _raise
) -> Iterator[tuple[str, list[str]]]:
    """Yields a folder and those below it but runs, each once, with the names of its files; none begins with a dot."""
    seen = set()
    for place, folders, names in os.walk(top, followlinks=True, onerror=onerror):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        if place != top and _OF_RUNS.issubset(names):
            folders.clear()
            if runs is not None:
                runs.append(place)
            continue
        yield place, [name for name in names if not name.startswith(".")]
