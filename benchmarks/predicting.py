"""Predicting many picture files, beside the network alone on pictures in memory; killed on the way, it goes on.

python -m benchmarks.predicting [--count=10000] [--rounds=5] [--kill] [--folder=FOLDER] [--out=FILE]

Makes JPEG files of about 100 kB (640 x 480 pixels), kept in `--folder` for the next time where one is given. The model
is that of configs/folder.py with labels of three numbers and the `nearest` head for ten landmarks, untrained, on all
processors. In each round the files of that round are predicted by `Predictor.predict`, journal and tables included;
then as many pictures by the network and the head alone, in batches of the same size that lie in memory; then as many
files are decoded and resized alone. The table has the pictures per second of each, and the first beside the second,
round by round. Below it stands what would be the most, if decoding and network shared the processors without a loss.

The peak memory is that of processes of their own (`VmHWM` of Linux), one for a tenth of the files and one for all. With
`--kill` another is killed with signal 9 after a third and after two thirds, started again, and its output held against
that of the one that was not.
"""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

from benchmarks import timing

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PREDICT = "import sys; from benchmarks import predicting; predicting.predict(*sys.argv[1:])"
_SIZE, _QUALITY, _DISTINCT = (480, 640), 80, 50  # of the pictures; how many differ, the others are copies
_SEEN = (75, 100)  # (height, width) in pixels, of what the network sees: what configs/folder.py makes of such pictures
_LANDMARKS, _SEED = 10, 0
_FORMATS = ("csv", "scores")


def main():
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(arguments.folder or f"{temporary}/pictures").expanduser()
        kilobytes = make_pictures(folder, arguments.count)
        print(f"{arguments.count} pictures of {kilobytes:.0f} kB")
        results = {"rounds": measure(folder, arguments.count, arguments.rounds)}
        print(_speeds(results["rounds"]))
        results["peak_mb"] = _peaks(folder, arguments.count, pathlib.Path(temporary))
        print(", ".join(f"{count} pictures: peak {peak:.0f} MB" for count, peak in results["peak_mb"].items()))
        if arguments.kill:
            results["same_after_kills"] = _killed(folder, arguments.count, pathlib.Path(temporary))
            print(f"killed twice, the output is the same: {results['same_after_kills']}")
    if arguments.out:
        timing.write_report(arguments.out, results, ["tensorflow", "Pillow"], vars(arguments))


def make_pictures(folder, count):
    """Writes JPEG files of smooth noise, unless they are there; returns their mean size in kB."""
    folder.mkdir(parents=True, exist_ok=True)
    random, contents = np.random.default_rng(_SEED), []
    for _ in range(min(count, _DISTINCT)):
        coarse = Image.fromarray(random.integers(0, 256, [60, 80, 3], np.uint8)).resize(_SIZE[::-1])
        fine = random.normal(scale=9, size=(*_SIZE, 1))
        image = Image.fromarray(np.uint8(np.clip(np.asarray(coarse) + fine, 0, 255)))
        image.save(folder / "begun.jpg", quality=_QUALITY)
        contents.append((folder / "begun.jpg").read_bytes())
    (folder / "begun.jpg").unlink()
    for index in range(count):
        path = folder / f"{index:06}.jpg"
        if not path.exists():
            path.write_bytes(contents[index % len(contents)])
    return np.mean([len(content) for content in contents]) / 1000


def predictor(network="dilations", seen=_SEEN):
    """The predictor of an untrained network that sees pictures of a size (height, width); the same in every process."""
    import tensorflow as tf

    from configs import folder
    from dense_labels.batches import Frame
    from dense_labels.exporting.served_model import ServedModel
    from dense_labels.prediction.predictor import Predictor
    from dense_labels.registry import HEADS, NETWORKS
    from dense_labels.training import restoring

    config = folder.get_config()
    config.model.name, config.model.label_size = network, 3
    tf.keras.utils.set_random_seed(_SEED)
    labels, _ = restoring.restored_network(config, None)
    stride = NETWORKS[config.model.name].value.stride(config.model)
    frame = Frame(seen, stride)
    vectors = np.random.default_rng(_SEED).normal(size=[_LANDMARKS, config.model.label_size]).astype(np.float32)
    head = HEADS["nearest"].value.restore({"vectors": vectors, "stride": stride, "upsample": config.eval.upsample})
    model = ServedModel(labels, head, frame=frame)
    return Predictor(model.landmarks, frame, (), {"model": "benchmark"}), model.landmarks


def measure(folder, count, rounds):
    """Times the files, the network alone and decoding alone in turns; returns pictures per second, one row a round."""
    from dense_labels.prediction.answers import BATCH_SIZE

    model, landmarks = predictor()
    batch = np.random.default_rng(_SEED).integers(0, 256, [BATCH_SIZE, *model.frame.full_size, 3], np.uint8)
    landmarks(batch)  # is traced before it is timed
    paths = [folder / f"{index:06}.jpg" for index in range(count)]
    parts = [paths[k * count // rounds : (k + 1) * count // rounds] for k in range(rounds)]
    rows = []
    for part in parts:
        rows.append(_round(part, model, landmarks, batch))
        print(", ".join(f"{name} {rate:.1f}/s" for name, rate in rows[-1].items()), flush=True)
    return rows


def _round(paths, model, landmarks, batch):
    from dense_labels.prediction import inputs, reading

    def files():
        with tempfile.TemporaryDirectory() as out:
            model.predict(paths, out=out, formats=_FORMATS)

    def network():
        for _ in range(0, len(paths), len(batch)):
            np.asarray(landmarks(batch)["points"])

    def decoding():
        source = reading.Pictures(inputs.find(paths))
        for _ in reading.ahead(source, model.frame.full_size, {}, 4 * len(batch)):
            pass

    return {work.__name__: _rate(len(paths), work) for work in (files, network, decoding)}


def _rate(count, work):
    begun = time.perf_counter()
    work()
    return count / (time.perf_counter() - begun)


def _speeds(rows):
    """The table of the rates, and what bounds them."""
    cells = [[*(f"{row[name]:.0f}" for name in row), f"{row['files'] / row['network']:.2f}"] for row in rows]
    median = {name: float(np.median([row[name] for row in rows])) for name in rows[0]}
    ratio = np.median([row["files"] / row["network"] for row in rows])
    shared = 1 / (1 / median["network"] + 1 / median["decoding"])
    return (
        timing.table(["files/s", "network alone/s", "decoding alone/s", "files by network"], cells)
        + f"\nmedian {ratio:.2f} of the network alone; decoding and network sharing {os.cpu_count()} processors allow "
        f"{shared:.0f} pictures/s, {shared / median['network']:.2f} of the network alone"
    )


def predict(folder, count, out):
    """Predicts the first pictures of a folder; what the processes of their own do. Prints the peak memory in kB."""
    paths = [pathlib.Path(folder) / f"{index:06}.jpg" for index in range(int(count))]
    predictor()[0].predict(paths, out=out, formats=_FORMATS)
    print(re.search(r"VmHWM:\s*(\d+)", pathlib.Path("/proc/self/status").read_text()).group(1))


def _start(folder, count, out):
    command = [sys.executable, "-c", _PREDICT, str(folder), str(count), str(out)]
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _peaks(folder, count, temporary):
    """Peak memory in MB of predicting a tenth of the pictures and all of them."""
    peaks = {}
    for part in (max(1, count // 10), count):
        process = _start(folder, part, temporary / f"whole-{part}")
        said, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"predicting {part} pictures failed with {process.returncode}")
        peaks[part] = int(said.split()[-1]) / 1000
    return peaks


def _killed(folder, count, temporary):
    """Whether a prediction that is killed twice ends with the files of one that is not."""
    from dense_labels.prediction import journal

    out = temporary / "killed"
    for share in (1, 2):
        process = _start(folder, count, out)
        while process.poll() is None and _lines(out / journal.FILE) < share * count // 3:
            time.sleep(0.02)
        if process.poll() is not None:
            raise RuntimeError("it ended before it was killed; give a larger count")
        process.send_signal(signal.SIGKILL)
        process.wait()
        print(f"killed after {_lines(out / journal.FILE) - 1} pictures")
    last = _start(folder, count, out)
    last.communicate()
    if last.returncode:
        raise RuntimeError("it did not go on")
    whole = {path.name: path.read_bytes() for path in (temporary / f"whole-{count}").iterdir()}
    return whole == {path.name: path.read_bytes() for path in out.iterdir()}


def _lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="pictures")
    parser.add_argument("--rounds", type=int, default=5, help="how often each has its turn")
    parser.add_argument("--kill", action="store_true", help="kill it twice on the way, and compare what it ends with")
    parser.add_argument("--folder", default="", help="where the pictures are kept; else a temporary folder")
    parser.add_argument("--out", default="", help="file for the results, JSON")
    arguments = parser.parse_args()
    if not 1 <= arguments.rounds <= arguments.count:
        parser.error(f"--rounds={arguments.rounds} must be from 1 to --count={arguments.count}")
    return arguments


if __name__ == "__main__":
    main()
