"""A page to hand around: one HTML file with the figures of a run, its pictures, and matching under the mouse.

The page needs no network and no server. Label maps are stored in 16 bits; `templates/matching.js` works out from them
where a point is found, by equation (3) of Thewlis, Bilen and Vedaldi, "Unsupervised learning of object frames by dense
equivariant image labelling", NIPS 2017.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from dense_labels.batches import LabelMap
from dense_labels.config import Config
from dense_labels.evaluation.result import Result
from dense_labels.method import label_sphere
from dense_labels.pictures import cells, checks, unfolding
from dense_labels.registry import compares_labels
from dense_labels.reporting import filling, page_text

MOST_PICTURES = 12
_MOST_BYTES = 4_000_000  # of the labels, as text
_LARGEST = 2**15 - 1
_QUALITY = 90  # of panels as WebP, of 100


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """The N images one can point at; arrays or tensors.

    Attributes:
      images: float [N, H, W, 3] in [0, 1].
      labels: of the images.
      masks: [N, H, W], 1 where the object is.
      landmarks: [N, K, 2], (x, y) in pixels; None where there are none.
      annotated: [N, K], 1 where a landmark is known; goes with `landmarks`.
    """

    images: Any
    labels: LabelMap
    masks: Any
    landmarks: Any = None
    annotated: Any = None


def write(
    path: str | os.PathLike,
    title: str,
    examples: Examples | None,
    *,
    result: Result,
    panels: Mapping[str, np.ndarray],
    summary: str = "",
) -> None:
    """Writes the page, whole or not at all.

    Args:
      path: of the file; its folder exists.
      title: of the page.
      examples: the images one can point at, of which as many as fit are taken; None for a page without them.
      result: what was measured.
      panels: name -> uint8 picture [H, W, 3].
      summary: a line about the run.

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
      OSError: if it cannot be written.
    """
    parts = {
        "title": html.escape(title),
        "summary": html.escape(summary),
        "style": filling.template("report.css"),
        "numbers": page_text.numbers(result),
        "panels": page_text.panels({name: filling.webp_uri(picture, _QUALITY) for name, picture in panels.items()}),
        "explorer": "" if examples is None else _explorer(page_data(examples, result.landmark_names)),
    }
    filling.write(path, "report.html", parts)


def _explorer(data: dict[str, Any]) -> str:
    """The part of the page where one points at pictures, of what `page_data` gathered."""
    parts = {
        "cells": f"{data['columns']} x {data['rows']} cells of {data['stride']} pixels",
        "data": filling.json_text(data),
        "script": filling.template("matching.js") + filling.template("report.js"),
    }
    return filling.fill("report_explorer.html", parts)


def summary(config: Config, step: int) -> str:
    """Says in a line what was trained, by the configuration of the training, and for how many steps."""
    kind, size = ("labels", "numbers") if compares_labels(config.model.name) else ("heat maps", "landmarks")
    return (
        f"Training: data set {config.data.name}; network {config.model.name}, {kind} of {config.model.label_size} "
        f"{size}; loss {config.loss.name}; {step} steps of {config.train.batch_size} pairs"
    )


def page_data(examples: Examples, landmark_names: Sequence[str] = ()) -> dict[str, Any]:
    """Gathers what the page computes with.

    Args:
      examples: the images one can point at.
      landmark_names: of the K landmarks; numbers where there are none.

    Returns:
      A dictionary that JSON can hold. Arrays are base64, row-major: labels little-endian int16, to be multiplied by
      `scale`, colours and masks uint8, a value for each cell. `basis` is the view [L, 3] of the label sphere that the
      page begins with; None for L = 2, which has no sphere.

    Raises:
      ValueError: as `write`.
    """
    images = checks.check_images("images", examples.images)
    labels = checks.check_labels("labels", examples.labels, images)
    masks = checks.check_masks(examples.masks, images)
    count = int(np.clip(_MOST_BYTES // (labels.values[0].size * 8 / 3), 2, MOST_PICTURES))
    images, labels, masks = images[:count], labels[:count], masks[:count]
    whole, scale = quantise(labels.values)
    landmarks = _landmarks(examples, len(images))
    names = list(landmark_names) or [f"landmark {k}" for k in range(len(landmarks[0]))]
    pictures = _pictures(images, LabelMap(whole, labels.stride), _colours(labels, masks), masks)
    rows, columns = labels.cells
    return {
        "height": images.shape[1],
        "width": images.shape[2],
        "rows": rows,
        "columns": columns,
        "length": labels.length,
        "stride": labels.stride,
        "scale": scale,
        "basis": unfolding.upright_view(labels, masks)["basis"].tolist() if labels.length > 2 else None,
        "landmark_names": names[: len(landmarks[0])],
        "pictures": [{**picture, "landmarks": points} for picture, points in zip(pictures, landmarks)],
    }


def _colours(labels: LabelMap, masks: np.ndarray) -> np.ndarray:
    """The colours of labels, seen as they are on the object: [N, h, w, 3] in [0, 1]."""
    return label_sphere.label_colours(
        labels.values, unfolding.colour_basis(labels.values, cells.at_centres(masks, labels))
    )


def _pictures(images: np.ndarray, whole: LabelMap, colours: np.ndarray, masks: np.ndarray) -> Iterator[dict[str, str]]:
    """What is stored of each picture: itself, and its cells."""
    (rows, columns), stride = whole.cells, whole.stride
    at = slice(stride // 2, rows * stride, stride), slice(stride // 2, columns * stride, stride)
    for image, labels, label_colours, mask in zip(images, whole.values, colours, masks):
        yield {
            "image": _picture_uri(_bytes(image)),
            "labels": filling.base64_text(labels.astype("<i2")),
            "label_colours": filling.base64_text(_bytes(label_colours)),
            "picture_colours": filling.base64_text(_bytes(image[at])),
            "object": filling.base64_text(np.uint8(mask[at])),
        }


def quantise(labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Rounds labels to 16 bits, all in one scale.

    Args:
      labels: floating point, of any shape.

    Returns:
      `(whole, scale)`: int16 of that shape, and the float they are to be multiplied by; an entry is at most half of it
      off.
    """
    scale = float(np.abs(labels).max() / _LARGEST) or 1.0
    return np.int16(np.rint(labels / scale)), scale


def _landmarks(examples: Examples, count: int) -> list[list[list[float] | None]]:
    """For each of the pictures a list of [x, y], None where one is not annotated; empty where there are none."""
    if examples.landmarks is None:
        return [[]] * count
    known = zip(np.asarray(examples.landmarks)[:count], np.asarray(examples.annotated)[:count])
    return [
        [[float(x), float(y)] if seen else None for (x, y), seen in zip(points, annotated)]
        for points, annotated in known
    ]


def _bytes(colours: np.ndarray) -> np.ndarray:
    return np.uint8(np.rint(255 * colours))


def _picture_uri(picture: np.ndarray) -> str:
    """A uint8 picture [H, W, 3] as the address of itself, exact."""
    return f"data:image/png;base64,{base64.b64encode(tf.io.encode_png(picture).numpy()).decode()}"
