"""Whether the splits of a data set belong together: alike where they must be, and without a picture in common."""

import collections
import os
from collections.abc import Mapping

from dense_labels import progress
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import resized


def check_alike(splits: Mapping[str, Pictures]) -> None:
    """Refuses landmarks to fit on and to test on that do not belong together.

    Args:
      splits: name -> pictures; "annotated" and "test" where there are such.

    Raises:
      ValueError: saying in what they differ, or which picture is in both.
    """
    known, test = splits.get("annotated"), splits.get("test")
    if known is None or test is None:
        return
    for what, of in (
        ("number of landmarks", lambda pictures: pictures.landmarks.shape[1]),
        ("names of the landmarks", lambda pictures: pictures.landmark_names),
        ("errors are divided by the", lambda pictures: pictures.normaliser),
        ("objects are in boxes", lambda pictures: pictures.boxes is not None),
    ):
        if of(known) != of(test):
            raise ValueError(f"annotated and test pictures do not agree ({what}: {of(known)} and {of(test)})")
    shared = {os.path.realpath(path) for path in known.paths} & {os.path.realpath(path) for path in test.paths}
    if shared:
        raise ValueError(f"{len(shared)} pictures are both annotated and test pictures, {min(shared)} for one")


def warn_of_copies(known: resized.Store | None, test: resized.Store | None) -> None:
    """Warns of files that are copies of others: among annotated pictures, and of these among test pictures.

    Args:
      known: the annotated pictures; None where there are none.
      test: the test pictures; likewise.
    """
    if known is None:
        return
    paths = {os.path.realpath(path): (digest, path) for path, digest in zip(known.pictures.paths, known.digests)}
    counts = collections.Counter(digest for digest, _ in paths.values())
    if again := [path for digest, path in paths.values() if counts[digest] > 1]:
        progress.warn(f"{len(again)} annotated pictures are copies of others, {again[0]} for one; leave one of each")
    if test is None:
        return
    copies = [path for path, digest in zip(test.pictures.paths, test.digests) if digest in counts]
    if copies:
        progress.warn(f"{len(copies)} test pictures are copies of annotated ones, {copies[0]} for one; leave them out")
