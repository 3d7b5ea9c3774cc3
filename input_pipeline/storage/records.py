"""TFRecord files as an array of records: where each lies, so that any of them is read without those before it.

A TFRecord file is a chain: 8 bytes of length, 4 of a checksum of these, the content, 4 of a checksum of the content.
The chain is followed once, without reading the contents, and the place of each record is kept, 8 bytes a record.
"""

import concurrent.futures
import dataclasses
import glob
import hashlib
import os
import re
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from dense_labels import progress
from input_pipeline.storage import listing, shard_journal

_HEADER, _FOOTER = 12, 4  # bytes
_LIKE_RECORDS = re.compile(r"\.tfrecords?(-|$)")  # tensorflow-datasets puts numbers behind
_NUMBERED = re.compile(r"-(\d{5})-of-(\d{5})(?=\.|$)")
_REMOTE = re.compile(r"(?:^|/)(\w+):/")
_COMPRESSED = b"\x1f\x8b"
_HELD_OUT = re.compile(r"(?:^|[-_.])(?:test|val|valid|validation|eval)(?=[-_.]|$)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, eq=False)
class Records:
    """Records of several files, in the order of the files and of their places."""

    paths: tuple[str, ...]  # F files
    starts: np.ndarray  # int64 [F + 1]: number of the first record of each file; the last says how many there are
    places: np.ndarray  # int64 [N]: byte at which each record begins in its file
    digests: tuple[str, ...]  # F: SHA-256 of the lengths and checksums in the file, so of its contents

    def __len__(self) -> int:
        return len(self.places)

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """Reads a record inside a graph, without Python.

        Args:
          index: int64 [], below N.

        Returns:
          string [].

        Raises:
          tf.errors.DataLossError: if the record's checksum is not that of its content.
        """
        # The only reader of TensorFlow's that begins at a byte; `tf.data.TFRecordDataset` has no argument for it.
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.gather(self.paths, self.file_of(index))[tf.newaxis],
            compression_type="",
            buffer_size=0,  # of one record, nothing is read ahead
            byte_offsets=tf.gather(self.places, index)[tf.newaxis],
        )
        return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string)).take(1).get_single_element()

    def file_of(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the number, int32 [], of the file that holds a record, int64 []."""
        return tf.searchsorted(self.starts, index[tf.newaxis], side="right")[0] - 1

    def name(self, index: tf.Tensor) -> tf.Tensor:
        """Returns what a record, int64 [], is called in messages, string []: its number in its file, from 0."""
        file = self.file_of(index)
        number = tf.strings.as_string(index - tf.gather(self.starts, file))
        return tf.strings.join(["record ", number, " of ", tf.gather(self.paths, file)])

    def first(self) -> bytes:
        """Returns the content of the first record; of N > 0.

        Raises:
          ValueError: if its checksum is not that of its content.
        """
        try:
            return self.read(tf.constant(0, tf.int64)).numpy()
        except tf.errors.DataLossError as error:
            raise ValueError(f"the first record of {self.paths[0]} is damaged; write the shards again") from error


def find(pattern: str) -> list[str]:
    """Finds the files of a pattern such as /data/faces-*.tfrecord, or those in a folder whose names say what they are.

    Args:
      pattern: of paths, as `input_pipeline.storage.listing.matching` has it, or a folder.

    Returns:
      Paths, sorted.

    Raises:
      ValueError: if there is none, they are on another machine or of another format, some of a numbered series are
        missing, there are two series of one name, or a folder holds some that are for testing beside others.
      OSError: if a folder cannot be read.
    """
    pattern = os.path.expanduser(pattern)
    check_local(pattern)
    if os.path.isdir(pattern):
        inside = listing.matching(os.path.join(glob.escape(pattern), "*"))
        paths = [path for path in inside if _LIKE_RECORDS.search(os.path.basename(path))]
        looked_for = f"{pattern} holds no files called *.tfrecord"
    else:
        paths, looked_for = listing.matching(pattern), f"no file matches {pattern}"
    for path in paths:
        if ".array_record" in os.path.basename(path):
            raise ValueError(f"{path}: ArrayRecord is read by Python alone, not inside tf.data; write TFRecord shards")
    if not paths:
        raise ValueError(
            f"{looked_for}; give a folder of TFRecord shards, or a pattern such as 'data/faces-*.tfrecord'"
        )
    _check_series(paths)
    if os.path.isdir(pattern):
        _check_splits(pattern, paths)
    return paths


def check_local(path: str) -> None:
    """Refuses a path such as gs://bucket/faces-*, also where it was made absolute like a path of this machine."""
    if remote := _REMOTE.search(path):
        there = f"{remote[1]}://{path[remote.end() :].lstrip('/')}"
        raise ValueError(f"{there} is not a path of this machine; mount the folder or bucket, and give its path")


def _check_series(paths: Sequence[str]) -> None:
    """Refuses shards that are numbered, such as -00003-of-00010, and not complete or there in two divisions."""
    series: dict[str, dict[str, int]] = {}  # what they are called but for the numbers -> of how many -> how many
    for path in paths:
        if found := _NUMBERED.search(os.path.basename(path)):
            of = series.setdefault(path[: path.rindex(found[0])], {})
            of[found[2]] = of.get(found[2], 0) + 1
    for prefix, of in series.items():
        if len(of) > 1:
            raise ValueError(
                f"{prefix}: shards of {' and of '.join(str(int(each)) for each in of)} are there, which would repeat "
                f"pictures; choose some by a pattern such as '*-of-{next(iter(of))}*', or remove the others"
            )
        for count, there in of.items():
            if there < int(count):
                raise ValueError(
                    f"{prefix}: only {there} of {int(count)} shards are there; finish writing or copying them"
                )


def _check_splits(folder: str, paths: Sequence[str]) -> None:
    """Refuses a folder in which some shards are for testing by their names, and others are not."""
    held_out = [path for path in paths if _HELD_OUT.search(os.path.basename(path))]
    others = [path for path in paths if path not in set(held_out)]
    if held_out and others:
        raise ValueError(
            f"{folder} holds {os.path.basename(held_out[0])} beside {os.path.basename(others[0])}: shards for testing "
            "would be trained on; choose the others by a pattern such as "
            f"'{os.path.join(folder, _NUMBERED.sub('', os.path.basename(others[0])).split('.')[0])}*', or use "
            "config.data.name=tfds for a data set of tensorflow-datasets"
        )


def index(paths: Sequence[str]) -> Records:
    """Follows the chain of each file; warns of those that are empty, beside others, and were not written so.

    Args:
      paths: of one file at least.

    Returns:
      The records.

    Raises:
      ValueError: if a file is gone, compressed, cut off or no TFRecord file, is not as large as the journal beside it
        tells, or all are empty; naming it.
    """
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = list(pool.map(_follow, paths))
    places = np.concatenate([of for of, _ in found])
    _check_sizes({path: len(of) for path, (of, _) in zip(paths, found)})
    starts = np.cumsum([0, *(len(of) for of, _ in found)], dtype=np.int64)
    return Records(tuple(paths), starts, places, tuple(digest for _, digest in found))


def _check_sizes(counts: Mapping[str, int]) -> None:
    """Refuses files of other sizes than were written, and files that are all empty; takes how many records each has."""
    written = shard_journal.sizes_of([*counts])
    for path, (size, count) in written.items():
        if (os.path.getsize(path), counts[path]) != (size, count):
            raise ValueError(
                f"{path} is cut off or was changed: it has {counts[path]} records, and had {count} in {size} bytes "
                "when it was written; write or copy it again"
            )
    empty = [path for path, count in counts.items() if not count]
    if len(empty) == len(counts):
        raise ValueError(f"{empty[0]}: there is no record in {len(counts)} files")
    if unexplained := [path for path in empty if path not in written]:
        progress.warn(
            f"{len(unexplained)} of {len(counts)} shards hold no record; the first is {unexplained[0]}; if pictures "
            "ought to be in it, write or copy it again"
        )


def _follow(path: str) -> tuple[np.ndarray, str]:
    """The places of the records of a file, int64 [n], and the digest of their lengths and checksums."""
    try:
        with open(path, "rb", buffering=0) as file:
            return _chain(path, file.fileno())
    except OSError as error:
        raise ValueError(f"{path}: {(error.strerror or str(error)).lower()}") from error


def _chain(path: str, file: int) -> tuple[np.ndarray, str]:
    size, place, places, digest = os.fstat(file).st_size, 0, [], hashlib.sha256()
    header = os.pread(file, _HEADER, 0)
    if header.startswith(_COMPRESSED) and not _is_header(header):  # the length of a record may begin so
        raise ValueError(f"{path} is compressed as a whole; write it uncompressed, for pictures are compressed already")
    while place < size:
        end = place + _HEADER + int.from_bytes(header[:8], "little") + _FOOTER
        if len(header) < _HEADER or end > size:
            wrong = f"cut off or damaged after {len(places)} records" if places else "no TFRecord file, or cut off"
            raise ValueError(f"{path} is {wrong}; write or copy it again")
        places.append(place)
        around = os.pread(file, _FOOTER + _HEADER, end - _FOOTER)
        digest.update(header + around[:_FOOTER])
        place, header = end, around[_FOOTER:]
    return np.array(places, np.int64), digest.hexdigest()


def _is_header(header: bytes) -> bool:
    """Says whether 12 bytes begin a record: a length, and its masked CRC-32C."""
    crc = 0xFFFFFFFF
    for byte in header[:8]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return header[8:] == masked.to_bytes(4, "little")
