"""Checksums of a SavedModel, for what TensorFlow reads without one: a bit of a graph may turn and nobody would know.

The file is of the form that the command `sha256sum -c assets.extra/sha256sums.txt` checks in the folder of a version.
"""

from __future__ import annotations

import hashlib
import os
import pathlib

FILE = pathlib.Path("assets.extra") / "sha256sums.txt"  # TensorFlow Serving passes over it


def write(folder: str | os.PathLike) -> None:
    """Writes the checksums of all files of a SavedModel, once all of them are written."""
    folder = pathlib.Path(folder)
    lines = [f"{digest}  {name}\n" for name, digest in _digests(folder).items()]
    (folder / FILE).parent.mkdir(exist_ok=True)
    (folder / FILE).write_text("".join(lines), encoding="utf-8")


def check(folder: str | os.PathLike) -> None:
    """Refuses a SavedModel that is not as it was written; one without checksums, of an older version, passes.

    Raises:
      ValueError: naming a file that is damaged, missing or new.
    """
    folder = pathlib.Path(folder)
    try:
        lines = (folder / FILE).read_bytes().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return
    written = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = _digests(folder)
    for name in sorted(written.keys() | found.keys()):
        if written.get(name) != found.get(name):
            what = "is damaged" if name in found else "is missing"
            raise ValueError(f"{folder}: {name or FILE} {what}; export the model again, or copy it once more")


def _digests(folder: pathlib.Path) -> dict[str, str]:
    """Name -> SHA-256 of each file but that of the checksums, and what file managers hide beside them."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    names = sorted(path.relative_to(folder) for path in found)
    return {name.as_posix(): _digest(folder / name) for name in names if name != FILE}


def _digest(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
