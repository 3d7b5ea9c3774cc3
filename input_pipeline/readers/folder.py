"""A folder of pictures, without annotations."""

import collections
import os

from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import decoding


def read(dir):
    """Finds all pictures in a folder and the folders in it.

    Args:
      dir: the folder.

    Returns:
      `Pictures` in order of their paths, without boxes and landmarks.

    Raises:
      ValueError: if there is no such folder, or no picture in it.
      OSError: if a folder in it cannot be read.
    """
    files = files_below(dir)
    paths = tuple(path for path in files if path.lower().endswith(decoding.EXTENSIONS))
    if not paths:
        raise ValueError(
            f"{dir} holds no pictures: files called {', '.join(decoding.EXTENSIONS)} are looked for, in it and in the "
            f"folders in it; it has {len(files)} other files"
        )
    return Pictures(paths)


def passed_over(dir):
    """Counts the files that `read` does not look at, for they are not called as pictures are.

    Args:
      dir: the folder.

    Returns:
      `collections.Counter` of extensions in lower case, such as ".heic"; "" stands for none.

    Raises:
      ValueError: if there is no such folder.
      OSError: if a folder in it cannot be read.
    """
    endings = collections.Counter(os.path.splitext(path)[1].lower() for path in files_below(dir))
    return collections.Counter({end: count for end, count in endings.items() if end not in decoding.EXTENSIONS})


def files_below(dir):
    """Lists the files in a folder and the folders in it, but nothing whose name begins with a dot.

    Links are followed; a folder that is reached twice is listed once, so that links in a circle come to an end.

    Returns:
      Paths, sorted.

    Raises:
      ValueError: if there is no such folder.
      OSError: if a folder in it cannot be read.
    """
    if not os.path.isdir(dir):
        found = "is a file" if os.path.exists(dir) else "does not exist"
        raise ValueError(f"{dir} {found}; give a folder of pictures")
    files, seen = [], set()
    for place, folders, names in os.walk(dir, followlinks=True, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        files += [os.path.join(place, name) for name in names if not name.startswith(".")]
    return sorted(files)


def _raise(error):
    raise error
