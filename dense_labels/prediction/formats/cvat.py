"""CVAT's XML 1.1 of images: a skeleton for each object, as CVAT imports annotations into a task that has its label.

Convention: continuous pixels; see the reader of this name in `input_pipeline.readers.formats`.

CVAT takes the id of an image that it does not know by its name for the number of a frame. So frames of a video have
their numbers and the names that CVAT gives them, and the ids of pictures are no frames.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions


def check(predictions: Predictions) -> None:
    """Refuses names that XML cannot hold.

    Raises:
      ValueError: if a name has characters that XML has not.
    """
    names = [*predictions.landmark_names, *predictions.names, predictions.category, os.path.basename(predictions.video)]
    wrong = next((name for name in names if not name.isprintable()), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r}: CVAT's XML cannot hold this name; rename it or choose another format")


@FORMATS.register("cvat", "CVAT's XML 1.1 of images, a skeleton for each object", file="points_cvat.xml", check=check)
def write(predictions: Predictions) -> bytes:
    """Writes the labels, then the pictures; landmarks without a place are `outside`.

    Raises:
      ValueError: as `check`.
    """
    check(predictions)
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    if predictions.frames is not None:
        ElementTree.SubElement(task, "source").text = os.path.basename(predictions.video)
    labels = ElementTree.SubElement(task, "labels")
    _label(labels, predictions.category, "skeleton")
    for name in predictions.landmark_names:
        _label(labels, name, "points", parent=predictions.category)
    for index, (name, rows) in enumerate(predictions.by_picture().items()):
        height, width = map(str, predictions.sizes[rows[0]].tolist())
        number = -1 - index
        if predictions.frames is not None:
            number = int(predictions.frames[rows[0]])
            name = f"frame_{number:06}"
        image = ElementTree.SubElement(root, "image", id=str(number), name=name, width=width, height=height)
        for row in rows:
            _skeleton(image, predictions, row)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _label(labels: ElementTree.Element, name: str, kind: str, parent: str = "") -> None:
    label = ElementTree.SubElement(labels, "label")
    for key, text in (("name", name), ("type", kind), ("parent", parent)):
        if text:
            ElementTree.SubElement(label, key).text = text


def _skeleton(image: ElementTree.Element, predictions: Predictions, row: int) -> None:
    known = predictions.known[row]
    if not known.any():
        return
    skeleton = ElementTree.SubElement(image, "skeleton", label=predictions.category, source="auto", z_order="0")
    for k, (x, y) in enumerate(np.where(known[:, np.newaxis], predictions.points[row], 0).tolist()):
        element = ElementTree.SubElement(skeleton, "points", label=predictions.landmark_names[k], source="auto")
        element.set("outside", str(int(not known[k])))
        element.set("occluded", str(int(predictions.is_hidden(row, k))))
        element.set("points", f"{x:.3f},{y:.3f}")
