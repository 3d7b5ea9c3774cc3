"""What a step of several workers costs, by the network between them: measured with two and four, predicted for more.

python -m benchmarks.scaling --results=RESULTS [--networks=simple,dilations] [--batch=4] [--steps=20]

Each worker is `train_main.py` as a user starts it, with TF_CONFIG and one thread, on pictures of smooth noise. It
brings a batch of its own. What it says to the others goes through `benchmarks.links`, which counts the bytes, and hands
them on as late as a network of some delay and bandwidth would. Each row is recorded in RESULTS and only read the next
time. Seconds and bytes are those of a step of the second epoch.

The compute of a step is that of as many processes that train at once, each for itself: they share the machine as the
workers do. The model, of figures from the rows without a limit and, of the first network, from those of 20 ms:

    seconds(n) = compute + overhead + trips(n) * delay + bytes(n) / bandwidth
    trips(n) = trips(2) + (n - 2) * (trips(4) - trips(2)) / 2, of a ring, in which each waits for the one before it
    bytes(n) = 2 (n - 1) / n * bytes of the gradient

The rows of the other links are not used for it, and stand beside what it says of them. All networks make the same
trips: one sum of all gradients and one of all means. It knows no straggler: in a cluster the slowest worker of a step
sets its pace. It is of TensorFlow's own protocol (a ring over gRPC), which processors use; NCCL between GPUs needs
fewer trips.
"""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from absl import flags

from benchmarks import links, predicting, rows, timing
from dense_labels import command_line

_NETWORKS = flags.DEFINE_list("networks", ["simple", "dilations"], "Values of config.model.name.")
_BATCH = flags.DEFINE_integer("batch", 4, "Pairs of a worker.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 20, "Of each of the two epochs.", lower_bound=2)
_FREE, _FAR = "no limit", "20 ms"
LINKS = {
    _FREE: links.Link(),
    "10 Gbit/s, 0.2 ms": links.Link(0.0002, 10e9 / 8),
    "1 Gbit/s, 2 ms": links.Link(0.002, 1e9 / 8),
    _FAR: links.Link(0.02),
}
_ROWS = [(2, name) for name in LINKS] + [(4, _FREE), (4, _FAR)]  # (workers, link) of the first network
_FEW_ROWS = [(2, _FREE), (2, "1 Gbit/s, 2 ms")]  # of the others
_PREDICTED = (8, 64, 256, 1024)  # workers
_KEPT = 0.9  # share of a worker's speed that a larger batch is to keep
_PICTURES = 64


def main():
    rows.results()
    first, *others = _NETWORKS.value
    measured = {first: _measured(first, _ROWS), **{network: _measured(network, _FEW_ROWS) for network in others}}
    trips = {count: _trips(measured[first], count) for count in (2, 4)}
    print("\ntrips of a step: " + ", ".join(f"{each:.1f} of {count} workers" for count, each in trips.items()))
    print(f"\n{_table_of_rows(measured, trips)}\n\n{_table_of_model(measured, trips)}")


def _measured(network, linked):
    """The records of a network: of so many processes that train alone, and of each (workers, link)."""
    alone = {count: _row(network, count, None) for count in sorted({count for count, _ in linked})}
    return {**alone, **{(count, link): _row(network, count, link) for count, link in linked}}


def _row(network, count, link):
    """One row, from its record or measured; workers that are not linked train alone."""
    name = f"{network}_{count}_{link or 'alone'}".replace(" ", "_").replace("/", "_").replace(",", "")
    asked = {"network": network, "workers": count, "link": link, "batch": _BATCH.value, "steps": _STEPS.value}
    record = rows.recorded(name, asked, lambda: _measure(network, count, link))
    print(f"{network}, {count} workers, {link or 'each alone'}: {1000 * record['seconds']:.0f} ms a step", flush=True)
    return record


def _measure(network, count, link):
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        predicting.make_pictures(pathlib.Path(folder, "pictures"), _PICTURES)
        cluster = stack.enter_context(links.Cluster(count, LINKS[link])) if link else None
        processes = [_start(network, folder, index, count, cluster) for index in range(count)]
        for process in processes:
            stack.callback(process.kill)
        sent, speeds = [], []
        for line in processes[0].stdout:
            if found := re.search(r"pairs_per_second: ([\d.]+)", line):  # at the end of an epoch
                speeds.append(float(found[1]))
                sent.append(cluster.sent() if cluster else [0] * count)
        if any(process.wait() for process in processes):
            sys.exit(pathlib.Path(folder, "log").read_text())
    together = _BATCH.value * (count if cluster else 1)
    bytes_sent = max(after - before for before, after in zip(*sent)) / _STEPS.value
    return {"seconds": together / speeds[1], "bytes_sent": bytes_sent}


def _start(network, folder, index, count, cluster):
    together = cluster is not None
    command = [
        *(sys.executable, "train_main.py", "--config=folder", f"--config.data.dir={folder}/pictures"),
        f"--config.data.cache_dir={folder}/cache",
        f"--workdir={folder}/{'run' if together else index}",
        *(f"--config.model.name={network}", "--config.model.label_size=3", "--config.loss.exchange=false"),
        f"--config.train.batch_size={_BATCH.value * (count if together else 1)}",
        f"--config.train.steps_per_epoch={_STEPS.value}",
        *("--config.train.num_epochs=2", "--config.train.warmup_steps=0", "--config.train.precision=float32"),
    ]
    environment = {**os.environ, **({"TF_CONFIG": cluster.task(index)} if together else {})}
    environment |= {**dict.fromkeys(timing.THREADS, "1"), "PYTHONUNBUFFERED": "1"}
    with open(os.path.join(folder, "log"), "a") as log:
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE if index == 0 else log, stderr=log, text=True
        )


def predict(measured, trips, count, link):
    """What the model says of a step, in seconds: (compute, what is waited for).

    Args:
      measured: the records of a network, as `_measured` returns them.
      trips: of a step of two workers, and of four.
      count: workers.
      link: between them.
    """
    compute = measured[2]["seconds"]
    overhead = max(0.0, measured[2, _FREE]["seconds"] - compute)
    each = max(0.0, trips[4] - trips[2]) / 2
    gradient = measured[2, _FREE]["bytes_sent"]  # 2 (n - 1) / n is 1
    waiting = (trips[2] + (count - 2) * each) * link.delay + 2 * (count - 1) / count * gradient / link.bandwidth
    return compute, overhead + waiting


def _trips(measured, count):
    """How often a step waits for something to come from one worker to another."""
    return (measured[count, _FAR]["seconds"] - measured[count, _FREE]["seconds"]) / LINKS[_FAR].delay


def _table_of_rows(measured, trips):
    lines = []
    for network, records in measured.items():
        for count, link in [row for row in _ROWS if row in records]:
            found, alone = records[count, link], records[count]["seconds"]
            said = f"{1000 * sum(predict(records, trips, count, LINKS[link])):.0f}"
            used = count == 4 or link in (_FREE, _FAR)
            cells = [f"{1000 * found['seconds']:.0f}", f"{1000 * alone:.0f}", f"{1 - alone / found['seconds']:.0%}"]
            lines.append([network, count, link, *cells, f"{found['bytes_sent'] / 1e6:.2f}", "" if used else said])
    header = ["network", "workers", "link", "ms a step", "each alone", "waiting", "MB sent", "the model says, ms"]
    return timing.table(header, lines)


def _table_of_model(measured, trips):
    lines = []
    for network, records in measured.items():
        for link in [name for name in LINKS if name not in (_FREE, _FAR)]:
            for count in _PREDICTED:
                compute, waiting = predict(records, trips, count, LINKS[link])
                pairs = _BATCH.value * max(1.0, waiting / compute * _KEPT / (1 - _KEPT))
                speed = compute / (compute + waiting)
                lines.append([network, link, count, f"{1000 * waiting:.0f}", f"{speed:.0%}", f"{pairs:.0f}"])
    header = ["network", "link", "workers", "ms waiting", "of a worker's speed", f"pairs a worker for {_KEPT:.0%}"]
    return timing.table(header, lines)


if __name__ == "__main__":
    command_line.run(main)
