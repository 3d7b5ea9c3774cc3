"""Draws a few training pairs and their correspondences, to look at before a training.

python -m input_pipeline.preview --config=folder --config.data.dir=PICTURES [--output=preview.png]
"""

import os

from absl import flags

from dense_labels import command_line, files, progress, run_config
from dense_labels.config import Config

_ALL_FILES = ("folder", "video")  # data sets that are all pictures of a folder
_SPLITS = ("train", "annotated", "validation", "test")
_STRIDE = 2  # pixels between the points whose correspondence is worked out; the picture shows a few of them


def main(config: Config, output: str, pairs: int) -> None:
    """Draws some pairs of the training split into a PNG file."""
    files.check_local(output, "--output")
    config = run_config.with_absolute_paths(config)
    output = os.path.expanduser(output)
    if config.data.name in _ALL_FILES:
        _check_place(output, config.data.dir)
    files.check_writable(os.path.dirname(os.path.abspath(output)))

    import tensorflow as tf  # after the flags are known to be right, for this is slow

    from dense_labels.batches import PairBatch
    from dense_labels.pictures.pairs import pairs_panel
    from input_pipeline import pipeline

    source = pipeline.prepare(config)
    shown = {path for split in _SPLITS if source.count(split) for path, _ in source.origins(split)}
    if os.path.realpath(output) in map(os.path.realpath, shown):
        raise ValueError(f"--output={output}: is one of the pictures, which is not written over; give another place")
    drawn = PairBatch(*(part.numpy() for part in pipeline.example_pairs(source, "train", stride=_STRIDE, count=pairs)))
    panel = pairs_panel(drawn, stride=_STRIDE)
    os.makedirs(os.path.dirname(os.path.abspath(output)), exist_ok=True)
    files.write_whole(output, tf.io.encode_png(panel).numpy())
    progress.say(f"{len(drawn.image_a)} pairs: {output}")


def _check_place(output: str, pictures: str) -> None:
    """Refuses a file among the pictures, of which it would be one."""
    folder = os.path.realpath(pictures)
    if os.path.commonpath([folder, os.path.realpath(output)]) == folder:
        raise ValueError(
            f"--output={output}: lies among the pictures in {pictures}, and would be one of them; give another place"
        )


def console() -> None:
    """Defines the flags and runs."""
    config = command_line.define_config()
    output = flags.DEFINE_string("output", "preview.png", "The picture to write.")
    pairs = flags.DEFINE_integer("pairs", 4, "How many pairs to draw.", lower_bound=1)
    flags.mark_flag_as_required("config")
    command_line.run(lambda: main(config.value, output.value, pairs.value))


if __name__ == "__main__":
    console()
