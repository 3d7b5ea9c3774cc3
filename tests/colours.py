"""A model whose answers are known: its labels are colours, its landmarks the reddest, greenest and bluest cell."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.batches import Frame
from dense_labels.exporting import saved_model, signatures, verification
from models import nearest_landmarks

SIZE, STRIDE = (30, 24), 2
FRAME = Frame(SIZE, STRIDE)
COLOURS = np.eye(3, dtype=np.float32)  # red, green, blue


def network(stride=STRIDE):
    """A network whose labels are thirty times the mean colour of a cell."""
    layers = [tf.keras.layers.AveragePooling2D(stride), tf.keras.layers.Rescaling(30.0)]
    return tf.keras.Sequential([tf.keras.Input([None, None, 3]), *layers])


def head(stride=STRIDE):
    """What finds the three colours in its labels."""
    return nearest_landmarks.NearestLandmarks(10 * COLOURS, stride, upsample=4)


def smooth_images(count, size, seed, *, waves=6):
    coarse = tf.random.stateless_uniform([count, waves, waves, 3], seed=[seed, 0])
    return tf.image.resize(coarse, size, method="bicubic").numpy().clip(0, 1)


def coloured_cells(cells, *, scale=(1, 1), size=SIZE, stride=STRIDE):
    """An image `scale` (y, x) times the network's input: red, green and blue cells on black."""
    image = np.zeros([*size, 3], np.float32)
    for (row, column), colour in zip(cells, COLOURS):
        image[row * stride : (row + 1) * stride, column * stride : (column + 1) * stride] = colour
    return image.repeat(scale[0], axis=0).repeat(scale[1], axis=1)[np.newaxis]


def centres(cells, *, scale=(1, 1), stride=STRIDE):
    """(x, y) of those cells in pixels of that image."""
    return (np.float32(cells)[:, ::-1] + 0.5) * stride * np.float32(scale[::-1])


def as_uint8(images):
    return np.rint(images * 255).astype(np.uint8)


def publish(network, head, out, *, frame=FRAME, verified=True, only=(), **options):
    """Exports; what a test is not about is left out, for it takes long.

    Args:
      network: of the model.
      head: of the model.
      out: folder of the versions.
      frame: of the model.
      verified: whether what was written is compared with the live answers.
      only: names of the signatures that are exported; () for all.
      **options: of `export_saved_model`.

    Returns:
      Path of the version.
    """
    with pytest.MonkeyPatch.context() as patch:
        if only:
            patch.setattr(signatures, "SIGNATURES", _table(only))
        if not verified:
            patch.setattr(verification, "verify", lambda *_: None)
        options = {"example_images": smooth_images(2, frame.input_size, 1), **options}
        return saved_model.export_saved_model(network, head, out, frame=frame, **options)


def _table(names):
    """The entries of the signatures of these names, without the types that other names stand for."""
    table = {}
    for task in {signatures.named()[name].task for name in names}:
        entry = signatures.SIGNATURES[task]
        types = {name: dtype for name, dtype in entry.value.types.items() if name in names}
        table[task] = dataclasses.replace(entry, value=type(entry.value.__name__, (entry.value,), {"types": types}))
    return table
