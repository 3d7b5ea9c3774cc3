"""Pictures a second of bulk prediction, by the cores it may use, beside `predict_main.py` on the same pictures.

python -m benchmarks.bulk_prediction --model=MODEL --images=IMAGES --results=RESULTS [--cores=1,2] [--counts=500,2000]

MODEL is an exported model, and IMAGES a folder of pictures, of which the first are taken. Bulk prediction has a worker
process a core, each with one thread; both programs are bound to so many cores of this machine. Each runs on the two
counts, so that what the start takes is known by itself: all figures are of the pictures between the two. Needs the
extra `beam`. Each row is recorded in RESULTS and only read the next time; records of earlier versions do not say which
model and pictures they are of.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from absl import flags

from benchmarks import records, rows, timing
from dense_labels import command_line

_MODEL = flags.DEFINE_string("model", None, "Folder of a version of an exported model.")
_CORES = flags.DEFINE_list("cores", ["1", "2"], "How many cores may be used.")
_COUNTS = flags.DEFINE_list("counts", ["500", "2000"], "Few pictures and many.")
_BULK, _ALONE = "serving.bulk", "predict_main.py"
_LATER = ("model_card", "pictures")  # what tells a model and pictures from others, which earlier records lack
_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_PARTS = {"decoding": r"decoding ([\d.]+) s", "network": r"network ([\d.]+) s"}  # what bulk prediction says of itself


def main():
    if not _MODEL.value:
        sys.exit("error: --model is missing; give the folder of an exported model")
    rows.results()
    few, many = command_line.whole_numbers("counts", _COUNTS.value)
    if few >= many:
        sys.exit(f"error: --counts={few},{many}: the first must be less")
    pictures = sorted(path for path in pathlib.Path(rows.images()).expanduser().iterdir() if path.is_file())
    if len(pictures) < many:
        sys.exit(f"error: --images={rows.images()}: there are {len(pictures)} pictures, and --counts asks for {many}")
    allowed = sorted(os.sched_getaffinity(0))
    numbers = command_line.whole_numbers("cores", _CORES.value)
    if max(numbers) > len(allowed):
        sys.exit(f"error: --cores={','.join(_CORES.value)}: this machine lends {len(allowed)}")
    measured = {
        (program, cores): _row(program, allowed[:cores], pictures, (few, many))
        for cores in numbers
        for program in (_ALONE, _BULK)
    }
    print(f"\n{_table(measured)}")


def _row(program, cores, pictures, counts):
    """One row, from its record or measured."""
    asked = {"program": program, "cores": len(cores), "counts": list(counts), **_facts(pictures[: counts[-1]])}
    name = f"{'bulk' if program == _BULK else 'predict_main'}_{len(cores)}"
    return rows.recorded(name, asked, lambda: _measure(program, cores, pictures, counts), _LATER)


def _facts(pictures):
    """What tells the model and the pictures from others: a digest of the model's card, and number and bytes."""
    from dense_labels.exporting import model_card

    folder = pathlib.Path(_MODEL.value).expanduser()
    bytes_of_all = sum(path.stat().st_size for path in pictures)
    facts = {"model": folder.name, "model_card": records.digest(folder / model_card.FILE)}
    return {**facts, "pictures": [len(pictures), bytes_of_all]}


def _measure(program, cores, pictures, counts):
    """Seconds of both counts: of the process, and what bulk prediction says of the parts of its workers."""
    seconds, parts = {}, {name: {} for name in _PARTS}
    for count in counts:
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary, "pictures")
            folder.mkdir()
            for picture in pictures[:count]:
                folder.joinpath(picture.name).symlink_to(picture.resolve())
            begun = time.monotonic()
            said = _run(_command(program, folder, f"{temporary}/points", len(cores)), cores)
            seconds[str(count)] = time.monotonic() - begun
        for name, pattern in _PARTS.items():
            if found := re.search(pattern, said):
                parts[name][str(count)] = float(found[1])
    return {"seconds": seconds, **{name: of_counts for name, of_counts in parts.items() if of_counts}}


def _command(program, folder, out, processes):
    """What predicts the pictures of a folder into a CSV file."""
    given = [f"--model={_MODEL.value}", "--formats=csv"]
    if program == _ALONE:
        return [sys.executable, program, *given, f"--pictures={folder}", f"--out={out}"]
    beam = [f"--runner={_RUNNER}", f"--direct_num_workers={processes}", "--direct_running_mode=multi_processing"]
    return [sys.executable, "-m", program, *given, f"--input={folder}", f"--output={out}/bulk", *beam]


def _run(command, cores):
    """Runs a command on some cores; returns what it said."""
    one = {name: "1" for name in timing.THREADS} if "-m" in command else {}
    done = subprocess.run(
        command,
        env={**os.environ, **one},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} failed:\n{done.stdout[-2000:]}")
    return done.stdout


def _table(measured):
    lines = []
    for (program, cores), row in measured.items():
        (few, first), (many, second) = row["seconds"].items()
        speed = (int(many) - int(few)) / (second - first)
        times = (int(many) - int(few)) / 1000
        parts = [f"{(row[part][many] - row[part][few]) / times:.1f}" if part in row else "" for part in _PARTS]
        start = first - int(few) / speed
        lines.append([program, str(cores), f"{speed:.1f}", f"{speed / cores:.1f}", *parts, f"{start:.0f}"])
    headings = ["program", "cores", "pictures/s", "a core", "ms decoding", "ms network", "seconds of start"]
    return timing.table(headings, lines)


if __name__ == "__main__":
    command_line.run(main)
