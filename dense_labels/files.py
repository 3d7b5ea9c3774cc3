"""Files that appear whole or not at all."""

import os
import pathlib
import secrets


def write_whole(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file under a temporary name beside it, then renames it.

    Args:
      path: of the file; its folder exists.
      content: bytes.

    Raises:
      OSError: if it cannot be written; nothing of it is left then.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as file:  # readable by whom the umask says; tempfile lets the owner alone read
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
