"""Files that appear whole or not at all."""

import os
import pathlib
import tempfile


def write_whole(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file under a temporary name beside it, then renames it.

    Args:
      path: of the file; its folder exists.
      content: bytes.

    Raises:
      OSError: if it cannot be written; nothing of it is left then.
    """
    path = pathlib.Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)  # mkstemp lets the owner alone read it
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
