"""Files through Beam's file systems: those of a disk, gs://, s3:// and whatever else Beam has a package for."""

from __future__ import annotations

import contextlib
import glob
import io
import os
import pathlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator

from apache_beam.io.filesystem import CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems

from dense_labels import files

_REMOTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_WILDCARD = re.compile(r"[*?\[{]")
_AS_IT_IS = CompressionTypes.UNCOMPRESSED


def is_remote(path: str) -> bool:
    """Says whether a path names another file system than that of this machine."""
    return bool(_REMOTE.match(path))


def expanded(path: str) -> str:
    """Returns a path that means the same on every worker that sees the same disk: absolute, ~ spelt out."""
    if is_remote(path):
        return path
    end = "/" if path.endswith("/") else ""
    return os.path.abspath(os.path.expanduser(path)) + end


def has_wildcard(path: str) -> bool:
    """Says whether a path is a pattern."""
    return bool(_WILDCARD.search(path))


def fixed_folder(pattern: str) -> str:
    """Returns the folder, with its slash, that all files of a pattern lie in: what is before the first wildcard."""
    return pattern[: pattern.rfind("/", 0, _first_wildcard(pattern)) + 1]


def _first_wildcard(pattern: str) -> int:
    found = _WILDCARD.search(pattern)
    return found.start() if found else len(pattern)


def patterns(pattern: str) -> list[str]:
    """Lists patterns by which Beam finds what a shell finds by one: for Beam, /**/ stands for one folder at least."""
    head, between, tail = pattern.partition("/**/")
    if not between:
        return [pattern]
    rests = patterns(f"/{tail}")
    return list(dict.fromkeys(head + folders + rest for folders in ("/**", "") for rest in rests))


def only_file(path: bytes) -> FileMetadata:
    """Returns what Beam reads a file by that is there, whose path it takes for a pattern; it follows no links there."""
    whole = os.fsdecode(path)
    if glob.escape(whole) != whole:
        whole = glob.escape(whole if is_remote(whole) else os.path.realpath(whole))
    (found,) = FileSystems.match([whole])[0].metadata_list
    return FileMetadata(whole, found.size_in_bytes)


def exists(pattern: str) -> bool:
    """Says whether a pattern, or a path, matches a file.

    Raises:
      ValueError: if there is no such file system, or the package that knows it is missing.
      OSError: if it does not answer.
    """
    return bool(_match(pattern, limits=[1]))


def _match(pattern, **options):
    try:
        return FileSystems.match([pattern], **options)[0].metadata_list
    except ValueError as error:  # of Beam, which knows no such file system
        raise ValueError(f"{pattern}: {error}") from error


def matching(pattern: str) -> list[str]:
    """Lists the paths of the files of a pattern, sorted; raises what `exists` raises."""
    return sorted(each.path for each in _match(pattern))


def read(path: str) -> bytes:
    """Reads a file; raises what the file system raises."""
    with FileSystems.open(path, compression_type=_AS_IT_IS) as file:
        return file.read()


def read_failure(path: str, error: Exception) -> str:
    """Says why a file can never be read; "" where another try may succeed, such as after a time-out."""
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, IsADirectoryError):
        return "is a directory"
    return "" if FileSystems.exists(path) else "no such file or directory"


def content_or_failure(path: str) -> tuple[bytes | None, str]:
    """Returns the content of a file and "", or None and why it can never be read; raises what may pass."""
    try:
        return read(path), ""
    except Exception as error:  # of any file system
        failed = read_failure(path, error)
        if not failed:
            raise
        return None, failed


def write_whole(path: str, content: bytes) -> None:
    """Writes a file under a temporary name beside it, then renames it; two that write the same do not meet.

    Raises:
      OSError: if it cannot be written.
    """
    _copy_whole(io.BytesIO(content), path)


def copy_whole(made: str | os.PathLike, path: str) -> None:
    """Copies a file of this machine to where it belongs, as `write_whole` writes; it need not fit the memory.

    Raises:
      OSError: if it cannot be written.
    """
    with open(made, "rb") as content:
        _copy_whole(content, path)


def _copy_whole(content, path):
    folder, name = FileSystems.split(path)
    temporary = FileSystems.join(folder, f".{name}.{secrets.token_hex(8)}")
    try:
        with FileSystems.create(temporary, compression_type=_AS_IT_IS) as file:
            shutil.copyfileobj(content, file)
        _rename(temporary, path)
    except BaseException:
        with contextlib.suppress(Exception):  # what matters is the error above
            FileSystems.delete([temporary])
        raise


def _rename(temporary, path):
    """Renames a file, over one that is there; HDFS refuses a name that is taken, so what has it is removed first."""
    try:
        FileSystems.rename([temporary], [path])
    except Exception:  # of any file system
        if not (is_remote(path) and FileSystems.exists(temporary) and FileSystems.exists(path)):
            raise
        FileSystems.delete([path])
        FileSystems.rename([temporary], [path])


def remove(path: str) -> None:
    """Removes a file, unless there is none."""
    if FileSystems.exists(path):
        FileSystems.delete([path])


def remove_temporary(pattern: str) -> None:
    """Removes what killed workers left under temporary names of the files of a pattern, and of no others."""
    folder, name = FileSystems.split(pattern)
    left = [path for path in matching(FileSystems.join(folder, f".{name}.*")) if files.is_temporary(path)]
    if left:
        FileSystems.delete(left)


@contextlib.contextmanager
def local_copy(folder: str) -> Iterator[str]:
    """Gives the path of a folder on this machine: its own, or that of a copy of it, until the block ends.

    Args:
      folder: of an exported model: of a version or, on this machine alone, of the versions.

    Raises:
      ValueError: if there is nothing in a folder elsewhere, or its file system is not known, or is HDFS.
    """
    if not is_remote(folder):
        yield folder
        return
    if folder.startswith("hdfs://"):
        raise ValueError(
            f"{folder}: Beam lists one folder of HDFS, and not those below; copy the model to the same place on the "
            "disk of each worker, or to another kind of storage"
        )
    top = folder.rstrip("/") + "/"
    if not exists(f"{top}saved_model.pb"):
        raise ValueError(f"{folder} holds no saved_model.pb; give the folder of a version, such as {top}1")
    with tempfile.TemporaryDirectory() as temporary:
        for path in matching(f"{top}**"):
            copy = pathlib.Path(temporary, path.removeprefix(top))
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(read(path))
        yield temporary
