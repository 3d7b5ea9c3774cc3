"""Files of landmarks as predictions have left them: told from those that a person has corrected since."""

import functools
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Collection, Iterable

from dense_labels import files, progress

WRITTEN = ".written.json"  # digests of what predictions have left in a folder, by its name
_COPIES = ".written"  # folder with a copy of each


def remember(folder: pathlib.Path, names: Iterable[str], copied: Collection[str] = ()) -> None:
    """Keeps digests of files or folders that predictions have written into a folder just now, and copies of some.

    Raises:
      OSError: if they cannot be written.
    """
    if copied:
        (folder / _COPIES).mkdir(exist_ok=True)
    for name in copied:
        files.make_whole(folder / _COPIES / name, functools.partial(_copy, folder / name))
    left = {**read_digests(folder / WRITTEN), **{name: _digest(folder / name) for name in names}}
    files.write_whole(folder / WRITTEN, json.dumps(left, indent=1).encode())


def rename(path: pathlib.Path, kept: pathlib.Path) -> None:
    """Renames what was corrected, to a name in the same folder, with the copy of what it was before.

    A copy of that name is of what somebody has moved away since, and goes.

    Raises:
      OSError: if it cannot be renamed.
    """
    left, copies = read_digests(path.parent / WRITTEN), path.parent / _COPIES
    path.rename(kept)
    if path.name in left and (copies / path.name).exists():
        files.remove(copies / kept.name)
        (copies / path.name).rename(copies / kept.name)
        left[kept.name] = left.pop(path.name)
        files.write_whole(path.parent / WRITTEN, json.dumps(left, indent=1).encode())


def is_uncorrected(path: str | os.PathLike) -> bool:
    """Says whether a file or folder is as predictions have left it; False where that is not known."""
    path = pathlib.Path(os.path.abspath(path))
    left = read_digests(path.parent / WRITTEN).get(path.name)
    return left is not None and _digest(path) == left


def as_it_was(path: str | os.PathLike) -> pathlib.Path | None:
    """Returns a copy of a file or folder as predictions have left it; None where there is none."""
    path = pathlib.Path(os.path.abspath(path))
    copy = path.parent / _COPIES / path.name
    left = read_digests(path.parent / WRITTEN).get(path.name)
    return copy if left is not None and copy.exists() and _digest(copy) == left else None


def _copy(source: pathlib.Path, copy: pathlib.Path) -> None:
    if source.is_dir():
        shutil.copytree(source, copy)
    else:
        shutil.copyfile(source, copy)


def warn(path: str | os.PathLike) -> None:
    """Warns where predictions that nobody has corrected are taken for annotations."""
    if is_uncorrected(path):
        progress.warn(
            f"{os.fspath(path)} is as predictions have left it: nobody has corrected it, and what is predicted is "
            "taken for annotated"
        )


def read_digests(path: pathlib.Path) -> dict[str, str]:
    """Reads digests by the names of files; none where they were not kept, or are damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _digest(path: str | os.PathLike) -> str:
    """Returns a digest of the content of a file, or of the files below a folder, but hidden ones, and their names."""
    path, found = pathlib.Path(path), hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else (path,):
        if file.is_file() and (file == path or not file.name.startswith(".")):  # file managers hide some there
            found.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
            found.update(file.read_bytes())
    return found.hexdigest()
