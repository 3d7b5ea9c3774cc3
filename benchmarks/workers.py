"""Pairs per second of one worker and of two that train together over loopback, one thread each.

python -m benchmarks.workers [--data_dir=~/tensorflow_datasets] [--batch=8] [--steps=150] [--out=FILE]

Each worker is `train_main.py --config=configs/roboarm.py` as a user starts it, with TF_CONFIG, and brings a batch of
its own. The figures are those of the second epoch, as TensorBoard shows them; the first one builds the graph.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

from benchmarks import timing


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__.split("\n")[0])
    parser.add_argument("--data_dir", default="~/tensorflow_datasets", help="where the robot arm's data set is")
    parser.add_argument("--batch", type=int, default=8, help="pairs of a worker")
    parser.add_argument("--steps", type=int, default=150, help="of each of the two epochs")
    parser.add_argument("--out", help="JSON file for the figures")
    arguments = parser.parse_args()
    speeds = {workers: _speed(workers, arguments) for workers in (1, 2)}
    lines = [[workers, f"{speed:.1f}", f"{speed / speeds[1]:.2f}"] for workers, speed in speeds.items()]
    print(timing.table(["workers, one thread each", "pairs/s", "of one"], lines))
    if arguments.out:
        timing.write_report(arguments.out, speeds, ["tensorflow"], vars(arguments))


def _speed(workers, arguments):
    """Pairs per second of so many workers together."""
    addresses = [f"localhost:{port}" for port in _free_ports(workers)]
    with tempfile.TemporaryDirectory() as workdir:
        command = [
            *(sys.executable, "train_main.py", "--config=configs/roboarm.py", f"--workdir={workdir}"),
            f"--config.data.dir={arguments.data_dir}",
            f"--config.train.batch_size={workers * arguments.batch}",
            f"--config.train.steps_per_epoch={arguments.steps}",
            *("--config.train.num_epochs=2", "--config.train.warmup_steps=0"),
        ]
        with open(os.path.join(workdir, "log"), "w+") as log:
            processes = [_start(command, addresses, index, log) for index in range(workers)]
            try:
                while not all(process.poll() == 0 for process in processes):
                    if any(process.poll() for process in processes):  # the others would wait for it for ever
                        log.seek(0)
                        sys.exit(log.read())
                    time.sleep(0.2)
            finally:
                for process in processes:
                    process.kill()
            log.seek(0)
            return float(re.findall(r"pairs_per_second: ([\d.]+)", log.read())[-1])


def _start(command, addresses, index, log):
    task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    environment = {**os.environ, "TF_CONFIG": json.dumps(task), **dict.fromkeys(timing.THREADS, "1")}
    return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    main()
