"""The pipeline: find, decode, ask the model, group by shard, write."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import MetricsFilter
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions, WorkerOptions
from apache_beam.runners import PipelineState, create_runner
from apache_beam.runners.runner import PipelineRunner

from dense_labels import progress
from dense_labels.prediction import answers, predictor
from dense_labels.prediction.predictions import FAILED
from serving.bulk import predicting, sources, storage, turns, writing
from serving.bulk.sources import Source
from serving.bulk.turns import Turn
from serving.bulk.writing import Layout

_MEANINGS = {  # what Beam says of what is not a mistake of the program, and what is said instead
    "Not a valid TFRecord": "--input={input}: a file is damaged, cut off, or holds no TFRecords",
    "Channel closed prematurely": "a worker died, and this runner does not replace it; run the same command again",
    "Unable to fetch remote job server": "Beam cannot fetch the job server of this runner; name one by "
    "--flink_job_server_jar, --spark_job_server_jar or --job_endpoint",
}
_LOG_LEVEL = "WARNING"  # of workers, which otherwise tell of each connection


class Chosen(NamedTuple):
    """What runs a pipeline."""

    runner: PipelineRunner
    options: PipelineOptions


class Outcome(NamedTuple):
    """What a run found, as its summary says."""

    pictures: int  # whose landmarks were predicted
    failed: int  # that could not be read
    summary: str  # path of the summary


def run(
    model: str,
    source: Source,
    chosen: Chosen,
    *,
    output: str,
    shards: int = 1,
    formats: Sequence[str] = ("tfrecord", "deeplabcut"),
    batch_size: int = answers.BATCH_SIZE,
) -> Outcome:
    """Predicts the landmarks of the pictures of a source; returns when all of them are written.

    Args:
      model: folder of an exported model, as each worker can reach it.
      source: of the pictures.
      chosen: what runs it.
      output: what the names of the files begin with.
      shards: how many files there are of each kind; a worker writes one at once, and has it in memory.
      formats: names of the registry FORMATS.
      batch_size: how many pictures the network sees at once.

    Raises:
      ValueError: if something of this does not fit, is damaged or is not known, the runner loses pictures or stops,
        another run writes to the same output, or no picture can be read.
      OSError: if a file system does not answer.
    """
    with storage.local_copy(storage.expanded(model)) as folder:
        described = predictor.describe(folder)
    place = storage.expanded(model) if storage.is_remote(model) else str(described.folder.resolve())
    if described.saw_boxes:
        progress.note("the network saw boxes about the objects; give pictures that are cropped alike")
    layout = Layout(storage.expanded(output), shards, tuple(formats), described.landmark_names, described.answers)
    writing.check(layout)
    if batch_size > described.max_images:
        raise ValueError(f"--batch_size={batch_size}: the model takes at most {described.max_images} pictures at once")
    turn = turns.begin(layout.running, place)
    storage.remove(layout.summary)
    pipeline = beam.Pipeline(runner=chosen.runner, options=chosen.options)
    facts = {"model": place, "created": described.created, "input": source.pattern}
    _build(pipeline, source, place, described.frame.full_size, batch_size, layout, facts, turn)
    began = time.monotonic()
    result = finished(pipeline, source)
    _check_alone(layout, turn)
    for pattern in layout.patterns():
        storage.remove_temporary(pattern)
    return _told(layout, result, time.monotonic() - began)


def choose(runner: str, beam_options: Sequence[str] = ()) -> Chosen:
    """Creates a runner; its options are those of the file systems from then on.

    Args:
      runner: its name, or the dotted name of a class.
      beam_options: options of Beam's, as on a command line.

    Raises:
      ValueError: if there is no such runner, or naming an option that Beam does not know.
    """
    created = _runner(runner)  # first: it may bring options along
    options = PipelineOptions(list(beam_options))
    known, given = options.get_all_options(), options.get_all_options(retain_unknown_options=True)
    for name in sorted(given.keys() - known.keys()):
        raise ValueError(f"--{name}: neither --help nor Apache Beam knows this option")
    for before, each in zip(["", *beam_options], beam_options):
        if not each.startswith("-") and (not before.startswith("-") or "=" in before):
            raise ValueError(f"unexpected argument {each!r}; every option is written --name=value")
    workers = options.view_as(WorkerOptions)
    workers.default_sdk_harness_log_level = workers.default_sdk_harness_log_level or _LOG_LEVEL
    FileSystems.set_options(options)
    return Chosen(created, options)


def _runner(name):
    try:
        return create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise ValueError(f"--runner={name}: {error}") from error


def _build(pipeline, source, model, size, batch_size, layout, facts, turn):
    pictures = sources.read(pipeline, source)
    announced = pictures | "Announce" >> beam.Map(lambda picture: writing.announced(picture.name))
    handler: ModelHandler = predicting.LandmarkHandler(model, batch_size)
    decoded = pictures | "Decode" >> beam.ParDo(predicting.Decode(size))
    if batch_size == 1:  # Beam would hold one back until a bundle ends, which its Dask runner then loses
        decoded, handler = decoded | "Make batches" >> beam.Map(lambda seen: [seen]), handler.with_no_batching()
    lines = decoded | "Find landmarks" >> RunInference(handler)
    rows = (lines, announced) | beam.Flatten() | "Choose shards" >> beam.Map(writing.with_shard, layout.shards)
    every_shard = pipeline | "Name shards" >> beam.Create([(shard, None) for shard in range(layout.shards)])
    written = (
        (rows, every_shard)
        | "Join shards" >> beam.Flatten()
        | "Group by shard" >> beam.GroupByKey()
        | "Write shards" >> beam.ParDo(writing.WriteShard(layout, turn))
    )
    summed_up = beam.ParDo(writing.WriteSummary(layout, facts, turn))
    _ = written | "Group all" >> beam.GroupByKey() | "Sum up" >> summed_up


def finished(pipeline: beam.Pipeline, source: Source) -> Any:
    """Runs a pipeline over a source to its end, and returns Beam's result.

    Raises:
      ValueError: if a file of the source is damaged, or the runner stops or cannot be started.
    """
    try:
        result = pipeline.run()
        state = result.wait_until_finish() or result.state
    except Exception as error:
        told = [words for said, words in _MEANINGS.items() if said in str(error)]
        if told:
            raise ValueError(told[0].format(input=source.pattern)) from error
        raise
    if PipelineState.is_terminal(state) and state != PipelineState.DONE:
        raise ValueError(f"the runner ended with the state {state}; run the same command again")
    return result


def _check_alone(layout: Layout, turn: Turn) -> None:
    """Ends the turn of a run; refuses what another run has written to, of which a summary that is wrong is removed."""
    if turn.lasts():
        turn.end()
        return
    there = storage.exists(layout.summary)
    if there and not writing.is_there(layout, json.loads(storage.read(layout.summary))["sha256"]):
        storage.remove(layout.summary)
    raise ValueError(
        f"{layout.output}: another run has written to the same output, so this one wrote no summary; where there is "
        "none at the end, run one of them again, alone"
    )


def _told(layout: Layout, result: Any, seconds: float) -> Outcome:
    """Says what was done, as the summary and the runner's counters have it."""
    failed = layout.paths(FAILED)
    if not storage.exists(layout.summary):
        raise ValueError(
            f"the runner lost pictures, which {failed} names; Beam's Dask runner loses what does not fill a batch, so "
            "give it --batch_size=1"
        )
    whole = json.loads(storage.read(layout.summary))
    outcome = Outcome(whole["pictures"], whole["failed"], layout.summary)
    if outcome.failed:
        progress.warn(f"{outcome.failed} pictures cannot be read; they are in {failed}")
    if not outcome.pictures:
        raise ValueError(f"none of the {outcome.failed} pictures can be read; see {failed}")
    if left := layout.of_other_formats():
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        progress.note(f"an earlier run left {left[0]}{more}, of formats that this one has not written; remove them")
    counted = "".join(f", {name} {counted:.1f} s" for name, counted in _seconds(result).items())
    progress.say(f"predicted {outcome.pictures} pictures in {seconds:.1f} s{counted}: {layout.summary}")
    return outcome


def _seconds(result: Any) -> dict[str, float]:
    """What the workers took together for each part, where the runner counts."""
    try:
        counters = result.metrics().query(MetricsFilter().with_namespace(predicting.NAMESPACE))["counters"]
    except (NotImplementedError, AttributeError):
        return {}
    times = {each.key.metric.name: each.result for each in counters if each.key.metric.name.endswith("_us")}
    return {name.removesuffix("_us"): times[name] / 1e6 for name in sorted(times)}
