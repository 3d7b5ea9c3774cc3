"""A page to hand around: one HTML file with the figures of a run, its pictures, and matching under the mouse.

The page needs no network and no server. Label maps are stored in 16 bits; `templates/matching.js` works out from them
where a point is found, by equation (3) of Thewlis, Bilen and Vedaldi, "Unsupervised learning of object frames by dense
equivariant image labelling", NIPS 2017.
"""

import base64
import html
import importlib.resources
import io
import json
import re

import numpy as np
import tensorflow as tf
from PIL import Image

from dense_labels import files
from dense_labels.method import label_sphere
from dense_labels.pictures import gallery, sheet
from dense_labels.reporting import page_text

MOST_PICTURES = 12
_MOST_BYTES = 4_000_000  # of the labels, as text
_LARGEST = 2**15 - 1
_QUALITY = 90  # of panels as WebP, of 100


def write(path, title, examples, *, stride, result, panels, summary="", landmark_names=()):
    """Writes the page, whole or not at all.

    Args:
      path: of the file; its folder exists.
      title: of the page.
      examples: the N pictures one can point at, of which as many as fit are taken: a dictionary of `image` float
        [N, H, W, 3] in [0, 1], `labels` [N, h, w, L], `mask` [N, H, W], 1 where the object is, and where there are
        landmarks `landmarks` [N, K, 2], (x, y) in pixels, and `annotated` [N, K].
      stride: side of a cell in pixels.
      result: what `results.report` returned, with whatever else was measured.
      panels: name -> uint8 picture [H, W, 3].
      summary: a line about the run.
      landmark_names: of the K landmarks; numbers where there are none.

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
      OSError: if it cannot be written.
    """
    data = page_data({name: np.asarray(values) for name, values in examples.items()}, stride, landmark_names)
    parts = {
        "title": html.escape(title),
        "summary": html.escape(summary),
        "style": _template("report.css"),
        "script": _template("matching.js") + _template("report.js"),
        "cells": f"{data['columns']} x {data['rows']} cells of {stride} pixels",
        "numbers": page_text.numbers(result, landmark_names),
        "panels": page_text.panels({name: _panel_uri(picture) for name, picture in panels.items()}),
        "data": _json(data),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _template("report.html"))
    files.write_whole(path, page.encode())


def summary(config, step):
    """Says in a line what was trained.

    Args:
      config: `config.Config`.
      step: of the training, an int.

    Returns:
      A string.
    """
    return (
        f"Data set {config.data.name}; network {config.model.name}, labels of {config.model.label_size} numbers; "
        f"loss {config.loss.name}; {step} training steps of {config.train.batch_size} pairs"
    )


def page_data(examples, stride, landmark_names=()):
    """Gathers what the page computes with.

    Args:
      examples, stride, landmark_names: as of `write`.

    Returns:
      A dictionary that JSON can hold. Arrays are base64, row-major: labels little-endian int16, to be multiplied by
      `scale`, colours and masks uint8, a value for each cell. `basis` is the view [L, 3] of the label sphere that the
      page begins with; None for L = 2, which has no sphere.

    Raises:
      ValueError: as `write`.
    """
    images = sheet.check_images("image", examples["image"])
    labels = sheet.check_labels("labels", examples["labels"], images)
    masks = sheet.check_masks(examples["mask"], images)
    count = int(np.clip(_MOST_BYTES // (labels[0].size * 8 / 3), 2, MOST_PICTURES))
    images, labels, masks = images[:count], labels[:count], masks[:count]
    rows, columns, length = labels.shape[1:]
    whole, scale = quantise(labels)
    pictures = _pictures(
        images, whole, label_sphere.label_colours(labels, gallery.colour_basis(labels, masks)), masks, stride
    )
    landmarks = _landmarks(examples, len(images))
    names = list(landmark_names) or [f"landmark {k}" for k in range(len(landmarks[0]))]
    return {
        "height": images.shape[1],
        "width": images.shape[2],
        "rows": rows,
        "columns": columns,
        "length": length,
        "stride": stride,
        "scale": scale,
        "basis": gallery.view(labels, masks)["basis"].tolist() if length > 2 else None,
        "landmark_names": names[: len(landmarks[0])],
        "pictures": [{**picture, "landmarks": points} for picture, points in zip(pictures, landmarks)],
    }


def _pictures(images, whole, colours, masks, stride):
    """What is stored of each picture: itself, and its cells."""
    rows, columns = whole.shape[1:3]
    cells = slice(stride // 2, rows * stride, stride), slice(stride // 2, columns * stride, stride)
    for image, labels, label_colours, mask in zip(images, whole, colours, masks):
        yield {
            "image": _picture_uri(_bytes(image)),
            "labels": _base64(labels.astype("<i2")),
            "label_colours": _base64(_bytes(label_colours)),
            "picture_colours": _base64(_bytes(image[cells])),
            "object": _base64(np.uint8(mask[cells])),
        }


def quantise(labels):
    """Rounds labels to 16 bits, all in one scale.

    Args:
      labels: floating point, of any shape.

    Returns:
      `(whole, scale)`: int16 of that shape, and the float they are to be multiplied by; an entry is at most half of it
      off.
    """
    scale = float(np.abs(labels).max() / _LARGEST) or 1.0
    return np.int16(np.rint(labels / scale)), scale


def _landmarks(examples, count):
    """For each of the pictures a list of [x, y], None where one is not annotated; empty where there are none."""
    if "landmarks" not in examples:
        return [[]] * count
    known = zip(examples["landmarks"][:count], examples["annotated"][:count])
    return [
        [[float(x), float(y)] if seen else None for (x, y), seen in zip(points, annotated)]
        for points, annotated in known
    ]


def _bytes(colours):
    return np.uint8(np.rint(255 * colours))


def _base64(array):
    return base64.b64encode(np.ascontiguousarray(array)).decode()


def _picture_uri(picture):
    """A uint8 picture [H, W, 3] as the address of itself, exact."""
    return f"data:image/png;base64,{base64.b64encode(tf.io.encode_png(picture).numpy()).decode()}"


def _panel_uri(panel):
    """The same of a large picture that is only looked at: a quarter as long."""
    written = io.BytesIO()
    Image.fromarray(panel).save(written, "WEBP", quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(written.getvalue()).decode()}"


def _json(data):
    """JSON that may stand inside a <script>: it neither ends it nor begins a comment."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&]", lambda character: f"\\u{ord(character[0]):04x}", text)


def _template(name):
    return importlib.resources.files("dense_labels.reporting").joinpath("templates", name).read_text(encoding="utf-8")
