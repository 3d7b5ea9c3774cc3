"""Pictures -> TFRecord shards to train on, by a pipeline: what `input_pipeline.write_shards` does on one machine.

Which shard a picture is in follows from its name alone, and a shard is written by one worker, sorted, from the files
themselves: only names go from worker to worker. The journal is begun first, so that what a killed run leaves is told
from files of others, and counts the pictures last: where it does, the shards are whole.
"""

from __future__ import annotations

import pathlib
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam

from dense_labels import progress
from input_pipeline.storage import shard_journal, shard_writing
from serving.bulk import pipeline, sources, storage
from serving.bulk.pipeline import Chosen
from serving.bulk.sources import Picture, Source


class Shard(NamedTuple):
    """What was written of a shard."""

    number: int
    pictures: int  # in it
    bad: dict[str, str]  # name of each picture that cannot be read -> why
    file: str  # its name, without the folder
    size: int  # of the file, in bytes


def write(source: Source, chosen: Chosen, *, output: str, shards: int) -> shard_writing.Written:
    """Writes the pictures of a source into shards; returns when all of them are written.

    Args:
      source: of the pictures, files and no records.
      chosen: what runs it.
      output: what the names of the shards begin with.
      shards: how many; a worker writes one at once.

    Returns:
      What was written.

    Raises:
      ValueError: if the source is records, other files are in the way, no picture can be read, or the runner stops.
      OSError: if a file system does not answer.
    """
    prefix = storage.expanded(output)
    plan = f"{shards} shards of {source.pattern}"
    _begin(prefix, plan, source, shards)
    made = beam.Pipeline(runner=chosen.runner, options=chosen.options)
    named = sources.read(made, source) | "Choose shards" >> beam.Map(with_shard, shards)
    every_shard = made | "Name shards" >> beam.Create([(number, None) for number in range(shards)])
    written = (
        (named, every_shard)
        | "Join shards" >> beam.Flatten()
        | "Group by shard" >> beam.GroupByKey()
        | "Write shards" >> beam.ParDo(WriteShard(prefix, shards))
    )
    _ = written | "Group all" >> beam.GroupByKey() | "Sum up" >> beam.ParDo(WriteJournal(prefix, plan))
    pipeline.finished(made, source)
    storage.remove_temporary(f"{prefix}-?????-of-?????.tfrecord")
    return _told(prefix, shards)


def _begin(prefix, plan, source, shards):
    """Refuses what cannot be written; takes away what an earlier run left, as its journal tells, and no more."""
    if source.kind == "tfrecord":
        raise ValueError(f"--input={source.pattern}: these are shards; give a folder or pattern of pictures, or a list")
    if storage.has_wildcard(prefix) or prefix.endswith("/"):
        raise ValueError(f"--output={prefix}: give the beginning of file names, without * ? [ {{ and a slash behind")
    if not 1 <= shards <= shard_writing.MOST_SHARDS:
        raise ValueError(f"--num_shards={shards}: must be from 1 to {shard_writing.MOST_SHARDS}")
    journal, own = shard_journal.path_of(prefix), set()
    if storage.exists(journal):
        if _journal(prefix)["plan"] != plan:
            raise ValueError(
                f"{journal} tells of other pictures or shards; remove all of them, or choose another --output"
            )
        own = {shard_writing.shard_path(prefix, number, shards) for number in range(shards)}
    there = storage.matching(f"{prefix}-?????-of-?????.tfrecord")
    for path in there:
        if path not in own:
            raise ValueError(f"{path} was not written by this command; remove it, or choose another --output")
    _keep(prefix, plan, {}, {})
    for path in there:
        storage.remove(path)


def _journal(prefix):
    path = shard_journal.path_of(prefix)
    return shard_journal.read(path, storage.read(path))


def _keep(prefix, plan, bad, sizes, **more):
    storage.write_whole(shard_journal.path_of(prefix), shard_journal.content(plan, bad, sizes, **more))


def with_shard(picture: Picture, shards: int) -> tuple[int, Picture]:
    """Returns the number of the shard of a picture, which depends on its name alone, and the picture."""
    return zlib.crc32(picture.name.encode()) % shards, picture


class WriteShard(beam.DoFn):
    """Writes a shard, and yields what was written."""

    def __init__(self, prefix: str, shards: int):
        """Creates the function."""
        self._prefix, self._shards = prefix, shards

    def process(self, element: tuple[int, Iterable[Picture | None]]) -> Iterator[tuple[int, Shard]]:
        """Takes the number of a shard and its pictures, in any order and perhaps twice, among which may be None."""
        number, pictures = element
        named = {picture.name: picture for picture in pictures if picture is not None}
        bad = {name: picture.failed for name, picture in named.items() if picture.failed}
        readable = [(name, named[name].path) for name in sorted(named.keys() - bad.keys())]
        with tempfile.TemporaryDirectory() as folder:
            made = pathlib.Path(folder, "shard")
            left_out = shard_writing.write_records(made, readable, storage.content_or_failure)
            bad |= {name: error.reason for name, error in left_out.items()}
            path, size = shard_writing.shard_path(self._prefix, number, self._shards), made.stat().st_size
            storage.copy_whole(made, path)
        yield 0, Shard(number, len(named) - len(bad), dict(sorted(bad.items())), path.rpartition("/")[2], size)


class WriteJournal(beam.DoFn):
    """Writes the journal of all shards, as `input_pipeline.write_shards` does."""

    def __init__(self, prefix: str, plan: str):
        """Creates the function; `plan` says what is written."""
        self._prefix, self._plan = prefix, plan

    def process(self, element: tuple[int, Iterable[Shard]]) -> None:
        """Takes what was yielded of each shard."""
        whole = sorted(element[1])
        bad = {str(shard.number): shard.bad for shard in whole}
        sizes = {shard.file: [shard.size, shard.pictures] for shard in whole}
        _keep(self._prefix, self._plan, bad, sizes, pictures=sum(shard.pictures for shard in whole))


def _told(prefix, shards):
    """Says what was written, as the journal has it."""
    path, journal = shard_journal.path_of(prefix), _journal(prefix)
    if "pictures" not in journal or len(journal["bad"]) != shards:
        raise ValueError(f"the runner lost shards of {prefix}; run the same command again, or choose another --runner")
    bad = {name: reason for each in journal["bad"].values() for name, reason in each.items()}
    if bad:
        progress.warn(f"{len(bad)} pictures cannot be read, and are left out; {path} names them")
    if not journal["pictures"]:
        raise ValueError(f"none of {len(bad)} pictures can be read; see {path}")
    progress.say(f"{journal['pictures']} pictures in {shards} shards: {prefix}-*.tfrecord")
    return shard_writing.Written(journal["pictures"], shards, bad)
