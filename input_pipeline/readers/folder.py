"""A folder of pictures, without annotations."""

import os

from dense_labels import progress
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers.pictures import STILL_KEYS, Pictures
from input_pipeline.storage import listing, videos


@READERS.register("folder", "any folder of pictures; no landmarks", keys=STILL_KEYS, unannotated=True)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Finds the pictures in `data.dir`; see `find`."""
    return {"train": find(data.dir)}


def find(dir: str | os.PathLike) -> Pictures:
    """Finds all pictures in a folder and the folders in it, and says which other files are passed over.

    Args:
      dir: the folder.

    Returns:
      `Pictures` in order of their paths, without boxes and landmarks.

    Raises:
      ValueError: if there is no such folder, or no picture in it.
      OSError: if a folder in it cannot be read.
    """
    runs: list[str] = []
    files = listing.files_below(dir, runs)
    if runs:
        progress.note(f"{dir} holds runs, whose drawings are passed over: {', '.join(runs)}")
    paths = listing.pictures_among(files)
    if not paths:
        raise ValueError(
            f"{dir} holds no pictures: files called {', '.join(listing.EXTENSIONS)} are looked for, in it and in "
            f"the folders in it; it has {len(files)} other files{videos.advice(files)}"
        )
    return Pictures(paths)
