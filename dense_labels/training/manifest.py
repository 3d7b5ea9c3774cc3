"""Which pictures a run was trained on: names and digests, to tell whether a run goes on with the same ones."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import pathlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

from dense_labels import files, progress

FILE = "pictures.json"  # of the work directory
_VERSION = 1
_NAMED = 3  # files that a message names


def relative(pictures: Mapping[str, str], folder: str) -> dict[str, str]:
    """Names pictures from their folder, which may be moved as a whole: path -> SHA-256 becomes name -> SHA-256.

    Of a pattern it is the folder that stands before its first wildcard, so that a pattern and the folder of the same
    files give the same names.
    """
    while glob.has_magic(folder) and not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return {pathlib.PurePath(os.path.relpath(path, folder)).as_posix(): digest for path, digest in pictures.items()}


class Shown(NamedTuple):
    """What a training shows of which pictures."""

    pictures: Mapping[str, str]  # name -> SHA-256 of each picture; none where they are simulated
    boxes: Mapping[str, str] | None = None  # name -> SHA-256 of its boxes; none of whole pictures; None: not known
    examples: int | None = None  # how many an epoch draws from: pictures, boxes or pairs of frames; None: not known
    order: str | None = None  # SHA-256 of the pictures of these, one after another; None: not known


def of_source(source: Any, folder: str) -> Shown:
    """Returns what a training on a source shows; names start from the folder of its pictures."""
    pictures, boxes = (relative(of("train"), folder) for of in (source.files, source.boxes))
    digests = [digest for _, digest in source.origins("train")]
    order = hashlib.sha256(" ".join(digests).encode()).hexdigest() if digests else None
    return Shown(pictures, boxes, source.count("train"), order)


def check(workdir: str | os.PathLike, shown: Shown, *, allow_changes: bool) -> bool:
    """Holds the pictures of a training against those that the run in a work directory began with.

    The order in which pictures are drawn follows their names, or that of the file of annotations: a picture that was
    renamed changes a training, too.

    Args:
      workdir: folder of the run.
      shown: what the training shows.
      allow_changes: go on with other pictures, and say what changed.

    Returns:
      Whether nothing has changed, as far as can be told, or what has is allowed to; False where a run of an older
      version does not tell how many there were.

    Raises:
      ValueError: saying what changed, unless that is allowed.
    """
    kept = _read(pathlib.Path(workdir) / FILE)
    if kept is None:
        return False
    kept = _as_named_today(kept, shown)
    changes = differences(kept, shown)
    if changes and not allow_changes:
        raise ValueError(
            f"the pictures are not those that {workdir} began with: {changes}; bring these back, choose another "
            "--workdir, or go on with --allow_changed_data"
        )
    if changes:
        progress.warn(f"the pictures are not those that the run began with: {changes}")
    if kept.boxes is None and shown.boxes:
        progress.warn(f"{workdir} is of an older version: whether the boxes are those it began with cannot be told")
        return allow_changes
    return bool(changes) or kept.examples is not None


def save(workdir: str | os.PathLike, shown: Shown) -> None:
    """Keeps which pictures a run is trained on; nothing of simulated ones, whatever was kept there before."""
    path = pathlib.Path(workdir) / FILE
    if not shown.pictures:
        files.remove(path)
    else:
        facts = {"boxes": dict(shown.boxes or {}), "examples": shown.examples, "order": shown.order}
        content = {"version": _VERSION, "sha256": dict(shown.pictures), **facts}
        files.write_whole(path, (json.dumps(files.sealed(content), indent=0, sort_keys=True) + "\n").encode())


def differences(old: Shown, new: Shown) -> str:
    """Says in words how the pictures `new` differ from `old`; "" where they do not."""
    before, now = old.pictures, new.pictures
    gone, added = before.keys() - now.keys(), now.keys() - before.keys()
    digests = {now[name] for name in added}
    renamed = {name for name in gone if before[name] in digests}
    composed, left = {_composed(name) for name in added}, {before[name] for name in gone}
    accents = {name for name in renamed if _composed(name) in composed}
    same = {name for name in before.keys() & now.keys() if before[name] == now[name]}
    known = old.boxes is not None and new.boxes is not None
    kinds = {
        "edited": before.keys() & now.keys() - same,
        "renamed": renamed - accents,
        "whose accents another file system wrote otherwise": accents,
        "gone": gone - renamed,
        "new": {name for name in added if now[name] not in left},
        "with other boxes": {name for name in same if known and old.boxes.get(name) != new.boxes.get(name)},
    }
    said = [f"{len(names)} {kind} ({progress.some(sorted(names), _NAMED)})" for kind, names in kinds.items() if names]
    counts = (old.examples, new.examples)
    if not said and None not in counts and counts[0] != counts[1]:  # of a video, whose flow says which pairs are used
        said = [f"{counts[1]} to draw from, and not {counts[0]}"]
    if not said and None not in (old.order, new.order) and old.order != new.order:
        said = ["the same in another order, as of annotations that were written anew"]
    return ", ".join(said)


def _as_named_today(kept, shown):
    """The pictures that a run began with; of a pattern earlier versions named them from the pattern, as ../NAME."""
    names = {name: re.sub(r"^(\.\./)+", "", name) for name in kept.pictures}
    were_of_it = all(name.startswith("../") for name in kept.pictures) and len(set(names.values())) == len(names)
    if not were_of_it or any(name.startswith("../") for name in shown.pictures):
        return kept
    return kept._replace(pictures={names[name]: digest for name, digest in kept.pictures.items()})


def _composed(name):
    """A name as most systems write its accents; macOS may write a letter and its accent apart."""
    return unicodedata.normalize("NFC", name)


def _read(path):
    """The pictures that a run began with, or None where that was not kept or cannot be read."""
    try:
        content, intact = files.unsealed(json.loads(path.read_text("utf-8")))
        if intact:
            boxes = content.get("boxes")  # which older versions did not keep, nor the count and the order
            facts = None if boxes is None else dict(boxes), content.get("examples"), content.get("order")
            return Shown(dict(content["sha256"]), *facts)
    except FileNotFoundError:
        return None  # a new run, or one of an older version
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        pass
    progress.warn(f"{path} is damaged: whether the pictures are still the same cannot be told")
    return None
