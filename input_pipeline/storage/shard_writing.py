"""Writes pictures into TFRecord shards, each whole or not at all; a writing that was stopped goes on.

A record is a `tf.train.Example` with the features "image/encoded", a JPEG or PNG file, and "image/filename", where the
picture was found. A picture is stored as it is, byte by byte, where training can read it so, and else as a PNG that
shows the same pixels.
"""

import concurrent.futures
import dataclasses
import glob
import hashlib
import os
import pathlib
import re
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dense_labels import files
from input_pipeline.storage import decoding, encoded, kept, shard_journal

_KEPT_AS_THEY_ARE = ("JPEG", "PNG")
_IN_FLIGHT = 64  # pictures that are read but not yet written: they bound the memory
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.tfrecord")
MOST_SHARDS = 99_999


@dataclasses.dataclass(frozen=True)
class Written:
    """What a writing came to."""

    pictures: int  # in the shards
    shards: int  # written now; the others were there
    bad: dict[str, str]  # name of each picture that cannot be read -> why
    may_pass: int = 0  # how many of these the system failed to read; another writing tries them again


def shard_path(prefix: str | os.PathLike, number: int, shards: int) -> str:
    """Returns the path of a shard, such as faces-00003-of-00010.tfrecord."""
    return f"{os.fspath(prefix)}-{number:05d}-of-{shards:05d}.tfrecord"


def write(
    paths: Sequence[str], folder: str, prefix: str | os.PathLike, shards: int, *, start_over: bool = False
) -> Written:
    """Writes shards unless they are there as they were written; neighbours in the list share a shard.

    Of which pictures they are is kept in PREFIX.json before the first shard, and what was written after each, with its
    size: a shard that has another one by now is written again, as is one that lacks a picture which the system failed
    to read, and which may be as good as any.

    Args:
      paths: of the pictures.
      folder: that their names start from.
      prefix: path that the names of the shards begin with; its folder is made.
      shards: how many.
      start_over: remove what was written under this prefix, and write it all.

    Returns:
      What was written.

    Raises:
      ValueError: if the prefix is a folder or a URL, there are fewer pictures than shards, shards of other pictures or
        a PREFIX.json of another program are there, or no picture can be read, of which no shards are left.
      OSError, tf.errors.OpError: if a shard cannot be written; nothing of it is left then.
    """
    if not 1 <= shards <= min(len(paths), MOST_SHARDS):
        most = min(len(paths), MOST_SHARDS)
        raise ValueError(f"--shards={shards}: must be from 1 to {most}, for there are {len(paths)} pictures")
    prefix = _file_beginning(prefix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with kept.lock(prefix.with_name(f".{prefix.name}.lock")):
        journal = _begin(prefix, _plan(paths, folder, shards), start_over)
        now = may_pass = 0
        with tqdm(total=len(paths), desc="Writing shards", unit=" pictures") as bar:
            for number, part in enumerate(np.array_split(np.array(paths, object), shards)):
                path = shard_path(prefix, number, shards)
                if not _is_whole(path, journal["sizes"]):
                    left_out = _write_shard(path, part, folder)
                    _note(journal, number, path, len(part), left_out)
                    _keep(prefix, journal)
                    now, may_pass = now + 1, may_pass + sum(error.may_pass for error in left_out.values())
                bar.update(len(part))
    bad = {name: reason for each in journal["bad"].values() for name, reason in each.items()}
    if len(bad) == len(paths):
        _remove_written(prefix)
        name, reason = next(iter(bad.items()))
        raise ValueError(f"none of {len(paths)} pictures can be read; the first is {name}: {reason}")
    return Written(len(paths) - len(bad), now, bad, may_pass)


def _file_beginning(prefix: str | os.PathLike) -> pathlib.Path:
    """The absolute path that the names of shards begin with; refuses a folder, beside which they would be written.

    Not where they have been begun there.
    """
    files.check_local(prefix, "--out")
    path = pathlib.Path(prefix).expanduser().absolute()
    begun = path.with_name(f"{path.name}.json").exists()
    if os.fspath(prefix).endswith("/") or path.is_dir() and not begun:
        raise ValueError(
            f"--out={prefix}: is a folder; give the path that the names of the shards begin with, such as "
            f"{os.path.join(prefix, 'mine')}"
        )
    return path


def _plan(paths, folder, shards):
    """What tells one writing from another: which pictures, as they are now, into how many shards."""
    listed = [(_name(path, folder), *files.state(path, of_inode=False)) for path in paths]
    return hashlib.sha256(repr((shards, listed)).encode()).hexdigest()


def _name(path, folder):
    return pathlib.PurePath(os.path.relpath(path, folder)).as_posix()


def _begin(prefix, plan, start_over):
    """The journal to go on with; what is not whole is removed, and what was written before if it is to be."""
    for path in glob.glob(glob.escape(str(prefix.with_name(f".{prefix.name}"))) + "*"):
        rest = os.path.basename(path)[1 + len(prefix.name) :]
        if files.is_temporary(path) and (_SHARD.match(rest) or rest.startswith(".json.")):
            files.remove(path)  # of a writing that was killed
    journal = _journal(prefix)
    if others := _written_by_others(prefix, journal):
        raise ValueError(
            f"{prefix}: there are shards of that name, and no {prefix.name}.json says that this command wrote "
            f"{os.path.basename(others[0])}; choose another --out, or remove them"
        )
    if start_over:
        _remove_written(prefix)
    elif journal and journal["plan"] == plan:
        return journal
    elif journal:
        raise ValueError(
            f"{prefix}: other pictures, or another number of shards, were written there; choose another --out, or "
            "replace them with --start_over"
        )
    begun = {"plan": plan, "bad": {}, "sizes": {}}
    _keep(prefix, begun)  # first: a shard without a journal would be taken for somebody else's
    return begun


def _written(prefix):
    """Paths of the shards that are there under a prefix, however many they were to be."""
    beside = glob.glob(f"{glob.escape(str(prefix))}-*")
    return [path for path in beside if _SHARD.fullmatch(path[len(str(prefix)) :])]


def _written_by_others(prefix, journal):
    """Those of these that are of another number of shards than the journal tells of, or all where there is none."""
    written = sorted(_written(prefix))
    if journal is None:
        return written
    told = {name.rpartition("-of-")[2] for name in journal["sizes"]}  # none yet where the first was being written
    return [path for path in written if told and path.rpartition("-of-")[2] not in told]


def _remove_written(prefix):
    for path in (*_written(prefix), shard_journal.path_of(prefix)):
        files.remove(path)


def _journal(prefix):
    """What was kept of a writing; None where nothing was."""
    path = shard_journal.path_of(prefix)
    try:
        content = pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        return None
    return shard_journal.read(path, content)


def _keep(prefix, journal):
    files.write_whole(shard_journal.path_of(prefix), shard_journal.content(**journal))


def _note(journal, number, path, count, left_out):
    """Notes what a shard of so many pictures lacks, and its size, unless another writing may read what it lacks."""
    journal["bad"][str(number)] = {name: error.reason for name, error in left_out.items()}
    journal["sizes"].pop(os.path.basename(path), None)
    if not any(error.may_pass for error in left_out.values()):
        journal["sizes"][os.path.basename(path)] = [os.path.getsize(path), count - len(left_out)]


def _is_whole(path, sizes):
    """Says whether a shard has the size that was kept of it; earlier versions kept none, as `_note` does of some."""
    kept_of_it = sizes.get(os.path.basename(path))
    return bool(kept_of_it) and os.path.exists(path) and os.path.getsize(path) == kept_of_it[0]


def _write_shard(path, paths, folder):
    """Writes a shard; returns the name of each picture that cannot be read, and its error."""
    bad = {}

    def make(new):
        bad.update(write_records(new, [(_name(each, folder), each) for each in paths]))
        with open(new, "r+b") as file:
            os.fsync(file.fileno())  # or a machine that stops might leave it empty under its name

    files.make_whole(path, make)
    return bad


def write_records(
    path: str | os.PathLike,
    pictures: Sequence[tuple[str, str]],
    read: Callable[[str], tuple[bytes | None, str]] = lambda path: (None, ""),
) -> dict[str, decoding.PictureError]:
    """Writes a TFRecord file of pictures, several of which are read at once.

    Args:
      path: of the file.
      pictures: name and path of each, in their order.
      read: function of a path: the content of the file, None to read it from this machine; and why it cannot be read,
        or "".

    Returns:
      The name of each picture that cannot be read and is left out, and the error that says why.

    Raises:
      OSError, tf.errors.OpError: if the file cannot be written.
    """
    bad = {}
    with tf.io.TFRecordWriter(os.fspath(path)) as writer, concurrent.futures.ThreadPoolExecutor() as pool:
        for start in range(0, len(pictures), _IN_FLIGHT):
            part = pictures[start : start + _IN_FLIGHT]
            for (name, _), file in zip(part, pool.map(lambda each: _stored(each[1], *read(each[1])), part)):
                if isinstance(file, decoding.PictureError):
                    bad[name] = file
                else:
                    writer.write(_example(file, name))
    return bad


def _example(file, name):
    def feature(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {"image/encoded": feature(file), "image/filename": feature(os.fsencode(name))}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _stored(path, content, reason):
    """The bytes that a shard has of a picture, or the error that says why it cannot be read."""
    if reason:
        return decoding.PictureError(path, reason)
    try:
        return decoding.read_patiently(lambda: _read(path, content))
    except decoding.PictureError as error:
        return error


def _read(path, content):
    picture = decoding.read_picture(path, content=content)
    file = decoding.read_file(path) if content is None else content
    as_it_is = decoding.read_format(path, content=file) in _KEPT_AS_THEY_ARE
    return file if as_it_is and _shape_in_graph(file) == picture.shape else tf.io.encode_png(picture).numpy()


def _shape_in_graph(file):
    """Shape of the pixels that training reads; None where it cannot."""
    try:
        return tuple(encoded.decode(tf.constant(file)).shape)
    except tf.errors.InvalidArgumentError:
        return None
