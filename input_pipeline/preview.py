"""Draws a few training pairs and their correspondences, to look at before a training.

python -m input_pipeline.preview --config=configs/folder.py --config.data.dir=PICTURES [--output=preview.png]
"""

import os

from absl import flags

from dense_labels import command_line, run
from dense_labels import config as config_lib

_CONFIG = command_line.define_config()
_OUTPUT = flags.DEFINE_string("output", "preview.png", "The picture to write.")
_PAIRS = flags.DEFINE_integer("pairs", 4, "How many pairs to draw.", lower_bound=1)
flags.mark_flag_as_required("config")

_STRIDE = 2  # of every network


def main():
    config, output = _CONFIG.value, os.path.expanduser(_OUTPUT.value)
    config_lib.check(config)
    run.make_paths_absolute(config)

    import tensorflow as tf

    from dense_labels import files
    from dense_labels.pictures import panels
    from input_pipeline import pipeline

    source = pipeline.prepare(config)
    pairs = pipeline.example_pairs(source, "train", stride=_STRIDE, count=_PAIRS.value)
    names = ("image_a", "image_b", "points_in_b", "visible")
    panel = panels.pairs_panel(*(pairs[name].numpy() for name in names), stride=_STRIDE)
    files.write_whole(output, tf.io.encode_png(panel).numpy())
    print(f"{len(pairs['image_a'])} pairs: {output}")


if __name__ == "__main__":
    command_line.run(main)
