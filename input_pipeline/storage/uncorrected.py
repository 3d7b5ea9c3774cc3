"""Files of landmarks that predictions have written: told from those that are corrected since, and what they are of."""

import functools
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from dense_labels import files, progress
from input_pipeline.storage import copies

WRITTEN = ".written.json"  # of what predictions have left in a folder, by its name: digest, folder of the pictures
_COPIES = ".written"  # folder with a copy of each


class _Place(NamedTuple):
    """Where predictions wrote a file or folder, or one that holds it."""

    folder: pathlib.Path
    name: str  # in the folder
    inside: pathlib.PurePath  # the place in what is called so
    digest: str
    pictures: str  # the folder that names of pictures start from; "" where that is not known


def remember(
    folder: pathlib.Path, names: Iterable[str], copied: Collection[str] = (), pictures: str | os.PathLike = ""
) -> None:
    """Keeps digests of files or folders that predictions have written into a folder just now, and copies of some.

    Args:
      folder: that they are in.
      names: of the files or folders.
      copied: those of them of which a copy is kept.
      pictures: folder that names of pictures start from in them; "" for none.

    Raises:
      OSError: if they cannot be written.
    """
    if copied:
        (folder / _COPIES).mkdir(exist_ok=True)
    for name in copied:
        files.make_whole(folder / _COPIES / name, functools.partial(_copy, folder / name))
    top = os.path.abspath(pictures) if pictures else ""
    left = {**read_digests(folder / WRITTEN), **{name: [_digest(folder / name), top] for name in names}}
    files.write_whole(folder / WRITTEN, json.dumps(left, indent=1).encode())


def rename(path: pathlib.Path, kept: pathlib.Path) -> None:
    """Renames what was corrected, to a name in the same folder, with the copy of what it was before.

    A copy of that name is of what somebody has moved away since, and goes.

    Raises:
      OSError: if it cannot be renamed.
    """
    left, kept_copies = read_digests(path.parent / WRITTEN), path.parent / _COPIES
    path.rename(kept)
    if path.name in left and (kept_copies / path.name).exists():
        files.remove(kept_copies / kept.name)
        (kept_copies / path.name).rename(kept_copies / kept.name)
        left[kept.name] = left.pop(path.name)
        files.write_whole(path.parent / WRITTEN, json.dumps(left, indent=1).encode())


def forget(path: pathlib.Path) -> None:
    """Forgets what predictions wrote under a name that something else has now.

    Raises:
      OSError: if that cannot be written.
    """
    left = read_digests(path.parent / WRITTEN)
    if left.pop(path.name, None) is not None:
        files.remove(path.parent / _COPIES / path.name)
        files.write_whole(path.parent / WRITTEN, json.dumps(left, indent=1).encode())


def is_uncorrected(path: str | os.PathLike) -> bool:
    """Says whether a file or folder is as predictions have left it, or lies in one that is; False if not known."""
    place = _place(path)
    return place is not None and _digest(place.folder / place.name) == place.digest


def as_it_was(path: str | os.PathLike) -> pathlib.Path | None:
    """Returns a copy of a file or folder as predictions have left it; None where there is none."""
    place = _place(path)
    if place is None:
        return None
    copy = place.folder / _COPIES / place.name
    return copy / place.inside if copy.exists() and _digest(copy) == place.digest else None


def folder_of_pictures(path: str | os.PathLike) -> str:
    """Returns the folder that names of pictures start from in a file of predictions; "" where that is not known."""
    place = _place(path)
    return place.pictures if place else ""


def _place(path):
    path = pathlib.Path(os.path.abspath(path))
    for folder in path.parents:
        name, *inside = path.relative_to(folder).parts
        left = read_digests(folder / WRITTEN).get(name)
        left = [left, ""] if isinstance(left, str) else left  # earlier versions had no folder
        if isinstance(left, list) and len(left) == 2 and all(isinstance(each, str) for each in left):
            return _Place(folder, name, pathlib.PurePath(*inside), *left)
    return None


def _copy(source: pathlib.Path, copy: pathlib.Path) -> None:
    if source.is_dir():
        shutil.copytree(source, copy)
    else:
        shutil.copyfile(source, copy)


def check(path: str | os.PathLike, pictures: Iterable[str], folder: str | os.PathLike) -> None:
    """Holds annotations against what is known of them, if predictions wrote them.

    Warns where nobody has corrected them since.

    Args:
      path: of the file or folder.
      pictures: paths of the pictures that it was found to be of.
      folder: that names of pictures were taken to start from.

    Raises:
      ValueError: if the predictions were of other pictures, which have these names in another folder.
    """
    top = folder_of_pictures(path)
    if other := _others(pictures, folder, top):
        raise ValueError(
            f"{os.fspath(path)} is of the pictures in {top}, and {other[0]} is another picture than {other[1]}; give "
            f"{top} as the folder of the pictures"
        )
    if is_uncorrected(path):
        progress.warn(
            f"{os.fspath(path)} is as predictions have left it: nobody has corrected it, and what is predicted is "
            "taken for annotated"
        )


def check_start(
    path: str | os.PathLike, pictures: Iterable[str], folder: str | os.PathLike, predicted: str | os.PathLike
) -> None:
    """Holds a corrected file against where names of the predictions start from that it is said to be corrected from.

    Args:
      path: of the corrected file.
      pictures: paths of the pictures that it was found to be of.
      folder: that its names were taken to start from.
      predicted: the file as it was predicted.

    Raises:
      ValueError: if names may start from the folder of these predictions as well, and are of other pictures there.
    """
    top = folder_of_pictures(predicted)
    if not folder_of_pictures(path) and (other := _others(pictures, folder, top)):
        raise ValueError(
            f"{os.fspath(path)}: names may start from {os.fspath(folder)} or, as those of {os.fspath(predicted)} do, "
            f"from {top}, and {other[0]} and {other[1]} are two pictures; put it in the place of "
            f"{os.fspath(predicted)}, or leave --predicted out"
        )


def _others(pictures: Iterable[str], folder: str | os.PathLike, top: str) -> tuple[str, str] | None:
    """The first picture that is another one than what has its name from `folder` on in `top`, and that one."""
    for found in dict.fromkeys(pictures) if top else ():
        name = pathlib.PurePath(os.path.relpath(found, folder))
        meant = os.path.join(top, name)
        if name.parts[0] != os.pardir and os.path.isfile(meant) and not copies.is_same(meant, found):
            return found, meant
    return None


def read_digests(path: pathlib.Path) -> dict[str, Any]:
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
