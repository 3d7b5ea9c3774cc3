"""Which pictures a run was trained on: their names and digests, to tell whether a run goes on with the same ones."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping

from dense_labels import files, progress

FILE = "pictures.json"  # of the work directory
_VERSION = 1
_NAMED = 3  # files that a message names


def relative(pictures: Mapping[str, str], folder: str) -> dict[str, str]:
    """Names pictures from their folder, which may be moved as a whole: path -> SHA-256 becomes name -> SHA-256."""
    return {pathlib.PurePath(os.path.relpath(path, folder)).as_posix(): digest for path, digest in pictures.items()}


def check(workdir: str | os.PathLike, pictures: Mapping[str, str], *, allow_changes: bool) -> bool:
    """Holds the pictures of a training against those that the run in a work directory began with.

    The order in which pictures are drawn follows their names: a picture that was renamed changes a training, too.

    Args:
      workdir: folder of the run.
      pictures: name -> SHA-256 of each picture; none where they are simulated.
      allow_changes: go on with other pictures, and say what changed.

    Returns:
      Whether something changed, which is allowed.

    Raises:
      ValueError: saying what changed, unless that is allowed.
    """
    kept = _read(pathlib.Path(workdir) / FILE)
    changes = differences(kept, pictures) if kept is not None else ""
    if changes and not allow_changes:
        raise ValueError(
            f"the pictures are not those that {workdir} began with: {changes}; bring these back, choose another "
            "--workdir, or go on with --allow_changed_data"
        )
    if changes:
        progress.warn(f"the pictures are not those that the run began with: {changes}")
    return bool(changes)


def save(workdir: str | os.PathLike, pictures: Mapping[str, str]) -> None:
    """Keeps which pictures, name -> SHA-256, a run is trained on; there is nothing to keep of simulated ones."""
    path = pathlib.Path(workdir) / FILE
    if pictures:
        text = (
            json.dumps(files.sealed({"version": _VERSION, "sha256": dict(pictures)}), indent=0, sort_keys=True) + "\n"
        )
        files.write_whole(path, text.encode())


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Says in words how the pictures `new` differ from `old`, both name -> SHA-256; "" where they do not."""
    gone, added = old.keys() - new.keys(), new.keys() - old.keys()
    digests = {new[name] for name in added}
    renamed = {name for name in gone if old[name] in digests}
    kinds = {
        "edited": {name for name in old.keys() & new.keys() if old[name] != new[name]},
        "renamed": renamed,
        "gone": gone - renamed,
        "new": {name for name in added if new[name] not in {old[each] for each in gone}},
    }
    return ", ".join(f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds.items() if names)


def _some(names):
    shown = ", ".join(sorted(names)[:_NAMED])
    return shown + ", ..." * (len(names) > _NAMED)


def _read(path):
    """The pictures that a run began with, or None where that was not kept or cannot be read."""
    try:
        content, intact = files.unsealed(json.loads(path.read_text("utf-8")))
        if intact:
            return dict(content["sha256"])
    except FileNotFoundError:
        return None  # a new run, or one of an older version
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        pass
    progress.warn(f"{path} is damaged: whether the pictures are still the same cannot be told")
    return None
