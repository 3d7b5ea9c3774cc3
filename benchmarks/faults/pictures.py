"""Damaged pictures on the three roads from a file to pixels: of a training, of the client and of a served model.

Where a road gives pixels, all that do must give the same: a damaged file that means two things would be learned as one
and answered as the other. Decoders that go on at damaged data make up what is lost, each in its own way: where such a
JPEG or PNG is read by both with other pixels, it is counted as SALVAGED. Its size and the way it is turned must agree
all the same.
"""

import collections
import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from benchmarks import faults, mutations, picture_files
from benchmarks import serving as measured
from dense_labels.exporting import decoding_graph
from input_pipeline.storage import decoding
from serving import client

MOST_APART = 3  # of 255: two decoders of a JPEG
_MAX_PIXELS = 40_000
_LARGER = 24  # pictures of which more than the headers can be hit
_SALVAGED = (b"\xff\xd8", b"\x89PNG")  # begins of files that decoders read on in when they are damaged
_KINDS = {
    "JPEG": picture_files.jpegs,
    "PNG": picture_files.pngs,
    "BMP": picture_files.bmps,
    "GIF, WebP, TIFF": picture_files.others,
}
Seen = np.ndarray | faults.Outcome  # pixels, or that there are none


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _served(file: tf.Tensor) -> tf.Tensor:
    return decoding_graph.decode(file, max_pixels=_MAX_PIXELS)


def outcome(content: bytes, path: pathlib.Path) -> faults.Outcome:
    """Reads a file on all roads.

    Args:
      content: of the file.
      path: where it may be written.
    """
    path.write_bytes(content)
    reader, sent, graph = seen = [
        _seen(lambda: decoding.read_picture(path)),
        _seen(lambda: client._read(path, tf.uint8)[0][0]),
        _seen(lambda: _served(tf.constant(content)).numpy()),
    ]
    for each in seen:
        if isinstance(each, faults.Outcome) and each.kind == faults.WRONG:
            return each
    if not (reader == sent if isinstance(reader, faults.Outcome) else np.array_equal(reader, sent)):
        return faults.Outcome(faults.WRONG, "the client sends other pixels than a training reads")
    if not isinstance(graph, np.ndarray):
        return graph
    if not isinstance(reader, np.ndarray):
        return faults.Outcome(faults.RIGHT)
    if reader.shape != graph.shape:
        return faults.Outcome(faults.WRONG, f"a training reads {reader.shape}, a served model {graph.shape}")
    if np.abs(reader.astype(int) - graph).max() <= MOST_APART:
        return faults.Outcome(faults.RIGHT)
    if content.startswith(_SALVAGED):
        return faults.Outcome(faults.SALVAGED)
    return faults.Outcome(faults.WRONG, "a training reads other pixels than a served model")


def _seen(read) -> Seen:
    try:
        return read()
    except tf.errors.InvalidArgumentError as error:  # what a server answers a request with that is wrong
        return faults.Outcome(faults.REFUSED) if error.message.strip() else faults.of_error(error)
    except Exception as error:
        return faults.of_error(error)


def measure(count: int, seed: int) -> tuple[dict[str, collections.Counter[str]], list[str]]:
    """Damages `count` pictures of all kinds; see `benchmarks.faults`."""
    random, counters, wrong = np.random.default_rng(seed), collections.defaultdict(collections.Counter), []
    sound = [(kind, name, file) for kind, made in _KINDS.items() for name, file, _ in made()]
    sound += [(("JPEG", "PNG")[n % 2], f"larger {n}", file) for n, file in enumerate(measured.pictures(_LARGER))]
    with tempfile.TemporaryDirectory() as folder:
        for n in range(count):
            kind, name, file = sound[n % len(sound)]
            content = mutations.damaged(file, random)
            found, text = outcome(content, pathlib.Path(folder) / "picture")
            counters[kind][found] += 1
            if found == faults.WRONG:
                wrong.append(f"{name}: {text}\n{content.hex()}")
    return dict(counters), wrong
