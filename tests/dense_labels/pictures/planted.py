"""Planted arrays, and what of them is seen in a picture."""

import numpy as np
from matplotlib.colors import to_rgb

from dense_labels.batches import LabelMap, LandmarkBatch, PairBatch
from dense_labels.evaluation import descriptor_matching
from dense_labels.method import geometry
from dense_labels.pictures import gallery
from dense_labels.pictures.sheet import GAP, LINE, MARGIN

RNG = np.random.default_rng
ODD = 90, 118  # (height, width) of images whose sides are no multiple of 8 or of 16
ODD_STRIDES = 2, 8, 16


def grey_images(count=1, height=20, width=30):
    return np.full([count, height, width, 3], 0.5, np.float32)


def label_map(values, stride=2):
    return LabelMap(np.asarray(values, np.float32), stride)


def distinct_labels(count=1, height=10, width=15, *, length=16, stride=2, seed=0):
    """Labels of one length, each alone in its direction: a cell matches itself, p close to 1."""
    labels = RNG(seed).normal(size=[count, height, width, length])
    return label_map(12 * labels / np.linalg.norm(labels, axis=-1, keepdims=True), stride)


def matches_colour(picture, colour, tolerance=8):
    """Which pixels [H, W] have a colour."""
    wanted = np.rint(255 * np.array(to_rgb(colour)))
    return np.abs(picture.astype(int) - wanted).max(axis=-1) <= tolerance


def centre_of(picture, colour):
    """Centre (x, y) of the pixels of a colour, in continuous pixels of the picture."""
    rows, columns = np.nonzero(matches_colour(picture, colour, tolerance=3))
    assert len(rows), f"no pixel of colour {colour}"
    return np.array([(columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2])


def tile_of(picture, row, column, size, *, left=MARGIN, top=MARGIN + LINE, under=0):
    """A tile of a picture, `size` being its (width, height), with `under` pixels under each."""
    x, y = left + column * (size[0] + GAP), top + row * (size[1] + under + GAP)
    return picture[y : y + size[1], x : x + size[0]]


def corners_of(cell, stride, scale):
    """(rows, columns) of the four outermost pixels of a cell (i, j) in a tile that shows pixels `scale` times."""
    rows, columns = ((index * stride * scale, (index + 1) * stride * scale - 1) for index in cell)
    return np.repeat(rows, 2), np.tile(columns, 2)


def pairs(count=3, size=(20, 30), stride=2, seed=0):
    """Pairs of which B is A moved a cell to the right, so that what is in its last column of cells is not seen."""
    rows, columns = size[0] // stride, size[1] // stride
    images = RNG(seed).uniform(size=[count, *size, 3]).astype(np.float32)
    places = geometry.cell_centres(rows, columns, stride).numpy() + [stride, 0.0]
    visible = np.broadcast_to(places[..., 0] < columns * stride, [count, rows, columns])
    return PairBatch(images, np.roll(images, stride, axis=2), np.float32([places] * count), np.float32(visible))


def colours(stride):
    """A network whose descriptors are the pixels of cells, 4 times as certain at the top."""

    def network(images):
        height, width = images.shape[1] // stride, images.shape[2] // stride
        cells = np.asarray(images)[:, : height * stride, : width * stride]
        blocks = cells.reshape([len(cells), height, stride, width, stride, 3]).transpose([0, 1, 3, 2, 4, 5])
        labels = blocks.reshape([len(cells), height, width, -1]) - 0.5
        sure = np.linspace(4.0, 1.0, height)[:, np.newaxis, np.newaxis]
        return np.float32(labels / np.linalg.norm(labels, axis=-1, keepdims=True) * sure)

    return network


def material(size=(20, 30), stride=2, *, count=3):
    """Everything that any picture needs, of images of a size."""

    def network(images):
        return colours(stride)(images)[..., :6]  # of long labels, pictures take longer

    shown = pairs(count, size, stride)
    labels = label_map(network(shown.image_a), stride)
    images, some = pairs(max(count, 2), size, stride).image_a, np.ones(max(count, 2), np.float32)
    landmarks = RNG(1).uniform(1, min(size) - 1, size=[len(images), 4, 2]).astype(np.float32)
    annotated = np.ones([len(images), 4], np.float32)
    limits = np.linspace(0, 10, 11)
    errors, sure, score = RNG(2).uniform(0.1, 20, size=[3, 50])
    return gallery.Material(
        shown,
        stride,
        labels,
        label_map(network(shown.image_b), stride),
        has_confidence=True,
        heat_maps_a=labels,
        heat_maps_b=labels,
        many=lambda: [(shown.image_a, labels, np.ones([count, *size]))],
        frames=LandmarkBatch(images, landmarks, annotated, np.stack([some, some], axis=1), some, some),
        frame_labels=label_map(network(images), stride),
        head_points=landmarks + 1,
        descriptor_matches=descriptor_matching.Matches(errors, sure, score, np.arange(50)),
        worst=gallery.Worst(shown.image_a[:1], landmarks[:1] + 1, landmarks[:1], annotated[:1], np.ones([1, 2])),
        curves={"percent": limits, "regress": {"cumulative": limits / 10, "pck": limits / 10}},
    )
