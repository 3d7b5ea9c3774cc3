"""Writes what was found: the same pictures give the same files, whoever writes them and however often.

A picture belongs to the shard that its name tells, and a shard is written by one worker, sorted, at once. So a worker
that dies half-way, or two that do the same work, change nothing. The summary is written after everything else, once all
was read back: where it is, the output is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np

from dense_labels.prediction import answers, tables
from dense_labels.prediction.journal import Line
from dense_labels.prediction.predictions import FAILED, Predictions, content_of
from dense_labels.registry import FORMATS
from serving.bulk import storage
from serving.bulk.turns import Turn

_SUMMARY, _RUNNING = "summary.json", "running.json"
_TWICE, LOST = "another picture has this name", "lost by the runner"
_DIGEST, _ANNOUNCED = "digest", "announced"


class Layout(NamedTuple):
    """Which files there are, and what a row of them holds."""

    output: str  # what their names begin with
    shards: int
    formats: tuple[str, ...]  # names of the registry FORMATS
    landmark_names: tuple[str, ...]  # none where landmarks are numbered
    answers: dict[str, list[int]]  # name -> shape of what the model finds, of which the first is the number of pictures

    @property
    def summary(self) -> str:
        """Path of the summary."""
        return self._begun() + _SUMMARY

    @property
    def running(self) -> str:
        """Path of the file that says which run writes."""
        return self._begun() + _RUNNING

    def path(self, file: str, shard: int) -> str:
        """Returns the path of a shard of what is called `file` elsewhere, such as PREFIX-points-00000-of-00002.csv."""
        return self._place(file, f"{shard:05}", f"{self.shards:05}")

    def paths(self, file: str) -> str:
        """Returns the path of such a file, or the pattern of its shards where there are several."""
        return self.path(file, 0) if self.shards == 1 else self._place(file, "*", f"{self.shards:05}")

    def patterns(self) -> list[str]:
        """Lists patterns of all files of this output, whatever the number of shards."""
        kinds = [FAILED, *(FORMATS[name].facts["file"] for name in self.formats)]
        return [self.summary, self.running, *(self._place(file, "?????", "?????") for file in kinds)]

    def of_other_runs(self, file: str) -> list[str]:
        """Lists the shards of such a file that are there and belong to another number of shards."""
        own = {self.path(file, shard) for shard in range(self.shards)}
        return [path for path in storage.matching(self._place(file, "*", "?????")) if path not in own]

    def of_other_formats(self) -> list[str]:
        """Lists the files of formats that are not written now, which an earlier run left there."""
        others = [entry.facts["file"] for entry in FORMATS.values() if entry.name not in self.formats]
        return sorted({path for file in others for path in storage.matching(self._place(file, "?????", "?????"))})

    def _place(self, file, shard, shards):
        stem, ending = os.path.splitext(file)
        return f"{self._begun()}{stem}-{shard}-of-{shards}{ending}"

    def _begun(self):
        return self.output if self.output.endswith("/") else f"{self.output}-"


def check(layout: Layout) -> None:
    """Refuses, before the work, what cannot be written.

    Raises:
      ValueError: if a format needs pictures, says where they lie, or needs a folder or a package that is missing, or
        files with another number of shards are there.
    """
    if storage.has_wildcard(layout.output):
        raise ValueError(f"--output={layout.output}: give the beginning of file names, without * ? [ {{")
    for name in layout.formats:
        entry = FORMATS[name]
        if not _is_suitable(entry):
            suitable = ", ".join(entry.name for entry in FORMATS.values() if _is_suitable(entry))
            raise ValueError(f"--formats={name}: is not for bulk prediction; choose of {suitable}")
        content(layout, name, to_predictions(layout, []))
    if layout.shards < 1:
        raise ValueError(f"--num_shards={layout.shards}: must be 1 at least")
    for file in [FAILED, *(FORMATS[name].facts["file"] for name in layout.formats)]:
        for path in layout.of_other_runs(file):
            raise ValueError(f"{path} is of another number of shards; remove it, or choose another --output")


def _is_suitable(entry):
    facts = entry.facts
    single = bool(pathlib.PurePath(facts["file"]).suffix)
    on_one_machine = ("needs_video", "reads_pictures", "whole_paths")
    return single and not any(map(facts.get, on_one_machine))


def with_shard(line: Line, shards: int) -> tuple[int, Line]:
    """Returns the number of the shard of a line, which depends on its name alone, and the line."""
    return zlib.crc32(line["name"].encode("utf-8", "surrogatepass")) % shards, line


def announced(name: str) -> Line:
    """Returns the line of a picture that was found, and of which another line must come: the writer looks for it."""
    return {"name": name, _DIGEST: _ANNOUNCED, "failed": LOST}


def distinct(lines: Iterable[Line]) -> list[Line]:
    """Sorts lines by name; the same picture is left once, and another one of the same name has failed.

    Args:
      lines: in any order; `digest` tells pictures apart. Those that are `announced` go where another of the name is.
    """
    lines = list(lines)
    answered = {line["name"] for line in lines if line[_DIGEST] != _ANNOUNCED}
    lines = [line for line in lines if line[_DIGEST] != _ANNOUNCED or line["name"] not in answered]
    kept: list[Line] = []
    for line in sorted(lines, key=lambda line: (line["name"], "failed" in line, line[_DIGEST])):
        same_name = bool(kept) and kept[-1]["name"] == line["name"]
        if same_name and kept[-1][_DIGEST] == line[_DIGEST]:
            continue
        is_other = same_name and "failed" not in line
        kept.append({"name": line["name"], _DIGEST: line[_DIGEST], "failed": _TWICE} if is_other else line)
    return kept


def to_predictions(layout: Layout, lines: Sequence[Line]) -> Predictions:
    """Returns the predictions of a shard; also of one without a picture, which has as many landmarks as the others."""
    if any("failed" not in line for line in lines):
        return answers.to_predictions(lines, layout.landmark_names, folder="")
    numbers = {name: np.zeros([0, *shape[1:]], np.float32) for name, shape in layout.answers.items()}
    names = layout.landmark_names or tuple(str(k) for k in range(numbers["points"].shape[1]))
    sizes, named = np.zeros([0, 2], np.int64), bool(layout.landmark_names)
    return Predictions("", (), sizes, names, named=named, failed=answers.failures(lines), **numbers)


def content(layout: Layout, name: str, predictions: Predictions) -> bytes:
    """Returns the content of a file in a format.

    Raises:
      ValueError: if the format lacks a package, cannot say what was predicted, or returns no content.
    """
    made = content_of(FORMATS[name], predictions)
    if isinstance(made, bytes):
        return made
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, FORMATS[name].facts["file"])
        made(path)
        return path.read_bytes()


class WriteShard(beam.DoFn):
    """Writes the files of a shard while it is the run's turn, and yields what the summary says of them."""

    def __init__(self, layout: Layout, turn: Turn):
        """Creates the function."""
        self._layout, self._turn = layout, turn

    def process(self, element: tuple[int, Iterable[Line | None]]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Takes the number of a shard and its lines, among which may be None."""
        shard, lines = element
        predictions = to_predictions(self._layout, distinct(line for line in lines if line is not None))
        contents = {self._layout.path(FAILED, shard): tables.of_failed(predictions.failed)}
        for name in self._layout.formats:
            path = self._layout.path(FORMATS[name].facts["file"], shard)
            contents[path] = content(self._layout, name, predictions)
        if not self._turn.lasts():
            return
        for path, data in contents.items():
            storage.write_whole(path, data)
        digests = {path.rpartition("/")[2]: hashlib.sha256(data).hexdigest() for path, data in contents.items()}
        lost = sum(reason == LOST for _, reason in predictions.failed)
        yield 0, {"pictures": len(predictions), "failed": len(predictions.failed), "lost": lost, "files": digests}


class WriteSummary(beam.DoFn):
    """Writes the summary of all shards, unless the runner lost a picture, or another run has written as well."""

    def __init__(self, layout: Layout, facts: dict[str, Any], turn: Turn):
        """Creates the function.

        Args:
          layout: of the output.
          facts: what else the summary says; JSON can hold it.
          turn: of the run; it ends where a file is not the one that was written.
        """
        self._layout, self._facts, self._turn = layout, facts, turn

    def process(self, element: tuple[int, Iterable[dict[str, Any]]]) -> None:
        """Takes what was yielded of each shard."""
        parts = list(element[1])
        if any(part["lost"] for part in parts):
            return
        whole = {
            "version": 1,
            **self._facts,
            "pictures": sum(part["pictures"] for part in parts),
            "failed": sum(part["failed"] for part in parts),
            "sha256": {name: digest for part in parts for name, digest in part["files"].items()},
        }
        if not is_there(self._layout, whole["sha256"]):
            self._turn.end()
        if self._turn.lasts():
            storage.write_whole(self._layout.summary, (json.dumps(whole, indent=2, sort_keys=True) + "\n").encode())


def is_there(layout: Layout, digests: Mapping[str, str]) -> bool:
    """Reads an output back, and says whether each file is there as it was written.

    Args:
      layout: of the output.
      digests: name of each file, without its folder -> SHA-256 of its content.
    """
    folder = layout.summary.rpartition("/")[0]
    paths = {f"{folder}/{name}": digest for name, digest in digests.items()}
    return all(
        storage.exists(path) and hashlib.sha256(storage.read(path)).hexdigest() == digest
        for path, digest in paths.items()
    )
