"""Load, endurance, damaged requests and change of version: a SavedModel behind the services of TensorFlow Serving.

python -m benchmarks.serving --what=load --model=served/mine [--joined=served/mine_joined] [--requests=400]
python -m benchmarks.serving --what=soak --model=served/mine [--requests=10000]
python -m benchmarks.serving --what=mutate --model=served/mine [--requests=1000]
python -m benchmarks.serving --what=swap --model=served/mine

Each starts `serving.server` on this machine and ends it; pictures are drawn at random, or taken from `--pictures`.
`--joined` is the same model exported with `--batch_requests`. Exits with 1 where anything was not as it must be.
"""

import collections
import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import mutations
from dense_labels import command_line
from serving.client import Client

MODEL = "model"
CLIENTS = (1, 4, 16)
_SIZES = ((90, 90), (128, 128), (120, 160))  # of drawn pictures
_BAD = 100  # one request in so many is bad in a soak
_POINT_TOLERANCE = 1e-2  # pixels
_GROWTH = 1.1  # of a server's memory, from a fifth of a soak to its end: what is above that is a leak


@contextlib.contextmanager
def started(folder, *options):
    """Starts `serving.server` for a while; gives its address and process."""
    command = [sys.executable, "-m", "serving.server", f"--model_base_path={folder}", f"--model_name={MODEL}"]
    process = subprocess.Popen([*command, "--port=0", *options], stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if found := re.match(r"listening at (\S+)", line):
                yield found[1], process
                break
        else:
            raise ValueError(f"--model={folder}: the server has ended")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def pictures(count=12, *, seed=0):
    """Draws sound files of smooth pictures, JPEG and PNG in turn."""
    drawn = []
    for n in range(count):
        coarse = tf.random.stateless_uniform([6, 6, 3], seed=[seed, n])
        pixels = tf.image.resize(coarse, _SIZES[n % len(_SIZES)], method="bicubic")
        write = tf.io.encode_png if n % 2 else tf.io.encode_jpeg
        drawn.append(write(tf.image.convert_image_dtype(pixels, tf.uint8, saturate=True)).numpy())
    return drawn


def load(address, make_inputs, signature, *, clients, count):
    """Sends requests from several clients at once, each waiting for its answer before the next.

    Args:
      address: of the server.
      make_inputs: number of the request -> inputs of the signature.
      signature: its name.
      clients: how many.
      count: of requests, all clients together.

    Returns:
      Seconds that each answer took, an array, and the seconds all took.
    """
    numbers = itertools.count()

    def ask(client):
        took = []
        while (n := next(numbers)) < count:
            start = time.perf_counter()
            client.predict(signature, **make_inputs(n))
            took.append(time.perf_counter() - start)
        return took

    connections = [Client(address, MODEL) for _ in range(clients)]
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        start = time.perf_counter()
        took = sum(pool.map(ask, connections), [])
        whole = time.perf_counter() - start
    for connection in connections:
        connection.close()
    return np.array(took), whole


def soak(address, model, files, *, count, clients=4, watch=lambda done: None):
    """Sends sound requests with a bad one among every hundred, and compares each answer.

    Args:
      address: of the server.
      model: the loaded SavedModel that must answer alike.
      files: sound picture files.
      count: how many requests.
      clients: how many at once.
      watch: called with the number of answers every thousand.

    Returns:
      A counter: `right`, `wrong`, `refused` (bad ones, with a message), and what else happened.
    """
    expected = [model.describe(tf.constant([file]))["points"][0].numpy() for file in files]
    drawn = mutations.requests(files, MODEL, count=28, seed=1)
    bad = [request for kind, request, _ in drawn if kind not in mutations.MAY_BE_SOUND]
    connections = [Client(address, MODEL) for _ in range(clients)]

    def ask(n):
        client = connections[n % clients]
        if n % _BAD == _BAD - 1:
            return "refused" if mutations.refusal(client, bad[n // _BAD % len(bad)]) else "answered"
        k = n % len(files)
        points = client.predict("encoded", images=np.array([files[k]], object))["points"][0]
        return "right" if np.abs(points - expected[k]).max() < _POINT_TOLERANCE else "wrong"

    outcomes = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        for done, outcome in enumerate(pool.map(ask, range(count)), 1):
            outcomes[outcome] += 1
            if done % 1000 == 0:
                watch(done)
    return outcomes


def mutate(address, model, files, *, count):
    """Sends damaged requests; each must be refused with a message, or answered as its pixels are.

    Returns:
      kind of mutation -> a counter of `refused`, `right` and `wrong`.
    """
    client, outcomes = Client(address, MODEL), collections.defaultdict(collections.Counter)
    for kind, request, file in mutations.requests(files, MODEL, count=count):
        refused = mutations.refusal(client, request)
        outcome = "refused" if refused else "right" if file and _is_right(client, model, file) else "wrong"
        outcomes[kind][outcome] += 1
    client.close()
    return dict(outcomes)


def _is_right(client, model, file):
    """Whether a file is answered as the pixels are that TensorFlow's own decoder finds in it."""
    if file.startswith(b"\xff\xd8"):
        pixels = tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE")
    else:
        pixels = tf.io.decode_image(file, channels=3, expand_animations=False)
    expected = model.landmarks(pixels[tf.newaxis])["points"]
    found = client.predict("encoded", images=np.array([file], object))["points"]
    return np.abs(found - expected).max() < _POINT_TOLERANCE


def swap(address, folder, files, *, clients=4, seconds=300.0):
    """Puts a new version into a server's folder while requests run, until it answers.

    Args:
      address: of the server.
      folder: that it follows, with a version 1.
      files: sound picture files.
      clients: how many at once.
      seconds: the longest to wait.

    Returns:
      A counter of the versions that answered; a request that fails raises.
    """
    versions, stop = collections.Counter(), time.monotonic() + seconds
    connections = [Client(address, MODEL) for _ in range(clients)]
    done = []

    def ask(client):
        while not (len(done) >= 8 * clients) and time.monotonic() < stop:
            request = mutations.request(MODEL, "encoded", images=np.array([files[0]], object))
            version = client.send(request).model_spec.version.value
            versions[version] += 1
            if version == 2:
                done.append(version)

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(ask, connection) for connection in connections]
        shutil.copytree(folder / "1", folder / ".copied")
        os.rename(folder / ".copied", folder / "2")
        for each in asked:
            each.result()
    return versions


def _sources(files):
    """Signature -> inputs of the n-th request."""
    pixels = [tf.io.decode_image(file, channels=3).numpy()[np.newaxis] for file in files]
    return {
        "landmarks": lambda n: {"images": pixels[n % len(pixels)]},
        "encoded": lambda n: {"images": np.array([files[n % len(files)]], object)},
    }


def _load_table(folders, files, count):
    print(
        "| signature | requests joined | clients | requests/s | median ms | 95 % | 99 % |", "|---" * 7 + "|", sep="\n"
    )
    for name, folder in folders.items():
        with started(folder) as (address, _):
            for signature, make_inputs in _sources(files).items():
                load(address, make_inputs, signature, clients=max(CLIENTS), count=64)  # every size of picture and batch
                for clients in CLIENTS:
                    took, whole = load(address, make_inputs, signature, clients=clients, count=count)
                    figures = " | ".join(f"{1000 * np.quantile(took, q):.0f}" for q in (0.5, 0.95, 0.99))
                    print(f"| {signature} | {name} | {clients} | {count / whole:.0f} | {figures} |", flush=True)


def _soak(folder, files, count):
    resident = []
    with started(folder) as (address, process):

        def watch(done):
            resident.append(resident_mib(process))
            print(f"{done} of {count} answered; the server has {resident[-1]} MiB", flush=True)

        outcomes = soak(address, _newest(folder), files, count=count, watch=watch)
        alive = process.poll() is None
    grown = resident[-1] / resident[len(resident) // 5] if resident else 1.0
    print(f"{dict(outcomes)}; the server is {'alive' if alive else 'gone'}, its memory {grown:.2f} times what it was")
    return alive and set(outcomes) <= {"right", "refused"} and grown < _GROWTH


def _mutate(folder, files, count):
    with started(folder) as (address, process):
        outcomes = mutate(address, _newest(folder), files, count=count)
        alive, mib = process.poll() is None, resident_mib(process)
    for kind, counted in outcomes.items():
        print(f"{kind}: {dict(counted)}")
    print(f"the server is {'alive' if alive else 'gone'}, with {mib} MiB")
    return alive and not any(counted["wrong"] for counted in outcomes.values())


def _swap(folder, files):
    with tempfile.TemporaryDirectory() as copied:
        shutil.copytree(_newest_folder(folder), os.path.join(copied, "1"))
        with started(copied, "--poll_seconds=0.2") as (address, _):
            versions = swap(address, pathlib.Path(copied), files)
    print(f"answers by version: {dict(versions)}; none failed")
    return versions[1] > 0 and versions[2] > 0


def _newest_folder(folder):
    numbers = [int(name) for name in os.listdir(folder) if name.isdecimal()]
    if not numbers:
        raise ValueError(f"--model={folder} holds no version of a SavedModel, such as {os.path.join(folder, '1')}")
    return os.path.join(folder, str(max(numbers)))


def _newest(folder):
    return tf.saved_model.load(_newest_folder(folder))


def resident_mib(process):
    with open(f"/proc/{process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def main():
    given = flags.FLAGS
    if not given.model:
        raise ValueError("--model is missing; give the folder of the versions that eval_main.py exported")
    files = pictures()
    if given.pictures:
        found = [path for path in sorted(pathlib.Path(given.pictures).iterdir()) if path.suffix in (".jpg", ".png")]
        files = [path.read_bytes() for path in found[:100]]
        if not files:
            raise ValueError(f"--pictures={given.pictures} holds no .jpg and no .png files")
    if given.what == "load":
        folders = {"no": given.model, **({"yes": given.joined} if given.joined else {})}
        return _load_table(folders, files, given.requests or 400)
    measure = {"soak": _soak, "mutate": _mutate, "swap": lambda folder, files, _: _swap(folder, files)}[given.what]
    sound = measure(given.model, files, given.requests or {"soak": 10_000}.get(given.what, 1000))
    sys.exit(0 if sound else 1)


def _define_flags():
    flags.DEFINE_enum("what", "load", ["load", "soak", "mutate", "swap"], "What is measured.")
    flags.DEFINE_string("model", None, "Folder of the versions of a model with landmarks.")
    flags.DEFINE_string("joined", None, "The same, exported with --batch_requests.")
    flags.DEFINE_string("pictures", None, "Folder of JPEG or PNG files to send.")
    flags.DEFINE_integer("requests", 0, "How many; 0 for 400 a figure, 10,000 or 1,000.", 0)


if __name__ == "__main__":
    _define_flags()
    command_line.run(main)
