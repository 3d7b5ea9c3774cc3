"""Trains a labelling network: flags -> one call of `dense_labels.train`.

python train_main.py --config=folder --config.data.dir=PICTURES --workdir=runs/mine [--config.KEY=VALUE ...]
"""

from absl import flags

import dense_labels
from dense_labels import command_line, progress


def main(config: dense_labels.Config, workdir: str, allow_changed_data: bool, data_service: str, backup: str) -> None:
    """Trains, and says what to run next."""
    dense_labels.train(
        config, workdir=workdir, allow_changed_data=allow_changed_data, data_service=data_service, backup=backup
    )
    progress.say(f"next: {progress.command('eval', f'--workdir={workdir}')}")


def console() -> None:
    """Defines the flags and runs; the console script dense-labels-train."""
    config = command_line.define_config()
    workdir = flags.DEFINE_string("workdir", None, "Folder of the run: checkpoints, TensorBoard, results.")
    changed = flags.DEFINE_bool("allow_changed_data", False, "Go on although the pictures have changed.")
    service = flags.DEFINE_string("data_service", "", "Addresses of services that make the pairs: grpc://HOST:5050.")
    backup = flags.DEFINE_string("backup", "", "A copy of the run, such as s3://bucket/mine.tar.")
    flags.mark_flags_as_required(["config", "workdir"])
    command_line.run(lambda: main(config.value, workdir.value, changed.value, service.value, backup.value))


if __name__ == "__main__":
    console()
