"""What pictures there are: a file pattern, a list of names, or TFRecords that hold pictures."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

import apache_beam as beam
from apache_beam import coders
from apache_beam.io import ReadAllFromText, ReadAllFromTFRecord, fileio

from dense_labels import files, progress
from input_pipeline.readers import folder
from input_pipeline.storage import listing
from serving.bulk import storage

_TFRECORD = re.compile(r"\.tfrec(ord)?s?\b", re.IGNORECASE)
_LIST = ".txt"
_BYTE_ORDER_MARK = "\ufeff"  # some programs begin a file with it
_MAY_BE_EMPTY = fileio.EmptyMatchTreatment.ALLOW


class Source(NamedTuple):
    """Where pictures come from."""

    kind: str  # one of `bulk.KINDS`
    pattern: str  # of pictures, of lists or of TFRecords
    folder: str  # that the names of pictures start from, with its slash
    image_key: str = "image/encoded"  # of the bytes of a picture in a tf.train.Example
    name_key: str = "image/filename"  # of its name there
    paths: tuple[str, ...] = ()  # of the files, where they are on a disk; those at a URL are listed by the workers


class Picture(NamedTuple):
    """A picture that nobody has decoded."""

    name: str
    path: str = ""
    content: bytes | None = None  # of the file; None where it is still to be read from `path`
    failed: str = ""  # why there is no picture


def find(given: str, kind: str, *, image_key: str, name_key: str) -> Source:
    """Finds out what is given, and checks that there is something.

    Args:
      given: a folder, a pattern, a picture, a text file .txt with a path a line, or a pattern of TFRecords.
      kind: one of `bulk.KINDS`; "" to tell it by the name.
      image_key, name_key: of the features of TFRecords.

    Raises:
      ValueError: if nothing matches, a folder is given where a file is needed, lists may lie in several folders, **
        stands beside other characters, or the file system is not known or cannot list what is asked for.
      OSError: if it does not answer, or a folder cannot be read.
    """
    path = storage.expanded(given)
    kind = kind or ("pictures" if os.path.isdir(path) else _kind(given))
    if kind == "list" and not os.path.exists(path):
        _check_one_folder(given, path)
    pattern, top, paths = (_at_url if storage.is_remote(path) else _on_disk)(given, path, kind)
    return Source(kind, pattern, top, image_key, name_key, paths)


def _check_one_folder(given, path):
    """Refuses a pattern of lists in several folders, for the paths of each start from its own."""
    if storage.fixed_folder(path) != path[: path.rfind("/") + 1]:
        raise ValueError(
            f"--input={given}: paths of a list start from its folder, which lists of several folders do not share; "
            "give those of one folder at a time"
        )


def _on_disk(given, path, kind):
    """The pattern, the folder that names start from and the files, of what is on a disk; `matching` says of links."""
    if os.path.isdir(path):
        if kind != "pictures":
            raise ValueError(
                f"--input={given}: is a folder, and --input_kind={kind} needs a file; leave --input_kind out"
            )
        top = path.rstrip("/") + "/"
        return f"{glob.escape(top)}**", top, folder.find(path).paths
    itself = os.path.exists(path)  # and no pattern, whatever its name holds
    paths = tuple([path] if itself else listing.matching(path))
    if not paths:
        raise _nothing(given, "nothing is there")
    if kind == "pictures":
        paths = listing.pictures_among(paths)
        if not paths:
            raise _nothing(given, f"no file there is called {', '.join(listing.EXTENSIONS)}")
    top = os.path.dirname(path).rstrip("/") + "/" if itself else storage.fixed_folder(path)
    return glob.escape(path) if itself else path, top, paths


def _at_url(given, path, kind):
    """The pattern, the folder that names start from and no files, of what is at a URL."""
    _check_listed(given, path, kind)
    if kind == "pictures" and not _exists(path):
        path = path.rstrip("/") + "/**"  # of a folder
    if not _exists(path):
        raise _nothing(given, "nothing is there")
    return path, storage.fixed_folder(path), ()


def _check_listed(given, path, kind):
    """Refuses what Beam lists in part: it looks for files of hdfs:// in one folder, and not in those below."""
    if not path.startswith("hdfs://"):
        return
    is_folder = not storage.has_wildcard(path) and not listing.is_picture(path)
    top = path.rstrip("/") + "/" if kind == "pictures" and is_folder else storage.fixed_folder(path)
    files_of = path[len(top) :]
    if not files_of or "/" in files_of or "**" in files_of:
        raise ValueError(
            f"--input={given}: Beam lists one folder of HDFS, and not those below; give a pattern of the files in one, "
            f"such as '{top}*.jpg', or a list .txt"
        )


def _exists(pattern):
    return any(map(storage.exists, storage.patterns(pattern)))


def _nothing(given, found):
    return ValueError(f"--input={given}: {found}; give a folder, a pattern in quotes, a list .txt or .tfrecord files")


def _kind(given):
    name = os.path.basename(given)
    return "list" if name.lower().endswith(_LIST) else "tfrecord" if _TFRECORD.search(name) else "pictures"


def read(pipeline: beam.Pipeline, source: Source) -> beam.PCollection:
    """Returns each `Picture` of a source, spread over the workers; those of one TFRecord file stay together."""
    files_of, source = _files(pipeline, source), source._replace(paths=())  # which workers need not know
    if source.kind == "tfrecord":
        records = files_of | "Name records" >> beam.Map(storage.only_file) | "Read records" >> ReadAllFromTFRecord()
        return records | "Take pictures" >> beam.Map(of_record, source)
    if source.kind == "list":
        lines = files_of | "Name the list" >> beam.Map(storage.only_file)
        lines = lines | "Read the list" >> ReadAllFromText(coder=coders.BytesCoder())
        found = lines | "Take names" >> beam.FlatMap(of_line, source)
    else:
        found = files_of | "Take files" >> beam.FlatMap(of_file, source)
    return found | "Spread pictures" >> beam.Reshuffle()


def _files(pipeline, source):
    """The path of each file, as bytes: the name of one on a disk need not be text."""
    if source.paths:
        return pipeline | "Name files" >> beam.Create([os.fsencode(path) for path in source.paths])
    patterns = storage.patterns(source.pattern)
    matched = pipeline | "Name patterns" >> beam.Create(patterns) | "Match files" >> fileio.MatchAll(_MAY_BE_EMPTY)
    paths = matched | "Take paths" >> beam.Map(lambda each: os.fsencode(each.path))
    return paths | "Take each once" >> beam.Distinct() if len(patterns) > 1 else paths


def of_file(path: bytes, source: Source) -> Iterator[Picture]:
    """Yields the picture of a file, if its name ends as those of pictures do; at a URL, if nothing begins with a dot.

    One whose name is no UTF-8 has failed, for no output can hold the name.
    """
    whole = os.fsdecode(path)
    name = whole.removeprefix(source.folder)
    hidden = storage.is_remote(whole) and any(part.startswith(".") for part in name.split("/"))
    if listing.is_picture(name) and not hidden:
        yield _named(name, whole)


def of_line(line: bytes, source: Source) -> Iterator[Picture]:
    """Yields the picture of a line of a list: a path from the folder of that list, or a whole one.

    A path on a disk may be spelt in several ways, such as ./a.png: its picture has one name, which starts from the
    folder of the list, or is a whole path where it is not in it. At a URL each spelling is a file of its own.
    """
    name = line.decode("utf-8", "surrogateescape").removeprefix(_BYTE_ORDER_MARK).strip()
    if name:
        whole = storage.is_remote(name) or name.startswith("/")
        path = storage.expanded(name if whole else source.folder + name)
        yield _named(path.removeprefix(source.folder), path)


def _named(name, path):
    """A picture; one whose name is no UTF-8 has failed, for no output, and nothing between workers, can hold it."""
    return Picture(name, path) if files.is_text(name) else Picture(progress.printable(name), failed=files.NOT_TEXT)


def of_record(record: bytes, source: Source) -> Picture:
    """Returns the picture of a serialised `tf.train.Example`; one without a name, or of an empty one, has a digest.

    Bytes of a name that are no UTF-8 are spelt out, so that names which differ in them stay different.
    """
    import tensorflow as tf
    from google.protobuf import message

    digest = hashlib.sha256(record).hexdigest()[:16]
    try:
        features = tf.train.Example.FromString(record).features.feature
    except message.DecodeError:
        return Picture(digest, failed="not a tf.train.Example")
    names, images = ([*features[key].bytes_list.value][:1] for key in (source.name_key, source.image_key))
    name = (names[0].decode("utf-8", "backslashreplace") if names else "") or digest
    return Picture(name, content=images[0]) if images else Picture(name, failed=f"has no {source.image_key}")
