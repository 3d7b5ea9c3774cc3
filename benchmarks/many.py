"""Time and memory from thousands of pictures to a million: shards written, trained on, and predictions.

python -m benchmarks.many --folder=FOLDER [--counts=10000,100000,1000000] [--predicted=10000,100000] [--results=RESULTS]

Draws small JPEG pictures (64 x 64, about 1.5 kB), a thousand to a folder, each another; those that are there are kept.
Of each count it writes shards with `input_pipeline/write_shards.py` and trains a small network on them for 200 steps
of 8 pairs with `train_main.py`; and it predicts the files of each count of --predicted by `Predictor.predict`, with an
untrained network. Each is a process of its own, whose peak memory the system tells (`ru_maxrss`). A million pictures
take about 6 GB. Each row is recorded in RESULTS, and only read the next time.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import flags
from PIL import Image, ImageDraw
from tqdm import tqdm

from benchmarks import rows, timing
from dense_labels import command_line

_FOLDER = flags.DEFINE_string("folder", None, "Where the pictures and shards are made, and kept.")
_COUNTS = flags.DEFINE_list("counts", ["10000", "100000", "1000000"], "Pictures in shards.")
_PREDICTED = flags.DEFINE_list("predicted", ["10000", "100000"], "Pictures that are predicted.")
_SIDE, _IN_FOLDER, _IN_SHARD = 64, 1000, 50_000  # pixels; pictures
_STEPS, _BATCH = 200, 8
_PREDICT = "import sys; from benchmarks import many; many.predict(*sys.argv[1:])"


def main():
    if not _FOLDER.value:
        sys.exit("error: --folder is missing; give one for the pictures, with room for 6 kB each")
    counts = command_line.whole_numbers("counts", _COUNTS.value)
    few = command_line.whole_numbers("predicted", _PREDICTED.value)
    shards = {count: _row("shards", count) for count in counts}
    trained = {count: _row("training", count) for count in shards}
    predicted = {count: _row("prediction", count) for count in few}
    print(f"\n{_table(shards, trained, predicted)}")


def _row(what, count):
    """One row, from its record or measured."""
    asked = {"what": what, "pictures": count, "steps": _STEPS, "batch": _BATCH, "side": _SIDE}
    return rows.recorded(f"{what}_{count}", asked, lambda: _measure(what, count))


def _measure(what, count):
    """The figures of a process that does something with so many pictures: seconds, peak memory and others."""
    folder = pathlib.Path(_FOLDER.value).expanduser()
    pictures, prefix = draw(folder / str(count), count), folder / f"shards-of-{count}" / "drawn"
    with tempfile.TemporaryDirectory() as temporary:
        command = {
            "shards": [
                *("input_pipeline/write_shards.py", f"--pictures={pictures}", f"--out={prefix}", "--start_over"),
                f"--shards={-(-count // _IN_SHARD)}",
            ],
            "training": [
                *(
                    "train_main.py",
                    "--config=folder",
                    "--config.data.name=shards",
                    f"--config.data.dir={prefix.parent}",
                ),
                *(f"--workdir={temporary}/run", "--config.model.name=simple", "--config.train.num_epochs=1"),
                *("--config.model.label_size=3", "--config.loss.exchange=false"),
                *(f"--config.train.batch_size={_BATCH}", f"--config.train.steps_per_epoch={_STEPS}"),
                "--config.train.warmup_steps=0",
            ],
            "prediction": ["-c", _PREDICT, str(pictures), f"{temporary}/points"],
        }[what]
        return _run([sys.executable, *command], os.path.join(temporary, "said"))


def _run(command, log):
    begun = time.monotonic()
    with open(log, "w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
        said.seek(0)
        text = said.read()
    if status:
        sys.exit(f"error: {' '.join(command)} failed:\n{text[-2000:]}")
    speed = re.findall(r"pairs_per_second: ([\d.]+)", text)
    return {
        "seconds": seconds,
        "peak_mb": usage.ru_maxrss / 1000,
        **({"pairs_per_second": float(speed[-1])} if speed else {}),
    }


def draw(folder, count):
    """Draws pictures, unless they are there; returns their folder."""
    blocks = range(0, count, _IN_FOLDER)
    with concurrent.futures.ProcessPoolExecutor() as pool:
        done = pool.map(_draw, [folder] * len(blocks), blocks, [min(_IN_FOLDER, count - first) for first in blocks])
        for _ in tqdm(done, total=len(blocks), desc="Drawing", unit=" thousand pictures"):
            pass
    return folder


def _draw(folder, first, count):
    """Draws a block of pictures, each of an ellipse and a line on a coarse background."""
    place, begun = folder / f"{first // _IN_FOLDER:04}", folder / f".{first // _IN_FOLDER:04}"
    if place.exists():
        return
    begun.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(first)
    for index in range(first, first + count):
        image = Image.fromarray(random.integers(0, 256, [4, 4, 3], np.uint8)).resize((_SIDE, _SIDE))
        colours, places = random.integers(0, 256, [2, 3]), random.uniform(4, _SIDE - 4, [4, 2])
        pencil = ImageDraw.Draw(image)
        pencil.ellipse([*places[:2].min(0), *places[:2].max(0)], fill=tuple(colours[0]))
        pencil.line([*places[2], *places[3]], fill=tuple(colours[1]), width=3)
        image.save(begun / f"{index:07}.jpg", quality=80)
    begun.rename(place)


def predict(folder, out):
    """Predicts the pictures of a folder, by a network that was not trained; what a process of its own does."""
    from benchmarks import predicting

    predicting.predictor("simple", (_SIDE, _SIDE))[0].predict(folder, out=out, formats=("csv",))


def _table(shards, trained, predicted):
    steps = f"{_STEPS} steps of {_BATCH} pairs"
    lines = []
    for what, records in {"shards written": shards, steps: trained, "files predicted": predicted}.items():
        for count, row in records.items():
            each = f"{1000 * row['seconds'] / count:.1f}" if what != steps else ""
            speed = f"{row['pairs_per_second']:.1f}" if what == steps else ""
            lines.append([what, f"{count:,}", f"{row['seconds']:.0f}", each, speed, f"{row['peak_mb']:.0f}"])
    return timing.table(["what", "pictures", "seconds", "ms a picture", "pairs/s", "peak MB"], lines)


if __name__ == "__main__":
    command_line.run(main)
