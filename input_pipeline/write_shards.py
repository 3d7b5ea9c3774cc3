"""Writes a folder of pictures into TFRecord shards, to train on with --config.data.name=shards.

python -m input_pipeline.write_shards --pictures=PICTURES --out=data/faces --shards=16

It writes data/faces-00000-of-00016.tfrecord and so on, and beside them data/faces.json, by which the same command goes
on where it was stopped. --start_over removes them and begins anew.
"""

import os

from absl import flags

from dense_labels import command_line, progress


def main(pictures: str, out: str, shards: int, start_over: bool) -> None:
    """Writes the shards, and lists the pictures that cannot be read.

    Raises:
      ValueError: in the end, if the system failed to read some, and as `shard_writing.write`.
    """
    from input_pipeline.readers import folder  # after the flags are known to be right, for TensorFlow is slow
    from input_pipeline.storage import shard_writing

    pictures = os.path.expanduser(pictures)
    paths = folder.find(pictures).paths
    written = shard_writing.write(paths, pictures, out, shards, start_over=start_over)
    if written.bad:
        lines = (f"  {progress.printable(name)}: {reason}" for name, reason in written.bad.items())
        progress.warn(
            "\n".join([f"{len(written.bad)} of {len(paths)} pictures cannot be read, and are left out:", *lines])
        )
    progress.say(
        f"{written.pictures} pictures in {shards} shards, {written.shards} of them written now: {out}-*.tfrecord"
    )
    if written.may_pass:  # which is no success: what comes next would train without them
        raise ValueError(
            f"{written.may_pass} of the pictures that are left out may be as good as any, for the system failed to "
            "read them; start the same command again, which tries them again"
        )


def console() -> None:
    """Defines the flags and runs."""
    pictures = flags.DEFINE_string("pictures", None, "Folder of pictures, with folders in it to any depth.")
    out = flags.DEFINE_string("out", None, "Path that the names of the shards begin with.")
    shards = flags.DEFINE_integer("shards", None, "How many shards.", lower_bound=1)
    start_over = flags.DEFINE_bool("start_over", False, "Remove the shards of an earlier writing, and write all.")
    flags.mark_flags_as_required(["pictures", "out", "shards"])
    command_line.run(lambda: main(pictures.value, out.value, shards.value, start_over.value))


if __name__ == "__main__":
    console()
