"""One picture, one meaning: training, the client and the served graph see the same pixels of a file, or refuse it."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import picture_files
from dense_labels.exporting import decoding_graph
from input_pipeline.storage import decoding
from serving import client

MOST = 3  # of 255: how far two roads may be apart. Only JPEGs are apart by more than 1
FILES = {
    name: (file, pixels)
    for kind in (picture_files.jpegs, picture_files.pngs, picture_files.bmps, picture_files.others)
    for name, file, pixels in kind()
}
UNREAD = ("gif", "webp", "tiff")
REFUSED_BY_GRAPH = {
    *(name for name in FILES if name.startswith(UNREAD)),
    *("bmp palette 1", "bmp palette 4", "bmp 16", "bmp run lengths", "bmp 32 in another order"),
    *("bmp of the oldest kind", "jpeg CMYK without Adobe"),
}
REFUSED_BY_READER = {"png RGB 16 with a key", "bmp black and white in 8 bits"}  # Pillow would read them wrongly


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Name -> what the reader, the client and the graph make of a file: pixels, or the message of a refusal."""
    folder = tmp_path_factory.mktemp("files")
    graph = tf.function(
        lambda file: decoding_graph.decode(file, max_pixels=10_000),
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )
    found = {}
    for number, (name, (file, _)) in enumerate(FILES.items()):
        path = folder / f"{number}.file"
        path.write_bytes(file)
        found[name] = [
            tried(lambda path=path: decoding.read_picture(path)),
            tried(lambda path=path: client._read(path, tf.uint8)[0][0]),
            tried(lambda file=file: graph(tf.constant(file)).numpy()),
        ]
    return found


def tried(read):
    try:
        return read().astype(int)
    except (decoding.PictureError, tf.errors.InvalidArgumentError) as error:
        return str(error)


def apart(one, other):
    assert one.shape == np.shape(other)
    return np.abs(one - other).max()


@pytest.mark.parametrize("name", FILES)
def test_every_road_sees_the_same(seen, name):
    reader, sent, graph = seen[name]
    expected = FILES[name][1]
    if name in REFUSED_BY_READER:
        assert "save it as a PNG" in reader
        assert sent == reader
    else:
        np.testing.assert_array_equal(sent, reader)
        assert expected is None or apart(reader, expected) <= MOST
    if name in REFUSED_BY_GRAPH:
        assert "send its RGB pixels to a signature that takes pixels" in graph
    else:
        assert apart(graph, expected if name in REFUSED_BY_READER else reader) <= (MOST if "jpeg" in name else 1)


def test_there_are_many_kinds():
    assert len(FILES) >= 60
