"""Writes any number of pictures into TFRecord shards, to train on with --config.data.name=shards, on Apache Beam.

python -m serving.bulk.write_shards --input='PICTURES/**' --output=data/faces --num_shards=16 --runner=DirectRunner

Flags that are not among these are Beam's own, as of `serving.bulk`. Beam is an extra: pip install "dense-labels[beam]"
"""

from __future__ import annotations

from absl import flags

from dense_labels import command_line
from serving import bulk


def main(beam_options: list[str]) -> None:
    """Writes the shards."""
    bulk.check_beam("writing shards in bulk")
    from serving.bulk import pipeline, shards, sources

    given = flags.FLAGS
    chosen = pipeline.choose(given.runner, beam_options)
    source = sources.find(given.input, given.input_kind, image_key="", name_key="")
    shards.write(source, chosen, output=given.output, shards=given.num_shards)


def _define_flags():
    flags.DEFINE_string("input", None, "Folder, pattern in quotes, or .txt with a path a line.")
    flags.DEFINE_enum("input_kind", "", ("", "pictures", "list"), "What the input is, where its name does not tell.")
    flags.DEFINE_string("output", None, "Path that the names of the shards begin with; may be a URL.")
    flags.DEFINE_integer("num_shards", None, "How many shards; a worker writes one at once.", 1)
    flags.DEFINE_string("runner", "DirectRunner", "What runs it: a runner of Apache Beam's, such as FlinkRunner.")
    flags.mark_flags_as_required(["input", "output", "num_shards"])


if __name__ == "__main__":
    _define_flags()
    command_line.run(main, passes_on=True)
