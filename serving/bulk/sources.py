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
from apache_beam.io import fileio

from dense_labels import files, progress
from input_pipeline.storage import decoding
from serving.bulk import storage

KINDS = ("pictures", "list", "tfrecord")
_TFRECORD = re.compile(r"\.tfrec(ord)?s?\b", re.IGNORECASE)
_LIST = ".txt"


class Source(NamedTuple):
    """Where pictures come from."""

    kind: str  # one of `KINDS`
    pattern: str  # of pictures or of TFRecords; path of a list
    folder: str  # that the names of pictures start from, with its slash
    image_key: str = "image/encoded"  # of the bytes of a picture in a tf.train.Example
    name_key: str = "image/filename"  # of its name there


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
      kind: one of `KINDS`; "" to tell it by the name.
      image_key, name_key: of the features of TFRecords.

    Raises:
      ValueError: if nothing matches, a folder is given where a file is needed, or the file system is not known.
      OSError: if it does not answer.
    """
    path = storage.expanded(given)
    kind = kind or ("pictures" if os.path.isdir(path) else _kind(given))
    folder = ""
    if kind != "pictures" and os.path.isdir(path):
        raise ValueError(f"--input={given}: is a folder, and --input_kind={kind} needs a file; leave --input_kind out")
    if not storage.is_remote(path) and os.path.exists(path):  # itself, not a pattern, whatever its name holds
        top = path if os.path.isdir(path) else os.path.dirname(path)
        folder = top.rstrip("/") + "/"
        path = glob.escape(folder) + "**" if os.path.isdir(path) else glob.escape(path)
    elif kind == "pictures" and not storage.exists(path):
        path = path.rstrip("/") + "/**"  # of a folder
    if not storage.exists(path):
        raise ValueError(
            f"--input={given}: nothing is there; give a folder, a pattern in quotes, a list .txt or .tfrecord files"
        )
    return Source(kind, path, folder or storage.fixed_folder(path), image_key, name_key)


def _kind(given):
    name = os.path.basename(given)
    return "list" if name.lower().endswith(_LIST) else "tfrecord" if _TFRECORD.search(name) else "pictures"


def read(pipeline: beam.Pipeline, source: Source) -> beam.PCollection:
    """Returns each `Picture` of a source, spread over the workers; those of one TFRecord file stay together."""
    if source.kind == "tfrecord":
        records = pipeline | "Read records" >> beam.io.ReadFromTFRecord(source.pattern)
        return records | "Take pictures" >> beam.Map(of_record, source)
    if source.kind == "list":
        lines = pipeline | "Read the list" >> beam.io.ReadFromText(source.pattern, coder=coders.BytesCoder())
        found = lines | "Take names" >> beam.FlatMap(of_line, source)
    else:
        matched = pipeline | "Match files" >> fileio.MatchFiles(source.pattern)
        found = matched | "Take files" >> beam.FlatMap(lambda each, source: of_file(each.path, source), source)
    return found | "Spread pictures" >> beam.Reshuffle()


def of_file(path: str, source: Source) -> Iterator[Picture]:
    """Yields the picture of a file, if its name ends as those of pictures do and nothing in it begins with a dot.

    One whose name is no UTF-8 has failed, for no output can hold the name.
    """
    name = path.removeprefix(source.folder)
    hidden = any(part.startswith(".") for part in name.split("/"))
    if name.lower().endswith(decoding.EXTENSIONS) and not hidden:
        yield _named(name, path)


def of_line(line: bytes, source: Source) -> Iterator[Picture]:
    """Yields the picture of a line of a list: a path from the folder of that list, or a whole one."""
    name = line.decode("utf-8", "surrogateescape").strip()
    if name:
        whole = storage.is_remote(name) or name.startswith("/")
        yield _named(name.removeprefix(source.folder), name if whole else source.folder + name)


def _named(name, path):
    """A picture; one whose name is no UTF-8 has failed, for no output, and nothing between workers, can hold it."""
    return Picture(name, path) if files.is_text(name) else Picture(progress.printable(name), failed=files.NOT_TEXT)


def of_record(record: bytes, source: Source) -> Picture:
    """Returns the picture of a serialised `tf.train.Example`; one without a name is called by a digest of it."""
    import tensorflow as tf
    from google.protobuf import message

    digest = hashlib.sha256(record).hexdigest()[:16]
    try:
        features = tf.train.Example.FromString(record).features.feature
    except message.DecodeError:
        return Picture(digest, failed="not a tf.train.Example")
    names, images = ([*features[key].bytes_list.value][:1] for key in (source.name_key, source.image_key))
    name = names[0].decode("utf-8", "replace") if names else digest
    return Picture(name, content=images[0]) if images else Picture(name, failed=f"has no {source.image_key}")
