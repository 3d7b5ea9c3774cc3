"""Trains a labelling network: flags -> configuration -> data -> network -> training.

python train_main.py --config=configs/folder.py --config.data.dir=PICTURES --workdir=runs/mine [--config.KEY=VALUE ...]
"""

import os

from absl import flags

from dense_labels import command_line, run
from dense_labels import config as config_lib

_CONFIG = command_line.define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run: checkpoints, TensorBoard, results.")
flags.mark_flags_as_required(["config", "workdir"])


def main():
    config, workdir = _CONFIG.value, os.path.expanduser(_WORKDIR.value)
    config_lib.check(config)
    run.make_paths_absolute(config)

    import tensorflow as tf  # after the flags are known to be right, for this is slow

    import models
    from dense_labels.training import checkpoints, loop
    from input_pipeline import pipeline

    tf.config.experimental.enable_tensor_float_32_execution(False)  # the scores of a match need all of float32
    strategy = loop.create_strategy()  # first: it must meet the other workers before anything else runs
    begun = checkpoints.newest(workdir)
    if begun:
        run.settle(config, workdir)
    config.train.precision = loop.choose_precision(config.train)
    source = pipeline.prepare(config)
    if config.data.name not in config_lib.SIMULATED:
        config.data.num_pictures = source.count("train")
    config.train.batch_size = config.train.batch_size or min(config_lib.BATCH_SIZE, source.count("train"))
    if begun:
        run.check_same(config, workdir)
    print(f"precision of the convolutions: {config.train.precision}")
    os.makedirs(workdir, exist_ok=True)
    if loop.is_chief(strategy):
        run.save(config, workdir)

    stride = models.stride(config.model)
    loop.train(
        config,
        workdir,
        network=lambda precision: models.create(config.model, precision),
        dataset=lambda start_step, context: pipeline.training_pairs(
            source,
            stride=loop.pairs_stride(config, stride),
            batch_size=config.train.batch_size,
            seed=config.train.seed,
            start_step=start_step,
            input_context=context,
        ),
        steps_per_epoch=config.train.steps_per_epoch or max(1, source.count("train") // config.train.batch_size),
        examples=pipeline.example_pairs(source, "validation", stride=stride, count=6),
        stride=stride,
        strategy=strategy,
    )
    print(f"next: {command_line.python()} eval_main.py --workdir={workdir}")


if __name__ == "__main__":
    command_line.run(main)
