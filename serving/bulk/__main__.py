"""Predicts the landmarks of any number of pictures by an exported model, on Apache Beam.

python -m serving.bulk --model=served/mine/3 --input='PICTURES/**' --output=points/mine --runner=DirectRunner

Flags that are not among these are Beam's own, such as --direct_num_workers=4 --direct_running_mode=multi_processing.
Beam is an extra: pip install "dense-labels[beam]"
"""

from __future__ import annotations

from absl import flags

from dense_labels import command_line
from serving import bulk


def main(beam_options: list[str]) -> None:
    bulk.check_beam("bulk prediction")
    from serving.bulk import pipeline, sources

    given = flags.FLAGS
    chosen = pipeline.choose(given.runner, beam_options)
    keys = {"image_key": given.image_key, "name_key": given.name_key}
    source = sources.find(given.input, given.input_kind, **keys)
    if source.kind != "tfrecord" and (idle := [f"--{name}" for name in keys if given[name].present]):
        raise ValueError(f"{idle[0]} names a feature of TFRecords, and --input={given.input} has none; leave it out")
    pipeline.run(
        given.model,
        source,
        chosen,
        output=given.output,
        shards=given.num_shards,
        formats=given.formats,
        batch_size=given.batch_size,
    )


def _define_flags():
    flags.DEFINE_string("model", None, "Folder of an exported model, which every worker can reach; or a URL of one.")
    flags.DEFINE_string("input", None, "Folder, pattern in quotes, .txt with a path a line, or .tfrecord files.")
    flags.DEFINE_enum("input_kind", "", ("", *bulk.KINDS), "What the input is, where its name does not tell.")
    flags.DEFINE_string("image_key", "image/encoded", "Feature of a tf.train.Example that holds the file of a picture.")
    flags.DEFINE_string("name_key", "image/filename", "Feature of a tf.train.Example that holds its name.")
    flags.DEFINE_string("output", None, "What the names of the files that are written begin with; may be a URL.")
    flags.DEFINE_list("formats", ["tfrecord", "deeplabcut"], "What to write: tfrecord, parquet, deeplabcut, csv, ...")
    flags.DEFINE_integer("num_shards", 1, "Files of each kind. A worker holds the points of one in memory.", 1)
    flags.DEFINE_integer("batch_size", 32, "Pictures that the network sees at once.", 1)
    flags.DEFINE_string("runner", "DirectRunner", "What runs it: a runner of Apache Beam's, such as FlinkRunner.")
    flags.mark_flags_as_required(["model", "input", "output"])


if __name__ == "__main__":
    _define_flags()
    command_line.run(main, passes_on=True)
