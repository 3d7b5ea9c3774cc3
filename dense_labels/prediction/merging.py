"""Merges corrected annotations with earlier ones, of any formats that are read, into one that is written.

Convention: a picture is the unit. What the newer file has of a picture takes the place of all that the older has of it,
so that a landmark that was taken away stays away; a picture in which the newer file places no landmark, or which it has
as it was predicted, stays as it was.
Marks of hidden landmarks are no exception, but where the newer file cannot say that a landmark is hidden: there a
landmark keeps the mark of the older file, unless its place is taken away.
Landmarks are told apart by their names; where a file has no names, which TPS and .pts cannot hold, by their order.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np

from dense_labels import files, progress
from dense_labels.config import Config
from dense_labels.prediction import annotated, written
from dense_labels.prediction.merged_files import Known, as_predicted, by_file, read, without_predicted
from dense_labels.prediction.predictions import OBJECT, Predictions
from dense_labels.registry import READERS
from input_pipeline.readers import coco
from input_pipeline.storage import uncorrected


def merge_annotations(
    older: str | os.PathLike,
    newer: str | os.PathLike,
    out: str | os.PathLike,
    pictures: str | os.PathLike,
    *,
    format: str = "",
    category: str | None = None,
    predicted: str | os.PathLike | None = None,
) -> tuple[pathlib.Path, int, int]:
    """Writes annotations with all pictures of two files; of a picture that both have, what the newer has of it.

    What was written is read again and compared before it is put in its place, so that nothing is lost by a format that
    cannot hold it: names, boxes, objects and points are refused then, and other losses are said.

    Args:
      older: a file or folder of annotations, as `--annotations` takes it; it is left as it is.
      newer: another, of the same landmarks, in any format and order; it is left as it is.
      out: the file or folder to write, which is not there yet.
      pictures: folder of the pictures, which names start from.
      format: name of the registry FORMATS. "" for the one that the ending of `out` tells; where several have that
        ending, for that of the older file, or else of the newer.
      category: name or id of the objects, for a file that has several kinds; the others are left out.
      predicted: what the newer file was before somebody corrected it, in any format. None to look for the copy that
        predictions keep of what they wrote there. Pictures that have not changed since are no corrections.

    Returns:
      `out`, how many pictures were corrected, and how many were added.

    Raises:
      ValueError: if a file cannot be read or contradicts its pictures or the other one, there is something at `out`, or
        the format cannot hold what is to be written.
      OSError: if it cannot be written.
    """
    files.check_local(out, "--merged")
    older, newer, out, folder = (pathlib.Path(path).expanduser() for path in (older, newer, out, pictures))
    _check_place(out, older, newer, folder)
    before, after = (read(path, folder, category or "") for path in (older, newer))
    was = as_predicted(after, folder, category or "", pathlib.Path(predicted).expanduser() if predicted else None)
    before, after = _named_alike(before, without_predicted(before, after, was))
    entry = written.entry_for(out, format, (before.kind, after.kind))
    _check_alike(before, after)
    merged, corrected, added = _merged(before, after)
    content = written.checked(entry, merged, out, lambda path: read(path, folder, "").found)
    out.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        files.write_whole(out, content)
    else:
        files.make_whole(out, content)
    uncorrected.forget(out)
    progress.say(f"{out}: {corrected} pictures corrected and {added} added to those of {older}, as {entry.name}")
    if corrected and was is None:
        progress.note(
            f"all that {newer} has counts as corrected, for what predictions may have written there is not known; if "
            "it has some that nobody has looked at, name what it was before it was corrected: --predicted=FILE"
        )
    return out, corrected, added


def merge_for(
    config: Config,
    corrections: str | None,
    merged: str | None,
    predicted: str | None = None,
    *,
    annotations: str | None,
    pictures: str | None,
    category: str | None,
) -> None:
    """Merges annotations of a run's pictures: `eval_main.py --corrections=NEW --merged=ALL [--predicted=FILE]`.

    Args:
      config: of the run; the pictures are those of its training where no others are named.
      corrections, merged, predicted, annotations, pictures: the flags of these names.
      category: likewise; without it, that of the run.

    Raises:
      ValueError: if a file is missing, or as `merge_annotations`.
    """
    flags = {"annotations": annotations, "corrections": corrections, "merged": merged}
    if missing := [f"--{name}" for name, path in flags.items() if not path]:
        raise ValueError(f"--annotations and --corrections are merged into --merged: give {' and '.join(missing)} too")
    folder = pictures or config.data.dir
    if not folder:
        raise ValueError("the run was trained on no folder of pictures; give --pictures, which names start from")
    options = {"category": category or config.data.category, "predicted": predicted}
    merge_annotations(annotations, corrections, merged, folder, **options)


def _check_place(out, older, newer, folder):
    """Refuses to write over anything, or into what is merged."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder; give that of the pictures")
    if os.path.lexists(out):  # a link that leads nowhere too
        raise ValueError(f"{out} is there already, and annotations are not written over; give another name")
    for source in (older, newer):
        if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
            raise ValueError(f"{out} lies in {source}, which is kept as it is; give a place outside of it")


def _named_alike(before: Known, after: Known) -> tuple[Known, Known]:
    """Gives the landmarks of a file without names those of the other, where that has as many."""
    if before.found.named == after.found.named:
        return before, after
    one, other = (before, after) if before.found.named else (after, before)
    names, numbers = one.found.landmark_names, other.found.landmark_names
    if len(names) != len(numbers) or set(names) == set(numbers):  # these are told apart by what they are called
        return before, after
    if not READERS[one.kind].facts.get("orders_landmarks", True):
        raise ValueError(
            f"{other.path} does not name its landmarks, and those of {one.path} have names but no order, which "
            f"{one.kind} files do not keep; name them in both"
        )
    progress.note(
        f"{other.path} does not name its landmarks: they are taken in the order of {one.path}, {progress.some(names)}"
    )
    other = other._replace(found=dataclasses.replace(other.found, landmark_names=names, named=True))
    return (one, other) if one is before else (other, one)


def _check_alike(before: Known, after: Known) -> None:
    """Refuses files that contradict one another."""
    _check_names(before, after)
    if (before.found.around is None) != (after.found.around is None):
        one, other = (before, after) if after.found.around is None else (after, before)
        raise ValueError(
            f"{one.path} has boxes about its objects, and {other.path} has none but those about its landmarks, which "
            "would be of another size; give both boxes, or neither"
        )
    if before.kind != after.kind and not (before.found.named or after.found.named):
        progress.note(f"{after.path} and {before.path} do not name their landmarks: told apart by their numbers")
    if before.kind == after.kind == "coco":
        coco.warn_of_halves({str(each.path): each.pictures for each in (before, after)})
    called = [progress.printable(each.found.category) for each in (before, after)]
    if called[0] != called[1] and OBJECT not in called:
        progress.warn(f"{before.path} calls its objects {called[0]}, and {after.path} {called[1]}: {called[0]} is kept")


def _check_names(before, after):
    """Refuses landmarks that one file has, unless the other may leave them out where it does not place them."""
    ours, theirs = set(before.found.landmark_names), set(after.found.landmark_names)
    if ours == theirs:
        return
    words = "; ".join(filter(None, [_only(after.path, theirs - ours), _only(before.path, ours - theirs)]))
    if not ours & theirs or (ours - theirs and after.lists_landmarks) or (theirs - ours and before.lists_landmarks):
        raise ValueError(f"{after.path} and {before.path} have other landmarks: {words}")
    progress.note(f"{words}; the other file may leave out what is placed nowhere in it")


def _only(path, names):
    return f"only {path} has {progress.some(sorted(names))}" if names else ""


def _merged(before: Known, after: Known) -> tuple[Predictions, int, int]:
    """All pictures, those of the older file first; how many were corrected, and how many were added."""
    names = tuple(dict.fromkeys([*before.found.landmark_names, *after.found.landmark_names]))
    old, new = (annotated.with_landmarks(known.found, names) for known in (before, after))
    old_rows, new_rows = (by_file(known) for known in (before, after))
    saying = {file: rows for file, rows in new_rows.items() if _says(new, rows, old, old_rows.get(file, []))}
    corrected = [file for file in old_rows if file in saying]
    added = [file for file in saying if file not in old_rows]
    pairs = [(old_rows[file], saying[file]) for file in corrected]
    new = _with_marks(before, after, old, new, pairs)
    _say_what_goes(before, after, old, new, pairs)
    silent = [file for file in new_rows if file in old_rows and file not in saying]
    if silent:
        progress.note(f"{after.path} places no landmark in {len(silent)} pictures, so what {before.path} has is kept")
    taken = {**old_rows, **{file: [len(old) + row for row in rows] for file, rows in saying.items()}}
    called = {row: old.names[old_rows[file][0]] for file in corrected for row in saying[file]}
    new = dataclasses.replace(new, names=tuple(called.get(row, name) for row, name in enumerate(new.names)))
    old = dataclasses.replace(old, by_hand=not uncorrected.is_uncorrected(before.path))
    return annotated.joined(old, new, [row for rows in taken.values() for row in rows]), len(corrected), len(added)


def _says(new, rows, old, old_rows):
    """Whether rows place a landmark, or have the mark of a hidden one where the older file places none either."""
    marked = new.hidden is not None and new.hidden[rows].any()
    return bool(new.known[rows].any() or (marked and not old.known[old_rows].any()))


def _with_marks(before, after, old, new, corrected):
    """The newer rows with marks of the older file that the newer cannot have; of pictures with one object in both."""
    says, says_unplaced = new.hidden is not None, READERS[after.kind].facts.get("marks_unplaced", False)
    if old.hidden is None or (says and says_unplaced):
        return new
    kept = np.zeros_like(new.known)
    for rows, others in corrected:
        if len(rows) == len(others) == 1:
            unplaced = ~old.known[rows] & ~new.known[others]
            kept[others] = old.hidden[rows] & (unplaced if says else unplaced | new.known[others])
    hidden = kept | new.hidden if says else kept
    if added := int(hidden.sum()) - (int(new.hidden.sum()) if says else 0):
        what = "a landmark without a place" if says else "a landmark"
        progress.note(f"{after.path} cannot say that something hides {what}: {added} marks of {before.path} are kept")
    return dataclasses.replace(new, hidden=hidden)


def _say_what_goes(before, after, old, new, corrected):
    """Says which objects, landmarks and marks of corrected pictures the newer file does not have."""
    fewer = [rows for rows, others in corrected if len(others) < len(rows)]
    if fewer:
        some = f"{len(fewer)} pictures, such as {old.names[fewer[0][0]]}"
        progress.warn(f"{after.path} has fewer objects than {before.path} in {some}; those that it lacks are left out")
    places, marks, each = [], [], range(len(old.landmark_names))
    for rows, others in ((rows, others) for rows, others in corrected if len(others) >= len(rows)):
        lost = np.maximum(old.known[rows].sum(axis=0) - new.known[others].sum(axis=0), 0)
        unmarked = np.maximum(_marks(old, rows) - _marks(new, others), 0) * (lost == 0)
        places += [(rows[0], k) for k in np.repeat(each, lost)]
        marks += [(rows[0], k) for k in np.repeat(each, unmarked)]
    for gone, what, there in ((places, "landmarks", "annotated"), (marks, "marks of hidden landmarks", "set")):
        if gone:
            row, k = gone[0]
            progress.warn(
                f"{len(gone)} {what} of {before.path} are not {there} in {after.path}, and so no longer, such as "
                f"{old.landmark_names[k]} of {old.names[row]}"
            )


def _marks(found, rows):
    """How many of some rows mark each landmark as hidden."""
    return 0 if found.hidden is None else found.hidden[rows].sum(axis=0)
