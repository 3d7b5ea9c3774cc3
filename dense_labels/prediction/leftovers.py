"""What each file of a folder of predictions is of, so that files of an earlier prediction are not taken for the new."""

import hashlib
import json
import pathlib
from collections.abc import Iterable
from typing import Any

from dense_labels import files, progress
from input_pipeline.storage import uncorrected

FILE = ".predicted.json"  # name of a file -> digest of what it is of


def remember(folder: pathlib.Path, written: Iterable[pathlib.Path], of: Any) -> None:
    """Keeps what files are of, and warns of those in the folder that are left of something else.

    Args:
      folder: of the output.
      written: the files and folders that a prediction has written there just now.
      of: the model, the pictures, their boxes and whether tracks were smoothed, as JSON has it.

    Raises:
      OSError: if it cannot be written.
    """
    digest = hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()
    known = {**uncorrected.read_digests(folder / FILE), **{str(path.relative_to(folder)): digest for path in written}}
    known = {name: each for name, each in known.items() if (folder / name).exists()}
    if left := [name for name, each in known.items() if each != digest]:
        progress.warn(
            f"{folder}: {', '.join(sorted(left))} {'are' if len(left) > 1 else 'is'} of an earlier prediction, by "
            "another model, of other pictures or boxes, or smoothed otherwise; write them again too, or remove them"
        )
    files.write_whole(folder / FILE, json.dumps(known, indent=1).encode())
